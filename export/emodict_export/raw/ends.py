"""What goes into a raw graph, and what comes out of it: names, and shapes behind the batch."""

from __future__ import annotations

from emodict.engine.manifest import Manifest, Shapes
from emodict.engine.onnx import DISTRIBUTION, INPUT, WEIGHTS
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict_desk.raw import NEXT, QUALITY, STATE, VALID


def raw_inputs(features: FeatureSpec) -> dict[str, tuple[int, ...]]:
    """A second of each modality by its name, and the states."""
    states = {STATE + name: row for name, row in state_shapes(features).items()}
    return {m.name: _second_shape(m) for m in features.modalities} | states


def raw_outputs(manifest: Manifest, *, with_tokens: bool = False) -> Shapes:
    """What a row consists of, and the states of the next second."""
    features, model = manifest.features, manifest.model
    modalities = (len(features.modalities),)
    row = {
        DISTRIBUTION: (len(model.emotions),),
        WEIGHTS: (model.elements * model.members,),
        VALID: modalities,
        QUALITY: modalities,
    }
    tokens = {INPUT: (features.tokens, features.token_width)} if with_tokens else {}
    states = {NEXT + name: shape for name, shape in state_shapes(features).items()}
    return {**row, **tokens, **states}


def _second_shape(modality: ModalitySpec) -> tuple[int, ...]:
    if modality.kind == "embedding":
        return (modality.dims,)
    return modality.hop_samples, len(modality.channel_names)


def state_shapes(features: FeatureSpec) -> dict[str, tuple[int, ...]]:
    """Of each state, by its name without `state_` or `next_`.

    A causal filter has its own state, the level that this is relative to, and for how many seconds
    it has run; a window longer than a second has the samples before the new ones, and of each
    of their seconds whether all samples are there.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for modality in features.modalities:
        name, channels = modality.name, len(modality.channel_names)
        before = round(modality.window_s) - 1
        if modality.filter is not None and modality.filter.mode == "causal":
            shapes[f"{name}_filter"] = (channels, 2 * len(modality.filter.sos))
            shapes[f"{name}_reference"] = shapes[f"{name}_age"] = (channels, 1)
        elif before:
            shapes[f"{name}_samples"] = (before * modality.hop_samples,)
            shapes[f"{name}_usable"] = (before,)
    return shapes
