"""A raw graph: the folded model behind the features of its spec, from samples to the distribution.

Everything is generated from the feature spec's data and from the folded model. The features compute
in FP32 in every precision.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from emodict.engine.manifest import Manifest
from emodict.errors import SpecError
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.features.stream import require_raw
from emodict.predict.person import Adaptation
from emodict.recording.modalities import EEG
from emodict_export.raw import quality
from emodict_export.raw.assemble import add_answer, add_tokens, join_graphs
from emodict_export.raw.band_power import band_power_part
from emodict_export.raw.builder import Part, RawBuilder
from emodict_export.raw.statistics import statistics_part


def raw_graph(
    model: onnx.ModelProto,
    manifest: Manifest,
    *,
    adaptation: Adaptation | None = None,
    many: bool = False,
) -> onnx.ModelProto:
    """The graph from one second of samples to a row, from a folded `model` in any precision.

    Args:
        manifest: what the raw graph will say of itself, its outputs included.
        adaptation: a person's baseline and unmixing matrix, to be folded in.
        many: the graph takes many seconds of one wearer at once; its states are of one.

    Raises:
        SpecError: the features cannot be computed from a stream of samples.
    """
    features = manifest.features
    require_streaming(features)
    b = RawBuilder(many=many)
    unmixing = None if adaptation is None else adaptation.unmixing
    parts = [
        _part(b, modality, unmixing if modality.name == EEG else None)
        for modality in features.modalities
    ]
    shift = None if adaptation is None else adaptation.shift
    add_tokens(b, features, parts, missing_value=manifest.missing_value, shift=shift)
    add_answer(b, features, manifest.model.required_modalities)
    return join_graphs(b, model, manifest)


def require_streaming(features: FeatureSpec) -> None:
    """Refuse features of which no raw graph can be made.

    Raises:
        SpecError: they need whole trials, or only exist as a table.
    """
    for modality in features.modalities:
        require_raw(modality)
    if not features.streaming:
        raise SpecError(
            f"Feature spec {features.id} cannot stream, and has no raw graph: "
            "its filters need whole trials",
            fix="Train on emodict-1, or export without --raw",
        )


def _part(b: RawBuilder, modality: ModalitySpec, unmixing: NDArray[np.float64] | None) -> Part:
    if modality.kind == "band_power":
        return band_power_part(b, modality, unmixing)
    if modality.kind == "statistics":
        return statistics_part(b, modality)
    return _embedding_part(b, modality)


def _embedding_part(b: RawBuilder, modality: ModalitySpec) -> Part:
    """A vector is passed on as it came; it is valid where all of it is a number."""
    name, dims = modality.name, modality.dims
    there = b.as_float(quality.inside(b, modality, name, name), f"{name}/there")
    valid = b.reduce("ReduceMin", there, 1, f"{name}/valid")
    return Part(
        columns=name,
        width=dims,
        order=np.arange(dims),
        scale=np.ones(dims),
        offset=np.zeros(dims),
        valid=valid,
        quality=valid,
    )
