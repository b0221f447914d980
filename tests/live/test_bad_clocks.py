"""Ten minutes of a wristband over LSL whose stamps do all that stamps can do
wrong, on a clock of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from benchmarks.fixtures import untrained_model

from emodict.engine import open_engine
from emodict.features.spec import load_spec
from emodict.live import lsl
from emodict.live.lsl import LslSource
from emodict.live.recorder import SessionRecorder
from emodict.live.row import LiveRow
from emodict.live.run import live_rows
from emodict.live.source import Connected, SensorEvent
from emodict.recording.session import open_session
from emodict_desk.recordings.validate import validate_session

SECONDS = 600
READ_S = 0.1
# On the clock of the run, which began so long after the machine did.
BEGAN_S = 50_000.0
GLITCH_S, STEP_S, RATE_S = 150.0, 300.0, 450.0
UNIX_S = 1.8e9


@dataclass
class BadInlet:
    """The end of a stream in this process:
    values are 1 + a hundredth of the true time, in seconds of the run.
    """

    info: Any
    true_s: np.ndarray
    stamps_s: np.ndarray
    now: SimpleNamespace
    sent: int = 0

    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        stop = int(np.searchsorted(self.true_s, self.now.s - BEGAN_S, side="right"))
        part, self.sent = slice(self.sent, stop), stop
        return 1.0 + self.true_s[part, None] / 100, self.stamps_s[part].copy()

    def time_correction_s(self, *, timeout_s: float) -> float:
        return 0.0


class FastSource(LslSource):
    """LslSource with its streams in this process, read ten times a second of a clock of its own."""

    def __init__(self, inlets: Sequence[BadInlet], now: SimpleNamespace) -> None:
        super().__init__(load_spec("emodict-1").with_modalities(["gsr", "ppg"]))
        self._now = now
        for inlet in inlets:
            wanted = self._wanted[inlet.info.name]
            self._news.put(lsl._Link(inlet, wanted, correction_s=0.0))

    @property
    def finished(self) -> bool:
        return self._now.s >= BEGAN_S + SECONDS

    def poll(self, timeout_s: float) -> Sequence[SensorEvent]:
        self._now.s += min(READ_S, max(timeout_s, 0.01))
        return [*self._arrived(), *self._read()]


def stream_info(name: str, rate_hz: float) -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        hostname="",
        source_id="",
        rate_hz=rate_hz,
        channel_count=1,
        xml=lambda: "<info/>",
    )


def bad_wristband(now: SimpleNamespace) -> list[BadInlet]:
    """PPG of all faults, and GSR whose one is that its stamps are Unix time, too."""
    before = np.arange(0.0, RATE_S, 1 / 64)
    ppg_s = np.concatenate([before, np.arange(RATE_S, SECONDS, 1 / 62.5)])
    stamps_s = UNIX_S + ppg_s - np.where(ppg_s >= STEP_S, 15.0, 0.0)
    stamps_s[np.searchsorted(ppg_s, GLITCH_S)] += 200_000.0
    gsr_s = np.arange(0.0, SECONDS, 0.25)
    return [
        BadInlet(stream_info("ppg", 64.0), ppg_s, stamps_s, now),
        BadInlet(stream_info("gsr", 4.0), gsr_s, UNIX_S + gsr_s, now),
    ]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(the rows, the recording, how many samples were sent)."""
    folder = tmp_path_factory.mktemp("clocks")
    now = SimpleNamespace(s=BEGAN_S)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lsl, "local_clock_s", lambda: now.s)
        inlets = bad_wristband(now)
        source = FastSource(inlets, now)
        model = untrained_model(folder / "model.onnx", ("gsr", "ppg"))
        with (
            open_engine(model) as engine,
            SessionRecorder(folder / "kept.h5", start_s=BEGAN_S, patient=True) as recorder,
        ):
            rows = list(live_rows(engine, source, on_event=recorder.keep))
    return rows, folder / "kept.h5", {inlet.info.name: len(inlet.true_s) for inlet in inlets}


def valid_seconds(rows: Sequence[LiveRow], modality: str) -> np.ndarray:
    """(seconds,) of the run in which it was valid."""
    return np.array(
        [
            row.prediction.start_s[0]
            for row in rows
            for one in row.sensors
            if one.modality == modality and one.valid
        ]
    )


