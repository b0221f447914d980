"""The limits of the live clock, each just inside and just outside;
all times are sums of powers of two, so exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from emodict.live.clock import CounterClock, SmoothClock, _median, _robust_line, counts_samples

RATE_HZ = 64.0
START_S = 1000.0
# With even stamps, the limit of a gap is half a period and nothing else.
HALF_PERIOD_S = 0.0078125


def even(first: int, count: int, *, late_s: float = 0.0, rate_hz: float = RATE_HZ) -> np.ndarray:
    """(count,) the stamps of samples number first, first + 1 and so on."""
    return START_S + (first + np.arange(count)) / rate_hz + late_s


def given(clock: SmoothClock, stamps: np.ndarray, pull: int = 16) -> np.ndarray:
    """The times, the stamps coming `pull` at a time."""
    return np.concatenate(
        [clock.times_s(stamps[at : at + pull]) for at in range(0, len(stamps), pull)]
    )


def settled(
    samples: int = 320,
    *,
    rate_hz: float = RATE_HZ,
    pull: int = 16,
    late: dict[int, float] | None = None,
) -> SmoothClock:
    """A clock after so many even stamps;
    those of `late` came so many seconds late, one sample at a time.
    """
    clock, stamps = SmoothClock(rate_hz), even(0, samples, rate_hz=rate_hz)
    for number, by_s in (late or {}).items():
        stamps[number] += by_s
    given(clock, stamps, pull)
    return clock


def approached(level_s: float, seconds: np.ndarray) -> np.ndarray:
    """How far a step of the line has been followed after so long:
    a time constant of half a second.
    """
    return level_s * (1 - np.exp(-seconds / 0.5))


# Gaps


@pytest.mark.parametrize(("seen", "noticed"), [(127, False), (128, True)])
def test_after_two_seconds_a_single_lost_sample_is_noticed_at_once(
    seen: int, noticed: bool
) -> None:
    clock = settled(seen, pull=1)
    assert clock.times_s(even(seen + 1, 1))[0] == START_S + (seen + noticed) / 64


@pytest.mark.parametrize(("lost", "noticed"), [(16, False), (17, True)])
def test_in_the_first_two_seconds_a_gap_is_believed_beyond_a_quarter_of_a_second(
    lost: int, noticed: bool
) -> None:
    clock = settled(64)
    time_s = clock.times_s(even(64 + lost, 1))[0]
    assert time_s == START_S + (64 + (lost if noticed else 0)) / 64


@pytest.mark.parametrize(("late_s", "noticed"), [(0.375, False), (0.3751, True)])
def test_of_a_slow_stream_a_first_gap_is_one_and_a_half_periods(
    late_s: float, noticed: bool
) -> None:
    clock = settled(4, rate_hz=4.0, pull=1)
    time_s = clock.times_s(even(4, 1, rate_hz=4.0, late_s=late_s))[0]
    # 1.5 periods are no whole number: the clock begins anew there.
    assert time_s == pytest.approx(START_S + 1 + (late_s if noticed else 0), abs=1e-9)


@pytest.mark.parametrize(("early_s", "noticed"), [(0.25, False), (0.2501, True)])
def test_stamps_that_run_back_by_as_much_are_noticed_too(early_s: float, noticed: bool) -> None:
    clock = settled(64)
    times_s = clock.times_s(even(64, 32, late_s=-early_s))
    # They lie before what was given out, for 16 samples;
    # those that do not move are late by as much as they say.
    assert np.isnan(times_s[:16]).all() == noticed
    assert np.isfinite(times_s[17:]).all()


@pytest.mark.parametrize("was_late_s", [0.125, -0.125])
@pytest.mark.parametrize(("beyond_s", "noticed"), [(0.0, False), (1e-9, True)])
def test_a_known_stream_that_was_late_or_early_is_given_five_quarters_of_it_and_half_a_period(
    beyond_s: float, noticed: bool, was_late_s: float
) -> None:
    # Lateness of 1/8 s has been seen: 1/128 + 5/4 * 1/8.
    clock = settled(late={200: was_late_s})
    late_s = 0.1640625 + beyond_s
    time_s = clock.times_s(even(320, 1, late_s=late_s))[0]
    # 10.5 periods: no whole number.
    assert time_s == pytest.approx(START_S + 5 + (late_s if noticed else 0), abs=1e-9)


@pytest.mark.parametrize(("number", "noticed"), [(320, False), (321, True)])
def test_lateness_is_forgotten_two_stretches_of_two_and_a_half_seconds_later(
    number: int, noticed: bool
) -> None:
    # Late in the first 160 samples; those up to 320 are judged by them, too.
    clock = settled(number, pull=1, late={100: 0.125})
    assert clock.times_s(even(number + 1, 1))[0] == START_S + (number + noticed) / 64


@pytest.mark.parametrize(("number", "noticed"), [(16, False), (17, True)])
def test_a_stretch_has_eight_samples_at_least(number: int, noticed: bool) -> None:
    clock = settled(number, pull=1, rate_hz=1.0, late={2: 1.0})
    # The late sample pulled the line by a few 1e-7 s.
    assert clock.times_s(even(number + 1, 1, rate_hz=1.0))[0] == pytest.approx(
        START_S + number + noticed, abs=1e-6
    )


@pytest.mark.parametrize(("seen", "noticed"), [(3, False), (4, True)])
def test_four_samples_are_known_at_least(seen: int, noticed: bool) -> None:
    clock = settled(seen, pull=1, rate_hz=1.0)
    assert clock.times_s(even(seen + 1, 1, rate_hz=1.0))[0] == START_S + seen + noticed


@pytest.mark.parametrize(
    ("periods", "whole"), [(3.25, True), (3.2501, False), (2.75, True), (2.7499, False)]
)
def test_a_gap_within_a_quarter_of_whole_periods_is_whole(periods: float, whole: bool) -> None:
    clock = settled()
    time_s = clock.times_s(even(320, 1, late_s=periods / 64))[0]
    assert (time_s - START_S) * 64 == pytest.approx(320 + (3 if whole else periods), abs=1e-6)


@pytest.mark.parametrize(("periods", "whole"), [(127.875, True), (128.125, False)])
def test_a_gap_of_more_than_two_seconds_need_not_be_whole(periods: float, whole: bool) -> None:
    clock = settled()
    time_s = clock.times_s(even(320, 1, late_s=periods / 64))[0]
    assert (time_s - START_S) * 64 == pytest.approx(320 + (128 if whole else periods), abs=1e-6)


@pytest.mark.parametrize(("lost", "anew"), [(128, False), (129, True)])
def test_after_a_gap_of_more_than_two_seconds_the_line_is_a_new_one(lost: int, anew: bool) -> None:
    clock = settled()
    given(clock, even(320 + lost, 16))
    # A block that is a little late moves a long line by nothing,
    # and a line of one block by half of it.
    times_s = given(clock, even(336 + lost, 16, late_s=0.004))
    expected = approached(0.002 if anew else 0.0, np.arange(16) / 64)
    # The slope, held back by its prior: 0.125 * 0.004 / (1.4826 * 0.002 / 1e-3)^2 = 6e-5,
    # over a quarter of a second.
    np.testing.assert_allclose(times_s - even(336 + lost, 16), expected, rtol=0, atol=2e-5)


def test_a_gap_within_a_pull_begins_at_its_first_late_sample_and_a_second_one_is_found_too() -> (
    None
):
    clock = settled()
    stamps = np.concatenate([even(320, 3), even(325, 4), even(339, 5), even(344, 4)])
    np.testing.assert_array_equal(clock.times_s(stamps), stamps)


def test_one_sample_between_two_gaps_tells_the_length_of_the_first() -> None:
    stamps = np.concatenate([even(322, 1), even(330, 3)])
    np.testing.assert_array_equal(settled().times_s(stamps), stamps)


def test_stamps_that_differ_by_the_limit_tell_of_one_gap() -> None:
    # 3.1875 and 3.6875 periods: the middle is no whole number, and 3.1875 alone would be one.
    stamps = even(320, 2) + np.array([3.1875, 3.6875]) / 64
    assert (settled().times_s(stamps)[0] - START_S) * 64 == pytest.approx(323.4375, abs=1e-6)


def test_a_sample_that_is_late_while_the_next_is_in_time_leaves_no_gap() -> None:
    clock, stamps = settled(), even(320, 8)
    stamps[3] += 0.2
    np.testing.assert_array_equal(clock.times_s(stamps), even(320, 8))


def test_while_some_samples_of_a_pull_are_early_and_others_in_time_nothing_has_run_back() -> None:
    clock, stamps = settled(), even(320, 8)
    stamps[:5] -= 0.2
    np.testing.assert_array_equal(clock.times_s(stamps), even(320, 8))


def test_a_sample_that_is_late_by_the_limit_lies_before_the_gap() -> None:
    clock = settled()
    stamps = np.concatenate([even(320, 1, late_s=HALF_PERIOD_S), even(324, 4)])
    np.testing.assert_array_equal(
        clock.times_s(stamps), np.concatenate([even(320, 1), even(324, 4)])
    )


def test_a_stamp_that_comes_again_has_no_time_and_the_next_has() -> None:
    clock = settled()
    for _ in range(2):
        assert math.isnan(clock.times_s(even(319, 1))[0])
    assert clock.times_s(even(320, 1))[0] == even(320, 1)[0]


def test_the_length_of_a_gap_is_the_middle_of_what_the_samples_after_it_say() -> None:
    clock = settled(late={200: 0.125})
    # Twelve are lost, and two of the five that follow are late by two periods.
    stamps = even(332, 5) + np.array([0, 2, -1, 2, 0]) / 64
    np.testing.assert_array_equal(clock.times_s(stamps), even(332, 5))


# Bursts


def burst(first: int, count: int) -> np.ndarray:
    """Samples that come together, all stamped with the time of the last."""
    return np.full(count, even(first + count - 1, 1)[0])


@pytest.mark.parametrize(("count", "bursts"), [(7, False), (8, True)])
def test_eight_samples_are_needed_to_tell_bursts(count: int, bursts: bool) -> None:
    times_s = SmoothClock(RATE_HZ).times_s(burst(0, count))
    # A burst ends at its stamp; stamps that jitter are the middle of their samples.
    early_s = 0.0 if bursts else (count - 1) / 2 / 64
    np.testing.assert_allclose(times_s, even(0, count, late_s=early_s), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("count", "bursts"), [(2, False), (3, True)])
def test_bursts_are_told_by_more_than_half_of_the_steps(count: int, bursts: bool) -> None:
    times_s = SmoothClock(RATE_HZ).times_s(
        np.concatenate([burst(first, count) for first in range(0, 12, count)])
    )
    # One of two steps in pairs, two of three in threes.
    early_s = 0.0 if bursts else 0.5 / 64
    np.testing.assert_allclose(times_s, even(0, 12, late_s=early_s), rtol=0, atol=1e-9)


def test_bursts_are_told_whether_they_come_together_or_not() -> None:
    times_s = given(
        SmoothClock(RATE_HZ),
        np.concatenate([burst(first, 8) for first in range(0, 320, 8)]),
        pull=1,
    )
    # Each ends at its stamp; taken for jitter they would end 3.5 periods after it.
    np.testing.assert_allclose(times_s[-64:], even(256, 64), rtol=0, atol=0.5 / 64)


@pytest.mark.parametrize(("step", "bursts"), [(1, False), (0.999, True)])
def test_steps_below_a_tenth_of_a_period_make_a_burst(step: float, bursts: bool) -> None:
    # At 102.4 Hz a tenth of a period is 1/1024 s to the last bit.
    stamps = START_S + step * np.arange(16) / 1024
    times_s = SmoothClock(102.4).times_s(stamps)
    offsets_s = stamps - np.arange(16) / 102.4
    expected = np.arange(16) / 102.4 + (
        offsets_s[-1] if bursts else (offsets_s[7] + offsets_s[8]) / 2
    )
    np.testing.assert_allclose(times_s, expected, rtol=0, atol=1e-9)
    one_by_one = SmoothClock(102.4)
    given(one_by_one, stamps, pull=1)
    assert one_by_one._recent.bursts == bursts


@pytest.mark.parametrize(("late_bursts", "learned"), [(7, False), (8, True)])
def test_a_stream_of_bursts_is_learned_from_by_the_second(late_bursts: int, learned: bool) -> None:
    clock = SmoothClock(RATE_HZ)
    # Four seconds are fitted at every burst.
    given(clock, np.concatenate([burst(first, 8) for first in range(0, 256, 8)]), pull=8)
    late = np.concatenate(
        [burst(first, 8) + 0.004 for first in range(256, 256 + 8 * late_bursts, 8)]
    )
    off_s = given(clock, late, pull=8) - even(256, len(late))
    assert (np.abs(off_s).max() > 1e-8) == learned


def test_samples_lost_between_bursts_are_those_before_the_last_of_the_next() -> None:
    clock = SmoothClock(RATE_HZ)
    given(clock, np.concatenate([burst(first, 8) for first in range(0, 480, 8)]), pull=8)
    # Stamps have been late by up to 7 periods: 0.5 + 1.25 * 7 are not noticed, 16 are.
    np.testing.assert_allclose(clock.times_s(burst(496, 8)), even(496, 8), rtol=0, atol=1e-9)


# The line


@pytest.mark.parametrize(("late_samples", "learned"), [(15, False), (16, True)])
def test_a_line_of_four_blocks_is_learned_from_by_the_quarter_of_a_second(
    late_samples: int, learned: bool
) -> None:
    clock = settled(64)
    stamps = even(64, late_samples, late_s=0.004)
    clock.times_s(stamps[:-2])
    # The first sample of a call goes on where the line was,
    # those after it approach what was learned.
    off_s = clock.times_s(stamps[-2:]) - (stamps[-2:] - 0.004)
    assert (np.abs(off_s) > 1e-9).tolist() == [False, learned]


@pytest.mark.parametrize(("blocks", "learned"), [(3, True), (4, False)])
def test_a_line_of_less_than_four_blocks_is_learned_from_at_every_call(
    blocks: int, learned: bool
) -> None:
    clock = settled(16 * blocks)
    off_s = clock.times_s(even(16 * blocks, 8, late_s=0.004)) - even(16 * blocks, 8)
    assert (np.abs(off_s).max() > 1e-9) == learned


@pytest.mark.parametrize(("late_s", "jumped"), [(0.599, False), (0.601, True)])
def test_a_line_that_moves_is_approached_but_beyond_three_tenths_of_a_second_jumped_to(
    late_s: float, jumped: bool
) -> None:
    clock = settled(1, rate_hz=1.0)
    # A line through two samples goes through the middle between them.
    time_s = clock.times_s(even(1, 1, rate_hz=1.0, late_s=late_s))[0]
    assert time_s == pytest.approx(START_S + 1 + (late_s / 2 if jumped else 0), abs=1e-5)


@pytest.mark.parametrize("first_s", [0.0, -0.2])
def test_a_line_that_moves_is_approached_with_half_a_second(first_s: float) -> None:
    # Wherever the first stamp lay, from which all others are counted.
    clock = settled(16, late={0: first_s})
    off_s = clock.times_s(even(16, 16, late_s=0.02)) - even(16, 16)
    np.testing.assert_allclose(off_s, approached(0.01, np.arange(16) / 64), rtol=0, atol=5e-6)


def beside(blocks_before: int, blocks_beside: int, late_s: float) -> tuple[SmoothClock, np.ndarray]:
    """(clock, (samples,) how far its times moved)
    of a clock that has seen one sample 0.2 s late: no gap is short.
    """
    clock = settled(16 * blocks_before, late={16 * blocks_before - 8: 0.2})
    first, count = 16 * blocks_before, 16 * blocks_beside
    return clock, given(clock, even(first, count, late_s=late_s)) - even(first, count)


@pytest.mark.parametrize("late_s", [0.02, -0.02])
@pytest.mark.parametrize(("blocks", "moved"), [(3, False), (4, True)])
def test_four_blocks_in_a_row_beside_the_line_move_it(
    blocks: int, moved: bool, late_s: float
) -> None:
    _, off_s = beside(20, blocks, late_s)
    expected = np.zeros(16 * blocks)
    if moved:
        expected[-16:] = approached(late_s, np.arange(16) / 64)
    # Three blocks beside a line pull at it with 1.5e-6 s each,
    # Huber's weight of a line without noise.
    np.testing.assert_allclose(off_s, expected, rtol=0, atol=5e-6)


def test_a_drifting_line_is_moved_along_its_slope() -> None:
    clock, n = SmoothClock(RATE_HZ), np.arange(24 * 16)
    drifting = START_S + n / 64 * (1 + 2**-11)
    stamps = drifting + np.where(n >= 320, 0.02, 0.0)
    # No gap is short, as in `beside`.
    stamps[312] += 0.2
    off_s = given(clock, stamps) - drifting
    # As above, and 5e-4 of the 0.4 s between the blocks' middle and the
    # newest sample would be 2e-4.
    np.testing.assert_allclose(off_s[-16:], approached(0.02, np.arange(16) / 64), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("late_s", "moved"), [(0.0077, False), (0.0079, True)])
def test_beside_the_line_is_more_than_half_a_period_off(late_s: float, moved: bool) -> None:
    _, off_s = beside(20, 4, late_s)
    assert (np.abs(off_s).max() > 1e-3) == moved


# What the three blocks before pulled at the line, with those behind it few or many,
# five time constants later.
@pytest.mark.parametrize(("blocks", "atol"), [(8, 1e-6), (20, 5e-8)])
def test_a_line_of_more_than_eight_blocks_that_was_moved_lies_through_the_last_four_alone(
    blocks: int, atol: float
) -> None:
    clock, _ = beside(blocks, 4, 0.02)
    assert clock._line is not None
    assert len(clock._line._blocks) == 4
    first = 16 * (blocks + 4)
    off_s = given(clock, even(first, 192, late_s=0.02)) - even(first, 192)
    # The first sample of the last of the four was a quarter of a second before.
    expected = approached(0.02, (np.arange(192) + 16) / 64)
    np.testing.assert_allclose(off_s[160:], expected[160:], rtol=0, atol=atol)


def test_beside_a_noisy_line_is_more_than_three_times_its_scale() -> None:
    # Blocks that are 4 ms early and late in turn have a scale of 1.4826 * 4 ms,
    # and three times it is 17.8 ms.
    for late_s, moved in ((0.0165, False), (0.0195, True)):
        clock = SmoothClock(RATE_HZ)
        for block in range(100):
            clock.times_s(even(16 * block, 16, late_s=0.004 * (-1) ** block))
        off_s = given(clock, even(1600, 64, late_s=late_s)) - even(1600, 64)
        assert (off_s[-1] > 0.004) == moved


def test_a_line_goes_through_the_blocks_of_the_last_thirty_seconds() -> None:
    clock = SmoothClock(RATE_HZ)
    # Blocks of 23 samples, known by the middle one:
    # 11 + 83 * 23 samples before the last are 30 s exactly.
    given(clock, even(0, 23 * 120), pull=23)
    assert clock._line is not None
    assert len(clock._line._blocks) == 84
    assert clock._line._blocks[0].number == 36 * 23 + 11


def test_the_slope_of_a_line_is_small_until_the_stamps_prove_it() -> None:
    x = np.linspace(-1, 1, 9)
    # Ten milliseconds early and late in turn, the same on both sides,
    # and a slope far below what they prove.
    y = 0.01 * np.array([1, -1, 1, -1, 0, -1, 1, -1, 1]) + 1e-5 * x
    level, slope, scale = _robust_line(x, y, 0.0)
    # Least squares and a normal prior of 0.001:
    # sum x^2 = 3.75 against (1.4826 * 0.01 / 0.001)^2 = 219.8.
    # The slope moves the scale by 1e-5 of 0.01.
    assert slope == pytest.approx(1e-5 * 3.75 / (3.75 + 219.8), rel=5e-3)
    assert scale == pytest.approx(0.014826, rel=2e-3)
    assert level == pytest.approx(0.0, abs=1e-6)


def test_a_line_without_noise_is_found_with_a_scale_of_a_microsecond() -> None:
    x = np.linspace(3, 5, 9)
    level, slope, scale = _robust_line(x, 0.25 + 0.5 * x, 0.5)
    assert scale == 1e-6
    # The prior of 0.001 holds a slope of 0.5 back by 1e-6 of the sum of
    # squares, 3.75 (1e-6 / 0.001)^2.
    assert (level, slope) == (pytest.approx(0.25, abs=2e-6), pytest.approx(0.5, abs=4e-7))


def test_what_lies_far_beside_a_line_pulls_at_it_with_one_and_a_half_times_its_scale() -> None:
    x = np.linspace(-1, 1, 41)
    noise_s = 1e-5
    # Alike on both sides, so without a slope; the two ends lie 10 ms off, one early and one late.
    y = noise_s * np.where(np.arange(41) % 2, 1.0, -1.0)
    y[20], y[0], y[-1] = 0.0, -0.01, 0.01
    _, slope, _ = _robust_line(x, y, 0.0)
    # Each end pulls with 1.5 * 1.4826e-5 at a distance of 1,
    # against the sum of the squares of the others.
    inner = float((x[1:-1] ** 2).sum())
    # Which the slope's own rest, 0.3 of it, blurs.
    assert slope == pytest.approx(2 * 1.5 * 1.4826e-5 / inner, rel=0.05)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_the_median_is_numpys(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    assert _median(values) == pytest.approx(np.median(values), rel=1e-15)


# Counters


def counting(last: int, *, turn: int | None = None, late_s: float = 0.0) -> CounterClock:
    """A clock that has counted 320 samples evenly, up to the value `last`, one of them late.

    Its gaps are told to three periods where none was late,
    and else to 1.25 (0.5 + 1.25 late_s 64) periods.
    """
    clock, values, stamps = CounterClock(RATE_HZ), last - 319 + np.arange(320), even(0, 320)
    values = values if turn is None else values % turn
    stamps[200] += late_s
    times_s = [
        clock.counted_times_s(stamps[n : n + 16], values[n : n + 16]) for n in range(0, 320, 16)
    ]
    np.testing.assert_allclose(np.concatenate(times_s), even(0, 320), rtol=0, atol=1e-9)
    return clock


def step(clock: CounterClock, value: int, elapsed: float) -> float:
    """How many periods after the last of 320 samples one is placed,
    whose stamp comes `elapsed` periods after it.
    """
    time_s = clock.counted_times_s(even(319, 1, late_s=elapsed / 64), np.array([value]))[0]
    return float((time_s - START_S) * 64 - 319)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_samples_lost_while_a_counter_of_few_bits_wraps_are_counted(bits: int) -> None:
    turn = 1 << bits
    # 12 more than the last; the stamps, which are 11 apart,
    # are what a new count would be placed by.
    assert step(counting(turn - 5), 7, 11.0) == pytest.approx(12, abs=1e-6)


@pytest.mark.parametrize(("bits", "fewer"), [(16, 8), (24, 16), (32, 24)])
def test_a_counter_of_many_bits_that_has_wrapped_is_not_taken_for_one_of_fewer(
    bits: int, fewer: int
) -> None:
    # One more than before, and late by a whole turn of the smaller one.
    assert step(counting(3, turn=1 << bits), 4, float(1 << fewer)) == pytest.approx(1, abs=1e-6)


def test_samples_lost_while_a_counter_wraps_where_it_has_wrapped_before_are_counted() -> None:
    assert step(counting(80, turn=100), 30, 49.0) == pytest.approx(50, abs=1e-6)
    assert step(counting(80, turn=100), 30, 149.0) == pytest.approx(150, abs=1e-6)


@pytest.mark.parametrize(
    ("ahead", "elapsed"),
    [
        (1, 1.0),
        (1, 257.0),
        (1, 300.0),
        (1, -40.0),
        (1, -255.0),
        (40, 37.0),
        (40, 400.0),
        (2, -1.0),
        (4, 1.0),
    ],
)
def test_a_counter_that_goes_on_is_believed_however_late_the_stamps_are(
    ahead: int, elapsed: float
) -> None:
    assert step(counting(200), 200 + ahead, elapsed) == pytest.approx(ahead, abs=1e-6)


# Half a period is the least; the step before the first sample of a new count is one.
@pytest.mark.parametrize(
    ("ahead", "elapsed", "placed"),
    [(40, 36.9, 36.9), (450, 2.0, 2.0), (450, 1.0, 1.0), (450, 0.5, 1.0)],
)
def test_a_counter_that_jumps_further_than_the_stamps_has_begun_anew(
    ahead: int, elapsed: float, placed: float
) -> None:
    assert step(counting(200), 200 + ahead, elapsed) == pytest.approx(placed, abs=1e-6)


@pytest.mark.parametrize(
    ("back", "elapsed", "old"),
    [
        (0, 256.0, True),
        (0, 300.0, True),
        (2, 1.0, True),
        (2, 1.1, False),
        (1, -4.0, True),
        (1, 2.1, False),
    ],
)
def test_a_counter_that_runs_back_by_what_the_stamps_allow_tells_of_an_old_sample(
    back: int, elapsed: float, old: bool
) -> None:
    assert math.isnan(step(counting(200), 200 - back, elapsed)) == old


@pytest.mark.parametrize(
    ("value", "elapsed", "placed"),
    [
        # One more than the last: a whole turn is lost where the stamps say so to three periods.
        (201, 1.0, 1),
        (201, 252.9, 1),
        (201, 253.9, 1),
        (201, 254.0, 257),
        (201, 256.5, 257),
        (201, 260.0, 257),
        (201, 260.1, 1),
        (201, 512.0, 513),
        (200, 256.0, 256),
        (200, 253.0, 256),
        # 44 more, and with a turn 300.
        (244, 41.0, 44),
        (244, 47.0, 44),
        (244, 40.9, 40.9),
        (244, 48.0, 44),
        (244, 255.9, 44),
        (244, 256.0, 256),
        (244, 296.9, 296.9),
        (244, 297.0, 300),
        (244, 303.0, 300),
        (244, 303.1, 303.1),
        # The wrap itself.
        (3, 59.0, 59),
        (3, 150.0, 59),
    ],
)
def test_of_a_counter_that_has_wrapped_turns_are_added_where_the_stamps_say(
    value: int, elapsed: float, placed: float
) -> None:
    assert step(counting(200, turn=256), value, elapsed) == pytest.approx(placed, abs=1e-6)


def test_a_counter_that_wraps_to_the_next_value_goes_on_however_late_the_stamps_are() -> None:
    assert step(counting(255, turn=256), 0, 150.0) == pytest.approx(1, abs=1e-6)


def test_a_counter_wraps_beyond_all_its_values() -> None:
    # 256 was a value: it is one of 257, and 101 samples on.
    assert step(counting(256), 100, 100.0) == pytest.approx(101, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "elapsed", "placed"), [(194, 49.375, 250), (194, 100.0, 250), (200, 150.0, 256)]
)
def test_where_stamps_tell_less_than_a_turn_a_counter_goes_forward(
    value: int, elapsed: float, placed: int
) -> None:
    # Late by 2 s: 200.625 periods. 250 periods on and 6 back are the same value;
    # the same value is a whole turn.
    clock = counting(200, turn=256, late_s=2.0)
    assert step(clock, value, elapsed) == pytest.approx(placed, abs=1e-6)


@pytest.mark.parametrize(("value", "elapsed"), [(200, 0.5), (200, 252.9), (156, -44.0), (198, 1.0)])
def test_of_a_counter_that_has_wrapped_old_samples_are_told(value: int, elapsed: float) -> None:
    assert math.isnan(step(counting(200, turn=256), value, elapsed))


def test_samples_of_a_counter_that_come_late_together_are_judged_by_the_least_late() -> None:
    clock, stamps = counting(200, turn=256), even(320, 8)
    stamps[:-1] += 256 / 64
    np.testing.assert_array_equal(clock.counted_times_s(stamps, 201 + np.arange(8)), even(320, 8))


def test_a_sample_that_comes_twice_in_a_pull_is_none_a_turn_later_however_late_it_is() -> None:
    clock, stamps = counting(200, turn=256), even(320, 4)[[0, 0, 1, 2]]
    stamps[1] += 256 / 64
    times_s = clock.counted_times_s(stamps, np.array([201, 201, 202, 203]))
    np.testing.assert_array_equal(times_s, [even(320, 1)[0], np.nan, *even(321, 2)])
    last = clock.counted_times_s(even(323, 2) + np.array([0, 255 / 64]), np.array([204, 204]))
    np.testing.assert_array_equal(last, [even(323, 1)[0], np.nan])


def test_a_jump_of_a_counter_within_a_pull_is_held_against_the_stamps() -> None:
    # Ten more, and one period later.
    times_s = counting(200).counted_times_s(even(320, 4), np.array([201, 202, 212, 213]))
    np.testing.assert_allclose(times_s, even(320, 4), rtol=0, atol=1e-9)


@pytest.mark.parametrize("again", [(31,), (30,), (30, 31), (16, 17, 18)])
def test_nothing_is_learned_from_samples_that_come_again(again: tuple[int, ...]) -> None:
    clock = CounterClock(RATE_HZ)
    for n in range(0, 32, 16):
        clock.counted_times_s(even(n, 16), n + np.arange(16))
    old = np.array(again)
    # Later than they were, and so soon after the start that all is learned from.
    assert np.isnan(clock.counted_times_s(START_S + old / 64 + 0.2, old)).all()
    np.testing.assert_allclose(
        clock.counted_times_s(even(32, 16), 32 + np.arange(16)), even(32, 16), rtol=0, atol=1e-9
    )


def test_of_samples_that_come_together_only_those_are_learned_from_that_are_new() -> None:
    clock = CounterClock(RATE_HZ)
    clock.counted_times_s(even(0, 16), np.arange(16))
    numbers = np.array([16, 17, 17, 16, 18, 18])
    stamps = START_S + numbers / 64 + np.array([0, 0, 0.2, 0.2, 0, 0.2])
    expected = np.where(np.array([1, 1, 0, 0, 1, 0]), START_S + numbers / 64, np.nan)
    np.testing.assert_allclose(clock.counted_times_s(stamps, numbers), expected, rtol=0, atol=1e-9)


def test_a_counter_may_begin_with_a_single_sample() -> None:
    assert CounterClock(RATE_HZ).counted_times_s(even(0, 1), np.array([77]))[0] == START_S


def test_a_counter_that_has_begun_anew_has_no_turn_any_more() -> None:
    clock = counting(200, turn=256)
    for n in range(0, 160, 16):
        times_s = clock.counted_times_s(even(349 + n, 16), 50 + n + np.arange(16))
        np.testing.assert_allclose(times_s, even(349 + n, 16), rtol=0, atol=1e-9)
    # With a turn of 256 a sample that is 256 periods late would be one of the next.
    time_s = clock.counted_times_s(even(764, 1), np.array([210]))[0]
    assert time_s == pytest.approx(even(509, 1)[0], abs=1e-9)


@pytest.mark.parametrize(("elapsed", "anew"), [(3.0, False), (4.0, True)])
def test_a_counter_that_begins_anew_within_three_periods_keeps_its_line(
    elapsed: float, anew: bool
) -> None:
    clock = counting(200)
    assert step(clock, 650, elapsed) == pytest.approx(elapsed, abs=1e-6)
    # Four milliseconds late: a new line of one sample follows, the old one of 20 blocks does not.
    stamps = even(320, 15, late_s=elapsed / 64 + 0.004)
    off_s = clock.counted_times_s(stamps, 651 + np.arange(15)) - (stamps - 0.004)
    assert (off_s[-1] > 1e-4) == anew


def test_before_two_seconds_a_counter_is_held_against_the_stamps_with_twenty_periods() -> None:
    for ahead, placed in ((21, 21.0), (22, 1.0)):
        clock = CounterClock(RATE_HZ)
        clock.counted_times_s(even(0, 64), np.arange(64))
        # 1.25 * 0.25 s of 64 Hz.
        time_s = clock.counted_times_s(even(63, 1, late_s=1 / 64), np.array([63 + ahead]))[0]
        assert (time_s - START_S) * 64 - 63 == pytest.approx(placed, abs=1e-6)


def test_no_samples_have_no_times() -> None:
    assert len(SmoothClock(RATE_HZ).times_s(np.empty(0))) == 0
    assert len(CounterClock(RATE_HZ).counted_times_s(np.empty(0), np.empty(0))) == 0


@pytest.mark.parametrize(
    ("counter", "counts"),
    [
        ([1, 2, 3, 3, 3], False),
        ([1, 2, 3, 4, 4], True),
        ([5, 6, 7], True),
        ([1, 2, 3, 4, np.nan], False),
    ],
)
def test_a_counter_of_samples_grows_by_one_in_more_than_half_of_its_steps(
    counter: list[Any], counts: bool
) -> None:
    assert counts_samples(np.array(counter)) == counts
