from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal as scipy_signal

from emodict.errors import InputError, OutputError
from emodict.recording.recording import Recording
from emodict.recording.session import open_session
from emodict_train.simulate import simulate_people, simulate_person
from emodict_train.simulate.course import AROUSAL, SimulationPlan, draw_course, draw_scores
from emodict_train.simulate.periphery import pulse_wave
from emodict_train.simulate.scalp import HEADSET as EEG_CHANNELS

FloatArray = NDArray[np.float64]

# Of the data set's paper (Yang et al., Scientific Data 11:847, 2024),
# in the order of its label rows.
PANAS = (
    "Inspired",
    "Alert",
    "Excited",
    "Enthusiastic",
    "Determined",
    "Afraid",
    "Upset",
    "Nervous",
    "Scared",
    "Distressed",
)
SHORT = SimulationPlan(trials=2, trial_s=6, rest_s=2)


def _person(seed: int, plan: SimulationPlan = SHORT) -> Recording:
    return simulate_person(np.random.default_rng(seed), subject_id="sub-01", plan=plan)


def _samples(recording: Recording, modality: str) -> FloatArray:
    return np.asarray(recording.signals[modality].samples[:], dtype=np.float64)


def _scores(recording: Recording) -> NDArray[np.int64]:
    return np.array([[int(word) for word in e.description.split()[1:]] for e in recording.events])


def _distribution(recording: Recording) -> FloatArray:
    assert recording.trials is not None
    assert recording.trials.distribution is not None
    return np.asarray(recording.trials.distribution)


def _trial_samples(recording: Recording, modality: str) -> list[FloatArray]:
    """Each trial without its first five seconds, in which emotions build up."""
    assert recording.trials is not None
    rate_hz, samples = recording.signals[modality].rate_hz, _samples(recording, modality)
    times = zip(recording.trials.start_s, recording.trials.stop_s, strict=True)
    return [samples[round((a + 5) * rate_hz) : round(b * rate_hz)] for a, b in times]


def _same(one: Recording, other: Recording) -> bool:
    assert one.face is not None
    assert other.face is not None
    pairs: list[tuple[Any, Any]] = [(_samples(one, m), _samples(other, m)) for m in one.signals]
    pairs += [
        (one.face.embedding, other.face.embedding),
        (_distribution(one), _distribution(other)),
    ]
    return all(np.array_equal(a[:], b[:], equal_nan=True) for a, b in pairs)


@pytest.fixture(scope="module")
def people() -> list[Recording]:
    return [_person(seed, SimulationPlan()) for seed in range(6)]


def test_the_same_seed_gives_the_same_person_and_another_seed_another() -> None:
    assert _same(_person(3), _person(3))
    assert not _same(_person(3), _person(4))


def test_a_person_is_the_same_however_many_people_are_asked_for(tmp_path: Path) -> None:
    one = simulate_people(tmp_path / "one", people=1, plan=SHORT, seed=5)
    seen: list[Path] = []
    two = simulate_people(tmp_path / "two", people=2, plan=SHORT, seed=5, on_person=seen.append)
    assert [path.name for path in two] == ["sub-01.h5", "sub-02.h5"]
    assert seen == two
    with (
        open_session(one[0]) as alone,
        open_session(two[0]) as first,
        open_session(two[1]) as second,
    ):
        assert _same(alone, first)
        assert not _same(first, second)


def test_a_written_person_reads_back_as_it_was_simulated(tmp_path: Path) -> None:
    path = simulate_people(tmp_path, people=1, plan=SHORT, seed=5)[0]
    (sequence,) = np.random.SeedSequence(5).spawn(1)
    person = simulate_person(np.random.default_rng(sequence), subject_id="sub-01", plan=SHORT)
    with open_session(path) as read:
        assert _same(read, person)
        assert read.attributes["simulated"] == "true"
        assert (read.subject_id, read.device) == ("sub-01", "simulated")
        assert read.software.startswith("emodict simulate ")
        assert read.events == person.events
        assert read.trials is not None
        assert read.trials.label_names == PANAS


