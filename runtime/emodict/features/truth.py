"""Which trial each row of features lies in, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError, RecordingError
from emodict.features.spec import FeatureSpec
from emodict.recording.recording import Trials

# Trial bounds are written in seconds with rounding; a row may overlap its trial's end by this much.
SLACK_S = 1e-3
LABEL_SUM_ATOL = 1e-3


def trial_of_rows(start_s: NDArray[np.float64], spec: FeatureSpec, trials: Trials) -> NDArray[np.intp]:
    """(rows,) index of the trial that holds all samples a row looks at, -1 where there is none."""
    first_sample = start_s - spec.first_row_s
    inside = (first_sample[:, None] >= np.asarray(trials.start_s) - SLACK_S) & (
        start_s[:, None] + 1 <= np.asarray(trials.stop_s) + SLACK_S
    )
    return np.where(inside.any(axis=1), inside.argmax(axis=1), -1)


def truth_of_rows(
    start_s: NDArray[np.float64], spec: FeatureSpec, trials: Trials | None, emotions: tuple[str, ...]
) -> NDArray[np.float64] | None:
    """(rows, emotions) in the order of `emotions`, NaN outside trials; None where the trials carry no such truth."""
    if trials is None or trials.distribution is None or set(trials.label_names) != set(emotions):
        return None
    order = [trials.label_names.index(name) for name in emotions]
    known = check_distributions(trials)[:, order]
    trial = trial_of_rows(start_s, spec, trials)
    return np.where((trial >= 0)[:, None], known[trial], np.nan)


def check_distributions(trials: Trials) -> NDArray[np.float64]:
    """(trials, labels), each row summing to 1.

    Raises:
        RecordingError: a trial's label row is no distribution; the trial and the sum are named.
    """
    assert trials.distribution is not None
    values = np.asarray(trials.distribution, dtype=np.float64)
    refuse_other_than_distributions(
        values, lambda row: f"trials: the label row of trial '{trials.trial_id[row]}'", error=RecordingError
    )
    return values


def refuse_other_than_distributions(
    values: NDArray[np.float64], name_row: Callable[[int], str], *, error: type[InputError]
) -> None:
    """Raise `error`, naming the first row of (rows, labels) that is not non-negative with sum 1."""
    sums = values.sum(axis=1)
    bad = np.flatnonzero(~((values >= 0).all(axis=1) & (np.abs(sums - 1) <= LABEL_SUM_ATOL)))
    if len(bad):
        row = int(bad[0])
        raise error(
            f"{name_row(row)} is not a distribution ({len(bad)} such rows)",
            expected="non-negative numbers that sum to 1",
            got=f"sum {sums[row]:.4g}, smallest {values[row].min():.4g}",
            fix="Divide each row of scores by its sum",
        )
