"""How fast one window goes through the model: folded graph, plain export, eager torch."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.result import Result
from benchmarks.timing import interleaved
from emodict.engine import open_engine
from emodict.engine.model_spec import READOUTS, ModelSpec
from emodict.features.spec import load_spec
from emodict_desk.tables.table import DMER_EMOTIONS
from emodict_export.export import export_onnx
from emodict_train.model.checkpoint import Checkpoint
from emodict_train.model.emotion_dict import EmotionDict

# Of one window, half of the time goes into starting some sixty small operators. A reader of the
# last token alone has a smaller last layer, and so a larger share of it is ours to save.
PROMISED = {
    "dynamo": {"last": 2.6, "mean": 2.3, "flatten": 2.3},
    "eager": dict.fromkeys(READOUTS, 12),
}


def measure() -> Iterator[Result]:
    torch.set_num_threads(1)
    for readout in READOUTS:
        features = load_spec("emodict-1")
        spec = ModelSpec(DMER_EMOTIONS, features.modality_names, readout=readout)
        torch.manual_seed(0)
        network = EmotionDict(spec, features).eval()
        state = dict(network.state_dict())
        network = with_torchs_own(network)
        checkpoint = Checkpoint(features, spec, (state,), np.full(10, 0.1))
        plain = plain_dynamo_session(network, features.tokens, features.token_width)
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(checkpoint, Path(folder) / "model.onnx")
            with open_engine(Path(folder) / "model.onnx") as engine:
                for batch in (1, 1024):
                    yield from _batch(engine.infer, plain, network, batch, readout)


def with_torchs_own(network: EmotionDict) -> EmotionDict:
    """The same network with its Transformer as torch's own module, with its fused paths:
    the rival is what anybody would write.
    """
    spec = network.spec
    layer = nn.TransformerEncoderLayer(
        spec.d_model, spec.heads, spec.feed_forward, dropout=0.0, batch_first=True
    )
    transformer = _AsOurs(layer, spec.layers, enable_nested_tensor=False)
    transformer.load_state_dict(network.encoder.transformer.state_dict())
    network.encoder.transformer = transformer.eval()
    return network


class _AsOurs(nn.TransformerEncoder):
    """Called as our own; it has all tokens, and the readout takes the last."""

    def forward(self, x: Tensor, *, last_only: bool = False) -> Tensor:
        hidden = super().forward(x)
        return hidden[:, -1:] if last_only else hidden


def _batch(
    infer: Callable[..., object], plain: object, network: EmotionDict, batch: int, readout: str
) -> Iterator[Result]:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((batch, 11, 18)).astype(np.float32)
    tensor = torch.from_numpy(tokens)
    jobs: dict[str, Callable[[], object]] = {
        "ours": lambda: infer(tokens),
        "dynamo": lambda: plain.run(None, {"tokens": tokens}),
        "eager": lambda: network(tensor),
    }
    count = 300 if batch == 1 else 2
    with torch.no_grad():
        cpu = interleaved(jobs, rounds=15 if batch == 1 else 7, repeats=dict.fromkeys(jobs, count))
    for rival, name in (("dynamo", "the plain dynamo export"), ("eager", "eager torch")):
        promised = PROMISED[rival][readout] if batch == 1 else None
        yield Result(
            f"model ({readout}), batch {batch}, against {name}",
            cpu[rival],
            cpu["ours"],
            at_least=promised,
        )


class Frozen(nn.Module):
    """The model with its dictionary fixed: no exporter takes the QR decomposition."""

    def __init__(self, network: EmotionDict) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("matrix", network.dictionary.matrix.detach())

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.network.encoder(self.network.standardise(tokens))
        return torch.softmax(self.network.classifier(weights @ self.matrix.T), dim=-1), weights


def plain_dynamo_session(network: EmotionDict, tokens: int, width: int) -> object:
    """What torch.onnx.export writes as it comes, in ONNX Runtime with one thread."""
    import onnxruntime

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Frozen(network).eval(),
            (torch.zeros(2, tokens, width),),
            dynamo=True,
            input_names=["tokens"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options)
