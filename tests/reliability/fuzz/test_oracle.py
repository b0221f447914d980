"""The fuzzer's oracle finds what must not come of a file;
what a file calls itself steers nothing.
"""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.reliability.fuzz import documents, importers, sessions
from tests.reliability.fuzz.oracle import FoundError, outcome
from tests.reliability.fuzz.registry import TARGETS

from emodict.cli import run as cli_run
from emodict.errors import EmodictError, InputError
from emodict.recording.session import write_session
from emodict_desk.cli import session as cli_session


def write_beside(path: Path) -> None:
    (path.parent.parent / "escape").write_text("x")


def take_much(path: Path) -> None:
    try:
        np.ones(1 << 30, dtype=np.uint8)
    except MemoryError as error:
        raise InputError("damaged") from error


def blame_us(path: Path) -> None:
    raise EmodictError("ours")


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (write_beside, "reaches out of its folder|files were changed"),
        (take_much, "takes more than 256 MiB"),
        (blame_us, "blamed on us"),
        (lambda path: {}[path], "not one of our errors"),
    ],
)
def test_the_oracle_finds_what_must_not_come_of_a_file(
    use: Callable[[Path], object], said: str
) -> None:
    # What the tests before left in this process must not be freed meanwhile,
    # and make room for what is too much.
    gc.collect()
    with pytest.raises(FoundError, match=said):
        outcome(use, "a", {"a": b""})
    assert (
        outcome(lambda path: (path.parent / "out" / "b").write_text("x"), "a", {"a": b""}) is None
    )


def test_every_importer_is_fuzzed() -> None:
    assert {f"import {kind}" for kind in importers.IMPORTERS} <= set(TARGETS)


def test_a_sentence_cannot_steer_a_terminal_nor_fill_it() -> None:
    text = str(InputError("a\x1b[2J\ud800", got="\0" + "x" * 10**6, expected="\u202eb\nc"))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert r"a\x1b[2J\ud800" in text
    assert len(text) < 5000
    text.encode()


NAMES = ["../../escape", "/tmp/escape", "x\x1b[2J<script>alert(1)</script>"]


def hostile_names(name: str) -> bytes:
    """A session that is called so wherever it can be."""

    def write(path: Path) -> None:
        recording = sessions.small_recording()
        trials = dataclasses.replace(recording.trials, trial_id=(name,), label_names=(name, "b"))
        changes = {
            "session_id": name,
            "subject_id": name,
            "device": name,
            "trials": trials,
            "start_time": name,
        }
        write_session(dataclasses.replace(recording, **changes), path)

    return importers.written(write, "s.h5")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_session_calls_itself_is_written_nowhere_but_into_the_output(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def use(path: Path) -> None:
        out = path.parent / "out"
        for command, *words in (
            (
                cli_run,
                "--engine",
                path.parent / "m.onnx",
                path,
                "--out",
                out / "x.csv",
                "--report",
                out / "r.html",
            ),
            (
                cli_run,
                "--engine",
                path.parent / "m.onnx",
                path,
                path.parent / "s2.h5",
                "--out",
                out / "x.json",
            ),
            (cli_session, "inspect", path),
            (cli_session, "features", path, "-o", out / "t.npz"),
        ):
            monkeypatch.setattr(sys, "argv", [command.NAME, *map(str, words)])
            with pytest.raises(SystemExit) as ending:
                command.main()
            assert ending.value.code in (0, None, 2)
        assert (out / "x.csv").is_file()
        assert "<script>alert" not in (out / "r.html").read_text()

    content = hostile_names(name)
    assert (
        outcome(use, "s.h5", {"s.h5": content, "s2.h5": content, "m.onnx": documents._onnx()})
        is None
    )
    assert "\x1b" not in capsys.readouterr().out
