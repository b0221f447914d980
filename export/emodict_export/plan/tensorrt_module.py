"""Which TensorRT builds: the module, its version, and the GPUs it builds for."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import cast

from emodict.engine.driver import read_driver
from emodict.engine.placement import OLDEST, RTX, TENSORRT, is_too_old
from emodict.errors import EmodictError, InputError, MissingDependencyError
from emodict_export.plan.tensorrt_api import AheadOfTime, TensorRT

NAME_THE_GPUS = "Name the GPUs that will run the plan: --sm 86,89,120 (RTX 30, RTX 40 and RTX 50)"
INSTALL_RTX = "pip install 'emodict[tensorrt-rtx]'"


@dataclass(frozen=True)
class Backend:
    """One TensorRT, ready to build.

    Attributes:
        name: of its Python module, `tensorrt` or `tensorrt_rtx`.
        ahead_of_time: it is told the GPUs by name, and needs none of them here.
        timing_cache: it times kernels while it builds,
            so that remembering the times makes the next build shorter.
    """

    name: str
    version: str
    module: TensorRT
    ahead_of_time: bool
    timing_cache: bool


def parse_sm(text: str) -> tuple[str, ...]:
    """`86,89,120` (also `8.6`, `sm_86`) -> ("8.6", "8.9", "12.0"), each once, in order of age.

    Raises:
        InputError: something else stands there.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    found = {_capability(word) for word in words}
    if not found:
        raise InputError(
            "No GPU is named after --sm", expected="compute capabilities such as 86,89,120"
        )
    return tuple(f"{major}.{minor}" for major, minor in sorted(found))


def choose_backend(compute_capabilities: Sequence[str] | None) -> tuple[Backend, tuple[str, ...]]:
    """The TensorRT that builds, and the compute capabilities it builds for:
    those named, or this machine's own.

    Named GPUs are built for by TensorRT for RTX, which needs no GPU. Without names the plan is for
    the GPU here: the system's `tensorrt` builds it, on the device itself, or TensorRT for RTX
    where there is no other.

    Raises:
        EmodictError: no TensorRT, too old a one, a broken one, no GPU,
            or a GPU it cannot build for.
    """
    if compute_capabilities is not None:
        return load_rtx(), tuple(compute_capabilities)
    backend = load_system_tensorrt() or load_rtx()
    driver = read_driver()
    if not driver.gpus:
        raise InputError(
            f"A plan is built for a GPU, and on this machine {driver.problem}",
            fix=f"{NAME_THE_GPUS}, or run emodict-export on the device itself",
        )
    # TensorRT builds for the current device, which is the first one.
    gpu = driver.gpus[0]
    if backend.ahead_of_time and gpu.compute_capability not in supported_capabilities(backend):
        raise InputError(
            f"TensorRT for RTX {backend.version} cannot build for the {gpu.name} of this machine",
            expected=f"compute capability {', '.join(supported_capabilities(backend))}",
            got=gpu.compute_capability,
            fix="Install full TensorRT 10.3 or newer, which builds for it, or run the .onnx file: "
            "emodict-run --engine model.onnx --device cuda session.h5",
        )
    return backend, (gpu.compute_capability,)


@functools.cache
def load_rtx() -> Backend:
    """TensorRT for RTX.

    Raises:
        MissingDependencyError: it is not installed.
    """
    module = _import(RTX)
    if module is None:
        raise MissingDependencyError(RTX, extra="tensorrt-rtx", purpose="Building a plan")
    return _backend(RTX, module)


@functools.cache
def load_system_tensorrt() -> Backend | None:
    """The system's TensorRT; None where there is none."""
    module = _import(TENSORRT)
    return None if module is None else _backend(TENSORRT, module)


def supported_capabilities(backend: Backend) -> tuple[str, ...]:
    """What `backend` can build for ahead of time, as its own ComputeCapability lists it."""
    members = dir(cast(AheadOfTime, backend.module).ComputeCapability)
    names = [name.removeprefix("SM") for name in members if re.fullmatch(r"SM\d{2,3}", name)]
    return parse_sm(",".join(names))


def require_supported(backend: Backend, compute_capabilities: Sequence[str]) -> None:
    """Refuse GPUs that `backend` cannot build for ahead of time.

    Raises:
        InputError: naming them, what it can build for, and the way that is left.
    """
    known = supported_capabilities(backend)
    unknown = [name for name in compute_capabilities if name not in known]
    if unknown:
        raise InputError(
            f"TensorRT for RTX {backend.version} cannot build for GPUs of compute capability "
            f"{', '.join(unknown)}",
            expected="--sm " + ",".join(name.replace(".", "") for name in known),
            fix="For another GPU (Jetson Orin is 8.7, H100 9.0) "
            "run emodict-export on that device itself, without "
            "--sm: its own TensorRT builds the plan",
        )


def _import(name: str) -> ModuleType | None:
    """The module; None where it is not installed.

    Raises:
        EmodictError: it is there and cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        reason: Exception = error
    except (ImportError, OSError, RuntimeError) as error:
        reason = error
    raise EmodictError(
        f"The Python package '{name}' is installed, but it cannot be imported: {reason}",
        fix="PyPI's tensorrt is a shell without TensorRT's libraries. "
        "On a Jetson uninstall it and use the TensorRT "
        "of JetPack, from a venv made with --system-site-packages; "
        "elsewhere install NVIDIA's libraries, or name the "
        f"GPUs with --sm and let TensorRT for RTX build ({INSTALL_RTX})",
    ) from reason


def _backend(name: str, module: ModuleType) -> Backend:
    version = str(getattr(module, "__version__", ""))
    if is_too_old(name, version):
        oldest = ".".join(map(str, OLDEST[name]))
        raise InputError(
            f"The {name} on this machine is too old to build a plan",
            expected=f"{oldest} or newer",
            got=version or "one that does not tell its version",
            fix=f"pip install --upgrade 'tensorrt-rtx-cu13>={oldest}'"
            if name == RTX
            else "JetPack 5 and 6.0 bring TensorRT 8 or an early 10: "
            "update to JetPack 6.1 or newer, or run the .onnx "
            "with ONNX Runtime",
        )
    rtx = name == RTX
    return Backend(name, version, cast(TensorRT, module), ahead_of_time=rtx, timing_cache=not rtx)


def _capability(word: str) -> tuple[int, int]:
    found = re.fullmatch(r"(?:sm_?)?(\d{1,2})\.?(\d)", word.lower())
    if not found:
        raise InputError(
            f"--sm {word}: this is not a GPU's compute capability",
            expected="numbers such as 86,89,120 (8.6 and sm_86 are understood, too)",
        )
    return int(found.group(1)), int(found.group(2))
