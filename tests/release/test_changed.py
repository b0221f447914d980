"""make check runs the tests of what was changed, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.changed import judges_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "runtime/features/test_quality",
        "runtime/features/test_stream",
        "runtime/desk/test_report",
        "live/test_clock",
        "train/fit/test_fitting",
        "export/test_fold",
        "train/study/test_quality",
    ):
        path = tmp_path / "tests" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        (
            "runtime/emodict/features/quality.py",
            ["runtime/features/test_quality", "runtime/features/test_stream"],
        ),
        ("runtime/emodict/live/clock.py", ["live/test_clock"]),
        ("runtime/emodict_desk/report.py", ["runtime/desk/test_report"]),
        ("train/emodict_train/fit/fitting.py", ["train/fit/test_fitting"]),
        ("tests/export/test_fold.py", ["export/test_fold"]),
        ("docs/run.md", []),
        ("tests/conftest.py", []),
    ],
)
def test_a_change_is_judged_by_the_judges_of_its_name_and_room(
    changed: str, tests: list[str], tree: Path
) -> None:
    assert judges_of([Path(changed)], tree) == [tree / "tests" / f"{name}.py" for name in tests]
