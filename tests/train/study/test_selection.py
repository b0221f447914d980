from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.special
from tests.train.study.fixtures import Descent, MeanLabel, Ridge, make_table

from emodict.errors import EmodictError
from emodict_train.study.compared.data import StudyData, from_table
from emodict_train.study.compared.protocols import Split, inner_splits, outer_splits
from emodict_train.study.compared.task import Task
from emodict_train.study.running.selection import (
    CELL_ROWS,
    CELL_TASKS,
    Choice,
    FinalCell,
    Fold,
    LatentsCell,
    SelectionCell,
    choose,
    describe_choice,
    in_parts,
    needs_selection,
)


@pytest.fixture(scope="module")
def data() -> StudyData:
    return from_table(make_table(trials=11, rows_each=3))


def folds_of(data: StudyData) -> tuple[Fold, ...]:
    outer = outer_splits(data, "trials", folds=4, seed=0)
    return tuple(
        Fold(i, split, inner_splits(data, split, "trials", seed=0)) for i, split in enumerate(outer)
    )


def curves_of(method: Any, data: StudyData, folds: tuple[Fold, ...]) -> list[np.ndarray]:
    cells = [
        SelectionCell("trials", method, folds, i, seed=0) for i in range(len(method.candidates))
    ]
    return [cell.compute(data)["curves"] for cell in cells]


def test_curves_are_the_kl_over_all_inner_rows_after_each_step(data: StudyData) -> None:
    folds, method = folds_of(data), Descent()
    curves = curves_of(method, data, folds)[1]
    assert curves.shape == (4, method.epochs)
    inner = folds[2].inner
    # 33 rows in folds of trials: the inner folds differ in size,
    # so a mean of their means would be another number
    assert len({len(split.test) for split in inner}) > 1
    predictions = method.predict(data, [Task(split, 0) for split in inner], {"rate": 1.0})
    total = sum(
        scipy.special.rel_entr(data.D[s.test], p[4]).sum()
        for s, p in zip(inner, predictions, strict=True)
    )
    assert curves[2, 4] == pytest.approx(total / len(folds[2].outer.train), rel=1e-12)


def test_the_candidate_and_step_of_least_kl_are_chosen_in_each_fold() -> None:
    first = np.array([[0.3, 0.2, 0.4], [0.1, 0.2, 0.3]])
    second = np.array([[0.5, 0.15], [0.5, 0.4]])
    assert choose(Descent(), [first, second]) == (Choice(1, 1), Choice(0, 0))


def test_of_equals_the_first_is_chosen() -> None:
    assert choose(Descent(), [np.full((1, 3), 0.2), np.full((1, 3), 0.2)]) == (Choice(0, 0),)


def test_what_predicts_no_numbers_is_never_chosen() -> None:
    curves = [np.array([[np.nan, np.nan]]), np.array([[np.nan, 0.9]])]
    assert choose(Descent(), curves) == (Choice(1, 1),)
    with pytest.raises(EmodictError, match="No candidate of descent predicted numbers"):
        choose(Descent(), curves[:1])


def test_what_is_chosen_for_a_fold_does_not_depend_on_its_held_out_rows(data: StudyData) -> None:
    folds = folds_of(data)
    before = curves_of(Ridge(), data, folds)
    X, D = data.X.copy(), data.D.copy()
    X[folds[1].outer.test] = 1e6
    D[folds[1].outer.test] = [1, 0, 0]
    after = curves_of(Ridge(), dataclasses.replace(data, X=X, D=D), folds)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new[1], old[1])
        assert not np.array_equal(new[0], old[0])


def test_a_final_cell_holds_each_folds_choice_after_its_step_for_every_seed(
    data: StudyData,
) -> None:
    folds, method = folds_of(data), Descent()
    choices = (Choice(0, 5), Choice(1, 0), Choice(0, 2), Choice(1, 3))
    found = FinalCell("trials", method, folds, choices, seeds=(7, 8)).compute(data)["distribution"]
    expected = [
        [
            method.predict(data, [Task(fold.outer, seed)], method.candidates[choice.candidate])[0][
                choice.step
            ]
            for fold, choice in zip(folds, choices, strict=True)
        ]
        for seed in (7, 8)
    ]
    np.testing.assert_array_equal(found, [np.concatenate(parts) for parts in expected])


def test_a_latents_cell_holds_what_the_method_shows(data: StudyData) -> None:
    fold, method = folds_of(data)[1], Descent()
    found = LatentsCell("trials", method, fold, Choice(1, 3), seed=5).compute(data)
    expected = method.predict(data, [Task(fold.outer, 5)], {"rate": 1.0})[0][3]
    np.testing.assert_array_equal(found["rows"], fold.outer.test)
    np.testing.assert_array_equal(found["weights"], expected)
    np.testing.assert_array_equal(found["latent"], np.log(expected))


@dataclasses.dataclass(frozen=True)
class Wrong(MeanLabel):
    """Predicts one emotion too few, or no numbers."""

    nan: bool = False

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Mapping[str, Any]
    ) -> list[np.ndarray]:
        right = super().predict(data, tasks, candidate)
        return [p * np.nan for p in right] if self.nan else [p[:, :, 1:] for p in right]


def test_predictions_of_another_form_are_refused(data: StudyData) -> None:
    folds = folds_of(data)
    with pytest.raises(
        EmodictError, match=r"mean label predicted something of the wrong shape.*\(1, 9, 2\)"
    ):
        FinalCell("trials", Wrong(), folds, (Choice(0, 0),) * 4, (0,)).compute(data)
    with pytest.raises(EmodictError, match="mean label predicted something that is not a number"):
        FinalCell("trials", Wrong(nan=True), folds, (Choice(0, 0),) * 4, (0,)).compute(data)


def test_there_is_something_to_select_unless_there_is_one_candidate_and_one_step() -> None:
    assert needs_selection(Ridge())
    assert needs_selection(Descent(candidates=({"rate": 1.0},)))
    assert not needs_selection(MeanLabel())


def test_a_choice_is_described_with_its_number_of_epochs() -> None:
    assert describe_choice(Descent(), Choice(1, 4)) == {"rate": 1.0, "epochs": 5}


@pytest.mark.parametrize(
    ("rows", "tasks", "together"),
    [
        (1, 1, 4),
        (CELL_ROWS // 2, 1, 2),
        (CELL_ROWS // 2 + 1, 1, 1),
        (2 * CELL_ROWS, 1, 1),
        (1, CELL_TASKS // 2, 2),
        (1, CELL_TASKS, 1),
        (1, 2 * CELL_TASKS, 1),
        (CELL_ROWS // 8, 4, 2),
    ],
)
def test_parts_keep_all_folds_in_order_and_are_full_but_not_too_large(
    data: StudyData, rows: int, tasks: int, together: int
) -> None:
    splits = [Split(np.arange(rows), np.arange(1), "")] * tasks
    parts = in_parts(folds_of(data), lambda fold: splits)
    assert [fold.number for part in parts for fold in part] == [0, 1, 2, 3]
    assert {len(part) for part in parts} == {together}


@dataclasses.dataclass(frozen=True)
class Shrunk(Descent):
    """Has steps that are not just epochs."""

    def describe_step(self, step: int) -> dict[str, Any]:
        return {"epochs": step // 2 + 1, "share": step % 2}


def test_a_method_says_itself_what_its_steps_are() -> None:
    assert describe_choice(Shrunk(), Choice(0, 3)) == {"rate": 0.1, "epochs": 2, "share": 1}
