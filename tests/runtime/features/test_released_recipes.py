"""The recipes of released features against the plain loops of the released code,
constant windows among them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.signal as ss

from emodict.features import extract_features
from emodict.features.spec import FeatureSpec, load_spec
from emodict.recording.recording import Recording, Signal

EMODICT, DMER, SAMPLE = (load_spec(i) for i in ("emodict-1", "dmer-2024", "dmer-sample"))
RATES = {"eeg": 300, "ppg": 100, "gsr": 4}
SECONDS = 240
HZ_EDGES = (4, 8, 14, 31, 45)
SLOW_EDGES = (0, 0.6, 1.2, 1.8, 2.0)
# A value is log2(100 mean |X|^2), so a relative error e of X moves it by 2 e / ln 2; FFT and tapers
# add 1e-15. What counts is the rounding of scipy's filters, 1e-16 of the level and some four times
# a sample. A double pole q from 1 rings on as n (1 - q)^n, whose squares sum up to 1 / (4 q^3):
# with q = 2 pi 0.01 / rate / sqrt(2) for 0.01 Hz it grows 4e2 (GSR) and 5e4 (PPG) times, and twice,
# forwards and backwards. That is 8e-13 at 6 uS and 2e-11 at a pulse of 1.
ATOL = 1e-9
# With X above 3e-3, e is below 3e-10.
LEAST_GSR_VALUE = math.log2(100 * 3e-3**2)
# The rounding that rings on is as slow as what the filter leaves of a constant, so it reaches the
# bands by the same share: e is 2e-11 of what is left.
LEAST_PPG_SIZE = 0.5


def released_band_powers(
    x: np.ndarray, rate_hz: int, n_fft: int, edges: tuple[Any, ...]
) -> np.ndarray:
    """(samples,) -> (seconds, bands)."""
    per_hz = int(n_fft / rate_hz)
    taper = np.hanning(rate_hz)
    rows = []
    for second in range(len(x) // rate_hz):
        size = abs(np.fft.fft(x[second * rate_hz : (second + 1) * rate_hz] * taper, n_fft))[
            : n_fft // 2
        ]
        row = []
        for low, high in itertools.pairwise(edges):
            band = size[int(low * per_hz) : int(high * per_hz - 1)]
            power = 0.0
            for value in band:
                power += value * value
            row.append(math.log2(100 * power / len(band)))
        rows.append(row)
    return np.array(rows)


def released_filter(x: np.ndarray, low_hz: float, high_hz: float, rate_hz: int) -> np.ndarray:
    b, a = ss.butter(2, [low_hz / (rate_hz / 2), high_hz / (rate_hz / 2)], "bandpass")
    return ss.filtfilt(b, a, x)


def released_statistics(window: np.ndarray) -> np.ndarray:
    row = []
    for series in (window, np.diff(window), np.diff(np.diff(window))):
        row += [np.median(series), np.mean(series), np.std(series), np.min(series), np.max(series)]
        row += [
            np.sum(series == np.min(series)) / len(series),
            np.sum(series == np.max(series)) / len(series),
        ]
    spectrum = np.fft.fft(window)
    row += [
        np.median(spectrum),
        np.mean(spectrum),
        np.std(spectrum),
        np.min(spectrum),
        np.max(spectrum),
    ]
    return np.real([*row, np.max(spectrum) - np.min(spectrum)])


def recording(**samples: Any) -> Recording:
    signals = {}
    for name, x in samples.items():
        modality = EMODICT.modality(name)
        x = x[:, None] if x.ndim == 1 else x
        signals[name] = Signal(name, RATES[name], modality.unit, modality.channel_names, x)
    return Recording("s", "p", signals)


def extracted(spec: FeatureSpec, **samples: Any) -> tuple[np.ndarray, ...]:
    """One modality's valid (rows,), quality (rows,) and features (rows, *shape)."""
    (name,) = samples
    rows = extract_features(recording(**samples), spec.with_modalities([name]))
    return rows.valid[:, 0], rows.quality[:, 0], rows.features(name)


def coarse_gsr() -> np.ndarray:
    """A sensor that repeats itself, at 6 uS."""
    rng = np.random.default_rng(2)
    count = SECONDS * RATES["gsr"]
    return 6 + 0.3 * np.cumsum(rng.integers(-1, 2, size=count) * (rng.random(count) < 0.2))


def pulse(seconds: int = SECONDS) -> np.ndarray:
    t = np.arange(seconds * 100) / 100
    return np.sin(2 * np.pi * 1.2 * t) + 0.05 * np.random.default_rng(1).normal(size=len(t))


