"""Skin conductance in uS: from its other units, and as 1 over the skin's resistance."""

from __future__ import annotations

import numpy as np
import pytest

from emodict.errors import RecordingError
from emodict_desk.importers.conductance import in_microsiemens
from emodict_desk.recordings.account import Account


@pytest.mark.parametrize(
    ("resistance", "unit"),
    [(200_000, "ohm"), (200, "kOhm"), (200, "kOhms"), (0.2, "MOhm"), (0.2, "megaohms"),
     (200_000, "\u2126"), (200, "k\u03c9")],
)  # fmt: skip
def test_a_resistance_becomes_one_over_it_in_microsiemens(resistance: float, unit: str) -> None:
    account = Account("")
    given = np.array([resistance, resistance / 2, 0.0, -resistance])
    # 1 / 200 kOhm is 5 uS.
    found = in_microsiemens(given, unit, of="", account=account)
    np.testing.assert_allclose(found, [5.0, 10.0, np.nan, np.nan], rtol=1e-15)
    assert account.notes == [f"gsr: given in {unit}, turned into uS"]


@pytest.mark.parametrize(("unit", "factor"), [("uS", 1.0), ("nS", 1e-3), ("mS", 1e3), ("S", 1e6)])
def test_a_conductance_becomes_microsiemens(unit: str, factor: float) -> None:
    found = in_microsiemens(np.array([2.0]), unit, of="", account=Account(""))
    # One product of the two.
    np.testing.assert_allclose(found, [2.0 * factor], rtol=2**-52)


def test_no_unit_is_taken_for_microsiemens_and_said_and_another_is_refused() -> None:
    account = Account("")
    assert in_microsiemens(np.array([2.0]), "", of="", account=account).tolist() == [2.0]
    assert account.notes == ["gsr: no unit given, taken for uS"]
    with pytest.raises(RecordingError, match=r"a\.csv"):
        in_microsiemens(np.array([2.0]), "mV", of="a.csv", account=account)
