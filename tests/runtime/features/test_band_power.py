"""Band power of the three recipes: textbook values, and literal loops written from FEATURES.md."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import scipy.signal as ss

from emodict.errors import SpecError
from emodict.features.band_power import BandPower, CausalBandPower
from emodict.features.spec import load_spec
from emodict.features.stream import FeatureStream

LOG_2PIE = math.log(2 * math.pi * math.e)
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 14), "beta": (14, 31), "gamma": (31, 45)}
# Both sides compute in float64, in another order of sums. Of 300 products each is rounded by
# 1.1e-16, and together they are up to 100 times what is left in a narrow band: 3e-12 of its
# logarithm. A filter state that rings on is rounded in each of a few hundred steps more: 1e-9, the
# promise of docs/features.md.
ATOL = 1e-9


def eeg_de(samples: np.ndarray, spec_id: str = "emodict-1") -> np.ndarray:
    """(rows, bands, channels) of an EEG stream alone; row k is second k."""
    stream = FeatureStream(load_spec(spec_id).with_modalities(["eeg"]), {"eeg": 300.0})
    return stream.push("eeg", samples).features("eeg")


def filter_of(spec_id: str = "emodict-1") -> np.ndarray:
    return np.array(load_spec(spec_id).modality("eeg").filter.sos)


def gain(hz: float, spec_id: str = "emodict-1") -> float:
    return abs(ss.sosfreqz(filter_of(spec_id), [hz], fs=300)[1][0])


def on_18_channels(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One signal on every channel, each with another sign and size,
    which the logarithm makes an offset.
    """
    scale = np.linspace(0.5, 2.0, 18) * np.where(np.arange(18) % 2, 1, -1)
    return signal[:, None] * scale, np.log(np.abs(scale))


@pytest.mark.parametrize(
    ("band", "hz"), [("delta", 2.5), ("theta", 6), ("alpha", 11), ("beta", 20), ("gamma", 38)]
)
@pytest.mark.parametrize("spec_id", ["emodict-1", "emodict-1-60hz"])
def test_a_sine_inside_a_band_has_the_entropy_of_its_variance(
    band: str, hz: float, spec_id: str
) -> None:
    amplitude = 20.0
    samples, offsets = on_18_channels(
        amplitude * np.sin(2 * np.pi * hz * np.arange(300 * 20) / 300 + 0.3)
    )
    got = eeg_de(samples, spec_id)[15:, list(BANDS).index(band)]
    expected = (
        0.5 * math.log(2 * math.pi * math.e * (amplitude * gain(hz, spec_id)) ** 2 / 2) + offsets
    )
    # A sine on a bin leaks into no more than one bin on each side. Between bins (2.5 Hz) the Hann
    # window has 4 % of the power in the bins 1.5 away, the band's edges, which count half: 0.01
    # nat, and less from beyond.
    atol = ATOL if hz == round(hz) else 2e-2
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=0, atol=atol)


# exp(2 DE) / (2 pi e) is the variance; over 400 s x 18 channels, with some two independent bins in
# the narrowest band, its relative standard error is 1 / sqrt(400 * 18 * 2) = 0.8 %: four of them.
NOISE_RTOL = 0.035


def test_white_noise_has_the_textbook_variance_in_every_band() -> None:
    sigma = 10.0
    modality = dataclasses.replace(load_spec("emodict-1").modality("eeg"), filter=None)
    got = BandPower(modality).values(
        np.random.default_rng(0).normal(scale=sigma, size=(400, 300, 18))
    )
    for index, (low, high) in enumerate(BANDS.values()):
        variance = np.exp(2 * got[:, index] - LOG_2PIE).mean()
        assert variance == pytest.approx(sigma**2 * (high - low) / 150, rel=NOISE_RTOL)


