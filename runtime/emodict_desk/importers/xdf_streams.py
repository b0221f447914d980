"""Which stream of an XDF file is which modality: by its type, its name, or as the user says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emodict.errors import RecordingError
from emodict_desk.importers.labels import WANTED_UNIT, modality_of_words
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

MARKER = "marker"


@dataclass(frozen=True)
class StreamInfo:
    """One stream as its header describes it, and how many samples the file has of it."""

    number: int
    name: str
    type: str
    source_id: str
    host: str
    channels: int
    form: str
    samples: int

    @property
    def is_text(self) -> bool:
        return self.form == "string"

    @property
    def shown(self) -> str:
        count = count_of(self.channels, "channel")
        empty = "" if self.samples else ", empty"
        return f"{self.name} (type {self.type or 'none'}, {count}, number {self.number}{empty})"

    @property
    def identity(self) -> tuple[str, ...]:
        """What stays the same when a device's program is started again."""
        return self.name, self.type, self.source_id, self.host, str(self.channels), self.form

    def is_called(self, wanted: str) -> bool:
        return wanted in (self.name, str(self.number), f"{self.name}@{self.host}")

    def modality(self) -> str | None:
        if self.is_text:
            return MARKER
        return modality_of_words(self.type) or modality_of_words(self.name)


def choose_streams(
    infos: Sequence[StreamInfo], asked: Sequence[str], path: Path, account: Account
) -> dict[int, str]:
    """Stream number -> modality, or marker; several of one modality are one, started again.

    Raises:
        RecordingError: no stream of use, or several for one modality; they are listed.
    """
    said = _asked(infos, asked, path)
    chosen = {number: modality for number, modality in said.items() if modality}
    for info in infos:
        modality = info.modality()
        if info.number in said or modality is None:
            continue
        if info.is_text or (modality in WANTED_UNIT and modality not in said.values()):
            chosen[info.number] = modality
    for modality in WANTED_UNIT:
        _leave_empty_twins(infos, chosen, modality)
        several = [info for info in infos if chosen.get(info.number) == modality]
        if len({info.identity for info in several}) > 1:
            raise several_streams(several, modality, path)
    for info in infos:
        if info.number not in chosen:
            known = info.samples or info.modality() is None
            why = (
                f"type {info.type or 'none'}, not EEG, PPG, GSR or text" if known else "no samples"
            )
            account.leave_out(f"stream {info.name}", why)
    if not set(chosen.values()) & set(WANTED_UNIT):
        raise RecordingError(
            f"{path} holds no stream of EEG, PPG or GSR",
            expected="one of that type or name",
            got="; ".join(info.shown for info in infos) or "no streams",
            fix="Say what a stream is: --stream eeg=NAME"
            if infos
            else "It was cut off before the first stream",
        )
    return chosen


def several_streams(several: Sequence[StreamInfo], modality: str, path: Path) -> RecordingError:
    """The error for streams that could all be one modality."""
    alone = len({info.name for info in several}) == len(several)
    by_name = f"--stream '{several[0].name}', or by number, " if alone else "by its number, "
    return RecordingError(
        f"{path} holds {len(several)} streams of {modality}",
        expected="one",
        got="; ".join(info.shown for info in several),
        fix=f"Choose one: {by_name}--stream {several[0].number}",
    )


def _leave_empty_twins(infos: Sequence[StreamInfo], chosen: dict[int, str], modality: str) -> None:
    """Recorders keep a stream that never sent anything beside the one that did."""
    of = [info for info in infos if chosen.get(info.number) == modality]
    if any(info.samples for info in of):
        for info in of:
            if not info.samples:
                del chosen[info.number]


def _asked(infos: Sequence[StreamInfo], asked: Sequence[str], path: Path) -> dict[int, str]:
    """What the user chose: stream number -> modality."""
    said: dict[int, str] = {}
    for words in asked:
        modality, equals, name = words.partition("=")
        if not equals or modality not in WANTED_UNIT:
            modality, name = "", words
        matches = [info for info in infos if info.is_called(name)]
        matches = [info for info in matches if info.samples] or matches
        if len({info.identity for info in matches}) != 1:
            what = "names no stream" if not matches else f"names {len(matches)} streams"
            raise RecordingError(
                f"--stream '{name}' {what} of {path}",
                expected="; ".join(info.shown for info in matches or infos)
                or "nothing: the file has no streams",
                fix="Choose by number" if matches else None,
            )
        said |= {info.number: _told(info, modality, name) for info in matches}
    return said


def _told(info: StreamInfo, modality: str, name: str) -> str:
    """What a stream is, by the user's word for it or else its own."""
    if modality and info.is_text:
        raise RecordingError(
            f"{info.shown} holds text, not samples",
            expected=f"a stream of numbers for {modality}",
            fix="Name another one; streams of text become events by themselves",
        )
    found = modality or info.modality()
    if found is None:
        raise RecordingError(
            f"{info.shown} does not say what it measures",
            expected="a type such as EEG, PPG or GSR",
            fix=f"Say it: --stream 'eeg={name}'",
        )
    return found
