"""Everything that is wrong with a session.h5, not only the first thing."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from emodict.errors import ClockError, EmodictError
from emodict.features.face_kinds import embedding_dims
from emodict.features.plausible import doubts_of_signal
from emodict.features.spec import DEFAULT_SPEC_ID, FeatureSpec, load_spec
from emodict.files.hdf5 import DAMAGE
from emodict.recording.modalities import modality_of
from emodict.recording.recording import (
    FaceVideo,
    FloatArray,
    Signal,
    canonical_channel,
    channel_problems,
    clock_problems,
    distribution_problems,
    rate_problems,
    trial_problems,
)
from emodict.recording.session import (
    ROOT_ATTRIBUTES,
    check_format,
    missing_parts,
    open_hdf5,
    read_channel_names,
    read_events,
    read_face,
    read_signal,
    read_text,
    read_trials,
    trial_fields,
)
from emodict.recording.unfinished import is_unfinished
from emodict.recording.units import unit_factor
from emodict_desk.recordings.account import WRONG_FREQUENCIES
from emodict_desk.recordings.rate import usual_rate_hz
from emodict_desk.recordings.summary import missing_share, scan_samples

if TYPE_CHECKING:
    import h5py

_T = TypeVar("_T")

# What shows the stimuli and what records the body run on two clocks.
_SLACK_S = 1.0
# Below this share, gaps are what every radio link loses.
_MISSING_WORTH_SAYING = 0.001
_FLAT_WORTH_SAYING = 0.5
# Timestamps may drift from the nominal rate by this much before it must be the rate that is wrong.
_RATE_TOLERANCE = 0.02
# The headset of the data set (DSI-24) measures against Pz.
_EEG_REFERENCE = "Pz"


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a session: an error makes it unusable,
    a warning says what to expect of it.
    """

    severity: str
    where: str
    message: str


def validate_session(path: str | os.PathLike[str]) -> list[Finding]:
    """Check everything that can be checked in a session.h5, errors first;
    an empty list is a good session.
    """
    found = _Findings()
    with_file = found.attempt("file", open_hdf5, Path(path))
    if with_file is not None:
        with with_file as file:
            if found.attempt("file", _check_format, file, path):
                _check_session(found, file, Path(path))
    return sorted(found.findings, key=lambda finding: finding.severity != "error")


@dataclass
class _Findings:
    findings: list[Finding] = field(default_factory=list)

    def error(self, where: str, message: str) -> None:
        self._add(Finding("error", where, message))

    def warn(self, where: str, message: str) -> None:
        self._add(Finding("warning", where, message))

    def attempt(self, where: str, check: Callable[..., _T], *args: Any) -> _T | None:
        """Run a check that raises; what it raises is a finding, and None comes back."""
        try:
            return check(*args)
        except EmodictError as error:
            self.add_all(where, [error])
        except DAMAGE as error:
            self.error(where, f"cannot be read: {error}")
        return None

    def add_all(self, where: str, problems: Iterable[EmodictError]) -> None:
        """All that a check yields; a sentence need not say once more where it is."""
        for problem in problems:
            sentence = str(problem)
            for part in where.split("/"):
                sentence = sentence.removeprefix(f"{part}: ")
            self.error(
                where,
                sentence
                + (" emodict-session repair may do it." if isinstance(problem, ClockError) else ""),
            )

    def _add(self, finding: Finding) -> None:
        # The same check may run once by itself and once as part of reading the whole.
        if finding not in self.findings:
            self.findings.append(finding)


def _check_format(file: h5py.File, path: str | os.PathLike[str]) -> bool:
    check_format(file, path)
    return True


def _check_session(found: _Findings, file: h5py.File, path: Path) -> None:
    spec = load_spec(DEFAULT_SPEC_ID)
    found.attempt("/", _check_root, found, file)
    stops = []
    modalities = found.attempt("/signals", lambda: list(file.get("signals", {}).keys())) or []
    for modality in modalities:
        group = found.attempt(f"/signals/{modality}", lambda name: file["signals"][name], modality)
        signal = group and found.attempt(f"/signals/{modality}", _check_signal, found, group, spec)
        stops += [signal.stop_s] if signal is not None else []
    # None of a link that leads nowhere, too.
    parts = (
        found.attempt(f"/{name}", file.get, name) for name in ("video/face", "trials", "events")
    )
    face_group, trials, events_group = parts
    if face_group is not None:
        face = found.attempt("/video/face", _check_face, found, face_group, path, spec)
        stops += [face.stop_s] if face is not None else []
    elif not modalities:
        found.error(
            "/signals", "no signals, and no video either. Record or import the session again."
        )
    if trials is not None:
        found.attempt("/trials", _check_trials, found, trials, max(stops, default=None))
    if events_group is not None:
        events = found.attempt("/events", read_events, events_group) or ()
        if not all(np.isfinite(event.onset_s) for event in events):
            found.error("/events", "an onset is not a finite number of seconds.")


