"""Any recording that MNE-Python reads: BrainVision, EEGLAB, GDF, FIF, Neuroscan and others."""

from __future__ import annotations

import datetime
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError, RecordingError
from emodict.recording.modalities import EEG
from emodict.recording.recording import Event, Recording, Signal
from emodict.recording.units import plain_unit
from emodict_desk.importers.channels import (
    Channel,
    leave_out_others,
    one_channel_signal,
    sorted_out,
)
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import kind_of, wrong_kind
from emodict_desk.importers.labels import Label
from emodict_desk.importers.spool import Spool
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

_EXPECTED = "a recording that mne.io.read_raw reads, such as .vhdr, .set, .gdf, .fif or .cnt"
# Of MNE's kinds those that hold EEG and that no other importer takes; a BrainVision is told by its
# header, as its .eeg is bare numbers.
_ENDINGS = (
    ".vhdr", ".ahdr", ".set", ".gdf", ".fif", ".fif.gz", ".cnt", ".mff", ".cdt", ".lay", ".nxe",
    ".nedf", ".eeg", ".vmrk", ".rs3",
)  # fmt: skip
_FILE_LINE = re.compile(r"\s*(?:datafile|markerfile)\s*[=:](.*)", re.IGNORECASE)
_BLOCK_S = 60.0
# FIFF's codes of the units that MNE holds numbers in.
_UNITS = {107: "V", 110: "S"}
# These MNE turns into siemens, and calls the numbers unitless.
_MADE_SIEMENS = ("uS", "S")
# Types of channels that may be one of ours; MNE calls EEG what a format does not tell apart.
_TYPES = ("eeg", "gsr", "bio", "misc")


