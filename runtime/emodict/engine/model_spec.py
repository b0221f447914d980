"""ModelSpec: what a model is made of and what it needs,
as it travels with checkpoints and engines.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emodict.errors import ModelError

READOUTS = ("last", "mean", "flatten")
GATES = ("linear", "bare")
# A hundred times what anybody trains,
# and still a network that can be described without being built.
MOST_SIZE, MOST_LAYERS, MOST_MEMBERS = 16_384, 64, 1_000


@dataclass(frozen=True)
class ModelSpec:
    """Sizes of EmotionDict (paper, Table 2),
    the emotions it distinguishes and the modalities it needs.

    Attributes:
        required_modalities: the model has never been trained without these; a row that lacks one
            has no answer. At least one of the others must be there.
        readout: how the Transformer's tokens become one vector: the `last` token (the released
            code), their `mean`, or all of them (`flatten`, as Table 2 can be read).
        gate: what stands before the sigmoid of h2:
            `linear` (eq. 5: Linear, BatchNorm) or `bare` (Table 2).
        members: seeds folded into one model; their distributions are averaged.
    """

    emotions: tuple[str, ...]
    modalities: tuple[str, ...]
    required_modalities: tuple[str, ...] = ()
    d_model: int = 24
    heads: int = 4
    feed_forward: int = 32
    layers: int = 3
    elements: int = 32
    latent: int = 128
    bottleneck: int = 64
    readout: str = "flatten"
    gate: str = "linear"
    members: int = 1

    def __post_init__(self) -> None:
        for name, allowed in (("readout", READOUTS), ("gate", GATES)):
            if getattr(self, name) not in allowed:
                raise ModelError(
                    f"The model's {name} is unknown", expected=allowed, got=getattr(self, name)
                )
        sizes = (
            "d_model",
            "heads",
            "feed_forward",
            "layers",
            "elements",
            "latent",
            "bottleneck",
            "members",
        )
        for name in sizes:
            value = getattr(self, name)
            most = {"layers": MOST_LAYERS, "members": MOST_MEMBERS}.get(name, MOST_SIZE)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise ModelError(
                    f"The model's {name} must be a positive whole number",
                    expected=f"at most {most}",
                    got=value,
                )
        if self.d_model % (2 * self.heads):
            raise ModelError("d_model must be even and divisible by the heads", got=self.d_model)
        if self.elements > self.latent:
            raise ModelError(
                "The dictionary's elements must be orthonormal",
                expected=f"at most {self.latent} elements of size {self.latent}",
                got=self.elements,
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `model_spec_from_dict` reads them back."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain


def model_spec_from_dict(content: Mapping[str, Any]) -> ModelSpec:
    """Read what `ModelSpec.to_dict` wrote.

    Raises:
        ModelError: a field is missing, unknown or of the wrong kind.
    """
    tuples = ("emotions", "modalities", "required_modalities")
    try:
        return ModelSpec(**{**content, **{name: tuple(map(str, content[name])) for name in tuples}})
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"The model's description cannot be read: {error}") from error
