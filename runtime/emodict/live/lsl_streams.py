"""Which stream of the Lab Streaming Layer is which sensor, and which of its channels are wanted."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError, StreamError
from emodict.recording.lights import pulse_light
from emodict.recording.modalities import MODALITIES, modality_of
from emodict.recording.recording import canonical_channel
from emodict.recording.units import UNIT_FACTORS, is_known_unit, plain_unit, unit_factor

logger = logging.getLogger(__name__)

_COUNTERS = frozenset(
    (
        "ADCSEQUENCE",
        "SEQ",
        "NSEQ",
        "SEQUENCE",
        "SEQUENCENUMBER",
        "COUNTER",
        "SAMPLECOUNTER",
        "PACKETCOUNTER",
        "CNT",
    )
)
_NO_SIGNAL = frozenset(
    (
        "TRIGGER",
        "TRG",
        "MARKER",
        "EVENT",
        "TIME",
        "TIMESTAMP",
        "TIMEOFFSET",
        "ADCSTATUS",
        "STATUS",
        "BATTERY",
    )
)


class Wanted(Protocol):
    """What of a feature spec's modality is needed to find its stream;
    no channel names: all there are.
    """

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def channel_names(self) -> tuple[str, ...]: ...


class Announced(Protocol):
    """What a stream says of itself before it is opened."""

    name: str
    kind: str
    source_id: str
    hostname: str
    created_at_s: float
    rate_hz: float
    numeric: bool


@dataclass(frozen=True)
class Channel:
    """One column of a stream, as its description has it."""

    label: str
    unit: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Picked:
    """Where the wanted samples lie in a stream.

    Attributes:
        columns: of the wanted channels, in the wanted order.
        names: by which a model finds them.
        factors: (columns,) from the stream's units to the wanted one.
        counter: column of a sample counter, None where there is none.
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    factors: NDArray[np.float64]
    counter: int | None


def identity(stream: Announced) -> tuple[str, str, str]:
    """What stays the same when a device comes back."""
    return stream.name, stream.source_id, stream.hostname


def choose(
    streams: Iterable[Announced],
    modality: str,
    *,
    name: str | None,
    before: tuple[str, str, str] | None = None,
) -> Announced | None:
    """The stream of a modality: the one so named, the one that was there before,
    or else the only one of its type.

    Raises:
        StreamError: there are several, or its samples come at no fixed rate.
    """
    newest: dict[tuple[str, str, str], Announced] = {}
    for stream in sorted(
        _candidates(streams, modality, name), key=lambda stream: stream.created_at_s
    ):
        newest[identity(stream)] = stream
    if before in newest:
        return newest[before]
    if len(newest) > 1:
        listed = "; ".join(f"'{s.name}' (type {s.kind}, on {s.hostname})" for s in newest.values())
        raise StreamError(
            f"{modality}: several LSL streams could be it",
            expected="one",
            got=listed,
            fix=_how_to_choose(modality, list(newest.values())),
        )
    chosen = next(iter(newest.values()), None)
    if chosen is not None and not chosen.rate_hz > 0:
        raise StreamError(
            f"{modality}: the LSL stream '{chosen.name}' has no sampling rate",
            expected="samples at a fixed rate",
            got="an irregular stream",
            fix="Set the rate in the program that sends it, "
            "or choose another stream: --stream NAME",
        )
    return chosen


def _candidates(streams: Iterable[Announced], modality: str, name: str | None) -> list[Announced]:
    numeric = [stream for stream in streams if stream.numeric]
    types = modality_of(modality).types
    by_type = [s for s in numeric if s.kind.strip().upper() in types]
    if name is not None:
        # All streams of a Muse are called the same; but the type of one that is named may be any.
        named = [[s for s in some if asked_of(s, name) is not None] for some in (by_type, numeric)]
        return named[0] or named[1]
    known = {kind for other in MODALITIES.values() for kind in other.types}
    # A stream of another known type is not taken for its name:
    # "EEG lab GSR" of type GSR is not an EEG.
    unknown = [s for s in numeric if s.kind.strip().upper() not in known]
    return by_type or [s for s in unknown if _words(s.name) & set(types)]


def looked_for(modality: str, name: str | None) -> str:
    """Which stream would be it, as the end of a sentence."""
    return f"called {name}" if name else f"of type {' or '.join(modality_of(modality).types)}"


def describe_streams(streams: Iterable[Announced]) -> str:
    """All that are there."""
    return (
        ", ".join(sorted({f"'{stream.name}' (type {stream.kind})" for stream in streams}))
        or "none at all"
    )


