"""A plan from an exported graph, and the two files it becomes: model.plan and model.plan.json."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from emodict.engine.face_manifest import FaceManifest
from emodict.engine.held import sidecar_path
from emodict.engine.manifest import Manifest
from emodict.engine.placement import this_platform
from emodict.engine.sidecar import Sidecar, network_name, read_manifest, write_sidecar
from emodict.errors import EmodictError, InputError
from emodict.face.crop import INPUT as CROP
from emodict.files.atomic import atomic_path, check_writable, flush
from emodict_export.export import graph_hash
from emodict_export.plan.builder import OnProgress, Order, build_serialized
from emodict_export.plan.layers import describe_layers
from emodict_export.plan.tensorrt_module import Backend, choose_backend, require_supported
from emodict_export.plan.timing_cache import cache_file, cache_folder

MAX_BATCH = 64
# A face is described once a second,
# and its maps take a hundred times the memory of a window of signals.
FACE_MAX_BATCH = 4
# The type that stands in a report for each precision that can be asked for.
TYPE_OF = {"fp32": "FLOAT", "fp16": "HALF", "int8": "INT8"}


@dataclass(frozen=True)
class BuiltPlan:
    """A plan in memory, with all that its sidecar will say; `content` is the plan itself."""

    content: bytes = field(repr=False)
    manifest: Manifest | FaceManifest = field(repr=False)
    onnx_sha256: str
    builder: str
    builder_version: str
    compute_capabilities: tuple[str, ...]
    max_batch: int
    layers: dict[str, int]
    build_s: float

    @property
    def layers_text(self) -> str:
        """`51 of 72 layers in FP16`, counted in the built network."""
        return describe_layers(self.layers, TYPE_OF[self.manifest.precision])


def build_plan(
    model: onnx.ModelProto,
    *,
    compute_capabilities: Sequence[str] | None = None,
    max_batch: int | None = None,
    on_progress: OnProgress | None = None,
    timing_caches: Path | None = None,
) -> BuiltPlan:
    """Build a plan from an exported graph, in the types that the graph has.

    Args:
        compute_capabilities: the GPUs, such as ("8.6", "12.0"), built for by TensorRT for RTX
            without a GPU; None for the GPU of this machine.
        max_batch: most rows of one call; by default MAX_BATCH, FACE_MAX_BATCH of a face engine.
        timing_caches: folder of the timing caches of TensorRT; the user's cache folder by default.
            TensorRT for RTX times nothing while it builds and keeps none.

    Raises:
        EmodictError: no TensorRT, too old a one, a broken one, no GPU,
            or a graph that it cannot build.
        KeyboardInterrupt: the user stopped it.
    """
    backend, capabilities = choose_backend(compute_capabilities)
    return build_plan_with(
        backend,
        model,
        capabilities,
        max_batch=max_batch,
        on_progress=on_progress,
        timing_caches=timing_caches,
    )


def build_plan_with(
    backend: Backend,
    model: onnx.ModelProto,
    compute_capabilities: tuple[str, ...],
    *,
    max_batch: int | None = None,
    on_progress: OnProgress | None = None,
    timing_caches: Path | None = None,
) -> BuiltPlan:
    """Build with this TensorRT, whichever it is."""
    manifest = manifest_of(model)
    if backend.ahead_of_time:
        require_supported(backend, compute_capabilities)
    content = model.SerializeToString(deterministic=True)
    order = Order(
        onnx=content,
        network_name=network_name(manifest.graph_sha256),
        shapes=_input_shapes(manifest),
        max_batch=_largest_batch(manifest) if max_batch is None else max_batch,
        compute_capabilities=compute_capabilities,
    )
    if order.max_batch < 1:
        raise InputError(
            "A plan without a row cannot be built",
            expected="a largest batch of 1 or more",
            got=max_batch,
        )
    times = cache_file(
        cache_folder() if timing_caches is None else timing_caches,
        builder=backend.name, version=backend.version, compute_capabilities=compute_capabilities,
        graph_sha256=manifest.graph_sha256,
    )  # fmt: skip
    started = time.monotonic()
    plan, layers = build_serialized(backend, order, on_progress=on_progress, timing_cache=times)
    return BuiltPlan(
        content=plan,
        manifest=manifest,
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        builder=backend.name,
        builder_version=backend.version,
        compute_capabilities=compute_capabilities,
        max_batch=order.max_batch,
        layers=layers,
        build_s=time.monotonic() - started,
    )


def _largest_batch(manifest: Manifest | FaceManifest) -> int:
    return FACE_MAX_BATCH if isinstance(manifest, FaceManifest) else MAX_BATCH


def _input_shapes(manifest: Manifest | FaceManifest) -> dict[str, tuple[int, ...]]:
    if isinstance(manifest, FaceManifest):
        return {CROP: (manifest.side, manifest.side, 3)}
    return dict(manifest.inputs)


def manifest_of(model: onnx.ModelProto) -> Manifest | FaceManifest:
    """What the graph says of itself, held against the graph.

    Raises:
        EmodictError: the graph was changed after it was described.
    """
    manifest = read_manifest({p.key: p.value for p in model.metadata_props}, source="The graph")
    found = graph_hash(model)
    if manifest.graph_sha256 != found:
        raise EmodictError(
            "The ONNX graph is not the one its description belongs to",
            expected=manifest.graph_sha256,
            got=found,
            fix="Export it again: emodict-export model.pt",
        )
    return manifest


def write_plan(plan: BuiltPlan, path: str | os.PathLike[str]) -> Sidecar:
    """Write the plan and its sidecar: both, or as they were before.

    Whoever reads between the two renames finds hashes that do not fit, which `read_plan` refuses.

    Raises:
        OutputError: they cannot be written.
    """
    path = Path(path)
    beside = sidecar_path(path)
    check_writable(path, ending=".plan")
    check_writable(beside)
    sidecar = describe_plan(plan)
    before = beside.read_bytes() if beside.exists() else None
    try:
        with atomic_path(path) as part:
            part.write_bytes(plan.content)
            # The slow part first: a power cut between the two renames costs a plan
            # that has to be built again.
            flush(part)
            # The sidecar is renamed just before the plan: there is never a plan without one.
            write_sidecar(sidecar, path)
    except BaseException:
        _put_back(beside, before)
        raise
    return sidecar


def describe_plan(plan: BuiltPlan) -> Sidecar:
    """What stands beside the plan."""
    return Sidecar(
        manifest=plan.manifest,
        plan_sha256=hashlib.sha256(plan.content).hexdigest(),
        plan_bytes=len(plan.content),
        onnx_sha256=plan.onnx_sha256,
        builder=plan.builder,
        builder_version=plan.builder_version,
        platform=this_platform(),
        compute_capabilities=plan.compute_capabilities,
        max_batch=plan.max_batch,
        layers=plan.layers,
    )


def _put_back(path: Path, content: bytes | None) -> None:
    """Undo a write of which the other half failed;
    the error under way says what the matter is, not this one.
    """
    with contextlib.suppress(OSError, EmodictError):
        if content is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != content:
            with atomic_path(path) as part:
                part.write_bytes(content)
