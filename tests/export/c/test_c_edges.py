"""The verdict of the C file on signals at the very edge of each rule is Python's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.embedded.rows import Rows, read_rows, write_seconds
from benchmarks.embedded.toolchain import Target, build_rows, run
from tests.export.c.conftest import MakeC, MakeCheckpoint
from tests.export.edges import edges, noise

from emodict.features.quality import assess
from emodict.features.spec import ModalitySpec
from emodict.features.windows import LARGEST_FEATURE
from emodict_export.c import export_c
from emodict_export.vectors import expected_rows, in_seconds
from emodict_train.model.checkpoint import Checkpoint

Float32Seconds = Mapping[str, np.ndarray]
# One more or less of several hundred samples moves a share by 1e-3 and more; float32 by 1e-6.
QUALITY_WITHIN = 1e-4
SMALL_S = 100


def rows_of(gcc: Target, folder: Path, checkpoint: Checkpoint, seconds: Float32Seconds) -> Rows:
    """The rows that the model.c in `folder` gives."""
    write_seconds(folder, checkpoint.features, seconds)
    run(build_rows(gcc, folder, "-O2"))
    return read_rows(folder, checkpoint.model)


def with_modality(checkpoint: Checkpoint, name: str, **changed: Any) -> Checkpoint:
    """A model of other features: what it answers means nothing, its flags and quality do."""
    modalities = tuple(
        dataclasses.replace(modality, **changed) if modality.name == name else modality
        for modality in checkpoint.features.modalities
    )
    features = dataclasses.replace(checkpoint.features, id="edge", modalities=modalities)
    return dataclasses.replace(checkpoint, features=features)


def missing(modality: ModalitySpec, seconds: int) -> np.ndarray:
    return np.full((seconds, modality.hop_samples, 1), np.nan, np.float32)


def judged(modality: ModalitySpec, window: np.ndarray) -> tuple[bool, float]:
    valid, quality = assess(modality, window.astype(np.float32).astype(np.float64)[None])
    return bool(valid[0]), float(quality[0])


def test_a_pulse_at_every_edge_of_the_rules(
    gcc: Target, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    checkpoint = realistic("wrist")
    features = checkpoint.features
    ppg, column = features.modality("ppg"), features.modality_names.index("ppg")
    windows = list(edges(ppg.window_samples))
    seconds = {
        "ppg": in_seconds(ppg, np.concatenate(windows)),
        "gsr": missing(features.modality("gsr"), 5 * len(windows)),
    }
    rows = rows_of(gcc, exported("wrist"), checkpoint, seconds)
    expected = [judged(ppg, window) for window in windows]
    # Each window is whole with its fifth second.
    assert rows.valid[4::5, column].tolist() == [valid for valid, _ in expected]
    np.testing.assert_allclose(
        rows.quality[4::5, column], [quality for _, quality in expected], atol=QUALITY_WITHIN
    )
    assert {valid for valid, _ in expected} == {True, False}


def test_brain_waves_at_every_edge_of_the_rules(
    gcc: Target, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    checkpoint = realistic("headband")
    eeg = checkpoint.features.modality("eeg")
    windows, expected = [], []
    for window in edges(eeg.window_samples):
        before, edge, after = (noise(eeg.window_samples, 4) for _ in range(3))
        edge[:, 2:3] = window
        windows += [before, edge, after]
        expected.append(judged(eeg, edge))
    seconds = {"eeg": in_seconds(eeg, np.concatenate(windows))}
    rows = rows_of(gcc, exported("headband"), checkpoint, seconds)
    valid = [valid for valid, _ in expected]
    assert rows.valid[1::3, 0].tolist() == valid
    # The filter starts again after a second that is not valid.
    assert rows.valid[2::3, 0].tolist() == valid
    np.testing.assert_allclose(
        rows.quality[1::3, 0], [quality for _, quality in expected], atol=QUALITY_WITHIN
    )


@pytest.mark.parametrize("level", [0.002, 1.0, 99.0])
def test_a_skin_conductance_that_moves_by_the_least_that_a_float_can_is_not_constant(
    gcc: Target, exported: MakeC, realistic: MakeCheckpoint, level: float
) -> None:
    checkpoint = realistic("wrist")
    features, still = checkpoint.features, np.full((5, 4, 1), level, np.float32)
    moved = still.copy()
    moved[3, 2] = np.nextafter(moved[3, 2], np.float32(100))
    seconds = {
        "ppg": missing(features.modality("ppg"), 10),
        "gsr": np.concatenate([still, moved]),
    }
    valid = rows_of(gcc, exported("wrist"), checkpoint, seconds).valid
    column = features.modality_names.index("gsr")
    assert [bool(valid[4, column]), bool(valid[9, column])] == [False, True]


def test_a_number_of_a_face_counts_up_to_the_largest_that_is_a_feature(
    gcc: Target, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    largest = np.float32(LARGEST_FEATURE)
    inside, outside = (
        np.nextafter(largest, np.float32(0)),
        np.nextafter(largest, np.float32(np.inf)),
    )
    edge = [inside, outside, -inside, -outside, np.float32(3e38), np.nan]
    faces = np.zeros((len(edge), 32), np.float32)
    faces[:, 7] = edge
    rows = rows_of(gcc, exported("video"), realistic("video"), {"video": faces})
    assert rows.valid[:, 0].tolist() == [True, False, True, False, False, False]


def test_powers_beyond_what_a_float_holds_are_not_features(
    gcc: Target, realistic: MakeCheckpoint, tmp_path: Path
) -> None:
    """Of a spec that has every sample for usable, such as 1e25, whose square is infinite."""
    checkpoint = with_modality(realistic("headband"), "eeg", valid_range=(None, None))
    export_c(checkpoint, tmp_path / "model.c")
    waves = noise(300 * 6, 4)
    waves[300 * 4 :] *= 1e25
    eeg = checkpoint.features.modality("eeg")
    rows = rows_of(gcc, tmp_path, checkpoint, {"eeg": in_seconds(eeg, waves)})
    assert rows.valid[:, 0].tolist() == [False, True, True, True, False, False]
    assert rows.quality[4:, 0].tolist() == [0.0, 0.0]


def test_the_share_of_a_pulse_is_never_more_than_all(
    gcc: Target, realistic: MakeCheckpoint, tmp_path: Path
) -> None:
    """In a window of one second, the bin below the slowest pulse lies outside of the band."""
    checkpoint = with_modality(realistic("wrist"), "ppg", window_s=1.0)
    export_c(checkpoint, tmp_path / "model.c")
    ppg = checkpoint.features.modality("ppg")
    beat = np.cos(2 * np.pi * np.arange(100) / 100)[:, None]
    seconds = {
        "ppg": in_seconds(ppg, beat),
        "gsr": missing(checkpoint.features.modality("gsr"), 1),
    }
    column = checkpoint.features.modality_names.index("ppg")
    assert judged(ppg, beat) == (True, 1.0)
    rows = rows_of(gcc, tmp_path, checkpoint, seconds)
    assert (bool(rows.valid[0, column]), float(rows.quality[0, column])) == (True, 1.0)


def feeling_ties(checkpoint: Checkpoint) -> Checkpoint:
    """To whom one more sample at a pulse's extreme is two standard deviations."""
    features, (state, *_) = checkpoint.features, checkpoint.states
    first = features.token_slices["ppg"].start * features.token_width
    scale = state["standardise.scale"].clone()
    for series in (0, 7, 14):
        scale.view(-1)[first + series + 5 : first + series + 7] = 1e-3
    return dataclasses.replace(checkpoint, states=({**state, "standardise.scale": scale},))


