"""What is trained: EmotionDict, its losses, the scale of its inputs,
and the checkpoint that keeps it.
"""

from emodict_train.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]
