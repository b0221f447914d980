"""predict: recordings and feature tables through an engine, block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.engine import Engine
from emodict.errors import RecordingError, SpecError
from emodict.features import iter_features
from emodict.features.windows import FeatureWindows
from emodict.prediction import Prediction, concatenate_predictions
from emodict.recording import Recording
from emodict.session import open_session
from emodict.spec import require_same_spec
from emodict.table import FeatureTable, read_table
from emodict.truth import truth_of_rows

TABLE_ENDINGS = (".npz", ".mat")
# Chunks of this many rows are scored at once: twice as fast as one huge batch.
BLOCK_ROWS = 64

OnStart = Callable[[str, float], None]


def predict(engine: Engine, path: str | os.PathLike[str]) -> Prediction:
    """All rows of a session.h5, or of a feature table (.npz, .mat).

    Raises:
        InputError: the recording or table cannot be used with this model.
    """
    return concatenate_predictions(list(iter_predictions(engine, path)))


def iter_predictions(
    engine: Engine,
    path: str | os.PathLike[str],
    *,
    part: str | None = None,
    on_start: OnStart = lambda session, rows: None,
) -> Iterator[Prediction]:
    """The rows of `predict` in blocks, as they are computed; `on_start` hears the session and how many to expect."""
    if Path(path).suffix in TABLE_ENDINGS:
        yield from predict_table(engine, read_table(path, part=part), on_start=on_start)
    else:
        with open_session(path) as recording:
            yield from predict_recording(engine, recording, on_start=on_start, name=Path(path).stem)


def predict_recording(
    engine: Engine, recording: Recording, *, on_start: OnStart = lambda session, rows: None, name: str = ""
) -> Iterator[Prediction]:
    """Score a recording; a modality it lacks is allowed only where the model can do without.

    Raises:
        RecordingError: a modality the model needs is not there.
    """
    features, model = engine.manifest.features, engine.manifest.model
    session = recording.session_id or name
    missing = [m for m in model.required_modalities if m not in recording.modality_names]
    if missing:
        raise RecordingError(
            f"Session '{session}' lacks {', '.join(missing)}, which this model needs",
            expected=", ".join(model.modalities),
            got=", ".join(recording.modality_names) or "no signals",
            fix="Use a model trained with modality dropout, or on the modalities at hand (--modalities)",
        )
    on_start(session, max(0.0, recording.duration_s - features.first_row_s))
    for windows in iter_features(recording, features):
        truth = truth_of_rows(windows.start_s, features, recording.trials, model.emotions)
        yield score(engine, windows, session=session, truth=truth, simulated=recording.simulated)


def predict_table(
    engine: Engine, table: FeatureTable, *, on_start: OnStart = lambda session, rows: None
) -> Iterator[Prediction]:
    """Score a feature table of the model's own spec.

    Raises:
        SpecError: the table's features are not the model's.
    """
    features, model = engine.manifest.features, engine.manifest.model
    if set(features.modality_names) <= set(table.spec.modality_names):
        table = table.with_modalities(features.modality_names)
    require_same_spec(features, table.spec, ours_is="The model", theirs_is=table.source)
    if table.labels is not None and table.emotions != model.emotions:
        raise SpecError(
            f"{table.source} and the model tell different emotions apart",
            expected=", ".join(model.emotions),
            got=", ".join(table.emotions),
        )
    on_start(table.source, len(table))
    for start in range(0, len(table), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        truth = None if table.labels is None else table.labels[rows]
        yield score(engine, table.windows.slice(rows), session=table.source, truth=truth, simulated=table.simulated)


def score(
    engine: Engine,
    windows: FeatureWindows,
    *,
    session: str,
    truth: NDArray[np.float64] | None = None,
    simulated: bool = False,
) -> Prediction:
    """Run the engine on rows that have all required modalities and at least one; the others have no answer."""
    manifest = engine.manifest
    emotions, rows = manifest.model.emotions, len(windows)
    ready = answerable(windows, manifest.model.required_modalities)
    distribution = np.full((rows, len(emotions)), np.nan)
    weights = np.full((rows, manifest.model.elements * manifest.model.members), np.nan)
    if ready.any():
        tokens = np.where(np.isnan(windows.tokens[ready]), manifest.missing_value, windows.tokens[ready])
        out = engine.infer(tokens.astype(np.float32))
        distribution[ready], weights[ready] = out
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
    )


def answerable(windows: FeatureWindows, required: tuple[str, ...]) -> NDArray[np.bool_]:
    """(rows,) True where every required modality is valid, and at least one modality is."""
    columns = [windows.spec.modality_names.index(name) for name in required]
    return np.asarray(windows.valid.any(axis=1) & windows.valid[:, columns].all(axis=1))


def require_answers(prediction: Prediction, path: str | os.PathLike[str]) -> None:
    """Refuse a recording of which not one second could be answered.

    Raises:
        RecordingError: every row lacks a modality that the model needs, or all of them.
    """
    if prediction.answered.any():
        return
    shares = zip(prediction.modalities, prediction.valid.mean(axis=0) if len(prediction) else (), strict=False)
    raise RecordingError(
        f"{path}: not one second could be answered",
        expected="seconds with usable signals",
        got=", ".join(f"{name} valid {share:.0%}" for name, share in shares) or "no whole window",
        fix=f"emodict-session validate '{path}' says what is wrong with the signals",
    )
