"""What else a user could run the model in: the same network, the same windows, the same answers."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.models import Frozen, plain_dynamo_session, with_torchs_own
from benchmarks.result import Bound, Result
from benchmarks.timing import interleaved
from emodict.engine import open_engine
from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import load_spec
from emodict_desk.tables.table import DMER_EMOTIONS
from emodict_export.export import export_onnx
from emodict_train.model.checkpoint import Checkpoint
from emodict_train.model.emotion_dict import EmotionDict

# As many windows as a recording is scored in at once, and one, as live.
BATCHES = {1: 200, 64: 20}
# OpenVINO computes in bfloat16 where a processor has it, and is off by 1e-4 there.
FULL_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
Run = Callable[[np.ndarray], np.ndarray]


def measure() -> Iterator[Result | Bound]:
    torch.set_num_threads(1)
    features = load_spec("emodict-1")
    torch.manual_seed(0)
    network = EmotionDict(ModelSpec(DMER_EMOTIONS, features.modality_names), features).eval()
    checkpoint = Checkpoint(features, network.spec, (dict(network.state_dict()),), np.full(10, 0.1))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.onnx"
        export_onnx(checkpoint, path)
        with open_engine(path) as engine, torch.no_grad():
            ours: Run = lambda tokens: engine.infer(tokens)[0]  # noqa: E731
            rivals = dict(
                _rivals(with_torchs_own(network), path, (features.tokens, features.token_width))
            )
            yield from _same_answers(ours, rivals)
            for batch, repeats in BATCHES.items():
                yield from _at(batch, repeats, ours, rivals)
            yield from _compiled(network, ours)


def _rivals(network: EmotionDict, path: Path, shape: tuple[int, int]) -> Iterator[tuple[str, Run]]:
    frozen = Frozen(network).eval()
    yield "eager torch", lambda x: frozen(torch.from_numpy(x))[0].numpy()
    with warnings.catch_warnings():
        # torch.jit is on its way out, and people have models in it.
        warnings.simplefilter("ignore")
        example = torch.zeros(2, *shape)
        script = torch.jit.freeze(torch.jit.trace(frozen, example))
    yield "TorchScript", lambda x: script(torch.from_numpy(x))[0].numpy()
    plain = plain_dynamo_session(network, *shape)
    yield "torch.onnx.export in ONNX Runtime", lambda x: plain.run(None, {"tokens": x})[0]
    yield "model.onnx in OpenVINO", _in_openvino(path)


def _in_openvino(path: Path) -> Run:
    import openvino

    one_thread = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"} | FULL_PRECISION
    compiled = openvino.Core().compile_model(str(path), "CPU", one_thread)
    request = compiled.create_infer_request()
    return lambda x: request.infer({"tokens": x})["distribution"]


def _same_answers(ours: Run, rivals: dict[str, Run]) -> Iterator[Bound]:
    tokens = _tokens(64)
    expected = ours(tokens)
    gap = max(float(np.abs(run(tokens) - expected).max()) for run in rivals.values())
    yield Bound("largest difference of any rival's shares", gap, "", at_most=1e-5)


def _at(batch: int, repeats: int, ours: Run, rivals: dict[str, Run]) -> Iterator[Result]:
    tokens = _tokens(batch)
    jobs = {name: _called(run, tokens) for name, run in {"ours": ours, **rivals}.items()}
    cpu = interleaved(jobs, rounds=15, repeats=dict.fromkeys(jobs, repeats))
    windows = "1 window" if batch == 1 else f"{batch} windows"
    for name in rivals:
        yield Result(f"model.onnx, {windows}, against {name}", cpu[name], cpu["ours"])


def _compiled(network: EmotionDict, ours: Run) -> Iterator[Result]:
    """torch.compile, and its warm-up as so many windows of ours.

    It builds for the processor that it finds, and fails where PyTorch is told of another.
    """
    if "ATEN_CPU_CAPABILITY" in os.environ:
        return
    started = time.process_time()
    compiled = torch.compile(nn.Sequential(Frozen(network).eval()), dynamic=False)
    tokens = _tokens(1)
    compiled(torch.from_numpy(tokens))
    warm_up_s = time.process_time() - started
    jobs = {
        "ours": _called(ours, tokens),
        "compiled": lambda: compiled(torch.from_numpy(tokens))[0].numpy(),
    }
    cpu = interleaved(jobs, rounds=7, repeats=dict.fromkeys(jobs, 200))
    yield Result("model.onnx, 1 window, against torch.compile", cpu["compiled"], cpu["ours"])
    yield Result("torch.compile's warm-up, in windows of ours", warm_up_s, cpu["ours"])


def _called(run: Run, tokens: np.ndarray) -> Callable[[], object]:
    return lambda: run(tokens)


def _tokens(batch: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, 11, 18)).astype(np.float32)
