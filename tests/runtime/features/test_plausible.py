"""Doubts: what no body gives is said, and what bodies give is not.
The signals here are SIMULATED.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emodict.features.plausible import Watch, doubts_of
from emodict.features.quality import pulse_bins
from emodict.recording import Recording, Signal, open_session
from emodict.recording.electrodes import ELECTRODES
from emodict_desk.importers import e4

SECONDS = 90
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(18)


def pulse(rate_hz: float, seconds: int = SECONDS) -> np.ndarray:
    """72 beats a minute that rise within 0.15 s and fall within the rest."""
    phase = np.arange(round(seconds * rate_hz)) / rate_hz * 1.2 % 1
    return np.where(phase < 0.18, phase / 0.18, (1 - phase) / 0.82)[:, None]


def person(rng: np.random.Generator) -> Recording:
    eeg = rng.normal(scale=12, size=(SECONDS * 300, 8)) + rng.normal(scale=40, size=8)
    gsr = 4 + np.cumsum(rng.normal(scale=0.005, size=(SECONDS * 4, 1)), axis=0)
    ppg = 50 + 9 * pulse(100) + 0.2 * rng.normal(size=(SECONDS * 100, 1))
    signals = {
        "eeg": Signal("eeg", 300.0, "uV", ELECTRODES[:8], eeg),
        "gsr": Signal("gsr", 4.0, "uS", ("gsr",), gsr),
        "ppg": Signal("ppg", 100.0, "a.u.", ("ppg",), ppg),
    }
    return Recording("s", "p", signals)


def changed(recording: Recording, modality: str, change: Change, **fields: object) -> Recording:
    signal = recording.signals[modality]
    samples = change(np.asarray(signal.samples[:], dtype=np.float64))
    signal = dataclasses.replace(signal, samples=samples, **fields)
    return dataclasses.replace(recording, signals={**recording.signals, modality: signal})


@pytest.mark.parametrize("rate_hz", [64.0, 100.0, 256.0])
def test_a_pulse_or_a_channel_that_is_clipped_is_said_at_every_rate(
    rng: np.random.Generator, rate_hz: float
) -> None:
    """At other rates than the spec's, resampling rounds off what shows it in a window."""
    beat = np.clip(10 * (pulse(rate_hz) - 0.5), -1, 1)
    (doubt,) = doubts_of(changed(person(rng), "ppg", lambda x: 50 + 9 * beat, rate_hz=rate_hz))
    assert doubt == "ppg: is clipped: most of its samples lie at its extremes"

    def rail(samples: np.ndarray) -> np.ndarray:
        clipped = samples.copy()
        clipped[:, 3] = 40 + 60 * np.sign(rng.normal(size=len(samples)))
        return clipped

    doubts = doubts_of(changed(person(rng), "eeg", rail, rate_hz=rate_hz))
    assert "eeg: is clipped: most of its samples lie at its extremes" in doubts


def test_a_recording_of_a_body_is_not_doubted(rng: np.random.Generator) -> None:
    assert doubts_of(person(rng)) == ()


@pytest.mark.parametrize(
    ("modality", "change", "said"),
    [
        ("eeg", lambda x: 1e-6 * x, ["spread is 1.2e-05 uV", "it looks like V"]),
        ("eeg", lambda x: 1e-3 * x, ["spread is 0.012 uV", "it looks like mV"]),
        ("eeg", lambda x: 1e3 * x, ["usual are 0.5 to 1000; it looks like nV"]),
        (
            "eeg",
            lambda x: np.repeat(x[:, :1], 8, axis=1),
            ["all 8 channels carry one and the same signal"],
        ),
        ("eeg", lambda x: np.concatenate([x[:, 3:4], x[:, 1:]], axis=1), ["Nz and Fp2 carry"]),
        ("gsr", lambda x: 1e-6 * x, ["level is 4", "e-06 uS", "it looks like S"]),
        ("gsr", lambda x: 1e-3 * x, ["it looks like mS"]),
        ("gsr", lambda x: 1e3 / x, ["a resistance in kOhm"]),
        ("gsr", lambda x: 1e6 / x, ["a resistance in Ohm"]),
        ("ppg", lambda x: -x, ["upside down", "--invert ppg"]),
        ("ppg", lambda x: 0 * x, ["does not move at all"]),
    ],
)
def test_what_no_body_gives_is_said(
    rng: np.random.Generator, modality: str, change: Change, said: list[str]
) -> None:
    (doubt,) = doubts_of(changed(person(rng), modality, change))
    assert doubt.startswith(f"{modality}: ")
    assert all(part in doubt for part in said), doubt


def test_a_pulse_that_was_turned_wrongly_is_to_be_turned_back(rng: np.random.Generator) -> None:
    (doubt,) = doubts_of(person(rng).inverted(["ppg"]))
    assert doubt.endswith("it was turned on request: leave --invert ppg out")


def test_a_unit_that_is_written_is_reckoned_with(rng: np.random.Generator) -> None:
    assert doubts_of(changed(person(rng), "eeg", lambda x: 1e-6 * x, unit="V")) == ()
    (doubt,) = doubts_of(changed(person(rng), "eeg", lambda x: x, unit="V"))
    assert "is 12 V, and usual are 5e-07 to 0.001" in doubt
    assert "looks like uV" in doubt


