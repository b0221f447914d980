"""emodict-run --check: machines made by hand, each with what it can run and the traps it is in."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest
from tests.stand_in.plans import write_plan

from emodict.check import as_dict, check_machine, find_ways, judge, lines
from emodict.check import machine as machine_module
from emodict.check.machine import (
    Jetson,
    Machine,
    Module,
    find_gpu_on_bus,
    read_distributions,
    read_jetson,
    read_modules,
)
from emodict.check.traps import find_traps
from emodict.engine.driver import Driver, Gpu
from emodict.engine.placement import this_platform

NO_DRIVER = Driver(False, problem="there is no NVIDIA driver")
CORE = Module("1.2.2")
ORT = Module("1.23.2", providers=("CPUExecutionProvider",))
ORT_GPU = Module("1.23.2", providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
RTX = Module("1.7.1.116")
BINDINGS = {"cuda-bindings": "13.4.4"}


def gpu(capability: str, *, cuda: tuple[int, int] = (13, 0)) -> Driver:
    return Driver(True, cuda, "580.65.06", (Gpu(f"GPU of {capability}", capability),))


LAPTOP = Machine(
    "3.12.1", "linux-x86_64", {"onnxruntime": "1.23.2"}, {"onnxruntime": ORT}, NO_DRIVER
)
DESKTOP = Machine(
    "3.12.1",
    "linux-x86_64",
    {"onnxruntime-gpu": "1.23.2", "tensorrt-rtx-cu13": "1.7.1.116", **BINDINGS},
    {"onnxruntime": ORT_GPU, "tensorrt_rtx": RTX, "cuda.core": CORE},
    gpu("8.9"),
    None,
    True,
)
ORIN = Machine(
    "3.10.12",
    "linux-aarch64",
    {"onnxruntime": "1.23.2", "tensorrt": "10.3.0", "cuda-bindings": "12.9.0"},
    {"onnxruntime": ORT, "tensorrt": Module("10.3.0", system=True), "cuda.core": CORE},
    gpu("8.7", cuda=(12, 6)),
    Jetson("36.4.3", "6.1 or 6.2", "NVIDIA Jetson Orin Nano", system_tensorrt=True),
)
EMPTY = Machine("3.11.7", "linux-x86_64")


def changed(base: Machine, **changes: object) -> Machine:
    return dataclasses.replace(base, **changes)


def with_module(base: Machine, name: str, module: Module | None) -> Machine:
    modules = {**base.modules, name: module}
    return changed(
        base, modules={key: value for key, value in modules.items() if value is not None}
    )


def with_distributions(base: Machine, **versions: str) -> Machine:
    return changed(
        base,
        distributions={
            **base.distributions,
            **{k.replace("_", "-"): v for k, v in versions.items()},
        },
    )


PIP_ORIN = with_module(
    ORIN, "tensorrt", Module("10.13.0", problem="libnvinfer.so.10: no such file")
)
XAVIER = changed(
    with_module(ORIN, "tensorrt", Module("8.5.2", system=True)),
    jetson=Jetson("35.4.1", "5", system_tensorrt=True),
)


@pytest.mark.parametrize(
    ("machine", "runs"),
    [
        (LAPTOP, {"onnx-cpu"}),
        (DESKTOP, {"onnx-cpu", "onnx-cuda", "tensorrt_rtx"}),
        (ORIN, {"onnx-cpu", "tensorrt"}),
        (PIP_ORIN, {"onnx-cpu"}),
        (XAVIER, {"onnx-cpu"}),
        (EMPTY, set()),
        (changed(DESKTOP, driver=NO_DRIVER), {"onnx-cpu"}),
        (changed(DESKTOP, driver=gpu("9.0")), {"onnx-cpu", "onnx-cuda"}),
        (changed(DESKTOP, driver=gpu("8.9", cuda=(12, 4))), {"onnx-cpu", "onnx-cuda"}),
        (with_module(DESKTOP, "cuda.core", None), {"onnx-cpu", "onnx-cuda"}),
        (with_module(DESKTOP, "onnxruntime", Module(problem="SystemError")), {"tensorrt_rtx"}),
    ],
)
def test_a_machine_runs_what_its_parts_allow(machine: Machine, runs: set[str]) -> None:
    ways = find_ways(machine)
    assert {way.name for way in ways if way.runs} == runs
    assert all(way.detail for way in ways)


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        (LAPTOP, []),
        (DESKTOP, []),
        (EMPTY, []),
        (ORIN, ["no-onnxruntime-gpu-wheel"]),
        (changed(ORIN, python="3.12.3"), []),
        (PIP_ORIN, ["pip-tensorrt-on-jetson", "no-onnxruntime-gpu-wheel"]),
        (
            with_module(ORIN, "tensorrt", None),
            ["system-tensorrt-hidden", "no-onnxruntime-gpu-wheel"],
        ),
        (XAVIER, ["old-jetpack", "old-tensorrt", "no-onnxruntime-gpu-wheel"]),
        (with_module(ORIN, "cuda.core", None), ["no-onnxruntime-gpu-wheel", "no-cuda-core"]),
        (
            with_module(LAPTOP, "tensorrt", Module(problem="it is an empty shell")),
            ["tensorrt-without-libraries", "no-driver"],
        ),
        (with_distributions(DESKTOP, onnxruntime="1.22.0"), ["both-onnxruntimes"]),
        (with_module(DESKTOP, "tensorrt_rtx", Module("1.5.0")), ["old-tensorrt"]),
        (
            with_module(
                DESKTOP, "onnxruntime", Module(problem="ImportError: GLIBC_2.38 not found")
            ),
            ["broken-module"],
        ),
        (changed(LAPTOP, gpu_on_bus=True), ["no-driver"]),
        (changed(DESKTOP, driver=NO_DRIVER, gpu_on_bus=False), ["no-driver"]),
        (
            changed(DESKTOP, driver=Driver(True, (13, 0), problem="the driver sees no GPU")),
            ["no-gpu"],
        ),
        (changed(DESKTOP, driver=gpu("8.9", cuda=(12, 4))), ["old-driver"]),
        (changed(DESKTOP, driver=gpu("9.0")), ["gpu-unknown-to-rtx"]),
        (changed(DESKTOP, driver=gpu("8.7")), ["gpu-unknown-to-rtx"]),
        (changed(DESKTOP, driver=gpu("7.5")), ["turing-needs-fp16"]),
    ],
)
def test_a_machine_is_told_its_traps_and_no_others(machine: Machine, names: list[str]) -> None:
    traps = find_traps(machine)
    assert [trap.name for trap in traps] == names
    assert all(trap.what.endswith(".") and trap.fix for trap in traps)


def test_bindings_newer_than_a_jetsons_cuda_are_a_trap_with_the_command_that_leaves_it() -> None:
    (trap, *_) = [
        t
        for t in find_traps(with_distributions(ORIN, cuda_bindings="13.4.4"))
        if t.name == "old-driver"
    ]
    assert "runs CUDA 12.6 at most: too old for cuda-bindings (CUDA 13)" in trap.what
    assert trap.fix.endswith("pip install 'cuda-bindings<13'")


def test_the_report_names_machine_ways_traps_and_what_to_do() -> None:
    text = "\n".join(lines(check_machine(PIP_ORIN)))
    assert "NVIDIA Jetson Orin Nano, JetPack 6.1 or 6.2 (Linux for Tegra 36.4.3)" in text
    assert "GPU of 8.7 (compute capability 8.7)" in text
    assert "pip uninstall tensorrt" in text
    assert "python3-libnvinfer" in text
    assert "10.3.0 (the system's)" in "\n".join(lines(check_machine(ORIN)))
    assert "Traps: none" in "\n".join(lines(check_machine(DESKTOP)))


def test_the_json_holds_the_same_as_the_table() -> None:
    check = check_machine(XAVIER)
    content = json.loads(json.dumps(as_dict(check)))
    assert content["format"] == "emodict-check"
    assert {way["name"]: way["runs"] for way in content["runs"]} == {
        way.name: way.runs for way in check.ways
    }
    assert content["machine"]["jetson"]["jetpack"] == "5"
    assert content["machine"]["driver"]["gpus"] == [
        {"name": "GPU of 8.7", "compute_capability": "8.7"}
    ]
    assert [trap["name"] for trap in content["traps"]] == [trap.name for trap in check.traps]
    assert content["engine"] is None


HERE = this_platform()


@pytest.mark.parametrize(
    ("machine", "builder", "sentence"),
    [
        (changed(DESKTOP, platform=HERE), "tensorrt_rtx", None),
        (changed(DESKTOP, platform="linux-riscv64"), "tensorrt_rtx", "another platform"),
        (
            changed(DESKTOP, platform=HERE, driver=NO_DRIVER),
            "tensorrt_rtx",
            "there is no NVIDIA driver",
        ),
        (changed(DESKTOP, platform=HERE, driver=gpu("12.0")), "tensorrt_rtx", "another GPU"),
        (
            changed(with_module(DESKTOP, "tensorrt_rtx", Module("1.8.0")), platform=HERE),
            "tensorrt_rtx",
            "1.8.0",
        ),
        (
            changed(with_module(DESKTOP, "tensorrt_rtx", None), platform=HERE),
            "tensorrt_rtx",
            "is not installed",
        ),
        (
            changed(with_module(DESKTOP, "cuda.core", None), platform=HERE),
            "tensorrt_rtx",
            "cuda.core is not installed",
        ),
        (changed(DESKTOP, platform=HERE), "tensorrt", "tensorrt is not installed"),
        (
            changed(
                with_module(DESKTOP, "tensorrt", Module(problem="no libnvinfer")), platform=HERE
            ),
            "tensorrt",
            "no libnvinfer",
        ),
    ],
)
def test_a_plan_is_judged_by_its_description(
    machine: Machine, builder: str, sentence: str | None, wrist_model: Path, tmp_path: Path
) -> None:
    plan = write_plan(wrist_model, tmp_path, builder)
    verdict = judge(machine, plan)
    assert verdict.runs is (sentence is None)
    assert (sentence or "") in verdict.why


def test_a_damaged_plan_or_one_asked_to_the_cpu_does_not_run(
    wrist_model: Path, tmp_path: Path
) -> None:
    plan = write_plan(wrist_model, tmp_path)
    machine = changed(DESKTOP, platform=HERE)
    assert "runs on a GPU alone" in judge(machine, plan, "cpu").why
    plan.write_bytes(plan.read_bytes()[:-1])
    assert "cut off" in judge(machine, plan).why
    plan.unlink()
    assert "There is no model" in judge(machine, plan).why


def test_an_onnx_file_is_judged_by_opening_it(wrist_model: Path, tmp_path: Path) -> None:
    assert judge(LAPTOP, wrist_model).runs
    assert "no NVIDIA driver" in judge(LAPTOP, wrist_model, "cuda").why
    no_provider = with_module(DESKTOP, "onnxruntime", ORT)
    assert "has no CUDA provider" in judge(no_provider, wrist_model, "cuda").why
    assert "onnxruntime is not installed" in judge(EMPTY, wrist_model).why
    (tmp_path / "x.onnx").write_bytes(b"nonsense")
    assert "cannot be opened" in judge(LAPTOP, tmp_path / "x.onnx").why


def test_a_module_that_kills_or_hangs_python_or_lies_is_a_fact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = {
        "emodict_dies": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "emodict_fails": "raise OSError('libnvinfer.so.10: cannot open shared object file')",
        "emodict_hangs": "import time; time.sleep(60)",
        "emodict_lies": "print('hello'); import os; os._exit(0)",
        "emodict_works": "__version__ = '1.2'; print('a banner')",
        "tensorrt_emodict": "__version__ = '10.3.0'",
    }
    for name, body in bodies.items():
        (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = read_modules(
        [
            *(name for name in bodies if name != "emodict_hangs"),
            "emodict_absent",
            "emodict_absent.below",
        ]
    )
    monkeypatch.setattr(machine_module, "PROBE_S", 2)
    found |= read_modules(["emodict_hangs"])
    assert found == {
        "emodict_dies": Module(problem="importing it ends Python with signal 11"),
        "emodict_fails": Module(
            problem="OSError: libnvinfer.so.10: cannot open shared object file"
        ),
        "emodict_hangs": Module(problem="importing it takes more than 2 s"),
        "emodict_lies": Module(problem="it answers nothing that can be understood"),
        "emodict_works": Module("1.2"),
        "tensorrt_emodict": Module("10.3.0", problem="it is an empty shell: it has no Runtime"),
    }
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    assert "could not be started" in read_modules(("emodict_works",))["emodict_works"].problem


@pytest.mark.parametrize(
    ("text", "l4t", "jetpack"),
    [
        ("# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref", "35.4.1", "5"),
        ("# R36 (release), REVISION: 3.0, GCID: 36191598, BOARD: generic", "36.3.0", "6.0"),
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic", "36.4.3", "6.1 or 6.2"),
        ("# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic", "38.2.0", "7"),
        ("# R99 (release), REVISION: 1.0", "99.1.0", "unknown"),
    ],
)
def test_a_jetson_is_known_by_its_release_file(
    text: str, l4t: str, jetpack: str, tmp_path: Path
) -> None:
    assert read_jetson(tmp_path) is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text(text + ", EABI: aarch64, DATE: Thu")
    assert read_jetson(tmp_path) == Jetson(l4t, jetpack)
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("NVIDIA Jetson Orin Nano\0")
    package = tmp_path / "usr/lib/python3.10/dist-packages/tensorrt"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    assert read_jetson(tmp_path) == Jetson(
        l4t, jetpack, "NVIDIA Jetson Orin Nano", system_tensorrt=True
    )


def test_a_gpu_without_a_driver_is_seen_on_the_bus(tmp_path: Path) -> None:
    for name, vendor in (("0000:00:02.0", "0x8086"), ("0000:01:00.0", "0x10de")):
        assert not find_gpu_on_bus(tmp_path)
        (tmp_path / "sys/bus/pci/devices" / name).mkdir(parents=True)
        (tmp_path / "sys/bus/pci/devices" / name / "vendor").write_text(vendor + "\n")
    assert find_gpu_on_bus(tmp_path)


def test_versions_are_read_without_importing() -> None:
    import numpy

    assert read_distributions()["numpy"] == numpy.__version__
