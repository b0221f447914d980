"""HDF5 files of unknown origin: read without reaching into other files,
loading code, or filling the memory.
"""

from __future__ import annotations

import errno
import io
import logging
import math
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from emodict.errors import RecordingError

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger(__name__)

# What h5py and numpy raise on content that is not what the format promises.
DAMAGE = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RuntimeError,
    OSError,
)

# By number: deflate, shuffle, Fletcher's checksum, and LZF, which h5py brings. For any other HDF5
# looks for a plugin to load, which is code.
KNOWN_FILTERS = frozenset({1, 2, 3, 32000})
MOST_OBJECTS = 10_000
# HDF5 reads whole chunks.
MOST_CHUNK_BYTES = 256 << 20
# Columns (times, counters, events) are read whole: a day at 1 kHz in float64 is 0.7 GB.
MOST_COLUMN_BYTES = 1 << 30
MOST_ITEM_BYTES = 1 << 20
# Deflate packs at most 1032 : 1; what claims more was never written.
MOST_EXPANSION = 1100
# A chunk of each dataset may be begun and not written.
UNWRITTEN_BYTES = 8 << 20
_SUPERBLOCK_BYTES, _FLAGS_AT = 48, 11
_WORD = 0xFFFFFFFF
# The mark of a collection of values of any length, and its version.
_COLLECTION = b"GCOL\x01"
_BLOCK_BYTES = 4 << 20
_ASTRAY = "of any length that are neither texts nor sequences"
# Of a collection, and of each object in one.
_HEAD_BYTES = 16


def members(node: Mapping[str, Any]) -> dict[str, Any]:
    """What an HDF5 group holds, or its attributes, by name:
    all of it read before any of it is used.

    h5py's own items() holds the lock of all its threads as long as it runs. Left early, by an
    error, it keeps that lock until the garbage collector finds it; found from another thread, for
    ever: nobody reads HDF5 any more.
    """
    return dict(node.items())


def open_to_read(path: Path, *, swmr: bool = False) -> h5py.File:
    """An HDF5 file, read without HDF5's lock, and said to be,
    where its drive has no locks; nothing is written.

    Raises:
        RecordingError: another program has it open for writing.
        OSError: HDF5 cannot open it.
    """
    import h5py

    try:
        return h5py.File(path, "r", swmr=swmr)
    except OSError as error:
        found = re.search(r"unable to lock file, errno = (\d+)", str(error))
        if found is None:
            raise
        if int(found[1]) in (errno.EAGAIN, errno.EACCES):
            raise RecordingError(
                f"{path} is open for writing in another program, so it may change while it is read",
                fix="Close it there (a notebook, MATLAB, HDFView), or wait until it is written",
            ) from error
        logger.warning(
            "%s: read without a lock, for its drive has none (%s)", path, os.strerror(int(found[1]))
        )
    return h5py.File(path, "r", swmr=swmr, locking=False)


def check_contents(file: h5py.File, path: Path | None = None) -> None:
    """Refuse what no recording needs and could do harm, before any of it is read;
    `path` is what to call the file.

    Raises:
        RecordingError: a link or data in another file, a filter that would have to be loaded,
            sizes that the file cannot hold or the memory could not; or damage that hides
            whether there is any of these.
    """
    called = path or file.filename
    try:
        _check_heaps(Path(called), file.id.get_create_plist().get_sizes())
        for count, (name, thing) in enumerate(_objects(file)):
            if count >= MOST_OBJECTS:
                raise RecordingError(
                    f"{called} holds too many objects", expected=f"at most {MOST_OBJECTS}"
                )
            problem = _problem_of(thing)
            if problem is not None:
                raise RecordingError(
                    f"{called}: {name} {problem}",
                    expected="a recording that holds all of itself, "
                    "in sizes that its file can hold",
                    fix="Write it again, or do not trust where it came from",
                )
    except DAMAGE as error:
        raise RecordingError(
            f"{called} is damaged or incomplete: {error}", fix="Copy or record it again"
        ) from error


