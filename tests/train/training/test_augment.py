from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from emodict.features.spec import load_spec
from emodict_train.training.augment import augmented, modality_of_token

ROWS, WIDTH = 4000, 3
# Three modalities of 1, 2 and 1 tokens.
OF_TOKEN = torch.tensor([0, 1, 1, 2])
EVERYTHING = torch.ones(ROWS, 3, dtype=torch.bool)


def ones(*shape: int) -> Tensor:
    return torch.ones(*shape, len(OF_TOKEN), WIDTH)


def hidden(x: Tensor, valid: Tensor, chance: float, *, seed: int = 0) -> Tensor:
    return augmented(
        x, valid, noise=0.0, modality_dropout=chance, modality_of_token=OF_TOKEN,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def kept_modalities(x: Tensor) -> Tensor:
    """(rows, modalities) from rows of ones."""
    first_of_each = [0, 1, 3]
    return x[..., first_of_each, 0] == 1


@pytest.mark.parametrize(
    ("spec", "counts"),
    # tokens of 18 numbers: 5 bands of 18 channels, 28, 27 and 32 features;
    # the sample's 18 of 4, 4, 4 and 32
    [
        ("emodict-1", {"eeg": 5, "gsr": 2, "ppg": 2, "video": 2}),
        ("dmer-sample", {"eeg": 18, "gsr": 1, "ppg": 1, "video": 8}),
    ],
)
def test_tokens_are_counted_to_the_modality_that_fills_them(
    spec: str, counts: dict[str, int]
) -> None:
    expected = [number for number, count in enumerate(counts.values()) for _ in range(count)]
    assert modality_of_token(load_spec(spec)).tolist() == expected


def test_without_noise_and_dropout_rows_pass_as_they_are() -> None:
    x = torch.randn(5, 4, WIDTH)
    got = augmented(x, EVERYTHING[:5], noise=0.0, modality_dropout=0.0, modality_of_token=OF_TOKEN)
    assert torch.equal(got, x)


@pytest.mark.parametrize("shape", [(ROWS,), (4, ROWS // 4)])
def test_a_modality_is_hidden_as_a_whole_or_left_as_it_is(shape: tuple[int, ...]) -> None:
    x = torch.rand(*shape, 4, WIDTH, generator=torch.Generator().manual_seed(1)) + 0.5
    got = hidden(x, EVERYTHING.reshape(*shape, 3), 0.5)
    for tokens in ([0], [1, 2], [3]):
        part, before = got[..., tokens, :].flatten(-2), x[..., tokens, :].flatten(-2)
        gone, there = (part == 0).all(-1), (part == before).all(-1)
        assert (gone ^ there).all()
        assert gone.any()
        assert there.any()


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_modalities_are_hidden_as_often_as_the_chance_says(chance: float) -> None:
    gone = ~kept_modalities(hidden(ones(ROWS), EVERYTHING, chance))
    # hidden itself, and not both of the others as well: a row that would lose all loses none
    expected = chance * (1 - chance**2)
    # Five standard errors of a binomial share.
    bound = 5 * math.sqrt(expected * (1 - expected) / ROWS)
    for share in gone.double().mean(dim=0).tolist():
        assert share == pytest.approx(expected, abs=bound)
    # each by itself: two of three are gone as often as chance has it
    two = 3 * chance**2 * (1 - chance)
    bound = 5 * math.sqrt(two * (1 - two) / ROWS)
    assert float((gone.sum(dim=1) == 2).double().mean()) == pytest.approx(two, abs=bound)


def test_a_row_keeps_at_least_one_modality_that_it_really_has() -> None:
    valid = torch.tensor([[True, True, True], [True, False, False], [False, True, True]]).repeat(
        ROWS // 3, 1
    )
    x = ones(len(valid)) * valid[:, OF_TOKEN, None]
    kept = kept_modalities(hidden(x, valid, 0.95))
    assert (kept & valid).any(dim=1).all()
    assert torch.equal(kept[1::3], valid[1::3])
    assert (kept[0::3].sum(dim=1) == 1).any()
    assert (kept[2::3].sum(dim=1) == 1).any()


def test_the_only_modality_of_a_spec_is_never_hidden() -> None:
    x = torch.ones(50, 2, WIDTH)
    got = augmented(
        x, torch.ones(50, 1, dtype=torch.bool), noise=0.0, modality_dropout=0.99,
        modality_of_token=torch.zeros(2, dtype=torch.long),
    )  # fmt: skip
    assert torch.equal(got, x)


def test_noise_has_the_standard_deviation_asked_for_and_none_reaches_what_is_hidden() -> None:
    noisy = augmented(
        torch.zeros(ROWS, 4, WIDTH),
        EVERYTHING,
        noise=0.3,
        modality_dropout=0.5,
        modality_of_token=OF_TOKEN,
        generator=torch.Generator().manual_seed(2),
    )
    assert (noisy[:, 0] == 0).all(dim=1).any()
    added = noisy[noisy != 0].double()
    # about 30 000 normal draws: standard errors of 0.3 / sqrt(n) and 0.3 / sqrt(2 n), times five
    assert float(added.mean()) == pytest.approx(0, abs=5 * 0.3 / math.sqrt(len(added)))
    assert float(added.std()) == pytest.approx(0.3, abs=5 * 0.3 / math.sqrt(2 * len(added)))


def test_a_generator_repeats_itself_and_leaves_torchs_own_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (
        augmented(
            ones(50), EVERYTHING[:50], noise=0.1, modality_dropout=0.5, modality_of_token=OF_TOKEN,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in (3, 3, 4)
    )  # fmt: skip
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
