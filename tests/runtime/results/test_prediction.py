"""A prediction sums up its rows: those that are valid, answered, and inside trials."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from emodict.results.prediction import Prediction, concatenate_predictions

NAN = float("nan")


def prediction(**changes: Any) -> Prediction:
    """Four rows: a hit, a miss, one without an answer, one outside trials."""
    fields = {
        "session": "sitting",
        "emotions": ("a", "b"),
        "modalities": ("gsr", "ppg", "eeg"),
        "start_s": np.arange(4.0, 8.0),
        "distribution": np.array([[1, 0], [0.5, 0.5], [NAN, NAN], [0.25, 0.75]]),
        "weights": np.arange(8.0).reshape(4, 2),
        "valid": np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]], dtype=bool),
        "quality": np.array([[1, 0.75, 0], [0.5, 0.25, 0], [0.5, 0.25, 0.5], [0.75, 0.125, 0]]),
        "truth": np.array([[1, 0], [1, 0], [0, 1], [NAN, NAN]]),
        "mean_label": np.array([0.75, 0.25]),
    }
    return Prediction(**{**fields, **changes})


def test_the_mean_quality_is_that_of_the_valid_rows_and_zero_where_there_are_none() -> None:
    # (1 + 0.5 + 0.75) / 3 of gsr's three valid rows; the one of ppg; none of eeg.
    assert prediction().mean_quality.tolist() == [0.75, 0.75, 0]


def test_the_measures_are_over_answered_rows_inside_trials() -> None:
    # Largest differences of the two rows: 0 and 0.5; of the mean label: 0.25 and 0.25.
    assert prediction().metrics()["chebyshev"] == 0.25
    assert prediction().metrics_of_mean_label()["chebyshev"] == 0.25
    one = prediction().slice(slice(1, 4))
    assert one.metrics()["chebyshev"] == 0.5
    assert one.metrics_of_mean_label()["chebyshev"] == 0.25


def test_there_are_no_measures_where_nothing_can_be_compared() -> None:
    assert prediction(truth=None).metrics() is None
    assert prediction(truth=None).metrics_of_mean_label() is None
    assert prediction(mean_label=None).metrics_of_mean_label() is None
    assert prediction().slice(slice(2, 4)).metrics() is None


def test_half_an_answer_is_none() -> None:
    assert prediction(
        distribution=np.array([[1, NAN], [1, 0], [NAN, NAN], [0, 1]])
    ).answered.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("changes", [{}, {"truth": None}, {"simulated": True, "mean_label": None}])
def test_blocks_put_together_again_are_the_whole(changes: dict[Any, Any]) -> None:
    whole = prediction(**changes)
    for edges in ((0, 4), (0, 1, 3, 4)):
        got = concatenate_predictions(
            [whole.slice(slice(*pair)) for pair in itertools.pairwise(edges)]
        )
        assert len(got) == 4
        for name, value in vars(whole).items():
            np.testing.assert_equal(getattr(got, name), value)
