"""Targets: what describes a model or a person: manifests, sidecars, JSON files,
checkpoints, tables, signatures.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.page import manifest as small_manifest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from scipy.io import savemat
from tests.reliability.fuzz.edits import HOSTILE, Text, closed, edit, json_form, json_text
from tests.reliability.fuzz.importers import written
from tests.reliability.fuzz.target import Target
from tests.runtime.predict.test_person import person

from emodict.engine import open_engine
from emodict.engine.face_manifest import FaceManifest, face_manifest_to_metadata
from emodict.engine.held import sidecar_path
from emodict.engine.manifest import manifest_to_metadata
from emodict.engine.model_spec import ModelSpec
from emodict.engine.sidecar import Sidecar, read_manifest, read_sidecar, write_sidecar
from emodict.engine.trust import read_signing_key, read_trusted_key, require_signed, sign_model
from emodict.errors import EmodictError
from emodict.features.spec import load_spec, spec_from_dict
from emodict.features.windows import FeatureWindows
from emodict.predict.person import person_as_dict, population_rest, read_person
from emodict_calibration.person.population import with_population
from emodict_desk.tables.table import DMER_EMOTIONS, FeatureTable, read_table, write_table
from emodict_export.export import export_onnx
from emodict_export.precision import read_precision
from emodict_train.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from emodict_train.model.emotion_dict import EmotionDict

WRIST = load_spec("emodict-1").with_modalities(["gsr", "ppg"])
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FACE = FaceManifest("clean", 224, 4096, "0" * 64, "1" * 64)
_MODEL = ModelSpec(
    DMER_EMOTIONS,
    WRIST.modality_names,
    d_model=8,
    heads=2,
    layers=1,
    latent=8,
    elements=4,
    bottleneck=4,
)


# ---- what stands in ONNX metadata and beside plans ----


def _opened(metadata: dict[str, str]) -> dict[str, Any]:
    """Metadata whose JSON texts can be edited."""
    texts = (
        "feature_spec",
        "model_spec",
        "emotions",
        "mean_label",
        "missing_value",
        "training",
        "metrics",
    )
    return {
        key: Text(json.loads(value)) if key.removeprefix("emodict.") in texts else value
        for key, value in metadata.items()
    }


@functools.cache
def _metadata() -> dict[str, Any]:
    return _opened(manifest_to_metadata(_checkpoint_manifest()))


def _checkpoint_manifest() -> Any:
    import dataclasses

    shape = WRIST.tokens, WRIST.token_width
    return dataclasses.replace(
        small_manifest(),
        features=WRIST,
        model=_MODEL,
        missing_value=np.zeros(shape),
        training={"rest": _REST},
    )


def _rightly_printed(metadata: dict[str, Any]) -> dict[str, Any]:
    """The fingerprint that belongs to the feature spec, as whoever forges one would write it."""
    with contextlib.suppress(Exception):
        spec = spec_from_dict(json.loads(metadata["emodict.feature_spec"]))
        metadata["emodict.feature_spec_fingerprint"] = spec.fingerprint
    return metadata


def _loads(content: bytes) -> Any:
    """JSON as Python reads it, None where it does not."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _use_metadata(path: Path) -> None:
    content = _loads(path.read_bytes())
    if not isinstance(content, dict):
        return
    # ONNX and our sidecar hold texts by text.
    metadata = _rightly_printed({key: str(value) for key, value in content.items()})
    manifest = read_manifest(metadata, source=path.name)
    if not isinstance(manifest, FaceManifest):
        with contextlib.suppress(EmodictError):
            population_rest(manifest)
        use_spec(manifest.features)


def use_spec(spec: Any) -> None:
    """What is done with a feature spec that came with a model."""
    from emodict.features import extract_features

    with contextlib.suppress(EmodictError):
        extract_features(_recording(), spec)
    str(spec), spec.sensors, spec.first_row_s


@functools.cache
def _recording() -> Any:
    from tests.reliability.fuzz.sessions import small_recording

    return small_recording()


def _use_spec_file(path: Path) -> None:
    content = _loads(path.read_bytes())
    if content is not None:
        use_spec(spec_from_dict(content))


# ---- files with a sum over their content ----


def _summed(sums: Callable[[Any], str], layout: Callable[[Any], str]) -> Callable[[bytes], bytes]:
    """The content with the sum that belongs to it; what is no JSON object stays as it is."""

    def finish(content: bytes) -> bytes:
        document = _loads(content)
        if not isinstance(document, dict):
            return content
        document.pop("sha256", None)
        try:
            return layout({**document, "sha256": sums(document)}).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError):
            return content

    return finish


