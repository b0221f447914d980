"""Which maker's file is this? Told from how it starts, for the sentences and for joining."""

from __future__ import annotations

import zipfile
from pathlib import Path

from emodict.errors import RecordingError
from emodict_desk.importers.form import IMPORTERS

HEAD_BYTES = 4096
# What lies in the folder of an Empatica E4; each is told by its name alone.
E4_FILES = ("ACC.csv", "BVP.csv", "EDA.csv", "HR.csv", "IBI.csv", "TEMP.csv", "tags.csv")

# What is not a recording that emodict reads, by its first bytes.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"%PDF", "a PDF"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file of another kind; a session needs no import, see emodict-session validate",
    ),
    (b"\xff\xfe", "text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it as UTF-8"),
)


def read_head(path: Path) -> bytes:
    """The first bytes of a file; nothing of a folder or of what is not there."""
    if not path.is_file():
        return b""
    with path.open("rb") as handle:
        return handle.read(HEAD_BYTES)


def kinds_of(path: Path) -> list[str]:
    """The names of the importers that read this, the likeliest first; of general ones only one.

    Those that take any table, or any file of some ending, are asked where no other knows it.
    """
    head = read_head(path)
    fitting = ((name, form) for name, form in IMPORTERS.items() if form.looks_like(path, head))
    found = [(form.takes_any, name) for name, form in fitting]
    return [name for takes_any, name in found if not takes_any] or [name for _, name in found][:1]


def kind_of(path: Path) -> str | None:
    """The name of the importer that reads this, None if none is known to."""
    return next(iter(kinds_of(path)), None)


def only_kind_of(path: Path, *, naming: str = "emodict-session import {kind} '{path}'") -> str:
    """The name of the one importer that reads this.

    Args:
        naming: how its kind is said instead, for the sentence.

    Raises:
        RecordingError: there is none, or several, which are listed.
    """
    if not path.exists():
        raise RecordingError(f"There is no file {path}", fix="Check the path")
    kinds = kinds_of(path)
    if not kinds:
        name_it = f"Name it: {naming.format(kind='KIND', path=path)}"
        raise RecordingError(
            f"The kind of {path} cannot be told",
            expected=f"one of the kinds that were tried: {', '.join(IMPORTERS)}",
            got=describe(path),
            fix=None if is_foreign(path) else name_it,
        )
    if len(kinds) > 1:
        ways = " or ".join(naming.format(kind=kind, path=path) for kind in kinds)
        raise RecordingError(
            f"{path} could be of {len(kinds)} kinds",
            expected="one",
            got=", ".join(kinds),
            fix=f"Say which: {ways}",
        )
    return kinds[0]


def is_foreign(path: Path) -> bool:
    """Is it something that no importer reads, whatever it is called?"""
    return _foreign(read_head(path)) is not None


def _foreign(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return "a video; `emodict-session faces` adds the face in it to a session"
    return next((name for magic, name in _OTHERS if head.startswith(magic)), None)


def describe(path: Path) -> str:
    """What this looks like, for a sentence."""
    if path.is_dir():
        kind = kind_of(path)
        names = sorted(entry.name for entry in path.iterdir())[:6]
        inside = f"a folder with {', '.join(names)}" if names else "an empty folder"
        return inside + (f", which `emodict-session import {kind}` reads" if kind else "")
    head = read_head(path)
    if not head:
        return "an empty file"
    if path.name in E4_FILES:
        return "one file of an Empatica E4; give its folder to `emodict-session import e4`"
    kind = kind_of(path)
    if kind is not None:
        return f"what looks like a file for `emodict-session import {kind}`"
    if zipfile.is_zipfile(path):
        return "a zip archive; unpack it first"
    return _foreign(head) or f"a file that starts with {head[:8]!r}"


def check_there(path: Path, expected: str, *, folder: bool = False) -> None:
    """Refuse a path that is not there, or not a file (or folder) as it must be."""
    if path.is_dir() if folder else path.is_file():
        return
    if not path.exists():
        raise RecordingError(f"There is no file {path}", expected=expected, fix="Check the path")
    got = describe(path) if path.is_file() or path.is_dir() else "something else"
    raise RecordingError(
        f"{path} is a {'file' if folder else 'folder'}", expected=expected, got=got
    )


def wrong_kind(path: Path, expected: str, fix: str | None = None) -> RecordingError:
    """The error for a file of another kind; it says which kind it looks like."""
    return RecordingError(f"{path} cannot be read", expected=expected, got=describe(path), fix=fix)


def first_text_line(head: bytes) -> str:
    """The first line that is not a comment, "" where the head is not text."""
    if b"\0" in head:
        return ""
    text = head.decode("utf-8-sig", "replace")
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")
