"""One table of a study: its cells, and what it was computed on and shows, in no language yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell; `note` says under the table why the cell holds a dash."""

    text: str
    bold: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """One table, ready to be written in any language.

    Attributes:
        key: a name for files and links, such as `table3-trials`.
        caption: what is shown, and what it was computed on.
        rows: cells as wide as `columns`; the first of each is its heading.
        remarks: sentences under the table.
        finding: what the table shows, from its own numbers.
    """

    key: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    finding: str
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The reasons of dashes, each once, in the order of the cells."""
        return tuple(dict.fromkeys(cell.note for row in self.rows for cell in row if cell.note))
