"""Even times from bad stamps: the truth is planted, and what comes out is held against it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from emodict.live.clock import CounterClock, SmoothClock, counts_samples

START_S = 12345.678
# Stamps reach a run in pulls of so many seconds.
PULL_S = 0.02


def pulls(stamps: np.ndarray, arrival: np.ndarray) -> list[slice]:
    """Slices of samples that a run would get together, by when they arrive."""
    group = np.floor((arrival - arrival[0]) / PULL_S).astype(int)
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1), len(stamps)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def smoothed(
    clock: SmoothClock, stamps: np.ndarray, arrival: np.ndarray | None = None
) -> np.ndarray:
    arrival = np.maximum.accumulate(stamps if arrival is None else arrival)
    return np.concatenate([clock.times_s(stamps[part]) for part in pulls(stamps, arrival)])


def counted(clock: CounterClock, stamps: np.ndarray, counter: np.ndarray) -> np.ndarray:
    arrival = np.maximum.accumulate(stamps)
    return np.concatenate(
        [clock.counted_times_s(stamps[part], counter[part]) for part in pulls(stamps, arrival)]
    )


def true_times(seconds: float, rate_hz: float, *, drift: float = 0.0) -> np.ndarray:
    return START_S + np.arange(round(seconds * rate_hz)) / rate_hz * (1 + drift)


@pytest.mark.parametrize("rate_hz", [4.0, 100.0, 300.0])
def test_even_stamps_stay_as_they_are(rate_hz: float) -> None:
    true = true_times(60, rate_hz)
    # Seconds of 12345.
    np.testing.assert_allclose(smoothed(SmoothClock(rate_hz), true), true, rtol=0, atol=1e-8)


@pytest.mark.parametrize("rate_hz", [4.0, 100.0, 300.0])
def test_drift_is_followed(rate_hz: float) -> None:
    true = true_times(120, rate_hz, drift=50e-6)
    off = np.abs(smoothed(SmoothClock(rate_hz), true) - true)
    # Until the drift is known, a line through 30 s of 50 ppm is at most 1.5
    # ms off; then it is on it.
    assert off.max() < 1.5e-3
    assert off[len(off) // 2 :].max() < 1e-5


@pytest.mark.parametrize(("rate_hz", "jitter_s"), [(300.0, 0.002), (100.0, 0.004), (4.0, 0.02)])
def test_jitter_is_smoothed_to_a_small_part_of_a_period(rate_hz: float, jitter_s: float) -> None:
    true = true_times(120, rate_hz, drift=-80e-6)
    stamps = true + np.random.default_rng(1).normal(0, jitter_s, len(true))
    times = smoothed(SmoothClock(rate_hz), stamps)
    settled = slice(round(5 * rate_hz), None)
    assert np.abs(times - true)[settled].max() < 0.35 / rate_hz
    assert np.abs(np.diff(times)[settled] * rate_hz - 1).max() < 0.05
    assert np.isfinite(times).all()


@pytest.mark.parametrize("burst", [6, 30, 120])
def test_bursts_of_equal_stamps_are_spread_to_end_when_they_arrive(burst: int) -> None:
    """A device that sends `burst` samples at once, all stamped with the moment of sending."""
    rate_hz = 300.0
    true = true_times(60, rate_hz, drift=30e-6)
    last = np.minimum((np.arange(len(true)) // burst + 1) * burst - 1, len(true) - 1)
    late = np.random.default_rng(2).exponential(0.002, len(true))[last]
    stamps = true[last] + late
    times = smoothed(SmoothClock(rate_hz), stamps)
    settled = slice(round(5 * rate_hz), None)
    # The mean delay of the radio, 2 ms, is in no stamp and cannot be known.
    assert np.abs(times - true)[settled].max() < 1.5 / rate_hz
    assert np.abs(np.diff(times)[settled] * rate_hz - 1).max() < 0.1


@pytest.mark.parametrize("lost", [1, 2, 40, 1500])
def test_lost_samples_leave_a_gap_of_their_length(lost: int) -> None:
    rate_hz = 300.0
    true = np.delete(true_times(60, rate_hz, drift=50e-6), slice(9000, 9000 + lost))
    times = smoothed(SmoothClock(rate_hz), true)
    off = np.abs(times - true)
    assert off[8000:].max() < 0.2 / rate_hz
    assert np.diff(times)[8999] * rate_hz == pytest.approx(lost + 1, abs=0.2)


def test_lost_samples_among_jitter_are_noticed_within_seconds() -> None:
    rate_hz = 300.0
    true = np.delete(true_times(60, rate_hz), slice(9000, 9004))
    stamps = true + np.random.default_rng(3).normal(0, 0.002, len(true))
    off = np.abs(smoothed(SmoothClock(rate_hz), stamps) - true) * rate_hz
    assert off[10 * 300 : 9000].max() < 0.35
    assert off[9000:].max() < 4.5
    # One second of blocks to be sure, and a time constant of half a second to get there.
    assert off[9000 + 3 * 300 :].max() < 0.75


def test_samples_that_were_held_up_are_late_and_not_lost() -> None:
    """A radio that stalls for 0.8 s and then sends all it has:
    stamps of arrival, and no sample missing.
    """
    rate_hz = 100.0
    true = true_times(60, rate_hz)
    stamps = true + np.random.default_rng(4).exponential(0.003, len(true))
    held = (true > START_S + 30) & (true < START_S + 30.8)
    stamps[held] = START_S + 30.8 + np.arange(held.sum()) * 1e-5
    times = smoothed(SmoothClock(rate_hz), stamps)
    assert np.isfinite(times).all()
    assert np.abs(times - true)[500:].max() < 1.5 / rate_hz


def test_a_device_that_begins_anew_between_two_samples_is_followed() -> None:
    rate_hz = 4.0
    true = np.concatenate([true_times(30, rate_hz), true_times(30, rate_hz) + 47.1])
    times = smoothed(SmoothClock(rate_hz), true)
    np.testing.assert_allclose(times, true, rtol=0, atol=0.02)  # 0.08 of a period


def test_stamps_that_run_back_are_never_given_out() -> None:
    rate_hz = 100.0
    true = true_times(20, rate_hz)
    stamps = true.copy()
    stamps[1000:] -= 2.0
    times = smoothed(SmoothClock(rate_hz), stamps, arrival=true)
    kept = times[np.isfinite(times)]
    assert (np.diff(kept) > 0).all()
    assert np.isfinite(times[1000 + 220 :]).all()
    np.testing.assert_allclose(
        times[1000 + 220 :], stamps[1000 + 220 :], rtol=0, atol=0.2 / rate_hz
    )


@pytest.mark.parametrize("rate_hz", [4.0, 64.0])
@pytest.mark.parametrize("back_s", [8.0, 500.0, 1e6])
def test_a_clock_that_is_set_back_and_forth_is_followed_both_times(
    rate_hz: float, back_s: float
) -> None:
    true = true_times(80, rate_hz, drift=50e-6)
    stamps = true + np.random.default_rng(2).normal(0, 0.002, len(true))
    wrong = (true - START_S > 30.1) & (true - START_S < 50)
    stamps[wrong] -= back_s
    times = smoothed(SmoothClock(rate_hz), stamps, arrival=true)
    given = times[np.isfinite(times)]
    assert (np.diff(given) > 0).all()
    again = true - START_S > 53
    np.testing.assert_allclose(times[again], true[again], rtol=0, atol=0.5 / rate_hz)


@pytest.mark.parametrize("turn", [256, 100, 65536])
def test_a_counter_wins_over_wild_stamps_and_survives_its_wrap(turn: int) -> None:
    rate_hz, burst = 300.0, 45
    true = true_times(300 if turn > 1000 else 60, rate_hz, drift=50e-6)
    kept = np.ones(len(true), dtype=bool)
    kept[7000:7020] = kept[9000:9001] = False
    counter = (np.arange(len(true)) + 17) % turn
    last = np.minimum((np.arange(len(true)) // burst + 1) * burst - 1, len(true) - 1)
    stamps = true[last] + np.random.default_rng(5).exponential(0.004, len(true))[last]
    true, counter, stamps = true[kept], counter[kept], stamps[kept]
    times = counted(CounterClock(rate_hz), stamps, counter)
    settled = slice(round(5 * rate_hz), None)
    assert np.isfinite(times).all()
    assert np.abs(times - true)[settled].max() < 2 / rate_hz
    steps = np.diff(times) * rate_hz
    assert steps[6999] == pytest.approx(21, abs=0.1)
    assert steps[8979] == pytest.approx(2, abs=0.1)
    assert np.abs(np.delete(steps, [6999, 8979])[settled] - 1).max() < 0.1


def test_a_sample_that_came_twice_is_marked() -> None:
    true = true_times(10, 300.0)
    counter = np.arange(len(true))
    twice = np.insert(counter, 1500, counter[1499]), np.insert(true, 1500, true[1499])
    times = counted(CounterClock(300.0), twice[1], twice[0])
    assert np.flatnonzero(np.isnan(times)).tolist() == [1500]
    np.testing.assert_allclose(np.delete(times, 1500), true, rtol=0, atol=1e-8)


@pytest.mark.parametrize("lost", [256, 256 * 3, 256 * 3 + 57, 86 * 300])
def test_a_gap_longer_than_a_turn_of_the_counter_has_the_length_that_the_stamps_say(
    lost: int,
) -> None:
    true = true_times(120, 300.0)
    stamps = true + np.random.default_rng(2).normal(0, 0.002, len(true))
    kept = np.ones(len(true), dtype=bool)
    kept[6000 : 6000 + lost] = False
    times = counted(CounterClock(300.0), stamps[kept], (np.arange(len(true)) % 256)[kept])
    assert np.isfinite(times).all()
    np.testing.assert_allclose(times[1500:], true[kept][1500:], rtol=0, atol=1 / 300)
    # A line through 2 ms of jitter, continued over 86 s.
    assert (times[6000] - times[5999]) * 300 == pytest.approx(lost + 1, abs=0.5)


@pytest.mark.parametrize("held_s", [0.4, 0.8, 1.1, 2.0])
def test_samples_of_a_counter_that_were_held_up_are_late_and_not_lost(held_s: float) -> None:
    true = true_times(40, 300.0)
    stamps = true.copy()
    held = (true > START_S + 20) & (true <= START_S + 20 + held_s)
    # Stamped as they come, all at one go; what comes then is in time.
    stamps[held] = true[held][-1]
    times = counted(CounterClock(300.0), stamps, np.arange(len(true)) % 256)
    assert np.isfinite(times).all()
    np.testing.assert_allclose(times, true, rtol=0, atol=2 / 300)


@pytest.mark.parametrize("turn", [256, 65536])
def test_samples_that_come_again_or_are_overtaken_are_marked_and_move_nothing(turn: int) -> None:
    true = true_times(20, 300.0)
    counter = np.arange(len(true)) % turn
    clock, order = CounterClock(300.0), [*range(50), 49, 50, 52, 51, *range(53, 100)]
    parts = [slice(60 * i, 60 * i + 60) for i in order]
    times = [clock.counted_times_s(true[part], counter[part]) for part in parts]
    assert [i for i, part in enumerate(times) if np.isnan(part).all()] == [50, 53]
    for i, part in enumerate(parts):
        if i not in (50, 53):
            np.testing.assert_allclose(times[i], true[part], rtol=0, atol=1e-8)


def test_a_counter_that_begins_anew_is_taken_up_where_the_stamps_say() -> None:
    true = np.concatenate([true_times(10, 300.0), true_times(10, 300.0) + 15.0])
    counter = np.concatenate([np.arange(3000) + 500_000, np.arange(3000)])
    times = counted(CounterClock(300.0), true, counter)
    np.testing.assert_allclose(times, true, rtol=0, atol=0.3 / 300)


def test_what_counts_something_else_is_no_counter_of_samples() -> None:
    assert counts_samples(np.arange(100) % 16)
    assert not counts_samples(np.repeat(np.arange(20), 12))
    assert not counts_samples(np.zeros(50))
    assert not counts_samples(np.full(50, np.nan))
