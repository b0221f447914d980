"""ONNX Runtime on the GPU: what was asked for is what runs, or it stops.

There is no GPU here. The stand-in is the real ONNX Runtime,
whose CPU provider answers to CUDA's name.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

from emodict.engine import open_engine
from emodict.errors import ModelError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class Options(onnxruntime.SessionOptions):
    def add_session_config_entry(self, key: str, value: str) -> None:
        # The CPU's provider cannot play CUDA's part with this on: noted, and left out.
        STAND_IN.entries[key] = value


class Session:
    """The real session, on the CPU under CUDA's name."""

    def __init__(
        self, path: str, options: Any, *, providers: list[Any], enable_fallback: int
    ) -> None:
        STAND_IN.entries["enable_fallback"] = enable_fallback
        STAND_IN.entries["providers"] = providers
        STAND_IN.options = options
        if STAND_IN.fails:
            raise RuntimeError(STAND_IN.fails)
        self._real = onnxruntime.InferenceSession(path, options, providers=[CPU])

    def get_providers(self) -> list[str]:
        return STAND_IN.given

    def io_binding(self) -> Binding:
        return Binding(self._real)

    def run_with_iobinding(self, binding: Binding) -> None:
        self._real.run_with_iobinding(binding.real)
        STAND_IN.is_running = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Binding:
    """The real one, whose run counts as unfinished until it has been waited for."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.real = session.io_binding()

    def bind_ortvalue_input(self, name: str, value: Value) -> None:
        self.real.bind_ortvalue_input(name, value.real)

    def bind_ortvalue_output(self, name: str, value: Value) -> None:
        self.real.bind_ortvalue_output(name, value.real)

    def synchronize_outputs(self) -> None:
        STAND_IN.is_running = False


class Value:
    """A value "on the GPU": it may be read only when nothing is running there."""

    def __init__(self, real: Any) -> None:
        self.real = real

    @staticmethod
    def ortvalue_from_shape_and_type(shape: list[int], kind: Any, device: str, index: int) -> Value:
        assert (device, index) == ("cuda", 0)
        return Value(onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cpu", 0))

    def update_inplace(self, array: np.ndarray) -> None:
        self.real.update_inplace(array)

    def numpy(self) -> np.ndarray:
        assert not STAND_IN.is_running
        result: np.ndarray = self.real.numpy()
        return result


class StandIn(ModuleType):
    entries: dict[str, Any]
    given: list[str]
    fails: str
    is_running: bool
    options: onnxruntime.SessionOptions


STAND_IN = StandIn("onnxruntime")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    vars(STAND_IN).update(
        {
            "__version__": "1.23.2",
            "entries": {},
            "given": [CUDA, CPU],
            "fails": "",
            "is_running": False,
            "SessionOptions": Options,
            "InferenceSession": Session,
            "OrtValue": Value,
            "get_available_providers": lambda: [CUDA, CPU],
            "set_default_logger_severity": lambda level: STAND_IN.entries.update(severity=level),
        }
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", STAND_IN)
    return STAND_IN


def test_results_come_back_from_the_device_for_any_number_of_rows(
    wrist_model: Path, gpu: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_engine(wrist_model, device="cuda") as engine:
        shape = (engine.manifest.features.tokens, engine.manifest.features.token_width)
        inputs = [
            np.random.default_rng(n).standard_normal((n, *shape)).astype(np.float32)
            for n in (1, 7, 7, 64, 1)
        ]
        results = [[array.copy() for array in engine.infer(rows)] for rows in inputs]
    monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime)
    with open_engine(wrist_model, device="cpu") as engine:
        for rows, result in zip(inputs, results, strict=True):
            for got, wanted in zip(result, engine.infer(rows), strict=True):
                # The same graph and as many rows in the same kernels: the very same arithmetic.
                np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    "tokens", [np.zeros((2, 3, 4), np.float32), np.zeros((1, 4, 18), np.float64)]
)
def test_tokens_of_another_shape_or_type_are_refused_in_our_words(
    wrist_model: Path, tokens: np.ndarray
) -> None:
    with (
        open_engine(wrist_model) as engine,
        pytest.raises(
            ModelError,
            match=rf"The tokens do not fit the model.*got {tokens.dtype} \({len(tokens)}, ",
        ),
    ):
        engine.infer(tokens)


def test_every_way_back_to_the_cpu_and_to_tf32_is_closed(wrist_model: Path, gpu: StandIn) -> None:
    with open_engine(wrist_model, device="cuda"):
        assert gpu.entries == {
            "session.disable_cpu_ep_fallback": "1",
            "enable_fallback": 0,
            "providers": [(CUDA, {"use_tf32": "0"})],
            "severity": 4,
        }
        # One thread, and of ONNX Runtime's own lines the fatal ones alone:
        # its errors become sentences of ours.
        threads = gpu.options.intra_op_num_threads, gpu.options.inter_op_num_threads
        assert (*threads, gpu.options.log_severity_level) == (1, 1, 4)


def test_asked_for_the_gpu_and_given_the_cpu_is_an_error(wrist_model: Path, gpu: StandIn) -> None:
    gpu.given = [CPU]
    with pytest.raises(
        ModelError, match=rf"could not start its CUDA provider\. Expected {CUDA}, got {CPU}"
    ):
        open_engine(wrist_model, device="cuda")


def test_a_node_that_the_gpu_cannot_run_is_an_error(wrist_model: Path, gpu: StandIn) -> None:
    gpu.fails = "[ONNXRuntimeError] : 1 : FAIL : some nodes would run on the CPU"
    with pytest.raises(
        ModelError, match=r"on the GPU: some nodes would run on the CPU.*--device cpu"
    ):
        open_engine(wrist_model, device="cuda")


def test_the_real_onnx_runtime_without_cuda_is_refused(wrist_model: Path) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(
        ModelError, match=r"has no CUDA provider.*pip install onnxruntime-gpu.*--device cpu"
    ):
        open_engine(wrist_model, device="cuda")


def test_what_closes_the_ways_back_is_known_to_the_real_onnx_runtime(wrist_model: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with pytest.raises(Exception, match="fallback"):
        onnxruntime.InferenceSession(str(wrist_model), options, providers=[CPU], enable_fallback=0)
