"""The one implementation of features: training, offline runs and live streams all come through here."""

from emodict.features.extract import extract_features, iter_features
from emodict.features.stream import FeatureStream
from emodict.features.windows import FeatureWindows

__all__ = ["FeatureStream", "FeatureWindows", "extract_features", "iter_features"]
