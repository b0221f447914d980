"""The face engine in FP16 and as a plan: its graph, the command that makes it,
and its running on a stand-in's GPU.
"""

from __future__ import annotations

import functools
import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from tests.export.test_face_export import by_torch, random_crop, seeded_weights
from tests.runtime.face.test_face_video import face_for, write_video
from tests.stand_in import cuda_core
from tests.stand_in.face_pictures import MarkFinder
from tests.stand_in.plans import put_in_place, write_plan

from emodict.check import judge
from emodict.check.machine import Machine
from emodict.cli import run as run_cli
from emodict.engine import open_engine
from emodict.engine.sidecar import read_plan, read_sidecar
from emodict.errors import InputError, ModelError
from emodict.face.embed import FaceEngine, open_embedder
from emodict.face.plan import FacePlan
from emodict.features.spec import load_spec
from emodict.live.camera import NoSensors, WithCamera
from emodict.live.source import Chunk
from emodict.recording.session import open_session
from emodict_desk.cli import session as session_cli
from emodict_export import cli as export_cli
from emodict_export.face import export_face_model
from emodict_export.face.fp16 import face_to_fp16, run_in_half
from emodict_export.plan import build_plan, describe_plan
from emodict_export.plan import write_plan as write_built_plan

Run = Callable[..., tuple[int, str, str]]
GPUS = ("8.6", "8.9", "12.0")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    torch.save(seeded_weights(), path)
    return path


@pytest.fixture(scope="module")
def fp32(weights: Path) -> Path:
    export_face_model(weights, weights.with_name("face.onnx"))
    return weights.with_name("face.onnx")


@pytest.fixture(scope="module", params=["clean", "reference"])
def fp16(request: pytest.FixtureRequest, weights: Path) -> tuple[Path, str]:
    out = weights.with_name(f"{request.param}-half.onnx")
    report = export_face_model(weights, out, request.param, "fp16")
    assert report.manifest.precision == "fp16"
    assert 0 < report.error < 2e-3
    assert "FP16" in str(report)
    return out, request.param


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, export_cli)


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return put_in_place(monkeypatch, "tensorrt_rtx")


@pytest.fixture
def plan(fp32: Path, tmp_path: Path) -> Path:
    return write_plan(fp32, tmp_path / "plan", stem="face")


