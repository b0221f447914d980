"""VGG-16 as a face engine: against torch, in both forms; wrong weights;
and that no engine is taken for another.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from emodict.engine import held, open_engine
from emodict.engine.face_manifest import FaceManifest, is_face_engine
from emodict.errors import EmodictError, InputError, ModelError, OutputError
from emodict.face.embed import FaceEngine, open_embedder
from emodict_export import face as face_export
from emodict_export.export import graph_hash
from emodict_export.face import export_face_model, load_vgg16
from emodict_export.plan.builder import Order, build_serialized
from emodict_export.plan.tensorrt_module import choose_backend

# Where torchvision 0.28 has its convolutions: names and output channels of
# torchvision.models.vgg16().features.
CONVOLUTIONS = {
    0: 64,
    2: 64,
    5: 128,
    7: 128,
    10: 256,
    12: 256,
    14: 256,
    17: 512,
    19: 512,
    21: 512,
    24: 512,
    26: 512,
    28: 512,
}
POOLS = (4, 9, 16, 23, 30)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def seeded_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights by He's rule, which keeps the signal's size through all layers,
    and a classifier's name.
    """
    rng = torch.Generator().manual_seed(seed)
    state, width = {}, 3
    for index, channels in CONVOLUTIONS.items():
        scale = (2 / (9 * channels)) ** 0.5
        state[f"features.{index}.weight"] = scale * torch.randn(
            channels, width, 3, 3, generator=rng
        )
        state[f"features.{index}.bias"] = 0.05 * torch.randn(channels, generator=rng)
        width = channels
    state["classifier.6.bias"] = torch.zeros(1000)
    return state


def by_torch(state: dict[str, torch.Tensor], crop: np.ndarray, form: str) -> np.ndarray:
    """The embedding in double precision, written down from FEATURES.md with torch's functions."""
    if form == "reference":
        x = torch.from_numpy(crop.transpose(1, 2, 0).reshape(3, 128, 128) / 255)[None]
    else:
        rgb = crop[:, :, ::-1] / 255
        x = torch.from_numpy(((rgb - MEAN) / STD).transpose(2, 0, 1).copy())[None]
    for index in range(31):
        if index in CONVOLUTIONS:
            weight, bias = (
                state[f"features.{index}.{part}"].double() for part in ("weight", "bias")
            )
            x = nn.functional.conv2d(x, weight, bias, padding=1)
        elif index in POOLS:
            x = nn.functional.max_pool2d(x, 2)
        else:
            x = x.clamp(min=0)
    assert x.shape == (1, 512, 4, 4)
    pooled = nn.functional.avg_pool2d(x, 4).numpy().reshape(512)
    return np.array([pooled[16 * i : 16 * i + 16].mean() for i in range(32)])


