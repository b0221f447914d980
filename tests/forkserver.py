"""Processes forked from one that has made the slow imports already: commands of ours,
and what may crash in C.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# Those whose start is PyTorch's; the others start in a quarter of a second,
# and can be run as they are.
SLOW_TO_START = ("emodict-train", "emodict-export", "emodict-calibrate")
MODULES = {
    "emodict-run": "emodict.cli.run",
    "emodict-session": "emodict_desk.cli.session",
    "emodict-train": "emodict_train.cli",
    "emodict-export": "emodict_export.cli",
    "emodict-calibrate": "emodict_calibration.cli",
}
REPOSITORY = Path(__file__).parents[1]
PRELOADED = [
    "torch", "scipy.signal", "sklearn.kernel_ridge", "onnx", "onnxruntime", *MODULES.values(),
    "tests.reliability.fuzz.registry",
]  # fmt: skip
TIMEOUT_S = 300.0


def run_forked(
    name: str,
    words: Sequence[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` does with its output captured."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        where, environment = os.fspath(cwd or Path.cwd()), dict(os.environ if env is None else env)
        process = _server().Process(
            target=_become, args=(name, list(words), where, environment, str(out), str(err))
        )
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"{name} {' '.join(words)} did not end in {TIMEOUT_S:.0f} s")
        code = process.exitcode
        process.close()
        return subprocess.CompletedProcess(
            [name, *words], code or 0, out.read_text(), err.read_text()
        )


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, called in a process of its own:
    libraries in C may be left broken, or crash.

    Raises:
        AssertionError: it raised something, with its traceback, or its process died.
    """
    answers, ours = multiprocessing.Pipe(duplex=False)
    process = _server().Process(target=_answer, args=(ours, function, arguments))
    process.start()
    ours.close()
    try:
        returned, answer = (
            answers.recv()
            if answers.poll(TIMEOUT_S)
            else (False, f"no answer in {TIMEOUT_S:.0f} s")
        )
    except EOFError:
        process.join()
        returned, answer = False, f"the process died: exit code {process.exitcode}"
    process.kill()
    process.join()
    process.close()
    if not returned:
        raise AssertionError(answer)
    return answer


def _answer(
    connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    try:
        answer = True, function(*arguments)
    except BaseException:
        answer = False, traceback.format_exc()
    connection.send(answer)


@cache
def _server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # What it preloads it finds by its environment; the processes themselves are given ours.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def _become(name: str, words: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """Turn this new process into the command, from its environment to its standard output."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        stream.flush()
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream.fileno())
        os.close(file)
    sys.argv = [name, *words]
    sys.modules[MODULES[name]].main()