def test_signals_have_the_names_rates_and_units_of_the_real_devices() -> None:
    signals = _person(1).signals
    assert {m: (s.rate_hz, s.unit, s.samples.shape[1]) for m, s in signals.items()} == {
        "eeg": (300.0, "uV", 18),
        "ppg": (100.0, "a.u.", 1),
        "gsr": (4.0, "uS", 1),
    }
    names = "P3 C3 F3 Fz F4 C4 P4 Cz Fp1 Fp2 T3 T5 O1 O2 F7 F8 T6 T4"
    assert " ".join(signals["eeg"].channel_names) == names
    assert signals["eeg"].reference == "Pz"
    assert len({signal.stop_s for signal in signals.values()}) == 1


def test_the_face_is_one_row_of_32_a_second() -> None:
    face = _person(1, SimulationPlan(trials=2, trial_s=6, rest_s=2, faults_per_min=0)).face
    assert face is not None
    assert face.embedding is not None
    assert face.embedding.shape == (len(face.timestamps_s), 32)
    assert np.floor(face.timestamps_s).tolist() == list(range(len(face.timestamps_s)))


def test_labels_are_whole_panas_scores_divided_by_their_sum(people: list[Recording]) -> None:
    for person in people:
        scores, distribution = _scores(person), _distribution(person)
        assert scores.min() >= 1
        assert scores.max() <= 5
        # A division and a product, and for the sum ten shares:
        # each is rounded by 2^-53 of at most 1.
        np.testing.assert_allclose(
            distribution * scores.sum(axis=1)[:, None], scores, rtol=2 * 2**-53
        )
        np.testing.assert_allclose(distribution.sum(axis=1), 1, rtol=10 * 2**-53)


def test_emotions_come_in_two_clusters_and_mixed_states_occur() -> None:
    scores = draw_scores(np.random.default_rng(0), 3000)
    correlation = np.corrcoef(scores.T)
    within = np.concatenate([correlation[:5, :5], correlation[5:, 5:]])
    assert within.min() > 0.5
    assert correlation[:5, 5:].max() < 0
    both = (scores[:, :5].mean(axis=1) > 2) & (scores[:, 5:].mean(axis=1) > 2)
    assert 0.2 < both.mean() < 0.5


def test_trials_are_apart_and_not_all_on_whole_seconds(people: list[Recording]) -> None:
    trials = people[0].trials
    assert trials is not None
    np.testing.assert_allclose(trials.stop_s - trials.start_s, 24.0)
    rest_s = trials.start_s[1:] - trials.stop_s[:-1]
    assert 4.0 <= rest_s.min() <= rest_s.max() <= 6.0
    assert np.any(trials.start_s % 1 > 0.01)


def test_every_sensor_drops_out_for_seconds_and_an_eeg_channel_saturates(
    people: list[Recording],
) -> None:
    for person in people:
        for modality, signal in person.signals.items():
            missing = np.asarray(np.isnan(_samples(person, modality)).all(axis=1))
            assert signal.rate_hz < missing.sum() < 0.3 * missing.size
        assert np.nanmax(np.abs(_samples(person, "eeg"))) == 5000.0
        assert person.face is not None
        assert len(person.face.timestamps_s) < person.signals["gsr"].stop_s


def test_a_plan_without_faults_misses_nothing() -> None:
    person = _person(1, SimulationPlan(trials=2, trial_s=6, faults_per_min=0))
    assert all(np.isfinite(_samples(person, modality)).all() for modality in person.signals)
    assert np.abs(_samples(person, "eeg")).max() < 1000


