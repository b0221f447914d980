"""Digital filters from second-order sections in numpy:
causal with carried state, and zero-phase.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from emodict.features.products import product

Float64Array = NDArray[np.float64]

# Long runs are filtered in blocks of this many samples, one matrix product each.
_BLOCK = 64
# And windows in blocks of at most so many: half as many have twice as many states between them.
_LARGEST_BLOCK = 100


@dataclass(frozen=True)
class BlockForm:
    """A filter over L samples at once: y = toeplitz x + observe s; s' = reach x + carry s."""

    toeplitz: Float64Array
    observe: Float64Array
    reach: Float64Array
    carry: Float64Array


@dataclass(frozen=True)
class StateSpace:
    """A filter as s' = A s + b x, y = c s + d x; s is (states,).

    Attributes:
        step_state: (states,) in which a constant input of 1 has always been there.
    """

    a: Float64Array
    b: Float64Array
    c: Float64Array
    d: float
    step_state: Float64Array

    @property
    def order(self) -> int:
        return len(self.b)

    def block_form(self, length: int) -> BlockForm:
        """The matrices that advance the filter by `length` samples."""
        observe = np.empty((length, self.order))
        reach = np.empty((self.order, length))
        row, column = self.c, self.b
        for step in range(length):
            observe[step], reach[:, length - 1 - step] = row, column
            row, column = row @ self.a, self.a @ column
        impulse = np.concatenate([[self.d], observe[:-1] @ self.b])
        lag = np.subtract.outer(np.arange(length), np.arange(length))
        toeplitz = np.where(lag >= 0, impulse[np.abs(lag)], 0.0)
        return BlockForm(toeplitz, observe, reach, np.linalg.matrix_power(self.a, length))


def state_space(sos: Sequence[Sequence[float]]) -> StateSpace:
    """Second-order sections in series; the same response as scipy.signal.sosfilt, rounded far less.

    The states of a section with poles h +- sqrt(v) are those of A = [[h, v], [1, h]]. The usual
    ones, of the transposed direct form, are nearly equal where poles come near 1, and what
    rounding takes from their difference rings on: for the pulse filter of 0.01 Hz it came to 1e-9
    of the signal. The few differences that shape A, c and the step's states are taken exactly, for
    they lose as many digits.
    """
    a: Float64Array = np.zeros((0, 0))
    b: Float64Array = np.zeros(0)
    c: Float64Array = np.zeros(0)
    d = 1.0
    # What a constant input of 1 is after the sections so far.
    level, step_state = Fraction(1), list[float]()
    for b0, b1, b2, _, a1, a2 in (map(Fraction, section) for section in sos):
        half = -a1 / 2
        tap1 = b1 - a1 * b0
        tap2 = b2 - a2 * b0 + half * tap1
        constant = level / (1 + a1 + a2)
        step_state += [_rounded(constant * (1 - half)), _rounded(constant)]
        level = constant * (b0 + b1 + b2)
        section_a = np.array([[_rounded(half), _rounded(half * half - a2)], [1.0, _rounded(half)]])
        section_b = np.array([1.0, 0.0])
        top = np.hstack([a, np.zeros((len(b), 2))])
        a = np.vstack([top, np.hstack([np.outer(section_b, c), section_a])])
        b = np.concatenate([b, section_b * d])
        c = np.concatenate([float(b0) * c, [_rounded(tap1), _rounded(tap2)]])
        d = float(b0) * d
    return StateSpace(a, b, c, d, np.array(step_state))


