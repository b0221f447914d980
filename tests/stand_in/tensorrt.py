"""A stand-in for `tensorrt` and `tensorrt_rtx`, for machines without a GPU.

Its plans hold the ONNX model they were "built" from; executing one really computes it, with ONNX
Runtime, from and to the addresses that were set, on the streams of the stand-in for `cuda.core`.
Failures are told as TensorRT tells them: by False or None, and a message to the logger.
"""

from __future__ import annotations

import ctypes
import enum
import json
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
from tests.stand_in.cuda_core import STREAMS

MAGIC = b"stand-in plan\n"
HEADER_BYTES = 64
MAGIC_REFUSED = (
    "IRuntime::deserializeCudaEngine: Error Code 1: Serialization "
    "(Serialization assertion magicTagRead == kMAGIC_TAG failed.Magic tag does not match)"
)


def make_plan(onnx: bytes, *, name: str, max_batch: int) -> bytes:
    """What the stand-in runs as a plan."""
    return (
        MAGIC.ljust(HEADER_BYTES, b"\0")
        + json.dumps({"name": name, "max_batch": max_batch}).encode()
        + b"\n"
        + onnx
    )


class Severity(enum.Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self.is_started = True

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError("TensorRT calls the log of a derived class")


class DataType(enum.Enum):
    FLOAT, HALF, INT8, UINT8 = range(4)


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class EngineValidity(enum.Enum):
    VALID, SUBOPTIMAL, INVALID = range(3)


class EngineInvalidityDiagnostics(enum.Enum):
    VERSION_MISMATCH, UNSUPPORTED_CC, OLD_CUDA_DRIVER = 1, 2, 4
    OLD_CUDA_RUNTIME, INSUFFICIENT_GPU_MEMORY, MALFORMED_ENGINE = 8, 16, 32


class DynamicShapesKernelSpecializationStrategy(enum.Enum):
    LAZY, EAGER, NONE = range(3)


class IRuntimeConfig:
    def __init__(self) -> None:
        self.dynamic_shapes_kernel_specialization_strategy = (
            DynamicShapesKernelSpecializationStrategy.LAZY
        )


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._module = engine, engine.module
        self._addresses: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if not 1 <= shape[0] <= self._engine.max_batch:
            return self._engine.fail(
                f"IExecutionContext::setInputShape: Error Code 3: API Usage Error ({name}: {shape})"
            )
        self._shapes[name] = shape
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        stream = STREAMS[stream_handle]
        self._module.calls.append("captured" if stream.recording is not None else "enqueued")
        if self._module.fails_at == "execute":
            return self._engine.fail(
                "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (out of memory)"
            )
        stream.put(lambda shapes=dict(self._shapes): self._compute(shapes))
        return True

    def _compute(self, shapes: dict[str, tuple[int, ...]]) -> None:
        session, feeds = self._engine.session, {}
        for source in session.get_inputs():
            shape = shapes[source.name]
            kind = ctypes.c_uint8 if source.type == "tensor(uint8)" else ctypes.c_float
            memory = (kind * int(np.prod(shape))).from_address(self._addresses[source.name])
            feeds[source.name] = np.ctypeslib.as_array(memory).reshape(shape)
        self._module.calls.append(f"computed {shape[0]}")
        names = [node.name for node in session.get_outputs()]
        outputs = session.run(names, feeds)
        for name, array in zip(names, outputs, strict=True):
            ctypes.memmove(self._addresses[name], array.ctypes.data, array.nbytes)


class RtxExecutionContext(IExecutionContext):
    def is_stream_capturable(self, stream: int) -> bool:
        return bool(self._module.capturable)


class ICudaEngine:
    context = IExecutionContext

    def __init__(self, module: Any, logger: ILogger, content: bytes) -> None:
        header, _, onnx = content[HEADER_BYTES:].partition(b"\n")
        about = json.loads(header)
        self.module, self._logger = module, logger
        self.name, self.max_batch = about["name"], about["max_batch"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            onnx, options, providers=["CPUExecutionProvider"]
        )
        self._inputs, self._outputs = self.session.get_inputs(), self.session.get_outputs()
        self._nodes = {node.name: node for node in [*self._inputs, *self._outputs]}

    @property
    def num_io_tensors(self) -> int:
        return len(self._nodes)

    def get_tensor_name(self, index: int) -> str:
        return list(self._nodes)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return (
            TensorIOMode.INPUT
            if name in [node.name for node in self._inputs]
            else TensorIOMode.OUTPUT
        )

    def get_tensor_dtype(self, name: str) -> DataType:
        types = {"tensor(float)": DataType.FLOAT, "tensor(uint8)": DataType.UINT8}
        return types.get(self._nodes[name].type, DataType.HALF)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self._nodes[name].shape)

    def create_execution_context(self) -> IExecutionContext | None:
        if self.module.fails_at == "context":
            self.fail(
                "ICudaEngine::createExecutionContext: Error Code 2: "
                "OutOfMemory (In alloc at /_src/x.cpp:1)"
            )
            return None
        return self.context(self)

    def fail(self, message: str) -> bool:
        self._logger.log(Severity.ERROR, message)
        return False


class RtxCudaEngine(ICudaEngine):
    context = RtxExecutionContext

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(self, runtime_config: IRuntimeConfig) -> IExecutionContext | None:
        self.module.calls.append(runtime_config.dynamic_shapes_kernel_specialization_strategy.name)
        return super().create_execution_context()


def make_module(name: str, version: str) -> ModuleType:
    """A module to stand in `sys.modules`; it writes down what is asked of it in `calls`.

    `fails_at` ("context", "execute"), `validity`,
    `diagnostics` and `capturable` may be set to play a failure.
    """
    module = ModuleType(name)
    rtx = name == "tensorrt_rtx"
    vars(module).update(
        {
            "__version__": version,
            "calls": [],
            "fails_at": "",
            "capturable": True,
            "validity": EngineValidity.VALID,
            "diagnostics": 0,
            "ILogger": ILogger,
            "DataType": DataType,
            "TensorIOMode": TensorIOMode,
        }
    )

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger: ILogger) -> None:
            assert logger.is_started
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            module.calls.append(
                "deserialised with host code" if self.engine_host_code_allowed else "deserialised"
            )
            if not serialized_engine.startswith(MAGIC):
                self._logger.log(Severity.ERROR, MAGIC_REFUSED)
                return None
            return (RtxCudaEngine if rtx else ICudaEngine)(module, self._logger, serialized_engine)

    class RtxRuntime(Runtime):
        engine_header_size = HEADER_BYTES

        def get_engine_validity(self, buffer: bytes) -> tuple[EngineValidity, int]:
            module.calls.append(f"asked about {len(buffer)} bytes")
            return module.validity, module.diagnostics

    vars(module)["Runtime"] = RtxRuntime if rtx else Runtime
    if rtx:
        extras = (
            EngineValidity,
            EngineInvalidityDiagnostics,
            DynamicShapesKernelSpecializationStrategy,
        )
        vars(module).update({kind.__name__: kind for kind in extras})
    return module
