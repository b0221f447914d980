"""Memory, streams and graphs of a GPU: the only place that knows cuda-core,
whose API has moved from 0.4 to 1.x.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError

_FLOAT32 = np.dtype(np.float32)
# cuda-core 0.4 is at `cuda.core.experimental`; from 0.5 on that name only warns.
MODULES = ("cuda.core", "cuda.core.experimental")


def load_cuda_core() -> Any:
    """The module that holds `Device`.

    Raises:
        MissingDependencyError: cuda-core is not installed, or finds no cuda-bindings.
    """
    reason: ImportError | None = None
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            reason = error
            continue
        if hasattr(module, "Device"):
            return module
    raise MissingDependencyError(
        "cuda-core", extra="tensorrt", purpose="Running a plan"
    ) from reason


class Cuda:
    """One GPU with one stream: a context manager that frees all that was taken through it.

    Use it from the thread that made it, or from one that has called `adopt`, one at a time: the
    driver ties a context to a thread.
    """

    def __init__(self, core: Any = None, *, device: int = 0) -> None:
        self._core, self._index = core or load_cuda_core(), device
        self._device = self._core.Device(device)
        self._device.set_current()
        self.stream = self._device.create_stream()
        self._pinned = self._core.LegacyPinnedMemoryResource()
        self._buffers: list[Any] = []

    @property
    def stream_handle(self) -> int:
        return int(self.stream.handle)

    def adopt(self) -> None:
        """Make this GPU's context the calling thread's."""
        self._core.Device(self._index).set_current()

    def mirror(self, shape: tuple[int, ...], dtype: np.dtype[Any] = _FLOAT32) -> Mirror:
        """Room for an array of this shape (rows first) and type, on both sides."""
        size = int(np.prod(shape)) * dtype.itemsize
        device = self._device.allocate(size, stream=self.stream)
        self._buffers.append(device)
        host = self._pinned.allocate(size)
        self._buffers.append(host)
        return Mirror(self._core.Buffer, host, device, shape, dtype)

    def capture(self, work: Callable[[], None]) -> Graph:
        """Record what `work` puts on the stream, without running it.

        Raises:
            Exception: whatever `work` raised, once the recording has been ended.
        """
        builder = self.stream.create_graph_builder()
        builder.begin_building("thread_local")
        try:
            work()
        except BaseException:
            # What went wrong is in `work`; that the recording is now broken as well adds nothing.
            with contextlib.suppress(Exception):
                builder.end_building()
            raise
        builder.end_building()
        graph = builder.complete()
        builder.close()
        return Graph(graph, self.stream)

    def wait(self) -> None:
        """Until all that is on the stream has been done."""
        self.stream.sync()

    def __enter__(self) -> Cuda:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.wait()
            while self._buffers:
                self._buffers.pop().close(self.stream)
            self.wait()
            self.stream.close()
        except Exception:
            # After a fault of the GPU every call fails; the fault itself is what has to be heard.
            if kind is None:
                raise


class Mirror:
    """An array in pinned memory of the host and its twin on the GPU."""

    def __init__(
        self, buffer_type: Any, host: Any, device: Any, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._buffer_type = buffer_type
        self._host, self._device = int(host.handle), int(device.handle)
        self._row_bytes = int(np.prod(shape[1:])) * dtype.itemsize
        memory = (ctypes.c_uint8 * (int(np.prod(shape)) * dtype.itemsize)).from_address(self._host)
        self.array: NDArray[Any] = np.ctypeslib.as_array(memory).view(dtype).reshape(shape)

    @property
    def address(self) -> int:
        """Of the array on the GPU."""
        return self._device

    def up(self, rows: int, stream: Any) -> None:
        """Put the copy of the first rows to the GPU on the stream."""
        self._view(self._host, rows).copy_to(self._view(self._device, rows), stream=stream)

    def down(self, rows: int, stream: Any) -> None:
        """Put the copy of the first rows from the GPU on the stream."""
        self._view(self._device, rows).copy_to(self._view(self._host, rows), stream=stream)

    def _view(self, address: int, rows: int) -> Any:
        # cuda-core copies whole buffers of equal size:
        # the first rows become a buffer that owns nothing.
        return self._buffer_type.from_handle(address, rows * self._row_bytes)


class Graph:
    """Recorded work, to be started with one call."""

    def __init__(self, graph: Any, stream: Any) -> None:
        self._graph, self._stream = graph, stream

    def launch(self) -> None:
        self._graph.launch(self._stream)

    def close(self) -> None:
        self._graph.close()
