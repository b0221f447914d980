"""Products in pieces are the products, and no piece is one that OpenBLAS divides among threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emodict.features import products
from emodict.features.products import product

# interface/gemm.c: SMP_THRESHOLD_MIN 65536 x GEMM_MULTITHREAD_THRESHOLD 4; gemv.c: 2304 x 4.
DIVIDED_MATRIX, DIVIDED_VECTOR = 65_536 * 4, 2_304 * 4
# A second of EEG, an hour's block of it, its powers, a pulse in blocks, one window of it.
SHAPES = [
    (96, 300, 18),
    (96, 300, 1152),
    (5, 90, 1152),
    (90, 6, 1152),
    (320, 100, 112),
    (1, 500, 82),
]


@pytest.fixture(autouse=True)
def _many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' one thread would leave every product whole."""
    monkeypatch.setattr(products, "_ONE_THREAD", False)


def whole_numbers(rows: int, columns: int) -> np.ndarray:
    """Small ones, whose products and sums float64 holds exactly in any order."""
    return np.random.default_rng(rows * columns).integers(-9, 10, (rows, columns)).astype(float)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 200), st.integers(0, 700), st.integers(0, 300))
def test_any_shape_has_the_numbers_of_the_product(rows: int, inner: int, columns: int) -> None:
    a, b = whole_numbers(rows, inner), whole_numbers(inner, columns)
    np.testing.assert_array_equal(product(a, b), np.einsum("ik,kj->ij", a, b))


def test_views_are_multiplied_as_they_are() -> None:
    a, b = whole_numbers(300, 200), whole_numbers(1000, 300)
    expected = np.einsum("ki,jk->ij", a, b)
    np.testing.assert_array_equal(product(a.T, b.T), expected)
    np.testing.assert_array_equal(product(a.T[::2], b.T[:, ::3]), expected[::2, ::3])


@pytest.mark.parametrize("shape", SHAPES)
def test_no_piece_is_divided_among_threads(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[tuple[int, int, int]] = []
    matmul = np.matmul

    def noted(a: np.ndarray, b: np.ndarray, **kwargs: Any) -> np.ndarray:
        pieces.append((*a.shape[-2:], b.shape[-1]))
        return matmul(a, b, **kwargs)

    class Noted(np.ndarray):
        def __matmul__(self, other: Any) -> Any:
            return noted(np.asarray(self), np.asarray(other))

    monkeypatch.setattr(products.np, "matmul", noted)
    rows, inner, columns = shape
    product(np.ones((rows, inner)).view(Noted), np.ones((inner, columns)))
    assert pieces
    for tall, _, wide in pieces:
        assert tall * inner * wide <= DIVIDED_MATRIX
        assert min(tall, wide) > 1 or tall * inner * wide < DIVIDED_VECTOR
