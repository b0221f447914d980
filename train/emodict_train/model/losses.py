"""The losses of equations 10 and 13-15,
and the forms of the auxiliary ones that an ablation compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from emodict.recording.modalities import EEG

AUXILIARY_FORMS = ("none", "kl", "literal", "mse")
# Equation 13 brings the central latent and h together, equation 14 the peripheral ones and h.
AUXILIARY_TASKS = ("central", "peripheral")


def main_loss(log_distribution: Tensor, truth: Tensor) -> Tensor:
    """Equation 10: KL(truth || prediction), mean over rows; 0 log 0 = 0."""
    divergence: Tensor = torch.special.xlogy(truth, truth) - truth * log_distribution
    return divergence.sum(dim=-1).mean()


def auxiliary_loss(
    form: str,
    latent: Tensor,
    latents: Mapping[str, Tensor],
    *,
    tasks: Sequence[str] = AUXILIARY_TASKS,
) -> Tensor:
    """Equations 13 and 14: the central (EEG) and the joint peripheral latents should resemble h.

    Args:
        form: `kl` compares softmaxes of the latents, h being a fixed target and the
            peripheral latents averaged; `literal` sums them and trains both sides; `mse` is
            the squared distance to their mean.
        tasks: which of the two; what the model has no modality for counts 0.
    """
    groups = {
        "central": [h for name, h in latents.items() if name == EEG],
        "peripheral": [h for name, h in latents.items() if name != EEG],
    }
    losses = [_distance(form, latent, torch.stack(groups[task])) for task in tasks if groups[task]]
    return torch.stack([latent.new_zeros(()), *losses]).sum()


def _distance(form: str, latent: Tensor, group: Tensor) -> Tensor:
    if form == "mse":
        return functional.mse_loss(group.mean(dim=0), latent.detach())
    joint, target = (
        (group.sum(dim=0), latent) if form == "literal" else (group.mean(dim=0), latent.detach())
    )
    # Raw latents can be negative: a KL divergence needs them as distributions.
    log_joint, log_target = torch.log_softmax(joint, dim=-1), torch.log_softmax(target, dim=-1)
    # Written out, like the main loss:
    # torch's own kl_div cannot be mapped over the networks of an ensemble.
    divergence: Tensor = log_target.exp() * (log_target - log_joint)
    return divergence.sum(dim=-1).mean()