def test_the_eeg_shows_mains_blinks_and_more_power_at_low_frequencies() -> None:
    eeg = _samples(_person(1, SimulationPlan(trials=2, faults_per_min=0)), "eeg")
    frequency_hz, power = scipy_signal.welch(eeg, 300, nperseg=300, axis=0)
    at = {int(f): power[i].mean() for i, f in enumerate(frequency_hz)}
    assert at[50] > 5 * at[47]
    assert at[3] > 3 * at[30]
    front, back = EEG_CHANNELS.index("Fp1"), EEG_CHANNELS.index("O1")
    slow = scipy_signal.sosfilt(
        scipy_signal.butter(2, (1, 6), "bandpass", fs=300, output="sos"), eeg, axis=0
    )
    assert slow[:, front].max() > 2 * slow[:, back].max()


def test_alpha_power_falls_with_arousal_and_shifts_with_valence(people: list[Recording]) -> None:
    posterior = [EEG_CHANNELS.index(name) for name in ("O1", "O2")]
    left, right = EEG_CHANNELS.index("F3"), EEG_CHANNELS.index("F4")
    back: list[FloatArray] = []
    tilt: list[FloatArray] = []
    for person in people:
        alpha = np.array([_log_alpha(trial) for trial in _trial_samples(person, "eeg")])
        back.append(_centred(alpha[:, posterior].mean(axis=1)))
        tilt.append(_centred(alpha[:, right] - alpha[:, left]))
    # 60 trials: chance correlations stay below 0.33 (p = 0.01).
    assert np.corrcoef(np.concatenate(back), _arousal(people))[0, 1] < -0.6
    assert np.corrcoef(np.concatenate(tilt), _valence(people))[0, 1] > 0.6


def test_other_electrodes_look_at_the_same_head() -> None:
    plan = SimulationPlan(trials=6, trial_s=12, faults_per_min=0)
    far, headset = (
        _person(2, dataclasses.replace(plan, eeg_channels=("TP9", "F5", "Fpz"))),
        _person(2, plan),
    )
    assert _same_but_for_eeg(far, headset)
    _, at_f5, _ = _beta(far).T
    others = _beta(headset)
    between = others[:, [EEG_CHANNELS.index(name) for name in ("F3", "F7")]].mean(axis=1)
    opposite = others[:, EEG_CHANNELS.index("T6")]
    # F5 lies between F3 and F7, and sees what they see.
    assert np.corrcoef(at_f5, between)[0, 1] > 0.9
    assert np.corrcoef(at_f5, between)[0, 1] > np.corrcoef(at_f5, opposite)[0, 1] + 0.2


def _same_but_for_eeg(one: Recording, other: Recording) -> bool:
    return all(
        np.array_equal(_samples(one, m), _samples(other, m), equal_nan=True) for m in ("ppg", "gsr")
    )


def _beta(recording: Recording) -> FloatArray:
    """(samples, channels) from 14 to 31 Hz, without drift, blinks and mains."""
    sos = scipy_signal.butter(4, (14, 31), "bandpass", fs=300, output="sos")
    return np.asarray(scipy_signal.sosfiltfilt(sos, _samples(recording, "eeg"), axis=0))


def test_the_reference_cannot_be_a_channel() -> None:
    with pytest.raises(InputError, match="Pz cannot be simulated"):
        SimulationPlan(eeg_channels=("Fz", "pz"))


def test_skin_conductance_rises_with_arousal(people: list[Recording]) -> None:
    level = [[np.nanmean(trial) for trial in _trial_samples(person, "gsr")] for person in people]
    assert (
        np.corrcoef(np.concatenate([_centred(np.array(x)) for x in level]), _arousal(people))[0, 1]
        > 0.6
    )


def test_the_pulse_shrinks_with_arousal(people: list[Recording]) -> None:
    # The spread between quartiles, since motion spoils the extremes.
    height = [
        [
            np.log(np.subtract(*np.nanpercentile(trial, (75, 25))))
            for trial in _trial_samples(person, "ppg")
        ]
        for person in people
    ]
    assert (
        np.corrcoef(np.concatenate([_centred(np.array(x)) for x in height]), _arousal(people))[0, 1]
        < -0.6
    )


