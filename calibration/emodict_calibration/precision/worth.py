"""Whether INT8 is worth it for this model: multiply-adds it can speed up, against what it costs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from emodict_calibration.precision.emulate import Emulator
from emodict_calibration.precision.half import Floats
from emodict_calibration.precision.sensitivity import Choice

# Tensor cores multiply INT8 in tiles of 16;
# a Gemm with a smaller K or N is padded and gains nothing.
SMALLEST_SIDE = 16
# INT8 does at best twice the multiply-adds of FP16 in the same time.
SPEED_UP = 2.0
# Below this share the rest of the graph decides the time.
SMALLEST_SHARE = 0.5
# A small GPU: 10^12 multiply-adds a second in FP16.
# Starting one kernel takes about 2 microseconds on any.
MACS_PER_S, KERNEL_S = 1e12, 2e-6


@dataclass(frozen=True)
class Product:
    """One Gemm or MatMul: (rows, k) times (k, n) for a single window."""

    rows: int
    k: int
    n: int

    @property
    def macs(self) -> int:
        """Multiply-adds of one window."""
        return self.rows * self.k * self.n

    @property
    def gains(self) -> bool:
        """Whether INT8 tiles fit it."""
        return min(self.k, self.n) >= SMALLEST_SIDE


@dataclass(frozen=True)
class Worth:
    """The verdict on INT8.

    Attributes:
        macs: multiply-adds of one window in all products; gaining_share: of these, in products that
            run in INT8 and whose K and N are at least 16.
        saved_s: at most saved by INT8 for one window on a GPU of 10^12 multiply-adds a second.
    """

    worth_it: bool
    why: str
    macs: int
    gaining_share: float
    saved_s: float


def products(emulator: Emulator, window: Floats) -> dict[str, Product]:
    """Every product of the graph, by node,
    from the shapes it takes on one window (1, tokens, width).
    """
    values = {**emulator.constants, **emulator.run(window).values}
    result = {}
    for node in emulator.nodes:
        if node.op in ("Gemm", "MatMul"):
            out, k = values[node.name], values[node.inputs[0]].shape[-1]
            result[node.name] = Product(rows=int(np.prod(out.shape[:-1])), k=k, n=out.shape[-1])
    return result


def too_narrow_for_int8(emulator: Emulator, shapes: Mapping[str, Product]) -> dict[str, str]:
    """{node: why} for the products that INT8 could not speed up:
    they would cost accuracy for nothing.
    """
    return {
        name: f"INT8 gains nothing: K {shapes[name].k}, N {shapes[name].n}, "
        f"and one is under {SMALLEST_SIDE}"
        for name in emulator.quantisable
        if not shapes[name].gains
    }


def judge_int8(
    shapes: Mapping[str, Product], quantised: Collection[str], *, fp16: Choice, int8: Choice
) -> Worth:
    """The verdict, as a sentence with its numbers."""
    macs = sum(p.macs for p in shapes.values())
    if not quantised:
        return Worth(
            False, "Not worth it: within its budget no product may run in INT8.", macs, 0.0, 0.0
        )
    gained = sum(shapes[name].macs for name in quantised if shapes[name].gains)
    share, saved_s = gained / macs, gained / MACS_PER_S * (1 - 1 / SPEED_UP)
    worth_it = share >= SMALLEST_SHARE and saved_s > KERNEL_S
    why = (
        f"{'Worth a try' if worth_it else 'Not worth it'}: "
        f"{share:.0%} of a window's {macs / 1e6:.2f} million "
        f"multiply-adds are in products that INT8 speeds up; at 10^12 a second it saves at most "
        f"{saved_s * 1e6:.2g} us a window, where starting one kernel takes "
        f"{KERNEL_S * 1e6:.0f} us; "
        f"{_compared(int8.cost.kl_mean, fp16.cost.kl_mean)}."
    )
    return Worth(worth_it, why, macs, share, saved_s)


def _compared(int8: float, fp16: float) -> str:
    if not (fp16 > 0 and math.isfinite(int8)):
        return f"it costs KL {int8:.1e}, FP16 {fp16:.1e}"
    times = int8 / fp16
    return f"it costs KL {int8:.1e}, {times:.{0 if times >= 10 else 1}f} times FP16's {fp16:.1e}"
