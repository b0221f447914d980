"""Live recordings that are killed: what was heard is there but for its last 2 s,
and each sample is the one sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.live.test_recorder import LOSS_S, kill_one
from tests.reliability import forked
from tests.reliability.forked import Command

from emodict.recording.session import open_session

LONGEST_S = 6.0
SOURCE = "people/sub-01.h5"


@dataclass(frozen=True)
class RecordingJob:
    """A command that records a replay, at the pace of the sensors, until it is killed."""

    key: str
    name: str
    module: str
    words: Sequence[str]
    inputs: Sequence[str] = ("people", "model.onnx")

    def kill(self, folder: Path, materials: Path, rng: np.random.Generator) -> str | None:
        """Kill it once; what was lost, as a sentence."""
        folder.mkdir(parents=True)
        run = folder / "run"
        run.mkdir()
        for name in self.inputs:
            (run / name).symlink_to(materials / name)
        ended = forked.run_killed(
            Command(self.module, self.words), run, rng.uniform(0.0, LONGEST_S)
        )
        if ended.code != -9:
            return f"it ended with {ended.code}: {ended.said[-300:]}"
        out = run / "live.h5"
        heard_s = _heard_s(ended.said)
        if not out.exists():
            return f"{heard_s} s were heard, and there is no file" if heard_s else None
        return _compare(out, materials / SOURCE, heard_s)


def _compare(out: Path, source: Path, heard_s: float) -> str | None:
    """The recording against what was replayed."""
    with open_session(source) as sent, open_session(out) as kept:
        if heard_s > LOSS_S and not kept.signals:
            return f"{heard_s:.1f} s were heard, and no signal is there"
        for modality, signal in kept.signals.items():
            samples = signal.read(0, signal.sample_count)
            wanted = sent.signals[modality].read(0, signal.sample_count)
            if not np.array_equal(samples, wanted, equal_nan=True):
                return f"samples of {modality} are not those that were sent"
            kept_s = signal.sample_count / signal.rate_hz
            if kept_s < heard_s - LOSS_S:
                return f"{heard_s:.2f} s of {modality} were heard, {kept_s:.2f} s are there"
    return None


def _heard_s(said: str) -> float:
    """What the command had said it heard: samples counted once a second,
    or rows that end so late.
    """
    counts = re.findall(r"eeg (\d+) samples", said)
    if counts:
        return int(counts[-1]) / 300.0
    rows = [
        json.loads(line)
        for line in said.splitlines()
        if line.startswith("{") and line.endswith("}")
    ]
    return max((row["start_s"] for row in rows if "start_s" in row), default=0.0)


@dataclass(frozen=True)
class SenderJob(RecordingJob):
    """The recorder by itself, each sample a number,
    with streams that appear late and come back at another rate.
    """

    def kill(self, folder: Path, materials: Path, rng: np.random.Generator) -> str | None:
        folder.mkdir(parents=True)
        try:
            short_s = kill_one(folder / "counters.h5", rng.uniform(0.0, 4.0))
        except AssertionError as error:
            return f"what is there is not what was sent: {error}"
        return f"{short_s:.2f} s are lost" if short_s > LOSS_S else None


RECORDINGS = (
    RecordingJob(
        "live",
        "emodict-run --live --record",
        "emodict.cli.run",
        ("--engine", "model.onnx", "--live", f"replay:{SOURCE}", "--record", "live.h5", "--json"),
    ),
    RecordingJob(
        "record",
        "emodict-session record",
        "emodict_desk.cli.session",
        ("record", "--live", f"replay:{SOURCE}", "-o", "live.h5", "--channels", "AF7,AF8,TP9,TP10"),
    ),
    SenderJob("sender", "SessionRecorder", "emodict_desk.cli.session", (), ()),
)
