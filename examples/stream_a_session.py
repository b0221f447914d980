"""As a device does it: push each sensor's samples second by second, get a distribution a second.

python examples/stream_a_session.py model.onnx session.h5
"""

import sys

from emodict.engine import open_engine
from emodict.features import FeatureStream
from emodict.predict import score
from emodict.recording import open_session
from emodict.recording.grid import face_rows

if len(sys.argv) != 3:
    sys.exit("usage: python examples/stream_a_session.py model.onnx session.h5")
with open_engine(sys.argv[1]) as engine, open_session(sys.argv[2]) as recording:
    features = engine.manifest.features
    # (samples, channels) and Hz of each sensor; on a device these come from its driver.
    sources = {}
    for name in set(features.modality_names) & set(recording.signals):
        signal, wanted = recording.signals[name], features.modality(name).channel_names
        columns = signal.channel_columns(wanted) if len(wanted) > 1 else [0]
        sources[name] = signal.read(0, signal.sample_count)[:, columns], signal.rate_hz
    if "video" in features.modality_names and recording.face is not None:
        sources["video"] = face_rows(recording.face), 1.0
    stream = FeatureStream(features, {name: rate_hz for name, (_, rate_hz) in sources.items()})
    for second in range(int(recording.duration_s)):
        for name, (samples, rate_hz) in sources.items():
            rows = stream.push(
                name, samples[round(second * rate_hz) : round((second + 1) * rate_hz)]
            )
            for start_s, shares in zip(
                rows.start_s, score(engine, rows, session="live").distribution, strict=True
            ):
                print(f"{start_s:6.0f} s  " + "  ".join(f"{share:4.0%}" for share in shares))
