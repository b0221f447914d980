from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.study.fixtures import make_table

from emodict.errors import InputError, TableError
from emodict_train.data.split import k_folds
from emodict_train.study.compared.data import StudyData, from_table
from emodict_train.study.compared.protocols import (
    PROTOCOLS,
    Split,
    inner_splits,
    outer_splits,
    protocols_for,
    warn_of_unseen_emotions,
)


def study_data(**size: int) -> StudyData:
    return from_table(make_table(**size))


def without_trials(data: StudyData) -> StudyData:
    return dataclasses.replace(data, table=None, trial=np.arange(len(data)))


@settings(max_examples=30, deadline=None)
@given(
    subjects=st.integers(1, 4),
    trials=st.integers(10, 14),
    protocol=st.sampled_from(PROTOCOLS),
    seed=st.integers(0, 5),
)
def test_nothing_held_out_is_trained_on_and_inner_folds_stay_inside(
    subjects: int, trials: int, protocol: str, seed: int
) -> None:
    data = study_data(subjects=subjects, trials=trials, rows_each=2)
    if subjects == 1 and protocol == "subjects":
        return
    for outer in outer_splits(data, protocol, folds=5, seed=seed):
        assert not set(outer.train) & set(outer.test)
        inner = inner_splits(data, outer, protocol, seed=seed)
        for split in inner:
            assert sorted([*split.train, *split.test]) == outer.train.tolist()
            if protocol != "windows":
                assert not set(data.trial[split.train]) & set(data.trial[split.test])
        assert sorted(np.concatenate([split.test for split in inner])) == outer.train.tolist()
        if protocol != "windows":
            assert not set(data.trial[outer.train]) & set(data.trial[outer.test])


@pytest.mark.parametrize("protocol", ["trials", "windows"])
def test_one_subject_is_split_into_the_folds_that_fit_uses(protocol: str) -> None:
    data = study_data(trials=12)
    splits = outer_splits(data, protocol, folds=4, seed=3)
    expected = k_folds(data.trial, split=protocol, folds=4, rng=np.random.default_rng(3))
    assert [split.test.tolist() for split in splits] == [rows.tolist() for rows in expected]
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(data)))


@pytest.mark.parametrize("protocol", ["trials", "windows"])
def test_of_several_subjects_each_is_a_data_set_with_one_fifth_held_out(protocol: str) -> None:
    data = study_data(subjects=3, trials=10)
    splits = outer_splits(data, protocol, folds=7, seed=0)
    assert [split.name for split in splits] == ["person0", "person1", "person2"]
    for split in splits:
        own = np.flatnonzero(data.subject == split.name)
        assert sorted([*split.train, *split.test]) == own.tolist()
        # 10 trials of 4 windows: a fifth is 8 of 40
        assert len(split.test) == 8


def test_random_windows_tear_trials_apart_at_both_levels() -> None:
    data = study_data()
    outer = outer_splits(data, "windows", folds=5, seed=0)[0]
    assert set(data.trial[outer.train]) & set(data.trial[outer.test])
    inner = inner_splits(data, outer, "windows", seed=0)[0]
    assert set(data.trial[inner.train]) & set(data.trial[inner.test])


def test_a_subject_left_out_leaves_all_others_and_inner_folds_by_subject() -> None:
    data = study_data(subjects=4, trials=2)
    splits = outer_splits(data, "subjects", folds=5, seed=0)
    assert [set(data.subject[split.test]) for split in splits] == [{name} for name in data.subjects]
    for split in splits:
        inner = inner_splits(data, split, "subjects", seed=0)
        held_out = [set(data.subject[part.test]) for part in inner]
        assert all(len(names) == 1 for names in held_out)
        assert set.union(*held_out) == set(data.subject[split.train])


def test_two_other_subjects_make_two_inner_folds_and_a_single_one_is_split_by_trial() -> None:
    three, two = study_data(subjects=3, trials=3), study_data(subjects=2, trials=3)
    of_three = inner_splits(
        three, outer_splits(three, "subjects", folds=5, seed=0)[0], "subjects", seed=0
    )
    assert [set(three.subject[split.test]) for split in of_three] in (
        [{"person1"}, {"person2"}], [{"person2"}, {"person1"}]
    )  # fmt: skip
    of_two = inner_splits(
        two, outer_splits(two, "subjects", folds=5, seed=0)[0], "subjects", seed=0
    )
    assert len(of_two) == 3
    assert all(set(two.subject[split.test]) == {"person1"} for split in of_two)
    assert all(len(set(two.trial[split.test])) == 1 for split in of_two)


def test_the_same_seed_gives_the_same_splits_and_another_seed_others() -> None:
    data = study_data()
    first, again, other = (outer_splits(data, "trials", folds=5, seed=seed) for seed in (1, 1, 2))
    assert _tests(first) == _tests(again) != _tests(other)
    inner = [inner_splits(data, first[0], "trials", seed=seed) for seed in (1, 1, 2)]
    assert _tests(inner[0]) == _tests(inner[1]) != _tests(inner[2])


def _tests(splits: tuple[Split, ...]) -> list[list[int]]:
    return [split.test.tolist() for split in splits]


