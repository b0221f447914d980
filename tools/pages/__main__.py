"""Run what the pages show of the demo's models, once, and write it into them:
excerpts, figures and pictures.

python -m tools.pages          (`make pages`: about eight minutes of two cores)
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import torch
from tools.pages import plan
from tools.pages.excerpts import BLOCK, NotSaidError, Shown, renewed, shown_in, without_progress
from tools.pages.figures import (
    MEAN_LABEL,
    MODEL,
    Figures,
    Run,
    Seen,
    read_figures,
    with_seen,
    write_figures,
)
from tools.pages.kernels import KERNELS, kl_under
from tools.pages.pictures import browser, picture_of_live_page, picture_of_report, require_chromium
from tools.pages.stamps import is_stamped, stamp_png, stamp_svg, with_section

from emodict.cli.app import Progress

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".pages"
DEMO, OTHER = WORK / "demo", WORK / "other"
FIGURES = ROOT / "docs" / "figures.json"
REPORT, LIVE = "docs/report.png", "docs/live-page.png"
LIVE_FILES = ROOT / "runtime" / "emodict" / "live" / "page" / "static"
PACKAGES = ("emodict", "torch", "numpy", "scipy", "scikit-learn", "onnxruntime")
MEASURES = ("chebyshev", "clark", "canberra", "kl", "cosine", "intersection")
# Each figure as emodict-run prints it, by row.
Measures = dict[str, dict[str, str]]


def main() -> None:
    require_chromium()
    # Two things run at a time: the commands of the pages, and the training under other kernels.
    print(
        f"Pages: about {_whole_s() / 2 / 60:.0f} min on two cores that nothing else uses",
        file=sys.stderr,
    )
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    try:
        with Progress("Pages", _whole_s(), unit=" s of work") as bar:
            _make(Work(bar))
    except (NotSaidError, subprocess.CalledProcessError, ValueError) as error:
        said = getattr(error, "stdout", None) or ""
        sys.exit(
            f"make pages: {error}\n{said}The pages are as they were; "
            f"what was run lies in {WORK.name}/."
        )
    shutil.rmtree(WORK)


def _make(work: Work) -> None:
    read = {page.path: _text(page.path) for page in plan.PAGES}
    _run_demo(work)
    with ThreadPoolExecutor(max_workers=1) as beside:
        others = {
            name: beside.submit(_other_kernels, work, name) for name in KERNELS if KERNELS[name]
        }
        try:
            texts = {page.path: _renewed_page(work, page, read[page.path]) for page in plan.PAGES}
            stranger = _measures(texts["README.md"])
            kl = _by_kernels(work, stranger[MODEL]["kl"], others)
        except BaseException:
            beside.shutdown(wait=False, cancel_futures=True)
            raise
    if edited := [path for path, text in read.items() if _text(path) != text]:
        raise ValueError(f"{', '.join(edited)} was edited while the commands ran; run it again")
    before = read_figures(FIGURES)
    run = _this_run(_digest(texts, kl), before)
    seen = with_seen(() if before is None else before.seen, Seen(run.cpu, run.date, kl))
    drawn = _write_pictures(work, run.stamp) or (before.drawn if before else {})
    pictures = {path: _sha256(ROOT / path) for path in (REPORT, LIVE, *plan.DRAWINGS)}
    figures = Figures(run, stranger, drawn, pictures, seen)
    _write_pages(texts, figures)
    write_figures(figures, FIGURES)
    print(
        f"Run {run.stamp}, {run.cpu}: {len(texts)} pages, {len(pictures)} pictures, "
        f"{FIGURES.relative_to(ROOT)}"
    )


def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@dataclass
class Work:
    """What has been done of it; commands are started here, by two threads."""

    bar: Progress
    _done_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, seconds: float, what: str) -> None:
        with self._lock:
            self._done_s += seconds
            self.bar.show(self._done_s, what)

    def type(self, command: str, folder: Path) -> list[str]:
        """The lines that a command says, output and errors as they come."""
        done = _start(*shlex.split(command, comments=True), cwd=folder)
        self.done(plan.expected_s(command), command)
        return done.stdout.splitlines()


def _start(
    *words: str, cwd: Path, check: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    scripts = sysconfig.get_path("scripts")
    python = (
        [sys.executable, str(ROOT / words[1]), *words[2:]] if words[0] == "python" else list(words)
    )
    path = f"{scripts}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        **variables,
    }
    return subprocess.run(
        python, cwd=cwd, env=environment, check=check, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _whole_s() -> float:
    commands = [command for page in plan.PAGES for _, command in _typed(page)]
    kernels_s = plan.KERNELS_S * (len(KERNELS) - 1)
    return plan.DEMO_S + plan.PICTURES_S + kernels_s + sum(map(plan.expected_s, commands))


def _typed(page: plan.Page) -> Iterator[tuple[Shown, str]]:
    """Every command that is typed for a page, with what it is typed for."""
    for shown in shown_in(_text(page.path)):
        if shown.output and plan.is_renewed(shown.command):
            yield from ((shown, command) for command in (*plan.first(shown.command), shown.command))


def _run_demo(work: Work) -> None:
    """The demo, as `make demo` runs it, and what the pages call its files."""
    _start("python", "examples/demo.py", str(DEMO), cwd=WORK, check=True)
    OTHER.mkdir()
    shutil.copy(DEMO / "stranger" / "sub-01.h5", DEMO / "session.h5")
    shutil.copy(DEMO / "session.h5", DEMO / "broken.h5")
    with h5py.File(DEMO / "broken.h5", "r+") as file:
        file["signals/ppg"].attrs["sampling_rate"] = 0.0
    work.done(plan.DEMO_S, "examples/demo.py")


def _other_kernels(work: Work, name: str) -> str:
    kl = kl_under(name, _start, DEMO, WORK / name.replace(" ", "-"))
    work.done(plan.KERNELS_S, f"the demo's training, {name}")
    return kl


def _by_kernels(work: Work, own: str, others: dict[str, Future[str]]) -> dict[str, str]:
    return {name: others[name].result() if name in others else own for name in KERNELS}


def _renewed_page(work: Work, page: plan.Page, text: str) -> str:
    """The text of a page with what its commands and snippets say now."""
    folder = [DEMO]
    namespace: dict[str, object] = {"__name__": "__main__"}

    def say(shown: Shown) -> Sequence[str] | None:
        if shown.command.startswith(plan.OTHER_FOLDER):
            folder[0] = OTHER
        if not shown.output or not plan.is_renewed(shown.command):
            return None
        for command in plan.first(shown.command):
            work.type(command, folder[0])
        return work.type(shown.command, folder[0])

    def run(snippet: str) -> str | None:
        if not page.snippets:
            return None
        with contextlib.redirect_stdout(io.StringIO()) as printed, _in_folder(DEMO):
            exec(compile(snippet, page.path, "exec"), namespace)
        return printed.getvalue()

    try:
        return renewed(text, say, run)
    except NotSaidError as error:
        raise NotSaidError(f"{page.path}: {error}") from error


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _measures(readme: str) -> Measures:
    """The six measures of the stranger as README shows them."""
    rows = {
        line[:10]: line[10:].split()
        for line in readme.splitlines()
        if line.startswith((MODEL, MEAN_LABEL))
    }
    return {name: dict(zip(MEASURES, rows[name], strict=True)) for name in (MODEL, MEAN_LABEL)}


def _digest(texts: dict[str, str], kl: dict[str, str]) -> str:
    """Of all that was said and drawn, but for what tells the time."""
    blocks = [
        body
        for text in texts.values()
        for kind, body in BLOCK.findall(text)
        if kind in ("console", "text")
    ]
    said = "\n".join(line for body in blocks for line in without_progress(body.splitlines()))
    drawn = [DEMO / "report.html", *sorted(LIVE_FILES.iterdir()), *map(_drawing, plan.DRAWINGS)]
    whole = hashlib.sha256(f"{said}\n{json.dumps(kl)}".encode())
    for path in drawn:
        whole.update(path.read_bytes())
    return whole.hexdigest()[:8]


def _drawing(path: str) -> Path:
    """Where a command has drawn a picture of the pages."""
    (made,) = [
        folder / plan.DRAWINGS[path]
        for folder in (DEMO, OTHER)
        if (folder / plan.DRAWINGS[path]).exists()
    ]
    return made


def _this_run(stamp: str, before: Figures | None) -> Run:
    """A run that came out as the one on the pages is that one."""
    if before is not None and before.run.stamp == stamp:
        return before.run
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return Run(stamp, datetime.date.today().isoformat(), _cpu(), packages)


def _cpu() -> str:
    """As the system calls it, with the widest vectors that PyTorch uses on it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0] if names else 'a processor without a name'} "
        f"({torch.backends.cpu.get_cpu_capability()})"
    )


def _write_pictures(work: Work, stamp: str) -> dict[str, str] | None:
    """All four; the measures as the report's picture shows them.
    None where they are of this run already.
    """
    if all(is_stamped(ROOT / path, stamp) for path in (REPORT, LIVE, *plan.DRAWINGS)):
        return None
    with browser() as tab:
        report, drawn = picture_of_report(tab, DEMO / "report.html")
        live = picture_of_live_page(tab, DEMO / "model.onnx", DEMO / "session.h5")
    (ROOT / REPORT).write_bytes(stamp_png(report, stamp))
    (ROOT / LIVE).write_bytes(stamp_png(live, stamp))
    for path in plan.DRAWINGS:
        (ROOT / path).write_text(
            stamp_svg(_drawing(path).read_text(encoding="utf-8"), stamp), encoding="utf-8"
        )
    work.done(plan.PICTURES_S, "pictures")
    return drawn


def _write_pages(texts: dict[str, str], figures: Figures) -> None:
    for path, text in texts.items():
        stamped = with_section(text, "run", figures.run.sentence)
        if path == "README.md":
            stamped = with_section(stamped, "range", figures.range_sentence)
        (ROOT / path).write_text(stamped, encoding="utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
