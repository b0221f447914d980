"""make test: the suite in two halves, both whatever the first says,
and one line that sums them up.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

# A file stays in one process: what its fixtures make is made once. tests/live holds the live
# pipeline to its times, so nothing else runs beside it; it waits far more than it computes, so it
# takes more processes than there are cores.
HALVES = (
    (
        "--numprocesses",
        "auto",
        "--maxprocesses",
        "4",
        "--dist",
        "loadfile",
        "--ignore",
        "tests/live",
    ),
    ("--numprocesses", "4", "--dist", "loadfile", "tests/live"),
)


@dataclass(frozen=True)
class Tally:
    """What came of one run of pytest; an error of a fixture or of a file counts as a failure."""

    exit_code: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def run_half(words: tuple[str, ...]) -> Tally:
    """Run pytest with these words, its output shown; where it dies, its exit code alone tells."""
    with TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, "--junitxml", results], check=False
        )
        return read_tally(results, done.returncode)


def read_tally(results: Path, exit_code: int) -> Tally:
    """The numbers of a JUnit file; a pytest that died before it wrote one is one failure."""
    if not results.is_file():
        return Tally(exit_code, failed=1)
    suites = ElementTree.parse(results).getroot().iter("testsuite")
    counts = [
        [int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")]
        for suite in suites
    ]
    tests, failures, errors, skipped = (sum(column) for column in zip(*counts, strict=True))
    return Tally(exit_code, tests - failures - errors - skipped, failures + errors, skipped)


def summary(tallies: list[Tally]) -> str:
    """One line, in the form in which other programs know a test runner's last one."""
    passed, failed, skipped = (
        sum(getattr(t, name) for t in tallies) for name in ("passed", "failed", "skipped")
    )
    return f"tests: {passed} passed, {failed} failed, {skipped} skipped"


def main() -> int:
    """Run both halves; 0 where nothing failed in either, else 1."""
    start_s = time.monotonic()
    tallies = [run_half(words) for words in HALVES]
    minutes, seconds = divmod(round(time.monotonic() - start_s), 60)
    print(f"Both halves of the tests, in {minutes} min {seconds} s:")
    print(summary(tallies))
    return int(any(tally.exit_code != 0 or tally.failed for tally in tallies))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
