"""An exported graph held against the torch model it came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from emodict.engine.onnx import DISTRIBUTION, INPUT, WEIGHTS
from emodict.errors import EmodictError, ModelError
from emodict_train.model.checkpoint import Checkpoint, predict

Runner = Callable[[NDArray[np.float32]], Any]

CHECKED_BATCHES = (1, 2, 7, 64)
# Largest error of a share, and of a dictionary weight against the largest one (they are not
# normalised). float32 keeps 7 digits: a few hundred operations on shares of size 0.1 stay far
# within 1e-5. The bounds of the low precisions only catch what is broken; what they cost on real
# data is measured by emodict-calibrate.
ALLOWED = {"fp32": (1e-5, 1e-4), "fp16": (1e-2, 5e-2), "int8": (0.2, 0.5)}


def compare_with_torch(
    model: onnx.ModelProto, checkpoint: Checkpoint, precision: str = "fp32"
) -> tuple[float, float]:
    """Largest error of distribution and of weights (relative to the largest weight)
    at batch 1, 2, 7 and 64.

    Raises:
        EmodictError: an error is larger than the precision explains, or a number is not finite.
    """
    run = _half_runner(model) if precision == "fp16" else _onnxruntime_runner(model)
    return compare_runner(run, checkpoint, precision)


def compare_runner(run: Runner, checkpoint: Checkpoint, precision: str) -> tuple[float, float]:
    """The same of whatever makes distribution and weights from (batch, tokens, width)."""
    networks = checkpoint.networks()
    rng = np.random.default_rng(0)
    worst = [0.0, 0.0]
    for batch in CHECKED_BATCHES:
        tokens = plausible_tokens(checkpoint, batch, rng)
        distribution, weights = run(tokens)
        expected, expected_weights = (
            t.numpy() for t in predict(networks, torch.from_numpy(tokens))
        )
        scale = max(1.0, float(np.abs(expected_weights).max()))
        gaps = (
            np.abs(distribution - expected).max(),
            np.abs(weights - expected_weights).max() / scale,
        )
        # np.maximum, unlike max(), lets a NaN through to be refused below.
        worst = [float(np.maximum(old, new)) for old, new in zip(worst, gaps, strict=True)]
    allowed = ALLOWED[precision]
    if not (worst[0] <= allowed[0] and worst[1] <= allowed[1]):
        raise _disagreement(precision, worst)
    return worst[0], worst[1]


def _disagreement(precision: str, worst: list[float]) -> EmodictError:
    allowed = ALLOWED[precision]
    numbers = {
        "expected": f"distributions within {allowed[0]}, weights within {allowed[1]}",
        "got": f"{worst[0]:.2e} and {worst[1]:.2e}",
    }
    if precision == "fp32":
        return EmodictError(
            "The folded graph does not compute what the torch model computes; nothing was written",
            **numbers,
            fix="Please report this with the checkpoint",
        )
    return ModelError(
        f"In {precision.upper()} this model no longer computes what it was trained to; "
        f"nothing was written",
        **numbers,
        fix="Find the nodes that must stay FP32: "
        "emodict-calibrate model.pt DATA -o precision.json, "
        f"then emodict-export model.pt --precision {precision} --calibration precision.json",
    )


def _onnxruntime_runner(model: onnx.ModelProto) -> Runner:
    """ONNX Runtime, which computes FP32 and the FP32 form of Q/DQ exactly as the graph says."""
    from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 4
    # Fused, Q/DQ pairs would be computed in another order than the graph says.
    options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model.SerializeToString()
    session = InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda tokens: session.run([DISTRIBUTION, WEIGHTS], {INPUT: tokens})


def _half_runner(model: onnx.ModelProto) -> Runner:
    """onnx.reference, whose numpy halves overflow as a GPU's do;
    ONNX Runtime's CPU would compute in FP32.
    """
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(model)

    def run(tokens: NDArray[np.float32]) -> Any:
        with np.errstate(all="ignore"):  # what overflows shows in the comparison
            return session.run([DISTRIBUTION, WEIGHTS], {INPUT: tokens})

    return run


def plausible_tokens(
    checkpoint: Checkpoint, batch: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Raw features as the training set had them: its mean and spread."""
    state = checkpoint.states[0]
    mean, scale = state["standardise.mean"].numpy(), state["standardise.scale"].numpy()
    z = rng.standard_normal((batch, *mean.shape))
    return np.asarray(mean + z * scale, dtype=np.float32)
