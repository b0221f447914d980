"""Features of whole recordings: blocks for streaming specs, trials for the others."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any

import numpy as np
import pytest
import scipy.signal as ss

from emodict.errors import InputError, RecordingError, SpecError
from emodict.features import FeatureStream, extract_features, iter_features
from emodict.features.spec import FeatureSpec, load_spec
from emodict.features.statistics import WindowStatistics
from emodict.features.windows import FeatureWindows, concatenate
from emodict.recording.recording import FaceVideo, Recording, Signal, Trials

EMODICT, DMER, SAMPLE = (load_spec(i) for i in ("emodict-1", "dmer-2024", "dmer-sample"))
EEG_NAMES = EMODICT.modality("eeg").channel_names
UNITS = {"eeg": "uV", "ppg": "a.u.", "gsr": "uS"}
RATES = {"eeg": 300.0, "ppg": 100.0, "gsr": 4.0}
# The promise of docs/features.md. What 300 to 500 products in another order differ
# by is a hundredth of it.
ATOL = 1e-9


def recording(
    seconds: float = 20.0,
    *,
    trials: list[tuple[float, float]] | None = None,
    rates: dict[str, float] = RATES,
    face: bool = True,
    seed: int = 0,
    **replaced: Any,
) -> Recording:
    rng = np.random.default_rng(seed)
    signals = {}
    for name, rate in rates.items():
        count = round(seconds * rate)
        t = np.arange(count) / rate
        if name == "eeg":
            samples = rng.normal(scale=20, size=(count, 18))
        elif name == "ppg":
            samples = (np.sin(2 * np.pi * 1.2 * t) + 0.05 * rng.normal(size=count))[:, None]
        else:
            samples = (
                3
                + 0.1 * np.cumsum(rng.integers(-1, 2, size=(count, 1)), axis=0)
                + 0.001 * t[:, None]
            )
        names = EEG_NAMES if name == "eeg" else (name,)
        signals[name] = Signal(name, rate, UNITS[name], names, samples)
    video = None
    if face:
        frames = math.floor(seconds)
        video = FaceVideo(np.arange(frames) + 0.5, embedding=rng.normal(size=(frames, 32)))
    if trials is not None:
        start, stop = np.array(trials, dtype=float).T
        trials = Trials(start, stop, tuple(f"t{i}" for i in range(len(start))))
    return Recording("s", "p", {**signals, **replaced}, face=video, trials=trials)


@pytest.mark.parametrize(
    ("stop_s", "last"), [(19.0, 18), (20.0, 19), (20.0 + 5e-7, 19), (20.0 + 2e-6, 18), (21.5, 18.5)]
)
def test_a_trial_is_cut_by_whole_seconds_where_it_ends_after_the_recording(
    caplog: pytest.LogCaptureFixture, stop_s: float, last: float
) -> None:
    rows = extract_features(recording(20.0, trials=[(0.0, stop_s)]), DMER)
    assert rows.start_s[-1] == pytest.approx(last, abs=3e-6)
    assert ("after the recording" in caplog.text) is (stop_s > 20.000001)


def test_a_face_of_another_kind_of_features_is_refused_before_any_work() -> None:
    ours = recording()
    for kind, taken in (("vgg16-clean 1f2e", True), ("", True), ("hog", False)):
        face = dataclasses.replace(ours.face, features=kind)
        if taken:
            assert len(extract_features(dataclasses.replace(ours, face=face), EMODICT))
        else:
            with pytest.raises(
                RecordingError, match="the face features are not those of feature spec emodict-1"
            ):
                extract_features(dataclasses.replace(ours, face=face), EMODICT)


def test_the_one_channel_of_a_sensor_without_places_may_be_called_anything() -> None:
    named = recording()
    for name, called in (("gsr", "EDA"), ("ppg", "IR 940")):
        signal = dataclasses.replace(named.signals[name], channel_names=(called,))
        got = extract_features(recording(**{name: signal}), EMODICT)
        np.testing.assert_array_equal(
            got.features(name), extract_features(named, EMODICT).features(name)
        )
        two = dataclasses.replace(
            signal, channel_names=(called, "b"), samples=np.repeat(signal.samples, 2, axis=1)
        )
        with pytest.raises(RecordingError):
            extract_features(recording(**{name: two}), EMODICT)


@pytest.mark.parametrize(("period_s", "taken"), [(1 / 3.961, True), (1 / 3.959, False)])
@pytest.mark.parametrize("count", [2, 100])
def test_skin_conductance_must_come_at_99_percent_of_4_hz(
    period_s: float, taken: bool, count: int
) -> None:
    gsr = Signal(
        "gsr", 4.0, "uS", ("gsr",), np.ones((count, 1)), timestamps_s=np.arange(count) * period_s
    )
    if taken:
        extract_features(recording(gsr=gsr), EMODICT)
    else:
        with pytest.raises(RecordingError, match=r"too far apart.*at least 4 Hz, got 3\.959 Hz"):
            extract_features(recording(gsr=gsr), EMODICT)


def samples_of(rec: Recording, name: str) -> np.ndarray:
    return np.asarray(rec.signals[name].samples)


def test_a_streaming_spec_gives_what_the_stream_gives() -> None:
    rec = recording(150.4)
    stream = FeatureStream(EMODICT, {**RATES, "video": 1.0})
    parts = [stream.push(name, samples_of(rec, name)) for name in RATES]
    parts += [stream.push("video", np.asarray(rec.face.embedding)), stream.finish()]
    expected, got = concatenate(EMODICT, parts), extract_features(rec, EMODICT)
    np.testing.assert_array_equal(got.start_s, np.arange(4, 150))
    np.testing.assert_array_equal(got.valid, expected.valid)
    assert got.valid.all()
    np.testing.assert_allclose(got.tokens, expected.tokens, rtol=ATOL, atol=ATOL)


def test_blocks_hand_out_every_row_once() -> None:
    rec = recording(150.4)
    blocks = list(iter_features(rec, EMODICT))
    assert len(blocks) > 2
    np.testing.assert_array_equal(np.concatenate([b.start_s for b in blocks]), np.arange(4, 150))


def test_modalities_that_end_at_different_times_are_invalid_from_there_on() -> None:
    rec = recording(200.0, face=False)
    short = Signal("ppg", 100.0, "a.u.", ("ppg",), samples_of(rec, "ppg")[: 70 * 100 + 50])
    late = Signal(
        "gsr", 4.0, "uS", ("gsr",), samples_of(rec, "gsr")[: 50 * 4], start_offset_s=100.0
    )
    rec = Recording("s", "p", {**rec.signals, "ppg": short, "gsr": late})
    rows = extract_features(rec, EMODICT)
    np.testing.assert_array_equal(rows.start_s, np.arange(4, 200))
    valid = dict(zip(EMODICT.modality_names, rows.valid.T, strict=True))
    assert valid["eeg"].all()
    np.testing.assert_array_equal(rows.start_s[valid["ppg"]], np.arange(4, 70))
    np.testing.assert_array_equal(rows.start_s[valid["gsr"]], np.arange(104, 150))
    assert not valid["video"].any()


@pytest.mark.parametrize("spec", [EMODICT, DMER, SAMPLE])
def test_a_signal_without_samples_is_invalid_throughout(spec: FeatureSpec) -> None:
    empty = Signal("ppg", 64.0, "a.u.", ("ppg",), np.empty((0, 1)))
    rows = extract_features(recording(10.0, ppg=empty), spec)
    valid = dict(zip(spec.modality_names, rows.valid.T, strict=True))
    assert len(rows) == 10 - spec.first_row_s
    assert not valid["ppg"].any()
    assert valid["eeg"].all()


def test_the_released_recipe_is_followed_trial_by_trial() -> None:
    rec = recording(60.0, trials=[(3.0, 20.0), (25.5, 47.25)])
    rows = extract_features(rec, DMER)
    # Rows aligned at the end: the first four seconds (and the fraction) of a trial have none.
    expected_start = [*np.arange(7, 20), *np.arange(30.25, 47.25)]
    np.testing.assert_allclose(rows.start_s, expected_start, rtol=0, atol=1e-9)
    assert rows.valid.all()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(300) / 299)
    sos = ss.butter(3, [0.5, 8], btype="bandpass", fs=100, output="sos")
    statistics = {m: WindowStatistics(DMER.modality(m)) for m in ("ppg", "gsr")}
    row = 0
    for start, stop in ((3.0, 20.0), (25.5, 47.25)):
        filtered = ss.sosfiltfilt(
            sos, samples_of(rec, "ppg")[round(start * 100) : round(stop * 100), 0]
        )
        count = int(stop - start) - 4
        for k in range(count):
            back = count - 1 - k
            end = round((stop - back) * 300)
            eeg = samples_of(rec, "eeg")[end - 300 : end]
            power = np.abs(np.fft.fft(eeg * hann[:, None], 256, axis=0)) ** 2
            theta = power[math.floor(4 / 300 * 256) : math.floor(8 / 300 * 256) + 1].mean(axis=0)
            np.testing.assert_allclose(
                rows.features("eeg")[row, 1],
                0.5 * np.log(theta) + 0.5 * np.log(2 * np.pi * np.e),
                rtol=0,
                atol=ATOL,
            )
            pulse = filtered[len(filtered) - 100 * back - 500 : len(filtered) - 100 * back]
            expected = statistics["ppg"].values(pulse[None])[0]
            # Zero-phase filters differ by 5e-11 (test_filters.py),
            # which the spectrum adds up over 500 samples: 3e-8.
            np.testing.assert_allclose(rows.features("ppg")[row], expected, rtol=0, atol=1e-7)
            end = round(stop * 4) - 4 * back
            skin = samples_of(rec, "gsr")[end - 20 : end, 0]
            np.testing.assert_allclose(
                rows.features("gsr")[row],
                statistics["gsr"].values(skin[None])[0],
                rtol=0,
                atol=ATOL,
            )
            row += 1
    assert row == len(rows)


def test_gsr_is_judged_before_a_filter_takes_its_level_away() -> None:
    rows = extract_features(recording(30.0), SAMPLE)
    assert rows.valid[:, SAMPLE.modality_names.index("gsr")].all()


@pytest.mark.parametrize("spec", [DMER, SAMPLE])
def test_a_gap_in_a_trial_touches_the_windows_over_it_and_splits_the_filter(
    spec: FeatureSpec,
) -> None:
    clean = recording(60.0)
    ppg = samples_of(clean, "ppg").copy()
    ppg[3000:3010] = np.nan
    rows = extract_features(recording(60.0, ppg=Signal("ppg", 100.0, "a.u.", ("ppg",), ppg)), spec)
    column = spec.modality_names.index("ppg")
    window_s = spec.modality("ppg").window_s
    touched = (rows.start_s <= 30) & (rows.start_s + 1 > 30) | (
        (rows.start_s + 1 - window_s < 30.1) & (rows.start_s + 1 > 30)
    )
    np.testing.assert_array_equal(rows.valid[:, column], ~touched)
    others = [c for c in range(4) if c != column]
    np.testing.assert_array_equal(
        rows.valid[:, others], extract_features(clean, spec).valid[:, others]
    )


@pytest.mark.parametrize("value", [np.inf, 1e30])
def test_an_absurd_sample_in_a_trial_is_a_gap(value: float) -> None:
    ppg = samples_of(recording(40.0), "ppg").copy()
    missing, absurd = ppg.copy(), ppg.copy()
    missing[2000], absurd[2000] = np.nan, value
    one, other = (
        extract_features(recording(40.0, ppg=Signal("ppg", 100.0, "a.u.", ("ppg",), x)), DMER)
        for x in (missing, absurd)
    )
    # Once the absurd sample is NaN, these are the very same calls.
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_array_equal(one.valid, other.valid)


def test_a_stretch_too_short_for_the_filter_is_invalid() -> None:
    ppg = samples_of(recording(40.0), "ppg").copy()
    ppg[::15] = np.nan
    rows = extract_features(recording(40.0, ppg=Signal("ppg", 100.0, "a.u.", ("ppg",), ppg)), DMER)
    assert not rows.valid[:, DMER.modality_names.index("ppg")].any()


def test_a_trial_shorter_than_a_window_has_no_row_and_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = extract_features(
            recording(40.0, trials=[(3.0, 7.9), (10.0, 15.0), (20.0, 20.2)]), DMER
        )
    assert rows.start_s.tolist() == [14.0]
    assert caplog.text.count("too short for a row") == 2


def test_a_trial_that_ends_after_the_recording_keeps_the_rows_that_were_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = extract_features(recording(40.0, trials=[(30.0, 45.5), (50.0, 60.0)]), DMER)
        endless = extract_features(recording(40.0, trials=[(20.0, 1e12)]), DMER)
    assert rows.start_s.tolist() == [34.5, 35.5, 36.5, 37.5, 38.5]
    assert endless.start_s.tolist() == list(range(24, 40))
    assert "cut there" in caplog.text
    assert rows.valid.all()
    assert endless.valid.all()


def test_a_trial_that_starts_before_the_recording_is_cut_to_it() -> None:
    rows = extract_features(recording(40.0, trials=[(-7.0, 10.0)]), DMER)
    np.testing.assert_array_equal(rows.start_s, np.arange(4, 10))
    assert rows.valid.all()


def test_a_trial_without_an_end_is_refused() -> None:
    with pytest.raises(RecordingError, match="a trial has no end"):
        extract_features(recording(40.0, trials=[(3.0, np.inf)]), DMER)


@pytest.mark.parametrize(("start", "stop"), [(4.1, 64.1), (0.3, 10.3), (7.7, 22.7), (1.1, 9.1)])
def test_no_row_is_lost_to_the_rounding_of_times(start: float, stop: float) -> None:
    rows = extract_features(recording(70.0, trials=[(start, stop)]), DMER)
    assert len(rows) == round(stop - start) - 4
    assert rows.valid.all()


def test_a_recording_without_trials_is_one_trial_that_ends_with_it() -> None:
    rows = extract_features(recording(12.5), DMER)
    assert rows.start_s.tolist() == np.arange(4.5, 12.5).tolist()


def test_other_rates_are_resampled_and_said(caplog: pytest.LogCaptureFixture) -> None:
    rates = {"eeg": 256.0, "ppg": 64.0, "gsr": 4.0}
    for spec in (EMODICT, DMER):
        with caplog.at_level(logging.INFO):
            rows = extract_features(recording(20.0, rates=rates), spec)
        assert rows.start_s.tolist() == list(range(4, 20))
        assert rows.valid.all()
        assert "eeg: resampled from 256 to 300 Hz" in caplog.text
        assert "ppg: resampled from 64 to 100 Hz" in caplog.text
        assert "gsr: resampled" not in caplog.text
        caplog.clear()


def test_a_slow_sine_has_the_entropy_of_its_variance_at_any_rate() -> None:
    t = np.arange(256 * 30) / 256
    sine = 20 * np.sin(2 * np.pi * 11 * t)[:, None] * np.ones(18)
    rec = Recording("s", "p", {"eeg": Signal("eeg", 256.0, "uV", EEG_NAMES, sine)})
    sos = np.array(EMODICT.modality("eeg").filter.sos)
    gain = abs(ss.sosfreqz(sos, [11], fs=300)[1][0])
    got = extract_features(rec, EMODICT).features("eeg")[10:-2, 2]
    # Pass-band ripple of the resampler, 1e-3, of the amplitude,
    # and as much from what it lets through of images.
    np.testing.assert_allclose(
        got, 0.5 * math.log(2 * math.pi * math.e * (20 * gain) ** 2 / 2), rtol=0, atol=3e-3
    )


def test_units_are_converted_and_channels_matched_by_name() -> None:
    rec = recording(10.0)
    eeg = samples_of(rec, "eeg")
    order = np.random.default_rng(3).permutation(18)
    today = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    names = tuple(f"EEG {today.get(EEG_NAMES[i], EEG_NAMES[i])}-Pz" for i in order)
    shuffled = Signal("eeg", 300.0, "mV", names, eeg[:, order] / 1000)
    got = extract_features(recording(10.0, eeg=shuffled), EMODICT)
    # Divided and multiplied by 1000, a sample is rounded twice: 2e-16 of it.
    np.testing.assert_allclose(
        got.tokens, extract_features(rec, EMODICT).tokens, rtol=ATOL, atol=ATOL
    )


def test_the_shortest_recording_is_the_longest_window() -> None:
    with pytest.raises(
        RecordingError, match=r"too short.*at least 5 s.*got 4\.5 s.*Record at least 5 s"
    ):
        extract_features(recording(4.5), EMODICT)
    assert extract_features(recording(5.0), EMODICT).start_s.tolist() == [4.0]
    alone = EMODICT.with_modalities(["eeg"])
    assert extract_features(recording(2.0), alone).valid[:, 0].tolist() == [False, True]


def test_recordings_that_cannot_be_used_are_refused_before_any_work() -> None:
    rec = recording(10.0)
    eeg = samples_of(rec, "eeg")
    few = Signal("eeg", 300.0, "uV", EEG_NAMES[1:], eeg[:, 1:])
    volts = Signal("ppg", 100.0, "V", ("ppg",), samples_of(rec, "ppg"))
    slow = Signal("gsr", 1.0, "uS", ("gsr",), samples_of(rec, "gsr")[:10])
    faces = FaceVideo(np.arange(10.0), embedding=np.zeros((10, 16)))
    for broken, error, said in (
        (recording(10.0, eeg=few), RecordingError, "channel P3 missing"),
        (recording(10.0, ppg=volts), RecordingError, "unit cannot be used"),
        (recording(10.0, gsr=slow), InputError, "never resampled upwards"),
        (Recording("s", "p", rec.signals, face=faces), RecordingError, "wrong size"),
        (Recording("s", "p", {}), RecordingError, "nothing the model can use"),
    ):
        for spec in (EMODICT, DMER):
            with pytest.raises(error, match=said):
                extract_features(broken, spec)


@pytest.mark.parametrize("spec", [EMODICT, DMER])
def test_skin_conductance_on_a_slow_clock_is_refused_and_on_a_rough_one_is_taken_as_it_is(
    spec: FeatureSpec,
) -> None:
    rec = recording(30.0)
    gsr = samples_of(rec, "gsr")

    def timed(times_s: np.ndarray) -> FeatureWindows:
        signal = Signal("gsr", 4.0, "uS", ("gsr",), gsr[: len(times_s)], timestamps_s=times_s)
        return extract_features(recording(30.0, gsr=signal), spec)

    with pytest.raises(
        RecordingError, match=r"too far apart.*at least 4 Hz.*got 3\.9 Hz.*[Rr]ecord faster"
    ):
        timed(np.arange(100) / 3.9)
    # No tick is missed as long as the clock wanders by less than half a period.
    rough = np.arange(120) / 4.0 + np.random.default_rng(0).uniform(0.0, 0.1, size=120)
    even, got = extract_features(rec, spec).features("gsr"), timed(rough).features("gsr")
    # One made-up sample would move the statistics by its own size;
    # these are 20 numbers of size 3 in other blocks.
    np.testing.assert_allclose(got[: len(even) - 1], even[: len(got) - 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("spec_id", ["dmer-2024-lbptop", "edl-89"])
def test_ready_made_features_cannot_be_computed_and_that_is_said(spec_id: str) -> None:
    with pytest.raises(SpecError, match="only exist ready-made"):
        extract_features(recording(10.0), load_spec(spec_id))


def test_concatenating_nothing_and_empty_rows_gives_empty_features() -> None:
    rows = concatenate(DMER, [])
    assert len(rows) == 0
    assert rows.features("eeg").shape == (0, 5, 18)
    assert extract_features(recording(10.0, trials=[(1.0, 2.0)]), DMER).features("ppg").shape == (
        0,
        27,
    )
