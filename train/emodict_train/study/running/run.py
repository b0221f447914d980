"""run_study: every method under every protocol, cell by cell,
so that a study goes on where it was stopped.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from emodict.errors import EmodictError, InputError, OutputError, TableError
from emodict.files.atomic import output_error
from emodict_train.study.compared.ablations import BLOCKS, ROBUST
from emodict_train.study.compared.data import StudyData
from emodict_train.study.compared.protocols import (
    INNER_FOLDS,
    default_folds,
    inner_splits,
    outer_splits,
    protocols_for,
    warn_of_unseen_emotions,
)
from emodict_train.study.compared.task import HasLatents, Latents, Method
from emodict_train.study.judging.results import Predictions, Results
from emodict_train.study.judging.statistics import BASELINES
from emodict_train.study.running.cells import CELLS_FOLDER, CellStore, Finished, software
from emodict_train.study.running.lock import LOCK_FILE, locked
from emodict_train.study.running.pool import workers
from emodict_train.study.running.runner import Failure, OnProgress, Progressed, Runner, sentence
from emodict_train.study.running.selection import (
    Arrays,
    Cell,
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
from emodict_train.study.showing.outputs import ABOUT_FILE, require_writers, write_outputs

logger = logging.getLogger(__name__)

SEEDS, QUICK_SEEDS = 8, 2
QUICK_INNER_FOLDS = 2


@dataclass(frozen=True)
class StudyOptions:
    """What a study is asked for.

    Attributes:
        protocols: () for all that the data allow.
        methods: names, or first halves of names (`components` for
            `components: full` ...); () for all.
        seeds: of each method that draws random numbers; seed, seed + 1, ...
        folds: None for as many as fit the data (see protocols.default_folds).
        seed: of the folds as well.
        quick: fewer seeds and epochs, which every table says.
        jobs, dask: processes of this machine, or the address of a cluster.
        device: what networks are trained on, cpu or cuda.
    """

    protocols: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: int = SEEDS
    folds: int | None = None
    seed: int = 0
    quick: bool = False
    jobs: int = 1
    dask: str | None = None
    device: str = "cpu"

    @property
    def inner_folds(self) -> int:
        """How many folds inside the training rows parameters are chosen on."""
        return QUICK_INNER_FOLDS if self.quick else INNER_FOLDS


@dataclass(frozen=True)
class StudyPlan:
    """The folds of each protocol, the honest ones first.

    Attributes:
        left_out: why, for each protocol that the data do not fit and nobody chose.
    """

    folds: Mapping[str, tuple[Fold, ...]]
    left_out: Mapping[str, str]


Methods = Mapping[str, Sequence[Method]]


def run_study(
    data: StudyData,
    methods: Methods,
    options: StudyOptions,
    folder: Path,
    *,
    command: str = "",
    on_progress: OnProgress = lambda progressed: None,
) -> tuple[Results, tuple[Failure, ...]]:
    """Judge the methods of each protocol on the data and write all there is to
    see of it into the folder.

    A method that fails loses itself and no other; see `refuse_failures`. What an earlier run of the
    same study finished in this folder is not done again.

    Raises:
        InputError: data that the protocols do not fit, unknown names,
            a folder that cannot be used, or in use.
        EmodictError: no method has any numbers.
    """
    plan = plan_study(data, options)
    methods = choose_methods(methods, options.methods)
    require_writers()
    _prepare(folder)
    with locked(folder):
        results, failures = compute_study(
            data, plan, methods, options, folder, command=command, on_progress=on_progress
        )
        write_outputs(
            results,
            {name: [fold.outer for fold in folds] for name, folds in plan.folds.items()},
            folder,
        )
    return results, failures


def compute_study(
    data: StudyData,
    plan: StudyPlan,
    methods: Methods,
    options: StudyOptions,
    folder: Path,
    *,
    command: str = "",
    on_progress: OnProgress = lambda progressed: None,
) -> tuple[Results, tuple[Failure, ...]]:
    """The results of a study and what failed in it;
    only the finished cells are written into the folder.

    Whoever calls this holds the folder's lock.

    Raises:
        InputError: the cells cannot be written, or the cluster cannot be used.
        EmodictError: no method has any numbers.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    store = CellStore(folder, data_digest=data.digest)
    processes = None if options.dask else options.jobs
    with workers(options.jobs, options.dask) as pool:
        study = _Study(
            data,
            plan,
            methods,
            options,
            Runner(data, store, pool, on_progress, processes=processes),
        )
        predictions, latents = study.run()
    on_progress(Progressed(study.runner.cells, 1.0, "tables and figures", 0.0))
    if not predictions:
        refuse_failures(study.failures)
    about = {
        **_describe(options, plan),
        "command": command,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 1),
        "missing": study.missing(),
    }
    return Results(data, predictions, latents, about), study.failures


