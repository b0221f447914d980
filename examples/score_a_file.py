"""Score a recording: one distribution a second, written as a table and as a page to look at.

python examples/score_a_file.py model.onnx session.h5
"""

import sys

from emodict.engine import open_engine
from emodict.predict import predict
from emodict.results.outputs import write_predictions
from emodict_desk.report import write_report

if len(sys.argv) != 3:
    sys.exit("usage: python examples/score_a_file.py model.onnx session.h5")
model, session = sys.argv[1:]
with open_engine(model) as engine:
    prediction = predict(engine, session)

answered = prediction.answered
simulated = ", SIMULATED" if prediction.simulated else ""
print(f"{prediction.session}: {answered.sum()} of {len(prediction)} seconds answered{simulated}")
mean = prediction.distribution[answered].mean(axis=0)
for share, emotion in sorted(zip(mean.tolist(), prediction.emotions, strict=True), reverse=True):
    print(f"  {emotion:<13}{share:6.1%}")

write_predictions([prediction], "scores.csv", with_weights=False)
write_report([prediction], "scores.html", title="My recording", model_lines=[f"model {model}"])
print("Wrote scores.csv and scores.html")
