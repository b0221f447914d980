"""The group `embedded` of `make bench`: the C file against Python here, and against its goals."""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.embedded.costs import can_measure, cost_of
from benchmarks.embedded.rows import write_seconds
from benchmarks.embedded.shapes import SHAPES, Shape
from benchmarks.embedded.toolchain import HOSTS, build_library
from benchmarks.raw import python_second
from benchmarks.result import Bound, Result
from benchmarks.timing import interleaved
from emodict.engine import open_engine
from emodict.features.spec import FeatureSpec
from emodict_export.c import export_c
from emodict_export.export import export_onnx
from emodict_export.vectors import Seconds, clean_seconds

# As one compiles for one's own machine.
FLAGS = ("-O3", "-march=native")
CALLS, SECONDS, WINDOW_S = 50, 40, 5


def measure() -> Iterator[Result | Bound]:
    """Ratios of CPU time on this machine, then bytes and instructions on a Cortex-M4F."""
    for shape in SHAPES:
        yield against_python(shape)
    if not can_measure():
        note = "No arm-none-eabi-gcc or no qemu-system-arm here: nothing is measured for a board"
        print(note, file=sys.stderr)
        return
    for shape in SHAPES:
        for precision in ("fp32", "int8"):
            yield from _bounds(shape, precision)


def _bounds(shape: Shape, precision: str) -> Iterator[Bound]:
    cost, name = cost_of(shape, precision), f"{shape.name}, {precision}, Cortex-M4F:"
    yield Bound(f"{name} flash", cost.flash / 1e3, "KB", shape.flash[precision] / 1e3)
    if precision == "fp32":
        yield Bound(f"{name} RAM and stack", (cost.ram + cost.stack) / 1e3, "KB", shape.ram / 1e3)
        yield Bound(
            f"{name} a second", cost.instructions / 1e6, "M instructions", shape.instructions / 1e6
        )


def against_python(shape: Shape) -> Result:
    """One second of signal: FeatureStream and ONNX Runtime against the C file."""
    checkpoint = shape.checkpoint()
    seconds = clean_seconds(checkpoint.features, SECONDS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_c(checkpoint, folder / "model.c")
        export_onnx(checkpoint, folder / "model.onnx")
        in_c = _c_seconds(folder, checkpoint.features, seconds)
        with open_engine(folder / "model.onnx") as engine:
            jobs = {"c": in_c, "python": python_second(engine, seconds)}
            cpu = interleaved(jobs, rounds=15, repeats={"python": CALLS})
    name = f"a second in C ({shape.name}), against Python"
    return Result(name, cpu["python"], cpu["c"] / CALLS, at_least=shape.times_python)


def _c_seconds(folder: Path, features: FeatureSpec, seconds: Seconds) -> Callable[[], object]:
    """CALLS seconds through the C file, all of `seconds` in turn, and no Python between them."""
    write_seconds(folder, features, seconds)
    library = ctypes.CDLL(str(build_library(HOSTS[0], folder, *FLAGS)))
    loaded = library.load(bytes(folder / "seconds.bin"))
    # The first seconds, before the windows are full, are not answered.
    if loaded != SECONDS or library.repeat(CALLS) < CALLS - WINDOW_S:
        raise ValueError(f"the C file does not answer {SECONDS} seconds, {loaded} of them loaded")
    return lambda: library.repeat(CALLS)
