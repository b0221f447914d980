"""Checkpoint -> one self-contained, self-describing ONNX file,
checked against torch before it is written.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from emodict import __version__
from emodict.engine.manifest import Manifest, manifest_to_metadata
from emodict.errors import ModelError
from emodict.files.atomic import atomic_path
from emodict_export.compare import compare_with_torch
from emodict_export.fold import FoldedModel, as_float64, fold_model
from emodict_export.graph import build_graph
from emodict_export.precision import (
    PrecisionChoice,
    always_fp32,
    constants_beyond_half,
    kept_by,
    to_fp16,
    to_int8,
)
from emodict_train.model.checkpoint import Checkpoint
from emodict_train.model.emotion_dict import EmotionDict

BATCH_NORM_EPS = 1e-5  # torch's default


@dataclass(frozen=True)
class Precision:
    """What the graph computes in.

    Attributes:
        name: fp32, fp16 or int8.
        choice: which nodes to keep in FP32, as emodict-calibrate found.
        windows: (rows, tokens, width) real windows for the ranges of INT8.
    """

    name: str = "fp32"
    choice: PrecisionChoice | None = None
    windows: NDArray[np.float32] | None = None


FP32 = Precision()


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far it is from the torch model over all checked batches."""

    path: Path
    nodes: int
    bytes: int
    sha256: str
    precision: str
    keep_fp32: tuple[str, ...]
    distribution_error: float
    weights_error: float


def export_onnx(
    checkpoint: Checkpoint, path: str | os.PathLike[str], precision: Precision = FP32
) -> ExportReport:
    """Fold a checkpoint and write it as ONNX, opset 18, dynamic batch, no other file beside it.

    Raises:
        EmodictError: the graph and the torch model disagree by more than the precision
            explains; nothing is written.
    """
    model, kept = exported_onnx(checkpoint, precision)
    content = model.SerializeToString(deterministic=True)
    errors = compare_with_torch(model, checkpoint, precision.name)
    with atomic_path(path) as part:
        part.write_bytes(content)
    return ExportReport(
        path=Path(path),
        nodes=len(model.graph.node),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        precision=precision.name,
        keep_fp32=kept,
        distribution_error=errors[0],
        weights_error=errors[1],
    )


def exported_onnx(
    checkpoint: Checkpoint, precision: Precision = FP32
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The graph in this precision with its manifest in the metadata,
    and the nodes that were asked to stay FP32.
    """
    model = folded_graph(checkpoint)
    kept = (
        ()
        if precision.choice is None
        else kept_by(
            precision.choice, model, precision=precision.name, graph_sha256=graph_hash(model)
        )
    )
    if precision.name == "fp16":
        # Numbers that half does not have: to keep them is not a choice, and the report names them.
        kept = tuple(sorted({*kept, *(constants_beyond_half(model) - always_fp32(model))}))
        model = to_fp16(model, kept)
    elif precision.name == "int8":
        if precision.windows is None:
            raise ModelError(
                "INT8 is scaled by the ranges of real windows, and none were given",
                expected="recordings like those the device will see",
                fix="emodict-export model.pt --precision int8 --data session.h5",
            )
        model = to_int8(model, precision.windows, kept)
    return described(model, checkpoint, precision.name), kept


def folded_onnx(checkpoint: Checkpoint) -> onnx.ModelProto:
    """The FP32 graph with its manifest in the metadata."""
    return exported_onnx(checkpoint)[0]


def folded_graph(checkpoint: Checkpoint) -> onnx.ModelProto:
    """The FP32 graph alone, from which every precision starts."""
    features = checkpoint.features
    members = [fold_network(network) for network in checkpoint.networks()]
    return build_graph(
        members, checkpoint.model, tokens=features.tokens, width=features.token_width
    )


def described(model: onnx.ModelProto, checkpoint: Checkpoint, precision: str) -> onnx.ModelProto:
    """The graph with its manifest in the metadata."""
    return with_manifest(model, checkpoint_manifest(checkpoint, precision))


def with_manifest(model: onnx.ModelProto, manifest: Manifest) -> onnx.ModelProto:
    """The graph with this manifest, and its own hash, in the metadata."""
    own = dataclasses.replace(manifest, graph_sha256=graph_hash(model))
    for key, value in manifest_to_metadata(own).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model


def checkpoint_manifest(checkpoint: Checkpoint, precision: str) -> Manifest:
    """What a graph of this checkpoint says of itself, but for its hash."""
    return Manifest(
        features=checkpoint.features,
        model=checkpoint.model,
        missing_value=missing_value(checkpoint),
        mean_label=checkpoint.mean_label,
        graph_sha256="",
        training=dict(checkpoint.training),
        metrics={name: dict(row) for name, row in checkpoint.metrics.items()},
        software=f"emodict {__version__}",
        precision=precision,
    )


def fold_network(network: EmotionDict) -> FoldedModel:
    """The folded numbers of one member."""
    return fold_model(
        as_float64(network.state_dict()),
        positions=network.encoder.positions.double().numpy(),
        heads=network.spec.heads,
        layers=network.spec.layers,
        norm_eps=BATCH_NORM_EPS,
    )


def missing_value(checkpoint: Checkpoint) -> NDArray[np.float64]:
    """(tokens, width): what stands for a missing modality, the training mean,
    which standardises to 0.
    """
    mean, *others = [state["standardise.mean"] for state in checkpoint.states]
    if not all(torch.equal(other, mean) for other in others):
        raise ModelError(
            "The members of this checkpoint standardise differently",
            expected="one training set, so that one value can stand for what is missing",
            fix="Train an ensemble in one go: emodict-train fit --ensemble",
        )
    return np.asarray(mean.double().numpy())


def graph_hash(model: onnx.ModelProto) -> str:
    """sha256 of nodes and weights alone; the metadata is not in it."""
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()
