"""The names of TensorRT's Python API that running a plan uses:
the same in 10.3 to 11.x and in TensorRT for RTX.

mypy lets the engine use nothing else, and the contract tests hold every name against the real
bindings. What differs: only TensorRT for RTX judges a plan by its header, chooses when kernels are
compiled and says whether a context can be captured; those names stand in protocols of their own and
are asked for only where they exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class LoggerBase(Protocol):
    """`ILogger`, which is subclassed; `log` is called by TensorRT."""

    def log(self, severity: Any, msg: str) -> None: ...


class Severity(Protocol):
    """`ILogger.Severity`, an enumeration."""

    @property
    def INTERNAL_ERROR(self) -> Any: ...  # noqa: N802

    @property
    def ERROR(self) -> Any: ...  # noqa: N802


class DataType(Protocol):
    """`DataType`, an enumeration."""

    @property
    def FLOAT(self) -> Any: ...  # noqa: N802

    @property
    def UINT8(self) -> Any: ...  # noqa: N802


class TensorIOMode(Protocol):
    """`TensorIOMode`, an enumeration."""

    @property
    def INPUT(self) -> Any: ...  # noqa: N802

    @property
    def OUTPUT(self) -> Any: ...  # noqa: N802


class Context(Protocol):
    """`IExecutionContext`; the three that return bool say False where
    TensorRT refused, and log why.
    """

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool: ...

    def set_tensor_address(self, name: str, memory: int) -> bool: ...

    def execute_async_v3(self, stream_handle: int) -> bool: ...


class CapturableContext(Context, Protocol):
    """`IExecutionContext` of TensorRT for RTX >= 1.2."""

    def is_stream_capturable(self, stream: int) -> bool: ...


class CudaEngine(Protocol):
    """`ICudaEngine`."""

    @property
    def name(self) -> str: ...

    @property
    def num_io_tensors(self) -> int: ...

    def get_tensor_name(self, index: int) -> str: ...

    def get_tensor_mode(self, name: str) -> Any: ...

    def get_tensor_dtype(self, name: str) -> Any: ...

    def get_tensor_shape(self, name: str) -> Sequence[int]: ...

    def create_execution_context(self) -> Context | None: ...


class RuntimeConfig(Protocol):
    """`IRuntimeConfig` of TensorRT for RTX."""

    dynamic_shapes_kernel_specialization_strategy: Any


class RtxCudaEngine(Protocol):
    """What `ICudaEngine` of TensorRT for RTX has besides."""

    def create_runtime_config(self) -> RuntimeConfig: ...

    def create_execution_context(self, runtime_config: RuntimeConfig) -> Context | None: ...


class KernelSpecialization(Protocol):
    """`DynamicShapesKernelSpecializationStrategy` of TensorRT for RTX, an enumeration."""

    @property
    def EAGER(self) -> Any: ...  # noqa: N802


class Runtime(Protocol):
    """`Runtime`."""

    engine_host_code_allowed: bool

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> CudaEngine | None: ...


class RtxRuntime(Runtime, Protocol):
    """`Runtime` of TensorRT for RTX."""

    @property
    def engine_header_size(self) -> int: ...

    def get_engine_validity(self, buffer: bytes) -> tuple[Any, int]: ...


class EngineValidity(Protocol):
    """`EngineValidity` of TensorRT for RTX, an enumeration."""

    @property
    def VALID(self) -> Any: ...  # noqa: N802

    @property
    def SUBOPTIMAL(self) -> Any: ...  # noqa: N802


class TensorRTModule(Protocol):
    """The module, `tensorrt` or `tensorrt_rtx`."""

    __version__: str

    @property
    def ILogger(self) -> Any: ...  # noqa: N802

    @property
    def DataType(self) -> DataType: ...  # noqa: N802

    @property
    def TensorIOMode(self) -> TensorIOMode: ...  # noqa: N802

    def Runtime(self, logger: LoggerBase) -> Runtime: ...  # noqa: N802


class RtxModule(TensorRTModule, Protocol):
    """What the module `tensorrt_rtx` has besides."""

    @property
    def EngineValidity(self) -> EngineValidity: ...  # noqa: N802

    @property
    def EngineInvalidityDiagnostics(self) -> Any: ...  # noqa: N802

    @property
    def DynamicShapesKernelSpecializationStrategy(self) -> KernelSpecialization: ...  # noqa: N802


# Which class of the module each protocol stands for ("" is the module itself):
# in both modules, and in RTX's alone.
BOTH: dict[str, type] = {
    "": TensorRTModule,
    "ILogger": LoggerBase,
    "ILogger.Severity": Severity,
    "DataType": DataType,
    "TensorIOMode": TensorIOMode,
    "Runtime": Runtime,
    "ICudaEngine": CudaEngine,
    "IExecutionContext": Context,
}
RTX_ALONE: dict[str, type] = {
    "": RtxModule,
    "Runtime": RtxRuntime,
    "EngineValidity": EngineValidity,
    "DynamicShapesKernelSpecializationStrategy": KernelSpecialization,
    "ICudaEngine": RtxCudaEngine,
    "IRuntimeConfig": RuntimeConfig,
    "IExecutionContext": CapturableContext,
}
