"""Stamps that glitch, step, are on another clock or of another rate:
what is placed, and what is said of it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from emodict.live.rarely import EVERY_S, ChangeLogger, RarelyLogger
from emodict.live.stamps import RateWatch, SampleClock, Stamped, TrustedStamps

LOGGER = logging.getLogger("emodict.test")
RATE_HZ = 64.0
START_S = 1000.0
# Streams are read so often; samples arrive when they were taken.
POLL_S = 0.125


def even(seconds: float, rate_hz: float = RATE_HZ) -> np.ndarray:
    return START_S + np.arange(round(seconds * rate_hz)) / rate_hz


@dataclass
class Placed:
    """(samples,) which were placed, at what times, and when they were."""

    numbers: np.ndarray
    times_s: np.ndarray
    at_s: np.ndarray
    clock: SampleClock = field(repr=False)


def place(
    stamps_s: np.ndarray, taken_s: np.ndarray, rate_hz: float = RATE_HZ, *, counter: bool = False
) -> Placed:
    """Samples that arrive when they are taken, read eight times a second."""
    now_s = 0.0
    log = RarelyLogger(LOGGER, clock=lambda: now_s)
    clock = SampleClock(rate_hz, counter=0 if counter else None, of="ppg", log=log)
    numbers = np.arange(len(stamps_s), dtype=np.float64)[:, None]
    parts, first = [], 0
    for now_s in np.arange(taken_s[0], taken_s[-1] + 2 * POLL_S, POLL_S).tolist():
        stop = int(np.searchsorted(taken_s, now_s, side="right"))
        if stop > first:
            kept, times_s = clock.place(numbers[first:stop], stamps_s[first:stop], now_s)
            parts.append((kept[:, 0].astype(int), times_s, np.full(len(kept), now_s)))
            first = stop
    return Placed(*(np.concatenate(part) for part in zip(*parts, strict=True)), clock)


@pytest.mark.parametrize("glitch_s", [200_000.0, -200_000.0, 30.0, -30.0, 1.2])
@pytest.mark.parametrize("last_of_a_read", [True, False])
def test_one_glitched_stamp_costs_one_sample(glitch_s: float, last_of_a_read: bool) -> None:
    true_s = even(30)
    # Eight samples a read, the first alone.
    number = 64 * 10 if last_of_a_read else 64 * 10 + 4
    stamps_s = true_s.copy()
    stamps_s[number] += glitch_s
    placed = place(stamps_s, true_s)
    assert np.setdiff1d(np.arange(len(true_s)), placed.numbers).tolist() == [number]
    # Seconds of 1000.
    np.testing.assert_allclose(placed.times_s, true_s[placed.numbers], rtol=0, atol=1e-8)


@pytest.mark.parametrize("stamp_s", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("number", [0, 640, 644])
def test_a_stamp_that_is_no_number_costs_its_sample(stamp_s: float, number: int) -> None:
    true_s = even(30)
    stamps_s = true_s.copy()
    stamps_s[number] = stamp_s
    placed = place(stamps_s, true_s)
    assert np.setdiff1d(np.arange(len(true_s)), placed.numbers).tolist() == [number]
    # Seconds of 1000.
    np.testing.assert_allclose(placed.times_s, true_s[placed.numbers], rtol=0, atol=1e-8)


def test_two_glitched_stamps_cost_two_samples_and_three_a_stay_of_less_than_two_seconds() -> None:
    true_s = even(30)
    for many in (2, 3, 60):
        stamps_s = true_s.copy()
        stamps_s[640 : 640 + many] += 200_000.0
        assert len(place(stamps_s, true_s).numbers) == len(true_s) - many


@pytest.mark.parametrize("step_s", [-15.0, 200_000.0, -1.5, 1.5, 1e9])
@pytest.mark.parametrize("back_s", [30.0, 45.0])
def test_a_clock_that_steps_and_stays_is_followed_within_five_seconds_and_no_sample_is_lost(
    step_s: float, back_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    true_s = even(60)
    stamps_s = true_s + np.where(
        (true_s >= START_S + 15) & (true_s < START_S + back_s), step_s, 0.0
    )
    placed = place(stamps_s, true_s)
    assert len(placed.numbers) == len(true_s)
    # When it was read is how a sample's time is known after a step.
    np.testing.assert_allclose(placed.times_s, true_s, rtol=0, atol=POLL_S)
    # A clock that is back is the old one, and its line begins again:
    # not a creep from what was known of the other.
    later = true_s > START_S + back_s + 3
    # It is approached within half a second:
    # e^-6 of the eighth of a second that the other was known to.
    np.testing.assert_allclose(placed.times_s[later], true_s[later], rtol=0, atol=4e-4)
    late_s = placed.at_s - placed.times_s
    held = late_s > 1.0
    near = (np.abs(true_s - START_S - 15) < 2.5) | (np.abs(true_s - START_S - back_s) < 2.5)
    assert not (held & ~near).any()
    assert [record.message for record in caplog.records] == [
        f"ppg: its clock has stepped by {step:+.1f} s, which is taken out again"
        for step in (step_s, -step_s)
    ]


def test_skin_conductance_of_a_clock_that_came_back_keeps_to_its_ticks() -> None:
    true_s = even(120, 4.0)
    stamps_s = true_s + np.where((true_s >= START_S + 30) & (true_s < START_S + 60), 4.0, 0.0)
    late_s = np.random.default_rng(3).uniform(0.0, 0.2, len(true_s))
    placed = place(stamps_s, np.maximum.accumulate(true_s + late_s), 4.0)
    later = true_s[placed.numbers] > START_S + 66
    # A tenth of a period from its time, no sample can go to another tick.
    np.testing.assert_allclose(
        placed.times_s[later], true_s[placed.numbers][later], rtol=0, atol=0.025
    )


def test_unix_stamps_are_taken_up_within_seconds_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    true_s = even(60)
    placed = place(true_s - START_S + time.time(), true_s)
    assert len(placed.numbers) == len(true_s)
    np.testing.assert_allclose(placed.times_s, true_s, rtol=0, atol=POLL_S)
    assert placed.at_s[0] - START_S < 3.0
    assert [record.message for record in caplog.records] == [
        "ppg: its stamps are Unix time; its samples are placed by their time of arrival"
    ]


@pytest.mark.parametrize(
    ("off_s", "taken_over"),
    [(-9.9, False), (-10.1, True), (1.0, False), (1.3, True), (-900.0, True)],
)
def test_a_stream_that_begins_more_than_ten_seconds_late_or_one_ahead_is_on_another_clock(
    off_s: float, taken_over: bool, caplog: pytest.LogCaptureFixture
) -> None:
    true_s = even(10)
    placed = place(true_s + off_s, true_s)
    np.testing.assert_allclose(
        placed.times_s - true_s, 0.0 if taken_over else off_s, rtol=0, atol=POLL_S
    )
    said = f"ppg: its stamps are {off_s:+.1f} s off this clock"
    assert (said in caplog.text) == taken_over
    assert ("off this clock" in caplog.text) == taken_over


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("off_s", "unix"), [(86_399.0, True), (86_400.0, False)])
def test_stamps_within_a_day_of_the_time_of_day_are_unix_time(
    sign: int,
    off_s: float,
    unix: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 2e9)
    guard = guard_of(RATE_HZ)
    newest_s = 2e9 + sign * off_s
    # Half a second from sample to sample: of the four, only the newest counts.
    released(guard, [newest_s - 1.5, newest_s - 1.0], 100.0)
    released(guard, [newest_s - 0.5, newest_s], 102.0)
    assert ("Unix time" in caplog.text) == unix
    assert ("off this clock" in caplog.text) != unix


def test_samples_that_are_lost_for_long_or_held_up_are_no_step(
    caplog: pytest.LogCaptureFixture,
) -> None:
    true_s = even(60)
    away = (true_s > START_S + 20) & (true_s < START_S + 35)
    kept_s = true_s[~away]
    np.testing.assert_allclose(place(kept_s, kept_s).times_s, kept_s, rtol=0, atol=1e-8)
    # Held up for 15 s, and then sent at one go.
    placed = place(true_s, np.where(away, START_S + 35.0, true_s))
    np.testing.assert_allclose(placed.times_s, true_s, rtol=0, atol=1e-8)
    assert not caplog.records


def guard_of(rate_hz: float) -> TrustedStamps:
    return TrustedStamps(rate_hz, of="ppg", log=RarelyLogger(LOGGER))


def released(guard: TrustedStamps, stamps_s: list[float], now_s: float) -> list[float]:
    stamps = np.array(stamps_s)
    return [
        float(s)
        for part in guard.take(Stamped(stamps[:, None], stamps), now_s)
        for s in part.stamps_s
    ]


@pytest.mark.parametrize(("rate_hz", "step_s"), [(64.0, 1.0), (4.0, 1.0), (2.0, 2.0)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_of_a_second_or_four_periods_is_believed_at_once(
    rate_hz: float, step_s: float, sign: int
) -> None:
    for beyond_s, believed in ((0.0, True), (2**-10, False)):
        guard = guard_of(rate_hz)
        assert released(guard, [100.0], 100.0) == [100.0]
        stamp_s = 100.0 + sign * (step_s + beyond_s)
        assert released(guard, [stamp_s], 100.0) == ([stamp_s] if believed else [])


@pytest.mark.parametrize("passed_s", [0.0, 5.0])
def test_a_gap_may_be_as_long_as_nothing_came_and_a_second_more(passed_s: float) -> None:
    for beyond_s, believed in ((0.0, True), (2**-10, False)):
        guard = guard_of(RATE_HZ)
        released(guard, [100.0], 103.0)
        stamp_s = 101.0 + passed_s + beyond_s
        assert released(guard, [stamp_s], 103.0 + passed_s) == ([stamp_s] if believed else [])


def test_three_stamps_in_a_row_say_that_samples_were_lost() -> None:
    guard = guard_of(RATE_HZ)
    released(guard, [90.0], 100.0)
    # Ten seconds late before, and now in time.
    assert released(guard, [99.0], 100.1) == []
    assert released(guard, [99.0625], 100.1) == []
    assert released(guard, [99.125], 100.2) == [99.0, 99.0625, 99.125]


@pytest.mark.parametrize(("ahead_s", "believed"), [(1.0, True), (1.0625, False)])
def test_stamps_more_than_a_second_in_the_future_are_never_believed(
    ahead_s: float, believed: bool
) -> None:
    guard = guard_of(RATE_HZ)
    released(guard, [90.0], 100.0)
    first = 100.0 + ahead_s - 0.125
    assert bool(released(guard, [first, first + 0.0625, first + 0.125], 100.0)) == believed


@pytest.mark.parametrize(("stays_s", "taken"), [(1.9375, False), (2.0, True)])
def test_a_clock_must_stay_stepped_for_two_seconds_of_three_samples(
    stays_s: float, taken: bool
) -> None:
    guard = guard_of(RATE_HZ)
    released(guard, [100.0], 100.0)
    released(guard, [50.0, 50.5], 100.5)
    # Before, they took no time to come:
    # the newest of what was read first was taken when it was read.
    assert released(guard, [50.5], 100.5 + stays_s) == ([100.0, 100.5, 100.5] if taken else [])
    two = guard_of(RATE_HZ)
    released(two, [100.0], 100.0)
    released(two, [50.0], 100.5)
    assert released(two, [50.5], 103.0) == []


@pytest.mark.parametrize(
    ("off_s", "back"), [(0.1875, True), (-0.1875, True), (0.25, False), (-0.25, False)]
)
def test_a_clock_that_steps_back_to_a_fifth_of_a_second_is_the_old_one_again(
    off_s: float, back: bool
) -> None:
    guard = guard_of(RATE_HZ)
    released(guard, [100.0], 100.0)
    for now_s in (100.0, 101.0, 102.0):
        released(guard, [now_s - 50.0], now_s)
    assert guard.shift_s == 50.0
    for now_s in (102.0, 103.0, 104.0):
        got = released(guard, [now_s + off_s], now_s)
    assert guard.shift_s == (0.0 if back else -off_s)
    assert got == [now_s + off_s + guard.shift_s for now_s in (102.0, 103.0, 104.0)]


def test_samples_take_as_long_to_arrive_after_a_step_as_before() -> None:
    guard = guard_of(RATE_HZ)
    # Late by a quarter of a second at least.
    released(guard, [100.0], 100.5)
    released(guard, [100.5], 100.75)
    released(guard, [50.75], 101.25)
    released(guard, [51.25], 101.5)
    released(guard, [52.25], 102.75)
    # The least late of them was the second, taken a quarter of a second before it came.
    assert released(guard, [53.0], 103.25) == [100.75, 101.25, 102.25, 103.0]


@pytest.mark.parametrize("waited_s", [10.0, 20.0])
def test_the_usual_delay_grows_by_a_fiftieth_of_the_time_at_most(waited_s: float) -> None:
    guard = guard_of(RATE_HZ)
    released(guard, [100.0], 100.0)
    stamp_s = 100.0 + waited_s - 0.9
    released(guard, [stamp_s], 100.0 + waited_s)
    now_s = 100.0 + waited_s
    for at_s in (0.0, 1.0, 2.0):
        got = released(guard, [50.0 + at_s], now_s + at_s)
    assert got[-1] == pytest.approx(now_s + 2.0 - 0.02 * waited_s, abs=1e-9)


@pytest.mark.parametrize("drift", [50e-6, -50e-6])
@pytest.mark.parametrize("other", [True, False])
def test_another_clock_that_drifts_is_followed_for_hours_and_lsls_own_is_left_to_lsl(
    drift: float, other: bool
) -> None:
    guard = guard_of(4.0)
    begins_s, late_s = START_S + (1e9 if other else 0.0), []
    for second in range(6 * 3600):
        now_s = START_S + second
        stamp_s = begins_s + second * (1 - drift)
        late_s += [now_s - one for one in released(guard, [stamp_s - 0.5, stamp_s], now_s)[-1:]]
    # In six hours they drift apart by 1.08 s: more than a row waits for.
    # A second's growth.
    assert late_s[-1] == pytest.approx(np.sign(drift) * 0.2 if other else 21_599 * drift, abs=0.021)
    assert (guard.shift_s != 0) == other


def test_a_clock_that_was_taken_over_is_moved_by_a_ten_thousandth_where_it_is_a_fifth_late() -> (
    None
):
    for late_s, moved in ((0.1875, False), (0.25, True)):
        guard = guard_of(RATE_HZ)
        for now_s in (100.0, 101.0, 102.0):
            released(guard, [now_s - 50.0], now_s)
        assert guard.shift_s == 50.0
        # A delay that may have grown by 0.32 s.
        released(guard, [118.0 - 50.0 - late_s], 118.0)
        assert guard.shift_s == pytest.approx(50.0 + (16.0 * 1e-4 if moved else 0.0), abs=1e-12)


# The rate


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


# The log


def test_a_line_of_one_kind_is_logged_once_in_ten_seconds_with_how_often_it_was_due(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = 0.0
    log = RarelyLogger(LOGGER, clock=lambda: now_s)
    for tenth in range(201):
        now_s = tenth / 10
        log.warning("%s: late", "ppg")
    log.warning("%s: late", "gsr")
    log.warning("%s: %d Hz", "gsr", 4)
    log.warning("%s: %d Hz", "gsr", 5)
    assert [record.message for record in caplog.records] == [
        "ppg: late", "ppg: late (100 times)", "ppg: late (100 times)", "gsr: late", "gsr: 4 Hz"
    ]  # fmt: skip
    assert EVERY_S == 10.0


def changes_said(
    changes: list[tuple[float, str]], caplog: pytest.LogCaptureFixture, *, until_s: float
) -> list[str]:
    """What is said of ppg, each with its second, where it is asked twice a second."""
    now_s = 0.0
    log, said, left = ChangeLogger(LOGGER, clock=lambda: now_s), [], list(changes)
    for half in range(round(2 * until_s) + 1):
        now_s = half / 2
        while left and left[0][0] <= now_s:
            log.changed("ppg", left.pop(0)[1])
        log.say_due()
        said += [f"{now_s:g} {record.message}" for record in caplog.records]
        caplog.clear()
    return said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([(0, "lost"), (1, "back"), (5, "lost")], ["0 ppg: lost", "1 ppg: back", "10 ppg: lost"]),
        ([(0, "lost"), (1, "back"), (10, "lost")], ["0 ppg: lost", "1 ppg: back", "10 ppg: lost"]),
        # Of those held back the last holds, though the other was due before it.
        (
            [(0, "lost"), (1, "back"), (5, "lost"), (6, "back")],
            ["0 ppg: lost", "1 ppg: back", "11 ppg: back (2 changes)"],
        ),
        ([(0, "lost"), (5, "lost"), (6, "silent")], ["0 ppg: lost", "6 ppg: silent (2 changes)"]),
    ],
)
def test_the_last_change_is_said_however_soon_it_follows(
    changes: list[tuple[float, str]], said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert changes_said(changes, caplog, until_s=40) == said


def test_a_sensor_that_flaps_is_said_once_in_ten_seconds_a_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes = [(second, "back" if second % 2 else "lost") for second in range(60)]
    said = changes_said(changes, caplog, until_s=90)
    # In a minute six of each, and the last one when its ten seconds are over.
    assert len(said) <= 13
    assert "back" in said[-1]
    for kind in ("lost", "back"):
        at_s = [float(line.split()[0]) for line in said if kind in line]
        assert min(np.diff(at_s)) >= EVERY_S


def test_what_changes_elsewhere_is_said_on_its_own_and_a_detail_does_not_make_it_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = ChangeLogger(LOGGER, clock=lambda: 0.0)
    log.changed("ppg", "lost")
    log.changed("gsr", "lost", " (battery)")
    log.changed("gsr", "lost", " (out of reach)")
    assert [record.message for record in caplog.records] == ["ppg: lost", "gsr: lost (battery)"]
