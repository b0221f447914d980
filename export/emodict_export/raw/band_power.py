"""Band powers behind a causal filter: one product of a second and of what the filter keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.errors import SpecError
from emodict.features.band_power import BandPower
from emodict.features.filters import state_space
from emodict.features.spec import ModalitySpec
from emodict_desk.raw import NEXT, STATE
from emodict_export.raw import many, quality
from emodict_export.raw.balance import balanced, passes_level
from emodict_export.raw.builder import Part, RawBuilder

Float64Array = NDArray[np.float64]

# Stands for a missing sample until its channel is left out: so far from all others that every
# sample is at a rail.
MISSING = 1e30


@dataclass(frozen=True)
class _Second:
    """A second through filter, taper, DFT and bands, by matrices.

    The state is relative to a level, the least sample of its second: a filter that lets no level
    through does not see it, and float32 keeps all its digits for what moves, be the electrode at
    30 mV.

    Attributes:
        advance: (samples + 1 + states, rows + states); of the samples of this second without its
            level, of how much higher the level of the second before was, and of the filter's state.
        powers: (rows + states, bands); sums up the squares of the rows.
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
    name, second = modality.name, _second(modality)
    extent, good = _judged(b, modality, mixed=unmixing is not None)
    before, settled = _ages(b, modality, good)
    # What is neither mixed nor passed on inside is put beside the samples at once.
    state = [f"{STATE}{name}_filter"] if unmixing is None and not b.many else []
    seen = _without_level(b, name, extent, good, before, state)
    if unmixing is not None:
        mixing = b.constant(f"{name}/unmixing", unmixing)
        seen = b.add("MatMul", [mixing, seen], f"{name}/unmixed")
    advanced = _advanced(b, name, seen, good, second, with_state=bool(state))
    squares = b.add("Mul", [advanced, advanced], f"{name}/squares")
    powers = b.product(squares, second.powers, f"{name}/powers")
    powers = b.reshape(powers, (-1, modality.dims), f"{name}/flat_powers")
    valid = b.as_float(
        b.add("And", [settled, _loud(b, powers, name)], f"{name}/usable"), f"{name}/valid"
    )
    score = quality.swing_score(b, modality, extent, name)
    score = b.reduce("ReduceMean", score, 1, f"{name}/mean_score", keep=False)
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


def _judged(b: RawBuilder, modality: ModalitySpec, *, mixed: bool) -> tuple[quality.Spread, str]:
    """The range of each channel, and (batch, channels, 1), 1 where it is good and 0 elsewhere."""
    name, shape = modality.name, (len(modality.channel_names), modality.window_samples)
    # Channels first: what is done to each is done along its samples, which lie side by side.
    rows = b.add("Transpose", [name], f"{name}/rows", perm=[0, 2, 1])
    there = quality.inside(b, modality, rows, name)
    present = b.add("Where", [there, rows, b.scalar(MISSING)], f"{name}/present")
    # The least sample of this second is what the next one's state is relative to.
    low = "" if b.many else f"{NEXT}{name}_reference"
    extent = quality.spread(b, present, name, low=low)
    good = b.as_float(quality.lively(b, present, extent, shape, name), f"{name}/good")
    if mixed:
        # A sample that misses one channel misses all of them once they are mixed.
        every = b.reduce("ReduceMin", good, 1, f"{name}/all_good")
        good = b.add("Min", [good, every], f"{name}/good_of_each")
    return extent, good


def settle_seconds(modality: ModalitySpec) -> int:
    """For how many seconds a filter must have run before one of which its output is used."""
    return math.ceil(modality.settle_s / modality.window_s)


def _second(modality: ModalitySpec) -> _Second:
    if modality.filter is None or modality.filter.mode != "causal":
        raise SpecError(f"{modality.name}: without a causal filter it has no raw graph")
    system = balanced(state_space(modality.filter.sos))
    if passes_level(system):
        raise SpecError(
            f"{modality.name}: its filter lets constants through, which has no raw graph"
        )
    bands, form = BandPower(modality), system.block_form(modality.window_samples)
    from_samples = np.concatenate([bands.analysis @ form.toeplitz, form.reach])
    from_state = np.concatenate([bands.analysis @ form.observe, form.carry])
    from_level = from_state @ system.step_state[:, None]
    unseen = np.zeros((len(bands.membership), system.order))
    return _Second(
        advance=np.concatenate([from_samples, from_level, from_state], axis=1).T,
        powers=np.concatenate([bands.membership, unseen], axis=1).T,
        rows=len(bands.analysis),
    )


