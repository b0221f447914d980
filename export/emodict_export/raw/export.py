"""Checkpoint -> raw.onnx, held against FeatureStream and the torch model before it is written."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from emodict.engine.onnx import DISTRIBUTION, INPUT, WEIGHTS
from emodict.errors import EmodictError
from emodict.files.atomic import atomic_path
from emodict.predict.person import Adaptation, Person
from emodict_desk.raw import NEXT, QUALITY, STATE, VALID, raw_inputs, raw_outputs
from emodict_export.compare import ALLOWED, compare_with_torch
from emodict_export.export import (
    FP32,
    Precision,
    checkpoint_manifest,
    exported_onnx,
    with_manifest,
)
from emodict_export.raw import raw_graph, require_streaming
from emodict_export.vectors import Rows, Seconds, expected_rows, fault_seconds
from emodict_train.model.checkpoint import Checkpoint

Float32Array = NDArray[np.float32]
# One call: the inputs by name in, the outputs by name out.
Run = Callable[[Mapping[str, Float32Array]], dict[str, Float32Array]]

CHECKED_SECONDS = 120
# No divisor of them, so that the last call has another length than those before.
MANY = 50
# Largest error of a share and, against the largest one, of a dictionary weight. Of simulated people
# a share stays within 3e-5; the made-up signals of the check may lie far from what a model was
# trained on, where float32's error of a feature counts for more.
ALLOWED_ANSWER = (1e-3, 1e-2)
# Of a feature against the largest that it was, whatever a model makes of it. Worst are differences
# of differences of the pulse: float32 keeps 6e-8 of a signal of which they are a thousandth.
ALLOWED_FEATURE = 3e-4
# Of 1: sums of some hundred numbers, of which float32 keeps 6e-8 each.
ALLOWED_QUALITY = 1e-5


@dataclass(frozen=True)
class RawReport:
    """What was written, and how far it is from Python over the checked seconds."""

    path: Path
    nodes: int
    bytes: int
    sha256: str
    precision: str
    keep_fp32: tuple[str, ...]
    distribution_error: float
    seconds: int = CHECKED_SECONDS


def export_raw(
    checkpoint: Checkpoint,
    path: str | os.PathLike[str],
    precision: Precision = FP32,
    *,
    person: Person | None = None,
    with_tokens: bool = False,
    many: bool = False,
) -> RawReport:
    """Write the graph from raw samples on, opset 18, with no other file beside it.

    With `many` its first axis is the time of one wearer, and not as many wearers in one second.

    Raises:
        SpecError: the features cannot be computed from a stream of samples.
        EmodictError: the graph and Python disagree; nothing is written.
    """
    adaptation = None if person is None else person.adapt(checkpoint_manifest(checkpoint, "fp32"))
    model, kept = raw_onnx(
        checkpoint, precision, adaptation=adaptation, with_tokens=with_tokens, many=many
    )
    at_once = MANY if many else 1
    error = compare_with_stream(model, checkpoint, precision.name, adaptation, at_once=at_once)
    content = model.SerializeToString(deterministic=True)
    with atomic_path(path) as part:
        part.write_bytes(content)
    return RawReport(
        path=Path(path),
        nodes=len(model.graph.node),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        precision=precision.name,
        keep_fp32=kept,
        distribution_error=error,
    )


def raw_onnx(
    checkpoint: Checkpoint,
    precision: Precision = FP32,
    *,
    adaptation: Adaptation | None = None,
    with_tokens: bool = False,
    many: bool = False,
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The raw graph with its manifest, and the nodes that were asked to stay FP32.

    The model in it has been compared with torch in its own precision.
    """
    require_streaming(checkpoint.features)
    model, kept = exported_onnx(checkpoint, precision)
    compare_with_torch(model, checkpoint, precision.name)
    manifest = checkpoint_manifest(checkpoint, precision.name)
    manifest = dataclasses.replace(
        manifest,
        raw_inputs=raw_inputs(checkpoint.features),
        raw_outputs=raw_outputs(manifest, with_tokens=with_tokens),
        subject_id="" if adaptation is None else adaptation.person.subject_id,
    )
    graph = raw_graph(model, manifest, adaptation=adaptation, many=many)
    return with_manifest(graph, manifest), kept


