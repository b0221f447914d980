"""Simulated people: whole recordings whose emotions are known, because they were planted.

Such data prove that the chain works from file to distribution, and that a model recovers an effect
that was put in. They say nothing on how well emotions can be recognised in real people: how the
body answers an emotion is decided here, by the constants in these modules, and not by nature.

The course of one sitting is drawn first (`draw_course`): which emotion, how strong, when.
Every sensor then follows its valence and arousal in its own way, the face each of the ten
emotions; a person's own baseline, strength of response, noise and faults lie on top. Signals
start at time 0 on one clock.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

import emodict
from emodict.errors import OutputError, RecordingError
from emodict.recording.recording import Event, Recording
from emodict.recording.session import open_session, write_session
from emodict_train.simulate.course import Course, SimulationPlan, draw_course, require
from emodict_train.simulate.eeg import simulate_eeg
from emodict_train.simulate.face import simulate_face
from emodict_train.simulate.periphery import simulate_gsr, simulate_ppg


def simulate_people(
    folder: str | os.PathLike[str],
    *,
    people: int,
    plan: SimulationPlan,
    seed: int,
    on_person: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Write sub-01.h5, sub-02.h5, ... into `folder`, which is made if need be.

    Person k hangs on the seed and on k alone, not on how many there are.

    Raises:
        InputError: people or seed cannot be used.
        OutputError: the folder or a file cannot be written,
            or the folder holds recordings that are not simulated.
    """
    require(people >= 1, "There is nobody to simulate", "at least 1 person", people)
    require(seed >= 0, "The seed cannot be used", "0 or more", seed)
    made = _make_folder(Path(folder))
    _refuse_recordings(made)
    paths = []
    for number, sequence in enumerate(np.random.SeedSequence(seed).spawn(people), start=1):
        subject_id = f"sub-{number:02d}"
        path = made / f"{subject_id}.h5"
        write_session(
            simulate_person(np.random.default_rng(sequence), subject_id=subject_id, plan=plan), path
        )
        paths.append(path)
        if on_person is not None:
            on_person(path)
    return paths


def simulate_person(
    rng: np.random.Generator, *, subject_id: str, plan: SimulationPlan
) -> Recording:
    """One person's sitting: the signals, the true distribution of each trial,
    and its scores as events.
    """
    # A stream for each part, so that a change to one leaves the others as they were.
    for_course, for_eeg, for_ppg, for_gsr, for_face = rng.spawn(5)
    course = draw_course(for_course, plan)
    signals = (
        simulate_eeg(for_eeg, course, plan),
        simulate_ppg(for_ppg, course, plan),
        simulate_gsr(for_gsr, course, plan),
    )
    return Recording(
        session_id=f"{subject_id}-simulated",
        subject_id=subject_id,
        signals={signal.modality: signal for signal in signals},
        face=simulate_face(for_face, course, plan),
        trials=course.trials,
        events=_score_events(course),
        start_time="2024-01-01T09:00:00+00:00",
        device="simulated",
        software=f"emodict simulate {emodict.__version__}",
        attributes={"simulated": "true"},
    )


def _score_events(course: Course) -> tuple[Event, ...]:
    return tuple(
        Event(float(start_s), code=1, description="PANAS " + " ".join(map(str, scores)))
        for start_s, scores in zip(course.trials.start_s, course.scores, strict=True)
    )


def _refuse_recordings(folder: Path) -> None:
    """Simulated people may replace simulated people,
    never anything else that is called sub-NN.h5.
    """
    for path in sorted(folder.glob("sub-*.h5")):
        try:
            with open_session(path) as recording:
                simulated = recording.simulated
        except RecordingError:
            simulated = False
        if not simulated:
            raise OutputError(
                f"{path} is not a simulated person, and simulating here could replace it",
                expected="a folder without recordings of real people",
                fix="Choose another folder",
            )


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot make the folder {folder}: {error.strerror}", fix="Choose another folder"
        ) from error
    return folder
