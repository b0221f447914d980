"""What names mean: which column, channel or stream is which modality, at which place, in which unit."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emodict.recording.electrodes import ELECTRODES
from emodict.recording.recording import canonical_channel
from emodict.recording.units import plain_unit

_ELECTRODES = frozenset(canonical_channel(name) for name in ELECTRODES)

_PPG = re.compile(r"(^|[^a-z])(ppg|bvp|pleth|photopleth\w*|pulse|blood_?volume_?pulse)([^a-z]|$)", re.IGNORECASE)
_GSR = re.compile(r"(^|[^a-z])(gsr|eda|sc|scl|skin_?conductance|electrodermal\w*|galvanic\w*)([^a-z]|$)", re.IGNORECASE)
_EEG = re.compile(r"(^|[^a-z])eeg([^a-z]|$)", re.IGNORECASE)
_MARKER = re.compile(r"(^|[^a-z])(markers?|triggers?|events?|stim(ulus)?|annotations?)([^a-z]|$)", re.IGNORECASE)
# "pulse rate" and "EDA quality" are numbers about a signal.
_NO_SIGNAL = re.compile(r"rate|quality|status|\bhr\b|index", re.IGNORECASE)

WANTED_UNIT = {"eeg": "uV", "ppg": "a.u.", "gsr": "uS"}
MODALITIES = tuple(WANTED_UNIT)


@dataclass(frozen=True)
class Label:
    """What a column or channel calls itself.

    Attributes:
        unit: in emodict's words, "" where the file names none.
        kind: the type that the file gives it, "" where it gives none.
    """

    name: str
    unit: str = ""
    kind: str = ""

    @classmethod
    def read(cls, text: str) -> Label:
        """`EDA (uS)`, `Fp1 [µV]`: the name, and the unit in brackets."""
        name, unit = split_unit(text)
        return cls(name, plain_unit(unit))

    @property
    def modality(self) -> str | None:
        """eeg, ppg, gsr, marker, or nothing known; a place on the head is EEG."""
        if is_electrode(self.name):
            return "eeg"
        words = modality_of_words(self.name)
        return words if words == "marker" or (words in ("ppg", "gsr") and not _NO_SIGNAL.search(self.name)) else None

    @property
    def place(self) -> str:
        """`RAW_TP9`, `EEG.AF7` -> the bare place; what is not one stays as it is."""
        return electrode_name(self.name)


def is_electrode(name: str) -> bool:
    """Is it a place on the head, however it is written?"""
    bare = re.sub(r"^(eeg|raw)[_ .-]*", "", name.strip(), flags=re.IGNORECASE)
    return canonical_channel(bare) in _ELECTRODES


def electrode_name(name: str) -> str:
    """`RAW_TP9`, `EEG.AF7` -> the bare place; what is not one stays as it is."""
    bare = re.sub(r"^(eeg|raw)[_ .]+", "", name.strip(), flags=re.IGNORECASE)
    return bare if is_electrode(bare) else name.strip()


def modality_of_words(text: str) -> str | None:
    """What a stream's type or a column's name says it is: eeg, ppg, gsr, marker, or nothing known."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")
    for modality, pattern in (("ppg", _PPG), ("gsr", _GSR), ("eeg", _EEG), ("marker", _MARKER)):
        if pattern.search(words) or pattern.search(text):
            return modality
    return None


def split_unit(label: str) -> tuple[str, str]:
    """`EDA (uS)`, `Fp1 [µV]` -> name and unit; the unit is "" where the label has none."""
    found = re.fullmatch(r"\s*(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]\s*", label)
    return (found.group(1), found.group(2)) if found and found.group(1) else (label.strip(), "")
