"""The options of `emodict-run`, and those that other commands share with it,
each with what help says of it.
"""

# typer stands at the top: only a command that is being built imports this module.
import copy
import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_type_hints

from typer import Argument, Option  # noqa: TID253

from emodict.cli.app import split_modalities
from emodict.errors import printable

if TYPE_CHECKING:
    from emodict.predict.person import Person as PersonOfRun

Engine = Annotated[
    Path | None,
    Option(help="The model: a .onnx or .plan, or demo:wrist, which comes with emodict."),
]
Recordings = Annotated[
    list[Path] | None,
    Argument(
        metavar="RECORDING...",
        help="Sessions, folders of them, other makers' recordings, or feature tables.",
    ),
]
Results = Annotated[
    str | None,
    Option(
        "--out",
        "-o",
        help="Write all rows: .csv .json .jsonl .parquet .h5, or - for CSV on standard output; "
        "live: .csv .jsonl.",
    ),
]
Report = Annotated[Path | None, Option(help="Write a page to look at: report.html.")]
Weights = Annotated[bool, Option("--weights", help="With the weights of the dictionary.")]
AsJsonLines = Annotated[bool, Option("--json", help="JSON lines on standard output, for programs.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Only the summary.")]
Part = Annotated[str | None, Option(help="Which part of a .mat with several.")]
Device = Annotated[
    str | None,
    Option(help="cpu or cuda; by default a plan runs on the GPU, a model.onnx on the CPU."),
]
Person = Annotated[
    Path | None,
    Option(help="A person.json of emodict-calibrate: these are recordings of that person."),
]
Invert = Annotated[
    str | None,
    Option(metavar="M,...", help="Turn signals upside down: ppg, if light falls with the pulse."),
]
Jobs = Annotated[int, Option(help="Processes of this machine that share the recordings.")]
Dask = Annotated[
    str | None,
    Option(metavar="ADDRESS", help="A Dask cluster that shares the recordings: tcp://host:8786."),
]
Trust = Annotated[
    Path | None,
    Option(
        envvar="EMODICT_TRUST",
        help="A public key (PEM): run no model but those that its owner has signed.",
    ),
]
Check = Annotated[
    bool,
    Option("--check", help="Say what this machine can run and, with --engine, whether that model."),
]

# What is read of a recording.
Modalities = Annotated[str | None, Option(help="Only these, e.g. ppg,gsr.")]
Channels = Annotated[
    str | None,
    Option(help="Only these of the EEG, e.g. AF7,AF8,TP9,TP10. [default: those of the features]"),
]
Spec = Annotated[str | None, Option(help="Features to compute from sessions. [default: emodict-1]")]

# Sensors.
Live = Annotated[
    str | None,
    Option(
        metavar="SOURCE",
        help="Sensors instead of recordings: lsl, brainflow:BOARD, replay:session.h5.",
    ),
]
Speed = Annotated[
    str | None, Option(metavar="FACTOR", help="Of a replay: 1 (the default), 10, max.")
]
Stream = Annotated[
    list[str] | None,
    Option(
        metavar="MODALITY=NAME",
        help="Which LSL stream: NAME, NAME@HOST or NAME:CHANNEL, "
        "where several could be; may be repeated.",
    ),
]
Board = Annotated[
    list[str] | None,
    Option(
        metavar="KEY=VALUE", help="A BrainFlow board's parameter, as serial_port; may be repeated."
    ),
]
Places = Annotated[
    str | None,
    Option(
        "--channels",
        metavar="NAME,...",
        help="Where the electrodes are, in their order, for a live device that names none.",
    ),
]
Wait = Annotated[
    float,
    Option(
        metavar="SECONDS", min=1.0, help="How long to look for the first sensor, before giving up."
    ),
]
Record = Annotated[Path | None, Option(help="Keep all that comes live in a session.h5.")]
Subject = Annotated[str, Option(help="Who wears the sensors.")]
Rows = Annotated[
    int | None, Option("--seconds", min=1, help="End a live run after so many seconds.")
]

# Faces.
Camera = Annotated[
    str | None,
    Option(
        metavar="NUMBER|VIDEO", help="A camera, or a video that plays at its own pace: the face."
    ),
]
_FACE = Option(
    metavar="FILE|hog", help="What describes the face: a face.onnx, a face.plan, or hog (no file)."
)
Face = Annotated[str | None, _FACE]
RequiredFace = Annotated[str, _FACE]
FaceModel = Annotated[
    Path | None,
    Option(metavar="FILE", help="YuNet model that finds the face; default: the one installed."),
]

