"""What a user sets before precision is calibrated."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emodict.errors import InputError


@dataclass(frozen=True)
class PrecisionOptions:
    """Budgets and sizes.

    Attributes:
        max_kl_fp16, max_kl_int8: KL(FP32 || low precision) of the distribution, mean over
        windows, that is allowed. margin: a node is kept in FP32 where its largest number times
        this passes 65504: other people, other ranges. rows: windows to measure the cost on;
        ranges are taken from all of them.
    """

    max_kl_fp16: float = 1e-4
    max_kl_int8: float = 2e-3
    margin: float = 4.0
    rows: int = 512

    def __post_init__(self) -> None:
        for name, value in (("--max-kl", self.max_kl_fp16), ("--max-kl-int8", self.max_kl_int8)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(
                    f"{name} is not a budget", expected="a number of at least 0", got=value
                )
        if not (math.isfinite(self.margin) and self.margin >= 1):
            raise InputError(
                "--margin is not a margin", expected="a number of at least 1", got=self.margin
            )
        if self.rows < 1:
            raise InputError(
                "--rows is not a number of windows", expected="at least 1", got=self.rows
            )
