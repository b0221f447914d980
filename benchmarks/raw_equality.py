"""A raw graph against Python over many seconds of simulated people with faults.

python -m benchmarks.raw_equality model.pt [--rows 100000]

Counts the rows in which valid or answered is another, and prints how far the distributions are
apart, and by how much each feature is off in float32: as it is, and in standard deviations of the
training rows, which is what the model sees.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emodict.engine.manifest import Manifest
from emodict.recording.modalities import EEG
from emodict_desk.raw import QUALITY, VALID, raw_inputs, raw_seconds
from emodict_export.export import checkpoint_manifest
from emodict_export.raw.export import largest_error, onnxruntime_run, raw_onnx, run_seconds
from emodict_export.vectors import (
    Rows,
    Seconds,
    add_faults,
    electrode_offsets,
    expected_rows,
    in_seconds,
)
from emodict_train.model.checkpoint import Checkpoint, load_checkpoint
from emodict_train.simulate import simulate_person
from emodict_train.simulate.course import SimulationPlan

PEOPLE, TRIALS = 8, 40


class Worst:
    """What is worst so far, and how many rows it was looked for in."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._features = checkpoint.features
        scale = checkpoint.states[0]["standardise.scale"].double().numpy()
        self._scale = scale.reshape(self._features.tokens, -1)
        self._off = np.zeros_like(self._scale)
        self._rows = self._answered = self._valid_equal = self._answered_equal = 0
        self._share = self._quality = 0.0

    def take(self, got: dict[str, np.ndarray], expected: Rows) -> None:
        windows = expected.windows
        answered = np.isfinite(got["distribution"][:, 0])
        self._rows += len(answered)
        self._answered += int(expected.answered.sum())
        self._valid_equal += int((got[VALID] == windows.valid).all(axis=1).sum())
        self._answered_equal += int((answered == expected.answered).sum())
        self._share = max(self._share, largest_error(got, expected))
        self._quality = max(self._quality, float(np.abs(got[QUALITY] - windows.quality).max()))
        for column, name in enumerate(self._features.modality_names):
            part, rows = self._features.token_slices[name], windows.valid[:, column]
            off = np.abs(got["tokens"][rows, part] - windows.tokens[rows, part])
            self._off[part] = np.maximum(self._off[part], off.max(axis=0, initial=0.0))

    def summary(self) -> str:
        return (
            f"{self._rows} rows, {self._answered} answered: valid equal in {self._valid_equal}, "
            f"answered equal in {self._answered_equal}, shares within {self._share:.1e}, "
            f"quality within {self._quality:.1e}"
        )

    def features(self) -> Iterator[str]:
        """Of each feature the largest error; of band powers, the worst channel's."""
        yield f"{'feature':<24}{'error':>12}{'in standard deviations':>26}"
        for modality in self._features.modalities:
            part = self._features.token_slices[modality.name]
            off = self._off[part].reshape(-1)[: modality.dims]
            scaled = off / self._scale[part].reshape(-1)[: modality.dims]
            worst: dict[str, tuple[float, float]] = {}
            for name, *pair in zip(modality.feature_names, off, scaled, strict=True):
                group = name.split("_")[0] if modality.bands else name
                known = worst.get(group, (0.0, 0.0))
                worst[group] = max(known[0], pair[0]), max(known[1], pair[1])
            for name, (error, share) in worst.items():
                yield f"{modality.name + ' ' + name:<24}{error:>12.1e}{share:>26.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    for line in measure(load_checkpoint(given.model), given.rows):
        print(line, flush=True)


def measure(checkpoint: Checkpoint, rows: int) -> Iterator[str]:
    """The lines of the report."""
    graph, _ = raw_onnx(checkpoint, with_tokens=True)
    run = onnxruntime_run(graph)
    worst = Worst(checkpoint)
    for seconds in people_with_faults(checkpoint, rows):
        got = run_seconds(run, graph, seconds)
        expected = expected_rows(checkpoint, seconds)
        worst.take(got, expected)
        yield worst.summary()
    yield from worst.features()


def people_with_faults(checkpoint: Checkpoint, rows: int) -> Iterator[Seconds]:
    """As many seconds as rows are wanted; of each person again and again, with other faults."""
    features = checkpoint.features
    plan = SimulationPlan(trials=TRIALS, faults_per_min=0.5, eeg_channels=features.channel_names)
    manifest = _with_inputs(checkpoint)
    rng = np.random.default_rng(7)
    people = []
    for number in range(PEOPLE):
        person = simulate_person(rng, subject_id=f"sub-{number}", plan=plan)
        seconds = list(raw_seconds(person, manifest))
        names = features.modality_names
        people.append({name: np.concatenate([s[name] for s in seconds]) for name in names})
    while rows > 0:
        person_seconds = people[rng.integers(PEOPLE)]
        broken = _broken(checkpoint, person_seconds, rng, rows)
        rows -= len(next(iter(broken.values())))
        yield broken


def _with_inputs(checkpoint: Checkpoint) -> Manifest:
    manifest = checkpoint_manifest(checkpoint, "fp32")
    return dataclasses.replace(manifest, raw_inputs=raw_inputs(checkpoint.features))


def _broken(
    checkpoint: Checkpoint, person: Seconds, rng: np.random.Generator, most: int
) -> Seconds:
    made = {}
    for modality in checkpoint.features.modalities:
        samples = person[modality.name][:most].astype(np.float64)
        flat = samples.reshape(-1, samples.shape[-1])
        if modality.name == EEG:
            flat += electrode_offsets(rng, flat.shape[1])
        add_faults(modality, rng, flat)
        made[modality.name] = in_seconds(modality, flat)
    return made


if __name__ == "__main__":
    main()
