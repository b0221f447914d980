"""Train on your own recordings (session.h5 with /trials truth),
and fold the model into one ONNX file.

python examples/train_your_own.py FOLDER_OF_SESSIONS
"""

import sys
from pathlib import Path

from emodict_export.export import export_onnx
from emodict_train.data import read_training_data
from emodict_train.fit import FitOptions, fit
from emodict_train.model import save_checkpoint

if len(sys.argv) != 2:
    sys.exit("usage: python examples/train_your_own.py FOLDER_OF_SESSIONS")
table = read_training_data([Path(sys.argv[1])], spec_id="emodict-1").with_modalities(["gsr", "ppg"])
options = FitOptions(split="trials", patience=5, seed=1)
checkpoint = fit(table, options, on_step=lambda step: print(".", end="", flush=True))

about = checkpoint.training
print(
    f"\n{about['rows']} windows, {about['trials']} trials, {about['subjects']} subjects, "
    f"{about['epochs']} epochs"
)
model, mean_label = checkpoint.metrics["model"]["kl"], checkpoint.metrics["mean_label"]["kl"]
print(f"KL on held-out trials: {model:.4f}; mean label {mean_label:.4f}")
if model >= mean_label:
    print("It does not beat the mean label. Do not trust it.")

save_checkpoint(checkpoint, "own.pt")
report = export_onnx(checkpoint, "own.onnx")
print(f"Wrote own.pt and {report.path}: {report.nodes} nodes, {report.bytes // 1024} KiB")
