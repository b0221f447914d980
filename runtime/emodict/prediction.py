"""Prediction: a distribution over emotions for each second, with what stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.metrics import mean_metrics

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """Rows of one recording, one a second.

    Attributes:
        start_s: (rows,) start of the second that a row describes, from the recording's start.
        distribution: (rows, emotions), each row summing to 1; NaN where the row has no answer.
        weights: (rows, elements) of the dictionary; NaN where the row has no answer.
        valid, quality: (rows, modalities); quality from 0 to 1.
        truth: (rows, emotions) of the trial a row lies in, NaN outside trials; None where nothing is known.
        simulated: the recording is of a simulated person.
    """

    session: str
    emotions: tuple[str, ...]
    modalities: tuple[str, ...]
    start_s: Float64Array
    distribution: Float64Array
    weights: Float64Array
    valid: NDArray[np.bool_]
    quality: Float64Array
    truth: Float64Array | None = None
    simulated: bool = False

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(rows,) True where there is a distribution."""
        return np.asarray(np.isfinite(self.distribution).all(axis=1))

    def metrics(self, *, of: Float64Array | None = None) -> dict[str, float] | None:
        """The six measures against the truth, over answered rows inside trials; None where there are none.

        `of` one distribution (emotions,) for every row instead of the predicted ones.
        """
        if self.truth is None:
            return None
        rows = self.answered & np.isfinite(self.truth).all(axis=1)
        if not rows.any():
            return None
        predicted = self.distribution[rows] if of is None else np.broadcast_to(of, self.distribution[rows].shape)
        return mean_metrics(self.truth[rows], predicted)


def concatenate_predictions(parts: Sequence[Prediction]) -> Prediction:
    """Consecutive blocks of one recording as one."""
    first = parts[0]
    truth = None if first.truth is None else np.concatenate([p.truth for p in parts if p.truth is not None])
    return Prediction(
        session=first.session,
        emotions=first.emotions,
        modalities=first.modalities,
        start_s=np.concatenate([p.start_s for p in parts]),
        distribution=np.concatenate([p.distribution for p in parts]),
        weights=np.concatenate([p.weights for p in parts]),
        valid=np.concatenate([p.valid for p in parts]),
        quality=np.concatenate([p.quality for p in parts]),
        truth=truth,
        simulated=first.simulated,
    )