@pytest.mark.parametrize("bpm", [55.0, 75.0, 110.0])
def test_the_pulse_beats_at_the_heart_rate_asked_for(bpm: float) -> None:
    wave = pulse_wave(np.random.default_rng(0), np.full(60 * 100, bpm))
    # Over a minute one beat may fall outside at either end.
    assert len(_peaks(wave)) == pytest.approx(bpm, abs=1.5)


def test_the_pulse_follows_a_heart_rate_that_changes() -> None:
    asked: FloatArray = np.linspace(60, 100, 120 * 100, dtype=np.float64)
    peaks = _peaks(pulse_wave(np.random.default_rng(0), asked))
    rate = 60 * 100 / np.diff(peaks)
    # Single beats jitter by some 4 %, and a sample of 10 ms is 1.5 % of a beat;
    # nine beats average that out.
    smooth = np.convolve(rate, np.full(9, 1 / 9), "valid")
    np.testing.assert_allclose(smooth, asked[peaks[5:-4]], rtol=0.03)


def test_gsr_is_quantised_as_by_the_wrist_sensor_so_that_neighbours_tie(
    people: list[Recording],
) -> None:
    for person in people:
        gsr = _samples(person, "gsr")[:, 0]
        gsr = gsr[np.isfinite(gsr)]
        # float32 keeps 24 bits: 2 uS is stored to 1e-7, a ten thousandth of a step.
        np.testing.assert_allclose(gsr / 0.00128, np.rint(gsr / 0.00128), atol=1e-3)
        assert 0.01 < np.mean(np.diff(gsr) == 0) < 0.5
        assert gsr.min() > 0.1
        assert gsr.max() < 20


def test_gsr_has_no_steps_where_trials_begin_and_end() -> None:
    person = _person(2, SimulationPlan(faults_per_min=0))
    assert person.trials is not None
    change = np.abs(np.diff(_samples(person, "gsr")[:, 0]))
    edges = np.rint(np.concatenate([person.trials.start_s, person.trials.stop_s]) * 4).astype(int)
    inside = np.delete(change, edges - 1)
    assert change[edges - 1].max() <= inside.max()
    assert np.median(change[edges - 1]) < 3 * np.median(inside)


def test_an_emotion_is_absent_at_rest_and_has_built_up_at_the_end_of_its_trial() -> None:
    course = draw_course(np.random.default_rng(0), SimulationPlan(trials=4, rest_s=12))
    starts = np.rint(course.trials.start_s * 10).astype(int)
    stops = np.rint(course.trials.stop_s * 10).astype(int)
    # Five time constants of rest leave less than a hundredth.
    assert course.intensity[starts[1:] - 1].max() < 0.02
    # It wavers by some 20 %: three deviations.
    asked = (course.scores - 1) / 4
    np.testing.assert_allclose(
        course.intensity[stops - 1][asked > 0], asked[asked > 0], rtol=np.exp(0.6) - 1
    )


def test_what_is_learnt_on_one_seed_holds_for_the_people_of_another(
    people: list[Recording],
) -> None:
    strangers = [
        _person(seed, SimulationPlan()) for seed in np.random.default_rng(99).integers(100, 1000, 2)
    ]
    x, y = _faces(people)
    new_x, new_y = _faces(strangers)
    log_y = np.log(y)
    weights = np.linalg.solve(
        x.T @ x + 0.2 * len(x) * np.eye(x.shape[1]), x.T @ (log_y - log_y.mean(axis=0))
    )
    guess = np.exp(new_x @ weights + log_y.mean(axis=0))
    guess /= guess.sum(axis=1, keepdims=True)
    assert _kl(new_y, guess) < 0.75 * _kl(new_y, np.broadcast_to(y.mean(axis=0), new_y.shape))


