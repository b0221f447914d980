"""The states of a filter in the basis in which float32 loses least."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emodict.features.filters import StateSpace

Float64Array = NDArray[np.float64]


def balanced(system: StateSpace) -> StateSpace:
    """The same filter; each state is as easily reached as it is seen (Moore 1981).

    In the sections' own basis states are large and nearly equal, and what is seen is their small
    difference.
    """
    reached = _gramian(system.a, system.b)
    seen = _gramian(system.a.T, system.c)
    root = np.linalg.cholesky(reached)
    squares, rotation = np.linalg.eigh(root.T @ seen @ root)
    back = root @ rotation * squares**-0.25
    there = np.linalg.inv(back)
    return replace(
        system,
        a=there @ system.a @ back,
        b=there @ system.b,
        c=system.c @ back,
        step_state=there @ system.step_state,
    )


def passes_level(system: StateSpace) -> bool:
    """Whether a constant comes through."""
    return bool(abs(system.c @ system.step_state + system.d) > 1e-9)


def _gramian(a: Float64Array, b: Float64Array) -> Float64Array:
    """X = a X a^T + b b^T, as a set of linear equations: a filter has a dozen states at most."""
    order = len(b)
    flat = np.linalg.solve(np.eye(order**2) - np.kron(a, a), np.outer(b, b).reshape(-1))
    square = flat.reshape(order, order)
    return np.asarray((square + square.T) / 2)