def _check_heaps(path: Path, sizes: tuple[int, int]) -> None:
    """Raises ValueError where HDF5 would read a text, or another value of any length, without end.

    Such values lie in collections, through which HDF5 goes object by object; an object of
    no size, which it does not look for, leads to itself. Every collection of the file is
    gone through here before.
    """
    if sizes != (8, 8):
        raise ValueError(
            f"its addresses and lengths have {sizes[0]} and {sizes[1]} bytes, "
            f"not 8 as in any recording"
        )
    with path.open("rb") as searched, path.open("rb") as handle:
        # Collections share no byte, and an object has a head of 16:
        # together they hold no more than this.
        left = os.fstat(handle.fileno()).st_size // _HEAD_BYTES
        for start in _places(searched, _COLLECTION):
            for leads_back in _objects_of_collection(handle, start):
                left -= 1
                if leads_back:
                    raise ValueError(f"the texts at byte {start} lead back to themselves")
                if left < 0:
                    raise ValueError("its texts lie over each other")


def _places(handle: BinaryIO, wanted: bytes) -> Iterator[int]:
    """Where these bytes stand in a file."""
    at, before = 0, b""
    while block := handle.read(_BLOCK_BYTES):
        text = before + block
        found = text.find(wanted)
        while found >= 0:
            yield at - len(before) + found
            found = text.find(wanted, found + 1)
        at += len(block)
        before = text[1 - len(wanted) :]


def _objects_of_collection(handle: BinaryIO, start: int) -> Iterator[bool]:
    """Of each object, found behind the one before it:
    does it lead to itself or an earlier one? Then it is the last.
    """
    handle.seek(start)
    (length,) = struct.unpack("<8xQ", handle.read(_HEAD_BYTES).ljust(_HEAD_BYTES, b"\0"))
    if length > os.fstat(handle.fileno()).st_size - start:
        # It only looks like one, or is cut off: HDF5 says so.
        return
    at = _HEAD_BYTES
    while at + _HEAD_BYTES <= length:
        handle.seek(start + at)
        index, size = struct.unpack("<H6xQ", handle.read(_HEAD_BYTES).ljust(_HEAD_BYTES, b"\0"))
        # The free space, number 0, counts its head in its size;
        # the others are padded to eight bytes. C's arithmetic.
        step = size if index == 0 else (_HEAD_BYTES + _to_eight(size)) % (1 << 64)
        leads_back = not 0 < step < 1 << 63
        yield leads_back
        if leads_back:
            return
        at += step