def plan_study(data: StudyData, options: StudyOptions) -> StudyPlan:
    """The folds of each protocol, the honest ones first;
    emotions that a fold cannot learn are warned of.

    Where nobody chose protocols, one that the data do not fit is left out,
    which is warned of as well.

    Raises:
        InputError: an unknown protocol, or data that do not fit a chosen one, or any.
    """
    folds: dict[str, tuple[Fold, ...]] = {}
    misfits: dict[str, TableError] = {}
    for protocol in protocols_for(data, options.protocols):
        try:
            folds[protocol] = _folds(data, protocol, options)
        except TableError as error:
            if options.protocols:
                raise
            misfits[protocol] = error
    if not folds:
        # Of the last, random windows: it asks for the least.
        raise list(misfits.values())[-1]
    left_out = {protocol: sentence(misfit) for protocol, misfit in misfits.items()}
    for protocol, reason in left_out.items():
        logger.warning("The protocol '%s' is left out: %s. The others go on", protocol, reason)
    for protocol, own in folds.items():
        warn_of_unseen_emotions(data, protocol, tuple(fold.outer for fold in own))
    return StudyPlan(folds, left_out)


def _folds(data: StudyData, protocol: str, options: StudyOptions) -> tuple[Fold, ...]:
    outer = outer_splits(
        data, protocol, folds=options.folds or default_folds(data), seed=options.seed
    )
    return tuple(
        Fold(
            i,
            split,
            inner_splits(data, split, protocol, folds=options.inner_folds, seed=options.seed),
        )
        for i, split in enumerate(outer)
    )


def choose_methods(methods: Methods, names: Sequence[str]) -> Methods:
    """For each protocol those of these names, in the order of the tables, and the baselines.

    With an ablation come the runs that it shares with another, such as its reference.

    Raises:
        InputError: a name that none has.
    """
    known = {method.name: method for own in methods.values() for method in own}
    unknown = [
        name for name in names if not any(_is_named(method, name) for method in known.values())
    ]
    if unknown:
        raise InputError(
            "There is no such method",
            expected=tuple(known),
            got=", ".join(unknown),
            fix="Correct the name; names with commas between, in quotes",
        )
    asked = {name.casefold() for name in names}
    shared = (method for block in BLOCKS if block.key in asked for method in block.shared.values())
    # No honest table omits them.
    wanted = (*names, *shared, *BASELINES) if names else ()
    return {
        protocol: tuple(m for m in own if not wanted or any(_is_named(m, name) for name in wanted))
        for protocol, own in methods.items()
    }


def _is_named(method: Method, name: str) -> bool:
    whole, asked = method.name.casefold(), name.casefold()
    return whole == asked or whole.startswith(f"{asked}: ")


def refuse_failures(failures: Sequence[Failure]) -> None:
    """End with a sentence if a method failed: every reason once.

    Raises:
        EmodictError: a fault of emodict's among them.
        InputError: it all lies with the user's input.
    """
    if not failures:
        return
    reasons = dict.fromkeys(f"{failure.what}: {failure.reason}" for failure in failures)
    kind = EmodictError if any(failure.ours for failure in failures) else InputError
    raise kind(
        f"Not everything could be run. {'. '.join(reasons)}",
        fix="The same command tries it again and keeps the rest; "
        "EMODICT_DEBUG=1 says where it failed",
    )


