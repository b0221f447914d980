"""Minutes of the soak run that `make soak` does for a day: the same code,
and a check that its checks can fail.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.reliability.soak import SPEC, Soak, check_faults, soak
from tests.reliability.soak_faults import AWAY, HELD_BACK, LOST, NAN, Fault

SECONDS = 300


def test_minutes_of_faults_leave_a_row_a_second_and_every_fault_in_it(tmp_path: Path) -> None:
    # A seed that draws nearly all kinds of faults.
    result = soak(SECONDS, 306, tmp_path)
    assert result.violations == []
    assert result.rows == SECONDS - SPEC.first_row_s
    assert sum(count for count, _ in result.by_kind.values()) == 15
    assert len(result.by_kind) == 13


def fault(kind: str, first_s: float, last_s: float, modality: str = "eeg") -> Fault:
    return Fault(kind, modality, first_s, last_s, 0.0, first_s, last_s)


@pytest.mark.parametrize(
    ("what", "invalid", "said"),
    [
        # One NaN costs its own second, and must; the filter settles in the next, which may be.
        (fault(NAN, 20.5, 20.5), [20, 21], None),
        (fault(NAN, 20.5, 20.5), [20], None),
        (fault(NAN, 20.5, 20.5), [21], "valid in seconds [20]"),
        (
            fault(NAN, 20.5, 20.5),
            [20, 21, 30],
            "eeg is invalid in seconds 30 to 30 without a reason",
        ),
        # At the turn of a second it may lie in either, but must lie in one.
        (fault(NAN, 21.001, 21.001), [20, 21, 22], None),
        (fault(NAN, 21.001, 21.001), [], "nowhere to be seen"),
        # Five seconds of pulse end with each row.
        (fault(LOST, 20.5, 20.9, "ppg"), [20, 21, 22, 23, 24], None),
        (fault(LOST, 20.5, 20.9, "ppg"), [20, 21, 22, 23], "valid in seconds [24]"),
        (fault(AWAY, 20.5, 24.5), [20, 21, 22, 24, 25], "valid in seconds [23]"),
        # What patience covers costs nothing.
        (fault(HELD_BACK, 20.5, 20.9), [], None),
        (fault(HELD_BACK, 20.5, 20.9), [20], "eeg is invalid in seconds 20 to 20 without a reason"),
        (Fault(NAN, "eeg", 20.5, 20.6), [], "did not happen"),
    ],
)
def test_a_fault_that_does_not_show_and_a_row_without_a_fault_are_found(
    what: Fault, invalid: list[int], said: str | None
) -> None:
    valid = np.ones((60, len(SPEC.modalities)), dtype=bool)
    valid[invalid, SPEC.modality_names.index(what.modality)] = False
    result = Soak(60)
    check_faults([what], valid, result)
    assert len(result.violations) == (said is not None)
    assert said is None or said in result.violations[0]
