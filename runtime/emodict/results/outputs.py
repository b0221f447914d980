"""Predictions as files: CSV, JSON, Parquet and HDF5, one row per window."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError, OutputError
from emodict.files.atomic import atomic_path, check_writable
from emodict.results.prediction import Prediction

if TYPE_CHECKING:
    import h5py

FORMAT = "emodict-predictions"
FORMAT_VERSION = 1

# 9 significant digits bring every float32 back to the bit; 12 keep microseconds over a month.
_SHARE, _TIME, _QUALITY, _FLAG = "%.9g", "%.12g", "%.3f", "%d"

Float64Array = NDArray[np.float64]
Writer = Callable[[Sequence[Prediction], Path, bool], None]


def write_predictions(
    predictions: Sequence[Prediction], path: str | os.PathLike[str], *, with_weights: bool
) -> None:
    """Write one or more sessions in the format that the ending of `path`
    names, whole or not at all.

    Raises:
        OutputError: an unknown ending, a folder that does not exist, a full disk,
            or sessions of different models in one table.
        MissingDependencyError: .parquet without pyarrow.
    """
    check_output(path)
    with atomic_path(path) as part:
        _WRITERS[Path(path).suffix.lower()](predictions, part, with_weights)


def check_output(path: str | os.PathLike[str]) -> None:
    """Refuse a path that `write_predictions` could not write, before any long work starts."""
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise OutputError(
            f"{path}: the file's ending names no format",
            expected=" ".join(_WRITERS),
            got=f"'{path.suffix}'" if path.suffix else "no ending",
        )
    if path.suffix.lower() == ".parquet":
        import_pyarrow()
    check_writable(path)


def write_csv(predictions: Sequence[Prediction], handle: TextIO, *, with_weights: bool) -> None:
    """One row per window, empty cells where there is no answer;
    a first column `session` if there are several.
    """
    several = len(predictions) > 1
    table = _same_columns(predictions)
    formats = column_formats(table, with_weights=with_weights)
    handle.write(_csv_line((*(["session"] * several), *formats)) + "\n")
    template = ",".join(formats.values()) + "\n"
    for prediction in predictions:
        prefix = _csv_line((prediction.session,)) + "," if several else ""
        for cells in _cells(prediction, table, with_weights=with_weights):
            line = template % tuple(cells.tolist())
            # NaN has no place in a table: what is not known is left empty.
            handle.write(prefix + line.replace("nan", ""))


def column_formats(prediction: Prediction, *, with_weights: bool) -> dict[str, str]:
    """The numeric columns of a table, in order, each with the way its numbers are written."""
    weights = range(prediction.weights.shape[1] if with_weights else 0)
    return {
        "start_s": _TIME,
        **dict.fromkeys(prediction.emotions, _SHARE),
        **{f"valid_{name}": _FLAG for name in prediction.modalities},
        **{f"quality_{name}": _QUALITY for name in prediction.modalities},
        **{f"w{i:02d}": _SHARE for i in weights},
        **dict.fromkeys(_simulated_columns(prediction), _FLAG),
    }


def _simulated_columns(prediction: Prediction) -> tuple[str, ...]:
    """Columns that only a table has in which something is simulated."""
    flags = {"simulated": prediction.simulated, "model_simulated": prediction.model_simulated}
    return tuple(name for name, is_so in flags.items() if is_so)


def row_as_dict(prediction: Prediction, i: int, *, with_weights: bool) -> dict[str, Any]:
    """Row `i` in plain JSON types; None where there is no answer, no truth or no quality."""
    row: dict[str, Any] = {
        "start_s": _number(prediction.start_s[i], _TIME),
        "distribution": _named(prediction.emotions, prediction.distribution[i]),
        "valid": dict(zip(prediction.modalities, prediction.valid[i].tolist(), strict=True)),
        "quality": {
            name: _number(value, _QUALITY)
            for name, value in zip(
                prediction.modalities, prediction.quality[i].tolist(), strict=True
            )
        },
        "truth": None
        if prediction.truth is None
        else _named(prediction.emotions, prediction.truth[i]),
    }
    if with_weights:
        row["weights"] = _numbers(prediction.weights[i])
    return row


def session_as_dict(prediction: Prediction) -> dict[str, Any]:
    """What is said of a session once, in plain JSON types."""
    return {
        "session": prediction.session,
        "simulated": bool(prediction.simulated),
        "model_simulated": bool(prediction.model_simulated),
        "doubts": list(prediction.doubts),
        "unusable": [f"{name}: {why}" for name, why in prediction.never_valid.items() if why],
        "emotions": list(prediction.emotions),
        "modalities": list(prediction.modalities),
        "metrics": _measures(prediction.metrics()),
        "metrics_of_mean_label": _measures(prediction.metrics_of_mean_label()),
    }


def _measures(metrics: Mapping[str, float] | None) -> dict[str, float | None] | None:
    return (
        None
        if metrics is None
        else {name: _number(value, _SHARE) for name, value in metrics.items()}
    )


def _same_columns(predictions: Sequence[Prediction]) -> Prediction:
    """The first of predictions that fit into one table; simulated where any of them is."""
    first = predictions[0]
    for other in predictions[1:]:
        ours, theirs = ((*p.emotions, *p.modalities, p.weights.shape[1]) for p in (first, other))
        if ours != theirs:
            raise OutputError(
                f"The sessions '{first.session}' and '{other.session}' do not fit into one table",
                expected=f"the emotions and modalities {' '.join(map(str, ours[:-1]))}",
                got=" ".join(map(str, theirs[:-1])),
                fix="Write .json or .h5, or one table per session",
            )
    return replace(
        first,
        simulated=any(p.simulated for p in predictions),
        model_simulated=any(p.model_simulated for p in predictions),
    )


def _cells(prediction: Prediction, table: Prediction, *, with_weights: bool) -> Float64Array:
    """(rows, numeric columns) of the `table` that `_same_columns` gives,
    NaN where a cell stays empty.
    """
    columns = [prediction.start_s[:, None], prediction.distribution]
    columns += [prediction.valid.astype(np.float64), prediction.quality]
    if with_weights:
        columns.append(prediction.weights)
    flags = [getattr(prediction, name) for name in _simulated_columns(table)]
    columns.append(np.tile(np.asarray(flags, dtype=np.float64), (len(prediction), 1)))
    cells = np.concatenate(columns, axis=1).astype(np.float64)
    return np.where(np.isfinite(cells), cells, np.nan)


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _write_csv_file(predictions: Sequence[Prediction], path: Path, with_weights: bool) -> None:
    # A file name that is not UTF-8 may have become a session's name.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as handle:
        write_csv(predictions, handle, with_weights=with_weights)


def _write_json(predictions: Sequence[Prediction], path: Path, with_weights: bool) -> None:
    with path.open("w", encoding="utf-8") as handle:
        handle.writelines(_json_document(predictions, with_weights=with_weights))


def _write_json_lines(predictions: Sequence[Prediction], path: Path, with_weights: bool) -> None:
    """A row a line, each with what is known of its session, as a live run writes them."""
    with path.open("w", encoding="utf-8") as handle:
        for prediction in predictions:
            marks = {
                "simulated": prediction.simulated,
                "model_simulated": prediction.model_simulated,
            }
            about = {"session": prediction.session, **marks, "doubts": list(prediction.doubts)}
            for row in range(len(prediction)):
                content = {**about, **row_as_dict(prediction, row, with_weights=with_weights)}
                handle.write(json.dumps(content, allow_nan=False) + "\n")


def _json_document(predictions: Sequence[Prediction], *, with_weights: bool) -> Iterator[str]:
    """One document, a row a line, never whole in memory."""
    yield f'{{"format": "{FORMAT}", "version": {FORMAT_VERSION}, "sessions": ['
    for i, prediction in enumerate(predictions):
        yield ",\n" if i else "\n"
        yield json.dumps(session_as_dict(prediction), allow_nan=False)[:-1] + ', "rows": ['
        for row in range(len(prediction)):
            yield ",\n" if row else "\n"
            yield json.dumps(
                row_as_dict(prediction, row, with_weights=with_weights), allow_nan=False
            )
        yield "]}"
    yield "\n]}\n"


def _named(names: Sequence[str], values: Float64Array) -> dict[str, float | None] | None:
    numbers = _numbers(values)
    return None if numbers is None else dict(zip(names, numbers, strict=True))


def _numbers(values: Float64Array) -> list[float | None] | None:
    if not np.isfinite(values).all():
        return None
    return [_number(value, _SHARE) for value in values.tolist()]


def _number(value: float, how: str) -> float | None:
    """`value` with no more digits than a table would show; None for what JSON cannot say."""
    return float(how % value) if math.isfinite(value) else None


def _write_parquet(predictions: Sequence[Prediction], path: Path, with_weights: bool) -> None:
    pa = import_pyarrow()
    import pyarrow.parquet as pq

    first = _same_columns(predictions)
    columns: dict[str, Any] = {}
    if len(predictions) > 1:
        names = [p.session.encode("utf-8", "backslashreplace").decode() for p in predictions]
        columns["session"] = pa.array(
            [name for name, p in zip(names, predictions, strict=True) for _ in range(len(p))],
            type=pa.string(),
        )
    cells = np.concatenate([_cells(p, first, with_weights=with_weights) for p in predictions])
    for i, (name, how) in enumerate(column_formats(first, with_weights=with_weights).items()):
        dtype = {_TIME: "f8", _FLAG: "?"}.get(how, "f4")
        columns[name] = pa.array(cells[:, i].astype(dtype), mask=np.isnan(cells[:, i]))
    simulated = dict.fromkeys(_simulated_columns(first), "true") or None
    # A file of emodict's, not a path: a full disk is then Python's own OSError.
    with path.open("wb") as handle:
        pq.write_table(pa.table(columns).replace_schema_metadata(simulated), handle)


def import_pyarrow() -> ModuleType:
    """What writes .parquet.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingDependencyError(
            "pyarrow", extra="parquet", purpose="Writing .parquet"
        ) from error
    module: ModuleType = pyarrow
    return module


