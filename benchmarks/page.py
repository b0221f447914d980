"""The live page under twenty browsers, slow ones included: its memory, and what it costs a row.

python -m benchmarks.page [MINUTES]         30 minutes; a process of its own,
whose memory is nobody else's
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fixtures import resident_bytes
from emodict.engine.manifest import Manifest
from emodict.engine.model_spec import ModelSpec
from emodict.errors import EmodictError
from emodict.features.spec import load_spec
from emodict.live.page import PageListener, page_address, wire
from emodict.live.row import LIVE, STALLED, LiveRow, SensorState
from emodict.results.prediction import Prediction
from emodict_desk.tables.table import DMER_EMOTIONS

MODALITIES = ("eeg", "gsr", "ppg", "video")
# A row is promised within 50 ms; the page may take a fiftieth of it,
# other work on the machine aside.
MOST_ROW_S = 1e-3
MOST_GROWTH_MB = 5.0
# A replay: rows as fast as this for a while, at the end.
FAST_HZ, FAST_SHARE = 200.0, 0.1
# Less has no row at full speed while there are browsers.
LEAST_MINUTES = 0.2
KEPT, MISSED = "Every promise kept.", "A promise was MISSED."


@dataclass(frozen=True)
class Load:
    """What a run with twenty browsers measured.

    Attributes:
        row_s: (rows,) how long each call of `row` took, at one a second (or `rate_hz`).
        fast_row_s: the same, at 200 a second.
        copy_s: how long a row's copy alone took, in turn before and after:
            what other work does to any code.
        times_s, resident_mb: memory of the process with the page, once a second.
        browsers: what they saw, as page_browsers prints it.
    """

    row_s: np.ndarray
    fast_row_s: np.ndarray
    copy_s: np.ndarray
    times_s: np.ndarray
    resident_mb: np.ndarray
    cpu_share: float
    browsers: dict[str, object]

    @property
    def slope_mb_an_hour(self) -> float:
        """A line through the memory of the second half: the first fills caches and pools."""
        later = self.times_s >= self.times_s[-1] / 2
        return float(3600 * np.polyfit(self.times_s[later], self.resident_mb[later], 1)[0])

    @property
    def growth_mb(self) -> float:
        """Last tenth over second tenth."""
        tenth = max(1, len(self.resident_mb) // 10)
        return float(
            np.median(self.resident_mb[-tenth:]) - np.median(self.resident_mb[tenth : 2 * tenth])
        )


def measure(minutes: float) -> Iterator[str]:
    browsers = "20 browsers: 8 read, 4 never read, 4 read a byte a second, 4 come and go"
    yield f"{minutes:g} min, {browsers}"
    load = run(60 * minutes)
    for name, took_s in (
        ("at 1 Hz", load.row_s),
        (f"at {FAST_HZ:g} Hz", load.fast_row_s),
        ("copy alone", load.copy_s),
    ):
        at = " ".join(f"p{p}={1e3 * np.percentile(took_s, p):.3f}" for p in (50, 95, 99, 100))
        yield f"row() {name:<11} {len(took_s)} rows, ms: {at}"
    seen = load.browsers
    at = " ".join(f"p{p}={np.percentile(seen['delays_ms'], p):.2f}" for p in (50, 95, 99, 100))
    yield f"row to a browser's script, ms: {at}"
    yield (
        f"rows per reader {min(seen['rows'])} to {max(seen['rows'])}, "
        f"of which not told {seen['missed']}; "
        f"{seen['visits']} visits, {seen['dropped']} slow browsers dropped"
    )
    yield (
        f"memory {load.resident_mb[0]:.1f} MB at first, {load.resident_mb[-1]:.1f} at last; "
        f"growth {load.growth_mb:+.2f} MB, slope {load.slope_mb_an_hour:+.2f} MB/h of "
        f"the second half"
    )
    share = f"{100 * load.cpu_share:.2f} % of one core"
    yield f"processor: {share} for making rows and serving the page"
    kept = load.growth_mb <= MOST_GROWTH_MB and np.percentile(load.row_s, 95) <= MOST_ROW_S
    yield KEPT if kept else MISSED


def run(seconds: float, *, rate_hz: float = 1.0) -> Load:
    """Serve rows for so long; the last tenth of them at full speed."""
    rng = np.random.default_rng(7)
    row_s: list[float] = []
    fast_row_s: list[float] = []
    copy_s: list[float] = []
    memory: list[tuple[float, float]] = []
    with PageListener(page_address("127.0.0.1:0"), model="model.onnx") as page:
        page.begin(manifest(), "noise")
        port = page.url.rstrip("/").rpartition(":")[2]
        command = [sys.executable, "-m", "benchmarks.page_browsers", port, str(seconds)]
        root = Path(__file__).resolve().parents[1]
        browsers = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        began, spent = time.perf_counter(), time.process_time()
        number, due, measured_at = 0, began, 0.0
        while (now := time.perf_counter()) < began + seconds:
            if now - began >= measured_at:
                memory.append((now - began, resident_bytes() / 2**20))
                measured_at += 1.0
            fast = now - began > (1 - FAST_SHARE) * seconds
            row = noise(number, rng)
            works = [(fast_row_s if fast else row_s, lambda row=row: page.row(row))]
            works += [] if fast else [(copy_s, lambda row=row: wire.second(row))]
            # The first to come after a second's sleep pays for waking up.
            for took_s, work in works if number % 2 else works[::-1]:
                took_s.append(_took(work))
            number, due = number + 1, due + 1 / (FAST_HZ if fast else rate_hz)
            time.sleep(max(0.0, due - time.perf_counter()))
        cpu_share = (time.process_time() - spent) / seconds
        said, _ = browsers.communicate(timeout=60)
        if browsers.returncode:
            raise RuntimeError("the browsers failed")
    times, resident = np.array(memory).T
    return Load(
        np.array(row_s),
        np.array(fast_row_s),
        np.array(copy_s),
        times,
        resident,
        cpu_share,
        json.loads(said),
    )


def _took(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def manifest() -> Manifest:
    features = load_spec("emodict-1")
    spec = ModelSpec(DMER_EMOTIONS, features.modality_names)
    missing = np.zeros((features.tokens, features.token_width))
    return Manifest(
        features, spec, missing, np.full(len(DMER_EMOTIONS), 0.1), graph_sha256="0" * 64
    )


def noise(
    number: int, rng: np.random.Generator, *, answered: bool = True, simulated: bool = True
) -> LiveRow:
    """A second of a person who feels everything at once, with a camera that stalls now and then."""
    stalled = number % 20 >= 15
    valid = np.array([[True, True, True, not stalled]])
    quality = np.where(valid, rng.uniform(0.6, 1.0, (1, 4)), 0.0)
    distribution, weights = rng.dirichlet(np.full(10, 8.0), size=1), rng.normal(size=(1, 32))
    if not answered:
        distribution, weights = np.full_like(distribution, np.nan), np.full_like(weights, np.nan)
    prediction = Prediction(
        "live",
        DMER_EMOTIONS,
        MODALITIES,
        np.array([float(number)]),
        distribution,
        weights,
        valid,
        quality,
        simulated=simulated,
    )
    sensors = tuple(
        SensorState(name, LIVE if ok else STALLED, f"device of {name}", 100.0, bool(ok), float(q))
        for name, ok, q in zip(MODALITIES, valid[0], quality[0], strict=True)
    )
    return LiveRow(prediction, sensors, time.time(), 0.01)


def main(words: list[str]) -> int:
    try:
        minutes = float(words[0]) if words else 30.0
    except ValueError:
        minutes = math.nan
    if not minutes >= LEAST_MINUTES:
        print(f"MINUTES is a number from {LEAST_MINUTES} up, not {words[0]}", file=sys.stderr)
        return 2
    try:
        for line in measure(minutes):
            print(line, flush=True)
    except EmodictError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return int(line == MISSED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