def test_filtered_white_noise_has_the_variance_that_the_filter_lets_through() -> None:
    samples = np.random.default_rng(0).normal(size=(300 * 400, 18))
    got = eeg_de(samples)[1:]
    # Away from the filter's skirts, where the response bends within one bin.
    for band in ("theta", "alpha", "beta"):
        hz = np.linspace(*BANDS[band], 2001)
        response = np.abs(ss.sosfreqz(filter_of(), hz, fs=300)[1]) ** 2
        variance = np.exp(2 * got[:, list(BANDS).index(band)] - LOG_2PIE).mean()
        assert variance == pytest.approx(np.trapezoid(response, hz) / 150, rel=NOISE_RTOL)


def slow_emodict_1(samples: np.ndarray, spec_id: str = "emodict-1") -> np.ndarray:
    """Filter with carried state, Hann, rfft, trapezoid over the bins."""
    sos = filter_of(spec_id)
    filtered, _ = ss.sosfilt(sos, samples, axis=0, zi=ss.sosfilt_zi(sos)[:, :, None] * samples[0])
    hann = ss.get_window("hann", 300)
    rows = []
    for second in range(len(samples) // 300):
        window = filtered[300 * second : 300 * (second + 1)] * hann[:, None]
        power = np.abs(np.fft.rfft(window, axis=0)) ** 2
        # Variance per bin: one-sided, Parseval, and the window's own mean square taken out.
        per_bin = 2 * power / (300 * np.sum(hann**2))
        bands = []
        for low, high in BANDS.values():
            variance = np.trapezoid(per_bin[low : high + 1], axis=0)
            bands.append(0.5 * np.log(2 * np.pi * np.e * variance))
        rows.append(bands)
    return np.array(rows)


@pytest.mark.parametrize("spec_id", ["emodict-1", "emodict-1-60hz"])
def test_emodict_1_equals_filter_window_fft_and_trapezoid(spec_id: str) -> None:
    rng = np.random.default_rng(1)
    samples = np.cumsum(rng.normal(size=(300 * 12, 18)), axis=0) + rng.normal(scale=50, size=18)
    got = eeg_de(samples, spec_id)
    np.testing.assert_allclose(got[1:], slow_emodict_1(samples, spec_id)[1:], rtol=0, atol=ATOL)


def test_the_first_second_is_not_trusted_for_the_filter_has_to_settle() -> None:
    got = eeg_de(np.random.default_rng(2).normal(size=(900, 18)))
    np.testing.assert_array_equal(np.isnan(got).all(axis=(1, 2)), [True, False, False])


def test_a_gap_in_one_channel_starts_that_channels_filter_anew_and_no_other() -> None:
    rng = np.random.default_rng(3)
    samples = rng.normal(scale=20, size=(300 * 8, 18))
    broken = samples.copy()
    broken[300 * 3 + 17, 4] = np.nan
    kernel, clean = (CausalBandPower(load_spec("emodict-1").modality("eeg")) for _ in range(2))
    got, expected = (
        kernel.values(broken.reshape(8, 300, 18)),
        clean.values(samples.reshape(8, 300, 18)),
    )
    others = np.delete(np.arange(18), 4)
    np.testing.assert_allclose(got[:, :, others], expected[:, :, others], rtol=0, atol=ATOL)
    np.testing.assert_allclose(got[:3, :, 4], expected[:3, :, 4], rtol=0, atol=ATOL)
    # The second of the gap, and the one in which the filter settles.
    assert np.isnan(got[3:5, :, 4]).all()
    again = CausalBandPower(load_spec("emodict-1").modality("eeg")).values(
        samples[1200:].reshape(4, 300, 18)
    )
    np.testing.assert_allclose(got[5:, :, 4], again[1:, :, 4], rtol=0, atol=ATOL)


def test_dmer_2024_is_the_cut_off_fft_of_its_own_recipe() -> None:
    windows = np.random.default_rng(4).normal(scale=30, size=(5, 300, 18))
    got = BandPower(load_spec("dmer-2024").modality("eeg")).values(windows)
    n = np.arange(300)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 299)
    expected = np.empty((5, 5, 18))
    for t in range(5):
        for channel in range(18):
            # numpy cuts a longer input off: the last 44 tapered samples are not looked at.
            spectrum = np.fft.fft(hann * windows[t, :, channel], 256)
            for b, (low, high) in enumerate([(1, 4), (4, 8), (8, 14), (14, 31), (31, 49)]):
                bins = range(math.floor(low / 300 * 256), math.floor(high / 300 * 256) + 1)
                power = sum(abs(spectrum[k]) ** 2 for k in bins) / len(bins)
                expected[t, b, channel] = 0.5 * math.log(power) + 0.5 * math.log(
                    2 * math.pi * math.e
                )
    np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


