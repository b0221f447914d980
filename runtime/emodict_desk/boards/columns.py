"""Which columns of a BrainFlow board are what,
by BrainFlow's own description of it: live and in its files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emodict.recording.lights import pulse_light
from emodict_desk.recordings.account import Account

# BrainFlow names no lights. By its source an EmotiBit's first is infrared;
# of two (Galea) it is the second.
_LIGHTS = {"Emotibit": ("infrared", "red", "green")}
_TWO_LIGHTS = ("red", "infrared")


def pick_columns(
    descr: Mapping[str, Any], account: Account
) -> tuple[dict[str, list[int]], dict[str, tuple[str, ...]]]:
    """Columns and channel names by modality; what else the board measures is said."""
    columns: dict[str, list[int]] = {}
    names: dict[str, tuple[str, ...]] = {}
    if descr.get("eeg_channels"):
        columns["eeg"] = list(descr["eeg_channels"])
        named = str(descr.get("eeg_names", "")).split(",")
        if len(named) != len(columns["eeg"]):
            account.note("the board has no fixed electrodes: EEG channels are numbered")
            named = [f"ch{i + 1}" for i in range(len(columns["eeg"]))]
        names["eeg"] = tuple(name.strip() for name in named)
    for modality, key in (("ppg", "ppg_channels"), ("gsr", "eda_channels")):
        there = list(descr.get(key) or ())
        if there:
            taken = (pulse_light(_lights(descr, len(there))) or 0) if modality == "ppg" else 0
            columns[modality], names[modality] = [there[taken]], (modality,)
            if len(there) > 1:
                account.note(
                    f"{modality}: column {there[taken] + 1} taken of "
                    f"{', '.join(str(c + 1) for c in there)}"
                )
    if "gsr" in columns:
        account.note("gsr: BrainFlow names no unit, samples taken for uS")
    for key in sorted(descr):
        unused = key.endswith("_channels") and key not in (
            "eeg_channels",
            "ppg_channels",
            "eda_channels",
        )
        # BrainFlow lists EEG columns again as those of other uses of the same electrodes.
        if unused and descr[key] and not set(descr[key]) <= set(columns.get("eeg", ())):
            account.leave_out(
                f"columns {', '.join(str(c + 1) for c in descr[key])}",
                key.removesuffix("_channels"),
            )
    return columns, names


def _lights(descr: Mapping[str, Any], count: int) -> Sequence[str]:
    named = _LIGHTS.get(str(descr.get("name", "")), _TWO_LIGHTS)
    return named if len(named) == count else [""] * count
