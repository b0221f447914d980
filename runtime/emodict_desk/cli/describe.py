"""What is known of a recording, and what is wrong with it, as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emodict_desk.recordings.summary import SessionSummary, SignalSummary
from emodict_desk.wording import count_of

if TYPE_CHECKING:
    from emodict_desk.recordings.validate import Finding

_LATE_S = 0.0005


def describe(summary: SessionSummary) -> str:
    """A summary as text, one fact a line."""
    who = [f"session {summary.session_id or '?'}", f"subject {summary.subject_id or '?'}"]
    who += [summary.start_time or "no start time", _duration(summary.duration_s)]
    who += [summary.device] if summary.device else []
    lines = [", ".join(who)]
    lines += [_describe_signal(signal) for signal in summary.signals] or ["no signals"]
    lines += [
        f"  {name}   cannot be used. {sentence}" for name, sentence in summary.unusable.items()
    ]
    if summary.face_form is not None:
        frames = "a video file" if summary.face_frames is None else f"{summary.face_frames} frames"
        lines.append(f"  face  {frames} ({summary.face_form})")
    labels = f" of {' '.join(summary.label_names)}" if summary.label_names else ""
    lines.append(
        f"  {count_of(summary.trials, 'trial')}{labels}, {count_of(summary.events, 'event')}"
    )
    lines += [f"  {name.replace('_', ' ')}: {value}" for name, value in summary.attributes.items()]
    lines += [f"  doubtful: {doubt}" for doubt in summary.doubts]
    return "\n".join(lines)


def _describe_signal(signal: SignalSummary) -> str:
    names = signal.channel_names
    channels = f"{len(names)} channels {' '.join(names)}" if len(names) > 1 else "1 channel"
    # Clocks that were brought together differ by millionths of a second.
    late = f", from {signal.start_s:g} s on" if abs(signal.start_s) >= _LATE_S else ""
    reference = f", reference {signal.reference}" if signal.reference else ""
    length = _duration(signal.stop_s - signal.start_s)
    return (
        f"  {signal.modality}   {signal.rate_hz:g} Hz, {signal.unit}, {length}{late}, "
        f"{signal.missing_share:.1%} missing, {signal.flat_share:.1%} flat, {channels}{reference}"
    )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"


def list_findings(file: Path, findings: Sequence[Finding]) -> str:
    """Findings as text, one a line, the verdict last."""
    lines = [f"{finding.severity}: {finding.where}: {finding.message}" for finding in findings]
    errors = sum(finding.severity == "error" for finding in findings)
    verdict = "cannot be used as it is" if errors else "can be used"
    counts = f"{count_of(errors, 'error')}, {count_of(len(findings) - errors, 'warning')}"
    return "\n".join([*lines, f"{file} {verdict}: {counts}"])
