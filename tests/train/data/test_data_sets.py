"""People of published data sets, and sessions that were labelled, are read as training data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.made_up_emognition import write_person as write_emognition
from tests.made_up_wesad import ORDERS, write_person
from tests.recordings import noise_recording
from tests.runtime.desk.test_import_case import write_case
from tests.runtime.desk.test_import_kemocon import write_kemocon
from tests.runtime.desk.written import write
from tests.train.data.test_data import write_dmer

from emodict.errors import InputError
from emodict.recording.session import write_session
from emodict_desk.importers import IMPORTERS
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.wesad import EMOTIONS
from emodict_desk.ratings.label import label_session
from emodict_desk.recordings.validate import validate_session
from emodict_desk.sensors import Sensors
from emodict_desk.tables.table import read_table, write_table
from emodict_train import cli
from emodict_train.data import read_training_data

WRIST = Sensors(("ppg", "gsr"))
# Each writes a made-up person.
WRITERS: dict[str, Callable[[Path], Path]] = {
    "wesad": lambda folder: write_person(folder, 0, condition_s=12.0),
    "emognition": write_emognition,
    "case": write_case,
    "kemocon": write_kemocon,
}


@pytest.fixture(scope="module")
def wesad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three made-up people."""
    folder = tmp_path_factory.mktemp("sets") / "WESAD"
    for seed in range(3):
        write_person(folder, seed, condition_s=12.0)
    return folder


def test_a_folder_of_a_data_set_is_its_people_with_conditions_that_they_share(wesad: Path) -> None:
    table = read_training_data([wesad], sensors=WRIST)
    assert sorted(set(table.subject)) == ["S2", "S3", "S4"]
    assert table.emotions == EMOTIONS
    labelled = np.isfinite(table.labels).all(axis=1)
    assert set(table.stimulus[labelled]) == set(ORDERS[0])
    assert set(table.stimulus[~labelled]) == {""}
    assert {trial.split("/")[1] for trial in table.trial[labelled]} == set(ORDERS[0])


def test_one_person_of_it_can_be_named_alone(wesad: Path) -> None:
    assert set(read_training_data([wesad / "S3"], sensors=WRIST).subject) == {"S3"}


def test_stimuli_survive_a_table(wesad: Path, tmp_path: Path) -> None:
    table = read_training_data([wesad / "S2"], sensors=WRIST)
    write_table(table, tmp_path / "t.npz")
    assert read_table(tmp_path / "t.npz").stimulus.tolist() == table.stimulus.tolist()


def test_a_folder_with_nothing_of_these_says_what_it_could_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"docs/datasets\.md"):
        read_training_data([tmp_path])


def test_the_study_on_it_compares_the_stimulus_mean(
    wesad: Path, tmp_path: Path, run_in_process: Callable[..., tuple[int, str, str]]
) -> None:
    words = ("--modalities", "ppg,gsr", "--protocols", "subjects", "--methods", "AA-kNN")
    code, _, err = run_in_process(cli, "study", wesad, "-o", tmp_path / "s", "--quick", *words)
    assert code == 0, err
    tables = (tmp_path / "s" / "tables" / "tables.md").read_text()
    assert "### Table 4: all methods (subjects)" in tables
    rows = [line.split("|")[1].strip() for line in tables.splitlines() if line.startswith("| ")]
    assert {"mean label", "stimulus mean", "AA-kNN"} <= set(rows)
    assert "KL against stimulus mean" in tables


def test_sessions_that_were_labelled_train_a_model(
    tmp_path: Path, run_in_process: Callable[..., tuple[int, str, str]]
) -> None:
    names = ("Calm", "Fear")
    for seed in range(3):
        bare = dataclasses.replace(noise_recording(24, seed=seed), trials=None)
        path = tmp_path / f"{seed}.h5"
        write_session(dataclasses.replace(bare, subject_id=f"p{seed}"), path)
        rows = f"film,onset,stop,{','.join(names)}\nA,1,10,{seed + 1},2\nB,12,22,1,{seed + 2}\n"
        label_session(path, write(tmp_path / "r.csv", rows), path)
    code, out, err = run_in_process(
        cli, "fit", tmp_path, "-o", tmp_path / "m.pt", "--modalities", "gsr", "--epochs", "1"
    )
    assert code == 0, err
    assert "Trained on" in out
    assert "6 trials, 3 subject(s)" in out


@pytest.mark.parametrize("kind", WRITERS)
def test_a_person_of_a_data_set_is_found_and_called_as_the_user_says(
    kind: str, tmp_path: Path
) -> None:
    person = WRITERS[kind](tmp_path / "set")
    assert kind_of(person) == kind
    assert IMPORTERS[kind].for_training
    plain = IMPORTERS[kind].read(person)
    assert plain.subject_id == plain.session_id
    assert person.stem in plain.subject_id
    named = IMPORTERS[kind].read(person, subject_id="anna", session_id="monday")
    assert (named.subject_id, named.session_id) == ("anna", "monday")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_person_of_a_data_set_is_a_session_once_it_is_imported(kind: str, tmp_path: Path) -> None:
    recording = IMPORTERS[kind].read(WRITERS[kind](tmp_path / "set"))
    write_session(recording, tmp_path / "s.h5")
    assert {f.severity for f in validate_session(tmp_path / "s.h5")} <= {"warning"}
    whole = read_training_data([tmp_path / "s.h5"], sensors=WRIST)
    assert whole.labels is not None
    assert set(whole.stimulus) - {""} <= set(recording.trials.trial_id)


def test_what_else_lies_in_the_folder_of_a_data_set_is_passed_over(
    wesad: Path,
) -> None:
    (wesad / "wesad_readme.pdf").write_bytes(b"%PDF-1.4")
    assert list(dict.fromkeys(read_training_data([wesad], sensors=WRIST).subject)) == [
        "S2", "S3", "S4",
    ]  # fmt: skip


def test_people_of_dmer_share_their_videos(tmp_path: Path) -> None:
    for seed in range(2):
        write_dmer(tmp_path / f"sub{seed}", seed=seed)
    table = read_training_data([tmp_path])
    assert len(set(table.subject)) == 2
    assert table.stimulus.tolist() == table.trial.tolist()
