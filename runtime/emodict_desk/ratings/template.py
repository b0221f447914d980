"""An empty ratings.csv for a session: its trials, or those that its events tell of."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emodict.files.atomic import atomic_path
from emodict.recording.recording import Event, Recording
from emodict_desk.wording import count_of

_STARTS = {"start", "starts", "started", "begin", "begins", "began", "onset", "on"}
_STOPS = {"stop", "stops", "stopped", "end", "ends", "ended", "offset", "off"}
_WORDS = re.compile(r"[\s_:/|,;-]+")
# A press and its bounce, or two markers of one moment.
_SHORTEST_S = 1.0


@dataclass(frozen=True)
class Found:
    """A trial that may have been."""

    name: str
    start_s: float
    stop_s: float


def find_trials(recording: Recording) -> tuple[list[Found], str]:
    """The trials of a recording, and a sentence that says how they were found.

    Its own; else pairs of events that start and stop something; else from one event to the
    next; else one.
    """
    if recording.trials is not None and len(recording.trials):
        trials = recording.trials
        rows = zip(trials.trial_id, trials.start_s, trials.stop_s, strict=True)
        return [Found(name, float(a), float(b)) for name, a, b in rows], "the session's own trials"
    events = sorted(recording.events, key=lambda event: event.onset_s)
    paired = _pairs(events)
    if paired:
        return _told_apart(paired), "from events that say start and stop"
    between = _between(events, recording.duration_s)
    if between:
        how = "each from one event to the next: take out what was not a trial"
        return _told_apart(between), how
    return [
        Found("trial01", 0.0, recording.duration_s)
    ], "it has no events: one trial, the whole of it"


def write_template(found: Sequence[Found], emotions: Sequence[str], path: Path) -> None:
    """A table with the times filled in, and the answers not; never over a file that is there."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "onset", "stop", *emotions])
    for trial in found:
        writer.writerow(
            [trial.name, f"{trial.start_s:.3f}", f"{trial.stop_s:.3f}", *("" for _ in emotions)]
        )
    with atomic_path(path, replace=False) as part:
        part.write_text(text.getvalue(), encoding="utf-8")


def describe_template(found: Sequence[Found], how: str, path: Path, session: Path) -> str:
    """What was written, and what to do with it."""
    return (
        f"Wrote {path}: {count_of(len(found), 'trial')}, {how}\n"
        f"Fill in the scores, and then: emodict-session label '{session}' '{path}'"
    )


def _pairs(events: Sequence[Event]) -> list[Found]:
    """From each event that starts something, `film 1 starts`, to the next that stops it."""
    found: list[Found] = []
    for i, event in enumerate(events):
        name, starts, _ = _said(event)
        if not starts:
            continue
        stop = next((later for later in events[i + 1 :] if _stops(later, name)), None)
        if stop is not None and stop.onset_s > event.onset_s:
            found.append(Found(name or f"trial{len(found) + 1:02}", event.onset_s, stop.onset_s))
    return found


def _stops(event: Event, name: str) -> bool:
    """Whether an event stops what is called so; one without a name stops anything."""
    own, _, stops = _said(event)
    return stops and own in ("", name)


def _said(event: Event) -> tuple[str, bool, bool]:
    """What an event is about, and whether its first or last word starts or stops that."""
    words = [word for word in _WORDS.split(event.description.strip()) if word]
    for at in (-1, 0):
        if words and words[at].lower() in _STARTS | _STOPS:
            word = words.pop(at).lower()
            return " ".join(words), word in _STARTS, word in _STOPS
    return " ".join(words), False, False


def _between(events: Sequence[Event], duration_s: float) -> list[Found]:
    times_s = [*(event.onset_s for event in events), duration_s]
    return [
        Found(event.description.strip() or f"trial{i + 1:02}", event.onset_s, times_s[i + 1])
        for i, event in enumerate(events)
        if event.onset_s >= 0 and times_s[i + 1] - event.onset_s >= _SHORTEST_S
    ]


def _told_apart(found: list[Found]) -> list[Found]:
    """Trials of one name are numbered."""
    counts = Counter(trial.name for trial in found)
    seen: Counter[str] = Counter()
    apart = []
    for trial in found:
        seen[trial.name] += 1
        name = f"{trial.name} {seen[trial.name]}" if counts[trial.name] > 1 else trial.name
        apart.append(Found(name, trial.start_s, trial.stop_s))
    return apart
