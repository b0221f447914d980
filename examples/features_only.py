"""Features without a model, for your own statistics:
frontal alpha asymmetry and skin conductance, a row a second.

python examples/features_only.py session.h5
"""

import sys

import numpy as np

from emodict.features import extract_features, load_spec
from emodict.recording import open_session

if len(sys.argv) != 2:
    sys.exit("usage: python examples/features_only.py session.h5")
spec = load_spec("emodict-1")
with open_session(sys.argv[1]) as recording:
    windows = extract_features(recording, spec)

eeg = windows.features("eeg")  # (seconds, bands, channels); NaN where the second is not valid
alpha = 2  # delta theta alpha beta gamma
left, right = (spec.modality("eeg").channel_names.index(name) for name in ("F3", "F4"))
asymmetry = eeg[:, alpha, right] - eeg[:, alpha, left]
skin_us = windows.features("gsr")[:, spec.modality("gsr").feature_names.index("x_mean")]

for name, valid, quality in zip(
    spec.modality_names, windows.valid.T, windows.quality.T, strict=True
):
    score = quality[valid].mean() if valid.any() else 0.0
    print(f"{name:<6}{valid.mean():5.0%} of the seconds valid, quality {score:.2f} where valid")
mean, spread = np.nanmean(asymmetry), np.nanstd(asymmetry)
print(f"alpha F4 - F3: {mean:+.3f} (DE, natural log), sd {spread:.3f}")
print(f"skin conductance: {np.nanmean(skin_us):.2f} uS, sd {np.nanstd(skin_us):.2f}")
