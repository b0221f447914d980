"""What a rest before the trials changes, and what a fit leaves word of."""

from __future__ import annotations

import numpy as np
import pytest

from emodict.errors import InputError
from emodict_train.data.trial_digests import trial_digests
from emodict_train.fit import FitOptions, fit
from emodict_train.simulate.course import SimulationPlan, draw_course
from emodict_train.training.plan import TrainingPlan

from ..fit.test_fitting import make_table


def test_a_longer_rest_moves_the_trials_and_nothing_else() -> None:
    plain, rested = (
        draw_course(
            np.random.default_rng(0), SimulationPlan(trials=2, trial_s=6, baseline_s=baseline_s)
        )
        for baseline_s in (0.0, 60.0)
    )
    np.testing.assert_allclose(rested.trials.start_s, plain.trials.start_s + 60, rtol=1e-12)
    np.testing.assert_array_equal(rested.scores, plain.scores)
    assert np.abs(rested.intensity[:600]).max() == 0
    with pytest.raises(InputError, match="baseline's length"):
        SimulationPlan(baseline_s=-1)


def test_a_fit_says_which_trials_of_whom_it_saw() -> None:
    table = make_table()
    checkpoint = fit(table, FitOptions(plan=TrainingPlan(epochs=1)))
    assert checkpoint.training["trial_digests"] == trial_digests(table)
    assert checkpoint.training["subject_ids"] == sorted(set(table.subject.tolist()))
    assert len(trial_digests(table)) == len(np.unique(table.groups))
