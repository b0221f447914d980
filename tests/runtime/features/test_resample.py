"""Resampling a stream against scipy.signal.resample_poly."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.signal as ss
from hypothesis import given, settings
from hypothesis import strategies as st

from emodict.errors import InputError
from emodict.features import resample
from emodict.features.resample import Resampler

# An output is the sum of at most 201 products (1000 Hz to 100), whose weights' sizes add up to less
# than 2, of samples below 5: in another order it differs by 201 times 2.2e-16 of 10.
ATOL = 1e-12
# The weights' own sum, by which they are divided,
# and the output are each rounded by 201 times 1.1e-16 of 2 at most.
CONSTANT_RTOL = 1e-13
ODD_RATES = [(300.1, 300), (63.9997, 100), (999.7, 4)]
RATES = [(64, 100), (256, 300), (250, 300), (500, 300), (512, 300), (1000, 100), (8, 4), (300, 299)]


def resampled(
    samples: np.ndarray, from_hz: float, to_hz: int, *, chunks: list[Any] | tuple[Any, ...] = ()
) -> np.ndarray:
    resampler = Resampler(from_hz, to_hz, channels=samples.shape[1])
    edges = [0, *np.cumsum(chunks), len(samples)]
    parts = [resampler.push(samples[a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_away_from_the_ends_it_is_resample_poly(from_hz: int, to_hz: int) -> None:
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    samples = np.random.default_rng(0).normal(size=(max(100, 40 * down), 2))
    got = resampled(samples, from_hz, to_hz)
    expected = ss.resample_poly(samples, up, down, axis=0)
    assert got.shape == expected.shape
    # scipy takes what lies beyond the ends for zero, we for the last sample:
    # within the filter's reach they differ.
    edge = math.ceil(10 * max(up, down) / down) + 1
    assert len(got) > 3 * edge
    # scipy's answer to a constant ripples by up to 1e-3; ours has that taken out.
    ripple = ss.resample_poly(np.ones_like(samples), up, down, axis=0)
    assert np.abs(ripple[edge:-edge] - 1).max() < 1e-3
    np.testing.assert_allclose(got[edge:-edge], (expected / ripple)[edge:-edge], rtol=0, atol=ATOL)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_constant_stays_that_constant_to_the_very_ends(from_hz: int, to_hz: int) -> None:
    got = resampled(np.full((2 * from_hz, 1), 7.0), from_hz, to_hz)
    assert len(got) == 2 * to_hz
    np.testing.assert_allclose(got, 7.0, rtol=CONSTANT_RTOL)


def test_a_slow_sine_comes_out_at_the_new_rate_in_phase() -> None:
    t_in, t_out = np.arange(64 * 10) / 64, np.arange(100 * 10) / 100
    got = resampled(np.sin(2 * np.pi * 1.3 * t_in)[:, None], 64, 100)[:, 0]
    # Pass-band ripple of the Kaiser design.
    np.testing.assert_allclose(got[100:-100], np.sin(2 * np.pi * 1.3 * t_out)[100:-100], atol=5e-3)


@settings(deadline=None, max_examples=200)
@given(
    st.floats(1.0, 4000.0),
    st.sampled_from([4.0, 100.0, 300.0]),
    st.floats(-1e-4, 1e-4),
    st.integers(1, 9),
)
def test_an_hour_of_samples_lies_where_the_rates_say(
    from_hz: float, to_hz: float, off: float, multiple: int
) -> None:
    # Any rate, and one next to a simple ratio, where a coarse fraction would take the simple one.
    for rate in (from_hz, to_hz * multiple * (1 + off), to_hz / multiple * (1 + off)):
        resampler = Resampler(rate, to_hz, channels=1)
        m = 3600 * Fraction(to_hz)
        expected = m * Fraction(rate) / Fraction(to_hz)
        assert abs(m * resampler.down / resampler.up / expected - 1) < 1e-6


@pytest.mark.parametrize("multiple", [1, 3])
@pytest.mark.parametrize("off", [1, -1])
def test_a_ratio_is_simple_where_that_is_right_to_a_millionth(multiple: int, off: int) -> None:
    near, far = (
        Resampler(100.0 * multiple * (1 + off * part), 100.0, channels=1)
        for part in (0.9e-6, 1.1e-6)
    )
    assert (near.up, near.down) == (1, multiple)
    assert far.up > 1000


@pytest.mark.parametrize(
    ("n", "up"),
    [
        # 1 + 1 / (m + 0.9) lies next to 1 + 1 / (m + 1); where that is too large,
        # 1 + 1 / m is right to a millionth.
        *((m + 0.9, m) for m in (1_000, 3_000, 10_000, 30_000, 100_000, 300_000)),
        # Next to 1 + 3 / 1500001, which is larger than a million.
        (500_000.3, 500_000),
    ],
)
def test_a_ratio_that_is_not_simple_is_looked_for_among_larger_and_larger_numbers(
    n: float, up: int
) -> None:
    resampler = Resampler(100 * (1 + 1 / n), 100.0, channels=1)
    assert (resampler.up, resampler.down) == (up, up + 1)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(1000.0, 1.0), (1.0, 1000.0)])
def test_rates_may_be_a_factor_of_1000_apart_and_no_more(from_hz: float, to_hz: float) -> None:
    resampler = Resampler(from_hz, to_hz, channels=1)
    assert (resampler.up, resampler.down) == (to_hz, from_hz)
    for further in ((from_hz * 1.001, to_hz), (from_hz, to_hz * 1.001)):
        if max(further) / min(further) > 1000:
            with pytest.raises(InputError, match="within a factor of 1000"):
                Resampler(*further, channels=1)


@pytest.mark.parametrize("from_hz", [300.1, 299.99, 250.037, 300.0011])
def test_a_rate_near_a_simple_ratio_keeps_a_sine_in_phase(from_hz: float) -> None:
    # Ten minutes: taking 300.1 Hz for 300 would have put the last sample 0.2 s away,
    # two periods of this sine.
    t_in = np.arange(round(from_hz * 600)) / from_hz
    got = resampled(np.sin(2 * np.pi * 10 * t_in)[:, None], from_hz, 300)[:, 0]
    t_out = np.arange(len(got)) / 300
    assert abs(len(got) - 600 * 300) <= 2
    # 600 s to 1e-6 is 0.6 ms, 0.038 rad of 10 Hz; the pass-band ripples by 5e-3.
    np.testing.assert_allclose(got[300:-300], np.sin(2 * np.pi * 10 * t_out)[300:-300], atol=0.045)


def test_output_by_output_is_the_block_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(4).normal(size=(900, 2))
    samples[400, 1] = np.nan
    for rates in RATES:
        blockwise = resampled(samples, *rates)
        with monkeypatch.context() as patch:
            patch.setattr(resample, "_LARGEST_MATRIX", 0)
            one_by_one = resampled(samples, *rates, chunks=[1, 0, 7, 300])
        np.testing.assert_allclose(one_by_one, blockwise, rtol=0, atol=ATOL)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(RATES + ODD_RATES), st.lists(st.integers(0, 90), max_size=12))
def test_chunks_of_any_size_give_the_samples_of_one_push(
    rates: tuple[float, ...], chunks: list[Any]
) -> None:
    samples = np.random.default_rng(1).normal(size=(sum(chunks) + 40, 2))
    once = resampled(samples, *rates)
    np.testing.assert_allclose(resampled(samples, *rates, chunks=chunks), once, rtol=0, atol=ATOL)


@pytest.mark.parametrize("seconds", [6, 12, 18])
def test_many_outputs_at_once_are_those_of_a_few_at_a_time(seconds: int) -> None:
    # Of weights of its own for each output, 68 here, some 1500 outputs' are made at once:
    # two, three and four times.
    samples = np.random.default_rng(5).normal(size=(1000 * seconds, 1))
    few = resampled(samples, 1000.01, 300, chunks=[500] * (2 * seconds))
    np.testing.assert_allclose(resampled(samples, 1000.01, 300), few, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
@pytest.mark.parametrize("count", [1, 2, 7, 31])
def test_as_many_samples_come_out_as_the_input_is_long(
    from_hz: int, to_hz: int, count: int
) -> None:
    assert len(resampled(np.ones((count, 1)), from_hz, to_hz)) == math.ceil(count * to_hz / from_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), [*RATES, (1000.01, 300)])
def test_an_output_waits_for_samples_up_to_ahead_s_beyond_it_and_no_further(
    from_hz: float, to_hz: int
) -> None:
    resampler = Resampler(from_hz, to_hz, channels=1)
    sent, waited_s = 0, []
    for latest in range(max(200, round(3 * from_hz))):
        ready = len(resampler.push(np.ones((1, 1))))
        waited_s += [latest / from_hz - (sent + i) / to_hz for i in range(ready)]
        sent += ready
    # To a sample; the times are seconds, and rounded to 1e-15.
    assert resampler.ahead_s - 1.001 / from_hz <= max(waited_s) <= resampler.ahead_s + 1e-9


def test_nothing_pushed_finishes_as_nothing() -> None:
    resampler = Resampler(64, 100, channels=3)
    assert resampler.push(np.empty((0, 3))).shape == (0, 3)
    assert resampler.finish().shape == (0, 3)


def test_one_sample_is_continued_as_itself() -> None:
    resampler = Resampler(64, 100, channels=1)
    assert len(resampler.push(np.array([[4.0]]))) == 0
    np.testing.assert_allclose(resampler.finish(), [[4.0], [4.0]], rtol=CONSTANT_RTOL)
    assert resampler.finish().shape == (0, 1)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(64, 100), (500, 300), (256, 300)])
def test_a_nan_reaches_as_far_as_the_filter_does_and_no_further(from_hz: int, to_hz: int) -> None:
    samples = np.random.default_rng(2).normal(size=(4 * from_hz, 2))
    clean = resampled(samples, from_hz, to_hz)
    at = 2 * from_hz
    samples[at, 0] = np.nan
    got = resampled(samples, from_hz, to_hz)
    time = np.arange(len(got)) / to_hz
    touched = np.isnan(got[:, 0])
    # In whole numbers of the upper rate: the filter's half length is ten periods of the lower one.
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    np.testing.assert_array_equal(
        touched, np.abs(np.arange(len(got)) * down - at * up) <= 10 * max(up, down)
    )
    # Half length of the filter: ten periods of the lower rate.
    assert np.abs(time[touched] - at / from_hz).max() <= 10 / min(from_hz, to_hz) + 1e-9
    assert touched[np.argmin(np.abs(time - at / from_hz))]
    np.testing.assert_allclose(got[~touched], clean[~touched], rtol=0, atol=ATOL)
    np.testing.assert_allclose(got[:, 1], clean[:, 1], rtol=0, atol=ATOL)


@pytest.mark.parametrize("from_hz", [0.0, -1.0, float("nan"), float("inf"), 1e6, 1e-3])
def test_what_is_no_rate_near_the_wanted_one_is_refused(from_hz: float) -> None:
    with pytest.raises(InputError, match="cannot be resampled"):
        Resampler(from_hz, 100.0, channels=1)
