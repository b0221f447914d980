"""A raw graph run on a recording, to see that it gives the rows that Python gives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from emodict.engine import Engine
from emodict.engine.manifest import Manifest, Shapes
from emodict.errors import ModelError, PersonError
from emodict.features.extract import usable_modalities
from emodict.features.quality import without_unusable
from emodict.features.source import source_blocks, source_rate_hz
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.features.stream import resampler_for
from emodict.features.truth import truth_of_rows
from emodict.recording.recording import Recording
from emodict.results.prediction import Prediction

Float32Array = NDArray[np.float32]
Row = Mapping[str, Float32Array]

# What comes out as next_X is what goes in as state_X a second later; 0 before the first second.
STATE, NEXT = "state_", "next_"
VALID, QUALITY = "valid", "quality"
# Rows are handed on in blocks, as those of other models are.
BLOCK_ROWS = 64


class RawEngine(Engine, Protocol):
    """An engine whose graph begins at raw samples: `infer` refuses."""

    def second(self, inputs: Mapping[str, Float32Array]) -> dict[str, Float32Array]: ...


def predict_raw(
    engine: Engine,
    recording: Recording,
    session: str,
    doubts: tuple[str, ...],
    unusable: Mapping[str, str],
) -> Iterator[Prediction]:
    """The rows of a recording in blocks; signals at other rates are resampled on the way.

    Raises:
        PersonError: another person's baseline is folded into the graph.
        RecordingError: the recording cannot be used with this model.
        ModelError: the graph is not of the features that it names.
    """
    manifest, features = engine.manifest, engine.manifest.features
    _require_own_ends(manifest)
    _require_subject(manifest, recording)
    second = features.first_row_s
    rows = itertools.islice(raw_rows(cast(RawEngine, engine), recording), second, None)
    while block := list(itertools.islice(rows, BLOCK_ROWS)):
        start_s = second + np.arange(len(block), dtype=np.float64)
        second += len(block)
        yield Prediction(
            session=session,
            emotions=manifest.model.emotions,
            modalities=features.modality_names,
            start_s=start_s,
            distribution=_joined(block, "distribution"),
            weights=_joined(block, "weights"),
            valid=_joined(block, VALID) > 0.5,
            quality=_joined(block, QUALITY),
            truth=truth_of_rows(start_s, features, recording.trials, manifest.model.emotions),
            mean_label=manifest.mean_label,
            simulated=recording.simulated,
            model_simulated=manifest.simulated,
            doubts=doubts,
            unusable=unusable,
        )


def _require_subject(manifest: Manifest, recording: Recording) -> None:
    if manifest.subject_id not in ("", recording.subject_id):
        raise PersonError(
            "A person's baseline is never applied to somebody else",
            expected=f"a recording of subject '{manifest.subject_id}', who is in the model",
            got=f"subject '{recording.subject_id}'",
            fix="Export the model again, with this subject's person.json or with none",
        )


def _require_own_ends(manifest: Manifest) -> None:
    """Refuse a graph that says that it takes or gives something else than its features make."""
    inputs = raw_inputs(manifest.features)
    outputs = raw_outputs(manifest, with_tokens="tokens" in manifest.outputs)
    if manifest.inputs != inputs or manifest.outputs != outputs:
        raise ModelError(
            "The raw graph's inputs and outputs are not those of its features",
            expected=f"{inputs} and {outputs}",
            got=f"{manifest.inputs} and {manifest.outputs}",
            fix="Export it again: emodict-export model.pt --raw",
        )


def raw_rows(engine: RawEngine, recording: Recording) -> Iterator[Row]:
    """The graph's outputs of every second from the recording's start on."""
    states: dict[str, Float32Array] = {
        name: np.zeros((1, *shape), np.float32)
        for name, shape in engine.manifest.inputs.items()
        if name.startswith(STATE)
    }
    for second in raw_seconds(recording, engine.manifest):
        row = engine.second({**second, **states})
        states = {name: row[NEXT + name.removeprefix(STATE)] for name in states}
        yield row


def raw_seconds(recording: Recording, manifest: Manifest) -> Iterator[Row]:
    """(1, ...) of each modality, NaN where it is missing, up to the end of the longest."""
    present = usable_modalities(recording, manifest.features)
    missing = {
        name: np.full((1, *manifest.inputs[name]), np.nan, np.float32)
        for name in manifest.features.modality_names
    }
    sources = [_seconds_of(recording, modality) for modality in present]
    for seconds in itertools.zip_longest(*sources):
        came = zip(present, seconds, strict=True)
        yield {**missing, **{m.name: second for m, second in came if second is not None}}


def _seconds_of(recording: Recording, modality: ModalitySpec) -> Iterator[Float32Array]:
    held: list[NDArray[np.float64]] = []
    for block in _at_rate(recording, modality):
        samples = np.concatenate([*held, block])
        whole = len(samples) // modality.hop_samples * modality.hop_samples
        held = [samples[whole:]]
        # What float32 cannot hold is beyond every range, and infinite is too.
        with np.errstate(over="ignore"):
            fresh = samples[:whole].astype(np.float32)
        if modality.kind != "embedding":
            fresh = fresh.reshape(-1, modality.hop_samples, fresh.shape[1])
        yield from fresh[:, None]


def _at_rate(recording: Recording, modality: ModalitySpec) -> Iterator[NDArray[np.float64]]:
    resampler = resampler_for(modality, source_rate_hz(recording, modality))
    for block in source_blocks(recording, modality):
        usable = without_unusable(modality, block)
        yield usable if resampler is None else resampler.push(usable)
    if resampler is not None:
        yield resampler.finish()


def _joined(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    return np.concatenate([row[name] for row in rows]).astype(np.float64)


def raw_inputs(features: FeatureSpec) -> dict[str, tuple[int, ...]]:
    """A second of each modality by its name, and the states."""
    states = {STATE + name: row for name, row in state_shapes(features).items()}
    return {m.name: _second_shape(m) for m in features.modalities} | states


def raw_outputs(manifest: Manifest, *, with_tokens: bool = False) -> Shapes:
    """What a row consists of, and the states of the next second."""
    features, model = manifest.features, manifest.model
    modalities = (len(features.modalities),)
    row = {
        "distribution": (len(model.emotions),),
        "weights": (model.elements * model.members,),
        VALID: modalities,
        QUALITY: modalities,
    }
    tokens = {"tokens": (features.tokens, features.token_width)} if with_tokens else {}
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
