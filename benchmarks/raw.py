"""How fast a streaming second is: by the raw graph, and by Python's features and the model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.fixtures import untrained_checkpoint
from benchmarks.recordings import noise
from benchmarks.result import Result
from benchmarks.timing import interleaved
from emodict.engine import Engine, open_engine
from emodict.features import FeatureStream, iter_features
from emodict.predict.scoring import with_missing_filled
from emodict_desk.raw import NEXT, STATE
from emodict_export.export import export_onnx
from emodict_export.raw.export import onnxruntime_run, raw_onnx, run_seconds
from emodict_export.vectors import Seconds, clean_seconds, in_seconds

SECONDS, AT_ONCE = 40, 64
SENSORS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "EEG+GSR+PPG+face": (("eeg", "gsr", "ppg", "video"), ()),
    "GSR+PPG": (("gsr", "ppg"), ()),
    "EEG of a headband": (("eeg",), ("TP9", "AF7", "AF8", "TP10")),
}


def measure() -> Iterator[Result]:
    for name, (modalities, channels) in SENSORS.items():
        checkpoint = untrained_checkpoint(modalities, channels=channels)
        graph, _ = raw_onnx(checkpoint)
        seconds = clean_seconds(checkpoint.features, SECONDS)
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(checkpoint, Path(folder) / "model.onnx")
            with open_engine(Path(folder) / "model.onnx") as engine:
                jobs = {"raw": raw_second(graph, seconds), "python": python_second(engine, seconds)}
                cpu = interleaved(jobs, rounds=15, repeats=dict.fromkeys(jobs, 50))
        title = f"a streaming second, raw.onnx against Python, {name}"
        yield Result(title, cpu["python"], cpu["raw"], at_least=2.0)
    yield _hour()


def _hour() -> Result:
    """An hour in calls of AT_ONCE seconds each, against Python's features and the model."""
    hour, checkpoint = noise(3600), untrained_checkpoint(("eeg", "gsr", "ppg"))
    recording, features = hour.recording(), checkpoint.features
    graph, _ = raw_onnx(checkpoint, many=True)
    run = onnxruntime_run(graph)
    samples = {"eeg": hour.eeg, "gsr": hour.gsr, "ppg": hour.ppg}
    seconds = {m.name: in_seconds(m, samples[m.name]) for m in features.modalities}
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(checkpoint, Path(folder) / "model.onnx")
        with open_engine(Path(folder) / "model.onnx") as engine:
            missing = engine.manifest.missing_value

            def python() -> None:
                for rows in iter_features(recording, features):
                    engine.infer(with_missing_filled(rows, missing))

            jobs = {
                "python": python,
                "raw": lambda: run_seconds(run, graph, seconds, at_once=AT_ONCE),
            }
            cpu = interleaved(jobs, rounds=5, repeats={})
    title = f"an hour, raw.onnx in calls of {AT_ONCE} s against Python, EEG+GSR+PPG"
    return Result(title, cpu["python"], cpu["raw"], at_least=0.9)


def python_second(engine: Engine, seconds: Seconds) -> Callable[[], None]:
    """What emodict-run does for one second of a live stream: features, then the model."""
    features, missing = engine.manifest.features, engine.manifest.missing_value
    stream = FeatureStream(features, {m.name: m.rate_hz for m in features.modalities})
    turn = Turns()

    def run() -> None:
        second = turn.next()
        for name, samples in seconds.items():
            rows = stream.push(name, samples[second].reshape(-1, samples.shape[-1]))
        if len(rows):
            engine.infer(with_missing_filled(rows, missing))

    return run


def raw_second(graph: onnx.ModelProto, seconds: Seconds) -> Callable[[], None]:
    """One call of ONNX Runtime, its buffers bound once: what next_X is written to, the call after
    reads as state_X.
    """
    session = _session(graph)
    ends = {node.name: node.shape[1:] for node in [*session.get_inputs(), *session.get_outputs()]}
    # Kept by the closure: a binding keeps no reference to its arrays.
    buffers = {name: np.zeros((1, *shape), np.float32) for name, shape in ends.items()}
    bindings = [_bound(session, buffers, swap=swap) for swap in (False, True)]
    turn = Turns()

    def run() -> None:
        second = turn.next()
        for name, samples in seconds.items():
            buffers[name][0] = samples[second]
        session.run_with_iobinding(bindings[second % 2])

    return run


def _session(graph: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Its buffers come from a pattern that is planned once; an arena on top of that costs time.
    options.enable_cpu_mem_arena = False
    content = graph.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _bound(session: Any, buffers: dict[str, np.ndarray], *, swap: bool) -> Any:
    """All inputs and outputs bound; `swap` lets states come out where they went in, and back."""
    binding = session.io_binding()

    def place(name: str) -> np.ndarray:
        if swap and name.startswith(STATE):
            return buffers[NEXT + name.removeprefix(STATE)]
        if swap and name.startswith(NEXT):
            return buffers[STATE + name.removeprefix(NEXT)]
        return buffers[name]

    for node in session.get_inputs():
        binding.bind_cpu_input(node.name, place(node.name))
    for node in session.get_outputs():
        out = place(node.name)
        binding.bind_output(node.name, "cpu", 0, np.float32, list(out.shape), out.ctypes.data)
    return binding


class Turns:
    """The seconds, over and over."""

    def __init__(self) -> None:
        self._second = -1

    def next(self) -> int:
        self._second = (self._second + 1) % SECONDS
        return self._second
