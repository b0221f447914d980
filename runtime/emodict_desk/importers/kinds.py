"""Which maker's file is this? Told from how it starts, for the sentences and for joining."""

from __future__ import annotations

import zipfile
from pathlib import Path

from emodict.errors import RecordingError
from emodict.files.hdf5 import DAMAGE, open_to_read
from emodict.files.mistaken import HDF5_MAGIC, mistaken_for
from emodict.recording.session import FORMAT, read_text
from emodict_desk.importers.form import IMPORTERS

HEAD_BYTES = 4096
# What lies in the folder of an Empatica E4; each is told by its name alone.
E4_FILES = ("ACC.csv", "BVP.csv", "EDA.csv", "HR.csv", "IBI.csv", "TEMP.csv", "tags.csv")

# What is not a recording that emodict reads, by its first bytes.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a file of an older Office; save it as CSV"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"II*\0", "a picture"),
    (b"MM\0*", "a picture"),
    (b"%PDF", "a PDF"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (HDF5_MAGIC, "an HDF5 file of another kind"),
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
    if not kinds and hdf5_format(path) == FORMAT:
        raise RecordingError(
            f"{path} is a session already, which needs no import",
            expected="a recording in another format",
            fix=f"Run a model on it: emodict-run --engine model.onnx '{path}'",
        )
    if not kinds:
        raise RecordingError(
            f"The kind of {path} cannot be told",
            expected=f"one of the kinds that were tried: {', '.join(IMPORTERS)}",
            got=describe(path),
            fix=_how_to_import(path, naming),
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


def hdf5_format(path: Path) -> str | None:
    """What an HDF5 file of emodict's says that it is; None of any other file, or a damaged one."""
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return None
    try:
        with open_to_read(path) as file:
            return read_text(file.attrs["format"]) if "format" in file.attrs else None
    except DAMAGE:
        return None


def recordings_in(folder: Path) -> list[Path]:
    """The files in a folder that an importer may read, one by one."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [path for path in files if path.name not in E4_FILES and kinds_of(path)]


def _how_to_import(path: Path, naming: str) -> str | None:
    """What may help with a path whose kind is not known; None where no kind reads it."""
    if path.is_dir():
        found = recordings_in(path)
        return f"Give them one by one: '{found[0]}'" if found else None
    hopeless = path.name in E4_FILES or not read_head(path) or _not_a_recording(path)
    return None if hopeless else f"Name it: {naming.format(kind='KIND', path=path)}"


def _not_a_recording(path: Path) -> str | None:
    """What a file is that no importer reads, whatever it is called."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = archive.namelist()
        if any(name.startswith("xl/") for name in inside):
            return "an Excel file; save it as CSV"
        if any(name.endswith("/data.pkl") for name in inside):
            return "a model of torch"
        return "a zip archive; unpack it first"
    if foreign := _foreign(read_head(path)):
        return foreign
    mistaken = mistaken_for(path)
    # What it is; where it lies instead of another file is not of interest here.
    return mistaken.what.partition(",")[0] if mistaken else None


def _foreign(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return "a video; `emodict-session faces` adds the face in it to a session"
    return next((name for magic, name in _OTHERS if head.startswith(magic)), None)


def describe(path: Path) -> str:
    """What this looks like, for a sentence."""
    if path.is_dir():
        return _describe_folder(path)
    head = read_head(path)
    if not head:
        return "an empty file"
    if path.name in E4_FILES:
        return "one file of an Empatica E4; give its folder to `emodict-session import e4`"
    kind = kind_of(path)
    if kind is not None:
        return f"what looks like a file for `emodict-session import {kind}`"
    if hdf5_format(path) == FORMAT:
        return "a session, which needs no import"
    return _not_a_recording(path) or f"a file that starts with {head[:8]!r}"


def _describe_folder(folder: Path) -> str:
    kind = kind_of(folder)
    names = sorted(entry.name for entry in folder.iterdir())[:6]
    inside = f"a folder with {', '.join(names)}" if names else "an empty folder"
    return inside + (f", which `emodict-session import {kind}` reads" if kind else "")


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
