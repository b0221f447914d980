"""Samples with times become an even clock, live as in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emodict.live.placing import Placer
from emodict.recording.grid import signal_blocks
from emodict.recording.recording import Signal

# What is interpolated is a sum of four products, together below 16 in size. In pieces of
# another size they may be added in another order: each of two sums is rounded four
# times, by half an epsilon.
INTERPOLATED = 4 * 16 * np.finfo(np.float64).eps


def placed(
    times_s: np.ndarray,
    values: np.ndarray,
    rate_hz: float,
    *,
    pieces: list[int] | tuple[int, ...] = (1000,),
    **options: Any,
) -> tuple[np.ndarray, Placer]:
    placer = Placer(rate_hz, 1, anchor_s=0.0, **options)
    out, start = [np.empty((0, 1))], 0
    while start < len(times_s):
        for piece in pieces:
            part = slice(start, start + piece)
            out.append(placer.place(values[part, None], times_s[part]))
            start += piece
    return np.concatenate(out)[:, 0], placer


def test_samples_on_the_clock_are_copied_at_once() -> None:
    times, values = np.arange(900) / 300, np.random.default_rng(0).standard_normal(900)
    out, placer = placed(times, values, 300.0, pieces=(1,))
    np.testing.assert_array_equal(out, values)
    assert placer.late == 0


@pytest.mark.parametrize("snapped", [False, True])
def test_the_live_clock_is_the_one_of_files(snapped: bool) -> None:
    """Jitter, drift, a hole: emodict.recording.grid, which reads whole files, is the oracle."""
    rng = np.random.default_rng(1)
    rate = 4.0 if snapped else 100.0
    times = np.arange(2000) / (rate * (1 + 5e-5)) + 0.3 / rate + rng.uniform(-0.1, 0.1, 2000) / rate
    times, values = (
        np.delete(times, slice(700, 730)),
        np.delete(rng.standard_normal(2000), slice(700, 730)),
    )
    modality = "gsr" if snapped else "ppg"
    signal = Signal(modality, rate, "uS", (modality,), values[:, None], timestamps_s=times)
    whole = np.concatenate(list(signal_blocks(signal, (modality,), block_s=1e6)))[:, 0]
    out, _ = placed(times, values, rate, pieces=(7, 1, 30), snapped=snapped)
    assert len(whole) - len(out) <= 2  # the last ticks wait for neighbours
    # Moved to a tick, a sample stays what it is.
    np.testing.assert_allclose(out, whole[: len(out)], rtol=0, atol=0 if snapped else INTERPOLATED)
    assert np.isnan(out).any()


@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(st.integers(1, 50), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_the_size_of_the_pieces_changes_nothing(pieces: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.5, 1.6, 400)) / 100
    values = rng.standard_normal(400)
    together, _ = placed(times, values, 100.0)
    apart, _ = placed(times, values, 100.0, pieces=pieces)
    np.testing.assert_allclose(apart, together, rtol=0, atol=INTERPOLATED)


def test_a_sine_between_the_ticks_is_interpolated() -> None:
    times = (np.arange(1000) + 0.37) / 300
    out, _ = placed(times, np.sin(2 * np.pi * 5 * times), 300.0, pieces=(10,))
    ticks = np.arange(len(out)) / 300
    # A cubic's error: (2 pi f / rate)^4 of the amplitude, about 1e-4 at 5 of 300 Hz.
    np.testing.assert_allclose(out[2:], np.sin(2 * np.pi * 5 * ticks)[2:], atol=2e-4)
    assert len(out) >= 998


@pytest.mark.parametrize("snapped", [False, True])
def test_what_comes_after_its_tick_is_left_out_and_counted(snapped: bool) -> None:
    placer = Placer(10.0, 1, anchor_s=0.0, snapped=snapped)
    placer.place(np.ones((5, 1)), np.arange(5) / 10)
    again = placer.place(np.full((4, 1), 2.0), np.arange(3, 7) / 10)
    np.testing.assert_array_equal(again[:, 0], [2.0, 2.0])
    assert placer.late == 2


def test_what_comes_before_the_anchor_is_late_only_where_it_was_waited_for() -> None:
    for missed, late in ((False, 0), (True, 10)):
        placer = Placer(10.0, 1, anchor_s=1.0, missed_before=missed)
        out = placer.place(np.arange(20.0)[:, None], np.arange(20) / 10)
        np.testing.assert_array_equal(out[:, 0], np.arange(10.0, 20.0))
        assert placer.late == late


def test_a_gap_is_missing_and_not_bridged() -> None:
    placer = Placer(10.0, 1, anchor_s=0.0)
    out = placer.place(np.arange(4.0)[:, None], np.array([0.0, 0.1, 0.5, 0.6]))
    np.testing.assert_array_equal(out[:, 0], [0, 1, np.nan, np.nan, np.nan, 2, 3])


@pytest.mark.parametrize("snapped", [False, True])
def test_where_nothing_is_known_yet_there_are_no_ticks_of_all_channels(snapped: bool) -> None:
    placer = Placer(8.0, 3, anchor_s=0.0, snapped=snapped)
    assert placer.place(np.empty((0, 3)), np.empty(0)).shape == (0, 3)
    placer.place(np.ones((4, 3)), np.arange(4) / 8)
    assert placer.place(np.ones((1, 3)), np.array([1 / 8])).shape == (0, 3)


@pytest.mark.parametrize("snapped", [False, True])
@pytest.mark.parametrize(
    ("missed_before", "periods", "late"), [(True, -0.5, 0), (True, -0.51, 1), (None, -0.51, 0)]
)
def test_half_a_period_before_the_anchor_a_sample_belongs_to_it(
    snapped: bool, missed_before: bool | None, periods: float, late: int
) -> None:
    options = {} if missed_before is None else {"missed_before": missed_before}
    placer = Placer(8.0, 1, anchor_s=1.0, snapped=snapped, **options)
    placer.place(np.ones((1, 1)), np.array([1 + periods / 8]))
    assert placer.late == late


@pytest.mark.parametrize("snapped", [False, True])
@pytest.mark.parametrize(("again", "late"), [(0.0, 1), (-0.5, 1), (1.0, 1), (-0.51, 0)])
def test_a_sample_that_comes_again_is_late_from_half_a_period_before_the_anchor_on(
    snapped: bool, again: float, late: int
) -> None:
    placer = Placer(8.0, 1, anchor_s=0.0, snapped=snapped)
    placer.place(np.ones((4, 1)), np.arange(4) / 8)
    placer.place(np.ones((1, 1)), np.array([again / 8]))
    assert placer.late == late


def test_a_tick_on_which_a_sample_lies_waits_for_no_other() -> None:
    # The sample just before tick 3 is its own; between ticks two later ones are waited for.
    out, _ = placed(np.array([0.3, 1.3, 2.3, 2.995, 3.3]), np.arange(5.0), 1.0)
    assert len(out) == 4
    assert out[3] == 3.0
    assert len(placed(np.array([0.3, 1.3, 2.3, 3.3]), np.arange(4.0), 1.0)[0]) == 3