def test_protocols_come_honest_first_and_as_many_as_the_data_allow() -> None:
    one, several = study_data(), study_data(subjects=2)
    assert protocols_for(one) == ("trials", "windows")
    assert protocols_for(several) == ("trials", "subjects", "windows")
    assert protocols_for(without_trials(one)) == ("windows",)
    assert protocols_for(several, ("windows", "trials")) == ("trials", "windows")


def test_protocols_that_cannot_be_are_refused_with_the_reason() -> None:
    one = study_data()
    with pytest.raises(TableError, match=r"one subject only.*use --protocols trials,windows\."):
        protocols_for(one, ("windows", "subjects"))
    with pytest.raises(
        TableError, match=r"does not say which rows belong together.*use --protocols windows\."
    ):
        protocols_for(without_trials(one), ("trials",))
    with pytest.raises(
        InputError, match=r"Expected one of trials, subjects, windows, got trails\."
    ):
        protocols_for(one, ("trails", "windows"))


@pytest.mark.parametrize(
    ("size", "protocol", "folds", "said"),
    [
        (
            {"trials": 4},
            "trials",
            5,
            r"fill 5 folds.*got 4\. Add data, or use --protocols windows\.",
        ),
        # two folds of 5 trials would leave 2 to choose parameters by, of 6 they leave 3
        ({"trials": 5}, "trials", 5, r"got 5\. Add data, or use --protocols windows\."),
        ({"trials": 6}, "trials", 5, r"got 6\. Use --folds 3, or add data\."),
        # 7 trials in 5 folds: the last ones would hold one each
        (
            {"trials": 7},
            "trials",
            5,
            r"planted has too few trials.*at least 10 trials, got 7\. Use --folds 3",
        ),
        ({"trials": 3}, "trials", 5, r"got 3\. Add data, or use --protocols windows\."),
        (
            {"trials": 1, "rows_each": 9},
            "windows",
            5,
            r"too few windows.*at least 10 windows, got 9\. Use --folds 4",
        ),
        ({"trials": 1, "rows_each": 3}, "windows", 5, r"too few windows.*got 3\. Add data\."),
        (
            {"subjects": 2, "trials": 5},
            "trials",
            5,
            r"subject 'person0' has too few trials.*at least 6 trials, got 5",
        ),
        (
            {"subjects": 2, "trials": 1, "rows_each": 5},
            "windows",
            5,
            r"'person0' has too few windows.*6 windows",
        ),
    ],
)
def test_too_few_trials_or_windows_are_refused_with_a_way_out(
    size: dict[str, int], protocol: str, folds: int, said: str
) -> None:
    with pytest.raises(TableError, match=said):
        outer_splits(study_data(**size), protocol, folds=folds, seed=0)


_OR_WINDOWS = r"Add data, or use --protocols windows\."


@pytest.mark.parametrize(
    ("size", "protocol", "way_out"),
    [
        ({"trials": 4}, "trials", _OR_WINDOWS),
        ({"trials": 1, "rows_each": 4}, "windows", r"Add data\."),
        ({"subjects": 2, "trials": 2}, "subjects", _OR_WINDOWS),
    ],
)
def test_too_little_left_to_choose_parameters_by_is_refused(
    size: dict[str, int], protocol: str, way_out: str
) -> None:
    data = study_data(**size)
    outer = outer_splits(data, protocol, folds=2, seed=0)[0]
    said = rf"with {outer.name} held out, too few .* at least 3 .*, got 2\. {way_out}$"
    with pytest.raises(TableError, match=said):
        inner_splits(data, outer, protocol, seed=0)


def test_who_chooses_by_trials_where_windows_are_held_out_is_not_sent_to_the_windows() -> None:
    data = study_data(trials=2, rows_each=10)
    outer = outer_splits(data, "windows", folds=5, seed=0)[0]
    with pytest.raises(TableError, match=r"too few trials .*got 2\. Add data\.$"):
        inner_splits(data, outer, "trials", seed=0)


@pytest.mark.parametrize("protocol", ["trials", "windows"])
@pytest.mark.parametrize("subjects", [1, 3])
def test_advice_is_never_a_number_of_folds_that_is_refused_in_turn(
    protocol: str, subjects: int
) -> None:
    for count in range(1, 20):
        size = (
            {"trials": count, "rows_each": 1}
            if protocol == "trials"
            else {"trials": 1, "rows_each": count}
        )
        data, folds = study_data(subjects=subjects, **size), 10
        try:
            [
                inner_splits(data, split, protocol, seed=0)
                for split in outer_splits(data, protocol, folds=folds, seed=0)
            ]
            continue
        except TableError as error:
            advised = re.search(r"--folds (\d+)", str(error))
        assert (advised is not None) == (subjects == 1 and count >= 6)
        if advised is not None:
            for split in outer_splits(data, protocol, folds=int(advised[1]), seed=0):
                assert len(inner_splits(data, split, protocol, seed=0)) == 3


def test_an_emotion_never_seen_in_training_is_said_and_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = study_data()
    fold = outer_splits(data, "trials", folds=5, seed=0)
    D = data.D.copy()
    D[fold[1].train, 2] = 0
    data = dataclasses.replace(data, D=D / D.sum(axis=1, keepdims=True))
    warn_of_unseen_emotions(data, "trials", fold)
    assert [record.getMessage() for record in caplog.records] == [
        "Protocol trials, fold 2: no window to train on has any level, "
        "so nothing can be learned about it"
    ]