def _sum(document: Any) -> str:
    return hashlib.sha256(
        json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


_finish_person = _summed(_sum, json.dumps)
_finish_sidecar = _summed(_sum, lambda document: json.dumps(document, indent=1) + "\n")


@functools.cache
def _person() -> dict[str, Any]:
    return person_as_dict(person())


def _use_person(path: Path) -> None:
    found = read_person(path)
    for modality in WRIST.modality_names:
        with contextlib.suppress(EmodictError):
            found.adapt(_checkpoint_manifest())
            found.require_same(WRIST, modality)
    with contextlib.suppress(EmodictError):
        with_population(_checkpoint(), [found] * 3)


@functools.cache
def _sidecar() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "m.plan"
        write_sidecar(
            Sidecar(
                _checkpoint_manifest(),
                "0" * 64,
                5,
                "0" * 64,
                "tensorrt_rtx",
                "1.7",
                "linux-x86_64",
                ("8.6",),
                8,
            ),
            plan,
        )
        content: dict[str, Any] = json.loads(sidecar_path(plan).read_bytes())
    return {**content, "model": _opened(content["model"])}


def _use_sidecar(path: Path) -> None:
    plan = path.with_suffix("")
    found = read_sidecar(plan)
    str(found.network_name), found.source, found.usage("m.plan")


# ---- precision.json ----

_PRECISION = {
    "format": "emodict-precision", "format_version": "1", "graph_sha256": "0" * 64,
    "fp16": {"keep_fp32": ["a", "b"]}, "int8": {"keep_fp32": []},
}  # fmt: skip

# ---- checkpoints ----

_REST = {"people": 3, "simulated": True, "mean": {"gsr": np.zeros((7, 4)).tolist()}}


@functools.cache
def _checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    network = EmotionDict(_MODEL, WRIST).eval()
    return Checkpoint(WRIST, _MODEL, (network.state_dict(),), np.full(10, 0.1))


@functools.cache
def _checkpoint_content() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(_checkpoint(), Path(folder) / "m.pt")
        content = torch.load(Path(folder) / "m.pt", weights_only=True)
    texts = ("features", "model", "metrics", "training")
    return {
        key: Text(json.loads(value)) if key in texts else value for key, value in content.items()
    }


_HOSTILE_TENSORS = (
    torch.zeros(0),
    torch.zeros(()),
    torch.zeros(3, 3),
    torch.full((10,), float("nan")),
    torch.zeros(10).half(),
    torch.zeros(10, dtype=torch.int64),
    torch.zeros(10, dtype=torch.complex64),
    torch.zeros(1).expand(10**9),
    torch.zeros(10).to_sparse(),
    torch.zeros(10, device="meta"),
    torch.zeros(10, dtype=torch.bool),
    torch.zeros(10, dtype=torch.bfloat16),
)


def _checkpoint_form(data: bytes) -> bytes:
    content = closed(edit(_checkpoint_content(), data, (*HOSTILE, *_HOSTILE_TENSORS)))
    buffer = io.BytesIO()
    try:
        torch.save(content, buffer)
    except (TypeError, RuntimeError, NotImplementedError, UnicodeError, AttributeError, ValueError):
        # Of some hostile values torch makes no file: a file of nothing takes its place.
        return b""
    return buffer.getvalue()


def _use_checkpoint(path: Path) -> None:
    load_checkpoint(path).networks()


# ---- feature tables ----


@functools.cache
def _table() -> FeatureTable:
    rows = 3
    windows = FeatureWindows(
        WRIST, np.arange(rows, dtype=np.float64), np.zeros((rows, WRIST.tokens, WRIST.token_width)),
        np.ones((rows, 2), dtype=bool), np.ones((rows, 2)),
    )  # fmt: skip
    labels = np.full((rows, 10), 0.1)
    return FeatureTable(
        windows, DMER_EMOTIONS, labels, np.array(["a"] * rows), np.array(["t"] * rows), "t"
    )


_npz = functools.cache(lambda: written(lambda path: write_table(_table(), path), "t.npz"))

_HOSTILE_ARRAYS = (
    np.zeros(0),
    np.zeros(()),
    np.zeros((3, 3)),
    np.full(3, np.nan),
    np.full((3, 2), np.inf),
    np.zeros((0, 14, 4)),
    np.zeros(3, dtype="c16"),
    np.zeros(3, dtype="S4"),
    np.zeros(3, dtype="U4"),
    np.zeros(3, dtype="M8[s]"),
    np.zeros(3, dtype=[("a", "f8"), ("b", "S3")]),
    np.zeros(3, dtype="f2"),
    np.zeros(3, dtype=">f8"),
    np.broadcast_to(np.zeros(1), (3, 2000, 500)),
    np.array("{}"),
    np.array("[" * 50_000),
    np.array("1" * 5000),
    np.array(["x" * 3000] * 3),
    np.zeros((3, 1, 1, 1, 1)),
    np.array(b"\xff"),
    np.zeros(3, dtype="V8"),
    np.arange(3) > 1,
)


@functools.cache
def _table_content() -> dict[str, Any]:
    with np.load(io.BytesIO(_npz())) as file:
        content = dict(file)
    return {**content, "spec": Text(json.loads(str(content["spec"])))}


def _npz_form(data: bytes) -> bytes:
    content = edit(_table_content(), data, (*HOSTILE, *_HOSTILE_ARRAYS))
    buffer = io.BytesIO()
    with contextlib.suppress(ValueError, TypeError, OverflowError, UnicodeError):
        # Nothing that would have to be pickled: such a file is a seed of the bytes instead.
        arrays = (
            {str(k): np.asarray(closed(v)) for k, v in content.items()}
            if isinstance(content, dict)
            else {}
        )
        np.savez_compressed(
            buffer, **{k.replace("/", "_"): v for k, v in arrays.items() if v.dtype != object}
        )
    return buffer.getvalue()


def _pickled_npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, spec=np.array([{}], dtype=object), tokens=np.array([print], dtype=object))
    return buffer.getvalue()


