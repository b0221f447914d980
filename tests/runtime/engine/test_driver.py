"""The driver is asked through its own library; whatever it answers becomes a fact."""

# ruff: noqa: N802 - the names are libcuda's
from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from emodict.engine.driver import Driver, Gpu, read_driver


class Library:
    """libcuda as its header declares it, for GPUs of our choice."""

    def __init__(self, *gpus: tuple[str, int, int], version: int = 13000, init: int = 0) -> None:
        self._gpus, self._version, self._init, self.is_ready = gpus, version, init, False

    def __call__(self, name: str) -> Library:
        assert name == "libcuda.so.1"
        return self

    def cuDriverGetVersion(self, out: Any) -> int:
        out._obj.value = self._version
        return 0

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        self.is_ready = not self._init
        return self._init

    def cuDeviceGetCount(self, out: Any) -> int:
        assert self.is_ready
        out._obj.value = len(self._gpus)
        return 0

    def cuDeviceGet(self, out: Any, index: int) -> int:
        out._obj.value = index + 40
        return 0

    def cuDeviceGetName(
        self, text: ctypes.Array[ctypes.c_char], size: int, device: ctypes.c_int
    ) -> int:
        text.value = self._gpus[device.value - 40][0].encode()[: size - 1]
        return 0

    def cuDeviceGetAttribute(self, out: Any, attribute: int, device: ctypes.c_int) -> int:
        # cuda.h: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75, ..._MINOR = 76
        out._obj.value = self._gpus[device.value - 40][{75: 1, 76: 2}[attribute]]
        return 0


def test_gpus_are_told_by_name_and_compute_capability(tmp_path: Path) -> None:
    proc = tmp_path / "version"
    proc.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 06:54:38 UTC "
        "2025\nGCC 13.3.0"
    )
    driver = read_driver(
        Library(("NVIDIA GeForce RTX 3080", 8, 6), ("NVIDIA H100", 9, 0), version=12080), proc=proc
    )
    gpus = (Gpu("NVIDIA GeForce RTX 3080", "8.6"), Gpu("NVIDIA H100", "9.0"))
    assert driver == Driver(True, (12, 8), "580.65.06", gpus)


@pytest.mark.parametrize(
    ("library", "problem"),
    [
        (Library(init=100), "the driver sees no GPU"),
        (Library(init=803), "restart the machine"),
        (Library(init=34), "is a stub"),
        (Library(init=101), "is not there any more"),
        (Library(init=802), "is not ready yet"),
        (Library(init=804), "CUDA compatibility package"),
        (Library(init=999), "does not name"),
        (Library(init=12345), "cuInit answered 12345"),
        (Library(), "the driver sees no GPU"),
    ],
)
def test_a_driver_without_a_gpu_says_why(library: Library, problem: str, tmp_path: Path) -> None:
    driver = read_driver(library, proc=tmp_path / "none")
    assert driver.found
    assert not driver.gpus
    assert driver.release is None
    assert problem in driver.problem


@pytest.mark.parametrize(
    ("number", "version"), [(13000, (13, 0)), (12090, (12, 9)), (11080, (11, 8)), (12010, (12, 1))]
)
def test_cudas_version_is_a_thousand_times_the_major_and_ten_times_the_minor(
    number: int, version: tuple[int, int], tmp_path: Path
) -> None:
    assert read_driver(Library(version=number), proc=tmp_path / "none").cuda_version == version


def test_a_driver_that_fails_when_asked_is_told_by_its_answer(tmp_path: Path) -> None:
    library = Library(("NVIDIA H100", 9, 0))
    library.cuDriverGetVersion = library.cuDeviceGetCount = lambda out: 999  # type: ignore[method-assign]
    driver = read_driver(library, proc=tmp_path / "none")
    assert driver == Driver(True, problem="the driver failed for a reason it does not name")
    library.cuDeviceGetCount = lambda out: 7  # type: ignore[method-assign]
    assert read_driver(library, proc=tmp_path / "none").problem == "cuDeviceGetCount answered 7"


def test_a_machine_without_a_driver_is_an_answer() -> None:
    def load(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    assert read_driver(load) == Driver(False, problem="there is no NVIDIA driver")
