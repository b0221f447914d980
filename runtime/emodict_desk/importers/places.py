"""Names for EEG channels whose file has none, or others: --channels Fp1,Fp2 or ch1=Fp1,ch2=Fp2."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from emodict.errors import RecordingError
from emodict.recording.electrodes import ELECTRODES, electrode_names
from emodict.recording.modalities import EEG
from emodict.recording.recording import Recording

# Where the OpenBCI GUI draws the electrodes of a headset by default.
_EXAMPLE = (
    "Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2", "F7", "F8", "F3", "F4", "T7", "T8", "P3",
    "P4",
)  # fmt: skip


def check_named(source: Path, recording: Recording, *, how: str = "Give them, such as") -> None:
    """Refuse EEG of a file that names no electrodes, and none were given; `how` they can be.

    Raises:
        RecordingError: it has EEG; how many names it takes is said.
    """
    if EEG not in recording.signals:
        return
    count = len(recording.signals[EEG].channel_names)
    example = [*_EXAMPLE, *(name for name in ELECTRODES if name not in _EXAMPLE)][:count]
    raise RecordingError(
        f"{source} does not say where its electrodes were",
        expected=f"their {count} names, in the order of the board's channels",
        fix=f"{how} --channels {','.join(example)}",
    )


def with_places(recording: Recording, channels: str) -> Recording:
    """The recording with its EEG channels called by their places:
    all in order, or OLD=NEW for some.

    Raises:
        RecordingError: there is no EEG, another number of channels, or no channel of that name.
        SpecError: a name that is not a place on the head, or one twice.
    """
    words = [word.strip() for word in channels.split(",")]
    eeg = recording.signals.get(EEG)
    if eeg is None:
        raise RecordingError(
            "--channels names the places of EEG electrodes, and the recording has none",
            expected="a recording of EEG",
            got=", ".join(recording.signals),
            fix="Leave --channels out",
        )
    names = (
        _some(words, eeg.channel_names)
        if any("=" in word for word in words)
        else _all(words, eeg.channel_names)
    )
    signals = {**recording.signals, EEG: dataclasses.replace(eeg, channel_names=names)}
    return dataclasses.replace(
        recording, signals=signals, attributes=_without_advice(recording.attributes)
    )


def _without_advice(attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes without the notes that ask for the names that were just given."""
    notes = attributes.get("notes", "").split("; ")
    left = [
        note
        for note in notes
        if not any(words in note for words in ("are numbered", "are named by port"))
    ]
    kept = {name: value for name, value in attributes.items() if name != "notes"}
    return {**kept, "notes": "; ".join(left)} if any(left) else kept


def _all(words: list[str], there: tuple[str, ...]) -> tuple[str, ...]:
    if len(words) != len(there):
        raise RecordingError(
            "--channels names each EEG channel of the recording, in its order",
            expected=f"{len(there)} names for {' '.join(there)}",
            got=f"{len(words)}",
            fix=f"Name them all, or some of them: --channels {there[0]}=Fp1",
        )
    return electrode_names(words)


def _some(words: list[str], there: tuple[str, ...]) -> tuple[str, ...]:
    parts = [word.partition("=") for word in words]
    renamed = {old.strip(): new.strip() for old, _, new in parts}
    strange = [old for old in renamed if old not in there or not renamed[old]]
    if strange:
        raise RecordingError(
            f"--channels: '{strange[0]}' is not a channel that can be renamed",
            expected=f"OLD=NEW, with one of {' '.join(there)}",
            got=",".join(words),
        )
    new = dict(zip(renamed, electrode_names(list(renamed.values())), strict=True))
    return tuple(new.get(name, name) for name in there)
