"""EmotiBit: the raw CSV from its SD card, or what the EmotiBit DataParser made of it.

Raw rows are packets: EmotiBit's time in ms, number, count of values, type, version, reliability,
then the values. Types by EmotiBit's documentation: EA skin conductance in uS at 15 Hz; PI, PR, PG
infrared, red and green light at 25 Hz; TL the computer's local time; UN a user's note.
"""

from __future__ import annotations

import csv
import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk.importers.clock import growing, utc_text
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import check_there, first_text_line, read_head, wrong_kind
from emodict_desk.importers.order import Order, by_time
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import numbers, open_table
from emodict_desk.importers.timed import signal_by_times, times_cannot_be_sorted
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

_EXPECTED = (
    "the raw CSV of an EmotiBit, or the folder of files such as NAME_EA.csv "
    "that its DataParser makes"
)
_EDA, _NOTE, _LOCAL_TIME = "EA", "UN", "TL"
# Infrared shows the pulse best, then red; green is the last.
_LIGHTS = ("PI", "PR", "PG")
_RATES_HZ = {_EDA: 15.0, **dict.fromkeys(_LIGHTS, 25.0)}
# Time, number, count, type, version and reliability, before the values.
_FIELDS = 6
_TYPE = re.compile(r"[A-Z][A-Z0-9%]")
_LOOKED_AT = 10
_PARSED_HEADER = "LocalTimestamp,EmotiBitTimestamp,"
_MS = 1e3
# Its clock counts milliseconds in 32 bits; what stands for bytes that are not text.
_LONGEST_MS, _SPOILT = float(1 << 32), "\ufffd"


