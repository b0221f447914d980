"""Digital filters from second-order sections in numpy: causal with carried state, and zero-phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# Long runs are filtered in blocks of this many samples, one matrix product each.
_BLOCK = 64


@dataclass(frozen=True)
class BlockForm:
    """A filter over L samples at once: y = toeplitz x + observe s; s' = reach x + carry s."""

    toeplitz: Float64Array
    observe: Float64Array
    reach: Float64Array
    carry: Float64Array


@dataclass(frozen=True)
class StateSpace:
    """A filter as s' = A s + b x, y = c s + d x; s is (states,)."""

    a: Float64Array
    b: Float64Array
    c: Float64Array
    d: float

    @property
    def order(self) -> int:
        return len(self.b)

    @cached_property
    def step_state(self) -> Float64Array:
        """The state in which a constant input of 1 has always been there."""
        return np.asarray(np.linalg.solve(np.eye(self.order) - self.a, self.b), dtype=np.float64)

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
    """Second-order sections in series, each in transposed direct form II as scipy.signal.sosfilt runs them."""
    a: Float64Array = np.zeros((0, 0))
    b: Float64Array = np.zeros(0)
    c: Float64Array = np.zeros(0)
    d = 1.0
    for b0, b1, b2, _, a1, a2 in sos:
        section_a = np.array([[-a1, 1.0], [-a2, 0.0]])
        section_b = np.array([b1 - a1 * b0, b2 - a2 * b0])
        top = np.hstack([a, np.zeros((len(b), 2))])
        a = np.vstack([top, np.hstack([np.outer(section_b, c), section_a])])
        b = np.concatenate([b, section_b * d])
        c = np.concatenate([b0 * c, [1.0, 0.0]])
        d = b0 * d
    return StateSpace(a, b, c, d)


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


def zero_phase(sos: Sequence[Sequence[float]], samples: Float64Array, *, padding: int) -> Float64Array:
    """Filter (samples, channels) forward and backward; the same numbers as scipy.signal.sosfiltfilt.

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
