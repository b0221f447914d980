"""Channels that a file names one by one: which of them are EEG, skin conductance and a pulse."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.lights import pulse_light
from emodict.recording.modalities import EEG, MODALITIES
from emodict.recording.recording import Signal
from emodict.recording.units import plain_unit, unit_factor
from emodict_desk.importers.conductance import CONDUCTANCE, in_microsiemens
from emodict_desk.importers.labels import WANTED_UNIT, Label, is_electrode, place_and_reference
from emodict_desk.recordings.account import Account

# EDF+ and others put a type before a name ("EEG Fp1", "ECG II"); plain files have bare names of
# the same kinds.
_OTHER_TYPES = re.compile(
    r"^(h?e[ckomr]g|veog|meg|mcg|temp|resp|sao2|spo2|light|sound|event|trig|status|marker|counter"
    r"|acc|gyro|mag|batt|dc\d|stim|sti\b)",
    re.IGNORECASE,
)
# A type before a name, or before the number of an amplifier (`EEG100C`).
_EEG = re.compile(r"EEG([ :,-]|\d|$)", re.IGNORECASE)
# Places between those of the 10-10 system: AFF1h, TTP7h.
_TEN_FIVE = re.compile(r"[A-Z]{1,3}p?\d{1,2}h", re.IGNORECASE)
_VOLTAGE = re.compile(r"\s*[num\u00b5\u03bc]?V|(micro|milli|nano)?volts?\s*", re.IGNORECASE)
# What a monitor has made of a pulse is not the pulse.
_RATE_UNITS = re.compile(r"bpm|(1|beats)?/min|%", re.IGNORECASE)
# A program's own work on a signal: the features want the signal.
_DERIVED = re.compile(r"filter|different|deriv|integ|phasic|tonic|smooth|averag|\bscr\b", re.I)


@dataclass(frozen=True)
class Channel:
    """One channel of a file.

    Attributes:
        label: its name, its unit as the file has it, and its type where the file gives one.
        read: its (samples,) in that unit.
    """

    label: Label
    rate_hz: float
    read: Callable[[], NDArray[np.float64]]

    @property
    def name(self) -> str:
        return self.label.name

    @property
    def place(self) -> tuple[str, str]:
        """Name and reference."""
        return place_and_reference(self.name)

    @property
    def is_voltage(self) -> bool:
        return bool(_VOLTAGE.fullmatch(self.label.unit))

    @property
    def is_named_eeg(self) -> bool:
        """By the type before its name, or a voltage at a place on the head."""
        if _EEG.match(self.name):
            return True
        name = self.place[0]
        return self.is_voltage and (is_electrode(name) or bool(_TEN_FIVE.fullmatch(name)))

    @property
    def may_be_eeg(self) -> bool:
        """A voltage that is not named as something else."""
        return self.is_voltage and not _OTHER_TYPES.match(self.name)

    @property
    def one_channel_modality(self) -> str | None:
        """The modality of one channel (ppg, gsr) that it is called by, if it is a signal of it."""
        found = self.label.modality
        if found not in MODALITIES or MODALITIES[found].placed:
            return None
        slow = self.rate_hz < MODALITIES[found].lowest_rate_hz / 2
        return None if slow or _RATE_UNITS.fullmatch(self.label.unit.strip()) else found


def sorted_out(
    channels: Sequence[Channel], *, any_voltage: bool = True
) -> dict[str, list[Channel]]:
    """The channels of each modality.

    EEG is what is named so; where a file names nothing that is known, any voltage, unless the
    format is one of other signals, too.
    """
    found: dict[str, list[Channel]] = {}
    for channel in channels:
        modality = EEG if channel.is_named_eeg else channel.one_channel_modality
        if modality is not None:
            found.setdefault(modality, []).append(channel)
    voltages = [channel for channel in channels if channel.may_be_eeg] if any_voltage else []
    return found or ({EEG: voltages} if voltages else {})


def signals_of(
    chosen: Mapping[str, Sequence[Channel]], path: Path, account: Account
) -> dict[str, Signal]:
    """A signal for each modality, in its own unit; what was not taken is named.

    Raises:
        RecordingError: a channel has a unit that emodict does not know.
    """
    return {
        modality: eeg_signal(of, path, account)
        if modality == EEG
        else one_channel_signal(modality, of, path, account)
        for modality, of in chosen.items()
    }


def eeg_signal(
    channels: Sequence[Channel], path: Path, account: Account, *, reference: str = ""
) -> Signal:
    """EEG in uV, of the rate that most of the channels have.

    Raises:
        RecordingError: a channel has a unit that emodict does not know.
    """
    rate_hz = Counter(channel.rate_hz for channel in channels).most_common(1)[0][0]
    kept = [channel for channel in channels if channel.rate_hz == rate_hz]
    for channel in (channel for channel in channels if channel.rate_hz != rate_hz):
        account.leave_out(channel.name, f"{channel.rate_hz:g} Hz")
    references = dict.fromkeys(channel.place[1] for channel in kept if channel.place[1])
    return Signal(
        modality=EEG,
        rate_hz=rate_hz,
        unit="uV",
        channel_names=tuple(channel.place[0] for channel in kept),
        samples=_columns(kept, path),
        reference=", ".join(references) or reference,
    )


def _columns(channels: Sequence[Channel], path: Path) -> NDArray[np.float32]:
    """(samples, channels) in uV, read one by one: together they may be large."""
    columns: NDArray[np.float32] | None = None
    for i, channel in enumerate(channels):
        unit = plain_unit(channel.label.unit)
        factor = unit_factor(unit, "uV", of=f"{path}, channel {channel.name}")
        values = channel.read()
        if columns is None:
            columns = np.full((len(values), len(channels)), np.nan, dtype=np.float32)
        if len(values) != len(columns):
            raise RecordingError(
                f"{path}: its EEG channels differ in length",
                expected=f"{len(columns)} samples",
                got=f"{len(values)} in {channel.name}",
                fix="Export it again",
            )
        columns[:, i] = values * factor
    assert columns is not None
    return columns


def one_channel_signal(
    modality: str, channels: Sequence[Channel], path: Path, account: Account
) -> Signal:
    """The one channel of a modality that is the signal itself; of several it is said which.

    Raises:
        RecordingError: it has a unit that emodict does not know.
    """
    channel = channels[which_of(modality, [channel.name for channel in channels])]
    if len(channels) > 1:
        names = ", ".join(f"'{other.name}'" for other in channels if other is not channel)
        account.note(f"{modality}: channel '{channel.name}' is taken, not {names}")
    values, unit = channel.read(), WANTED_UNIT[modality]
    if unit == CONDUCTANCE:
        of = f"{path}, channel {channel.name}"
        values = in_microsiemens(values, channel.label.unit, of=of, account=account)
    elif unit != "a.u.":
        values = values * unit_factor(
            plain_unit(channel.label.unit), unit, of=f"{path}, {channel.name}"
        )
    samples = np.asarray(values, dtype=np.float32)[:, None]
    return Signal(modality, channel.rate_hz, unit, (modality,), samples)


def which_of(modality: str, names: Sequence[str]) -> int:
    """Which of several channels is the signal: infrared light, and no program's work on it."""
    light = pulse_light(names) if modality == "ppg" else None
    if light is not None:
        return light
    raw = (i for i, name in enumerate(names) if not _DERIVED.search(name))
    return next(raw, 0)


def leave_out_others(
    channels: Iterable[Channel], taken: Mapping[str, Sequence[Channel]], account: Account
) -> None:
    """Name the channels that are of no modality; `taken` names its own."""
    used = {id(channel) for of in taken.values() for channel in of}
    others = [channel.name for channel in channels if id(channel) not in used]
    if others:
        account.leave_out(", ".join(others), "not EEG, EDA or PPG")
