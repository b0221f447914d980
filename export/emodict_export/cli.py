"""emodict-export: from a checkpoint to one folded ONNX file, a plan, or a Triton model repository."""

# No `from __future__ import annotations`: typer reads the annotations of functions made inside functions.

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

from emodict.atomic import check_writable, refuse_overwriting
from emodict.cli.app import Progress, log_to_stderr, new_app, run_app
from emodict.errors import InputError

if TYPE_CHECKING:
    import typer

    from emodict_export.export import ExportReport, Precision
    from emodict_train.checkpoint import Checkpoint

NAME = "emodict-export"


@dataclass(frozen=True)
class ExportOptions:
    """What to write, in which precision, for which GPUs."""

    out: Path
    precision: str
    calibration: Path | None = None
    data: tuple[Path, ...] = ()
    sm: str | None = None
    triton: Path | None = None

    @property
    def builds_plan(self) -> bool:
        return self.out.suffix == ".plan"

    @property
    def onnx(self) -> Path:
        """The .onnx that is written: the output itself, or the one beside the plan."""
        return self.out.with_suffix(".onnx")


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
            typer.Option(
                "--out", "-o", help="A .onnx or a .plan; beside the checkpoint by default, a .plan where --sm is given."
            ),
        ] = None,
        precision: Annotated[
            Optional[Literal["fp32", "fp16", "int8"]],  # noqa: UP045
            typer.Option(help="What the graph computes in. [default: fp16 for a .plan, fp32 for a .onnx]"),
        ] = None,
        calibration: Annotated[
            Optional[Path],  # noqa: UP045
            typer.Option(help="The precision.json of emodict-calibrate: which nodes stay in FP32."),
        ] = None,
        data: Annotated[
            Optional[list[Path]],  # noqa: UP045
            typer.Option(help="Recordings or tables for the ranges of INT8; may be given more than once."),
        ] = None,
        sm: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(help="GPUs to build the plan for, on any machine: 86,89,120. [default: the GPU of this one]"),
        ] = None,
        triton: Annotated[
            Optional[Path],  # noqa: UP045
            typer.Option(metavar="DIR", help="Write a model repository for NVIDIA Triton Inference Server, too."),
        ] = None,
    ) -> None:
        """Fold a checkpoint into one self-contained graph, check it against torch, and build a plan from it."""
        log_to_stderr()
        target = checkpoint.with_suffix(".plan" if sm else ".onnx") if out is None else out
        chosen = precision or ("fp16" if target.suffix == ".plan" else "fp32")
        export_all(checkpoint, ExportOptions(target, chosen, calibration, tuple(data or ()), sm, triton))

    return app


def export_all(checkpoint_path: Path, options: ExportOptions) -> None:
    """Write what was asked for, and say what it is."""
    check_options(options)
    if options.builds_plan:
        # Before any work: is there a TensorRT, and can it build for these GPUs?
        from emodict_export.tensorrt_module import choose_backend, parse_sm, require_supported

        backend, capabilities = choose_backend(parse_sm(options.sm) if options.sm else None)
        if backend.ahead_of_time:
            require_supported(backend, capabilities)
    from emodict_export.export import export_onnx
    from emodict_train.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(checkpoint_path)
    report = export_onnx(checkpoint, options.onnx, _precision(checkpoint, options))
    _say_onnx(report)
    if options.builds_plan:
        _build_plan(options)
    if options.triton is not None:
        _write_triton(options)
    print(f"Next: emodict-run --engine {options.out} session.h5")


def check_options(options: ExportOptions) -> None:
    """Refuse what cannot be written, or would do nothing, before any work."""
    if options.out.suffix not in (".onnx", ".plan"):
        raise InputError(
            f"Cannot write {options.out}",
            expected="a file ending in .onnx or .plan",
            got=options.out.suffix or "no ending",
        )
    check_writable(options.onnx)
    if options.builds_plan:
        check_writable(options.out)
    if options.sm and not options.builds_plan:
        raise InputError("--sm names GPUs to build a plan for", expected="-o model.plan", got=f"-o {options.out}")
    if options.calibration is not None and options.precision == "fp32":
        raise InputError("--calibration does nothing in FP32: every node stays FP32", fix="Add --precision fp16")
    if options.data and options.precision != "int8":
        raise InputError(
            "--data is for the ranges of INT8", expected="--precision int8", got=f"--precision {options.precision}"
        )
    if options.precision == "int8" and not options.data:
        raise InputError(
            "INT8 is scaled by the ranges of real windows, and none were given",
            expected="recordings like those the device will see",
            fix=f"{NAME} model.pt --precision int8 --data session.h5",
        )
    if options.triton is not None and options.triton.exists() and not options.triton.is_dir():
        raise InputError(
            f"--triton {options.triton} is a file", expected="a folder, new or of an earlier export", fix="Name another"
        )
    refuse_overwriting(options.onnx, options.data)


def _precision(checkpoint: "Checkpoint", options: ExportOptions) -> "Precision":
    from emodict_export.export import Precision
    from emodict_export.precision import read_precision

    choice = None if options.calibration is None else read_precision(options.calibration)
    if not options.data:
        return Precision(options.precision, choice)
    from emodict_export.windows import calibration_table, engine_tokens

    with Progress("Reading", 1, unit=" files") as progress:
        table = calibration_table(
            checkpoint, options.data, on_file=lambda path, done, total: progress.show(done, path.name, total=total)
        )
    print(f"INT8 ranges from {len(table)} windows of {table.source}" + " (simulated people)" * table.simulated)
    return Precision(options.precision, choice, engine_tokens(checkpoint, table))


def _say_onnx(report: "ExportReport") -> None:
    print(
        f"Wrote {report.path}: {report.precision.upper()}, {report.nodes} nodes, {report.bytes / 1024:.0f} KiB, "
        f"sha256 {report.sha256[:16]}"
    )
    if report.keep_fp32:
        print(f"Kept in FP32: {', '.join(report.keep_fp32)}")
    print(
        f"Against torch at batch 1, 2, 7 and 64: distributions within {report.distribution_error:.1e}, "
        f"weights within {report.weights_error:.1e}"
    )


def _build_plan(options: ExportOptions) -> None:
    import onnx

    from emodict_export.plan import build_plan, write_plan
    from emodict_export.tensorrt_module import parse_sm

    with Progress("Building", 1) as progress:

        def show(phase: str, done: int, total: int) -> None:
            # A dozen short phases: their ends are no news to a log.
            if done < total:
                progress.show(done, phase, total=total)

        plan = build_plan(
            onnx.load(options.onnx),
            compute_capabilities=parse_sm(options.sm) if options.sm else None,
            on_progress=show,
        )
    write_plan(plan, options.out)
    print(
        f"Wrote {options.out} and {options.out.name}.json: {len(plan.content) / 2**20:.1f} MiB in {plan.build_s:.1f} s "
        f"by {plan.builder} {plan.builder_version}, for compute capability {', '.join(plan.compute_capabilities)}; "
        f"{plan.layers_text}"
    )


def _write_triton(options: ExportOptions) -> None:
    from emodict_export.triton import write_triton_repository

    assert options.triton is not None
    repository = write_triton_repository(
        options.triton, onnx=options.onnx, plan=options.out if options.builds_plan else None
    )
    for line in repository.lines:
        print(line)
