"""Skin conductance in uS, of a file that gives it in another unit, or the skin's resistance."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from emodict.recording.units import plain_unit, unit_factor
from emodict_desk.recordings.account import Account

CONDUCTANCE = "uS"
_RESISTANCE = re.compile(r"(k|m|kilo|mega)?(ohm|\u2126|\u03c9)s?", re.IGNORECASE)
# uS times ohm, kOhm and MOhm: 1/x is a conductance in S, mS and uS.
_MICROSIEMENS_OHMS = {"": 1e6, "k": 1e3, "m": 1.0}


def is_resistance(unit: str) -> bool:
    """Ohm, kOhm or MOhm, however it is written?"""
    return _RESISTANCE.fullmatch(unit.strip()) is not None


def in_microsiemens(
    values: NDArray[np.float64], unit: str, *, of: str, account: Account
) -> NDArray[np.float64]:
    """(samples,) in `unit` -> in uS; a resistance x is a conductance of 1/x, which is said.

    A resistance of 0 or less is not the skin's, and a missing sample.

    Raises:
        RecordingError: the unit is not one of conductance or resistance; `of` says whose it is.
    """
    resistance = _RESISTANCE.fullmatch(unit.strip())
    if resistance:
        account.note(f"gsr: given in {unit.strip()}, turned into uS")
        scale = _MICROSIEMENS_OHMS[(resistance.group(1) or "").lower()[:1]]
        with np.errstate(divide="ignore"):
            return np.where(values > 0, scale / values, np.nan)
    if not unit.strip():
        account.note("gsr: no unit given, taken for uS")
        return values
    return values * unit_factor(plain_unit(unit), CONDUCTANCE, of=of)
