"""`emodict-session label`: what people answered after each trial, into a session."""

# No `from __future__ import annotations`: typer reads annotations of functions inside functions.

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from emodict.cli.app import split_names
from emodict.errors import InputError, OutputError, printable
from emodict.files.atomic import check_writable, refuse_overwriting
from emodict.recording.session import open_session

if TYPE_CHECKING:
    import typer

_TABLE = Path("ratings.csv")


def add_label_command(app: "typer.Typer") -> None:
    """Give `emodict-session` its subcommand `label`."""
    import typer

    option = typer.Option

    @app.command()
    def label(
        session: Annotated[Path, typer.Argument(metavar="SESSION", help="A session.h5.")],
        ratings: Annotated[
            Path | None,
            typer.Argument(
                metavar="RATINGS",
                help="A table with the columns onset, stop (seconds) and one for each emotion.",
            ),
        ] = None,
        out: Annotated[
            Path | None,
            option("--out", "-o", metavar="FILE", help="Write this, and leave SESSION as it is."),
        ] = None,
        scores: Annotated[
            str,
            option(help="How scores become shares: share (score / sum), above-lowest, softmax."),
        ] = "share",
        scale: Annotated[
            str | None,
            option(
                metavar="LOW-HIGH", help="The scale that was answered on, such as 1-5 or 0-100."
            ),
        ] = None,
        template: Annotated[
            bool,
            option("--template", help="Write an empty RATINGS with the trials of SESSION instead."),
        ] = False,
        emotions: Annotated[
            str | None,
            option(
                metavar="NAMES",
                help="Columns of scores: panas, or NAME,... [default: those called by words for "
                "emotions; of a template the ten of DMER]",
            ),
        ] = None,
    ) -> None:
        """Give a session its labels: what was answered after each trial, as shares of emotions."""
        names = _emotions(split_names(emotions))
        if template:
            table = out or ratings or _TABLE
            print(printable(write_empty_table(session, table, names)))
            return
        if ratings is None:
            raise InputError(
                "Nothing says what was answered",
                expected="a table of ratings after the session",
                fix=f"Write an empty one: emodict-session label --template '{session}'",
            )
        print(printable(label_from_table(session, ratings, out or session, scores, scale, names)))


def _emotions(names: Sequence[str]) -> Sequence[str]:
    from emodict_desk.recordings.scores import PANAS

    return PANAS if [name.lower() for name in names] == ["panas"] else names


def label_from_table(
    session: Path,
    ratings: Path,
    out: Path,
    scores: str,
    scale: str | None,
    emotions: Sequence[str] = (),
) -> str:
    """Write the session with its labels; what was done, as text."""
    from emodict_desk.ratings.label import label_session
    from emodict_desk.recordings.scores import read_scale

    check_writable(out, ending=".h5")
    refuse_overwriting(out, [ratings])
    known = None if scale is None else read_scale(scale)
    labelled = label_session(session, ratings, out, function=scores, scale=known, emotions=emotions)
    return f"{labelled}\nWrote {out}"


def write_empty_table(session: Path, table: Path, emotions: Sequence[str]) -> str:
    """Write the table to fill in; what was done, as text."""
    from emodict_desk.ratings.template import describe_template, find_trials, write_template
    from emodict_desk.tables.table import DMER_EMOTIONS

    check_writable(table, ending=".csv")
    if table.exists():
        raise OutputError(
            f"There is a file {table} already", expected="a new one", fix="Name another with -o"
        )
    with open_session(session) as recording:
        found, how = find_trials(recording)
    write_template(found, emotions or DMER_EMOTIONS, table)
    return describe_template(found, how, table, session)
