"""What a recording says of the wearer without any model: events, time of day,
heart rate and skin conductance.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emodict.errors import InputError
from emodict.features.extract import extract_features
from emodict.features.quality import PULSE_HZ, pulse_share
from emodict.features.source import source_blocks
from emodict.features.spec import DEFAULT_SPEC_ID, FeatureSpec, load_spec
from emodict.predict.scoring import TABLE_ENDINGS, open_recording
from emodict.recording.modalities import modality_of
from emodict.recording.recording import Event, Recording

Float64Array = NDArray[np.float64]

# A heart beats seven times and more in it, and has hardly changed its pace.
PULSE_WINDOW_S = 10
# Above it the estimate lay within 5 a minute of the intervals between beats in all of
# 741 windows of an Empatica E4 (an hour of stress and rest) that have both; below,
# movement has peaks of its own.
CLEAN_PULSE = 0.8
# Between the bins of the window: a third of a beat a minute.
_FINER = 16
_BLOCK_WINDOWS = 256


@dataclass(frozen=True)
class Curve:
    """Something about the wearer, once a second.

    Attributes:
        how: where the numbers come from, for the reader.
        start_s: (seconds,) the start of each, from the recording's start.
        values: (seconds,) in `unit`, NaN where it is not known.
        quality: (seconds,) of the signal, from 0 to 1.
    """

    name: str
    unit: str
    how: str
    start_s: Float64Array
    values: Float64Array
    quality: Float64Array


@dataclass(frozen=True)
class Wearer:
    """What is known of the wearer in one recording.

    Attributes:
        start: the recording's start, where the recording says it.
        missing: for each curve that there is not, why.
    """

    start: datetime.datetime | None = None
    events: tuple[Event, ...] = ()
    curves: tuple[Curve, ...] = ()
    missing: tuple[str, ...] = ()


def read_wearer(path: str | os.PathLike[str]) -> Wearer | None:
    """Of a session.h5 or another maker's recording; None of a table of features,
    in which there is nothing of it.

    Raises:
        RecordingError: it cannot be read.
    """
    if Path(path).suffix in TABLE_ENDINGS:
        return None
    with open_recording(Path(path), again=True) as recording:
        return wearer_of(recording)


def wearer_of(recording: Recording) -> Wearer:
    """What a recording says of its wearer."""
    spec, curves, missing = load_spec(DEFAULT_SPEC_ID), [], []
    for modality, curve in (("ppg", heart_rate), ("gsr", skin_conductance)):
        if modality not in recording.signals:
            continue
        try:
            curves.append(curve(recording, spec))
        except InputError as error:
            missing.append(str(error))
    return Wearer(_start_of(recording), recording.events, tuple(curves), tuple(missing))


def heart_rate(recording: Recording, spec: FeatureSpec) -> Curve:
    """An estimate: the frequency of the highest peak of the pulse's spectrum in the
    10 s around each second.

    The spectrum, of samples without their mean under a Hann taper, is the one that the quality of a
    PPG window is judged by (`features.quality.pulse_share`), here of 10 s and at finer frequencies.
    Where that quality is below CLEAN_PULSE, the peak may be another's, and no rate is given.

    Raises:
        InputError: the samples cannot be used: too slow, in another unit,
            or several channels of which none is ppg.
    """
    rate_hz = recording.signals["ppg"].rate_hz
    lowest_hz = modality_of("ppg").lowest_rate_hz
    if rate_hz < lowest_hz:
        raise InputError(
            "ppg: too slow to show a pulse",
            expected=f"at least {lowest_hz:g} Hz",
            got=f"{rate_hz:g} Hz",
        )
    blocks = list(source_blocks(recording, spec.modality("ppg")))
    samples = np.concatenate([np.empty((0, 1)), *blocks])[:, 0]
    seconds = np.arange(int(len(samples) / rate_hz))
    length = round(PULSE_WINDOW_S * rate_hz)
    firsts = np.round((seconds + 0.5) * rate_hz - length / 2).astype(int)
    rates, quality = np.full(len(seconds), np.nan), np.zeros(len(seconds))
    inside = np.flatnonzero((firsts >= 0) & (firsts + length <= len(samples)))
    for start in range(0, len(inside), _BLOCK_WINDOWS):
        rows = inside[start : start + _BLOCK_WINDOWS]
        windows = sliding_window_view(samples, length)[firsts[rows]]
        whole = np.isfinite(windows).all(axis=1)
        rows, windows = rows[whole], windows[whole]
        quality[rows] = pulse_share(windows[:, :, None], rate_hz)
        rates[rows] = np.where(
            quality[rows] >= CLEAN_PULSE, 60 * pulse_hz(windows, rate_hz), np.nan
        )
    how = (
        f"An estimate from the PPG: the strongest frequency between {60 * PULSE_HZ[0]:.0f} and "
        f"{60 * PULSE_HZ[1]:.0f} "
        f"a minute in the {PULSE_WINDOW_S} s around each second, "
        f"only where {CLEAN_PULSE:.0%} of the power lies at it "
        "and at its first overtone. Not a medical measurement."
    )
    return Curve("Heart rate", "beats a minute", how, seconds.astype(np.float64), rates, quality)


def pulse_hz(windows: Float64Array, rate_hz: float) -> Float64Array:
    """(windows, samples) -> (windows,)
    the frequency of the highest peak of each between the limits of a pulse.
    """
    length = windows.shape[1]
    tapered = np.hanning(length) * (windows - windows.mean(axis=1, keepdims=True))
    hz = np.fft.rfftfreq(_FINER * length, 1 / rate_hz)
    pulse = np.flatnonzero((hz >= PULSE_HZ[0]) & (hz <= PULSE_HZ[1]))
    power = np.abs(np.fft.rfft(tapered, _FINER * length)[:, pulse[0] : pulse[-1] + 1])
    peaks: Float64Array = hz[pulse[0] + power.argmax(axis=1)]
    return peaks


def skin_conductance(recording: Recording, spec: FeatureSpec) -> Curve:
    """The mean of each second in uS, where the window of the features that ends with it is valid.

    Raises:
        InputError: the samples cannot be used: another unit, or too slow.
    """
    gsr = spec.modality("gsr")
    rate_hz = recording.signals["gsr"].rate_hz
    samples = np.concatenate([np.empty((0, 1)), *source_blocks(recording, gsr)])[:, 0]
    windows = extract_features(recording, spec.with_modalities(["gsr"]))
    rows = windows.start_s.astype(int)
    bounds = (
        np.round(np.arange(int(rows[-1]) + 2) * rate_hz).astype(int)
        if len(rows)
        else np.zeros(1, dtype=int)
    )
    means = np.array([_mean(samples[first:stop]) for first, stop in pairwise(bounds.tolist())])
    quality = np.zeros(len(means))
    quality[rows] = windows.quality[:, 0]
    values = np.full(len(means), np.nan)
    usable = rows[windows.valid[:, 0]]
    values[usable] = means[usable]
    seconds = np.arange(len(means)).astype(np.float64)
    return Curve("Skin conductance", "uS", "The mean of each second.", seconds, values, quality)


def _mean(values: Float64Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _start_of(recording: Recording) -> datetime.datetime | None:
    """The recording's start with its zone; None where it says none, or one that cannot be read."""
    try:
        # Python 3.10 reads no Z.
        return datetime.datetime.fromisoformat(recording.start_time.replace("Z", "+00:00"))
    except ValueError:
        return None
