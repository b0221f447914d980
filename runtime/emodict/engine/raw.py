"""A raw graph: a second of samples in, its row out, and states that go round from call to call."""

from __future__ import annotations

from collections.abc import Mapping

from emodict.engine.manifest import Manifest
from emodict.errors import ModelError
from emodict.features.spec import FeatureSpec, ModalitySpec

Shapes = Mapping[str, tuple[int, ...]]
VALID, QUALITY, TOKENS = "valid", "quality", "tokens"
# What comes out as next_X is what goes in as state_X a second later; 0 before the first second.
STATE, NEXT = "state_", "next_"


def second_shapes(features: FeatureSpec) -> dict[str, tuple[int, ...]]:
    """Of each modality one second of samples; of an embedding, one vector."""
    return {m.name: _second_shape(m) for m in features.modalities}


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


def raw_ends(manifest: Manifest) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """The shape behind the batch of each input, and of each output."""
    features, model = manifest.features, manifest.model
    states, modalities = state_shapes(features), (len(features.modalities),)
    known = {
        "distribution": (len(model.emotions),),
        "weights": (model.elements * model.members,),
        VALID: modalities,
        QUALITY: modalities,
        TOKENS: (features.tokens, features.token_width),
    }
    inputs = second_shapes(features) | {STATE + name: row for name, row in states.items()}
    outputs = {name: known[name] for name in manifest.raw_outputs if name in known}
    return inputs, outputs | {NEXT + name: row for name, row in states.items()}


def no_features(source: str) -> ModelError:
    """What to say where features are to be put into a raw graph."""
    return ModelError(
        f"{source} begins at raw samples: it runs on recordings alone, one at a time",
        expected="for tables, live runs and --person, a model that begins at features",
        fix="Export that one: emodict-export model.pt -o model.onnx",
    )
