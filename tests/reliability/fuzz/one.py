"""Atheris on one target, in a process of its own."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

# What is told which way an input took: our code, and libraries in Python that read files for it.
OURS = ["emodict", "emodict_desk", "emodict_train", "emodict_export", "emodict_calibration"]
READERS = ["pyxdf", "edfio", "h11", "websockets.frames"]
MOST_INPUT_BYTES = 64 << 10
# The input that was being read, and how many there were: for whoever finds this process dead.
LAST, COUNT, LOG = "last", "count", "log"


def load() -> None:
    """Import all that is fuzzed, so that atheris sees which way an input takes in it."""
    with atheris.instrument_imports(include=[*OURS, *READERS]):
        importlib.import_module("tests.reliability.fuzz.registry")


def main(name: str, seconds: int, folder: Path) -> None:
    """Fuzz one target; the process ends with it, with 0 if nothing was found."""
    from tests.reliability.fuzz.registry import TARGETS

    with (folder / LOG).open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    target = TARGETS[name]
    (folder / "corpus").mkdir(parents=True)
    for i, seed in enumerate(target.seeds()):
        (folder / "corpus" / f"seed-{i}").write_bytes(seed)
    options = {
        "max_total_time": seconds,
        "max_len": MOST_INPUT_BYTES,
        "rss_limit_mb": 4096,
        "artifact_prefix": f"{folder}/",
        # The oracle has a clock of its own.
        "timeout": 600,
        "verbosity": 0,
    }
    arguments = [
        sys.argv[0],
        *(f"-{key}={value}" for key, value in options.items()),
        str(folder / "corpus"),
    ]
    atheris.Setup(arguments, counted(target.check, folder))
    atheris.Fuzz()


def counted(check: Callable[[bytes], object], folder: Path) -> Callable[[bytes], None]:
    """The check, with a record of its input and their number on the disk."""
    numbers = itertools.count(1)

    def check_and_count(data: bytes) -> None:
        (folder / LAST).write_bytes(data)
        (folder / COUNT).write_text(str(next(numbers)))
        check(data)

    return check_and_count
