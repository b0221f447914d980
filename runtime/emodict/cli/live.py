"""emodict-run --live: sensors instead of recordings."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emodict.errors import InputError, printable

if TYPE_CHECKING:
    from emodict.engine import Engine
    from emodict.features.spec import FeatureSpec
    from emodict.live.page.listener import PageListener
    from emodict.live.recorder import SessionRecorder
    from emodict.live.row import Listener, LiveRow
    from emodict.live.source import Happening, LiveSource
    from emodict.predict.person import Adaptation, Person


@dataclass(frozen=True)
class LiveOptions:
    """Where signals come from, and where rows go.

    Attributes:
        source: what stands after --live; None with a camera alone.
        streams: "eeg=NAME" for each LSL stream that is chosen by name; board: "key=value" of a BrainFlow board.
        plain: standard output knows ASCII alone.
    """

    source: str | None
    speed: str | None = None
    streams: Sequence[str] = ()
    board: Sequence[str] = ()
    camera: str | None = None
    face: str | None = None
    face_model: Path | None = None
    record: Path | None = None
    subject: str = ""
    outlet: bool = False
    serve: str | None = None
    token: str | None = field(default=None, repr=False)
    seconds: int | None = None
    as_json: bool = False
    quiet: bool = False
    with_weights: bool = False
    plain: bool = False
    person: Person | None = None
    device: str | None = None

    @property
    def wanted(self) -> bool:
        """Is this a live run at all?"""
        return self.source is not None or self.camera is not None

    def refuse_idle(self) -> None:
        """Without --live these options would do nothing.

        Raises:
            InputError: naming them.
        """
        names = ("speed", "streams", "board", "face", "face_model", "record", "subject", "outlet", "serve", "token")
        given = [name for name in (*names, "seconds") if getattr(self, name)]
        if given:
            words = {"streams": "stream", "face_model": "face-model"}
            raise InputError(
                f"--{', --'.join(words.get(name, name) for name in given)} is for a live run",
                expected="--live lsl, brainflow:BOARD or replay:session.h5 beside it",
            )


def require_live_alone(engine: Path | None, idle: Mapping[str, object]) -> Path:
    """The model of a live run, beside which what belongs to recordings does nothing.

    Raises:
        InputError: no model, or options of another kind of run.
    """
    given = [name for name, value in idle.items() if value]
    if given:
        raise InputError(
            f"A live run has no use for {', '.join(given)}",
            fix="--json writes rows, --record keeps the signals, to be run as a recording afterwards",
        )
    if engine is None:
        raise InputError("Nothing to run: --engine model.onnx not given", expected="a model")
    return engine


def run_live_command(engine_path: Path, options: LiveOptions) -> None:
    """Run the model on sensors until they end, or Ctrl-C."""
    from emodict.engine import open_engine
    from emodict.live.run import run_live
    from emodict.results.console import describe_model

    say = _say(options)
    if options.record is not None:
        from emodict.live.recorder import require_new_file

        # Before a sensor is connected, which takes its time.
        require_new_file(options.record)
    with open_engine(engine_path, device=options.device) as engine, contextlib.ExitStack() as stack:
        manifest = engine.manifest
        adaptation = None if options.person is None else options.person.adapt(manifest)
        if adaptation is not None:
            _require_subject(adaptation, options)
        counter = _Counter()
        listeners = [counter, *_listeners(engine_path, options)]
        source = _source(engine, options)
        for listener in listeners:
            stack.enter_context(listener)
        say(describe_model(manifest, engine_path.name))
        if adaptation is not None:
            say(adaptation.describe())
        stack.enter_context(source)
        recorder = _recorder(options, source, stack)
        say(f"Live from {source.name}" + (", SIMULATED" if source.simulated else "") + "; Ctrl-C ends it")
        with ended_by_signals():
            on_happening = _ignored if recorder is None else recorder.happened
            run_live(
                engine, source, listeners, adaptation=adaptation, on_happening=on_happening, seconds=options.seconds
            )
        stack.close()
        say(f"{counter.rows} rows, {counter.answered} answered")
        if recorder is not None:
            recorder.require_whole()
            say(f"Recorded {options.record}")


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


def _source(engine: Engine, options: LiveOptions) -> LiveSource:
    from emodict.live.open_source import open_source

    spec = engine.manifest.features
    if options.source is not None:
        sensors = open_source(
            options.source,
            spec if options.camera is None else _without_video(spec),
            speed=read_speed(options.speed),
            streams=read_pairs(options.streams, "--stream eeg=NAME"),
            board=read_pairs(options.board, "--board serial_port=/dev/ttyUSB0"),
        )
    if options.camera is None:
        if options.face or options.face_model:
            raise InputError("--face and --face-model describe what --camera sees", expected="--camera 0 beside them")
        return sensors
    from emodict.live.camera import NoSensors, WithCamera

    return WithCamera(
        NoSensors() if options.source is None else sensors,
        options.camera,
        spec,
        face=options.face,
        face_model=options.face_model,
    )


def _without_video(spec: FeatureSpec) -> FeatureSpec:
    """What is left for other sensors beside a camera, whose face takes the place of a recorded one."""
    others = [name for name in spec.modality_names if name != "video"]
    if not others:
        raise InputError("This model reads the face alone", got="--live beside --camera", fix="Leave --live out")
    return spec.with_modalities(others)


def _listeners(engine_path: Path, options: LiveOptions) -> list[Listener]:
    from emodict.live.printing import JsonListener, TableListener

    listeners: list[Listener] = []
    if options.as_json:
        listeners.append(JsonListener(with_weights=options.with_weights))
    elif not options.quiet:
        listeners.append(TableListener(plain=options.plain))
    if options.outlet:
        from emodict.live.outlet import LslOutlet

        listeners.append(LslOutlet())
    if options.serve is not None:
        listeners.append(_page(engine_path, options.serve, options.token))
    elif options.token is not None:
        raise InputError("--token guards a page, and none is served", expected="--serve beside it")
    return listeners


def _page(engine_path: Path, address: str, token: str | None) -> PageListener:
    """The page; its token may stand in the environment, where other users of the machine do not see it."""
    from emodict.live.page.address import page_address
    from emodict.live.page.listener import PageListener

    return PageListener(page_address(address), token=token or os.environ.get("EMODICT_TOKEN"), model=engine_path.name)


def _ignored(happening: Happening) -> None:
    """What happens, where nothing is recorded."""


def _recorder(options: LiveOptions, source: LiveSource, stack: contextlib.ExitStack) -> SessionRecorder | None:
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


def _require_subject(adaptation: Adaptation, options: LiveOptions) -> None:
    """A baseline is never applied to somebody else: who wears the sensors must be said."""
    wearer = adaptation.person.subject_id
    if options.subject != wearer:
        raise InputError(
            "The person.json is of somebody else, or nobody said who wears the sensors",
            expected=f"--subject {wearer}",
            got=f"--subject {options.subject}" if options.subject else "no --subject",
        )


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C, a service manager's stop, or a terminal that goes away is how a live run ends."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # Under nohup a terminal may go away.
    endings = [signal.SIGTERM] + [signal.SIGHUP] * (signal.getsignal(signal.SIGHUP) != signal.SIG_IGN)
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
        raise InputError("--speed is not a speed", expected="a number such as 1 or 10, or max", got=text) from None


def read_pairs(words: Sequence[str], form: str) -> dict[str, str]:
    """Words of the form "key=value"; `form` is an example of them."""
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise InputError(f"'{word}' is not a name and a value", expected=form)
        pairs[key] = value
    return pairs


def _say(options: LiveOptions) -> Callable[[str], None]:
    """People's lines go to standard error where standard output belongs to a program."""
    return lambda line: print(printable(line), file=sys.stderr if options.as_json else sys.stdout, flush=True)
