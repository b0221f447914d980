"""Whether a plan can run in a place - platform, TensorRT,
GPU - told before a byte of it is deserialised.
"""

from __future__ import annotations

import hashlib
import platform as python_platform
import re
import sys
from pathlib import Path

from emodict.engine.driver import Driver
from emodict.engine.held import onnx_beside
from emodict.engine.sidecar import Sidecar
from emodict.errors import ModelError

TENSORRT, RTX = "tensorrt", "tensorrt_rtx"
NAMES = {TENSORRT: "TensorRT", RTX: "TensorRT for RTX"}
OLDEST = {TENSORRT: (10, 3), RTX: (1, 6)}
# What TensorRT for RTX builds for, and therefore runs on.
RTX_GPUS = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
# The wheels of TensorRT for RTX that emodict names are built with CUDA 13.
RTX_CUDA = (13, 0)


def this_platform() -> str:
    """Operating system and processor, such as "linux-x86_64"."""
    return f"{sys.platform}-{python_platform.machine()}"


def version_numbers(version: str) -> tuple[int, ...]:
    """ "10.16.1.11" -> (10, 16, 1, 11); what is not a number ends it."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", version)[0]))


def require_builder(sidecar: Sidecar, plan: Path) -> None:
    """The plan was built by something that emodict knows how to run.

    Raises:
        ModelError: it was not.
    """
    if sidecar.builder not in NAMES:
        raise ModelError(
            f"{plan} was built by '{sidecar.builder}', which emodict cannot run",
            expected=tuple(NAMES),
            got=sidecar.builder,
            fix=ways_out(sidecar, plan),
        )


def require_platform(sidecar: Sidecar, plan: Path, platform: str) -> None:
    """A plan is bound to operating system and processor.

    Raises:
        ModelError: it was built for another platform.
    """
    if sidecar.platform != platform:
        raise ModelError(
            f"{plan} was built for another platform",
            expected=sidecar.platform,
            got=platform,
            fix=ways_out(sidecar, plan, rebuild=True),
        )


def require_version(sidecar: Sidecar, plan: Path, version: str) -> None:
    """A plan is bound to the very version of TensorRT that built it.

    Raises:
        ModelError: another version is installed, or one that emodict does not run on.
    """
    refuse_old_tensorrt(sidecar.builder, version, fix=ways_out(sidecar, plan))
    if version != sidecar.builder_version:
        raise ModelError(
            f"{plan} was built by {NAMES[sidecar.builder]} {sidecar.builder_version}; "
            f"another version cannot run it",
            expected=sidecar.builder_version,
            got=version,
            fix=ways_out(sidecar, plan, rebuild=True),
        )


def is_too_old(module: str, version: str) -> bool:
    """Is this version of `tensorrt` or `tensorrt_rtx` older than the oldest that emodict
    builds and runs plans with?
    """
    return version_numbers(version) < OLDEST[module]


def refuse_old_tensorrt(module: str, version: str, *, fix: str = "") -> None:
    """JetPack 5 and 6.0 bring TensorRT 8: it is too old, and is told so.

    Raises:
        ModelError: the version is older than the oldest that emodict runs on.
    """
    if is_too_old(module, version):
        jetpack = (
            "On a Jetson that is JetPack 6.1 or newer, not JetPack 5 or 6.0. "
            if module == TENSORRT
            else ""
        )
        raise ModelError(
            f"{NAMES[module]} {version} is too old for emodict's plans",
            expected=f"{NAMES[module]} {_dotted(OLDEST[module])} or newer",
            got=version,
            fix=jetpack + fix,
        )


def require_gpu(sidecar: Sidecar, plan: Path, driver: Driver) -> None:
    """There is a driver, new enough, with a GPU of a kind that the plan was built for.

    Raises:
        ModelError: no driver, no GPU, an old driver, or another GPU.
    """
    if not driver.gpus:
        raise ModelError(
            f"{plan} needs an NVIDIA GPU, and {driver.problem}",
            expected=f"a GPU of compute capability {' or '.join(sidecar.compute_capabilities)}",
            got="none",
            fix=(
                ""
                if driver.found
                else "Install NVIDIA's driver, if there is a GPU in this machine. "
            )
            + ways_out(sidecar, plan),
        )
    if (
        sidecar.builder == RTX
        and driver.cuda_version is not None
        and driver.cuda_version < RTX_CUDA
    ):
        raise ModelError(
            f"The NVIDIA driver{f' {driver.release}' if driver.release else ''} is too old for "
            f"TensorRT for RTX",
            expected=f"a driver for CUDA {_dotted(RTX_CUDA)} or newer",
            got=f"one for CUDA {_dotted(driver.cuda_version)}",
            fix=f"Install a newer driver (580 or later). {ways_out(sidecar, plan)}",
        )
    gpu = driver.gpus[0]
    if gpu.compute_capability not in sidecar.compute_capabilities:
        supported = sidecar.builder != RTX or gpu.compute_capability in RTX_GPUS
        raise ModelError(
            f"{plan} was built for another GPU"
            + ("" if supported else f", and TensorRT for RTX does not know the {gpu.name} at all"),
            expected=f"compute capability {' or '.join(sidecar.compute_capabilities)}",
            got=f"{gpu.compute_capability} ({gpu.name})",
            fix=ways_out(sidecar, plan, rebuild=supported, gpu=gpu.compute_capability),
        )


def ways_out(sidecar: Sidecar, plan: Path, *, rebuild: bool = False, gpu: str | None = None) -> str:
    """What to do with a plan that cannot run: the ONNX file it came from,
    which runs anywhere, or building it again.
    """
    built_from = [
        onnx for onnx in onnx_beside(plan)
        if onnx.is_file() and hashlib.sha256(onnx.read_bytes()).hexdigest() == sidecar.onnx_sha256
    ]  # fmt: skip
    if built_from:
        quoted = f"'{built_from[0]}'"
        way = f"The model it was built from runs on this machine: {sidecar.usage(quoted)}"
    else:
        way = (
            f"The same model as ONNX runs on this machine: "
            f"emodict-export {sidecar.source} -o {plan.stem}.onnx"
        )
    return (
        f"{way}. To build it for this machine: {build_command(sidecar, plan, gpu)}"
        if rebuild
        else way
    )


def build_command(sidecar: Sidecar, plan: Path, gpu: str | None = None) -> str:
    """The command that builds the plan again,
    with the TensorRT that is installed where it is run.
    """
    command = (
        f"emodict-export {sidecar.source} -o {plan.name} --precision {sidecar.manifest.precision}"
    )
    if sidecar.builder != RTX:
        return command
    kinds = sorted({*sidecar.compute_capabilities, *([gpu] if gpu else [])}, key=version_numbers)
    return f"{command} --sm {','.join(kind.replace('.', '') for kind in kinds)}"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
