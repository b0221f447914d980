"""A session as the raw graph takes it: a .f32 for examples/cpp, a .json for examples/browser.

python examples/raw_seconds.py model.raw.onnx session.h5 seconds.f32
"""

import json
import sys
from pathlib import Path

import numpy as np

from emodict.engine import open_engine
from emodict.errors import EmodictError
from emodict.recording import open_session
from emodict.results.colours import emotion_colours
from emodict_desk.raw import raw_seconds


def as_json(number: float) -> float | None:
    """JSON has no NaN, a sample that is missing, and no infinity, one that no sensor gives."""
    return None if np.isnan(number) else float(f"{np.clip(number, -1e38, 1e38):.9g}")


if len(sys.argv) != 4:
    sys.exit("usage: python examples/raw_seconds.py model.raw.onnx session.h5 seconds.f32|.json")
try:
    with open_engine(sys.argv[1]) as engine, open_session(sys.argv[2]) as recording:
        manifest, simulated = engine.manifest, recording.simulated
        if not manifest.raw_inputs:
            sys.exit(f"{sys.argv[1]} takes features: give the graph of emodict-export --raw")
        # Of each second the samples of each modality, in the order of the graph's inputs.
        seconds = list(raw_seconds(recording, manifest))
except EmodictError as error:
    sys.exit(str(error))
target = Path(sys.argv[3])
if target.suffix == ".json":
    text = {
        "emotions": manifest.model.emotions,
        "colours": emotion_colours(manifest.model.emotions),
        "modalities": manifest.features.modality_names,
        "simulated": ["a SIMULATED person"] * simulated
        + ["a model of SIMULATED people"] * manifest.simulated,
        "seconds": [
            {name: list(map(as_json, samples.ravel())) for name, samples in second.items()}
            for second in seconds
        ],
    }
    target.write_text(json.dumps(text), encoding="utf-8")
else:
    np.concatenate([x.ravel() for second in seconds for x in second.values()]).tofile(target)
print(f"Wrote {len(seconds)} seconds to {target}")
