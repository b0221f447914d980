"""What is in a session.h5, and everything that is wrong with it: read in blocks, whatever its length."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emodict.errors import EmodictError, RecordingError
from emodict.grid import GAP_PERIODS
from emodict.recording import (
    FaceVideo,
    Recording,
    Signal,
    Trials,
    canonical_channel,
    check_channels,
    check_clock,
    check_rate,
    unit_factor,
)
from emodict.session import (
    DAMAGE,
    ROOT_ATTRIBUTES,
    check_format,
    missing_parts,
    open_hdf5,
    open_session,
    read_channel_names,
    read_events,
    read_face,
    read_signal,
    read_trials,
)
from emodict.spec import DEFAULT_SPEC_ID, FeatureSpec, load_spec

if TYPE_CHECKING:
    import h5py

_T = TypeVar("_T")

# One hour of 18 channels is never in memory at once: a block is 60 s.
_BLOCK_S = 60
SUM_TOLERANCE = 1e-3
# Below this share, gaps are what every radio link loses.
_MISSING_WORTH_SAYING = 0.001
_FLAT_WORTH_SAYING = 0.5
# Timestamps may drift from the nominal rate by this much before it must be the rate that is wrong.
_RATE_TOLERANCE = 0.02
# What the highest band (EEG 45 Hz, PPG 8 Hz) needs; GSR is never resampled up.
_LOWEST_RATE_HZ = {"eeg": 100.0, "ppg": 20.0, "gsr": 4.0}


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a session: an error makes it unusable, a warning says what to expect of it."""

    severity: str
    where: str
    message: str


def validate_session(path: str | os.PathLike[str]) -> list[Finding]:
    """Check everything that can be checked in a session.h5, errors first; an empty list is a good session."""
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
            modality = where.rpartition("/")[2]
            self.error(where, str(error).removeprefix(f"{modality}: "))
        except DAMAGE as error:
            self.error(where, f"cannot be read: {error}")
        return None

    def _add(self, finding: Finding) -> None:
        # The same check may run once by itself and once as part of reading the whole.
        if finding not in self.findings:
            self.findings.append(finding)


def _check_format(file: h5py.File, path: str | os.PathLike[str]) -> bool:
    check_format(file, path)
    return True


def _check_session(found: _Findings, file: h5py.File, path: Path) -> None:
    spec = load_spec(DEFAULT_SPEC_ID)
    _check_root(found, file)
    stops = []
    for modality in file.get("signals", ()):
        signal = found.attempt(f"/signals/{modality}", _check_signal, found, file["signals"][modality], spec)
        stops += [signal.stop_s] if signal is not None else []
    if "video/face" in file:
        face = found.attempt("/video/face", _check_face, found, file["video/face"], path, spec)
        stops += [face.stop_s] if face is not None else []
    elif not file.get("signals", ()):
        found.error(
            "/signals", "holds no signals, and there is no video. Record or import the session again."
        )
    if "trials" in file:
        found.attempt("/trials", _check_trials, found, file["trials"], max(stops, default=None))
    if "events" in file:
        events = found.attempt("/events", read_events, file["events"]) or ()
        if not all(np.isfinite(event.onset_s) for event in events):
            found.error("/events", "an onset is not a finite number of seconds.")


def _check_root(found: _Findings, file: h5py.File) -> None:
    missing = [name for name in ROOT_ATTRIBUTES if name not in file.attrs]
    if missing:
        found.warn("/", f"attribute {', '.join(missing)} missing; read as empty.")
    start = file.attrs.get("start_time", "")
    if start and not _is_iso_time(str(start)):
        found.warn("/", f"start_time is no ISO 8601 time. Expected 2024-05-01T09:30:00Z, got '{start}'.")


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
        found.attempt(where, check_rate, modality, _as_number(rate))
    _check_unit(found, where, modality, group, spec)
    if "data" in group:
        found.attempt(where, check_channels, modality, group["data"].shape, names)
        for clock in ("timestamps", "sequence"):
            if clock in group:
                found.attempt(where, check_clock, modality, clock, group[clock][:], len(group["data"]))
    if missing_parts(group):
        return None
    signal = found.attempt(where, read_signal, modality, group)
    if signal is not None:
        _check_channel_set(found, where, signal, spec)
        _check_times(found, where, signal)
        _check_samples(found, where, signal)
    return signal


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _check_unit(found: _Findings, where: str, modality: str, group: h5py.Group, spec: FeatureSpec) -> None:
    if modality not in spec.modality_names:
        found.warn(where, f"no model of {spec.id} uses it. Known: {', '.join(spec.modality_names)}.")
    elif "units" in group.attrs:
        found.attempt(where, _check_one_unit, group.attrs["units"], spec.modality(modality).unit, modality)


def _check_one_unit(unit: Any, wanted: str, modality: str) -> None:
    unit_factor(unit.decode() if isinstance(unit, bytes) else str(unit), wanted, of=modality)


