"""Which trial each row of features lies in, and what is known of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.features.spec import FeatureSpec
from emodict.recording.recording import Trials

# Trial bounds are written in seconds with rounding; a row may overlap its trial's end by this much.
SLACK_S = 1e-3


def trial_of_rows(
    start_s: NDArray[np.float64], spec: FeatureSpec, trials: Trials
) -> NDArray[np.intp]:
    """(rows,) index of the trial that holds all samples a row looks at, -1 where there is none."""
    first_sample = start_s - spec.first_row_s
    inside = (first_sample[:, None] >= np.asarray(trials.start_s) - SLACK_S) & (
        start_s[:, None] + 1 <= np.asarray(trials.stop_s) + SLACK_S
    )
    return np.where(inside.any(axis=1), inside.argmax(axis=1), -1)


def truth_of_rows(
    start_s: NDArray[np.float64],
    spec: FeatureSpec,
    trials: Trials | None,
    emotions: tuple[str, ...],
) -> NDArray[np.float64] | None:
    """(rows, emotions) in the order of `emotions`, NaN outside trials;
    None where the trials carry no such truth.
    """
    if trials is None or trials.distribution is None or set(trials.label_names) != set(emotions):
        return None
    order = [trials.label_names.index(name) for name in emotions]
    known = trials.truth[:, order]
    trial = trial_of_rows(start_s, spec, trials)
    return np.where((trial >= 0)[:, None], known[trial], np.nan)
