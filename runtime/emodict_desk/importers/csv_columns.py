"""Which columns of a plain CSV are what, and in which unit: as asked, or by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emodict.errors import RecordingError
from emodict.recording.lights import of_one_sensor, pulse_light
from emodict.recording.modalities import MODALITIES, modality_name
from emodict.recording.units import plain_unit, unit_factor
from emodict_desk.importers.conductance import CONDUCTANCE, is_resistance
from emodict_desk.importers.form import pairs
from emodict_desk.importers.kinds import E4_FILES, kind_of, wrong_kind
from emodict_desk.importers.labels import WANTED_UNIT, Label, split_unit
from emodict_desk.importers.text import TextTable
from emodict_desk.recordings.account import Account

# What a column may well be, and emodict has no use for.
_OTHER_SIGNAL = re.compile(r"(^|[^a-z])(ecg|ekg|emg|eog|resp|acc)([^a-z]|$)", re.IGNORECASE)


def choose(table: TextTable, columns: Sequence[str], account: Account) -> dict[str, list[int]]:
    """The columns of each modality."""
    if columns:
        chosen = {}
        for word, names in pairs(columns, "columns", "ppg=BVP,eeg=AF7+AF8"):
            modality = modality_name(word)
            if modality not in MODALITIES:
                raise RecordingError(
                    f"--columns {modality}=... names no modality",
                    expected=f"one of {', '.join(MODALITIES)}",
                )
            chosen[modality] = [table.column(name) for name in names.split("+")]
            for name in (n for n in names.split("+") if _OTHER_SIGNAL.search(n)):
                account.note(
                    f"column {name} is taken for {modality}, as asked; its name says otherwise"
                )
    else:
        chosen = _by_name(table)
        _take_one_light(table, chosen, account)
    for modality, of in chosen.items():
        if len(of) > 1 and not MODALITIES[modality].placed:
            raise RecordingError(
                f"{table.path}: {modality} has one channel, and {len(of)} columns could be it",
                expected=f"one of {', '.join(table.columns[c] for c in of)}",
                fix=f"Choose it: --columns {modality}={table.columns[of[0]]}; "
                f"name the other modalities' columns too",
            )
    if not chosen:
        if table.path.name in E4_FILES:
            raise wrong_kind(table.path, "a table with a column for each channel")
        kind = kind_of(table.path)
        known = (
            ""
            if kind in (None, "csv")
            else f"; it looks like a file for `emodict-session import {kind}`"
        )
        raise RecordingError(
            f"{table.path} has no column that is known to be EEG, PPG or GSR",
            expected="electrodes (AF7, Cz), PPG or BVP, GSR or EDA",
            got=table.names() + known,
            fix="Say which is which: --columns ppg=NAME,gsr=NAME,eeg=NAME+NAME",
        )
    return chosen


def _say_others(names: Sequence[str], modality: str, account: Account) -> None:
    """Note the columns that the user calls what their names deny."""
    for name in (name for name in names if _OTHER_SIGNAL.search(name)):
        account.note(f"column {name} is taken for {modality}, as asked; its name says otherwise")


def _by_name(table: TextTable) -> dict[str, list[int]]:
    labels = [Label.read(column).modality for column in table.columns]
    columns = {
        modality: [i for i, of in enumerate(labels) if of == modality] for modality in MODALITIES
    }
    return {modality: of for modality, of in columns.items() if of}


def _take_one_light(table: TextTable, chosen: dict[str, list[int]], account: Account) -> None:
    """Of columns that are lights of one sensor (PPG1 PPG2 PPG3, PPG_IR
    PPG_Red) take the pulse's.
    """
    names = [split_unit(table.columns[column])[0] for column in chosen.get("ppg", [])]
    light = pulse_light(names)
    if len(names) > 1 and light is not None and of_one_sensor(names):
        account.note(
            f"ppg: column {names[light]} taken of {', '.join(names)}, as the infrared light"
        )
        chosen["ppg"] = [chosen["ppg"][light]]


def marker_column(table: TextTable, taken: set[int]) -> int | None:
    """The first column of marks that is nothing else; None where there is none."""
    there = (
        i
        for i, name in enumerate(table.columns)
        if i not in taken and Label.read(name).modality == "marker"
    )
    return next(there, None)


def units_of(
    table: TextTable, chosen: dict[str, list[int]], unit: Sequence[str], account: Account
) -> dict[str, str]:
    """The unit of each modality: as asked, else as in the column names,
    else the usual one, which is said. Of skin conductance it may be one of resistance.
    """
    asked = dict(pairs(unit, "unit", "gsr=uS,eeg=mV"))
    strange = [m for m in asked if m not in chosen]
    if strange:
        raise RecordingError(
            f"--unit {strange[0]}=...: there is no {strange[0]} in {table.path}", expected=[*chosen]
        )
    units = {}
    for modality, of in chosen.items():
        named = {Label.read(table.columns[c]).unit for c in of} - {""}
        if len(named) > 1:
            raise RecordingError(
                f"{table.path}: the columns of {modality} have different units", got=sorted(named)
            )
        found = plain_unit(asked.get(modality, "")) or (next(iter(named)) if named else "")
        if WANTED_UNIT[modality] == "a.u.":
            found = "a.u."
        elif not found:
            account.note(f"{modality}: no unit given, taken for {WANTED_UNIT[modality]}")
        units[modality] = found or WANTED_UNIT[modality]
        if not (WANTED_UNIT[modality] == CONDUCTANCE and is_resistance(units[modality])):
            unit_factor(units[modality], WANTED_UNIT[modality], of=f"{table.path}, {modality}")
    return units
