"""AcqKnowledge: the .acq files of BIOPAC's program, in which each channel has its own rate."""

from __future__ import annotations

import contextlib
import datetime
import io
import logging
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emodict.errors import MissingDependencyError, RecordingError
from emodict.recording.recording import Event, Recording
from emodict_desk.importers.channels import Channel, leave_out_others, signals_of, sorted_out
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import check_there, read_head, wrong_kind
from emodict_desk.importers.labels import Label
from emodict_desk.recordings.account import Account

_EXPECTED = "an .acq file of BIOPAC AcqKnowledge"
# The revision of the format stands at byte 2, in either order of bytes (BIOPAC, note 156).
_REVISIONS = range(30, 400)
# An hour of 16 channels at 2 kHz is 900 MB as numbers.
_MOST_BYTES = 1 << 31
_MOST_PATTERN = 1 << 20
# bioread looks for where samples begin, and reads them once.
_MOST_READ, _HEADER_BYTES, _CALL_BYTES = 4, 1 << 16, 64
# Marker positions before the first sample are negative; bioread reads them without a sign.
_SIGN_BIT, _TURN = 1 << 31, 1 << 32
_SEGMENT = "apnd"
# `EEG (.5 - 35 Hz)`, as BIOPAC Student Lab names its channels.
_FILTER = re.compile(r"\s*\([^()]*Hz\)$", re.IGNORECASE)


def read_acqknowledge(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read a recording of BIOPAC AcqKnowledge (.acq).

    Channels become eeg, gsr and ppg by their names and units, each at its own rate; of several of
    one kind the one that no program has filtered or differentiated is taken. Event markers become
    events. The recording starts when its first segment did.

    Raises:
        RecordingError: not an .acq file, a damaged one, or no channel of use.
        MissingDependencyError: bioread is not installed.
    """
    path = Path(source)
    check_there(path, _EXPECTED)
    if not _has_revision(read_head(path)):
        raise wrong_kind(path, _EXPECTED)
    account = Account(f"AcqKnowledge {path.name}")
    file = _headers(path)
    channels = [_channel(path, file, at, name) for at, name in enumerate(_names(file))]
    chosen = sorted_out(channels, any_voltage=False)
    if not chosen:
        named = ", ".join(f"{c.name} ({c.label.unit or 'no unit'})" for c in channels)
        raise RecordingError(
            f"{path} holds no EEG, EDA or PPG",
            expected="channels of these names, such as 'EDA - GSR100C'",
            got=named or "no channels",
        )
    leave_out_others(channels, chosen, account)
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals_of(chosen, path, account),
        events=tuple(sorted(_events(file), key=lambda event: event.onset_s)),
        start_time=_start_time(file),
        device="BIOPAC",
        attributes=account.attributes(),
    )


def looks_like_acqknowledge(path: Path, head: bytes) -> bool:
    """The ending, and a revision of the format where it stands."""
    return path.suffix.lower() == ".acq" and _has_revision(head)


def _has_revision(head: bytes) -> bool:
    orders: Sequence[Any] = ("little", "big")
    return len(head) > 6 and any(int.from_bytes(head[2:6], o) in _REVISIONS for o in orders)


class _Bounded(io.FileIO):
    """A file that is not read again and again, as a count of markers without length makes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._left = _MOST_READ * path.stat().st_size + _HEADER_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size) or b""
        # A header more costs bioread as much as some hundred bytes.
        self._left -= len(content) + _CALL_BYTES
        if self._left < 0:
            raise ValueError("its parts lie within one another")
        return content


def _headers(path: Path) -> Any:
    """What the file says of its channels and markers, without samples."""
    try:
        import bioread
    except ImportError:
        raise MissingDependencyError(
            "bioread", extra="acqknowledge", purpose="Reading AcqKnowledge files"
        ) from None
    try:
        with _silent(), _Bounded(path) as handle:
            file = bioread.read_headers(handle)
        if file is None:
            raise ValueError("its headers are cut off")
        _check_claims(path, file)
    except Exception as error:
        # bioread raises whatever its parsing runs into; the file's fault, whichever it is.
        raise _damaged(path, error) from error
    return file


