"""The ONNX Runtime engine, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.engine.held import held
from emodict.engine.manifest import Manifest, manifest_from_metadata, no_features
from emodict.errors import MissingDependencyError, ModelError

Float32Array = NDArray[np.float32]
Run = Callable[[Float32Array], tuple[Float32Array, Float32Array]]

INPUT, DISTRIBUTION, WEIGHTS = "tokens", "distribution", "weights"
# The model is half a million multiplications: a second thread costs more than it gives.
THREADS = 1
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
GPU_PACKAGE = (
    "pip uninstall onnxruntime, then pip install onnxruntime-gpu (they overwrite each "
    "other: never both)"
)
_FLOAT32 = np.dtype(np.float32)


class OnnxEngine:
    """model.onnx in ONNX Runtime; inputs are copied into a buffer,
    outputs are buffers that the next call reuses.

    `device` is "cpu" or "cuda": what is asked for is what runs, or opening fails.
    """

    def __init__(self, path: Path, *, threads: int = THREADS, device: str = "cpu") -> None:
        self._path, self._device = path, device
        self._session = _open_session(path, threads, device)
        metadata = metadata_of(self._session, path)
        self.manifest: Manifest = manifest_from_metadata(metadata, source=str(path))
        features, model = self.manifest.features, self.manifest.model
        self._input_shape = (features.tokens, features.token_width)
        self._output_sizes = (len(model.emotions), model.elements * model.members)
        self._check_graph(path)
        self._bound: tuple[int, Run] | None = None

    def infer(self, tokens: Float32Array) -> tuple[Float32Array, Float32Array]:
        """(rows, tokens, width) raw features -> distribution (rows, emotions),
        weights (rows, elements).

        Raises:
            ModelError: the tokens do not fit, or ONNX Runtime cannot run the graph.
        """
        if self.manifest.raw_inputs:
            raise no_features(self._path)
        if tokens.shape[1:] != self._input_shape or tokens.dtype != _FLOAT32:
            raise ModelError(
                "The tokens do not fit the model",
                expected=f"float32 (rows, {self._input_shape[0]}, {self._input_shape[1]})",
                got=f"{tokens.dtype} {tokens.shape}",
            )
        # A live stream always asks for one row, a file for one block size:
        # the last binding nearly always fits.
        try:
            if self._bound is None or self._bound[0] != len(tokens):
                bind = self._bind if self._device == "cpu" else self._bind_on_gpu
                self._bound = len(tokens), bind(len(tokens))
            return self._bound[1](tokens)
        except RuntimeError as error:
            raise failed_in_onnxruntime(self._path, error, device=self._device) from error

    def second(self, inputs: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """Of a raw graph: a second's samples and the states, (1, ...) -> all outputs by name.

        Raises:
            ModelError: ONNX Runtime cannot run the graph.
        """
        names = list(self.manifest.outputs)
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except RuntimeError as error:
            raise failed_in_onnxruntime(self._path, error, device=self._device) from error

    def __enter__(self) -> OnnxEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bound = None
        del self._session

    def _bind(self, rows: int) -> Run:
        """Tie input and output buffers of this size to the session;
        a sixth faster than handing arrays over.
        """
        binding = self._session.io_binding()
        buffer = np.empty((rows, *self._input_shape), dtype=np.float32)
        binding.bind_cpu_input(INPUT, buffer)
        distribution, weights = (
            np.empty((rows, size), dtype=np.float32) for size in self._output_sizes
        )
        out = distribution, weights
        for name, array in zip((DISTRIBUTION, WEIGHTS), out, strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, list(array.shape), array.ctypes.data)

        start = self._session.run_with_iobinding

        def run(tokens: Float32Array) -> tuple[Float32Array, Float32Array]:
            buffer[...] = tokens
            start(binding)
            return out

        return run

    def _bind_on_gpu(self, rows: int) -> Run:
        """The same with buffers in the GPU's memory:
        one copy to it and one from it per call, none in between.
        """
        import onnxruntime

        def on_gpu(*shape: int) -> Any:
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                list(shape), np.float32, self._device, 0
            )

        binding, start = self._session.io_binding(), self._session.run_with_iobinding
        buffer = on_gpu(rows, *self._input_shape)
        distribution, weights = (on_gpu(rows, size) for size in self._output_sizes)
        binding.bind_ortvalue_input(INPUT, buffer)
        binding.bind_ortvalue_output(DISTRIBUTION, distribution)
        binding.bind_ortvalue_output(WEIGHTS, weights)

        def run(tokens: Float32Array) -> tuple[Float32Array, Float32Array]:
            buffer.update_inplace(np.ascontiguousarray(tokens))
            start(binding)
            binding.synchronize_outputs()
            return distribution.numpy(), weights.numpy()

        return run

    def _check_graph(self, path: Path) -> None:
        """The graph's own inputs and outputs must be what its description promises."""
        shapes = {**self.manifest.inputs, **self.manifest.outputs}
        expected = {name: ("tensor(float)", row) for name, row in shapes.items()}
        found = graph_ends(self._session)
        if found != expected:
            raise ModelError(
                f"{path}: the graph is not what its description says",
                expected=expected,
                got=found,
                fix="Export it again",
            )


