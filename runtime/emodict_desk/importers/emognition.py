"""Emognition: headband and wristband of one person, films as trials, nine emotions rated.

Saganowski et al., Scientific Data 9:158 (2022), and the data set's README. A folder a person: files
{id}_{FILM}_{WASHOUT|STIMULUS|QUESTIONNAIRES}_{EMPATICA|MUSE|SAMSUNG_WATCH}.json, cut from one
sitting, and {id}_QUESTIONNAIRES.json. EMPATICA has BVP (64 Hz) and EDA (4 Hz, uS) as pairs of time
and value; MUSE is the table of Mind Monitor by columns: TimeStamp, RAW_TP9 ... (256 Hz, uV),
HSI_..., HeadBandOn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.files.jsontext import parse_json
from emodict.recording.recording import Recording, Signal
from emodict_desk.importers.answers import SCORES_OPTION, Asked, answered
from emodict_desk.importers.clock import counter_from_arrivals, gap_or_none, lost_samples
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import check_there, wrong_kind
from emodict_desk.importers.order import by_time_or_as_they_stand
from emodict_desk.recordings.account import Account
from emodict_desk.recordings.scores import Scale

Float64Array = NDArray[np.float64]

_EXPECTED = "the folder of one person of Emognition, with ID_QUESTIONNAIRES.json"
_ANSWERS = "_QUESTIONNAIRES.json"
_NAME = re.compile(r"[^_]+_([A-Z]+)_(WASHOUT|STIMULUS|QUESTIONNAIRES)_(EMPATICA|MUSE)\.json")
# As asked, each from 1 to 5.
EMOTIONS = (
    "Awe", "Disgust", "Surprise", "Anger", "Enthusiasm", "Liking", "Fear", "Amusement", "Sadness",
)  # fmt: skip
_SCALE = Scale(1.0, 5.0)
_BAND = ("TP9", "AF7", "AF8", "TP10")
# As in Mind Monitor's tables: 1 good, 2 medium, 4 bad.
_BAD_CONTACT = 4


@dataclass(frozen=True)
class _Sensor:
    """What becomes one signal."""

    modality: str
    device: str
    rate_hz: float
    unit: str
    channels: tuple[str, ...]


_SENSORS = (
    _Sensor("eeg", "MUSE", 256.0, "uV", _BAND),
    _Sensor("ppg", "EMPATICA", 64.0, "a.u.", ("BVP",)),
    _Sensor("gsr", "EMPATICA", 4.0, "uS", ("EDA",)),
)


@dataclass(frozen=True)
class _Part:
    """One sensor in one file: (samples,) local time since 1970, and (samples, channels).

    What was measured without contact is in `values`, too: by it, rows that stand twice are told.
    """

    times_s: Float64Array
    values: Float64Array
    without_contact: NDArray[np.bool_]


def read_emognition(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    scores: str = "share",
) -> Recording:
    """Read a person of Emognition: Muse 2 and Empatica E4, films and nine emotions.

    Raises:
        RecordingError: a file is missing, or is not what Emognition publishes.
    """
    folder = Path(source)
    check_there(folder, _EXPECTED, folder=True)
    account = Account(f"Emognition {folder.name}")
    answers = _answers(folder)
    joined = _Joined()
    for path, film, phase, device in _files(folder):
        joined.take(path, device, film if phase == "STIMULUS" else None)
    account.leave_out("SAMSUNG_WATCH", "not used")
    asked, signals = _asked(joined, answers, account), joined.signals(account)
    trials, attributes = answered(asked, account, function=scores, signals=signals)
    name = folder.resolve().name
    return Recording(
        session_id=session_id or name,
        subject_id=subject_id or name,
        signals=signals,
        trials=trials,
        start_time=str(np.datetime64(round(joined.start_s * 1e6), "us")),
        device="Muse 2 + Empatica E4",
        attributes={**account.attributes(), **attributes},
    )


def looks_like_emognition(path: Path, head: bytes) -> bool:
    """A folder with a person's answers, called like it."""
    return (path / f"{path.name}{_ANSWERS}").is_file()


