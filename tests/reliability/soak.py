"""make soak: 24 hours of a SIMULATED wrist with faults through the live pipeline;
every fault shows, nothing else does.

python -m tests.reliability.soak [hours] [seed]
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.fixtures import resident_bytes, untrained_model
from numpy.typing import NDArray
from tests.reliability.soak_faults import RESTART_S, Fault, expected
from tests.reliability.soak_wrist import SimulatedWrist

from emodict.cli.app import Progress
from emodict.engine import Engine, open_engine
from emodict.engine.manifest import Manifest
from emodict.features.spec import load_spec
from emodict.live.pipeline import PATIENCE_S
from emodict.live.printing import JsonListener
from emodict.live.recorder import SessionRecorder
from emodict.live.row import LiveRow
from emodict.live.run import run_live
from emodict.recording.recording import Recording
from emodict.recording.session import open_session

HOURS, SEED = 24.0, 0
SPEC = load_spec("emodict-1")
# Python, HDF5 and ONNX Runtime have all they need by then;
# what is added later is added again and again.
SETTLED_SHARE, SETTLED_S = 1 / 12, 900.0
MEMORY_MIB = 8.0
# Patience, what the pulse's resampler looks ahead, and the last chunk.
LONGEST_DELAY_S = PATIENCE_S + 0.5
# float32 samples and a float64 time each; HDF5's chunks and their index.
RECORDING_SPARE, RECORDING_BASE_BYTES = 1.05, 8 << 20
# JSON holds six digits of each of ten shares.
SUM_ATOL = 1e-5


@dataclass
class Soak:
    """What came of a run.

    Attributes:
        violations: what should not have been, as sentences.
        by_kind: of each kind of fault how many there were, and how many rows had to show it.
    """

    seconds: int
    rows: int = 0
    answered: int = 0
    grown_mib: float = 0.0
    longest_delay_s: float = 0.0
    wall_s: float = 0.0
    recording_bytes: int = 0
    violations: list[str] = field(default_factory=list)
    by_kind: dict[str, tuple[int, int]] = field(default_factory=dict)
    valid_share: dict[str, float] = field(default_factory=dict)


def settled_s(seconds: int) -> float:
    """From when on the memory of a run is watched."""
    return max(SETTLED_SHARE * seconds, min(SETTLED_S, seconds / 2))


class _Watch:
    """A listener that watches the memory, and shows how far the run is."""

    def __init__(self, seconds: int, progress: Progress) -> None:
        self._seconds, self._progress = seconds, progress
        self._settled_bytes: int | None = None
        self.grown_mib = 0.0

    def begin(self, manifest: Manifest, source: str) -> None:
        return None

    def row(self, row: LiveRow) -> None:
        second = int(row.prediction.start_s[0])
        if second % 60 == 0:
            now_bytes = resident_bytes()
            if self._settled_bytes is None and second >= settled_s(self._seconds):
                self._settled_bytes = now_bytes
            if self._settled_bytes is not None:
                self.grown_mib = max(self.grown_mib, (now_bytes - self._settled_bytes) / 2**20)
            self._progress.show(second / 60, f"{now_bytes / 2**20:.0f} MiB")

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def soak(seconds: int, seed: int, folder: Path) -> Soak:
    """Run it, with its rows and its recording in `folder`,
    and hold all of it against what was done to the sensors.
    """
    wrist = SimulatedWrist(SPEC, seconds, seed)
    result = Soak(seconds)
    rows, recording = folder / "rows.jsonl", folder / "recording.h5"
    started = time.monotonic()
    with open_engine(untrained_model(folder / "model.onnx", SPEC.modality_names)) as engine:
        result.grown_mib = _run(engine, wrist, seconds, rows, recording)
    result.wall_s = time.monotonic() - started
    valid = _check_rows(rows, result)
    check_faults(wrist.faults, valid, result)
    _check_recording(recording, wrist, result)
    if result.grown_mib > MEMORY_MIB:
        result.violations.append(
            f"memory grew by {result.grown_mib:.1f} MiB, at most {MEMORY_MIB:g} were promised"
        )
    return result


def _run(engine: Engine, wrist: SimulatedWrist, seconds: int, rows: Path, recording: Path) -> float:
    """As `emodict-run --live ... --json --record` does it; how much memory has grown, MiB."""
    with (
        Progress("soak", seconds / 60, unit=" min") as progress,
        rows.open("w") as output,
        contextlib.redirect_stdout(output),
        SessionRecorder(recording, start_s=wrist.now_s(), simulated=True, patient=True) as recorder,
    ):
        watch = _Watch(seconds, progress)
        run_live(engine, wrist, [JsonListener(with_weights=False), watch], on_event=recorder.keep)
    return watch.grown_mib


def _check_rows(path: Path, result: Soak) -> NDArray[np.bool_]:
    """Every second exactly once, in order, on the clock,
    and either answered by numbers or not at all.

    (seconds, modalities) of what was valid; the seconds before the first row are valid.
    """
    valid = np.ones((result.seconds, len(SPEC.modalities)), dtype=bool)
    second, first_unix_s, say = SPEC.first_row_s, math.nan, result.violations.append
    with path.open() as lines:
        for line in lines:
            row = json.loads(line)
            if row["start_s"] != second:
                say(f"second {second}: the row of {row['start_s']} came instead")
                break
            first_unix_s = row["unix_s"] - second if math.isnan(first_unix_s) else first_unix_s
            if abs(row["unix_s"] - second - first_unix_s) > 0.002:
                say(
                    f"second {second}: its time of day is "
                    f"{row['unix_s'] - second - first_unix_s:g} s off"
                )
            valid[second] = [row["valid"][name] for name in SPEC.modality_names]
            _check_answer(row, bool(valid[second].any()), say)
            result.answered += row["distribution"] is not None
            result.longest_delay_s = max(result.longest_delay_s, row["delay_s"])
            second += 1
    result.rows = second - SPEC.first_row_s
    if second != result.seconds:
        say(f"the rows end with second {second - 1} of {result.seconds - 1}")
    if result.longest_delay_s > LONGEST_DELAY_S:
        say(
            f"a row came {result.longest_delay_s:.2f} s after its second; "
            f"{LONGEST_DELAY_S:g} s were promised"
        )
    result.valid_share = dict(zip(SPEC.modality_names, valid.mean(axis=0).tolist(), strict=True))
    return valid


def _check_answer(row: dict, answerable: bool, say: Any) -> None:
    shares = row["distribution"]
    if (shares is not None) != answerable:
        say(
            f"second {row['start_s']}: answered {shares is not None}, "
            f"though a modality is valid: {answerable}"
        )
    elif shares is not None:
        values = np.array(list(shares.values()), dtype=np.float64)
        if not (
            np.isfinite(values).all() and abs(values.sum() - 1) < SUM_ATOL and values.min() >= 0
        ):
            say(f"second {row['start_s']}: {shares} is no distribution")


def check_faults(faults: Sequence[Fault], valid: NDArray[np.bool_], result: Soak) -> None:
    """Each fault is invalid where it must be, and nothing is where no fault was."""
    excused = np.zeros_like(valid)
    # Sensors that appear within the first second begin with the next.
    excused[: SPEC.first_row_s + math.ceil(max(RESTART_S.values()))] = True
    # Between two ticks a sample waits for the next two, which a run that ends does not have.
    excused[-1] = True
    counts: Counter[str] = Counter()
    touched: Counter[str] = Counter()
    for fault in faults:
        column = SPEC.modality_names.index(fault.modality)
        if not fault.happened:
            result.violations.append(f"{fault} did not happen")
            continue
        rows = expected(fault, result.seconds)
        counts[fault.kind] += 1
        touched[fault.kind] += int(rows.must.sum())
        hidden = np.flatnonzero(rows.must & valid[:, column])
        if len(hidden):
            result.violations.append(f"valid in seconds {hidden.tolist()[:10]} in spite of {fault}")
        elif rows.one_of.any() and valid[rows.one_of, column].all():
            result.violations.append(f"nowhere to be seen: {fault}")
        excused[:, column] |= rows.may
    for column, name in enumerate(SPEC.modality_names):
        for first, last in _runs(~valid[:, column] & ~excused[:, column]):
            before = [
                fault for fault in faults if fault.modality == name and fault.start_s <= first + 1
            ]
            after = f"the last fault was {before[-1]}" if before else "no fault was before it"
            result.violations.append(
                f"{name} is invalid in seconds {first} to {last} without a reason; {after}"
            )
    result.by_kind = {kind: (counts[kind], touched[kind]) for kind in sorted(counts)}


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last) of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(first, stop - 1) for first, stop in edges.reshape(-1, 2).tolist()]


def _check_recording(path: Path, wrist: SimulatedWrist, result: Soak) -> None:
    """It opens, is no larger than its samples, and holds all of them but those out of order."""
    result.recording_bytes = path.stat().st_size
    channels = {m.name: len(m.channel_names or m.feature_names) for m in SPEC.modalities}
    most = sum(count * (4 * channels[name] + 8) for name, count in wrist.samples.items())
    if result.recording_bytes > RECORDING_SPARE * most + RECORDING_BASE_BYTES:
        result.violations.append(
            f"the recording has {result.recording_bytes} bytes for {most} of samples"
        )
    with open_session(path) as recording:
        for name, count in wrist.samples.items():
            kept = _kept(recording, name)
            # Of a fault of delivery, what came out of order cannot be stored.
            if not 0.98 * count <= kept <= count:
                result.violations.append(f"{name}: {kept} of {count} samples are in the recording")


def _kept(recording: Recording, name: str) -> int:
    if name == "video":
        return 0 if recording.face is None else len(recording.face.timestamps_s)
    return sum(
        len(signal.timestamps_s)
        for key, signal in recording.signals.items()
        if key.split("_")[0] == name
    )


def describe(result: Soak) -> str:
    """The closing table."""
    lines = [f"{'fault (SIMULATED)':<28}{'times':>7}{'rows that must show it':>25}"]
    lines += [f"{kind:<28}{count:>7}{rows:>25}" for kind, (count, rows) in result.by_kind.items()]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in result.valid_share.items())
    lines += [
        "",
        f"rows: {result.rows} of {result.seconds - SPEC.first_row_s}, "
        f"{result.answered} answered; valid: {shares}",
        f"memory grown after minute {settled_s(result.seconds) / 60:.0f}: "
        f"{result.grown_mib:.1f} MiB",
        f"longest wait for a row: {result.longest_delay_s:.2f} s after its second",
        f"recording: {result.recording_bytes / 2**20:.0f} MiB",
        f"time: {result.wall_s:.0f} s, {1e3 * result.wall_s / result.seconds:.1f} ms a second",
    ]
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    try:
        hours = float(words[0]) if words else HOURS
        seed = int(words[1]) if len(words) > 1 else SEED
    except ValueError:
        print(
            f"A soak run takes hours and a seed, such as 24 0; got {' '.join(words)}",
            file=sys.stderr,
        )
        return 2
    print(f"{hours:g} hours of SIMULATED sensors, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        result = soak(round(hours * 3600), seed, Path(name))
    print(describe(result))
    for violation in result.violations[:50]:
        print(f"VIOLATED: {violation}")
    print(f"{len(result.violations)} violation(s)." if result.violations else "Clean.")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
