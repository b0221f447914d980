"""XDF: the streams that LabRecorder wrote of the Lab Streaming Layer,
clocks already brought together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError, MissingDependencyError, RecordingError
from emodict.recording.lights import pulse_light
from emodict.recording.recording import Event, Recording, Signal
from emodict.recording.units import plain_unit, unit_factor
from emodict_desk.importers.clock import growing, parse_time, start_and_times
from emodict_desk.importers.form import Form, Option
from emodict_desk.importers.kinds import check_there, read_head, wrong_kind
from emodict_desk.importers.labels import WANTED_UNIT, Label, place_and_reference
from emodict_desk.importers.order import by_time
from emodict_desk.importers.spool import Spool
from emodict_desk.importers.stamps import even_times, mended_glitches
from emodict_desk.importers.xdf_chunks import check_chunks
from emodict_desk.importers.xdf_streams import MARKER, StreamInfo, choose_streams, several_streams
from emodict_desk.recordings.account import WRONG_FREQUENCIES, Account
from emodict_desk.recordings.rate import usual_rate_hz
from emodict_desk.wording import count_of

_EXPECTED = "an XDF file (LabRecorder)"
_MAGIC = b"XDF:"
_FIRST_PYXDF = (1, 17, 3)
# Unix time of 1973 and later; LSL's clock counts from when a computer was started.
_UNIX_S = 1e8
# No device pauses for so long within one file: its clock was set.
_LONGEST_PAUSE_S = 24 * 3600.0
_NAME_THEM = " (--channels names them)"
# What pyxdf says where it was not asked to make stamps even.
_ITS_SEGMENTS = "Segments and clock-segments differ"
# A stream whose samples come this much off its nominal rate has the measured one.
_RATE_TOLERANCE = 0.01
# Of one number, by the format that a stream's header names.
_BYTES = {"double64": 8, "float32": 4, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "string": 0}


def read_xdf(
    source: Path,
    /,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
    stream: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Recording:
    """Read an XDF file (LabRecorder, Lab Streaming Layer).

    Streams become eeg, ppg or gsr by their type, or else their name; streams of text become events.
    Their clocks are brought together, clock resets included. Where two streams could be one
    modality, `stream` chooses by name or number; MODALITY=NAME also says what a stream of another
    type is. Streams of one name, source and host that follow one another are one signal with a gap.
    `only` names the modalities to take.

    Raises:
        RecordingError: not an XDF, no stream of use, several for one modality, or separate clocks.
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
    chosen = choose_streams(infos, stream, path, account)
    chosen = {number: of for number, of in chosen.items() if not only or of in (*only, MARKER)}
    loaded, header = _load(path, [*chosen], account)
    signals, origin_s = _signals(infos, loaded, chosen, path, account)
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or path.stem,
        signals=signals,
        events=tuple(_events(loaded, chosen, origin_s, account)),
        start_time=_start_time(header, account),
        device=" + ".join(
            dict.fromkeys(info.name for info in infos if chosen.get(info.number) in signals)
        ),
        attributes=account.attributes(),
    )


def _start_time(header: dict[str, Any] | None, account: Account) -> str:
    """When the file was opened; its own header may be missing."""
    start = parse_time(_first((header or {}).get("info"), "datetime"))
    if start is None:
        return ""
    account.note("start_time is when the file was opened; samples start up to some seconds later")
    return start.isoformat().replace("+00:00", "Z")


def looks_like_xdf(path: Path, head: bytes) -> bool:
    """The first four bytes."""
    return head.startswith(_MAGIC)


