"""How the tables word numbers and lists."""

from __future__ import annotations

import math
from collections.abc import Sequence

from emodict_train.study.judging.statistics import Interval


def mean_sd(mean: float, sd: float) -> str:
    """A mean and its spread; of a single value, whose sd is NaN, the mean alone."""
    return f"{mean:.4f}" + (f" ± {sd:.4f}" if math.isfinite(sd) else "")


def signed(value: float, digits: int = 4) -> str:
    """A number with its sign, a minus as wide as a plus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def ends_of(interval: Interval, digits: int = 4) -> str:
    """[low, high] of an interval, both signed."""
    return f"[{signed(interval.low, digits)}, {signed(interval.high, digits)}]"


def p_value(value: float) -> str:
    """With four decimals, or that it lies below the smallest of them."""
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def listed(names: Sequence[str]) -> str:
    """One or more names as in a sentence: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
