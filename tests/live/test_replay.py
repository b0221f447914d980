"""A recording played live gives the rows of the recording, at any speed,
in memory that does not grow.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fixtures import resident_bytes, untrained_model
from tests.recordings import noise_recording

from emodict.engine import open_engine
from emodict.errors import InputError, RecordingError
from emodict.live.open_source import open_source
from emodict.live.replay import ReplaySource
from emodict.live.row import LiveRow
from emodict.live.run import live_rows
from emodict.predict.scoring import predict
from emodict.recording.recording import Recording, Signal
from emodict.recording.session import write_session
from emodict.results.prediction import concatenate_predictions


def replay(model: Path, session: Path, speed: float) -> list[LiveRow]:
    with (
        open_engine(model) as engine,
        ReplaySource(session, engine.manifest.features, speed=speed) as source,
    ):
        return list(live_rows(engine, source))


def hard_recording() -> Recording:
    """Another rate for each sensor, holes, a late start, timestamps that drift,
    and ends at different seconds.
    """
    whole = noise_recording(40)
    rng = np.random.default_rng(3)
    eeg = whole.signals["eeg"].samples.copy()
    eeg[3000:3100] = np.nan
    stamps = np.delete(
        np.arange(37 * 64) / 64 * (1 + 5e-5) + rng.uniform(0, 1e-3, 37 * 64), slice(1000, 1100)
    )
    pulse = np.sin(2 * np.pi * 1.2 * stamps)[:, None] + 0.02 * rng.standard_normal((len(stamps), 1))
    signals = {
        "eeg": Signal("eeg", 300.0, "uV", whole.signals["eeg"].channel_names, eeg),
        "ppg": Signal("ppg", 64.0, "a.u.", ("ppg",), pulse, timestamps_s=stamps),
        "gsr": Signal(
            "gsr", 4.0, "uS", ("gsr",), whole.signals["gsr"].samples[:140], start_offset_s=2.0
        ),
    }
    return Recording(session_id="hard", subject_id="nobody", signals=signals, face=whole.face)


@pytest.mark.parametrize(
    "recording", [noise_recording(30), hard_recording()], ids=["plain", "hard"]
)
def test_a_replay_at_full_speed_is_the_offline_run(
    model: Path, tmp_path: Path, recording: Recording
) -> None:
    path = tmp_path / "session.h5"
    write_session(recording, path)
    with open_engine(model) as engine:
        offline = predict(engine, path)
    live = concatenate_predictions([row.prediction for row in replay(model, path, math.inf)])
    np.testing.assert_array_equal(live.start_s, offline.start_s)
    np.testing.assert_array_equal(live.valid, offline.valid)
    # Scored row by row, and not in blocks. float32 keeps 6e-8,
    # behind a few hundred operations each.
    np.testing.assert_allclose(live.distribution, offline.distribution, rtol=0, atol=1e-6)
    np.testing.assert_allclose(live.weights, offline.weights, rtol=0, atol=1e-5)  # of size 1 to 10
    # Shares, in float64.
    np.testing.assert_allclose(live.quality, offline.quality, rtol=0, atol=1e-9)


def test_rows_come_at_the_end_of_their_second(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "session.h5"
    write_session(noise_recording(8), path)
    started_s, started_unix_s = time.monotonic(), time.time()
    rows = replay(model, path, 2.0)
    # 8 s at double speed; a busy machine may take longer, and none less.
    assert time.monotonic() - started_s >= 4.0
    assert [row.prediction.start_s[0] for row in rows] == [4, 5, 6, 7]
    # Never before the last sample is there. After it, 50 ms on a machine at rest, twice that on the
    # recording's clock; a row that waits for the next second is 1 s late.
    assert min(row.delay_s for row in rows) >= 0.0
    assert sorted(row.delay_s for row in rows)[1] < 0.5
    # Second 4 of a recording that began to play at some moment of this test.
    assert rows[0].unix_s - 4 == pytest.approx(started_unix_s, abs=time.time() - started_unix_s)


def test_twenty_minutes_drop_no_row_and_holds_the_memory_flat(tmp_path: Path) -> None:
    """`make bench` does the same for eight hours of all four modalities."""
    model = untrained_model(tmp_path / "wrist.onnx", spec_id="emodict-1", modalities=("gsr", "ppg"))
    long = long_wrist_recording(tmp_path / "long.h5", seconds=1200)
    count, early = 0, 0
    with (
        open_engine(model) as engine,
        ReplaySource(long, engine.manifest.features, speed=math.inf) as source,
    ):
        for row in live_rows(engine, source):
            assert row.prediction.start_s[0] == count + 4
            count += 1
            if count == 300:
                early = resident_bytes()
    assert count == 1200 - 4
    assert resident_bytes() - early < 5e6


def long_wrist_recording(path: Path, *, seconds: int) -> Path:
    rng = np.random.default_rng(0)
    pulse = np.sin(2 * np.pi * 1.2 * np.arange(seconds * 100) / 100).astype(np.float32)[:, None]
    skin = (5 + 0.01 * np.cumsum(rng.integers(-1, 2, (seconds * 4, 1)), axis=0)).astype(np.float32)
    signals = {
        "ppg": Signal("ppg", 100.0, "a.u.", ("ppg",), pulse),
        "gsr": Signal("gsr", 4.0, "uS", ("gsr",), skin),
    }
    write_session(Recording(session_id="long", subject_id="nobody", signals=signals), path)
    return path


def test_what_the_model_reads_must_be_there(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "session.h5"
    ecg = Signal("ecg", 100.0, "mV", ("ecg",), np.zeros((1000, 1)))
    write_session(Recording(session_id="s", subject_id="p", signals={"ecg": ecg}), path)
    with pytest.raises(RecordingError, match="has none of the signals this model reads"):
        replay(model, path, math.inf)


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan])
def test_a_replay_runs_forwards(model: Path, tmp_path: Path, speed: float) -> None:
    with open_engine(model) as engine, pytest.raises(InputError, match="forwards"):
        open_source(f"replay:{tmp_path / 'x.h5'}", engine.manifest.features, speed=speed)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("lsx", {}, "Did you mean lsl"),
        ("replay", {}, "no live source 'replay'"),
        ("lsl", {"speed": 2.0}, "--speed belongs to --live replay"),
        ("replay:x.h5", {"streams": {"eeg": "DSI"}}, "--stream belongs to --live lsl"),
        ("lsl", {"board": {"serial_port": "x"}}, "--board belongs to --live brainflow"),
    ],
)
def test_a_source_that_is_none_is_refused(
    model: Path, text: str, options: dict[str, object], said: str
) -> None:
    with open_engine(model) as engine, pytest.raises(InputError, match=said):
        open_source(text, engine.manifest.features, **options)  # type: ignore[arg-type]
