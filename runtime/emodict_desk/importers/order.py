"""One rule for all importers: samples stand in the order in which they were taken.

What came twice or late is counted. What never came is a gap:
a jump of the counter, or of the times.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from emodict_desk.importers.clock import counter_from_arrivals, growing, lost_samples
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]

# Below this share of plain steps, or of rows that count on, a column is not a counter of samples.
_COUNTER_SHARE = 0.5
# Steps this near to the usual one are even. Times with fewer even steps than this share jitter, so
# that their order says nothing: at 0.8 the steps' standard deviation is a fifth of them and none
# runs back, at 0.5 some do.
_EVEN_SHARE = 0.25
_STEADY_SHARE = 0.8
# A leap of the times by so much, where the counter goes on by one,
# is a clock that was set, or a stall.
_CLOCK_SET_S = 0.5
# Up to this share of losses it is not asked whether there was time for them.
_LOST_SHARE = 0.03
# Behind a stall samples come late; within so long after it they are on time again.
LOOK_AHEAD_S = 10.0
# More rows than this of one time are not a burst.
_LARGEST_BURST = 256
# Floats hold whole numbers up to here.
_LARGEST_COUNT = float(1 << 53)


_T = TypeVar("_T")


class Rows(Protocol):
    """(samples, channels), read by rows: an array or a Spool."""

    def take(self, indices: Int64Array, /, axis: int) -> Any: ...


@dataclass(frozen=True)
class Order:
    """Which rows of a file are samples, in the order in which they were taken.

    Attributes:
        rows: (kept,) by their number in the file; None for all, as they stand.
        twice, late: how many rows were there already, and how many stood behind later ones.
        sequence: (kept,) number of each sample, which jumps where samples are missing;
            None where only times say.
    """

    rows: Int64Array | None = None
    twice: int = 0
    late: int = 0
    sequence: Int64Array | None = None

    @property
    def gaps(self) -> Int64Array | None:
        """The sequence where it shows gaps; without gaps a recording needs none."""
        return self.sequence if self.sequence is not None and lost_samples(self.sequence) else None

    def of(self, values: _T) -> _T:
        """What each kept row has, in order: an array, or a Spool of samples."""
        kept: _T = values if self.rows is None else values.take(self.rows, axis=0)  # type: ignore[attr-defined]
        return kept

    def onsets_s(self, count: int, rate_hz: float) -> Float64Array:
        """(count,) rows of the file -> when each was taken; NaN for one that was left out."""
        rows = np.arange(count) if self.rows is None else self.rows
        found = np.full(count, np.nan)
        found[rows] = (np.arange(len(rows)) if self.sequence is None else self.sequence) / rate_hz
        return found

    def say(self, of: str, by: str, account: Account) -> None:
        """Tell the user of what was read (`of`: "stream bvp: "),
        and what says so (`by`: "the times").
        """
        if self.twice:
            copies = "copy is" if self.twice == 1 else "copies are"
            came_twice = f"{of}{count_of(self.twice, 'sample')} came twice"
            account.note(f"{came_twice} (by {by}); the second {copies} left out")
        if self.late:
            account.note(
                f"{of}{count_of(self.late, 'sample')} came late, by {by}: put back in order"
            )
        if self.sequence is not None and (lost := lost_samples(self.sequence)):
            account.note(f"{of}{count_of(lost, 'sample')} lost, by {by}")


def by_counter(
    counter: NDArray[Any],
    values: Rows,
    *,
    times_s: Float64Array | None = None,
    rate_hz: float = 0.0,
) -> Order | None:
    """Rows by a counter of few bits, which turns at the power of two above its largest value.

    Where times of arrival are known at a rate, they tell a step back from a loss of nearly a turn,
    and find losses of whole turns. A counter that stands still at its largest value to the end has
    run out of bits: from there each row is one sample. None for what does not count samples.
    """
    if len(counter) < 2:
        return Order(sequence=np.arange(len(counter)))
    if not (np.isfinite(counter).all() and np.abs(counter).max() < _LARGEST_COUNT):
        return None
    place, turn = _unwrapped(np.asarray(counter).astype(np.int64), times_s, rate_hz)
    if place is None:
        return None
    found = _sorted(place)
    sequence = found.of(place)
    plain = np.count_nonzero(np.diff(sequence) == 1)
    if plain < _COUNTER_SHARE * (len(sequence) - 1) or len(sequence) < _COUNTER_SHARE * len(place):
        return None
    if found.twice and not _same_again(place, found, values):
        return None
    if times_s is not None:
        sequence = _with_whole_turns(sequence, found.of(times_s), rate_hz, turn)
    sequence -= sequence[0]
    return Order(found.rows, found.twice, found.late, sequence)


def by_time(times_s: Float64Array, values: Rows, *, in_bursts: bool = False) -> Order | None:
    """Rows by their time: sorted where that makes their steps even, and each of them once.

    Args:
        in_bursts: the times are of arrival, and may be the same for several samples. A burst of
            the usual size that stands twice in a row counts once, unless its rows are alike.

    None where the times run back and sorting does not make them even: they jitter, or the clock
    was set.
    """
    behind = _behind(times_s, in_bursts=in_bursts)
    again = _again(times_s, values, behind)
    if in_bursts:
        again |= _burst_again(times_s, values)
    if not (behind | again).any():
        return Order()
    rows = np.flatnonzero(~again)
    twice, late = int(np.count_nonzero(again)), int(np.count_nonzero(behind & ~again))
    if not late:
        return Order(rows, twice)
    order = rows[np.argsort(times_s[rows], kind="stable")]
    even, even_before = _even_steps(times_s[order]), _even_steps(times_s[rows])
    steady = even > even_before and even >= _STEADY_SHARE * (len(order) - 1)
    if not (steady and growing(times_s[order]).all()):
        return None
    return Order(order, twice, late)


def by_time_or_as_they_stand(
    times_s: Float64Array, values: Rows, of: str, account: Account, *, in_bursts: bool
) -> Order:
    """Rows by their time, each once; as they stand where it runs back; all is said."""
    order = by_time(times_s, values, in_bursts=in_bursts)
    if order is None:
        account.note(f"{of}: its times run back: rows are taken as they stand")
        return Order()
    order.say(f"{of}: ", "the times", account)
    return order


def by_counter_or_arrivals(
    counter: Float64Array,
    values: Rows,
    arrived_s: Float64Array | None,
    rate_hz: float,
    account: Account,
    *,
    counter_is: str,
) -> Order:
    """Rows by their counter; where it does not count samples, by when they arrived; all is said."""
    order = by_counter(counter, values, times_s=arrived_s, rate_hz=rate_hz)
    if order is not None and (arrived_s is None or _had_time(order, arrived_s, rate_hz)):
        order.say("", counter_is, account)
        if arrived_s is not None:
            _say_leaps(order, arrived_s, rate_hz, counter_is, account)
        return order
    if order is not None:
        account.note(
            f"{counter_is} tells of more lost samples than there was time for "
            "(it may not turn at a power of two): it is not used"
        )
    elif np.isfinite(counter).all():
        account.note(f"{counter_is} does not count samples: it is not used")
    if arrived_s is None:
        account.note(
            f"neither {counter_is.removeprefix('the ')} nor time stamps: "
            f"lost samples cannot be seen"
        )
        return Order()
    order = by_time(arrived_s, values, in_bursts=True)
    if order is None:
        account.note(
            "the time stamps run back: samples are placed by row, so lost ones cannot be seen"
        )
        return Order()
    order = dataclasses.replace(order, sequence=counter_from_arrivals(order.of(arrived_s), rate_hz))
    order.say("", "the time stamps", account)
    return order


def _had_time(order: Order, times_s: Float64Array, rate_hz: float) -> bool:
    """Has the counter lost only few samples, or was there time for at least half of them?"""
    assert order.sequence is not None
    lost = lost_samples(order.sequence)
    if not lost:
        return True
    late_s = _late_s(order.sequence, order.of(times_s), rate_hz)
    without_time = rate_hz * float(late_s[0] - late_s[-1])
    there_was_time_for = float(order.sequence[-1]) - without_time
    return lost <= _LOST_SHARE * there_was_time_for or without_time <= lost / 2


def _say_leaps(
    order: Order, times_s: Float64Array, rate_hz: float, counter_is: str, account: Account
) -> None:
    """Tell where the times leap and stay so, and the counter goes on by one."""
    assert order.sequence is not None
    late_s = order.of(times_s) - order.sequence / rate_hz
    leaps = (np.diff(order.sequence) == 1) & (np.abs(np.diff(late_s)) > _CLOCK_SET_S)
    by_s = {int(at): _later_s(late_s, int(at), rate_hz) for at in np.flatnonzero(leaps) + 1}
    lasting = [at for at, later_s in by_s.items() if abs(later_s) > _CLOCK_SET_S]
    if lasting:
        first = f"{by_s[lasting[0]]:+.1f} s at {order.sequence[lasting[0]] / rate_hz:.1f} s"
        more = f" and {len(lasting) - 1} times more" if len(lasting) > 1 else ""
        goes_on = f"where {counter_is} goes on by one: the counter is believed"
        account.note(f"the time stamps leap by {first}{more}, {goes_on}")


def _behind(times_s: Float64Array, *, in_bursts: bool) -> NDArray[np.bool_]:
    """(rows,) True for those that do not come after all before them;
    of bursts, from a step back on.
    """
    forward = growing(times_s)
    if not in_bursts:
        return ~forward
    back = times_s < np.maximum.accumulate(times_s)
    turned = np.maximum.accumulate(np.where(forward | back, np.arange(len(times_s)), 0))
    return np.asarray(back[turned])


def _again(times_s: Float64Array, values: Rows, behind: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(rows,) True for those behind whose time and samples stood in the file before."""
    looked_at = np.flatnonzero(np.isin(times_s, times_s[behind]))
    contents = np.asarray(values.take(looked_at, axis=0))
    keys = [
        (at_s, row.tobytes())
        for at_s, row in zip(times_s[looked_at].tolist(), contents, strict=True)
    ]
    seen = {key for key, at in zip(keys, looked_at, strict=True) if not behind[at]}
    again = np.zeros(len(times_s), dtype=bool)
    for key, at in zip(keys, looked_at, strict=True):
        again[at] = behind[at] and key in seen
        seen.add(key)
    return again


