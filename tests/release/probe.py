"""What a device does with a bare install, run by its Python: write a session,
read it, compute features of it.

python -I probe.py SESSION
"""

import sys

import numpy as np

from emodict.features import extract_features
from emodict.features.spec import load_spec
from emodict.recording.recording import Recording, Signal
from emodict.recording.session import open_session, write_session

SECONDS = 20

rng = np.random.default_rng(0)
time_s = np.arange(SECONDS * 100)[:, None] / 100
pulse = np.sin(2 * np.pi * 1.2 * time_s) + 0.05 * rng.standard_normal(time_s.shape)
skin_us = 5 + 0.01 * np.cumsum(rng.standard_normal((SECONDS * 4, 1)), axis=0)
signals = {
    "ppg": Signal("ppg", 100.0, "a.u.", ("ppg",), pulse),
    "gsr": Signal("gsr", 4.0, "uS", ("gsr",), skin_us),
}
write_session(Recording("probe", "nobody", signals), sys.argv[1])
with open_session(sys.argv[1]) as recording:
    windows = extract_features(recording, load_spec("emodict-1").with_modalities(["gsr", "ppg"]))
assert len(windows.start_s) == SECONDS - 4
assert windows.valid.all()
