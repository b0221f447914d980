"""What every command has besides its own options: help in groups, --version, completion,
hints at a wrong option.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typer

# What people type who come from other tools, and what does it here.
_PRECISION = (
    "Precision is chosen when a model is exported: emodict-export model.pt --precision fp16."
)
_CALLED_HERE = {
    "--format": "The ending of the file after --out, or -o, names its format.",
    "--model": "emodict-run takes its model after --engine; "
    "emodict-export and emodict-calibrate take model.pt "
    "without an option.",
    "--half": _PRECISION,
    "--fp16": _PRECISION,
    "--int8": _PRECISION,
    "--output": "It is called --out, or -o.",
    "--verbose": "Everything is said already; emodict-run --quiet says less.",
    "--gpu": "It is called --device cuda.",
}


def complete_command(app: typer.Typer, name: str) -> Any:
    """The command that an app describes, and its subcommands, with what all of them have."""
    import typer.main

    command = typer.main.get_command(app)
    if any(key.endswith("_COMPLETE") for key in os.environ):
        import typer.completion

        # Not at every start: a shell asks by the variable _EMODICT_RUN_COMPLETE.
        typer.completion.completion_init()  # type: ignore[attr-defined]
    command.params.append(_version_option(name))
    _group_help(command)
    return command


def hint_at(error: Exception) -> str:
    """A sentence on what does here what an option of other tools does;
    "" where nothing is known of it.
    """
    return _CALLED_HERE.get(str(getattr(error, "option_name", "")), "")


def _version_option(name: str) -> Any:
    from typer.core import TyperOption

    def say(context: Any, parameter: Any, wanted: bool) -> None:
        if wanted:
            from emodict import __version__

            print(f"{name} {__version__}")
            context.exit(0)

    return TyperOption(
        param_decls=["--version"], is_flag=True, is_eager=True, expose_value=False, callback=say,
        help="Say which version this is, and exit.",
    )  # fmt: skip


def _group_help(command: Any) -> None:
    """Let help list the options under the headings that they were given
    (`rich_help_panel`), in their order.
    """
    if hasattr(command, "commands"):
        for inner in command.commands.values():
            _group_help(inner)
        return

    def format_options(context: Any, formatter: Any) -> None:
        panels: dict[str, list[Any]] = {}
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None:
                of = "Arguments" if parameter.param_type_name == "argument" else "Options"
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or of, []).append(
                    record
                )
        for title, records in panels.items():
            with formatter.section(title):
                formatter.write_dl(records)

    command.format_options = format_options
