"""model.plan.json: all that is known of a plan,
to be checked before a byte of the plan is believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emodict.engine.face_manifest import (
    FaceManifest,
    face_manifest_from_metadata,
    face_manifest_to_metadata,
    is_face_engine,
    no_face_engine,
)
from emodict.engine.held import held, read_content, sidecar_path
from emodict.engine.manifest import (
    Manifest,
    manifest_from_metadata,
    manifest_to_metadata,
    no_model_of_emotions,
)
from emodict.errors import ModelError
from emodict.files.atomic import atomic_path
from emodict.files.jsontext import parse_json

FORMAT = "emodict-plan"
FORMAT_VERSION = "1"
# A description of a few dozen kilobytes; anything far larger is not one.
LARGEST_BYTES = 16 * 2**20
NAME_HASH_DIGITS = 16
# What emodict-export makes a plan from.
CHECKPOINT, FACE_WEIGHTS = "model.pt", "--face vgg16.pth"


@dataclass(frozen=True)
class Sidecar:
    """What stands beside a plan.

    Attributes:
        manifest: the model of emotions or the face engine,
            as in the ONNX file the plan was built from.
        plan_sha256, plan_bytes: of the plan file.
        onnx_sha256: of the ONNX file.
        builder: the Python module that built it, `tensorrt` or `tensorrt_rtx`.
        builder_version: its version, such as "10.3.0" or "1.7.1.116".
        platform: operating system and processor, such as "linux-x86_64".
        compute_capabilities: the GPUs it runs on, such as ("8.6", "8.9", "12.0").
        max_batch: most rows of one call.
        layers: number of layers of the built network by the type of their output
            ("HALF", "FLOAT", "INT8", ...).
    """

    manifest: Manifest | FaceManifest
    plan_sha256: str
    plan_bytes: int
    onnx_sha256: str
    builder: str
    builder_version: str
    platform: str
    compute_capabilities: tuple[str, ...]
    max_batch: int
    layers: Mapping[str, int] = field(default_factory=dict)

    @property
    def network_name(self) -> str:
        """The name that the plan itself carries:
        it ties plan and sidecar together after deserialising, too.
        """
        return network_name(self.manifest.graph_sha256)

    @property
    def source(self) -> str:
        """What emodict-export is told to make such a plan again."""
        if isinstance(self.manifest, FaceManifest):
            return f"{FACE_WEIGHTS} --form {self.manifest.form}"
        return CHECKPOINT

    def usage(self, engine: str) -> str:
        """How a file of this kind is run."""
        face = isinstance(self.manifest, FaceManifest)
        return f"--face {engine}" if face else f"emodict-run --engine {engine} session.h5"


def network_name(graph_sha256: str) -> str:
    """Name of a network: TensorRT has no metadata but this."""
    return f"emodict-{graph_sha256[:NAME_HASH_DIGITS]}"


def write_sidecar(sidecar: Sidecar, plan: Path) -> None:
    """Write the sidecar of `plan`, with a hash of its own content."""
    content = _to_dict(sidecar)
    content["sha256"] = _content_hash(content)
    with atomic_path(sidecar_path(plan)) as part:
        part.write_text(_as_text(content), encoding="utf-8")


def require_emotions(sidecar: Sidecar, plan: Path) -> Manifest:
    """The manifest of a plan that is a model of emotions.

    Raises:
        ModelError: it is a face engine.
    """
    if not isinstance(sidecar.manifest, Manifest):
        raise no_model_of_emotions(str(plan))
    return sidecar.manifest


def require_face_engine(sidecar: Sidecar, plan: Path) -> FaceManifest:
    """The manifest of a plan that is a face engine.

    Raises:
        ModelError: it is a model of emotions.
    """
    if not isinstance(sidecar.manifest, FaceManifest):
        raise no_face_engine(str(plan))
    return sidecar.manifest


def read_manifest(metadata: Mapping[str, str], *, source: str) -> Manifest | FaceManifest:
    """What an ONNX file or a plan says of itself, be it a model of emotions or a face engine.

    Raises:
        ModelError: it is neither, or its description is broken.
    """
    if is_face_engine(metadata):
        return face_manifest_from_metadata(metadata, source=source)
    return manifest_from_metadata(metadata, source=source)


def read_sidecar(plan: Path, *, source: str = CHECKPOINT) -> Sidecar:
    """Read and check the sidecar of `plan`; the plan itself is not opened.

    Args:
        source: what a plan of the kind that is wanted is made from, for the sentence that says how.

    Raises:
        ModelError: there is none, it is damaged, or it is of another version.
    """
    path, again = sidecar_path(plan), _build_again(plan, source)
    text, content = _read_json(path, plan, again)
    if content.get("format") != FORMAT or content.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{path} is not the description of a plan of this emodict",
            expected=f"format '{FORMAT}', version {FORMAT_VERSION}",
            got=f"{content.get('format')!r}, version {content.get('format_version')}",
            fix=again,
        )
    # The hash is of the content; that not even a blank was changed shows in the text.
    if content.get("sha256") != _content_hash(content) or text != _as_text(content):
        raise ModelError(
            f"{path} has been changed or damaged: its own hash does not fit",
            expected=f"sha256 {content.get('sha256')}",
            got=f"sha256 {_content_hash(content)}"
            + " in other words" * (text != _as_text(content)),
            fix=f"Copy it again, or build the plan again: {again}",
        )
    try:
        return _from_dict(content, path)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(f"{path}: this description is damaged: {error}", fix=again) from error


def read_plan(plan: Path, sidecar: Sidecar) -> bytes:
    """The plan's bytes, once size and sha256 are those of its sidecar.

    Raises:
        ModelError: the plan was cut off, changed, or is another one.
    """
    kept = held(plan)
    # The size is looked at first, before a file of any size is read.
    size = plan.stat().st_size if kept is None else len(kept)
    if size != sidecar.plan_bytes:
        raise ModelError(
            f"{plan} is not the plan that {sidecar_path(plan).name} describes: "
            f"cut off, or another file",
            expected=f"{sidecar.plan_bytes} bytes",
            got=f"{size} bytes",
            fix=f"Copy it again, or build it again: {_build_again(plan, sidecar.source)}",
        )
    content = read_content(plan)
    found = hashlib.sha256(content).hexdigest()
    if found != sidecar.plan_sha256:
        raise ModelError(
            f"{plan} has been changed or damaged: its sha256 is not the one in "
            f"{sidecar_path(plan).name}",
            expected=sidecar.plan_sha256,
            got=found,
            fix=f"Copy it again, or build it again: {_build_again(plan, sidecar.source)}",
        )
    return content


def _read_json(path: Path, plan: Path, again: str) -> tuple[str, dict[str, Any]]:
    if not path.is_file():
        raise ModelError(
            f"{plan} has no description beside it",
            expected=f"{path}, which emodict-export writes with the plan",
            fix=f"Copy both files, or build the plan again: {again}",
        )
    if path.stat().st_size > LARGEST_BYTES:
        raise ModelError(
            f"{path} is too large to describe a plan",
            expected=f"at most {LARGEST_BYTES} bytes",
            got=f"{path.stat().st_size} bytes",
            fix=again,
        )
    try:
        # Bytes: reading as text would let one kind of line end stand for another.
        text = read_content(path).decode("utf-8")
        content = parse_json(text)
    except ValueError as error:
        raise ModelError(f"{path} is damaged: it is not JSON ({error})", fix=again) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is damaged", expected="a JSON object", got=type(content).__name__,
                         fix=again)  # fmt: skip
    return text, content


def _as_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _content_hash(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(
        json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def _to_dict(sidecar: Sidecar) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "plan": {
            "sha256": sidecar.plan_sha256,
            "bytes": sidecar.plan_bytes,
            "network_name": sidecar.network_name,
        },
        "onnx_sha256": sidecar.onnx_sha256,
        "builder": {"module": sidecar.builder, "version": sidecar.builder_version},
        "platform": sidecar.platform,
        "compute_capabilities": list(sidecar.compute_capabilities),
        "max_batch": sidecar.max_batch,
        "layers": dict(sidecar.layers),
        "model": _to_metadata(sidecar.manifest),
    }


def _to_metadata(manifest: Manifest | FaceManifest) -> dict[str, str]:
    if isinstance(manifest, FaceManifest):
        return face_manifest_to_metadata(manifest)
    return manifest_to_metadata(manifest)


def _from_dict(content: Mapping[str, Any], path: Path) -> Sidecar:
    return Sidecar(
        manifest=read_manifest(content["model"], source=str(path)),
        plan_sha256=str(content["plan"]["sha256"]),
        plan_bytes=int(content["plan"]["bytes"]),
        onnx_sha256=str(content["onnx_sha256"]),
        builder=str(content["builder"]["module"]),
        builder_version=str(content["builder"]["version"]),
        platform=str(content["platform"]),
        compute_capabilities=tuple(str(name) for name in content["compute_capabilities"]),
        max_batch=int(content["max_batch"]),
        layers={str(kind): int(count) for kind, count in content["layers"].items()},
    )


def _build_again(plan: Path, source: str) -> str:
    return f"emodict-export {source} -o {plan.name}"
