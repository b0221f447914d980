"""make mutants: small wrong changes in what everything rests on;
the tests beside each must notice.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.reliability.changes import Change, changes
from tests.reliability.mutant_tests import GROUPS, files_of, judges_of

REPOSITORY = Path(__file__).parents[2]
SAME_PROGRAM = Path(__file__).with_name("same_program.json")
ROOTS = ("", "runtime", "train", "export", "calibration")
# Of others, and slow to start: every run of tests is forked from a process that has them.
PRELOADED = (
    "numpy",
    "h5py",
    "torch",
    "scipy.signal",
    "scipy.stats",
    "sklearn.kernel_ridge",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "hypothesis",
    "typer",
    "edfio",
    "pyxdf",
    "fastavro",
    "pyarrow",
    "cv2",
    "neurokit2",
    "pandas",
)
# Shares of the mutants that must be killed: of all, and of those of a group.
LEAST, LEAST_OF = 0.92, {"live/clock": 0.85, "live/stamps": 0.85}
AT_ONCE = 2
# Of the unchanged program's own time; what takes longer hangs.
PATIENCE, PATIENCE_S, LONGEST_S = 4.0, 20.0, 600.0
MEMORY_BYTES = 16 * 2**30

Key = TypeVar("Key")


@dataclass(frozen=True)
class Mutant:
    """One change of one file, and the tests that should notice."""

    group: str
    file: str
    change: Change

    def __str__(self) -> str:
        return f"{self.file}:{self.change.line}  {self.change.words}"


@dataclass(frozen=True)
class Verdict:
    """What became of a run of tests: the test that failed first, "" where none did."""

    failed: str
    seconds: float


class _FirstFailure:
    """A pytest plugin that writes down the first test that fails, or cannot be collected."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.pytest_collectreport(report)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.path.exists():
            self.path.write_text(report.nodeid.removeprefix("tests/"))


class Worker:
    """A copy of the repository, in which one file at a time is changed and its tests are run."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.scratch, self.log = folder / "tree", folder / "scratch", folder / "log"
        self.failed = folder / "failed"
        ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "api", "demo")
        shutil.copytree(REPOSITORY, self.tree, ignore=ignored)
        self.turn = 0

    def start(self, mutant: Mutant | None, tests: Sequence[str], limit_s: float) -> None:
        """Change the file, if any, and run the tests in a process of their own."""
        self.mutant, self.limit_s = mutant, limit_s
        if mutant is not None:
            path = self.tree / mutant.file
            self.before, self.time_s = path.read_bytes(), path.stat().st_mtime
            path.write_bytes(mutant.change.apply(self.before))
            # Python takes a compiled file for that of a source of the same size and time.
            self.turn += 1
            os.utime(path, (self.turn, self.turn))
        self.scratch.mkdir()
        self.began_s = time.monotonic()
        self.process = os.fork()
        if self.process == 0:
            try:
                self._run(tests)
            finally:
                os._exit(1)

    def _run(self, tests: Sequence[str]) -> None:
        """In the new process: pytest in this tree, of which all is imported anew."""
        os.setsid()
        os.chdir(self.tree)
        log = os.open(self.log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(log, stream)
        roots = [str(self.tree / root) for root in ROOTS]
        os.environ |= {"PYTHONPATH": os.pathsep.join(roots), "TMPDIR": str(self.scratch)}
        os.environ["HYPOTHESIS_PROFILE"] = "first"
        tempfile.tempdir = None
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        # In the place of the repository's own folders;
        # what is installed may well lie in a .venv inside it.
        replaced = {REPOSITORY / root for root in ROOTS}
        sys.path[:] = [*roots, *(path for path in sys.path if path and Path(path) not in replaced)]
        for name in [
            name for name in sys.modules if name.split(".")[0].startswith(("tests", "emodict"))
        ]:
            del sys.modules[name]
        # What is imported already keeps its assertions as they are.
        words = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
        ]
        words.append(f"--basetemp={self.scratch / 'pytest'}")
        # One file after the other: most mutants are killed by the first, and then the others need
        # not be read. Each in a process of its own: what one leaves behind must not fail the next.
        for test in tests:
            process = os.fork()
            if process == 0:
                code = pytest.main([*words, test], [_FirstFailure(self.failed)])
                sys.stdout.flush()
                os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            if code:
                os._exit(code if code > 0 else 1)
        os._exit(0)

    @property
    def hangs(self) -> bool:
        return time.monotonic() - self.began_s > self.limit_s

    @property
    def ended(self) -> bool:
        # Left a zombie, so that its number, which is its group's, is no one else's.
        return (
            self.hangs
            or os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
        )

    def verdict(self) -> Verdict:
        """What came out; what is still running is killed,
        with all that it started, and the file as it was.
        """
        seconds, hangs = time.monotonic() - self.began_s, self.hangs
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        failed = f"its process: it died with {code}" if code else ""
        if self.failed.exists():
            failed = self.failed.read_text()
            self.failed.unlink()
        elif hangs:
            failed = f"time: no end in {self.limit_s:.0f} s"
        if self.mutant is not None:
            path = self.tree / self.mutant.file
            path.write_bytes(self.before)
            os.utime(path, (self.time_s, self.time_s))
        shutil.rmtree(self.scratch, ignore_errors=True)
        return Verdict(failed, seconds)


def chosen(count: int, seed: int, wanted: Sequence[str]) -> tuple[list[Mutant], Counter[str]]:
    """That many mutants at random, and how many were passed over, by group:
    they are the same program.

    Half of them are shared out by the sizes of the groups, half evenly,
    so that a small one is seen, too.
    """
    rng = random.Random(seed)
    same = {
        (place["file"], place["line"], place["change"])
        for place in json.loads(SAME_PROGRAM.read_text())
    }
    every = {
        group: [
            Mutant(group, file, c)
            for file in files_of(group)
            for c in changes((REPOSITORY / file).read_bytes())
        ]
        for group in wanted
    }
    total = sum(map(len, every.values()))
    drawn: list[Mutant] = []
    skipped: Counter[str] = Counter()
    for group, mutants in every.items():
        share = round(count / 2 * (1 / len(wanted) + len(mutants) / total))
        for mutant in rng.sample(mutants, len(mutants)):
            if share == 0:
                break
            if (mutant.file, mutant.change.text, mutant.change.words) in same:
                skipped[group] += 1
            else:
                drawn.append(mutant)
                share -= 1
    return drawn, skipped


def run_all(mutants: Sequence[Mutant], scratch: Path) -> Iterator[tuple[Mutant, Verdict]]:
    """Each mutant's verdict as it comes."""
    workers = [Worker(scratch / str(i)) for i in range(AT_ONCE)]
    judges = {test for mutant in mutants for test in judges_of(mutant.group, mutant.file)}
    print(f"First these {len(judges)} files of tests on the program as it is", flush=True)
    usual_s: dict[str, float] = {}
    for test, verdict in _run(
        [(test, None, [test], LONGEST_S) for test in sorted(judges)], workers
    ):
        if verdict.failed:
            raise SystemExit(
                f"The program as it is fails {verdict.failed}: nothing can be learnt from mutants"
            )
        usual_s[test] = verdict.seconds
    runs = []
    for mutant in mutants:
        tests = judges_of(mutant.group, mutant.file)
        runs.append(
            (mutant, mutant, tests, PATIENCE_S + PATIENCE * sum(usual_s[test] for test in tests))
        )
    yield from _run(runs, workers)


