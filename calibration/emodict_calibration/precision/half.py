"""Half precision emulated in float32: each operator as its elementary steps, each step rounded.

A float32 result of + - * / or sqrt on halves, rounded once more to half, is the correctly rounded
half result (float32 keeps 24 bits, more than twice 11 and 2), so BLAS and vector instructions can
do the work. The products of a Gemm or MatMul, and all sums over an axis, are accumulated in float32
and rounded once, as tensor cores do (and numpy's own half matmul); what a Gemm adds to its product
is a second step, rounded again, as TensorRT's parser writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import EmodictError

Floats = NDArray[np.float32]
# What follows each elementary step: `to_half`, nothing, or something that looks at the numbers.
Rounding = Callable[[Floats], Floats]
Operator = Callable[..., Floats]

_FIRST_TOO_LARGE = np.float32(65520)
SMALLEST_NORMAL_HALF = np.float32(2.0**-14)
SMALLEST_HALF = 2.0**-24
# float32 numbers from 0.5 to 1 are 2^-24 apart, as subnormal halves are:
# adding and taking off 0.75 rounds to these.
_SUBNORMAL_ROUNDER = np.float32(0.75)
# float32 has 13 bits more of significand than half.
_DROPPED_BITS = np.uint32(13)
_BELOW_HALF_ULP, _KEPT_BITS = np.uint32((1 << 12) - 1), np.uint32(0xFFFFFFFF - ((1 << 13) - 1))


@np.errstate(all="ignore")
def to_half(x: Floats) -> Floats:
    """The nearest halves (ties to even), as float32: beyond 65504 infinite, subnormals kept.

    The same as x.astype(float16).astype(float32), several times as fast.
    """
    x = np.ascontiguousarray(x, dtype=np.float32)
    bits = x.view(np.uint32)
    # Adds just under half a unit, and the rest where the last kept bit is
    # odd: nearest, ties to even.
    rounded = (bits >> _DROPPED_BITS) & np.uint32(1)
    rounded += bits
    rounded += _BELOW_HALF_ULP
    rounded &= _KEPT_BITS
    result = rounded.view(np.float32)
    size = np.abs(x)
    tiny = size < SMALLEST_NORMAL_HALF
    if tiny.any():
        result = np.where(
            tiny, np.copysign((size + _SUBNORMAL_ROUNDER) - _SUBNORMAL_ROUNDER, x), result
        )
    # What is nearer to 65536 than to 65504, and what is not a number.
    fits = size < _FIRST_TOO_LARGE
    if not fits.all():
        result = np.where(fits, result, x.astype(np.float16).astype(np.float32))
    return result


def unrounded(x: Floats) -> Floats:
    """FP32: nothing happens between steps."""
    return x


def _product(r: Rounding, a: Floats, b: Floats) -> Floats:
    return r(np.matmul(a, b))


def _gemm(r: Rounding, a: Floats, b: Floats, c: Floats | None = None) -> Floats:
    product = _product(r, a, b)
    return product if c is None else r(product + c)


def _layer_norm(
    r: Rounding, x: Floats, scale: Floats, bias: Floats, *, epsilon: float, axis: int = -1
) -> Floats:
    if axis not in (-1, x.ndim - 1):
        raise EmodictError(f"The emulator does not know LayerNormalization over axis {axis}")
    count = np.float32(x.shape[-1])
    mean = r(r(x.sum(axis=-1, keepdims=True)) / count)
    centred = r(x - mean)
    squares = r(centred * centred)
    variance = r(r(squares.sum(axis=-1, keepdims=True)) / count)
    spread = r(np.sqrt(r(variance + r(np.full(1, epsilon, np.float32)))))
    return r(r(r(centred * r(np.float32(1) / spread)) * scale) + bias)


def _softmax(r: Rounding, x: Floats, *, axis: int = -1) -> Floats:
    powers = r(np.exp(r(x - x.max(axis=axis, keepdims=True))))
    return r(powers / r(powers.sum(axis=axis, keepdims=True)))


def _sigmoid(r: Rounding, x: Floats) -> Floats:
    power = r(np.exp(-np.abs(x)))
    whole = r(power + np.float32(1))
    return np.asarray(np.where(x > 0, r(np.float32(1) / whole), r(power / whole)))


def _relu(r: Rounding, x: Floats) -> Floats:
    return np.maximum(x, np.float32(0))


def _leaky_relu(r: Rounding, x: Floats, *, alpha: float = 0.01) -> Floats:
    return np.asarray(np.where(x > 0, x, r(x * r(np.full(1, alpha, np.float32)))))


def _reduce_mean(r: Rounding, x: Floats, axes: NDArray[np.int64], *, keepdims: int = 1) -> Floats:
    axis = tuple(int(a) for a in axes)
    count = np.float32(np.prod([x.shape[a] for a in axis]))
    return r(r(x.sum(axis=axis, keepdims=bool(keepdims))) / count)


def _mean(r: Rounding, *parts: Floats) -> Floats:
    total = parts[0]
    for part in parts[1:]:
        total = r(total + part)
    return r(total / np.float32(len(parts)))


def _add(r: Rounding, a: Floats, b: Floats) -> Floats:
    return r(a + b)


def _subtract(r: Rounding, a: Floats, b: Floats) -> Floats:
    return r(a - b)


def _multiply(r: Rounding, a: Floats, b: Floats) -> Floats:
    return r(a * b)


def _reshape(r: Rounding, x: Floats, shape: NDArray[np.int64]) -> Floats:
    return x.reshape([int(n) for n in shape])


def _transpose(r: Rounding, x: Floats, *, perm: Sequence[int]) -> Floats:
    return x.transpose(list(perm))


def _gather(r: Rounding, x: Floats, index: NDArray[np.int64], *, axis: int = 0) -> Floats:
    return np.take(x, index, axis=axis)


def _concat(r: Rounding, *parts: Floats, axis: int) -> Floats:
    return np.concatenate(parts, axis=axis)


OPERATORS: Mapping[str, Operator] = {
    "Sub": _subtract,
    "Mul": _multiply,
    "Add": _add,
    "MatMul": _product,
    "Gemm": _gemm,
    "Softmax": _softmax,
    "LayerNormalization": _layer_norm,
    "Relu": _relu,
    "LeakyRelu": _leaky_relu,
    "Sigmoid": _sigmoid,
    "ReduceMean": _reduce_mean,
    "Mean": _mean,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Gather": _gather,
    "Concat": _concat,
}


def run_operator(
    op: str, inputs: Sequence[NDArray[Any]], attributes: Mapping[str, Any], rounding: Rounding
) -> Floats:
    """One node on inputs already in its precision."""
    return OPERATORS[op](rounding, *inputs, **attributes)