def test_all_between_pixels_and_mean_is_half_and_nothing_else(fp16: tuple[Path, str]) -> None:
    model = onnx.load(fp16[0])
    types = {
        v.name: v.type.tensor_type.elem_type
        for v in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    computing = [n for n in model.graph.node if n.op_type in ("Conv", "Relu", "MaxPool")]
    assert len(computing) == 13 + 13 + 5
    assert {types[n.output[0]] for n in computing} == {TensorProto.FLOAT16}
    # uint8 to float32, to float16 once, and back once.
    assert [n.op_type for n in model.graph.node].count("Cast") == 3
    assert {types[n.output[0]] for n in model.graph.node if n.op_type == "Sub"} <= {
        TensorProto.FLOAT
    }
    inputs, outputs = model.graph.input, model.graph.output
    assert [v.type.tensor_type.elem_type for v in (*inputs, *outputs)] == [
        TensorProto.UINT8,
        TensorProto.FLOAT,
    ]
    assert fp16[0].stat().st_size < 0.51 * 4 * 14_714_688


def test_the_fp16_graph_in_half_arithmetic_is_near_the_network_in_double_precision(
    fp16: tuple[Path, str],
) -> None:
    path, form = fp16
    crop = random_crop(1)
    expected = by_torch(seeded_weights(), crop, form)
    got, largest = run_in_half(onnx.load(path), crop[None])
    # Thirteen roundings to 11 bits, each in its own direction: sqrt(13) * 2^-11 is 0.0018.
    np.testing.assert_allclose(got[0], expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    assert np.abs(got[0] - expected).max() > 1e-5 * np.abs(expected).max(), (
        "FP32 was computed, not FP16"
    )
    assert 0 < largest < 65504


def tiny_graph() -> onnx.ModelProto:
    """The operators of the face graph on a picture of 8 x 8."""
    rng = np.random.default_rng(3)
    constants = {
        "mean": rng.uniform(90, 130, 3),
        "w": rng.standard_normal((4, 3, 3, 3)) / 100,
        "b": rng.standard_normal(4),
    }
    initializers = [
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()
    ]
    initializers += [
        numpy_helper.from_array(np.array([-1, 2, 32]), "groups"),
        numpy_helper.from_array(np.array([2]), "axis"),
    ]
    nodes = [
        helper.make_node("Cast", ["crop"], ["pixels"], name="pixels", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "mean"], ["centred"], name="centred"),
        helper.make_node("Transpose", ["centred"], ["input"], name="input", perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv",
            ["input", "w", "b"],
            ["conv"],
            name="conv",
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
        ),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        helper.make_node(
            "MaxPool", ["relu"], ["pool"], name="pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Reshape", ["pool", "groups"], ["grouped"], name="grouped"),
        helper.make_node(
            "ReduceMean", ["grouped", "axis"], ["embedding"], name="embedding", keepdims=0
        ),
    ]
    crop = helper.make_tensor_value_info("crop", TensorProto.UINT8, ["batch", 8, 8, 3])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph(nodes, "tiny", [crop], [out], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_half_arithmetic_is_that_of_the_onnx_reference() -> None:
    model = face_to_fp16(tiny_graph())
    crops = np.random.default_rng(4).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    (expected,) = ReferenceEvaluator(model).run(None, {"crop": crops})
    got, _ = run_in_half(model, crops)
    # The reference also sums its 27 products in half: a rounding of 2^-11 for each.
    np.testing.assert_allclose(got, expected, rtol=27 * 2**-11, atol=0)
    # One product at a time there is no order of sums: then both agree to the bit.
    for constant in model.graph.initializer:
        if constant.name.startswith("w"):
            weight = numpy_helper.to_array(constant).copy()
            weight[:, 1:], weight[:, :, :1], weight[:, :, 2:], weight[..., :1], weight[..., 2:] = (
                0,
                0,
                0,
                0,
                0,
            )
            constant.CopyFrom(numpy_helper.from_array(weight, constant.name))
        elif constant.name.startswith("b"):
            constant.CopyFrom(numpy_helper.from_array(np.zeros(4, np.float16), constant.name))
    (expected,) = ReferenceEvaluator(model).run(None, {"crop": crops})
    # The mean, in float32.
    np.testing.assert_allclose(run_in_half(model, crops)[0], expected, rtol=1e-6)


def test_weights_that_overflow_in_fp16_are_refused_though_fp32_and_onnxruntime_take_them(
    tmp_path: Path,
) -> None:
    state = seeded_weights()
    # 65504 is passed inside the second layer; the third brings the numbers back.
    state["features.2.weight"] *= 1e5
    state["features.2.bias"] *= 1e5
    state["features.5.weight"] *= 1e-5
    torch.save(state, tmp_path / "large.pth")
    with pytest.raises(
        ModelError, match=r"In FP16 these weights no longer compute.*--precision fp32"
    ):
        export_face_model(tmp_path / "large.pth", tmp_path / "face.onnx", precision="fp16")
    assert not (tmp_path / "face.onnx").exists()
    export_face_model(tmp_path / "large.pth", tmp_path / "face.onnx")
    with pytest.raises(InputError, match="does not compute in INT8"):
        export_face_model(tmp_path / "large.pth", tmp_path / "other.onnx", precision="int8")


def test_tensorrt_for_rtx_builds_the_fp16_graph_in_fp16_for_three_gpus(
    fp16: tuple[Path, str], tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    content = fp16[0].read_bytes()
    built = build_plan(onnx.load_from_string(content), compute_capabilities=GPUS)
    sidecar = write_built_plan(built, tmp_path / "face.plan")
    assert sidecar == describe_plan(built) == read_sidecar(tmp_path / "face.plan")
    assert sidecar.manifest == FaceEngine(fp16[0]).manifest
    assert sidecar.onnx_sha256 == hashlib.sha256(content).hexdigest()
    assert (sidecar.compute_capabilities, sidecar.max_batch) == (GPUS, 4)
    # 14.7 million weights of two bytes, and far from four; the mean alone is FP32.
    assert 2 < len(read_plan(tmp_path / "face.plan", sidecar)) / 14_714_688 < 2.2
    assert sidecar.layers["HALF"] >= 13 + 13 + 5
    assert 1 <= sidecar.layers["FLOAT"] <= 2


def test_the_command_makes_a_face_engine_whichever_way_round_it_is_typed(
    run: Run, weights: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "face.onnx", tmp_path / "other.onnx"
    code, out, err = run("--face", weights, "-o", first)
    assert code == 0, err
    assert f"Wrote {first}: VGG-16 face features, form clean, FP32, 36 nodes, 56 MiB" in out
    assert f"Next: emodict-session faces VIDEO --face {first} -o session.h5" in out
    code, out, _ = run(
        weights, "-o", second, "--form", "reference", "--precision", "fp16", "--face"
    )
    assert code == 0
    assert "form reference, FP16" in out
    assert FaceEngine(first).features.startswith("vgg16-clean ")
    assert FaceEngine(second).features.startswith("vgg16-reference ")


def test_the_command_builds_a_face_plan_for_named_gpus_in_fp16(
    run: Run, weights: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    out = tmp_path / "face.plan"
    code, said, err = run("--face", weights, "-o", out, "--sm", "86,89,120")
    assert code == 0, err
    assert f"Wrote {out} and face.plan.json" in said
    # 13 convolutions, 13 ReLUs and 5 poolings; the scaling and the mean are FP32.
    assert re.search(r"for compute capability 8\.6, 8\.9, 12\.0; 31 of 3\d layers in FP16", said)
    assert f"--face {out} -o session.h5" in said
    assert read_sidecar(out).manifest == FaceEngine(out.with_suffix(".fp16.onnx")).manifest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--face", "--calibration", "p.json", "--precision", "fp16"),
            "--calibration is for a model of emotions",
        ),
        (("--face", "--data", "s.h5", "--precision", "int8"), "--data is for a model of emotions"),
        (("--face", "--triton", "models"), "--triton is for a model of emotions"),
        (
            ("--face", "--precision", "int8"),
            "does not compute in INT8. Expected --precision fp32 or fp16, got int8",
        ),
        (("--form", "clean"), "--form is for the engine that describes faces. Expected --face"),
        (("--face", "-o", "face.engine"), "a file ending in .onnx, .plan or .c"),
    ],
)
def test_options_that_make_no_sense_for_a_face_engine_are_refused(
    run: Run,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(weights, *words)
    assert code == 2
    assert said in err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("builder", ["tensorrt", "tensorrt_rtx"])
def test_a_face_plan_computes_what_onnxruntime_computes(
    builder: str, fp32: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(fp32, tmp_path, builder, stem="face")
    module = put_in_place(monkeypatch, builder)
    engine, on_gpu = FaceEngine(fp32), open_embedder(str(plan))
    assert isinstance(on_gpu, FacePlan)
    assert (on_gpu.manifest, on_gpu.features, on_gpu.dims) == (
        engine.manifest,
        engine.features,
        engine.dims,
    )
    module.calls.clear()
    for seed in range(3):
        crop = random_crop(seed)
        # The same kernels of ONNX Runtime, from and to other memory.
        np.testing.assert_allclose(on_gpu.embed(crop), engine.embed(crop), rtol=1e-5)
    assert module.calls == ["enqueued", "computed 1", "captured", "computed 1", "computed 1"]
    with pytest.raises(ModelError, match="cropped face has the wrong form"):
        on_gpu.embed(np.zeros((64, 64, 3), np.uint8))
    on_gpu.close()
    on_gpu.close()
    assert not cuda_core.LIVE
    assert not cuda_core.STREAMS
    with pytest.raises(ModelError, match="closed"):
        on_gpu.embed(random_crop(0))


def test_a_face_plan_may_be_used_in_another_thread_than_it_was_opened_and_closed_in(
    plan: Path, fp32: Path, rtx: ModuleType
) -> None:
    engine, on_gpu, crop = FaceEngine(fp32), FacePlan(plan), random_crop(1)
    got: list[np.ndarray] = []
    thread = threading.Thread(
        target=lambda: got.extend(on_gpu.embed(crop).copy() for _ in range(3))
    )
    thread.start()
    thread.join()
    on_gpu.close()
    assert len(got) == 3
    for row in got:
        np.testing.assert_allclose(row, engine.embed(crop), rtol=1e-5)


def test_the_faces_of_a_video_are_the_same_by_plan_and_by_onnx(
    plan: Path, fp32: Path, rtx: ModuleType, tmp_path: Path, run_in_process: Run
) -> None:
    video = write_video(tmp_path / "anna.avi", face_for(2))
    rows = []
    for engine in (plan, fp32):
        out = tmp_path / f"{len(rows)}.h5"
        code, _, err = run_in_process(
            session_cli, "faces", video, "--face", engine, "--cropped", "-o", out
        )
        assert code == 0, err
        with open_session(out) as session:
            rows.append((session.face.features, np.asarray(session.face.embedding)))
    assert rows[0][0] == rows[1][0]
    assert rows[0][1].shape[1] == 32
    np.testing.assert_allclose(rows[0][1], rows[1][1], rtol=1e-5)
    assert not cuda_core.LIVE


def test_a_camera_describes_faces_by_plan_in_its_own_thread(
    plan: Path, rtx: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emodict.live.camera.open_finder", lambda _: MarkFinder())
    video = write_video(tmp_path / "anna.avi", face_for(3))
    spec = load_spec("emodict-1").with_modalities(["video"])
    rows: list[np.ndarray] = []
    until = time.monotonic() + 20
    with WithCamera(NoSensors(), str(video), spec, face=str(plan)) as source:
        while not rows and time.monotonic() < until:
            rows += [chunk.samples for chunk in source.poll(0.05) if isinstance(chunk, Chunk)]
    assert rows
    assert rows[0].shape[1] == 32
    assert np.isfinite(rows[0][0]).all()
    assert "computed 1" in rtx.calls
    assert not cuda_core.LIVE
    assert not cuda_core.STREAMS


def test_a_face_plan_is_no_model_of_emotions_and_the_other_way_round(
    plan: Path,
    fp32: Path,
    rtx: ModuleType,
    tmp_path: Path,
    trained: Callable[..., Any],
    run_in_process: Run,
) -> None:
    from emodict_export.export import export_onnx

    for engine in (plan, fp32):
        with pytest.raises(
            ModelError,
            match=r"is a face engine: it describes faces and knows no emotions.*--face \S*face",
        ):
            open_engine(engine)
        code, _, err = run_in_process(run_cli, "--engine", engine, tmp_path / "session.h5")
        assert code == 2
        assert "is a face engine" in err
    verdict = judge(Machine("3.11.7", "linux-x86_64"), plan)
    assert not verdict.runs
    assert "is a face engine" in verdict.why
    export_onnx(trained("emodict-1"), tmp_path / "model.onnx")
    with pytest.raises(
        ModelError, match=r"model\.plan is a model of emotions.*emodict-export --face"
    ):
        open_embedder(str(write_plan(tmp_path / "model.onnx", tmp_path / "emotions")))


def test_a_face_plan_that_cannot_run_says_how_to_make_or_run_another(
    fp32: Path, tmp_path: Path, rtx: ModuleType
) -> None:
    plan = write_plan(fp32, tmp_path, stem="face", compute_capabilities=("12.0",))
    with pytest.raises(ModelError, match=r"built for another GPU") as refused:
        FacePlan(plan)
    assert f"runs on this machine: --face '{plan.with_suffix('.onnx')}'" in str(refused.value)
    again = "emodict-export --face vgg16.pth --form clean -o face.plan --precision fp32 --sm 86,120"
    assert again in str(refused.value)
    plan.with_name("face.plan.json").unlink()
    with pytest.raises(
        ModelError,
        match=r"no description beside it.*emodict-export --face vgg16\.pth -o face\.plan",
    ):
        FacePlan(plan)
    with pytest.raises(ModelError, match="There is no face engine"):
        open_embedder(str(tmp_path / "nowhere.plan"))
