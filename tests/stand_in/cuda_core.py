"""A stand-in for `cuda.core`, for machines without a GPU:
its "device memory" is memory of the host.

It keeps the rules that matter: a thread makes a device its own before it uses a stream, what is put
on a stream happens at the next `sync`, copies are of whole buffers of equal size, nothing that is
captured happens before the graph is launched, and freed memory is overwritten with NaN.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from types import ModuleType

Work = Callable[[], None]
STREAMS: dict[int, Stream] = {}
LIVE: dict[int, ctypes.Array[ctypes.c_char]] = {}
"""Memory that has been taken and not given back, by address."""
CURRENT = threading.local()
"""Whether the thread has made a device its own."""


class Stream:
    def __init__(self) -> None:
        self.waiting: list[Work] = []
        self.recording: list[Work] | None = None
        self.handle = id(self)
        STREAMS[self.handle] = self

    def put(self, work: Work) -> None:
        assert getattr(CURRENT, "device", False), "this thread has no device"
        (self.waiting if self.recording is None else self.recording).append(work)

    def sync(self) -> None:
        assert self.recording is None, "a stream cannot be waited for while it is being captured"
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work()

    def create_graph_builder(self) -> GraphBuilder:
        return GraphBuilder(self)

    def close(self) -> None:
        assert not self.waiting, "work was lost"
        del STREAMS[self.handle]


class Buffer:
    def __init__(self, address: int, size: int, *, owns: bool) -> None:
        self.handle, self.size, self._owns = address, size, owns

    @staticmethod
    def from_handle(ptr: int, size: int) -> Buffer:
        return Buffer(ptr, size, owns=False)

    def copy_to(self, dst: Buffer, *, stream: Stream) -> Buffer:
        assert dst.size == self.size, "cuda-core copies buffers of equal size alone"
        source, target, size = self.handle, dst.handle, self.size
        stream.put(lambda: ctypes.memmove(target, source, size) and None)
        return dst

    def close(self, stream: Stream | None = None) -> None:
        if self._owns:
            ctypes.memset(self.handle, 0xFF, self.size)
            del LIVE[self.handle]
            self._owns = False


def _take(size: int) -> Buffer:
    memory = ctypes.create_string_buffer(size)
    address = ctypes.addressof(memory)
    ctypes.memset(address, 0xFF, size)
    LIVE[address] = memory
    return Buffer(address, size, owns=True)


class LegacyPinnedMemoryResource:
    def allocate(self, size: int, *, stream: Stream | None = None) -> Buffer:
        return _take(size)


class Device:
    def __init__(self, device_id: int | None = None) -> None:
        self.is_current = False

    def set_current(self) -> None:
        self.is_current = CURRENT.device = True

    def create_stream(self) -> Stream:
        assert self.is_current
        return Stream()

    def allocate(self, size: int, *, stream: Stream) -> Buffer:
        assert self.is_current
        return _take(size)


class GraphBuilder:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._work: list[Work] = []

    def begin_building(self, mode: str = "relaxed") -> GraphBuilder:
        assert mode in ("global", "thread_local", "relaxed")
        assert not self._stream.waiting, "what is captured must not depend on what is still waiting"
        self._stream.recording = self._work
        return self

    def end_building(self) -> GraphBuilder:
        self._stream.recording = None
        return self

    def complete(self) -> Graph:
        return Graph(self._work)

    def close(self) -> None:
        self._work = []


class Graph:
    def __init__(self, work: list[Work]) -> None:
        self._work: list[Work] | None = work

    def launch(self, stream: Stream) -> None:
        assert self._work is not None, "the graph is closed"
        stream.waiting += self._work

    def close(self) -> None:
        self._work = None


def make_module() -> ModuleType:
    """A module to stand in `sys.modules` as `cuda.core`."""
    module = ModuleType("cuda.core")
    vars(module).update(
        {
            "Device": Device,
            "Buffer": Buffer,
            "LegacyPinnedMemoryResource": LegacyPinnedMemoryResource,
        }
    )
    return module