def test_extremes_of_a_filtered_pulse_that_rounding_makes_equal_are_there_once(
    gcc: Target, realistic: MakeCheckpoint, tmp_path: Path
) -> None:
    """Of a wave of a thousand times the smallest float, whose neighbours at its top are often one
    float, and never one double.
    """
    checkpoint = feeling_ties(realistic("wrist"))
    features, time_s = checkpoint.features, np.arange(SMALL_S * 100) / 100
    small = 1e-42 * (np.sin(2 * np.pi * 1.1 * time_s) + 0.3 * np.sin(2 * np.pi * 2.71 * time_s))
    conductance = 5 + 0.1 * np.random.default_rng(0).random((SMALL_S * 4, 1))
    seconds = {
        "ppg": in_seconds(features.modality("ppg"), small[:, None]),
        "gsr": in_seconds(features.modality("gsr"), conductance),
    }
    export_c(checkpoint, tmp_path / "model.c")
    rows = rows_of(gcc, tmp_path, checkpoint, seconds)
    expected = expected_rows(checkpoint, seconds)
    np.testing.assert_array_equal(rows.answered, expected.answered)
    assert rows.answered.mean() > 0.5
    np.testing.assert_allclose(rows.distribution, expected.distribution, rtol=0, atol=1e-5)
