"""Features and an engine make rows: of recordings, of tables, and with a person's baseline."""

from emodict.predict.scoring import iter_predictions, predict, score

__all__ = ["iter_predictions", "predict", "score"]
