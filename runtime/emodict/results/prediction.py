"""Prediction: a distribution over emotions for each second, with what stands behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emodict.results.metrics import mean_metrics
from emodict.showing import Shown

Float64Array = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Prediction(Shown):
    """Rows of one recording, one a second.

    Attributes:
        start_s: (rows,) start of the second that a row describes, from the recording's start.
        distribution: (rows, emotions), each row summing to 1; NaN where the row has no answer.
        weights: (rows, elements) of the dictionary; NaN where the row has no answer.
        valid, quality: (rows, modalities); quality from 0 to 1.
        truth: (rows, emotions) of the trial a row lies in, NaN outside trials;
            None where nothing is known.
        mean_label: (emotions,) of the rows the model was trained on: the prediction to beat.
        simulated: the recording is of a simulated person.
        model_simulated: the model was trained on simulated people.
        doubts: a sentence for each thing in the signals that cannot be, such as a wrong unit.
        unusable: why, of each modality that could not be used at all.
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
    mean_label: Float64Array | None = None
    simulated: bool = False
    model_simulated: bool = False
    doubts: tuple[str, ...] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start_s)

    def slice(self, rows: slice) -> Prediction:
        """Some of the rows."""
        return replace(
            self,
            start_s=self.start_s[rows],
            distribution=self.distribution[rows],
            weights=self.weights[rows],
            valid=self.valid[rows],
            quality=self.quality[rows],
            truth=None if self.truth is None else self.truth[rows],
        )

    @property
    def simulated_parts(self) -> tuple[str, ...]:
        """What of this is simulated: the person, the model, both, or nothing."""
        parts = {
            "a SIMULATED person": self.simulated,
            "a model of SIMULATED people": self.model_simulated,
        }
        return tuple(part for part, is_so in parts.items() if is_so)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(rows,) True where there is a distribution."""
        return np.asarray(np.isfinite(self.distribution).all(axis=1))

    @property
    def mean_quality(self) -> Float64Array:
        """(modalities,) mean quality of the valid rows; 0 where there are none."""
        valid_rows = np.maximum(self.valid.sum(axis=0), 1)
        mean: Float64Array = np.where(self.valid, self.quality, 0.0).sum(axis=0) / valid_rows
        return mean

    @property
    def never_valid(self) -> dict[str, str]:
        """Each modality that no row could use, and why; "" where that is not known."""
        never = np.flatnonzero(~self.valid.any(axis=0))
        return {name: self.unusable.get(name, "") for name in (self.modalities[i] for i in never)}

    def metrics(self) -> dict[str, float] | None:
        """The six measures against the truth, over answered rows inside trials;
        None where there are none.
        """
        return self._metrics(self.distribution)

    def metrics_of_mean_label(self) -> dict[str, float] | None:
        """The same measures for the mean label in place of every prediction."""
        if self.mean_label is None:
            return None
        return self._metrics(np.broadcast_to(self.mean_label, self.distribution.shape))

    def _metrics(self, predicted: Float64Array) -> dict[str, float] | None:
        if self.truth is None:
            return None
        rows = self.answered & np.isfinite(self.truth).all(axis=1)
        return mean_metrics(self.truth[rows], predicted[rows]) if rows.any() else None


def concatenate_predictions(parts: Sequence[Prediction]) -> Prediction:
    """Consecutive blocks of one recording as one."""
    first = parts[0]
    truth = (
        None
        if first.truth is None
        else np.concatenate([p.truth for p in parts if p.truth is not None])
    )
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
        mean_label=first.mean_label,
        simulated=first.simulated,
        model_simulated=first.model_simulated,
        doubts=parts[-1].doubts,
        unusable=parts[-1].unusable,
    )
