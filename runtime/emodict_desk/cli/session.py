"""emodict-session: look into recordings, check them, and make them from other formats."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

import contextlib
import dataclasses
import difflib
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from emodict.cli.app import Progress, log_to_stderr, new_app, run_app, split_modalities
from emodict.errors import InputError, printable
from emodict.files.atomic import check_writable, refuse_overwriting
from emodict.recording.session import open_session, write_session
from emodict_desk.cli.describe import describe, list_findings
from emodict_desk.cli.faces import add_faces_command
from emodict_desk.cli.label import add_label_command
from emodict_desk.cli.record import add_record_command
from emodict_desk.importers import IMPORTERS
from emodict_desk.importers.form import Form, Option
from emodict_desk.importers.join import Companion, join_recordings, keep_only, read_companion
from emodict_desk.importers.kinds import kind_of, only_kind_of
from emodict_desk.importers.places import check_named, with_places
from emodict_desk.ratings.label import refuse_losing_labels
from emodict_desk.recordings.summary import inspect_session, summarise

if TYPE_CHECKING:
    import typer

    from emodict_desk.recordings.validate import Finding
    from emodict_desk.sensors import Sensors

NAME = "emodict-session"
# The command that `import SOURCE` stands for; no kind is called so.
_ANY = "any"


def main() -> None:
    """Entry point of `emodict-session`."""
    run_app(build, NAME)


def build() -> "typer.Typer":
    """The command and its subcommands."""
    import typer

    app = new_app(
        "Look into recordings (session.h5), check them, and make them from other formats."
    )
    SessionFile = Annotated[Path, typer.Argument(metavar="FILE", help="A session.h5.")]
    AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

    @app.command("inspect")
    def inspect_(file: SessionFile, as_json: AsJson = False) -> None:
        """Say what a session holds."""
        summary = inspect_session(file)
        print(_json(dataclasses.asdict(summary)) if as_json else printable(describe(summary)))

    @app.command()
    def validate(file: SessionFile, as_json: AsJson = False) -> None:
        """List all that is wrong with a session; exit 2 if unusable."""
        from emodict_desk.recordings.validate import validate_session

        findings = validate_session(file)
        print(
            _json(_findings_as_dict(file, findings))
            if as_json
            else printable(list_findings(file, findings))
        )
        if any(finding.severity == "error" for finding in findings):
            raise typer.Exit(2)

    @app.command()
    def repair(
        file: SessionFile,
        out: Annotated[
            Path, typer.Option("--out", "-o", metavar="FILE", help="The session.h5 to write.")
        ],
    ) -> None:
        """Write a session again, with times that can be: of Unix times,
        and of times that run back or jump by days.
        """
        from emodict_desk.recordings.repair import repair_session

        refuse_overwriting(out, [file])
        check_writable(out, ending=".h5")
        for sentence in repair_session(file, out):
            print(printable(sentence))
        print(printable(f"Wrote {out}\n{describe(inspect_session(out))}"))

    _add_features_command(app)
    add_faces_command(app)
    add_label_command(app)
    add_record_command(app)
    app.add_typer(_importing(), name="import")
    return app


def _add_features_command(app: "typer.Typer") -> None:
    import typer

    from emodict.cli import options as given

    @app.command()
    def features(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="session.h5 files.")],
        out: Annotated[
            Path,
            typer.Option(
                "--out",
                "-o",
                metavar="FILE",
                help="Where the table goes: a .npz, .csv or .parquet.",
            ),
        ],
        spec: Annotated[
            str,
            typer.Option(
                help="Which features: emodict-1 (50 Hz mains), emodict-1-60hz, "
                "dmer-2024, dmer-sample."
            ),
        ] = "emodict-1",
        modalities: given.Modalities = None,
        channels: given.Channels = None,
    ) -> None:
        """Extract features alone, a row a second: as arrays (.npz),
        or for pandas (.csv, .parquet).
        """
        from emodict_desk.sensors import sensors_from_options

        print(
            extract_to_file(
                files, out, spec_id=spec, sensors=sensors_from_options(modalities, channels)
            )
        )


def _importing() -> "typer.Typer":
    """`import SOURCE`, which finds the kind of recording by itself, and `import KIND`,
    a command for each kind.
    """
    from typer.core import TyperGroup

    class KindOrSource(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if args and _is_kind(args[0]):
                args = [args[0].lower(), *args[1:]]
            elif len(args) > 1:
                _refuse_unknown_kind(*args[:2])
            asks = (
                not args
                or args[0] in (*self.commands, *ctx.help_option_names)
                or _is_misspelt_kind(args[0])
            )
            return super().parse_args(ctx, args if asks else [_ANY, *args])

    importing = new_app(
        "Make a session.h5 from a recording in another format: "
        "emodict-session import SOURCE -o session.h5. "
        "Its kind is found, or named: import KIND SOURCE. "
        "Recordings of several devices join on one clock: "
        "import e4 FOLDER --with eeg.edf --offset 1.25.",
        cls=KindOrSource,
    )
    importing.command(_ANY, help="Find the kind of SOURCE, and read it.", hidden=True)(
        _import_command(None)
    )
    for name, form in IMPORTERS.items():
        importing.command(name, help=form.help, short_help=form.help)(_import_command(form))
    return importing


def extract_to_file(files: Sequence[Path], out: Path, *, spec_id: str, sensors: "Sensors") -> str:
    """Write the features of sessions as one table; what was written, as a sentence."""
    from emodict.features.spec import load_spec
    from emodict.results.metrics import percent
    from emodict_desk.tables.columns import check_features_output, write_features
    from emodict_desk.tables.table import table_from_recording

    refuse_overwriting(out, files)
    check_features_output(out)
    log_to_stderr()
    spec = sensors.of(load_spec(spec_id))
    tables = []
    with Progress("Extracting", len(files), unit=" sessions") as progress:
        for i, file in enumerate(files):
            progress.show(i, file.name)
            with open_session(file) as recording:
                tables.append(table_from_recording(recording, spec, name=file.stem))
    table = write_features(tables, out)
    valid = ", ".join(
        f"{m} {percent(s)}"
        for m, s in zip(spec.modality_names, table.windows.valid.mean(axis=0), strict=True)
    )
    return f"Wrote {len(table)} windows of {spec} to {out}; valid: {valid}"


def _import_command(form: Form | None) -> Callable[..., None]:
    """The command of one importer, with the options of all and its own; of None,
    the one that finds the kind.
    """
    options = form.options if form else _options_of_all()

    def command(**words: Any) -> None:
        own = {
            option.name: words[option.name]
            for option in options
            if words[option.name] not in (None, [])
        }
        request = ImportRequest(**{name: words[name] for name in _SHARED})
        print(printable(import_recording(form or _found_form(request.source, own), own, request)))

    own = {option.name: (_own_annotation(option), None) for option in options}
    signature = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, (annotation, default) in {**_shared_options(), **own}.items()
    ]
    # typer builds the options from the signature, which depends on the importer.
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in signature}
    return command


def _is_kind(text: str) -> bool:
    """Whether a word is a kind in whatever letters, where no file has that name."""
    return text in IMPORTERS or (text.lower() in IMPORTERS and not Path(text).exists())


def _refuse_unknown_kind(word: str, source: str) -> None:
    """Refuse a word before a recording that is neither a kind nor a file.

    Raises:
        InputError: naming the kind that reads the recording.
    """
    if word.startswith("-") or Path(word).exists() or not Path(source).exists():
        return
    kind = kind_of(Path(source))
    raise InputError(
        f"'{word}' is not a kind of recording",
        expected=", ".join(IMPORTERS),
        fix=f"emodict-session import {kind or 'KIND'} '{source}' -o session.h5",
    )


def _is_misspelt_kind(text: str) -> bool:
    """Whether a word looks like a kind, where no file has that name."""
    return (
        text.isidentifier()
        and not Path(text).exists()
        and bool(difflib.get_close_matches(text.lower(), IMPORTERS, n=1))
    )


def _options_of_all() -> tuple[Option, ...]:
    """Of all importers, each name once."""
    return tuple(
        {option.name: option for form in IMPORTERS.values() for option in form.options}.values()
    )


def _found_form(source: Path, options: dict[str, Any]) -> Form:
    """The importer of a file whose kind was not named; it is printed.

    Raises:
        InputError: no importer knows the file, several do, or its own does not know an option that
            was given.
    """
    kind = only_kind_of(source)
    form = IMPORTERS[kind]
    strange = [name for name in options if name not in {option.name for option in form.options}]
    if strange:
        raise InputError(
            f"{source} looks like a recording of kind {kind}, whose import has no --{strange[0]}",
            expected=", ".join(f"--{option.name}" for option in form.options)
            or "no options of its own",
            fix=f"Leave it out, or name the kind: emodict-session import KIND '{source}'",
        )
    print(printable(f"{source.name} is read as kind {kind}"))
    return form


def _shared_options() -> dict[str, tuple[Any, Any]]:
    """Annotation and default of what every importer is asked for; the fields of ImportRequest."""
    import typer

    option = typer.Option
    return {
        "source": (
            Annotated[Path, typer.Argument(metavar="SOURCE", help="What to read.")],
            inspect.Parameter.empty,
        ),
        "out": (
            Annotated[Path, option("--out", "-o", metavar="FILE", help="The session.h5 to write.")],
            inspect.Parameter.empty,
        ),
        "subject": (
            Annotated[str | None, option(help="Name of the person; default: as in SOURCE.")],
            None,
        ),
        "session": (
            Annotated[str | None, option(help="Name of the sitting; default: as in SOURCE.")],
            None,
        ),
        "only": (
            Annotated[
                str | None, option(metavar="M,...", help="Modalities to take of SOURCE: eeg,ppg.")
            ],
            None,
        ),
        "invert": (
            Annotated[
                str | None, option(metavar="M,...", help="Signals to turn upside down: ppg.")
            ],
            None,
        ),
        "channels": (
            Annotated[
                str | None,
                option(
                    metavar="NAME,...",
                    help="Places of unnamed EEG channels: Fp1,Fp2,... or ch1=Fp1,ch2=Fp2.",
                ),
            ],
            None,
        ),
        "join": (
            Annotated[
                list[Path] | None,
                option(
                    "--with",
                    metavar="FILE",
                    help="Another device's recording of the same sitting; repeatable.",
                ),
            ],
            None,
        ),
        "offset": (
            Annotated[
                list[float] | None,
                option(
                    metavar="SECONDS",
                    help="Added to the clock of --with FILE; one for each, in their order.",
                ),
            ],
            None,
        ),
        "with_kind": (
            Annotated[
                list[str] | None,
                option(
                    metavar="KIND",
                    help="Kind of --with FILE, if it cannot be told: e4, edf, ..., session.",
                ),
            ],
            None,
        ),
    }


def _own_annotation(option: Option) -> Any:
    import typer

    kind: Any = float if option.number else str
    info = typer.Option(f"--{option.name}", metavar=option.metavar, help=option.help)
    return Annotated[list[kind] | None if option.many else kind | None, info]


def import_recording(form: Form, options: dict[str, Any], request: "ImportRequest") -> str:
    """Import one recording, others joined to it, and write it; what was written, as text."""
    files = request.join or []
    offsets, kinds = request.offset or [], request.with_kind or []
    for name, values in (("offset", offsets), ("with-kind", kinds)):
        if values and len(values) != len(files):
            raise InputError(
                f"--{name} is there {len(values)} times, and --with {len(files)} times",
                expected="one for each --with",
            )
    twice = [
        file
        for i, file in enumerate(files)
        if _same_file(file, request.source) or file in files[:i]
    ]
    if twice:
        raise InputError(
            f"{twice[0]} is given twice",
            expected="each recording once",
            fix="Leave one of them out",
        )
    refuse_overwriting(request.out, [request.source, *files])
    check_writable(request.out, ending=".h5")
    refuse_losing_labels(request.out)
    with contextlib.ExitStack() as stack:
        only = split_modalities(request.only) if request.only else ()
        options = {**options, "only": only} if form.reads_only else options
        recording = form.read(
            request.source, subject_id=request.subject, session_id=request.session, **options
        )
        if only:
            recording = keep_only(recording, only)
        recording = recording.inverted(split_modalities(request.invert))
        if request.channels:
            recording = with_places(recording, request.channels)
        elif form.names_no_electrodes:
            check_named(request.source, recording)
        companions = [
            Companion(
                file.name,
                read_companion(file, kinds[i] if kinds else None, stack),
                offsets[i] if offsets else 0.0,
            )
            for i, file in enumerate(files)
        ]
        if companions:
            recording = join_recordings(recording, companions)
        write_session(recording, request.out)
        return f"Wrote {request.out}\n{describe(summarise(recording))}"


def _same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


@dataclasses.dataclass(frozen=True)
class ImportRequest:
    """What every importer is asked for, as on the command line."""

    source: Path
    out: Path
    subject: str | None = None
    session: str | None = None
    only: str | None = None
    invert: str | None = None
    channels: str | None = None
    join: list[Path] | None = None
    offset: list[float] | None = None
    with_kind: list[str] | None = None


_SHARED = tuple(field.name for field in dataclasses.fields(ImportRequest))


def _findings_as_dict(file: Path, findings: "Sequence[Finding]") -> dict[str, Any]:
    usable = not any(finding.severity == "error" for finding in findings)
    return {
        "file": str(file),
        "usable": usable,
        "findings": [dataclasses.asdict(f) for f in findings],
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)
