from __future__ import annotations

import numpy as np
import pytest
import torch

from emodict_calibration.precision.half import run_operator, to_half, unrounded


def all_halves() -> np.ndarray:
    with np.errstate(invalid="ignore"):  # signalling NaN among them
        return np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)


def numpys(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x.astype(np.float16).astype(np.float32)


def test_rounding_is_numpys_for_every_half_every_midpoint_and_its_neighbours() -> None:
    halves = all_halves()
    finite = np.unique(halves[np.isfinite(halves)]).astype(np.float32)
    midpoints = (finite[1:] / 2 + finite[:-1] / 2).astype(np.float32)
    edges = np.float32(
        [65504, 65519.996, 65520, 65536, 3e38, np.inf, np.nan, 2**-25, 2**-26, 1e-45, 0.0]
    )
    x = np.concatenate([halves, midpoints, np.nextafter(midpoints, np.float32(9e9)), edges, -edges])
    x = np.concatenate([x, np.nextafter(midpoints, np.float32(-9e9))])
    rounded, expected = to_half(x), numpys(x)
    np.testing.assert_array_equal(rounded, expected)
    # assert_array_equal calls -0 and 0 equal.
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(rounded)[numbers], np.signbit(expected)[numbers])


def test_rounding_is_numpys_for_a_million_random_patterns_of_bits() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 1_000_000, dtype=np.uint64).astype(np.uint32)
    np.testing.assert_array_equal(to_half(bits.view(np.float32)), numpys(bits.view(np.float32)))


def test_rounding_leaves_its_argument_alone_and_takes_views() -> None:
    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    before = x.copy()
    np.testing.assert_array_equal(to_half(x.T), numpys(x).T)
    np.testing.assert_array_equal(x, before)


X = np.random.default_rng(1).standard_normal((5, 7, 24)).astype(np.float32) * 3
SCALE, BIAS = np.linspace(0.5, 2, 24, dtype=np.float32), np.linspace(-1, 1, 24, dtype=np.float32)
T = torch.from_numpy(X)
IN_TORCH = {
    "Softmax": ([X], {"axis": -1}, T.softmax(-1)),
    "LayerNormalization": (
        [X, SCALE, BIAS],
        {"axis": -1, "epsilon": 1e-5},
        torch.nn.functional.layer_norm(
            T, (24,), torch.from_numpy(SCALE), torch.from_numpy(BIAS), 1e-5
        ),
    ),
    "Sigmoid": ([X], {}, T.sigmoid()),
    "LeakyRelu": ([X], {"alpha": 0.01}, torch.nn.functional.leaky_relu(T, 0.01)),
    "Relu": ([X], {}, T.relu()),
    "ReduceMean": ([X, np.array([1])], {"keepdims": 0}, T.mean(1)),
    "Mean": ([X, 2 * X, X - 1], {}, (T + 2 * T + T - 1) / 3),
}


@pytest.mark.parametrize("op", IN_TORCH)
def test_an_operator_computes_what_torch_computes_in_fp32(op: str) -> None:
    inputs, attributes, expected = IN_TORCH[op]
    # float32 on both sides, summed in another order
    np.testing.assert_allclose(
        run_operator(op, inputs, attributes, unrounded), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("op", IN_TORCH)
def test_in_half_every_answer_is_a_half_and_near_the_exact_one(op: str) -> None:
    inputs, attributes, expected = IN_TORCH[op]
    halves = [to_half(x) if x.dtype == np.float32 else x for x in inputs]
    got = run_operator(op, halves, attributes, to_half)
    np.testing.assert_array_equal(got, numpys(got))
    # Half keeps 11 bits: a few roundings of 5e-4 each, of numbers of size 1 to 10.
    np.testing.assert_allclose(got, expected, rtol=4e-3, atol=4e-3)
    assert not np.array_equal(got, expected.numpy())


def test_the_squares_of_a_layer_norm_overflow_in_half_as_its_numbers_do_not() -> None:
    x = np.zeros((1, 24), np.float32)
    x[0, 0] = 1000.0  # its square passes 65504
    ones, zeros = np.ones(24, np.float32), np.zeros(24, np.float32)
    arguments = {"axis": -1, "epsilon": 1e-5}
    with np.errstate(all="ignore"):
        got = run_operator("LayerNormalization", [x, ones, zeros], arguments, to_half)
    # An infinite variance: everything is divided to 0.
    np.testing.assert_array_equal(got, 0)
    exact = run_operator("LayerNormalization", [x, ones, zeros], arguments, unrounded)
    assert exact[0, 0] == pytest.approx(np.sqrt(23), rel=1e-5)  # one of 24 differs: algebra


def test_a_product_is_summed_in_float32_and_rounded_once() -> None:
    # In half, 2048 + 1 is 2048: a sum of 1 added 4096 times in half would stop there.
    got = run_operator(
        "MatMul", [np.ones((1, 4096), np.float32), np.ones((4096, 1), np.float32)], {}, to_half
    )
    assert got == 4096
    # What a Gemm adds comes after that rounding: 60000 + 60000 - 60000 would fit,
    # but the product does not.
    a, b, c = np.float32([[300, 300]]), np.float32([[200], [200]]), np.float32([-60000])
    assert run_operator("Gemm", [a, b, c], {}, to_half) == np.inf
    assert run_operator("Gemm", [a, b, c], {}, unrounded) == 60000
