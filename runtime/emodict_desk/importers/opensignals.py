"""OpenSignals .h5: what PLUX's program records from biosignalsplux and BITalino devices,
as raw counts of their ADC.

Transfer functions by PLUX's sensor data sheets (biosignalsplux EDA, EEG and BVP; BITalino
(r)evolution EDA and EEG), ADC being the count and n the bits of the channel: biosignalsplux (3
V): EDA(uS) = ADC/2^n * 3 / 0.12, EEG(uV) = (ADC/2^n - 1/2) * 3 / 40000 * 10^6; BITalino (3.3
V): EDA(uS) = ADC/2^n * 3.3 / 0.132, EEG(uV) = (ADC/2^n - 1/2) * 3.3 / 41782 * 10^6; BVP is a
share of full scale, ADC/2^n.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.files.hdf5 import DAMAGE, check_contents, members, open_to_read
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk.importers.form import Form, Option, pairs
from emodict_desk.importers.kinds import check_there, wrong_kind
from emodict_desk.importers.labels import modality_of_words
from emodict_desk.importers.order import by_counter
from emodict_desk.importers.spool import Spool
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

if TYPE_CHECKING:
    import h5py

_EXPECTED = "an .h5 of OpenSignals: a group per device with raw/channel_N and raw/nSeq"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_BLOCK_ROWS = 1 << 18

Transfer = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class _Sensor:
    """A sensor type: its modality and unit,
    and the transfer function from ADC/2^n by kind of device.
    """

    modality: str
    unit: str
    plux: Transfer
    bitalino: Transfer


_SENSORS = {
    "gsr": _Sensor(
        "gsr", "uS", lambda share: share * 3.0 / 0.12, lambda share: share * 3.3 / 0.132
    ),
    "eeg": _Sensor(
        "eeg",
        "uV",
        lambda share: (share - 0.5) * 3.0 / 40000 * 1e6,
        lambda share: (share - 0.5) * 3.3 / 41782 * 1e6,
    ),
    "ppg": _Sensor("ppg", "a.u.", lambda share: share, lambda share: share),
}
# BITalino's sensors end so.
_BITALINO = re.compile(r"bit(rev)?$", re.IGNORECASE)
_NOT_WANTED = "none"


def read_opensignals(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    sensor: Sequence[str] = (),
) -> Recording:
    """Read an .h5 of OpenSignals (PLUX biosignalsplux, BITalino).

    EDA becomes gsr, EEG eeg and BVP ppg, in the units of PLUX's data sheets; the counter nSeq shows
    lost samples. A channel recorded as RAW needs its sensor: `sensor` A2=BVP, PORT1=EEG:O1,
    A3=none. Start times are local time without a zone.

    Raises:
        RecordingError: no file of OpenSignals, no channel of a known sensor,
            or two for one modality.
    """
    path = Path(source)
    check_there(path, _EXPECTED)
    account = Account(f"OpenSignals {path.name}")
    with _open(path) as file:
        try:
            devices = [_device(name, group) for name, group in members(file).items()]
            channels = [channel for device in devices for channel in device.channels]
            chosen = _choose(channels, sensor, path, account)
            start = (
                min(device.start for device in devices if device.start)
                if devices[0].start
                else None
            )
            signals = {m: _signal(of, start, account) for m, of in chosen.items()}
            events = [
                event for device in devices for event in _digital_events(device, start, account)
            ]
        except DAMAGE as error:
            raise RecordingError(
                f"{path} is damaged or incomplete: {error}", fix="Export it again"
            ) from error
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        events=tuple(sorted(events, key=lambda event: event.onset_s)),
        start_time=start.isoformat() if start else "",
        device=" + ".join(f"PLUX {device.model} {device.name}" for device in devices),
        attributes=account.attributes(),
    )


def looks_like_opensignals(path: Path, head: bytes) -> bool:
    """HDF5 whose groups hold raw/nSeq."""
    if not head.startswith(_HDF5_MAGIC):
        return False
    try:
        with open_to_read(path) as file:
            check_contents(file)
            return _has_channels(file)
    except RecordingError:
        # For reading it to say.
        return True
    except DAMAGE:
        return False


@dataclass(frozen=True)
class _Device:
    name: str
    model: str
    group: h5py.Group
    rate_hz: float
    start: datetime.datetime | None
    channels: tuple[_Channel, ...]


@dataclass(frozen=True)
class _Channel:
    """One column of counts, and all of its device that reading it takes."""

    device_name: str
    key: str
    label: str
    sensor: str
    bits: int
    counts: h5py.Dataset
    counter: h5py.Dataset
    rate_hz: float
    bitalino: bool
    start: datetime.datetime | None

    @property
    def name(self) -> str:
        return f"{self.label or self.key} ({self.sensor})"

    def is_called(self, wanted: str) -> bool:
        number = self.key.rpartition("_")[2]
        names = {
            self.key,
            self.label,
            number,
            f"{self.device_name}/{self.key}",
            f"{self.device_name}/{number}",
        }
        return wanted.lower() in {name.lower() for name in names | {f"PORT{number}", f"A{number}"}}


def _has_channels(file: h5py.File) -> bool:
    """Whether one of its groups holds raw/nSeq."""
    import h5py

    return any(
        "raw/nSeq" in group for group in members(file).values() if isinstance(group, h5py.Group)
    )


def _open(path: Path) -> h5py.File:
    import h5py

    if not h5py.is_hdf5(path):
        raise wrong_kind(path, _EXPECTED)
    try:
        file = open_to_read(path)
    except OSError as error:
        raise RecordingError(
            f"{path} is HDF5 but cannot be opened: {error}", fix="It is cut off: copy it again"
        ) from error
    try:
        check_contents(file)
        ours = _has_channels(file)
    except RecordingError:
        file.close()
        raise
    except DAMAGE as error:
        file.close()
        raise RecordingError(f"{path} is damaged: {error}", fix="Export it again") from error
    if not ours:
        file.close()
        raise wrong_kind(path, _EXPECTED)
    return file


def _device(name: str, group: h5py.Group) -> _Device:
    attributes = group.attrs
    model = _text(attributes.get("device", ""))
    rate_hz, start = float(attributes["sampling rate"]), _start(attributes)
    keys = sorted(
        (key for key in group["raw"] if key.startswith("channel_")), key=lambda key: int(key[8:])
    )
    # BITalino lists the widths of counter and digital lines first; the analogue channels come last.
    bits = [int(b) for b in np.ravel(attributes.get("resolution", [16]))][-len(keys) :]
    bits += [bits[-1]] * (len(keys) - len(bits))
    channels = tuple(
        _Channel(
            name,
            key,
            _text(data.attrs.get("label", "")),
            _text(data.attrs.get("sensor", "RAW")).upper(),
            width,
            data,
            group["raw/nSeq"],
            rate_hz,
            model.lower().startswith("bitalino"),
            start,
        )
        for key, width in zip(keys, bits, strict=True)
        for data in [group["raw"][key]]
    )
    return _Device(name, model, group, rate_hz, start, channels)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _start(attributes: Any) -> datetime.datetime | None:
    """`2018-7-4` and `16:13:47.787`, in the local time of the computer that recorded."""
    try:
        year, month, day = (int(part) for part in _text(attributes["date"]).split("-"))
        hour, minute, second = _text(attributes["time"]).split(":")
        whole = datetime.datetime(year, month, day, int(hour), int(minute))
        return whole + datetime.timedelta(seconds=float(second))
    except (KeyError, ValueError):
        return None


def _choose(
    channels: Sequence[_Channel], sensor: Sequence[str], path: Path, account: Account
) -> dict[str, list[tuple[_Channel, _Sensor, str]]]:
    """(channel, sensor, its channel name) of each modality."""
    asked = _asked(channels, sensor, path)
    chosen: dict[str, list[tuple[_Channel, _Sensor, str]]] = {}
    for i, channel in enumerate(channels):
        kind, place = asked.get(i, (_measures(channel.sensor), ""))
        if kind in _SENSORS:
            found = _SENSORS[kind]
            name = (
                (place or channel.label or channel.key)
                if found.modality == "eeg"
                else found.modality
            )
            chosen.setdefault(found.modality, []).append((channel, found, name))
        else:
            account.leave_out(
                channel.name, "not wanted" if kind == _NOT_WANTED else "sensor not known"
            )
    for modality, of in chosen.items():
        devices = {channel.device_name for channel, _, _ in of}
        if len(of) > 1 and (modality != "eeg" or len(devices) > 1):
            names = ", ".join(f"{channel.device_name}/{channel.key}" for channel, _, _ in of)
            raise RecordingError(
                f"{path} holds {len(of)} channels of {modality}",
                expected="one (of one device, for EEG)",
                got=names,
                fix=f"Leave the others out, such as --sensor "
                f"'{of[-1][0].device_name}/{of[-1][0].key}=none'",
            )
    if not chosen:
        first = channels[0] if channels else None
        raise RecordingError(
            f"{path} holds no channel of a known sensor",
            expected="EDA, EEG or BVP",
            got=", ".join(channel.name for channel in channels) or "no channels",
            fix=f"Say what was plugged in, such as --sensor {first.label or first.key}=BVP"
            if first
            else None,
        )
    return chosen


def _measures(sensor: str) -> str:
    """The modality of a type of sensor; RAW, CUSTOM and others say nothing."""
    return modality_of_words(_BITALINO.sub("", sensor)) or ""


def _asked(
    channels: Sequence[_Channel], sensor: Sequence[str], path: Path
) -> dict[int, tuple[str, str]]:
    """What the user says each channel is: (modality, electrode)."""
    asked = {}
    for wanted, kind in pairs(sensor, "sensor", "A2=BVP"):
        name, _, place = kind.partition(":")
        found = _NOT_WANTED if name.lower() == _NOT_WANTED else _measures(name)
        if found not in (*_SENSORS, _NOT_WANTED):
            raise RecordingError(
                f"--sensor {wanted}={kind} names no sensor",
                expected=("BVP", "EDA", "EEG:O1", "none"),
            )
        matches = [i for i, channel in enumerate(channels) if channel.is_called(wanted)]
        if len(matches) != 1:
            names = ", ".join(f"{c.device_name}/{c.key} {c.label}" for c in channels)
            what = "names no channel" if not matches else "names several channels"
            raise RecordingError(
                f"--sensor {wanted} {what} of {path}", expected=names, got=f"'{wanted}'"
            )
        asked[matches[0]] = (found, place)
    return asked


def _signal(
    of: Sequence[tuple[_Channel, _Sensor, str]], start: datetime.datetime | None, account: Account
) -> Signal:
    first, sensor, _ = of[0]
    samples = Spool(len(of))
    for low in range(0, first.counts.shape[0], _BLOCK_ROWS):
        columns = [
            (kind.bitalino if c.bitalino else kind.plux)(
                c.counts[low : low + _BLOCK_ROWS, 0] / float(1 << c.bits)
            )
            for c, kind, _ in of
        ]
        samples.append(np.stack(columns, axis=1))
    if sensor.modality == "eeg" and all(name == (c.label or c.key) for c, _, name in of):
        account.note(
            "EEG channels are named by port: give their electrodes, such as --sensor PORT1=EEG:O1"
        )
    return Signal(
        modality=sensor.modality,
        rate_hz=first.rate_hz,
        unit=sensor.unit,
        channel_names=tuple(name for _, _, name in of),
        samples=samples,
        start_offset_s=(first.start - start).total_seconds() if start and first.start else 0.0,
        sequence=_sequence(first, account),
    )


def _sequence(channel: _Channel, account: Account) -> NDArray[np.int64] | None:
    counter = channel.counter[:, 0]
    order = by_counter(counter, channel.counter)
    if order is None:
        account.note(
            f"{channel.device_name}: nSeq does not count samples, so lost ones cannot be seen"
        )
        return None
    order.say(f"{channel.device_name}: ", "nSeq", account)
    stuck = np.flatnonzero(np.diff(counter.astype(np.int64)) == 0)
    if len(stuck):
        at_s = stuck[0] / channel.rate_hz
        account.note(
            f"{channel.device_name}: nSeq ran out at {at_s:.2f} s; "
            f"samples are counted by row from there"
        )
    return order.gaps


def _digital_events(
    device: _Device, start: datetime.datetime | None, account: Account
) -> Iterator[Event]:
    """Changes of the digital inputs, which is where buttons and triggers are plugged in."""
    late_s = (device.start - start).total_seconds() if start and device.start else 0.0
    outputs = np.ravel(device.group.attrs.get("digital IO", []))
    for i, (name, lines) in enumerate(sorted(members(device.group.get("digital", {})).items())):
        if i < len(outputs) and outputs[i]:
            continue
        values = lines[:, 0].astype(np.int64)
        for row in np.flatnonzero(np.diff(values)) + 1:
            yield Event(
                late_s + row / device.rate_hz, i + 1, f"{name} {values[row - 1]} -> {values[row]}"
            )
    for name, rows in sorted(members(device.group.get("events", {})).items()):
        if len(rows):
            account.leave_out(f"events/{name}", f"{count_of(len(rows), 'row')} of unknown layout")


FORM = Form(
    read_opensignals,
    looks_like_opensignals,
    options=(
        Option(
            "sensor",
            "CHANNEL=TYPE",
            "What a channel is: A2=BVP, PORT1=EEG:O1, A3=EDA, A4=none.",
            many=True,
        ),
    ),
)
