"""Plans on an NVIDIA GPU, for `tensorrt` and `tensorrt_rtx` alike: what runs them,
and the emotion engine on it.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from emodict.engine.cuda import Cuda, Graph
from emodict.engine.driver import read_driver
from emodict.engine.manifest import Manifest, no_features
from emodict.engine.onnx import INPUT
from emodict.engine.placement import (
    NAMES,
    RTX,
    require_builder,
    require_gpu,
    require_platform,
    require_version,
    this_platform,
    ways_out,
)
from emodict.engine.sidecar import Sidecar, read_plan, read_sidecar, require_emotions
from emodict.engine.tensorrt_api import (
    CapturableContext,
    Context,
    CudaEngine,
    RtxCudaEngine,
    RtxModule,
    RtxRuntime,
    TensorRTModule,
)
from emodict.engine.tensorrt_log import Messages, collecting_logger
from emodict.errors import EmodictError, MissingDependencyError, ModelError

log = logging.getLogger(__name__)
Float32Array = NDArray[np.float32]
_FLOAT32 = np.dtype(np.float32)
_FREE_MEMORY = (
    "End what else uses the GPU's memory (nvidia-smi lists it), or run the model.onnx on the CPU"
)


class TensorRTEngine:
    """model.plan on the GPU; outputs are buffers of the host that the next call reuses.

    Use it from the thread that opened it.
    """

    def __init__(self, plan: Path) -> None:
        sidecar = read_sidecar(plan)
        self.manifest: Manifest = require_emotions(sidecar, plan)
        self._plan = plan
        shapes = {**self.manifest.inputs, **self.manifest.outputs}
        forms = {name: Form(row) for name, row in shapes.items()}
        self._runner = PlanRunner(plan, sidecar, tuple(self.manifest.inputs), forms)

    def infer(self, tokens: Float32Array) -> tuple[Float32Array, Float32Array]:
        """(rows, tokens, width) raw features -> distribution (rows, emotions),
        weights (rows, elements).
        """
        if self.manifest.raw_inputs:
            raise no_features(self._plan)
        row = self.manifest.inputs[INPUT]
        if tokens.shape[1:] != row or tokens.dtype != _FLOAT32:
            raise ModelError(
                "The tokens do not fit the model",
                expected=f"float32 (rows, {row[0]}, {row[1]})",
                got=f"{tokens.dtype} {tokens.shape}",
            )
        distribution, weights = self._runner.run(tokens)
        return distribution, weights

    def second(self, inputs: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """Of a raw graph: a second's samples and the states, (1, ...) -> all outputs by name."""
        outputs = self._runner.run(*(inputs[name] for name in self.manifest.inputs))
        # Copies: the states go back in while the next call fills the runner's own.
        return {name: out.copy() for name, out in zip(self.manifest.outputs, outputs, strict=True)}

    def __enter__(self) -> TensorRTEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runner.__exit__(kind, error, trace)


@dataclass(frozen=True)
class Form:
    """What one row of a tensor must be."""

    row: tuple[int, ...]
    dtype: np.dtype[Any] = _FLOAT32


