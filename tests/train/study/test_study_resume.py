"""A study goes on where it was stopped, keeps what is finished,
and touches no folder but its own.
"""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import pytest
from tests.train.study import synthetic
from tests.train.study.fixtures import (
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

from emodict.errors import EmodictError, InputError, OutputError
from emodict_train.study.compared.data import StudyData, from_table
from emodict_train.study.compared.protocols import PROTOCOLS
from emodict_train.study.running.run import (
    StudyOptions,
    refuse_failures,
    run_study,
)
from emodict_train.study.running.runner import Failure
from emodict_train.study.showing import figures as figures_package
from emodict_train.study.showing.figures.canvas import ENDINGS
from emodict_train.study.showing.outputs import _A_FIGURE


@pytest.fixture(scope="module")
def data() -> StudyData:
    return from_table(make_table(trials=10))


def test_what_is_finished_is_not_done_again(data: StudyData, tmp_path: Path) -> None:
    methods = [MeanLabel(), Ridge(log=tmp_path / "log")]
    first, _ = compute(data, tmp_path, methods)
    calls = (tmp_path / "log").read_text()
    # 3 candidates, then in each fold's turn what it chose, under 2 protocols
    assert len(calls.splitlines()) >= 8
    written = cells_of(tmp_path)
    again, _ = compute(data, tmp_path, methods)
    assert same(first, again)
    assert again.predictions["trials", "ridge"].cpu_s == first.predictions["trials", "ridge"].cpu_s
    assert ((tmp_path / "log").read_text(), cells_of(tmp_path)) == (calls, written)


def test_more_seeds_train_the_chosen_networks_alone_and_another_seed_everything(
    data: StudyData, tmp_path: Path
) -> None:
    for seeds, seed, new in ((2, 0, 6), (4, 0, 2), (4, 1, 6)):
        before = cells_of(tmp_path)
        results, _ = compute(data, tmp_path, [Descent(seeds=seeds)], seed=seed)
        # 2 candidates and the final networks under 2 protocols
        assert len(cells_of(tmp_path).keys() - before.keys()) == new
        assert results.predictions["trials", "descent"].distribution.shape[0] == seeds


def test_a_damaged_cell_is_done_again_and_no_other(
    data: StudyData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = compute(data, tmp_path)
    written = cells_of(tmp_path)
    damaged = next((tmp_path / "cells").glob("trials-ridge-final*"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    again, _ = compute(data, tmp_path)
    assert same(first, again)
    assert [record.getMessage() for record in caplog.records] == [
        f"{damaged} is damaged: computing it again"
    ]
    changed = {name for name, at in cells_of(tmp_path).items() if written[name] != at}
    assert changed == {damaged.name}


def test_a_method_that_fails_loses_no_other_and_is_tried_again(
    data: StudyData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    methods = [MeanLabel(), Failing(), Ridge()]
    results, failures = compute(data, tmp_path, methods, protocols=("trials",))
    assert list(results.predictions) == [("trials", "mean label"), ("trials", "ridge")]
    reason = "ZeroDivisionError: division by zero"
    assert results.about["missing"] == {"trials": {"failing": reason}}
    assert failures == (Failure("trials", "failing", reason, ours=True),)
    assert [r.getMessage() for r in caplog.records] == [
        f"trials, failing: {reason}. The others go on"
    ]
    with pytest.raises(EmodictError, match=rf"failing: {reason}") as caught:
        refuse_failures(failures)
    assert caught.value.exit_code == 1
    mended, failures = compute(
        data, tmp_path, [MeanLabel(), MeanLabel("failing"), Ridge()], protocols=("trials",)
    )
    assert not failures
    assert len(mended.predictions) == 3
    refuse_failures(failures)


def test_a_study_goes_on_in_its_folder_without_its_cells_and_leaves_no_older_figure(
    data: StudyData, tmp_path: Path
) -> None:
    figures, options = tmp_path / "figures", StudyOptions(protocols=("trials",))
    run_study(data, {"trials": METHODS}, options, tmp_path)
    first = {path.name for path in figures.iterdir()}
    shutil.rmtree(tmp_path / "cells")
    (figures / "notes.png").touch()
    run_study(data, {"trials": METHODS[:1]}, options, tmp_path)
    second = {path.name for path in figures.iterdir()}
    assert second < first | {"notes.png"}
    assert second == {
        "notes.png",
        *(f"{key}{end}" for key in page_figures(tmp_path) for end in (".svg", ".png")),
    }
    (tmp_path / "about.json").unlink()
    shutil.rmtree(tmp_path / "cells")
    run_study(data, {"trials": METHODS[:1]}, options, tmp_path)


def page_figures(folder: Path) -> list[str]:
    return re.findall('<figure id="([^"]+)"', (folder / "study.html").read_text())


def test_every_name_of_a_figure_is_known_as_one_to_remove() -> None:
    results = synthetic.results(synthetic.data(people=3), protocols=PROTOCOLS)
    keys = [
        drawing.key for module in figures_package._MODULES for drawing in module.drawings(results)
    ]
    assert {
        "figure-3-distributions",
        "figure-4-latent-trials",
        "figure-5-elements",
        "weights-subjects",
    } <= set(keys)
    assert all(_A_FIGURE.fullmatch(f"{key}{ending}") for key in keys for ending in ENDINGS)


def test_a_folder_with_other_things_is_refused_and_nothing_is_written(
    data: StudyData, tmp_path: Path
) -> None:
    (tmp_path / "recording.h5").touch()
    with pytest.raises(OutputError, match=f"{tmp_path} holds other things"):
        run_study(data, {"trials": METHODS}, StudyOptions(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["recording.h5"]
    with pytest.raises(OutputError, match=r"Cannot write a study to .*recording\.h5.*got a file"):
        run_study(data, {"trials": METHODS}, StudyOptions(), tmp_path / "recording.h5")


def test_bad_input_leaves_a_running_studys_folder_as_it_is(data: StudyData, tmp_path: Path) -> None:
    compute(data, tmp_path, protocols=("trials",))
    before = cells_of(tmp_path)
    for options in (
        StudyOptions(protocols=("subjects",)),
        StudyOptions(protocols=("trials",), folds=9),
        StudyOptions(methods=("x",)),
    ):
        with pytest.raises(InputError):
            run_study(data, {"trials": METHODS}, options, tmp_path)
    assert cells_of(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]


@pytest.fixture(autouse=True)
def _hear_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="emodict_train")
