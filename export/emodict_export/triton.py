"""A model repository for NVIDIA Triton Inference Server: the ONNX graph,
and the plan where Triton can run it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from emodict.engine.manifest import (
    KEY_PREFIX,
    Manifest,
    manifest_from_metadata,
    manifest_to_metadata,
)
from emodict.engine.onnx import DISTRIBUTION
from emodict.engine.placement import TENSORRT
from emodict.engine.sidecar import Sidecar, read_plan, read_sidecar, require_emotions
from emodict.errors import InputError, ModelError, OutputError
from emodict.files.atomic import atomic_path, check_writable
from emodict_export.plan import MAX_BATCH

ONNX_MODEL, PLAN_MODEL = "emodict_onnx", "emodict_plan"
CONFIG, LABELS = "config.pbtxt", "emotions.txt"
# The folder of the one version that is written; Triton serves the newest.
VERSION = "1"
# A wearer asks once a second: so short a wait is not felt,
# and lets the windows of many wearers become one batch.
QUEUE_DELAY_US = 2000
NO_RTX = (
    "TensorRT for RTX built it, and Triton's TensorRT backend reads plans of full TensorRT "
    "alone. The ONNX variant "
    "runs on the GPU, too; for a plan, run emodict-export without --sm on the server"
)
TYPES = {int(onnx.TensorProto.FLOAT): "TYPE_FP32", int(onnx.TensorProto.FLOAT16): "TYPE_FP16"}


@dataclass(frozen=True)
class TritonRepository:
    """What was written.

    Attributes:
        models: folders of the models, by name.
        left_out: why there is no plan among them; empty where there is one, or none was given.
    """

    directory: Path
    models: Mapping[str, Path]
    left_out: str

    @property
    def lines(self) -> tuple[str, ...]:
        """What there is to say of it."""
        wrote = f"Wrote the Triton model repository {self.directory}: {', '.join(self.models)}"
        return (wrote, self.left_out) if self.left_out else (wrote,)


@dataclass(frozen=True)
class _Tensor:
    """A tensor of one row, without the batch."""

    name: str
    type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class _Model:
    """One model of the repository."""

    name: str
    backend: str
    kind: str
    file: str
    content: bytes
    max_batch: int
    manifest: Manifest
    parameters: Mapping[str, str]
    inputs: tuple[_Tensor, ...]
    outputs: tuple[_Tensor, ...]


def write_triton_repository(
    directory: Path, *, onnx: Path, plan: Path | None = None, max_batch: int = MAX_BATCH
) -> TritonRepository:
    """Write `directory`/emodict_onnx and, of a plan of full TensorRT, `directory`/emodict_plan.

    Models of other names in the folder are left alone; a folder of one of emodict's is replaced.

    Args:
        onnx: a graph of emodict-export.
        plan: a plan of the same features and emotions, its sidecar beside it. A plan of
            TensorRT for RTX is left out: Triton's TensorRT backend is linked against full
            TensorRT and cannot read it.
        max_batch: most windows of one batch; of a plan, what it was built for.

    Raises:
        ModelError: the graph or the plan is not one of emodict's, or they are of different models.
        OutputError: the folder cannot be written,
            or files that are not ours stand where ours should.
    """
    if max_batch < 1:
        raise InputError(
            "Triton cannot make batches without a row", expected="1 or more", got=max_batch
        )
    graph = _onnx_model(onnx, max_batch)
    models, left_out = [graph], ""
    if plan is not None:
        sidecar = read_sidecar(plan)
        _require_same_model(graph.manifest, require_emotions(sidecar, plan), plan)
        if sidecar.builder == TENSORRT:
            models.append(_plan_model(plan, sidecar, graph))
        else:
            left_out = f"{plan.name} is left out of the Triton repository: {NO_RTX}"
    folders = {name: directory / name for name in (ONNX_MODEL, PLAN_MODEL)}
    refuse_foreign(directory)
    _make_folder(directory)
    for model in models:
        _write_model(model, folders[model.name])
    if len(models) == 1:
        # A plan of an earlier export would be served beside a graph that is not its own.
        shutil.rmtree(folders[PLAN_MODEL], ignore_errors=True)
    return TritonRepository(
        directory, {model.name: folders[model.name] for model in models}, left_out
    )


def _onnx_model(path: Path, max_batch: int) -> _Model:
    try:
        content = path.read_bytes()
        model = onnx.load_model_from_string(content)
    except FileNotFoundError:
        raise ModelError(
            f"There is no file {path}", fix="Export it: emodict-export model.pt"
        ) from None
    except Exception as error:  # protobuf's DecodeError, which is none of ours to import
        raise ModelError(
            f"{path} cannot be read as ONNX: {error}", fix="Export it again"
        ) from error
    manifest = manifest_from_metadata(
        {p.key: p.value for p in model.metadata_props}, source=str(path)
    )
    return _Model(
        name=ONNX_MODEL,
        backend="onnxruntime",
        kind="KIND_AUTO",
        file="model.onnx",
        content=content,
        max_batch=max_batch,
        manifest=manifest,
        parameters={},
        inputs=tuple(_tensor(value) for value in model.graph.input),
        outputs=tuple(_tensor(value) for value in model.graph.output),
    )


def _plan_model(plan: Path, sidecar: Sidecar, graph: _Model) -> _Model:
    """The plan has the graph's inputs and outputs:
    both are built from one checkpoint, float32 outside.
    """
    return _Model(
        name=PLAN_MODEL,
        backend="tensorrt",
        kind="KIND_GPU",
        file="model.plan",
        content=read_plan(plan, sidecar),
        max_batch=sidecar.max_batch,
        manifest=require_emotions(sidecar, plan),
        parameters={
            f"{KEY_PREFIX}tensorrt_version": sidecar.builder_version,
            f"{KEY_PREFIX}compute_capabilities": ",".join(sidecar.compute_capabilities),
            f"{KEY_PREFIX}plan_sha256": sidecar.plan_sha256,
        },
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


def _tensor(value: onnx.ValueInfoProto) -> _Tensor:
    kind = value.type.tensor_type
    return _Tensor(
        value.name, TYPES[kind.elem_type], tuple(dim.dim_value for dim in kind.shape.dim[1:])
    )


def _require_same_model(graph: Manifest, plan: Manifest, path: Path) -> None:
    for what, a, b in (
        ("features", graph.features.fingerprint, plan.features.fingerprint),
        ("model", graph.model, plan.model),
    ):
        if a != b:
            raise ModelError(
                f"{path} and the ONNX graph are not of one model: their {what} differ",
                expected=a,
                got=b,
                fix="Export both from one checkpoint",
            )


def _make_folder(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot make the folder {directory}: {error.strerror}",
            fix="Choose a folder you may write to",
        ) from error


def refuse_foreign(directory: Path) -> None:
    """Refuse a repository in which what this module has not written stands where ours should.

    Raises:
        OutputError: naming it.
    """
    for name in (ONNX_MODEL, PLAN_MODEL):
        _refuse_foreign_model(directory / name)


def _refuse_foreign_model(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    config = folder / CONFIG
    ours = config.is_file() and f'"{KEY_PREFIX}format"' in config.read_text(
        encoding="utf-8", errors="replace"
    )
    known = {CONFIG, LABELS, VERSION, f"{VERSION}/model.onnx", f"{VERSION}/model.plan"}
    found = (
        {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.is_dir() else {"."}
    )
    if folder.is_symlink() or found - known or (found and not ours):
        raise OutputError(
            f"{folder} holds files that emodict-export has not written; nothing was changed",
            got=", ".join(sorted(found - known)) or f"a {CONFIG} that is missing or not ours",
            fix="Choose another folder, or take these files away",
        )


def _write_model(model: _Model, folder: Path) -> None:
    """Write one model; its config comes last, so that nothing is described before it is there."""
    fresh = not folder.exists()
    files = {
        folder / VERSION / model.file: model.content,
        folder / LABELS: "".join(f"{name}\n" for name in model.manifest.model.emotions).encode(),
        folder / CONFIG: config_text(model).encode(),
    }
    try:
        _make_folder(folder / VERSION)
        for path in files:
            check_writable(path)
        for path, content in files.items():
            with atomic_path(path) as part:
                part.write_bytes(content)
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def config_text(model: _Model) -> str:
    """config.pbtxt: Triton's ModelConfig in protobuf's text format."""
    parameters = {**manifest_to_metadata(model.manifest), **model.parameters}
    preferred = sorted({max(1, model.max_batch // part) for part in (4, 2, 1)})
    return "\n".join(
        (
            f"name: {_quoted(model.name)}",
            f"backend: {_quoted(model.backend)}",
            f"default_model_filename: {_quoted(model.file)}",
            f"max_batch_size: {model.max_batch}",
            *(_tensor_text("input", tensor) for tensor in model.inputs),
            *(_tensor_text("output", tensor) for tensor in model.outputs),
            "version_policy { latest { num_versions: 1 } }",
            f"instance_group [ {{ count: 1 kind: {model.kind} }} ]",
            "dynamic_batching {",
            f"  preferred_batch_size: {_numbers(preferred)}",
            f"  max_queue_delay_microseconds: {QUEUE_DELAY_US}",
            "}",
            *(
                f"parameters {{ key: {_quoted(k)} value {{ string_value: {_quoted(v)} }} }}"
                for k, v in parameters.items()
            ),
            "",
        )
    )


def _tensor_text(kind: str, tensor: _Tensor) -> str:
    labels = f" label_filename: {_quoted(LABELS)}" if tensor.name == DISTRIBUTION else ""
    return (
        f"{kind} [ {{ name: {_quoted(tensor.name)} data_type: {tensor.type} dims: "
        f"{_numbers(tensor.dims)}{labels} }} ]"
    )


def _numbers(values: Sequence[int]) -> str:
    return "[ " + ", ".join(map(str, values)) + " ]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
