"""What an export was asked to write, and what of it makes no sense."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from emodict.engine.held import onnx_beside, sidecar_path
from emodict.errors import InputError
from emodict.files.atomic import check_writable, refuse_overwriting

# A name that no folder has.
_NEW = ".emodict.new"


@dataclass(frozen=True)
class ExportOptions:
    """What to write, in which precision, for which GPUs."""

    out: Path
    precision: str
    calibration: Path | None = None
    data: tuple[Path, ...] = ()
    sm: str | None = None
    triton: Path | None = None
    # Of a face engine: how its pixels are prepared. None: a model of emotions is exported.
    form: str | None = None
    # A private key, PEM: all models that are written are signed with it.
    sign: Path | None = None
    # The graph begins at raw samples; it gives its tokens, too; it takes many seconds at once;
    # whose baseline is in it.
    raw: bool = False
    with_tokens: bool = False
    many: bool = False
    person: Path | None = None
    # A folder for raw seconds and the rows that Python gives for them.
    check_vectors: Path | None = None
    # What the board has for a C file's state, row and second of input.
    ram_bytes: int | None = None

    @property
    def models(self) -> tuple[Path, ...]:
        """The model files that are written."""
        return (self.onnx, self.out) if self.builds_plan else (self.onnx,)

    @property
    def is_face(self) -> bool:
        return self.form is not None

    @property
    def is_c(self) -> bool:
        return self.out.suffix == ".c"

    @property
    def builds_plan(self) -> bool:
        return self.out.suffix == ".plan"

    @property
    def onnx(self) -> Path:
        """The .onnx that is written: the output itself, or the one beside the plan.

        A model.onnx in FP32 may lie there already: other precisions have names of their own.
        """
        return (
            onnx_beside(self.out, self.precision)[0]
            if self.builds_plan
            else self.out.with_suffix(".onnx")
        )


def check_options(options: ExportOptions) -> None:
    """Refuse what cannot be written, or would do nothing, before any work."""
    if options.check_vectors is not None:
        _check_makable(options.check_vectors)
    if options.is_face:
        _check_face_options(options)
    vectors = options.check_vectors
    if vectors is not None and (vectors.is_file() or vectors in (options.out, options.onnx)):
        raise InputError(
            f"--check-vectors {vectors} names a file",
            expected="a folder, new or one that is there",
            fix="Name another",
        )
    if options.is_c:
        _check_c_options(options)
        return
    _check_raw_options(options)
    if options.ram_bytes is not None:
        raise InputError("--ram is for a C file", expected="-o model.c", got=f"-o {options.out}")
    if options.out.suffix not in (".onnx", ".plan"):
        raise InputError(
            f"Cannot write {options.out}",
            expected="a file ending in .onnx, .plan or .c",
            got=options.out.suffix or "no ending",
        )
    check_writable(options.onnx)
    if options.builds_plan:
        check_writable(options.out)
        check_writable(sidecar_path(options.out))
    if options.sm is not None and not options.builds_plan:
        raise InputError(
            "--sm names GPUs to build a plan for", expected="-o model.plan", got=f"-o {options.out}"
        )
    if options.calibration is not None and options.precision == "fp32":
        raise InputError(
            "--calibration does nothing in FP32: every node stays FP32", fix="Add --precision fp16"
        )
    if options.data and options.precision != "int8":
        raise InputError(
            "--data is for the ranges of INT8",
            expected="--precision int8",
            got=f"--precision {options.precision}",
        )
    if options.precision == "int8" and not options.data:
        raise InputError(
            "INT8 is scaled by the ranges of real windows, and none were given",
            expected="recordings like those the device will see",
            fix="emodict-export model.pt --precision int8 --data session.h5",
        )
    if options.triton is not None and options.triton.exists() and not options.triton.is_dir():
        raise InputError(
            f"--triton {options.triton} is a file",
            expected="a folder, new or of an earlier export",
            fix="Name another",
        )
    given = (options.calibration, options.person)
    read = [*options.data, *(path for path in given if path is not None)]
    for written in (
        options.onnx,
        *([options.out, sidecar_path(options.out)] if options.builds_plan else []),
    ):
        refuse_overwriting(written, read)


def _check_makable(folder: Path) -> None:
    """Refuse a folder of check vectors that cannot be made: it would be written last."""
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir():
        raise InputError(
            f"--check-vectors {folder} cannot be made",
            expected="a folder",
            got=f"{above}, which is a file",
            fix="Name another",
        )
    # The folder that is there or, of a new one, that it is made in must take a new entry.
    check_writable((folder if folder.is_dir() else above) / _NEW)


def _check_c_options(options: ExportOptions) -> None:
    """C holds the model alone, and of lower precisions only its weights can be."""
    given = {
        "--face": options.is_face,
        "--calibration": options.calibration,
        "--data": options.data,
        "--sm": options.sm,
        "--triton": options.triton,
        "--sign": options.sign,
        "--raw": options.raw,
        "--with-tokens": options.with_tokens,
        "--many": options.many,
    }
    for name, value in given.items():
        if value:
            raise InputError(f"{name} does nothing for a C file", fix="Leave it out")
    if options.precision == "fp16":
        raise InputError(
            "C is not written in FP16", expected="--precision fp32 or int8", got="fp16"
        )
    check_writable(options.out)
    check_writable(options.out.with_suffix(".h"))


def bytes_of(text: str) -> int:
    """`64k`, `1M` or a number of bytes.

    Raises:
        InputError: it is none of these.
    """
    units = {"": 1, "k": 1024, "m": 1024**2}
    found = re.fullmatch(r"(\d+) ?([km]?)(?:i?b)?", text.strip().lower())
    if found is None:
        raise InputError("--ram cannot be read", expected="bytes, such as 64k or 65536", got=text)
    return int(found[1]) * units[found[2]]


def _check_face_options(options: ExportOptions) -> None:
    """A face engine computes in FP32 or FP16 throughout,
    and belongs beside a model of emotions, not on a server.
    """
    given = {
        "--calibration": options.calibration,
        "--data": options.data,
        "--triton": options.triton,
        "--raw": options.raw,
        "--check-vectors": options.check_vectors,
    }
    for name, value in given.items():
        if value:
            raise InputError(
                f"{name} is for a model of emotions: a face engine has no use for it",
                fix="Leave it out",
            )
    if options.precision == "int8":
        raise InputError(
            "A face engine does not compute in INT8",
            expected="--precision fp32 or fp16",
            got="int8",
        )


def _check_raw_options(options: ExportOptions) -> None:
    """What only a raw graph has, and what it has not."""
    given = {
        "--with-tokens": options.with_tokens,
        "--many": options.many,
        "--person": options.person,
    }
    for name, value in given.items():
        if value and not options.raw:
            raise InputError(
                f"{name} is for a graph that begins at raw samples",
                expected=f"--raw beside it{', or -o model.c' if name == '--person' else ''}",
                fix="emodict-run takes it, too" if name == "--person" else None,
            )
    if options.raw and options.triton is not None:
        raise InputError(
            "--triton serves rows that know nothing of one another, and a raw graph has states",
            fix="Export without --raw for a server",
        )
    if options.raw and options.builds_plan and not options.out.stem.endswith(".raw"):
        named = options.out.with_suffix(".raw.plan")
        raise InputError(
            f"{options.onnx}, which is written beside a plan, is the name of a model that begins "
            "at features",
            expected="a plan of a raw graph that ends in .raw.plan",
            got=f"-o {options.out}",
            fix=f"-o {named}, and {onnx_beside(named, options.precision)[0]} lies beside it",
        )
    if options.many and options.builds_plan:
        raise InputError(
            "--many is for ONNX Runtime: a plan takes one second at a time",
            expected="-o model.raw.onnx",
            got=f"-o {options.out}",
        )
