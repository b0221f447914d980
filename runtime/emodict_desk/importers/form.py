"""What one importer consists of: how it reads, how its files are told,
and the options only it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from emodict.errors import RecordingError
from emodict.recording.recording import Recording


class Reader(Protocol):
    """Reads one format; what it did not take is named in the recording's attribute `left_out`."""

    __doc__: str | None

    def __call__(
        self, source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
    ) -> Recording: ...


@dataclass(frozen=True)
class Option:
    """An option of one importer: `--name METAVAR` on the command line,
    the keyword `name` of its reader.
    """

    name: str
    metavar: str
    help: str
    many: bool = False
    number: bool = False


@dataclass(frozen=True)
class Form:
    """One importer, as the command and the search for a file's kind see it.

    Attributes:
        looks_like: told from the path and the first bytes of the file, quickly.
        takes_any: it reads whatever has the form of a table, or an ending: asked last.
        names_no_electrodes: its files say nothing of where their EEG was taken.
        for_training: its recordings carry truth: `fit` and `study` read a folder of them as it is.
        reads_only: its reader takes `only`, the modalities to read;
            of others they are picked afterwards.
    """

    read: Reader
    looks_like: Callable[[Path, bytes], bool]
    options: tuple[Option, ...] = ()
    reads_only: bool = False
    takes_any: bool = False
    names_no_electrodes: bool = False
    for_training: bool = False

    @property
    def help(self) -> str:
        """The first line of the reader's docstring."""
        return (self.read.__doc__ or "").partition("\n")[0]


def pairs(values: Sequence[str], option: str, example: str) -> list[tuple[str, str]]:
    """`["ppg=BVP,gsr=EDA"]` -> [("ppg", "BVP"), ("gsr", "EDA")].

    Raises:
        RecordingError: a part has no `=`, or nothing on one of its sides.
    """
    found = []
    for part in (part.strip() for value in values for part in value.split(",")):
        left, equals, right = (side.strip() for side in part.partition("="))
        if not (left and equals and right):
            raise RecordingError(
                f"--{option} '{part}' cannot be read", expected=f"NAME=VALUE, as in {example}"
            )
        found.append((left, right))
    return found


# By name; the package fills it. An importer reads here which other one a file may be for.
IMPORTERS: dict[str, Form] = {}
