"""OpenSignals: what PLUX's program records from biosignalsplux and BITalino devices, as raw counts
of their ADC, in an .h5 or a text file.

Transfer functions by PLUX's sensor data sheets (biosignalsplux EDA, EEG and BVP; BITalino
(r)evolution EDA and EEG), ADC being the count and n the bits of the channel: biosignalsplux (3
V): EDA(uS) = ADC/2^n * 3 / 0.12, EEG(uV) = (ADC/2^n - 1/2) * 3 / 40000 * 10^6; BITalino (3.3
V): EDA(uS) = ADC/2^n * 3.3 / 0.132, EEG(uV) = (ADC/2^n - 1/2) * 3.3 / 41782 * 10^6; BVP is a
share of full scale, ADC/2^n.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.modalities import EEG
from emodict.recording.recording import Event, Recording, Signal
from emodict_desk.importers.form import Form, Option, pairs
from emodict_desk.importers.kinds import check_there, read_head
from emodict_desk.importers.labels import modality_of_words
from emodict_desk.importers.opensignals_device import Channel, Device, plain_sensor
from emodict_desk.importers.opensignals_h5 import devices_of_h5, looks_like_h5
from emodict_desk.importers.opensignals_txt import TEXT_MAGIC, devices_of_txt
from emodict_desk.importers.order import by_counter
from emodict_desk.importers.spool import Spool
from emodict_desk.recordings.account import Account

_EXPECTED = (
    "an .h5 of OpenSignals (a group per device with raw/channel_N and raw/nSeq), or its text file"
)
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
_NOT_WANTED = "none"


def read_opensignals(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    sensor: Sequence[str] = (),
) -> Recording:
    """Read an .h5 or a text file of OpenSignals (PLUX biosignalsplux, BITalino).

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
    if read_head(path).startswith(TEXT_MAGIC):
        devices = devices_of_txt(path, _EXPECTED, account)
        return _recording(devices, path, subject_id, session_id, sensor, account)
    with devices_of_h5(path, _EXPECTED, account) as devices:
        return _recording(devices, path, subject_id, session_id, sensor, account)


def _recording(
    devices: Sequence[Device],
    path: Path,
    subject_id: str | None,
    session_id: str | None,
    sensor: Sequence[str],
    account: Account,
) -> Recording:
    chosen = _choose([c for device in devices for c in device.channels], sensor, path, account)
    starts = [device.start for device in devices if device.start]
    start = min(starts) if devices[0].start else None
    signals = {m: _signal(of, start, account) for m, of in chosen.items()}
    events = [event for device in devices for event in _digital_events(device, start)]
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
    """HDF5 whose groups hold raw/nSeq, or the first words of the text."""
    return head.startswith(TEXT_MAGIC) or looks_like_h5(path, head)


def _choose(
    channels: Sequence[Channel], sensor: Sequence[str], path: Path, account: Account
) -> dict[str, list[tuple[Channel, _Sensor, str]]]:
    """(channel, sensor, its channel name) of each modality."""
    asked = _asked(channels, sensor, path)
    chosen: dict[str, list[tuple[Channel, _Sensor, str]]] = {}
    for i, channel in enumerate(channels):
        kind, place = asked.get(i, (_measures(channel.sensor), ""))
        if kind not in _SENSORS:
            account.leave_out(channel.name, _why_not(channel, kind))
            continue
        if channel.sensor_is_known and kind != _measures(channel.sensor):
            account.note(f"{channel.name} is taken for {kind}, as asked; the file says otherwise")
        name = (place or channel.label or channel.key) if kind == EEG else kind
        chosen.setdefault(kind, []).append((channel, _SENSORS[kind], name))
    for modality, of in chosen.items():
        _check_one(modality, [channel for channel, _, _ in of], path)
    if not chosen:
        raise _nothing_known(channels, path)
    return chosen


def _why_not(channel: Channel, kind: str) -> str:
    if kind == _NOT_WANTED:
        return "not wanted"
    return "not used" if channel.sensor_is_known else "sensor not known"


def _check_one(modality: str, channels: Sequence[Channel], path: Path) -> None:
    """Refuse two channels of a modality that has one, and EEG of two devices."""
    devices = {channel.device_name for channel in channels}
    if len(channels) > 1 and (modality != EEG or len(devices) > 1):
        names = [f"{channel.device_name}/{channel.key}" for channel in channels]
        raise RecordingError(
            f"{path} holds {len(channels)} channels of {modality}",
            expected="one (of one device, for EEG)",
            got=", ".join(names),
            fix=f"Leave the others out, such as --sensor '{names[-1]}=none'",
        )


def _nothing_known(channels: Sequence[Channel], path: Path) -> RecordingError:
    """What a channel is can be said where the file does not know it; an ECG stays an ECG."""
    unsaid = next((channel for channel in channels if not channel.sensor_is_known), None)
    return RecordingError(
        f"{path} holds no channel that emodict uses",
        expected="EDA, EEG or BVP",
        got=", ".join(channel.name for channel in channels) or "no channels",
        fix=f"Say what was plugged in, such as --sensor {unsaid.label or unsaid.key}=BVP"
        if unsaid
        else None,
    )


def _measures(sensor: str) -> str:
    """The modality of a type of sensor; RAW, CUSTOM and others say nothing."""
    return modality_of_words(plain_sensor(sensor)) or ""


def _asked(
    channels: Sequence[Channel], sensor: Sequence[str], path: Path
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
    of: Sequence[tuple[Channel, _Sensor, str]], start: datetime.datetime | None, account: Account
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


def _sequence(channel: Channel, account: Account) -> NDArray[np.int64] | None:
    counter = channel.counter[:, 0]
    order = by_counter(counter, counter[:, None])
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


def _digital_events(device: Device, start: datetime.datetime | None) -> Iterator[Event]:
    """Changes of the digital inputs."""
    late_s = (device.start - start).total_seconds() if start and device.start else 0.0
    for number, (name, values) in device.inputs.items():
        for row in np.flatnonzero(np.diff(values)) + 1:
            change = f"{name} {values[row - 1]} -> {values[row]}"
            yield Event(late_s + row / device.rate_hz, number, change)


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
