"""The documentation does what it says: its snippets run, its commands and options exist,
its links lead somewhere.
"""

from __future__ import annotations

import functools
import importlib
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from tests.integration.conftest import Run
from tests.recordings import noise_recording
from typer.testing import CliRunner

import emodict
from emodict.cli.start import COMMANDS
from emodict.features.spec import load_spec, spec_ids
from emodict.recording.session import write_session

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
RUN_PAGES = (
    "README.md",
    "docs/study.md",
    "docs/python-api.md",
    "docs/features.md",
    "docs/session-format.md",
)
# Commands with subcommands: the words before the options belong to the command.
SUBCOMMANDS = {
    "emodict-session": 1,
    "emodict-train": 1,
    "emodict-run": 0,
    "emodict-export": 0,
    "emodict-calibrate": 1,
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands() -> set[tuple[str, ...]]:
    """Every line after a `$ ` in a console block, as words;
    comments and what follows a pipe are left out.
    """
    lines = [
        line[2:]
        for page in PAGES
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    return {tuple(shlex.split(line.partition("|")[0], comments=True)) for line in lines}


def without_docker(words: tuple[str, ...]) -> tuple[str, ...]:
    """What a `docker run` starts, where that is a command of ours; any other command as it is."""
    ours = [i for i, word in enumerate(words) if word in SUBCOMMANDS]
    return words[ours[0] :] if words[:2] == ("docker", "run") and ours else words


def name_and_options(words: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """(command and subcommands, options) of one of our commands."""
    depth = 1 + SUBCOMMANDS[words[0]]
    if words[1:2] == ("import",):
        depth += 1
    return words[:depth], frozenset(
        word for word in words[depth:] if re.fullmatch(r"--?[a-z][a-z-]*", word)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """What the pages say there is: a session, a model, people to train on."""
    made = tmp_path_factory.mktemp("docs")
    (made / "model.onnx").write_bytes(model.read_bytes())
    write_session(noise_recording(), made / "session.h5")
    (made / "people").mkdir()
    for i in range(5):
        write_session(noise_recording(26, seed=i), made / "people" / f"sub-{i}.h5")
    return made


@functools.cache
def options_of(*name: str) -> set[str]:
    """The options that a command's help names; asked in this process,
    for starting torch each time is slow.
    """
    done = CliRunner().invoke(
        importlib.import_module(COMMANDS[name[0]]).build(), [*name[1:], "--help"]
    )
    assert done.exit_code == 0, f"{' '.join(name)}: {done.output}"
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.output))


@pytest.mark.parametrize("page", RUN_PAGES)
def test_the_snippets_of_a_page_run_in_order(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    snippets = blocks(ROOT / page, "python")
    assert snippets
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, snippet in enumerate(snippets, start=1):
        exec(compile(snippet, f"{page}, snippet {number}", "exec"), namespace)


@pytest.mark.parametrize(
    ("example", "arguments"),
    [
        ("score_a_file.py", ("model.onnx", "session.h5")),
        ("features_only.py", ("session.h5",)),
        ("stream_a_session.py", ("model.onnx", "session.h5")),
        ("plain_onnxruntime.py", ("model.onnx", "features.npz")),
        ("train_your_own.py", ("people",)),
    ],
)
def test_an_example_runs(
    example: str,
    arguments: tuple[str, ...],
    folder: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    if "features.npz" in arguments:
        assert (
            run("emodict-session", "features", "session.h5", "-o", "features.npz").returncode == 0
        )
    monkeypatch.setattr(sys, "argv", [example, *arguments])
    runpy.run_path(str(ROOT / "examples" / example), run_name="__main__")
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "example", sorted(p.name for p in (ROOT / "examples").glob("*.py") if p.name != "demo.py")
)
def test_an_example_without_its_arguments_says_how_it_is_used(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [example])
    with pytest.raises(SystemExit, match=f"^usage: python examples/{example} "):
        runpy.run_path(str(ROOT / "examples" / example), run_name="__main__")


@pytest.mark.parametrize(
    "example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name
)
def test_an_example_is_about_thirty_lines_at_most_below_its_imports(example: Path) -> None:
    start = r"^(?:def main|if len\(sys\.argv\))"
    text = example.read_text(encoding="utf-8")
    program = re.split(start, text, maxsplit=1, flags=re.MULTILINE)[1]
    assert 10 <= len([line for line in program.splitlines() if line.strip()]) <= 33


def test_the_page_on_export_shows_the_example_as_it_is() -> None:
    assert (ROOT / "examples" / "plain_onnxruntime.py").read_text() in blocks(
        ROOT / "docs" / "export.md", "python"
    )


def test_every_command_on_the_pages_exists_and_takes_the_options_shown() -> None:
    wanted: dict[tuple[str, ...], set[str]] = {}
    for words in map(without_docker, commands()):
        if words[0] in SUBCOMMANDS:
            name, options = name_and_options(words)
            wanted.setdefault(name, set()).update(options)
    assert {name[0] for name in wanted} == set(SUBCOMMANDS)
    for name, options in wanted.items():
        assert options <= options_of(*name), " ".join(name)


def test_the_unit_for_a_device_starts_a_command_that_exists_and_claims_no_watchdog() -> None:
    (unit,) = blocks(ROOT / "docs" / "jetson.md", "ini")
    (command,) = re.findall(r"^ExecStart=/opt/emodict/bin/(.*)$", unit, re.MULTILINE)
    name, options = name_and_options(tuple(shlex.split(command)))
    assert options <= options_of(*name)
    assert "WatchdogSec" not in unit


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("run.md", ("emodict-run",)),
        ("export.md", ("emodict-export",)),
        ("training.md", ("emodict-train", "fit")),
        ("study.md", ("emodict-train", "study")),
    ],
)
def test_the_table_of_options_is_complete(page: str, name: tuple[str, ...]) -> None:
    table = re.findall(
        r"^\| `--.*$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE
    )
    shown = set(re.findall(r"`(--?[a-z-]+)", "".join(table)))
    assert shown == options_of(*name) - {"--help", "-h"}


def test_other_commands_on_the_pages_exist() -> None:
    for words in commands():
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
        elif words[:2] == ("python", "-m"):
            assert (ROOT / words[2] / "__main__.py").is_file(), words
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), words
        else:
            assert words[0] in (*SUBCOMMANDS, "pip", "head", "openssl", "docker"), words


def test_links_and_pictures_on_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_specs_on_the_page_are_the_shipped_ones_with_their_fingerprints() -> None:
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|.*\| `([0-9a-f]{16})` \|$", page, re.MULTILINE)
    assert dict(rows) == {spec_id: load_spec(spec_id).fingerprint for spec_id in spec_ids()}


def test_the_version_to_cite_is_that_of_the_code() -> None:
    assert f"\nversion: {emodict.__version__}\n" in (ROOT / "CITATION.cff").read_text(
        encoding="utf-8"
    )