def pulse_lost_for_eight_seconds() -> np.ndarray:
    x = pulse()
    x[12_000:12_800] = 1.5
    return x


def constant_seconds(x: np.ndarray, rate_hz: int) -> np.ndarray:
    windows = x.reshape(-1, rate_hz)
    return (windows == windows[:, :1]).all(axis=1)


def never_constant(spec: FeatureSpec, name: str) -> FeatureSpec:
    """The spec with the rule of emodict-1."""
    modality = dataclasses.replace(spec.modality(name), constant_usable=False)
    return dataclasses.replace(spec, modalities=(modality,))


def test_the_samples_eeg_has_the_released_numbers() -> None:
    eeg = np.random.default_rng(0).normal(scale=20, size=(SECONDS * 300, 18))
    valid, _, values = extracted(SAMPLE, eeg=eeg)
    expected = [
        released_band_powers(eeg[::3, channel], 100, 1024, HZ_EDGES) for channel in range(18)
    ]
    assert valid.all()
    np.testing.assert_allclose(values, np.stack(expected, axis=1), rtol=0, atol=ATOL)


def test_the_samples_gsr_has_the_released_numbers_where_all_four_samples_are_equal_too() -> None:
    gsr = coarse_gsr()
    valid, quality, values = extracted(SAMPLE, gsr=gsr)
    expected = released_band_powers(released_filter(gsr, 0.01, 1.9, 4), 4, 64, SLOW_EDGES)
    assert constant_seconds(gsr, 4).sum() > 100
    assert expected.min() > LEAST_GSR_VALUE
    assert valid.all()
    np.testing.assert_allclose(values[:, 0], expected, rtol=0, atol=ATOL)
    # No step, so none that is too steep.
    np.testing.assert_array_equal(quality[constant_seconds(gsr, 4)], 1.0)


def test_the_samples_ppg_has_the_released_numbers_where_the_pulse_is_lost_too() -> None:
    ppg = pulse_lost_for_eight_seconds()
    valid, quality, values = extracted(SAMPLE, ppg=ppg)
    filtered = released_filter(ppg, 0.01, 49, 100)
    assert constant_seconds(ppg, 100).sum() == 8
    assert np.abs(filtered.reshape(-1, 100)).max(axis=1).min() > LEAST_PPG_SIZE
    assert valid.all()
    np.testing.assert_allclose(
        values[:, 0], released_band_powers(filtered, 100, 1024, HZ_EDGES), rtol=0, atol=ATOL
    )
    # No pulse, so none of the power is one's.
    np.testing.assert_array_equal(quality == 0, constant_seconds(ppg, 100))


@pytest.mark.parametrize(
    ("name", "samples"), [("gsr", coarse_gsr()), ("ppg", pulse_lost_for_eight_seconds())]
)
def test_exactly_the_constant_seconds_are_valid_by_the_samples_rule_alone(
    name: str, samples: np.ndarray
) -> None:
    valid, _, _ = extracted(never_constant(SAMPLE, name), **{name: samples})
    np.testing.assert_array_equal(valid, ~constant_seconds(samples, RATES[name]))


def test_a_constant_gsr_window_has_the_released_statistics_in_dmer_2024_and_none_in_emodict_1() -> (
    None
):
    gsr = 2 + 0.01 * np.random.default_rng(0).integers(0, 40, size=120)
    gsr[40:80] = 2.5
    constant = np.array([(gsr[4 * k : 4 * k + 20] == gsr[4 * k]).all() for k in range(26)])
    assert constant.sum() == 6
    kept, _, _ = extracted(EMODICT, gsr=gsr)
    np.testing.assert_array_equal(kept, ~constant)
    valid, quality, values = extracted(DMER, gsr=gsr)
    assert valid.all()
    for k, row in enumerate(values):
        window = gsr[4 * k : 4 * k + 20]
        expected = [*released_statistics(window), np.mean(ss.welch(window, 4, nperseg=20)[1])]
        np.testing.assert_allclose(row, expected, rtol=0, atol=ATOL)
    # By hand: level, no differences, all samples at both extremes,
    # a spectrum of 20 * 2.5 at 0 Hz alone, no density.
    series = [0, 0, 0, 0, 0, 1, 1]
    by_hand = [
        2.5,
        2.5,
        0,
        2.5,
        2.5,
        1,
        1,
        *series,
        *series,
        0,
        2.5,
        2.5 * math.sqrt(19),
        0,
        50,
        50,
        0,
    ]
    for row in values[constant]:
        np.testing.assert_allclose(row, by_hand, rtol=0, atol=ATOL)
    np.testing.assert_array_equal(quality[constant], 1.0)


