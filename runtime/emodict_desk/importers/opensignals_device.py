"""A device of OpenSignals and its channels of counts, whichever kind of file they come from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError

# Sensors that say nothing of what was plugged in; BITalino's have an ending.
_UNSAID = ("", "RAW", "CUSTOM")
# Of a converter; those of PLUX have up to 24.
_MOST_BITS = 32
# PLUX's devices sample at most 4000 times a second.
_MOST_HZ = 1e6
_BITALINO_ENDINGS = ("BITREV", "BIT")


class Counts(Protocol):
    """(samples, 1) whole numbers, read by rows: a dataset of HDF5, or a Spool."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True)
class Channel:
    """One column of counts, and all of its device that reading it takes.

    Attributes:
        counter: (samples, 1), the device's number of each sample.
    """

    device_name: str
    key: str
    label: str
    sensor: str
    bits: int
    counts: Counts
    counter: Counts
    rate_hz: float
    bitalino: bool
    start: datetime.datetime | None

    @property
    def name(self) -> str:
        return f"{self.label or self.key} ({self.sensor})"

    @property
    def sensor_is_known(self) -> bool:
        """Does the file say what was plugged in?"""
        return plain_sensor(self.sensor) not in _UNSAID

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


@dataclass(frozen=True)
class Device:
    """One device of a recording.

    Attributes:
        inputs: the numbers of its digital inputs, where buttons and triggers are plugged in, and
            what each has been, (samples,).
    """

    name: str
    model: str
    rate_hz: float
    start: datetime.datetime | None
    channels: tuple[Channel, ...]
    inputs: Mapping[int, tuple[str, NDArray[np.int64]]]


def plain_sensor(sensor: str) -> str:
    """`EDABITREV` -> `EDA`."""
    found = sensor.upper()
    for ending in _BITALINO_ENDINGS:
        found = found.removesuffix(ending)
    return found


def sampling_rate(said: Any, path: Path) -> float:
    """The rate of a device, in Hz.

    Raises:
        RecordingError: a rate that no device has.
    """
    try:
        rate_hz = float(said)
    except (TypeError, ValueError):
        rate_hz = 0.0
    if not 0 < rate_hz <= _MOST_HZ:
        raise RecordingError(
            f"{path}: its sampling rate cannot be used",
            expected=f"a number of Hz, of at most {_MOST_HZ:,.0f}",
            got=repr(said)[:60],
            fix="Export it again",
        )
    return rate_hz


def channel_bits(resolution: Any, channels: int, path: Path) -> list[int]:
    """The width of each channel's counts.

    BITalino lists the widths of counter and digital lines first; the analogue channels come last.

    Raises:
        RecordingError: a width that no converter has, or none.
    """
    listed = resolution if isinstance(resolution, list) else np.ravel(resolution).tolist()
    widths = listed[-channels:]
    if not widths or not all(_is_width(width) for width in widths):
        raise RecordingError(
            f"{path}: its resolution cannot be used",
            expected=f"a whole number of bits for each channel, 1 to {_MOST_BITS}",
            got=repr(resolution)[:60],
            fix="Export it again",
        )
    bits = [int(width) for width in widths]
    return [*bits, *[bits[-1]] * (channels - len(bits))]


def _is_width(bits: Any) -> bool:
    return isinstance(bits, int | float) and bits in range(1, _MOST_BITS + 1) and bits is not True


def start_of(date: Any, time: Any) -> datetime.datetime | None:
    """`2018-7-4` and `16:13:47.787`, in the local time of the computer that recorded."""
    try:
        year, month, day = (int(part) for part in str(date).split("-"))
        hour, minute, second = str(time).split(":")
        whole = datetime.datetime(year, month, day, int(hour), int(minute))
        return whole + datetime.timedelta(seconds=float(second))
    except (ValueError, OverflowError):
        return None
