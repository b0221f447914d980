"""emodict-run --live: sensors instead of recordings."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emodict.cli.app import plain_output, split_names
from emodict.errors import InputError, OutputError
from emodict.recording.modalities import modality_name

if TYPE_CHECKING:
    from emodict.cli.options import LiveOptions, RunOptions, SourceOptions
    from emodict.engine import Engine
    from emodict.features.spec import FeatureSpec
    from emodict.live.page.listener import PageListener
    from emodict.live.recorder import SessionRecorder
    from emodict.live.row import Listener, LiveRow
    from emodict.live.rows_file import RowsFile
    from emodict.live.source import LiveSource, SensorEvent
    from emodict.predict.person import Adaptation


def require_live_alone(engine: Path | None, idle: Sequence[str]) -> Path:
    """The model of a live run, beside which what belongs to recordings does nothing.

    Raises:
        InputError: no model, or options of another kind of run.
    """
    if idle:
        raise InputError(
            f"A live run has no use for {', '.join(idle)}",
            fix="--json writes rows, --record keeps the signals, "
            "to be run as a recording afterwards",
        )
    if engine is None:
        raise InputError("Nothing to run: --engine model.onnx not given", expected="a model")
    return engine


def run_live_command(engine_path: Path, options: RunOptions, sensors: LiveOptions) -> None:
    """Run the model on sensors until they end, or Ctrl-C."""
    from emodict.engine import open_engine
    from emodict.engine.manifest import no_features
    from emodict.live.run import run_live
    from emodict.results.console import describe_model

    if sensors.record is not None:
        from emodict.live.recorder import require_new_file

        # Before a sensor is connected, which takes its time.
        require_new_file(sensors.record)
    with open_engine(engine_path, device=options.device) as engine, contextlib.ExitStack() as stack:
        if engine.manifest.raw_inputs:
            raise no_features(engine_path)
        adaptation = _adaptation(engine, options, sensors)
        counter, rows = _Counter(), _rows_file(options)
        listeners = [counter, *_listeners(engine_path, options, sensors), *([rows] if rows else [])]
        source = _source(engine, sensors)
        for listener in listeners:
            stack.enter_context(listener)
        options.say(describe_model(engine.manifest, engine_path.name))
        if adaptation is not None:
            options.say(adaptation.describe())
        stack.enter_context(source)
        recorder = _recorder(sensors, source, stack)
        marks = ", SIMULATED" if source.simulated else ""
        finds = (sensors.live or "").startswith(("lsl", "brainflow"))
        waits = f"; a first sensor is looked for, up to {sensors.wait:g} s" if finds else ""
        options.say(f"Live from {source.name}{marks}{waits}; Ctrl-C ends it")
        on_event = _ignored if recorder is None else recorder.keep
        with ended_by_signals():
            run_live(
                engine,
                source,
                listeners,
                adaptation=adaptation,
                invert=options.upside_down,
                on_event=on_event,
                seconds=sensors.seconds,
            )
        stack.close()
        options.say(f"{counter.rows} rows, {counter.answered} answered")
        if rows is not None:
            rows.require_whole()
            options.say(
                f"Wrote {options.out}"
                if counter.rows
                else f"No row came, so {options.out} was not made"
            )
        if recorder is not None:
            recorder.require_whole()
            options.say(f"Recorded {sensors.record}")


def _adaptation(engine: Engine, options: RunOptions, sensors: LiveOptions) -> Adaptation | None:
    """What is done for the person who wears the sensors; refuses what does not fit the model."""
    wanted = engine.manifest.features.modality_names
    strange = [name for name in options.upside_down if name not in wanted]
    if strange:
        raise InputError(f"--invert {strange[0]}: the model reads no such signal", expected=wanted)
    if options.wearer is None:
        return None
    adaptation = options.wearer.adapt(engine.manifest)
    _require_subject(adaptation, sensors.subject)
    return adaptation


class _Counter:
    """How many rows there were."""

    rows = answered = 0

    def begin(self, manifest: Any, source: str) -> None:
        return None

    def row(self, row: LiveRow) -> None:
        self.rows += 1
        self.answered += int(row.prediction.answered[0])

    def __enter__(self) -> _Counter:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _rows_file(options: RunOptions) -> RowsFile | None:
    if options.weights and options.out is None and not options.as_json:
        raise OutputError(
            "--weights has nowhere to go", expected="--out FILE or --json beside it", fix="Add one"
        )
    if options.out is None:
        return None
    from emodict.live.rows_file import RowsFile

    return RowsFile(Path(options.out), with_weights=options.weights)


def _source(engine: Engine, options: LiveOptions) -> LiveSource:
    from emodict.live.camera import NoSensors, WithCamera

    if options.channels and (options.live or "").startswith("replay"):
        raise InputError(
            "--channels has no use in a replay, whose channels have names", fix="Leave it out"
        )
    spec = engine.manifest.features
    if options.camera is None:
        if options.face or options.face_model:
            raise InputError(
                "--face and --face-model describe what --camera sees",
                expected="--camera 0 beside them",
            )
        return open_sensors(options, spec)
    return WithCamera(
        NoSensors() if options.live is None else open_sensors(options, _without_video(spec)),
        options.camera,
        spec,
        face=options.face,
        face_model=options.face_model,
    )


def open_sensors(options: SourceOptions, spec: FeatureSpec) -> LiveSource:
    """The source that `--live` names, not yet entered."""
    from emodict.live.open_source import FORMS, open_source

    if options.live is None:
        raise InputError("No sensors are named", expected=f"--live {FORMS}")
    return open_source(
        options.live,
        spec,
        speed=read_speed(options.speed),
        streams={
            modality_name(m): s
            for m, s in read_pairs(options.stream or (), "--stream eeg=NAME").items()
        },
        board=read_pairs(options.board or (), "--board serial_port=/dev/ttyUSB0"),
        places=split_names(options.channels),
        wait_s=options.wait,
    )


def _without_video(spec: FeatureSpec) -> FeatureSpec:
    """What is left for other sensors beside a camera,
    whose face takes the place of a recorded one.
    """
    others = [name for name in spec.modality_names if name != "video"]
    if not others:
        raise InputError(
            "This model reads only the face", got="--live beside --camera", fix="Leave --live out"
        )
    return spec.with_modalities(others)


def _listeners(engine_path: Path, options: RunOptions, sensors: LiveOptions) -> list[Listener]:
    from emodict.live.printing import JsonListener, TableListener

    listeners: list[Listener] = []
    if options.as_json:
        listeners.append(JsonListener(with_weights=options.weights))
    elif not options.quiet:
        listeners.append(TableListener(plain=plain_output()))
    if sensors.outlet:
        from emodict.live.outlet import LslOutlet

        listeners.append(LslOutlet())
    if sensors.serve is not None:
        listeners.append(_page(engine_path, sensors.serve, sensors.token))
    elif sensors.token is not None:
        raise InputError("--token guards a page, and none is served", expected="--serve beside it")
    return listeners


def _page(engine_path: Path, address: str, token: str | None) -> PageListener:
    """The page; its token may stand in the environment,
    where other users of the machine do not see it.
    """
    from emodict.live.page.address import page_address
    from emodict.live.page.listener import PageListener

    return PageListener(
        page_address(address),
        token=token or os.environ.get("EMODICT_TOKEN"),
        model=engine_path.name,
    )


def _ignored(event: SensorEvent) -> None:
    """What happens, where nothing is recorded."""


def _recorder(
    options: LiveOptions, source: LiveSource, stack: contextlib.ExitStack
) -> SessionRecorder | None:
    if options.record is None:
        return None
    from emodict.live.recorder import SessionRecorder

    return stack.enter_context(
        SessionRecorder(
            options.record,
            start_s=source.now_s(),
            subject_id=options.subject,
            simulated=source.simulated,
            # As fast as it can be read is faster than a disk writes.
            patient=read_speed(options.speed) == math.inf,
        )
    )


def _require_subject(adaptation: Adaptation, subject: str) -> None:
    """A baseline is never applied to somebody else: who wears the sensors must be said."""
    wearer = adaptation.person.subject_id
    if subject != wearer:
        raise InputError(
            "The person.json is of somebody else, or nobody said who wears the sensors",
            expected=f"--subject {wearer}",
            got=f"--subject {subject}" if subject else "no --subject",
        )


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C, a service manager's stop, or a terminal that goes away is how a live run ends."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # Under nohup a terminal may go away.
    endings = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        endings.append(signal.SIGHUP)
    before = {ending: signal.signal(ending, interrupt) for ending in endings}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)


def read_speed(text: str | None) -> float | None:
    """`--speed`: a number, or max."""
    if text is None:
        return None
    try:
        return math.inf if text == "max" else float(text)
    except ValueError:
        raise InputError(
            "--speed is not a speed", expected="a number such as 1 or 10, or max", got=text
        ) from None


def read_pairs(words: Sequence[str], form: str) -> dict[str, str]:
    """Words of the form "key=value"; `form` is an example of them."""
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise InputError(f"'{word}' is not a name and a value", expected=form)
        pairs[key] = value
    return pairs