def _use_table(path: Path) -> None:
    found = read_table(path)
    found.groups, len(found)


def _sample_mat() -> bytes:
    spec = load_spec("dmer-sample")
    arrays = {f"train_{m.name}": np.zeros((2, *m.shape)) for m in spec.modalities}
    labels = np.full((2, 10), 0.1)
    return written(
        lambda path: savemat(path, {**arrays, "train_label": labels}, do_compression=True), "s.mat"
    )


# ---- signatures and keys ----


def _use_signature(path: Path) -> None:
    require_signed(path.with_name("m.onnx"), KEY.public_key())


def _signature() -> bytes:
    def write(path: Path) -> None:
        path.with_suffix("").write_bytes(b"model")
        sign_model(path.with_suffix(""), KEY)

    return written(write, "m.onnx.sig")


def _keys() -> list[bytes]:
    return [
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ]


def _use_key(path: Path) -> None:
    for read in (read_signing_key, read_trusted_key):
        with contextlib.suppress(EmodictError):
            read(path)


# ---- ONNX files ----


def _onnx() -> bytes:
    return written(lambda path: export_onnx(_checkpoint(), path), "m.onnx")


def _use_engine(path: Path) -> None:
    with open_engine(path) as engine:
        features = engine.manifest.features
        engine.infer(np.zeros((1, features.tokens, features.token_width), dtype=np.float32))


def _document(name: str, file: str, use: Callable[[Path], object], document: Callable[[], Any],
              finish: Callable[[bytes], bytes] = bytes) -> list[Target]:  # fmt: skip
    """Two targets: the text as bytes, and its structure by edits."""

    def seeds() -> Sequence[bytes]:
        return [json_text(document()).encode()]

    return [
        Target(name, file, use, seeds, finish),
        Target(
            f"{name}, edited", file, use, lambda: [b""], json_form(document, finish), edited=True
        ),
    ]


def _face_metadata() -> dict[str, str]:
    return face_manifest_to_metadata(FACE)


TARGETS = [
    *_document("manifest", "metadata.json", _use_metadata, _metadata),
    *_document("face manifest", "metadata.json", _use_metadata, _face_metadata),
    *_document("feature spec", "spec.json", _use_spec_file, WRIST.to_dict),
    *_document("person.json", "person.json", _use_person, _person, _finish_person),
    *_document("sidecar", "m.plan.json", _use_sidecar, _sidecar, _finish_sidecar),
    *_document("precision.json", "precision.json", read_precision, lambda: _PRECISION),
    Target("checkpoint", "m.pt", _use_checkpoint, lambda: [_checkpoint_form(b"")]),
    Target(
        "checkpoint, edited", "m.pt", _use_checkpoint, lambda: [b""], _checkpoint_form, edited=True
    ),
    Target("feature table .npz", "t.npz", _use_table, lambda: [_npz(), _pickled_npz()]),
    Target(
        "feature table .npz, edited", "t.npz", _use_table, lambda: [b""], _npz_form, edited=True
    ),
    Target("feature table .mat", "s.mat", _use_table, lambda: [_sample_mat()]),
    Target(
        "signature",
        "m.onnx.sig",
        _use_signature,
        lambda: [_signature()],
        beside=lambda: {"m.onnx": b"model"},
    ),
    Target("key", "key.pem", _use_key, _keys),
    Target("ONNX model", "m.onnx", _use_engine, lambda: [_onnx()]),
]
