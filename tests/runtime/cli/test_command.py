"""What every command has: its version, help in groups, completion,
and hints at options of other tools.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from emodict import __version__
from emodict.cli.start import COMMANDS

Run = Callable[..., Any]


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> tuple[str, ModuleType]:
    return request.param, importlib.import_module(COMMANDS[request.param])


def test_every_command_says_its_version(
    run_in_process: Run, command: tuple[str, ModuleType]
) -> None:
    name, module = command
    assert run_in_process(module, "--version") == (0, f"{name} {__version__}\n", "")


@pytest.mark.parametrize(
    ("name", "words", "here"),
    [
        ("emodict-run", ["--model", "m.onnx"], "emodict-run takes its model after --engine"),
        (
            "emodict-run",
            ["--format", "csv"],
            "The ending of the file after --out, or -o, names its format.",
        ),
        ("emodict-export", ["m.pt", "--half"], "emodict-export model.pt --precision fp16"),
    ],
)
def test_an_option_of_other_tools_leads_to_its_name_here(
    run_in_process: Run, name: str, words: list[str], here: str
) -> None:
    code, _, err = run_in_process(importlib.import_module(COMMANDS[name]), *words)
    assert code == 2
    assert f"No such option: {words[-1] if words[-1].startswith('--') else words[0]}" in err
    assert here in err


def test_an_option_that_nobody_knows_has_no_hint(run_in_process: Run) -> None:
    code, _, err = run_in_process(importlib.import_module(COMMANDS["emodict-run"]), "--flavour")
    assert code == 2
    assert err.rstrip().splitlines()[-1].startswith("Error: No such option: --flavour")


# For bash typer asks bash itself for its version.
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell: str) -> None:
    code = "from emodict.cli.run import main; main()"
    environment = {"_EMODICT_RUN_COMPLETE": f"source_{shell}", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "emodict-run" in done.stdout


def test_a_shell_is_given_the_options_that_begin_so() -> None:
    code = "from emodict.cli.run import main; main()"
    environment = {
        "_EMODICT_RUN_COMPLETE": "complete_bash",
        "COMP_WORDS": "emodict-run --eng",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split()) == (0, ["--engine"])
