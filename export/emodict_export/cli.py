"""emodict-export: from a checkpoint to one folded ONNX file, a plan,
or a Triton model repository; face engines.
"""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from emodict.cli.app import Progress, log_to_stderr, new_app, run_app
from emodict.errors import InputError
from emodict_export.options import ExportOptions, bytes_of, check_options

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from emodict.predict.person import Person
    from emodict_desk.tables.table import FeatureTable
    from emodict_export.export import ExportReport, Precision
    from emodict_export.raw.export import RawReport
    from emodict_train.model.checkpoint import Checkpoint

NAME = "emodict-export"


def main() -> None:
    """Entry point of `emodict-export`."""
    run_app(build, NAME)


_Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="A checkpoint of emodict-train; with --face, a vgg16.pth."
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="A .onnx, a .plan or a .c; beside MODEL by default, a .plan where --sm is given.",
    ),
]
_Precision = Annotated[
    Literal["fp32", "fp16", "int8"] | None,
    typer.Option(help="What the graph computes in. [default: fp16 for a .plan, fp32 for a .onnx]"),
]
_Calibration = Annotated[
    Path | None,
    typer.Option(help="The precision.json of emodict-calibrate: which nodes stay in FP32."),
]
_Data = Annotated[
    list[Path] | None,
    typer.Option(help="Recordings or tables for the ranges of INT8; may be given more than once."),
]
_Sm = Annotated[
    str | None,
    typer.Option(
        help="GPUs to build the plan for, on any machine: 86,89,120. [default: the GPU of this one]"
    ),
]
_Triton = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Write a model repository for NVIDIA Triton Inference Server, too."
    ),
]
_Face = Annotated[
    bool,
    typer.Option(
        "--face", help="MODEL holds the weights of VGG-16: make the engine that describes faces."
    ),
]
_Form = Annotated[
    Literal["clean", "reference"] | None,
    typer.Option(
        help="With --face: pixels as on ImageNet, or scrambled as in the paper's code. "
        "[default: clean]"
    ),
]
_Sign = Annotated[
    Path | None,
    typer.Option(metavar="KEY", help="A private Ed25519 key (PEM): sign what is written."),
]
_Raw = Annotated[
    bool,
    typer.Option("--raw", help="Begin at raw samples: a second in, a row out, no Python needed."),
]
_WithTokens = Annotated[
    bool, typer.Option("--with-tokens", help="With --raw: give the features of each second, too.")
]
_Many = Annotated[
    bool,
    typer.Option("--many", help="With --raw: take many seconds of one wearer in a call."),
]
_Person = Annotated[
    Path | None,
    typer.Option(help="With --raw or a .c: fold in this person.json of emodict-calibrate."),
]
_CheckVectors = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write raw seconds and the rows that Python gives for them, .npz and C, "
        "to check your own integration with.",
    ),
]
_Ram = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES", help="With -o model.c: refuse a model that needs more RAM, e.g. 64k."
    ),
]


def build() -> typer.Typer:
    """The command."""
    app = new_app("")

    @app.command()
    def export(
        model: _Model,
        out: _Out = None,
        precision: _Precision = None,
        calibration: _Calibration = None,
        data: _Data = None,
        sm: _Sm = None,
        triton: _Triton = None,
        face: _Face = False,
        form: _Form = None,
        sign: _Sign = None,
        raw: _Raw = False,
        with_tokens: _WithTokens = False,
        many: _Many = False,
        person: _Person = None,
        check_vectors: _CheckVectors = None,
        ram: _Ram = None,
    ) -> None:
        """Fold a checkpoint into one self-contained graph, check it against torch,
        and build a plan from it.
        """
        log_to_stderr()
        # Stopped at any moment, torch would tell its statistics on the way out.
        logging.getLogger("torch").setLevel(logging.WARNING)
        if form is not None and not face:
            raise InputError(
                "--form is for the engine that describes faces",
                expected="--face vgg16.pth beside it",
            )
        ending = (".raw" if raw else "") + (".onnx" if sm is None else ".plan")
        target = model.with_suffix(ending) if out is None else out
        chosen = precision or ("fp16" if target.suffix == ".plan" else "fp32")
        prepared = (form or "clean") if face else None
        options = ExportOptions(
            target,
            chosen,
            calibration,
            tuple(data or ()),
            sm,
            triton,
            prepared,
            sign,
            raw,
            with_tokens,
            many,
            person,
            check_vectors,
            None if ram is None else bytes_of(ram),
        )
        export_all(model, options)

    return app


def export_all(model: Path, options: ExportOptions) -> None:
    """Write what was asked for, and say what it is."""
    check_options(options)
    if options.is_c:
        _export_c(model, options)
        return
    key = None if options.sign is None else _signing_key(options.sign)
    if options.builds_plan:
        # Before any work: is there a TensorRT, and can it build for these GPUs?
        from emodict_export.plan.tensorrt_module import choose_backend, parse_sm, require_supported

        backend, capabilities = choose_backend(None if options.sm is None else parse_sm(options.sm))
        if backend.ahead_of_time:
            require_supported(backend, capabilities)
    if options.triton is not None:
        from emodict_export.triton import refuse_foreign

        refuse_foreign(options.triton)
    (_export_face if options.is_face else _export_emotions)(model, options)
    if options.builds_plan:
        _build_plan(options)
    if options.triton is not None:
        _write_triton(options)
    if key is not None:
        _sign(options, key)
    if options.is_face:
        print(f"Next: emodict-session faces VIDEO --face {options.out} -o session.h5")
    else:
        print(f"Next: emodict-run --engine {options.out} session.h5")