def _burst_again(times_s: Float64Array, values: Rows) -> NDArray[np.bool_]:
    """(rows,) True for those of a burst that stood directly before, at the same time.

    Only of bursts of the usual size: a few rows of one channel may be alike by chance.
    """
    again = np.zeros(len(times_s), dtype=bool)
    edges = np.array([0, *(np.flatnonzero(np.diff(times_s)) + 1), len(times_s)])
    usual = int(np.bincount(np.diff(edges)).argmax())
    if not 1 < usual <= _LARGEST_BURST:
        return again
    for first in np.flatnonzero(np.diff(edges) >= 2 * usual):
        start, stop = edges[first], edges[first + 1]
        contents = np.asarray(values.take(np.arange(start, stop), axis=0))
        again[start:stop] = _blocks_again([row.tobytes() for row in contents], usual)
    return again


def _blocks_again(rows: list[bytes], size: int) -> NDArray[np.bool_]:
    """(rows,) True for a block of them that stands directly behind the same block.

    A block most of whose rows are alike tells nothing.
    """
    again = np.zeros(len(rows), dtype=bool)
    at = size
    while at + size <= len(rows):
        block = rows[at - size : at]
        same = block == rows[at : at + size] and 2 * len(set(block)) > size
        again[at : at + size] |= same
        at += size if same else 1
    return again


