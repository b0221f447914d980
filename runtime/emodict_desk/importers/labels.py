"""What names mean: which column, channel or stream is which modality, where, and in which unit."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emodict.recording.electrodes import ELECTRODES
from emodict.recording.modalities import EEG, MODALITIES
from emodict.recording.recording import canonical_channel, channel_and_reference
from emodict.recording.units import plain_unit

# A type before a name, as EDF+, GDF (`EEG-Fz`), Nihon Kohden (`POL Fp1`) and others write it; of a
# place it may stand before it without a sign between, too. PhysioNet fills names up with dots.
_PREFIX = re.compile(r"^(eeg|raw|pol)[_ .:,-]+", re.IGNORECASE)
_DRESS = re.compile(r"^(eeg|raw|pol)[_ .:,-]*", re.IGNORECASE)
_ELECTRODES = frozenset(canonical_channel(name) for name in ELECTRODES)

_NAMES = {
    # EEG last: `EEG lab GSR` is skin conductance.
    **{name: MODALITIES[name].names for name in sorted(MODALITIES, key=EEG.__eq__)},
    "marker": r"markers?|triggers?|events?|stim(ulus)?|annotations?",
}
_PATTERNS = {
    name: re.compile(rf"(^|[^a-z])({words})([^a-z]|$)", re.IGNORECASE)
    for name, words in _NAMES.items()
}
# "pulse rate" and "EDA quality" are numbers about a signal.
_NO_SIGNAL = re.compile(r"rate|quality|status|\bhr\b|index", re.IGNORECASE)

WANTED_UNIT = {modality.name: modality.unit for modality in MODALITIES.values()}


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
            return EEG
        words = modality_of_words(self.name)
        # "EEG" alone names no place, and a number about a signal is not the signal.
        return (
            None
            if words == EEG or (words in MODALITIES and _NO_SIGNAL.search(self.name))
            else words
        )

    @property
    def place(self) -> str:
        """`RAW_TP9`, `EEG.AF7` -> the bare place; what is not one stays as it is."""
        return electrode_name(self.name)


def is_electrode(name: str) -> bool:
    """Is it a place on the head, however it is written?"""
    return canonical_channel(_DRESS.sub("", name.strip()).rstrip(".")) in _ELECTRODES


def electrode_name(name: str) -> str:
    """`RAW_TP9`, `EEG.AF7`, `Fc5.` -> the bare place; what is not one stays as it is."""
    bare = _PREFIX.sub("", name.strip()).rstrip(".")
    return bare if is_electrode(bare) else name.strip()


def place_and_reference(name: str) -> tuple[str, str]:
    """`EEG P3-Pz`, `EEG-Fz`, `POL Fp1`, `Fc5.` -> bare place, and reference where one is named."""
    place, reference = channel_and_reference(_PREFIX.sub("", name.strip()))
    return place.rstrip("."), reference.rstrip(".")


def modality_of_words(text: str) -> str | None:
    """What a stream's type or a column's name says it is: a modality, marker, or nothing known."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")
    for modality, pattern in _PATTERNS.items():
        if pattern.search(words) or pattern.search(text):
            return modality
    return None


def split_unit(label: str) -> tuple[str, str]:
    """`EDA (uS)`, `Fp1 [µV]` -> name and unit; the unit is "" where the label has none."""
    found = re.fullmatch(r"\s*(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]\s*", label)
    return (found.group(1), found.group(2)) if found and found.group(1) else (label.strip(), "")
