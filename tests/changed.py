"""make check: the tests of what was changed since the last commit, for before the next one.

A changed test file runs itself; a changed module runs the test files of its name and,
in runtime/, of its room.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Rooms whose tests take longer than a commit should: of these only the files named as the module.
SLOW = {"live", "importers"}


def changed_files() -> list[Path]:
    """What git tracks and sees changed,
    and what it does not track and does not ignore, from the root.
    """
    return [
        *_git("diff", "--name-only", "--diff-filter=d", "HEAD"),
        *_git("ls-files", "--others", "--exclude-standard"),
    ]


def _git(*words: str) -> list[Path]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(name) for name in done.stdout.splitlines()]


def judges_of(files: Iterable[Path], root: Path = ROOT) -> list[Path]:
    """The test files that judge these files, each once."""
    found: set[Path] = set()
    for file in files:
        if file.suffix != ".py":
            continue
        if file.parts[0] == "tests":
            found |= {root / file} if file.name.startswith("test_") else set()
            continue
        named = (root / "tests").rglob(f"test_*{file.stem.strip('_')}*.py")
        found |= {path for path in named if _stands_for(path, file, root)}
        if file.parts[0] == "runtime" and len(file.parts) > 3 and file.parts[2] not in SLOW:
            room = "desk" if file.parts[1] == "emodict_desk" else file.parts[2]
            found |= set((root / "tests" / "runtime" / room).glob("test_*.py"))
    return sorted(found)


def _stands_for(test: Path, module: Path, root: Path) -> bool:
    """Whether a test file lies in the part of the tests that is about
    the module's source folder.
    """
    part = test.relative_to(root / "tests").parts[0]
    return part == module.parts[0] or (module.parts[0] == "runtime" and part == "live")


def main() -> int:
    tests = judges_of(changed_files())
    if not tests:
        print("No test is about what was changed.")
        return 0
    print(f"The tests of {len(tests)} files are about what was changed.", flush=True)
    words = ["--quiet", "--exitfirst", "--numprocesses", "2", "--dist", "loadfile"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, *map(str, tests)], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