class PlanRunner:
    """A plan on the GPU, whatever it computes;
    outputs are buffers of the host that the next call reuses.

    A number of rows that comes twice in a row is recorded as a CUDA graph (copy in, compute, copy
    out) and replayed with one call from then on, until another number of rows comes. Use it from
    the thread that opened it, or from one that has called `adopt`.

    Args:
        forms: by name, of the tensors `sources` and of the outputs in the order in
            which they are given back.
    """

    def __init__(
        self, plan: Path, sidecar: Sidecar, sources: tuple[str, ...], forms: Mapping[str, Form]
    ) -> None:
        content = read_plan(plan, sidecar)
        require_builder(sidecar, plan)
        require_platform(sidecar, plan, this_platform())
        module = load_tensorrt(sidecar.builder)
        require_version(sidecar, plan, module.__version__)
        require_gpu(sidecar, plan, read_driver())
        self._sources, self._forms = sources, forms
        self._targets = tuple(name for name in forms if name not in sources)
        self._logger, self._messages = collecting_logger(module)
        self._messages.clear()
        # The memory comes first: its stream's context is the one that TensorRT then works in.
        self._cuda = _open_cuda(sidecar, plan)
        try:
            with _told(f"{plan} could not be brought onto the GPU", self._messages):
                self._load(module, content, sidecar, plan)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def _load(self, module: TensorRTModule, content: bytes, sidecar: Sidecar, plan: Path) -> None:
        runtime = module.Runtime(self._logger)
        # A plan may hold code for the host, which would run here: never asked for,
        # and refused by TensorRT then.
        runtime.engine_host_code_allowed = False
        if sidecar.builder == RTX:
            _ask_validity(
                cast(RtxModule, module),
                cast(RtxRuntime, runtime),
                content,
                self._messages,
                sidecar,
                plan,
            )
        engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise ModelError(
                f"{plan} cannot be loaded: {self._messages.sentence()}", fix=ways_out(sidecar, plan)
            )
        self._check_tensors(module, engine, sidecar, plan)
        self._runtime, self._engine = runtime, engine
        self._context = self._checked(
            _create_context(module, engine, sidecar), "A context could not be made"
        )
        self._largest = sidecar.max_batch
        self._mirrors = {
            name: self._cuda.mirror((self._largest, *form.row), form.dtype)
            for name, form in self._forms.items()
        }
        for name, mirror in self._mirrors.items():
            self._checked(
                self._context.set_tensor_address(name, mirror.address),
                f"The address of {name} was refused",
            )
        self._rows, self._capturable = 0, True
        self._graph: Graph | None = None
        self._out = self._outputs(0)

    def adopt(self) -> None:
        """Let the calling thread use the plan from now on."""
        self._cuda.adopt()

    def run(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """(rows, ...) of each of the sources, in their order -> the outputs, each (rows, ...)."""
        rows = len(inputs[0])
        if len(self._out[0]) != rows:
            self._out = self._outputs(rows)
        for start in range(0, rows, self._largest):
            count = min(self._largest, rows - start)
            for name, batch in zip(self._sources, inputs, strict=True):
                self._mirrors[name].array[:count] = batch[start : start + count]
            with _told("The GPU failed while computing", self._messages):
                self._run(count)
            for out, name in zip(self._out, self._targets, strict=True):
                # Copied: pinned memory is gone once the engine is closed,
                # and a look at it would end the process.
                out[start : start + count] = self._mirrors[name].array[:count]
        return self._out

    def _outputs(self, rows: int) -> tuple[NDArray[Any], ...]:
        forms = (self._forms[name] for name in self._targets)
        return tuple(np.empty((rows, *form.row), form.dtype) for form in forms)

    def _run(self, rows: int) -> None:
        """Compute the first rows of the mirrors: by replay where it is recorded,
        and record what comes again.
        """
        if rows != self._rows:
            self._drop_graph()
            self._rows = 0
            for name in self._sources:
                shape = (rows, *self._forms[name].row)
                self._checked(
                    self._context.set_input_shape(name, shape), f"{rows} rows were refused"
                )
            # TensorRT prepares itself for a shape in the first call,
            # which therefore must not be recorded.
            self._enqueue(rows)
            self._cuda.wait()
            self._rows = rows
            return
        if self._graph is None and self._capturable:
            self._capturable = self._can_capture()
            self._graph = (
                self._cuda.capture(lambda: self._enqueue(rows)) if self._capturable else None
            )
        if self._graph is not None:
            self._graph.launch()
        else:
            self._enqueue(rows)
        self._cuda.wait()

    def _can_capture(self) -> bool:
        """TensorRT for RTX says whether a context may be recorded;
        of the full one our graph always may (no loops).
        """
        if not hasattr(self._context, "is_stream_capturable"):
            return True
        capturable = cast(CapturableContext, self._context).is_stream_capturable(
            self._cuda.stream_handle
        )
        if not capturable:
            log.warning(
                "TensorRT for RTX says that this plan cannot be recorded as a CUDA graph: "
                "each call is enqueued instead, which takes some 50 us longer."
            )
        return capturable

    def _enqueue(self, rows: int) -> None:
        stream = self._cuda.stream
        for name in self._sources:
            self._mirrors[name].up(rows, stream)
        self._checked(
            self._context.execute_async_v3(self._cuda.stream_handle), "The GPU could not be started"
        )
        for name in self._targets:
            self._mirrors[name].down(rows, stream)

    def _checked(self, answer: Any, what: str) -> Any:
        """TensorRT reports failure by False or None, and says why to its logger."""
        if answer is None or answer is False:
            raise EmodictError(f"{what}: {self._messages.sentence()}")
        return answer

    def _check_tensors(
        self, module: TensorRTModule, engine: CudaEngine, sidecar: Sidecar, plan: Path
    ) -> None:
        """The plan's own name, inputs and outputs must be what its description promises.

        Raises:
            ModelError: they are not.
        """
        kinds = {module.DataType.FLOAT: "float32", module.DataType.UINT8: "uint8"}
        found: dict[str, object] = {"name": engine.name}
        expected: dict[str, object] = {"name": sidecar.network_name}
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            mode = "in" if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT else "out"
            kind = kinds.get(engine.get_tensor_dtype(name), "another type")
            found[name] = (mode, kind, *engine.get_tensor_shape(name))
        for name, form in self._forms.items():
            expected[name] = (
                "in" if name in self._sources else "out",
                form.dtype.name,
                -1,
                *form.row,
            )
        if found != expected:
            raise ModelError(
                f"{plan} is not what its description says",
                expected=expected,
                got=found,
                fix=ways_out(sidecar, plan, rebuild=True),
            )

    def _drop_graph(self) -> None:
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()

    def __enter__(self) -> PlanRunner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if getattr(self, "_graph", None) is not None:
            self._drop_graph()
        # In this order: a context must not outlive its engine, nor an engine its runtime,
        # nor any of them the memory.
        for name in ("_context", "_engine", "_runtime", "_mirrors"):
            if hasattr(self, name):
                delattr(self, name)
        self._cuda.__exit__(kind, error, trace)


def load_tensorrt(name: str) -> TensorRTModule:
    """Import `tensorrt` or `tensorrt_rtx`.

    Raises:
        ModelError: it is not installed, or is one of PyPI's packages without its libraries.
    """
    try:
        module: Any = importlib.import_module(name)
    except Exception as error:
        # A package without its libraries fails in many ways, not by ImportError alone.
        absent = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == name
        if name == RTX and absent:
            raise MissingDependencyError(
                name, extra="tensorrt-rtx", purpose="Running this plan"
            ) from error
        raise _unusable(name, absent, error) from error
    if not hasattr(module, "Runtime"):
        raise _unusable(name, False, AttributeError("it has no Runtime"))
    return cast(TensorRTModule, module)


def _unusable(name: str, absent: bool, error: Exception) -> ModelError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    system = (
        "On a Jetson use the TensorRT of JetPack (apt install python3-libnvinfer; "
        "a virtual environment made with "
        "--system-site-packages); PyPI's 'tensorrt' brings no libraries for it"
    )
    return ModelError(
        f"Running this plan needs {NAMES[name]}, whose Python module '{name}' "
        + ("is not installed" if absent else f"cannot be loaded ({reason})"),
        fix="pip install --force-reinstall 'emodict[tensorrt-rtx]'" if name == RTX else system,
    )


def _open_cuda(sidecar: Sidecar, plan: Path) -> Cuda:
    try:
        return Cuda()
    except EmodictError:
        raise
    except Exception as error:
        # cuda-core's errors have no common base across its versions.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{plan}: the GPU cannot be used: {reason}", fix=ways_out(sidecar, plan)
        ) from error


