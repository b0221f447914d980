"""emodict-session: look into recordings, check them, and make them from other formats."""

# No `from __future__ import annotations`: typer reads the annotations of functions made inside functions.

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from emodict.atomic import check_writable, refuse_overwriting
from emodict.cli.app import Progress, log_to_stderr, new_app, run_app
from emodict.importers import IMPORTERS, Importer
from emodict.session import open_session, write_session
from emodict.summary import SessionSummary, SignalSummary, inspect_session, summarise
from emodict.validate import Finding, validate_session

if TYPE_CHECKING:
    import typer

NAME = "emodict-session"


def main() -> None:
    """Entry point of `emodict-session`."""
    run_app(build, NAME)


def build() -> "typer.Typer":
    """The command and its subcommands."""
    import typer

    app = new_app("Look into recordings (session.h5), check them, and make them from other formats.")
    SessionFile = Annotated[Path, typer.Argument(metavar="FILE", help="A session.h5.")]
    AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

    @app.command()
    def inspect(file: SessionFile, as_json: AsJson = False) -> None:
        """Say what a session holds."""
        summary = inspect_session(file)
        print(_json(dataclasses.asdict(summary)) if as_json else describe(summary))

    @app.command()
    def validate(file: SessionFile, as_json: AsJson = False) -> None:
        """List all that is wrong with a session; exit 2 if unusable."""
        findings = validate_session(file)
        print(_json(_findings_as_dict(file, findings)) if as_json else list_findings(file, findings))
        if any(finding.severity == "error" for finding in findings):
            raise typer.Exit(2)

    @app.command()
    def features(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="session.h5 files.")],
        out: Annotated[Path, typer.Option("--out", "-o", help="Where the table goes: a .npz.")],
        spec: Annotated[
            str, typer.Option(help="Which features: emodict-1 (50 Hz mains), emodict-1-60hz, dmer-2024, dmer-sample.")
        ] = "emodict-1",
    ) -> None:
        """Extract features alone: arrays eeg, gsr, ppg, video, tokens, valid, quality, start_s, names."""
        print(extract_to_file(files, out, spec_id=spec))

    importing = new_app("Make a session.h5 from a recording in another format.")
    for name, importer in IMPORTERS.items():
        importing.command(name, help=(importer.__doc__ or "").partition("\n")[0])(_import_command(importer))
    app.add_typer(importing, name="import")
    return app


def extract_to_file(files: Sequence[Path], out: Path, *, spec_id: str) -> str:
    """Write the features of sessions as one .npz; what was written, as a sentence."""
    from emodict.spec import load_spec
    from emodict.table import join_tables, table_from_recording, write_table

    check_writable(out, ending=".npz")
    log_to_stderr()
    spec = load_spec(spec_id)
    tables = []
    with Progress("Extracting", len(files), unit=" sessions") as progress:
        for i, file in enumerate(files):
            progress.show(i, file.name)
            with open_session(file) as recording:
                tables.append(table_from_recording(recording, spec, name=file.stem))
    table = join_tables(tables)
    write_table(table, out)
    valid = ", ".join(
        f"{m} {s:.0%}" for m, s in zip(spec.modality_names, table.windows.valid.mean(axis=0), strict=True)
    )
    return f"Wrote {len(table)} windows of {spec} to {out}; valid: {valid}"


def _import_command(importer: Importer) -> Callable[..., None]:
    import typer

    def command(
        source: Annotated[Path, typer.Argument(metavar="SOURCE", help="What to read.")],
        out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The session.h5 to write.")],
        subject: Annotated[str | None, typer.Option(help="Name of the person; default: as in SOURCE.")] = None,
        session: Annotated[str | None, typer.Option(help="Name of the sitting; default: as in SOURCE.")] = None,
    ) -> None:
        refuse_overwriting(out, [source])
        check_writable(out, ending=".h5")
        recording = importer(source, subject_id=subject, session_id=session)
        write_session(recording, out)
        print(f"Wrote {out}")
        print(describe(summarise(recording)))

    return command


def describe(summary: SessionSummary) -> str:
    """A summary as text, one fact a line."""
    who = [f"session {summary.session_id or '?'}", f"subject {summary.subject_id or '?'}"]
    who += [summary.start_time or "no start time", _duration(summary.duration_s)]
    who += [summary.device] if summary.device else []
    lines = [", ".join(who)]
    lines += [_describe_signal(signal) for signal in summary.signals] or ["no signals"]
    if summary.face_form is not None:
        frames = "a video file" if summary.face_frames is None else f"{summary.face_frames} frames"
        lines.append(f"  face  {frames} ({summary.face_form})")
    labels = f" of {' '.join(summary.label_names)}" if summary.label_names else ""
    lines.append(f"  {_count(summary.trials, 'trial')}{labels}, {_count(summary.events, 'event')}")
    lines += [f"  {name.replace('_', ' ')}: {value}" for name, value in summary.attributes.items()]
    return "\n".join(lines)


def _describe_signal(signal: SignalSummary) -> str:
    names = signal.channel_names
    channels = f"{len(names)} channels {' '.join(names)}" if len(names) > 1 else "1 channel"
    late = f", from {signal.start_s:g} s on" if signal.start_s else ""
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
    counts = f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}"
    return "\n".join([*lines, f"{file} {verdict}: {counts}"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _findings_as_dict(file: Path, findings: Sequence[Finding]) -> dict[str, Any]:
    usable = not any(finding.severity == "error" for finding in findings)
    return {"file": str(file), "usable": usable, "findings": [dataclasses.asdict(f) for f in findings]}


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)