def read_emotibit(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the raw CSV of an EmotiBit, or what its DataParser made of it (a file or the folder).

    EA becomes gsr in uS, the infrared light (PI; else red or green) ppg, users' notes events. The
    last value of a packet is of the packet's time; lost packets are gaps. Where the raw file knows
    the computer's time, it is local, without a zone.

    Raises:
        RecordingError: no file of an EmotiBit, none of EDA and PPG in it, or a clock that runs
            back.
    """
    path = Path(source)
    account = Account(f"EmotiBit {path.name}")
    read = _read_parsed(path, account) if _is_parsed(path) else _read_raw(path, account)
    light = next((tag for tag in _LIGHTS if tag in read.streams), None)
    taken = [tag for tag in (_EDA, light) if tag in read.streams]
    if not taken:
        raise RecordingError(
            f"{path} holds no EDA or PPG of an EmotiBit",
            expected="packets of EA, PI, PR or PG",
            got=", ".join(sorted(read.others)) or "none",
        )
    ordered = {tag: _in_order(tag, read.streams[tag], path, account) for tag in taken}
    origin_s = min(float(times_s[0]) for times_s, _ in ordered.values())
    signals = (_signal(tag, *ordered[tag], origin_s, path, account) for tag in taken)
    for tag in (tag for tag in read.streams if tag not in taken):
        account.leave_out(tag, f"{light} is taken of the lights")
    if read.others:
        account.leave_out(" ".join(sorted(read.others)), "not used")
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals={signal.modality: signal for signal in signals},
        events=tuple(Event(at_s - origin_s, 0, text) for at_s, text in sorted(read.notes)),
        start_time=read.start_time(origin_s),
        device="EmotiBit",
        attributes=account.attributes(),
    )


def looks_like_emotibit(path: Path, head: bytes) -> bool:
    """Packets with a type, the header of a parsed file, or a folder of those."""
    if b"\0" in head:
        return False
    lines = head.decode("utf-8-sig", "replace").splitlines()[:_LOOKED_AT]
    packets = sum(_packet(line.split(",")) is not None for line in lines)
    return 2 * packets > len(lines) or _is_parsed(path)


@dataclass
class _Stream:
    """The values of one type, in packets that bear the time of their last value.

    `sizes` is of how many values each packet is; a row of a parsed file is one of one value.
    """

    samples: Spool = field(default_factory=lambda: Spool(1))
    times: Growing = field(default_factory=Growing)
    sizes: Growing = field(default_factory=Growing)

    def append(self, values: Float64Array, times_s: Float64Array) -> None:
        """Add packets of one time each, all of as many values."""
        if len(values):
            self.samples.append(values)
            self.times.append(times_s)
            self.sizes.append(np.full(len(times_s), len(values) / len(times_s)))

    def take(self, packets: Int64Array, /, axis: int = 0) -> Float64Array:
        """(packets, values) as the rule for what stands twice looks at them."""
        sizes = self.sizes.all().astype(np.int64)
        stops = np.cumsum(sizes)
        contents = np.full((len(packets), int(sizes[packets].max(initial=0))), np.nan)
        for row, stop, size in zip(contents, stops[packets], sizes[packets], strict=True):
            row[:size] = self.samples[int(stop - size) : int(stop)][:, 0]
        return contents


@dataclass
class _Read:
    """What a file holds, in s of its clock; `start_time` turns such a time into text."""

    streams: dict[str, _Stream] = field(default_factory=dict)
    notes: list[tuple[float, str]] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    start_time: Callable[[float], str] = lambda at_s: ""


@dataclass(frozen=True)
class _Packet:
    time_s: float
    tag: str
    values: Sequence[str]


def _packet(cells: Sequence[str]) -> _Packet | None:
    """A row as a packet; None for what is damaged, or lacks values of a signal."""
    if len(cells) < _FIELDS or not _TYPE.fullmatch(cells[3]) or any(_SPOILT in c for c in cells):
        return None
    try:
        time_ms, _, count = float(cells[0]), int(cells[1]), int(cells[2])
    except ValueError:
        return None
    values = [cell for cell in cells[_FIELDS:] if cell]
    # A note may have commas in it.
    whole = 0 <= time_ms < _LONGEST_MS and (cells[3] not in _RATES_HZ or len(values) == count)
    return _Packet(time_ms / _MS, cells[3], values) if whole else None


def _packets(path: Path, account: Account) -> Iterator[_Packet]:
    """The packets of a raw file; damaged ones, as of a card that was taken out, are counted."""
    damaged, first = 0, 0
    try:
        # One byte that was spoilt costs its packet, and not the recording.
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
            for line, cells in enumerate(csv.reader(handle), 1):
                packet = _packet(cells)
                if packet is not None:
                    yield packet
                elif cells:
                    damaged, first = damaged + 1, first or line
    except csv.Error as error:
        raise RecordingError(f"{path} is damaged: {error}", fix="Copy it again") from None
    if damaged:
        account.leave_out(count_of(damaged, "packet"), f"damaged, the first in line {first}")


def _read_raw(path: Path, account: Account) -> _Read:
    check_there(path, _EXPECTED)
    if not looks_like_emotibit(path, read_head(path)):
        raise wrong_kind(path, _EXPECTED)
    read = _Read()
    for packet in _packets(path, account):
        if packet.tag in _RATES_HZ:
            _take(packet, read, account)
        elif packet.tag == _NOTE:
            read.notes.append((packet.time_s, ",".join(packet.values)))
        elif packet.tag == _LOCAL_TIME:
            _take_local_time(packet, read)
        else:
            read.others.add(packet.tag)
    return read


def _take(packet: _Packet, read: _Read, account: Account) -> None:
    try:
        values = [float(value) for value in packet.values]
    except ValueError:
        account.leave_out(f"a packet of {packet.tag} at {packet.time_s:.3f} s", "not numbers")
        return
    stream = read.streams.setdefault(packet.tag, _Stream())
    stream.append(np.array(values), np.array([packet.time_s]))


def _take_local_time(packet: _Packet, read: _Read) -> None:
    """`2022-01-30_12-03-04-567890`, of which the first is kept."""
    if read.start_time(0.0):
        return
    try:
        local = datetime.datetime.strptime(packet.values[0], "%Y-%m-%d_%H-%M-%S-%f")
    except (ValueError, IndexError):
        return
    known_s = packet.time_s
    read.start_time = lambda at_s: _later(local, at_s - known_s)


def _later(moment: datetime.datetime, by_s: float) -> str:
    """As ISO 8601; "" beyond the years that there are."""
    try:
        return (moment + datetime.timedelta(seconds=by_s)).isoformat()
    except OverflowError:
        return ""


def _is_parsed(path: Path) -> bool:
    return bool(_parsed_files(path))


def _parsed_files(path: Path) -> dict[str, Path]:
    """The files that the DataParser made, by the type at the end of their names."""
    files = [path]
    if path.is_dir():
        files = [file for tag in (*_RATES_HZ, _NOTE) for file in path.glob(f"*_{tag}.csv")]
    return {
        file.stem.rpartition("_")[2]: file
        for file in files
        if first_text_line(read_head(file)).startswith(_PARSED_HEADER)
    }


def _read_parsed(path: Path, account: Account) -> _Read:
    """A folder of files, or one: LocalTimestamp is Unix time, of each value."""
    files = _parsed_files(path)
    begins = {file.name.removesuffix(f"_{tag}.csv") for tag, file in files.items()}
    several = path.is_dir() and len({*path.glob(f"*_{_EDA}.csv")}) > 1
    if len(begins) > 1 or several:
        raise RecordingError(
            f"{path} holds several recordings of an EmotiBit",
            expected="the files of one",
            got=", ".join(sorted(begins)),
            fix="Put the files of each into a folder of its own",
        )
    read = _Read(start_time=lambda at_s: utc_text(at_s) or "")
    for tag, file in files.items():
        if tag == _NOTE:
            read.notes += _parsed_notes(file, account)
        elif tag in _RATES_HZ:
            _take_parsed(tag, file, read, account)
        else:
            read.others.add(tag)
    return read


def _take_parsed(tag: str, file: Path, read: _Read, account: Account) -> None:
    table = open_table(file, _EXPECTED, delimiter=",")
    columns = [table.column("LocalTimestamp"), table.column(tag)]
    for block in table.blocks(account):
        times_s, values = numbers(table, block, columns).T
        there = np.isfinite(times_s)
        read.streams.setdefault(tag, _Stream()).append(values[there], times_s[there])
    if tag in read.streams and not len(read.streams[tag].samples):
        del read.streams[tag]


def _parsed_notes(file: Path, account: Account) -> Iterator[tuple[float, str]]:
    table = open_table(file, _EXPECTED, delimiter=",")
    at, text = table.column("LocalTimestamp"), table.column(_NOTE)
    for block in table.blocks(account):
        times_s = numbers(table, block, [at])[:, 0].tolist()
        yield from ((at_s, row[text]) for at_s, row in zip(times_s, block.rows, strict=True))


def _in_order(
    tag: str, stream: _Stream, path: Path, account: Account
) -> tuple[Float64Array, Spool]:
    """Times and values of packets in the order in which they were taken, each once.

    The last value of a packet is of its time, those before it of a period each before.

    Raises:
        RecordingError: the clock runs back.
    """
    times_s, sizes = stream.times.all(), stream.sizes.all().astype(np.int64)
    order = by_time(times_s, stream)
    if order is None:
        raise times_cannot_be_sorted(path, times_s)
    packets = np.arange(len(times_s)) if order.rows is None else order.rows
    behind = ~growing(times_s[np.sort(packets)])
    sizes_kept, stops = sizes[packets], np.cumsum(sizes)[packets]
    # Of each value, how many of its packet come after it.
    after = np.concatenate([[*range(size - 1, -1, -1)] for size in sizes_kept.tolist()])
    rows = np.repeat(stops, sizes_kept) - 1 - after
    late = int(sizes[np.sort(packets)][behind].sum())
    Order(rows, len(stream.samples) - len(rows), late).say(
        f"{_modality(tag)}: ", "the times", account
    )
    samples = stream.samples if order.rows is None else stream.samples.take(rows)
    return np.repeat(times_s[packets], sizes_kept) - after / _RATES_HZ[tag], samples


def _modality(tag: str) -> str:
    return "gsr" if tag == _EDA else "ppg"


def _signal(
    tag: str,
    times_s: Float64Array,
    samples: Spool,
    origin_s: float,
    path: Path,
    account: Account,
) -> Signal:
    modality = _modality(tag)
    return signal_by_times(
        modality, times_s - origin_s, samples, unit="uS" if tag == _EDA else "a.u.",
        names=[modality], account=account, nominal_hz=_RATES_HZ[tag], of=str(path),
    )  # fmt: skip


FORM = Form(read_emotibit, looks_like_emotibit)
