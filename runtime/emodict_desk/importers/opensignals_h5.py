"""The devices of an OpenSignals .h5: a group each, with raw/channel_N and the counter raw/nSeq."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.files.hdf5 import DAMAGE, check_contents, members, open_to_read
from emodict_desk.importers.kinds import wrong_kind
from emodict_desk.importers.opensignals_device import (
    Channel,
    Device,
    channel_bits,
    sampling_rate,
    start_of,
)
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

if TYPE_CHECKING:
    import h5py

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def looks_like_h5(path: Path, head: bytes) -> bool:
    """HDF5 whose groups hold raw/nSeq."""
    if not head.startswith(HDF5_MAGIC):
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


@contextlib.contextmanager
def devices_of_h5(path: Path, expected: str, account: Account) -> Iterator[list[Device]]:
    """The devices, whose counts can be read until the file is closed.

    Raises:
        RecordingError: not a file of OpenSignals, or a damaged one.
    """
    with _open(path, expected) as file:
        try:
            yield [_device(name, group, account) for name, group in members(file).items()]
        except DAMAGE as error:
            raise RecordingError(
                f"{path} is damaged or incomplete: {error}", fix="Export it again"
            ) from error


def _has_channels(file: h5py.File) -> bool:
    """Whether one of its groups holds raw/nSeq."""
    import h5py

    return any(
        "raw/nSeq" in group for group in members(file).values() if isinstance(group, h5py.Group)
    )


def _open(path: Path, expected: str) -> h5py.File:
    import h5py

    if not h5py.is_hdf5(path):
        raise wrong_kind(path, expected)
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
        raise wrong_kind(path, expected)
    return file


def _device(name: str, group: h5py.Group, account: Account) -> Device:
    attributes = group.attrs
    model = _text(attributes.get("device", ""))
    path = Path(group.file.filename)
    rate_hz = sampling_rate(attributes["sampling rate"], path)
    start = start_of(_text(attributes.get("date", "")), _text(attributes.get("time", "")))
    keys = sorted(
        (key for key in group["raw"] if key.startswith("channel_")), key=lambda key: int(key[8:])
    )
    bits = channel_bits(attributes.get("resolution", [16]), len(keys), path) if keys else []
    channels = tuple(
        Channel(
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
    _leave_out_events(group, account)
    return Device(name, model, rate_hz, start, channels, _inputs(group))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _inputs(group: h5py.Group) -> dict[int, tuple[str, NDArray[np.int64]]]:
    outputs = np.ravel(group.attrs.get("digital IO", []))
    lines = enumerate(sorted(members(group.get("digital", {})).items()))
    return {
        i + 1: (name, line[:, 0].astype(np.int64))
        for i, (name, line) in lines
        if not (i < len(outputs) and outputs[i])
    }


def _leave_out_events(group: h5py.Group, account: Account) -> None:
    for name, rows in sorted(members(group.get("events", {})).items()):
        if len(rows):
            account.leave_out(f"events/{name}", f"{count_of(len(rows), 'row')} of unknown layout")