def _run(
    runs: Sequence[tuple[Key, Mutant | None, Sequence[str], float]], workers: Sequence[Worker]
) -> Iterator[tuple[Key, Verdict]]:
    """All of the runs, each with its name, its tests and its limit,
    as many side by side as there are workers.
    """
    waiting, idle = list(reversed(runs)), list(workers)
    busy: dict[Worker, Key] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                name, mutant, tests, limit_s = waiting.pop()
                worker = idle.pop()
                worker.start(mutant, tests, limit_s)
                busy[worker] = name
            time.sleep(0.05)
            for worker in [worker for worker in busy if worker.ended]:
                idle.append(worker)
                yield busy.pop(worker), worker.verdict()
    finally:
        # Interrupted: they are in sessions of their own, and would go on.
        for worker in busy:
            worker.verdict()


def main() -> int:
    """Print what became of each mutant; 1 where fewer than the shares wanted were killed."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=200, help="how many mutants")
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("groups", nargs="*", help=f"of these alone: {', '.join(GROUPS)}")
    given = parser.parse_args()
    groups = given.groups or list(GROUPS)
    if strange := set(groups) - set(GROUPS):
        parser.error(f"no group {', '.join(strange)}; there are {', '.join(GROUPS)}")
    mutants, skipped = chosen(given.count, given.seed, groups)
    _preload()
    began_s = time.monotonic()
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="emodict-mutants-") as scratch:
        for mutant, verdict in run_all(mutants, Path(scratch)):
            verdicts.append((mutant, verdict))
            each_s = sum(verdict.seconds for _, verdict in verdicts) / len(verdicts)
            left_s = each_s * (len(mutants) - len(verdicts)) / AT_ONCE
            ended = f"killed by {verdict.failed}" if verdict.failed else "LIVED"
            print(f"[{len(verdicts)}/{len(mutants)}, {left_s / 60:.0f} min left] {mutant}  {ended}"
                  f"  {verdict.seconds:.1f} s", flush=True)  # fmt: skip
    return report(verdicts, skipped, time.monotonic() - began_s)


def report(verdicts: Sequence[tuple[Mutant, Verdict]], skipped: Counter[str], took_s: float) -> int:
    """Shares by group, and who lived."""
    by_group: dict[str, list[bool]] = defaultdict(list)
    for mutant, verdict in verdicts:
        by_group[mutant.group].append(bool(verdict.failed))
    print(
        f"\n{'group':12}{'mutants':>9}{'killed':>8}{'share':>8}   passed over as the same program"
    )
    for group, killed in by_group.items():
        print(
            f"{group:12}{len(killed):9}{sum(killed):8}{sum(killed) / len(killed):8.1%}   "
            f"{skipped[group]}"
        )
    every = [killed for group in by_group.values() for killed in group]
    share = sum(every) / len(every)
    print(
        f"{'all':12}{len(every):9}{sum(every):8}{share:8.1%}   {skipped.total()}   in "
        f"{took_s:.0f} s\n"
    )
    for mutant, verdict in verdicts:
        if not verdict.failed:
            print(f"LIVED {mutant}\n      {mutant.change.text}")
    wanted = {group: least for group, least in LEAST_OF.items() if group in by_group}
    too_few = [
        group
        for group, least in wanted.items()
        if sum(by_group[group]) < least * len(by_group[group])
    ]
    if share < LEAST:
        too_few.append("all")
    if too_few:
        print(
            f"Too few were killed of {', '.join(too_few)}: write a test for each that lived, or, "
            f"where it is the same"
            f" program, say so in {SAME_PROGRAM.name}"
        )
    return int(bool(too_few))


def _preload() -> None:
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
