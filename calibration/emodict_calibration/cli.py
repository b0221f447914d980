"""emodict-calibrate: numbers fitted after training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from emodict.cli.app import new_app, run_app
from emodict_calibration.output import cli as output_cli
from emodict_calibration.person import cli as person_cli
from emodict_calibration.precision import cli as precision_cli

NAME = "emodict-calibrate"
DEFAULT_COMMAND = "precision"
_HELP = f"""Numbers fitted after training: what may run in FP16 or INT8, a person's baseline,
the output's temperature.

\b
`{NAME} MODEL.pt DATA... -o precision.json` is short for `{NAME} {DEFAULT_COMMAND} ...`;
a file that is named like a command is given as ./person.
"""


class _PrecisionByDefault(TyperGroup):
    """Words that begin with no command's name are those of `precision`,
    whose options the help lists too.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if (
            args
            and not self._names_command(args[0])
            and args[0] not in (*ctx.help_option_names, "--version")
        ):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def _names_command(self, word: str) -> bool:
        """A bare word that is not a file is meant for a command, too: misspelled,
        typer says which was meant.
        """
        return word in self.commands or (word.isalpha() and not Path(word).exists())

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        precision = self.commands[DEFAULT_COMMAND]
        records = [param.get_help_record(ctx) for param in precision.params]
        with formatter.section(f"Arguments and options of {DEFAULT_COMMAND}"):
            formatter.write_dl([record for record in records if record is not None])


def main() -> None:
    """Entry point of `emodict-calibrate`."""
    run_app(build, NAME)


def build() -> typer.Typer:
    """The command and its subcommands."""
    app = new_app(_HELP, cls=_PrecisionByDefault)

    # With a callback typer makes a group even of a single command.
    @app.callback()
    def group() -> None:
        pass

    precision_cli.add_precision(app)
    person_cli.add_person(app)
    person_cli.add_population(app)
    output_cli.add_output(app)
    return app
