"""Samples in the order in which they were taken: what came twice, late or never is found,
whatever the file's order.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from emodict_desk.importers.order import Order, by_counter, by_counter_or_arrivals, by_time
from emodict_desk.importers.spool import Spool
from emodict_desk.recordings.account import Account

RNG = np.random.default_rng(5)
# A Cyton: 250 Hz, and a counter that turns at 256, every 1.02 s.
RATE_HZ, TURN = 250.0, 256
N = np.arange(5000)


def counted(counter: ArrayLike) -> np.ndarray | None:
    """The sequence of a counter alone; no two of its rows hold the same samples."""
    rows = np.asarray(counter)
    order = by_counter(rows, np.arange(len(rows))[:, None])
    return None if order is None else order.sequence


def cyton(taken: np.ndarray, *, late_s: float = 0.0) -> Order | None:
    """A file whose rows are these samples, in this order;
    each stands with the time at which it was taken.
    """
    return by_counter(
        taken % TURN, samples(taken), times_s=1.7e9 + taken / RATE_HZ + late_s, rate_hz=RATE_HZ
    )


def by_either(counter: np.ndarray, times_s: np.ndarray, rate_hz: float) -> tuple[Order, list[str]]:
    account = Account("")
    rows = samples(np.arange(len(counter)))
    order = by_counter_or_arrivals(
        counter.astype(float), rows, times_s, rate_hz, account, counter_is="the counter"
    )
    return order, account.notes


def samples(taken: np.ndarray) -> np.ndarray:
    """(rows, 1), told apart by their numbers."""
    return taken[:, None].astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8, 15, 16])
def test_a_wrapping_counter_is_unwrapped_with_its_losses(bits: int) -> None:
    kept = np.flatnonzero(RNG.random(1 << (bits + 2)) > 0.01)
    np.testing.assert_array_equal(counted((kept + 5) % (1 << bits)), kept - kept[0])


def test_a_counter_turns_at_a_power_of_two_even_where_its_largest_value_was_lost() -> None:
    assert counted(np.array([252, 253, 254, 0, 1, 3])).tolist() == [0, 1, 2, 4, 5, 7]
    assert counted(np.array([253, 254, 255, 0, 1, 2])).tolist() == [0, 1, 2, 3, 4, 5]
    # 256 takes nine bits: the turn is 512.
    assert counted(np.array([255, 256, 0, 1])).tolist() == [0, 1, 257, 258]


def test_a_counter_that_has_run_out_of_bits_counts_every_row_from_there() -> None:
    assert counted(np.array([12, 13, 15, 15, 15])).tolist() == [0, 1, 3, 4, 5]


def test_a_single_step_that_is_not_plain_makes_no_counter() -> None:
    assert counted(np.array([7, 9])) is None


@pytest.mark.parametrize("count", [0, 1])
def test_a_counter_of_one_sample_or_none_starts_at_zero(count: int) -> None:
    assert counted(np.full(count, 7)).tolist() == list(range(count))


@pytest.mark.parametrize(
    "counter", [np.zeros(9), np.arange(9) // 2, np.arange(0, 90, 10), [1, 2, 3, 3, 4, 5, 9]]
)
def test_what_does_not_count_samples_is_no_counter(counter: list[int] | np.ndarray) -> None:
    assert counted(np.array(counter)) is None


@pytest.mark.parametrize(("plain", "counts"), [(2, True), (1, False)])
def test_a_counter_has_at_least_half_plain_steps(plain: int, counts: bool) -> None:
    steps = [1] * plain + [2] * (4 - plain)
    found = counted(np.cumsum([5, *steps]))
    assert (found is not None) == counts


def test_rows_that_stand_as_they_were_taken_stay_as_they_are() -> None:
    order = cyton(N)
    assert order is not None
    assert (order.rows, order.twice, order.late, order.gaps) == (None, 0, 0, None)


@pytest.mark.parametrize("again", [range(2400, 2500), range(1700, 2500), range(2499, 2500)])
def test_rows_that_stand_in_the_file_twice_count_once(again: range) -> None:
    taken = np.concatenate([N[:2500], again, N[2500:]])
    order = cyton(taken)
    assert order is not None
    assert (order.twice, order.late, order.gaps) == (len(again), 0, None)
    np.testing.assert_array_equal(order.of(taken), N)


def test_rows_in_another_order_are_put_where_they_were_taken() -> None:
    taken = N.reshape(-1, 20)[:, ::-1].ravel()
    order = cyton(taken)
    assert order is not None
    np.testing.assert_array_equal(order.of(taken), N)
    # Of each twenty all but the first to come stand behind a later one.
    assert (order.twice, order.late, order.gaps) == (0, 250 * 19, None)


# Not 256: a loss of just one turn looks like a clock that was set.
@pytest.mark.parametrize("lost", [1, 200, 255, 257, 1250])
def test_losses_are_as_long_as_the_times_say_even_where_the_counter_turns_several_times(
    lost: int,
) -> None:
    taken = np.delete(N, np.arange(2000, 2000 + lost))
    order = cyton(taken)
    assert order is not None
    np.testing.assert_array_equal(order.sequence, taken)


@pytest.mark.parametrize("set_s", [-3600.0, -40.0, -5.0, -0.6, 1.2, 3600.0])
def test_a_clock_that_is_set_does_not_overrule_a_counter_that_goes_on(set_s: float) -> None:
    times_s = N / RATE_HZ + np.where(N >= 2000, set_s, 0.0)
    order, notes = by_either(N % TURN, times_s, RATE_HZ)
    assert (order.rows, order.twice, order.late, order.gaps) == (None, 0, 0, None)
    leap = f"the time stamps leap by {set_s:+.1f} s at 8.0 s"
    assert notes == [f"{leap}, where the counter goes on by one: the counter is believed"]


@pytest.mark.parametrize("set_s", [-3600.0, 3600.0])
def test_losses_are_found_on_either_side_of_a_clock_that_is_set(set_s: float) -> None:
    # 300 are a turn and 44; all is within the 10 s, 2500 samples, of looking ahead.
    taken = np.delete(N, np.r_[1500:1800, 3000:3300])
    times_s = taken / RATE_HZ + np.where(taken >= 2000, set_s, 0.0)
    order = by_counter(taken % TURN, samples(taken), times_s=times_s, rate_hz=RATE_HZ)
    assert order is not None
    np.testing.assert_array_equal(order.sequence, taken)


@pytest.mark.parametrize("turn", [101, 200])
def test_a_counter_that_turns_at_another_value_is_not_used_where_there_was_no_time_for_losses(
    turn: int,
) -> None:
    order, notes = by_either(N[:4000] % turn, N[:4000] / 200, 200.0)
    assert order.gaps is None
    assert len(notes) == 1
    assert "the counter tells of more lost samples than there was time for" in notes[0]


@pytest.mark.parametrize("set_s", [0.0, -3600.0, 3600.0])
def test_a_counter_whose_losses_took_time_is_used_whatever_the_clock_does(set_s: float) -> None:
    # 500 of 5000 lost in pieces of 20, and the clock set at a place where none was.
    taken = N[N % 200 < 180]
    order, notes = by_either(
        taken % TURN, taken / RATE_HZ + np.where(taken >= 2500, set_s, 0.0), RATE_HZ
    )
    np.testing.assert_array_equal(order.sequence, taken)
    assert "480 samples lost, by the counter" in notes  # the last 20 have none behind them


@pytest.mark.parametrize("count", [0, 1])
def test_of_one_row_or_none_nothing_is_said(count: int) -> None:
    order, notes = by_either(N[:count], N[:count] / RATE_HZ, RATE_HZ)
    assert order.sequence is not None
    assert (order.sequence.tolist(), notes) == (list(range(count)), [])


def test_a_loss_of_exactly_whole_turns_looks_like_a_set_clock_and_is_said_as_a_leap() -> None:
    taken = np.delete(N, np.arange(2000, 2000 + 2 * TURN))
    order, notes = by_either(taken % TURN, taken / RATE_HZ, RATE_HZ)
    assert order.gaps is None
    assert len(notes) == 1
    assert notes[0].startswith("the time stamps leap by +2.0 s at 8.0 s, ")  # 512 / 250 Hz


def test_a_stall_loses_nothing_however_many_turns_it_lasts() -> None:
    taken_s = 1.7e9 + N / RATE_HZ
    arrived_s = np.where(
        (taken_s > taken_s[1000]) & (taken_s < taken_s[2000]), taken_s[2000], taken_s
    )
    order, notes = by_either(N % TURN, arrived_s, RATE_HZ)
    assert (order.gaps, notes) == (None, [])


def test_a_clock_that_is_a_little_fast_or_slow_loses_nothing() -> None:
    for rate in (1.0002, 0.9998):  # an hour at 200 ppm is 0.7 s, most of a turn
        hour = np.arange(900_000)
        order = by_counter(
            hour % TURN, samples(hour), times_s=hour / RATE_HZ * rate, rate_hz=RATE_HZ
        )
        assert order is not None
        assert order.gaps is None


def test_a_number_that_several_different_rows_bear_counts_packets_and_not_samples() -> None:
    assert by_counter(N // 2 % TURN, samples(N), times_s=N / RATE_HZ, rate_hz=RATE_HZ) is None
    assert by_counter(N // 12 % TURN, samples(N), times_s=N / RATE_HZ, rate_hz=RATE_HZ) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_what_is_not_a_whole_number_is_not_a_counter(bad: float) -> None:
    assert by_counter(np.array([1.0, 2.0, bad]), np.zeros((3, 1))) is None


def test_marks_of_rows_are_when_their_samples_were_taken() -> None:
    order = cyton(np.array([10, 12, 11, 11, 14]))
    assert order is not None
    assert order.twice == 1
    np.testing.assert_allclose(order.onsets_s(5, RATE_HZ), [0, 2 / 250, 1 / 250, np.nan, 4 / 250])


def test_by_time_packets_in_reverse_are_sorted_and_counted() -> None:
    taken = N[:1200].reshape(-1, 12).copy()
    taken[::3] = taken[::3, ::-1]
    rows = taken.ravel()
    order = by_time(rows / 64, samples(rows))
    assert order is not None
    np.testing.assert_array_equal(order.of(rows), N[:1200])
    assert (order.twice, order.late) == (0, 34 * 11)  # of 100 packets every third


def test_by_time_rows_that_stand_twice_count_once() -> None:
    rows = np.concatenate([N[:300], N[200:300], N[300:600]])
    order = by_time(rows / 64, samples(rows))
    assert order is not None
    np.testing.assert_array_equal(order.of(rows), N[:600])
    assert (order.twice, order.late) == (100, 0)


def test_by_time_two_samples_of_one_time_are_not_guessed_at() -> None:
    times_s = N[:100] / 64
    times_s[50] = times_s[20]
    assert by_time(times_s, samples(N[:100])) is None


@pytest.mark.parametrize("back_s", [3600.0, 2.503])
def test_by_time_a_clock_that_was_set_back_is_not_sorted_into_what_came_before(
    back_s: float,
) -> None:
    times_s = np.arange(1000) / 64 - np.where(np.arange(1000) >= 500, back_s, 0.0)
    assert by_time(times_s, samples(np.arange(1000))) is None


@pytest.mark.parametrize("jitter_s", [0.001, 0.004, 0.008])
def test_by_time_stamps_that_jitter_do_not_shuffle_what_stands_in_order(jitter_s: float) -> None:
    # At 256 Hz, 3.9 ms a sample, 1 ms swaps a few neighbours and 8 ms most of them.
    times_s = N / 256 + np.random.default_rng(1).normal(0, jitter_s, len(N))
    assert (np.diff(times_s) < 0).any()
    assert by_time(times_s, samples(N)) is None


@pytest.mark.parametrize("rate_hz", [256, 300, 400, 512])
def test_by_time_late_packets_are_sorted_though_their_times_are_whole_milliseconds(
    rate_hz: int,
) -> None:
    taken = N[:1200].reshape(-1, 12).copy()
    taken[::3] = taken[::3, ::-1]
    rows = taken.ravel()
    order = by_time(np.round(rows / rate_hz, 3), samples(rows))
    assert order is not None
    np.testing.assert_array_equal(order.of(rows), N[:1200])


def test_by_time_bursts_may_bear_one_time_and_only_what_runs_back_is_there_twice() -> None:
    rows = N[:960]
    arrived_s = (rows // 12 + 1) * 12 / 256
    constant = np.zeros((len(rows), 1))
    assert by_time(arrived_s, constant, in_bursts=True) == Order()
    doubled = np.concatenate([np.arange(24), np.arange(12, 3000)])
    order = by_time((doubled // 12 + 1) * 12 / 256, samples(doubled), in_bursts=True)
    assert order is not None
    assert (order.twice, order.late) == (12, 0)
    np.testing.assert_array_equal(order.of(doubled), np.arange(3000))
    # One channel of whole numbers that flickers is not there twice, however large its bursts.
    flicker, larger_s = samples(np.arange(3000) % 2), np.floor(np.arange(3000) / 12) // 1.5
    assert by_time(larger_s, flicker, in_bursts=True) == Order()
    assert by_time(larger_s, samples(np.arange(3000) % 3), in_bursts=True) == Order()
    again = np.concatenate([rows[:480], rows[240:480], rows[480:]])
    order = by_time((again // 12 + 1) * 12 / 256, samples(again), in_bursts=True)
    assert order is not None
    np.testing.assert_array_equal(order.of(again), rows)
    assert order.twice == 240


def test_what_came_twice_late_and_never_is_said() -> None:
    account = Account("")
    Order(np.arange(3), 2, 1, np.array([0, 1, 5])).say("stream bvp: ", "the time stamps", account)
    assert account.notes == [
        "stream bvp: 2 samples came twice (by the time stamps); the second copies are left out",
        "stream bvp: 1 sample came late, by the time stamps: put back in order",
        "stream bvp: 3 samples lost, by the time stamps",
    ]
    Order(np.arange(3), twice=1).say("", "the counter", account)
    assert account.notes[-1] == "1 sample came twice (by the counter); the second copy is left out"


def test_a_spool_gives_rows_from_near_and_far() -> None:
    spool, values = Spool(2), RNG.normal(size=(40_000, 2)).astype(np.float32)
    spool.append(values)
    near = np.arange(39_000).reshape(-1, 100)[:, ::-1].ravel()
    far = np.array([39_999, 0, 20_000])
    for rows in (near, far):
        np.testing.assert_array_equal(spool.take(rows)[:], values[rows])
