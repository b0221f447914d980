"""Can the samples be what they are called? Units, levels,
channels and a pulse that no body gives are doubted.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.features.quality import RAIL_SHARE_OF_RANGE, SATURATED_SHARE, pulse_share
from emodict.recording.modalities import Modality, modality_of
from emodict.recording.recording import Recording, Signal
from emodict.recording.units import UNIT_FACTORS, unit_factor

Float64Array = NDArray[np.float64]

# A look at an EEG is short, for it has many channels; skin conductance and a pulse need longer.
_LOOK_S, _LOOK_AT_PLACES_S = 5.0, 2.0
# So many looks of a recording, or the last ones of a live run; from so few on they are believed.
_LOOKS, _ENOUGH, _ENOUGH_PULSES = 30, 3, 6
# What is true of this share of the looks is said.
_MOSTLY = 0.75
# Channels this close, as a share of what they carry, are one:
# neighbours of a scalp differ by 10 % and more.
_ONE_SIGNAL = 0.03
# Blood shoots in and runs off slowly: the slope of a pulse has a skewness of 1.5 to 2 at
# a finger, and of 0.5 in the clean seconds of a wrist (Empatica E4). Turned upside down
# it is as much below 0.
_CLEAN_PULSE = 0.8
_UPSIDE_DOWN = -0.3
_ABSURD = 1e100
# So few samples lie at their extremes by themselves.
_FEW = 50


@dataclasses.dataclass(frozen=True)
class Look:
    """What a few seconds of a signal are like.

    Attributes:
        level, spread: medians over the channels: of the median, and of the deviation from the mean
        of a second. still: no channel moves at all. clipped: most samples of a channel lie at its
        extremes. alike: (channels, channels) True where two channels that move are one signal.
        slope_skewness: of a clean pulse, NaN elsewhere.
    """

    level: float
    spread: float
    still: bool
    clipped: bool
    alike: NDArray[np.bool_]
    slope_skewness: float


class Watch:
    """Looks at a signal as its samples come, and says what cannot be.

    Args:
        modality: by name; nothing is known of one that is not in the table, and nothing doubted.
        unit: of the samples.
        names: of the channels.
        inverted: it was turned upside down on request.
    """

    def __init__(
        self,
        modality: str,
        rate_hz: float,
        unit: str,
        names: Sequence[str],
        *,
        inverted: bool = False,
    ) -> None:
        self._modality, self._rate_hz, self._unit = modality_of(modality), rate_hz, unit
        self._names, self._inverted = tuple(names), inverted
        self.look_samples = max(
            2, round(rate_hz * (_LOOK_AT_PLACES_S if self._modality.placed else _LOOK_S))
        )
        self._waiting: list[NDArray[np.floating]] = []
        self._looks: deque[Look] = deque(maxlen=_LOOKS)

    def push(self, samples: NDArray[np.floating]) -> None:
        """(samples, channels) as they were recorded, NaN where there is none."""
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) >= self.look_samples:
            stretch = np.concatenate(self._waiting)[-self.look_samples :].astype(np.float64)
            self._waiting.clear()
            look = _look(self._modality, stretch, self._rate_hz)
            if look is not None:
                self._looks.append(look)
                self.__dict__.pop("doubts", None)

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """A sentence for each thing that cannot be;
        worked out when it is asked for, once a look.
        """
        return tuple(self._doubts()) if len(self._looks) >= _ENOUGH else ()

    def _doubts(self) -> Iterator[str]:
        name, looks = self._modality.name, self._looks
        if _mostly(look.still for look in looks):
            yield f"{name}: does not move at all: is the sensor worn, and the right column taken?"
            return
        yield from self._doubts_of_size()
        if _mostly(look.clipped for look in looks):
            yield f"{name}: is clipped: most of its samples lie at its extremes"
        alike = np.mean([look.alike for look in looks], axis=0) >= _MOSTLY
        if alike.any():
            which = self._group(alike)
            why = "a bridge of gel, or a column taken twice"
            yield f"{name}: {which} carry one and the same signal: {why}"
        slopes = [look.slope_skewness for look in looks if np.isfinite(look.slope_skewness)]
        falling = len(slopes) >= _ENOUGH_PULSES and _mostly(slope < 0 for slope in slopes)
        if falling and np.median(slopes) < _UPSIDE_DOWN:
            fix = (
                f"it was turned on request: leave --invert {name} out"
                if self._inverted
                else f"--invert {name} turns it"
            )
            yield f"{name}: looks upside down: its pulse falls faster than it rises; {fix}"

    def _doubts_of_size(self) -> Iterator[str]:
        for what, limits in (
            ("level", self._modality.usual_level),
            ("spread", self._modality.usual_spread),
        ):
            if limits is None:
                continue
            size = float(np.median([getattr(look, what) for look in self._looks]))
            try:
                usual = np.array(limits) / unit_factor(
                    self._unit, self._modality.unit, of=self._modality.name
                )
            except RecordingError:
                return
            if not usual[0] <= abs(size) <= usual[1]:
                yield (
                    f"{self._modality.name}: its {what} is {float(f'{size:.2g}'):g} "
                    f"{self._unit}, and usual are "
                    f"{usual[0]:g} to {usual[1]:g}{self._other_units(abs(size), limits)}"
                )

    def _other_units(self, size: float, limits: tuple[float, float]) -> str:
        """`; it looks like V`, where another unit would make it usual: the likeliest first."""
        would_be = {
            unit: size * factor for unit, factor in UNIT_FACTORS[self._modality.unit].items()
        }
        if self._modality.unit == "uS" and size > 0:
            would_be |= {"a resistance in kOhm": 1e3 / size, "a resistance in Ohm": 1e6 / size}
        middle = math.sqrt(limits[0] * limits[1])
        fitting = [unit for unit, value in would_be.items() if limits[0] <= value <= limits[1]]
        # Nobody records in billionths of a unit.
        fitting.sort(
            key=lambda unit: (unit.startswith("n"), abs(math.log(would_be[unit] / middle)))
        )
        return f"; it looks like {' or '.join(fitting)}" if fitting else ""

    def _group(self, alike: NDArray[np.bool_]) -> str:
        if alike.sum() == alike.size - len(alike):
            return f"all {len(alike)} channels"
        first = int(np.flatnonzero(alike.any(axis=1))[0])
        return " and ".join(self._names[i] for i in (first, *np.flatnonzero(alike[first])))


def doubts_of(recording: Recording, modalities: Sequence[str] | None = None) -> tuple[str, ...]:
    """A sentence for each thing in the signals of a recording that cannot be."""
    signals = [
        signal
        for name, signal in recording.signals.items()
        if modalities is None or name in modalities
    ]
    inverted = recording.attributes.get("inverted", "").split(", ")
    return tuple(
        doubt for s in signals for doubt in doubts_of_signal(s, inverted=s.modality in inverted)
    )


def doubts_of_signal(signal: Signal, *, inverted: bool = False) -> tuple[str, ...]:
    """The same of one signal, from up to 30 looks at it, spread over its length."""
    watch = Watch(
        signal.modality, signal.rate_hz, signal.unit, signal.channel_names, inverted=inverted
    )
    size = watch.look_samples
    whole = signal.sample_count // size
    for stretch in np.unique(np.linspace(0, whole - 1, min(whole, _LOOKS)).astype(int)):
        watch.push(signal.read(int(stretch) * size, (int(stretch) + 1) * size))
    return watch.doubts


def _look(modality: Modality, stretch: Float64Array, rate_hz: float) -> Look | None:
    """Of (samples, channels); None where too few of them are there."""
    # NaN compares false; the squares of what is left are finite.
    # A channel that is hardly there hides no other.
    usable = np.abs(stretch) < _ABSURD
    there = usable.mean(axis=0) > 0.5
    samples = stretch[usable[:, there].all(axis=1)][:, there]
    second = max(2, round(rate_hz))
    seconds = len(samples) // second
    if not seconds or not there.any():
        return None
    by_second = samples[: seconds * second].reshape(seconds, second, -1)
    moves = (by_second - by_second.mean(axis=1, keepdims=True)).reshape(seconds * second, -1)
    power = moves.T @ moves / len(moves)
    spread = np.sqrt(np.diag(power))
    level = float(np.median(samples))
    apart = np.add.outer(np.diag(power), np.diag(power)) - 2 * power
    # Rounding leaves of equal channels some 1e-16 of their power,
    # far below the share that is asked for.
    alike = np.zeros((len(there), len(there)), dtype=np.bool_)
    alike[np.ix_(there, there)] = apart <= _ONE_SIGNAL**2 * np.minimum.outer(
        np.diag(power), np.diag(power)
    )
    still = bool((samples == samples[0]).all())
    alike[np.ix_(there, there)] &= np.outer(spread > 0, spread > 0)
    np.fill_diagonal(alike, False)
    # Of a stretch with gaps the pulse is not looked for;
    # below the lowest rate there is none to be seen.
    whole = len(samples) == len(stretch) and rate_hz >= modality.lowest_rate_hz
    slope = (
        _slope_skewness(samples, rate_hz) if whole and modality.score == "pulse" else float("nan")
    )
    # At the spec's rate such windows are invalid; resampling rounds the ends off that show it.
    clipped = not modality.coarse and not still and bool(_clipped(samples).any())
    return Look(level, float(np.median(spread)), still, clipped, alike, slope)


def _clipped(samples: Float64Array) -> NDArray[np.bool_]:
    """(samples, channels) -> (channels,) where most samples lie at an end, if there are enough."""
    low, high = samples.min(axis=0), samples.max(axis=0)
    margin = RAIL_SHARE_OF_RANGE * (high - low)
    at_end = ((samples <= low + margin) | (samples >= high - margin)).mean(axis=0)
    clipped: NDArray[np.bool_] = (at_end > SATURATED_SHARE) & (len(samples) >= _FEW)
    return clipped


def _slope_skewness(samples: Float64Array, rate_hz: float) -> float:
    """The third standardised moment of the first difference of a clean pulse,
    smoothed over 80 ms; NaN of others.
    """
    if not pulse_share(samples[None], rate_hz)[0] >= _CLEAN_PULSE:
        return float("nan")
    width = max(1, round(0.08 * rate_hz))
    slope = np.diff(np.convolve(samples[:, 0], np.full(width, 1 / width), mode="valid"))
    centred = slope - slope.mean()
    power = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / power**1.5 if power > 0 else float("nan")


def _mostly(each: Iterator[bool]) -> bool:
    return bool(np.mean(list(each)) >= _MOSTLY)
