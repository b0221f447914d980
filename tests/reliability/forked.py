"""Commands of ours in forked processes,
which cost no imports and can be killed wherever one likes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

LOG, STEPS = "log", "steps"
# What stands between a file under way and a file that is there;
# each is a moment to die before, and to die after.
_STEPS = ((os, "fsync"), (Path, "replace"), (Path, "hardlink_to"), (Path, "unlink"))


@dataclass(frozen=True)
class Command:
    """A command of ours as it is typed in a folder."""

    module: str
    words: Sequence[str]


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (negative: the signal), and what it had said."""

    code: int
    said: str


def run(command: Command, folder: Path, *, die_at: int | None = None) -> Ended:
    """Run to the end, or until it kills itself at step `die_at`: 2 n is before,
    2 n + 1 after its step n.
    """
    return _wait(_start(command, folder, die_at), folder)


def run_killed(command: Command, folder: Path, after_s: float) -> Ended:
    """Run, and send SIGKILL to it and all that it started once so long has passed."""
    process = _start(command, folder, None)
    time.sleep(after_s)
    os.killpg(process, signal.SIGKILL)
    return _wait(process, folder)


def count_steps(folder: Path) -> int:
    """How many moments `run(die_at=...)` can choose from,
    after an undisturbed run in that folder.
    """
    return 2 * int((folder.parent / STEPS).read_text())


def require_one_thread() -> None:
    """A forked process has the one thread that called fork;
    whatever lock another held would be held for ever.
    """
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    # pyarrow's jemalloc is made for it.
    others = [name for name in names if name != "jemalloc_bg_thd"]
    if len(others) != 1:
        raise RuntimeError(
            f"{len(others)} threads are running; set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1"
        )


def _start(command: Command, folder: Path, die_at: int | None) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        _become(command, folder, die_at)
    # Both set it: whoever is first, the group is there before anybody kills it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(process, process)
    return process


def _become(command: Command, folder: Path, die_at: int | None) -> NoReturn:
    """In the child: the command, its words printed to a file beside the folder."""
    code = 70
    try:
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)
        os.chdir(folder)
        log = os.open(folder.parent / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
        module = importlib.import_module(command.module)
        sys.argv = [module.NAME, *command.words]
        steps = _count_from(die_at)
        try:
            module.main()
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 0
        (folder.parent / STEPS).write_text(str(steps[0]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def _count_from(die_at: int | None) -> list[int]:
    """Count steps from now on, and die at the one that is wished."""
    done = [0]

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            if die_at == 2 * done[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            result = step(*args, **options)
            done[0] += 1
            if die_at == 2 * done[0] - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    for owner, name in _STEPS:
        setattr(owner, name, counted(getattr(owner, name)))
    return done


def _wait(process: int, folder: Path) -> Ended:
    _, status = os.waitpid(process, 0)
    log = folder.parent / LOG
    return Ended(
        os.waitstatus_to_exitcode(status), log.read_text(errors="replace") if log.exists() else ""
    )
