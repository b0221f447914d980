"""Traps: what goes wrong on a machine although everything looks installed,
as pure functions of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emodict.check.machine import Machine
from emodict.engine.placement import (
    NAMES,
    OLDEST,
    RTX,
    RTX_CUDA,
    RTX_GPUS,
    TENSORRT,
    is_too_old,
    version_numbers,
)

SYSTEM_TENSORRT = (
    "Use the TensorRT of JetPack: sudo apt install python3-libnvinfer, "
    "and make the virtual environment with "
    "python -m venv --system-site-packages"
)
UPGRADE_RTX = "pip install --upgrade 'emodict[tensorrt-rtx]'"


@dataclass(frozen=True)
class Trap:
    """What is wrong, and what to do about it; `name` is for programs."""

    name: str
    what: str
    fix: str


def find_traps(machine: Machine) -> tuple[Trap, ...]:
    """All traps that this machine is in."""
    return tuple(trap for look in _LOOKS if (trap := look(machine)) is not None)


def pip_tensorrt_on_jetson(machine: Machine) -> Trap | None:
    """Pip's `tensorrt` on a Jetson: a wheel without Tegra's libraries,
    or without the Orin's kernels.
    """
    module = machine.modules.get("tensorrt")
    if machine.jetson is None or module is None or module.system:
        return None
    return Trap(
        "pip-tensorrt-on-jetson",
        "The 'tensorrt' of this environment came from pip: it hides the one of JetPack, "
        "and has no kernels for "
        "this GPU.",
        f"pip uninstall tensorrt. {SYSTEM_TENSORRT}",
    )


def hidden_system_tensorrt(machine: Machine) -> Trap | None:
    """A virtual environment on a Jetson that shuts JetPack's TensorRT out."""
    if (
        machine.jetson is None
        or not machine.jetson.system_tensorrt
        or "tensorrt" in machine.modules
    ):
        return None
    return Trap(
        "system-tensorrt-hidden",
        "JetPack's TensorRT is installed, but this Python does not see it.",
        "Make the virtual environment with python -m venv --system-site-packages, "
        "and with the system's Python",
    )


def tensorrt_without_libraries(machine: Machine) -> Trap | None:
    """PyPI's `tensorrt` without the libraries, which come from elsewhere."""
    module = machine.modules.get("tensorrt")
    if module is None or not module.problem or (machine.jetson is not None and not module.system):
        return None
    return Trap(
        "tensorrt-without-libraries",
        f"The module 'tensorrt' is there but cannot be used: {module.problem}. "
        "PyPI's package is a shell whose libraries come from NVIDIA's own index.",
        "Install NVIDIA's libraries beside it, or pip uninstall tensorrt and use TensorRT for RTX: "
        "pip install 'emodict[tensorrt-rtx]'",
    )


def broken_module(machine: Machine) -> Trap | None:
    """A module that is there and cannot be imported."""
    broken = [
        name
        for name in ("onnxruntime", RTX, "cuda.core")
        if name in machine.modules and not machine.works(name)
    ]
    if not broken:
        return None
    said = "; ".join(f"{name}: {machine.modules[name].problem}" for name in broken)
    return Trap(
        "broken-module",
        f"Installed but not usable: {said}.",
        "Install again what is named, in this Python",
    )


def both_onnxruntimes(machine: Machine) -> Trap | None:
    """`onnxruntime` beside `onnxruntime-gpu`."""
    if not {"onnxruntime", "onnxruntime-gpu"} <= set(machine.distributions):
        return None
    return Trap(
        "both-onnxruntimes",
        "onnxruntime and onnxruntime-gpu are both installed: they overwrite each other's files, "
        "and which one runs "
        "is chance.",
        "pip uninstall onnxruntime onnxruntime-gpu, then install one of them",
    )


def no_gpu_wheel(machine: Machine) -> Trap | None:
    """Python 3.10 on aarch64, for which there is no `onnxruntime-gpu`."""
    if not machine.platform.endswith("aarch64") or version_numbers(machine.python)[:2] != (3, 10):
        return None
    if not (machine.jetson or machine.driver.gpus) or "onnxruntime-gpu" in machine.distributions:
        return None
    return Trap(
        "no-onnxruntime-gpu-wheel",
        "PyPI has no onnxruntime-gpu for Python 3.10 on aarch64: model.onnx runs on the CPU alone.",
        "Run a plan instead (emodict-export model.pt -o model.plan on this machine), "
        "or use NVIDIA's own wheel for "
        "this JetPack",
    )


def old_tensorrt(machine: Machine) -> Trap | None:
    """TensorRT 8 and early 10, TensorRT for RTX before 1.6."""
    for name, oldest in OLDEST.items():
        module = machine.modules.get(name)
        if module is None or not module.version or not is_too_old(name, module.version):
            continue
        newest = (
            "On a Jetson update to JetPack 6.1 or newer; elsewhere install TensorRT 10.3 or newer"
        )
        return Trap(
            "old-tensorrt",
            f"{NAMES[name]} {module.version} is too old: "
            f"emodict needs {'.'.join(map(str, oldest))} or newer.",
            UPGRADE_RTX if name == RTX else f"{newest}. model.onnx runs either way",
        )
    return None