def _prepare(folder: Path) -> None:
    """Make the folder; refuse one that holds something else,
    for a mistyped -o must not spill files into it.

    Raises:
        OutputError: it is a file, cannot be made, or holds other things.
    """
    fix, expected = (
        "Choose another folder with -o",
        "a new folder, an empty one, or that of an earlier study",
    )
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"Cannot write a study to {folder}", expected=expected, got="a file", fix=fix
        )
    # A user may have deleted the cells of a finished study.
    known = any((folder / mark).exists() for mark in (CELLS_FOLDER, ABOUT_FILE, LOCK_FILE))
    if folder.is_dir() and any(folder.iterdir()) and not known:
        raise OutputError(f"{folder} holds other things", expected=expected, fix=fix)
    try:
        (folder / CELLS_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error


def _describe(options: StudyOptions, plan: StudyPlan) -> dict[str, Any]:
    return {
        "quick": options.quick,
        "protocols": list(plan.folds),
        "left_out": dict(plan.left_out),
        "seeds": options.seeds,
        "folds": {protocol: len(folds) for protocol, folds in plan.folds.items()},
        "seed": options.seed,
        "software": software(),
    }


class _Study:
    """The cells of a study in the order in which they need each other:
    selection, then what was selected.
    """

    def __init__(
        self,
        data: StudyData,
        plan: StudyPlan,
        methods: Methods,
        options: StudyOptions,
        runner: Runner,
    ) -> None:
        self._data, self._plan, self._methods, self._options, self.runner = (
            data,
            plan.folds,
            methods,
            options,
            runner,
        )

    def run(self) -> tuple[dict[tuple[str, str], Predictions], dict[str, Latents]]:
        """Everything, as Results wants it."""
        selection = [
            cell
            for protocol, method in self._pairs()
            for cell in self._selection_cells(protocol, method)
        ]
        self.runner.expect(selection)
        for protocol, method in self._pairs():
            # As many rows as the final cells will have: they are known, whatever is chosen.
            self.runner.expect(
                self._chosen_cells(protocol, method, _any_choice(self._plan[protocol]))
            )
        choices = self._choices(selection, self.runner.run(selection))
        for pair in self._pairs():
            if _key(pair) not in choices:
                self.runner.give_up(self._chosen_cells(*pair, _any_choice(self._plan[pair[0]])))
        chosen = [cell for pair in self._pairs() if _key(pair) in choices
                  for cell in self._chosen_cells(*pair, choices[_key(pair)])]  # fmt: skip
        finished = self.runner.run(chosen)
        return self._predictions(chosen, finished, choices), _latents(chosen, finished)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What could not be run, in the order in which it failed."""
        return tuple(self.runner.failed.values())

    def missing(self) -> dict[str, dict[str, str]]:
        """The reasons, by protocol and method, of the methods that have no predictions."""
        reasons: dict[str, dict[str, str]] = {}
        for protocol, method in self._pairs():
            failure = self.runner.failed.get((protocol, method.name))
            if failure is not None:
                reasons.setdefault(protocol, {})[method.name] = failure.reason
        return reasons

    def _pairs(self) -> list[tuple[str, Method]]:
        return [(protocol, method) for protocol in self._plan for method in self._methods[protocol]]

    def _seeds(self, method: Method) -> tuple[int, ...]:
        return tuple(self._options.seed + i for i in range(method.seeds or 1))

    def _selection_cells(self, protocol: str, method: Method) -> list[Cell]:
        if not needs_selection(method):
            return []
        try:
            folds = [
                self._fold_to_select_on(protocol, method, fold) for fold in self._plan[protocol]
            ]
        except InputError as error:
            self.runner.fail(protocol, method.name, error)
            return []
        parts = in_parts(folds, lambda fold: fold.inner)
        return [
            SelectionCell(protocol, method, part, candidate, self._options.seed)
            for candidate in range(len(method.candidates))
            for part in parts
        ]

    def _fold_to_select_on(self, protocol: str, method: Method, fold: Fold) -> Fold:
        """The fold; a method may choose on inner folds of another kind, to show what that costs."""
        other = getattr(method, "stop_on", None)
        if other in (None, protocol):
            return fold
        options = self._options
        inner = inner_splits(
            self._data, fold.outer, other, folds=options.inner_folds, seed=options.seed
        )
        return replace(fold, inner=inner)

    def _chosen_cells(self, protocol: str, method: Method, choices: Sequence[Choice]) -> list[Cell]:
        folds, seeds = self._plan[protocol], self._seeds(method)
        cells: list[Cell] = [
            FinalCell(protocol, method, part, tuple(choices[fold.number] for fold in part), seeds)
            for part in in_parts(folds, lambda fold: [fold.outer] * len(seeds))
        ]
        if method.name == ROBUST and isinstance(method, HasLatents):
            cells += [
                LatentsCell(protocol, method, fold, choices[fold.number], seeds[0])
                for fold in folds
            ]
        return cells

    def _choices(
        self, cells: Sequence[Cell], finished: Sequence[Finished | None]
    ) -> dict[tuple[str, str], tuple[Choice, ...]]:
        """What was chosen in each fold, for each protocol and method that has not failed."""
        curves: dict[tuple[str, str], dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for cell, found in zip(cells, finished, strict=True):
            if found is not None and isinstance(cell, SelectionCell):
                curves[cell.protocol, cell.method.name][cell.candidate].append(
                    found.arrays["curves"]
                )
        choices = {}
        for protocol, method in self._pairs():
            key = protocol, method.name
            if key in self.runner.failed:
                continue
            if not needs_selection(method):
                choices[key] = _any_choice(self._plan[protocol])
                continue
            try:
                choices[key] = choose(
                    method, [np.concatenate(parts) for parts in curves[key].values()]
                )
            except EmodictError as error:
                self.runner.fail(protocol, method.name, error)
        return choices

    def _predictions(
        self,
        cells: Sequence[Cell],
        finished: Sequence[Finished | None],
        choices: Mapping[tuple[str, str], tuple[Choice, ...]],
    ) -> dict[tuple[str, str], Predictions]:
        parts: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for cell, found in zip(cells, finished, strict=True):
            if found is not None and isinstance(cell, FinalCell):
                parts[cell.protocol, cell.method.name].append(found.arrays["distribution"])
        return {
            (protocol, method.name): Predictions(
                method=method.name,
                protocol=protocol,
                rows=np.concatenate([fold.outer.test for fold in self._plan[protocol]]),
                fold=np.repeat(
                    [fold.number for fold in self._plan[protocol]],
                    [len(fold.outer.test) for fold in self._plan[protocol]],
                ),
                distribution=np.concatenate(parts[protocol, method.name], axis=1),
                chosen=tuple(
                    describe_choice(method, choice) for choice in choices[protocol, method.name]
                ),
                cpu_s=self.runner.cpu_s[protocol, method.name],
            )
            for protocol, method in self._pairs()
            if (protocol, method.name) not in self.runner.failed
        }


def _key(pair: tuple[str, Method]) -> tuple[str, str]:
    return pair[0], pair[1].name


def _any_choice(folds: Sequence[Fold]) -> tuple[Choice, ...]:
    """The only one of a method that leaves nothing to choose."""
    return (Choice(0, 0),) * len(folds)


def _latents(cells: Sequence[Cell], finished: Sequence[Finished | None]) -> dict[str, Latents]:
    """By protocol; of folds that chose dictionaries of different sizes,
    a smaller one has no weight beyond its own.
    """
    parts: dict[str, list[Arrays]] = defaultdict(list)
    for cell, found in zip(cells, finished, strict=True):
        if found is not None and isinstance(cell, LatentsCell):
            parts[cell.protocol].append(found.arrays)
    return {
        protocol: Latents(
            rows=np.concatenate([part["rows"] for part in found]),
            latent=_stacked([part["latent"] for part in found]),
            weights=_stacked([part["weights"] for part in found]),
        )
        for protocol, found in parts.items()
    }


def _stacked(blocks: Sequence[Any]) -> Any:
    width = max(block.shape[1] for block in blocks)
    return np.concatenate(
        [np.pad(block, ((0, 0), (0, width - block.shape[1]))) for block in blocks]
    )
