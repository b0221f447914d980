from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emodict_train.model.standardisation import fit_standardisation

NUMBERS = st.floats(-1e6, 1e6) | st.just(math.nan)


@settings(max_examples=60, deadline=None)
@given(tokens=hnp.arrays(np.float64, (7, 2, 3), elements=NUMBERS))
def test_standardisation_is_numpys_mean_and_deviation_of_what_is_there(tokens: np.ndarray) -> None:
    got = fit_standardisation(tokens)
    for i, j in np.ndindex(2, 3):
        column = tokens[:, i, j][~np.isnan(tokens[:, i, j])]
        if not len(column):
            assert (got.mean[i, j], got.scale[i, j]) == (0, math.inf)
            continue
        # sums of 7 terms in another order
        assert got.mean[i, j] == pytest.approx(column.mean(), rel=1e-12, abs=1e-9)
        spread = column.std()
        if spread > 1e-8 * max(1, abs(column.mean())):
            # Rounding of a spread far below the mean.
            assert got.scale[i, j] == pytest.approx(spread, rel=1e-6)
        elif spread == 0:
            assert got.scale[i, j] == 1
    assert np.isfinite(got.apply(tokens)).all()


def test_standardised_training_rows_have_mean_0_and_deviation_1() -> None:
    tokens = np.random.default_rng(0).normal(50, 3, (200, 2, 3))
    z = fit_standardisation(tokens).apply(tokens)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)  # float64 sums of 200 terms
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-12)


def test_a_constant_feature_has_scale_1_even_where_its_mean_is_rounded() -> None:
    tokens = np.full((10, 1, 2), 0.1)
    tokens[:, 0, 1] = 1e9 + 0.1
    standardisation = fit_standardisation(tokens)
    assert standardisation.scale.tolist() == [[1, 1]]
    np.testing.assert_allclose(standardisation.apply(tokens), 0, atol=1e-6)  # of 1e9, 15 digits


def test_a_feature_never_seen_in_training_tells_nothing_later() -> None:
    tokens = np.ones((5, 1, 2))
    tokens[:, 0, 1] = np.nan
    standardisation = fit_standardisation(tokens)
    assert standardisation.apply(np.array([[[1.0, 1e6]], [[1.0, np.nan]]])).tolist() == [
        [[0, 0]],
        [[0, 0]],
    ]