def _check_channel_set(found: _Findings, where: str, signal: Signal, spec: FeatureSpec) -> None:
    if signal.modality not in spec.modality_names:
        return
    wanted = spec.modality(signal.modality).channel_names
    there = {canonical_channel(name) for name in signal.channel_names}
    missing = [name for name in wanted if canonical_channel(name) not in there]
    if missing:
        found.warn(
            where,
            f"{len(missing)} of the {len(wanted)} channels of {spec.id} missing: {' '.join(missing)}; "
            "its models cannot run on this session.",
        )


def _check_times(found: _Findings, where: str, signal: Signal) -> None:
    if signal.rate_hz < _LOWEST_RATE_HZ.get(signal.modality, 0.0):
        lowest = _LOWEST_RATE_HZ[signal.modality]
        found.warn(
            where, f"{signal.rate_hz:g} Hz is too slow for the features. Expected at least {lowest:g} Hz."
        )
    if signal.timestamps_s is not None and signal.sample_count > 1:
        measured = 1.0 / float(np.median(np.diff(signal.timestamps_s)))
        if abs(measured / signal.rate_hz - 1) > _RATE_TOLERANCE:
            found.warn(
                where,
                f"sampling_rate is {signal.rate_hz:g} Hz, but the timestamps are {measured:.4g} Hz apart; "
                "the timestamps win, and most samples fall off the clock. Correct sampling_rate.",
            )
    start = start_s(signal)
    if start < 0:
        found.warn(where, f"starts {-start:g} s before the recording; what lies before it is not read.")
    if signal.stop_s - start < _shortest_s():
        found.error(
            where,
            f"is {max(0.0, signal.stop_s - start):.3g} s long. Expected at least {_shortest_s():g} s, "
            "one window of features.",
        )


def _shortest_s() -> float:
    return max(modality.window_s for modality in load_spec(DEFAULT_SPEC_ID).modalities)


def _check_samples(found: _Findings, where: str, signal: Signal) -> None:
    scan = found.attempt(where, scan_samples, signal)
    if scan is None or not scan.samples:
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
            found.warn(where, f"{says} in channel{'s' * (len(names) > 1)} {', '.join(names)}.")
    share = missing_share(signal, scan)
    if share > _MISSING_WORTH_SAYING:
        found.warn(where, f"{share:.1%} of the samples are missing; windows that touch a gap give no result.")


def _check_face(found: _Findings, group: h5py.Group, path: Path, spec: FeatureSpec) -> FaceVideo:
    face = read_face(group, path)
    if face.external_file is not None and not Path(face.external_file).is_file():
        found.error(group.name, f"external_file '{face.external_file}' is not there. Copy it to the session.")
    if face.embedding is not None and "video" in spec.modality_names:
        dims, wanted = face.embedding.shape[1], spec.modality("video").dims
        if dims != wanted:
            found.error(group.name, f"embedding has {dims} numbers a frame. Expected {wanted}.")
    if face.color_order not in ("BGR", "RGB"):
        found.error(group.name, f"color_order is '{face.color_order}'. Expected BGR or RGB.")
    return face


def _check_trials(found: _Findings, group: h5py.Group, duration_s: float | None) -> None:
    missing = [name for name in ("start", "stop", "trial_id") if name not in group]
    for name in missing:
        found.error(group.name, f"has no dataset '{name}'.")
    if missing:
        return
    trials = found.attempt(group.name, read_trials, group)
    if trials is None:
        return
    _check_spans(found, group.name, trials, duration_s)
    if trials.distribution is not None:
        _check_distribution(found, group.name, trials)


def _check_spans(found: _Findings, where: str, trials: Trials, duration_s: float | None) -> None:
    order = np.argsort(trials.start_s, kind="stable")
    for before, after in zip(order[:-1], order[1:], strict=True):
        if trials.start_s[after] < trials.stop_s[before]:
            found.error(
                where,
                f"trial '{trials.trial_id[after]}' starts at {trials.start_s[after]:g} s, before trial "
                f"'{trials.trial_id[before]}' stops at {trials.stop_s[before]:g} s.",
            )
    for name, start, stop in zip(trials.trial_id, trials.start_s, trials.stop_s, strict=True):
        if start < 0 or (duration_s is not None and stop > duration_s):
            found.error(
                where,
                f"trial '{name}' ({start:g} s to {stop:g} s) lies outside the recording"
                + (f" (0 s to {duration_s:g} s)." if duration_s is not None else "."),
            )


def _check_distribution(found: _Findings, where: str, trials: Trials) -> None:
    if len(set(trials.label_names)) < len(trials.label_names):
        found.error(where, f"a label name is there twice: {' '.join(trials.label_names)}.")
    for name, row in zip(trials.trial_id, np.asarray(trials.distribution), strict=True):
        if not np.isfinite(row).all():
            found.error(where, f"trial '{name}': the distribution holds something that is no finite number.")
        elif (row < 0).any():
            found.error(where, f"trial '{name}': the distribution has a negative entry, {row.min():g}.")
        elif abs(row.sum() - 1) > SUM_TOLERANCE:
            found.error(
                where,
                f"trial '{name}': the distribution sums to {row.sum():.6g}. Expected 1. "
                "Divide the scores by their sum.",
            )


