"""emodict-calibrate output: the temperature of a model's distributions."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

from pathlib import Path
from typing import Annotated

import typer

from emodict.cli.app import log_to_stderr
from emodict.files.atomic import check_writable, refuse_overwriting


def add_output(app: typer.Typer) -> None:
    """Give `app` its command `output`."""

    @app.command()
    def output(
        model: Annotated[
            Path, typer.Argument(metavar="MODEL.pt", help="A checkpoint of emodict-train.")
        ],
        data: Annotated[
            list[Path],
            typer.Argument(
                metavar="DATA...", help="Labelled recordings that it was NOT trained on."
            ),
        ],
        out: Annotated[
            Path, typer.Option("--out", "-o", help="Where the calibrated model goes: a .pt.")
        ],
        plot: Annotated[
            Path | None,
            typer.Option(help="A picture, .svg or .png. [default: an .svg beside the .pt]"),
        ] = None,
    ) -> None:
        """Fit the temperature at which the model is as sure as it should be, and fold it in."""
        log_to_stderr()
        picture = out.with_suffix(".svg") if plot is None else plot
        check_writable(out, ending=".pt")
        refuse_overwriting(out, [model, *data])
        from emodict_calibration.picture import check_picture

        check_picture(picture)
        refuse_overwriting(picture, [model, *data])
        from emodict_calibration.output.table import describe, draw_reliability
        from emodict_calibration.output.temperature import calibrate_output, with_temperature
        from emodict_export.cli import read_table
        from emodict_train.model.checkpoint import load_checkpoint, save_checkpoint

        checkpoint = load_checkpoint(model)
        report = calibrate_output(checkpoint, read_table(checkpoint, data))
        draw_reliability(report, picture)
        save_checkpoint(with_temperature(checkpoint, report), out)
        print(describe(report))
        print(f"Wrote {out} and {picture}. Next: emodict-export {out}")
