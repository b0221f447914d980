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

    @property
    def ratio(self) -> float:
        return (
            self.baseline_s / self.ours_s if self.at_most is None else self.ours_s / self.baseline_s
        )

    @property
    def kept(self) -> bool:
        if self.at_most is not None:
            return self.ratio <= self.at_most
        return self.at_least is None or self.ratio >= self.at_least

    def __str__(self) -> str:
        promise = ""
        if self.at_most is not None or self.at_least is not None:
            bound = f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"
            promise = f"  promised {bound}: {'kept' if self.kept else 'MISSED'}"
        sides = f"{_time(self.ours_s)} against {_time(self.baseline_s)}"
        return f"{self.name:<52}{self.ratio:>8.2f} x   {sides:<28}{promise}"


def _time(seconds: float) -> str:
    return (
        f"{seconds:.2f} s"
        if seconds >= 1
        else f"{1e3 * seconds:.3g} ms"
        if seconds >= 1e-3
        else f"{1e6 * seconds:.3g} us"
    )


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

    def __str__(self) -> str:
        kept = "kept" if self.kept else "MISSED"
        return (
            f"{self.name:<52}{self.value:>8.2f} {self.unit:<30}  promised <= "
            f"{self.at_most:g}: {kept}"
        )
