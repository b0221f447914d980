"""A rate that is not the announced one is measured; losses, jitter and bursts are no other rate."""

from __future__ import annotations

import numpy as np
import pytest
from tests.live.stamped import RATE_HZ, START_S, even, place

from emodict.live.stamps import RateWatch, SampleClock, Stamped


def watched(
    stamps_s: np.ndarray, rate_hz: float = RATE_HZ, *, read: int = 8
) -> tuple[float, float]:
    """(the rate, after how many seconds it was taken; infinity for never)."""
    watch, first_s = RateWatch(rate_hz), np.inf
    for at in range(0, len(stamps_s), read):
        part = stamps_s[at : at + read]
        if watch.add(part, np.ones(len(part))):
            first_s = min(first_s, float(part[-1] - stamps_s[0]))
    return watch.rate_hz, first_s


@pytest.mark.parametrize("rate_hz", [62.5, 60.0, 65.5])
@pytest.mark.parametrize("jitter_s", [0.0, 0.003])
def test_a_rate_that_is_off_is_measured_within_ten_seconds_and_once(
    rate_hz: float, jitter_s: float
) -> None:
    stamps_s = even(120, rate_hz) + np.random.default_rng(4).normal(
        0, jitter_s, round(120 * rate_hz)
    )
    measured_hz, taken_s = watched(stamps_s)
    assert measured_hz == rate_hz
    assert 3.0 <= taken_s <= 10.0


@pytest.mark.parametrize(("share", "taken"), [(1.0049, False), (1.0055, True)])
def test_a_rate_that_is_off_by_half_a_per_cent_is_taken(share: float, taken: bool) -> None:
    measured_hz, _ = watched(even(60, 256.0 / share), 256.0)
    # To four digits.
    assert measured_hz == (pytest.approx(256 / share, rel=1e-3) if taken else 256.0)


@pytest.mark.parametrize(("seconds", "taken"), [(3.0, False), (3.6, True)])
def test_a_rate_is_looked_at_after_three_seconds_twice_a_second(
    seconds: float, taken: bool
) -> None:
    assert (watched(even(seconds, 60.0))[0] == 60.0) == taken


def test_a_rate_that_changes_is_found_within_four_seconds() -> None:
    rate_hz, taken_s = watched(np.concatenate([even(20.0), START_S + 20.0 + np.arange(1200) / 60]))
    assert rate_hz == pytest.approx(60.0, rel=1e-3)
    assert 22.0 <= taken_s <= 24.0


def test_of_a_slow_stream_eighty_samples_are_looked_at() -> None:
    # In ten seconds of 4 Hz a rate 1 % lower is less than half a sample off,
    # which is not told from a lost one.
    rate_hz, taken_s = watched(even(60, 3.96), 4.0, read=1)
    assert rate_hz == pytest.approx(3.96, rel=1e-3)
    assert 10.0 < taken_s <= 20.5


@pytest.mark.parametrize("jitter_s", [0.0, 0.001, 0.002])
def test_samples_that_are_lost_now_and_then_are_no_slower_rate(jitter_s: float) -> None:
    rng = np.random.default_rng(5)
    true_s = even(120)
    kept = rng.random(len(true_s)) > 0.023
    stamps_s = true_s + rng.normal(0, jitter_s, len(true_s))
    assert watched(stamps_s[kept]) == (RATE_HZ, np.inf)


def arrivals(rate_hz: float, jitter_s: float) -> np.ndarray:
    """(samples,) stamps of a minute by when samples arrive: late by chance, and in order."""
    true_s = even(60, rate_hz)
    return np.maximum.accumulate(
        true_s + np.random.default_rng(9).exponential(jitter_s, len(true_s))
    )


@pytest.mark.parametrize(
    ("rate_hz", "jitter_s", "lost"),
    [(256.0, 0.002, 0.01), (256.0, 0.002, 0.03), (64.0, 0.005, 0.05)],
)
def test_samples_that_are_lost_among_jittering_ones_are_no_slower_rate(
    rate_hz: float, jitter_s: float, lost: float
) -> None:
    stamps_s = arrivals(rate_hz, jitter_s)
    kept = np.random.default_rng(10).random(len(stamps_s)) >= lost
    assert watched(stamps_s[kept], rate_hz, read=25) == (rate_hz, np.inf)


def test_a_rate_that_is_off_is_found_though_stamps_jitter_by_half_a_period() -> None:
    measured_hz, taken_s = watched(arrivals(250.0, 0.002), 256.0, read=25)
    assert measured_hz == 250.0
    assert taken_s <= 10.0


