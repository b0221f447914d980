"""Empatica E4: the folder of CSV files that one sitting leaves, or the zip that the maker gives."""

from __future__ import annotations

import datetime
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Event, Recording, Signal
from emodict.recording.session import MOST_EVENTS
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import describe
from emodict_desk.importers.spool import Spool
from emodict_desk.wording import count_of

# File, modality, unit. TEMP, ACC, HR and IBI are in the folder too; no model uses them.
_SENSORS = (("BVP.csv", "ppg", "a.u."), ("EDA.csv", "gsr", "uS"))
_TAGS = "tags.csv"
_TAGS_NAME = re.compile(r"tags?([^a-z].*)?\.csv", re.IGNORECASE)
# The folder of an E4 can only be told from any other by these two.
_EXPECTED = "a folder with BVP.csv or EDA.csv"
_TAG_CODE = 1
_HEADER_LINES = 2
# A charge lasts two days, of which BVP.csv takes 90 MB.
_MOST_ZIPPED_BYTES = 1 << 28
# Lines of a pulse's numbers pack to a fifth, and a folder of little but zeros to a hundredth.
_MOST_UNPACKED_RATIO = 100
# Text is read in blocks of so many characters; no number is as long as the longest line.
_BLOCK_CHARACTERS, _LONGEST_LINE = 1 << 18, 1 << 12
# What reading a zip runs into where it is damaged, encrypted or packed in another way.
_ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


_ZIP_MAGIC = b"PK"
# Larger numbers are not Unix times, whatever rounded them.
_LATEST_S = 1e11

# A folder, or one inside a zip: both have names, are listed and read alike.
Folder = Path | zipfile.Path


@dataclass(frozen=True)
class _SensorFile:
    """Line 1 start (Unix time, UTC), line 2 rate, then samples, (samples, 1)."""

    start_unix_s: float
    rate_hz: float
    samples: Spool


