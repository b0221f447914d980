"""BrainFlow: what DataFilter.write_file wrote of a board, tab-separated, without a header."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError, RecordingError
from emodict.files.jsontext import parse_json
from emodict.recording.modalities import MODALITIES
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk.boards.columns import pick_columns
from emodict_desk.importers.clock import utc_text
from emodict_desk.importers.form import Form, Option
from emodict_desk.importers.kinds import wrong_kind
from emodict_desk.importers.order import Order, by_counter_or_arrivals
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import Block, TextTable, marks, numbers, open_table
from emodict_desk.recordings.account import Account

_EXPECTED = "a file of BrainFlow's DataFilter.write_file: numbers separated by tabs, no header"
_MOST_COLUMNS = 10_000


def read_brainflow(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    board: str | None = None,
    preset: str = "default",
) -> Recording:
    """Read a CSV that BrainFlow wrote, given the board.

    The file itself does not say what its columns are. `board` is BrainFlow's number or name of the
    board, which the package brainflow describes; or the description lies beside the file as
    FILE.json, what BoardShim.get_board_descr returned.

    Raises:
        RecordingError: no such file or board, another number of columns,
            or a cell that is not a number.
        MissingDependencyError: brainflow is not installed,
            and there is no description beside the file.
    """
    path = Path(source)
    table = open_table(path, _EXPECTED, delimiter="\t", has_header=False)
    if len(table.columns) == 1:
        raise wrong_kind(path, _EXPECTED)
    descr = _description(path, board, preset)
    _check_width(table, descr)
    account = Account(f"BrainFlow {descr.get('name', 'board')} file {path.name}")
    rows = _read_rows(table, descr, account)
    rate_hz = float(descr["sampling_rate"])
    order = _order(rows, rate_hz, account)
    at_s = order.onsets_s(len(rows.unix_s), rate_hz)
    signals = {
        m: Signal(
            m, rate_hz, MODALITIES[m].unit, names, order.of(rows.samples[m]), sequence=order.gaps
        )
        for m, names in rows.names.items()
    }
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        events=tuple(
            Event(float(at_s[row]), code, "marker")
            for row, code in rows.marks
            if np.isfinite(at_s[row])
        ),
        start_time=(utc_text(float(order.of(rows.unix_s)[0])) or "") if len(rows.unix_s) else "",
        device=str(descr.get("name", "")),
        attributes=account.attributes(),
    )


def looks_like_brainflow(path: Path, head: bytes) -> bool:
    """Rows of numbers alone, separated by tabs."""
    line = head.partition(b"\n")[0].decode("ascii", "replace").strip()
    try:
        return line.count("\t") > 1 and bool([float(cell) for cell in line.split("\t")])
    except ValueError:
        return False


@dataclass
class _Rows:
    samples: dict[str, Spool]
    names: dict[str, tuple[str, ...]]
    unix_s: NDArray[np.float64]
    packages: NDArray[np.float64]
    marks: list[tuple[int, int]]


def _description(path: Path, board: str | None, preset: str) -> Mapping[str, Any]:
    """What the columns are: of the named board, else of the file FILE.json beside."""
    beside = path.with_name(path.name + ".json")
    if board is not None:
        return _ask_brainflow(board, preset)
    if beside.is_file():
        try:
            descr = parse_json(beside.read_text(encoding="utf-8"))
            _check_description(descr)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise RecordingError(
                f"{beside} is not a description of a board: {type(error).__name__}: {error}",
                expected="what BoardShim.get_board_descr returned, as JSON",
            ) from None
        found: Mapping[str, Any] = descr
        return found
    raise RecordingError(
        f"{path} does not say which board it is from",
        expected=f"--board ID, or the board's description in {beside.name}",
        fix="Give BrainFlow's number or name of the board, "
        "such as --board 38 or --board MUSE_2_BOARD",
    )


def _check_description(descr: Any) -> None:
    """Raises ValueError, KeyError or TypeError where it is not what BrainFlow says of a board."""
    float(descr["sampling_rate"])
    for key, value in descr.items():
        columns = _columns_of(key, value)
        if not isinstance(columns, list) or not all(
            type(c) is int and 0 <= c < _MOST_COLUMNS for c in columns
        ):
            raise ValueError(f"{key} names no columns: {str(value)[:100]}")
    int(descr.get("num_rows", 0))


def _columns_of(key: str, value: Any) -> Any:
    """The columns that an entry of a description names: many, one, or none."""
    return value if key.endswith("_channels") else [value] if key.endswith("_channel") else []


def _ask_brainflow(board: str, preset: str) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings():
            # On Python 3.10 and 3.11 brainflow finds its library through
            # pkg_resources, which warns of its age.
            warnings.simplefilter("ignore")
            from brainflow.board_shim import BoardIds, BoardShim, BrainFlowError, BrainFlowPresets
    except ImportError:
        raise MissingDependencyError(
            "brainflow", extra="brainflow", purpose="Describing a BrainFlow board"
        ) from None
    presets = {p.name.removesuffix("_PRESET").lower(): p for p in BrainFlowPresets}
    if preset.lower() not in presets:
        raise RecordingError(f"BrainFlow has no preset '{preset}'", expected=tuple(presets))
    boards = {b.name.upper(): b.value for b in BoardIds}
    number = boards.get(board.upper(), boards.get(f"{board.upper()}_BOARD"))
    try:
        number = int(board) if number is None else number
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            descr: Mapping[str, Any] = BoardShim.get_board_descr(number, presets[preset.lower()])
    except (ValueError, BrainFlowError):
        raise RecordingError(
            f"BrainFlow knows no board '{board}' with a preset '{preset}'",
            expected="a number or name of brainflow.board_shim.BoardIds",
            got=f"'{board}'",
            fix="Look the board up in BrainFlow's list of supported boards",
        ) from None
    return descr


def _check_width(table: TextTable, descr: Mapping[str, Any]) -> None:
    used = [column for key, value in descr.items() for column in _columns_of(key, value)]
    wanted = max(int(descr.get("num_rows", 0)), max(used, default=-1) + 1)
    if len(table.columns) != wanted:
        raise RecordingError(
            f"{table.path} is not from the board {descr.get('name', '')}".rstrip(),
            expected=f"{wanted} columns",
            got=f"{len(table.columns)}",
            fix="Give the board and the --preset (default, auxiliary, ancillary) "
            "that the file was written from",
        )


def _read_rows(table: TextTable, descr: Mapping[str, Any], account: Account) -> _Rows:
    columns, names = pick_columns(descr, account)
    if not columns:
        raise RecordingError(
            f"{table.path}: this preset of {descr.get('name', 'the board')} has no EEG, PPG or EDA",
            expected="a board with one of them",
            fix="Give the --preset (default, auxiliary, ancillary) that the file was written from",
        )
    samples = {modality: Spool(len(of)) for modality, of in columns.items()}
    unix_s, packages = Growing(), Growing()
    marked: list[tuple[int, int]] = []
    rows = 0
    for block in table.blocks(account):
        for modality, of in columns.items():
            samples[modality].append(numbers(table, block, of))
        unix_s.append(_column(table, block, descr.get("timestamp_channel")))
        packages.append(_column(table, block, descr.get("package_num_channel")))
        if isinstance(marker := descr.get("marker_channel"), int):
            marked += [(rows + row, code) for row, code in marks(table, block, marker)]
        rows += len(block)
    return _Rows(samples, names, unix_s.all(), packages.all(), marked)


def _column(table: TextTable, block: Block, column: object) -> NDArray[np.float64]:
    """One column of the block; NaN for a board without it."""
    if not isinstance(column, int):
        return np.full(len(block), np.nan)
    values: NDArray[np.float64] = numbers(table, block, [column])[:, 0]
    return values


def _order(rows: _Rows, rate_hz: float, account: Account) -> Order:
    """Samples by the board's package counter;
    where that counts packets of samples, by their time.
    """
    stamps_s = rows.unix_s if np.isfinite(rows.unix_s).all() else None
    return by_counter_or_arrivals(
        rows.packages,
        _All(rows.samples),
        stamps_s,
        rate_hz,
        account,
        counter_is="the package counter",
    )


@dataclass(frozen=True)
class _All:
    """The samples of all modalities side by side: rows that are equal in all are the same row."""

    samples: Mapping[str, Spool]

    def take(self, indices: NDArray[np.int64], /, axis: int) -> NDArray[np.float32]:
        return np.concatenate(
            [np.asarray(spool.take(indices, axis=axis)) for spool in self.samples.values()], axis=1
        )


FORM = Form(
    read_brainflow,
    looks_like_brainflow,
    takes_any=True,
    options=(
        Option(
            "board", "ID", "The board's number or name in BrainFlow, such as 38 or MUSE_2_BOARD."
        ),
        Option(
            "preset",
            "NAME",
            "Which of the board's streams the file holds: default, auxiliary or ancillary.",
        ),
    ),
)
