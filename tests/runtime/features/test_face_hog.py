"""Edge directions of a face: against the formula pixel by pixel,
and pictures whose answer is known.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from emodict.features.hog import hog_features, hog_names
from emodict.features.spec import load_spec

SIDE = 128
ROWS, COLUMNS, DIRECTIONS = 4, 2, 9


def by_the_formula(crop: np.ndarray) -> np.ndarray:
    """Pixel by pixel in plain Python,
    weights from the distance of two directions on a half circle.
    """
    grey = [
        [0.114 * b + 0.587 * g + 0.299 * r for b, g, r in row]
        for row in crop.astype(float).tolist()
    ]
    sums = np.zeros((ROWS, COLUMNS, DIRECTIONS))
    width = 180 / DIRECTIONS
    for y in range(SIDE):
        for x in range(SIDE):
            across = grey[y][x + 1] - grey[y][x - 1] if 0 < x < SIDE - 1 else 0.0
            down = grey[y + 1][x] - grey[y - 1][x] if 0 < y < SIDE - 1 else 0.0
            degrees = math.degrees(math.atan2(down, across)) % 180
            for k in range(DIRECTIONS):
                apart = abs(degrees - (k + 0.5) * width)
                weight = max(0.0, 1 - min(apart, 180 - apart) / width)
                sums[y * ROWS // SIDE, x * COLUMNS // SIDE, k] += weight * math.hypot(across, down)
    means = sums.ravel() / (SIDE * SIDE / (ROWS * COLUMNS))
    return means / math.sqrt((means**2).sum() + 1)


def ramp(degrees: int, steepness: float = 0.5) -> np.ndarray:
    """A grey that rises evenly in one direction; in floating point, so that it is exact."""
    y, x = np.mgrid[:SIDE, :SIDE]
    grey = steepness * (x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees)))
    return np.repeat(grey[:, :, None], 3, axis=2)


def test_the_features_are_the_formula_pixel_by_pixel() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    # Both sum in double precision, in another order.
    np.testing.assert_allclose(hog_features(crop), by_the_formula(crop), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("degrees", "shares"),
    [(30, {1: 1}), (170, {8: 1}), (0, {0: 0.5, 8: 0.5}), (85, {3: 0.25, 4: 0.75})],
)
def test_a_ramp_is_all_in_the_directions_next_to_its_own(
    degrees: int, shares: dict[Any, Any]
) -> None:
    of_direction = hog_features(ramp(degrees)).reshape(-1, DIRECTIONS)
    inner = of_direction / of_direction.sum(axis=1, keepdims=True)
    expected = np.zeros(DIRECTIONS)
    expected[list(shares)] = list(shares.values())
    # On the border one part of the gradient is zero: under 5 % of a corner cell.
    np.testing.assert_allclose(inner, np.tile(expected, (ROWS * COLUMNS, 1)), atol=0.05)


def test_an_edge_counts_in_its_own_part_of_the_face() -> None:
    crop = np.full((SIDE, SIDE, 3), 100, np.uint8)
    crop[80:, 90:94] = 220
    strength = hog_features(crop).reshape(ROWS, COLUMNS, DIRECTIONS).sum(axis=2)
    assert (strength > 0.01).tolist() == [
        [False, False],
        [False, False],
        [False, True],
        [False, True],
    ]


def test_a_flat_picture_gives_zeros_and_contrast_hardly_matters() -> None:
    # 77 of equal greys may be rounded apart, by 3 times 1.4e-14,
    # where a product ends with a shorter piece.
    np.testing.assert_allclose(
        hog_features(np.full((SIDE, SIDE, 3), 77, np.uint8)), 0.0, rtol=0, atol=1e-13
    )
    rng = np.random.default_rng(1)
    pattern = np.kron(rng.integers(0, 100, (16, 16, 3)), np.ones((8, 8, 1)))
    # The floor of one grey level takes less from the picture of double contrast.
    np.testing.assert_allclose(hog_features(pattern), hog_features(2 * pattern + 20), rtol=0.01)


def test_colours_weigh_as_the_eye_sees_them() -> None:
    crop = np.zeros((3, SIDE, SIDE, 3))
    for colour in range(3):
        crop[colour, :, SIDE // 2 - 20, colour] = 50
    strengths = [np.linalg.norm(hog_features(c)) for c in crop]
    # n / sqrt(n^2 + 1) -> n, the strength before it is limited: luma of blue,
    # green, red (ITU-R BT.601).
    raw = [s / math.sqrt(1 - s * s) for s in strengths]
    # 1 - s^2 is 0.02 at the least, and loses what cancels: 1e-16 / 0.02,
    # after sums of a thousand pixels.
    np.testing.assert_allclose(
        np.array(raw) / raw[1], [0.114 / 0.587, 1, 0.299 / 0.587], rtol=1e-11
    )


def test_the_specs_for_these_features_name_them_and_differ_from_the_others_in_the_face_alone() -> (
    None
):
    assert len(set(hog_names())) == 72
    assert (hog_names()[0], hog_names()[-1]) == ("hog_row0_left_010deg", "hog_row3_right_170deg")
    for mains in ("", "-60hz"):
        spec, other = load_spec(f"emodict-1-hog{mains}"), load_spec(f"emodict-1{mains}")
        assert spec.modality("video").feature_names == hog_names()
        assert (spec.tokens, spec.token_width) == (13, 18)
        assert spec.modalities[:-1] == other.modalities[:-1]
