"""XDF: the streams that LabRecorder wrote of the Lab Streaming Layer, clocks already brought together."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError, MissingDependencyError, RecordingError
from emodict.recording.recording import Event, Recording, Signal, channel_and_reference
from emodict.recording.units import plain_unit, unit_factor
from emodict_desk.importers.clock import growing, parse_time, start_and_times, usual_rate_hz
from emodict_desk.importers.form import Form, Option
from emodict_desk.importers.kinds import check_there, read_head, wrong_kind
from emodict_desk.importers.labels import WANTED_UNIT, Label, modality_of_words
from emodict_desk.importers.spool import Spool
from emodict_desk.importers.xdf_chunks import check_chunks
from emodict_desk.lights import pulse_light
from emodict_desk.recordings.account import Account
from emodict_desk.wording import count_of

_EXPECTED = "an XDF file (LabRecorder)"
_MAGIC = b"XDF:"
_FIRST_PYXDF = (1, 17, 3)
# Longer steps are pauses, shorter ones jitter to be evened out. pyxdf's own limit is 500 samples: at 100 Hz it would
# spread a pause of up to 5 s over the whole recording.
_BREAK_S, _BREAK_SAMPLES = 0.5, 2
# A stream whose samples come this much off its nominal rate has the measured one.
_RATE_TOLERANCE = 0.01
# Of one number, by the format that a stream's header names.
_BYTES = {"double64": 8, "float32": 4, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "string": 0}


def read_xdf(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None, stream: Sequence[str] = ()
) -> Recording:
    """Read an XDF file (LabRecorder, Lab Streaming Layer).

    Streams become eeg, ppg or gsr by their type, or else their name; streams of text become events. Their
    clocks are brought together, clock resets included. Where two streams could be one modality, `stream`
    chooses by name or number; MODALITY=NAME also says what a stream of another type is.

    Raises:
        RecordingError: no XDF, no stream of use, or several for one modality; they are listed.
        MissingDependencyError: pyxdf is not installed.
        InputError: the pyxdf that is installed loses samples.
    """
    path = Path(source)
    check_there(path, _EXPECTED)
    if not read_head(path).startswith(_MAGIC):
        raise wrong_kind(path, _EXPECTED)
    account = Account(f"XDF {path.name}")
    # First what is a chunk at all, then what is in those of samples.
    _check_chunks(path, ())
    infos = _infos(path)
    _check_chunks(path, infos)
    chosen = _choose(infos, stream, path, account)
    loaded, header = _load(path, [*chosen], account)
    signals, origin_s = _signals(loaded, chosen, path, account)
    # The file's own header may be missing.
    start = parse_time(_first((header or {}).get("info"), "datetime"))
    if start:
        account.note("start_time is when the file was opened; samples start up to some seconds later")
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        events=tuple(_events(loaded, chosen, origin_s)),
        start_time=start.isoformat().replace("+00:00", "Z") if start else "",
        device=" + ".join(dict.fromkeys(info.name for info in infos if chosen.get(info.number) in signals)),
        attributes=account.attributes(),
    )


def looks_like_xdf(path: Path, head: bytes) -> bool:
    """The first four bytes."""
    return head.startswith(_MAGIC)


@dataclass(frozen=True)
class _Info:
    """One stream as its header describes it."""

    number: int
    name: str
    type: str
    host: str
    channels: int
    form: str

    @property
    def is_text(self) -> bool:
        return self.form == "string"

    @property
    def shown(self) -> str:
        count = count_of(self.channels, "channel")
        return f"{self.name} (type {self.type or 'none'}, {count}, number {self.number})"

    def is_called(self, wanted: str) -> bool:
        return wanted in (self.name, str(self.number), f"{self.name}@{self.host}")

    def modality(self) -> str | None:
        if self.is_text:
            return "marker"
        return modality_of_words(self.type) or modality_of_words(self.name)


@contextlib.contextmanager
def _said_by_pyxdf(account: Account) -> Iterator[None]:
    """What pyxdf warns of goes into the notes instead of onto the screen."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            account.note(f"pyxdf: {record.getMessage().rstrip('.')}")

    log, handler = logging.getLogger("pyxdf"), Notes(logging.WARNING)
    passed_on = log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = passed_on


def _pyxdf() -> Any:
    try:
        import pyxdf
    except ImportError:
        raise MissingDependencyError("pyxdf", extra="xdf", purpose="Reading XDF") from None
    found = importlib.metadata.version("pyxdf")
    if tuple(int(number) for number in re.findall(r"\d+", found)[:3]) < _FIRST_PYXDF:
        raise InputError(
            "pyxdf before 1.17.3 loses most samples of a recording whose clock was reset",
            expected="pyxdf 1.17.3 or newer",
            got=found,
            fix="pip install --upgrade 'emodict[xdf]'",
        )
    return pyxdf


