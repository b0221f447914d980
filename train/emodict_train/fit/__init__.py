"""From a table to a checkpoint and its card: presets, what is taught, and when to stop."""

from emodict_train.fit.fitting import fit
from emodict_train.fit.model_card import model_card, write_card
from emodict_train.fit.options import FitOptions
from emodict_train.training.plan import TrainingPlan

__all__ = ["FitOptions", "TrainingPlan", "fit", "model_card", "write_card"]
