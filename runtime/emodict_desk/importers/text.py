"""Tables of text with a header, read in blocks so that memory stays bounded;
what cannot be read is named by line.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict_desk.importers.kinds import check_there, describe, read_head
from emodict_desk.recordings.account import Account

BLOCK_ROWS = 8192
DELIMITERS = (",", ";", "\t")
# Whole numbers are exact in floats up to here.
_LARGEST_CODE = 1 << 53
# What stands for a missing value in the tables of other programs; none of them is a number.
_MISSING = {"", "nan", "na", "n/a", "null", "none", "-"}
# So many times the cells of the header, and the decimals have commas too.
_COMMA_CELLS = 1.4
# A cell of the longest recording is far from this long;
# a missing quote makes one of the whole rest of the file.
csv.field_size_limit(1 << 20)
_MOST_COMMENTS, _MOST_HEADER = 10_000, 1 << 24


@dataclass(frozen=True)
class Block:
    """Rows as text, all as wide as the header, with the line each stands on."""

    rows: list[list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class TextTable:
    """A table in a file: comment lines before it, its column names,
    and how its cells are separated.

    Attributes:
        skipped_lines: lines before the header's, or before the first row where there is no header.
        optional: how many of the last cells a row may lack.
        decimal: what stands before the decimals of its numbers, a point or a comma.
    """

    path: Path
    delimiter: str
    columns: tuple[str, ...]
    comments: tuple[str, ...]
    skipped_lines: int
    has_header: bool = True
    optional: int = 0
    decimal: str = "."

    def column(self, name: str) -> int:
        """The column of that name; case and outer blanks do not matter.

        Raises:
            RecordingError: there is none; those that are there are named.
        """
        wanted = name.strip().lower()
        for i, column in enumerate(self.columns):
            if column.strip().lower() == wanted:
                return i
        raise RecordingError(
            f"{self.path} has no column '{name}'", expected="a name of the header", got=self.names()
        )

    def names(self) -> str:
        """The column names, for a sentence; very many are cut short."""
        shown = ", ".join(self.columns[:40])
        return shown + (f", ... ({len(self.columns)} in all)" if len(self.columns) > 40 else "")

    def blocks(self, account: Account) -> Iterator[Block]:
        """The rows, some thousands at a time; a last line that was cut off is left out and said.

        Raises:
            RecordingError: a row is longer or shorter than the header, or the text is not UTF-8.
        """
        with _open_text(self.path) as handle:
            skip = self._skip_header(handle)
            reader = csv.reader(handle, delimiter=self.delimiter)
            while True:
                block = self._next_block(reader, skip, account)
                if not block.lines:
                    return
                if block.rows:
                    yield block

    def _skip_header(self, handle: TextIO) -> int:
        """Read over the lines above the first row; how many they are."""
        skip = self.skipped_lines + self.has_header
        try:
            for _ in range(skip):
                handle.readline()
        except UnicodeDecodeError as error:
            raise not_utf8(self.path, error) from None
        return skip

    def _next_block(self, reader: Iterator[list[str]], skip: int, account: Account) -> Block:
        rows, lines, seen = [], [], []
        try:
            for row in itertools.islice(reader, BLOCK_ROWS):
                line = skip + reader.line_num  # type: ignore[attr-defined]
                seen.append(line)
                if row and 0 < len(self.columns) - len(row) <= self.optional:
                    row += [""] * (len(self.columns) - len(row))
                if len(row) == len(self.columns):
                    rows.append(row)
                    lines.append(line)
                elif row and not self._is_cut_off(row, reader, line, account):
                    raise self._ragged(row, line)
        except UnicodeDecodeError as error:
            raise not_utf8(self.path, error) from None
        except csv.Error as error:
            line = skip + reader.line_num  # type: ignore[attr-defined]
            raise RecordingError(f"{self.path}, near line {line}: {error}") from None
        return Block(rows, lines or seen)

    def _is_cut_off(
        self, row: list[str], reader: Iterator[list[str]], line: int, account: Account
    ) -> bool:
        """Is this the last line, broken off before its end?"""
        if len(row) > len(self.columns) or _ends_with_newline(self.path):
            return False
        if next(reader, None) is not None:
            return False
        account.leave_out(f"line {line}", f"cut off after {len(row)} of {len(self.columns)} cells")
        return True

    def _ragged(self, row: list[str], line: int) -> RecordingError:
        more = len(row) > len(self.columns)
        comma = more and self.delimiter == "," and len(row) >= _COMMA_CELLS * len(self.columns)
        return RecordingError(
            f"{self.path}, line {line}: the row does not fit the header",
            expected=f"{len(self.columns)} cells",
            got=f"{len(row)}",
            fix="Export it with a point for the decimals: here the comma stands for both"
            if comma
            else "Correct the line, or export the file again",
        )


def open_table(
    path: Path,
    expected: str,
    *,
    delimiter: str | None = None,
    has_header: bool = True,
    decimal: str = ".",
) -> TextTable:
    """Find the header of a table; lines before it that start with # are its comments.

    Raises:
        RecordingError: it is not there, empty, not text, or has no header.
    """
    check_there(path, expected)
    head = read_head(path)
    if not head.strip():
        raise RecordingError(f"{path} is an empty file", expected=expected)
    if b"\0" in head:
        raise RecordingError(f"{path} is not text in UTF-8", expected=expected, got=describe(path))
    comments, line, skipped = _read_header(path)
    if not line:
        raise RecordingError(f"{path} holds nothing but comments", expected=expected)
    # Between the cells of a table whose numbers have commas stands another sign, if there is one.
    delimiter = delimiter or max(
        DELIMITERS, key=lambda sign: (sign != decimal and sign in line, line.count(sign))
    )
    try:
        cells = next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise RecordingError(
            f"{path}: the first line is not a header of a table: {error}", expected=expected
        ) from None
    columns = (
        tuple(c.strip() for c in cells) if has_header else tuple(str(i) for i in range(len(cells)))
    )
    return TextTable(
        path, delimiter, columns, tuple(comments), skipped, has_header, decimal=decimal
    )


def numbers(table: TextTable, block: Block, columns: Sequence[int]) -> NDArray[np.float64]:
    """(rows, columns) of the block as numbers, NaN for an empty cell.

    Raises:
        RecordingError: a cell is not a finite number; its line and column are named.
    """
    out = np.empty((len(block), len(columns)))
    for i, column in enumerate(columns):
        cells = [row[column] for row in block.rows]
        if table.decimal == ",":
            cells = [cell.replace(",", ".") for cell in cells]
        try:
            out[:, i] = cells
        except ValueError:
            # Which cell it was is looked for only now: the good blocks are read at full speed.
            out[:, i] = [
                _number(table, cell, block.lines[at], column) for at, cell in enumerate(cells)
            ]
        infinite = np.flatnonzero(np.isinf(out[:, i]))
        if len(infinite):
            raise _not_a_number(table, cells[infinite[0]], block.lines[infinite[0]], column)
    return out


def marks(table: TextTable, block: Block, column: int) -> list[tuple[int, int]]:
    """(row of the block, code) where a column of markers is not empty and not 0.

    Raises:
        RecordingError: a cell is not a number, or too large for a code; its line is named.
    """
    codes = np.nan_to_num(numbers(table, block, [column])[:, 0])
    found = np.flatnonzero(np.abs(codes) >= 1)
    for row in found[np.abs(codes[found]) > _LARGEST_CODE]:
        raise RecordingError(
            f"{table.path}, line {block.lines[row]}: the marker is too large",
            expected=f"a whole number up to {_LARGEST_CODE}",
            got=repr(block.rows[row][column].strip()[:40]),
            fix="Correct the cell, or export the file again",
        )
    return [(row, int(codes[row])) for row in found.tolist()]


def _number(table: TextTable, cell: str, line: int, column: int) -> float:
    if cell.strip().lower() in _MISSING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise _not_a_number(table, cell, line, column) from None


def _not_a_number(table: TextTable, cell: str, line: int, column: int) -> RecordingError:
    name = f"column {table.columns[column]}" if table.has_header else f"cell {column + 1}"
    return RecordingError(
        f"{table.path}, line {line}, {name}: not a number",
        expected=f"a number, with a "
        f"{'comma' if table.decimal == ',' else 'point'} for the decimals",
        got=repr(cell.strip()[:40]),
        fix="Say that its decimals have a comma: --decimal , (of import csv)"
        if re.fullmatch(r"\s*-?\d*,\d+\s*", cell)
        else "Correct the cell (empty means missing), or export the file again",
    )


def time_runs_back(
    table: TextTable, line: int, before: object, after: object, fix: str
) -> RecordingError:
    """The error for a row that is not later than the one before it."""
    return RecordingError(
        f"{table.path}, line {line}: the time stands still or goes backwards",
        expected="times that grow from row to row",
        got=f"{before} then {after}",
        fix=fix,
    )


def not_utf8(path: Path, error: UnicodeDecodeError) -> RecordingError:
    """The error for text in another encoding."""
    return RecordingError(
        f"{path} is not text in UTF-8",
        expected="UTF-8",
        got=f"the byte 0x{error.object[error.start]:02x}, as in Latin-1",
        fix="Save it as UTF-8",
    )


def first_lines(path: Path, most: int) -> list[str]:
    """Lines of text from its beginning; fewer where it is not UTF-8 any more."""
    lines: list[str] = []
    with contextlib.suppress(UnicodeDecodeError), _open_text(path) as handle:
        for _ in range(most):
            line = handle.readline(_MOST_HEADER)
            if not line:
                break
            lines.append(line.rstrip("\r\n"))
    return lines


def _open_text(path: Path) -> TextIO:
    # newline="": the csv module looks at line ends itself.
    return path.open(encoding="utf-8-sig", newline="")


def _read_header(path: Path) -> tuple[list[str], str, int]:
    """The comments, the first line after them, and how many lines stand before it."""
    comments: list[str] = []
    try:
        with _open_text(path) as handle:
            for number in range(_MOST_COMMENTS):
                raw = handle.readline(_MOST_HEADER)
                line = raw.strip("\r\n")
                if not raw or (line.strip() and not line.startswith("#")):
                    return comments, line, number
                comments += [line] if line.strip() else []
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    return comments, "", 0


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as handle:
        handle.seek(-1, 2)
        return handle.read(1) in b"\r\n"
