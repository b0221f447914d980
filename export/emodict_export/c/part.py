"""What one modality adds to the C file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emodict.features.spec import ModalitySpec
from emodict_export.c.literals import table

FLOAT_BYTES = 4
# C runs through the bins of a spectrum in steps of so many.
BINS_AT_ONCE = 8


@dataclass(frozen=True)
class Place:
    """Where a modality stands: in valid and quality, and its first feature in the tokens."""

    column: int
    first_feature: int

    @property
    def features(self) -> str:
        return f"state->features + {self.first_feature}"

    @property
    def quality(self) -> str:
        return f"&row->quality[{self.column}]"


@dataclass(frozen=True)
class Field:
    """A member of the state; `bytes` with what aligns the next one."""

    declared: str
    bytes: int


@dataclass(frozen=True)
class Part:
    """A modality in C.

    Attributes:
        signal: what it is, for people.
        argument: of emodict_second.
        input_bytes: of one second of samples.
        sizes: constants of the header, by name.
        fields: what is carried from second to second.
        start: statements of emodict_init.
        tables: constants and functions of its own.
        judged: the statement that fills in valid, quality and features.
        sources: the C files it needs.
        work: floats of working memory.
        bins, states: most bins of a spectrum, most states of a filter within a window.
    """

    signal: str
    argument: str
    input_bytes: int
    sizes: dict[str, int]
    fields: tuple[Field, ...]
    start: str
    tables: str
    judged: str
    sources: frozenset[str]
    work: int = 0
    bins: int = 1
    states: int = 1


def upper(modality: ModalitySpec) -> str:
    """The beginning of the modality's constants in the header."""
    return f"EMODICT_{modality.name.upper()}"


def for_each(count: int, statement: str) -> str:
    """A loop over i from 0, as it stands in a function."""
    return f"for (int i = 0; i < {count}; i++) {{\n        {statement}\n    }}"


def filled_up(values: ArrayLike, to: int = 4) -> NDArray[np.float64]:
    """The values, and zeros up to a multiple of `to`."""
    flat = np.asarray(values, dtype=np.float64)
    return np.pad(flat, (0, -len(flat) % to))


def bends(bins: ArrayLike, length: int) -> NDArray[np.float64]:
    """-4 sin^2(t/2) of the bins' angles t."""
    return np.asarray(-4 * np.square(np.sin(np.pi * np.asarray(bins) / length)))


def bin_tables(name: str, bins: range, length: int) -> str:
    """The tables `name`_bend and `name`_sine of C's spectrum_bins."""
    halves = bins[0::2], bins[1::2]
    bend = np.concatenate([filled_up(bends(half, length), BINS_AT_ONCE) for half in halves])
    angles = (2 * np.pi * np.asarray(half, dtype=np.float64) / length for half in halves)
    sine = np.concatenate([filled_up(np.sin(angle), BINS_AT_ONCE) for angle in angles])
    return f"{table(f'{name}_bend', bend)}\n{table(f'{name}_sine', sine)}"


def bins_of(name: str, bins: range, length: int) -> str:
    """The initialiser of C's spectrum_bins."""
    return f"{{{length}, {bins.start}, {len(bins)}, {name}_bend, {name}_sine}}"
