"""From a checkpoint to one small folded ONNX graph."""
