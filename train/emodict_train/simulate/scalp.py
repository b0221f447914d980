"""Where electrodes sit on the head, seen from above: x to the right, y to the front, ears at 1."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError
from emodict.features.spec import load_spec
from emodict.recording.electrodes import ELECTRODES, electrode_names

FloatArray = NDArray[np.float64]

HEADSET = load_spec("emodict-1").channel_names
REFERENCE = "Pz"
# The 10-20 places as measured on a head; the rest of the 10-10 system is laid out between them.
_MEASURED = {
    **{"Fp1": (-0.31, 0.95), "Fp2": (0.31, 0.95), "F7": (-0.81, 0.59), "F8": (0.81, 0.59)},
    **{
        "F3": (-0.45, 0.55),
        "Fz": (0.0, 0.50),
        "F4": (0.45, 0.55),
        "T3": (-1.0, 0.0),
        "T4": (1.0, 0.0),
    },
    **{
        "C3": (-0.5, 0.0),
        "Cz": (0.0, 0.0),
        "C4": (0.5, 0.0),
        "T5": (-0.81, -0.59),
        "T6": (0.81, -0.59),
    },
    **{"P3": (-0.45, -0.55), "Pz": (0.0, -0.50), "P4": (0.45, -0.55)},
    **{"O1": (-0.31, -0.95), "O2": (0.31, -0.95)},
}
_BELOW = {
    **{"Nz": (0.0, 1.25), "Iz": (0.0, -1.25), "A1": (-1.25, -0.1), "A2": (1.25, -0.1)},
    **{"M1": (-1.25, -0.25), "M2": (1.25, -0.25)},
}
# Each row: its y on the midline, and the angle from the front at which it meets the rim.
_ROWS = {
    **{
        "Fp": (1.0, 18),
        "AF": (0.75, 36),
        "F": (0.5, 54),
        "FT": (0.25, 72),
        "FC": (0.25, 72),
        "T": (0.0, 90),
    },
    **{
        "C": (0.0, 90),
        "TP": (-0.25, 108),
        "CP": (-0.25, 108),
        "P": (-0.5, 126),
        "PO": (-0.75, 144),
    },
    "O": (-1.0, 162),
}


def _between(name: str) -> tuple[float, float]:
    """A place of the 10-10 system: columns 1, 3, 5,
    7 in equal steps from the midline to the rim, 9 below it.
    """
    row = name.rstrip("z0123456789")
    column = name[len(row) :]
    number = 0 if column == "z" else int(column)
    middle_y, angle = _ROWS[row][0], math.radians(_ROWS[row][1])
    steps = (number + 1) // 2 / 4
    side = -1 if number % 2 else 1
    along, beyond = min(steps, 1.0), max(steps, 1.0)
    return side * beyond * along * math.sin(angle), beyond * (
        middle_y + (math.cos(angle) - middle_y) * along**2
    )


_PLACES = {name: (_MEASURED | _BELOW).get(name) or _between(name) for name in ELECTRODES}


def places(names: tuple[str, ...]) -> FloatArray:
    """(names, 2)."""
    return np.array([_PLACES[name] for name in names])


def channels_to_simulate(names: tuple[str, ...]) -> tuple[str, ...]:
    """The channels in one spelling, those of the headset where none is named.

    Raises:
        SpecError: a name is not an electrode, or is there twice.
        InputError: the reference is among them; its signal would be 0 throughout.
    """
    chosen = electrode_names(names) if names else HEADSET
    if REFERENCE in chosen:
        raise InputError(
            f"{REFERENCE} cannot be simulated: simulated EEG is measured against it, "
            f"as that of the headset",
            expected=f"channels other than {REFERENCE}",
            got=" ".join(names),
            fix="Leave it out",
        )
    return chosen
