"""Plans of the stand-in with real sidecars,
and the stand-ins put in place of TensorRT, cuda-core and driver.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest
from tests.stand_in import cuda_core, tensorrt

from emodict.engine.driver import Driver, Gpu
from emodict.engine.placement import this_platform
from emodict.engine.sidecar import Sidecar, read_manifest, write_sidecar

VERSIONS = {"tensorrt": "10.3.0", "tensorrt_rtx": "1.7.1.116"}
RTX_3080 = Driver(True, (13, 0), "580.65.06", (Gpu("NVIDIA GeForce RTX 3080", "8.6"),))
MAX_BATCH = 48


def write_plan(
    onnx_file: Path,
    folder: Path,
    builder: str = "tensorrt_rtx",
    *,
    stem: str = "model",
    **changes: Any,
) -> Path:
    """model.onnx, model.plan and model.plan.json in `folder`;
    `changes` are fields of the sidecar.
    """
    folder.mkdir(exist_ok=True)
    shutil.copy(onnx_file, folder / f"{stem}.onnx")
    content = onnx_file.read_bytes()
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    sidecar = Sidecar(
        manifest=read_manifest(metadata, source=str(onnx_file)),
        plan_sha256="",
        plan_bytes=0,
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        builder=builder,
        builder_version=VERSIONS.get(builder, "1.0"),
        platform=this_platform(),
        compute_capabilities=("8.6", "8.9"),
        max_batch=MAX_BATCH,
        layers={"FLOAT": 50},
    )
    bytes_of_plan = tensorrt.make_plan(content, name=sidecar.network_name, max_batch=MAX_BATCH)
    bytes_of_plan = changes.pop("plan", bytes_of_plan)
    plan = folder / f"{stem}.plan"
    plan.write_bytes(bytes_of_plan)
    hashes = {
        "plan_sha256": hashlib.sha256(bytes_of_plan).hexdigest(),
        "plan_bytes": len(bytes_of_plan),
    }
    write_sidecar(dataclasses.replace(sidecar, **{**hashes, **changes}), plan)
    return plan


def put_in_place(
    monkeypatch: pytest.MonkeyPatch,
    builder: str,
    *,
    version: str | None = None,
    driver: Driver = RTX_3080,
) -> ModuleType:
    """The stand-ins where the engine looks for the real ones;
    returns the module that stands for TensorRT.
    """
    module = tensorrt.make_module(builder, version or VERSIONS[builder])
    monkeypatch.setitem(sys.modules, builder, module)
    monkeypatch.setitem(sys.modules, "cuda.core", cuda_core.make_module())
    monkeypatch.setattr("emodict.engine.tensorrt.read_driver", lambda: driver)
    return module
