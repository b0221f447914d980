"""The model repository for NVIDIA Triton Inference Server,
its configs parsed as protobuf's text format.
"""

from __future__ import annotations

import dataclasses
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from emodict.engine.manifest import manifest_from_metadata
from emodict.engine.sidecar import Sidecar, write_sidecar
from emodict.errors import InputError, ModelError, OutputError
from emodict_export.export import export_onnx
from emodict_export.plan import BuiltPlan, describe_plan, manifest_of
from emodict_export.triton import write_triton_repository
from emodict_train.model.checkpoint import Checkpoint

MakeCheckpoint = Callable[..., Checkpoint]
# The part of Triton's model_config.proto that we write: field -> (number, type); [] is repeated.
PROTO: dict[str, dict[str, tuple[int, str]]] = {
    "ModelConfig": {
        "name": (1, "string"),
        "platform": (2, "string"),
        "version_policy": (3, "ModelVersionPolicy"),
        "max_batch_size": (4, "int32"),
        "input": (5, "ModelInput[]"),
        "output": (6, "ModelOutput[]"),
        "instance_group": (7, "ModelInstanceGroup[]"),
        "default_model_filename": (8, "string"),
        "dynamic_batching": (11, "ModelDynamicBatching"),
        "parameters": (14, "ParametersEntry[]"),
        "backend": (17, "string"),
    },
    "ModelInput": {"name": (1, "string"), "data_type": (2, "DataType"), "dims": (4, "int64[]")},
    "ModelOutput": {
        "name": (1, "string"),
        "data_type": (2, "DataType"),
        "dims": (3, "int64[]"),
        "label_filename": (4, "string"),
    },
    "ModelInstanceGroup": {"name": (1, "string"), "count": (2, "int32"), "kind": (4, "Kind")},
    "ModelDynamicBatching": {
        "preferred_batch_size": (1, "int32[]"),
        "max_queue_delay_microseconds": (2, "uint64"),
    },
    "ModelVersionPolicy": {"latest": (1, "Latest")},
    "Latest": {"num_versions": (1, "uint32")},
    "ParametersEntry": {"key": (1, "string"), "value": (2, "ModelParameter")},
    "ModelParameter": {"string_value": (1, "string")},
}
ENUMS = {
    "DataType": {"TYPE_INVALID": 0, "TYPE_FP16": 10, "TYPE_FP32": 11},
    "Kind": {"KIND_AUTO": 0, "KIND_GPU": 1, "KIND_CPU": 2, "KIND_MODEL": 3},
}


@pytest.fixture(scope="module")
def model_config() -> type:
    """Triton's ModelConfig, as far as we write it: what is unknown to it is an error."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="triton_part.proto", package="triton", syntax="proto3"
    )
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for label, number in values.items():
            enum.value.add(name=label, number=number)
    for name, fields in PROTO.items():
        message = file.message_type.add(name=name)
        for label, (number, kind) in fields.items():
            repeated = kind.endswith("[]")
            made = message.field.add(name=label, number=number)
            made.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            kind = kind.removesuffix("[]")
            made.type = getattr(field, f"TYPE_{kind.upper()}", None) or (
                field.TYPE_ENUM if kind in ENUMS else field.TYPE_MESSAGE
            )
            if kind in ENUMS or kind in PROTO:
                made.type_name = f".triton.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type = message_factory.GetMessageClass(pool.FindMessageTypeByName("triton.ModelConfig"))
    return found


@pytest.fixture
def graph(trained: MakeCheckpoint, tmp_path: Path) -> Path:
    path = tmp_path / "in" / "model.onnx"
    path.parent.mkdir()
    export_onnx(trained("emodict-1", modalities=("ppg", "gsr")), path)
    return path


def sidecar_of(graph: Path, builder: str, content: bytes, **changes: Any) -> Sidecar:
    manifest = manifest_of(onnx.load(graph))
    built = BuiltPlan(
        content, manifest, "0" * 64, builder, "10.3.0", ("8.7",), 32, {"FLOAT": 1}, 0.1
    )
    return dataclasses.replace(describe_plan(built), **changes)


def plan_beside(graph: Path, builder: str, **changes: Any) -> Path:
    """A file with the sidecar of a plan; Triton's repository never looks into the plan itself."""
    path = graph.with_suffix(".plan")
    path.write_bytes(b"the bytes of a plan")
    write_sidecar(sidecar_of(graph, builder, b"the bytes of a plan", **changes), path)
    return path


def read_config(folder: Path, model_config: type) -> Any:
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), model_config())


