"""make bench ARGS=table: all groups three times under three sets of kernels, written into
docs/performance.md.

A ratio of two programs on one machine is not that of another: processors differ in what they run
fast. The sets stand for other machines, and a promise must be kept under each.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result import Bound, Result
from emodict.files.atomic import atomic_path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- make bench ARGS=table -->", "<!-- end -->"
RUNS = 3
SETTINGS: dict[str, dict[str, str]] = {
    "its own kernels": {},
    "OpenBLAS for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "PyTorch for AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
}
PACKAGES = ("numpy", "onnxruntime", "torch", "scipy", "mne", "neurokit2", "openvino")


@dataclass(frozen=True)
class Figure:
    """One line of `make bench` in one run: a ratio, or a number with its unit."""

    name: str
    value: float
    unit: str
    promise: str
    kept: bool

    @classmethod
    def of(cls, result: Result | Bound) -> Figure:
        return cls(result.name, result.value, result.unit, result.promise, result.kept)


def write(groups: Sequence[str]) -> int:
    """Measure, and write the table; 1 if a promise was missed in any run."""
    figures: dict[str, dict[str, list[Figure]]] = defaultdict(lambda: defaultdict(list))
    for run in range(RUNS):
        for setting, environment in SETTINGS.items():
            for group in groups:
                print(f"-- run {run + 1} of {RUNS}, {setting}: {group}", flush=True)
                for figure in _measured(group, environment):
                    figures[figure.name][setting].append(figure)
        # After each run: what was measured is kept if the next is stopped.
        _write_page(rendered(figures))
    print(f"Wrote {PAGE}")
    return int(any(not f.kept for rows in figures.values() for each in rows.values() for f in each))


def _write_page(table: str) -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    with atomic_path(PAGE) as path:
        path.write_text(f"{before}{BEGIN}\n{table}{END}{after}", encoding="utf-8")


def _measured(group: str, environment: Mapping[str, str]) -> Iterator[Figure]:
    command = [sys.executable, "-m", "benchmarks", "--json", group]
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    for line in done.stdout.splitlines():
        yield Figure(**json.loads(line))


def rendered(figures: Mapping[str, Mapping[str, Sequence[Figure]]]) -> str:
    """The table as Markdown: the median of the runs, and the least and the largest of them."""
    lines = [
        f"*{machine()}*",
        "",
        f"| figure | promised | {' | '.join(SETTINGS)} |",
        f"|---|---|{'---|' * len(SETTINGS)}",
    ]
    for name, by_setting in figures.items():
        promise = next(iter(by_setting.values()))[0].promise
        cells = " | ".join(_cell(by_setting.get(setting, ())) for setting in SETTINGS)
        lines.append(f"| {name} | {promise} | {cells} |")
    return "\n".join(lines) + "\n"


def _cell(runs: Sequence[Figure]) -> str:
    if not runs:
        return "not run"
    values = [figure.value for figure in runs]
    missed = "" if all(figure.kept for figure in runs) else " **missed**"
    if len(runs) > 1:
        missed = f" ({number(min(values))} to {number(max(values))}){missed}"
    median = f"{number(statistics.median(values))} {runs[0].unit}".rstrip()
    return f"{median}{missed}"


def number(value: float) -> str:
    """Three digits, without a power of ten where a person would write none."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine() -> str:
    """Processor, cores, Python and packages."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores; Python {platform.python_version()}, {versions}"


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def as_json(figure: Figure) -> str:
    """A line that `write` reads back."""
    return json.dumps(dataclasses.asdict(figure))
