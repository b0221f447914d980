"""make test runs both of its halves, and its last line counts what came of both."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import whole

MIXED = """
import pytest

@pytest.fixture
def broken():
    raise OSError

def test_passes(): pass
def test_passes_too(): pass
def test_fails(): raise AssertionError
def test_cannot_begin(broken): pass
@pytest.mark.skip(reason="a reason")
def test_is_skipped(): pass
"""


@pytest.fixture
def halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two files that stand for the halves of the suite; the second holds one test that passes."""
    first, second = tmp_path / "test_first.py", tmp_path / "test_second.py"
    second.write_text("def test_passes(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.setattr(
        whole,
        "HALVES",
        tuple(("-q", "-c", str(tmp_path / "pytest.ini"), str(p)) for p in (first, second)),
    )
    return first, second


def test_the_second_half_runs_though_the_first_fails_and_both_are_counted(
    halves: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    halves[0].write_text(MIXED)
    assert whole.main() == 1
    assert capfd.readouterr().out.splitlines()[-1] == "tests: 3 passed, 2 failed, 1 skipped"


def test_a_half_that_cannot_be_collected_is_a_failure(
    halves: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    halves[0].write_text("import no_such_module\n")
    assert whole.main() == 1
    assert capfd.readouterr().out.splitlines()[-1] == "tests: 1 passed, 1 failed, 0 skipped"


def test_a_half_that_dies_is_a_failure(
    halves: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    halves[0].write_text("import os\nos._exit(0)\n")
    assert whole.main() == 1
    assert capfd.readouterr().out.splitlines()[-1] == "tests: 1 passed, 1 failed, 0 skipped"


def test_two_halves_that_pass_end_with_success(
    halves: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    halves[0].write_text("def test_passes(): pass\n")
    assert whole.main() == 0
    assert capfd.readouterr().out.splitlines()[-1] == "tests: 2 passed, 0 failed, 0 skipped"
