"""Band powers of a causally filtered signal: one product of a second and of what the filter keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.engine.raw import NEXT, STATE
from emodict.errors import SpecError
from emodict.features.band_power import BandPower
from emodict.features.filters import state_space
from emodict.features.spec import ModalitySpec
from emodict_export.raw import quality
from emodict_export.raw.balance import balanced, passes_level
from emodict_export.raw.builder import Part, RawBuilder

Float64Array = NDArray[np.float64]

# Stands for a missing sample until its channel is left out: so far from all others that every
# sample is at a rail.
MISSING = 1e30


@dataclass(frozen=True)
class _Second:
    """A second through filter, taper, DFT and bands, by matrices.

    The state is relative to a level, the middle of the second before: a filter that lets no level
    through does not see it, and float32 keeps all its digits for what moves, be the electrode at
    30 mV.

    Attributes:
        advance: (rows + states, samples + 1 + states); of the samples of this second without its
            level, of how much higher the level of the second before was, and of the filter's state.
        powers: (bands, rows + states); sums up the squares of the rows.
    """

    advance: Float64Array
    powers: Float64Array
    rows: int


def band_power_part(
    b: RawBuilder, modality: ModalitySpec, unmixing: NDArray[np.float64] | None
) -> Part:
    """The nodes of one modality, from its samples (batch, samples, channels) on.

    Raises:
        SpecError: there is no causal filter, or it lets constants through.
    """
    name, channels = modality.name, len(modality.channel_names)
    samples, second = modality.window_samples, _second(modality)
    there = quality.inside(b, modality, name, name)
    present = b.add("Where", [there, name, b.scalar(MISSING)], f"{name}/present")
    extent = quality.spread(b, present, name)
    lively = quality.lively(b, present, extent, (samples, channels), name)
    good = b.as_float(lively, f"{name}/good")
    if unmixing is not None:
        # A sample that misses one channel misses all of them once they are mixed.
        good = b.reduce("ReduceMin", good, 2, f"{name}/all_good")
    taken = _without_level(b, name, extent, good, unmixing)
    advanced = b.add(
        "MatMul", [b.constant(f"{name}/advance", second.advance), taken], f"{name}/advanced"
    )
    _carry_on(b, modality, advanced, extent, good, second)
    squares = b.add("Mul", [advanced, advanced], f"{name}/squares")
    powers = b.add("MatMul", [b.constant(f"{name}/bands", second.powers), squares], f"{name}/powers")
    powers = b.reshape(powers, (-1, modality.dims), f"{name}/flat_powers")
    valid = _valid(b, modality, powers)
    score = quality.swing_score(b, modality, extent, name)
    score = b.reduce("ReduceMean", score, 2, f"{name}/mean_score", keep=False)
    spectrum = modality.spectrum
    assert spectrum is not None
    return Part(
        columns=b.add("Log", [powers], f"{name}/log"),
        width=modality.dims,
        order=_order(modality),
        scale=np.full(modality.dims, spectrum.log_scale),
        offset=np.full(modality.dims, spectrum.log_offset),
        valid=valid,
        quality=b.add("Mul", [score, valid], f"{name}/quality"),
    )


def settle_seconds(modality: ModalitySpec) -> int:
    """For how many seconds a filter must have run before one of which its output is used."""
    return math.ceil(modality.settle_s / modality.window_s)


def _second(modality: ModalitySpec) -> _Second:
    if modality.filter is None or modality.filter.mode != "causal":
        raise SpecError(f"{modality.name}: without a causal filter it has no raw graph")
    system = balanced(state_space(modality.filter.sos))
    if passes_level(system):
        raise SpecError(f"{modality.name}: its filter lets constants through, which has no raw graph")
    bands, form = BandPower(modality), system.block_form(modality.window_samples)
    from_samples = np.concatenate([bands.analysis @ form.toeplitz, form.reach])
    from_state = np.concatenate([bands.analysis @ form.observe, form.carry])
    from_level = from_state @ system.step_state[:, None]
    unseen = np.zeros((len(bands.membership), system.order))
    return _Second(
        advance=np.concatenate([from_samples, from_level, from_state], axis=1),
        powers=np.concatenate([bands.membership, unseen], axis=1),
        rows=len(bands.analysis),
    )


def _without_level(
    b: RawBuilder, name: str, extent: quality.Spread, good: str, unmixing: Float64Array | None
) -> str:
    """(batch, samples + 1 + states, channels): samples, the step of the level, and the state."""
    started = b.as_bool(f"{STATE}{name}_age", f"{name}/started")
    step = b.add("Sub", [f"{STATE}{name}_reference", extent.centre], f"{name}/level_step")
    # A filter that starts is in the state in which its first sample has always been there.
    first = b.part(extent.centred, 1, 0, 1, f"{name}/first")
    step = b.add("Where", [started, step, first], f"{name}/step")
    seen = b.add("Concat", [extent.centred, step], f"{name}/seen", axis=1)
    seen = b.add("Mul", [seen, good], f"{name}/clean")
    if unmixing is not None:
        seen = b.product(seen, unmixing.T, f"{name}/unmixed")
    return b.add("Concat", [seen, f"{STATE}{name}_filter"], f"{name}/taken", axis=1)


def _carry_on(
    b: RawBuilder,
    modality: ModalitySpec,
    advanced: str,
    extent: quality.Spread,
    good: str,
    second: _Second,
) -> None:
    """What the next second needs; all of it 0 where a channel has to start again."""
    name = modality.name
    reached = b.part(advanced, 1, second.rows, len(second.advance), f"{name}/reached")
    b.add("Mul", [reached, good], f"{NEXT}{name}_filter")
    b.add("Mul", [extent.centre, good], f"{NEXT}{name}_reference")
    older = b.add("Add", [f"{STATE}{name}_age", b.scalar(1.0)], f"{name}/older")
    # Once it has settled, its age does not matter, and float32 could not count for ever.
    older = b.add("Min", [older, b.scalar(settle_seconds(modality) + 1.0)], f"{name}/age")
    b.add("Mul", [older, good], f"{NEXT}{name}_age")


def _valid(b: RawBuilder, modality: ModalitySpec, powers: str) -> str:
    """(batch, 1): every channel is good and has settled, and every band has power."""
    name = modality.name
    youngest = b.reduce("ReduceMin", f"{NEXT}{name}_age", 2, f"{name}/youngest", keep=False)
    enough = b.scalar(settle_seconds(modality) + 1.0)
    settled = b.add("GreaterOrEqual", [youngest, enough], f"{name}/settled")
    least = b.reduce("ReduceMin", powers, 1, f"{name}/least_power")
    both = b.add("And", [settled, b.as_bool(least, f"{name}/powered")], f"{name}/usable")
    return b.as_float(both, f"{name}/valid")


def _order(modality: ModalitySpec) -> NDArray[np.int64]:
    """Where among (bands, channels) each feature stands."""
    bands, channels = len(modality.bands), len(modality.channel_names)
    places = np.arange(bands * channels).reshape(bands, channels)
    return (places if modality.band_major else places.T).reshape(-1)
