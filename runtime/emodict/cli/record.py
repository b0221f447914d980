"""emodict-session record: sensors into a session.h5, without a model."""

# No `from __future__ import annotations`: typer reads the annotations of functions made inside functions.

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

from emodict.cli.app import log_to_stderr, split_names
from emodict.errors import InputError

if TYPE_CHECKING:
    import typer

    from emodict.live.record import StreamCount
    from emodict.spec import FeatureSpec


@dataclass(frozen=True)
class RecordRequest:
    """What is to be recorded, as on the command line."""

    live: str
    out: Path
    subject: str = ""
    session: str | None = None
    seconds: float | None = None
    spec_id: str = "emodict-1"
    channels: list[str] = field(default_factory=list)
    speed: float | None = None
    streams: dict[str, str] = field(default_factory=dict)
    board: dict[str, str] = field(default_factory=dict)


def add_record_command(app: "typer.Typer") -> None:
    """Add `record` to a command's subcommands."""
    import typer

    option = typer.Option

    @app.command("record")
    def record_(
        live: Annotated[str, option(metavar="SOURCE", help="lsl, brainflow:BOARD or replay:session.h5.")],
        out: Annotated[Path, option("--out", "-o", metavar="FILE", help="The session.h5 to write; a new file.")],
        subject: Annotated[str, option(help="Name of the person.")] = "",
        session: Annotated[Optional[str], option(help="Name of the sitting; default: as FILE.")] = None,  # noqa: UP045
        seconds: Annotated[Optional[float], option(help="Stop after so long; default: at Ctrl-C.")] = None,  # noqa: UP045
        spec: Annotated[str, option(help="Whose signals to record: the models' id of features.")] = "emodict-1",
        channels: Annotated[
            Optional[str],  # noqa: UP045
            option(metavar="NAME,...", help="EEG channels to record, of LSL (default: all) or a replay."),
        ] = None,
        speed: Annotated[Optional[str], option(metavar="FACTOR", help="Of a replay: 1, 10, max.")] = None,  # noqa: UP045
        stream: Annotated[
            Optional[list[str]],  # noqa: UP045
            option(metavar="MODALITY=NAME", help="Which LSL stream to take, where several could be; repeatable."),
        ] = None,
        board: Annotated[
            Optional[list[str]],  # noqa: UP045
            option(metavar="NAME=VALUE", help="A parameter of the BrainFlow board: serial_port=...; repeatable."),
        ] = None,
    ) -> None:
        """Record sensors, without a model, until Ctrl-C; safe against being killed."""
        log_to_stderr()
        from emodict.cli.live import read_pairs, read_speed

        request = RecordRequest(
            live=live,
            out=out,
            subject=subject,
            session=session,
            seconds=seconds,
            spec_id=spec,
            channels=split_names(channels),
            speed=read_speed(speed),
            streams=read_pairs(stream or (), "--stream eeg=NAME"),
            board=read_pairs(board or (), "--board serial_port=/dev/ttyUSB0"),
        )
        print(record_session(request))


def record_session(request: RecordRequest) -> str:
    """Record, saying once a second how it goes; what was written, as text."""
    from emodict.cli.live import ended_by_signals
    from emodict.cli.session import describe
    from emodict.live.open_source import open_source
    from emodict.live.record import record, require_samples
    from emodict.live.recorder import SessionRecorder
    from emodict.spec import load_spec
    from emodict.summary import inspect_session

    if request.seconds is not None and not request.seconds > 0:
        raise InputError("A recording lasts a while", expected="--seconds above 0", got=request.seconds)
    spec = load_spec(request.spec_id)
    if request.channels:
        if request.live.startswith("brainflow"):
            raise InputError(
                "--channels chooses nothing of a BrainFlow board: all its electrodes are recorded",
                fix="Leave it out; --board channels=NAME,... says where they are",
            )
        spec = spec.with_channels(request.channels)
    elif request.live == "lsl":
        spec = _of_all_electrodes(spec)
    opened = open_source(
        request.live,
        spec,
        speed=request.speed,
        streams=request.streams or None,
        board=request.board or None,
    )
    with ended_by_signals(), opened as source:
        recorder = SessionRecorder(
            request.out,
            start_s=source.now_s(),
            subject_id=request.subject,
            session_id=request.session,
            simulated=source.simulated,
            patient=request.speed == math.inf,
        )
        try:
            with recorder:
                counts = record(source, recorder, seconds=request.seconds, each_second=_say)
            require_samples(counts, source)
        except InputError:
            _remove_if_empty(request.out)
            raise
    if not request.out.exists():
        return "Stopped before anything was recorded"
    return f"Wrote {request.out}\n{describe(inspect_session(request.out))}"


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
    from emodict.session import open_session

    with contextlib.suppress(InputError):
        with open_session(path) as recording:
            empty = not recording.modality_names
        if empty:
            path.unlink()
