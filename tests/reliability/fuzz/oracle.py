"""What may come of a hostile file: a result or one of our errors,
in bounded time and memory, and nothing written.
"""

from __future__ import annotations

import faulthandler
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emodict.errors import EmodictError

# Readers of a file of some kilobytes are done in milliseconds;
# a machine with other work may take a hundred times that.
MOST_S = 10.0
MOST_MEMORY_BYTES = 256 << 20
# How libraries say that they were refused memory, if they pass it on as an error of another kind.
_NO_MEMORY = re.compile(
    r"unable to allocate|can't allocate|bad.?alloc|memory allocation failed|out of memory", re.I
)
_PAGE_BYTES = resource.getpagesize()
# Whatever changes a file or reaches out; `open` is looked at by its flags.
_CHANGES = frozenset(
    {
        "os.rename",
        "os.remove",
        "os.rmdir",
        "os.mkdir",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.chmod",
        "os.chown",
    }
)
_FORBIDDEN = frozenset(
    {"socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.fork", "pickle.find_class"}
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NAMELESS = getattr(os, "O_TMPFILE", 0)


class FoundError(Exception):
    """Something came of a file that must not."""


class _Hung(BaseException):
    """No Exception, which a reader might take for the file's fault."""


def outcome(
    use: Callable[[Path], object], name: str, files: Mapping[str, bytes]
) -> EmodictError | None:
    """Let `use` read one of these files, in a folder;
    the error that it was refused with, None for a result.

    Raises:
        FoundError: anything else came of it.
    """
    # Compared as a tree: the parent of the folder would show what climbs out of it.
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "parent" / "folder"
        (folder / "out").mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        before = _tree(Path(top))
        refusal = _refusal(lambda: use(folder / name), folder / "out")
        changed = _tree(Path(top)) ^ before
        if changed:
            raise FoundError(f"files were changed beside the output: {sorted(changed)}")
    return refusal


def _refusal(read: Callable[[], object], out: Path) -> EmodictError | None:
    began_s = time.monotonic()
    try:
        with _watched(out), _bounded(), warnings.catch_warnings():
            # Of numbers beyond their precision, which become missing.
            warnings.simplefilter("ignore")
            read()
    except EmodictError as error:
        _require_ours(error)
        return error
    except FoundError:
        raise
    except _Hung:
        raise FoundError(f"hangs: not done in {MOST_S:g} s\n{traceback.format_exc()}") from None
    except MemoryError as error:
        raise FoundError(
            f"takes more than {MOST_MEMORY_BYTES >> 20} MiB\n{traceback.format_exc()}"
        ) from error
    except Exception as error:
        raise FoundError(f"not one of our errors\n{traceback.format_exc()}") from error
    if time.monotonic() - began_s > MOST_S:
        raise FoundError(f"takes {time.monotonic() - began_s:.0f} s")
    return None


def _require_ours(error: EmodictError) -> None:
    if error.exit_code != 2:
        raise FoundError(f"blamed on us: {error!r}\n{traceback.format_exc()}") from error
    cause: BaseException | None = error
    while cause is not None:
        # HDF5 makes room for what a damaged block claims,
        # and fills no more of it than the file has.
        claimed = _NO_MEMORY.search(str(cause)) and "Unable to synchronously" not in str(cause)
        if isinstance(cause, MemoryError) or claimed:
            raise FoundError(
                f"takes more than {MOST_MEMORY_BYTES >> 20} MiB\n{traceback.format_exc()}"
            ) from error
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if "\0" in text or len(text) > 20_000:
        raise FoundError(f"an error of {len(text)} characters: {text[:200]!r}")


def _tree(top: Path) -> set[tuple[str, int, int]]:
    """Every file and folder but what is in the output folder."""
    found = set()
    for folder, folders, files in os.walk(top):
        if "out" in folders:
            folders.remove("out")
        for name in (*folders, *files):
            path = os.path.join(folder, name)  # noqa: PTH118
            about = os.lstat(path)
            found.add((path, about.st_size, 0 if name in folders else about.st_mtime_ns))
    return found


@contextmanager
def _bounded() -> Iterator[None]:
    """No more time and address space than the bounds; both are given back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as about:  # noqa: PTH123
        size = int(about.read().split()[0]) * _PAGE_BYTES
    # For what hangs outside of Python, where no signal is heard.
    faulthandler.dump_traceback_later(2 * MOST_S, exit=True, file=sys.__stderr__)
    main = threading.current_thread() is threading.main_thread()
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST_MEMORY_BYTES, hard))
    old: Any = None
    if main:
        old = signal.signal(signal.SIGALRM, _hung)
        signal.setitimer(signal.ITIMER_REAL, MOST_S)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        if main:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _hung(*_: object) -> None:
    raise _Hung


# Audit hooks cannot be taken off again: one is set,
# and looks only while it is told where may be written.
_allowed: list[str] = []
_seen: list[str] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _allowed:
        return
    if event == "open":
        path, _, flags = arguments
        wrong = bool(flags & _WRITING) and flags & _NAMELESS != _NAMELESS and not _may_write(path)
    elif event in _CHANGES:
        wrong = not all(_may_write(path) for path in arguments[: 2 if event == "os.rename" else 1])
    else:
        wrong = event in _FORBIDDEN
    if wrong:
        _seen.append(f"{event} {arguments!r}")


def _may_write(path: object) -> bool:
    if isinstance(path, int):
        return True
    real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
    return real == os.devnull or any(real.startswith(folder) for folder in _allowed)


@contextmanager
def _watched(out: Path) -> Iterator[None]:
    """Whatever Python itself opens for writing, moves, removes,
    starts or connects to outside of the output folder.
    """
    if not _hook_is_set:
        sys.addaudithook(_hook)
        _hook_is_set.append(True)
    spool = tempfile.mkdtemp()
    was, tempfile.tempdir = tempfile.tempdir, spool
    # A module that is imported late for the first time, in a fresh clone,
    # would be compiled into its folder.
    compiles, sys.dont_write_bytecode = not sys.dont_write_bytecode, True
    _seen.clear()
    _allowed[:] = [os.path.realpath(out), os.path.realpath(spool)]
    try:
        yield
    finally:
        _allowed.clear()
        tempfile.tempdir = was
        sys.dont_write_bytecode = not compiles
        shutil.rmtree(spool)
    if _seen:
        raise FoundError(f"reaches out of its folder: {_seen[:5]}")


_hook_is_set: list[bool] = []
