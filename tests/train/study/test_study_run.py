"""A study's results: nested by hand, in parts, on a cluster; what fails loses itself alone."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest
from tests.train.study.fixtures import (
    LAMBDAS,
    METHODS,
    Descent,
    Failing,
    MeanLabel,
    Ridge,
    cells_of,
    compute,
    make_table,
    same,
)
from threadpoolctl import threadpool_info, threadpool_limits

import emodict_desk.many.cluster as cluster_module
import emodict_train.study.running.selection as selection_module
from emodict.errors import ClusterError, EmodictError, InputError, TableError
from emodict.results.metrics import mean_metrics
from emodict_train.study.compared.ablations import BLOCKS, PAPER, ROBUST, Block
from emodict_train.study.compared.data import StudyData, from_table
from emodict_train.study.compared.protocols import inner_splits, outer_splits
from emodict_train.study.compared.task import Task
from emodict_train.study.judging.results import Results
from emodict_train.study.running.run import (
    StudyOptions,
    choose_methods,
    compute_study,
    plan_study,
    refuse_failures,
)
from emodict_train.study.running.runner import Progressed


@pytest.fixture(scope="module")
def data() -> StudyData:
    return from_table(make_table(trials=10))


@pytest.fixture(scope="module")
def whole(data: StudyData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    """A study of one subject in this process, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    results, failures = compute(data, folder)
    assert not failures
    return results, folder


def test_predictions_come_by_protocol_and_method_with_every_row_held_out_once(
    whole: tuple[Results, Path], data: StudyData
) -> None:
    results, _ = whole
    names = ["mean label", "ridge", "descent"]
    assert list(results.predictions) == [(p, m) for p in ("trials", "windows") for m in names]
    for predictions in results.predictions.values():
        assert sorted(predictions.rows) == list(range(len(data)))
        assert predictions.distribution.shape == (
            3 if predictions.method == "descent" else 1,
            40,
            3,
        )
        assert len(predictions.chosen) == 5
        assert predictions.cpu_s > 0


def test_every_prediction_is_that_of_the_nested_selection_done_by_hand(
    whole: tuple[Results, Path], data: StudyData
) -> None:
    results, _ = whole
    method = Descent()
    for protocol in ("trials", "windows"):
        found = results.predictions[protocol, "descent"]
        for number, outer in enumerate(outer_splits(data, protocol, folds=5, seed=0)):
            inner = inner_splits(data, outer, protocol, seed=0)
            kl = {}
            for candidate in method.candidates:
                parts = method.predict(data, [Task(split, 0) for split in inner], candidate)
                truth = np.concatenate([data.D[split.test] for split in inner])
                for step in range(method.epochs):
                    predicted = np.concatenate([part[step] for part in parts])
                    kl[candidate["rate"], step] = mean_metrics(truth, predicted)["kl"]
            rate, step = min(kl, key=lambda key: kl[key])
            assert found.chosen[number] == {"rate": rate, "epochs": step + 1}
            expected = [
                method.predict(data, [Task(outer, seed)], {"rate": rate})[0][step]
                for seed in (0, 1, 2)
            ]
            mine = found.fold == number
            np.testing.assert_array_equal(found.rows[mine], outer.test)
            np.testing.assert_array_equal(found.distribution[:, mine], expected)


def test_of_several_subjects_each_is_a_fold(tmp_path: Path) -> None:
    data = from_table(make_table(subjects=3, trials=7, rows_each=2))
    results, _ = compute(data, tmp_path, [MeanLabel()])
    assert list(dict.fromkeys(p for p, _ in results.predictions)) == [
        "trials",
        "subjects",
        "windows",
    ]
    left_out = results.predictions["subjects", "mean label"]
    for number, name in enumerate(data.subjects):
        mine = left_out.fold == number
        assert set(data.subject[left_out.rows[mine]]) == {name}
        np.testing.assert_allclose(
            left_out.distribution[0, mine][0], data.D[data.subject != name].mean(axis=0)
        )
    within = results.predictions["trials", "mean label"]
    assert results.about["folds"] == {"trials": 3, "subjects": 3, "windows": 3}
    assert [len(np.unique(data.trial[within.rows[within.fold == i]])) for i in range(3)] == [
        2,
        2,
        2,
    ]


@pytest.mark.parametrize("rows", [1, 100])
def test_cells_of_few_folds_give_what_one_cell_of_all_gives(
    whole: tuple[Results, Path],
    data: StudyData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
) -> None:
    monkeypatch.setattr(selection_module, "CELL_ROWS", rows)
    results, _ = compute(data, tmp_path)
    assert same(results, whole[0])
    assert len(cells_of(tmp_path)) > len(cells_of(whole[1]))


