"""Every command on the pages is typed, in order,
in a folder with the files that the page speaks of.
"""

from __future__ import annotations

import importlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.page_files import make_files, make_my_session
from tools.pages import plan
from tools.pages.excerpts import LEFT_OUT, Shown, pattern_of, shown_in, without_progress

from emodict.cli.start import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    page.relative_to(ROOT).as_posix()
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
]
RunInProcess = Callable[..., tuple[int, str, str]]

# Commands, by how they begin, that are not typed here, and why.
# That their options exist is tested in test_docs.py.
NOT_TYPED = {
    "make ": "installs gigabytes, or is what runs this test",
    "pip install": "changes the environment; `make dist` installs the wheel in empty ones",
    "docker ": "no Docker here; `make dist` runs the Dockerfile's steps without it",
    "emodict-run --engine model.onnx --live lsl": "needs two sensors on the network; "
    "tests/live/test_lsl.py has them",
    "emodict-run --engine model.onnx people --dask": "waits 10 s for nobody; "
    "tests/integration/test_many.py does",
    "emodict-train fit people -o again.pt": "is stopped by Ctrl-C; "
    "tests/train/cli/test_cli_train.py stops it",
    "emodict-export --face": "needs 58 MB of weights and seconds; "
    "tests/export/test_face_export.py makes them",
    "emodict-calibrate person "
    "people/sub-07.h5 --to 73 --ica": "20 s; tests/calibration/test_person_cli.py does it",
    "emodict-export model.pt -o half.onnx "
    "--precision fp16 --calibration": "tests/export/test_cli_export.py types it",
    "python -m benchmarks": "takes minutes",
}
# Words added to a command so that it takes a second instead of minutes.
SHORTER = {
    "emodict-train fit": ("--epochs", "1"),
    "emodict-train simulate people --people 9": ("--trials", "5", "--trial-s", "6"),
    "emodict-train simulate band": ("--trials", "5", "--trial-s", "8"),
    "emodict-train simulate unseen": ("--trials", "5", "--trial-s", "6"),
    "emodict-train study": shlex.split(
        "--quick --methods 'kernel ridge' --protocols trials --folds 2 --jobs 1"
    ),
    "emodict-session record": ("--seconds", "1"),
}
# What a page leaves to the reader, typed before the command.
FIRST = {
    **plan.FIRST,
    "emodict-run --check": [
        "emodict-export model.pt -o model.plan --precision fp32 --sm 86,89,120"
    ],
}
# Commands whose lines are those of one recording or one model, which is not in the repository.
OTHER_DATA = (
    "emodict-session import xdf",
    "emodict-session import opensignals",
    "emodict-calibrate wrist.pt",
)
# The pages show what is said without a GPU.
GPU = Path("/proc/driver/nvidia").exists()


def shown_on(page: str) -> Iterator[Shown]:
    return shown_in((ROOT / page).read_text(encoding="utf-8"))


def reason_not_typed(shown: Shown) -> str | None:
    return next((why for start, why in NOT_TYPED.items() if shown.command.startswith(start)), None)


def expected_exit_code(shown: Shown) -> int:
    """2 where the page shows our sentence about an error,
    or no GPU is here to run what asks for one.
    """
    name = shown.command.split()[0]
    refused = any(
        line.startswith(f"{name}: ") or "cannot be used as it is" in line for line in shown.output
    )
    return 2 if refused or (not GPU and "--engine model.plan" in shown.command) else 0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    return folder


@pytest.fixture
def type_command(
    run_in_process: RunInProcess,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], tuple[int, str]]:
    """Run a command as the shell would, ours and Python's in this process:
    (exit code, all that it said).
    """

    caplog.set_level("INFO")

    def type_words(command: str) -> tuple[int, str]:
        words = shlex.split(command, comments=True)
        words += [
            word for start, more in SHORTER.items() if command.startswith(start) for word in more
        ]
        if words[0] in COMMANDS:
            code, out, err = run_in_process(importlib.import_module(COMMANDS[words[0]]), *words[1:])
            # What the library logs goes to standard error where no test has taken hold of it.
            return code, "\n".join([out, err, *caplog.messages])
        if words[0] == "python":
            monkeypatch.setattr(sys, "argv", words[1:])
            runpy.run_path(str(ROOT / words[1]), run_name="__main__")
            return 0, capfd.readouterr().out
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return type_words


def missing_lines(shown: Shown, said: str) -> list[str]:
    """Lines of the page that the command did not print.
    A model's line may go on: what it was trained on.
    """
    if shown.command.startswith(OTHER_DATA):
        return []
    lines = [re.sub(r"^(Model .*?\)).*", r"\1", line.rstrip()) for line in said.splitlines()]
    wanted = [re.sub(r"^(Model .*?\)).*", r"\1", line) for line in without_progress(shown.output)]
    return [
        line for line in wanted
        if line.strip() and line != LEFT_OUT and not any(map(pattern_of(line).fullmatch, lines))
    ]  # fmt: skip


@pytest.mark.parametrize(
    "page", [page for page in PAGES if not all(map(reason_not_typed, shown_on(page)))]
)
def test_the_commands_of_a_page_do_what_it_shows(
    page: str, files: Path, tmp_path: Path, type_command: Callable[[str], tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = tmp_path / "here"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    if page == "docs/session-format.md":
        make_my_session(ROOT / page, folder)
    for shown in shown_on(page):
        if reason_not_typed(shown) or (GPU and "model.plan" in shown.command):
            continue
        for command in [
            word
            for start, words in FIRST.items()
            if shown.command.startswith(start)
            for word in words
        ]:
            assert type_command(command)[0] == 0, command
        code, said = type_command(shown.command)
        assert code == expected_exit_code(shown), f"$ {shown.command}\n{said}"
        missing = "\n".join(missing_lines(shown, said))
        assert not missing, f"$ {shown.command}\nthe page shows\n{missing}\nand not\n{said}"


def test_every_command_that_is_not_typed_is_still_on_a_page() -> None:
    commands = [shown.command for page in PAGES for shown in shown_on(page)]
    assert [
        start for start in NOT_TYPED if not any(command.startswith(start) for command in commands)
    ] == []
