"""What a study foretells: the time left from the cells that are finished."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.train.study.fixtures import Ridge

from emodict_train.study.compared.protocols import Split
from emodict_train.study.running.progress import Ledger
from emodict_train.study.running.selection import Fold, SelectionCell


def cell(rows: int, name: str = "ridge") -> SelectionCell:
    """It trains on so many rows."""
    split = Split(np.arange(rows), np.arange(rows, rows + 2), "fold 1")
    return SelectionCell("trials", Ridge(name), (Fold(0, split, (split,)),), 0, 0)


def test_the_time_left_is_what_finished_cells_took_for_a_row_times_the_rows_left() -> None:
    ledger, small, large = Ledger(), cell(10), cell(30)
    for expected in (small, large):
        ledger.expect(expected)
    assert math.isnan(ledger.left_s)
    ledger.learn(small, 2.0, now=True)
    assert ledger.left_s == pytest.approx(6.0)
    assert ledger.share == pytest.approx(0.25)
    ledger.learn(large, 6.0, now=True)
    assert ledger.left_s == 0


@pytest.mark.parametrize(("rows_of_known", "left_s"), [(50, 9.0), (30, math.nan)])
def test_a_small_method_that_has_shown_nothing_is_taken_to_be_as_quick_as_the_others(
    rows_of_known: int, left_s: float
) -> None:
    ledger = Ledger()
    for expected in (cell(10), cell(rows_of_known), cell(40, "other")):
        ledger.expect(expected)
    ledger.learn(cell(10), 1.0, now=True)
    assert ledger.left_s == pytest.approx(left_s, nan_ok=True)
