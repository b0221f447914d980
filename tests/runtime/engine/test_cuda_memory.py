"""Memory, streams and graphs through cuda-core: the wrapper keeps its promises,
and names only what cuda-core has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from tests.stand_in import cuda_core

from emodict.engine.cuda import Cuda, load_cuda_core
from emodict.errors import MissingDependencyError


@pytest.fixture(autouse=True)
def all_memory_is_given_back() -> Iterator[None]:
    yield
    assert not cuda_core.LIVE
    assert not cuda_core.STREAMS


def test_rows_go_up_and_come_down_and_no_others() -> None:
    with Cuda(cuda_core.make_module()) as cuda:
        there, back = cuda.mirror((5, 3)), cuda.mirror((5, 3))
        there.array[...] = np.arange(15).reshape(5, 3)
        there.up(2, cuda.stream)
        # The device's array becomes the device's array of the other:
        # what a kernel that copies would do.
        back._device = there.address
        back.down(5, cuda.stream)
        cuda.wait()
        np.testing.assert_array_equal(back.array[:2], [[0, 1, 2], [3, 4, 5]])
        assert np.isnan(back.array[2:]).all(), "rows that were not sent hold what the memory held"


def test_nothing_happens_before_the_stream_is_waited_for() -> None:
    with Cuda(cuda_core.make_module()) as cuda:
        mirror = cuda.mirror((1, 1))
        mirror.array[...] = 7
        mirror.up(1, cuda.stream)
        mirror.array[...] = 8
        mirror.down(1, cuda.stream)
        assert mirror.array[0, 0] == 8
        cuda.wait()
        assert mirror.array[0, 0] == 8, "the copy took what was there when it ran"


def test_captured_work_runs_at_each_launch_and_not_before() -> None:
    ran = []
    with Cuda(cuda_core.make_module()) as cuda:
        graph = cuda.capture(lambda: cuda.stream.put(lambda: ran.append(1)))
        cuda.wait()
        assert ran == []
        graph.launch()
        graph.launch()
        cuda.wait()
        assert ran == [1, 1]
        graph.close()


def test_a_fault_while_capturing_is_heard_and_leaves_the_stream_usable() -> None:
    with Cuda(cuda_core.make_module()) as cuda:

        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            cuda.capture(fail)
        cuda.wait()


def test_all_is_given_back_even_after_a_fault() -> None:
    def fail() -> None:
        with Cuda(cuda_core.make_module()) as cuda:
            cuda.mirror((2, 2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_a_fault_while_closing_is_heard_unless_another_was_before_it() -> None:
    def lost(**_: object) -> None:
        raise RuntimeError("the GPU is lost")

    def use(fault: type[Exception] | None) -> None:
        with Cuda(cuda_core.make_module()) as cuda:
            cuda.stream.sync = lost
            if fault:
                raise fault

    for fault, heard in ((None, RuntimeError), (ZeroDivisionError, ZeroDivisionError)):
        with pytest.raises(heard):
            use(fault)
    cuda_core.STREAMS.clear()


def test_both_homes_of_cuda_core_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    old, empty = cuda_core.make_module(), ModuleType("cuda.core")
    monkeypatch.setitem(sys.modules, "cuda.core", empty)
    monkeypatch.setitem(sys.modules, "cuda.core.experimental", old)
    assert load_cuda_core() is old
    monkeypatch.setitem(sys.modules, "cuda.core", cuda_core.make_module())
    assert load_cuda_core() is sys.modules["cuda.core"]
    for name in ("cuda.core", "cuda.core.experimental"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"emodict\[tensorrt\]"):
        load_cuda_core()


def test_the_real_cuda_core_has_every_name_that_is_used() -> None:
    core = load_cuda_core()
    # Imported anew after another test took it out of sys.modules,
    # it no longer has its submodule as an attribute.
    graph = getattr(core, "graph", None) or sys.modules.get("cuda.core.graph", core)
    used = {
        core.Device: ("set_current", "create_stream", "allocate"),
        core.Stream: ("handle", "sync", "close", "create_graph_builder"),
        core.Buffer: ("from_handle", "copy_to", "close", "handle"),
        core.LegacyPinnedMemoryResource: ("allocate",),
        graph.GraphBuilder: ("begin_building", "end_building", "complete", "close"),
        graph.Graph: ("launch", "close"),
    }
    for kind, names in used.items():
        assert set(names) <= set(dir(kind)), kind
    # Nothing of the stand-in is without its like.
    ours = vars(cuda_core.make_module())
    for name in ("Device", "Buffer", "LegacyPinnedMemoryResource"):
        public = {n for n in dir(ours[name]) if not n.startswith("_")}
        assert public <= set(dir(getattr(core, name))), name