def test_a_dask_cluster_gives_what_one_process_gives(
    whole: tuple[Results, Path], data: StudyData, tmp_path: Path
) -> None:
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        silence_logs=50,
    ) as cluster:
        results, _ = compute(data, tmp_path, dask=cluster.scheduler_address)
    assert same(results, whole[0])
    assert cells_of(tmp_path).keys() == cells_of(whole[1]).keys()


def test_a_cluster_that_cannot_be_is_the_users_input(
    data: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "TIMEOUT_S", 0.5)
    with pytest.raises(ClusterError, match="here is not the address of a Dask scheduler"):
        compute(data, tmp_path, dask="here")
    with pytest.raises(ClusterError, match=r"There is no Dask scheduler at tcp://127\.0\.0\.1:1\."):
        compute(data, tmp_path, dask="tcp://127.0.0.1:1")
    with pytest.raises(InputError, match="--jobs and --dask are two places to work in"):
        compute(data, tmp_path, dask="tcp://127.0.0.1:1", jobs=2)


def test_a_failure_that_lies_with_the_users_input_is_not_ours(
    data: StudyData, tmp_path: Path
) -> None:
    error = TableError("These data are odd", fix="Use others")
    _, failures = compute(data, tmp_path, [MeanLabel(), Failing(error)], protocols=("trials",))
    with pytest.raises(
        InputError, match=r"failing: These data are odd\. Use others\. The same command"
    ) as caught:
        refuse_failures(failures)
    assert caught.value.exit_code == 2


def test_without_any_numbers_the_reasons_are_all_there_is(data: StudyData, tmp_path: Path) -> None:
    with pytest.raises(EmodictError, match="failing: ZeroDivisionError"):
        compute(data, tmp_path, [Failing()])


@dataclasses.dataclass(frozen=True)
class Blind(Descent):
    """Cannot show what goes on inside it."""

    def latents(self, *_: Any) -> Any:
        raise ValueError("nothing to see")


def test_latents_of_the_robust_model_are_those_of_each_folds_choice(
    data: StudyData, tmp_path: Path
) -> None:
    method = Descent(name=ROBUST)
    results, _ = compute(data, tmp_path, [MeanLabel(), method], protocols=("trials",))
    latents, predictions = results.latents["trials"], results.predictions["trials", ROBUST]
    np.testing.assert_array_equal(latents.rows, predictions.rows)
    # of this method the weights are what it predicts
    np.testing.assert_array_equal(latents.weights, predictions.distribution[0])
    assert compute(data, tmp_path, [Descent(name=PAPER)], protocols=("trials",))[0].latents == {}


def test_latents_that_fail_leave_the_predictions(data: StudyData, tmp_path: Path) -> None:
    results, failures = compute(data, tmp_path, [Blind(name=ROBUST)], protocols=("trials",))
    assert list(results.predictions) == [("trials", ROBUST)]
    assert results.latents == {}
    assert results.about["missing"] == {}
    assert [(f.what, f.reason) for f in failures] == [
        (f"{ROBUST}, latents", "ValueError: nothing to see")
    ]


@dataclasses.dataclass(frozen=True)
class Warning_(MeanLabel):  # noqa: N801
    """Warns at every call."""

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Mapping[str, Any]
    ) -> list[np.ndarray]:
        np.log(np.zeros(1))
        return super().predict(data, tasks, candidate)


def test_a_warning_of_a_library_is_said_once_for_a_method(
    data: StudyData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    compute(data, tmp_path, [Warning_(), Warning_("other")])
    said = "RuntimeWarning: divide by zero encountered in log"
    assert [r.getMessage() for r in caplog.records] == [f"mean label: {said}", f"other: {said}"]


def test_progress_rises_to_the_end_and_counts_this_runs_work_alone(
    data: StudyData, tmp_path: Path
) -> None:
    seen: list[Progressed] = []
    options = StudyOptions(protocols=("trials",))
    plan = plan_study(data, options)
    compute_study(data, plan, {"trials": METHODS}, options, tmp_path, on_progress=seen.append)
    # 3 + 2 candidates and 3 final cells
    assert [(p.cells, p.note) for p in seen if "to do" in p.note] == [
        (0, "5 cells to do"),
        (5, "3 cells to do"),
    ]
    # Then all that is left is to write.
    assert seen.pop() == Progressed(8, 1.0, "tables and figures", 0.0)
    assert [p.cells for p in seen if "to do" not in p.note] == list(range(1, 9))
    assert 0 == seen[0].share < seen[1].share < 1
    assert seen[-1].share == pytest.approx(1)
    seen.clear()
    more = {"trials": [*METHODS, Ridge("more", LAMBDAS[:1])]}
    compute_study(data, plan, more, options, tmp_path, on_progress=seen.append)
    del seen[-1]
    assert {p.share for p in seen[:-1]} == {0.0}
    assert (seen[-1].cells, seen[-1].share) == (9, 1.0)


def test_methods_are_chosen_by_name_or_block_and_the_mean_label_stays() -> None:
    some = [MeanLabel(), Ridge("AA-kNN"), Ridge("components: aux mse")]
    more = [*some, Ridge("components: full"), Ridge(PAPER)]

    def chosen(*names: str) -> list[list[str]]:
        found = choose_methods({"trials": some, "windows": more}, names)
        assert list(found) == ["trials", "windows"]
        return [[method.name for method in own] for own in found.values()]

    assert chosen() == [[m.name for m in some], [m.name for m in more]]
    assert chosen("aa-knn") == [["mean label", "AA-kNN"]] * 2
    assert chosen("components", PAPER) == [
        ["mean label", "components: aux mse"],
        ["mean label", "components: aux mse", "components: full", PAPER],
    ]
    with pytest.raises(InputError, match=r"no such method.*mean label, AA-kNN, .*got kNN\."):
        chosen("kNN", "components")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.key)
