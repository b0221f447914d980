"""The weights of a Linear as C keeps them: floats, or bytes with one scale for each output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict_export.fold import Affine

# So many outputs stand side by side for each input.
OUTPUTS_AT_ONCE = 4
LARGEST_BYTE = 127


@dataclass(frozen=True)
class Written:
    """A Linear in the numbers that are written.

    Attributes:
        weights: (inputs, outputs) float32, or int8 to be multiplied by `scale` (outputs,).
        bias: (outputs,) float32; None where it is 0.
    """

    weights: NDArray[Any]
    scale: NDArray[np.float32] | None
    bias: NDArray[np.float32] | None

    @property
    def inputs(self) -> int:
        return len(self.weights)

    @property
    def outputs(self) -> int:
        return self.weights.shape[1]

    @property
    def packed(self) -> NDArray[Any]:
        """Four outputs of each input, then the next four outputs."""
        spare = -self.outputs % OUTPUTS_AT_ONCE
        padded = np.pad(self.weights, ((0, 0), (0, spare)))
        return padded.reshape(self.inputs, -1, OUTPUTS_AT_ONCE).transpose(1, 0, 2).reshape(-1)

    def apply(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(rows, inputs) -> (rows, outputs), as the C code computes it."""
        out = x @ self.weights.astype(np.float32)
        if self.scale is not None:
            out = out * self.scale
        return out if self.bias is None else out + self.bias


def write_linear(affine: Affine, precision: str) -> Written:
    """In fp32 or int8."""
    bias = affine.bias.astype(np.float32) if affine.bias.any() else None
    if precision == "fp32":
        return Written(affine.weight.astype(np.float32), None, bias)
    largest = np.abs(affine.weight).max(axis=0)
    scale = np.where(largest > 0, largest, 1.0) / LARGEST_BYTE
    return Written(np.rint(affine.weight / scale).astype(np.int8), scale.astype(np.float32), bias)