def test_rows_are_valid_again_within_ten_seconds_of_each_fault(outcome: Any) -> None:
    rows, _, _ = outcome
    valid = valid_seconds(rows, "ppg")
    assert valid[0] <= 10
    for fault_s in (GLITCH_S, STEP_S, RATE_S):
        after = valid[valid >= fault_s]
        again = next(second for second in after if np.isin(second + np.arange(20), valid).all())
        assert again + 1 - fault_s <= 10.0, fault_s
    # A second without need of one of them: none.
    lost = np.setdiff1d(np.arange(valid[0], SECONDS - 1), valid)
    assert all(
        min(abs(second - fault_s) for fault_s in (GLITCH_S, STEP_S, RATE_S)) <= 10.0
        for second in lost
    )
    # GSR, which had no fault of its own, is valid from the first whole window on.
    gsr = valid_seconds(rows, "gsr")
    assert len(gsr) == gsr[-1] - gsr[0] + 1 >= SECONDS - 12


def test_the_recording_opens_and_holds_every_sample_but_the_glitched_one_at_its_time(
    outcome: Any,
) -> None:
    _, path, sent = outcome
    assert not [finding for finding in validate_session(path) if finding.severity == "error"]
    with open_session(path) as recording:
        assert set(recording.signals) == {"gsr", "ppg"}
        assert recording.signals["gsr"].sample_count == sent["gsr"]
        ppg = recording.signals["ppg"]
        assert ppg.sample_count == sent["ppg"] - 1
        assert ppg.rate_hz == 62.5
        true_s = 100 * (ppg.read(0, ppg.sample_count)[:, 0].astype(np.float64) - 1)
        off_s = ppg.timestamps_s[:] - true_s
    # A reading is how the moment of a stamp is known; while the rate is off,
    # the clock lets a quarter of a second go.
    assert np.abs(off_s).max() < READ_S + 0.25


def test_each_fault_is_said_once_and_nothing_else(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = SimpleNamespace(s=BEGAN_S)
    monkeypatch.setattr(lsl, "local_clock_s", lambda: now.s)
    monkeypatch.setattr("time.time", lambda: UNIX_S)
    with caplog.at_level(logging.WARNING, logger="emodict.live.stamps"):
        source = FastSource(bad_wristband(now), now)
        while not source.finished:
            source.poll(READ_S)
    said = [record.message for record in caplog.records if record.name == "emodict.live.stamps"]
    assert sorted(said) == [
        "gsr: its stamps are Unix time; its samples are placed by their time of arrival",
        "ppg: 62.5 Hz come where 64 Hz were announced",
        "ppg: its clock has stepped by -15.0 s, which is taken out again",
        "ppg: its stamps are Unix time; its samples are placed by their time of arrival",
        "ppg: samples with impossible time stamps are left out",
    ]


@pytest.mark.parametrize(("announced_hz", "resumed_hz"), [(64.0, 62.5), (100.0, 100.0)])
def test_a_sensor_that_comes_back_as_it_was_sends_at_the_rate_that_was_measured(
    monkeypatch: pytest.MonkeyPatch, announced_hz: float, resumed_hz: float
) -> None:
    now = SimpleNamespace(s=BEGAN_S)
    monkeypatch.setattr(lsl, "local_clock_s", lambda: now.s)
    true_s = np.arange(0.0, 20.0, 1 / 62.5)
    source = FastSource([BadInlet(stream_info("ppg", 64.0), true_s, BEGAN_S + true_s, now)], now)
    events = [event for _ in range(100) for event in source.poll(READ_S)]
    assert [event.stream.rate_hz for event in events if isinstance(event, Connected)] == [
        64.0,
        62.5,
    ]
    again = BadInlet(stream_info("ppg", announced_hz), 10.0 + true_s, BEGAN_S + 10.0 + true_s, now)
    source._news.put(lsl._Link(again, source._wanted["ppg"], correction_s=0.0))
    events = [event for _ in range(50) for event in source.poll(READ_S)]
    connected = [event.stream for event in events if isinstance(event, Connected)]
    assert connected[0].rate_hz == resumed_hz
    # What was announced otherwise is measured again.
    assert connected[-1].rate_hz == 62.5
    assert len(connected) == (1 if resumed_hz == 62.5 else 2)
