"""What the comment lines above a table say of it: its rate, its columns, the bits of its counts."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emodict.errors import RecordingError
from emodict_desk.importers.form import pairs
from emodict_desk.importers.labels import WANTED_UNIT, Label
from emodict_desk.importers.text import DELIMITERS, TextTable, first_lines, open_table
from emodict_desk.importers.timed import RATE_TOLERANCE
from emodict_desk.recordings.account import Account

_LINE = re.compile(r"#+\s*([^:=,]+?)\s*(?::=|[:=,])\s*(.+)")
_RATE = re.compile(
    r"(sampl\w*[ _-]*(rate|freq\w*)|s?rate|fs|frequency|freq)[ _]*(\(?k?hz\)?)?", re.IGNORECASE
)
_LABELS = re.compile(r"(labels?|columns?|channels?|signals?|fields?|header)([ _]names?)?", re.I)
_BITS = re.compile(r"(adc[ _])?resolution([ _]*\(?bits?\)?)?", re.IGNORECASE)
# Thousands, or decimals.
_UNCLEAR = re.compile(r"[1-9]\d{0,2}(,\d{3})+(?!\d)")
_NUMBER = re.compile(r"\s*[-+]?\d*[.,]?\d+([eE][-+]?\d+)?\s*")
_COMMA_NUMBER = re.compile(r"\s*[-+]?\d+,\d+([eE][-+]?\d+)?\s*")
_POINT_NUMBER = re.compile(r"\s*[-+]?\d*\.\d+([eE][-+]?\d+)?\s*")
_MOST_PREAMBLE = 40
# Rows that are looked at for the sign of their decimals.
_LOOKED_AT = 50


@dataclass(frozen=True)
class Said:
    """Attributes:
    labels: names of the columns; empty where no line names as many.
    rate_hz: of the rows; None where none is named, or it is not clear.
    unclear_rate: it as written, where a comma may stand for decimals or for thousands.
    bits: of the counts that an ADC gave; None where nothing says that they are counts.
    """

    labels: tuple[str, ...] = ()
    rate_hz: float | None = None
    unclear_rate: str = ""
    bits: int | None = None


def open_csv(
    path: Path, expected: str, *, decimal: str | None, account: Account
) -> tuple[TextTable, Said]:
    """The table, with the column names and the sign of decimals that it has, and what is said.

    A table whose first row is one of numbers has its names in the comments above, or none; decimals
    with a comma are told from the rows where the cells are apart by another sign. Both are noted.

    Raises:
        RecordingError: it is not there, empty, not text, or has no header.
    """
    table = _below_preamble(open_table(path, expected, decimal=decimal or "."))
    said = said_above(table)
    if said.labels and all(_NUMBER.fullmatch(cell) or not cell for cell in table.columns):
        table = dataclasses.replace(table, columns=said.labels, has_header=False)
        account.note(f"columns {', '.join(said.labels)}: by the comments above the table")
    if decimal is None and table.delimiter != "," and _has_decimal_commas(table):
        table = dataclasses.replace(table, decimal=",")
        account.note("decimals: with a comma")
    return table, said


def _below_preamble(table: TextTable) -> TextTable:
    """The table whose header stands some lines lower: below lines of words, as EmotivPRO's.

    Its first row with numbers has as many cells as the header above it; the lines before become
    comments. A table whose header fits its rows is left as it is.
    """
    lines = first_lines(table.path, _MOST_PREAMBLE)[table.skipped_lines :]
    if len(lines) > 1 and _fits(lines[0], lines[1], table.delimiter):
        return table
    for at, (above, below) in enumerate(itertools.pairwise(lines)):
        sign = max(DELIMITERS, key=above.count)
        if at and above.count(sign) and _fits(above, below, sign):
            words = (cell for line in lines[:at] for cell in _cells(line, table.delimiter))
            names = tuple(cell.strip() for cell in _cells(above, sign))
            return dataclasses.replace(
                table,
                delimiter=sign,
                columns=names,
                comments=(*table.comments, *(f"# {cell.strip()}" for cell in words)),
                skipped_lines=table.skipped_lines + at,
            )
    return table


def _fits(names: str, row: str, sign: str) -> bool:
    """Is the one the header of the other?"""
    above, below = _cells(names, sign), _cells(row, sign)
    words = sum(not _NUMBER.fullmatch(cell) for cell in above)
    numbered = any(_NUMBER.fullmatch(cell) for cell in below)
    return len(above) == len(below) and 2 * words >= len(above) and numbered


def _cells(line: str, sign: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=sign), [])
    except csv.Error:
        return []


def said_above(table: TextTable) -> Said:
    """What the comments of a table say; later lines win for labels, the nearest to the rows."""
    lines = [found.groups() for line in table.comments if (found := _LINE.match(line))]
    bits = re.match(r"\d{1,2}\b", _value(lines, _BITS))
    rate = next((line for line in lines if _RATE.fullmatch(line[0].strip())), ("", ""))
    unclear = _UNCLEAR.search(rate[1])
    return Said(
        labels=_labels(table.comments, table.delimiter, len(table.columns)),
        rate_hz=None if unclear else _rate_hz(*rate),
        unclear_rate=unclear.group() if unclear else "",
        bits=int(bits.group()) if bits else None,
    )


def _value(lines: Sequence[tuple[str, ...]], called: re.Pattern[str]) -> str:
    return next((value for name, value in lines if called.fullmatch(name.strip())), "")


def _rate_hz(name: str, value: str) -> float | None:
    """`Sampling Rate (Hz):= 1000.00`, `fs: 1 kHz`; None where none is named, or 0."""
    # EmotivPRO writes `eeg_128`.
    number = re.search(r"\d+([.,]\d+)?", value)
    if not number:
        return None
    kilo = "khz" in (name + value).lower()
    return float(number.group().replace(",", ".")) * (1e3 if kilo else 1.0) or None


def _labels(comments: Sequence[str], delimiter: str, width: int) -> tuple[str, ...]:
    """Of a line that is called so, or of the last line, where it has as many cells as the rows."""
    lines = [found.groups() for line in comments if (found := _LINE.match(line))]
    named = [value for name, value in lines if _LABELS.fullmatch(name.strip())]
    last = comments[-1].lstrip("# ") if comments else ""
    for text in (*reversed(named), *([last] if width > 1 else [])):
        for sign in (delimiter, ",", ";", "\t"):
            cells = [cell.strip() for cell in next(csv.reader([text], delimiter=sign), [])]
            if len(cells) == width and all(cells):
                return tuple(cells)
    return ()


def _has_decimal_commas(table: TextTable) -> bool:
    """Do numbers in the first rows have commas, and none a point?"""
    block = next(table.blocks(Account("")), None)
    cells = [cell for row in block.rows[:_LOOKED_AT] for cell in row] if block else []
    return any(_COMMA_NUMBER.fullmatch(cell) for cell in cells) and not any(
        _POINT_NUMBER.fullmatch(cell) for cell in cells
    )


def names_columns(text: str) -> bool:
    """Do the comments above a first row of numbers name its columns?"""
    lines = [line for line in text.splitlines() if line.strip()]
    comments = [*itertools.takewhile(lambda line: line.startswith("#"), lines)]
    row = lines[len(comments)] if len(comments) < len(lines) else ""
    sign = max(DELIMITERS, key=row.count)
    return bool(row and _labels(comments, sign, row.count(sign) + 1))


def check_counts(
    table: TextTable, chosen: Mapping[str, Sequence[int]], unit: Sequence[str], said: Said
) -> None:
    """Refuse counts of an ADC, of which the comments tell the bits, where a unit is wanted.

    Raises:
        RecordingError: there are such, and neither a column nor the user gives a unit.
    """
    asked = dict(pairs(unit, "unit", "gsr=uS"))
    for modality, of in chosen.items():
        known = modality in asked or any(Label.read(table.columns[c]).unit for c in of)
        if said.bits is not None and WANTED_UNIT[modality] != "a.u." and not known:
            raise RecordingError(
                f"{table.path}: its {modality} has no unit: by the comments it is counts of "
                f"{said.bits} bits",
                expected=f"samples in {WANTED_UNIT[modality]}",
                fix="Convert the counts by the sensor's data sheet; or say that they have a unit: "
                f"--unit {modality}={WANTED_UNIT[modality]}",
            )


def rate_said(table: TextTable, said: Said, account: Account) -> float:
    """The rate by the comments, of a table without times."""
    if said.unclear_rate:
        raise RecordingError(
            f"{table.path}: the rate in its comments is not clear: the comma of "
            f"{said.unclear_rate} can stand for thousands or for decimals",
            expected="a time column, or a rate without a comma",
            fix="Give it: --rate HZ",
        )
    if said.rate_hz is None:
        raise RecordingError(
            f"{table.path} has no time column",
            expected="a column such as time or timestamp",
            got=table.names(),
            fix="Name it: --time NAME, or give the rate of the rows: --rate HZ",
        )
    account.note(f"rate: {said.rate_hz:g} Hz, by the comments above the table")
    return said.rate_hz


def say_other_rate(said: Said, measured_hz: float, account: Account) -> None:
    """Tell of a rate in the comments that the times contradict."""
    if said.rate_hz is not None and abs(measured_hz / said.rate_hz - 1) > RATE_TOLERANCE:
        account.note(
            f"the comments say {said.rate_hz:g} Hz, and the times {measured_hz:.4g} Hz: "
            "the times are taken"
        )
