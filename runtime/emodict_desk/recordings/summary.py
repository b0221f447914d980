"""What a session.h5 holds, in a few numbers; read in blocks, whatever its length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.recording.grid import GAP_PERIODS
from emodict.recording.recording import Recording, Signal
from emodict.recording.session import open_session

# One hour of 18 channels is never in memory at once: a block is 60 s.
_BLOCK_S = 60


@dataclass(frozen=True)
class SignalSummary:
    """One signal; shares are of all its channels' samples, from the first to the last.

    Attributes:
        missing_share: NaN, and what the sequence counter or the timestamps show to be lost.
        flat_share: of whole seconds in which a channel does not change.
    """

    modality: str
    rate_hz: float
    unit: str
    channel_names: tuple[str, ...]
    reference: str
    samples: int
    start_s: float
    stop_s: float
    missing_share: float
    flat_share: float


@dataclass(frozen=True)
class SessionSummary:
    """What a session holds; face_form is None without video, face_frames None for an external file.

    `doubts` are sentences on what in its signals cannot be, such as a wrong unit; `unusable` says
    of each modality that cannot be used why.
    """

    session_id: str
    subject_id: str
    start_time: str
    device: str
    software: str
    duration_s: float
    signals: tuple[SignalSummary, ...]
    face_form: str | None
    face_frames: int | None
    trials: int
    label_names: tuple[str, ...]
    events: int
    attributes: dict[str, str]
    unusable: dict[str, str]
    doubts: tuple[str, ...] = ()


def inspect_session(path: str | os.PathLike[str]) -> SessionSummary:
    """Summarise a session.h5.

    Raises:
        RecordingError: it cannot be read; `validate_session` lists all that is wrong.
    """
    with open_session(path) as recording:
        return summarise(recording)


def summarise(recording: Recording) -> SessionSummary:
    """Summarise a recording, in memory or in a file."""
    from emodict.features.plausible import doubts_of

    face, trials = recording.face, recording.trials
    frames = None if face is None or face.form == "external_file" else len(face.timestamps_s)
    return SessionSummary(
        session_id=recording.session_id,
        subject_id=recording.subject_id,
        start_time=recording.start_time,
        device=recording.device,
        software=recording.software,
        duration_s=recording.duration_s,
        signals=tuple(_summarise_signal(signal) for signal in recording.signals.values()),
        face_form=None if face is None else face.form,
        face_frames=frames,
        trials=0 if trials is None else len(trials),
        label_names=() if trials is None else trials.label_names,
        events=len(recording.events),
        attributes=dict(recording.attributes),
        doubts=doubts_of(recording),
        unusable=dict(recording.unusable),
    )


@dataclass(frozen=True)
class Scan:
    """Counts from one pass over the samples; arrays are per channel."""

    samples: int
    missing: NDArray[np.int64]
    infinite: NDArray[np.int64]
    seconds: int
    flat_seconds: NDArray[np.int64]

    @property
    def flat_share(self) -> NDArray[np.float64]:
        return self.flat_seconds / max(1, self.seconds)


def _summarise_signal(signal: Signal) -> SignalSummary:
    scan = scan_samples(signal)
    return SignalSummary(
        modality=signal.modality,
        rate_hz=signal.rate_hz,
        unit=signal.unit,
        channel_names=signal.channel_names,
        reference=signal.reference,
        samples=scan.samples,
        start_s=signal.start_s,
        stop_s=signal.stop_s,
        missing_share=missing_share(signal, scan),
        flat_share=float(scan.flat_share.mean()) if len(scan.flat_seconds) else 0.0,
    )


def scan_samples(signal: Signal) -> Scan:
    """Count what is missing, infinite or flat, a block at a time."""
    channels = len(signal.channel_names)
    missing, infinite, flat = (np.zeros(channels, dtype=np.int64) for _ in range(3))
    second = max(2, round(signal.rate_hz))
    seconds = 0
    for block in _blocks(signal, second * _BLOCK_S):
        missing += np.isnan(block).sum(axis=0)
        infinite += np.isinf(block).sum(axis=0)
        whole = block[: len(block) // second * second].reshape(-1, second, channels)
        seconds += len(whole)
        flat += (whole.max(axis=1) == whole.min(axis=1)).sum(axis=0)
    return Scan(signal.sample_count, missing, infinite, seconds, flat)


def _blocks(signal: Signal, rows: int) -> Iterator[NDArray[Any]]:
    for start in range(0, signal.sample_count, rows):
        yield signal.read(start, start + rows)


def missing_share(signal: Signal, scan: Scan) -> float:
    """Share of samples that are NaN or never arrived, from the first sample to the last."""
    channels = len(signal.channel_names)
    expected = (scan.samples + _lost_samples(signal)) * channels
    present = scan.samples * channels - int(scan.missing.sum())
    return 1.0 - present / expected if expected else 0.0


def _lost_samples(signal: Signal) -> int:
    """Samples that never arrived, by the timestamps or else the sequence counter."""
    if signal.timestamps_s is not None:
        steps = np.diff(signal.timestamps_s) * signal.rate_hz
        return int((np.round(steps[steps > GAP_PERIODS]) - 1).sum())
    if signal.sequence is not None and signal.sample_count:
        return int(signal.sequence[-1]) - int(signal.sequence[0]) + 1 - signal.sample_count
    return 0