def read_e4(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the folder of an Empatica E4, or its zip.

    BVP.csv becomes ppg, EDA.csv gsr, tags.csv (or the only tags*.csv) events. The recording starts
    with the earlier of the two. Samples are kept as they are: the 0.0 uS before the skin makes
    contact is for the features to judge. Names default to the folder's.

    Raises:
        RecordingError: neither file is there, or one cannot be read; file and line are named.
    """
    path = Path(source)
    if not zipfile.is_zipfile(path):
        _check_folder(path)
        return _read(path, path.resolve().name, subject_id, session_id)
    try:
        with zipfile.ZipFile(path) as packed:
            return _read(_folder_in(packed, path), path.stem, subject_id, session_id)
    except _ZIP_DAMAGE as error:
        raise RecordingError(
            f"{path} is a damaged zip: {error}", fix="Download it again"
        ) from error


def looks_like_e4(path: Path, head: bytes) -> bool:
    """A folder, or a zip, with one of the two files that emodict reads."""
    if not head.startswith(_ZIP_MAGIC):
        return path.is_dir() and any((path / name).is_file() for name, _, _ in _SENSORS)
    try:
        with zipfile.ZipFile(path) as packed:
            return bool(_folders_in(packed))
    except _ZIP_DAMAGE:
        return False


def _read(folder: Folder, name: str, subject_id: str | None, session_id: str | None) -> Recording:
    files = {
        modality: (_read_sensor(folder / file), unit)
        for file, modality, unit in _SENSORS
        if (folder / file).is_file()
    }
    start_unix_s = min(file.start_unix_s for file, _ in files.values())
    start = _utc(start_unix_s, folder)
    tags = _tags_file(folder)
    return Recording(
        session_id=session_id or f"{name}-{start:%Y%m%dT%H%M%SZ}",
        subject_id=subject_id or name,
        signals={m: _signal(m, file, unit, start_unix_s) for m, (file, unit) in files.items()},
        events=() if tags is None else _read_tags(folder / tags, start_unix_s),
        start_time=start.isoformat().replace("+00:00", "Z"),
        device="Empatica E4",
        attributes={"source": f"E4 folder {name}", **_said(folder, tags)},
    )


def _folders_in(packed: zipfile.ZipFile) -> list[str]:
    """Where in the zip sensors lie: "" for its top, else ending in a slash."""
    wanted = {name for name, _, _ in _SENSORS}
    parts = (name.rpartition("/") for name in packed.namelist())
    return list(dict.fromkeys(folder + slash for folder, slash, name in parts if name in wanted))


def _folder_in(packed: zipfile.ZipFile, path: Path) -> zipfile.Path:
    folders = _folders_in(packed)
    unpack = f"Unpack it: unzip '{path}' -d '{path.with_suffix('')}', and give one of its folders"
    if len(folders) != 1:
        raise RecordingError(
            f"{path} is not the zip of one sitting with an Empatica E4",
            expected="BVP.csv or EDA.csv in one folder",
            got=", ".join(folders) or describe(path),
            fix=unpack if folders else None,
        )
    if any(info.compress_size > path.stat().st_size for info in packed.infolist()):
        # zipfile makes room for as much as a part claims to take.
        raise zipfile.BadZipFile("a part of it claims more than the whole")
    _check_size(packed, path)
    return zipfile.Path(packed, folders[0])


def _check_size(packed: zipfile.ZipFile, path: Path) -> None:
    """Refuse what unpacks to more than a wristband can have written."""
    large = [info.filename for info in packed.infolist() if info.file_size > _MOST_ZIPPED_BYTES]
    if large:
        raise RecordingError(
            f"{path}: {large[0]} is too large for an Empatica E4",
            expected=f"at most {_MOST_ZIPPED_BYTES >> 20} MiB",
        )
    ratio = sum(info.file_size for info in packed.infolist()) / path.stat().st_size
    if ratio > _MOST_UNPACKED_RATIO:
        raise RecordingError(
            f"{path} is not the zip of an Empatica E4: it unpacks to {ratio:.0f} times its size",
            expected=f"at most {_MOST_UNPACKED_RATIO} times",
            fix="If it is one, unpack it, and give the folder",
        )


def _check_folder(folder: Path) -> None:
    if folder.is_dir():
        if not any((folder / name).is_file() for name, _, _ in _SENSORS):
            inside = describe(folder).removeprefix("a folder ").removeprefix("an empty folder")
            raise RecordingError(
                f"{folder} is not the folder of an Empatica E4",
                expected=_EXPECTED,
                got=f"one {inside}" if inside else "an empty one",
                fix="Give the folder that the E4's zip file unpacks to, or the zip",
            )
        return
    if not folder.exists():
        raise RecordingError(
            f"There is no folder {folder}", expected=_EXPECTED, fix="Check the path"
        )
    raise RecordingError(
        f"{folder} is a file",
        expected=_EXPECTED,
        got=describe(folder),
        fix=_how_to_get_the_folder(folder),
    )


def _how_to_get_the_folder(file: Path) -> str | None:
    if file.suffix.lower() == ".zip":
        return "Download it again: it cannot be unpacked"
    return f"Give the folder instead: '{file.parent}'" if file.suffix.lower() == ".csv" else None


def _tags_file(folder: Folder) -> str | None:
    """The file of the button's presses; data sets name it after the person: tags_S01.csv."""
    found = [name for name in _csv_files(folder) if _TAGS_NAME.fullmatch(name)]
    return _TAGS if _TAGS in found else found[0] if len(found) == 1 else None


def _csv_files(folder: Folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(".csv"))


def _said(folder: Folder, tags: str | None) -> dict[str, str]:
    """What is left out of the folder, and that its tags have another name."""
    used = {name for name, _, _ in _SENSORS} | {tags}
    others = [name for name in _csv_files(folder) if name not in used]
    said = {"left_out": ", ".join(others)} if others else {}
    return {**said, "notes": f"events: {tags}"} if tags not in (None, _TAGS) else said


def _signal(modality: str, file: _SensorFile, unit: str, start_unix_s: float) -> Signal:
    return Signal(
        modality=modality,
        rate_hz=file.rate_hz,
        unit=unit,
        channel_names=(modality,),
        samples=file.samples,
        start_offset_s=file.start_unix_s - start_unix_s,
    )


def _read_sensor(path: Folder) -> _SensorFile:
    head: list[float] = []
    samples = Spool(1)
    for first, lines in _blocks(path):
        values = _numbers(path, lines, first)
        if first == 1:
            _check_seconds(path, lines[:1])
        header = values[: max(0, _HEADER_LINES - len(head))]
        head += header.tolist()
        samples.append(values[len(header) :])
    if not len(samples):
        raise RecordingError(
            f"{path} holds no samples",
            expected="a start time, a sampling rate, then one sample a line",
            got=count_of(len(head), "line"),
            fix="Export it again, or take the file out of the folder to import the rest",
        )
    start, rate = head
    if not np.isfinite(start):
        raise RecordingError(f"{path}, line 1: no start time", expected="a Unix time", got=start)
    if not (np.isfinite(rate) and rate > 0):
        raise RecordingError(
            f"{path}, line 2: the sampling rate cannot be used",
            expected="a positive number of Hz",
            got=rate,
        )
    return _SensorFile(start, rate, samples)


def _read_tags(path: Folder, start_unix_s: float) -> tuple[Event, ...]:
    """One Unix time a line, each a press of the button; no press, no line."""
    events: list[Event] = []
    for first, lines in _blocks(path) if path.is_file() else ():
        times_s = _numbers(path, lines, first)
        _check_seconds(path, lines, first)
        events += [Event(float(t) - start_unix_s, _TAG_CODE, "button") for t in times_s]
        if len(events) > MOST_EVENTS:
            raise RecordingError(f"{path} is too long", expected=f"at most {MOST_EVENTS} presses")
    return tuple(events)


def _check_seconds(path: Folder, lines: Sequence[str], first: int = 1) -> None:
    """Refuse Unix times that a spreadsheet has rounded: 1.64423E+09 may be an hour off."""
    for number, line in enumerate(lines, first):
        digits, _, power = line.strip().lower().partition("e")
        rounded = int(power or 0) - len(digits.partition(".")[2])
        if rounded > 0 and abs(float(line)) < _LATEST_S:
            raise RecordingError(
                f"{path}, line {number}: the time was rounded to {10**rounded} s by a spreadsheet",
                expected="a Unix time to the second, such as 1644226061",
                got=line.strip(),
                fix="Take the file as it was before it was saved there (download it again), "
                "or correct the line",
            )


def _blocks(path: Folder) -> Iterator[tuple[int, list[str]]]:
    """The lines, some ten thousand at a time, with the number of each block's first.

    Empty lines at the end are left out.

    Raises:
        RecordingError: an empty line before others, or one far longer than a number.
    """
    first, empty = 1, 0
    for lines in _all_lines(path):
        end = next((i for i in range(len(lines), 0, -1) if lines[i - 1].strip()), 0)
        if end and empty:
            raise _bad_line(path, "", first - empty)
        if end:
            yield first, lines[:end]
        first, empty = first + len(lines), empty + len(lines) - end


def _all_lines(path: Folder) -> Iterator[list[str]]:
    begun = ""
    with path.open("r", encoding="utf-8-sig", errors="replace") as file:
        while text := file.read(_BLOCK_CHARACTERS):
            *lines, begun = (begun + text).split("\n")
            if len(begun) > _LONGEST_LINE:
                raise RecordingError(
                    f"{path} has a line of more than {_LONGEST_LINE} characters",
                    expected="one number a line",
                    fix="Export it again",
                )
            yield lines
    yield [begun]


def _numbers(path: Folder, lines: list[str], first: int) -> NDArray[np.float64]:
    """One number a line, nan for a missing one; the first line's number is `first`.

    Raises:
        RecordingError: a line is not a number; it is named.
    """
    try:
        values = np.array(lines, dtype=np.float64)
    except ValueError:
        # Which line it was is looked for only now: the good files are read at full speed.
        at = next(i for i, line in enumerate(lines) if not _is_number(line))
        raise _bad_line(path, lines[at], first + at) from None
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise _bad_line(path, lines[infinite[0]], first + int(infinite[0]))
    return values


def _is_number(line: str) -> bool:
    try:
        float(line)
    except ValueError:
        return False
    return True


def _bad_line(path: Folder, line: str, number: int) -> RecordingError:
    return RecordingError(
        f"{path}, line {number}: not a number",
        expected="one number a line, with a point for the decimals",
        got=repr(line.strip()[:40]) if line.strip() else "an empty line",
        fix="Correct the line, or export the file again",
    )


def _utc(unix_s: float, folder: Folder) -> datetime.datetime:
    try:
        return datetime.datetime.fromtimestamp(unix_s, tz=datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        raise RecordingError(
            f"{folder}: the first line of the files is not a time",
            expected="a Unix time in seconds",
            got=unix_s,
        ) from None


FORM = Form(read_e4, looks_like_e4)
