"""calibrate_person: from a recording at rest to a person.json."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict import __version__
from emodict.errors import InputError, RecordingError
from emodict.features import FeatureWindows, extract_features
from emodict.features.spec import FeatureSpec
from emodict.predict.person import Baseline, Person, modality_fingerprint
from emodict.recording.recording import Recording
from emodict_calibration.person.unmixing import fit_unmixing

logger = logging.getLogger(__name__)

# Windows of a second each: fewer say more about the minute than about the person.
FEWEST_ROWS = 30
_TIME_ATOL_S = 1e-6


@dataclass(frozen=True)
class RestOptions:
    """What `calibrate_person` is asked for.

    Attributes:
        from_s, to_s: the part of the recording that is rest.
        ica: also fit an unmixing matrix, with the generator's `seed`.
    """

    from_s: float = 0.0
    to_s: float = math.inf
    ica: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.from_s < self.to_s:
            raise InputError(
                "The rest does not stop after it starts",
                expected="0 <= --from < --to",
                got=f"{self.from_s:g} to {self.to_s:g} s",
            )


def calibrate_person(recording: Recording, spec: FeatureSpec, options: RestOptions) -> Person:
    """A person's baseline, and where asked for an unmixing matrix, from the rest in a recording.

    Raises:
        RecordingError: no subject_id, a trial in the rest,
            or less than half a minute of valid signals.
    """
    _check(recording, spec, options)
    unmixing = None
    if options.ica:
        unmixing = fit_unmixing(
            recording, spec, seed=options.seed, from_s=options.from_s, to_s=options.to_s
        )
    # The baseline of what the model will see: of unmixed EEG, where it will be unmixed.
    matrix = None if unmixing is None else unmixing.in_order(spec.modality("eeg").channel_names)
    windows = extract_features(recording, spec, unmixing=matrix)
    baselines, without = {}, {}
    for name in spec.modality_names:
        baseline = _baseline(windows, name, options)
        if isinstance(baseline, Baseline):
            baselines[name] = baseline
        else:
            without[name] = baseline
    if not baselines:
        raise RecordingError(
            f"Session '{recording.session_id}' has not enough of a rest for a baseline",
            expected=f"at least {FEWEST_ROWS} s of one modality",
            got=", ".join(f"{name} {why}" for name, why in without.items()),
            fix="Record a longer rest; emodict-session validate says "
            "what is wrong with the signals",
        )
    return Person(
        subject_id=recording.subject_id,
        session_id=recording.session_id,
        spec_id=spec.id,
        baselines=baselines,
        without=without,
        unmixing=unmixing,
        simulated=recording.simulated,
        software=f"emodict {__version__}",
    )


def _check(recording: Recording, spec: FeatureSpec, options: RestOptions) -> None:
    if not recording.subject_id:
        raise RecordingError(
            f"Session '{recording.session_id}' does not say whose it is, "
            f"and a baseline is one person's alone",
            expected="the attribute subject_id",
            fix="Write subject_id into the session",
        )
    if not spec.streaming:
        raise InputError(
            f"Feature spec {spec.id} is computed by trial, and a rest has none",
            expected="a streaming spec",
            fix="Use a model trained on emodict-1",
        )
    trials = recording.trials
    if trials is None:
        return
    start_s, stop_s = (
        np.asarray(times, dtype=np.float64) for times in (trials.start_s, trials.stop_s)
    )
    inside = np.flatnonzero((start_s < options.to_s) & (stop_s > options.from_s))
    if len(inside):
        first = int(inside[0])
        raise RecordingError(
            f"There is a trial in what should be a rest: '{trials.trial_id[first]}'",
            expected="a recording, or a part of one, without trials",
            got=f"a trial from {start_s[first]:g} to {stop_s[first]:g} s",
            fix="Say which part is rest: --from S --to S",
        )


def _baseline(windows: FeatureWindows, name: str, options: RestOptions) -> Baseline | str:
    """The baseline of one modality, or why there is none."""
    spec = windows.spec
    column = spec.modality_names.index(name)
    end_s = windows.start_s + 1
    inside = (end_s - spec.modality(name).window_s >= options.from_s - _TIME_ATOL_S) & (
        end_s <= options.to_s + _TIME_ATOL_S
    )
    rows: NDArray[np.bool_] = windows.valid[:, column] & inside
    count = int(rows.sum())
    if count < FEWEST_ROWS:
        return f"{count} s valid, {FEWEST_ROWS} needed"
    tokens = windows.tokens[rows, spec.token_slices[name]]
    return Baseline(
        fingerprint=modality_fingerprint(spec, name),
        rows=count,
        mean=tokens.mean(axis=0),
        scale=tokens.std(axis=0),
    )


def describe(person: Person, *, ica: bool) -> str:
    """What was found, for people."""
    lines = [
        f"Baseline of subject {person.subject_id} at rest"
        + (" (SIMULATED person)" if person.simulated else "")
        + ": "
        + ", ".join(f"{name} {baseline.rows} s" for name, baseline in person.baselines.items())
    ]
    lines += [f"No baseline for {name}: {why}" for name, why in person.without.items()]
    if person.unmixing is not None:
        count = len(person.unmixing.removed)
        lines.append(f"EEG: {count} of {len(person.unmixing.channel_names)} components taken out")
        lines += [f"  {why}" for why in person.unmixing.removed]
    elif ica:
        lines.append(
            "EEG: no blinks and no muscle found; nothing to take out, so there is no matrix"
        )
    return "\n".join(lines)
