"""Stamps that glitch, step, or are on another clock: what is placed, and what is said of it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from tests.live.stamped import LOGGER, POLL_S, RATE_HZ, START_S, even, place

from emodict.live.rarely import RarelyLogger
from emodict.live.stamps import Stamped, TrustedStamps


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
