"""emodict-session record: sensors into a session.h5, without a model."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from emodict.cli.app import log_to_stderr, split_names
from emodict.errors import InputError

if TYPE_CHECKING:
    import typer

    from emodict.cli.options import SourceOptions
    from emodict.features.spec import FeatureSpec
    from emodict_desk.recordings.record import StreamCount


@dataclass(frozen=True)
class RecordRequest:
    """What is to be recorded, as on the command line."""

    sensors: "SourceOptions"
    out: Path
    subject: str = ""
    session: str | None = None
    seconds: float | None = None
    spec_id: str = "emodict-1"


def add_record_command(app: "typer.Typer") -> None:
    """Add `record` to a command's subcommands."""
    from typer import Option

    from emodict.cli import options as given

    @app.command("record")
    @given.unfolded
    def record_(
        *,
        sensors: given.SourceOptions,
        out: Annotated[
            Path, Option("--out", "-o", metavar="FILE", help="The session.h5 to write; a new file.")
        ],
        subject: given.Subject = "",
        session: Annotated[
            str | None, Option(help="Name of the sitting; default: as FILE.")
        ] = None,
        seconds: Annotated[
            float | None, Option(help="Stop after so long; default: at Ctrl-C.")
        ] = None,
        spec: Annotated[
            str, Option(help="Whose signals to record: the models' id of features.")
        ] = "emodict-1",
    ) -> None:
        """Record sensors, without a model, until Ctrl-C; safe against being killed."""
        log_to_stderr()
        request = RecordRequest(sensors, out, subject, session, seconds, spec)
        print(record_session(request))


def record_session(request: RecordRequest) -> str:
    """Record, saying once a second how it goes; what was written, as text."""
    from emodict.cli.live import ended_by_signals, open_sensors, read_speed
    from emodict.live.recorder import SessionRecorder, require_new_file
    from emodict_desk.cli.describe import describe
    from emodict_desk.recordings.record import record, require_samples
    from emodict_desk.recordings.summary import inspect_session

    if request.seconds is not None and not request.seconds > 0:
        raise InputError(
            "A recording lasts a while", expected="--seconds above 0", got=request.seconds
        )
    # Before a sensor is connected, which takes its time.
    require_new_file(request.out)
    with ended_by_signals(), open_sensors(request.sensors, _wanted(request)) as source:
        recorder = SessionRecorder(
            request.out,
            start_s=source.now_s(),
            subject_id=request.subject,
            session_id=request.session,
            simulated=source.simulated,
            patient=read_speed(request.sensors.speed) == math.inf,
        )
        try:
            with recorder:
                counts = record(source, recorder, seconds=request.seconds, each_second=_say)
            recorder.require_whole()
            require_samples(counts, source)
        except InputError:
            _remove_if_empty(request.out)
            raise
    if not request.out.exists():
        return "Stopped before anything was recorded"
    return f"Wrote {request.out}\n{describe(inspect_session(request.out))}"


def _wanted(request: RecordRequest) -> "FeatureSpec":
    """The features whose signals are recorded."""
    from emodict.features.spec import load_spec

    spec = load_spec(request.spec_id)
    channels = split_names(request.sensors.channels)
    # Those of a board say where its electrodes are, all of which are recorded.
    if channels and not (request.sensors.live or "").startswith("brainflow"):
        return spec.with_channels(channels)
    return _of_all_electrodes(spec) if request.sensors.live == "lsl" else spec


def _of_all_electrodes(spec: "FeatureSpec") -> "FeatureSpec":
    """No model asks for some of them: whatever electrodes a stream has are recorded."""
    modalities = (replace(m, channel_names=()) if m.name == "eeg" else m for m in spec.modalities)
    return replace(spec, modalities=tuple(modalities))


def _say(elapsed_s: float, counts: "Sequence[StreamCount]") -> None:
    """One line of how the streams are doing."""
    minutes, rest = divmod(int(elapsed_s), 60)
    parts = [_one(count) for count in counts] or ["waiting for the first sensor"]
    print(f"{minutes:3d}:{rest:02d}  {'; '.join(parts)}", flush=True)


def _one(count: "StreamCount") -> str:
    measured = "" if math.isnan(count.measured_hz) else f", {count.measured_hz:.1f} Hz"
    times = "once" if count.gaps == 1 else f"{count.gaps} times"
    gaps = f", {count.missing_s:.2f} s missing ({times})" if count.gaps else ""
    state = "" if count.state == "live" else f", {count.state}"
    return f"{count.stream.modality} {count.samples} samples{measured}{gaps}{state}"


def _remove_if_empty(path: Path) -> None:
    """A file of nothing would only keep its name from being used."""
    from emodict.recording.session import open_session

    with contextlib.suppress(InputError):
        with open_session(path) as recording:
            empty = not recording.modality_names
        if empty:
            path.unlink()
