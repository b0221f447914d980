"""What a model costs on a Cortex-M4F: sizes by the compiler, instructions counted by QEMU."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.embedded.rows import write_seconds
from benchmarks.embedded.shapes import Shape
from benchmarks.embedded.toolchain import (
    CORTEX_M4F,
    QEMU,
    build_for_board,
    deepest_stack,
    least_size,
    run_on_board,
)
from emodict_export.c import export_c
from emodict_export.vectors import clean_seconds

SECONDS = 16
# What the loop of four million instructions may be counted as: a tick is 40 of them.
CALIBRATED, CALIBRATED_WITHIN = 4_000_000, 200


@dataclass(frozen=True)
class Cost:
    """Bytes and instructions of one model in one precision, compiled with -O2.

    Attributes:
        flash: code and constants, with what of libm they need.
        ram: state, row and one second of signals; stack: deepest, libm apart.
        instructions: of one second of signal, the mean; most: of the costliest; network: of it.
    """

    shape: Shape
    precision: str
    flash: int
    ram: int
    stack: int
    instructions: int
    most: int
    network: int


def can_measure() -> bool:
    """Is there a compiler for the board, and the board?"""
    return CORTEX_M4F.is_here and shutil.which(QEMU) is not None


def cost_of(shape: Shape, precision: str) -> Cost:
    """Export, compile and run one model.

    Raises:
        ValueError: QEMU does not count as it should.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = shape.checkpoint()
        report = export_c(checkpoint, folder / "model.c", precision=precision)
        write_seconds(folder, checkpoint.features, clean_seconds(checkpoint.features, SECONDS))
        counted = _counted(folder)
        return Cost(
            shape,
            precision,
            flash=least_size(CORTEX_M4F, folder, "-O2").flash,
            ram=report.plan.ram_bytes,
            stack=deepest_stack(CORTEX_M4F, folder / "model.c", folder / "model.o", "-O2"),
            instructions=counted["mean"],
            most=counted["most"],
            network=counted["network"],
        )


def _counted(folder: Path) -> dict[str, int]:
    said = run_on_board(CORTEX_M4F, build_for_board(CORTEX_M4F, folder, "count"), count=True)
    counted = {name: int(number) for name, number in (line.split() for line in said.splitlines())}
    if abs(counted["calibration"] - CALIBRATED) > CALIBRATED_WITHIN:
        raise ValueError(f"{CALIBRATED} instructions were counted as {counted['calibration']}")
    return counted
