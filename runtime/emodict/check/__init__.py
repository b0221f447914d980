"""What this machine can run: which traps it is in, and whether one model can run on it."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emodict import __version__
from emodict.check.machine import Machine, Module
from emodict.check.traps import Trap, find_traps
from emodict.engine.placement import (
    NAMES,
    OLDEST,
    RTX,
    RTX_CUDA,
    RTX_GPUS,
    TENSORRT,
    is_too_old,
    require_builder,
    require_gpu,
    require_platform,
    require_version,
    ways_out,
)
from emodict.engine.sidecar import read_plan, read_sidecar, require_emotions
from emodict.errors import EmodictError, ModelError

CUDA_PROVIDER = "CUDAExecutionProvider"
_WIDTH = 110


@dataclass(frozen=True)
class Way:
    """A way to run a model here.

    Attributes:
        name: for programs: `onnx-cpu`, `onnx-cuda`, `tensorrt` or `tensorrt_rtx`.
        title: for people.
        runs: it works on this machine.
        detail: with what it runs, or why not.
    """

    name: str
    title: str
    runs: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """Whether one model file runs here; if not, `why` says so with the way out."""

    path: str
    runs: bool
    why: str


@dataclass(frozen=True)
class Check:
    """All that was found out."""

    machine: Machine
    ways: tuple[Way, ...]
    traps: tuple[Trap, ...]
    verdict: Verdict | None = None


def check_machine(machine: Machine, engine: Path | None = None, device: str | None = None) -> Check:
    """Judge a machine and, where one is named, whether a model runs on it."""
    verdict = None if engine is None else judge(machine, engine, device)
    return Check(machine, find_ways(machine), find_traps(machine), verdict)


def find_ways(machine: Machine) -> tuple[Way, ...]:
    """The four ways to run a model, each with what it needs or lacks."""
    return (
        _way(
            "onnx-cpu", "model.onnx on the CPU", _lack_of_onnx_cpu(machine), _onnxruntime(machine)
        ),
        _way(
            "onnx-cuda",
            "model.onnx on the GPU",
            _lack_of_onnx_cuda(machine),
            _onnxruntime(machine),
            machine,
        ),
        *(
            _way(
                name,
                f"model.plan, {NAMES[name]}",
                _lack_of_tensorrt(machine, name),
                _versioned(machine, name),
                machine,
            )
            for name in (TENSORRT, RTX)
        ),
    )


def judge(machine: Machine, path: Path, device: str | None = None) -> Verdict:
    """Can this file run on this machine? A plan is judged by its description;
    nothing of it is executed.
    """
    try:
        if path.suffix == ".plan" and path.is_file() and device != "cpu":
            _judge_plan(machine, path)
        else:
            _judge_onnx(machine, path, device)
    except EmodictError as error:
        return Verdict(str(path), False, str(error))
    except Exception as error:
        # What is broken on a machine must not break the command that finds it.
        return Verdict(str(path), False, f"Opening it fails: {type(error).__name__}: {error}")
    return Verdict(str(path), True, "")


def as_dict(check: Check) -> dict[str, Any]:
    """Plain JSON types."""
    return {
        "format": "emodict-check",
        "version": 1,
        "emodict": __version__,
        "machine": dataclasses.asdict(check.machine),
        "runs": [dataclasses.asdict(way) for way in check.ways],
        "traps": [dataclasses.asdict(trap) for trap in check.traps],
        "engine": None if check.verdict is None else dataclasses.asdict(check.verdict),
    }


def lines(check: Check) -> Iterator[str]:
    """For people: the machine, what it runs, its traps and, where asked,
    the verdict on one model.
    """
    yield f"emodict {__version__} on this machine"
    yield from _columns(_facts(check.machine))
    yield ""
    yield "What it can run"
    yield from _columns(
        [(way.title, f"{'yes' if way.runs else 'no':<4} {way.detail}") for way in check.ways]
    )
    yield ""
    yield "Traps" if check.traps else "Traps: none"
    for trap in check.traps:
        yield from textwrap.wrap(
            f"{trap.what} {trap.fix}.", _WIDTH, initial_indent="  ! ", subsequent_indent="    "
        )
    if check.verdict is not None:
        yield ""
        verdict = check.verdict
        yield f"{verdict.path}: {'runs here' if verdict.runs else 'does NOT run here'}"
        yield from textwrap.wrap(verdict.why, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _judge_plan(machine: Machine, path: Path) -> None:
    sidecar = read_sidecar(path)
    require_emotions(sidecar, path)
    read_plan(path, sidecar)
    require_builder(sidecar, path)
    require_platform(sidecar, path, machine.platform)
    module = machine.modules.get(sidecar.builder)
    if module is not None and not module.problem:
        require_version(sidecar, path, module.version)
    require_gpu(sidecar, path, machine.driver)
    lack = _lack_of_tensorrt(machine, sidecar.builder)
    if lack:
        raise ModelError(
            f"{path} needs {NAMES[sidecar.builder]}, and {lack}", fix=ways_out(sidecar, path)
        )


def _judge_onnx(machine: Machine, path: Path, device: str | None) -> None:
    from emodict.engine import open_engine

    lack = _lack_of_onnx_cuda(machine) if device == "cuda" else _lack_of_onnx_cpu(machine)
    if path.suffix == ".onnx" and lack:
        raise ModelError(
            f"{path} needs ONNX Runtime{' with CUDA' if device == 'cuda' else ''}, and {lack}"
        )
    with open_engine(path, device=device):
        pass


def _way(name: str, title: str, lack: str, what: str, machine: Machine | None = None) -> Way:
    if lack:
        return Way(name, title, False, lack)
    gpu = machine.driver.gpus[0] if machine is not None else None
    return Way(
        name, title, True, what if gpu is None else f"{what}, {gpu.name} ({gpu.compute_capability})"
    )


def _lack_of_onnx_cpu(machine: Machine) -> str:
    return _lack_of_module(machine, "onnxruntime", "pip install 'emodict[onnx]'")


def _lack_of_onnx_cuda(machine: Machine) -> str:
    lack = _lack_of_onnx_cpu(machine) or _lack_of_gpu(machine)
    if not lack and CUDA_PROVIDER not in machine.modules["onnxruntime"].providers:
        return (
            "this ONNX Runtime has no CUDA provider (pip uninstall onnxruntime, "
            "pip install onnxruntime-gpu)"
        )
    return lack


def _lack_of_tensorrt(machine: Machine, name: str) -> str:
    install = (
        "pip install 'emodict[tensorrt-rtx]'"
        if name == RTX
        else "it comes with JetPack, or from NVIDIA"
    )
    lack = _lack_of_module(machine, name, install)
    if lack:
        return lack
    version = machine.modules[name].version
    if is_too_old(name, version):
        return f"{NAMES[name]} {version} is older than {'.'.join(map(str, OLDEST[name]))}"
    lack = _lack_of_gpu(machine)
    if lack:
        return lack
    gpu, cuda = machine.driver.gpus[0], machine.driver.cuda_version
    if name == RTX and gpu.compute_capability not in RTX_GPUS:
        return f"it does not know the {gpu.name} (compute capability {gpu.compute_capability})"
    if name == RTX and cuda is not None and cuda < RTX_CUDA:
        return f"the driver runs CUDA {cuda[0]}.{cuda[1]} at most"
    return _lack_of_module(machine, "cuda.core", "pip install 'emodict[tensorrt]'")


def _lack_of_module(machine: Machine, name: str, install: str) -> str:
    if name not in machine.modules:
        return f"{name} is not installed ({install})"
    problem = machine.modules[name].problem
    return f"{name} cannot be used: {problem}" if problem else ""


def _lack_of_gpu(machine: Machine) -> str:
    return "" if machine.driver.gpus else machine.driver.problem


def _onnxruntime(machine: Machine) -> str:
    return f"ONNX Runtime {machine.modules.get('onnxruntime', Module()).version}"


def _versioned(machine: Machine, name: str) -> str:
    return f"{NAMES[name]} {machine.modules.get(name, Module()).version}"


def _facts(machine: Machine) -> list[tuple[str, str]]:
    facts = [("python", f"{machine.python}, {machine.platform}")]
    if machine.jetson is not None:
        jetson = machine.jetson
        facts.append(
            (
                "jetson",
                f"{jetson.board or 'yes'}, JetPack {jetson.jetpack} (Linux for Tegra {jetson.l4t})",
            )
        )
    driver = machine.driver
    if driver.found:
        cuda = (
            f"CUDA {driver.cuda_version[0]}.{driver.cuda_version[1]}"
            if driver.cuda_version
            else "CUDA unknown"
        )
        facts.append(("driver", f"{driver.release or 'release unknown'}, {cuda}"))
    else:
        facts.append(("driver", "none"))
    gpus = [f"{gpu.name} (compute capability {gpu.compute_capability})" for gpu in driver.gpus]
    facts.append(("gpu", ", ".join(gpus) or "none"))
    facts += sorted(machine.distributions.items())
    modules = {name: module for name, module in machine.modules.items() if module.system}
    facts += [
        (name, f"{module.version} (the system's)") for name, module in sorted(modules.items())
    ]
    return facts


def _columns(rows: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(left) for left, _ in rows)
    return (f"  {left:<{width}}  {right}" for left, right in rows)
