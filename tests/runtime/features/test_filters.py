"""Filters in numpy against scipy.signal, and against forty digits."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
import scipy.signal as ss

from emodict.features.filters import WindowFilter, causal_filter, state_space, zero_phase
from emodict.features.spec import load_spec

EPS = np.finfo(np.float64).eps

DESIGNS = {
    "band-pass": ss.butter(2, [1, 50], btype="bandpass", fs=300, output="sos"),
    "pulse": ss.butter(3, [0.5, 8], btype="bandpass", fs=100, output="sos"),
    "slow": ss.butter(2, [0.01, 1.9], btype="bandpass", fs=4, output="sos"),
    "low-pass, odd order": ss.butter(3, 10, fs=100, output="sos"),
    "one section": ss.tf2sos(*ss.iirnotch(50, 30, fs=300)),
}


def rounding(sos: np.ndarray, samples: np.ndarray) -> float:
    """How far two programs may be apart that filter the same samples in float64,
    in whatever order they add.

    Each rounds every state in every step, eight times at most, by half an epsilon of up to twice
    the largest sample; what is rounded rings on as any state does.
    """
    units = np.eye(2 * len(sos)).reshape(-1, len(sos), 2)
    ringing = sum(np.abs(ss.sosfilt(sos, np.zeros(5000), zi=unit)[0]).sum() for unit in units)
    return 2 * 8 * EPS / 2 * 2 * np.abs(samples).max() * ringing


def there_and_back(sos: np.ndarray, samples: np.ndarray) -> float:
    """The same for a zero-phase filter: what the first pass leaves,
    the second passes on and adds as much to.
    """
    unit = np.zeros(5000)
    unit[0] = 1.0
    return rounding(sos, samples) * (1 + np.abs(ss.sosfilt(sos, unit)).sum())


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000])
def test_the_causal_filter_is_sosfilt_from_the_settled_state(name: str, count: int) -> None:
    sos = DESIGNS[name]
    samples = np.random.default_rng(count).normal(loc=[0.0, 100.0, -3.0], size=(count, 3))
    first = samples[0]
    system = state_space(sos.tolist())
    got = causal_filter(system, samples, np.outer(system.step_state, first))
    zi = ss.sosfilt_zi(sos)[:, :, None] * first
    expected, _ = ss.sosfilt(sos, samples, axis=0, zi=zi)
    np.testing.assert_allclose(got, expected, rtol=0, atol=rounding(sos, samples))


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("extra", [1, 50, 500])
def test_zero_phase_is_sosfiltfilt(name: str, extra: int) -> None:
    sos = DESIGNS[name]
    padding = 3 * (2 * len(sos) + 1 - min((sos[:, 2] == 0).sum(), (sos[:, 5] == 0).sum()))
    samples = np.random.default_rng(7).normal(size=(int(padding) + extra, 2)) + 5.0
    got = zero_phase(sos.tolist(), samples, padding=int(padding))
    np.testing.assert_allclose(
        got, ss.sosfiltfilt(sos, samples, axis=0), rtol=0, atol=there_and_back(sos, samples)
    )


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("samples", [500, 128, 101, 24])
@pytest.mark.parametrize("padding", [1, 15, 21])
def test_windows_in_blocks_are_sosfiltfilt_of_each(name: str, samples: int, padding: int) -> None:
    sos = DESIGNS[name]
    windows = np.random.default_rng(samples).normal(size=(7, samples)) + 5.0
    got = WindowFilter(sos.tolist(), samples, padding=padding)(windows)
    expected = ss.sosfiltfilt(sos, windows, axis=1, padlen=padding)
    np.testing.assert_allclose(got, expected, rtol=0, atol=there_and_back(sos, windows))


def test_a_window_is_filtered_alone_as_among_others_and_none_gives_none() -> None:
    windows = np.random.default_rng(0).normal(size=(9, 500))
    of = WindowFilter(DESIGNS["pulse"].tolist(), 500, padding=21)
    bound = there_and_back(DESIGNS["pulse"], windows)
    np.testing.assert_allclose(of(windows[4:5]), of(windows)[4:5], rtol=0, atol=bound)
    assert of(windows[:0]).shape == (0, 500)


def zero_phase_in_forty_digits(sos: np.ndarray, samples: np.ndarray, padding: int) -> np.ndarray:
    """(samples,) -> (samples,): sections as recurrences, each settled on the first sample."""
    with localcontext() as context:
        context.prec = 40
        x = [Decimal(float(sample)) for sample in samples]
        run = (
            [2 * x[0] - v for v in x[padding:0:-1]]
            + x
            + [2 * x[-1] - v for v in x[-2 : -padding - 2 : -1]]
        )
        for _ in range(2):
            for section in sos:
                b0, b1, b2, _, a1, a2 = (Decimal(float(value)) for value in section)
                settled = (b0 + b1 + b2) / (1 + a1 + a2) * run[0]
                older, old = b2 * run[0] - a2 * settled, settled - b0 * run[0]
                for i, sample in enumerate(run):
                    run[i] = b0 * sample + old
                    old, older = b1 * sample - a1 * run[i] + older, b2 * sample - a2 * run[i]
            run.reverse()
        return np.array([float(v) for v in run[padding : padding + len(x)]])


@pytest.mark.parametrize("level", [0.0, 500.0])
@pytest.mark.parametrize(("rate_hz", "high_hz"), [(4, 1.9), (100, 49)])
def test_zero_phase_keeps_its_digits_where_poles_come_close_to_the_circle(
    rate_hz: int, high_hz: float, level: float
) -> None:
    sos = ss.butter(2, [0.01, high_hz], btype="bandpass", fs=rate_hz, output="sos")
    samples = level + np.random.default_rng(11).normal(size=60 * rate_hz).clip(-1, 1)
    samples[20 * rate_hz : 30 * rate_hz] = level
    expected = zero_phase_in_forty_digits(sos, samples, 15)
    got = zero_phase(sos.tolist(), samples[:, None], padding=15)[:, 0]
    # A pole lies q = 2 pi 0.01 / rate / sqrt(2) from 1, 4e-4 at 100 Hz. Roundings of 1e-16 of a
    # state, were they all of one sign, would add up to 1e-16 / q = 3e-13 of the level; there are
    # four a sample, in two passes.
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-12 * (1 + level))


def test_zero_phase_without_padding_is_sosfiltfilt_without_padding() -> None:
    sos = DESIGNS["pulse"]
    samples = np.random.default_rng(8).normal(size=(300, 1))
    expected = ss.sosfiltfilt(sos, samples, axis=0, padlen=0)
    got = zero_phase(sos.tolist(), samples, padding=0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=there_and_back(sos, samples))


def test_a_block_of_any_length_advances_the_state_as_single_steps_do() -> None:
    system = state_space(DESIGNS["band-pass"].tolist())
    x = np.random.default_rng(9).normal(size=17)
    state = np.random.default_rng(10).normal(size=system.order)
    form = system.block_form(len(x))
    y, s = [], state
    for sample in x:
        y.append(system.c @ s + system.d * sample)
        s = system.a @ s + system.b * sample
    # 17 steps, in each of which states of up to 20 are rounded eight times by 1e-16: 3e-13.
    np.testing.assert_allclose(form.toeplitz @ x + form.observe @ state, y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(form.reach @ x + form.carry @ state, s, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("spec_id", "modality", "sos"),
    [
        (
            "emodict-1",
            "eeg",
            np.vstack([DESIGNS["band-pass"], DESIGNS["one section"]]),
        ),
        (
            "emodict-1-60hz",
            "eeg",
            np.vstack([DESIGNS["band-pass"], ss.tf2sos(*ss.iirnotch(60, 30, fs=300))]),
        ),
        ("emodict-1", "ppg", DESIGNS["pulse"]),
        ("dmer-2024", "ppg", DESIGNS["pulse"]),
        ("dmer-sample", "gsr", DESIGNS["slow"]),
        ("dmer-sample", "ppg", ss.butter(2, [0.01, 49], btype="bandpass", fs=100, output="sos")),
    ],
)
def test_the_specs_filters_answer_as_documented(
    spec_id: str, modality: str, sos: np.ndarray
) -> None:
    shipped = np.array(load_spec(spec_id).modality(modality).filter.sos)
    rate = load_spec(spec_id).modality(modality).rate_hz
    hz = np.linspace(0.01, 0.99 * rate / 2, 400)
    # Another scipy may split the sections otherwise; the response is what counts. At 0.01 Hz of
    # 100, z is 6e-4 away from zeros and poles at 1: a section is 4e-7 of its own coefficients,
    # whose last digit, 2e-16, is 1e-9 of that.
    got, expected = (ss.sosfreqz(s, hz, fs=rate)[1] for s in (shipped, sos))
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)
