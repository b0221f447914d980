"""Why a sensor is never valid is said: each reason for what it is, none for a sensor that works."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from emodict.features import extract_features
from emodict.features.spec import load_spec
from emodict.features.unusable import why_unusable
from emodict.recording import Recording, Signal

SECONDS = 20
SPEC = load_spec("emodict-1")
Change = Callable[[np.ndarray], np.ndarray]


def recording() -> Recording:
    rng = np.random.default_rng(0)
    eeg = rng.normal(scale=12, size=(SECONDS * 300, 18))
    gsr = 4 + rng.normal(scale=0.1, size=(SECONDS * 4, 1))
    signals = {
        "eeg": Signal("eeg", 300.0, "uV", SPEC.channel_names, eeg),
        "gsr": Signal("gsr", 4.0, "uS", ("gsr",), gsr),
        "ppg": Signal("ppg", 100.0, "a.u.", ("ppg",), rng.normal(size=(SECONDS * 100, 1))),
    }
    return Recording("s", "p", signals)


def changed(modality: str, change: Change, **fields: object) -> Recording:
    whole = recording()
    signal = whole.signals[modality]
    signal = dataclasses.replace(signal, samples=change(np.asarray(signal.samples)), **fields)
    return dataclasses.replace(whole, signals={**whole.signals, modality: signal})


def gap_every_second(samples: np.ndarray) -> np.ndarray:
    holes = samples.copy()
    holes[::100] = np.nan
    return holes


def steps(samples: np.ndarray) -> np.ndarray:
    """Two levels, each held for half a second, with one sample in between."""
    clipped = np.where(np.arange(len(samples)) % 300 < 150, -50.0, 50.0)[:, None]
    return np.repeat(np.where(np.arange(len(samples))[:, None] % 150 == 0, 0.0, clipped), 18, 1)


def test_a_sensor_that_can_be_used_has_no_reason_and_one_that_is_not_there_has_its_own() -> None:
    assert why_unusable(recording(), SPEC) == {"video": "not in this recording"}


@pytest.mark.parametrize(
    ("modality", "change", "fields", "why"),
    [
        ("gsr", lambda x: np.full_like(x, np.nan), {}, "samples are missing"),
        ("eeg", gap_every_second, {}, "samples are missing"),
        # An amplifier's offset of 300 mV; the spec's range is 100 mV to either side.
        ("eeg", lambda x: x + 3e5, {}, "out of range: usable is -100000 to 100000 uV"),
        ("gsr", lambda x: 1e6 * x, {}, "out of range: usable is 0.001 to 100 uS"),
        # The unit is the signal's, the range the model's: 4 V are 4e6 uV.
        ("eeg", lambda x: x + 4, {"unit": "V"}, "out of range: usable is -100000 to 100000 uV"),
        ("ppg", np.zeros_like, {}, "it does not move"),
        ("eeg", steps, {}, "clipped: most samples lie at its extremes"),
    ],
)
def test_each_reason_is_said_for_what_it_is(
    modality: str, change: Change, fields: dict[str, object], why: str
) -> None:
    assert why_unusable(changed(modality, change, **fields), SPEC)[modality] == why


def test_a_channel_that_stands_still_for_most_of_every_second_is_the_reason_for_all() -> None:
    def held(samples: np.ndarray) -> np.ndarray:
        sticks = samples.copy()
        for start in range(0, len(sticks), 300):
            sticks[start + 50 : start + 250, 3] = 7.0
        return sticks

    why = why_unusable(changed("eeg", held), SPEC)["eeg"]
    assert why == "it stands still for half of the time"


def test_windows_that_only_missing_time_spoils_are_gaps() -> None:
    """Every second a quarter is not there at all, rather than marked as missing."""
    whole = recording()
    signal = whole.signals["eeg"]
    kept = np.arange(SECONDS * 300) % 300 < 225
    cut = dataclasses.replace(
        signal,
        samples=np.asarray(signal.samples)[kept],
        timestamps_s=np.arange(SECONDS * 300)[kept] / 300.0,
    )
    broken = dataclasses.replace(whole, signals={**whole.signals, "eeg": cut})
    assert why_unusable(broken, SPEC)["eeg"] == "gaps in every window"


def cut(modality: str, first_s: float, last_s: float) -> Recording:
    """The recording with one sensor from `first_s` to `last_s` alone."""
    whole = recording()
    signal = whole.signals[modality]
    kept = slice(round(first_s * signal.rate_hz), round(last_s * signal.rate_hz))
    samples = np.asarray(signal.samples)[kept]
    part = dataclasses.replace(signal, samples=samples, start_offset_s=first_s)
    return dataclasses.replace(whole, signals={**whole.signals, modality: part})


@pytest.mark.parametrize(
    ("modality", "first_s", "last_s", "why"),
    [
        # The longest window, of skin conductance, has 5 s: no row ends before.
        ("eeg", 0, 2.3, "it ends at 2.3 s, before the first row does, at 5 s"),
        ("eeg", 0, 0.02, "too short: 0.02 s, and a row takes 1 s from a whole second on"),
        ("gsr", 10.5, 15.75, "too short: 5.25 s, and a row takes 5 s from a whole second on"),
        ("ppg", 0, 4.5, "too short: 4.5 s, and a row takes 5 s from a whole second on"),
    ],
)
def test_a_sensor_that_has_too_little_for_a_row_says_how_little(
    modality: str, first_s: float, last_s: float, why: str
) -> None:
    broken = cut(modality, first_s, last_s)
    assert why_unusable(broken, SPEC)[modality] == why
    never = ~extract_features(broken, SPEC).valid.any(axis=0)
    assert never[SPEC.modality_names.index(modality)]


def test_windows_that_resampling_spoils_are_gaps() -> None:
    """At 250 Hz each second has a second that is whole; the filter reaches into the gap beside."""
    rng = np.random.default_rng(0)
    samples = rng.normal(scale=12, size=(SECONDS * 250, 18))
    samples[np.arange(len(samples)) % 500 >= 250] = np.nan
    whole = recording()
    eeg = Signal("eeg", 250.0, "uV", SPEC.channel_names, samples)
    holed = dataclasses.replace(whole, signals={**whole.signals, "eeg": eeg})
    assert not extract_features(holed, SPEC).valid[:, SPEC.modality_names.index("eeg")].any()
    assert why_unusable(holed, SPEC)["eeg"] == "samples are missing"


def test_one_usable_window_is_enough_to_have_no_reason() -> None:
    def late(samples: np.ndarray) -> np.ndarray:
        off = samples + 3e5
        off[-301:] -= 3e5
        return off

    assert "eeg" not in why_unusable(changed("eeg", late), SPEC)


def test_a_signal_that_was_left_out_keeps_what_was_wrong_with_it() -> None:
    whole = recording()
    signals = {name: s for name, s in whole.signals.items() if name != "gsr"}
    left = dataclasses.replace(whole, signals=signals, unusable={"gsr": "gsr: no rate"})
    assert why_unusable(left, SPEC)["gsr"] == "gsr: no rate"
