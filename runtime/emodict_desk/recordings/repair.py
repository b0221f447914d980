"""repair: a session whose times cannot be, with the times that can;
what was done is said and kept in the session.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import datetime
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.files.hdf5 import DAMAGE, members
from emodict.recording.recording import (
    LONGEST_GAPS_S,
    LONGEST_S,
    Recording,
    Samples,
    Signal,
    clock_problems,
    raise_first,
    rate_problems,
)
from emodict.recording.session import (
    check_format,
    open_hdf5,
    other_fields,
    read_face,
    read_text,
    signal_fields,
    write_session,
)

if TYPE_CHECKING:
    import h5py

Float64Array = NDArray[np.float64]
Rows = NDArray[np.intp]

# How far before `start_time` the first sample may lie for its clock to count from 1970.
_EARLY_S = 60.0
# Of the announced rate: times that step by more than so many periods are in another unit.
_MOST_PERIODS = 100.0


def repair_session(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> list[str]:
    """Write to `out` what can be used of a session; what was done, in sentences.
    The session itself stays as it is.

    Samples whose times cannot be are left out: those that are not numbers, those that run back,
    those that lie a day and more from the rest. Times that count from another moment (Unix time)
    are moved to the recording's start, of all modalities by the same.

    Raises:
        RecordingError: it cannot be read, nothing in it can be repaired,
            or there is nothing to repair.
    """
    path, done, left_out = Path(path), list[str](), list[str]()
    with open_hdf5(path) as file:
        check_format(file, path)
        try:
            recording = _repaired(file, path, done, left_out)
        except DAMAGE as error:
            raise RecordingError(
                f"{path} is damaged or incomplete: {error}", fix="Copy it again"
            ) from error
        if not done or not recording.modality_names:
            raise RecordingError(
                f"{path}: there are no times in it that can be repaired",
                fix=" ".join(left_out) or "Use it as it is",
            )
        write_session(_with_notes(recording, done), out)
    return [*done, *(f"Left out: {sentence}" for sentence in left_out)]


def _repaired(file: h5py.File, path: Path, done: list[str], left_out: list[str]) -> Recording:
    """What can be used; `done` and `left_out` hear of all that is changed."""
    fields = {}
    for name, group in members(file.get("signals", {})).items():
        with _leaving_out(left_out, name):
            fields[name] = _with_growing_times(signal_fields(name, group), done)
    shift_s = _shift_of(fields.values(), read_text(file.attrs.get("start_time", "")))
    signals = {}
    for name, content in fields.items():
        with _leaving_out(left_out, name):
            signals[name] = Signal(**_shifted(content, shift_s, done))
    face = None
    with _leaving_out(left_out, "video"):
        face = read_face(file["video/face"], path) if "video/face" in file else None
    return _rest_shifted(Recording(signals=signals, face=face, **other_fields(file, path)), shift_s)


@contextlib.contextmanager
def _leaving_out(sentences: list[str], name: str) -> Iterator[None]:
    """What cannot be used otherwise is left out, and why."""
    try:
        yield
    except RecordingError as error:
        sentences.append(str(error))
    except DAMAGE as error:
        sentences.append(f"{name}: is damaged: {error}.")


def _with_notes(recording: Recording, done: Sequence[str]) -> Recording:
    """The recording that says in itself what was done to it."""
    notes = "; ".join([*filter(None, [recording.attributes.get("notes")]), *done])
    return dataclasses.replace(recording, attributes={**recording.attributes, "notes": notes})


class _ChosenRows:
    """Some rows of samples that stay in their file; `rows` grow."""

    def __init__(self, samples: Samples, rows: Rows) -> None:
        self._samples, self._rows = samples, rows
        self.shape = (len(rows), *samples.shape[1:])

    def __getitem__(self, key: slice, /) -> Any:
        rows = self._rows[key]
        if not len(rows):
            return self._samples[0:0]
        return self._samples[int(rows[0]) : int(rows[-1]) + 1][rows - rows[0]]


def _with_growing_times(fields: dict[str, Any], done: list[str]) -> dict[str, Any]:
    """The fields of a Signal without the samples whose clock,
    be it times or a counter, cannot be.
    """
    raise_first(rate_problems(fields["modality"], fields["rate_hz"]))
    name = "timestamps_s" if fields["timestamps_s"] is not None else "sequence"
    if fields[name] is None or len(fields[name]) != len(fields["samples"]):
        # Which time is whose cannot be known.
        return fields
    times = np.asarray(fields[name], dtype=np.float64)
    periods_s = 1.0 if name == "timestamps_s" else 1.0 / fields["rate_hz"]
    _require_seconds(fields["modality"], times * periods_s, fields["rate_hz"])
    rows = plausible_rows(times * periods_s)
    if len(rows) == len(times):
        return _without_wrong_counter(fields, done)
    done.append(
        f"{fields['modality']}: {len(times) - len(rows)} of {len(times)} samples left out, "
        "whose times are not numbers, run back or lie days from the rest"
    )
    clocks = {
        name: fields[name][rows]
        for name in ("timestamps_s", "sequence")
        if fields[name] is not None
    }
    if name == "timestamps_s":
        # The times win over the counter, which may have another opinion.
        clocks["sequence"] = None
    return {**fields, **clocks, "samples": _ChosenRows(fields["samples"], rows)}


def _require_seconds(modality: str, times_s: Float64Array, rate_hz: float) -> None:
    """Refuse times of which most cannot be: no leaving out of samples would mend them."""
    steps_s = np.diff(times_s[np.isfinite(times_s)])
    if len(steps_s) and np.median(steps_s) * rate_hz > _MOST_PERIODS:
        raise RecordingError(
            f"{modality}: its times are not in seconds",
            expected=f"steps of {1 / rate_hz:.4g} s at {rate_hz:g} Hz",
            got=f"{np.median(steps_s):.4g}",
            fix="Divide them (by 1000, where they are in ms), and write the session again",
        )


def _without_wrong_counter(fields: dict[str, Any], done: list[str]) -> dict[str, Any]:
    """Beside times, which win over it, a counter that cannot be is left out."""
    counter = fields["sequence"]
    if counter is None or fields["timestamps_s"] is None:
        return fields
    if not list(
        clock_problems(fields["modality"], "sequence", np.asarray(counter), len(fields["samples"]))
    ):
        return fields
    done.append(
        f"{fields['modality']}: its counter of samples is left out; its times say where they lie"
    )
    return {**fields, "sequence": None}


def plausible_rows(times_s: Float64Array) -> Rows:
    """Which samples to keep: as many as have times that grow,
    without what lies farther off than any pause.
    """
    finite = np.flatnonzero(np.isfinite(times_s))
    rows = finite[longest_growing(times_s[finite])]
    # Each run ends before a step that no pause of a sitting takes.
    ends = np.flatnonzero(np.diff(times_s[rows]) > LONGEST_GAPS_S) + 1
    return max(np.split(rows, ends), key=len)


def longest_growing(values: Float64Array) -> Rows:
    """The indices of one longest strictly growing subsequence (Schensted 1961):
    the fewest samples are left out.
    """
    if (np.diff(values) > 0).all():
        return np.arange(len(values))
    # Of each length: the least value that a growing subsequence of it ends with,
    # and where that value stands.
    ends: list[float] = []
    at = np.zeros(len(values), dtype=np.intp)
    before = np.full(len(values), -1, dtype=np.intp)
    for i, value in enumerate(values.tolist()):
        length = bisect.bisect_left(ends, value)
        ends[length : length + 1] = [value]
        at[length] = i
        before[i] = at[length - 1] if length else -1
    chosen = [int(at[len(ends) - 1])]
    while before[chosen[-1]] >= 0:
        chosen.append(int(before[chosen[-1]]))
    return np.array(chosen[::-1], dtype=np.intp)


def _shift_of(signals: Iterable[dict[str, Any]], start_time: str) -> float:
    """What is taken from times that count from another moment than the start:
    `start_time`, or else their first.
    """
    firsts = [
        s["timestamps_s"][0]
        for s in signals
        if s["timestamps_s"] is not None and len(s["timestamps_s"])
    ]
    far = [first for first in firsts if abs(first) > LONGEST_S]
    if not far:
        return 0.0
    start_s = _unix_s(start_time)
    since_1970 = start_s is not None and all(
        -_EARLY_S <= first - start_s <= LONGEST_GAPS_S for first in far
    )
    return start_s if since_1970 and start_s is not None else float(min(far))


def _unix_s(start_time: str) -> float | None:
    try:
        # Python 3.10 reads no Z.
        start = datetime.datetime.fromisoformat(start_time.replace("Z", "+00:00"))
    except ValueError:
        return None
    return start.timestamp() if start.tzinfo is not None else None


def _shifted(fields: dict[str, Any], shift_s: float, done: list[str]) -> dict[str, Any]:
    times_s = fields["timestamps_s"]
    if not shift_s or times_s is None or not len(times_s) or abs(times_s[0]) <= LONGEST_S:
        return fields
    done.append(
        f"{fields['modality']}: its times counted from another moment, "
        f"and are moved by {-shift_s:.3f} s: "
        f"its first sample lies at {times_s[0] - shift_s:.3f} s"
    )
    return {**fields, "timestamps_s": times_s - shift_s}


def _rest_shifted(recording: Recording, shift_s: float) -> Recording:
    """Trials and events counted from that other moment, too,
    are moved with the signals; others stay.
    """
    trials = recording.trials
    if trials is not None and len(trials) and shift_s and np.min(trials.start_s) > LONGEST_S:
        starts, stops = np.asarray(trials.start_s) - shift_s, np.asarray(trials.stop_s) - shift_s
        trials = dataclasses.replace(trials, start_s=starts, stop_s=stops)
    events = tuple(
        dataclasses.replace(
            event, onset_s=event.onset_s - (shift_s if abs(event.onset_s) > LONGEST_S else 0.0)
        )
        for event in recording.events
    )
    return dataclasses.replace(recording, trials=trials, events=events)
