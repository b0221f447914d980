"""The EDL data set's features (Shu et al. 2022) as a table:
89 peripheral features, 7 emotions, no EEG.

A .csv with a header: subject, trial, the 89 features gsr00..gsr38 skt00..skt03 ecg00..ecg38
hr00..hr06, and the emotions anger disgust sadness fear tenderness joy amusement as shares that sum
to 1. An empty cell is missing.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from emodict.errors import TableError
from emodict.features.spec import load_spec
from emodict.features.windows import assemble, ready_made_rows
from emodict_desk.tables.table import FeatureTable

EMOTIONS = ("anger", "disgust", "sadness", "fear", "tenderness", "joy", "amusement")


def read_edl(path: Path) -> FeatureTable:
    """Read an EDL table.

    Raises:
        TableError: a column is missing, or a cell is not a number (file and line are named).
    """
    spec = load_spec("edl-89")
    features = [name for modality in spec.modalities for name in modality.feature_names]
    rows = _read_columns(path, ["subject", "trial", *features, *EMOTIONS])
    numbers = np.array([[_number(cell, path, line) for cell in row[2:]] for line, row in rows])
    numbers = numbers.reshape(len(rows), len(features) + len(EMOTIONS))
    parts, start = {}, 0
    for modality in spec.modalities:
        parts[modality.name] = ready_made_rows(numbers[:, start : start + modality.dims])
        start += modality.dims
    return FeatureTable(
        windows=assemble(spec, np.arange(len(rows), dtype=np.float64), parts),
        emotions=EMOTIONS,
        labels=numbers[:, start:],
        subject=np.array([row[0] for _, row in rows], dtype=np.str_),
        trial=np.array([row[1] for _, row in rows], dtype=np.str_),
        source=path.name,
    )


def _read_columns(path: Path, wanted: list[str]) -> list[tuple[int, list[str]]]:
    """(line number, the wanted cells) of each row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            missing = [name for name in wanted if name not in (reader.fieldnames or ())]
            if missing:
                raise TableError(
                    f"{path} is not an EDL table",
                    expected=f"columns {', '.join(wanted[:4])}, ... {wanted[-1]}",
                    got=f"no column {', '.join(missing[:5])}"
                    + (" ..." if len(missing) > 5 else ""),
                    fix="Name the columns in the first line; docs/training.md lists them",
                )
            return [(reader.line_num, [row[name] or "" for name in wanted]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(
            f"{path} cannot be read as a .csv: {error}", fix="Save it again as a .csv in UTF-8"
        ) from error


def _number(cell: str, path: Path, line: int) -> float:
    try:
        return float(cell) if cell.strip() else float("nan")
    except ValueError:
        raise TableError(
            f"{path}, line {line}: not a number",
            expected="a number with a point, or an empty cell for what is missing",
            got=repr(cell),
            fix="Correct the cell, or empty it",
        ) from None
