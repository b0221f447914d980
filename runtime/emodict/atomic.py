"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from emodict.errors import OutputError

_FIXES = {
    errno.ENOSPC: "Free some space, or write to another disk",
    errno.EDQUOT: "Free some space in your quota, or write to another disk",
    errno.EFBIG: "Raise the file-size limit, or write to another disk",
    errno.EACCES: "Choose a folder you may write to",
    errno.EPERM: "Choose a folder you may write to",
    errno.EROFS: "Choose a folder that is not read-only",
}


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, delete it otherwise.

    Raises:
        OutputError: the folder does not exist or cannot be written, or the disk is full.
    """
    final = Path(path)
    check_writable(final)
    descriptor, name = tempfile.mkstemp(prefix=f".{final.name}.", suffix=".part", dir=final.parent)
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        _flush_to_disk(part)
        # mkstemp makes a file only its owner can read; give it what open() would have given.
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(final)
    except OSError as error:
        raise output_error(final, error) from error
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: Path, *, ending: str | None = None) -> None:
    """Refuse an output path that cannot work, or has another ending than asked for, before any long work starts."""
    if ending is not None and path.suffix != ending:
        raise OutputError(
            f"Cannot write {path}",
            expected=f"a file ending in {ending}",
            got=path.suffix or "no ending",
            fix=f"Name it {path.with_suffix(ending) if path.name else 'something' + ending}",
        )
    if path.is_dir():
        raise OutputError(f"Cannot write {path}", expected="a file name", got="a folder")
    if path.exists() and not path.is_file():
        # A rename would put a plain file in the place of, say, /dev/null.
        raise OutputError(f"Cannot write {path}", expected="a new or a plain file", got="a device, pipe or socket")
    if not path.parent.is_dir():
        raise OutputError(
            f"Cannot write {path}",
            expected="a folder that exists",
            got=f"'{path.parent}', which does not",
            fix=f"mkdir -p '{path.parent}'",
        )
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"Cannot write {path}: no permission in '{path.parent}'", fix=_FIXES[errno.EACCES])


def refuse_overwriting(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is one of the inputs, under whatever name or link.

    Raises:
        OutputError: writing would destroy what is read.
    """
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise OutputError(
                f"Cannot write {out}: it is what is read", expected="another file", fix="Choose another file to write"
            )


def output_error(path: Path, error: OSError) -> OutputError:
    """Turn an operating system's error about writing `path` into a sentence."""
    # h5py raises OSError without errno, its text holding "errno = 28" somewhere.
    code = error.errno or next((c for c in _FIXES if f"errno = {c}," in str(error)), None)
    reason = os.strerror(code) if code else str(error)
    return OutputError(f"Cannot write {path}: {reason}. Nothing was left behind", fix=_FIXES.get(code or 0))


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
