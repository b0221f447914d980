"""Checkpoint -> one self-contained, self-describing ONNX file, checked against torch before it is written."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from emodict import __version__
from emodict.atomic import atomic_path
from emodict.engine.manifest import Manifest, manifest_to_metadata
from emodict.errors import EmodictError, ModelError
from emodict_export.fold import FoldedModel, as_float64, fold_model
from emodict_export.graph import DISTRIBUTION, INPUT, WEIGHTS, build_graph
from emodict_train.checkpoint import Checkpoint, predict
from emodict_train.model import EmotionDict

CHECKED_BATCHES = (1, 2, 7, 64)
# float32 keeps 7 digits; a few hundred operations on shares of size 0.1 stay far within this.
DISTRIBUTION_ATOL = 1e-5
# The weights are not normalised: their error is measured against their size.
WEIGHTS_RTOL = 1e-4
BATCH_NORM_EPS = 1e-5  # torch's default


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far it is from the torch model over all checked batches."""

    path: Path
    nodes: int
    bytes: int
    sha256: str
    distribution_error: float
    weights_error: float


def export_onnx(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> ExportReport:
    """Fold a checkpoint and write it as ONNX, opset 18, dynamic batch, no other file beside it.

    Raises:
        EmodictError: the folded graph and the torch model disagree; nothing is written.
    """
    model = folded_onnx(checkpoint)
    content = model.SerializeToString(deterministic=True)
    errors = compare_with_torch(content, checkpoint)
    with atomic_path(path) as part:
        part.write_bytes(content)
    return ExportReport(
        path=Path(path),
        nodes=len(model.graph.node),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        distribution_error=errors[0],
        weights_error=errors[1],
    )


def folded_onnx(checkpoint: Checkpoint) -> onnx.ModelProto:
    """The graph with its manifest in the metadata."""
    features, spec = checkpoint.features, checkpoint.model
    members = [fold_network(network) for network in checkpoint.networks()]
    model = build_graph(members, spec, tokens=features.tokens, width=features.token_width)
    manifest = Manifest(
        features=features,
        model=spec,
        missing_value=missing_value(checkpoint),
        mean_label=checkpoint.mean_label,
        graph_sha256=graph_hash(model),
        training=dict(checkpoint.training),
        metrics={name: dict(row) for name, row in checkpoint.metrics.items()},
        software=f"emodict {__version__}",
    )
    for key, value in manifest_to_metadata(manifest).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model


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
    """(tokens, width): what stands for a missing modality, the training mean, which standardises to 0."""
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


def compare_with_torch(content: bytes, checkpoint: Checkpoint) -> tuple[float, float]:
    """Largest error of distribution and of weights (relative to the largest weight) at batch 1, 2, 7 and 64.

    Raises:
        EmodictError: an error is larger than float32 explains.
    """
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])
    networks = checkpoint.networks()
    rng = np.random.default_rng(0)
    worst = [0.0, 0.0]
    for batch in CHECKED_BATCHES:
        tokens = _plausible_tokens(checkpoint, batch, rng)
        distribution, weights = session.run([DISTRIBUTION, WEIGHTS], {INPUT: tokens})
        expected, expected_weights = (t.numpy() for t in predict(networks, torch.from_numpy(tokens)))
        scale = max(1.0, float(np.abs(expected_weights).max()))
        gaps = np.abs(distribution - expected).max(), np.abs(weights - expected_weights).max() / scale
        # np.maximum, unlike max(), lets a NaN through to be refused below.
        worst = [float(np.maximum(old, new)) for old, new in zip(worst, gaps, strict=True)]
    if not (worst[0] <= DISTRIBUTION_ATOL and worst[1] <= WEIGHTS_RTOL):
        raise EmodictError(
            "The folded graph does not compute what the torch model computes; nothing was written",
            expected=f"distributions within {DISTRIBUTION_ATOL}, weights within {WEIGHTS_RTOL}",
            got=f"{worst[0]:.2e} and {worst[1]:.2e}",
            fix="Please report this with the checkpoint",
        )
    return worst[0], worst[1]


def _plausible_tokens(checkpoint: Checkpoint, batch: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Raw features as the training set had them: its mean and spread."""
    state = checkpoint.states[0]
    mean, scale = state["standardise.mean"].numpy(), state["standardise.scale"].numpy()
    z = rng.standard_normal((batch, *mean.shape))
    return np.asarray(mean + z * scale, dtype=np.float32)
