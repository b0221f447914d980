"""The chunks of an XDF file, walked before they are read: what they claim must be there.

pyxdf makes room for as many samples as a chunk claims, and goes on reading wherever they ended.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

_HEADER_TAG, _SAMPLES_TAG = 2, 3
_LENGTHS = {1: "<B", 4: "<I", 8: "<Q"}
_TIME_BYTES = 8
# Behind which pyxdf goes on in a damaged file.
_BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
_MAGIC_BYTES = 4
# A chunk is seconds of samples: of one that was cut off, this much may be missing.
_MOST_CUT_OFF_BYTES = 64 << 20

# Channels of a stream, and the bytes of one of its numbers; 0: it is text.
Row = tuple[int, int]


def check_chunks(path: Path, rows: Mapping[int, Row]) -> dict[int, int]:
    """How many samples there are of each stream of `rows`;
    chunks that hold other than they claim are refused.

    Raises:
        ValueError: with the chunk's place.
    """
    size = path.stat().st_size
    counts: dict[int, int] = {}
    with path.open("rb") as file:
        file.seek(_MAGIC_BYTES)
        while (start := file.tell()) < size:
            try:
                number, count = _check_chunk(file, size, rows)
                counts[number] = counts.get(number, 0) + count
            except (struct.error, IndexError, ValueError) as error:
                raise ValueError(f"the chunk at byte {start} is damaged: {error}") from error
    return counts


def _check_chunk(file: BinaryIO, size: int, rows: Mapping[int, Row]) -> tuple[int, int]:
    """The stream and samples of the chunk that the file stands at; it stands behind it then."""
    length = _length(file)
    stop = file.tell() + length
    if length < 2:
        raise ValueError(f"it claims {length} bytes")
    missing = max(0, stop - size)
    if missing > _MOST_CUT_OFF_BYTES:
        raise ValueError(f"it claims {length} bytes, and {size - file.tell()} are left")
    tag = struct.unpack("<H", file.read(2))[0]
    content = file.read(stop - file.tell()) if tag == _SAMPLES_TAG or missing else b""
    # A recorder that was killed leaves such a chunk, and nothing can follow on it.
    if missing and (tag == _HEADER_TAG or _BOUNDARY in content):
        raise ValueError("it is cut off")
    found = _check_samples(memoryview(content), rows, missing) if tag == _SAMPLES_TAG else (0, 0)
    file.seek(stop)
    return found


def _length(file: BinaryIO) -> int:
    form = _LENGTHS.get(file.read(1)[0])
    if form is None:
        raise ValueError("its length is damaged")
    return int(struct.unpack(form, file.read(struct.calcsize(form)))[0])


def _check_samples(content: memoryview, rows: Mapping[int, Row], missing: int) -> tuple[int, int]:
    """Number of the stream, number of samples, samples; the first two are returned."""
    number = struct.unpack_from("<I", content)[0]
    if number not in rows:
        return number, 0
    count, at = _number_at(content, 4)
    channels, width = rows[number]
    if channels < 0:
        raise ValueError(f"its stream has {channels} channels")
    if count * (1 + channels * max(width, 2)) > len(content) + missing:
        raise ValueError(
            f"it claims {count} samples of {channels} channels in {len(content)} bytes"
        )
    try:
        end = (
            _numbers_end(content, at, count, channels * width)
            if width
            else _text_end(content, at, count, channels)
        )
    except (IndexError, struct.error):
        if missing:
            # They lead to where it is cut off, and pyxdf finds nothing behind that.
            return number, count
        raise
    if end != len(content) + missing:
        raise ValueError(f"its samples end at {end} of its {len(content) + missing} bytes")
    return number, count


def _number_at(content: memoryview, at: int) -> tuple[int, int]:
    """A number of its own length, and where it ends."""
    form = _LENGTHS.get(content[at])
    if form is None:
        raise ValueError("a length is damaged")
    return int(struct.unpack_from(form, content, at + 1)[0]), at + 1 + struct.calcsize(form)


def _numbers_end(content: memoryview, at: int, count: int, row_bytes: int) -> int:
    """Each sample begins with a byte: 0, or another and its time."""
    stride = 1 + _TIME_BYTES + row_bytes
    if (
        len(content) - at == count * stride
        and np.frombuffer(content[at:], dtype=np.uint8)[::stride].all()
    ):
        return len(content)
    for _ in range(count):
        at += 1 + (_TIME_BYTES if content[at] else 0) + row_bytes
    return at


def _text_end(content: memoryview, at: int, count: int, channels: int) -> int:
    for _ in range(count):
        at += 1 + (_TIME_BYTES if content[at] else 0)
        for _ in range(channels):
            length, at = _number_at(content, at)
            at += length
    return at
