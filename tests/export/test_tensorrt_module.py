"""Which TensorRT is chosen to build, and what is said where none can."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from emodict.engine import driver as driver_module
from emodict.engine.placement import version_numbers
from emodict.errors import EmodictError, InputError, MissingDependencyError
from emodict_export.plan import tensorrt_module
from emodict_export.plan.tensorrt_module import (
    choose_backend,
    load_rtx,
    load_system_tensorrt,
    parse_sm,
)

Install = Callable[..., None]
NO_GPU = not driver_module.read_driver().gpus


@pytest.fixture(autouse=True)
def loaded_anew() -> Iterator[None]:
    """What was imported for one test is no answer in the next."""
    for load in (load_rtx, load_system_tensorrt):
        load.cache_clear()
    yield
    for load in (load_rtx, load_system_tensorrt):
        load.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package of this name and content, as pip would: as a folder on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def do(name: str, content: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(content)
        # What stood there comes back after the test.
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        del sys.modules[name]
        importlib.invalidate_caches()

    return do


def version(number: str) -> str:
    return f"__version__ = '{number}'\n"


@pytest.mark.parametrize(
    "number", ["10.3.0", "10.3", "10.13.3.9", "10.16.1.11", "11.4.0.106", "10.3.0.post12.dev1"]
)
def test_tensorrt_from_10_3_on_builds(install: Install, number: str) -> None:
    install("tensorrt", version(number))
    backend = load_system_tensorrt()
    assert backend is not None
    assert (backend.name, backend.version, backend.ahead_of_time, backend.timing_cache) == (
        "tensorrt",
        number,
        False,
        True,
    )


@pytest.mark.parametrize("number", ["8.5.2.2", "8.6.2", "9.3.0", "10.2.0", ""])
def test_tensorrt_before_10_3_is_refused_with_the_jetpack_that_brings_it(
    install: Install, number: str
) -> None:
    install("tensorrt", version(number))
    with pytest.raises(
        InputError,
        match=r"Expected 10\.3 or newer, got .*JetPack 5 and 6\.0.*JetPack 6\.1 or newer",
    ):
        choose_backend(None)


def test_numbers_are_compared_as_numbers() -> None:
    assert version_numbers("10.13.3.9") > version_numbers("10.3.0")
    assert version_numbers("1.10.0") > version_numbers("1.6")
    assert version_numbers("unknown") == ()


@pytest.mark.parametrize(
    ("number", "good"), [("1.5.9", False), ("1.6.0.1", True), ("1.10.0", True)]
)
def test_tensorrt_for_rtx_from_1_6_on_builds(install: Install, number: str, good: bool) -> None:
    install("tensorrt_rtx", version(number))
    if good:
        assert load_rtx().ahead_of_time
        return
    with pytest.raises(
        InputError, match=r"Expected 1\.6 or newer, got 1\.5\.9\. pip install --upgrade"
    ):
        load_rtx()


@pytest.mark.parametrize(
    "content",
    [
        "import ctypes; ctypes.CDLL('libnvinfer.so.10')",
        "from tensorrt_libs_that_are_not_there import *",
        "raise RuntimeError('no libraries')",
    ],
)
def test_the_shell_from_pypi_gets_a_sentence_of_its_own(install: Install, content: str) -> None:
    install("tensorrt", content)
    with pytest.raises(
        EmodictError, match=r"cannot be imported.*shell without.*--system-site-packages.*--sm"
    ):
        choose_backend(None)


def test_named_gpus_do_not_ask_for_the_systems_tensorrt(install: Install) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")
    install("tensorrt", "raise RuntimeError('no libraries')")
    backend, capabilities = choose_backend(["8.6"])
    assert (backend.name, capabilities) == ("tensorrt_rtx", ("8.6",))
    assert "8.6" in tensorrt_module.supported_capabilities(backend)


def test_without_tensorrt_for_rtx_named_gpus_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)  # Python's own way to say: not installed
    with pytest.raises(
        MissingDependencyError,
        match=r"Building a plan needs.*pip install 'emodict\[tensorrt-rtx\]'",
    ):
        choose_backend(["8.6"])


@pytest.mark.skipif(not NO_GPU, reason="this machine has a GPU")
def test_without_a_gpu_the_user_is_asked_to_name_them(install: Install) -> None:
    install("tensorrt", version("10.3.0"))
    with pytest.raises(InputError, match=r"on this machine .*Name the GPUs .*--sm 86,89,120"):
        choose_backend(None)


def test_the_plan_is_for_the_gpu_of_this_machine_where_none_is_named(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tensorrt", version("10.3.0"))
    orin = driver_module.Driver(found=True, gpus=(driver_module.Gpu("Orin", "8.7"),))
    monkeypatch.setattr(tensorrt_module, "read_driver", lambda: orin)
    backend, capabilities = choose_backend(None)
    assert (backend.name, capabilities) == ("tensorrt", ("8.7",))


def test_a_gpu_here_that_only_full_tensorrt_knows_is_said_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    hopper = driver_module.Driver(found=True, gpus=(driver_module.Gpu("H100", "9.0"),))
    monkeypatch.setattr(tensorrt_module, "read_driver", lambda: hopper)
    with pytest.raises(
        InputError,
        match=r"for the H100 of this machine.*got 9\.0\. Install full TensorRT.*--device cuda",
    ):
        choose_backend(None)


def test_a_module_without_a_version_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    with pytest.raises(InputError, match="one that does not tell its version"):
        load_system_tensorrt()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("86", ("8.6",)),
        ("86,89,120", ("8.6", "8.9", "12.0")),
        ("8.6, sm_89,SM120", ("8.6", "8.9", "12.0")),
        ("120,86,8.6", ("8.6", "12.0")),
    ],
)
def test_sm_is_understood_as_people_write_it(text: str, meant: tuple[str, ...]) -> None:
    assert parse_sm(text) == meant


@pytest.mark.parametrize("text", ["", " , ", "rtx4090", "8", "8.6.1", "-86", "86;89", "12345"])
def test_what_is_no_compute_capability_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="86,89,120"):
        parse_sm(text)
