"""Train EmotionDict: model, data, loop and study, on PyTorch."""