# Where live rows go.
Outlet = Annotated[bool, Option("--outlet", help="Send the rows on as a stream of LSL.")]
Serve = Annotated[
    str | None,
    Option(metavar="[HOST:]PORT", help="Show the rows on a web page: 8765, for this machine only."),
]
Token = Annotated[
    str | None,
    Option(
        help="Secret that the page asks for, or EMODICT_TOKEN; a must where others can reach it."
    ),
]


@dataclass(frozen=True)
class RunOptions:
    """Where the results go, and in which form; each field is an option of `emodict-run`."""

    out: Results = None
    report: Report = None
    weights: Weights = False
    as_json: AsJsonLines = False
    quiet: Quiet = False
    part: Part = None
    device: Device = None
    person: Person = None
    invert: Invert = None
    jobs: Jobs = 1
    dask: Dask = None

    HEADINGS: ClassVar = {
        "Results": ("out", "report", "weights", "as_json", "quiet"),
        "Recordings": ("part", "person", "invert"),
        "Where it runs": ("device", "jobs", "dask"),
    }

    def say(self, line: str) -> None:
        """Print for people: on standard error where standard output belongs to a program."""
        stream = sys.stderr if self.as_json or self.out == "-" else sys.stdout
        print(printable(line), file=stream, flush=True)

    @property
    def works_elsewhere(self) -> bool:
        return self.jobs != 1 or self.dask is not None

    @property
    def upside_down(self) -> list[str]:
        """The modalities of `--invert`."""
        return split_modalities(self.invert)

    @functools.cached_property
    def wearer(self) -> "PersonOfRun | None":
        """The person of `--person`, read once."""
        if self.person is None:
            return None
        from emodict.predict.person import read_person

        return read_person(self.person)


@dataclass(frozen=True)
class SourceOptions:
    """Where live signals come from; each field is an option of whatever reads sensors."""

    live: Live = None
    speed: Speed = None
    stream: Stream = None
    board: Board = None
    channels: Places = None
    wait: Wait = 30.0


@dataclass(frozen=True)
class LiveOptions(SourceOptions):
    """Besides, the face, and where rows and signals go;
    each field is an option of `emodict-run`.
    """

    camera: Camera = None
    face: Face = None
    face_model: FaceModel = None
    record: Record = None
    subject: Subject = ""
    outlet: Outlet = False
    serve: Serve = None
    token: Token = field(default=None, repr=False)
    seconds: Rows = None

    HEADINGS: ClassVar = {
        "Sensors": ("live", "speed", "stream", "board", "channels", "wait"),
        "The face": ("camera", "face", "face_model"),
        "Live": ("record", "subject", "outlet", "serve", "token", "seconds"),
    }

    @property
    def wanted(self) -> bool:
        """Is this a live run at all?"""
        return self.live is not None or self.camera is not None


def given_options(options: Any, *, but: tuple[str, ...] = ()) -> list[str]:
    """Which options of a group were given, as they are typed; `but`:
    fields that are passed over.
    """
    given = [one.name for one in fields(options) if getattr(options, one.name) != one.default]
    kinds = get_type_hints(type(options), include_extras=True)
    return [_typed(name, kinds[name]) for name in given if name not in but]


def _typed(name: str, kind: Any) -> str:
    """A field's option as it is typed: by its own name, or by that of the field."""
    own = [word for word in get_args(kind)[1].param_decls or () if word.startswith("--")]
    return own[0] if own else f"--{name.replace('_', '-')}"


def _headed(group: Any, name: str, kind: Any) -> Any:
    """The annotation of a field, with the heading under which help lists it."""
    heading = next(
        (heading for heading, names in getattr(group, "HEADINGS", {}).items() if name in names),
        None,
    )
    if heading is None:
        return kind
    inner, option = get_args(kind)
    option = copy.copy(option)
    option.rich_help_panel = heading
    return Annotated[inner, option]


def unfolded(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command with a parameter that is a group of options -> one with a parameter for
    each, as typer wants it.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(command).parameters.values():
        if not is_dataclass(parameter.annotation):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = group = parameter.annotation
        kinds = {
            name: _headed(group, name, kind)
            for name, kind in get_type_hints(group, include_extras=True).items()
        }
        parameters += [
            inspect.Parameter(
                one.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=one.default,
                annotation=kinds[one.name],
            )
            for one in fields(group)
        ]

    def flat(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = group(**{one.name: given.pop(one.name) for one in fields(group)})
        return command(**given)

    flat.__doc__ = command.__doc__
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {one.name: one.annotation for one in parameters}
    return flat