def _how_to_choose(modality: str, streams: Sequence[Announced]) -> str:
    if (
        len({stream.name for stream in streams}) == 1
        and len({stream.hostname for stream in streams}) > 1
    ):
        return f"Choose one by the machine it comes from: --stream {modality}=NAME@HOST"
    return f"Choose one by its name or source id: --stream {modality}=NAME"


@dataclass(frozen=True)
class Asked:
    """What `--stream` says of a stream: its name or source id,
    and perhaps its machine and which channel.
    """

    name: str
    host: str = ""
    channel: str = ""


def asked_of(stream: Announced, text: str) -> Asked | None:
    """What of NAME, NAME@HOST, NAME:CHANNEL and NAME@HOST:CHANNEL this stream is called;
    names may hold both signs.
    """
    for asked in _readings(text):
        named = asked.name.casefold() in (stream.name.casefold(), stream.source_id.casefold())
        if named and asked.host.casefold() in ("", stream.hostname.casefold()):
            return asked
    return None


def _readings(text: str) -> Iterator[Asked]:
    before, _, channel = text.rpartition(":")
    for rest, chosen in ((text, ""), (before, channel)):
        name, _, host = rest.rpartition("@")
        yield Asked(rest, channel=chosen)
        if name:
            yield Asked(name, host, chosen)


def pick(
    wanted: Wanted,
    stream_name: str,
    channels: Sequence[Channel],
    *,
    channel: str = "",
    places: Sequence[str] = (),
) -> Picked:
    """The wanted channels of a stream.

    Args:
        channel: which one, by its label or number from 1, of a modality that has one.
        places: of the electrodes, in order, for a stream that does not name its channels.

    Raises:
        StreamError: one is missing, or which one it is cannot be said.
    """
    counter = next((i for i, channel in enumerate(channels) if _is_counter(channel)), None)
    signals = [
        i for i, channel in enumerate(channels) if i != counter and not _plain(channel) & _NO_SIGNAL
    ]
    if modality_of(wanted.name).placed:
        channels = _placed(wanted, stream_name, channels, signals, places) if places else channels
        columns = _named(wanted, stream_name, channels, signals)
        names = wanted.channel_names or tuple(_name(channels, i) for i in columns)
    else:
        columns = (_only(wanted, stream_name, channels, signals, channel),)
        names = wanted.channel_names or (wanted.name,)
    factors = [_factor(wanted, stream_name, channels[i].unit) for i in columns]
    return Picked(tuple(columns), tuple(names), np.asarray(factors), counter)


def _placed(
    wanted: Wanted,
    stream_name: str,
    channels: Sequence[Channel],
    signals: Sequence[int],
    places: Sequence[str],
) -> Sequence[Channel]:
    """The channels under the names that were given for them."""
    labels = [channels[i].label for i in signals]
    if not all(
        re.fullmatch(r"(ch(annel)?|eeg)?[ _-]?\d*", label, re.IGNORECASE) for label in labels
    ):
        known = {canonical_channel(label) for label in labels}
        if all(canonical_channel(place) in known for place in places):
            return channels
        what = f"{wanted.name}: the LSL stream '{stream_name}' names its channels itself"
        raise StreamError(what, expected=" ".join(labels), got=f"--channels {','.join(places)}")
    if len(places) != len(signals):
        what = (
            f"{wanted.name}: --channels names the channels of the LSL stream "
            f"'{stream_name}', in its order"
        )
        raise StreamError(what, expected=f"{len(signals)} names", got=len(places))
    named = dict(zip(signals, places, strict=True))
    return [replace(one, label=named.get(i, one.label)) for i, one in enumerate(channels)]


def _named(
    wanted: Wanted, stream_name: str, channels: Sequence[Channel], signals: Sequence[int]
) -> tuple[int, ...]:
    asked = {canonical_channel(name) for name in wanted.channel_names}
    by_name: dict[str, int] = {}
    for i in signals:
        # What no model asks for may be called as it likes,
        # but a recording of all of them distinguishes them.
        name = canonical_channel(_name(channels, i))
        if (not asked or name in asked) and by_name.setdefault(name, i) != i:
            raise StreamError(
                f"{wanted.name}: the LSL stream '{stream_name}' has two channels called "
                f"{_name(channels, i)}",
                expected="each place on the head once",
                got=" ".join(channels[j].label or "(no name)" for j in signals),
                fix=f"Name them apart in the program that sends them, or choose another: "
                f"--stream {wanted.name}=NAME",
            )
    if not asked:
        return tuple(signals)
    missing = [name for name in wanted.channel_names if canonical_channel(name) not in by_name]
    if missing:
        raise StreamError(
            f"{wanted.name}: the LSL stream '{stream_name}' lacks "
            + f"{'channels' if len(missing) > 1 else 'channel'} {', '.join(missing)}",
            expected=f"{len(wanted.channel_names)} channels {' '.join(wanted.channel_names)}",
            got=" ".join(channels[i].label or "(no name)" for i in signals) or "none",
            fix="Say where its electrodes are (--channels Fp1,Fp2,... in its order, "
            "if it names none), "
            f"choose another stream (--stream {wanted.name}=NAME), "
            f"or use a model trained on these channels",
        )
    return tuple(by_name[canonical_channel(name)] for name in wanted.channel_names)


