"""Recordings of several devices on one clock:
by their start times where both are known, and by offsets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emodict.errors import RecordingError
from emodict.recording.recording import Event, FaceVideo, Recording, Signal, Trials
from emodict.recording.session import open_session
from emodict_desk.importers.clock import parse_time
from emodict_desk.importers.kinds import hdf5_format, only_kind_of
from emodict_desk.importers.places import check_named
from emodict_desk.recordings.account import joined_attributes

SESSION = "session"
# A time without its zone is at most 14 hours from UTC: further away, no zone explains it.
MOST_APART_S = 86400.0


@dataclass(frozen=True)
class Companion:
    """A recording to be joined to another; offset_s is added to its clock."""

    name: str
    recording: Recording
    offset_s: float = 0.0


def read_companion(path: Path, kind: str | None, stack: contextlib.ExitStack) -> Recording:
    """Read a file of any kind, told from the file unless given;
    a session.h5 stays open with the stack.

    Raises:
        RecordingError: no such kind, or none that reads the file.
    """
    from emodict_desk.importers import IMPORTERS

    known = (*IMPORTERS, SESSION)
    if kind is not None and kind not in known:
        raise RecordingError(f"--with-kind {kind} is not a kind of recording", expected=known)
    if not path.exists():
        raise RecordingError(
            f"There is no file {path}", expected="a second recording", fix="Check the path"
        )
    if kind == SESSION or (kind is None and hdf5_format(path) is not None):
        session = stack.enter_context(open_session(path))
        session.require_usable(session.unusable)
        return session
    found = kind or only_kind_of(path, naming="--with-kind {kind}")
    recording = IMPORTERS[found].read(path)
    if IMPORTERS[found].names_no_electrodes:
        check_named(path, recording, how="Import it alone first, and join the session.h5 it makes:")
    return recording


def keep_only(recording: Recording, modalities: Sequence[str]) -> Recording:
    """The recording with some of its modalities; what else it holds is named as left out.

    Raises:
        RecordingError: it has none of that name.
    """
    strange = [m for m in modalities if m not in recording.modality_names]
    if strange:
        raise RecordingError(
            f"--only {strange[0]}: the recording has no {strange[0]}",
            expected=tuple(recording.modality_names),
        )
    dropped = ", ".join(
        f"{m} (not wanted)" for m in recording.modality_names if m not in modalities
    )
    attributes = joined_attributes([recording.attributes, {"left_out": dropped} if dropped else {}])
    return dataclasses.replace(
        recording,
        signals={m: signal for m, signal in recording.signals.items() if m in modalities},
        face=recording.face if "video" in modalities else None,
        attributes=attributes,
    )


def join_recordings(first: Recording, companions: Sequence[Companion]) -> Recording:
    """One recording of several, on the clock of the first; it starts with the earliest of them.

    A companion is shifted by the difference of the start times, where both are known on
    the same footing, and by its offset. Without start times all are taken to start
    together, and the notes say so.

    Raises:
        RecordingError: two hold the same modality, do not overlap in time,
            or a video would move whose frames have no times.
    """
    placed = [("the first recording", first, 0.0)]
    notes: list[str] = []
    for companion in companions:
        apart_s, how = _apart(first, companion)
        placed.append((companion.name, companion.recording, apart_s + companion.offset_s))
        notes.append(how)
    _check_overlap(placed)
    origin_s = min(shift_s for _, _, shift_s in placed)
    parts = [_shifted(recording, shift_s - origin_s) for _, recording, shift_s in placed]
    signals = _united(
        [(name, part.signals) for (name, _, _), part in zip(placed, parts, strict=True)]
    )
    faces = [part.face for part in parts if part.face is not None]
    trials = [part.trials for part in parts if part.trials is not None]
    if len(faces) > 1 or len(trials) > 1:
        what = "a face" if len(faces) > 1 else "trials"
        raise RecordingError(
            f"Two of the recordings hold {what}", expected="one", fix="Leave it out of one of them"
        )
    return dataclasses.replace(
        first,
        signals=signals,
        face=faces[0] if faces else None,
        trials=trials[0] if trials else None,
        events=tuple(
            sorted((e for part in parts for e in part.events), key=lambda event: event.onset_s)
        ),
        start_time=_start_time(first, origin_s),
        device=" + ".join(dict.fromkeys(part.device for part in parts if part.device)),
        attributes=joined_attributes(
            [*(part.attributes for part in parts), *({"notes": note} for note in notes)]
        ),
    )


def _apart(first: Recording, companion: Companion) -> tuple[float, str]:
    """How much later the companion starts by the start times,
    and a sentence that says how that is known.
    """
    ours, theirs = parse_time(first.start_time), parse_time(companion.recording.start_time)
    offset = f", {companion.offset_s:+g} s added" if companion.offset_s else ""
    if ours is None or theirs is None:
        lacking = companion.name if theirs is None else "the first recording"
        return (
            0.0,
            f"{companion.name}: taken to start together, for {lacking} has no start time{offset}",
        )
    if (ours.tzinfo is None) != (theirs.tzinfo is None):
        _check_one_day(ours, theirs, companion)
        lacking = companion.name if theirs.tzinfo is None else "the first recording"
        how = f"taken to start together, for the start time of {lacking} has no time zone"
        return 0.0, f"{companion.name}: {how}{offset}"
    apart_s = (theirs - ours).total_seconds()
    return apart_s, f"{companion.name}: starts {apart_s:+.3f} s by the start times{offset}"


def _check_one_day(
    ours: datetime.datetime, theirs: datetime.datetime, companion: Companion
) -> None:
    """Refuse start times, one of them without a zone, that no zone brings together;
    an offset says that a clock was wrong.
    """
    first, second = (
        (at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)) for at in (ours, theirs)
    )
    apart_s = (second - first).total_seconds()
    if abs(apart_s) > MOST_APART_S and not companion.offset_s:
        raise RecordingError(
            f"{companion.name} is not of the same day as the first recording",
            expected=f"a start close to {ours.isoformat()}",
            got=f"{theirs.isoformat()}, {abs(apart_s) / 86400:,.0f} days "
            f"{'later' if apart_s > 0 else 'earlier'}",
            fix="Give one of the same sitting; where a clock was wrong, "
            "--offset SECONDS says how much later this one starts",
        )


def _check_overlap(placed: Sequence[tuple[str, Recording, float]]) -> None:
    _, first, _ = placed[0]
    for name, recording, shift_s in placed[1:]:
        start_s = shift_s + min(
            (signal.start_s for signal in recording.signals.values()), default=0.0
        )
        stop_s = shift_s + recording.duration_s
        if start_s >= first.duration_s or stop_s <= 0:
            raise RecordingError(
                f"{name} does not overlap with the first recording",
                expected=f"some time between 0 and {first.duration_s:.1f} s",
                got=f"{start_s:.1f} to {stop_s:.1f} s",
                fix="Check that both are of one sitting, "
                "and correct its clock with --offset SECONDS",
            )


def _shifted(recording: Recording, shift_s: float) -> Recording:
    if not shift_s:
        return recording
    face, trials = recording.face, recording.trials
    return dataclasses.replace(
        recording,
        signals={m: _shifted_signal(signal, shift_s) for m, signal in recording.signals.items()},
        face=None if face is None else _shifted_face(face, shift_s),
        trials=None if trials is None else _shifted_trials(trials, shift_s),
        events=tuple(Event(e.onset_s + shift_s, e.code, e.description) for e in recording.events),
    )


def _shifted_signal(signal: Signal, shift_s: float) -> Signal:
    if signal.timestamps_s is not None:
        return dataclasses.replace(signal, timestamps_s=np.asarray(signal.timestamps_s) + shift_s)
    return dataclasses.replace(signal, start_offset_s=signal.start_offset_s + shift_s)


def _shifted_face(face: FaceVideo, shift_s: float) -> FaceVideo:
    # A video without timestamps plays from 0,
    # and how many frames it needs times for only decoding it would tell.
    if face.external_file is not None and not len(face.timestamps_s):
        raise RecordingError(
            f"The video {face.external_file} cannot be moved by {shift_s:.3f} s",
            expected="the time of each of its frames",
            got="none, so that it plays from 0",
            fix="Write them into /video/face/timestamps of its session.h5",
        )
    return dataclasses.replace(face, timestamps_s=np.asarray(face.timestamps_s) + shift_s)


def _shifted_trials(trials: Trials, shift_s: float) -> Trials:
    return dataclasses.replace(
        trials,
        start_s=np.asarray(trials.start_s) + shift_s,
        stop_s=np.asarray(trials.stop_s) + shift_s,
    )


def _united(parts: Sequence[tuple[str, Mapping[str, Signal]]]) -> dict[str, Signal]:
    signals: dict[str, Signal] = {}
    owner: dict[str, str] = {}
    for name, of in parts:
        for modality, signal in of.items():
            if modality in signals:
                others = [m for m in parts[0][1] if m != modality]
                raise RecordingError(
                    f"{name} and {owner[modality]} both hold {modality}",
                    expected="each modality once",
                    fix="Take it from the second: --only " + ",".join(others)
                    if others and owner[modality] == parts[0][0]
                    else "Import the second alone with --only, and join the session.h5 that makes",
                )
            signals[modality], owner[modality] = signal, name
    return signals


def _start_time(first: Recording, origin_s: float) -> str:
    """That of the first, earlier where a companion starts earlier."""
    start = parse_time(first.start_time)
    if start is None or not origin_s:
        return first.start_time
    moved = start + datetime.timedelta(seconds=origin_s)
    return moved.isoformat().replace("+00:00", "Z")
