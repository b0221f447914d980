"""What a live second costs, and eight hours of them:
a replay of simulated noise through the whole live path.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import resident_bytes, untrained_model
from benchmarks.recordings import noise
from benchmarks.result import Bound, Result
from emodict.engine import Engine, open_engine
from emodict.live import replay
from emodict.live.run import live_rows
from emodict.recording.session import write_session

HOURS = 8
# Sensors deliver a few times a second, and each delivery costs its share.
SHORT_S = 300


def measure() -> Iterator[Result | Bound]:
    """CPU of a live second against a second of one core;
    memory and rows of eight hours at full speed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_engine(untrained_model(folder / "model.onnx", ("eeg", "gsr", "ppg"))) as engine:
            short, long = folder / "short.h5", folder / "long.h5"
            write_session(noise(SHORT_S).recording(), short)
            cost_s = _second(engine, short)
            yield Result("a live second, EEG+GSR+PPG, of one core", 1.0, cost_s, at_most=0.02)
            write_session(noise(HOURS * 3600).recording(), long)
            grown, missing = _hours(engine, long)
            yield Bound(
                f"memory grown from hour 1 to hour {HOURS}", grown / 2**20, "MiB", at_most=5.0
            )
            yield Bound(f"rows missing in {HOURS} hours", missing, "rows", at_most=0)


def _second(engine: Engine, session: Path) -> float:
    """CPU seconds of a row when the sensors deliver every tenth of a second."""
    fast, replay.FAST_CHUNK_S = replay.FAST_CHUNK_S, replay.CHUNK_S
    try:
        with replay.ReplaySource(session, engine.manifest.features, speed=math.inf) as source:
            rows = live_rows(engine, source)
            next(rows)
            started = time.process_time()
            count = sum(1 for _ in rows)
    finally:
        replay.FAST_CHUNK_S = fast
    return (time.process_time() - started) / count


def _hours(engine: Engine, session: Path) -> tuple[int, int]:
    """(bytes grown after the first hour, rows missing)."""
    first, after_an_hour, missing = engine.manifest.features.first_row_s, 0, 0
    with replay.ReplaySource(session, engine.manifest.features, speed=math.inf) as source:
        expected = first
        for row in live_rows(engine, source):
            missing += int(row.prediction.start_s[0]) - expected
            expected = int(row.prediction.start_s[0]) + 1
            if expected == 3600:
                after_an_hour = resident_bytes()
    missing += HOURS * 3600 - expected
    return resident_bytes() - after_an_hour, missing
