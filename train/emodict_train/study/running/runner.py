"""Runner: does the cells of a study that are not done yet, the longest first,
and keeps each when it is finished.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emodict.errors import EmodictError, InputError
from emodict_train.study.compared.data import StudyData
from emodict_train.study.running.cells import CellStore, Finished
from emodict_train.study.running.pool import Workers
from emodict_train.study.running.progress import Ledger
from emodict_train.study.running.selection import Arrays, Cell
from emodict_train.training.threads import one_thread

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progressed:
    """Progress of a study.

    Attributes:
        cells: done.
        share: of the work that they are.
        note: which was the last.
        left_s: seconds that are left; None: as the share foretells,
            for nobody knows who works on it.
    """

    cells: int
    share: float
    note: str
    left_s: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why a method (or the latents of one) is missing; `ours`:
    through a fault of emodict's, not the user's input.
    """

    protocol: str
    what: str
    reason: str
    ours: bool


OnProgress = Callable[[Progressed], None]


@dataclass(frozen=True)
class _Work:
    """A cell, by its place among those that are run together."""

    number: int
    cell: Cell


@dataclass(frozen=True)
class _Outcome:
    """What became of a cell: its arrays, or why there are none; and what was warned of."""

    number: int
    arrays: Arrays
    cpu_s: float
    wall_s: float = 0.0
    reason: str = ""
    ours: bool = False
    trace: str = ""
    warned: tuple[str, ...] = ()


class Runner:
    """Does cells that are not done yet, the longest first,
    and keeps each as soon as it is finished.
    """

    def __init__(
        self,
        data: StudyData,
        store: CellStore,
        pool: Workers,
        on_progress: OnProgress,
        *,
        processes: int | None = None,
    ) -> None:
        self._data, self._store, self._pool, self._on_progress = data, store, pool, on_progress
        self._ledger, self._processes = Ledger(), processes
        self._wall_s = self._busy_s = 0.0
        self._warned: set[tuple[str, str]] = set()
        self.cells = 0
        self.failed: dict[tuple[str, str], Failure] = {}
        self.cpu_s: dict[tuple[str, str], float] = defaultdict(float)

    def expect(self, cells: Sequence[Cell]) -> None:
        """Cells that will be run."""
        for cell in cells:
            self._ledger.expect(cell)

    def give_up(self, cells: Sequence[Cell]) -> None:
        """Cells that were expected and will not be run."""
        for cell in cells:
            self._ledger.drop(cell)

    def run(self, cells: Sequence[Cell]) -> list[Finished | None]:
        """Each cell's result; None where it failed."""
        finished = [self._store.find(cell) for cell in cells]
        for cell, found in zip(cells, finished, strict=True):
            if found is not None:
                self._count(cell, found, now=False)
        todo = [_Work(i, cells[i]) for i, found in enumerate(finished) if found is None]
        todo.sort(key=lambda work: self._ledger.cost_s(work.cell), reverse=True)
        if todo:
            self._say(self._ledger.share, f"{len(todo)} cells to do")
            with self._pool(_do, self._data, todo) as outcomes:
                for outcome in outcomes:
                    finished[outcome.number] = self._take(cells[outcome.number], outcome)
        return finished

    def fail(self, protocol: str, what: str, error: Exception) -> None:
        """A method, or what is looked into of it, has no numbers under a protocol;
        the first reason counts.
        """
        self._fail(Failure(protocol, what, sentence(error), not isinstance(error, InputError)))

    def _fail(self, failure: Failure) -> None:
        if self.failed.setdefault((failure.protocol, failure.what), failure) is failure:
            logger.warning(
                "%s, %s: %s. The others go on", failure.protocol, failure.what, failure.reason
            )

    def _take(self, cell: Cell, outcome: _Outcome) -> Finished | None:
        for text in outcome.warned:
            # One of a kind is enough: the next may differ from it in a number alone.
            kind = cell.method.name, text.partition(":")[0]
            if kind not in self._warned:
                self._warned.add(kind)
                logger.warning("%s: %s", cell.method.name, text)
        if outcome.reason:
            if os.environ.get("EMODICT_DEBUG"):
                logger.error("%s", outcome.trace)
            self._fail(Failure(cell.protocol, cell.what, outcome.reason, outcome.ours))
            self._ledger.drop(cell)
            return None
        self._wall_s, self._busy_s = self._wall_s + outcome.wall_s, self._busy_s + outcome.cpu_s
        found = Finished(outcome.arrays, outcome.cpu_s)
        self._store.keep(cell, found)
        self._count(cell, found, now=True)
        return found

    def _count(self, cell: Cell, found: Finished, *, now: bool) -> None:
        self._ledger.learn(cell, found.cpu_s, now=now)
        self.cpu_s[cell.protocol, cell.method.name] += found.cpu_s
        self.cells += 1
        note = f"{cell.protocol}, {cell.method.name}, {cell.label}"
        self._say(self._ledger.share if now else 0.0, note)

    def _say(self, share: float, note: str) -> None:
        """With the time left: what the cells will cost,
        at the pace of those that were done, by all processes.
        """
        left_s = None
        if self._processes is not None:
            pace = self._wall_s / self._busy_s if self._busy_s > 0 else 1.0
            left_s = self._ledger.left_s * pace / self._processes
        self._on_progress(Progressed(self.cells, share, note, left_s))


def _do(data: StudyData, work: _Work) -> _Outcome:
    """Compute a cell, here or in a worker; an error comes back as a value,
    for the other cells to go on.
    """
    with warnings.catch_warnings(record=True) as caught, one_thread():
        warnings.simplefilter("default")
        # Of this thread: a Dask worker may have several.
        started, began = time.thread_time(), time.monotonic()
        try:
            arrays, reason, ours, trace = work.cell.compute(data), "", False, ""
        except Exception as error:
            arrays, reason, trace = {}, sentence(error), traceback.format_exc()
            ours = not isinstance(error, InputError)
        cpu_s, wall_s = time.thread_time() - started, time.monotonic() - began
    warned = dict.fromkeys(
        f"{w.category.__name__}: {str(w.message).splitlines()[0]}" for w in caught
    )
    return _Outcome(work.number, arrays, cpu_s, wall_s, reason, ours, trace, tuple(warned))


def sentence(error: Exception) -> str:
    """An error as a clause in one line."""
    text = str(error) if isinstance(error, EmodictError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split()).rstrip(".")