def graph_ends(session: Any) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Of each input and output by its name: its type, and its shape behind the rows."""
    # A name that is not text is not emodict's.
    with contextlib.suppress(UnicodeDecodeError):
        nodes = [*session.get_inputs(), *session.get_outputs()]
        return {node.name: (node.type, tuple(node.shape[1:])) for node in nodes}
    return {}


def failed_in_onnxruntime(path: Path, error: RuntimeError, *, device: str = "cpu") -> ModelError:
    """What to say of a graph that could be opened and not run."""
    # Its words end with the reason, after the node,
    # the place in its sources and the condition that did not hold.
    reason = str(error).split("Status Message: ")[-1].split(" was false. ")[-1].strip()
    return ModelError(
        f"{path} failed while ONNX Runtime ran it: {' '.join(reason.split()).rstrip('.')}",
        fix="Copy it again, or export it again"
        if device == "cpu"
        else "See that the GPU's memory is free, or run on the CPU: --device cpu",
    )


def metadata_of(session: Any, path: Path) -> dict[str, str]:
    """What an open ONNX file says of itself.

    Raises:
        ModelError: in bytes that are not text.
    """
    try:
        metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{path}: its metadata is damaged: {error}", fix="Copy it again, or export it again"
        ) from error
    return metadata


def _open_session(path: Path, threads: int, device: str) -> Any:
    if device == "cpu":
        return open_on_cpu(
            path,
            threads=threads,
            expected="an ONNX model",
            fix="Export it again: emodict-export model.pt -o model.onnx",
        )
    onnxruntime, provider = _onnxruntime(path), PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise _no_gpu(
            path,
            f"ONNX Runtime {onnxruntime.__version__} on this machine has no CUDA provider",
            GPU_PACKAGE,
        )
    onnxruntime.set_default_logger_severity(4)
    options = _session_options(onnxruntime, threads)
    # Without this, what the GPU cannot do is done by the CPU, and nobody is told.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # FP32 means FP32: TF32, the provider's default, keeps 10 bits of 23.
    providers = [(provider, {"use_tf32": "0"})]
    try:
        session = onnxruntime.InferenceSession(
            _content(path), options, providers=providers, enable_fallback=0
        )
    except Exception as error:
        fix = (
            "emodict-run --check says what this machine can run; "
            "--device cpu runs the model without the GPU"
        )
        raise _cannot_open(
            path, error, where=" on the GPU", expected="an ONNX model", fix=fix
        ) from error
    if session.get_providers()[0] != provider:
        raise _no_gpu(
            path,
            f"ONNX Runtime {onnxruntime.__version__} could not start its CUDA provider",
            "emodict-run --check says what is missing (a driver, CUDA 12 and cuDNN 9)",
        )
    return session


def open_on_cpu(path: Path, *, threads: int, expected: str, fix: str) -> Any:
    """An InferenceSession of what is held of the file, or else of the file.

    Raises:
        ModelError: it is not an ONNX file;
            `expected` and `fix` say what should be there and where to get it.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    onnxruntime = _onnxruntime(path)
    options = _session_options(onnxruntime, threads)
    try:
        return onnxruntime.InferenceSession(
            _content(path), options, providers=[PROVIDERS["cpu"]], enable_fallback=0
        )
    except Exception as error:
        raise _cannot_open(path, error, expected=expected, fix=fix) from error


def _onnxruntime(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "onnxruntime", extra="onnx", purpose=f"Running {path.name}"
        ) from error
    return onnxruntime


def _session_options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4
    return options


def _content(path: Path) -> bytes | str:
    """What ONNX Runtime opens: a name in UTF-8, and of a file with another name its bytes."""
    content = held(path)
    if content is not None:
        return content
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.read_bytes()
    return str(path)


def _cannot_open(
    path: Path, error: Exception, *, where: str = "", expected: str, fix: str
) -> ModelError:
    import onnxruntime

    from emodict.files.mistaken import AN_ONNX, mistaken_for

    mistaken = mistaken_for(path)
    # It may well be an ONNX file, of a kind that ONNX Runtime does not open.
    if mistaken is not None and mistaken.what != AN_ONNX:
        return ModelError(
            f"{path} is not an ONNX model", expected=expected, got=mistaken.what, fix=mistaken.fix
        )
    # ONNX Runtime's own exceptions have no common base that it exports.
    reason = str(error).split(" : ")[-1].strip().rstrip(".")
    return ModelError(
        f"{path} cannot be opened by ONNX Runtime {onnxruntime.__version__}{where}: {reason}",
        expected=expected,
        fix=fix,
    )


def _no_gpu(path: Path, what: str, fix: str) -> ModelError:
    return ModelError(
        f"{path} was to run on the GPU, and {what}",
        expected=PROVIDERS["cuda"],
        got=PROVIDERS["cpu"],
        fix=f"{fix}. Or run on the CPU: --device cpu",
    )