def _check_root(found: _Findings, file: h5py.File) -> None:
    missing = [name for name in ROOT_ATTRIBUTES if name not in file.attrs]
    if missing:
        found.warn("/", f"attribute {', '.join(missing)} missing; read as empty.")
    for note in read_text(file.attrs.get("notes", "")).split("; "):
        if note.endswith(WRONG_FREQUENCIES):
            found.warn("/", f"its import noted of {note}.")
    start = read_text(file.attrs.get("start_time", ""))
    if start and not _is_iso_time(start):
        found.warn(
            "/",
            f"start_time is not an ISO 8601 time. Expected 2024-05-01T09:30:00Z, got '{start}'.",
        )


def _is_iso_time(text: str) -> bool:
    try:
        # Python 3.10 reads no Z.
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def _check_signal(found: _Findings, group: h5py.Group, spec: FeatureSpec) -> Signal | None:
    """All checks of one signal, each by itself; the signal where it can be read."""
    where, modality = group.name, group.name.rpartition("/")[2]
    for part in missing_parts(group):
        found.error(where, f"has no {part}.")
    names = found.attempt(where, read_channel_names, modality, group) or ()
    rate = group.attrs.get("sampling_rate")
    if rate is not None:
        found.add_all(where, rate_problems(modality, _as_number(rate)))
    _check_unit(found, where, modality, group, spec)
    if "data" in group:
        found.add_all(where, channel_problems(modality, group["data"].shape, names))
        for clock in ("timestamps", "sequence"):
            # Of a recording that was cut off the last samples lack their times;
            # reading leaves them out.
            if clock in group and not is_unfinished(group):
                found.add_all(
                    where, clock_problems(modality, clock, group[clock][:], len(group["data"]))
                )
    _check_channel_set(found, where, modality, names, spec)
    if missing_parts(group):
        return None
    signal = found.attempt(where, read_signal, modality, group)
    if signal is not None:
        _check_times(found, where, signal, spec)
        if modality_of(modality).placed and signal.reference not in ("", _EEG_REFERENCE):
            found.warn(
                where,
                f"reference is '{signal.reference}'. "
                f"The features were defined against {_EEG_REFERENCE}.",
            )
    # A wrong rate or clock does not keep the samples from being looked at.
    found.attempt(where, _check_samples, found, where, signal or _samples_alone(modality, group))
    return signal


def _samples_alone(modality: str, group: h5py.Group) -> Signal:
    columns = tuple(f"column {i}" for i in range(group["data"].shape[1]))
    return Signal(
        modality=modality, rate_hz=1.0, unit="", channel_names=columns, samples=group["data"]
    )


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _check_unit(
    found: _Findings, where: str, modality: str, group: h5py.Group, spec: FeatureSpec
) -> None:
    if modality not in spec.modality_names:
        found.warn(
            where, f"no model of {spec.id} uses it. Known: {', '.join(spec.modality_names)}."
        )
    elif "units" in group.attrs:
        found.attempt(
            where, _check_one_unit, group.attrs["units"], spec.modality(modality).unit, modality
        )


def _check_one_unit(unit: Any, wanted: str, modality: str) -> None:
    unit_factor(read_text(unit), wanted, of=modality)


def _check_channel_set(
    found: _Findings, where: str, modality: str, names: Sequence[str], spec: FeatureSpec
) -> None:
    wanted = spec.modality(modality).channel_names if modality in spec.modality_names else ()
    there = {canonical_channel(name) for name in names}
    missing = [name for name in wanted if canonical_channel(name) not in there]
    if missing:
        found.warn(
            where,
            f"{len(missing)} of the {len(wanted)} channels of {spec.id} missing: "
            f"{' '.join(missing)}; "
            "its models cannot run on this session, one trained for its channels can (--channels).",
        )