def _infos(path: Path) -> list[_Info]:
    pyxdf = _pyxdf()
    try:
        with _said_by_pyxdf(Account("")):
            found = pyxdf.resolve_streams(str(path))
    except Exception as error:
        # pyxdf raises whatever its parsing runs into; the file's fault, whichever it is.
        raise _damaged(path, error) from error
    return [
        _Info(
            int(info["stream_id"]),
            str(info["name"] or f"stream {info['stream_id']}"),
            str(info["type"] or ""),
            str(info["hostname"] or ""),
            int(info["channel_count"]),
            str(info["channel_format"]),
        )
        for info in found
    ]


def _check_chunks(path: Path, infos: Sequence[_Info]) -> None:
    try:
        check_chunks(path, {info.number: (info.channels, _BYTES[info.form]) for info in infos})
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _choose(infos: Sequence[_Info], asked: Sequence[str], path: Path, account: Account) -> dict[int, str]:
    """Stream number -> modality, or marker."""
    said = _asked(infos, asked, path)
    chosen = {number: modality for number, modality in said.items() if modality}
    for info in infos:
        modality = info.modality()
        if info.number in said or modality is None:
            continue
        if info.is_text or (modality in WANTED_UNIT and modality not in said.values()):
            chosen[info.number] = modality
    for modality in WANTED_UNIT:
        several = [info for info in infos if chosen.get(info.number) == modality]
        if len(several) > 1:
            raise RecordingError(
                f"{path} holds {len(several)} streams of {modality}",
                expected="one",
                got="; ".join(info.shown for info in several),
                fix=f"Choose one: --stream '{several[0].name}', or by number, --stream {several[0].number}",
            )
    for info in infos:
        if info.number not in chosen:
            account.leave_out(f"stream {info.name}", f"type {info.type or 'none'}, not EEG, PPG, GSR or text")
    if not set(chosen.values()) & set(WANTED_UNIT):
        raise RecordingError(
            f"{path} holds no stream of EEG, PPG or GSR",
            expected="one of that type or name",
            got="; ".join(info.shown for info in infos) or "no streams",
            fix="Say what a stream is: --stream eeg=NAME" if infos else "It was cut off before the first stream",
        )
    return chosen


def _asked(infos: Sequence[_Info], asked: Sequence[str], path: Path) -> dict[int, str]:
    """What the user chose: stream number -> modality."""
    said: dict[int, str] = {}
    for words in asked:
        modality, equals, name = words.partition("=")
        if not equals or modality not in WANTED_UNIT:
            modality, name = "", words
        matches = [info for info in infos if info.is_called(name)]
        if len(matches) != 1:
            what = "names no stream" if not matches else f"names {len(matches)} streams"
            raise RecordingError(
                f"--stream '{name}' {what} of {path}",
                expected="; ".join(info.shown for info in matches or infos) or "nothing: the file has no streams",
                fix="Choose by number" if matches else None,
            )
        said[matches[0].number] = _told(matches[0], modality, name)
    return said


def _told(info: _Info, modality: str, name: str) -> str:
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


def _load(path: Path, numbers: list[int], account: Account) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    pyxdf = _pyxdf()
    try:
        with _said_by_pyxdf(account):
            streams, header = pyxdf.load_xdf(
                str(path),
                select_streams=numbers,
                jitter_break_threshold_seconds=_BREAK_S,
                jitter_break_threshold_samples=_BREAK_SAMPLES,
            )
    except Exception as error:
        # As above.
        raise _damaged(path, error) from error
    return {int(found["info"]["stream_id"]): found for found in streams}, header


def _damaged(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path} starts like an XDF but cannot be read: {type(error).__name__}: {error}".rstrip(": "),
        fix="Copy it again; LabRecorder must have been stopped before",
    )


def _signals(
    loaded: dict[int, dict[str, Any]], chosen: dict[int, str], path: Path, account: Account
) -> tuple[dict[str, Signal], float]:
    """The signals, and the time on the recorder's clock that is their time 0."""
    there: dict[str, dict[str, Any]] = {}
    for number, modality in chosen.items():
        found = loaded.get(number)
        if found is None or not len(found["time_stamps"]):
            name = _first(found["info"], "name") if found else f"number {number}"
            account.leave_out(f"stream {name}", "no samples")
        elif modality != "marker":
            there[modality] = found
    if not there:
        raise RecordingError(
            f"{path}: its streams of EEG, PPG and GSR are empty", expected="samples", fix="Record it again"
        )
    origin_s = min(float(found["time_stamps"][0]) for found in there.values())
    return {m: _signal(m, found, origin_s, path, account) for m, found in there.items()}, origin_s


