"""From a table to a checkpoint and its card: presets, what is taught, and when to stop."""

from emodict_train.fit.fitting import FitOptions, fit
from emodict_train.fit.model_card import model_card, write_card
from emodict_train.training.trainer import TrainingPlan

__all__ = ["FitOptions", "TrainingPlan", "fit", "model_card", "write_card"]
