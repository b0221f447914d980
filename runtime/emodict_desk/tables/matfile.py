"""Numeric arrays out of MATLAB level 5 files,
so that a device can score a feature table without scipy.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import TableError

# Element types and the types of stored numbers, MAT-File Format (MathWorks), tables 1-1 and 1-3.
_MI_TYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_MI_MATRIX, _MI_COMPRESSED = 14, 15
# double, single, int8 ... uint64; MATLAB may store the numbers of any in a smaller type.
_CLASS_TYPES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
_COMPLEX_FLAG = 0x0800
_LEVEL_5 = 1
_HEADER_BYTES = 128
# Deflate packs at most 1032 : 1.
_MOST_EXPANSION = 1100
# A table of features is megabytes, the signals of a sitting hundreds;
# more than this after inflating is a bomb.
_MAX_BYTES = 1 << 29


def read_mat(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Every real numeric array of the file by name; complex ones, cells,
    structs and text are left out.

    Raises:
        TableError: not a level 5 MAT file, or damaged.
    """
    return {
        name: values
        for name, values in read_complex_mat(path).items()
        if not np.iscomplexobj(values)
    }


def read_complex_mat(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Every numeric array of the file by name, real or complex.

    Raises:
        TableError: not a level 5 MAT file, or damaged.
    """
    content = Path(path).read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    # Version 2 is save -v7.3, an HDF5 file behind the same header.
    if order is None or struct.unpack_from(order + "H", content, 124)[0] >> 8 != _LEVEL_5:
        raise TableError(
            f"{path} is not a MATLAB level 5 file",
            expected="a .mat saved by scipy.io.savemat or MATLAB's save -v7",
            got=f"a file that starts with {content[:8]!r}",
        )
    try:
        _check_sizes(content, order)
        found = [
            _matrix(body, order) for kind, body in _top_level(content, order) if kind == _MI_MATRIX
        ]
        return dict(entry for entry in found if entry is not None)
    except (struct.error, zlib.error, ValueError, KeyError, IndexError) as error:
        raise TableError(
            f"{path} is a damaged MAT file: {error}", fix="Copy or export it again"
        ) from error


def _check_sizes(content: bytes, order: str) -> None:
    """Raises ValueError where the arrays unpack to more than _MAX_BYTES,
    or to more than they can.
    """
    position, claimed = _HEADER_BYTES, 0
    while position + 8 <= len(content):
        kind, size = struct.unpack_from(order + "II", content, position)
        packed = content[position + 8 : position + 8 + size] if kind == _MI_COMPRESSED else b""
        position += 8 + size + (0 if kind == _MI_COMPRESSED else -size % 8)
        if packed:
            size = struct.unpack(order + "II", zlib.decompressobj().decompress(packed, 8))[1]
        if claimed + size > _MAX_BYTES or (packed and size > _MOST_EXPANSION * len(packed)):
            raise ValueError(
                f"its arrays claim {claimed + size:,} bytes, at most {_MAX_BYTES:,} are read"
            )
        claimed += size


def _top_level(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    position = _HEADER_BYTES
    while position + 8 <= len(content):
        kind, size = struct.unpack_from(order + "II", content, position)
        body = content[position + 8 : position + 8 + size]
        if len(body) < size:
            raise ValueError(f"cut off after {len(content)} bytes")
        # A compressed element is the one element that is not padded to eight bytes.
        position += 8 + size + (0 if kind == _MI_COMPRESSED else -size % 8)
        if kind == _MI_COMPRESSED:
            unpacker = zlib.decompressobj()
            kind, size = struct.unpack(order + "II", unpacker.decompress(body, 8))
            body = unpacker.decompress(unpacker.unconsumed_tail, size) if size else b""
            if len(body) < size:
                raise ValueError("a compressed array is cut off or too large")
        yield kind, body


def _elements(body: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """The data elements inside a matrix; up to four bytes may be packed into the tag itself."""
    position = 0
    while position + 8 <= len(body):
        tag = struct.unpack_from(order + "I", body, position)[0]
        if tag >> 16:
            size, kind = tag >> 16, tag & 0xFFFF
            yield kind, body[position + 4 : position + 4 + size]
            position += 8
        else:
            kind, size = tag, struct.unpack_from(order + "I", body, position + 4)[0]
            if size > len(body) - position - 8:
                raise ValueError("an array is cut off")
            yield kind, body[position + 8 : position + 8 + size]
            position += 8 + size + (-size % 8)


def _matrix(body: bytes, order: str) -> tuple[str, NDArray[Any]] | None:
    """(name, array) of one matrix element, None if it is not a numeric array."""
    nothing = (9, b"")
    parts = _elements(body, order)
    flags = struct.unpack_from(order + "I", next(parts, nothing)[1])[0]
    wanted = _CLASS_TYPES.get(flags & 0xFF)
    if wanted is None:
        return None
    shape = np.frombuffer(next(parts, nothing)[1], dtype=order + "i4")
    name = next(parts, nothing)[1].decode("ascii", "replace")
    if shape.min(initial=0) < 0:
        raise ValueError(f"array '{name}' has the shape {shape.tolist()}")

    def numbers() -> NDArray[Any]:
        kind, data = next(parts, nothing)
        return (
            np.frombuffer(data, dtype=order + _MI_TYPES[kind])
            .reshape(shape, order="F")
            .astype(wanted)
        )

    return name, numbers() + 1j * numbers() if flags & _COMPLEX_FLAG else numbers()
