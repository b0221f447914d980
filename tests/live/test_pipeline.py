"""Rows keep coming, once a second, whatever the sensors do;
a sensor is invalid only where it was not there.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest

from emodict.errors import StreamError
from emodict.features import extract_features
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows, concatenate
from emodict.live.pipeline import LivePipeline
from emodict.live.rarely import ChangeLogger
from emodict.live.row import ABSENT, LIVE, LOST, STALLED
from emodict.live.source import Chunk, Connected, Ended, LiveStream, Lost
from emodict.recording.recording import Recording, Signal

SPEC = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
RATES = {"gsr": 4.0, "ppg": 100.0}
SECONDS = 40
# The promise of docs/features.md: live rows are those of the recording, in blocks of another size.
ATOL = 1e-9
# How long a row waits for a sensor that is live,
# and what the last sample of a second takes to get here.
PATIENCE_S = 1.0
ARRIVAL_S = 0.02
# The clock of the source starts anywhere.
T0 = 1234.5


def samples(name: str, seconds: int = SECONDS, rate_hz: float | None = None) -> np.ndarray:
    rate = rate_hz or RATES[name]
    rng = np.random.default_rng(len(name))
    t = np.arange(round(seconds * rate)) / rate
    if name == "ppg":
        return (np.sin(2 * np.pi * 1.2 * t) + 0.02 * rng.standard_normal(len(t)))[:, None]
    return 3 + 0.01 * np.cumsum(rng.integers(-3, 4, size=(len(t), 1)), axis=0)


class Wrist:
    """Two sensors that deliver every tenth of a second, as far as `alive` says;
    a clock that the test winds.
    """

    def __init__(self) -> None:
        self.pipeline = LivePipeline(SPEC)
        self.rows: list[FeatureWindows] = []
        self.came_s: list[float] = []
        self.now_s = T0
        self.values = {name: samples(name) for name in RATES}
        self.sent = dict.fromkeys(RATES, 0)

    def connect(self, name: str, rate_hz: float | None = None) -> None:
        stream = LiveStream(name, rate_hz or RATES[name], (name,), "")
        self.pipeline.push(Connected(stream, self.now_s))

    def run(
        self, until_s: float, alive: tuple[str, ...] = ("gsr", "ppg"), *, delay_s: float = 0.0
    ) -> None:
        """Wind the clock to `until_s` of the run;
        who is not alive loses what it would have sent.
        """
        while self.now_s < T0 + until_s - 1e-9:
            self.now_s += 0.1
            for name, rate in RATES.items():
                known = int(np.floor((self.now_s - T0 - delay_s) * rate + 1e-6))
                fresh = np.arange(
                    self.sent[name], max(self.sent[name], min(known, len(self.values[name])))
                )
                self.sent[name] += len(fresh)
                if name in alive and len(fresh):
                    self.pipeline.push(Chunk(name, self.values[name][fresh], T0 + fresh / rate))
            self.pipeline.flush(self.now_s)
            self.take()

    def take(self) -> None:
        rows = self.pipeline.take()
        if rows is not None:
            self.rows.append(rows)
            self.came_s += [self.now_s - T0] * len(rows)

    @property
    def all(self) -> FeatureWindows:
        return concatenate(SPEC, self.rows)

    def valid_seconds(self, name: str) -> list[int]:
        column = SPEC.modality_names.index(name)
        return self.all.start_s[self.all.valid[:, column]].astype(int).tolist()


def offline() -> FeatureWindows:
    units = {"gsr": "uS", "ppg": "a.u."}
    signals = {n: Signal(n, r, units[n], (n,), samples(n)) for n, r in RATES.items()}
    return extract_features(Recording(session_id="s", subject_id="p", signals=signals), SPEC)


@pytest.fixture
def wrist() -> Wrist:
    wrist = Wrist()
    for name in RATES:
        wrist.connect(name)
    return wrist


def test_live_rows_are_those_of_the_recording_each_at_the_end_of_its_second(wrist: Wrist) -> None:
    wrist.run(SECONDS)
    expected = offline()
    np.testing.assert_array_equal(wrist.all.start_s, expected.start_s)
    np.testing.assert_array_equal(wrist.all.valid, expected.valid)
    np.testing.assert_allclose(wrist.all.tokens, expected.tokens, rtol=ATOL, atol=ATOL)
    # A clock of 1274 s wound in 400 tenths: each is rounded by 1.1e-13.
    np.testing.assert_allclose(wrist.came_s, expected.start_s + 1, rtol=0, atol=1e-9)


def test_a_stalled_sensor_is_invalid_within_two_seconds_and_comes_back_by_itself(
    wrist: Wrist,
) -> None:
    wrist.run(10.5)
    wrist.run(20.3, alive=("gsr",))
    assert wrist.pipeline.state("ppg")[0] == STALLED
    wrist.run(SECONDS)
    assert wrist.all.start_s.tolist() == list(range(4, SECONDS))
    # Whole windows of 5 s: up to second 9; the samples come again in second 20,
    # so from 21 to 26 for the first.
    assert wrist.valid_seconds("ppg") == [*range(4, 10), *range(25, SECONDS)]
    assert wrist.valid_seconds("gsr") == list(range(4, SECONDS))
    late_s = np.array(wrist.came_s) - wrist.all.start_s - 1
    # Only the row of the stall itself is waited for.
    assert late_s.max() <= PATIENCE_S + 0.1 + 1e-6
    assert (late_s > 0.1 + 1e-6).sum() == 1
    assert wrist.pipeline.state("ppg") == (LIVE, LiveStream("ppg", 100.0, ("ppg",), ""), 0)


def test_rows_come_even_when_nobody_delivers(wrist: Wrist) -> None:
    wrist.run(8.0)
    wrist.run(15.0, alive=())
    assert wrist.all.start_s.tolist() == list(range(4, 15))
    assert not wrist.all.valid[4:].any()


def test_a_sensor_that_never_comes_delays_nobody() -> None:
    wrist = Wrist()
    wrist.connect("gsr")
    wrist.run(12.0, alive=("gsr",))
    assert wrist.pipeline.state("ppg")[0] == ABSENT
    np.testing.assert_allclose(wrist.came_s, wrist.all.start_s + 1, rtol=0, atol=1e-9)
    assert wrist.valid_seconds("gsr") == list(range(4, 12))
    assert wrist.valid_seconds("ppg") == []


def test_a_sensor_that_comes_late_is_used_from_its_first_whole_second_on() -> None:
    wrist = Wrist()
    wrist.connect("gsr")
    wrist.run(7.3, alive=("gsr",))
    wrist.connect("ppg")
    wrist.run(20.0)
    assert wrist.valid_seconds("ppg") == list(range(12, 20))
    expected = offline()
    part = SPEC.token_slices["ppg"]
    np.testing.assert_allclose(
        wrist.all.tokens[8:, part], expected.tokens[8:16, part], rtol=ATOL, atol=ATOL
    )


def test_a_lost_sensor_is_not_waited_for(wrist: Wrist) -> None:
    wrist.run(9.95)
    wrist.pipeline.push(Lost("ppg", wrist.now_s, "battery"))
    wrist.run(14.0, alive=("gsr",))
    assert wrist.pipeline.state("ppg")[0] == LOST
    assert (np.array(wrist.came_s) - wrist.all.start_s - 1).max() <= 0.1 + 1e-6


def test_a_sensor_that_is_lost_again_soon_is_said_to_be(
    wrist: Wrist, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        wrist.pipeline,
        "_states",
        ChangeLogger(logging.getLogger("emodict"), clock=lambda: wrist.now_s),
    )
    wrist.run(1.0)
    wrist.pipeline.push(Lost("ppg", wrist.now_s, "battery"))
    wrist.run(2.0, alive=("gsr",))
    wrist.connect("ppg")
    wrist.run(5.0)
    wrist.pipeline.push(Lost("ppg", wrist.now_s))
    wrist.run(10.5, alive=("gsr",))
    assert [record.message for record in caplog.records] == ["ppg: lost (battery)", "ppg: back"]
    wrist.run(11.5, alive=("gsr",))
    assert [record.message for record in caplog.records][2:] == ["ppg: lost"]


def test_a_sensor_may_come_back_at_another_rate(wrist: Wrist) -> None:
    wrist.run(10.0)
    wrist.pipeline.push(Lost("ppg", wrist.now_s))
    wrist.run(12.4, alive=("gsr",))
    wrist.connect("ppg", rate_hz=50.0)
    slow = samples("ppg", rate_hz=50.0)
    for tenth in range(125, 260):
        wrist.now_s = T0 + tenth / 10
        fresh = np.arange(round((tenth - 1) * 5), round(tenth * 5))
        wrist.pipeline.push(Chunk("ppg", slow[fresh], T0 + fresh / 50))
        gsr = np.arange(round((tenth - 1) * 0.4), round(tenth * 0.4))
        wrist.pipeline.push(Chunk("gsr", wrist.values["gsr"][gsr], T0 + gsr / 4))
        wrist.pipeline.flush(wrist.now_s)
        wrist.take()
    ppg = wrist.valid_seconds("ppg")
    assert ppg == [*range(4, 10), *range(17, ppg[-1] + 1)]
    assert ppg[-1] >= 24  # the resampler keeps the last 0.2 s back


def test_samples_that_are_always_late_are_counted_and_the_rows_go_out_without_them(
    wrist: Wrist,
) -> None:
    wrist.run(20.0, delay_s=1.5)
    assert wrist.all.start_s.tolist() in (list(range(4, 19)), list(range(4, 20)))
    state, _, late = wrist.pipeline.state("ppg")
    assert late > 0
    assert wrist.valid_seconds("ppg") == []
    assert state in (LIVE, STALLED)


def test_a_delay_that_patience_covers_costs_no_row(wrist: Wrist) -> None:
    wrist.run(SECONDS, delay_s=0.6)
    assert wrist.valid_seconds("ppg") == wrist.all.start_s.tolist()
    assert wrist.pipeline.state("ppg")[2] == 0
    assert (np.array(wrist.came_s) - wrist.all.start_s - 1).max() <= 0.7 + 1e-6


def test_a_time_in_the_far_future_takes_no_memory_and_is_left_out(
    wrist: Wrist, caplog: pytest.LogCaptureFixture
) -> None:
    wrist.run(6.0)
    wrist.pipeline.push(Chunk("ppg", np.ones((3, 1)), np.array([T0 + 1e12] * 3)))
    assert "times in the far future" in caplog.text
    wrist.run(12.0)
    assert wrist.valid_seconds("ppg") == list(range(4, 12))


@pytest.mark.parametrize(("ahead_s", "left_out"), [(66.99, False), (67.0, True)])
def test_a_time_is_in_the_far_future_a_minute_after_the_second_that_is_due(
    wrist: Wrist, caplog: pytest.LogCaptureFixture, ahead_s: float, left_out: bool
) -> None:
    # The second from 6 to 7 s is due.
    wrist.run(6.0)
    wrist.pipeline.push(Chunk("ppg", np.ones((1, 1)), np.array([T0 + ahead_s])))
    assert ("times in the far future" in caplog.text) == left_out


@pytest.mark.parametrize(("waited_s", "comes"), [(0.999, False), (1.0, True)])
def test_a_row_waits_for_a_sensor_that_is_live_for_a_second(
    wrist: Wrist, waited_s: float, comes: bool
) -> None:
    wrist.run(9.5)
    wrist.run(9.9, alive=("gsr",))
    # Nothing of the pulse any more, and all of the skin.
    wrist.pipeline.push(Chunk("gsr", wrist.values["gsr"][39:42], T0 + np.arange(39, 42) / 4))
    wrist.pipeline.flush(T0 + 10 + waited_s)
    wrist.take()
    assert wrist.all.start_s[-1] == (9.0 if comes else 8.0)
    assert wrist.pipeline.state("ppg")[0] == (STALLED if comes else LIVE)


def test_an_ended_modality_is_invalid_and_the_rest_goes_on_to_its_end(wrist: Wrist) -> None:
    wrist.run(10.0)
    wrist.pipeline.push(Ended("ppg"))
    wrist.run(15.0, alive=("gsr",))
    wrist.pipeline.push(Ended("gsr"))
    wrist.pipeline.finish()
    wrist.take()
    assert wrist.valid_seconds("ppg") == list(range(4, 10))
    assert wrist.valid_seconds("gsr") == list(range(4, 15))


def test_a_signal_is_turned_upside_down_where_it_is_asked_for() -> None:
    wrist = Wrist()
    wrist.pipeline = LivePipeline(SPEC, invert=["ppg"])
    for name in RATES:
        wrist.connect(name)
    wrist.run(SECONDS)
    names = SPEC.modality("ppg").feature_names
    low, high = names.index("x_min"), names.index("x_max")
    part = SPEC.token_slices["ppg"]
    straight, turned = (
        rows.tokens[:, part].reshape(len(rows), -1) for rows in (offline(), wrist.all)
    )
    # The lowest point of the turned pulse is the highest of the other,
    # up to the rounding of a filter.
    np.testing.assert_allclose(turned[:, low], -straight[:, high], rtol=0, atol=1e-9)


def test_signals_that_the_model_does_not_read_are_passed_over(wrist: Wrist) -> None:
    wrist.pipeline.push(Connected(LiveStream("eeg", 300.0, ("Fz",), "uV"), T0))
    wrist.pipeline.push(Chunk("eeg", np.ones((300, 1)), T0 + np.arange(300) / 300))
    wrist.run(8.0)
    assert wrist.valid_seconds("ppg") == list(range(4, 8))


def test_waiting_is_no_longer_than_nothing_can_become_due(wrist: Wrist) -> None:
    wrist.run(7.2)
    # The source is asked again just after the second, and then often;
    # those that are gone are given up with it.
    assert wrist.pipeline.wait_s(wrist.now_s, 10.0) == pytest.approx(0.8 + ARRIVAL_S, abs=1e-5)
    assert wrist.pipeline.wait_s(wrist.now_s + 1.0, 10.0) == ARRIVAL_S
    for name in RATES:
        wrist.pipeline.push(Lost(name, wrist.now_s))
    assert wrist.pipeline.wait_s(wrist.now_s, 10.0) == pytest.approx(0.8, abs=1e-5)
    assert LivePipeline(SPEC).wait_s(0.0, 0.5) == 0.5


def test_channels_are_found_by_their_names_in_whatever_order_the_device_has_them() -> None:
    spec = load_spec("emodict-1").with_modalities(["eeg"]).with_channels(["T3", "AF7"])
    rng = np.random.default_rng(5)
    times_s = np.arange(3 * 300) / 300
    wave = {name: rng.normal(scale=10.0, size=len(times_s)) for name in ("AF7", "AF8", "T7")}

    def tokens(*names: str) -> np.ndarray:
        pipeline = LivePipeline(spec)
        pipeline.push(Connected(LiveStream("eeg", 300.0, names, "uV", "headband"), T0))
        pipeline.push(Chunk("eeg", np.stack([wave[name] for name in names], axis=1), T0 + times_s))
        pipeline.finish()
        rows = pipeline.take()
        assert rows is not None
        return rows.tokens

    # T3 and T7 are one place.
    expected = extract_features(
        Recording(
            "s",
            "p",
            {
                "eeg": Signal(
                    "eeg", 300.0, "uV", ("T7", "AF7"), np.stack([wave["T7"], wave["AF7"]], 1)
                )
            },
        ),
        spec,
    ).tokens
    np.testing.assert_allclose(tokens("AF7", "AF8", "T7"), expected, rtol=ATOL, atol=ATOL)
    with pytest.raises(
        StreamError,
        match=r"eeg: headband lacks channel T3\. Expected 2 channels T3 AF7, got AF7 AF8",
    ):
        tokens("AF7", "AF8")


@pytest.mark.parametrize("rate_hz", [50.0, 250.0])
def test_skin_conductance_that_is_resampled_is_waited_for_as_long_as_it_comes(
    rate_hz: float,
) -> None:
    spec = SPEC.with_modalities(("gsr",))
    rng = np.random.default_rng(3)
    values = 3 + np.cumsum(rng.normal(scale=0.1 / rate_hz, size=(round(20 * rate_hz), 1)), axis=0)
    pipeline, rows, came_s = LivePipeline(spec), [], []
    pipeline.push(Connected(LiveStream("gsr", rate_hz, ("gsr",), "uS"), T0))
    for tenth in range(1, 221):
        count = np.arange(round((tenth - 1) * rate_hz / 10), round(tenth * rate_hz / 10))
        # It stalls after 15 s.
        if tenth <= 150:
            pipeline.push(Chunk("gsr", values[count], T0 + count / rate_hz))
        pipeline.flush(T0 + tenth / 10)
        if (new := pipeline.take()) is not None:
            rows.append(new)
            came_s += [tenth / 10] * len(new)
    live = concatenate(spec, rows)
    signal = Signal("gsr", rate_hz, "uS", ("gsr",), values)
    offline = extract_features(Recording("s", "p", {"gsr": signal}), spec)
    # The filter reaches 2.5 s: what it needs came for the rows up to second 11.
    valid = live.start_s[live.valid[:, 0]].astype(int).tolist()
    assert valid == list(range(4, 12))
    np.testing.assert_allclose(
        live.tokens[: len(valid)], offline.tokens[: len(valid)], rtol=ATOL, atol=ATOL
    )
    late_s = np.array(came_s) - live.start_s - 1
    # Beyond the filter and the rest of its block, 0.5 s, nothing waits;
    # one second after the stall neither.
    assert late_s.max() <= 2.5 + 0.5 + 0.1 + 1e-6
    assert came_s[live.start_s.tolist().index(12.0)] <= 15 + PATIENCE_S + 0.1 + 1e-6
    assert pipeline.state("gsr")[0] == STALLED