def random_crop(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (128, 128, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    torch.save(seeded_weights(), path)
    return path


@pytest.fixture(scope="module", params=["clean", "reference"])
def engine_file(request: pytest.FixtureRequest, weights: Path) -> tuple[Path, str]:
    out = weights.with_name(f"{request.param}.onnx")
    report = export_face_model(weights, out, request.param)
    assert report.error < 1e-5
    assert (report.path, report.bytes) == (out, out.stat().st_size)
    assert f"Wrote {out}: VGG-16 face features, form {request.param}, " in str(report)
    return out, request.param


def test_a_face_engine_gives_what_torch_gives_in_double_precision(
    engine_file: tuple[Path, str],
) -> None:
    path, form = engine_file
    engine = FaceEngine(path)
    crop = random_crop(1)
    expected = by_torch(seeded_weights(), crop, form)
    # FP32 through 13 layers of up to 4608 products.
    np.testing.assert_allclose(
        engine.embed(crop), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )
    assert expected.std() > 0.05 * expected.mean() > 0


def test_a_face_engine_says_what_it_is_and_of_which_weights(engine_file: tuple[Path, str]) -> None:
    path, form = engine_file
    model = onnx.load(path)
    metadata = {p.key: p.value for p in model.metadata_props}
    assert is_face_engine(metadata)
    engine = FaceEngine(path)
    assert engine.manifest == FaceManifest(
        form=form,
        side=128,
        dims=32,
        weights_sha256=engine.manifest.weights_sha256,
        graph_sha256=graph_hash(model),
        software=metadata["emodict.software"],
    )
    assert engine.features == f"vgg16-{form} {engine.manifest.weights_sha256[:16]}"
    inputs, outputs = model.graph.input, model.graph.output
    assert [(v.name, v.type.tensor_type.elem_type) for v in (*inputs, *outputs)] == [
        ("crop", onnx.TensorProto.UINT8), ("embedding", onnx.TensorProto.FLOAT)
    ]  # fmt: skip


def test_the_input_is_copied_and_the_output_is_overwritten_by_the_next_face(
    engine_file: tuple[Path, str],
) -> None:
    engine = FaceEngine(engine_file[0])
    crop, other = random_crop(1), random_crop(2)
    first = engine.embed(crop)
    kept = first.copy()
    second = engine.embed(other)
    assert np.shares_memory(first, second)
    assert not np.array_equal(kept, second)
    crop_again = crop.copy()
    np.testing.assert_array_equal(engine.embed(crop_again), kept)
    crop_again[:] = 0
    np.testing.assert_array_equal(engine.embed(crop), kept)


def test_a_crop_of_another_shape_or_type_is_refused(engine_file: tuple[Path, str]) -> None:
    engine = FaceEngine(engine_file[0])
    for crop in (np.zeros((64, 64, 3), np.uint8), np.zeros((128, 128, 3), np.float32)):
        with pytest.raises(
            ModelError, match=r"cropped face has the wrong form.*uint8 \(128, 128, 3\)"
        ):
            engine.embed(crop)


def test_a_graph_that_opens_and_cannot_be_run_is_refused(
    engine_file: tuple[Path, str], tmp_path: Path
) -> None:
    model = onnx.load(engine_file[0])
    # The brightest pixel as an index into the 32 numbers: out of bounds,
    # which only running it shows.
    (last,) = (node for node in model.graph.node if "embedding" in node.output)
    last.output[0] = "whole"
    make = onnx.helper.make_node
    model.graph.node.extend([
        make("Cast", ["crop"], ["whole_numbers"], to=onnx.TensorProto.INT64),
        make("ReduceMax", ["whole_numbers"], ["brightest"], keepdims=0),
        make("Gather", ["whole", "brightest"], ["one"], axis=1),
        make("Unsqueeze", ["one", "last_axis"], ["column"]),
        make("Add", ["whole", "column"], ["embedding"]),
    ])  # fmt: skip
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "last_axis"))
    onnx.save(model, tmp_path / "changed.onnx")
    engine = FaceEngine(tmp_path / "changed.onnx")
    with pytest.raises(
        ModelError,
        match=r"changed\.onnx failed while ONNX Runtime ran it: indices .* out of data bounds",
    ):
        engine.embed(np.full((128, 128, 3), 255, np.uint8))


def test_an_emotion_model_is_no_face_engine_and_the_other_way_round(
    engine_file: tuple[Path, str], trained: Callable[..., Any], tmp_path: Path
) -> None:
    from emodict_export.export import export_onnx

    export_onnx(trained("emodict-1"), tmp_path / "model.onnx")
    with pytest.raises(
        ModelError, match=r"model\.onnx is a model of emotions.*emodict-export --face"
    ):
        FaceEngine(tmp_path / "model.onnx")
    with pytest.raises(
        ModelError, match=r"is a face engine: it describes faces and knows no emotions.*--face"
    ):
        open_engine(engine_file[0])


def test_what_is_no_engine_at_all_is_refused(tmp_path: Path, engine_file: tuple[Path, str]) -> None:
    with pytest.raises(ModelError, match="There is no face engine"):
        open_embedder(str(tmp_path / "face.onnx"))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match=r"cannot be opened by ONNX Runtime"):
        open_embedder(str(tmp_path / "text.onnx"))
    model = onnx.load(engine_file[0])
    for change, said in (
        ({"emodict.format": "other"}, "is not a face engine"),
        ({"emodict.format_version": "2"}, "is not a face engine"),
        ({"emodict.form": "odd"}, "unknown form"),
        ({"emodict.dims": "many"}, "description is damaged"),
        ({"emodict.dims": "16"}, "the graph is not what its description says"),
    ):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        for entry in changed.metadata_props:
            entry.value = change.get(entry.key, entry.value)
        onnx.save(changed, tmp_path / "changed.onnx")
        with pytest.raises(ModelError, match=said):
            FaceEngine(tmp_path / "changed.onnx")


def without(name: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key != name}


