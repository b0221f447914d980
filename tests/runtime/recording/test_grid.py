"""Signals on an even clock, against oracles that place one sample after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from emodict.errors import RecordingError
from emodict.live.placing import Placer
from emodict.recording.grid import face_rows, interpolate, nearest_ticks, signal_blocks
from emodict.recording.recording import FaceVideo, Signal

NAN = float("nan")
EPS = np.finfo(np.float64).eps


def signal(
    values: list[float] | np.ndarray,
    *,
    modality: str = "ppg",
    rate_hz: float = 10.0,
    channels: tuple[str, ...] = ("a",),
    **clock: Any,
) -> Signal:
    samples = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    return Signal(modality, rate_hz, "a.u.", channels, samples, **clock)


def whole(
    a_signal: Signal, *, block_s: float = 1e9, channels: tuple[str, ...] = ("a",)
) -> np.ndarray:
    return np.concatenate(list(signal_blocks(a_signal, channels, block_s=block_s)))


def placed(positions: list[int] | range, values: list[float] | np.ndarray) -> np.ndarray:
    """Each value at its position, NaN elsewhere, in plain Python."""
    out = [NAN] * (max(positions) + 1)
    for position, value in zip(positions, values, strict=True):
        if position >= 0:
            out[position] = value
    return np.array(out)[:, None]


def test_samples_without_a_clock_come_out_as_they_are() -> None:
    np.testing.assert_array_equal(whole(signal([1, 2, 3])), [[1], [2], [3]])


def test_a_late_start_is_nan_until_the_first_sample() -> None:
    np.testing.assert_array_equal(whole(signal([1, 2], start_offset_s=0.3)), placed([3, 4], [1, 2]))


def test_samples_before_the_recordings_start_are_cut_off() -> None:
    np.testing.assert_array_equal(whole(signal([1, 2, 3], start_offset_s=-0.2)), [[3]])


def test_a_jump_of_the_sequence_counter_is_a_gap_of_that_length() -> None:
    sequence = np.array([100, 101, 104, 105, 109], dtype=np.uint16)
    out = whole(signal([1, 2, 3, 4, 5], sequence=sequence, start_offset_s=0.2))
    np.testing.assert_array_equal(out, placed([2, 3, 6, 7, 11], [1, 2, 3, 4, 5]))


def test_an_unsigned_counter_that_runs_back_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"run back at sample 2\..*5 then 4"):
        signal([1, 2, 3], sequence=np.array([3, 5, 4], dtype=np.uint8))


def test_timestamps_on_the_even_clock_copy_the_samples_and_leave_holes_nan() -> None:
    positions = [0, 1, 2, 7, 8, 12]
    values = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    out = whole(signal(values, timestamps_s=np.array(positions) / 10.0))
    np.testing.assert_array_equal(out, placed(positions, values))


def test_timestamps_win_over_the_start_offset() -> None:
    out = whole(signal([1, 2], timestamps_s=np.array([0.0, 0.1]), start_offset_s=5.0))
    np.testing.assert_array_equal(out, [[1], [2]])


def test_a_sine_on_a_drifting_clock_comes_out_on_the_even_one() -> None:
    rate_hz, sine_hz = 100.0, 2.0
    times = np.arange(3000) / (rate_hz * 1.003) + 0.0037
    out = whole(
        signal(np.sin(2 * np.pi * sine_hz * times), rate_hz=rate_hz, timestamps_s=times), block_s=1
    )
    even = np.arange(len(out)) / rate_hz
    error = np.abs(out[:, 0] - np.sin(2 * np.pi * sine_hz * even))
    copied = np.abs(times[None] - even[:, None]).min(axis=1) * rate_hz <= 0.01
    # Cubic through four points: error <= 9/384 h^4 f'''' = 9/384 (2 pi 2 / 100)^4 = 6e-6.
    assert error[2:-2][~copied[2:-2]].max() <= 7e-6
    # A sample taken as on the clock is off by 0.01 periods at most: 0.01 h f' = 0.01 2 pi 2 / 100.
    assert error[2:-2].max() <= 1.26e-3
    assert np.isnan(out[0, 0])


def test_interpolation_never_reaches_across_a_gap() -> None:
    times = np.concatenate([np.arange(10), np.arange(15, 25)]) / 10.0 + 0.05
    out = whole(signal(np.arange(20.0), timestamps_s=times))[:, 0]
    # Between the samples at 0.95 s and 1.55 s lie the clock's 1.0 .. 1.5 s.
    assert np.isnan(out[10:16]).all()
    # A cubic through a line is the line; times and sums of 25 are rounded to 4e-15, a few of them.
    np.testing.assert_allclose(out[1:10], np.arange(9) + 0.5, rtol=0, atol=1e-13)
    np.testing.assert_allclose(out[16:], np.arange(9) + 10.5, rtol=0, atol=1e-13)


def test_a_nan_sample_spoils_what_is_interpolated_from_it_and_nothing_else() -> None:
    values = np.arange(20.0)
    values[8] = NAN
    out = whole(signal(values, timestamps_s=np.arange(20) / 10.0 + 0.05))[:, 0]
    # Sample 8 lies at 8.5 periods; a cubic at n looks at n - 1.5 .. n + 1.5.
    assert np.flatnonzero(np.isnan(out)).tolist() == [0, 7, 8, 9, 10]


def test_samples_that_arrive_in_crowds_do_not_swing_between_them() -> None:
    times = np.array([0.0, 0.001, 1.3, 1.301, 2.6, 2.601, 3.9, 3.901]) / 10.0
    out = whole(signal([0, 1, 0, 1, 0, 1, 0, 1], timestamps_s=times))
    assert np.nanmin(out) >= 0
    assert np.nanmax(out) <= 1


def cubic(times: np.ndarray, values: np.ndarray, at: float) -> float:
    """Through four samples, by numpy."""
    return np.polyval(np.polyfit(times, values, 3), at)


@pytest.mark.parametrize(("step", "crowded"), [(0.5, False), (0.499, True)])
def test_samples_closer_than_half_a_period_are_joined_by_straight_lines(
    step: float, crowded: bool
) -> None:
    # Tick 3 lies between the second and the third of four samples.
    times, values = np.array([1.5, 2.5, 3.5, 3.5 + step]), np.array([0.0, 1.0, 5.0, 2.0])
    out = whole(signal(values, timestamps_s=times / 10))
    assert out[3, 0] == pytest.approx(3.0 if crowded else cubic(times, values, 3.0), rel=1e-9)


@pytest.mark.parametrize(("step", "gap"), [(1.5, False), (1.501, True)])
def test_a_step_of_more_than_one_and_a_half_periods_is_a_gap(step: float, gap: bool) -> None:
    times = np.array([0.3, 1.3, 1.3 + step, 2.3 + step]) / 10
    out = whole(signal([1, 2, 3, 4], timestamps_s=times))[:, 0]
    assert math.isnan(out[2]) == gap
    assert np.isfinite(out[[1, 3]]).all()


@pytest.mark.parametrize(("off", "hit"), [(0.0099, True), (0.0101, False)])
def test_a_sample_within_a_hundredth_of_a_period_is_on_its_tick(off: float, hit: bool) -> None:
    times = np.arange(6.0)
    times[3] += off
    values = np.array([0.0, 0.0, 0.0, 7.0, 0.0, 0.0])
    assert (whole(signal(values, timestamps_s=times / 10))[3, 0] == 7.0) == hit


@pytest.mark.parametrize(
    ("times", "ticks"),
    [
        # Half-way between two ticks, as sums of periods are rounded: the later one.
        ([0.4999995], [1]),
        ([0.499998], [0]),
        ([0.5], [1]),
        # One that follows by a period, as near as a twentieth,
        # follows in its ticks up to a tenth beyond the middle.
        ([0.49, 1.51], [0, 1]),
        ([0.49, 1.539], [0, 1]),
        ([0.49, 1.541], [0, 2]),
        ([0.49, 1.51, 2.55, 3.599], [0, 1, 2, 3]),
        ([0.49, 1.51, 2.55, 3.599, 4.601], [0, 1, 2, 3, 5]),
        ([0.51, 1.49], [1, 2]),
        ([0.51, 1.461], [1, 2]),
        ([0.51, 1.459], [1, 1]),
    ],
)
def test_skin_conductance_near_the_middle_of_two_ticks_keeps_its_distance(
    times: list[float], ticks: list[int]
) -> None:
    assert nearest_ticks(np.array(times), None).tolist() == ticks
    # Piece by piece, the last of the piece before is told.
    before, found = None, []
    for time in times:
        (tick,) = nearest_ticks(np.array([time]), before)
        before = time, int(tick)
        found.append(int(tick))
    assert found == ticks


@pytest.mark.parametrize("block_s", [0.1, 0.7, 1.0, 3.3])
def test_blocks_of_any_size_give_the_same_samples(block_s: float) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(200, 2))
    sequence = np.cumsum(rng.choice([1, 1, 1, 4], size=200))
    jitter = np.cumsum(rng.choice([1.0, 1.0, 0.8, 1.2, 3.5], size=200)) / 10.0
    copied = [
        {},
        {"start_offset_s": 1.7},
        {"sequence": sequence},
        {"timestamps_s": jitter, "modality": "gsr"},
    ]
    # What is interpolated is a sum of four products, together below 16 in size, which may be added
    # in another order: each of two sums is rounded four times, by half an epsilon.
    for clock, rounding in (
        *((clock, 0.0) for clock in copied),
        ({"timestamps_s": jitter}, 4 * 16 * EPS),
    ):
        a_signal = signal(values, channels=("a", "b"), **clock)
        expected = whole(a_signal, channels=("b", "a"))
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(
            whole(a_signal, channels=("b", "a"), block_s=block_s), expected, rtol=0, atol=rounding
        )


def test_channels_come_in_the_order_asked_for_under_old_and_new_names() -> None:
    eeg = Signal("eeg", 10.0, "uV", ("T7", "EEG P3-Pz"), np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(whole(eeg, channels=("P3", "T3")), [[2, 1]])


def test_a_signal_without_samples_has_no_blocks() -> None:
    empty = np.empty((0, 1))
    for clock in ({}, {"timestamps_s": np.empty(0)}, {"sequence": np.empty(0, dtype=int)}):
        for modality in ("gsr", "ppg"):
            assert (
                list(
                    signal_blocks(
                        Signal(modality, 4.0, "uS", ("a",), empty, **clock), ("a",), block_s=1
                    )
                )
                == []
            )


def test_between_no_samples_nothing_is_known() -> None:
    np.testing.assert_array_equal(
        interpolate(np.arange(3.0), np.empty(0), np.empty((0, 2))), np.full((3, 2), NAN)
    )


def test_a_damaged_chunk_is_told_as_such() -> None:
    class Damaged:
        shape = (10, 1)

        def __getitem__(self, key: slice) -> None:
            raise OSError("inflate() failed")

    with pytest.raises(
        RecordingError, match=r"samples 0 to 10 of \w+ cannot be read: inflate\(\) failed"
    ):
        whole(Signal("gsr", 10.0, "uS", ("a",), Damaged()))


def snapped(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The nearest sample of each tick's own, one tick after the other."""
    out = []
    for tick in range(math.floor(times[-1] + 0.5) + 1):
        own = [
            (abs(t - tick), v) for t, v in zip(times, values, strict=True) if -0.5 <= t - tick < 0.5
        ]
        out.append(min(own)[1] if own else NAN)
    return np.array(out)[:, None]