@pytest.mark.parametrize(("share", "taken"), [(0.29, True), (0.31, False)])
def test_the_middle_step_agrees_to_three_tenths_of_how_far_the_rate_is_off(
    share: float, taken: bool
) -> None:
    # In periods of 64 Hz, of eight steps seven are short and one makes up for
    # them: the rate is 64 / 1.04.
    short = 1.04 * (1 - share * (1 - 1 / 1.04))
    steps = np.tile([short] * 7 + [8 * 1.04 - 7 * short], 240)
    measured_hz, _ = watched(START_S + np.cumsum(steps) / RATE_HZ)
    # To four digits.
    assert measured_hz == (pytest.approx(64 / 1.04, rel=1e-3) if taken else RATE_HZ)


@pytest.mark.parametrize(("share", "taken"), [(0.29, True), (0.31, False)])
def test_so_does_the_middle_of_four_steps(share: float, taken: bool) -> None:
    # Of 16 steps eight are the mean, which is the middle one, too;
    # of four in a row mostly two are short.
    more = 14 * share * (1 - 1 / 1.04)
    steps = 1.04 * np.tile([1 - more / 7, 1] * 7 + [1, 1 + more], 120)
    measured_hz, _ = watched(START_S + np.cumsum(steps) / RATE_HZ)
    # To four digits.
    assert measured_hz == (pytest.approx(64 / 1.04, rel=1e-3) if taken else RATE_HZ)


@pytest.mark.parametrize("gap_s", [0.5, 0.9, 1.2])
@pytest.mark.parametrize("at_s", [1.5, 20.3])
def test_one_long_gap_is_no_slower_rate_however_the_stamps_jitter(
    gap_s: float, at_s: float
) -> None:
    true_s = even(60)
    stamps_s = true_s + np.random.default_rng(6).normal(0, 0.006, len(true_s))
    kept = (true_s < START_S + at_s) | (true_s > START_S + at_s + gap_s)
    assert watched(stamps_s[kept])[0] == RATE_HZ


