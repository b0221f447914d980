"""write_outputs: the files of a study's folder, from its results."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emodict.errors import MissingDependencyError
from emodict.files.atomic import atomic_path, output_error
from emodict_train.study.compared.protocols import Split
from emodict_train.study.judging.results import RESULTS_FILE, Results, write_results
from emodict_train.study.showing.figures import draw_figures
from emodict_train.study.showing.page import write_page
from emodict_train.study.showing.tables import study_tables, write_tables

TABLES_FOLDER, FIGURES_FOLDER, PAGE = "tables", "figures", "study.html"
ABOUT_FILE = "about.json"
# The resampling of the tables has a generator of its own: the same results give the same tables.
RESAMPLING_SEED = 0
# What the figures are named, whatever a user put beside them.
_A_FIGURE = re.compile(r"(overview|(figure-\d|ranks|weights)-[a-z-]+)\.(svg|png)")


def require_writers() -> None:
    """Refuse to begin hours of work whose results could not be written.

    Raises:
        MissingDependencyError: it is named.
    """
    for package in ("pyarrow", "matplotlib", "sklearn"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, extra="study", purpose="emodict-train study")


def write_outputs(results: Results, splits: Mapping[str, Sequence[Split]], folder: Path) -> None:
    """Write results, tables, figures and the page, the folds, and the command that made it all.

    Figures that an earlier study left in the folder and this one does not have are removed.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    for name in (TABLES_FOLDER, FIGURES_FOLDER):
        _make(folder / name)
    write_results(results, folder / RESULTS_FILE)
    _write_text(folder / "splits.json", json.dumps(_folds(results, splits)) + "\n")
    _write_text(folder / ABOUT_FILE, json.dumps(_about(results), indent=1) + "\n")
    _write_text(folder / "command.txt", f"{results.about['command']}\n")
    tables = study_tables(results, rng=np.random.default_rng(RESAMPLING_SEED))
    write_tables(tables, folder / TABLES_FOLDER)
    figures = draw_figures(results, folder / FIGURES_FOLDER)
    _remove_others(
        folder / FIGURES_FOLDER, {path for figure in figures for path in (figure.svg, figure.png)}
    )
    write_page(results, tables, figures, folder / PAGE)


def _folds(results: Results, splits: Mapping[str, Sequence[Split]]) -> dict[str, Any]:
    """The rows of each fold, counted from 0 among those with a label and a modality."""
    return {
        "rows_are": "[first, last] of each run of rows",
        "rows": len(results.data),
        "data": results.data.digest,
        "seed": results.about["seed"],
        "folds": {
            protocol: [
                {
                    "name": split.name,
                    "train": _as_ranges(split.train),
                    "test": _as_ranges(split.test),
                }
                for split in own
            ]
            for protocol, own in splits.items()
        },
    }


def _as_ranges(rows: Any) -> list[list[int]]:
    """Ascending rows as [first, last] of each run: the rows of a trial follow each other."""
    breaks = np.flatnonzero(np.diff(rows) > 1)
    return np.stack([rows[[0, *breaks + 1]], rows[[*breaks, len(rows) - 1]]], axis=1).tolist()  # type: ignore[no-any-return]


def _about(results: Results) -> dict[str, Any]:
    data = results.data
    return {
        **results.about,
        "data": {
            "source": data.source,
            "digest": data.digest,
            "rows": len(data),
            "trials": len(np.unique(data.trial)),
            "subjects": len(data.subjects),
            "modalities": {name: part.stop - part.start for name, part in data.modalities.items()},
            "emotions": list(data.emotions),
            "simulated": data.simulated,
        },
        "cpu_s": {
            protocol: {p.method: round(p.cpu_s, 2) for p in results.of(protocol)}
            for protocol in results.about["protocols"]
        },
    }


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error


def _remove_others(figures: Path, written: set[Path]) -> None:
    """Remove the figures of an earlier study; the tables are two files that every study writes."""
    for path in figures.iterdir():
        if path not in written and path.is_file() and _A_FIGURE.fullmatch(path.name):
            try:
                path.unlink()
            except OSError as error:
                raise output_error(path, error) from error


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as part:
        # A file name that is not UTF-8 may be part of the command.
        part.write_bytes(os.fsencode(text))
