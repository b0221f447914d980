"""Emognition, by a made-up folder of its layout: films become trials, nine emotions their truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import made_up_emognition as made_up

from emodict.errors import EmodictError, RecordingError
from emodict_desk.importers.emognition import EMOTIONS, read_emognition
from emodict_desk.tables.stimuli import STIMULUS


@pytest.fixture
def person(tmp_path: Path) -> Path:
    return made_up.write_person(tmp_path / "Emognition")


def edit(path: Path, **columns: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **columns}))


def test_films_become_trials_with_the_nine_scores_as_truth(person: Path) -> None:
    recording = read_emognition(person)
    trials = recording.trials
    assert trials is not None
    starts_s = made_up.starts_s()
    assert trials.trial_id == made_up.FILMS
    # Stamps are of whole milliseconds, and the band's of whole bursts.
    np.testing.assert_allclose(
        trials.start_s, [starts_s[film, "STIMULUS"] for film in made_up.FILMS], atol=0.002
    )
    np.testing.assert_allclose(trials.stop_s - trials.start_s, made_up.PHASE_S, atol=0.05)
    answers = json.loads((person / "22_QUESTIONNAIRES.json").read_text())["questionnaires"]
    scores = np.array([[asked["emotions"][name.upper()] for name in EMOTIONS] for asked in answers])
    np.testing.assert_allclose(trials.truth, scores / scores.sum(axis=1, keepdims=True), rtol=1e-14)
    assert recording.attributes[STIMULUS] == "film"
    assert recording.attributes["scale"] == "1 to 5"
    assert (recording.subject_id, recording.start_time) == ("22", "2020-07-16T09:31:03.123000")


@pytest.mark.parametrize(("modality", "rate_hz"), [("eeg", 256), ("ppg", 64), ("gsr", 4)])
def test_samples_of_all_files_stand_where_they_were_taken_and_pauses_are_gaps(
    modality: str, rate_hz: int, person: Path
) -> None:
    signal = read_emognition(person).signals[modality]
    assert signal.rate_hz == rate_hz
    samples = signal.read(0, signal.sample_count)[:, 0]
    # Made up so that a sample's value is its number from the start, or its second (gsr).
    number = samples * (4 if modality == "gsr" else 1)
    sequence = np.asarray(signal.sequence)
    placed = sequence - sequence[0] + round(signal.start_offset_s * rate_hz)
    # Late by a burst of twelve rows at most, and never more than a sample off within a file.
    late = placed - number
    assert late.max() - late.min() <= 1
    assert 0 <= late.min() <= 12
    # Two pauses of 4 s between three films.
    gaps = np.diff(sequence) > 1
    assert (gaps.sum(), round((np.diff(sequence)[gaps] - 1).sum() / rate_hz)) == (2, 8)


def test_bursts_that_stand_twice_count_once_even_without_contact(person: Path) -> None:
    band = json.loads((person / "22_AWE_STIMULUS_MUSE.json").read_text())
    numbers = band["RAW_TP9"]
    assert len(numbers) > len(set(numbers))
    edit(person / "22_AWE_STIMULUS_MUSE.json", HeadBandOn=[0.0] * len(numbers))
    recording = read_emognition(person)
    assert recording.signals["eeg"].sample_count == 8 * made_up.PHASE_S * 256
    assert "samples came twice (by the times)" in recording.attributes["notes"]


def test_times_that_run_back_are_said(person: Path) -> None:
    path = person / "22_AWE_STIMULUS_EMPATICA.json"
    pairs = json.loads(path.read_text())["EDA"]
    edit(
        path, EDA=[*pairs[:20], *pairs[30:], *[[pairs[9][0], -value] for _, value in pairs[20:30]]]
    )
    notes = read_emognition(person).attributes["notes"]
    assert "gsr: its times run back: rows are taken as they stand" in notes


def test_what_the_band_measures_without_contact_is_missing(person: Path) -> None:
    path = person / "22_AWE_STIMULUS_MUSE.json"
    rows = len(json.loads(path.read_text())["TimeStamp"])
    edit(path, HSI_AF7=[4.0] * rows, HeadBandOn=[0.0] * 256 + [1.0] * (rows - 256))
    samples = read_emognition(person).signals["eeg"].read(0, 10**6)
    once = round(made_up.PHASE_S * 256)
    assert np.isnan(samples[:, 1]).sum() == once
    assert 200 < np.isnan(samples[:, 0]).sum() <= 256


def test_a_device_that_is_not_there_is_named_and_the_rest_is_read(person: Path) -> None:
    for path in person.glob("*_MUSE.json"):
        path.unlink()
    recording = read_emognition(person)
    assert set(recording.signals) == {"ppg", "gsr"}
    assert "eeg (no samples)" in recording.attributes["left_out"]
    assert recording.trials is not None
    assert len(recording.trials) == 3


def test_a_film_without_signals_or_without_an_answer_is_left_out_and_named(person: Path) -> None:
    for path in person.glob("22_FEAR_*.json"):
        path.unlink()
    answers = {film: [1, 2, 3, 4, 5, 4, 3, 2, 1] for film in made_up.FILMS}
    made_up.write_answers(person, answers)
    path = person / "22_QUESTIONNAIRES.json"
    content = json.loads(path.read_text())
    del content["questionnaires"][0]["emotions"]["ANGER"]
    path.write_text(json.dumps(content))
    recording = read_emognition(person)
    assert recording.trials is not None
    assert recording.trials.trial_id == ("AWE",)
    assert "FEAR (answers without signals)" in recording.attributes["left_out"]
    assert "trial 'BASELINE' is left out: no answer to Anger" in recording.attributes["notes"]


@pytest.mark.parametrize(
    ("name", "columns", "what"),
    [
        ("22_AWE_STIMULUS_MUSE.json", {"RAW_AF7": [1.0, 2.0]}, "RAW_AF7 has 2 rows"),
        ("22_AWE_STIMULUS_MUSE.json", {"TimeStamp": ["yesterday"]}, "eeg: "),
        ("22_AWE_STIMULUS_EMPATICA.json", {"BVP": [["2020-07-16T09:31:03:1", "x"]]}, "ppg: "),
        ("22_AWE_STIMULUS_EMPATICA.json", {"EDA": [[1.0]]}, "gsr: "),
        ("22_QUESTIONNAIRES.json", {"questionnaires": [{"movie": "AWE"}]}, "questionnaires: "),
    ],
)
def test_what_is_not_as_published_is_refused_with_its_file(
    name: str, columns: dict[str, Any], what: str, person: Path
) -> None:
    edit(person / name, **columns)
    with pytest.raises(RecordingError, match=rf"{name} is not what Emognition publishes: .*{what}"):
        read_emognition(person)


def test_a_film_that_was_answered_twice_is_refused(person: Path) -> None:
    path = person / "22_QUESTIONNAIRES.json"
    content = json.loads(path.read_text())
    content["questionnaires"].append(content["questionnaires"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(RecordingError, match=r"questionnaires: a film was answered twice"):
        read_emognition(person)


def test_a_film_that_would_take_years_is_refused(person: Path) -> None:
    for path in person.glob("*_MUSE.json"):
        path.unlink()
    edit(
        person / "22_FEAR_STIMULUS_EMPATICA.json",
        BVP=[["2020-07-16T09:33:03:123", 1.0], ["9999-07-16T09:31:03:123", 1.0]],
        EDA=[],
    )
    with pytest.raises(EmodictError, match=r"\d days after"):
        read_emognition(person)


def test_a_file_that_is_not_json_and_a_folder_without_answers_are_refused(person: Path) -> None:
    (person / "22_AWE_STIMULUS_MUSE.json").write_text("{")
    with pytest.raises(RecordingError, match="is not what Emognition publishes"):
        read_emognition(person)
    (person / "22_AWE_STIMULUS_MUSE.json").unlink()
    (person / "22_AWE_STIMULUS_MUSE.json").mkdir()
    with pytest.raises(RecordingError, match=r"22_AWE_STIMULUS_MUSE\.json is a folder"):
        read_emognition(person)
    (person / "22_QUESTIONNAIRES.json").unlink()
    with pytest.raises(RecordingError, match=r"ID_QUESTIONNAIRES\.json"):
        read_emognition(person)
