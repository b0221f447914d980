"""Features as plain columns, a row a window: for CSV, Parquet and pandas."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import OutputError
from emodict.files.atomic import atomic_path, check_writable
from emodict.results.outputs import import_pyarrow
from emodict_desk.shown import feature_columns
from emodict_desk.tables.table import FeatureTable, join_tables, with_unknown_labels, write_table

Columns = Mapping[str, NDArray[Any]]

ENDINGS = (".npz", ".csv", ".parquet")
# 9 significant digits bring a float32 back to the bit, which is what a model computes with.
_DIGITS = "%.9g"


def table_columns(table: FeatureTable) -> dict[str, NDArray[Any]]:
    """Whose each row is, its features, and the share of each emotion where the truth is known."""
    columns = {"subject": table.subject, "trial": table.trial, **feature_columns(table.windows)}
    if table.labels is not None:
        columns |= {name: table.labels[:, i] for i, name in enumerate(table.emotions)}
    # Only where it is so: a number that stands on simulated people says that it does.
    return columns | ({"simulated": np.ones(len(table), dtype=bool)} if table.simulated else {})


def check_features_output(path: Path) -> None:
    """Refuse a path that `write_features` could not write, before any long work starts.

    Raises:
        OutputError: its ending is not one of ENDINGS, or it cannot be written.
        MissingDependencyError: .parquet without pyarrow.
    """
    if path.suffix.lower() not in ENDINGS:
        raise OutputError(
            f"Cannot write {path}",
            expected=f"a file ending in {' '.join(ENDINGS)}",
            got=path.suffix,
        )
    if path.suffix.lower() == ".parquet":
        import_pyarrow()
    check_writable(path)


def write_features(tables: Sequence[FeatureTable], path: str | os.PathLike[str]) -> FeatureTable:
    """Write tables as one, in the format that the ending names, whole or not at all; the table.

    .csv and .parquet get a first column `session` if there are several.

    Raises:
        TableError: they have different emotions.
        OutputError, MissingDependencyError: as `check_features_output`.
    """
    path = Path(path)
    check_features_output(path)
    table = join_tables(with_unknown_labels(tables))
    if path.suffix.lower() == ".npz":
        write_table(table, path)
        return table
    columns: Columns = table_columns(table)
    if len(tables) > 1:
        columns = {
            "session": np.repeat([t.source for t in tables], [len(t) for t in tables]),
            **columns,
        }
    with atomic_path(path) as part:
        (_write_csv if path.suffix.lower() == ".csv" else _write_parquet)(columns, part)
    return table


def _write_csv(columns: Columns, path: Path) -> None:
    # A file name that is not UTF-8 may have become a session's name.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*map(_cells, columns.values()), strict=True))


def _cells(values: NDArray[Any]) -> list[Any]:
    """A column as text: empty where nothing is known, 0 and 1 for what is so or not."""
    if values.dtype.kind == "f":
        return ["" if np.isnan(value) else _DIGITS % value for value in values.tolist()]
    return list((values.astype(int) if values.dtype.kind == "b" else values).tolist())


def _write_parquet(columns: Columns, path: Path) -> None:
    pyarrow = import_pyarrow()
    import pyarrow.parquet as parquet

    arrays = {
        name: pyarrow.array(values.tolist(), from_pandas=True) for name, values in columns.items()
    }
    # A file of emodict's, not a path: a full disk is then Python's own OSError.
    with path.open("wb") as handle:
        parquet.write_table(pyarrow.table(arrays), handle)
