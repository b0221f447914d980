"""How large and how small each node's numbers get on real data,
and which nodes must therefore stay in FP32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from emodict.engine.onnx import INPUT
from emodict.errors import ModelError
from emodict_calibration.precision.emulate import Emulator
from emodict_calibration.precision.half import SMALLEST_HALF, Floats, Rounding
from emodict_export.precision import LARGEST_HALF

# Activations of this many rows fit a laptop's cache.
BLOCK_ROWS = 64


@dataclass(frozen=True)
class NodeRange:
    """A node's numbers over all rows.

    Attributes:
        low, high: extremes of its output.
        peak: largest absolute value among its inputs,
            its elementary steps (sums and squares) and its output.
        underflow_share: of its output's numbers other than 0, those that FP16 cannot tell from 0.
        extreme_row: the row with its largest absolute output.
    """

    low: float
    high: float
    peak: float
    underflow_share: float
    extreme_row: int

    @property
    def absmax(self) -> float:
        """Largest absolute output."""
        return max(abs(self.low), abs(self.high))

    @property
    def headroom(self) -> float:
        """How many times larger its numbers could get before FP16 overflows;
        infinite where all are 0.
        """
        return LARGEST_HALF / self.peak if self.peak else float("inf")


def measure_ranges(
    emulator: Emulator, tokens: Floats, *, on_rows: Callable[[int], None] = lambda done: None
) -> dict[str, NodeRange]:
    """The range of every node over all rows of (rows, tokens, width), in FP32.

    Raises:
        ModelError: the FP32 graph itself puts out infinities or NaN.
    """
    gauges = {node.name: _Gauge() for node in emulator.nodes}
    looks: dict[str, Rounding] = {name: gauge.look for name, gauge in gauges.items()}
    for start in range(0, len(tokens), BLOCK_ROWS):
        block = tokens[start : start + BLOCK_ROWS]
        values = emulator.watch(block, looks).values
        for name, gauge in gauges.items():
            gauge.put_out(values[name], rows=len(block), first_row=start)
        on_rows(start + len(block))
    broken = [name for name, gauge in gauges.items() if not np.isfinite(gauge.absmax)]
    if broken:
        raise ModelError(
            f"The model puts out infinities or NaN in FP32 already, first at node '{broken[0]}'",
            expected="finite numbers",
            fix="Train it again: emodict-train fit DATA -o model.pt",
        )
    return {name: gauge.range() for name, gauge in gauges.items()}


def absmax_of(ranges: Mapping[str, NodeRange]) -> dict[str, float]:
    """The largest absolute value of every tensor that INT8 can stand behind:
    all but the graph's input.
    """
    return {name: r.absmax for name, r in ranges.items() if name != INPUT}


def too_large_for_half(
    emulator: Emulator, ranges: Mapping[str, NodeRange], *, margin: float
) -> dict[str, str]:
    """{node: why} for the nodes whose numbers, times the margin, pass 65504,
    and those whose constants do.
    """
    reasons = {}
    for name in emulator.computing:
        constant = max(
            (emulator.absmax_of_constant(c) for c in emulator.node(name).inputs), default=0.0
        )
        if constant > LARGEST_HALF:
            reasons[name] = (
                f"a constant of {constant:.4g} passes {LARGEST_HALF:.0f}, half's largest number"
            )
        elif (peak := ranges[name].peak) * margin > LARGEST_HALF:
            reasons[name] = (
                f"its numbers reach {peak:.3g}, which with a margin of {margin:g} passes "
                f"{LARGEST_HALF:.0f}"
            )
    return reasons


class _Gauge:
    """Watches one node."""

    def __init__(self) -> None:
        self._low, self._high, self._peak = float("inf"), float("-inf"), 0.0
        self._nonzero = self._underflowing = self._extreme_row = 0
        self.absmax = 0.0

    def look(self, x: Floats) -> Floats:
        """Called with every elementary step, and every input."""
        self._peak = max(self._peak, _absmax(x))
        return x

    def put_out(self, value: Floats, *, rows: int, first_row: int) -> None:
        """The node's output for a block of rows."""
        # What the encoder computes has a row for every token; a window's tokens stand together.
        size = np.abs(value).reshape(rows, -1)
        largest = size.max(axis=1)
        if not largest.max() <= self.absmax:
            self.absmax = float(largest.max())
            self._extreme_row = first_row + int(largest.argmax())
        self._peak = max(self._peak, self.absmax)
        self._low, self._high = (
            min(self._low, float(value.min())),
            max(self._high, float(value.max())),
        )
        nonzero = int(np.count_nonzero(size))
        self._nonzero += nonzero
        self._underflowing += int(np.count_nonzero(size < SMALLEST_HALF)) - (size.size - nonzero)

    def range(self) -> NodeRange:
        """All that was seen."""
        share = self._underflowing / self._nonzero if self._nonzero else 0.0
        return NodeRange(self._low, self._high, self._peak, share, self._extreme_row)


def _absmax(x: Floats) -> float:
    return max(-float(x.min()), float(x.max()))
