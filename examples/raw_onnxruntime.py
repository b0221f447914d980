"""The raw graph without emodict, second by second: numpy and onnxruntime are all it needs.

emodict-export model.pt --raw --check-vectors vectors
python examples/raw_onnxruntime.py model.raw.onnx vectors/vectors.npz

In the place of the vectors stand your sensors: a second of each at the rates of the graph's inputs,
NaN for every sample that did not come.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

if len(sys.argv) != 3:
    sys.exit("usage: python examples/raw_onnxruntime.py model.raw.onnx vectors.npz")
for name in sys.argv[1:]:
    if not Path(name).is_file():
        sys.exit(f"There is no file {name}")
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
if not any(node.name.startswith("state_") for node in session.get_inputs()):
    sys.exit(f"{sys.argv[1]} takes features: give the graph of emodict-export --raw")
emotions = json.loads(session.get_modelmeta().custom_metadata_map["emodict.emotions"])
outputs = [node.name for node in session.get_outputs()]
shapes = {node.name: (1, *node.shape[1:]) for node in session.get_inputs()}
# Zeros before the first second, and from then on what came out as next_X.
states = {n: np.zeros(of, np.float32) for n, of in shapes.items() if n.startswith("state_")}
vectors = np.load(sys.argv[2])

worst, equal, strongest = 0.0, 0, "none"
for second, answered in enumerate(vectors["answered"]):
    fresh = {name: vectors[name][second : second + 1] for name in shapes if name not in states}
    row = dict(zip(outputs, session.run(outputs, {**fresh, **states}), strict=True))
    states = {name: row["next_" + name.removeprefix("state_")] for name in states}

    shares = row["distribution"][0]
    same = np.isfinite(shares).all() == answered
    equal += same and np.array_equal(row["valid"][0], vectors["valid"][second])
    if same and answered:
        worst = max(worst, float(np.abs(shares - vectors["distribution"][second]).max()))
        strongest = emotions[int(shares.argmax())]

seconds = len(vectors["answered"])
print(f"valid and answered equal in {equal} of {seconds} seconds, shares within {worst:.0e}")
print(f"strongest in the last second with an answer: {strongest}")
# What float32 explains of a share; FP16 is off by up to a hundredth.
precision = session.get_modelmeta().custom_metadata_map["emodict.precision"]
allowed = {"fp32": 3e-5, "fp16": 1e-2, "int8": 0.2}[precision]
if equal < seconds or worst > allowed:
    sys.exit(1)