def test_dmer_2024_does_not_see_the_last_44_samples() -> None:
    windows = np.random.default_rng(5).normal(size=(1, 300, 18))
    other = windows.copy()
    other[:, 256:] += 1000.0
    kernel = BandPower(load_spec("dmer-2024").modality("eeg"))
    # The same call, in which zeros take in other samples:
    # zero times a number adds nothing in any order.
    np.testing.assert_array_equal(kernel.values(windows), kernel.values(other))


def sample_recipe(x: np.ndarray, taper_length: int, n_fft: int, edges: list[Any]) -> list[float]:
    # The taper is a second long; the released code cuts the 10.24 bins a
    # hertz of EEG and PPG to 10.
    per_hz = int(n_fft / taper_length)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(taper_length) / (taper_length - 1))
    spectrum = np.fft.fft(hann * x, n_fft)
    values = []
    for low, high in edges:
        bins = range(int(low * per_hz), int(high * per_hz - 1))
        power = sum(abs(spectrum[k]) ** 2 for k in bins) / len(bins)
        values.append(math.log2(100 * power))
    return values


def test_dmer_sample_takes_every_third_sample_and_lays_out_by_channel() -> None:
    windows = np.random.default_rng(6).normal(scale=30, size=(4, 300, 18))
    got = BandPower(load_spec("dmer-sample").modality("eeg")).values(windows)
    edges = [(4, 8), (8, 14), (14, 31), (31, 45)]
    expected = [
        [sample_recipe(window[::3, channel], 100, 1024, edges) for channel in range(18)]
        for window in windows
    ]
    assert got.shape == (4, 18, 4)
    np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize(
    ("modality", "samples", "n_fft", "edges"),
    [
        ("gsr", 4, 64, [(0, 0.6), (0.6, 1.2), (1.2, 1.8), (1.8, 2.0)]),
        ("ppg", 100, 1024, [(4, 8), (8, 14), (14, 31), (31, 45)]),
    ],
)
def test_dmer_sample_of_gsr_and_ppg_is_the_same_recipe(
    modality: str, samples: int, n_fft: int, edges: list[Any]
) -> None:
    windows = np.random.default_rng(7).normal(size=(6, samples, 1))
    got = BandPower(load_spec("dmer-sample").modality(modality)).values(windows)
    expected = [[sample_recipe(window[:, 0], samples, n_fft, edges)] for window in windows]
    np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


def test_no_power_gives_nan_and_no_warning() -> None:
    got = BandPower(load_spec("dmer-2024").modality("eeg")).values(np.zeros((2, 300, 18)))
    assert np.isnan(got).all()


def test_no_windows_give_no_rows() -> None:
    assert BandPower(load_spec("dmer-2024").modality("eeg")).values(
        np.zeros((0, 300, 18))
    ).shape == (0, 5, 18)


def test_band_power_needs_a_spectrum_and_the_causal_one_a_filter() -> None:
    with pytest.raises(SpecError, match="spectrum"):
        BandPower(load_spec("emodict-1").modality("ppg"))
    with pytest.raises(SpecError, match="filter"):
        CausalBandPower(load_spec("dmer-2024").modality("eeg"))
