"""What makes the raw graph small and exact: a filter's matrix in blocks, its states balanced."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from emodict.features.filters import state_space
from emodict.features.spec import load_spec
from emodict_export.raw.balance import balanced, passes_level
from emodict_export.raw.blocks import Blocks, block_length, in_blocks


def by_blocks(blocks: Blocks, x: np.ndarray) -> np.ndarray:
    """What the graph computes, in float64: (series, samples)."""
    pieces = x.reshape(blocks.count, blocks.length)
    others = (pieces @ blocks.shrink).reshape(-1) @ blocks.exchange
    known = np.concatenate([pieces, others.reshape(blocks.count, -1)], axis=1)
    grown = (known @ blocks.grow).reshape(blocks.count, -1, blocks.length)
    return grown.swapaxes(0, 1).reshape(grown.shape[1], -1)


def pulse_matrix() -> np.ndarray:
    modality = load_spec("emodict-1").modality("ppg")
    assert modality.filter is not None
    units, sos = np.eye(modality.window_samples), np.array(modality.filter.sos)
    padding = modality.filter.padding_samples
    matrix: np.ndarray = signal.sosfiltfilt(sos, units, axis=0, padlen=padding)
    return matrix


def test_the_pulse_filter_in_blocks_is_scipys_filtfilt() -> None:
    modality = load_spec("emodict-1").modality("ppg")
    assert modality.filter is not None
    x = np.random.default_rng(0).standard_normal(500)
    sos = np.array(modality.filter.sos)
    expected = signal.sosfiltfilt(sos, x, padlen=modality.filter.padding_samples)
    # Singular values that count for less than 1e-10 are left out.
    np.testing.assert_allclose(by_blocks(in_blocks([pulse_matrix()]), x)[0], expected, atol=1e-8)


def test_series_of_other_sizes_are_as_exact() -> None:
    x = np.random.default_rng(0).standard_normal(500)
    first = pulse_matrix()
    second = 1e-6 * np.tril(np.ones((500, 500)))
    got = by_blocks(in_blocks([first, second]), x)
    np.testing.assert_allclose(got[0], first @ x, atol=1e-8)
    np.testing.assert_allclose(got[1], second @ x, atol=1e-13)


def test_blocks_hold_a_fraction_of_the_matrix() -> None:
    blocks = in_blocks([pulse_matrix()])
    size = blocks.shrink.size + blocks.exchange.size + blocks.grow.size
    assert size < 500 * 500 / 5


@pytest.mark.parametrize(("samples", "length"), [(500, 50), (128, 64), (97, 1), (20, 20)])
def test_a_block_divides_the_window(samples: int, length: int) -> None:
    assert block_length(samples) == length


@pytest.mark.parametrize("spec_id", ["emodict-1", "emodict-1-60hz"])
def test_a_balanced_filter_is_the_same_filter(spec_id: str) -> None:
    eeg = load_spec(spec_id).modality("eeg")
    assert eeg.filter is not None
    system = balanced(state_space(eeg.filter.sos))
    impulse = np.zeros(400)
    impulse[0] = 1.0
    expected = signal.sosfilt(np.array(eeg.filter.sos), impulse)
    state, got = np.zeros(system.order), []
    for x in impulse:
        got.append(system.c @ state + system.d * x)
        state = system.a @ state + system.b * x
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_balanced_states_are_reached_as_easily_as_they_are_seen() -> None:
    eeg = load_spec("emodict-1").modality("eeg")
    assert eeg.filter is not None
    system = balanced(state_space(eeg.filter.sos))
    a, b, c = system.a, system.b[:, None], system.c[None]
    powers = [np.linalg.matrix_power(a, k) for k in range(4000)]
    reached = sum(p @ b @ b.T @ p.T for p in powers)
    seen = sum(p.T @ c.T @ c @ p for p in powers)
    # Poles at 1 Hz of 300 have died away to 1e-18 after 4000 samples.
    np.testing.assert_allclose(reached, seen, atol=1e-9)
    np.testing.assert_allclose(reached, np.diag(np.diag(reached)), atol=1e-9)


def test_a_low_pass_lets_the_level_through_and_a_band_pass_does_not() -> None:
    low = signal.butter(2, 0.2, output="sos")
    band = signal.butter(2, (0.1, 0.2), btype="bandpass", output="sos")
    assert passes_level(state_space(low.tolist()))
    assert not passes_level(state_space(band.tolist()))
