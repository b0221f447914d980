"""What happens to rows on their way into a training step: noise, and modalities that are hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from emodict.features.spec import FeatureSpec


def modality_of_token(features: FeatureSpec) -> Tensor:
    """(tokens,) the number of the modality that each token belongs to."""
    counts = [part.stop - part.start for part in features.token_slices.values()]
    return torch.repeat_interleave(torch.tensor(counts))


def augmented(
    x: Tensor,
    valid: Tensor,
    *,
    noise: float,
    modality_dropout: float,
    modality_of_token: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Standardised rows (..., tokens, width) with noise,
    and with modalities hidden as if they were missing.

    Args:
        valid: (..., modalities) what each row really has.
        noise: standard deviation of what is added to each feature.
        modality_dropout: chance of each modality to be hidden;
            a row keeps at least one that it really has.
        generator: on the CPU; None: torch's own.
    """
    if noise:
        x = x + noise * torch.randn(x.shape, generator=generator).to(x.device)
    modalities = valid.shape[-1]
    if modality_dropout and modalities > 1:
        chance = torch.rand(*x.shape[:-2], modalities, generator=generator).to(x.device)
        lost = chance < modality_dropout
        stripped = (lost | ~valid).all(dim=-1, keepdim=True)
        lost = (lost & ~stripped)[..., modality_of_token]
        x = x.masked_fill(lost[..., None], 0.0)
    return x