@contextlib.contextmanager
def _said_by_pyxdf(account: Account) -> Iterator[None]:
    """What pyxdf warns of goes into the notes instead of onto the screen."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if _ITS_SEGMENTS not in record.getMessage():
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


def _infos(path: Path) -> list[StreamInfo]:
    """The streams of the file, with the number of their samples, all of whose chunks are whole."""
    pyxdf = _pyxdf()
    try:
        with _said_by_pyxdf(Account("")):
            found = pyxdf.resolve_streams(str(path))
    except Exception as error:
        # pyxdf raises whatever its parsing runs into; the file's fault, whichever it is.
        raise _damaged(path, error) from error
    infos = [
        StreamInfo(
            number=int(info["stream_id"]),
            name=str(info["name"] or f"stream {info['stream_id']}"),
            type=str(info["type"] or ""),
            source_id=str(info["source_id"] or ""),
            host=str(info["hostname"] or ""),
            channels=int(info["channel_count"]),
            form=str(info["channel_format"]),
            samples=0,
        )
        for info in found
    ]
    counts = _check_chunks(path, infos)
    return [dataclasses.replace(info, samples=counts.get(info.number, 0)) for info in infos]


def _check_chunks(path: Path, infos: Sequence[StreamInfo]) -> dict[int, int]:
    """How many samples the file has of each stream."""
    try:
        return check_chunks(
            path, {info.number: (info.channels, _BYTES[info.form]) for info in infos}
        )
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _load(
    path: Path, numbers: list[int], account: Account
) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    pyxdf = _pyxdf()
    try:
        with _said_by_pyxdf(account):
            # pyxdf would give samples out of order even times,
            # and spread the others over lost ones.
            streams, header = pyxdf.load_xdf(
                str(path), select_streams=numbers, dejitter_timestamps=False
            )
    except Exception as error:
        # As above.
        raise _damaged(path, error) from error
    return {int(found["info"]["stream_id"]): found for found in streams}, header


def _damaged(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path} starts like an XDF but cannot be read: {type(error).__name__}: {error}".rstrip(
            ": "
        ),
        fix="Copy it again; LabRecorder must have been stopped before",
    )


@dataclass(frozen=True)
class _Stream:
    """One stream's samples in the order in which they were taken;
    times_s is the recorder's clock.
    """

    info: Any
    times_s: NDArray[np.float64]
    values: NDArray[np.float32]

    @property
    def name(self) -> str:
        return _first(self.info, "name")

    @property
    def is_unix(self) -> bool:
        return bool(self.times_s[0] > _UNIX_S)


def _signals(
    infos: Sequence[StreamInfo],
    loaded: dict[int, dict[str, Any]],
    chosen: dict[int, str],
    path: Path,
    account: Account,
) -> tuple[dict[str, Signal], float]:
    """The signals, and the time on the recorder's clock that is their time 0."""
    there: dict[str, list[_Stream]] = {}
    for number, modality in chosen.items():
        found = loaded.get(number)
        if found is None or not len(found["time_stamps"]):
            name = _first(found["info"], "name") if found else f"number {number}"
            account.leave_out(f"stream {name}", "no samples")
        elif modality != MARKER:
            there.setdefault(modality, []).append(_stream(found, path, account))
    if not there:
        raise RecordingError(
            f"{path}: its streams of EEG, PPG and GSR are empty",
            expected="samples",
            fix="Record it again",
        )
    joined = {}
    for modality, parts in there.items():
        several = [info for info in infos if chosen.get(info.number) == modality]
        joined[modality] = _joined(
            parts, functools.partial(several_streams, several, modality, path), account
        )
    _check_clocks(joined, path)
    origin_s = min(float(stream.times_s[0]) for stream in joined.values())
    return {
        m: _signal(m, stream, origin_s, path, account) for m, stream in joined.items()
    }, origin_s