def _check_claims(path: Path, file: Any) -> None:
    """Raises ValueError where samples are claimed for which the file has no room.

    bioread makes room for as many as are claimed, and a pattern of the channels' rates.
    """
    pattern = math.lcm(*(int(channel.frequency_divider) for channel in file.channels))
    if not 0 < pattern * len(file.channels) <= _MOST_PATTERN:
        raise ValueError("the rates of its channels have no pattern")
    claimed = sum(channel.data_length for channel in file.channels)
    if not 0 <= claimed <= (_MOST_BYTES if file.is_compressed else path.stat().st_size):
        raise ValueError(f"it claims {claimed} bytes of samples")
    for header in file.channel_compression_headers or () if file.is_compressed else ():
        _check_packed(path, int(header.compressed_data_offset), int(header.compressed_data_len))


def _check_packed(path: Path, offset: int, length: int) -> None:
    """Raises ValueError for packed samples that are not there, or that unpack to too many."""
    with path.open("rb") as handle:
        handle.seek(offset)
        content = handle.read(min(length, path.stat().st_size))
    unpacker, count = zlib.decompressobj(), 0
    try:
        while content and not unpacker.eof:
            count += len(unpacker.decompress(content, 1 << 20))
            content = unpacker.unconsumed_tail
            if count > _MOST_BYTES:
                raise ValueError(f"it unpacks to more than {_MOST_BYTES} bytes")
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _names(file: Any) -> list[str]:
    """The channels' names, without the filter that stands behind some, and each once."""
    names: list[str] = []
    for at, channel in enumerate(file.channels):
        name = _FILTER.sub("", str(channel.name or "").strip()) or f"channel {at + 1}"
        names.append(f"{name} {names.count(name) + 1}" if name in names else name)
    return names


def _channel(path: Path, file: Any, at: int, name: str) -> Channel:
    said = file.channels[at]
    label = Label(name, _unit(str(said.units or "")))
    return Channel(label, float(said.samples_per_second), lambda: _samples(path, at))


def _unit(text: str) -> str:
    """`Volts`, `microsiemens`, `µmho` as they are written; what says nothing is none."""
    return "" if text.strip().lower() in ("", "none", "unitless") else text.strip()


def _samples(path: Path, at: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(samples,) of one channel in its unit."""
    import bioread

    try:
        with _silent(), _Bounded(path) as handle:
            found = bioread.read(handle, channel_indexes=[at]).channels[at].data
    except Exception as error:
        # As above.
        raise _damaged(path, error) from error
    return np.asarray(found, dtype=np.float64)


def _onset_s(file: Any, marker: Any) -> float:
    at = int(marker.sample_index)
    return (at - _TURN if at >= _SIGN_BIT else at) / float(file.samples_per_second)


def _events(file: Any) -> Iterator[Event]:
    """Markers, once each: one of all channels, or of several, is there as often."""
    seen = set()
    for marker in file.event_markers or ():
        text = str(marker.text or "").strip("\0 ") or str(marker.type)
        event = Event(_onset_s(file, marker), 0, text)
        if event not in seen:
            seen.add(event)
            yield event


def _start_time(file: Any) -> str:
    """By the marker of the first segment, the moment of which the file knows, in UTC."""
    markers = [m for m in file.event_markers or () if m.type_code == _SEGMENT]
    if not markers or markers[0].date_created_utc is None:
        return ""
    before_s = datetime.timedelta(seconds=_onset_s(file, markers[0]))
    return str((markers[0].date_created_utc - before_s).isoformat()).replace("+00:00", "Z")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Bioread prints what it cannot read; here that is an error."""
    log = logging.getLogger("bioread")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _damaged(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path} starts like an AcqKnowledge file but cannot be read: {error}".rstrip(": "),
        fix="Copy or save it again",
    )


FORM = Form(read_acqknowledge, looks_like_acqknowledge)
