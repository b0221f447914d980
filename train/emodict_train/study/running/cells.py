"""CellStore: every finished cell of a study in a file of its own,
found again only by the very same work.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict import __version__
from emodict.files.atomic import atomic_path
from emodict.files.jsontext import parse_json
from emodict_desk.tables.npz import DAMAGE, open_npz
from emodict_train.study.compared.task import Method, Task
from emodict_train.study.running.selection import Arrays, Cell

logger = logging.getLogger(__name__)

CELLS_FOLDER = "cells"
_ABOUT = "about"


@dataclass(frozen=True)
class Finished:
    """What a cell computed, and the processor time it took."""

    arrays: Arrays
    cpu_s: float


class CellStore:
    """The cells of a study's folder that belong to these data.

    A cell is known by all that its numbers depend on: the data, the rows and seeds of its
    tasks, the method with its settings, the candidates, and the software. What changes any of
    it never finds an older cell.
    """

    def __init__(self, study: Path, *, data_digest: str) -> None:
        self._folder = study / CELLS_FOLDER
        self._data_digest = data_digest
        self._said: set[Path] = set()

    def path(self, cell: Cell) -> Path:
        """Where the cell is, or would be."""
        words = f"{cell.protocol} {cell.method.name} {cell.label}"
        key = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
        return self._folder / f"{key}-{_digest(self._identity(cell))}.npz"

    def find(self, cell: Cell) -> Finished | None:
        """The finished cell; None where there is none, or none that can be read."""
        path = self.path(cell)
        if not path.is_file():
            return None
        try:
            return self._read(path, cell)
        except DAMAGE:
            if path not in self._said:
                logger.warning("%s is damaged: computing it again", path)
            self._said.add(path)
            return None

    def keep(self, cell: Cell, finished: Finished) -> None:
        """Write the cell, whole or not at all.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        about = json.dumps({"identity": self._identity(cell), "cpu_s": finished.cpu_s})
        arrays: dict[str, Any] = {**finished.arrays, _ABOUT: np.array(about)}
        with atomic_path(self.path(cell)) as part, part.open("wb") as handle:
            np.savez_compressed(handle, **arrays)

    def _read(self, path: Path, cell: Cell) -> Finished:
        with open_npz(path) as file:
            about = parse_json(str(file[_ABOUT]))
            if about["identity"] != self._identity(cell):
                raise ValueError("it is another cell under this name")
            return Finished({name: file[name] for name in cell.arrays}, float(about["cpu_s"]))

    def _identity(self, cell: Cell) -> dict[str, Any]:
        return {
            "cell": [cell.protocol, cell.method.name, cell.label],
            "method": settings_of(cell.method),
            "settings": json.loads(json.dumps(cell.settings, sort_keys=True, default=_plain)),
            "tasks": _digest([_task(task) for task in cell.tasks]),
            "data": self._data_digest,
            "software": software(),
        }


def software() -> str:
    """Of what the numbers depend on."""
    import torch

    ours = f"emodict {__version__}, torch {torch.__version__}, numpy {np.__version__}"
    # The rivals' solvers.
    return ", ".join(
        [ours, *(f"{package} {_version(package)}" for package in ("scipy", "scikit-learn"))]
    )


@functools.cache
def _version(package: str) -> str:
    """Of an installed package, which is slow to import,
    and slow enough to ask of the disk for every cell.
    """
    return importlib.metadata.version(package)


def settings_of(method: Method) -> str:
    """All that a method was made with, but its seeds and candidates:
    a cell names those that it uses.

    Where objects lie in memory differs from run to run, so it is left out.
    """
    skipped = ("seeds", "candidates")
    if dataclasses.is_dataclass(method):
        state = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    else:
        state = dict(vars(method))
    parts = [f"{name}={value!r}" for name, value in state.items() if name not in skipped]
    return re.sub(r" at 0x[0-9a-fA-F]+", "", f"{type(method).__qualname__}({', '.join(parts)})")


def _task(task: Task) -> list[Any]:
    return [_rows(task.split.train), _rows(task.split.test), task.seed]


def _rows(rows: NDArray[np.intp]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows, dtype=np.int64).tobytes()).hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """NumPy's numbers as numbers, anything else in words."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else repr(value)
