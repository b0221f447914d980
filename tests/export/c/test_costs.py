"""What the page says a model costs on a Cortex-M4F is what it costs."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
from benchmarks.embedded.costs import can_measure, cost_of
from benchmarks.embedded.rows import read_rows, write_seconds
from benchmarks.embedded.shapes import SHAPES
from benchmarks.embedded.table import SECTION, table, tools
from benchmarks.embedded.toolchain import Target, build_library, build_rows, run
from tests.export.c.conftest import MakeC, MakeCheckpoint

from emodict_export.vectors import clean_seconds

PAGE = Path(__file__).resolve().parents[3] / "docs" / "embedding.md"
# QEMU counts in ticks of 40 instructions, and selecting a median takes another way through numbers
# that were rounded otherwise (numpy's noise is the same everywhere, its sine need not be).
WITHIN = 0.02


def section() -> str:
    (said,) = re.findall(
        rf"<!-- pages: {SECTION} -->\n(.*?)\n<!-- /pages: {SECTION} -->",
        PAGE.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    return str(said)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_wrists_figures_are_those_of_the_page_and_below_what_was_promised(
    precision: str,
) -> None:
    if not can_measure():
        pytest.skip("no arm-none-eabi-gcc or no qemu-system-arm on this machine")
    if tools() not in section():
        pytest.skip("the page's figures are of another compiler or QEMU")
    wrist = SHAPES[0]
    cost = cost_of(wrist, precision)
    row = table([cost]).splitlines()[2]
    shown = section().splitlines()[2 + ("fp32", "int8").index(precision)]
    for ours, theirs in zip(numbers(row), numbers(shown), strict=True):
        assert ours == pytest.approx(theirs, rel=WITHIN)
    assert cost.flash <= wrist.flash[precision]
    assert cost.ram + cost.stack <= wrist.ram
    assert cost.instructions <= wrist.instructions


def numbers(row: str) -> list[float]:
    return [float(number) for number in re.findall(r"([\d.]+) (?:KB|M)", row)]


def test_the_library_that_is_timed_goes_through_all_seconds_in_turn(
    gcc: Target, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    """Of 40 seconds the last 15 are missing: as many are answered as by the program of rows."""
    checkpoint, folder = realistic("wrist"), exported("wrist")
    seconds = {name: x.copy() for name, x in clean_seconds(checkpoint.features, 40).items()}
    for samples in seconds.values():
        samples[25:] = np.nan
    write_seconds(folder, checkpoint.features, seconds)
    run(build_rows(gcc, folder, "-O2"))
    answered = int(read_rows(folder, checkpoint.model).answered.sum())
    assert 0 < answered <= 25
    library = ctypes.CDLL(str(build_library(gcc, folder, "-O2")))
    assert library.load(bytes(folder / "seconds.bin")) == 40
    assert [library.repeat(40), library.repeat(40)] == [answered, answered]
