"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import secrets
import struct
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
    errno.EEXIST: "Choose another name",
    errno.ENOENT: "Its folder went away while the file was made: make it again, or write elsewhere",
    errno.EIO: "The disk fails: write to another one",
}
# By this a file of emodict's is known that a killed program left behind.
_PART = ".emodict.part"
# struct flock for a write lock of the whole file.
_WHOLE_FILE = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
# What file systems say that have no hard links, or cannot flush a folder.
_NOT_HERE = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EMLINK}


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`;
    rename it to `path` if the block succeeds, delete it otherwise.

    File and name are on the disk when the block has ended: neither a kill nor a power cut leaves
    half a file. What a killed program left behind in the folder is removed, on Linux, whose locks
    tell that nobody writes it any more.

    Args:
        replace: False refuses a `path` that exists by now, though it did not when the work began.

    Raises:
        OutputError: the folder does not exist or cannot be written, or the disk is full.
    """
    final = Path(path)
    check_writable(final)
    _remove_abandoned(final.parent.resolve())
    try:
        part, lock = _new_part(final)
    except OSError as error:
        raise output_error(final, error) from error
    try:
        yield part
        flush(part)
        _appear(part, final, replace=replace)
    except OSError as error:
        raise output_error(final, error) from error
    finally:
        # The error under way says what the matter is;
        # a part that cannot be removed now is removed another time.
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        os.close(lock)


def _new_part(final: Path) -> tuple[Path, int]:
    """A new file beside `final`, and a descriptor that keeps it locked."""
    while True:
        part = final.with_name(f".{final.name}.{secrets.token_hex(4)}{_PART}")
        try:
            # Not by tempfile, whose files only their owner can read.
            lock = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue
        # Another process may take the file for an abandoned one until it is locked,
        # and where it did, it is gone.
        if _lock(lock) is not False and os.fstat(lock).st_nlink:
            return part, lock
        os.close(lock)


def _lock(descriptor: int) -> bool | None:
    """Lock a whole file; False where another process has,
    None where this system or file system has no locks.

    A lock of the open file description: it ends with the process, however that ends, and not, as
    POSIX's other locks do, when a library opens and closes the same file.
    """
    if not hasattr(fcntl, "F_OFD_SETLK"):
        # Linux has them; elsewhere nothing is taken for abandoned.
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return True


@functools.cache
def _remove_abandoned(folder: Path) -> None:
    """Remove temporary files that nobody writes any more, once in a process:
    whoever was killed was another one.

    A device that loses power every day must not fill its disk with them.
    """
    # A folder that may be written and not listed keeps what it has.
    with contextlib.suppress(OSError):
        names = [entry.name for entry in os.scandir(folder) if entry.name.endswith(_PART)]
        for name in names:
            _remove_if_abandoned(folder / name)


def _remove_if_abandoned(part: Path) -> None:
    # Gone meanwhile, another user's, or no plain file.
    with contextlib.suppress(OSError):
        descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if _lock(descriptor):
                part.unlink()
        finally:
            os.close(descriptor)


def _appear(part: Path, final: Path, *, replace: bool) -> None:
    """Give the file its name, and let the name be on the disk."""
    if replace:
        part.replace(final)
    else:
        try:
            final.hardlink_to(part)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            # Without hard links (FAT)
            # two that start in the same millisecond cannot be distinguished.
            if final.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from None
            part.replace(final)
    try:
        _flush_folder(final.parent)
    except OSError as error:
        raise OutputError(
            f"{final} is written, but may not survive a power cut: {os.strerror(error.errno or 0)}",
            fix=_FIXES.get(error.errno or 0),
        ) from error


def _flush_folder(folder: Path) -> None:
    """Let names survive a power cut, where the file system can and the folder may be opened."""
    try:
        flush(folder)
    except OSError as error:
        if error.errno not in _NOT_HERE | {errno.EACCES}:
            raise


def flush(path: Path) -> None:
    """Let what was written be on the disk, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(path: Path, *, ending: str | None = None) -> None:
    """Refuse an output path that cannot work, or has another ending than asked for,
    before any long work starts.
    """
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
        raise OutputError(
            f"Cannot write {path}", expected="a new or a plain file", got="a device, pipe or socket"
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"Cannot write {path}",
            expected="a folder that exists",
            got=f"'{path.parent}', which does not",
            fix=f"mkdir -p '{path.parent}'",
        )
    if not os.access(path.parent, os.W_OK):
        raise OutputError(
            f"Cannot write {path}: no permission in '{path.parent}'", fix=_FIXES[errno.EACCES]
        )


def refuse_overwriting(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is one of the inputs, or a file in a folder that is one,
    under whatever name or link.

    Raises:
        OutputError: writing would destroy what is read.
    """
    if not out.exists():
        return
    inside = out.resolve().parents
    for path in inputs:
        if path.exists() and (out.samefile(path) or path.resolve() in inside):
            raise OutputError(
                f"Cannot write {out}: it is what is read",
                expected="another file",
                fix="Choose another file to write",
            )


def output_error(path: Path, error: OSError) -> OutputError:
    """Turn an operating system's error about writing `path` into a sentence."""
    # h5py raises OSError without errno, its text holding "errno = 28" somewhere.
    code = error.errno or next((c for c in _FIXES if f"errno = {c}," in str(error)), None)
    reason = os.strerror(code) if code else str(error)
    return OutputError(
        f"Cannot write {path}: {reason}. Nothing was left behind", fix=_FIXES.get(code or 0)
    )
