"""The Dockerfile fits the repository: its images need Docker to build,
`make dist` runs their steps without.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.release.dockerfile import DOCKERFILE, ROOT, Stage, read_stages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMAGES = ("runtime", "workbench")


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    return read_stages()


def copied(stage: Stage) -> list[str]:
    return [source for text in stage.all_of("COPY") for source in text.split()[:-1]]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
        "hadolint"
    )
    if hadolint is None:
        pytest.skip("no hadolint for this machine")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there_and_is_sent_to_the_builder(stages: dict[str, Stage]) -> None:
    sent = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert sorted(copied(stages["build"])) == sorted(sent)
    assert [name for name in sent if not (ROOT / name).exists()] == []


def test_what_is_copied_is_all_that_the_wheel_is_made_of(
    tmp_path: Path, stages: dict[str, Stage], wheel: Path
) -> None:
    """Built of the copied files alone, the wheel is the same to the byte."""
    from tests.release.conftest import build

    for name in copied(stages["build"]):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    build(tmp_path, tmp_path / "dist", "wheel")
    assert (tmp_path / "dist" / wheel.name).read_bytes() == wheel.read_bytes()


def test_every_extra_that_an_image_installs_exists(stages: dict[str, Stage]) -> None:
    for name in IMAGES:
        assert set(stages[name].arguments["EXTRAS"].split(",")) <= set(
            PROJECT["optional-dependencies"]
        )


def test_every_extra_on_the_page_exists() -> None:
    page = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")
    named = {
        extra for extras in re.findall(r"EXTRAS=([\w,-]+)", page) for extra in extras.split(",")
    }
    assert "onnx" in named
    assert named <= set(PROJECT["optional-dependencies"])


def test_the_workbench_has_every_extra_but_those_for_the_developers_and_for_a_system_tensorrt(
    stages: dict[str, Stage],
) -> None:
    def with_parts(extras: set[str]) -> set[str]:
        parts = {
            extra
            for name in extras
            for line in PROJECT["optional-dependencies"][name]
            for match in re.findall(r"^emodict\[(.*)\]", line)
            for extra in match.split(",")
        }
        return extras if parts <= extras else with_parts(extras | parts)

    had = with_parts(set(stages["workbench"].arguments["EXTRAS"].split(",")))
    assert set(PROJECT["optional-dependencies"]) - had == {"test", "lint"}


def test_the_python_of_the_images_is_one_that_emodict_is_for(stages: dict[str, Stage]) -> None:
    for stage in stages.values():
        (version,) = re.findall(r"^python:(3\.\d+)-slim-\w+$", stage.base)
        assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_a_user_who_is_not_root_and_starts_what_exists(
    name: str, stages: dict[str, Stage]
) -> None:
    stage = stages[name]
    (user,) = stage.all_of("USER")
    assert int(user) > 0
    words = [word for word, _ in stage.instructions]
    assert "RUN" not in words[words.index("USER") :]
    (command,) = stage.all_of("CMD")
    assert json.loads(command)[0] in (*PROJECT["scripts"], "bash")


def test_no_cache_of_pip_stays_in_an_image(stages: dict[str, Stage]) -> None:
    installs = [
        line
        for stage in stages.values()
        for text in stage.all_of("RUN")
        for line in text.split("&&")
        if " install " in line
    ]
    assert len(installs) == 3
    assert [
        line
        for line in installs
        if not fnmatch.fnmatch(line, "*--no-cache-dir --constraint *constraints.txt*")
    ] == []
