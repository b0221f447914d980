"""The NVIDIA driver and its GPUs, asked through the driver's own library so that
nothing else need be installed.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIBRARY = "libcuda.so.1"
PROC_VERSION = Path("/proc/driver/nvidia/version")
# CUresult of cuInit that say more than "it failed".
_REASONS = {
    100: "the driver sees no GPU",
    101: "the driver's GPU is not there any more",
    34: f"{LIBRARY} is a stub of a development kit, not a driver",
    802: "the GPU is not ready yet (its fabric manager does not run)",
    803: "the driver's library and its kernel module are of different "
    "versions: restart the machine",
    804: "the driver is too old for the CUDA compatibility package that is installed",
    999: "the driver failed for a reason it does not name",
}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


@dataclass(frozen=True)
class Gpu:
    """A GPU; its compute capability as "8.6"."""

    name: str
    compute_capability: str


@dataclass(frozen=True)
class Driver:
    """The driver, if any, and the GPUs that it offers to this process.

    Attributes:
        found: its library could be loaded.
        cuda_version: the newest CUDA it can run, such as (13, 0).
        release: the driver's own version, such as "580.65.06".
        problem: why there is no GPU; empty where there is one.
    """

    found: bool
    cuda_version: tuple[int, int] | None = None
    release: str | None = None
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""


def read_driver(load: Callable[[str], Any] = ctypes.CDLL, *, proc: Path = PROC_VERSION) -> Driver:
    """Ask the driver; a machine without one is an answer, not an error."""
    try:
        library = load(LIBRARY)
    except OSError:
        return Driver(found=False, problem="there is no NVIDIA driver")
    version, release = _cuda_version(library), _release(proc)
    code = library.cuInit(0)
    if code:
        return Driver(True, version, release, problem=_REASONS.get(code, f"cuInit answered {code}"))
    count = ctypes.c_int()
    code = library.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return Driver(
            True,
            version,
            release,
            problem=_REASONS.get(code or 100, f"cuDeviceGetCount answered {code}"),
        )
    return Driver(
        True, version, release, tuple(_gpu(library, index) for index in range(count.value))
    )


def _gpu(library: Any, index: int) -> Gpu:
    handle = ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(handle), index)
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGetName(name, len(name), handle)
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, handle)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, handle)
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}")


def _cuda_version(library: Any) -> tuple[int, int] | None:
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)):
        return None
    return number.value // 1000, number.value % 1000 // 10


def _release(proc: Path) -> str | None:
    try:
        found = re.search(
            r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", proc.read_text(encoding="utf-8", errors="replace")
        )
    except OSError:
        return None
    return found.group(1) if found else None