def renamed(state: dict[str, torch.Tensor], at: str, to: str) -> dict[str, torch.Tensor]:
    return {key.replace(at, to): value for key, value in state.items()}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: without("features.28.bias", s), "no 'features.28.bias'"),
        (
            lambda s: s | {"features.34.weight": torch.zeros(1)},
            "'features.34.weight', which VGG-16 does not have",
        ),
        (lambda s: renamed(s, "features.", "conv."), "no 'features.0.weight'"),
        (
            lambda s: s | {"features.5.weight": torch.zeros(64, 64, 3, 3)},
            r"of shape \(64, 64, 3, 3\) for \(128, 64, 3, 3\)",
        ),
        (lambda s: s | {"features.0.bias": torch.full((64,), torch.nan)}, "not finite"),
        (
            lambda s: s | {"features.0.bias": torch.zeros(64, dtype=torch.int64)},
            "not a tensor of numbers",
        ),
        (lambda s: list(s.values()), "got list"),
        (lambda s: {}, "no 'features.0.weight'"),
    ],
)
def test_weights_of_another_network_are_refused_and_nothing_is_written(
    tmp_path: Path, spoil: Callable[..., Any], said: str
) -> None:
    torch.save(spoil(seeded_weights()), tmp_path / "other.pth")
    with pytest.raises(ModelError, match=said) as refused:
        export_face_model(tmp_path / "other.pth", tmp_path / "face.onnx")
    assert "torchvision" in str(refused.value)
    assert [p.name for p in tmp_path.iterdir()] == ["other.pth"]


def test_damaged_files_and_pickled_objects_are_refused_without_running_them(
    tmp_path: Path, weights: Path
) -> None:
    content = weights.read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 3])
    (tmp_path / "flipped.pth").write_bytes(
        content[:9_000_000] + bytes([content[9_000_000] ^ 1]) + content[9_000_001:]
    )
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.pth").touch()
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    for name in ("cut.pth", "flipped.pth", "text.pth", "empty.pth", "module.pth"):
        with pytest.raises(ModelError, match=rf"{name} cannot be read as weights"):
            load_vgg16(tmp_path / name)
    with pytest.raises(ModelError, match="There are no weights"):
        load_vgg16(tmp_path / "nowhere.pth")


def test_an_unknown_form_a_wrong_ending_and_the_weights_own_file_are_refused(
    tmp_path: Path, weights: Path
) -> None:
    with pytest.raises(InputError, match=r"no form 'rgb'.*clean, reference"):
        export_face_model(weights, tmp_path / "face.onnx", "rgb")
    with pytest.raises(OutputError, match=r"ending in \.onnx"):
        export_face_model(weights, tmp_path / "face.plan")
    linked = tmp_path / "weights.onnx"
    linked.symlink_to(weights)
    with pytest.raises(OutputError, match="it is what is read"):
        export_face_model(weights, linked)


def test_a_graph_that_differs_from_torch_is_not_written(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A real mistake: the colours are not turned round.
    def forgets_to_flip(layer: nn.Conv2d, form: str) -> torch.Tensor:
        return layer.weight.detach() / layer.weight.new_tensor(STD).reshape(3, 1, 1) / 255

    monkeypatch.setattr(face_export, "_first_weight", forgets_to_flip)
    with pytest.raises(EmodictError, match="torch disagree"):
        export_face_model(weights, tmp_path / "face.onnx")
    assert not any(tmp_path.iterdir())


def test_tensorrt_for_rtx_reads_the_graph_and_builds_it_in_fp32(
    engine_file: tuple[Path, str],
) -> None:
    pytest.importorskip("tensorrt_rtx")
    backend, gpus = choose_backend(("8.6", "12.0"))
    order = Order(engine_file[0].read_bytes(), "emodict-face", {"crop": (128, 128, 3)}, 4, gpus)
    plan, layers = build_serialized(backend, order)
    # The weights of 13 convolutions, 14.7 million numbers of 4 bytes.
    assert len(plan) > 14_714_688 * 4
    assert layers.get("FLOAT", 0) >= 13
    assert "HALF" not in layers


def test_a_name_that_is_no_text_and_an_empty_file_that_was_checked_are_refused(
    engine_file: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "face.onnx"
    path.write_bytes(engine_file[0].read_bytes().replace(b"embedding", b"embeddin\xff"))
    with pytest.raises(ModelError):
        FaceEngine(path)
    path.write_bytes(engine_file[0].read_bytes())
    monkeypatch.setattr(held, "_held", {})
    held.hold(path, b"")
    with pytest.raises(ModelError, match="cannot be opened by ONNX Runtime"):
        FaceEngine(path)