def test_only_the_modalities_that_are_asked_for_are_looked_at(rng: np.random.Generator) -> None:
    assert doubts_of(changed(person(rng), "ppg", lambda x: -x), ["eeg", "gsr"]) == ()


@pytest.mark.parametrize("share", [0.95, 1.05])
def test_channels_are_one_signal_up_to_three_per_cent(
    rng: np.random.Generator, share: float
) -> None:
    def bridged(x: np.ndarray) -> np.ndarray:
        # Independent noise of 3 % of the signal: its power adds to that of the copy.
        x[:, 1] = x[:, 0] + share * 0.03 * 12 * rng.normal(size=len(x))
        return x

    # 600 samples a look: the estimate of the ratio is off by 1 / sqrt(2 x 600)
    # = 2.9 % of itself, its median by less.
    doubts = doubts_of(changed(person(rng), "eeg", bridged))
    assert len(doubts) == (share < 1)


def test_a_pulse_that_is_buried_is_not_judged(rng: np.random.Generator) -> None:
    assert doubts_of(changed(person(rng), "ppg", lambda x: -x + 9 * rng.normal(size=x.shape))) == ()


def test_a_pulse_alike_both_ways_is_not_judged(rng: np.random.Generator) -> None:
    beat = np.sin(2 * np.pi * 1.2 * np.arange(SECONDS * 100) / 100)[:, None]
    assert doubts_of(changed(person(rng), "ppg", lambda x: beat)) == ()


def test_gaps_are_passed_over(rng: np.random.Generator) -> None:
    def holes(x: np.ndarray) -> np.ndarray:
        x[len(x) // 4 : len(x) // 2] = np.nan
        return x

    assert doubts_of(changed(person(rng), "eeg", holes)) == ()
    (doubt,) = doubts_of(changed(person(rng), "eeg", lambda x: 1e-6 * holes(x)))
    assert "it looks like V" in doubt


def test_a_channel_that_is_missing_hides_no_other(rng: np.random.Generator) -> None:
    def without_third(x: np.ndarray) -> np.ndarray:
        x = 1e-6 * np.concatenate([x[:, 3:4], x[:, 1:]], axis=1)
        x[:, 2] = np.nan
        return x

    size, alike = doubts_of(changed(person(rng), "eeg", without_third))
    assert "it looks like V" in size
    assert "Nz and Fp2 carry" in alike


def test_absurd_samples_are_passed_over_as_gaps_are(rng: np.random.Generator) -> None:
    def absurd(x: np.ndarray) -> np.ndarray:
        x[100::5000] = 1e300
        x[200::5000] = np.inf
        return x

    assert doubts_of(changed(person(rng), "eeg", absurd)) == ()


def test_two_looks_are_too_few_to_doubt_and_three_enough() -> None:
    watch = Watch("gsr", 4.0, "uS", ["gsr"])
    off = 1e-6 * np.linspace(3, 4, 20)[:, None]  # 5 s, one look
    watch.push(off)
    watch.push(off)
    assert watch.doubts == ()
    watch.push(off)
    assert len(watch.doubts) == 1


def test_a_live_run_forgets_what_was_wrong_long_ago() -> None:
    watch = Watch("gsr", 4.0, "uS", ["gsr"])
    for factor, looks in ((1e-6, 30), (1.0, 30)):
        for _ in range(looks):
            watch.push(factor * np.linspace(3, 4, 20)[:, None])
    assert watch.doubts == ()


def test_samples_come_in_any_pieces(rng: np.random.Generator) -> None:
    samples = 1e-3 * rng.normal(scale=12, size=(3000, 2))
    watch = Watch("eeg", 300.0, "uV", ["Fz", "Cz"])
    for piece in np.array_split(samples, 71):
        watch.push(piece)
    (doubt,) = watch.doubts
    assert "it looks like mV" in doubt


def test_a_pulse_is_not_looked_for_where_the_rate_is_too_low_to_show_one() -> None:
    watch = Watch("ppg", 1.0, "", ["ppg"])
    for _ in range(9):
        watch.push(np.array([0.0, 1, 0, 2, 0])[:, None])
    assert watch.doubts == ()


def test_pieces_of_any_length_and_gaps_keep_no_tables_of_their_own(
    rng: np.random.Generator,
) -> None:
    watch = Watch("ppg", 100.0, "a.u.", ["ppg"])
    beats = pulse(100, 600)
    tables = pulse_bins.cache_info().currsize
    for start in range(0, 50_000, 611):
        piece = beats[start : start + 500 + start % 97].copy()
        piece[rng.integers(len(piece))] = np.nan if start % 2 else 0.5
        watch.push(piece)
    assert pulse_bins.cache_info().currsize <= tables + 1


def test_a_modality_that_is_not_in_the_table_is_not_doubted() -> None:
    watch = Watch("resp", 10.0, "", ["resp"])
    for _ in range(9):
        watch.push(np.linspace(0, 1e9, 50)[:, None])
    assert watch.doubts == ()


def test_a_real_wrist_is_not_doubted_and_turned_upside_down_it_is(shared_data: Path) -> None:
    recording = e4.read_e4(shared_data / "e4_stress_predict_S01")
    assert doubts_of(recording) == ()
    (doubt,) = doubts_of(changed(recording, "ppg", lambda x: -x))
    assert "upside down" in doubt


def test_a_session_file_is_looked_at_as_well(noise_session: Path) -> None:
    with open_session(noise_session) as recording:
        assert doubts_of(recording, ["eeg", "gsr"]) == ()
