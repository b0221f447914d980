"""The blocks of an Avro file, looked at before they are read: what they claim must be there.

fastavro unpacks whole blocks, whatever that makes of them,
and makes as many items of nothing as an array claims.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

# A day of the wristband is in dozens of files of some megabytes.
MOST_BYTES = 256 << 20
_CODECS = ("null", "deflate")
_MARK_BYTES = 16
# Whoever looks whether anything follows asks for more than there is.
_AHEAD_BYTES = 1 << 16
_DEEPEST = 50


class Bounded(io.FileIO):
    """A file of which nothing can be asked that is far from what it holds."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._size = path.stat().st_size
        if self._size > MOST_BYTES:
            self.close()
            raise ValueError(f"it has {self._size} bytes, and at most {MOST_BYTES} are read")

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._size - self.tell()
        if size is not None and size > left + _AHEAD_BYTES:
            raise ValueError(f"it claims {size} bytes where {left} are left")
        return super().read(size) or b""


def check_blocks(file: Bounded, codec: str, schema: Any) -> None:
    """Unpack the blocks from where the file stands, keeping none; it stands there again afterwards.

    Raises:
        ValueError: an unknown packing, a block that unpacks to more than MOST_BYTES,
            or a schema of empty items.
    """
    if codec not in _CODECS:
        raise ValueError(f"it is packed by '{codec}', and only {' and '.join(_CODECS)} are read")
    if _may_be_empty_in_array(schema, {}, 0):
        raise ValueError("its arrays are of items without content")
    start, unpacked = file.tell(), 0
    while file.read(1):
        file.seek(-1, io.SEEK_CUR)
        _long(file)
        content = file.read(_long(file))
        file.read(_MARK_BYTES)
        unpacked += (
            _unpacked_bytes(content, MOST_BYTES - unpacked) if codec == "deflate" else len(content)
        )
    file.seek(start)


def _unpacked_bytes(content: bytes, most: int) -> int:
    unpacker, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while content and not unpacker.eof:
        count += len(unpacker.decompress(content, 1 << 20))
        content = unpacker.unconsumed_tail
        if count > most:
            raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes")
    return count


def _long(file: Bounded) -> int:
    """Zigzag, seven bits a byte."""
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise ValueError("a block is cut off")
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            break
    number = (value >> 1) ^ -(value & 1)
    if number < 0:
        raise ValueError(f"a block claims {number}")
    return number


def _may_be_empty_in_array(schema: Any, known: dict[str, Any], depth: int) -> bool:
    """Whether an array anywhere in a schema is of items that may take no byte."""
    if depth > _DEEPEST:
        raise ValueError("its schema is nested too deep")
    if isinstance(schema, list):
        return any(_may_be_empty_in_array(part, known, depth + 1) for part in schema)
    if not isinstance(schema, dict):
        return False
    if "name" in schema:
        known[str(schema["name"])] = schema
    if schema.get("type") == "array" and _may_be_empty(schema.get("items"), known, depth):
        return True
    parts = [
        schema.get("items"),
        schema.get("values"),
        *(field.get("type") for field in schema.get("fields", [])),
    ]
    inner = schema.get("type") if isinstance(schema.get("type"), dict | list) else None
    return any(_may_be_empty_in_array(part, known, depth + 1) for part in (*parts, inner))


def _may_be_empty(schema: Any, known: dict[str, Any], depth: int) -> bool:
    if depth > _DEEPEST:
        return True
    if isinstance(schema, str):
        return schema == "null" or (
            schema in known and _may_be_empty(known[schema], known, depth + 1)
        )
    if not isinstance(schema, dict):
        # A union is told by a number, which takes a byte.
        return False
    kind = schema.get("type")
    if kind == "fixed":
        return not int(schema.get("size", 0)) > 0
    if kind in ("record", "error"):
        return all(
            _may_be_empty(field.get("type"), known, depth + 1) for field in schema.get("fields", [])
        )
    return kind == "null" or (isinstance(kind, dict) and _may_be_empty(kind, known, depth + 1))
