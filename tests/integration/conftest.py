"""Commands, run as a user runs them."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import forkserver

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run one of our commands as a user does, in a process of its own."""

    def run_command(
        name: str, *arguments: object, **options: object
    ) -> subprocess.CompletedProcess[str]:
        if name in forkserver.SLOW_TO_START:
            return forkserver.run_forked(name, list(map(str, arguments)), **options)
        command = [str(Path(sysconfig.get_path("scripts")) / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)

    return run_command
