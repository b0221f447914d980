"""The sections of a filter as C runs them, from the feature spec's coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from emodict.errors import SpecError
from emodict_export.c.literals import listed, number

# C runs through a filter in steps of so many; a shorter one is filled up with sections of zeros.
SECTIONS_AT_ONCE = 3


@dataclass(frozen=True)
class Section:
    """One second-order section, its numerator beginning with 1.

    s1' = hold s1 + across s2 + x; s2' = turn s1 + hold s2; y = x + tap1 s1 + tap2 s2.

    Attributes:
        rest1, rest2: the states in which a constant input of 1 has always been there.
    """

    hold: float
    across: float
    turn: float
    tap1: float
    tap2: float
    rest1: float
    rest2: float


@dataclass(frozen=True)
class Cascade:
    """Sections in series, the first of which lets no constant through, and the gain left over."""

    sections: tuple[Section, ...]
    gain: float

    @property
    def states(self) -> int:
        return 2 * len(self.sections)


def cascade(name: str, sos: Sequence[Sequence[float]]) -> Cascade:
    """The filter of a modality called `name`, in the basis that rounds least.

    The states of a section with poles h +- i w turn by w: in float32 those of the direct form lose
    three digits where poles come near 1. All differences are taken exactly. A section that
    stops constants comes first, so that no other is ever filled with an electrode's offset.

    Raises:
        SpecError: the filter lets a constant through, or ignores its newest sample.
    """
    rows = sorted((tuple(map(Fraction, row)) for row in sos), key=lambda row: sum(row[:3]) != 0)
    if sum(rows[0][:3]) != 0 or not all(row[0] for row in rows):
        raise SpecError(
            f"{name}: its filter cannot be written as C",
            expected="a filter that stops constants, each section beginning with its newest sample",
            got="b0 + b1 + b2 other than 0 in every section, or b0 = 0",
            fix="Use a model whose features are high-passed, such as emodict-1",
        )
    idle = (Section(0, 0, 0, 0, 0, 0, 0),) * (-len(rows) % SECTIONS_AT_ONCE)
    gain = float(math.prod(row[0] for row in rows))
    return Cascade((*map(_section, rows), *idle), gain)


def _section(row: tuple[Fraction, ...]) -> Section:
    b0, b1, b2, _, a1, a2 = row
    half = -a1 / 2
    # (i w)^2 of complex poles h +- i w, w^2 of real ones.
    square = half * half - a2
    turn = math.sqrt(abs(square)) or 1.0
    tap1 = b1 / b0 - a1
    tap2 = b2 / b0 - a2 + half * tap1
    level = 1 / (1 + a1 + a2)
    return Section(
        hold=float(half),
        across=float(square) / turn,
        turn=turn,
        tap1=float(tap1),
        tap2=float(tap2) / turn,
        rest1=float(level * (1 - half)),
        rest2=float(level) * turn,
    )


def sections_table(name: str, filter_: Cascade) -> str:
    """The array `name` of C's sections."""
    rows = (
        ", ".join(map(number, (s.hold, s.across, s.turn, s.tap1, s.tap2))) for s in filter_.sections
    )
    return listed(f"static const section {name}[]", (f"{{{row}}}" for row in rows))
