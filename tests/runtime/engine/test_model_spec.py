"""A model's sizes: the paper's where nothing is said, and none that could not be built."""

from __future__ import annotations

import pytest

from emodict.engine.model_spec import ModelSpec
from emodict.errors import ModelError


def sized(**sizes: int) -> ModelSpec:
    return ModelSpec(("a", "b"), ("ppg",), **sizes)


def test_the_sizes_are_those_of_table_2_unless_others_are_asked_for() -> None:
    spec = sized()
    assert (spec.d_model, spec.heads, spec.feed_forward, spec.layers) == (24, 4, 32, 3)
    assert (spec.elements, spec.latent, spec.bottleneck, spec.members) == (32, 128, 64, 1)


@pytest.mark.parametrize(
    ("size", "most"),
    [("layers", 64), ("members", 1000), ("feed_forward", 16_384), ("bottleneck", 16_384)],
)
def test_the_largest_size_is_taken_and_one_more_is_refused(size: str, most: int) -> None:
    assert getattr(sized(**{size: most}), size) == most
    with pytest.raises(
        ModelError, match=rf"The model's {size} must be .*at most {most}, got {most + 1}"
    ):
        sized(**{size: most + 1})
    with pytest.raises(ModelError, match=rf"The model's {size} must be .*got 0"):
        sized(**{size: 0})


def test_a_dictionary_has_no_more_elements_than_they_have_entries() -> None:
    assert sized(elements=128).elements == 128
    with pytest.raises(ModelError, match="at most 128 elements of size 128, got 129"):
        sized(elements=129)
