"""One line of `make bench`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """A ratio with its two sides in CPU seconds; `at_least` or `at_most` is what was promised."""

    name: str
    baseline_s: float
    ours_s: float
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "x"

    @property
    def value(self) -> float:
        """How many times as fast ours is; where less was promised, its share of the time."""
        return (
            self.baseline_s / self.ours_s if self.at_most is None else self.ours_s / self.baseline_s
        )

    @property
    def kept(self) -> bool:
        if self.at_most is not None:
            return self.value <= self.at_most
        return self.at_least is None or self.value >= self.at_least

    @property
    def promise(self) -> str:
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "" if self.at_least is None else f">= {self.at_least:g}"

    def __str__(self) -> str:
        sides = f"{_time(self.ours_s)} against {_time(self.baseline_s)}"
        return f"{self.name:<60}{self.value:>10.2f} x   {sides:<28}{_judged(self)}"


@dataclass(frozen=True)
class Bound:
    """A number that was promised to stay below another."""

    name: str
    value: float
    unit: str
    at_most: float

    @property
    def kept(self) -> bool:
        return self.value <= self.at_most

    @property
    def promise(self) -> str:
        return f"<= {self.at_most:g}"

    def __str__(self) -> str:
        shown = f"{self.value:.2f}" if abs(self.value) >= 0.01 else f"{self.value:.2g}"
        return f"{self.name:<60}{shown:>10} {self.unit:<30}{_judged(self)}"


def _judged(result: Result | Bound) -> str:
    if not result.promise:
        return ""
    return f"  promised {result.promise}: {'kept' if result.kept else 'MISSED'}"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{1e6 * seconds:.3g} us"