def old_jetpack(machine: Machine) -> Trap | None:
    """JetPack 5 and 6.0."""
    if machine.jetson is None or machine.jetson.jetpack not in ("5", "6.0"):
        return None
    return Trap(
        "old-jetpack",
        f"JetPack {machine.jetson.jetpack} (Linux for Tegra {machine.jetson.l4t}) "
        f"brings TensorRT 8, which emodict's "
        "plans do not run on.",
        "Update to JetPack 6.1 or newer, or run model.onnx on the CPU",
    )


def gpu_unknown_to_rtx(machine: Machine) -> Trap | None:
    """A GPU that TensorRT for RTX does not build for: data-centre Hopper,
    Jetson Orin, Volta and older.
    """
    if RTX not in machine.modules or not machine.driver.gpus:
        return None
    gpu = machine.driver.gpus[0]
    if gpu.compute_capability in RTX_GPUS:
        return None
    return Trap(
        "gpu-unknown-to-rtx",
        f"TensorRT for RTX does not run on the {gpu.name} (compute capability "
        f"{gpu.compute_capability}): it knows "
        f"{', '.join(RTX_GPUS)}.",
        SYSTEM_TENSORRT
        if machine.jetson
        else "Use the full TensorRT (10.3 or newer), or model.onnx with --device cuda",
    )


def turing_needs_fp16(machine: Machine) -> Trap | None:
    """Turing, on which TensorRT for RTX has no FP32 matrix products."""
    if (
        not machine.works(RTX)
        or not machine.driver.gpus
        or machine.driver.gpus[0].compute_capability != "7.5"
    ):
        return None
    return Trap(
        "turing-needs-fp16",
        f"On the {machine.driver.gpus[0].name} (compute capability 7.5) "
        f"TensorRT for RTX has no FP32 matrix products.",
        "Build the plan with --precision fp16 and nothing kept in FP32",
    )


def no_driver(machine: Machine) -> Trap | None:
    """A GPU, or packages that want one, and no driver."""
    wants = [n for n in (TENSORRT, RTX) if n in machine.modules] + ["onnxruntime-gpu"] * (
        "onnxruntime-gpu" in machine.distributions
    )
    if machine.driver.found or not (machine.gpu_on_bus or wants):
        return None
    if machine.gpu_on_bus:
        what = "There is an NVIDIA GPU in this machine, but no driver for it."
        return Trap("no-driver", what, "Install NVIDIA's driver, then restart")
    return Trap(
        "no-driver",
        f"There is no NVIDIA driver and no GPU to be seen, "
        f"so {', '.join(wants)} can run nothing here"
        + (" (it can still build plans)." if RTX in wants else "."),
        "Run model.onnx on the CPU. In a container, start it with the GPU (--gpus all)",
    )


def no_gpu(machine: Machine) -> Trap | None:
    """A driver that offers no GPU."""
    if not machine.driver.found or machine.driver.gpus:
        return None
    return Trap(
        "no-gpu",
        f"There is an NVIDIA driver, but no GPU can be used: {machine.driver.problem}.",
        "See what nvidia-smi says; an empty CUDA_VISIBLE_DEVICES hides all GPUs",
    )


def old_driver(machine: Machine) -> Trap | None:
    """A driver older than the CUDA that the packages were built with."""
    version = machine.driver.cuda_version
    if version is None:
        return None
    needs = {}
    if RTX in machine.modules and "tensorrt-rtx-cu12" not in machine.distributions:
        needs[NAMES[RTX]] = RTX_CUDA
    bindings = version_numbers(machine.distributions.get("cuda-bindings", "0"))
    needs["cuda-bindings"] = (bindings[0], 0)
    lacking = [f"{name} (CUDA {major})" for name, (major, _) in needs.items() if version[0] < major]
    if not lacking:
        return None
    return Trap(
        "old-driver",
        f"The driver {machine.driver.release or ''} runs CUDA {version[0]}.{version[1]} at "
        f"most: too old for "
        f"{', '.join(lacking)}.",
        "Install a newer driver (580 or later for CUDA 13), "
        "or packages built with the driver's CUDA: "
        f"pip install 'cuda-bindings<{version[0] + 1}'",
    )


def no_cuda_core(machine: Machine) -> Trap | None:
    """A TensorRT without cuda-core."""
    if not (machine.works(TENSORRT) or machine.works(RTX)) or "cuda.core" in machine.modules:
        return None
    return Trap(
        "no-cuda-core",
        "A TensorRT is here, but not cuda-core, with which emodict takes the GPU's memory.",
        "pip install 'emodict[tensorrt]'",
    )


_LOOKS: tuple[Callable[[Machine], Trap | None], ...] = (
    old_jetpack,
    old_tensorrt,
    pip_tensorrt_on_jetson,
    hidden_system_tensorrt,
    tensorrt_without_libraries,
    broken_module,
    both_onnxruntimes,
    no_gpu_wheel,
    no_driver,
    no_gpu,
    old_driver,
    gpu_unknown_to_rtx,
    turing_needs_fp16,
    no_cuda_core,
)
