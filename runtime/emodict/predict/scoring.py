"""predict: recordings and feature tables through an engine, block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emodict.engine import Engine
from emodict.engine.model_spec import ModelSpec
from emodict.errors import InputError, PersonError, RecordingError
from emodict.features import iter_features
from emodict.features.plausible import doubts_of
from emodict.features.spec import FeatureSpec, require_same_spec
from emodict.features.truth import truth_of_rows
from emodict.features.unusable import why_unusable
from emodict.features.windows import FeatureWindows
from emodict.recording.recording import Recording
from emodict.recording.session import open_session
from emodict.results.metrics import percent
from emodict.results.prediction import Prediction, concatenate_predictions

if TYPE_CHECKING:
    from emodict.predict.person import Adaptation, Person
    from emodict_desk.tables.table import FeatureTable

TABLE_ENDINGS = (".npz", ".mat")
# Chunks of this many rows are scored at once: twice as fast as one huge batch.
BLOCK_ROWS = 64

OnStart = Callable[[float], None]


def predict(
    engine: Engine,
    path: str | os.PathLike[str],
    *,
    person: Person | None = None,
    invert: Sequence[str] = (),
) -> Prediction:
    """All rows of a session.h5, or of a feature table (.npz, .mat).

    A session may be one of this `person`; the signals named in `invert` are turned upside down.

    Raises:
        InputError: the recording or table cannot be used with this model, or is not of this person.
    """
    return joined(list(iter_predictions(engine, path, person=person, invert=invert)), path)


def iter_predictions(
    engine: Engine,
    path: str | os.PathLike[str],
    *,
    part: str | None = None,
    person: Person | None = None,
    invert: Sequence[str] = (),
    on_start: OnStart = lambda rows: None,
) -> Iterator[Prediction]:
    """The rows of `predict` in blocks, as they are computed; `on_start` hears how many to expect.

    Raises:
        TableError: a `part` of something that has no parts.
        PersonError: a `person` for a feature table, whose signals are gone,
            or for somebody else's recording.
        InputError: a model's path in the place of an engine.
    """
    if isinstance(engine, str | os.PathLike):
        raise InputError(
            "predict takes an open engine, and not the path of a model",
            got=os.fspath(engine),
            fix="with open_engine(model) as engine: predict(engine, recording)",
        )
    if part is not None and Path(path).suffix != ".mat":
        from emodict_desk.tables.table import no_parts

        raise no_parts(Path(path))
    if Path(path).suffix in TABLE_ENDINGS:
        if person is not None:
            raise PersonError(
                f"A person's baseline cannot be applied to the feature table {path}",
                expected="a recording, which says whose it is",
                fix="Run on the session.h5 that the table was made of, or leave --person out",
            )
        if invert:
            raise RecordingError(
                f"--invert: {path} holds features, and no signal that could be turned"
            )
        from emodict_desk.tables.table import read_table

        yield from predict_table(engine, read_table(path, part=part), on_start=on_start)
    else:
        with open_recording(Path(path)) as recording:
            unread = [
                name for name in invert if name not in engine.manifest.features.modality_names
            ]
            if unread:
                raise RecordingError(
                    f"--invert {unread[0]}: the model reads no such signal", fix="Leave it out"
                )
            recording = recording.inverted(invert)
            yield from predict_recording(
                engine, recording, person=person, on_start=on_start, name=Path(path).stem
            )


def open_recording(path: Path, *, again: bool = False) -> Recording:
    """A session.h5; another maker's recording is imported on the way, which is said,
    but not of one read `again`.
    """
    try:
        return open_session(path)
    except RecordingError as error:
        from emodict_desk.importers.on_the_way import imported

        return imported(path, otherwise=error, again=again)


def predict_recording(
    engine: Engine,
    recording: Recording,
    *,
    person: Person | None = None,
    on_start: OnStart = lambda rows: None,
    name: str = "",
) -> Iterator[Prediction]:
    """Score a recording; a modality it lacks is allowed only where the model can do without.

    Raises:
        RecordingError: a modality the model needs is not there.
        PersonError: the recording is not of this `person`.
    """
    features, model = engine.manifest.features, engine.manifest.model
    session = recording.session_id or name
    recording.require_usable(model.modalities)
    missing = [m for m in model.required_modalities if m not in recording.modality_names]
    if missing:
        raise RecordingError(
            f"Session '{session}' lacks {', '.join(missing)}, which this model needs",
            expected=", ".join(model.modalities),
            got=", ".join(recording.modality_names) or "no signals",
            fix="Use a model trained with modality dropout, "
            "or on the modalities at hand (--modalities)",
        )
    adaptation = None
    if person is not None:
        adaptation = person.adapt(engine.manifest)
        adaptation.check(recording)
    on_start(max(0.0, recording.duration_s - features.first_row_s))
    doubts = doubts_of(recording, features.modality_names)
    unusable = why_unusable(recording, features)
    if engine.manifest.raw_inputs:
        from emodict_desk.raw import predict_raw

        yield from predict_raw(engine, recording, session, doubts, unusable)
        return
    for windows in iter_features(
        recording, features, unmixing=adaptation.unmixing if adaptation else None
    ):
        truth = truth_of_rows(windows.start_s, features, recording.trials, model.emotions)
        yield score(
            engine,
            windows,
            session=session,
            truth=truth,
            simulated=recording.simulated,
            adaptation=adaptation,
            doubts=doubts,
            unusable=unusable,
        )


def predict_table(
    engine: Engine, table: FeatureTable, *, on_start: OnStart = lambda rows: None
) -> Iterator[Prediction]:
    """Score a feature table of the model's own spec.

    Raises:
        SpecError: the table's features are not the model's.
    """
    table = table_for_model(table, engine.manifest.features, engine.manifest.model)
    on_start(len(table))
    for start in range(0, len(table), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        truth = None if table.labels is None else table.labels[rows]
        yield score(
            engine,
            table.windows.slice(rows),
            session=table.source,
            truth=truth,
            simulated=table.simulated,
        )


def table_for_model(table: FeatureTable, features: FeatureSpec, model: ModelSpec) -> FeatureTable:
    """The table with the model's modalities and EEG channels alone.

    Raises:
        SpecError: its features are not the model's.
        TableError: its emotions are not; another order of them is put right.
    """
    if set(features.modality_names) <= set(table.spec.modality_names):
        table = table.with_modalities(features.modality_names)
        there, wanted = table.spec.channel_names, features.channel_names
        if wanted != there and set(wanted) <= set(there):
            table = table.with_channels(wanted)
    require_same_spec(features, table.spec, ours_is="The model", theirs_is=table.source)
    return (
        table if table.labels is None else table.with_emotions(model.emotions, asked_by="The model")
    )


def score(
    engine: Engine,
    windows: FeatureWindows,
    *,
    session: str,
    truth: NDArray[np.float64] | None = None,
    simulated: bool = False,
    adaptation: Adaptation | None = None,
    doubts: tuple[str, ...] = (),
    unusable: Mapping[str, str] | None = None,
) -> Prediction:
    """Run the engine on rows that have all required modalities and at least one;
    the others have no answer.

    `adaptation` shifts the features by the person's baseline;
    the windows' EEG must have been unmixed already.
    """
    manifest = engine.manifest
    emotions, rows = manifest.model.emotions, len(windows)
    ready = answerable(windows, manifest.model.required_modalities)
    distribution = np.full((rows, len(emotions)), np.nan)
    weights = np.full((rows, manifest.model.elements * manifest.model.members), np.nan)
    if ready.any():
        shift = adaptation.shift if adaptation is not None else None
        tokens = with_missing_filled(windows.slice(ready), manifest.missing_value, shift=shift)
        distribution[ready], weights[ready] = engine.infer(tokens)
    return Prediction(
        session=session,
        emotions=emotions,
        modalities=windows.spec.modality_names,
        start_s=windows.start_s,
        distribution=distribution,
        weights=weights,
        valid=windows.valid,
        quality=windows.quality,
        truth=truth,
        mean_label=manifest.mean_label,
        simulated=simulated,
        model_simulated=manifest.simulated,
        doubts=doubts,
        unusable=unusable or {},
    )


def with_missing_filled(
    windows: FeatureWindows,
    missing_value: NDArray[np.float64],
    *,
    shift: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """(rows, tokens, width) for an engine:
    the training mean in place of every modality that is not valid.

    What is valid is moved by `shift` (tokens, width).
    """
    tokens = (windows.tokens if shift is None else windows.tokens + shift).astype(np.float32)
    for column, name in enumerate(windows.spec.modality_names):
        part = windows.spec.token_slices[name]
        tokens[~windows.valid[:, column], part] = missing_value[part]
    return tokens


def answerable(windows: FeatureWindows, required: tuple[str, ...]) -> NDArray[np.bool_]:
    """(rows,) True where every required modality is valid, and at least one modality is."""
    columns = [windows.spec.modality_names.index(name) for name in required]
    return np.asarray(windows.valid.any(axis=1) & windows.valid[:, columns].all(axis=1))


def joined(parts: Sequence[Prediction], path: str | os.PathLike[str]) -> Prediction:
    """All blocks of one recording as one prediction.

    Raises:
        RecordingError: there is no whole window in it, or not one second could be answered.
    """
    rows = sum(map(len, parts))
    if not rows:
        raise RecordingError(
            f"{path}: there is no whole window in it",
            expected="a recording, or trials, longer than the model's windows",
            got="0 rows",
            fix="emodict-session inspect says what it holds",
        )
    prediction = concatenate_predictions(parts)
    if not prediction.answered.any():
        shares = zip(prediction.modalities, prediction.valid.mean(axis=0), strict=True)
        why = {name: f" ({reason})" for name, reason in prediction.unusable.items()}
        raise RecordingError(
            f"{path}: not one second could be answered",
            expected="seconds with usable signals",
            got=", ".join(
                f"{name} valid {percent(share)}{why.get(name, '')}" for name, share in shares
            ),
            fix=f"emodict-session validate '{path}' says what is wrong with the signals",
        )
    return prediction
