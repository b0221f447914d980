from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emodict.errors import TableError
from emodict_train.data.split import complement, k_folds

GROUPS = st.lists(st.integers(0, 30), min_size=5, max_size=80).filter(lambda g: len(set(g)) >= 5)


def _folds(groups: list[int], split: str, seed: int = 0) -> list[np.ndarray]:
    return k_folds(np.array(groups), split=split, folds=5, rng=np.random.default_rng(seed))


@settings(max_examples=50, deadline=None)
@given(groups=GROUPS, seed=st.integers(0, 9))
def test_grouped_folds_never_share_a_trial(groups: list[int], seed: int) -> None:
    for held_out in _folds(groups, "trials", seed):
        rest = complement(held_out, len(groups))
        assert not {groups[i] for i in held_out} & {groups[i] for i in rest}
        assert sorted([*held_out, *rest]) == list(range(len(groups)))


@settings(max_examples=50, deadline=None)
@given(groups=GROUPS, split=st.sampled_from(["trials", "windows"]))
def test_every_row_is_held_out_once_and_every_fold_holds_out_something(
    groups: list[int], split: str
) -> None:
    folds = _folds(groups, split)
    assert sorted(row for fold in folds for row in fold) == list(range(len(groups)))
    assert all(len(fold) for fold in folds)


def test_random_windows_tear_trials_apart() -> None:
    groups = [0] * 20 + [1] * 20
    assert any({groups[i] for i in fold} == {0, 1} for fold in _folds(groups, "windows"))


def test_the_same_generator_gives_the_same_folds_and_another_others() -> None:
    groups = list(range(40))
    first, again, other = (
        _folds(groups, "trials", 1),
        _folds(groups, "trials", 1),
        _folds(groups, "trials", 2),
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_too_few_trials_are_refused_with_both_numbers() -> None:
    with pytest.raises(
        TableError, match=r"Too few trials .* Expected at least 5 trials, got 3\. Add data.*windows"
    ):
        _folds([0] * 10 + [1] * 10 + [2] * 10, "trials")
    with pytest.raises(TableError, match=r"Expected at least 5 windows, got 4"):
        _folds([0, 1, 2, 3], "windows")
