"""What stands beside a plan is read whole, or refused with what is wrong; before that,
nothing of it is believed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.engine.test_manifest import MANIFEST

from emodict.engine.face_manifest import FaceManifest
from emodict.engine.held import model_files
from emodict.engine.sidecar import (
    Sidecar,
    network_name,
    read_plan,
    read_sidecar,
    require_emotions,
    require_face_engine,
    write_sidecar,
)
from emodict.errors import ModelError

FACE = FaceManifest("clean", 128, 32, "ab" * 32, "cd" * 32, "emodict 9", "fp16")
PLAN = b"the plan"


def sidecar(manifest: Any = MANIFEST, **changes: Any) -> Sidecar:
    fields = {
        "manifest": manifest,
        "plan_sha256": hashlib.sha256(PLAN).hexdigest(),
        "plan_bytes": 8,
        "onnx_sha256": "ef" * 32,
        "builder": "tensorrt_rtx",
        "builder_version": "1.7.1",
        "platform": "linux-aarch64",
        "compute_capabilities": ("8.6", "12.0"),
        "max_batch": 48,
        "layers": {"FLOAT": 50, "HALF": 7},
    }
    return Sidecar(**{**fields, **changes})


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "model.plan"
    path.write_bytes(PLAN)
    write_sidecar(sidecar(), path)
    return path


def edited(plan: Path, /, **changes: Any) -> None:
    """The sidecar with other values, and the hash and the layout that fit them."""
    path = plan.with_name("model.plan.json")
    content = {**json.loads(path.read_text()), **changes}
    content.pop("sha256")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content, indent=1) + "\n")


@pytest.mark.parametrize("manifest", [MANIFEST, FACE])
def test_what_is_written_is_what_is_read(plan: Path, manifest: Any) -> None:
    ours = sidecar(manifest)
    write_sidecar(ours, plan)
    got = read_sidecar(plan)
    for field in dataclasses.fields(Sidecar):
        if field.name != "manifest":
            assert getattr(got, field.name) == getattr(ours, field.name)
    for field in dataclasses.fields(manifest):
        np.testing.assert_equal(getattr(got.manifest, field.name), getattr(manifest, field.name))


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"format": "emodict-model"}, "got 'emodict-model', version 1"),
        ({"format_version": "0"}, "got 'emodict-plan', version 0"),
        ({"format_version": "2"}, "got 'emodict-plan', version 2"),
        ({"format_version": 1}, "got 'emodict-plan', version 1"),
    ],
)
def test_a_description_of_another_kind_or_version_is_refused(
    plan: Path, changes: dict[str, Any], got: str
) -> None:
    edited(plan, **changes)
    with pytest.raises(
        ModelError, match=f"is not the description of a plan.*'emodict-plan', version 1, {got}"
    ):
        read_sidecar(plan)


@pytest.mark.parametrize(
    "changes", [{"plan": {}}, {"max_batch": "many"}, {"layers": {"FLOAT": None}}, {"builder": 7}]
)
def test_a_description_with_a_part_that_is_none_is_refused(
    plan: Path, changes: dict[str, Any]
) -> None:
    edited(plan, **changes)
    with pytest.raises(ModelError, match="this description is damaged"):
        read_sidecar(plan)


@pytest.mark.parametrize(
    ("size", "said"),
    [(16_777_216, "is damaged: it is not JSON"), (16_777_217, "too large.*at most 16777216 bytes")],
)
def test_a_description_has_at_most_16_mib(plan: Path, size: int, said: str) -> None:
    plan.with_name("model.plan.json").write_bytes(b" " * size)
    with pytest.raises(ModelError, match=said):
        read_sidecar(plan)


@pytest.mark.parametrize(
    ("content", "said"), [(b"[1]", "a JSON object, got list"), (b"\xff{}", "it is not JSON")]
)
def test_a_description_that_is_no_json_object_is_refused(
    plan: Path, content: bytes, said: str
) -> None:
    plan.with_name("model.plan.json").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_sidecar(plan)


def test_only_the_plan_that_is_described_is_read(plan: Path) -> None:
    assert read_plan(plan, sidecar()) == PLAN
    with pytest.raises(ModelError, match="Expected 9 bytes, got 8 bytes"):
        read_plan(plan, sidecar(plan_bytes=9))
    plan.write_bytes(b"The plan")
    with pytest.raises(ModelError, match=r"its sha256 is not the one in model\.plan\.json"):
        read_plan(plan, sidecar())


def test_a_plan_of_one_kind_is_not_taken_for_the_other(plan: Path) -> None:
    assert require_emotions(sidecar(), plan) is MANIFEST
    assert require_face_engine(sidecar(FACE), plan) is FACE
    with pytest.raises(ModelError, match="is a face engine"):
        require_emotions(sidecar(FACE), plan)
    with pytest.raises(ModelError, match="is a model of emotions"):
        require_face_engine(sidecar(), plan)
    assert sidecar(FACE).source == "--face vgg16.pth --form clean"
    assert sidecar().source == "model.pt"
    assert sidecar(FACE).usage("x.onnx") == "--face x.onnx"
    assert sidecar().usage("x.onnx") == "emodict-run --engine x.onnx session.h5"


def test_a_network_is_called_by_16_digits_of_its_graph() -> None:
    assert network_name("0123456789abcdef" * 4) == "emodict-0123456789abcdef"


def test_a_model_is_its_file_and_of_a_plan_what_stands_beside_it() -> None:
    assert model_files(Path("a/m.onnx")) == [Path("a/m.onnx")]
    assert model_files(Path("a/m.plan")) == [Path("a/m.plan"), Path("a/m.plan.json")]
