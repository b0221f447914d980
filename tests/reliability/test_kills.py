"""A handful of the kills of `make kill`, and that it sees a loss where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
# What needs no torch; all others are for `make kill`.
ONLY = "import,features,person"
# Writes where the result is to be, as anybody would who has not thought of it.
CARELESS = """
import contextlib, pathlib, sys
import emodict.files.atomic

@contextlib.contextmanager
def careless(path, *, replace=True):
    final = pathlib.Path(path)
    final.write_bytes(b"")
    emodict.files.atomic.flush(final)
    yield final

emodict.files.atomic.atomic_path = careless
from tests.reliability.kills import main
main()
"""


def kill(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300
    )


def test_killed_commands_leave_whole_files_and_go_on() -> None:
    done = kill("-m", "tests.reliability.kills", "--kills", "3", "--moments", "2", "--only", ONLY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all | 3 | 6 | 9 of 9 | 9 of 9 |" in done.stdout
    assert "0 lost" in done.stdout


def test_a_loss_is_seen() -> None:
    done = kill("-c", CARELESS, "--kills", "0", "--moments", "2", "--only", "import")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "s.h5 is neither the old file nor the new one" in done.stdout
