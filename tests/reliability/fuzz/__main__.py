"""`make fuzz`: atheris on every target in turn, and a table of what came of it; `...
again TARGET FILE` replays one.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS = 600
FEWEST_SECONDS = 2
# The last input may take its time, and so may the first ones.
GRACE_S = 120
FOUND = Path("fuzz-found")
_NO_ATHERIS = (
    "make fuzz needs atheris, which has no wheel for this Python or processor: "
    "use Python 3.11 or 3.12 on x86-64"
)


@dataclass(frozen=True)
class Row:
    """One line of the table: how often a target was asked, and the input that it failed at."""

    target: str
    executions: int
    seconds: float
    found: Path | None = None
    how: str = ""

    def __str__(self) -> str:
        result = "clean" if self.found is None else f"FOUND: {self.how}"
        return f"{self.target:32} {self.executions:>10,} {self.seconds:>7.0f} s  {result}"


def main(words: list[str]) -> int:
    if words[:1] == ["again"]:
        return again(words[1], Path(words[2]))
    try:
        import atheris  # noqa: F401
    except ImportError:
        print(_NO_ATHERIS, file=sys.stderr)
        return 1
    ends_s = time.monotonic() + (float(words[0]) if words else SECONDS)
    from tests.reliability.fuzz import one

    one.load()
    from tests.reliability.fuzz.registry import TARGETS

    names = words[1:] or list(TARGETS)
    rows = []
    for at, name in enumerate(names):
        left_s = (ends_s - time.monotonic()) / (len(names) - at)
        print(f"[{at + 1}/{len(names)}] {name}, {max(left_s, 0):.0f} s", flush=True)
        rows.append(fuzz(name, left_s))
        print(f"    {rows[-1]}", flush=True)
    print(f"\n{'target':32} {'executions':>10} {'time':>9}  result", *rows, sep="\n")
    for row in rows:
        if row.found is not None:
            print(f"\n{row.target}: {row.how}\n    {replay(row)}")
    return int(any(row.found for row in rows))


def fuzz(name: str, share_s: float) -> Row:
    """Run one target for its share of the time."""
    from tests.reliability.fuzz.one import COUNT, LAST

    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        code, said = _run(name, max(FEWEST_SECONDS, round(share_s)), folder)
        executions = int((folder / COUNT).read_text() or 0) if (folder / COUNT).is_file() else 0
        found = _keep(name, folder / LAST) if code != 0 else None
    return Row(name, executions, time.monotonic() - began_s, found, said)


def _run(name: str, seconds: int, folder: Path) -> tuple[int, str]:
    """(exit code, why it failed) of a fork of this process,
    so that a fault in C ends that alone.
    """
    from tests.reliability.fuzz import one

    process = multiprocessing.get_context("fork").Process(
        target=one.main, args=(name, seconds, folder)
    )
    process.start()
    process.join(seconds + GRACE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        return 1, "hangs where Python cannot reach it"
    return process.exitcode, _why(process.exitcode, (folder / one.LOG).read_text(errors="replace"))


def _why(code: int, log: str) -> str:
    said = [
        line
        for line in log.splitlines()
        if "FoundError: " in line or line.startswith(("Fatal", "==", "Timeout"))
    ]
    if said:
        # The last line of all is what was raised in the end.
        last = next(
            (
                line
                for line in reversed(log.splitlines())
                if re.match(r"[\w.]+(Error|Exception|Hung)\b", line)
            ),
            "",
        )
        return f"{said[0].partition('FoundError: ')[2] or said[0]} {last}".strip()[:160]
    return (
        f"ended by signal {-code}"
        if code < 0
        else f"exit code {code}: {' '.join(log.split()[-30:])}"
    )


def _keep(name: str, last: Path) -> Path:
    content = last.read_bytes() if last.is_file() else b""
    FOUND.mkdir(exist_ok=True)
    path = (
        FOUND
        / f"{name.replace(' ', '-').replace(',', '')}-{hashlib.sha256(content).hexdigest()[:12]}"
    )
    path.write_bytes(content)
    return path


def replay(row: Row) -> str:
    return shlex.join(
        [
            os.path.relpath(sys.executable),
            "-m",
            "tests.reliability.fuzz",
            "again",
            row.target,
            str(row.found),
        ]
    )


def again(name: str, path: Path) -> int:
    """Read one input once more, with all that comes of it."""
    from tests.reliability.fuzz.registry import TARGETS

    refusal = TARGETS[name].check(path.read_bytes())
    print(f"refused: {refusal}" if refusal else "a result")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
