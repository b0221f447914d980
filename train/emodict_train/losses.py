"""The losses of equations 10 and 13-15, and the forms of the auxiliary ones that an ablation compares."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

AUXILIARY_FORMS = ("none", "kl", "literal", "mse")
CENTRAL = "eeg"


def main_loss(log_distribution: Tensor, truth: Tensor) -> Tensor:
    """Equation 10: KL(truth || prediction), mean over rows; 0 log 0 = 0."""
    return functional.kl_div(log_distribution, truth, reduction="batchmean")


def auxiliary_loss(form: str, latent: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
    """Equations 13 and 14: the central (EEG) and the joint peripheral latents should resemble h.

    Args:
        form: `kl` compares softmaxes of the latents, h being a fixed target and the peripheral latents
            averaged; `literal` sums them and trains both sides; `mse` is the squared distance to their mean.
    """
    peripheral = [h for name, h in latents.items() if name != CENTRAL]
    groups = [[latents[CENTRAL]]] if CENTRAL in latents else []
    if peripheral:
        groups.append(peripheral)
    losses = [_distance(form, latent, torch.stack(group)) for group in groups]
    return torch.stack(losses).sum()


def _distance(form: str, latent: Tensor, group: Tensor) -> Tensor:
    if form == "mse":
        return functional.mse_loss(group.mean(dim=0), latent.detach())
    joint, target = (group.sum(dim=0), latent) if form == "literal" else (group.mean(dim=0), latent.detach())
    # Raw latents can be negative: a KL divergence needs them as distributions.
    return functional.kl_div(
        torch.log_softmax(joint, dim=-1),
        torch.log_softmax(target, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
