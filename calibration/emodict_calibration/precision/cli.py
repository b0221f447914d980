"""emodict-calibrate precision: what may run in FP16 or INT8, at what cost."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emodict.cli.app import Progress
from emodict.files.atomic import check_writable, refuse_overwriting
from emodict_calibration.precision.options import PrecisionOptions

if TYPE_CHECKING:
    from emodict_calibration.precision.calibrate import PrecisionReport

_Model = Annotated[Path, typer.Argument(metavar="MODEL.pt", help="A checkpoint of emodict-train.")]
_Data = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA...",
        help="Sessions (labels not needed), folders of them, .npz tables, the .mat sample, "
        "DMER folders, EDL .csv.",
    ),
]
_Out = Annotated[
    Path,
    typer.Option("--out", "-o", help="Where the choice goes: a .json that emodict-export obeys."),
]
_MaxKl = Annotated[
    float,
    typer.Option(
        "--max-kl", min=0, help="FP16 may cost this much KL against FP32, mean over windows."
    ),
]
_MaxKlInt8 = Annotated[float, typer.Option("--max-kl-int8", min=0, help="The same for INT8.")]
_Margin = Annotated[
    float,
    typer.Option(min=1, help="A node stays in FP32 if its largest number times this passes 65504."),
]
_Rows = Annotated[
    int,
    typer.Option(min=1, help="Windows to measure the cost on; ranges are taken from all of them."),
]
_Plot = Annotated[
    Path | None,
    typer.Option(help="A picture, .svg or .png. [default: an .svg beside the .json]"),
]


def add_precision(app: typer.Typer) -> None:
    """Give `app` its command `precision`."""
    default = PrecisionOptions()

    @app.command()
    def precision(
        model: _Model,
        data: _Data,
        out: _Out,
        max_kl: _MaxKl = default.max_kl_fp16,
        max_kl_int8: _MaxKlInt8 = default.max_kl_int8,
        margin: _Margin = default.margin,
        rows: _Rows = default.rows,
        plot: _Plot = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the .json instead of the table.")
        ] = False,
    ) -> None:
        """What may run in FP16 or INT8, at what cost."""
        picture = out.with_suffix(".svg") if plot is None else plot
        _check_outputs(out, picture, inputs=[model, *data])
        options = PrecisionOptions(
            max_kl_fp16=max_kl, max_kl_int8=max_kl_int8, margin=margin, rows=rows
        )
        report = _calibrate(model, data, options)
        print(_write(report, out, picture, as_json=as_json))
        if not as_json:
            print(
                f"Wrote {out} and {picture}. Next: emodict-export {model} --precision fp16 "
                f"--calibration {out}"
            )


def _check_outputs(out: Path, picture: Path, *, inputs: Sequence[Path]) -> None:
    """Refuse what could not be written before the work starts."""
    from emodict_calibration.picture import check_picture

    check_writable(out, ending=".json")
    check_picture(picture)
    refuse_overwriting(out, inputs)
    refuse_overwriting(picture, inputs)
    refuse_overwriting(picture, [out])


def _calibrate(model: Path, data: Sequence[Path], options: PrecisionOptions) -> "PrecisionReport":
    from emodict_calibration.precision.calibrate import calibrate_precision
    from emodict_export.cli import read_table
    from emodict_train.model.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(model)
    table = read_table(checkpoint, data)
    with Progress("Calibrating", 1, unit=" steps") as progress:
        return calibrate_precision(
            checkpoint,
            table,
            options,
            data=tuple(path.name for path in data),
            on_step=lambda step: progress.show(step.done, step.stage, total=step.total),
        )


def _write(report: "PrecisionReport", out: Path, picture: Path, *, as_json: bool) -> str:
    """Write both files; the result as text or JSON."""
    from emodict_calibration.precision.as_json import report_as_dict, write_report
    from emodict_calibration.precision.plot import draw_costs
    from emodict_calibration.precision.table import describe

    draw_costs(report, picture)
    write_report(report, out)
    return json.dumps(report_as_dict(report), indent=2) if as_json else describe(report)