def parameters(config: Any) -> dict[str, str]:
    return {entry.key: entry.value.string_value for entry in config.parameters}


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_graph_becomes_a_model_that_triton_can_batch(
    graph: Path, tmp_path: Path, model_config: type
) -> None:
    written = write_triton_repository(tmp_path / "repo", onnx=graph, max_batch=128)
    assert files(tmp_path / "repo") == [
        f"emodict_onnx/{name}" for name in ("1/model.onnx", "config.pbtxt", "emotions.txt")
    ]
    config = read_config(written.models["emodict_onnx"], model_config)
    assert (config.name, config.backend, config.max_batch_size) == (
        "emodict_onnx",
        "onnxruntime",
        128,
    )
    assert config.default_model_filename == "model.onnx"
    assert [(t.name, t.data_type, list(t.dims)) for t in config.input] == [("tokens", 11, [4, 18])]
    assert [(t.name, t.data_type, list(t.dims)) for t in config.output] == [
        ("distribution", 11, [10]),
        ("weights", 11, [32]),
    ]
    assert list(config.dynamic_batching.preferred_batch_size) == [32, 64, 128]
    # A tenth of the time between windows.
    assert 0 < config.dynamic_batching.max_queue_delay_microseconds < 100_000
    assert [(group.count, group.kind) for group in config.instance_group] == [(1, 0)]
    assert written.left_out == ""


