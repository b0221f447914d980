"""WESAD, by a made-up folder of its layout: conditions become trials, PANAS their truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.made_up_wesad import ORDERS, PANAS_ORDER, write_person, write_quest

from emodict.errors import RecordingError
from emodict.recording.session import open_session
from emodict_desk.cli import session as cli
from emodict_desk.importers.wesad import EMOTIONS, read_wesad
from emodict_desk.tables.stimuli import STIMULUS


@pytest.fixture
def person(tmp_path: Path) -> Path:
    return write_person(tmp_path / "WESAD", 0)


def answers_of(folder: Path) -> list[list[float]]:
    """The lines PANAS, read by other few lines."""
    lines = (folder / f"{folder.name}_quest.csv").read_text().splitlines()
    return [
        [float(cell) for cell in line.split(";")[1:21]]
        for line in lines
        if line.startswith("# PANAS")
    ]


def test_conditions_become_trials_at_their_times_with_their_answers_as_truth(person: Path) -> None:
    recording = read_wesad(person)
    trials = recording.trials
    assert trials is not None
    assert trials.trial_id == ORDERS[0]
    # As the made-up folder has them: 10 s of rest before each 40 s.
    np.testing.assert_allclose(trials.start_s, [10, 60, 110, 160, 210], atol=1e-9)
    np.testing.assert_allclose(trials.stop_s, [50, 100, 150, 200, 250], atol=1e-9)
    scores = np.array(answers_of(person))[:, [PANAS_ORDER.index(name) for name in EMOTIONS]]
    np.testing.assert_allclose(trials.truth, scores / scores.sum(axis=1, keepdims=True), rtol=1e-14)
    assert trials.label_names == EMOTIONS
    assert recording.attributes[STIMULUS] == "condition"
    assert recording.attributes["scores_to_shares"] == "share: score / sum"
    assert recording.subject_id == "S2"


def test_the_wrist_comes_at_its_rates_from_time_zero_and_the_rest_is_named(person: Path) -> None:
    recording = read_wesad(person)
    shapes = {name: (s.rate_hz, s.sample_count, s.unit) for name, s in recording.signals.items()}
    assert shapes == {"ppg": (64.0, 260 * 64, "a.u."), "gsr": (4.0, 260 * 4, "uS")}
    assert all(signal.start_s == 0 for signal in recording.signals.values())
    assert {"chest (not used)", "TEMP (not used)", "ACC (not used)"} <= set(
        recording.attributes["left_out"].split(", ")
    )


def test_other_items_and_another_function_can_be_chosen(person: Path) -> None:
    recording = read_wesad(person, emotions="Alert,Afraid,Annoyed", scores="above-lowest")
    trials = recording.trials
    assert trials is not None
    at = [PANAS_ORDER.index(name) for name in ("Alert", "Afraid", "Annoyed")]
    above = np.array(answers_of(person))[:, at] - 1
    felt = above.sum(axis=1) > 0
    np.testing.assert_allclose(
        trials.truth, above[felt] / above[felt].sum(axis=1, keepdims=True), rtol=1e-14
    )
    everything = read_wesad(person, emotions="all").trials
    assert everything is not None
    assert everything.label_names == PANAS_ORDER


def test_the_command_finds_the_kind_and_writes_a_session(
    person: Path, tmp_path: Path, run_in_process: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run_in_process(cli, "import", person, "-o", tmp_path / "S2.h5")
    assert code == 0, err
    assert "S2 is read as kind wesad" in out
    assert "5 trials of Inspired Alert" in out
    with open_session(tmp_path / "S2.h5") as read:
        assert read.attributes[STIMULUS] == "condition"


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("# ORDER;Base;Fun;Medi 1;TSST;Medi 2;;\n", r"the conditions Base, Fun.*got Base, TSST"),
        ("# ORDER;;;\n", "is not a questionnaire of WESAD"),
        ("", "got 0 conditions, 5 lines of PANAS"),
    ],
)
def test_a_questionnaire_that_does_not_fit_is_refused(person: Path, lines: str, what: str) -> None:
    quest = person / "S2_quest.csv"
    kept = [line for line in quest.read_text().splitlines() if not line.startswith("# ORDER")]
    quest.write_text(lines + "\n".join(kept) + "\n")
    with pytest.raises(RecordingError, match=what):
        read_wesad(person)


def test_an_answer_that_is_missing_or_not_on_the_scale_is_named(person: Path) -> None:
    rows: list[list[object]] = [[2] * 24 for _ in ORDERS[0]]
    rows[1][PANAS_ORDER.index("Afraid")] = ""
    write_quest(person / "S2_quest.csv", ORDERS[0], rows)
    recording = read_wesad(person)
    assert recording.trials is not None
    assert "TSST" not in recording.trials.trial_id
    assert "trial 'TSST' is left out: no answer to Afraid" in recording.attributes["notes"]
    rows[1][PANAS_ORDER.index("Afraid")] = 7
    write_quest(person / "S2_quest.csv", ORDERS[0], rows)
    with pytest.raises(RecordingError, match=r"'TSST', Afraid: the scale has no such answer"):
        read_wesad(person)
    rows[1][PANAS_ORDER.index("Afraid")] = "three"
    write_quest(person / "S2_quest.csv", ORDERS[0], rows)
    with pytest.raises(RecordingError, match="Afraid of a line PANAS is not a number"):
        read_wesad(person)


@pytest.mark.parametrize("names", ["Alert", "Alert,Upset"])
def test_emotions_that_nobody_was_asked_for_are_refused(person: Path, names: str) -> None:
    with pytest.raises(RecordingError, match="WESAD asks for no such"):
        read_wesad(person, emotions=names)


def test_a_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"SX\.pkl and SX_quest\.csv"):
        read_wesad(tmp_path)
    (tmp_path / "S2.pkl").mkdir()
    (tmp_path / "S2_quest.csv").touch()
    with pytest.raises(RecordingError, match=r"S2\.pkl is a folder"):
        read_wesad(tmp_path)
