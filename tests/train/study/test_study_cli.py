"""emodict-train study as it is typed: what it prints and writes,
how it exits, and never a traceback.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.io
from tests.train.study.fixtures import Descent, Failing, MeanLabel, Ridge, make_table

from emodict_desk.tables.table import DMER_EMOTIONS, FeatureTable, write_table
from emodict_train import cli
from emodict_train.study.compared.ablations import PAPER, ROBUST

Run = Callable[..., tuple[int, str, str]]
REPOSITORY = Path(__file__).resolve().parents[3]
METHODS: tuple[Any, ...] = (MeanLabel(), Ridge())


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the command compare these instead of all that there are, which take hours."""

    def use(*chosen: Any) -> None:
        module = types.ModuleType("emodict_train.study.compared.methods")
        module.methods_for = lambda data, options, protocol: chosen  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)

    use(*METHODS)
    return use


@pytest.fixture
def run(run_in_process: Run, methods: Callable[..., None]) -> Run:
    return functools.partial(run_in_process, cli)


def write(table: FeatureTable, folder: Path) -> Path:
    path = folder / "table.npz"
    write_table(table, path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(make_table(trials=10), tmp_path_factory.mktemp("data"))


def test_the_folder_holds_what_the_study_found_and_how_it_was_made(
    run: Run,
    methods: Callable[..., None],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    methods(MeanLabel(), Ridge(), Descent(name=PAPER), Descent(name=ROBUST, seeds=2), Failing())
    folder = tmp_path / "new" / "study"
    words = (
        "study",
        data,
        "-o",
        folder,
        "--protocols",
        "trials",
        "--jobs",
        1,
        "--quick",
        "--seeds",
        3,
    )
    code, text, err = run(*words)
    assert code == 1
    assert "failing: ZeroDivisionError: division by zero. The same command tries it again" in err
    assert (
        "Compared 4 methods on 40 windows, 10 trials, 1 subject(s); held out: "
        "trials (5 folds); QUICK" in text
    )
    assert f"Look at {folder / 'study.html'}" in text
    assert (folder / "command.txt").read_text() == " ".join(
        ["emodict-train", *map(str, words)]
    ) + "\n"
    assert pq.read_metadata(folder / "results.parquet").num_rows == 5 * (1 + 1 + 3 + 2)
    about = json.loads((folder / "about.json").read_text())
    assert (about["quick"], about["seeds"], about["folds"], about["seed"]) == (
        True,
        3,
        {"trials": 5},
        0,
    )
    assert (about["data"]["rows"], about["data"]["modalities"]) == (40, {"gsr": 28, "ppg": 27})
    assert sorted({path.suffix for path in (folder / "figures").iterdir()}) == [".png", ".svg"]
    assert "QUICK" in (folder / "tables" / "tables.md").read_text()
    assert (folder / "tables" / "tables.tex").is_file()
    assert "<html" in (folder / "study.html").read_text()
    folds = json.loads((folder / "splits.json").read_text())["folds"]["trials"]
    for fold in folds:
        train, test = (
            {row for first, last in fold[side] for row in range(first, last + 1)}
            for side in ("train", "test")
        )
        # 4 windows of each of 10 trials, one after the other
        assert (len(train), len(test), train | test) == (32, 8, set(range(40)))
        assert not {row // 4 for row in train} & {row // 4 for row in test}


def test_a_package_that_the_tables_need_is_missed_before_the_work_begins(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name)
    )
    code, _, err = run("study", data, "-o", tmp_path / "study")
    assert code == 2
    assert "emodict-train study needs the package 'pyarrow'" in err
    assert "pip install 'emodict[study]'" in err
    assert list(tmp_path.iterdir()) == []


def _relabelled(**changes: tuple[int, float]) -> FeatureTable:
    """A table with one label changed behind the back of FeatureTable's own check."""
    table = make_table(trials=10)
    assert table.labels is not None
    for row, value in changes.values():
        table.labels[row, 0] = value
    return table


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        (make_table(), ("--protocols", "subjects"), "one subject only"),
        (
            make_table(),
            ("--protocols", "trails"),
            "The protocol is unknown. Expected one of trials, subjects, windows",
        ),
        (make_table(), ("--protocols", ","), "--protocols names nothing"),
        (
            make_table(),
            ("--methods", "ridge,SVM"),
            "There is no such method. Expected one of mean label, ridge",
        ),
        (
            make_table(),
            ("--protocols", "trials", "--folds", "11"),
            "too few trials to fill 11 folds with two each",
        ),
        (make_table(), ("--folds", "1"), "--folds"),
        (make_table(), ("--seeds", "0"), "--seeds"),
        (
            make_table(),
            ("--jobs", "0"),
            "--jobs is the number of processes. Expected 1 or more, got 0",
        ),
        (
            make_table(),
            ("--jobs", "2", "--dask", "tcp://127.0.0.1:1"),
            "--jobs and --dask are two places to work in",
        ),
        (make_table(), ("--dask", "here"), "here is not the address of a Dask scheduler"),
        (make_table(), ("--modalities", "ecg"), "has no modality 'ecg'"),
        (make_table(), ("--spec", "emodict-1"), "--spec chooses features for sessions"),
        (make_table(), ("--part", "train"), "has no parts to choose from"),
        (
            make_table(trials=4),
            ("--protocols", "trials"),
            "too few trials to fill 5 folds with two each",
        ),
        (
            make_table(trials=9),
            ("--protocols", "trials"),
            "Expected at least 10 trials, got 9. Use --folds 4",
        ),
        (make_table(trials=2, rows_each=1), (), "too few windows to fill 5 folds with two each"),
        (make_table(trials=1), ("--protocols", "windows"), "too few windows to fill 5 folds"),
        (
            make_table(subjects=2, trials=5),
            ("--protocols", "trials"),
            "subject 'person0' has too few trials",
        ),
        (_relabelled(a=(7, -0.1)), (), "label row 7 is not a distribution"),
        (_relabelled(a=(7, np.nan)), (), "label row 7 is not a distribution"),
        (_relabelled(a=(3, 2.0)), (), "label row 3 is not a distribution"),
    ],
)
def test_bad_input_is_a_sentence_with_exit_code_2_before_anything_is_computed(
    run: Run, tmp_path: Path, table: FeatureTable, options: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "study"
    code, _, err = run("study", write(table, tmp_path), "-o", out, *options)
    assert code == 2
    assert said in err
    assert not out.exists() or [
        path.name for path in out.iterdir() if not path.name.startswith(".")
    ] == ["cells"]


def test_a_protocol_that_does_not_fit_is_left_out_in_a_sentence_unless_it_was_asked_for(
    run: Run, methods: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    methods(MeanLabel())
    table = write(make_table(subjects=2, trials=5), tmp_path)
    code, text, _ = run("study", table, "-o", tmp_path / "study", "--jobs", 1)
    assert code == 0
    assert (
        "The protocol 'trials' is left out: table.npz: subject 'person0' has too few trials"
        in caplog.text
    )
    assert "held out: subjects (2 folds), windows (2 folds)" in text


def test_s_jaffe_like_data_are_refused_what_they_do_not_have(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "faces.mat"
    scipy.io.savemat(
        path, {"features": rng.standard_normal((30, 4)), "labels": rng.dirichlet(np.ones(3), 30)}
    )
    for options, said in (
        (
            ("--protocols", "trials"),
            "does not say which rows belong together. Add data, or use --protocols windows",
        ),
        (("--modalities", "eeg"), "there is nothing to choose from"),
        (("--folds", "16"), "too few windows to fill 16 folds"),
    ):
        code, _, err = run("study", path, "-o", tmp_path / "study", *options)
        assert code == 2
        assert said in err


def test_the_real_sample_needs_its_labels(run: Run, tmp_path: Path) -> None:
    arrays = {
        "train_eeg": np.zeros((4, 18, 4)),
        "train_gsr": np.zeros((4, 1, 4)),
        "train_ppg": np.zeros((4, 1, 4)),
    }
    arrays["train_video"] = np.zeros((4, 32))
    scipy.io.savemat(tmp_path / "bare.mat", arrays)
    code, _, err = run("study", tmp_path / "bare.mat", "-o", tmp_path / "study")
    assert code == 2
    assert "bare.mat has no labels to train on" in err
    labels = np.full((4, len(DMER_EMOTIONS)), 0.2)
    scipy.io.savemat(tmp_path / "wrong.mat", {**arrays, "train_label": labels})
    code, _, err = run("study", tmp_path / "wrong.mat", "-o", tmp_path / "study")
    assert code == 2
    assert "is not a distribution" in err


STUDY = """
    import sys, types
    from tests.train.study.fixtures import MeanLabel, Ridge
    module = types.ModuleType("emodict_train.study.compared.methods")
    module.methods_for = lambda data, options, protocol: (MeanLabel(), Ridge(pause_s=0.5))
    sys.modules[module.__name__] = module
    from emodict_train.cli import main
    if __name__ == "__main__":
        main()
"""


def test_ctrl_c_ends_every_process_and_says_how_to_go_on_while_a_second_study_is_refused(
    run: Run, data: Path, tmp_path: Path
) -> None:
    script, folder = tmp_path / "study.py", tmp_path / "study"
    script.write_text(textwrap.dedent(STUDY))
    paths = [str(REPOSITORY), *(str(REPOSITORY / name) for name in ("runtime", "train"))]
    stopped = subprocess.Popen(
        [sys.executable, script, "study", data, "-o", folder, "--jobs", "2"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while (
        not list(folder.glob("cells/*.npz"))
        and time.monotonic() < deadline
        and stopped.poll() is None
    ):
        time.sleep(0.02)
    code, _, err = run("study", data, "-o", folder)
    assert code == 2
    assert f"Another study is writing {folder}. Expected a folder of its own" in err
    assert f"process {stopped.pid} on " in err
    os.killpg(stopped.pid, signal.SIGINT)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, err
    assert "Traceback" not in err
    kept = len(list(folder.glob("cells/*.npz")))
    assert 1 <= kept < 10
    assert (
        f"stopped; {kept} finished cells are kept, and the same command goes on from there" in err
    )
