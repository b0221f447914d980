"""The places on the head at which EEG is taken: the names of the 10-10 system."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

from emodict.errors import SpecError
from emodict.recording.recording import canonical_channel

# Front to back; odd numbers on the left, even ones on the right, z on the midline (Acharya et
# al. 2016, and the 10-20 names that it keeps; T7 T8 P7 P8 stand under their names of 1958, T3 T4
# T5 T6, as in the specs).
_ROWS = {
    "N": "z",
    "Fp": "1 z 2",
    "AF": "7 5 3 1 z 2 4 6 8",
    "F": "9 7 5 3 1 z 2 4 6 8 10",
    "FT": "9 7 8 10",
    "FC": "5 3 1 z 2 4 6",
    "T": "9 3 4 10",
    "C": "5 3 1 z 2 4 6",
    "TP": "9 7 8 10",
    "CP": "5 3 1 z 2 4 6",
    "P": "9 5 3 1 z 2 4 6 10",
    "PO": "9 7 5 3 1 z 2 4 6 8 10",
    "O": "9 1 z 2 10",
    "I": "z",
    "A": "1 2",
    "M": "1 2",
}
ELECTRODES = (
    *(f"{row}{column}" for row, columns in _ROWS.items() for column in columns.split()),
    "T5",
    "T6",
)
# What people type and what the near misses are looked for in;
# both names of the four renamed places are right.
_SPELLINGS = {name.upper(): name for name in (*ELECTRODES, "T7", "T8", "P7", "P8")}
_BY_CANONICAL = {canonical_channel(name): name for name in ELECTRODES}


def electrode_names(names: Sequence[str]) -> tuple[str, ...]:
    """The same electrodes in one spelling: `af7` is AF7, and T7 is T3,
    their place having two names.

    Raises:
        SpecError: no name at all, a name that is not an electrode, or an electrode twice.
    """
    if not names:
        raise SpecError(
            "There is no EEG channel in the list", expected="names such as AF7,AF8,TP9,TP10"
        )
    unknown = [name for name in names if canonical_channel(name) not in _BY_CANONICAL]
    if unknown:
        near = difflib.get_close_matches(unknown[0].upper(), _SPELLINGS, n=3, cutoff=0.5)
        raise SpecError(
            f"{', '.join(map(repr, unknown))}: no such electrode",
            expected="names of the 10-20 or 10-10 system, such as Fz, AF7, TP10",
            fix=f"Did you mean {' or '.join(_SPELLINGS[name] for name in near)}?"
            if near
            else "Correct the name",
        )
    chosen = tuple(_BY_CANONICAL[canonical_channel(name)] for name in names)
    twice = [name for name, count in Counter(chosen).items() if count > 1]
    if twice:
        same = [name for name, one in zip(names, chosen, strict=True) if one == twice[0]]
        two_names = (
            " (two names of one electrode)" if len({name.upper() for name in same}) > 1 else ""
        )
        raise SpecError(
            "An EEG channel is there twice",
            expected="each electrode once",
            got=f"{' and '.join(same)}{two_names}",
            fix="Leave one of them out",
        )
    return chosen
