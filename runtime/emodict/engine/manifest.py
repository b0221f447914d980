"""Manifest: all that an engine file says of itself; the same in ONNX metadata and beside a plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.engine.model_spec import ModelSpec, model_spec_from_dict
from emodict.errors import EmodictError, ModelError
from emodict.features.spec import FeatureSpec, require_known_spec, spec_from_dict
from emodict.files.jsontext import parse_json

FORMAT = "emodict-model"
FORMAT_VERSION = "1"
# Of an engine that describes faces, which is none of emotions (emodict.face.manifest).
FACE_FORMAT = "emodict-face"
KEY_PREFIX = "emodict."


@dataclass(frozen=True)
class Manifest:
    """What an engine computes, from which features, and where it comes from.

    Attributes:
        missing_value: (tokens, width) that stands for a missing modality.
        mean_label: (emotions,) of the training rows: the prediction to beat.
        graph_sha256: of the graph without its metadata.
        training, metrics: from the checkpoint, for people to read.
        raw_outputs: of a raw graph, what it gives beside its states; () of one that takes features.
        subject_id: the person whose baseline is folded into a raw graph; "" for anybody.
    """

    features: FeatureSpec
    model: ModelSpec
    missing_value: NDArray[np.float64]
    mean_label: NDArray[np.float64]
    graph_sha256: str
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    software: str = ""
    precision: str = "fp32"
    raw_outputs: tuple[str, ...] = ()
    subject_id: str = ""

    def __post_init__(self) -> None:
        shapes = {
            "missing_value": (self.features.tokens, self.features.token_width),
            "mean_label": (len(self.model.emotions),),
        }
        for name, shape in shapes.items():
            got = getattr(self, name).shape
            if got != shape:
                raise ModelError(f"The model's {name} has the wrong shape", expected=shape, got=got)

    @property
    def simulated(self) -> bool:
        """The model learned from simulated people, if only from some:
        it knows nothing of how real ones feel.
        """
        return bool(self.training.get("simulated"))


def manifest_to_metadata(manifest: Manifest) -> dict[str, str]:
    """Text by key, as ONNX metadata holds it."""
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "feature_spec": json.dumps(manifest.features.to_dict()),
        "feature_spec_fingerprint": manifest.features.fingerprint,
        "model_spec": json.dumps(manifest.model.to_dict()),
        "emotions": json.dumps(list(manifest.model.emotions)),
        "mean_label": json.dumps(np.asarray(manifest.mean_label).tolist()),
        "missing_value": json.dumps(manifest.missing_value.tolist()),
        "graph_sha256": manifest.graph_sha256,
        "training": json.dumps(manifest.training),
        "metrics": json.dumps(manifest.metrics),
        "software": manifest.software,
        "precision": manifest.precision,
    }
    if manifest.raw_outputs:
        content |= {
            "raw_outputs": json.dumps(manifest.raw_outputs),
            "subject_id": manifest.subject_id,
        }
    return {KEY_PREFIX + key: value for key, value in content.items()}


def manifest_from_metadata(metadata: Mapping[str, str], *, source: str) -> Manifest:
    """Read what `manifest_to_metadata` wrote.

    Raises:
        ModelError: the file is not one of emodict's, or its description is broken.
        SpecError: its features are not the ones this emodict computes under that name.
    """
    content = own_texts(metadata, source=source)
    _require_format(content, source)
    try:
        fingerprint = content["feature_spec_fingerprint"]
        manifest = Manifest(
            features=spec_from_dict(parse_json(content["feature_spec"])),
            model=model_spec_from_dict(parse_json(content["model_spec"])),
            missing_value=np.asarray(parse_json(content["missing_value"]), dtype=np.float64),
            mean_label=np.asarray(parse_json(content["mean_label"]), dtype=np.float64),
            graph_sha256=content["graph_sha256"],
            training=parse_json(content["training"]),
            metrics=parse_json(content["metrics"]),
            software=content["software"],
            precision=content["precision"],
            raw_outputs=tuple(map(str, parse_json(content.get("raw_outputs", "[]")))),
            subject_id=content.get("subject_id", ""),
        )
    except EmodictError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            f"{source}: its description is damaged: {error}", fix="Export it again"
        ) from error
    require_known_spec(manifest.features, source=source, fingerprint=fingerprint)
    return manifest


def _require_format(content: Mapping[str, str], source: str) -> None:
    """Refuse what is not a description of a model of emotions by this version."""
    if content.get("format") == FACE_FORMAT:
        raise no_model_of_emotions(source)
    if content.get("format") != FORMAT:
        raise ModelError(
            f"{source} is an ONNX model but not one of emodict's",
            expected=f"metadata {KEY_PREFIX}format = '{FORMAT}'",
            got="no such metadata" if "format" not in content else repr(content["format"]),
            fix="Export one: emodict-export model.pt -o model.onnx",
        )
    if content.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{source} was written for another version of emodict",
            expected=f"format_version {FORMAT_VERSION}",
            got=content.get("format_version"),
            fix="Export it again: emodict-export model.pt -o model.onnx",
        )


def own_texts(metadata: Mapping[str, str], *, source: str) -> dict[str, str]:
    """What of the metadata is ours, by its key without the prefix.

    Raises:
        ModelError: a value is not text, as JSON may hold it.
    """
    content = {
        k.removeprefix(KEY_PREFIX): v for k, v in metadata.items() if k.startswith(KEY_PREFIX)
    }
    for key, value in content.items():
        if not isinstance(value, str):
            raise ModelError(
                f"{source}: its description is damaged: {key} is not text", fix="Export it again"
            )
    return content


def no_model_of_emotions(source: str) -> ModelError:
    """What to say of a face engine where a model of emotions is wanted."""
    return ModelError(
        f"{source} is a face engine: it describes faces and knows no emotions",
        expected="a model of emotions",
        got="a face engine",
        fix=f"Give it as --face {source}, beside --engine model.onnx and a --camera, "
        f"or to emodict-session faces",
    )
