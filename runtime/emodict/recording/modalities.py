"""What is true of each kind of signal,
whichever device records it and whichever model reads it: one table.
"""

from __future__ import annotations

from dataclasses import dataclass

EEG = "eeg"


@dataclass(frozen=True)
class Modality:
    """One row of the table.

    Attributes:
        unit: in which a session's samples are expected.
        types: what a stream's type or channel is called, in capital letters.
        names: a regular expression of the words that name it in a column's or a stream's label.
        placed: its channels are places on the head; any other modality has one channel.
        coarse: it is slow and coarsely quantised, and features may count its ties. So its samples
            are moved to the nearest tick of the even clock, never interpolated, and never resampled
            upwards; and it may well sit at its extremes for a whole window.
        lowest_rate_hz: what its usual features need.
        score: how the quality of a window is judged,
            by its name in features/quality.py; "": valid is good.
        clean: up to where the score is 1, in the unit (`swing`), or the unit a second (`step`).
        usual_level, usual_spread: between which the median,
        and the deviation from the mean of a second, lie in any
            person; wide, for what is outside is in another unit.
    """

    name: str
    unit: str = ""
    types: tuple[str, ...] = ()
    names: str = ""
    placed: bool = False
    coarse: bool = False
    lowest_rate_hz: float = 0.0
    score: str = ""
    clean: float = 0.0
    usual_level: tuple[float, float] | None = None
    usual_spread: tuple[float, float] | None = None


# Scalp EEG swings about 100 uV peak to peak in a second; more than 200 uV is movement or a bad
# electrode. Its highest band ends at 45 Hz, that of PPG at 8 Hz. Skin conductance moves by under 1
# uS a second (responses rise 0.1-1 uS in 1-3 s); faster is a lost contact. A wrist's skin moves by
# 0.04 degC from sample to sample in 99 of 100 at 4 Hz (Empatica E4, an hour of stress and rest);
# half a degree a second is a sensor that is put on or taken off.
_TABLE = (
    Modality(
        EEG,
        "uV",
        ("EEG",),
        "eeg",
        placed=True,
        lowest_rate_hz=100.0,
        score="swing",
        clean=200.0,
        usual_spread=(0.5, 1000.0),
    ),
    Modality(
        "ppg",
        "a.u.",
        ("PPG", "BVP"),
        r"ppg|bvp|pleth|photopleth\w*|pulse|blood[_ ]?volume[_ ]?pulse",
        lowest_rate_hz=20.0,
        score="pulse",
    ),
    Modality(
        "gsr",
        "uS",
        ("GSR", "EDA", "SC"),
        r"gsr|eda|sc|scl|skin[_ ]?conductance|electrodermal\w*|galvanic\w*",
        coarse=True,
        lowest_rate_hz=4.0,
        score="step",
        clean=1.0,
        usual_level=(0.01, 60.0),
    ),
    Modality(
        "skt",
        "degC",
        ("SKT",),
        r"skt|skin[_ ]?temp(erature)?",
        coarse=True,
        lowest_rate_hz=1.0,
        score="step",
        clean=0.5,
        usual_level=(15.0, 45.0),
    ),
)
MODALITIES = {modality.name: modality for modality in _TABLE}


def modality_of(name: str) -> Modality:
    """The row of this name; of a signal that is not in the table nothing particular is known."""
    return MODALITIES.get(name) or Modality(name)


def modality_name(word: str) -> str:
    """What people type -> the name in the table: `EDA` and `Gsr` are gsr,
    a face is video; other words stay.
    """
    if word.lower() in (*MODALITIES, "video"):
        return word.lower()
    if word.lower() == "face":
        return "video"
    return next((name for name, row in MODALITIES.items() if word.upper() in row.types), word)
