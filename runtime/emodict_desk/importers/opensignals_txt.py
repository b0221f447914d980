"""The devices of an OpenSignals text file: their description as JSON, then rows of counts.

Each row has the columns of the first device, then those of the next. The JSON names them, the
analogue channels last, and says what was plugged into each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emodict.errors import RecordingError
from emodict.files.jsontext import parse_json
from emodict_desk.importers.opensignals_device import (
    Channel,
    Device,
    channel_bits,
    sampling_rate,
    start_of,
)
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.importers.text import TextTable, numbers, open_table
from emodict_desk.recordings.account import Account

TEXT_MAGIC = b"# OpenSignals Text File"
_COUNTER = "nSeq"


def devices_of_txt(path: Path, expected: str, account: Account) -> list[Device]:
    """The devices of a text file, their counts on disk where they are many.

    Raises:
        RecordingError: the description cannot be read, or a row; its line is named.
    """
    table = open_table(path, expected, delimiter="\t", has_header=False)
    layouts = [*_layouts(table)]
    columns = [f"{at}" for at in range(layouts[-1].columns.stop)]
    wide = len(table.columns) - len(columns)
    # OpenSignals ends its rows with a tab, the Android app does not.
    if wide not in (0, 1):
        raise RecordingError(
            f"{path}: the rows do not fit the description above them",
            expected=f"{len(columns)} columns",
            got=f"{len(table.columns)}",
            fix="Export it again",
        )
    read = [_Read(len(layout.analogue)) for layout in layouts]
    for block in table.blocks(account):
        for layout, device in zip(layouts, read, strict=True):
            device.append(numbers(table, block, [*layout.columns]), layout)
    return [_device(layout, device, path) for layout, device in zip(layouts, read, strict=True)]


@dataclass(frozen=True)
class _Layout:
    """Where a device's columns stand; `names` are those of all, the analogue ones last."""

    name: str
    said: Mapping[str, Any]
    columns: range
    names: tuple[str, ...]

    @property
    def analogue(self) -> range:
        """Of its columns, those with an analogue channel."""
        return range(len(self.names) - len(self.sensors), len(self.names))

    @property
    def sensors(self) -> tuple[str, ...]:
        return tuple(str(sensor).upper() for sensor in self.said["sensor"])

    @property
    def inputs(self) -> dict[int, tuple[str, int]]:
        """Its digital inputs, by number: name and column."""
        outputs = [bool(output) for output in self.said.get("digital IO", [])]
        lines = [at for at in range(self.analogue.start) if self.names[at] != _COUNTER]
        return {
            i + 1: (self.names[at], at)
            for i, at in enumerate(lines)
            if not (i < len(outputs) and outputs[i]) and not self.names[at].startswith("O")
        }


def _layouts(table: TextTable) -> Iterator[_Layout]:
    """The description of each device, from the comment line that is a JSON object.

    Raises:
        RecordingError: there is none, or it names no columns.
    """
    written = next((line for line in table.comments if line.lstrip("# ").startswith("{")), "{}")
    try:
        start = 0
        for name, said in parse_json(written.lstrip("# ")).items():
            names = tuple(str(column) for column in said["column"])
            sensors = said.get("sensor", [])
            if not (isinstance(sensors, list) and len(sensors) <= len(names)):
                raise ValueError("its columns and sensors do not fit one another")
            if not isinstance(said.get("digital IO", []), list):
                raise ValueError("its digital IO is not a list")
            yield _Layout(
                name, {**said, "sensor": sensors}, range(start, start + len(names)), names
            )
            start += len(names)
        if not start:
            raise ValueError("it names no device")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(
            f"{table.path}: the description of the devices cannot be read: {error}",
            expected='a line such as # {"DEVICE": {"column": [...], "sampling rate": 1000, ...}}',
            fix="Export it again",
        ) from None


class _Read:
    """What the rows read so far hold of one device."""

    def __init__(self, channels: int) -> None:
        self.counts = [Spool(1) for _ in range(channels)]
        self.counter = Growing()
        self.inputs: dict[int, Growing] = {}

    def append(self, values: np.ndarray[Any, np.dtype[np.float64]], layout: _Layout) -> None:
        for spool, at in zip(self.counts, layout.analogue, strict=True):
            spool.append(values[:, at])
        counted = layout.names.index(_COUNTER) if _COUNTER in layout.names else None
        self.counter.append(np.zeros(len(values)) if counted is None else values[:, counted])
        for number, (_, at) in layout.inputs.items():
            self.inputs.setdefault(number, Growing()).append(values[:, at])


def _device(layout: _Layout, read: _Read, path: Path) -> Device:
    said, model = layout.said, str(layout.said.get("device", ""))
    rate_hz = sampling_rate(said.get("sampling rate"), path)
    start = start_of(said.get("date", ""), said.get("time", ""))
    names = [layout.names[at] for at in layout.analogue]
    ports = _listed(said.get("channels"), len(names), default=range(1, len(names) + 1))
    labels = _listed(said.get("label"), len(names), default=names)
    bits = channel_bits(said.get("resolution", [16]), len(names), path) if names else []
    counter = _whole(read.counter, path)[:, None]
    channels = tuple(
        Channel(
            layout.name,
            f"channel_{ports[i]}",
            str(labels[i]),
            layout.sensors[i] or "RAW",
            bits[i],
            read.counts[i],
            counter,
            rate_hz,
            model.lower().startswith("bitalino"),
            start,
        )
        for i in range(len(names))
    )
    inputs = {
        number: (name, _whole(read.inputs[number], path))
        for number, (name, _) in layout.inputs.items()
        if number in read.inputs
    }
    return Device(layout.name, model, rate_hz, start, channels, inputs)


def _listed(value: Any, count: int, *, default: Sequence[Any]) -> Sequence[Any]:
    return value if isinstance(value, list) and len(value) == count else default


def _whole(values: Growing, path: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    found = values.all()
    if not np.isfinite(found).all():
        raise RecordingError(
            f"{path}: a counter or digital line has an empty cell",
            expected="a whole number in each row",
            fix="Export it again",
        )
    return found.astype(np.int64)