def _rounded(value: Fraction) -> float:
    """The nearest float; beyond the largest infinity, as in float arithmetic, and no exception."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def causal_filter(system: StateSpace, samples: Float64Array, state: Float64Array) -> Float64Array:
    """Filter (samples, channels) from `state` (states, channels); all samples must be finite."""
    count, channels = samples.shape
    form = system.block_form(_BLOCK)
    whole = count // _BLOCK * _BLOCK
    blocks = samples[:whole].reshape(-1, _BLOCK, channels)
    out = np.empty_like(samples)
    fresh, pushed = form.toeplitz @ blocks, form.reach @ blocks
    for i in range(len(blocks)):
        out[i * _BLOCK : (i + 1) * _BLOCK] = fresh[i] + form.observe @ state
        state = form.carry @ state + pushed[i]
    rest = count - whole
    out[whole:] = form.toeplitz[:rest, :rest] @ samples[whole:] + form.observe[:rest] @ state
    return out


def zero_phase(
    sos: Sequence[Sequence[float]], samples: Float64Array, *, padding: int
) -> Float64Array:
    """Filter (samples, channels) forward and backward;
    the same numbers as scipy.signal.sosfiltfilt.

    Both ends are extended by `padding` samples, mirrored about the end point. Needs more samples
    than that, all finite.
    """
    system = state_space(sos)
    before = 2 * samples[:1] - samples[padding:0:-1]
    after = 2 * samples[-1:] - samples[-2 : -padding - 2 : -1]
    extended = np.concatenate([before, samples, after])
    for _ in range(2):
        state = np.outer(system.step_state, extended[0])
        # A copy: a matrix product over a reversed view is done without BLAS, ten times as slowly.
        extended = causal_filter(system, extended, state)[::-1].copy()
    return extended[padding : padding + len(samples)]


class WindowFilter:
    """`zero_phase` of windows of one length, block by block: a quarter of one large matrix's work.

    A first matrix gives what both directions make of each block from rest, and what it adds to the
    states in which they enter the next; a second, from these and the window's two ends, the states
    in which they enter each; a third what each block owes to its own.
    """

    def __init__(self, sos: Sequence[Sequence[float]], samples: int, *, padding: int) -> None:
        system = state_space(sos)
        self._block = max(n for n in range(1, _LARGEST_BLOCK + 1) if samples % n == 0)
        self._ends = padding + 1
        form = system.block_form(self._block)
        # Backwards is forwards with time turned round, and a Toeplitz matrix turned is transposed.
        back, turned = form.toeplitz.T, form.reach[:, ::-1]
        self._from_samples = np.vstack(
            [back @ form.toeplitz, form.reach, turned @ form.toeplitz]
        ).T.copy()
        self._from_states = np.hstack([back @ form.observe, form.observe[::-1]]).T.copy()
        self._states = _entering_states(system, form, samples // self._block, padding)

    def __call__(self, windows: Float64Array) -> Float64Array:
        """(windows, samples) -> the same shape; all samples must be finite."""
        block, entering = self._block, self._states.shape[1]
        blocks = product(windows.reshape(-1, block), self._from_samples)
        added = blocks[:, block:].reshape(len(windows), entering)
        ends = windows[:, : self._ends], windows[:, -self._ends :]
        states = product(np.concatenate([added, *ends], axis=1), self._states)
        owed = product(states.reshape(-1, len(self._from_states)), self._from_states)
        owed += blocks[:, :block]
        return owed.reshape(windows.shape)


def _entering_states(
    system: StateSpace, form: BlockForm, blocks: int, padding: int
) -> Float64Array:
    """(blocks * states + 2 ends, blocks * states) for `WindowFilter`; states of both directions."""
    order, ends = system.order, padding + 1
    units = np.eye(2 * order * blocks + 2 * ends)
    added = units[: -2 * ends].reshape(blocks, 2 * order, len(units))
    head, tail = units[-2 * ends : -ends], units[-ends:]
    edge = system.block_form(padding)

    def settled(before: Float64Array) -> Float64Array:
        """The state after a stretch in whose first sample it had settled."""
        return edge.carry @ np.outer(system.step_state, before[0]) + edge.reach @ before

    state, forwards, backwards = settled(2 * head[:1] - head[:0:-1]), [], []
    for block in added:
        forwards.append(state)
        state = form.carry @ state + block[:order]
    beyond = edge.toeplitz @ (2 * tail[-1:] - tail[-2::-1]) + edge.observe @ state
    state = settled(beyond[::-1])
    for block, entered in zip(added[::-1], forwards[::-1], strict=True):
        backwards.append(state)
        state = form.carry @ state + block[order:] + form.reach[:, ::-1] @ form.observe @ entered
    return np.concatenate([forwards, backwards[::-1]], axis=1).reshape(-1, len(units)).T.copy()