def test_the_shortest_plan_still_gives_a_recording(tmp_path: Path) -> None:
    plan = SimulationPlan(trials=1, trial_s=1, rest_s=0)
    path = simulate_people(tmp_path, people=1, plan=plan, seed=0)[0]
    with open_session(path) as recording:
        assert recording.signals["eeg"].stop_s == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"trials": 0},
        {"trial_s": 0.5},
        {"trial_s": float("nan")},
        {"rest_s": -1},
        {"faults_per_min": 99},
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"Expected .*, got"):
        SimulationPlan(**wrong)


@pytest.mark.parametrize(("people", "seed"), [(0, 1), (1, -1)])
def test_numbers_of_people_and_seeds_that_cannot_be_are_refused(
    tmp_path: Path, people: int, seed: int
) -> None:
    with pytest.raises(InputError, match=r"Expected .*, got"):
        simulate_people(tmp_path, people=people, plan=SHORT, seed=seed)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people").write_text("")
    with pytest.raises(OutputError, match="Cannot make the folder"):
        simulate_people(tmp_path / "people", people=1, plan=SHORT, seed=0)


def _log_alpha(eeg: FloatArray) -> FloatArray:
    """(channels,) log power between 8 and 12 Hz, seconds with faults left out."""
    seconds = eeg[: len(eeg) // 300 * 300].reshape(-1, 300, eeg.shape[1])
    whole = seconds[np.nanmax(np.abs(np.nan_to_num(seconds, nan=1e4)), axis=(1, 2)) < 2000]
    frequency_hz, power = scipy_signal.welch(whole, 300, nperseg=300, axis=1)
    band = (frequency_hz >= 8) & (frequency_hz <= 12)
    return np.asarray(np.log(power[:, band].mean(axis=(0, 1))))


def _peaks(ppg: FloatArray) -> NDArray[np.int64]:
    import neurokit2

    return np.asarray(neurokit2.ppg_findpeaks(ppg, sampling_rate=100)["PPG_Peaks"])


def _centred(values: FloatArray) -> FloatArray:
    return np.asarray(values - values.mean(axis=0))


def _arousal(people: list[Recording]) -> FloatArray:
    return np.concatenate([_centred(_scores(person) @ AROUSAL) for person in people])


def _valence(people: list[Recording]) -> FloatArray:
    signs = np.repeat((1, -1), 5)
    return np.concatenate([_centred(_scores(person) @ signs) for person in people])


def _faces(people: list[Recording]) -> tuple[FloatArray, FloatArray]:
    """The mean face of each trial and its label."""
    rows = []
    for person in people:
        assert person.face is not None
        assert person.face.embedding is not None
        assert person.trials is not None
        for start_s, stop_s in zip(person.trials.start_s, person.trials.stop_s, strict=True):
            inside = (person.face.timestamps_s > start_s) & (person.face.timestamps_s < stop_s)
            rows.append(np.mean(person.face.embedding[:][inside], axis=0))
    return _centred(np.array(rows, dtype=np.float64)), np.concatenate(
        [_distribution(p) for p in people]
    )


def _kl(truth: FloatArray, guess: FloatArray) -> float:
    return float(np.mean(np.sum(truth * np.log(truth / guess), axis=1)))


def test_simulated_people_replace_simulated_people_but_never_a_recording(tmp_path: Path) -> None:
    simulate_people(tmp_path, people=1, plan=SHORT, seed=0)
    simulate_people(tmp_path, people=1, plan=SHORT, seed=1)
    real = tmp_path / "sub-07.h5"
    real.write_bytes(b"somebody's only recording")
    with pytest.raises(OutputError, match=r"sub-07\.h5 is not a simulated person"):
        simulate_people(tmp_path, people=7, plan=SHORT, seed=0)
    assert real.read_bytes() == b"somebody's only recording"