def _write_hdf5(predictions: Sequence[Prediction], path: Path, with_weights: bool) -> None:
    import h5py

    # Built in memory and written at one go:
    # HDF5 does not recover from a disk that fills up while it writes.
    with h5py.File("predictions", "w", driver="core", backing_store=False) as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, FORMAT_VERSION
        for prediction in predictions:
            group = file.create_group(_group_name(prediction.session, file))
            _write_attributes(group, prediction)
            for name, values in _datasets(prediction, with_weights=with_weights).items():
                group.create_dataset(
                    name, data=values, **({"compression": "gzip"} if values.size else {})
                )
        file.flush()
        image = file.id.get_file_image()
    path.write_bytes(image)


def _write_attributes(group: h5py.Group, prediction: Prediction) -> None:
    about = session_as_dict(prediction)
    metrics: Mapping[str, float] = about.pop("metrics") or {}
    mean: Mapping[str, float] = about.pop("metrics_of_mean_label") or {}
    for name, value in {
        **about,
        **metrics,
        **{f"{name}_of_mean_label": v for name, v in mean.items()},
    }.items():
        if value != []:
            group.attrs[name] = value


def _datasets(prediction: Prediction, *, with_weights: bool) -> dict[str, NDArray[Any]]:
    datasets: dict[str, NDArray[Any]] = {
        "start_s": prediction.start_s,
        "distribution": prediction.distribution.astype(np.float32),
        "valid": prediction.valid.astype(np.uint8),
        "quality": prediction.quality.astype(np.float32),
    }
    if with_weights:
        datasets["weights"] = prediction.weights.astype(np.float32)
    if prediction.truth is not None:
        datasets["truth"] = prediction.truth
    return datasets


def _group_name(session: str, file: h5py.File) -> str:
    """The session's name where HDF5 allows it and no other session has it;
    the attribute `session` has it always.
    """
    wanted = session.replace("/", "_").strip(".") or "session"
    name, count = wanted, 1
    while name in file:
        count += 1
        name = f"{wanted}-{count}"
    return name


_WRITERS: dict[str, Writer] = {
    ".csv": _write_csv_file,
    ".json": _write_json,
    ".jsonl": _write_json_lines,
    ".parquet": _write_parquet,
    ".h5": _write_hdf5,
}
