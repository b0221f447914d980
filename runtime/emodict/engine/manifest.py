"""Manifest: all that an engine file says of itself; the same in ONNX metadata and beside a plan."""

from __future__ import annotations

import json
import math
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
Shapes = Mapping[str, tuple[int, ...]]
# Of one input of a raw graph: 256 channels at 1 kHz are a quarter of it.
MOST_VALUES = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What an engine computes, from which features, and where it comes from.

    Attributes:
        missing_value: (tokens, width) that stands for a missing modality.
        mean_label: (emotions,) of the training rows: the prediction to beat.
        graph_sha256: of the graph without its metadata.
        training, metrics: from the checkpoint, for people to read.
        raw_inputs, raw_outputs: of a graph that begins at raw samples, all it takes and gives;
            empty of one that takes features.
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
    raw_inputs: Shapes = field(default_factory=dict)
    raw_outputs: Shapes = field(default_factory=dict)
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
    def inputs(self) -> Shapes:
        """The shape behind the rows of each input of the graph."""
        features = self.features
        return self.raw_inputs or {"tokens": (features.tokens, features.token_width)}

    @property
    def outputs(self) -> Shapes:
        """The same of each output."""
        model = self.model
        answer = {"distribution": (len(model.emotions),)}
        return self.raw_outputs or answer | {"weights": (model.elements * model.members,)}

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
    if manifest.raw_inputs:
        content["raw_inputs"] = json.dumps(manifest.raw_inputs)
        content["raw_outputs"] = json.dumps(manifest.raw_outputs)
        content["subject_id"] = manifest.subject_id
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
            raw_inputs=_shapes(content.get("raw_inputs", "{}")),
            raw_outputs=_shapes(content.get("raw_outputs", "{}")),
            subject_id=content.get("subject_id", ""),
        )
    except EmodictError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ModelError(
            f"{source}: its description is damaged: {error}", fix="Export it again"
        ) from error
    require_known_spec(manifest.features, source=source, fingerprint=fingerprint)
    return manifest


def _shapes(text: str) -> Shapes:
    shapes = {str(name): tuple(map(int, shape)) for name, shape in parse_json(text).items()}
    if any(min(shape) < 1 or math.prod(shape) > MOST_VALUES for shape in shapes.values()):
        raise ValueError("the shapes of its inputs cannot be")
    return shapes


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


def no_features(source: object) -> ModelError:
    """What to say where features are to be put into a graph that begins at raw samples."""
    return ModelError(
        f"{source} begins at raw samples: it runs on recordings alone, one after the other",
        expected="for tables and live runs, a model that begins at features",
        fix="Export that one: emodict-export model.pt -o model.onnx",
    )
