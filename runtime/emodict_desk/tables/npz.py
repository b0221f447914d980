"""Archives of arrays (.npz) of unknown origin:
what they claim is compared with what they hold before it is read.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile

# What reading a damaged one raises.
DAMAGE = (
    KeyError,
    ValueError,
    TypeError,
    EOFError,
    OSError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
MOST_BYTES = 4 << 30
MOST_PARTS = 100_000
# Deflate packs at most 1032 : 1; small arrays of zeros come near it.
MOST_EXPANSION = 1100
_HEADER_BYTES = 1 << 16


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """The arrays by name, read as they are asked for; no pickle is loaded.

    Raises:
        ValueError: it is not a .npz, or claims what it does not hold.
            Reading its arrays may raise any of DAMAGE.
    """
    with path.open("rb") as handle:
        if not zipfile.is_zipfile(handle):
            raise ValueError("it is not a .npz, or is cut off")
        with zipfile.ZipFile(handle) as archive:
            check_archive(archive, path.stat().st_size)
            for entry in archive.infolist():
                _check_array(archive, entry)
        handle.seek(0)
        with np.load(handle, allow_pickle=False) as arrays:
            yield arrays


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raises ValueError for a zip archive that unpacks to more than any of its size can
    hold, or than is ever read.
    """
    entries = archive.infolist()
    if len(entries) > MOST_PARTS:
        raise ValueError(f"it holds {len(entries)} parts, at most {MOST_PARTS} are read")
    if sum(entry.compress_size for entry in entries) > size:
        raise ValueError("its parts lie on each other")
    claimed = sum(entry.file_size for entry in entries)
    if claimed > MOST_BYTES:
        raise ValueError(f"it unpacks to {claimed:,} bytes, at most {MOST_BYTES:,} are read")
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{entry.filename!r} is packed in a way that is not known")
        packing = MOST_EXPANSION if entry.compress_type == zipfile.ZIP_DEFLATED else 1
        if entry.file_size > packing * entry.compress_size + _HEADER_BYTES:
            raise ValueError(
                f"{entry.filename!r} claims {entry.file_size:,} bytes and holds "
                f"{entry.compress_size:,}"
            )


def _check_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """The header of an array must claim as much as follows on it:
    numpy makes room for what it claims.
    """
    with archive.open(entry) as part:
        version = npy.read_magic(part)  # type: ignore[no-untyped-call]
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read_header(part)  # type: ignore[no-untyped-call]
        claimed = math.prod(shape) * max(kind.itemsize, 1)
        if claimed > entry.file_size:
            raise ValueError(
                f"the array {entry.filename!r} claims {claimed:,} bytes and has {entry.file_size:,}"
            )
