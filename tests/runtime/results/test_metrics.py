"""The six measures by hand."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emodict.results.metrics import LARGER_IS_BETTER, METRICS, distribution_metrics, mean_metrics

# A few float64 operations on at most seven terms of up to 28 (the logarithm of CLIP),
# each rounded by 1.1e-16.
near = functools.partial(pytest.approx, rel=1e-12, abs=1e-12)


def one(truth: list[float] | np.ndarray, predicted: list[float] | np.ndarray) -> dict[str, float]:
    return {
        k: v[0] for k, v in distribution_metrics(np.array([truth]), np.array([predicted])).items()
    }


def literal(d: list[float], p: list[float]) -> dict[str, float]:
    total = [a + b for a, b in zip(d, p, strict=True)]
    gap = [abs(a - b) for a, b in zip(d, p, strict=True)]
    return {
        "chebyshev": max(gap),
        "clark": math.sqrt(sum((g / t) ** 2 for g, t in zip(gap, total, strict=True) if t)),
        "canberra": sum(g / t for g, t in zip(gap, total, strict=True) if t),
        "kl": sum(a * math.log(a / max(b, 1e-12)) for a, b in zip(d, p, strict=True) if a),
        "cosine": sum(a * b for a, b in zip(d, p, strict=True)) / math.hypot(*d) / math.hypot(*p),
        "intersection": sum(min(a, b) for a, b in zip(d, p, strict=True)),
    }


def test_the_measures_of_two_rows_computed_by_hand() -> None:
    got = distribution_metrics(
        np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([[0.25, 0.75], [0.2, 0.8]])
    )
    assert (
        tuple(got) == METRICS == ("chebyshev", "clark", "canberra", "kl", "cosine", "intersection")
    )
    assert got["chebyshev"].tolist() == [0.25, 0]
    # 0.25/0.75 = 1/3 and 0.25/1.25 = 1/5.
    assert got["clark"] == near([math.sqrt(1 / 9 + 1 / 25), 0])
    assert got["canberra"] == near([1 / 3 + 1 / 5, 0])
    assert got["kl"] == near([0.5 * math.log(2) + 0.5 * math.log(2 / 3), 0])
    assert got["cosine"] == near([0.5 / math.sqrt(0.5 * 0.625), 1])
    assert got["intersection"] == near([0.75, 1])


def test_identical_rows_are_at_distance_exactly_zero_even_with_impossible_labels() -> None:
    got = one([0.0, 0.3, 0.7], [0.0, 0.3, 0.7])
    assert [got[m] for m in ("chebyshev", "clark", "canberra", "kl")] == [0, 0, 0, 0]
    assert got["cosine"] == near(1)
    assert got["intersection"] == near(1)


def test_a_label_that_cannot_be_adds_nothing_to_kl() -> None:
    assert one([0.0, 1.0], [0.5, 0.5])["kl"] == near(math.log(2))


def test_a_label_called_impossible_that_was_there_costs_the_clipped_logarithm() -> None:
    got = one([0.5, 0.5], [0.0, 1.0])
    assert got["kl"] == near(0.5 * math.log(0.5 / 1e-12) + 0.5 * math.log(0.5))
    assert got["canberra"] == near(1 + 1 / 3)


def test_opposite_certainties_are_as_far_apart_as_can_be() -> None:
    got = one([1.0, 0.0], [0.0, 1.0])
    assert got["chebyshev"] == 1
    assert got["clark"] == near(math.sqrt(2))
    assert got["canberra"] == 2
    assert got["cosine"] == 0
    assert got["intersection"] == 0


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.float64, (2, 7), elements=st.floats(0, 1, allow_subnormal=False)))
def test_any_two_distributions_measure_as_the_plain_sums_do(weights: np.ndarray) -> None:
    weights[:, 0] += 1e-3
    truth, predicted = weights / weights.sum(axis=1, keepdims=True)
    got, expected = one(truth, predicted), literal(truth.tolist(), predicted.tolist())
    assert got == near(expected)


def test_the_mean_is_over_rows_and_float32_is_taken() -> None:
    truth = np.array([[0.5, 0.5], [1.0, 0.0]], dtype=np.float32)
    predicted = np.array([[0.5, 0.5], [0.5, 0.5]], dtype=np.float32)
    assert mean_metrics(truth, predicted)["chebyshev"] == 0.25
    assert {"cosine", "intersection"} == LARGER_IS_BETTER