@pytest.mark.parametrize("rate_hz", [64.0, 62.5])
def test_bursts_are_measured_from_end_to_end(rate_hz: float) -> None:
    true_s = even(60, rate_hz)
    ends = np.minimum((np.arange(len(true_s)) // 12 + 1) * 12 - 1, len(true_s) - 1)
    late_s = np.random.default_rng(7).exponential(0.001, len(true_s))[ends]
    assert watched(true_s[ends] + late_s)[0] == pytest.approx(rate_hz, rel=1e-3)


def test_a_counter_tells_lost_samples_from_a_slower_rate() -> None:
    rng = np.random.default_rng(8)
    true_s = even(60)
    kept = rng.random(len(true_s)) > 0.05
    stamps_s = (true_s + rng.normal(0, 0.004, len(true_s)))[kept]
    counter = np.arange(len(true_s), dtype=np.float64)[kept] % 256
    clock = SampleClock(RATE_HZ, counter=0, of="eeg")
    for at in range(0, len(stamps_s), 8):
        part = slice(at, at + 8)
        clock.place(counter[part, None], stamps_s[part], float(stamps_s[part].max()))
    assert clock.rate_hz == RATE_HZ


@pytest.mark.parametrize("lost", [(), (100, 101, 102)])
@pytest.mark.parametrize("turn", [100, 256, 65536])
def test_samples_are_placed_by_their_counter_whose_turns_are_no_other_rate(
    turn: int, lost: tuple[int, ...]
) -> None:
    true_s = even(20)
    kept = np.setdiff1d(np.arange(len(true_s)), lost)
    clock = SampleClock(RATE_HZ, counter=0, of="eeg")
    times_s, counter = [], (kept % turn).astype(np.float64)[:, None]
    # Sixteen come together, all stamped with the time of the last:
    # by these alone they would be a burst.
    for part in np.array_split(np.arange(len(kept)), len(kept) // 16):
        stamps_s = np.full(len(part), true_s[kept[part[-1]]])
        times_s.append(clock.place(counter[part], stamps_s, float(stamps_s[-1]))[1])
    assert clock.rate_hz == RATE_HZ
    off_s = np.concatenate(times_s) - true_s[kept]
    # Even to a thousandth of a period, once the line is known.
    assert np.abs(np.diff(off_s[320:])).max() < 1e-3 / RATE_HZ


@pytest.mark.parametrize(("rate_hz", "kept"), [(4.0, 81), (64.0, 641)])
def test_ten_seconds_or_eighty_samples_are_kept_to_measure_the_rate_by(
    rate_hz: float, kept: int
) -> None:
    watch, lengths = RateWatch(rate_hz), []
    for stamp_s in even(40, rate_hz):
        watch.add(np.array([stamp_s]), np.ones(1))
        lengths.append(len(watch._stamps))
    # Both ends count, and until the next look what has come since.
    assert min(lengths[-40:]) == kept
    assert max(lengths) < kept + 0.5 * rate_hz


def test_of_samples_that_come_together_those_that_came_before_are_left_out() -> None:
    clock = SampleClock(RATE_HZ, counter=None, of="ppg")
    clock.place(np.arange(32.0)[:, None], even(0.5), START_S + 0.5)
    values, times_s = clock.place(np.arange(64.0)[:, None], even(1), START_S + 1)
    assert 0 < len(values) < 64
    assert values[-1, 0] == 63.0
    assert (np.diff(times_s) > 0).all()


def test_what_is_left_out_is_logged_where_no_other_log_is_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SampleClock(RATE_HZ, counter=None, of="ppg")
    for stamps_s in (even(1), even(1)):
        clock.place(np.zeros((64, 1)), stamps_s, START_S + 1)
    said = [(record.name, record.message) for record in caplog.records]
    assert said == [
        (
            "emodict.live.stamps",
            "ppg: samples that came twice or out of order are left out (64 times)",
        )
    ]


def test_where_a_counter_wraps_or_begins_anew_a_sample_is_one_further() -> None:
    clock = SampleClock(RATE_HZ, counter=0, of="eeg")
    counter = np.array([200.0, 201.0, 203.0, 203.0, 255.0, 0.0, 255.0, 511.0, 7.0])
    steps = clock._steps(Stamped(counter[:, None], np.zeros(9)))
    assert steps.tolist() == [1, 1, 2, 1, 52, 1, 255, 1, 1]
    assert clock._steps(Stamped(np.array([[9.0]]), np.zeros(1))).tolist() == [2]


@pytest.mark.parametrize(("share", "taken"), [(1.008, False), (1.0125, True)])
def test_after_a_change_of_rate_the_next_must_be_twice_as_large(share: float, taken: bool) -> None:
    stamps_s = np.concatenate([even(20, 60.0), START_S + 20.0 + np.arange(1500) / (60.0 * share)])
    measured_hz, _ = watched(stamps_s)
    assert measured_hz == (pytest.approx(60.0 * share, rel=2e-3) if taken else 60.0)


@pytest.mark.parametrize(
    ("rate_hz", "measured_hz"), [(60.02, 60.0), (62.4, 62.4), (61.04, 61.04), (61.52, 61.5)]
)
def test_a_rate_is_a_half_where_it_is_as_near_as_crystals_are(
    rate_hz: float, measured_hz: float
) -> None:
    assert watched(even(20, rate_hz))[0] == measured_hz


def test_nine_samples_are_needed_to_measure_a_rate_and_one_more_to_know_their_end() -> None:
    assert watched(even(40, 1.5), 1.0, read=1) == (1.5, 6.0)


@pytest.mark.parametrize(("step_s", "measured_hz"), [(1 / 1024, 102.4), (1 / 1023, 1023.0)])
def test_steps_of_a_tenth_of_a_period_are_within_a_burst(step_s: float, measured_hz: float) -> None:
    assert watched(START_S + step_s * np.arange(8192), 102.4, read=64)[0] == measured_hz


@pytest.mark.parametrize(("gap_s", "kept"), [(1.0, 2), (1.0 + 2**-10, 1), (0.0, 2), (-(2**-10), 1)])
def test_a_rate_is_measured_between_gaps_of_more_than_a_second(gap_s: float, kept: int) -> None:
    watch = RateWatch(RATE_HZ)
    watch.add(np.array([START_S]), np.ones(1))
    watch.add(np.array([START_S + gap_s]), np.ones(1))
    assert len(watch._stamps) == kept


def test_a_rate_that_was_taken_is_used_and_said(caplog: pytest.LogCaptureFixture) -> None:
    true_s = even(60, 62.5)
    placed = place(true_s, true_s)
    assert placed.clock.rate_hz == 62.5
    assert len(placed.numbers) == len(true_s)
    # At 64 Hz they run apart by 0.023 of the time,
    # which the clock lets go to a quarter of a second.
    assert np.abs(placed.times_s - true_s).max() < 0.25
    np.testing.assert_allclose(placed.times_s[640:], true_s[640:], rtol=0, atol=1e-6)
    assert [record.message for record in caplog.records] == [
        "ppg: 62.5 Hz come where 64 Hz were announced"
    ]