def _name(channels: Sequence[Channel], i: int) -> str:
    """Of a column; a stream that names none is recorded, and found again, by its numbers."""
    return channels[i].label or f"ch{i + 1}"


def _only(
    wanted: Wanted,
    stream_name: str,
    channels: Sequence[Channel],
    signals: Sequence[int],
    channel: str,
) -> int:
    if channel:
        return _chosen(wanted, stream_name, channels, channel)
    asked = {name.upper() for name in wanted.channel_names}
    types = set(modality_of(wanted.name).types)
    for hits in (
        [i for i in signals if channels[i].label.strip().upper() in asked],
        list(signals),
        [i for i in signals if _words(channels[i].label) & types],
        [i for i in signals if _words(channels[i].kind) & types],
    ):
        if len(hits) == 1:
            return hits[0]
    light = pulse_light([channels[i].label for i in signals]) if wanted.name == "ppg" else None
    if light is not None:
        lights = [_name(channels, i) for i in signals]
        _say_once(
            f"ppg: of {', '.join(lights)} of '{stream_name}' {lights[light]} is taken: "
            f"infrared light"
        )
        return signals[light]
    raise StreamError(
        f"{wanted.name}: which channel of the LSL stream '{stream_name}' it is cannot be said",
        expected=f"one channel, or one called {' or '.join(sorted(types))}",
        got=" ".join(channels[i].label or "(no name)" for i in signals) or "none",
        fix=f"Choose one: --stream {wanted.name}=NAME:CHANNEL",
    )


def _chosen(wanted: Wanted, stream_name: str, channels: Sequence[Channel], channel: str) -> int:
    names = {str(i + 1): i for i in range(len(channels))} | {
        one.label.casefold(): i for i, one in enumerate(channels)
    }
    if channel.casefold() not in names:
        raise StreamError(
            f"{wanted.name}: the LSL stream '{stream_name}' has no channel {channel}",
            expected=" ".join(one.label for one in channels).strip()
            or f"a number from 1 to {len(channels)}",
            fix=f"Correct --stream {wanted.name}=NAME:CHANNEL",
        )
    return names[channel.casefold()]


def _factor(wanted: Wanted, stream_name: str, unit: str) -> float:
    if wanted.unit == "a.u.":
        return 1.0
    try:
        return unit_factor(plain_unit(unit), wanted.unit, of=wanted.name)
    except RecordingError as error:
        if is_known_unit(unit):
            raise StreamError(
                f"{wanted.name}: the LSL stream '{stream_name}' is in a unit that cannot be used",
                expected=" or ".join(UNIT_FACTORS[wanted.unit]),
                got=f"'{unit}'",
                fix=f"Have the program that sends it convert its samples to {wanted.unit}",
            ) from error
        given = f"gives its unit as '{unit}'" if unit else "gives no unit"
        _say_once(
            f"{wanted.name}: the LSL stream '{stream_name}' {given}; "
            f"its samples are taken to be in {wanted.unit}"
        )
        return 1.0


_said: set[str] = set()


def _say_once(sentence: str) -> None:
    if sentence not in _said:
        _said.add(sentence)
        logger.warning("%s.", sentence)


def channels_of(xml: str, count: int) -> list[Channel]:
    """The channels of a stream's description, one per column; without names where it gives none."""
    try:
        listed = ElementTree.fromstring(xml).findall("./desc/channels/channel")
    except ElementTree.ParseError:
        listed = []
    if len(listed) != count:
        return [Channel("")] * count
    return [
        Channel(*((one.findtext(tag) or "").strip() for tag in ("label", "unit", "type")))
        for one in listed
    ]


def _is_counter(channel: Channel) -> bool:
    return bool(_plain(channel) & _COUNTERS)


def _plain(channel: Channel) -> set[str]:
    """Label and type without anything but letters and digits: `ADC_Sequence` -> ADCSEQUENCE."""
    return {re.sub(r"[^A-Z0-9]", "", text.upper()) for text in (channel.label, channel.kind)}


def _words(text: str) -> set[str]:
    """`BVP0`, `my-PPG` and `RespiBAN GSR_1` hold BVP, PPG and GSR."""
    return set(re.findall(r"[A-Z]+", text.upper()))