def test_a_constant_ppg_window_has_the_released_statistics_in_dmer_2024_and_none_in_emodict_1() -> (
    None
):
    ppg = pulse(40)
    # Eight seconds: four windows of five.
    ppg[1600:2400] = 1.5
    # The released code filters by seven coefficients a side. With three poles 0.03 from 1 and 0.03
    # from one another, rounding those, up to 20, moves a pole by 20 * 1e-16 / 0.03^2, 1e-10 of its
    # place; sections have no such trouble.
    filtered = ss.sosfiltfilt(ss.butter(3, [0.5, 8], "bandpass", fs=100, output="sos"), ppg)
    valid, quality, values = extracted(DMER, ppg=ppg)
    kept, _, _ = extracted(EMODICT, ppg=ppg)
    constant = np.array([(ppg[100 * k : 100 * k + 500] == ppg[100 * k]).all() for k in range(36)])
    assert constant.sum() == 4
    assert not kept[constant].any()
    assert valid[constant].all()
    for k in np.flatnonzero(valid):
        np.testing.assert_allclose(
            values[k], released_statistics(filtered[100 * k : 100 * k + 500]), rtol=ATOL, atol=ATOL
        )
    np.testing.assert_array_equal(quality[constant], 0.0)
    # What is stuck for a part of a window, but more than half of it, is no constant.
    part = np.array([300 <= np.sum(ppg[100 * k : 100 * k + 500] == 1.5) < 500 for k in range(36)])
    assert part.sum() == 4
    assert not valid[part].any()


@pytest.mark.parametrize(("spec", "name"), [(SAMPLE, "gsr"), (SAMPLE, "ppg"), (DMER, "ppg")])
@pytest.mark.parametrize("level", [1.0, 0.1, 97.3])
def test_a_sensor_that_never_moved_gives_no_number_out_of_a_filters_rounding(
    spec: FeatureSpec, name: str, level: float
) -> None:
    valid, _, values = extracted(spec, **{name: np.full(60 * RATES[name], level)})
    assert not valid.any()
    assert np.isnan(values).all()


def test_a_sensor_that_stopped_gives_numbers_as_long_as_the_filter_remembers_and_then_none() -> (
    None
):
    # Butterworth of order 2 at 0.01 Hz forgets by exp(-t / 22.5 s):
    # 1e-9 of 3 uS is left of a step of 1 uS after 8 min.
    gsr = np.full(1200 * 4, 3.0)
    gsr[:240] = 2 + np.random.default_rng(0).integers(0, 2, size=240)
    valid, _, values = extracted(SAMPLE, gsr=gsr)
    assert valid[: 60 + 300].all()
    assert not valid[60 + 600 :].any()
    assert np.isnan(values[~valid]).all()


@pytest.mark.parametrize("spec", [DMER, SAMPLE])
def test_a_constant_with_a_gap_or_out_of_range_stays_invalid(spec: FeatureSpec) -> None:
    gsr = coarse_gsr()
    gsr[400:440] = gsr[399]
    window_s = round(spec.modality("gsr").window_s)
    for broken in (np.nan, np.inf, 0.0, 200.0):
        spoiled = gsr.copy()
        spoiled[400:440] = broken
        valid, _, _ = extracted(spec, gsr=spoiled)
        first = 100 - (window_s - 1)
        np.testing.assert_array_equal(np.flatnonzero(~valid), np.arange(first, 110))
    assert extracted(spec, gsr=gsr)[0].all()


@pytest.mark.parametrize("spec", [DMER, SAMPLE])
def test_a_saturated_pulse_stays_invalid(spec: FeatureSpec) -> None:
    ppg = pulse()
    # Sixty of a hundred samples at the upper end, and the rest below it.
    clipped = np.where(np.arange(len(ppg)) % 100 < 60, 3.0, ppg)
    valid, _, _ = extracted(spec, ppg=clipped)
    assert not valid.any()


@pytest.mark.parametrize("spec", [DMER, SAMPLE])
@pytest.mark.parametrize("level", [0.0, 5.0])
def test_an_eeg_channel_that_stands_still_stays_invalid_for_no_filter_brings_anything_into_it(
    spec: FeatureSpec, level: float
) -> None:
    eeg = np.random.default_rng(0).normal(scale=20, size=(20 * 300, 18))
    eeg[3000:3300, 4] = level
    valid, _, _ = extracted(spec, eeg=eeg)
    np.testing.assert_array_equal(np.flatnonzero(~valid), [10])