@pytest.mark.parametrize("seed", range(5))
def test_skin_conductance_is_moved_to_the_nearest_tick_and_never_made_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([0.2, 0.9, 1.0, 1.1, 2.6], size=80) + 0.01 * rng.random(80)) - 0.7
    # Which tick is the nearest is clear: none lies half-way.
    whole_part, rest = np.floor(times), times % 1
    times = whole_part + np.where(rest < 0.5, 0.8 * rest, 0.2 + 0.8 * rest)
    values = rng.permutation(80).astype(float)
    out = whole(signal(values, modality="gsr", rate_hz=4.0, timestamps_s=times / 4.0), block_s=1.0)
    np.testing.assert_array_equal(out, snapped(times, values))
    # No sample stands twice: a tie would be made up.
    used = out[np.isfinite(out)]
    assert len(set(used)) == len(used) > 40


def test_skin_conductance_half_a_tick_late_keeps_every_sample_once() -> None:
    # n / 10 + 0.05 is rounded up or down:
    # without an allowance some ticks were empty and some doubly taken.
    out = whole(signal(np.arange(300.0), modality="gsr", timestamps_s=np.arange(300) / 10.0 + 0.05))
    np.testing.assert_array_equal(out, placed(range(1, 301), np.arange(300.0)))


@pytest.mark.parametrize(("drift", "lost"), [(50e-6, 0), (-50e-6, 1)])
def test_skin_conductance_whose_clock_drifts_past_half_a_tick_loses_no_more_than_the_drift(
    drift: float, lost: int
) -> None:
    # Across the middle in 3000 samples; smoothed times waver by 2 ms of their 250 meanwhile,
    # far more than they drift.
    rng = np.random.default_rng(0)
    n = np.arange(6000.0)
    times = n * (1 - drift) + 0.5 + 3000 * drift + rng.normal(scale=0.008, size=len(n))
    times = np.maximum.accumulate(times)
    out = whole(signal(n, modality="gsr", rate_hz=4.0, timestamps_s=times / 4.0), block_s=60.0)[
        :, 0
    ]
    inside = out[5:-5]
    # A fast clock has a sample too many there, a slow one lacks one.
    assert np.isnan(inside).sum() == lost
    placer = Placer(4.0, 1, anchor_s=0.0, snapped=True)
    live = np.concatenate(
        [placer.place(n[i : i + 3, None], times[i : i + 3] / 4.0) for i in range(0, 6000, 3)]
    )
    assert np.isnan(live[5:-5]).sum() == lost


