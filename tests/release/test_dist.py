"""What is shipped: a wheel that needs numpy, h5py and typer alone,
and an sdist to build, test and read it from.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.metadata import Metadata
from tests.release.conftest import ROOT, build

import emodict

PACKAGES = {
    "emodict": "runtime",
    "emodict_desk": "runtime",
    "emodict_train": "train",
    "emodict_export": "export",
    "emodict_calibration": "calibration",
}


def git_files(*options: str) -> set[str]:
    """Files of this checkout as `git ls-files` knows them, as paths from its root."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing says which files belong to the repository")
    done = subprocess.run(
        ["git", "ls-files", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}


def not_yet_tracked() -> set[str]:
    """What a developer has written and not committed: it may be shipped, and need not."""
    return git_files("--others", "--exclude-standard")


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode())


def in_packages(names: set[str]) -> set[str]:
    """Those in one of the four packages, as paths from where they are installed."""
    folders = [f"{folder}/{package}/" for package, folder in PACKAGES.items()]
    return {name.split("/", 1)[1] for name in names if name.startswith(tuple(folders))}


def test_the_wheel_holds_every_file_of_the_four_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert shipped - in_packages(not_yet_tracked()) == in_packages(git_files())
    assert {f"{package}/py.typed" for package in PACKAGES} < shipped


def test_the_sdist_holds_everything_but_the_ci(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    assert shipped - not_yet_tracked() == (git_files() - {".ci/run"}) | {"PKG-INFO"}


def test_the_wheel_built_from_the_sdist_is_the_same_to_the_byte(
    wheel: Path, sdist: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    build(source, tmp_path / "again", "wheel")
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_metadata_are_what_an_index_takes_and_shows(wheel: Path) -> None:
    about = metadata(wheel)
    Metadata.from_email(str(about), validate=True)
    assert (about["Name"], about["Version"]) == ("emodict", emodict.__version__)
    assert about["License-Expression"] == "MIT"
    assert about["License-File"] == "LICENSE"
    assert about["Requires-Python"] == ">=3.10"


def test_the_pythons_that_make_takes_are_those_that_the_classifiers_name(wheel: Path) -> None:
    """The Makefile's bounds are the only other place that says for which Pythons
    the versions are pinned.
    """
    first, end = re.findall(r"\(3, (\d+)\)", (ROOT / "Makefile").read_text())[:2]
    named = re.findall(
        r"Python :: 3\.(\d+)$", "\n".join(metadata(wheel).get_all("Classifier", [])), re.MULTILINE
    )
    assert [int(minor) for minor in named] == list(range(int(first), int(end)))


def requirements_of(name: str) -> set[str]:
    """Names of what a distribution installed here needs on this Python, extras left out."""
    found = set()
    for line in importlib.metadata.requires(name) or ():
        requirement, _, marker = line.partition(";")
        if "extra" not in marker and _holds(marker):
            found.add(re.split(r"[^\w.-]", requirement.strip())[0])
    return found


def _holds(marker: str) -> bool:
    return not marker.strip() or Marker(marker).evaluate()


def with_all_they_need(names: set[str]) -> set[str]:
    found: set[str] = set()
    while names:
        found |= names
        names = {need for name in names for need in requirements_of(name)} - found
    return found


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of modules with the wheel's and those that the wheel needs, and no others."""
    folder = tmp_path_factory.mktemp("bare")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in with_all_they_need({"numpy", "h5py", "typer"}):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder


def run_bare(bare: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run this Python without its site-packages:
    it sees the standard library and the bare folder.
    """
    environment = {**os.environ, "PYTHONPATH": str(bare), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-s", "-S", *map(str, words)]
    return subprocess.run(
        command, env=environment, cwd=bare, capture_output=True, text=True, timeout=120
    )


def test_the_wheel_asks_for_numpy_h5py_and_typer_alone(wheel: Path) -> None:
    needs = [
        line for line in metadata(wheel).get_all("Requires-Dist", []) if "extra ==" not in line
    ]
    assert sorted(re.split(r"\W", line)[0] for line in needs) == ["h5py", "numpy", "typer"]


def test_with_what_the_wheel_asks_for_a_session_is_written_inspected_and_made_into_features(
    bare: Path,
) -> None:
    session = bare / "probe.h5"
    done = run_bare(bare, Path(__file__).with_name("probe.py"), session)
    assert done.returncode == 0, done.stderr
    done = run_bare(
        bare, "-c", "from emodict_desk.cli.session import main; main()", "inspect", session
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "ppg" in done.stdout


def test_with_what_the_wheel_asks_for_scoring_says_what_else_is_needed(bare: Path) -> None:
    (bare / "model.onnx").write_bytes(b"never read")
    command = "from emodict.cli.run import main; main()"
    done = run_bare(bare, "-c", command, "--engine", bare / "model.onnx", bare / "probe.h5")
    assert done.returncode == 2, done.stderr
    assert "pip install 'emodict[onnx]'" in done.stderr