def _check_times(found: _Findings, where: str, signal: Signal, spec: FeatureSpec) -> None:
    lowest = modality_of(signal.modality).lowest_rate_hz
    if signal.rate_hz < lowest:
        found.warn(
            where,
            f"{signal.rate_hz:g} Hz is too slow for the features. Expected at least {lowest:g} Hz.",
        )
    if signal.timestamps_s is not None and signal.sample_count > 1:
        measured = usual_rate_hz(np.asarray(signal.timestamps_s))
        if measured and abs(measured / signal.rate_hz - 1) > _RATE_TOLERANCE:
            found.warn(
                where,
                f"sampling_rate is {signal.rate_hz:g} Hz, "
                f"but the timestamps come at {measured:.4g} Hz; "
                "the timestamps win, and most samples fall off the clock. Correct sampling_rate.",
            )
    if signal.start_s < 0:
        found.warn(
            where,
            f"starts {-signal.start_s:g} s before the recording; what lies before it is not read.",
        )
    shortest_s = max(modality.window_s for modality in spec.modalities)
    length_s = max(0.0, signal.stop_s - signal.start_s)
    if length_s < shortest_s:
        found.error(
            where,
            f"is {length_s:.3g} s long. Expected at least "
            f"{shortest_s:g} s, one window of features.",
        )


def _check_samples(found: _Findings, where: str, signal: Signal) -> None:
    scan = scan_samples(signal)
    if not scan.samples:
        return
    dead = scan.missing == scan.samples
    if dead.all():
        found.error(where, "every sample is NaN: nothing was recorded.")
        return
    for mask, says in (
        (dead, "only NaN"),
        ((scan.flat_share > _FLAT_WORTH_SAYING) & ~dead, "flat most of the time, as off the skin,"),
        (scan.infinite > 0, "infinite samples"),
    ):
        names = [name for name, bad in zip(signal.channel_names, mask, strict=True) if bad]
        if names:
            found.warn(
                where,
                f"{says} in {'channels' if len(names) > 1 else 'channel'} {', '.join(names)}.",
            )
    share = missing_share(signal, scan)
    if share > _MISSING_WORTH_SAYING:
        found.warn(
            where,
            f"{share:.1%} of the samples are missing; windows that touch a gap give no result.",
        )
    for doubt in doubts_of_signal(signal):
        found.warn(where, f"{doubt.partition(': ')[2]}.")


def _check_face(found: _Findings, group: h5py.Group, path: Path, spec: FeatureSpec) -> FaceVideo:
    face = read_face(group, path)
    if face.external_file is not None and not Path(face.external_file).is_file():
        found.error(
            group.name,
            f"external_file '{face.external_file}' is not there. Copy it to the session.",
        )
    if face.embedding is not None and "video" in spec.modality_names:
        dims, wanted = face.embedding.shape[1], embedding_dims(face, spec)
        if dims != wanted:
            found.error(group.name, f"embedding has {dims} numbers a frame. Expected {wanted}.")
    if face.color_order not in ("BGR", "RGB"):
        found.error(group.name, f"color_order is '{face.color_order}'. Expected BGR or RGB.")
    return face


def _check_trials(found: _Findings, group: h5py.Group, duration_s: float | None) -> None:
    """Each trial by itself; what is wrong with one hides nothing of the others."""
    missing = [name for name in ("start", "stop", "trial_id") if name not in group]
    for name in missing:
        found.error(group.name, f"has no dataset '{name}'.")
    if missing:
        return
    trials = trial_fields(group)
    start_s, stop_s, names = trials["start_s"], trials["stop_s"], trials["trial_id"]
    found.add_all(group.name, trial_problems(start_s, stop_s, names))
    if len(start_s) == len(stop_s) == len(names):
        _check_spans(found, group.name, names, start_s, stop_s, duration_s)
        found.attempt(group.name, read_trials, group)
    if trials["distribution"] is not None and trials["distribution"].ndim == 2:
        rows = trials["distribution"][: len(names)]
        found.add_all(
            group.name,
            distribution_problems(rows, lambda row: f"the label row of trial '{names[row]}'"),
        )
    for name, count in Counter(names).items():
        if count > 1:
            found.warn(
                group.name,
                f"{count} trials share the id '{name}'; training takes their rows for one trial.",
            )
    labels = trials["label_names"]
    if len(set(labels)) < len(labels):
        found.error(group.name, f"a label name is there twice: {' '.join(labels)}.")


def _check_spans(
    found: _Findings,
    where: str,
    names: Sequence[str],
    start_s: FloatArray,
    stop_s: FloatArray,
    duration_s: float | None,
) -> None:
    """Trials that the recording does not reach."""
    end_s = np.inf if duration_s is None else duration_s + _SLACK_S
    recorded = "" if duration_s is None else f" (0 s to {duration_s:g} s)"
    for at in np.flatnonzero((start_s < 0) | (stop_s > end_s)).tolist():
        trial = f"trial '{names[at]}' ({start_s[at]:g} s to {stop_s[at]:g} s)"
        found.error(where, f"{trial} lies outside the recording{recorded}.")