def read_mne(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read any recording that MNE-Python reads: BrainVision, EEGLAB, GDF, FIF and others.

    Channels become eeg, gsr and ppg by their types and names, volts uV, annotations and the changes
    of trigger lines events. Places of electrodes are kept in the attribute electrode_positions_m.
    Patients' data are not read.

    Raises:
        RecordingError: MNE cannot read it, or it holds no channel of use.
        MissingDependencyError: mne is not installed.
    """
    path = _header_of(Path(source))
    account = Account(f"{path.suffix.lstrip('.').upper() or 'MNE'} {path.name}, read by MNE")
    with warnings.catch_warnings():
        # Of what MNE finds odd in a header nothing is of use here.
        warnings.simplefilter("ignore")
        raw = _open(path)
        try:
            return _recording(raw, path, subject_id, session_id, account)
        except RecordingError:
            raise
        except Exception as error:
            # Samples are read as they are asked for, by as many readers as there are formats.
            raise _damaged(path, error) from error


def _recording(
    raw: Any, path: Path, subject_id: str | None, session_id: str | None, account: Account
) -> Recording:
    channels = [_channel(raw, at) for at in range(len(raw.ch_names))]
    known = [channel for channel in channels if channel.label.kind in _TYPES]
    chosen = sorted_out(known)
    if not chosen:
        named = ", ".join(f"{c.name} ({c.label.kind})" for c in channels[:40])
        raise RecordingError(
            f"{path} holds no EEG, EDA or PPG",
            expected="channels of these types or names",
            got=named or "no channels",
        )
    leave_out_others(channels, chosen, account)
    signals = {
        modality: _eeg(raw, of, path)
        if modality == EEG
        else one_channel_signal(modality, of, path, account)
        for modality, of in chosen.items()
    }
    _say_bad(raw, account)
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        events=tuple(sorted(_events(raw), key=lambda event: event.onset_s)),
        start_time=_start_time(raw, path),
        attributes={**account.attributes(), **_positions(raw, chosen)},
    )


def _header_of(path: Path) -> Path:
    """Of a BrainVision's samples or markers the header, which leads to both."""
    header = path.with_suffix(".vhdr")
    return header if path.suffix.lower() in (".eeg", ".vmrk") and header.is_file() else path


def looks_like_mne(path: Path, head: bytes) -> bool:
    """The ending of a kind that MNE reads and nothing else here does."""
    name = path.name.lower()
    return name.endswith(_ENDINGS) and (bool(head) or path.is_dir())


def _open(path: Path) -> Any:
    if not path.exists():
        raise RecordingError(f"There is no file {path}", expected=_EXPECTED, fix="Check the path")
    try:
        import mne
    except ImportError:
        raise MissingDependencyError("mne", extra="mne", purpose="Reading this recording") from None
    _check_beside(path)
    try:
        raw = mne.io.read_raw(path, preload=False, verbose="ERROR")
    except Exception as error:
        # MNE raises whatever its parsing runs into; the file's fault, whichever it is.
        raise _damaged(path, error) from error
    for name in filter(None, raw.filenames):
        # Without its links, as a folder's own files may be links; or with them, as MNE has it.
        folders = (path.parent.absolute(), path.parent.resolve(), path.resolve().parent)
        if not any(_plain(name).is_relative_to(_plain(folder)) for folder in folders):
            raise _not_beside(path, str(name))
    return raw


def _plain(path: Any) -> Path:
    """From the root, without `..`; links stay."""
    return Path(os.path.normpath(Path(path).absolute()))


def _check_beside(path: Path) -> None:
    """Refuse a BrainVision header whose samples or markers are to be read from somewhere else.

    Before MNE reads it: markers are read with it. Keys may be written as configparser takes them,
    and its `%(...)s` puts another line in.
    """
    for line in _lines_of_header(path):
        found = _FILE_LINE.match(line)
        name = found.group(1).strip() if found else ""
        if name != Path(name).name or "%(" in name:
            raise _not_beside(path, name)


def _not_beside(path: Path, name: str) -> RecordingError:
    return RecordingError(
        f"{path}: its samples or markers are not beside it",
        expected="the name of a file in the same folder",
        got=name[:200],
        fix="Put them beside it, and write the bare name into it",
    )


def _lines_of_header(path: Path) -> list[str]:
    if path.suffix.lower() not in (".vhdr", ".ahdr"):
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _damaged(path: Path, error: Exception) -> RecordingError:
    if kind_of(path) not in (None, "mne"):
        return wrong_kind(path, _EXPECTED)
    said = " ".join(str(error).split())[:300]
    return RecordingError(
        f"{path} cannot be read by MNE: {type(error).__name__}: {said}".rstrip(": ."),
        expected=_EXPECTED,
        fix="Check that all of its files lie beside it, or export it again",
    )


def _channel(raw: Any, at: int) -> Channel:
    """A channel in the unit in which MNE holds it."""
    kind = raw.get_channel_types(picks=[at])[0]
    return Channel(
        Label(raw.ch_names[at], _unit(raw, at), kind),
        float(raw.info["sfreq"]),
        lambda: np.asarray(raw.get_data(picks=[at])[0], dtype=np.float64),
    )


def _unit(raw: Any, at: int) -> str:
    """The unit of the numbers that MNE gives; of what it knows no kind of, the file's own."""
    known = _UNITS.get(int(raw.info["chs"][at]["unit"]))
    written = plain_unit((getattr(raw, "_orig_units", None) or {}).get(raw.ch_names[at]) or "")
    return known or ("S" if written in _MADE_SIEMENS else "" if written == "n/a" else written)


def _eeg(raw: Any, channels: Sequence[Channel], path: Path) -> Signal:
    """EEG in uV, read a minute at a time."""
    rate_hz = float(raw.info["sfreq"])
    picks = [raw.ch_names.index(channel.name) for channel in channels]
    samples, block = Spool(len(picks)), max(1, round(rate_hz * _BLOCK_S))
    for start in range(0, raw.n_times, block):
        samples.append(raw.get_data(picks=picks, start=start, stop=start + block).T * 1e6)
    references = dict.fromkeys(c.place[1] for c in channels if c.place[1])
    return Signal(
        modality=EEG,
        rate_hz=rate_hz,
        unit="uV",
        channel_names=tuple(channel.place[0] for channel in channels),
        samples=samples,
        reference=", ".join(references) or _reference(path),
    )


def _reference(path: Path) -> str:
    """The one reference that a BrainVision header names, which MNE reads over; "" elsewhere."""
    lines = (line for line in _lines_of_header(path) if line.startswith("Ch"))
    rows = [line.partition("=")[2].split(",") for line in lines]
    named = {row[1].strip() for row in rows if len(row) > 2 and row[1].strip()}
    return named.pop() if len(named) == 1 else ""


def _events(raw: Any) -> Iterator[Event]:
    """Annotations, and the changes of trigger lines to another code than 0.

    Of the same code at the same sample the annotation alone: some formats have it twice.
    """
    rate_hz, annotated = float(raw.info["sfreq"]), set()
    for annotation in raw.annotations:
        text = str(annotation["description"]).strip()
        code = int(text) if text.removeprefix("-").isdigit() and len(text) < 10 else 0
        onset_s = float(annotation["onset"]) - float(raw.first_time)
        annotated.add((round(onset_s * rate_hz), code))
        yield Event(onset_s, code, text)
    lines = [at for at, kind in enumerate(raw.get_channel_types()) if kind == "stim"]
    for at in lines:
        codes: NDArray[np.int64] = np.rint(raw.get_data(picks=[at])[0]).astype(np.int64)
        for row in (np.flatnonzero(np.diff(codes)) + 1).tolist():
            code = int(codes[row])
            if code and (row, code) not in annotated:
                yield Event(row / rate_hz, code, f"trigger of {raw.ch_names[at]}")


def _start_time(raw: Any, path: Path) -> str:
    """UTC of a FIF; other formats have local time, which MNE calls UTC."""
    start = raw.info["meas_date"]
    if start is None:
        return ""
    start = start + datetime.timedelta(seconds=float(raw.first_time))
    if ".fif" not in path.name.lower():
        start = start.replace(tzinfo=None)
    return str(start.isoformat().replace("+00:00", "Z"))


def _say_bad(raw: Any, account: Account) -> None:
    if raw.info["bads"]:
        count = count_of(len(raw.info["bads"]), "channel")
        account.note(f"{count} marked bad in the file: {' '.join(raw.info['bads'])}; kept")


def _positions(raw: Any, chosen: dict[str, list[Channel]]) -> dict[str, str]:
    """Where electrodes are, by the file: name -> x, y, z in m on the head, as JSON."""
    montage = raw.get_montage()
    places = montage.get_positions()["ch_pos"] if montage is not None else {}
    known = {
        channel.place[0]: [round(float(value), 4) for value in places[channel.name]]
        for channel in chosen.get(EEG, [])
        if channel.name in places and np.isfinite(places[channel.name]).all()
    }
    return {"electrode_positions_m": json.dumps(known)} if known else {}


FORM = Form(read_mne, looks_like_mne, takes_any=True)
