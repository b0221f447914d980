from __future__ import annotations

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import scipy
import sklearn
from tests.train.study.fixtures import Descent, Ridge, make_table

import emodict_train.study.running.cells as cells_module
from emodict.errors import OutputError
from emodict_train.study.compared.data import StudyData, from_table
from emodict_train.study.compared.protocols import inner_splits, outer_splits
from emodict_train.study.running.cells import CellStore, Finished, settings_of, software
from emodict_train.study.running.lock import locked
from emodict_train.study.running.selection import Choice, FinalCell, Fold, SelectionCell

ARRAYS = {"curves": np.array([[0.25, np.nan], [1e-9, 3.0]])}


@pytest.fixture(scope="module")
def data() -> StudyData:
    return from_table(make_table(trials=8))


@pytest.fixture
def store(tmp_path: Path) -> CellStore:
    return CellStore(tmp_path, data_digest="0123456789abcdef")


def folds_of(data: StudyData, *, seed: int = 0) -> tuple[Fold, ...]:
    outer = outer_splits(data, "trials", folds=2, seed=seed)
    return tuple(
        Fold(i, split, inner_splits(data, split, "trials", seed=seed))
        for i, split in enumerate(outer)
    )


@pytest.fixture
def cell(data: StudyData) -> SelectionCell:
    return SelectionCell("trials", Ridge(), folds_of(data), 1, seed=0)


def test_a_kept_cell_is_found_as_it_was(store: CellStore, cell: SelectionCell) -> None:
    assert store.find(cell) is None
    store.keep(cell, Finished(ARRAYS, 1.25))
    found = store.find(cell)
    assert found is not None
    np.testing.assert_array_equal(found.arrays["curves"], ARRAYS["curves"])
    assert found.cpu_s == 1.25
    assert store.path(cell).name.startswith("trials-ridge-candidate-2-folds-1-2-")


def test_whatever_its_numbers_depend_on_makes_another_cell(
    store: CellStore,
    cell: SelectionCell,
    data: StudyData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.keep(cell, Finished(ARRAYS, 1.0))
    changed = [
        dataclasses.replace(cell, protocol="windows"),
        dataclasses.replace(cell, candidate=2),
        dataclasses.replace(cell, seed=1),
        dataclasses.replace(cell, folds=folds_of(data, seed=1)),
        dataclasses.replace(cell, folds=cell.folds[:1]),
        dataclasses.replace(cell, method=Ridge(name="other")),
        dataclasses.replace(cell, method=Ridge(pause_s=1.0)),
        dataclasses.replace(cell, method=Ridge(candidates=({"ridge": 0.1}, {"ridge": 11.0}))),
        FinalCell("trials", Ridge(), cell.folds, (Choice(1, 0),) * 2, (0,)),
    ]
    assert [store.find(other) for other in changed] == [None] * len(changed)
    assert CellStore(tmp_path, data_digest="another").find(cell) is None
    for name, other in (("__version__", "9.9.9"), ("_version", lambda package: "9.9.9")):
        with monkeypatch.context() as patched:
            patched.setattr(cells_module, name, other)
            assert store.find(cell) is None
    assert store.find(cell) is not None


def test_the_software_is_that_of_the_rivals_solvers_too() -> None:
    assert software().endswith(f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}")


def test_the_number_of_seeds_and_other_candidates_leave_a_selection_as_it_is(
    store: CellStore, cell: SelectionCell
) -> None:
    one = dataclasses.replace(cell, method=Descent(seeds=2), candidate=0)
    store.keep(one, Finished(ARRAYS, 1.0))
    assert store.find(dataclasses.replace(one, method=Descent(seeds=8))) is not None
    assert (
        store.find(dataclasses.replace(one, method=Descent(candidates=({"rate": 0.1},))))
        is not None
    )
    final = FinalCell("trials", Descent(), cell.folds, (Choice(0, 0),) * 2, (0, 1))
    store.keep(final, Finished({"distribution": np.zeros((2, 3, 3))}, 1.0))
    assert store.find(dataclasses.replace(final, seeds=(0, 1, 2))) is None


def test_where_objects_lie_in_memory_says_nothing_about_a_method() -> None:
    class Holder:
        def __init__(self) -> None:
            self.build, self.seeds, self.rate = (lambda: None), 3, 0.5

    one, other = Holder(), Holder()
    assert repr(one.build) != repr(other.build)
    assert settings_of(one) == settings_of(other)  # type: ignore[arg-type]
    other.rate = 0.6
    assert settings_of(one) != settings_of(other)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "no archive", "another cell"])
def test_a_damaged_cell_is_computed_again_and_said_once(
    store: CellStore, cell: SelectionCell, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    store.keep(cell, Finished({"curves": np.random.default_rng(0).standard_normal((50, 50))}, 1.0))
    path = store.path(cell)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 2] ^= 255
    elif damage == "emptied":
        content = bytearray()
    elif damage == "no archive":
        content = bytearray(b"not an archive")
    else:
        other = dataclasses.replace(cell, candidate=2)
        store.keep(other, Finished(ARRAYS, 1.0))
        content = bytearray(store.path(other).read_bytes())
    path.write_bytes(content)
    caplog.set_level(logging.WARNING)
    assert store.find(cell) is None
    assert store.find(cell) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is damaged: computing it again"
    ]
    store.keep(cell, Finished(ARRAYS, 1.0))
    assert store.find(cell) is not None


HOLDER = """
    import sys, time
    from pathlib import Path
    from emodict_train.study.running.lock import locked
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_folder_that_another_study_writes_is_refused_until_that_is_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        # twice: whoever is refused takes nothing away
        for _ in range(2):
            said = rf"Another study is writing {tmp_path}.*got process {holder.pid} on "
            with pytest.raises(OutputError, match=said), locked(tmp_path):
                pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(timeout=30)
    with locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