def compare_with_stream(
    model: onnx.ModelProto,
    checkpoint: Checkpoint,
    precision: str = "fp32",
    adaptation: Adaptation | None = None,
    *,
    at_once: int = 1,
) -> float:
    """Largest error of a share over seconds with faults, of which all else must be the same.

    Raises:
        EmodictError: valid or answered is another in any row, or a number is too far off.
    """
    seconds = fault_seconds(checkpoint.features, CHECKED_SECONDS)
    got = run_seconds(
        onnxruntime_run(_with_tokens(model, checkpoint)), model, seconds, at_once=at_once
    )
    expected = expected_rows(checkpoint, seconds, adaptation=adaptation)
    other = (got[VALID] != expected.windows.valid).any(axis=1)
    other |= np.isfinite(got[DISTRIBUTION][:, 0]) != expected.answered
    share, weight = ALLOWED_ANSWER if precision == "fp32" else ALLOWED[precision]
    error = largest_error(got, expected)
    rows = expected.answered
    weights = max(1.0, _largest(expected.weights[rows]))
    off = {
        "distributions": (error, share),
        "weights": (_largest(got[WEIGHTS][rows] - expected.weights[rows]) / weights, weight),
        "quality": (_largest(got[QUALITY] - expected.windows.quality), ALLOWED_QUALITY),
        "features": (_feature_error(got[INPUT], expected, checkpoint, adaptation), ALLOWED_FEATURE),
    }
    if other.any() or not all(found <= allowed for found, allowed in off.values()):
        within = ", ".join(f"{name} within {allowed:g}" for name, (_, allowed) in off.items())
        found = ", ".join(f"{found:.2e}" for found, _ in off.values())
        raise EmodictError(
            "The raw graph does not compute what Python does; nothing was written",
            expected=f"valid and answered equal, {within}",
            got=f"{int(other.sum())} of {len(other)} seconds otherwise, {found}",
            fix="Please report this with the checkpoint",
        )
    return error


def _with_tokens(model: onnx.ModelProto, checkpoint: Checkpoint) -> onnx.ModelProto:
    """The same graph; its features, which are in every one, come out as well."""
    if any(value.name == INPUT for value in model.graph.output):
        return model
    features, telling = checkpoint.features, onnx.ModelProto()
    telling.CopyFrom(model)
    shape: list[str | int | None] = ["rows", features.tokens, features.token_width]
    telling.graph.output.append(
        onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, shape)
    )
    return telling


def _feature_error(
    tokens: Float32Array, expected: Rows, checkpoint: Checkpoint, adaptation: Adaptation | None
) -> float:
    """Largest error of a valid feature, against the largest that this feature was."""
    windows, features, error = expected.windows, checkpoint.features, 0.0
    moved = windows.tokens if adaptation is None else windows.tokens + adaptation.shift
    for column, name in enumerate(features.modality_names):
        rows, part = windows.valid[:, column], features.token_slices[name]
        off = np.abs(tokens[rows, part] - moved[rows, part]).max(axis=0, initial=0.0)
        largest = np.abs(moved[rows, part]).max(axis=0, initial=0.0)
        # What is always 0 has to be so.
        error = float(np.maximum(error, _largest(off / np.where(largest > 0, largest, 1e-9))))
    return error


def _largest(off: NDArray[np.floating[Any]]) -> float:
    return float(np.abs(off).max(initial=0.0))


def largest_error(got: Mapping[str, Float32Array], expected: Rows) -> float:
    """Of a share of the distribution, in rows with an answer."""
    rows = expected.answered
    return _largest(got[DISTRIBUTION][rows] - expected.distribution[rows])


def run_seconds(
    run: Run, model: onnx.ModelProto, seconds: Seconds, *, at_once: int = 1
) -> dict[str, Float32Array]:
    """Some seconds after the others, the states fed back: each output, (seconds, ...)."""
    states = {
        value.name: np.zeros(
            (1, *(d.dim_value for d in value.type.tensor_type.shape.dim[1:])), np.float32
        )
        for value in model.graph.input
        if value.name.startswith(STATE)
    }
    rows = []
    for second in range(0, len(next(iter(seconds.values()))), at_once):
        fresh = {name: samples[second : second + at_once] for name, samples in seconds.items()}
        out = run({**fresh, **states})
        states = {name: out.pop(NEXT + name.removeprefix(STATE)) for name in states}
        rows.append(out)
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def onnxruntime_run(model: onnx.ModelProto) -> Run:
    """The graph in ONNX Runtime, with one thread."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in model.graph.output]
    return lambda feeds: dict(zip(names, session.run(names, dict(feeds)), strict=True))
