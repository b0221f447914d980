"""The model that the GPU tests run: one checkpoint,
its graph in three precisions, and windows for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from tests.export.conftest import _train as train_briefly
from torch import Tensor, nn

from emodict_export.export import described, folded_graph
from emodict_export.precision import to_fp16, to_int8
from emodict_train.model.checkpoint import Checkpoint
from emodict_train.model.emotion_dict import EmotionDict

ROWS = 64


@dataclass(frozen=True)
class Model:
    """Graphs by precision ("fp32", "fp16", "int8"), and (ROWS, tokens, width)
    windows like those of the training.
    """

    checkpoint: Checkpoint
    graphs: dict[str, onnx.ModelProto]
    tokens: np.ndarray

    @property
    def network(self) -> EmotionDict:
        return self.checkpoint.networks()[0]


def make_model(spec_id: str = "emodict-1", **sizes: object) -> Model:
    """A briefly trained model; its opinions mean nothing, its arithmetic is that of any other."""
    checkpoint = train_briefly(spec_id, **sizes)
    tokens = windows_for(checkpoint, ROWS)
    folded = folded_graph(checkpoint)
    passes = {"fp32": folded, "fp16": to_fp16(folded), "int8": to_int8(folded, tokens[: ROWS // 2])}
    return Model(
        checkpoint,
        {name: described(graph, checkpoint, name) for name, graph in passes.items()},
        tokens,
    )


def windows_for(checkpoint: Checkpoint, rows: int) -> np.ndarray:
    """(rows, tokens, width) like those of the training, float32."""
    state = checkpoint.states[0]
    mean, scale = state["standardise.mean"].numpy(), state["standardise.scale"].numpy()
    normal = np.random.default_rng(1).standard_normal((rows, *mean.shape))
    return np.asarray(normal * scale + mean, dtype=np.float32)


class Frozen(nn.Module):
    """The torch model with its dictionary computed once, as anyone would deploy it:
    the rival of the folded graph.
    """

    def __init__(self, network: EmotionDict) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("matrix", network.dictionary.matrix.detach().clone())

    def forward(self, tokens: Tensor) -> Tensor:
        weights = self.network.encoder(self.network.standardise(tokens))
        return torch.softmax(self.network.classifier(weights @ self.matrix.T), dim=-1)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """Mean over rows of KL(p || q), in nats."""
    p, q = p.astype(np.float64), q.astype(np.float64)
    return float(np.mean(np.sum(p * np.log(p / q), axis=-1)))


def chebyshev(p: np.ndarray, q: np.ndarray) -> float:
    """Mean over rows of the largest difference."""
    return float(np.mean(np.abs(p.astype(np.float64) - q).max(axis=-1)))
