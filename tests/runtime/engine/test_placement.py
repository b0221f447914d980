"""Where a plan may run: versions, drivers and GPUs at the edges, the numbers written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.runtime.engine.test_manifest import MANIFEST

from emodict.engine.driver import Driver, Gpu
from emodict.engine.placement import (
    build_command,
    is_too_old,
    require_gpu,
    require_version,
    version_numbers,
    ways_out,
)
from emodict.engine.sidecar import Sidecar
from emodict.errors import ModelError

PLAN = Path("model.plan")


def sidecar(builder: str = "tensorrt_rtx", **changes: Any) -> Sidecar:
    fields = {
        "manifest": MANIFEST,
        "plan_sha256": "",
        "plan_bytes": 0,
        "onnx_sha256": "",
        "builder": builder,
        "builder_version": "1.7.1",
        "platform": "linux-x86_64",
        "compute_capabilities": ("8.6", "12.0"),
        "max_batch": 8,
    }
    return Sidecar(**{**fields, **changes})


def driver(
    capability: str = "8.6", cuda: tuple[int, int] | None = (13, 0), **changes: Any
) -> Driver:
    return Driver(True, cuda, changes.get("release", "580.65.06"), (Gpu("some GPU", capability),))


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("10.16.1.11", (10, 16, 1, 11)), ("1.7rc1", (1, 7)), ("10.3.0+cuda12", (10, 3, 0)), ("", ())],
)
def test_a_version_is_its_numbers_up_to_what_is_none(
    version: str, numbers: tuple[int, ...]
) -> None:
    assert version_numbers(version) == numbers


@pytest.mark.parametrize(
    ("module", "version", "too_old"),
    [
        ("tensorrt", "10.3.0", False),
        ("tensorrt", "10.3", False),
        ("tensorrt", "10.2.9", True),
        ("tensorrt", "9.9", True),
        ("tensorrt", "10.16.1.11", False),
        ("tensorrt", "11.0", False),
        ("tensorrt_rtx", "1.6.0", False),
        ("tensorrt_rtx", "1.5.9", True),
        ("tensorrt_rtx", "1.10", False),
    ],
)
def test_tensorrt_is_taken_from_10_3_on_and_that_for_rtx_from_1_6_on(
    module: str, version: str, too_old: bool
) -> None:
    assert is_too_old(module, version) is too_old
    plan = sidecar(module, builder_version=version)
    if not too_old:
        require_version(plan, PLAN, version)
        return
    with pytest.raises(ModelError, match="is too old for emodict's plans") as refusal:
        require_version(plan, PLAN, version)
    assert ("JetPack" in str(refusal.value)) is (module == "tensorrt")


@pytest.mark.parametrize(
    ("cuda", "release", "said"),
    [
        ((13, 0), "580", ""),
        (None, "580", ""),
        (
            (12, 9),
            "575.1",
            r"The NVIDIA driver 575\.1 is too old.*CUDA 13\.0 or newer, got one for CUDA 12\.9",
        ),
        ((12, 9), None, "The NVIDIA driver is too old"),
    ],
)
def test_tensorrt_for_rtx_wants_a_driver_for_cuda_13(
    cuda: tuple[int, int] | None, release: str | None, said: str
) -> None:
    # The full TensorRT comes for many a CUDA.
    require_gpu(sidecar("tensorrt"), PLAN, driver(cuda=cuda, release=release))
    if not said:
        require_gpu(sidecar(), PLAN, driver(cuda=cuda, release=release))
        return
    with pytest.raises(ModelError, match=said):
        require_gpu(sidecar(), PLAN, driver(cuda=cuda, release=release))


# What NVIDIA's support matrix of TensorRT for RTX names: Turing, Ampere, Ada, Blackwell.
@pytest.mark.parametrize(
    "capability", ["7.5", "8.0", "8.6", "8.9", "12.0", "12.1", "7.0", "8.7", "9.0", "10.0"]
)
def test_a_plan_can_be_built_again_for_the_gpus_that_tensorrt_for_rtx_knows(
    capability: str,
) -> None:
    known = capability in ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
    with pytest.raises(ModelError, match="was built for another GPU") as refusal:
        require_gpu(sidecar(compute_capabilities=("5.0",)), PLAN, driver(capability))
    assert ("TensorRT for RTX does not know the some GPU at all" in str(refusal.value)) is not known
    assert (f"--sm 50,{capability.replace('.', '')}" in str(refusal.value)) is known
    # Whatever a full TensorRT knows, it can be asked for.
    with pytest.raises(
        ModelError, match=r"was built for another GPU\. .*To build it for this machine"
    ):
        require_gpu(sidecar("tensorrt", compute_capabilities=("5.0",)), PLAN, driver(capability))


def test_where_there_is_no_gpu_a_driver_is_asked_for_only_where_there_is_none() -> None:
    with pytest.raises(ModelError, match=r"and there is none.*Install NVIDIA's driver"):
        require_gpu(sidecar(), PLAN, Driver(False, problem="there is none"))
    with pytest.raises(ModelError, match="and it is off") as refusal:
        require_gpu(sidecar(), PLAN, Driver(True, problem="it is off"))
    assert "Install" not in str(refusal.value)


def test_a_plan_is_built_again_for_the_gpus_it_was_for_and_this_one_in_the_order_of_their_age() -> (
    None
):
    assert (
        build_command(sidecar("tensorrt"), PLAN)
        == "emodict-export model.pt -o model.plan --precision fp16"
    )
    assert build_command(sidecar(), PLAN).endswith("--precision fp16 --sm 86,120")
    assert build_command(sidecar(), PLAN, "8.9").endswith("--sm 86,89,120")
    assert build_command(sidecar(), PLAN, "8.6").endswith("--sm 86,120")


def test_the_onnx_file_beside_a_plan_is_named_only_where_it_is_the_very_one(tmp_path: Path) -> None:
    plan = tmp_path / "model.plan"
    other = r"The same model as ONNX runs on this machine: emodict-export model.pt -o model.onnx"
    assert ways_out(sidecar(), plan) == other
    plan.with_suffix(".onnx").write_bytes(b"graph")
    assert ways_out(sidecar(), plan) == other
    # sha256 of "graph", by coreutils' sha256sum.
    same = sidecar(onnx_sha256="eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d")
    assert ways_out(same, plan).startswith(
        "The model it was built from runs on this machine: emodict-run --engine '"
    )