def test_an_ablation_chosen_by_its_name_is_whole_with_the_runs_it_shares(block: Block) -> None:
    names = dict.fromkeys(each.method(variant) for each in BLOCKS for variant in each.variants)
    found = choose_methods({"trials": [MeanLabel(), *map(Ridge, names)]}, (block.key.upper(),))[
        "trials"
    ]
    assert {method.name for method in found} == {"mean label", *map(block.method, block.variants)}


def test_protocols_that_do_not_fit_are_left_out_with_the_reason_unless_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = from_table(make_table(subjects=2, trials=5))
    plan = plan_study(data, StudyOptions())
    assert list(plan.folds) == ["subjects", "windows"]
    assert list(plan.left_out) == ["trials"]
    (record,) = caplog.records
    assert (
        "The protocol 'trials' is left out: planted: subject 'person0' has too few trials"
        in record.getMessage()
    )
    assert record.getMessage().endswith(". The others go on")
    with pytest.raises(TableError, match="subject 'person0' has too few trials"):
        plan_study(data, StudyOptions(protocols=("trials", "windows")))
    caplog.clear()
    with pytest.raises(TableError, match=r"too few windows to fill 5 folds.*got 2\. Add data\."):
        plan_study(from_table(make_table(trials=2, rows_each=1)), StudyOptions())
    assert not caplog.records


@dataclasses.dataclass(frozen=True)
class Threads(MeanLabel):
    """Writes down how many threads the libraries may use."""

    log: Path | None = None

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Mapping[str, Any]
    ) -> list[np.ndarray]:
        assert self.log is not None
        self.log.write_text(json.dumps([library["num_threads"] for library in threadpool_info()]))
        return super().predict(data, tasks, candidate)


def test_a_cell_in_this_process_runs_on_one_thread_as_in_others(
    data: StudyData, tmp_path: Path
) -> None:
    with threadpool_limits(2):
        compute(data, tmp_path, [Threads(log=tmp_path / "log")], protocols=("trials",))
        after = {library["num_threads"] for library in threadpool_info()}
    assert set(json.loads((tmp_path / "log").read_text())) == {1}
    assert after == {2}


def test_a_worker_without_scikit_learn_is_refused(
    data: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with (
        distributed.LocalCluster(
            n_workers=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
        pytest.raises(ClusterError, match=r"cannot train: .*sklearn"),
    ):
        compute(data, tmp_path, dask=cluster.scheduler_address)


@dataclasses.dataclass(frozen=True)
class OtherFolds(Ridge):
    """Chooses on inner folds of another kind."""

    stop_on: str = "windows"


def test_a_method_may_choose_on_inner_folds_of_another_kind(
    data: StudyData, tmp_path: Path
) -> None:
    compute(data, tmp_path, [OtherFolds("other")], protocols=("trials",))
    (cell,) = (tmp_path / "cells").glob("trials-other-candidate-1*")
    outer = plan_study(data, StudyOptions(protocols=("trials",))).folds["trials"][0].outer
    by_window = [Task(split, 0) for split in inner_splits(data, outer, "windows", seed=0)]
    predicted = np.concatenate([part[0] for part in Ridge().predict(data, by_window, LAMBDAS[0])])
    truth = np.concatenate([data.D[task.split.test] for task in by_window])
    with np.load(cell) as kept:
        assert kept["curves"][0, 0] == pytest.approx(
            mean_metrics(truth, predicted)["kl"], rel=1e-12
        )


def test_inner_folds_of_another_kind_that_cannot_be_lose_that_method_alone(tmp_path: Path) -> None:
    data = from_table(make_table(trials=2, rows_each=10))
    methods = [MeanLabel(), OtherFolds("other", stop_on="trials")]
    results, failures = compute(data, tmp_path, methods, protocols=("windows",))
    assert list(results.predictions) == [("windows", "mean label")]
    assert "too few trials are left to choose parameters by" in failures[0].reason
    assert not failures[0].ours


@pytest.fixture(autouse=True)
def _hear_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="emodict_train")
