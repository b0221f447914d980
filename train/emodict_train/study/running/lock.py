"""locked: one study at a time writes a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from emodict.errors import OutputError
from emodict.files.atomic import output_error

LOCK_FILE = ".study.lock"


@contextlib.contextmanager
def locked(study: Path) -> Iterator[None]:
    """Hold the folder's lock; the file says which process does.

    The system takes the lock from a process that ends, however it ends: a file left behind by a
    dead study does not stop the next one.

    Raises:
        OutputError: another study holds it, or it cannot be written.
    """
    path = study / LOCK_FILE
    try:
        handle = path.open("a+")
    except OSError as error:
        raise output_error(path, error) from error
    with handle:
        _take(handle, study)
        handle.truncate(0)
        handle.write(f"{os.getpid()} on {socket.gethostname()}\n")
        handle.flush()
        try:
            yield
        finally:
            handle.truncate(0)


def _take(handle: TextIO, study: Path) -> None:
    try:
        # The kind that network file systems know too; unlike flock's,
        # a child process does not inherit it.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        raise OutputError(
            f"Another study is writing {study}",
            expected="a folder of its own for each study that runs",
            got=f"process {handle.read().strip() or '?'}",
            fix="Wait for it, stop it, or choose another folder with -o",
        ) from error
