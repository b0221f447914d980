"""The graph's verdict on windows at the very edge of each rule is that of features/quality.py."""

from __future__ import annotations

import numpy as np
import pytest
from tests.export.conftest import MakeCheckpoint
from tests.export.edges import edges, noise
from tests.export.raw.conftest import HEADBAND, WRIST

from emodict.features.quality import assess
from emodict.features.spec import ModalitySpec
from emodict_export.raw.export import Run, onnxruntime_run, raw_onnx, run_seconds
from emodict_export.vectors import in_seconds


@pytest.fixture(scope="module")
def wrist(fitted: MakeCheckpoint) -> tuple[Run, object]:
    graph, _ = raw_onnx(fitted(**WRIST))
    return onnxruntime_run(graph), graph


def judged(modality: ModalitySpec, window: np.ndarray) -> tuple[bool, float]:
    valid, quality = assess(modality, window.astype(np.float32).astype(np.float64)[None])
    return bool(valid[0]), float(quality[0])


def test_a_pulse_at_every_edge_of_the_rules(
    wrist: tuple[Run, object], fitted: MakeCheckpoint
) -> None:
    run, graph = wrist
    features = fitted(**WRIST).features
    modality = features.modality("ppg")
    column, seen = features.modality_names.index("ppg"), set()
    for window in edges(modality.window_samples):
        seconds = {
            "ppg": in_seconds(modality, window),
            "gsr": np.full((5, 4, 1), np.nan, np.float32),
        }
        got = run_seconds(run, graph, seconds)  # type: ignore[arg-type]
        valid, quality = judged(modality, window)
        assert bool(got["valid"][4, column]) == valid
        # The share of a power of which hardly any is a pulse's: float32 on sums of 500 squares.
        assert got["quality"][4, column] == pytest.approx(quality, abs=1e-4)
        seen.add(valid)
    assert seen == {True, False}


def test_brain_waves_at_every_edge_of_the_rules(fitted: MakeCheckpoint) -> None:
    checkpoint = fitted(**HEADBAND)
    modality = checkpoint.features.modality("eeg")
    graph, _ = raw_onnx(checkpoint)
    run = onnxruntime_run(graph)
    for window in edges(modality.window_samples):
        broken = noise(modality.window_samples, 4)
        broken[:, 2:3] = window
        # The filter has settled before; and whether it starts again afterwards is what it was told.
        after = noise(modality.window_samples, 4)
        before = noise(modality.window_samples, 4)
        seconds = {"eeg": in_seconds(modality, np.concatenate([before, broken, after]))}
        got = run_seconds(run, graph, seconds)
        valid, quality = judged(modality, broken)
        assert got["valid"][:, 0].tolist() == [0, valid, valid]
        assert got["quality"][1, 0] == pytest.approx(quality, abs=1e-6)


@pytest.mark.parametrize("value", [0.001, 100.0, 0.00099, 100.1, -1.0, np.nan, np.inf, -np.inf])
def test_skin_conductance_at_the_ends_of_its_range(
    wrist: tuple[Run, object], fitted: MakeCheckpoint, value: float
) -> None:
    run, graph = wrist
    features = fitted(**WRIST).features
    modality = features.modality("gsr")
    samples = np.full((20, 1), 5.0)
    samples[7] = value
    got = run_seconds(
        run,
        graph,  # type: ignore[arg-type]
        {
            "gsr": in_seconds(modality, samples),
            "ppg": np.full((5, 100, 1), np.nan, np.float32),
        },
    )
    # 0.001 as a float32 lies above the limit by its rounding; 100 is itself.
    expected = 0.001 <= value <= 100.0
    assert bool(got["valid"][4, features.modality_names.index("gsr")]) == expected


def test_brain_waves_whose_power_float32_cannot_hold_are_not_valid(
    fitted: MakeCheckpoint,
) -> None:
    checkpoint = fitted(**HEADBAND)
    graph, _ = raw_onnx(checkpoint)
    eeg = in_seconds(checkpoint.features.modality("eeg"), noise(900, 4) - 20)
    # The squares of 1e-25 are below its least number, and their logarithm is infinite.
    got = run_seconds(onnxruntime_run(graph), graph, {"eeg": eeg * np.float32(1e-25)})
    assert not got["valid"].any()
    assert not got["quality"].any()
    assert np.isnan(got["distribution"]).all()
    assert run_seconds(onnxruntime_run(graph), graph, {"eeg": eeg})["valid"].any()