def _to_eight(size: int) -> int:
    """The next multiple of eight, or the size itself."""
    return -(-size // 8) * 8


def check_cut_off(path: Path) -> None:
    """Read once, as if its writer had closed it, all of a file that has a sum over it.

    HDF5 reads an unfinished file in the mode for those that somebody writes: where a sum is wrong
    it waits for the writer and tries again, a hundred times, each wait twice as long as the one
    before. Nobody lives to see the end.

    Raises:
        RecordingError: something in it is damaged.
        OSError: it is not HDF5.
    """
    import h5py

    with _AsIfClosed(path) as content, h5py.File(content, "r") as file:
        check_contents(file, path)
        try:
            for _, thing in _objects(file):
                if isinstance(thing, h5py.Group | h5py.Dataset):
                    members(thing.attrs)
        except DAMAGE as error:
            raise RecordingError(
                f"{path} is damaged: {error}", fix="Copy or record it again"
            ) from error


class _AsIfClosed(io.FileIO):
    """An HDF5 file (superblock 2 or 3) without its mark of being written;
    the file itself stays as it is.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        head = bytearray(super().read(_SUPERBLOCK_BYTES))
        if len(head) == _SUPERBLOCK_BYTES and head[8] in (2, 3):
            head[_FLAGS_AT] = 0
            head[-4:] = lookup3(bytes(head[:-4])).to_bytes(4, "little")
        self._head = bytes(head)
        self.seek(0)

    def readinto(self, buffer: Any, /) -> int:
        at = self.tell()
        count = super().readinto(buffer) or 0
        if at < len(self._head):
            there = self._head[at : at + count]
            memoryview(buffer).cast("B")[: len(there)] = there
        return count


def lookup3(data: bytes) -> int:
    """Bob Jenkins's hash of 2006 (hashlittle, public domain) from 0,
    which HDF5 sums its metadata with.
    """
    a = b = c = (0xDEADBEEF + len(data)) & _WORD
    whole = max(0, -(-len(data) // 12) - 1) * 12
    for at in range(0, whole, 12):
        a, b, c = (
            x + int.from_bytes(data[at + i : at + i + 4], "little")
            for x, i in ((a, 0), (b, 4), (c, 8))
        )
        for turn in (4, 6, 8, 16, 19, 4):
            a = ((a - c) & _WORD) ^ _turned(c, turn)
            c = (c + b) & _WORD
            a, b, c = b, c, a
    rest = data[whole:].ljust(12, b"\0")
    a, b, c = (
        (x + int.from_bytes(rest[i : i + 4], "little")) & _WORD for x, i in ((a, 0), (b, 4), (c, 8))
    )
    if not data:
        return c
    for turn in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, turn)) & _WORD
        a, b, c = b, c, a
    return b


def _turned(word: int, by: int) -> int:
    word &= _WORD
    return ((word << by) | (word >> (32 - by))) & _WORD


def _objects(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Each object that can be reached once, and each link that leads out of the file."""
    import h5py

    seen: set[int] = set()
    groups = [file["/"]]
    yield "/", groups[0]
    while groups:
        group = groups.pop()
        for name in list(group):
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield f"{group.name.rstrip('/')}/{name}", link
            thing = group[name] if isinstance(link, h5py.HardLink) else None
            if thing is None or _address(thing) in seen:
                continue
            seen.add(_address(thing))
            if isinstance(thing, h5py.Group):
                groups.append(thing)
            yield thing.name, thing


def _address(thing: Any) -> int:
    import h5py

    return int(h5py.h5o.get_info(thing.id).addr)


def _problem_of(thing: Any) -> str | None:
    """What is wrong with an object, after its name; None: nothing."""
    import h5py

    if isinstance(thing, h5py.ExternalLink):
        return f"is a link into another file, '{Path(thing.filename).name}'"
    astray = next(
        (
            f"has an attribute '{name}' {_ASTRAY}"
            for name, kind in _attributes(thing)
            if _astray(kind)
        ),
        None,
    )
    if astray or not isinstance(thing, h5py.Dataset):
        return astray
    if _astray(thing.id.get_type()):
        return f"holds values {_ASTRAY}"
    return _out_of_the_file(thing) or _too_large(thing)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """The name and the HDF5 type of each attribute; no value is read."""
    from h5py import h5a

    for index in range(h5a.get_num_attrs(thing.id)):
        attribute = h5a.open(thing.id, index=index)
        yield attribute.name.decode("utf-8", "replace"), attribute.get_type()


def _astray(kind: Any) -> bool:
    """Whether a type is of any length and neither a sequence (0) nor a text (1):
    to read it HDF5 2.0 jumps to nowhere.

    HDF5 encodes it as two bytes of its own, then class and version, then the kind in four bits.
    """
    from h5py import h5t

    return bool(kind.get_class() == h5t.VLEN and kind.encode()[3] & 0x0F)


def _out_of_the_file(data: h5py.Dataset) -> str | None:
    """Where a dataset's bytes lie or go through, if that is not the file and what reads it."""
    if data.is_virtual:
        return "is a virtual dataset, which takes its data from other files"
    if data.external:
        return "keeps its data in another file"
    plist = data.id.get_create_plist()
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    if not filters <= KNOWN_FILTERS:
        return f"is packed by a filter that is not known (number {min(filters - KNOWN_FILTERS)})"
    return None


def _too_large(data: h5py.Dataset) -> str | None:
    item = data.dtype.itemsize
    claimed = math.prod(data.shape or ()) * item
    if item > MOST_ITEM_BYTES:
        return f"has values of {_size(item)} each"
    if data.chunks is not None and math.prod(data.chunks) * item > MOST_CHUNK_BYTES:
        return f"has chunks of {_size(math.prod(data.chunks) * item)}"
    if claimed > MOST_EXPANSION * data.id.get_storage_size() + UNWRITTEN_BYTES:
        return f"claims {_size(claimed)} and holds {_size(data.id.get_storage_size())}"
    if data.ndim == 1 and claimed > MOST_COLUMN_BYTES:
        return f"is a column of {_size(claimed)}"
    return None


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count:,} bytes"