def _ages(b: RawBuilder, modality: ModalitySpec, good: str) -> tuple[str, str]:
    """For how long each channel's filter had run before, and (batch, 1), true where all settled.

    The age is counted up to where it does not matter any more: float32 cannot count for ever.
    """
    name, settle = modality.name, settle_seconds(modality)
    before = f"{STATE}{name}_age"
    if b.many:
        if settle > 1:
            raise SpecError(f"{name}: its filter settles for longer than many seconds allow")
        # Whether the second before was good is all that such a filter has to know of its age.
        before = many.a_second_before(b, f"{name}_age", good)
    older = b.add("Mul", [before, good], f"{name}/good_age")
    older = b.add("Add", [older, good], f"{name}/older")
    if not b.many:
        b.add("Min", [older, b.scalar(settle + 1.0)], f"{NEXT}{name}_age")
    youngest = b.reduce("ReduceMin", older, 1, f"{name}/youngest", keep=False)
    settled = b.add("Greater", [youngest, b.scalar(settle + 0.5)], f"{name}/settled")
    return before, settled


def _loud(b: RawBuilder, powers: str, name: str) -> str:
    """(batch, 1): every power has a logarithm in float32, too.

    Of features that are infinite Python has the row invalid; all other ranges see to it.
    """
    least = b.reduce("ReduceMin", powers, 1, f"{name}/least_power")
    return b.add("Greater", [least, b.scalar(quality.LEAST_POWER)], f"{name}/loud")


def _without_level(
    b: RawBuilder, name: str, extent: quality.Spread, good: str, age: str, state: list[str]
) -> str:
    """(batch, channels, samples + 1): the samples, the step of the level, and the state if given.

    0 where a channel has to start again: what stands for missing samples is as large as float32
    allows.
    """
    started = b.as_bool(age, f"{name}/started")
    reference = f"{name}_reference"
    before = many.a_second_before(b, reference, extent.low) if b.many else f"{STATE}{reference}"
    step = b.add("Sub", [before, extent.low], f"{name}/level_step")
    # A filter that starts is in the state in which its first sample has always been there.
    first = b.part(extent.above, 2, 0, 1, f"{name}/first")
    step = b.add("Where", [started, step, first], f"{name}/step")
    seen = b.add("Concat", [extent.above, step, *state], f"{name}/seen", axis=2)
    return b.add("Mul", [seen, good], f"{name}/clean")


def _advanced(
    b: RawBuilder, name: str, seen: str, good: str, second: _Second, *, with_state: bool
) -> str:
    """(batch, channels, rows + states): what the bands are made of, and the filter's next state.

    The state is 0 where a channel has to start again.
    """
    order = second.advance.shape[1] - second.rows
    if b.many:
        fresh = b.product(seen, second.advance[:-order], f"{name}/fresh")
        pushed = b.part(fresh, 2, second.rows, second.rows + order, f"{name}/pushed")
        carry = second.advance[-order:, second.rows :]
        states = many.filter_states(b, name, pushed, good, carry)
        states = b.product(states, second.advance[-order:], f"{name}/of_states")
        return b.add("Add", [fresh, states], f"{name}/advanced")
    if not with_state:
        kept = b.add("Mul", [f"{STATE}{name}_filter", good], f"{name}/kept")
        seen = b.add("Concat", [seen, kept], f"{name}/taken", axis=2)
    advanced = b.product(seen, second.advance, f"{name}/advanced")
    b.part(advanced, 2, second.rows, second.rows + order, f"{NEXT}{name}_filter")
    return advanced


def _order(modality: ModalitySpec) -> NDArray[np.int64]:
    """Where among (channels, bands) each feature stands."""
    places = np.arange(modality.dims).reshape(-1, len(modality.bands))
    return (places.T if modality.band_major else places).reshape(-1)
