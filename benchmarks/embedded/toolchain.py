"""model.c compiled, measured and run: compilers of desks and boards, and QEMU's boards."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("source")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Wshadow", "-Werror")
# A minute is long for what takes a second: QEMU would wait for its debugger for ever.
RUN_S = 60.0
QEMU = "qemu-system-arm"


@dataclass(frozen=True)
class Target:
    """A processor: how its compiler is called, and with what.

    Attributes:
        machine: QEMU's name of a board that has it; "": none here.
    """

    name: str
    compiler: str
    flags: tuple[str, ...]
    machine: str = ""

    @property
    def is_here(self) -> bool:
        return shutil.which(self.compiler) is not None

    @property
    def version(self) -> str:
        """Of the compiler, such as 12.2.1."""
        return _said([self.compiler, "-dumpfullversion"]).strip()

    def compile(self, source: Path, out: Path, *flags: str) -> Path:
        """Compile one file, without linking it.

        Raises:
            CalledProcessError: the compiler refuses it; what it says is in `stderr`.
        """
        _said([self.compiler, *self.flags, *flags, "-c", str(source), "-o", str(out)])
        return out


_ARM = ("-mthumb", "-mfloat-abi=hard")
CORTEX_M4F = Target(
    "Cortex-M4F",
    "arm-none-eabi-gcc",
    (*_ARM, "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"),
    "mps2-an386",
)
CORTEX_M7 = Target(
    "Cortex-M7",
    "arm-none-eabi-gcc",
    (*_ARM, "-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16"),
    "mps2-an500",
)
RISC_V = Target(
    "RISC-V",
    "riscv64-unknown-elf-gcc",
    ("-march=rv32imafc", "-mabi=ilp32f", "--specs=picolibc.specs"),
)
BOARDS = (CORTEX_M4F, CORTEX_M7, RISC_V)
HOSTS = (Target("gcc", "gcc", ()), Target("clang", "clang", ()))


def build_rows(host: Target, folder: Path, *flags: str) -> Path:
    """The program that reads folder/seconds.bin through folder/model.c, for this machine."""
    program = folder / "rows"
    files = [str(SOURCE / "rows.c"), str(folder / "model.c")]
    _said([host.compiler, *flags, f"-I{folder}", *files, "-lm", "-o", str(program)])
    return program


def build_for_board(board: Target, folder: Path, main: str, *flags: str) -> Path:
    """`main`, one of source/*.c, with folder/model.c, for QEMU's board."""
    program = folder / f"{main}.elf"
    # count.c includes the model, to reach what is static in it.
    model = [] if main == "count" else [str(folder / "model.c")]
    files = [str(SOURCE / "start.c"), str(SOURCE / f"{main}.c"), *model]
    linking = ["--specs=rdimon.specs", "-nostartfiles", f"-T{SOURCE / 'mps2.ld'}", "-lm"]
    compiling = [board.compiler, *board.flags, "-O2", *flags, f"-I{folder}"]
    _said([*compiling, *files, *linking, "-o", str(program)])
    return program


def least_size(board: Target, folder: Path, *flags: str) -> Size:
    """Of the least program that runs folder/model.c: no start-up, no output, only the model."""
    program = folder / "least.elf"
    files = [str(SOURCE / "least.c"), str(folder / "model.c")]
    linking = ["-nostartfiles", f"-T{SOURCE / 'mps2.ld'}", "-Wl,--gc-sections", "-lm"]
    compiling = [board.compiler, *board.flags, *flags, "-ffunction-sections", f"-I{folder}"]
    _said([*compiling, *files, *linking, "-o", str(program)])
    return size_of(board, program)


def build_library(host: Target, folder: Path, *flags: str) -> Path:
    """folder/model.c with source/timing.c, to be loaded by ctypes."""
    library = folder / "timing.so"
    building = [host.compiler, *flags, "-shared", "-fPIC", f"-I{folder}"]
    _said([*building, str(SOURCE / "timing.c"), "-lm", "-o", str(library)])
    return library


def run_on_board(board: Target, program: Path, *, count: bool = False) -> str:
    """Run a program in its folder, files and output by semihosting; with `count` an instruction
    takes 1 ns of the board's time.
    """
    counting = ["-icount", "shift=0"] if count else []
    quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    command = [QEMU, "-M", board.machine, *counting, *quiet, *semihosting, "-kernel", str(program)]
    return _said(command, folder=program.parent)


def run(program: Path) -> str:
    """Run a program of this machine in its folder."""
    return _said([str(program)], folder=program.parent)


def version_of(program: str) -> str:
    """The first version in what a program says of itself, such as 7.2.22."""
    (version,) = re.findall(r"\d+\.\d+(?:\.\d+)?", _said([program, "--version"]))[:1]
    return str(version)


@dataclass(frozen=True)
class Size:
    """Bytes of an object file, as `size` tells them."""

    flash: int
    ram: int


def size_of(board: Target, compiled: Path) -> Size:
    """Of an object file or a program."""
    tool = board.compiler.removesuffix("gcc") + "size"
    text, data, bss = map(int, _said([tool, str(compiled)]).splitlines()[1].split()[:3])
    return Size(text + data, data + bss)


def deepest_stack(board: Target, source: Path, out: Path, *flags: str) -> int:
    """Bytes of stack of emodict_second: its frame, and the deepest of those that it calls.

    -fstack-usage tells each function's frame, -fcallgraph-info who calls whom. What libm's
    functions take is not in it.
    """
    board.compile(source, out, "-fcallgraph-info=su", *flags)
    return _deepest(out.with_suffix(".ci").read_text(encoding="utf-8"), "emodict_second")


def _deepest(graph: str, root: str) -> int:
    node = r'node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes \(static\)[^"]*"'
    frames = {_function(name): int(size) for name, size in re.findall(node, graph)}
    calls: dict[str, list[str]] = {}
    for caller, called in re.findall(
        r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', graph
    ):
        calls.setdefault(_function(caller), []).append(_function(called))

    def depth(function: str) -> int:
        below = [depth(called) for called in calls.get(function, [])]
        return frames.get(function, 0) + max(below, default=0)

    return depth(root)


def _function(title: str) -> str:
    """A static function's title begins with its file."""
    return title.rsplit(":", 1)[-1]


def _said(command: Sequence[str], *, folder: Path | None = None) -> str:
    """What a command prints.

    Raises:
        CalledProcessError: it fails.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=True,
    )
    return done.stdout