def _signal(modality: str, found: dict[str, Any], origin_s: float, path: Path, account: Account) -> Signal:
    name = _first(found["info"], "name")
    times_s = np.asarray(found["time_stamps"], dtype=np.float64) - origin_s
    values: NDArray[np.float32] = np.asarray(found["time_series"], dtype=np.float32).reshape(len(times_s), -1)
    kept = growing(times_s)
    if not kept.all():
        account.leave_out(f"{int((~kept).sum())} samples of stream {name}", "their time runs back")
        times_s, values = times_s[kept], values[kept]
    columns, names, unit = _channels(modality, found["info"], values.shape[1], path, account)
    rate_hz = _rate(found["info"], times_s, name, path, account)
    start_s, timestamps_s = start_and_times(times_s, rate_hz)
    samples = Spool(len(columns))
    samples.append(values[:, columns])
    parts = [channel_and_reference(label) for label in names]
    references = list(dict.fromkeys(reference for _, reference in parts if reference))
    return Signal(
        modality=modality,
        rate_hz=rate_hz,
        unit=unit,
        channel_names=tuple(label for label, _ in parts) if modality == "eeg" else (modality,),
        samples=samples,
        reference=", ".join(references) if modality == "eeg" else "",
        start_offset_s=start_s,
        timestamps_s=timestamps_s,
    )


def _rate(info: Any, times_s: NDArray[np.float64], name: str, path: Path, account: Account) -> float:
    """The nominal rate if samples do come at it, else the measured one."""
    nominal, measured = float(_first(info, "nominal_srate") or 0), usual_rate_hz(times_s)
    if not measured and nominal <= 0:
        raise RecordingError(f"{path}: stream {name} has one sample only", expected="many samples")
    if nominal > 0 and (not measured or abs(measured / nominal - 1) <= _RATE_TOLERANCE):
        return nominal
    account.note(
        f"stream {name}: {measured:.4g} Hz measured"
        + (f", not the {nominal:g} Hz of its header" if nominal > 0 else ", its header names no rate")
    )
    return measured


def _channels(modality: str, info: Any, count: int, path: Path, account: Account) -> tuple[list[int], list[str], str]:
    """(columns, labels, unit) of the channels to take."""
    name = _first(info, "name")
    described = _described(info)
    if len(described) != count:
        if described:
            account.note(f"stream {name}: {len(described)} channels described, {count} there; they are numbered")
        described = [Label("")] * count
    columns = list(range(count))
    if modality == "eeg":
        columns = [i for i, label in enumerate(described) if label.kind.upper() in ("", "EEG")] or columns
        if not any(label.name for label in described):
            account.note(f"stream {name}: its header names no channels, they are numbered")
    elif count > 1:
        columns = [(pulse_light([label.name for label in described]) or 0) if modality == "ppg" else 0]
        account.note(f"{modality}: channel {described[columns[0]].name or columns[0] + 1} taken of {count}")
    for i in sorted(set(range(count)) - set(columns)):
        account.leave_out(f"channel {described[i].name or i + 1} of {name}", described[i].kind or "one is taken")
    units = {described[i].unit for i in columns} - {""}
    if len(units) > 1:
        raise RecordingError(f"{path}: the channels of stream {name} have different units", got=sorted(units))
    unit = "a.u." if modality == "ppg" else next(iter(units), "")
    if not unit:
        account.note(f"stream {name}: no unit in its header, taken for {WANTED_UNIT[modality]}")
    unit_factor(unit or WANTED_UNIT[modality], WANTED_UNIT[modality], of=f"{path}, stream {name}")
    return columns, [described[i].name or f"ch{i + 1}" for i in columns], unit or WANTED_UNIT[modality]


def _described(info: Any) -> list[Label]:
    """What the header says of each channel."""
    desc = (info.get("desc") or [None])[0] or {}
    channels = (desc.get("channels") or [None])[0] or {}
    found = channels.get("channel") or []
    return [Label(_first(c, "label"), plain_unit(_first(c, "unit")), _first(c, "type")) for c in found if c]


def _first(info: Any, key: str) -> str:
    """XDF headers are lists of one; one that says nothing is None."""
    values = (info or {}).get(key) or [None]
    return str(values[0] or "") if isinstance(values, list) else str(values)


def _events(loaded: dict[int, dict[str, Any]], chosen: dict[int, str], origin_s: float) -> Iterator[Event]:
    events = []
    for number, found in loaded.items():
        if chosen.get(number) != "marker":
            continue
        for at_s, words in zip(found["time_stamps"], found["time_series"], strict=True):
            text = " ".join(str(word) for word in np.ravel(np.asarray(words, dtype=object))).strip()
            number_like = text.removeprefix("-").isdigit() and len(text) < 10
            events.append(Event(float(at_s) - origin_s, int(text) if number_like else 0, text))
    yield from sorted(events, key=lambda event: event.onset_s)


FORM = Form(
    read_xdf,
    looks_like_xdf,
    options=(
        Option(
            "stream", "NAME", "Stream to take, by name or number; MODALITY=NAME says what one of another type is.",
            many=True,
        ),
    ),
)  # fmt: skip