def _unwrapped(
    values: Int64Array, times_s: Float64Array | None, rate_hz: float
) -> tuple[Int64Array | None, int]:
    """(samples,) the place of each row, and the turn of the counter."""
    full = int(values.max())
    turn = 1 << max(full, 1).bit_length()
    steps = np.diff(values)
    if not steps.any():
        return None, turn
    ran_out = len(values) - 1 - int((values[::-1] != full).argmax()) if times_s is not None else 0
    stuck = (steps == 0) & (values[1:] == full) & (np.arange(1, len(values)) > ran_out)
    steps %= turn
    steps[stuck] = 1
    if times_s is None:
        return (None if (steps <= 0).any() else _summed(steps)), turn
    if not np.isfinite(times_s).all():
        return None, turn
    turns = np.rint((np.diff(times_s) * rate_hz - steps) / turn)
    # Of a loss of whole turns a late delivery looks the same; that takes more rows to tell.
    turns = np.where((steps == 0) & ~stuck, turns, np.minimum(turns, 0))
    # A counter that goes on by one has lost nothing, whatever the times do: the clock was set.
    turns[stuck | (steps == 1)] = 0
    return _summed(steps + turn * turns.astype(np.int64)), turn


def _summed(steps: Int64Array) -> Int64Array:
    return np.concatenate([[0], np.cumsum(steps)])