def _stream(found: dict[str, Any], path: Path, account: Account) -> _Stream:
    """Samples in order, at even times where they came at a rate; what was found wrong is said."""
    info, of = found["info"], f"stream {_first(found['info'], 'name')}"
    times_s = np.asarray(found["time_stamps"], dtype=np.float64)
    values: NDArray[np.float32] = np.asarray(found["time_series"], dtype=np.float32).reshape(
        len(times_s), -1
    )
    nominal = float(_first(info, "nominal_srate") or 0)
    times_s, glitches = mended_glitches(times_s, nominal)
    if glitches:
        account.note(
            f"{of}: {count_of(glitches, 'sample')} with a wrong time stamp, "
            f"placed between the next ones"
        )
    order = by_time(
        times_s, values, in_bursts=len(times_s) > 1 and float(np.median(np.diff(times_s))) == 0
    )
    if order is not None:
        order.say(f"{of}: ", "the time stamps", account)
        times_s, values = order.of(times_s), order.of(values)
    if nominal > 0 and not _may_drop_samples(info):
        times_s, lost = even_times(times_s, nominal)
        if lost and np.diff(times_s).max() <= _LONGEST_PAUSE_S:
            account.note(f"{of}: {count_of(lost, 'sample')} lost, by the time stamps")
    kept = growing(times_s)
    if not kept.all():
        account.leave_out(
            f"{count_of(int((~kept).sum()), 'sample')} of {of}", "their time runs back"
        )
    return _Stream(info, times_s[kept], values[kept])


def _may_drop_samples(info: Any) -> bool:
    """A camera's stream, say, whose stamps are right as they are."""
    desc = (info.get("desc") or [None])[0] or {}
    synchronization = (desc.get("synchronization") or [None])[0] or {}
    return _first(synchronization, "can_drop_samples").lower() == "true"


