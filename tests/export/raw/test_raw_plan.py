"""Plans of raw graphs, built here by a real TensorRT for RTX, which needs no GPU for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.export.conftest import MakeCheckpoint
from tests.export.raw.conftest import SENSORS, WRIST

from emodict.engine.manifest import Manifest
from emodict.engine.sidecar import read_sidecar
from emodict_export.export import Precision, exported_onnx
from emodict_export.plan import build_plan, write_plan
from emodict_export.raw.export import raw_onnx

tensorrt_rtx = pytest.importorskip(
    "tensorrt_rtx", reason="tensorrt_rtx, which builds plans without a GPU, is not installed"
)
DESKTOP = ("8.6", "8.9", "12.0")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@SENSORS
def test_a_raw_graph_builds_for_three_gpus_and_its_features_stay_fp32(
    fitted: MakeCheckpoint, sensors: dict[str, Any], precision: str
) -> None:
    checkpoint = fitted(**sensors)
    raw, _ = raw_onnx(checkpoint, Precision(precision))
    plan = build_plan(raw, compute_capabilities=DESKTOP)
    assert plan.compute_capabilities == DESKTOP
    model = build_plan(
        exported_onnx(checkpoint, Precision(precision))[0], compute_capabilities=DESKTOP[:1]
    )
    assert plan.layers.get("HALF", 0) == model.layers.get("HALF", 0)
    assert plan.layers["FLOAT"] > model.layers["FLOAT"] + 30
    assert plan.build_s < 30  # what the project asks for; a second here


def test_the_sidecar_says_what_goes_in_and_comes_out(
    fitted: MakeCheckpoint, tmp_path: Path
) -> None:
    raw, _ = raw_onnx(fitted(**WRIST), with_tokens=True)
    write_plan(build_plan(raw, compute_capabilities=("8.6",)), tmp_path / "raw.plan")
    manifest = read_sidecar(tmp_path / "raw.plan").manifest
    assert isinstance(manifest, Manifest)
    assert manifest.inputs == {
        "gsr": (4, 1),
        "ppg": (100, 1),
        "state_gsr_samples": (16,),
        "state_gsr_usable": (4,),
        "state_ppg_samples": (400,),
        "state_ppg_usable": (4,),
    }
    assert list(manifest.outputs)[:5] == ["distribution", "weights", "valid", "quality", "tokens"]