def _sorted(place: Int64Array) -> Order:
    """By place; of several rows at one the first in the file."""
    if growing(place).all():
        return Order()
    order = np.argsort(place, kind="stable")
    first = np.concatenate([[True], np.diff(place[order]) > 0])
    rows = order[first]
    in_file = np.sort(rows)
    late = np.count_nonzero(place[in_file] < np.maximum.accumulate(place[in_file]))
    return Order(rows, twice=len(place) - len(rows), late=int(late))


def _same_again(place: Int64Array, found: Order, values: Rows) -> bool:
    """Do the rows that share a place hold the same samples? Those of one packet do not."""
    assert found.rows is not None
    again = np.setdiff1d(np.arange(len(place)), found.rows, assume_unique=True)
    first = found.rows[np.searchsorted(place[found.rows], place[again])]
    return bool(_equal(values, again, first).all())


def _equal(values: Rows, one: Int64Array, other: Int64Array) -> NDArray[np.bool_]:
    """(rows,) whether they hold the same numbers, or lack the same."""
    a, b = np.asarray(values.take(one, axis=0)), np.asarray(values.take(other, axis=0))
    return np.asarray(((a == b) | ((a != a) & (b != b))).all(axis=1))


def _even_steps(times_s: Float64Array) -> int:
    """How many steps are near to the usual one forward."""
    # A mean, for of times in whole milliseconds the median is rounded, too.
    steps = np.diff(times_s)
    forward = steps[steps > 0]
    usual = forward[forward < 2 * np.median(forward)].mean() if len(forward) else 0.0
    return int(np.count_nonzero(np.abs(steps - usual) < _EVEN_SHARE * usual))


def _with_whole_turns(
    sequence: Int64Array, times_s: Float64Array, rate_hz: float, turn: int
) -> Int64Array:
    """The sequence with the whole turns of the counter that were lost in long pauses.

    No sample arrives before it is taken: whole turns are missing where even the earliest of
    the rows behind a pause are late by so much, against the earliest before it. Where the
    counter goes on by one the clock was set; a loss of whole turns and not a sample more looks
    the same, and is missed.
    """
    late_s = _late_s(sequence, times_s, rate_hz)
    turn_s = turn / rate_hz
    added = np.zeros(len(sequence), dtype=np.int64)
    for at in (np.flatnonzero(np.diff(late_s) > turn_s / 2) + 1).tolist():
        later_s = _later_s(late_s, at, rate_hz)
        # Else the clock was set forward, and the rows behind are as late as those before.
        if sequence[at] - sequence[at - 1] != 1:
            turns = max(0, round(later_s / turn_s))
            added[at:] += turns * turn
            later_s = turns * turn_s
        late_s[at:] -= later_s
    return sequence + added


def _late_s(sequence: Int64Array, times_s: Float64Array, rate_hz: float) -> Float64Array:
    """(kept,) how late each row came;
    where a clock was set back and the counter goes on, as if it was not.
    """
    late_s = times_s - sequence / rate_hz
    leaps_s = np.diff(late_s, prepend=late_s[:1])
    set_back = (np.diff(sequence, prepend=sequence[:1]) == 1) & (leaps_s < -_CLOCK_SET_S)
    return np.asarray(late_s - np.cumsum(np.where(set_back, leaps_s, 0.0)))


def _later_s(late_s: Float64Array, at: int, rate_hz: float) -> float:
    """By how much the earliest rows from `at` on are later than the earliest before it."""
    ahead = max(2, round(rate_hz * LOOK_AHEAD_S))
    return float(late_s[at : at + ahead].min() - late_s[max(0, at - ahead) : at].min())