@contextlib.contextmanager
def _told(what: str, messages: Messages) -> Iterator[None]:
    """Turn what cuda-core and TensorRT raise, which have no base in common, into a sentence."""
    try:
        yield
    except EmodictError:
        raise
    except Exception as error:
        said = f"; {messages.sentence()}" if messages.errors else ""
        reason = str(error).partition("\n")[0] or type(error).__name__
        full = "memory" in f"{reason}{said}".lower()
        raise EmodictError(f"{what}: {reason}{said}", fix=_FREE_MEMORY if full else None) from error


def _ask_validity(
    module: RtxModule,
    runtime: RtxRuntime,
    content: bytes,
    messages: Messages,
    sidecar: Sidecar,
    plan: Path,
) -> None:
    """Ask TensorRT for RTX what it thinks of the plan's header, and say what it answers."""
    validity, diagnostics = runtime.get_engine_validity(content[: runtime.engine_header_size])
    if validity == module.EngineValidity.VALID:
        return
    named = [name for name, kind in module.EngineInvalidityDiagnostics.__members__.items()
             if diagnostics & int(kind.value)]  # fmt: skip
    reasons = ", ".join(name.replace("_", " ").lower() for name in named) or messages.sentence()
    if validity == module.EngineValidity.SUBOPTIMAL:
        log.warning(
            "%s runs here, but slower than it could (%s). Build it for this GPU.", plan, reasons
        )
        return
    raise ModelError(
        f"{plan}: TensorRT for RTX says that this plan cannot run here: {reasons}",
        fix=ways_out(sidecar, plan, rebuild=True),
    )


def _create_context(module: TensorRTModule, engine: CudaEngine, sidecar: Sidecar) -> Context | None:
    if sidecar.builder != RTX:
        return engine.create_execution_context()
    # RTX compiles kernels for a new number of rows. Not in the background, as it would by
    # default: results would change from one call to the next, and a recorded graph would keep the
    # slow kernels for good.
    rtx = cast(RtxCudaEngine, engine)
    config = rtx.create_runtime_config()
    strategy = cast(RtxModule, module).DynamicShapesKernelSpecializationStrategy
    config.dynamic_shapes_kernel_specialization_strategy = strategy.EAGER
    return rtx.create_execution_context(config)
