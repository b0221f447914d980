"""Which trial a row lies in: all of its samples inside, one trial at a time."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from emodict.errors import RecordingError
from emodict.features.spec import load_spec
from emodict.features.truth import trial_of_rows, truth_of_rows
from emodict.recording.recording import Trials, trial_problems

SPEC = load_spec("emodict-1")  # a row looks at the four seconds before its own


def trials(
    *bounds: Any, distribution: np.ndarray | None = None, names: tuple[str, str] = ("a", "b")
) -> Trials:
    start_s, stop_s = np.array(bounds, dtype=float).T
    return Trials(start_s, stop_s, tuple(f"t{i}" for i in range(len(bounds))), distribution, names)


def test_a_row_belongs_to_the_trial_that_holds_its_five_seconds() -> None:
    rows = np.arange(4.0, 40.0)
    got = trial_of_rows(rows, SPEC, trials((2, 12), (15.5, 30)))
    by_hand = [
        0 if r - 4 >= 2 and r + 1 <= 12 else 1 if r - 4 >= 15.5 and r + 1 <= 30 else -1
        for r in rows
    ]
    assert got.tolist() == by_hand


@pytest.mark.parametrize(("short_s", "inside"), [(0.0009, True), (0.0011, False)])
def test_a_row_may_reach_over_its_trial_by_a_millisecond_of_rounding(
    short_s: float, inside: bool
) -> None:
    # The row of second 10 looks at the seconds 6 to 11.
    for bounds in ((6 + short_s, 20), (0, 11 - short_s)):
        assert trial_of_rows(np.array([10.0]), SPEC, trials(bounds)).tolist() == [
            0 if inside else -1
        ]


@pytest.mark.parametrize(("off", "refused"), [(0.0009, False), (0.0011, True)])
def test_labels_that_sum_to_one_within_a_thousandth_are_a_distribution(
    off: float, refused: bool
) -> None:
    for signed in (off, -off):
        known = trials((0, 6), distribution=np.array([[0.25, 0.75 + signed]]))
        with pytest.raises(RecordingError, match="t0") if refused else contextlib.nullcontext():
            truth_of_rows(np.array([4.0]), SPEC, known, ("a", "b"))


@pytest.mark.parametrize(("row", "refused"), [([0.0, 1.0], False), ([-0.5, 1.5], True)])
def test_nothing_of_an_emotion_is_a_share_and_less_is_none(row: list[float], refused: bool) -> None:
    with (
        pytest.raises(RecordingError, match=r"smallest -0\.5")
        if refused
        else contextlib.nullcontext()
    ):
        truth_of_rows(
            np.array([4.0]), SPEC, trials((0, 6), distribution=np.array([row])), ("a", "b")
        )


def test_the_truth_stands_in_the_order_of_the_models_emotions_and_is_nan_outside_trials() -> None:
    known = trials((0, 6), distribution=np.array([[0.25, 0.75]]))
    got = truth_of_rows(np.array([4.0, 5.0, 6.0]), SPEC, known, ("b", "a"))
    np.testing.assert_array_equal(got, [[0.75, 0.25], [0.75, 0.25], [np.nan, np.nan]])


def test_other_emotions_are_no_truth_for_this_model() -> None:
    known = trials((0, 6), distribution=np.array([[0.25, 0.75]]))
    assert truth_of_rows(np.array([4.0]), SPEC, known, ("a", "c")) is None


def test_trials_that_overlap_are_refused_by_name() -> None:
    with pytest.raises(
        RecordingError, match=r"'t0' and 't1' overlap.*stops at 22 s, the second starts at 12 s"
    ):
        trials((2, 22), (12, 32))


def test_a_trial_that_stops_before_it_starts_is_refused_by_name() -> None:
    with pytest.raises(RecordingError, match=r"'t1' does not stop after it starts.*30 to 20"):
        trials((2, 22), (30, 20))


def test_of_several_wrong_trials_each_is_a_problem_also_one_inside_another() -> None:
    bounds = np.array([(0.0, 30.0), (5.0, 10.0), (12.0, 11.0), (40.0, 50.0)])
    said = [str(problem) for problem in trial_problems(*bounds.T, ("a", "b", "c", "d"))]
    assert [sentence.split(" Expected")[0] for sentence in said] == [
        "trials: 'a' and 'b' overlap.",
        "trials: trial 'c' does not stop after it starts.",
        "trials: 'a' and 'c' overlap.",
    ]