@pytest.mark.parametrize("modality", ["ppg", "gsr"])
def test_one_timestamp_off_the_clock_is_said(
    caplog: pytest.LogCaptureFixture, modality: str
) -> None:
    for off_periods, count in ((0.0099, 0), (0.0101, 1)):
        caplog.clear()
        times_s = np.arange(50) / 10.0
        times_s[20] += off_periods / 10
        whole(signal(np.arange(50.0), modality=modality, timestamps_s=times_s))
        assert len(caplog.records) == count


@pytest.mark.parametrize(
    ("modality", "said"), [("ppg", "even clock, interpolated"), ("gsr", "even clock, moved")]
)
def test_timestamps_off_the_clock_are_said_once_and_those_on_it_are_not(
    caplog: pytest.LogCaptureFixture, modality: str, said: str
) -> None:
    for late, count in ((0.0, 0), (0.03, 1)):
        caplog.clear()
        whole(
            signal(np.arange(50.0), modality=modality, timestamps_s=np.arange(50) / 10.0 + late),
            block_s=1.0,
        )
        assert (
            caplog.text.count(f"{modality}: timestamps lie off the {said}")
            == len(caplog.records)
            == count
        )


def test_a_second_of_video_is_its_last_embedding_and_nan_where_there_is_none() -> None:
    embedding = np.arange(12.0).reshape(6, 2)
    times = np.array([-0.4, 0.0, 0.9, 1.5, 4.0, 4.99])
    rows = face_rows(FaceVideo(times, embedding=embedding))
    by_second = {int(np.floor(t)): row for t, row in zip(times, embedding, strict=True)}
    expected = [by_second.get(second, [NAN, NAN]) for second in range(5)]
    np.testing.assert_array_equal(rows, expected)


def test_a_face_held_as_pictures_is_refused() -> None:
    with pytest.raises(RecordingError, match="held as 'frames'"):
        face_rows(FaceVideo(np.array([0.0]), frames=np.zeros((1, 4, 4, 3), np.uint8)))
