"""Machine: the facts that decide what can run here, gathered without letting anything broken in."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emodict.engine.driver import Driver, read_driver
from emodict.engine.placement import this_platform

DISTRIBUTIONS = (
    "numpy", "h5py", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-cu12", "tensorrt-cu13",
    "tensorrt-rtx-cu12", "tensorrt-rtx-cu13", "cuda-core", "cuda-bindings",
)  # fmt: skip
MODULES = ("onnxruntime", "tensorrt", "tensorrt_rtx", "cuda.core")
PROBE_S = 60
# Run in a process of its own: a library that does not fit its machine may end the
# process that imports it.
_PROBE = """
import importlib, json, sys
sys.path[:] = [p for p in sys.path if p]
module = importlib.import_module(sys.argv[1])
about = {"version": str(getattr(module, "__version__", "")), "whole": True}
if sys.argv[1] == "onnxruntime":
    about["providers"] = list(module.get_available_providers())
if sys.argv[1].startswith("tensorrt"):
    about["whole"] = hasattr(module, "Runtime")
print("\\n" + json.dumps(about))
"""
# Which JetPack brings which Linux for Tegra; the first that fits.
_JETPACKS = (("35.", "5"), ("36.2", "6.0"), ("36.3", "6.0"), ("36.4", "6.1 or 6.2"), ("38.", "7"))
_PCI_NVIDIA = "0x10de"


@dataclass(frozen=True)
class Module:
    """An installed Python module.

    Attributes:
        version: "" where it does not say.
        problem: why it cannot be used; empty where it can.
        system: it came with the operating system (apt), not from pip.
        providers: of ONNX Runtime.
    """

    version: str = ""
    problem: str = ""
    system: bool = False
    providers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Jetson:
    """A Jetson; its Linux for Tegra as "36.4.3"."""

    l4t: str
    jetpack: str
    board: str = ""
    system_tensorrt: bool = False


@dataclass(frozen=True)
class Machine:
    """All that decides what can run.

    Attributes:
        python: its version, such as "3.11.7".
        platform: such as "linux-x86_64".
        distributions: versions of the installed packages of DISTRIBUTIONS, by name.
        modules: those of MODULES that are there, by name.
        gpu_on_bus: there is a device of NVIDIA's on the PCI bus, driver or not.
    """

    python: str
    platform: str
    distributions: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, Module] = field(default_factory=dict)
    driver: Driver = field(
        default_factory=lambda: Driver(found=False, problem="there is no NVIDIA driver")
    )
    jetson: Jetson | None = None
    gpu_on_bus: bool = False

    def works(self, name: str) -> bool:
        """Is the module there, and usable?"""
        return name in self.modules and not self.modules[name].problem


def read_machine() -> Machine:
    """This machine; whatever is broken on it becomes a fact, never an error."""
    return Machine(
        python=platform.python_version(),
        platform=this_platform(),
        distributions=read_distributions(),
        modules=read_modules(),
        driver=read_driver(),
        jetson=read_jetson(Path("/")),
        gpu_on_bus=find_gpu_on_bus(Path("/")),
    )


def read_distributions() -> dict[str, str]:
    """Versions of the installed packages that matter, without importing one of them."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except Exception:
            # Not installed, or its metadata is damaged: in both cases it has no version to show.
            continue
    return found


def read_modules(names: tuple[str, ...] = MODULES) -> dict[str, Module]:
    """Import what is there, each in a process of its own, all at once."""
    places = {name: place for name in names if (place := _place(name)) is not None}
    running = {name: _start(name) for name in places}
    return {
        name: _finish(process, system=_is_system(places[name])) for name, process in running.items()
    }


def read_jetson(root: Path) -> Jetson | None:
    """What the release file of Linux for Tegra says; None on any other machine."""
    text = _read_text(root / "etc/nv_tegra_release")
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", text)
    if not found:
        return None
    l4t = f"{found.group(1)}.{found.group(2)}"
    jetpack = next((name for start, name in _JETPACKS if l4t.startswith(start)), "unknown")
    board = _read_text(root / "proc/device-tree/model").strip("\0 \n")
    system = any(root.glob("usr/lib/python3*/dist-packages/tensorrt/__init__.py"))
    return Jetson(l4t, jetpack, board, system)


def find_gpu_on_bus(root: Path) -> bool:
    """Is there a device of NVIDIA's on the PCI bus?"""
    vendors = (_read_text(path) for path in root.glob("sys/bus/pci/devices/*/vendor"))
    return any(vendor.strip() == _PCI_NVIDIA for vendor in vendors)


def _place(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except Exception:
        # The parent package is missing or broken.
        return None
    return None if spec is None else (spec.origin or "")


def _is_system(place: str) -> bool:
    return place.startswith("/usr/lib/python3")


def _start(name: str) -> Any:
    try:
        return subprocess.Popen(
            [sys.executable, "-c", _PROBE, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        return error


def _finish(process: Any, *, system: bool) -> Module:
    if isinstance(process, OSError):
        return Module(
            problem=f"Python could not be started to look at it: {process}", system=system
        )
    try:
        out, err = process.communicate(timeout=PROBE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Module(problem=f"importing it takes more than {PROBE_S} s", system=system)
    if process.returncode < 0:
        return Module(
            problem=f"importing it ends Python with signal {-process.returncode}", system=system
        )
    if process.returncode:
        last = (err.strip().splitlines() or ["importing it fails"])[-1]
        return Module(problem=last, system=system)
    return _module(out, system=system)


def _module(out: str, *, system: bool) -> Module:
    try:
        about = json.loads(out.strip().splitlines()[-1])
        version, providers, whole = (
            str(about["version"]),
            tuple(about.get("providers", ())),
            bool(about["whole"]),
        )
    except (ValueError, IndexError, KeyError, TypeError):
        return Module(problem="it answers nothing that can be understood", system=system)
    return Module(
        version, "" if whole else "it is an empty shell: it has no Runtime", system, providers
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