def test_the_dims_are_those_of_the_graph_without_its_batch(
    graph: Path, tmp_path: Path, model_config: type
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = write_triton_repository(tmp_path / "repo", onnx=graph).models["emodict_onnx"]
    config = read_config(folder, model_config)
    session = onnxruntime.InferenceSession(
        str(folder / "1" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (given,) = config.input
    outputs = session.run(
        [t.name for t in config.output], {given.name: np.ones((3, *given.dims), np.float32)}
    )
    assert [o.shape for o in outputs] == [(3, *t.dims) for t in config.output]


def test_the_distribution_is_labelled_with_the_emotions_in_order(
    graph: Path, tmp_path: Path, model_config: type
) -> None:
    folder = write_triton_repository(tmp_path / "repo", onnx=graph).models["emodict_onnx"]
    labels = {t.name: t.label_filename for t in read_config(folder, model_config).output}
    assert labels == {"distribution": "emotions.txt", "weights": ""}
    metadata = {p.key: p.value for p in onnx.load(graph).metadata_props}
    assert (folder / "emotions.txt").read_text().splitlines() == json.loads(
        metadata["emodict.emotions"]
    )


def test_a_client_learns_from_the_config_all_that_the_graph_says_of_itself(
    graph: Path, tmp_path: Path, model_config: type
) -> None:
    folder = write_triton_repository(tmp_path / "repo", onnx=graph).models["emodict_onnx"]
    told = parameters(read_config(folder, model_config))
    assert told == {p.key: p.value for p in onnx.load(graph).metadata_props}
    assert manifest_from_metadata(told, source="config.pbtxt").features.token_width == 18


def test_a_plan_of_full_tensorrt_becomes_a_model_beside_it(
    graph: Path, tmp_path: Path, model_config: type
) -> None:
    plan = plan_beside(graph, "tensorrt")
    written = write_triton_repository(tmp_path / "repo", onnx=graph, plan=plan)
    folder = written.models["emodict_plan"]
    assert (folder / "1" / "model.plan").read_bytes() == plan.read_bytes()
    config, other = (
        read_config(written.models[name], model_config) for name in ("emodict_plan", "emodict_onnx")
    )
    assert (config.name, config.backend, config.max_batch_size) == ("emodict_plan", "tensorrt", 32)
    assert [(group.count, group.kind) for group in config.instance_group] == [(1, 1)]
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 16, 32]
    assert list(config.input) == list(other.input)
    assert list(config.output) == list(other.output)
    told = parameters(config)
    assert (told["emodict.tensorrt_version"], told["emodict.compute_capabilities"]) == (
        "10.3.0",
        "8.7",
    )


def test_a_plan_of_tensorrt_for_rtx_is_left_out_and_said(graph: Path, tmp_path: Path) -> None:
    written = write_triton_repository(
        tmp_path / "repo", onnx=graph, plan=plan_beside(graph, "tensorrt_rtx")
    )
    assert sorted(p.name for p in (tmp_path / "repo").iterdir()) == ["emodict_onnx"]
    assert "model.plan is left out" in written.left_out
    assert len(written.lines) == 2


def test_a_damaged_plan_is_refused_and_nothing_is_written(graph: Path, tmp_path: Path) -> None:
    plan = plan_beside(graph, "tensorrt")
    plan.write_bytes(b"the bytes of a plot")
    with pytest.raises(ModelError, match="changed or damaged"):
        write_triton_repository(tmp_path / "repo", onnx=graph, plan=plan)
    assert not (tmp_path / "repo").exists()


def test_graph_and_plan_of_two_models_are_refused(
    graph: Path, trained: MakeCheckpoint, tmp_path: Path
) -> None:
    plan = plan_beside(graph, "tensorrt")
    for options, what in (
        ({}, "features"),
        ({"modalities": ("ppg", "gsr"), "readout": "last"}, "model"),
    ):
        other = tmp_path / f"{what}.onnx"
        export_onnx(trained("emodict-1", **options), other)
        with pytest.raises(ModelError, match=f"not of one model: their {what} differ"):
            write_triton_repository(tmp_path / "repo", onnx=other, plan=plan)


def test_ours_is_replaced_and_other_models_are_left_alone(
    graph: Path, trained: MakeCheckpoint, tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    (repo / "somebodys").mkdir(parents=True)
    (repo / "somebodys" / "config.pbtxt").write_text('name: "somebodys"')
    write_triton_repository(repo, onnx=graph, plan=plan_beside(graph, "tensorrt"))
    another = tmp_path / "another.onnx"
    export_onnx(trained("emodict-1", readout="last"), another)
    write_triton_repository(repo, onnx=another)
    assert (repo / "emodict_onnx" / "1" / "model.onnx").read_bytes() == another.read_bytes()
    # The plan was of the graph before: served beside the new one it would answer for another model.
    assert sorted(p.name for p in repo.iterdir()) == ["emodict_onnx", "somebodys"]
    assert (repo / "somebodys" / "config.pbtxt").read_text() == 'name: "somebodys"'


@pytest.mark.parametrize("name", ["emodict_onnx", "emodict_plan"])
@pytest.mark.parametrize(
    "foreign",
    ["notes.txt", "2/model.onnx", "1/model.py", "config.pbtxt"],
    ids=lambda path: path.replace("/", "-"),
)
def test_files_that_are_not_ours_are_never_written_over(
    graph: Path, tmp_path: Path, name: str, foreign: str
) -> None:
    path = tmp_path / "repo" / name / foreign
    path.parent.mkdir(parents=True)
    path.write_text('name: "mine"')
    with pytest.raises(OutputError, match=r"has not written; nothing was changed"):
        write_triton_repository(tmp_path / "repo", onnx=graph)
    assert files(tmp_path / "repo") == [f"{name}/{foreign}"]
    assert path.read_text() == 'name: "mine"'


def test_a_link_is_not_followed(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "emodict_onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="has not written"):
        write_triton_repository(tmp_path / "repo", onnx=graph)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_where_the_folder_should_be_is_refused(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "repo").write_text("a file")
    with pytest.raises(OutputError, match="Cannot make the folder"):
        write_triton_repository(tmp_path / "repo", onnx=graph)


def test_a_full_disk_leaves_no_half_model(graph: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Less than the graph, more than the labels.
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OutputError, match="Cannot write"):
            write_triton_repository(tmp_path / "repo", onnx=graph)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "repo").iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"hello"])
def test_what_is_no_graph_of_ours_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError):
        write_triton_repository(tmp_path / "repo", onnx=path)
    assert not (tmp_path / "repo").exists()


def test_batches_of_no_row_are_refused(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 or more, got 0"):
        write_triton_repository(tmp_path / "repo", onnx=graph, max_batch=0)


def test_names_with_quotes_and_letters_of_any_language_survive(
    trained: MakeCheckpoint, tmp_path: Path, model_config: type
) -> None:
    checkpoint = trained("emodict-1", modalities=("ppg", "gsr"))
    emotions = ('say "no"', "back\\slash", "Fröhlich", "悲伤", *checkpoint.model.emotions[4:])
    named = dataclasses.replace(
        checkpoint, model=dataclasses.replace(checkpoint.model, emotions=emotions)
    )
    export_onnx(named, tmp_path / "model.onnx")
    folder = write_triton_repository(tmp_path / "repo", onnx=tmp_path / "model.onnx").models[
        "emodict_onnx"
    ]
    config = read_config(folder, model_config)
    assert tuple(json.loads(parameters(config)["emodict.emotions"])) == emotions
    assert tuple((folder / "emotions.txt").read_text(encoding="utf-8").splitlines()) == emotions
