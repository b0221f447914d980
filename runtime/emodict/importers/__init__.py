"""Recordings of other makers as ours: one module per format, and the table the command is built from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from emodict.importers.e4 import read_e4
from emodict.importers.edf import read_edf
from emodict.recording import Recording


class Importer(Protocol):
    """Reads one format; what it did not take is named in the recording's attribute `left_out`."""

    def __call__(
        self, source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
    ) -> Recording: ...


# A new format is one module and one line here; the first line of its docstring is its help.
IMPORTERS: dict[str, Importer] = {"e4": read_e4, "edf": read_edf}
