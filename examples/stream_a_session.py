"""As a device does it: push each sensor's samples second by second, get a distribution a second.

python examples/stream_a_session.py model.onnx session.h5
"""

import sys

from emodict.engine import open_engine
from emodict.features import FeatureStream
from emodict.grid import face_rows
from emodict.predict import score
from emodict.session import open_session

if len(sys.argv) != 3:
    sys.exit("usage: python examples/stream_a_session.py model.onnx session.h5")
model, session = sys.argv[1:]
with open_engine(model) as engine, open_session(session) as recording:
    features = engine.manifest.features
    # (samples, channels) and Hz of each sensor; on a device these come from its driver.
    sources = {}
    for name in set(features.modality_names) & set(recording.signals):
        signal = recording.signals[name]
        wanted = features.modality(name).channel_names
        columns = signal.channel_columns(wanted) if len(wanted) > 1 else [0]
        sources[name] = signal.read(0, signal.sample_count)[:, columns], signal.rate_hz
    if "video" in features.modality_names and recording.face is not None:
        sources["video"] = face_rows(recording.face), 1.0
    stream = FeatureStream(features, {name: rate_hz for name, (_, rate_hz) in sources.items()})
    for second in range(int(recording.duration_s)):
        for name, (samples, rate_hz) in sources.items():
            rows = stream.push(name, samples[round(second * rate_hz) : round((second + 1) * rate_hz)])
            for i, start_s in enumerate(rows.start_s):
                now = score(engine, rows, session=session).distribution[i]
                answer = f"{engine.manifest.model.emotions[now.argmax()]} {now.max():.0%}" if now[0] >= 0 else "-"
                print(f"{start_s:6.0f} s  {answer}")