def _files(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    """(file, film, phase, device) of those that hold what is used."""
    for path in sorted(folder.glob("*.json")):
        found = _NAME.fullmatch(path.name)
        if found:
            film, phase, device = found.groups()
            yield path, film, phase, device


class _Joined:
    """The sensors of a sitting, from its many files, and when each film was."""

    def __init__(self) -> None:
        self._parts: dict[str, list[_Part]] = {sensor.modality: [] for sensor in _SENSORS}
        self._films: dict[str, list[Float64Array]] = {}

    def take(self, path: Path, device: str, film: str | None) -> None:
        """Add a file; of a film's, its time is the film's."""
        content = _content(path)
        for sensor in _SENSORS:
            part = _part(content, sensor, path) if sensor.device == device else None
            if part is None or not len(part.times_s):
                continue
            self._parts[sensor.modality].append(part)
            if film is not None:
                self._films.setdefault(film, []).append(part.times_s)

    @property
    def start_s(self) -> float:
        """When the first sensor starts.

        Raises:
            RecordingError: no file has a sample.
        """
        times = [part.times_s.min() for parts in self._parts.values() for part in parts]
        if not times:
            raise RecordingError("No file of the folder holds a sample", expected=_EXPECTED)
        return float(min(times))

    def film(self, name: str) -> tuple[float, float] | None:
        """From the first sample to the last while it was shown, from the start; None: no sample."""
        times = self._films.get(name)
        if times is None:
            return None
        first, last = min(part.min() for part in times), max(part.max() for part in times)
        return (float(first) - self.start_s, float(last) - self.start_s) if last > first else None

    def signals(self, account: Account) -> dict[str, Signal]:
        """What each sensor gave, in the order of time, with gaps where nothing was kept."""
        found = {}
        for sensor in _SENSORS:
            if not self._parts[sensor.modality]:
                account.leave_out(sensor.modality, "no samples")
                continue
            found[sensor.modality] = self._signal(sensor, account)
        return found

    def _signal(self, sensor: _Sensor, account: Account) -> Signal:
        parts = sorted(self._parts[sensor.modality], key=lambda part: part.times_s[0])
        times_s = np.concatenate([part.times_s for part in parts]) - self.start_s
        values = np.concatenate([part.values for part in parts])
        order = by_time_or_as_they_stand(
            times_s, values, sensor.modality, account, in_bursts=sensor.device == "MUSE"
        )
        arrived_s = order.of(times_s)
        values[np.concatenate([part.without_contact for part in parts])] = np.nan
        counter = counter_from_arrivals(arrived_s, sensor.rate_hz)
        if lost_samples(counter):
            lost = f"{lost_samples(counter)} samples are not there, by the times"
            account.note(f"{sensor.modality}: {lost}")
        return Signal(
            modality=sensor.modality,
            rate_hz=sensor.rate_hz,
            unit=sensor.unit,
            channel_names=sensor.channels if sensor.modality == "eeg" else (sensor.modality,),
            samples=order.of(values),
            reference="Fpz" if sensor.modality == "eeg" else "",
            start_offset_s=max(0.0, float(arrived_s[0])),
            sequence=gap_or_none(counter),
        )


def _content(path: Path) -> Any:
    check_there(path, _EXPECTED)
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _strange(path, str(error)) from None


def _strange(path: Path, why: str) -> RecordingError:
    return RecordingError(
        f"{path} is not what Emognition publishes: {why}",
        fix="Take the file as it was published",
    )


def _part(content: Any, sensor: _Sensor, path: Path) -> _Part | None:
    """One sensor of a file; None where the file has none of it.

    Raises:
        RecordingError: columns that do not belong together, or what is not a time or a number.
    """
    try:
        if sensor.device == "MUSE":
            return _band(content)
        pairs = content.get(sensor.channels[0])
        if not pairs:
            return None
        values = np.array([value for _, value in pairs], dtype=np.float64).reshape(len(pairs), 1)
        return _Part(_times_s([time for time, _ in pairs]), values, np.zeros(values.shape, bool))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise _strange(path, f"{sensor.modality}: {error}") from None


def _band(content: Mapping[str, Sequence[Any]]) -> _Part:
    """The rows of Mind Monitor that have samples."""
    times_s = _times_s(content["TimeStamp"])
    values = np.stack([_column(content, f"RAW_{name}", len(times_s)) for name in _BAND], axis=1)
    there = np.isfinite(values).any(axis=1)
    contacts = [_column(content, f"HSI_{name}", len(times_s), 1.0) for name in _BAND]
    off = _column(content, "HeadBandOn", len(times_s), 1.0) == 0
    without_contact = (np.stack(contacts, axis=1) >= _BAD_CONTACT) | off[:, None]
    return _Part(times_s[there], values[there], without_contact[there])


def _column(
    content: Mapping[str, Sequence[Any]], name: str, rows: int, otherwise: float | None = None
) -> Float64Array:
    """(rows,) numbers; `otherwise` throughout where a column may be absent and is."""
    if name not in content and otherwise is not None:
        return np.full(rows, otherwise)
    # A cell without a number may be a text: "", "NA".
    cells = [np.nan if cell in ("", "NA") else cell for cell in content[name]]
    values = np.array(cells, dtype=np.float64)
    if values.shape != (rows,):
        raise ValueError(f"{name} has {len(values)} rows, and TimeStamp has {rows}")
    return values


def _times_s(texts: Sequence[str]) -> Float64Array:
    """`2020-07-16T09:31:03:123` -> seconds since 1970, as if it were UTC; it is local time."""
    iso = [f"{text[:19]}.{text[20:] or '0'}" for text in texts]
    times = np.array(iso, dtype="datetime64[us]")
    return times.astype(np.int64) / 1e6


def _answers(folder: Path) -> dict[str, list[float]]:
    """The nine scores that followed each film.

    Raises:
        RecordingError: there are none, or they are not numbers.
    """
    found = sorted(path for path in folder.glob(f"*{_ANSWERS}") if path.name.count("_") == 1)
    if len(found) != 1:
        raise wrong_kind(folder, _EXPECTED)
    content = _content(found[0])
    try:
        answers = {
            str(asked["movie"]): [
                float(asked["emotions"].get(name.upper(), float("nan"))) for name in EMOTIONS
            ]
            for asked in content["questionnaires"]
        }
        if len(answers) < len(content["questionnaires"]):
            raise ValueError("a film was answered twice")
        return answers
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _strange(found[0], f"questionnaires: {error}") from None


def _asked(joined: _Joined, answers: Mapping[str, list[float]], account: Account) -> Asked:
    """The films of which there are signals and answers, in the order of time."""
    spans = {film: joined.film(film) for film in answers}
    for film in (film for film, span in spans.items() if span is None):
        account.leave_out(film, "answers without signals")
    shown = sorted((span, film) for film, span in spans.items() if span is not None)
    if not shown:
        raise RecordingError("No film has both signals and answers", expected=_EXPECTED)
    return Asked(
        source="QUESTIONNAIRES.json",
        stimulus="film",
        emotions=EMOTIONS,
        scale=_SCALE,
        trial=[film for _, film in shown],
        start_s=[span[0] for span, _ in shown],
        stop_s=[span[1] for span, _ in shown],
        scores=[answers[film] for _, film in shown],
    )


FORM = Form(read_emognition, looks_like_emognition, options=(SCORES_OPTION,), for_training=True)