def _joined(
    parts: Sequence[_Stream], twins: Callable[[], RecordingError], account: Account
) -> _Stream:
    """Streams of one device whose program was started again, as one.

    Raises:
        RecordingError: they overlap, so that they are several; made by `twins`.
    """
    parts = sorted(parts, key=lambda part: float(part.times_s[0]))
    first = parts[0]
    for before, after in itertools.pairwise(parts):
        if after.times_s[0] <= before.times_s[-1]:
            raise twins()
        at_s = after.times_s[0] - first.times_s[0]
        account.note(
            f"stream {first.name}: started again at {at_s:.1f} s; "
            f"its parts are one signal with a gap"
        )
    if len(parts) == 1:
        return first
    return _Stream(
        first.info,
        np.concatenate([part.times_s for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def _check_clocks(streams: Mapping[str, _Stream], path: Path) -> None:
    """Refuse clocks that have nothing in common, and one that was set while it was recorded."""
    unix = [modality for modality, stream in streams.items() if stream.is_unix]
    others = [modality for modality in streams if modality not in unix]
    if unix and others:
        names = " and ".join(streams[modality].name for modality in unix)
        raise RecordingError(
            f"{path}: stream {names} is stamped in Unix time, the others in LSL's: "
            f"they have no clock in common",
            expected="all in one of the two",
            fix=f"Import them apart, with --only {','.join(unix)} and with --only "
            f"{','.join(others)}, and join the two "
            f"with --with FILE --offset SECONDS",
        )
    for modality, stream in streams.items():
        steps_s = np.diff(stream.times_s)
        if len(steps_s) and steps_s.max() > _LONGEST_PAUSE_S:
            at = int(steps_s.argmax())
            raise RecordingError(
                f"{path}: the clock of stream {stream.name} was set while it was recorded",
                expected=f"pauses of at most {_LONGEST_PAUSE_S / 3600:.0f} h",
                got=f"a step of {steps_s[at]:.0f} s after "
                f"{stream.times_s[at] - stream.times_s[0]:.1f} s",
                fix=f"Leave the stream out: --only {','.join(m for m in streams if m != modality)}"
                if len(streams) > 1
                else "Record it again",
            )


def _signal(
    modality: str, stream: _Stream, origin_s: float, path: Path, account: Account
) -> Signal:
    times_s = stream.times_s - origin_s
    columns, names, unit = _channels(modality, stream.info, stream.values.shape[1], path, account)
    rate_hz = _rate(stream.info, times_s, stream.name, path, account)
    start_s, timestamps_s = start_and_times(times_s, rate_hz)
    samples = Spool(len(columns))
    samples.append(stream.values[:, columns])
    parts = [place_and_reference(label) for label in names]
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


def _rate(
    info: Any, times_s: NDArray[np.float64], name: str, path: Path, account: Account
) -> float:
    """The nominal rate if samples do come at it, else the measured one."""
    nominal, measured = float(_first(info, "nominal_srate") or 0), usual_rate_hz(times_s)
    if not measured and nominal <= 0:
        raise RecordingError(f"{path}: stream {name} has one sample only", expected="many samples")
    if nominal > 0 and (not measured or abs(measured / nominal - 1) <= _RATE_TOLERANCE):
        return nominal
    wrong = f", not the {nominal:g} Hz of its header: {WRONG_FREQUENCIES}"
    account.note(
        f"stream {name}: {measured:.4g} Hz "
        f"measured{wrong if nominal > 0 else ', its header names no rate'}"
    )
    return measured


def _channels(
    modality: str, info: Any, count: int, path: Path, account: Account
) -> tuple[list[int], list[str], str]:
    """(columns, labels, unit) of the channels to take."""
    name = _first(info, "name")
    described = _described(info)
    if len(described) != count:
        if described:
            account.note(
                f"stream {name}: {len(described)} channels described, {count} there; "
                f"they are numbered{_NAME_THEM}"
            )
        described = [Label("")] * count
    columns = list(range(count))
    if modality == "eeg":
        columns = [
            i for i, label in enumerate(described) if label.kind.upper() in ("", "EEG")
        ] or columns
        if not any(label.name for label in described):
            account.note(
                f"stream {name}: its header names no channels, they are numbered{_NAME_THEM}"
            )
    elif count > 1:
        columns = [
            (pulse_light([label.name for label in described]) or 0) if modality == "ppg" else 0
        ]
        account.note(
            f"{modality}: channel {described[columns[0]].name or columns[0] + 1} taken of {count}"
        )
    for i in sorted(set(range(count)) - set(columns)):
        account.leave_out(
            f"channel {described[i].name or i + 1} of {name}", described[i].kind or "one is taken"
        )
    units = {described[i].unit for i in columns} - {""}
    if len(units) > 1:
        raise RecordingError(
            f"{path}: the channels of stream {name} have different units", got=sorted(units)
        )
    unit = "a.u." if WANTED_UNIT[modality] == "a.u." else next(iter(units), "")
    if not unit:
        account.note(f"stream {name}: no unit in its header, taken for {WANTED_UNIT[modality]}")
    unit_factor(unit or WANTED_UNIT[modality], WANTED_UNIT[modality], of=f"{path}, stream {name}")
    return (
        columns,
        [described[i].name or f"ch{i + 1}" for i in columns],
        unit or WANTED_UNIT[modality],
    )


def _described(info: Any) -> list[Label]:
    """What the header says of each channel."""
    desc = (info.get("desc") or [None])[0] or {}
    channels = (desc.get("channels") or [None])[0] or {}
    found = channels.get("channel") or []
    return [
        Label(_first(c, "label"), plain_unit(_first(c, "unit")), _first(c, "type"))
        for c in found
        if c
    ]


def _first(info: Any, key: str) -> str:
    """XDF headers are lists of one; one that says nothing is None."""
    values = (info or {}).get(key) or [None]
    return str(values[0] or "") if isinstance(values, list) else str(values)


def _events(
    loaded: dict[int, dict[str, Any]], chosen: dict[int, str], origin_s: float, account: Account
) -> Iterator[Event]:
    events = []
    for number, found in loaded.items():
        if chosen.get(number) != MARKER or not len(found["time_stamps"]):
            continue
        if (found["time_stamps"][0] > _UNIX_S) != (origin_s > _UNIX_S):
            account.leave_out(
                f"events of {_first(found['info'], 'name')}", "no clock in common with the samples"
            )
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
            "stream",
            "NAME",
            "Stream to take, by name or number; MODALITY=NAME says what one of another type is.",
            many=True,
        ),
    ),
    reads_only=True,
)