def _signing_key(path: Path) -> "Ed25519PrivateKey":
    from emodict.engine.trust import read_signing_key, require_cryptography

    require_cryptography("--sign")
    return read_signing_key(path)


def _sign(options: ExportOptions, key: "Ed25519PrivateKey") -> None:
    from emodict.engine.trust import sign_model

    print(f"Signed: {', '.join(str(sign_model(model, key)) for model in options.models)}")


def _export_emotions(model: Path, options: ExportOptions) -> None:
    from emodict_export.export import export_onnx
    from emodict_train.model.checkpoint import load_checkpoint

    checkpoint, person = load_checkpoint(model), _person(options)
    if options.raw or options.check_vectors is not None:
        from emodict_export.raw import require_streaming

        require_streaming(checkpoint.features)
    if options.raw:
        _export_raw(checkpoint, options, person)
    else:
        _say_onnx(export_onnx(checkpoint, options.onnx, _precision(checkpoint, options)))
    if options.check_vectors is not None:
        _write_vectors(checkpoint, options.check_vectors, person)


def _export_raw(checkpoint: "Checkpoint", options: ExportOptions, person: "Person | None") -> None:
    from emodict_export.raw.export import export_raw

    report = export_raw(
        checkpoint,
        options.onnx,
        _precision(checkpoint, options),
        person=person,
        with_tokens=options.with_tokens,
        many=options.many,
    )
    _say_raw(report)


def _person(options: ExportOptions) -> "Person | None":
    from emodict.predict.person import read_person

    return None if options.person is None else read_person(options.person)


def _write_vectors(checkpoint: "Checkpoint", folder: Path, person: "Person | None") -> None:
    from emodict_export.export import checkpoint_manifest
    from emodict_export.vector_files import SECONDS, write_vectors

    manifest = checkpoint_manifest(checkpoint, "fp32")
    adaptation = None if person is None else person.adapt(manifest)
    files = write_vectors(checkpoint, folder, adaptation=adaptation)
    print(
        f"Wrote {' and '.join(map(str, files))}: {SECONDS} raw seconds, with gaps, saturated and "
        "lost sensors among them, and the rows that Python gives for them"
    )


def _export_c(model: Path, options: ExportOptions) -> None:
    from emodict_export.c import export_c
    from emodict_train.model.checkpoint import load_checkpoint

    checkpoint, person = load_checkpoint(model), _person(options)
    report = export_c(
        checkpoint,
        options.out,
        precision=options.precision,
        person=person,
        ram_bytes=options.ram_bytes,
    )
    for line in report.lines:
        print(line)
    if options.check_vectors is not None:
        _write_vectors(checkpoint, options.check_vectors, person)


def _export_face(model: Path, options: ExportOptions) -> None:
    from emodict_export.face import export_face_model

    assert options.form is not None
    print(export_face_model(model, options.onnx, options.form, options.precision))


def _precision(checkpoint: "Checkpoint", options: ExportOptions) -> "Precision":
    from emodict_export.export import Precision
    from emodict_export.precision import read_precision

    choice = None if options.calibration is None else read_precision(options.calibration)
    if not options.data:
        return Precision(options.precision, choice)
    from emodict_export.windows import engine_tokens

    table = read_table(checkpoint, options.data)
    whose = " (simulated people)" if table.simulated else ""
    print(f"INT8 ranges from {len(table)} windows of {table.source}{whose}")
    return Precision(options.precision, choice, engine_tokens(checkpoint, table))


def read_table(checkpoint: "Checkpoint", paths: Sequence[Path]) -> "FeatureTable":
    """All rows of these files that the model could answer, with progress shown."""
    from emodict_export.windows import calibration_table

    with Progress("Reading", 1, unit=" files") as progress:
        return calibration_table(checkpoint, paths, on_file=progress.show_file)


def _say_written(report: "ExportReport | RawReport") -> None:
    print(
        f"Wrote {report.path}: {report.precision.upper()}, {report.nodes} nodes, "
        f"{report.bytes / 1024:.0f} KiB, "
        f"sha256 {report.sha256[:16]}"
    )
    if report.keep_fp32:
        print(f"Kept in FP32: {', '.join(report.keep_fp32)}")


def _say_raw(report: "RawReport") -> None:
    _say_written(report)
    print(
        f"Against Python's features and torch in {report.seconds} seconds with faults: valid and "
        f"answered equal, distributions within {report.distribution_error:.1e}"
    )


def _say_onnx(report: "ExportReport") -> None:
    _say_written(report)
    print(
        f"Against torch at batch 1, 2, 7 and 64: "
        f"distributions within {report.distribution_error:.1e}, "
        f"weights within {report.weights_error:.1e}"
    )


def _build_plan(options: ExportOptions) -> None:
    import onnx

    from emodict_export.plan import build_plan, write_plan
    from emodict_export.plan.tensorrt_module import parse_sm

    with Progress("Building", 1) as progress:

        def show(phase: str, done: int, total: int) -> None:
            # A dozen short phases: their ends are not news to a log.
            if done < total:
                progress.show(done, phase, total=total)

        plan = build_plan(
            onnx.load(options.onnx),
            compute_capabilities=None if options.sm is None else parse_sm(options.sm),
            on_progress=show,
        )
    write_plan(plan, options.out)
    print(
        f"Wrote {options.out} and {options.out.name}.json: "
        f"{len(plan.content) / 2**20:.1f} MiB in {plan.build_s:.1f} s "
        f"by {plan.builder} {plan.builder_version}, for compute capability "
        f"{', '.join(plan.compute_capabilities)}; "
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
