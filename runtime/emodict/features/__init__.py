"""From samples to the tokens that a model reads: one implementation,
for training, files and live runs.
"""

from emodict.features.extract import extract_features, iter_features
from emodict.features.spec import FeatureSpec, load_spec, spec_ids
from emodict.features.stream import FeatureStream
from emodict.features.windows import FeatureWindows

__all__ = [
    "FeatureSpec",
    "FeatureStream",
    "FeatureWindows",
    "extract_features",
    "iter_features",
    "load_spec",
    "spec_ids",
]
