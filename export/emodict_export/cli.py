"""emodict-export: from a checkpoint to one folded ONNX file."""

# No `from __future__ import annotations`: typer reads the annotations of functions made inside functions.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

from emodict.atomic import check_writable
from emodict.cli.app import new_app, run_app

if TYPE_CHECKING:
    import typer

NAME = "emodict-export"


def main() -> None:
    """Entry point of `emodict-export`."""
    run_app(build, NAME)


def build() -> "typer.Typer":
    """The command."""
    import typer

    app = new_app("")

    @app.command()
    def export(
        checkpoint: Annotated[Path, typer.Argument(metavar="MODEL.pt", help="A checkpoint of emodict-train.")],
        out: Annotated[
            Optional[Path],  # noqa: UP045
            typer.Option("--out", "-o", help="A .onnx file; beside the checkpoint by default."),
        ] = None,
    ) -> None:
        """Fold a checkpoint into one self-contained ONNX graph and check it against torch."""
        target = checkpoint.with_suffix(".onnx") if out is None else out
        check_writable(target, ending=".onnx")
        from emodict_export.export import export_onnx
        from emodict_train.checkpoint import load_checkpoint

        report = export_onnx(load_checkpoint(checkpoint), target)
        print(f"Wrote {report.path}: {report.nodes} nodes, {report.bytes / 1024:.0f} KiB, sha256 {report.sha256[:16]}")
        print(
            f"Against torch at batch 1, 2, 7 and 64: distributions within {report.distribution_error:.1e}, "
            f"weights within {report.weights_error:.1e}"
        )
        print(f"Next: emodict-run --engine {report.path} session.h5")

    return app
