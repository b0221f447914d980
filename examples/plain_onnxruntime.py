"""The exported graph without emodict: numpy and onnxruntime are all it needs.

emodict-session features session.h5 -o features.npz     (or compute the tokens in your own way)
python examples/plain_onnxruntime.py model.onnx features.npz
"""

import json
import sys

import numpy as np
import onnxruntime

if len(sys.argv) != 3:
    sys.exit("usage: python examples/plain_onnxruntime.py model.onnx features.npz")
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
emotions = json.loads(about["emodict.emotions"])
missing_value = np.array(json.loads(about["emodict.missing_value"]))

table = np.load(sys.argv[2])
# A modality that is not valid is NaN; what stands for it is its mean in training.
tokens = np.where(np.isnan(table["tokens"]), missing_value, table["tokens"]).astype(np.float32)
# A second without any valid modality has no answer: leave it out.
answerable = table["valid"].any(axis=1)
tokens, start_s = tokens[answerable], table["start_s"][answerable]
distribution, weights = session.run(["distribution", "weights"], {"tokens": tokens})

shapes = f"distribution {distribution.shape} and dictionary weights {weights.shape}"
print("input", tokens.shape, "->", shapes)
for second, row in list(zip(start_s, distribution, strict=True))[:3]:
    shares = (f"{name} {share:.2f}" for name, share in zip(emotions, row, strict=True))
    print(f"{second:5.0f} s  " + "  ".join(shares))
