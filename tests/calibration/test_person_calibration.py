"""A rest becomes a baseline and a matrix without blinks; what is no rest is refused."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emodict.errors import (
    InputError,
    MissingDependencyError,
    PersonError,
    RecordingError,
    SpecError,
)
from emodict.features import extract_features
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows
from emodict.predict.person import Person, Unmixing
from emodict.recording.recording import FaceVideo, Recording, Signal, Trials
from emodict_calibration.person.calibrate import RestOptions, calibrate_person, describe
from emodict_calibration.person.population import describe_population, with_population
from emodict_calibration.person.unmixing import Removal, _strongest, fit_unmixing, matrix_without
from emodict_train.model.checkpoint import Checkpoint

SPEC = load_spec("emodict-1")
WRIST = SPEC.with_modalities(["gsr", "ppg"])
EEG = SPEC.modality("eeg").channel_names
EEG_ONLY = SPEC.with_modalities(["eeg"])
FRONT = {"Fp1": 1.0, "Fp2": 0.95, "F7": 0.35, "F8": 0.35, "F3": 0.3, "F4": 0.3, "Fz": 0.3}


def wrist_rest(
    seconds: int = 60,
    *,
    seed: int = 0,
    subject_id: str = "ann",
    ppg_from_s: float = 0.0,
    trials: Trials | None = None,
    level: float = 3.0,
) -> Recording:
    rng = np.random.default_rng(seed)
    time_s = np.arange(seconds * 100)[:, None] / 100
    pulse = np.sin(2 * np.pi * 1.2 * time_s) + 0.05 * rng.standard_normal(time_s.shape)
    pulse[time_s < ppg_from_s] = np.nan
    gsr = level + 0.01 * np.cumsum(rng.integers(-3, 4, (seconds * 4, 1)), axis=0)
    signals = {
        "ppg": Signal("ppg", 100.0, "a.u.", ("ppg",), pulse),
        "gsr": Signal("gsr", 4.0, "uS", ("gsr",), gsr),
    }
    return Recording("rest", subject_id, signals, trials=trials)


def brain_and_blinks(seconds: int = 64, rate_hz: int = 100) -> tuple[np.ndarray, ...]:
    """(samples, channels) in uV without and with blinks:
    a mixture of 18 independent spiky sources, and lids.
    """
    rng = np.random.default_rng(5)
    sources = rng.standard_t(3, size=(seconds * rate_hz, len(EEG)))
    # Each falls off towards high frequencies, as the brain does and muscle does not.
    for k in range(len(EEG)):
        keep = 0.8 + 0.12 * k / len(EEG)
        sources[:, k] = np.convolve(sources[:, k], keep ** np.arange(60), mode="same") * np.sqrt(
            1 - keep**2
        )
    brain = sources @ (
        4 * rng.standard_normal((len(EEG), len(EEG))) / np.sqrt(len(EEG)) + 6 * np.eye(len(EEG))
    )
    lids = np.zeros(len(brain))
    for start in rng.choice(np.arange(100, len(brain) - 100, 60), size=seconds // 4, replace=False):
        lids[start : start + 35] += 120 * np.hanning(35)
    reach = np.array([FRONT.get(name, 0.0) for name in EEG])
    return brain, brain + np.outer(lids, reach), reach


def eeg_rest(samples: np.ndarray, rate_hz: float = 100.0) -> Recording:
    return Recording(
        "rest", "ann", {"eeg": Signal("eeg", rate_hz, "uV", EEG, samples, reference="Pz")}
    )


@pytest.fixture(scope="module")
def unmixed() -> tuple[np.ndarray, np.ndarray, np.ndarray, Unmixing]:
    brain, recorded, reach = brain_and_blinks()
    return brain, recorded, reach, fit_unmixing(eeg_rest(recorded), SPEC, seed=0)


def test_a_baseline_is_mean_and_spread_of_the_valid_rest_windows() -> None:
    recording = wrist_rest(ppg_from_s=10)
    person = calibrate_person(recording, SPEC, RestOptions())
    windows = extract_features(recording, WRIST)
    for name in ("gsr", "ppg"):
        values = windows.features(name)[windows.valid[:, WRIST.modality_names.index(name)]]
        held = person.baselines[name]
        assert held.rows == len(values) >= 30
        flat = held.mean.reshape(-1)[: values[0].size]
        # The same numbers summed in another order; some features are of order 1e4.
        np.testing.assert_allclose(
            flat, values.reshape(len(values), -1).mean(axis=0), rtol=1e-9, atol=1e-9
        )
        spread = values.reshape(len(values), -1).std(axis=0)
        np.testing.assert_allclose(
            held.scale.reshape(-1)[: spread.size], spread, rtol=1e-7, atol=1e-9
        )
    assert set(person.without) == {"eeg", "video"}
    assert person.subject_id == "ann"
    assert "No baseline for eeg: 0 s valid, 30 needed" in describe(person, ica=False)


def test_from_and_to_take_whole_windows_alone() -> None:
    recording = wrist_rest(seconds=90)
    rows = {
        name: baseline.rows
        for name, baseline in calibrate_person(
            recording, WRIST, RestOptions(from_s=20, to_s=70)
        ).baselines.items()
    }
    # A window of W s that ends within 20..70 starts there as well: 50 - W + 1 of them.
    assert rows == {name: 51 - round(WRIST.modality(name).window_s) for name in rows}


def test_too_short_a_rest_is_said_by_modality_and_refused_for_all() -> None:
    person = calibrate_person(wrist_rest(ppg_from_s=40), WRIST, RestOptions())
    assert set(person.baselines) == {"gsr"}
    assert "ppg" in person.without
    with pytest.raises(RecordingError, match="not enough of a rest"):
        calibrate_person(wrist_rest(seconds=20), WRIST, RestOptions())


def test_what_is_no_rest_of_somebody_is_refused() -> None:
    with pytest.raises(RecordingError, match="does not say whose it is"):
        calibrate_person(wrist_rest(subject_id=""), WRIST, RestOptions())
    trials = Trials(np.array([50.0]), np.array([60.0]), ("film",))
    with pytest.raises(RecordingError, match=r"'film'.*50 to 60"):
        calibrate_person(wrist_rest(trials=trials), WRIST, RestOptions())
    assert calibrate_person(wrist_rest(trials=trials), WRIST, RestOptions(to_s=50)).baselines
    with pytest.raises(InputError, match="does not stop after it starts"):
        RestOptions(from_s=5, to_s=5)
    with pytest.raises(InputError, match="by trial"):
        calibrate_person(wrist_rest(), load_spec("dmer-2024"), RestOptions())


def test_the_blink_is_found_and_taken_out(
    unmixed: tuple[np.ndarray, np.ndarray, np.ndarray, Unmixing],
) -> None:
    brain, recorded, reach, unmixing = unmixed
    assert len(unmixing.removed) == 1
    assert "eye blinks" in unmixing.removed[0]
    assert unmixing.reference == "Pz"
    cleaned = recorded @ unmixing.matrix.T
    # Where a lid moves nothing may be left: a tenth of its 120 uV at the outside.
    assert np.abs(unmixing.matrix @ reach).max() < 0.1
    front = [EEG.index("Fp1"), EEG.index("Fp2")]
    before, after = (np.sqrt(np.square(x - brain)[:, front].mean()) for x in (recorded, cleaned))
    assert after < before / 3


def test_features_without_blinks_are_closer_to_the_truth(
    unmixed: tuple[np.ndarray, np.ndarray, np.ndarray, Unmixing],
) -> None:
    brain, recorded, _, unmixing = unmixed
    truth, plain = (extract_features(eeg_rest(x), EEG_ONLY) for x in (brain, recorded))
    cleaned = extract_features(eeg_rest(recorded), EEG_ONLY, unmixing=unmixing.matrix)
    rows = truth.valid[:, 0] & plain.valid[:, 0] & cleaned.valid[:, 0]
    assert rows.sum() > 50
    front = [EEG.index("Fp1"), EEG.index("Fp2")]

    def errors(windows: FeatureWindows) -> np.ndarray:
        """(rows,): delta and theta, the first two of five bands, are where blinks are."""
        return np.abs(windows.features("eeg") - truth.features("eeg"))[rows][:, :2, front].mean(
            axis=(1, 2)
        )

    blinks = errors(plain) > 0.3
    assert 8 <= blinks.sum() <= 24
    assert np.median(errors(cleaned)[blinks]) < np.median(errors(plain)[blinks]) / 2
    assert errors(cleaned).mean() < errors(plain).mean()


def test_the_baseline_is_of_what_the_model_will_see(
    unmixed: tuple[np.ndarray, np.ndarray, np.ndarray, Unmixing],
) -> None:
    _, recorded, _, unmixing = unmixed
    person = calibrate_person(eeg_rest(recorded), EEG_ONLY, RestOptions(ica=True))
    np.testing.assert_array_equal(person.unmixing.matrix, unmixing.matrix)
    windows = extract_features(eeg_rest(recorded), EEG_ONLY, unmixing=unmixing.matrix)
    mean = windows.tokens[windows.valid[:, 0]].mean(axis=0)
    np.testing.assert_allclose(person.baselines["eeg"].mean, mean, rtol=1e-12)
    assert "1 of 18 components taken out" in describe(person, ica=True)


def test_nothing_is_taken_out_where_there_is_nothing() -> None:
    brain, _, _ = brain_and_blinks()
    assert fit_unmixing(eeg_rest(brain), SPEC, seed=0) is None


def test_the_matrix_is_mixing_times_what_is_kept_times_unmixing() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((6, 6))
    unmixing = np.linalg.inv(mixing)
    matrix = matrix_without(mixing, unmixing, [1, 4])
    # Inverses of random matrices of size 6 lose some three digits.
    np.testing.assert_allclose(matrix, mixing @ np.diag([1, 0, 1, 1, 0, 1]) @ unmixing, atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-12)
    np.testing.assert_allclose(matrix @ mixing[:, [1, 4]], 0, atol=1e-12)


def test_no_more_than_a_third_goes_blinks_first_and_each_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    removals = [Removal(0, "eye blinks", 0.6), *(Removal(k, "muscle", k / 10) for k in range(5))]
    kept = _strongest(removals, components=9)
    assert [(r.component, r.kind) for r in kept] == [
        (0, "eye blinks"),
        (4, "muscle"),
        (3, "muscle"),
    ]
    assert "5 of 9" in caplog.text


def test_eeg_that_cannot_be_unmixed_is_refused() -> None:
    brain, _, _ = brain_and_blinks(seconds=40)
    with pytest.raises(RecordingError, match=r"at least 60 s.*got 40 s"):
        fit_unmixing(eeg_rest(brain), SPEC, seed=0)
    long = np.concatenate([brain, brain])
    long[::300] = np.nan
    with pytest.raises(RecordingError, match="got 0 s"):
        fit_unmixing(eeg_rest(long), SPEC, seed=0)
    with pytest.raises(RecordingError, match="no EEG to unmix"):
        fit_unmixing(wrist_rest(), SPEC, seed=0)
    eeg = SPEC.modality("eeg")
    names = tuple(name for name in eeg.feature_names if name.split("_")[1] in eeg.channel_names[:3])
    three = dataclasses.replace(
        eeg, channel_names=eeg.channel_names[:3], shape=(5, 3), feature_names=names
    )
    few = dataclasses.replace(SPEC, id="few", modalities=(three,))
    with pytest.raises(RecordingError, match=r"Too few EEG channels.*got 3"):
        fit_unmixing(eeg_rest(long), few, seed=0)


def people(count: int, **changes: Any) -> list[Person]:
    return [
        dataclasses.replace(
            calibrate_person(wrist_rest(seed=i, level=2.0 + i), WRIST, RestOptions()),
            **{"subject_id": f"sub-{i}", **changes},
        )
        for i in range(count)
    ]


def test_a_model_learns_the_mean_of_people_at_rest(small: Checkpoint) -> None:
    everyone = people(3)
    told = with_population(small, everyone)
    for name in ("gsr", "ppg"):
        expected = sum(person.baselines[name].mean for person in everyone) / 3
        np.testing.assert_allclose(
            np.array(told.training["rest"]["mean"][name]), expected, rtol=1e-12, atol=1e-12
        )
    assert told.states == small.states
    assert "3 people at rest: gsr+ppg" in describe_population(told)


def test_a_population_is_several_people_of_the_models_features(small: Checkpoint) -> None:
    with pytest.raises(PersonError, match="Too few people"):
        with_population(small, people(2))
    with pytest.raises(PersonError, match="twice"):
        with_population(small, people(3, subject_id="ann"))
    other = people(3)
    other[0] = dataclasses.replace(
        other[0],
        baselines={"gsr": dataclasses.replace(other[0].baselines["gsr"], fingerprint="0" * 16)},
    )
    with pytest.raises(SpecError, match="different features of gsr"):
        with_population(small, other)


def test_a_model_of_features_by_trial_has_no_population(
    small: Checkpoint, trained: Callable[..., Any]
) -> None:
    people = [
        calibrate_person(wrist_rest(seed=i, subject_id=f"sub-{i}"), WRIST, RestOptions())
        for i in range(3)
    ]
    with pytest.raises(PersonError, match="dmer-sample is computed by trial, and a rest has none"):
        with_population(trained("dmer-sample", layers=2), people)


def test_unmixed_eeg_is_no_part_of_a_population_of_plain_eeg(
    unmixed: tuple[np.ndarray, np.ndarray, np.ndarray, Unmixing], trained: Callable[..., Any]
) -> None:
    _, recorded, _, unmixing = unmixed
    plain = calibrate_person(eeg_rest(recorded), EEG_ONLY, RestOptions())
    everyone = [
        dataclasses.replace(plain, subject_id=f"sub-{i}", unmixing=unmixing) for i in range(3)
    ]
    with pytest.raises(PersonError, match="without --ica"):
        with_population(trained("emodict-1"), everyone)


def test_the_face_is_part_of_a_baseline() -> None:
    rng = np.random.default_rng(0)
    recording = dataclasses.replace(
        wrist_rest(), face=FaceVideo(np.arange(60) + 0.5, rng.standard_normal((60, 32)))
    )
    assert calibrate_person(recording, SPEC, RestOptions()).baselines["video"].mean.size >= 32


def test_without_mne_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(MissingDependencyError, match=r"emodict\[calibrate\]"):
        fit_unmixing(eeg_rest(np.zeros((6_000, len(EEG)))), SPEC, seed=0)
