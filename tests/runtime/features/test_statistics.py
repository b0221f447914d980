"""The 27 and 28 statistics against numpy and scipy, one window at a time,
and against their closed forms.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.signal as ss
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emodict.features.spec import load_spec
from emodict.features.statistics import WindowStatistics

# 500 terms of size 1 add up to 500, and in whatever order,
# that is rounded by 500 times 1.1e-16 of it at most: 3e-11.
ATOL = 1e-10


def literal(x: np.ndarray, *, rate_hz: float | None = None) -> dict[str, float]:
    """Name -> value by the definitions;
    the fft statistics are numpy's own of the complex spectrum.
    """
    out = {}
    for name, series in (("x", x), ("d1", np.diff(x)), ("d2", np.diff(np.diff(x)))):
        out |= {
            f"{name}_median": np.median(series),
            f"{name}_mean": np.mean(series),
            f"{name}_std": np.std(series),
            f"{name}_min": np.min(series),
            f"{name}_max": np.max(series),
            f"{name}_minratio": sum(v == min(series) for v in series) / len(series),
            f"{name}_maxratio": sum(v == max(series) for v in series) / len(series),
        }
    spectrum = np.fft.fft(x)
    out |= {
        "fft_median": np.median(spectrum).real,
        "fft_mean": np.mean(spectrum).real,
        "fft_std": np.std(spectrum).real,
        "fft_min": np.min(spectrum).real,
        "fft_max": np.max(spectrum).real,
        "fft_range": (np.max(spectrum) - np.min(spectrum)).real,
    }
    if rate_hz is not None:
        out["psd_mean"] = ss.welch(x, fs=rate_hz, nperseg=min(256, len(x)))[1].mean()
    return out


def in_order(values: dict[str, float], names: tuple[str, ...]) -> list[float]:
    assert set(values) == set(names)
    return [values[name] for name in names]


def test_the_28_of_gsr_are_their_definitions() -> None:
    gsr = load_spec("emodict-1").modality("gsr")
    windows = 2 + 0.01 * np.random.default_rng(0).integers(-5, 6, size=(9, 20))
    got = WindowStatistics(gsr).values(windows)
    expected = [in_order(literal(window, rate_hz=4.0), gsr.feature_names) for window in windows]
    np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


def test_the_27_of_ppg_are_their_definitions_after_a_zero_phase_filter_inside_the_window() -> None:
    ppg = load_spec("emodict-1").modality("ppg")
    windows = np.cumsum(np.random.default_rng(1).normal(size=(6, 500)), axis=1) + 1000
    got = WindowStatistics(ppg).values(windows)
    sos = ss.butter(3, [0.5, 8], btype="bandpass", fs=100, output="sos")
    expected = [
        in_order(literal(ss.sosfiltfilt(sos, window)), ppg.feature_names) for window in windows
    ]
    # scipy filters 1000 + x, we multiply by matrices whose rows all but cancel the mean: 1e-12 of
    # 1000, times the 22 of a norm over 500 samples.
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("samples", [255, 256, 257, 258, 300, 501])
@pytest.mark.parametrize("ties", [True, False])
def test_windows_longer_than_numpy_sorts_at_once_have_the_same_27(samples: int, ties: bool) -> None:
    ppg = dataclasses.replace(
        load_spec("dmer-2024").modality("ppg"), rate_hz=float(samples), window_s=1.0
    )
    drawn = np.random.default_rng(samples).normal(scale=3, size=(5, samples))
    windows = np.round(drawn) if ties else drawn
    got = WindowStatistics(ppg).values(windows)
    expected = [in_order(literal(window), ppg.feature_names) for window in windows]
    np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


def test_the_27_of_the_release_are_not_filtered_inside_the_window() -> None:
    ppg = load_spec("dmer-2024").modality("ppg")
    windows = np.random.default_rng(2).normal(size=(4, 500))
    got = WindowStatistics(ppg).values(windows)
    expected = [in_order(literal(window), ppg.feature_names) for window in windows]
    np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


def test_overlapping_views_give_what_copies_give() -> None:
    gsr = WindowStatistics(load_spec("emodict-1").modality("gsr"))
    samples = np.random.default_rng(3).normal(size=60)
    views = np.lib.stride_tricks.sliding_window_view(samples, 20)[::4]
    # Views are copied before anything is computed: the very same calls.
    np.testing.assert_array_equal(gsr.values(views), gsr.values(views.copy()))


def test_ratios_count_ties() -> None:
    names = load_spec("emodict-1").modality("gsr").feature_names
    window = np.array([1.0] * 5 + [2.0] * 12 + [3.0] * 3)
    got = dict(
        zip(
            names,
            WindowStatistics(load_spec("emodict-1").modality("gsr")).values(window[None])[0],
            strict=True,
        )
    )
    assert got["x_minratio"] == 5 / 20
    assert got["x_maxratio"] == 3 / 20
    # Two steps of 1 among 19 differences, the rest 0.
    assert got["d1_maxratio"] == 2 / 19
    assert got["d1_minratio"] == 17 / 19


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.float64, 20, elements=st.floats(-100, 100, allow_subnormal=False)))
def test_closed_forms_hold_for_any_window(x: np.ndarray) -> None:
    names = load_spec("emodict-1").modality("gsr").feature_names
    row = WindowStatistics(load_spec("emodict-1").modality("gsr")).values(x[None])[0]
    got = dict(zip(names, row, strict=True))
    assert got["fft_mean"] == x[0]
    # 19 squares, each sum rounded by 19 times 1.1e-16 at most;
    # squares of what is below 1e-160 are lost.
    assert got["fft_std"] == pytest.approx(np.sqrt(np.sum(x[1:] ** 2)), rel=1e-14, abs=1e-150)
    # The ends' difference loses what cancels: 1e-16 of 100.
    assert got["d1_mean"] == pytest.approx((x[-1] - x[0]) / 19, abs=1e-12)
    assert got["fft_range"] == got["fft_max"] - got["fft_min"]
    assert got["x_min"] <= got["x_median"] <= got["x_max"]
    assert got["psd_mean"] >= 0


def test_filtered_ppg_has_no_ties_so_its_ratios_are_constants() -> None:
    ppg = load_spec("emodict-1").modality("ppg")
    got = WindowStatistics(ppg).values(np.round(np.random.default_rng(4).normal(size=(5, 500)), 1))
    columns = [i for i, name in enumerate(ppg.feature_names) if name.endswith("ratio")]
    assert len(columns) == 6
    expected = [1 / 500, 1 / 500, 1 / 499, 1 / 499, 1 / 498, 1 / 498]
    np.testing.assert_allclose(got[:, columns], np.broadcast_to(expected, (5, 6)), rtol=1e-12)


def test_no_windows_give_no_rows() -> None:
    assert WindowStatistics(load_spec("emodict-1").modality("gsr")).values(
        np.empty((0, 20))
    ).shape == (0, 28)


def test_the_pulse_filter_is_what_neurokit_calls_a_third_order_butterworth() -> None:
    nk = pytest.importorskip("neurokit2")
    spec = load_spec("emodict-1").modality("ppg")
    time_s = np.arange(500) / 100
    window = (
        np.sin(2 * np.pi * 1.2 * time_s)
        + 0.3 * time_s
        + 0.1 * np.random.default_rng(0).normal(size=500)
    )
    filtered = nk.signal_filter(window, 100, lowcut=0.5, highcut=8, method="butterworth", order=3)
    values = dict(
        zip(spec.feature_names, WindowStatistics(spec).values(window[None])[0], strict=True)
    )
    # Both run scipy's sections forward and backward; the matrix sums in another order.
    assert values["x_std"] == pytest.approx(filtered.std(), rel=1e-9)
    assert values["x_max"] == pytest.approx(filtered.max(), rel=1e-9)
    assert values["d1_std"] == pytest.approx(np.diff(filtered).std(), rel=1e-9)
