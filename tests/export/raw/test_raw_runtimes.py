"""Runtimes that share no code with ONNX Runtime give a raw graph's rows, too, NaNs and all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from tests.export.conftest import MakeCheckpoint
from tests.export.raw.conftest import SENSORS

from emodict_export.raw.export import Run, raw_onnx, run_seconds
from emodict_export.vectors import expected_rows, fault_seconds
from emodict_train.model.checkpoint import Checkpoint

SHARE = 3e-5  # what is asked of float32


def compare(checkpoint: Checkpoint, graph: Any, run: Run, count: int) -> None:
    seconds = fault_seconds(checkpoint.features, count, seed=1)
    got = run_seconds(run, graph, seconds)
    expected = expected_rows(checkpoint, seconds)
    np.testing.assert_array_equal(got["valid"], expected.windows.valid)
    np.testing.assert_array_equal(np.isfinite(got["distribution"][:, 0]), expected.answered)
    np.testing.assert_allclose(got["distribution"], expected.distribution, rtol=0, atol=SHARE)


@SENSORS
def test_the_reference_of_onnx_gives_the_same_rows(
    fitted: MakeCheckpoint, sensors: dict[str, Any]
) -> None:
    checkpoint = fitted(**sensors)
    graph, _ = raw_onnx(checkpoint)
    session = ReferenceEvaluator(graph)
    names = [output.name for output in graph.graph.output]

    def run(feeds: Mapping[str, Any]) -> dict[str, Any]:
        # What is not valid gives way at the end: bands without power have no logarithm, and a face
        # that is not seen is NaN.
        with np.errstate(divide="ignore", invalid="ignore"):
            return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    compare(checkpoint, graph, run, 10)


@SENSORS
def test_openvino_gives_the_same_rows(fitted: MakeCheckpoint, sensors: dict[str, Any]) -> None:
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    checkpoint = fitted(**sensors)
    graph, _ = raw_onnx(checkpoint)
    core = openvino.Core()
    # As it comes, OpenVINO computes in bfloat16 where the processor has it.
    model = core.compile_model(
        core.read_model(graph.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    def run(feeds: Mapping[str, Any]) -> dict[str, Any]:
        results = model(dict(feeds))
        return {output.name: np.array(results[output.name]) for output in graph.graph.output}

    compare(checkpoint, graph, run, 120)
