"""HDF5 files of unknown origin: read without reaching into other files, loading code, or filling the memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emodict.errors import RecordingError

if TYPE_CHECKING:
    import h5py

# What h5py and numpy raise on content that is not what the format promises.
DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError, OSError)

# By number: deflate, shuffle, Fletcher's checksum, and LZF, which h5py brings. For any other HDF5 looks for a plugin
# to load, which is code.
KNOWN_FILTERS = frozenset({1, 2, 3, 32000})
MOST_OBJECTS = 10_000
# HDF5 reads whole chunks.
MOST_CHUNK_BYTES = 256 << 20
# Columns (times, counters, events) are read whole: a day at 1 kHz in float64 is 0.7 GB.
MOST_COLUMN_BYTES = 1 << 30
MOST_ITEM_BYTES = 1 << 20
# Deflate packs at most 1032 : 1; what claims more was never written.
MOST_EXPANSION = 1100
UNWRITTEN_BYTES = 64 << 20


def members(node: Mapping[str, Any]) -> dict[str, Any]:
    """What an HDF5 group holds, or its attributes, by name: all of it read before any of it is used.

    h5py's own items() holds the lock of all its threads as long as it runs. Left early, by an error, it keeps that
    lock until the garbage collector finds it; found from another thread, for ever: nobody reads HDF5 any more.
    """
    return dict(node.items())


def check_contents(file: h5py.File) -> None:
    """Refuse what no recording needs and could do harm, before any of it is read.

    Raises:
        RecordingError: a link or data in another file, a filter that would have to be loaded, sizes that the file
            cannot hold or the memory could not; or damage that hides whether there is any of these.
    """
    try:
        for count, (name, thing) in enumerate(_objects(file)):
            if count >= MOST_OBJECTS:
                raise RecordingError(f"{file.filename} holds too many objects", expected=f"at most {MOST_OBJECTS}")
            problem = _problem_of(thing)
            if problem is not None:
                raise RecordingError(
                    f"{file.filename}: {name} {problem}",
                    expected="a recording that holds all of itself, in sizes that its file can hold",
                    fix="Write it anew, or do not trust where it came from",
                )
    except DAMAGE as error:
        raise RecordingError(
            f"{file.filename} is damaged or incomplete: {error}", fix="Copy or record it again"
        ) from error


def _objects(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Each object that can be reached once, and each link that leads out of the file."""
    import h5py

    seen: set[int] = set()
    groups = [file["/"]]
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
    if not isinstance(thing, h5py.Dataset):
        return None
    return _out_of_the_file(thing) or _too_large(thing)


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
