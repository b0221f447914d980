from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from tests.train.study.fixtures import BUDGET, make_table

from emodict_train.study.compared.data import StudyData, from_table
from emodict_train.study.compared.protocols import outer_splits
from emodict_train.study.compared.rival_method import ONE_STEP_RIVALS, RivalMethod, rival_methods
from emodict_train.study.compared.task import Task
from emodict_train.study.running.selection import needs_selection


@pytest.fixture(scope="module")
def data() -> StudyData:
    """Features of very different scales, some missing."""
    data = from_table(make_table(trials=12))
    X = data.X * np.geomspace(1e-3, 1e3, data.X.shape[1])
    X[::7, data.modalities["ppg"]] = np.nan
    return dataclasses.replace(data, X=X)


@pytest.mark.parametrize("z_score", [True, False])
def test_features_are_scaled_by_the_training_rows_alone_and_what_is_missing_is_zero(
    data: StudyData, z_score: bool
) -> None:
    splits = outer_splits(data, "trials", folds=3, seed=0)
    method = RivalMethod("AA-kNN", ({"k": 3},), z_score=z_score)
    found = method.predict(data, [Task(split, 0) for split in splits], {"k": 3})
    for split, predicted in zip(splits, found, strict=True):
        X = data.X
        if z_score:
            # scikit-learn's leaves what is missing out of its means, too
            X = StandardScaler().fit(X[split.train]).transform(X)
        X = np.nan_to_num(X)
        neighbours = KNeighborsRegressor(n_neighbors=3).fit(X[split.train], data.D[split.train])
        np.testing.assert_allclose(predicted, neighbours.predict(X[split.test])[None], atol=1e-9)


def test_rivals_without_epochs_have_the_same_budget_and_one_step(data: StudyData) -> None:
    methods = rival_methods(data, seeds=4)
    assert [method.name for method in methods] == list(ONE_STEP_RIVALS)
    assert all(1 <= len(method.candidates) <= BUDGET for method in methods)
    assert all(method.z_score for method in methods)
    assert not needs_selection(methods[0])
    assert {method.seeds for method in methods} <= {None, 4}
    bare = rival_methods(dataclasses.replace(data, table=None), seeds=4)
    assert not any(method.z_score for method in bare)


@pytest.mark.parametrize("name", ONE_STEP_RIVALS)
def test_every_rival_without_epochs_predicts_distributions_for_every_task(
    data: StudyData, name: str
) -> None:
    method = next(method for method in rival_methods(data, seeds=1) if method.name == name)
    splits = outer_splits(data, "trials", folds=3, seed=0)[:2]
    found = method.predict(data, [Task(split, 0) for split in splits], method.candidates[0])
    for split, predicted in zip(splits, found, strict=True):
        assert predicted.shape == (1, len(split.test), 3)
        assert (predicted >= 0).all()
        np.testing.assert_allclose(predicted.sum(axis=-1), 1, atol=1e-6)
