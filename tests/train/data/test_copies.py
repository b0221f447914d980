"""The same signals under another name are found by what is in them,
wherever a cut has moved them to.
"""

from __future__ import annotations

import dataclasses
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from emodict.errors import TableError
from emodict.features.spec import load_spec
from emodict.features.windows import assemble, ready_made_rows
from emodict.recording.recording import Recording, Signal
from emodict_desk.sensors import Sensors
from emodict_desk.tables.table import FeatureTable, write_table
from emodict_train.data import read_training_data
from emodict_train.data.marks import marks_of, rounded
from emodict_train.simulate import simulate_people
from emodict_train.simulate.course import SimulationPlan

SPEC = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
WRIST = Sensors(("gsr", "ppg"))
RATES_HZ = {"eeg": 300, "gsr": 4, "ppg": 100}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    plan = SimulationPlan(trials=3, trial_s=10, eeg_channels=("AF7", "AF8"))
    simulate_people(folder, people=2, plan=plan, seed=4)
    return folder


def renamed(source: Path, target: Path, subject: str = "other") -> Path:
    shutil.copy(source, target)
    with h5py.File(target, "r+") as file:
        file.attrs["subject_id"], file.attrs["session_id"] = subject, f"{subject}-1"
    return target


def changed(path: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> Path:
    """Each signal's samples (name, samples) -> samples."""
    with h5py.File(path, "r+") as file:
        for name, group in file["signals"].items():
            attributes, samples = dict(group["data"].attrs), change(name, group["data"][...])
            del group["data"]
            group.create_dataset("data", data=samples).attrs.update(attributes)
    return path


def cut_off(path: Path, start_s: float) -> Path:
    """Without its first seconds, and without the trials that begin in them."""
    changed(path, lambda name, samples: samples[round(start_s * RATES_HZ[name]) :])
    with h5py.File(path, "r+") as file:
        del file["video"]
        trials = file["trials"]
        kept = trials["start"][...] >= start_s
        for name in list(trials):
            attributes, values = dict(trials[name].attrs), trials[name][...][kept]
            del trials[name]
            shift = start_s if name in ("start", "stop") else 0
            trials.create_dataset(name, data=values - shift if shift else values).attrs.update(
                attributes
            )
    return path


def test_people_who_are_not_copies_are_read(people: Path) -> None:
    assert sorted(set(read_training_data([people], sensors=WRIST).subject)) == ["sub-01", "sub-02"]


def test_a_copy_under_another_id_is_refused_by_the_names_of_both_files(
    people: Path, tmp_path: Path
) -> None:
    copy = renamed(people / "sub-01.h5", tmp_path / "copy.h5")
    with pytest.raises(TableError) as refused:
        read_training_data([people, copy], sensors=WRIST)
    said = str(refused.value)
    assert (
        f"{people / 'sub-01.h5'} (subject 'sub-01') and {copy} (subject 'other') "
        f"hold the same signals" in said
    )
    assert "sub-02" not in said
    assert "--allow-copies" in said


def test_the_same_file_twice_is_refused_however_it_is_written(
    people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(people)
    with pytest.raises(TableError, match=r"sub-01\.h5 is given twice"):
        read_training_data([people, Path("sub-01.h5")], sensors=WRIST)


@pytest.mark.parametrize("start_s", [12.0, 12.25, 12.37])
def test_a_piece_of_a_recording_is_found_wherever_it_was_cut(
    people: Path, tmp_path: Path, start_s: float
) -> None:
    piece = cut_off(renamed(people / "sub-01.h5", tmp_path / "piece.h5"), start_s)
    with pytest.raises(TableError, match=r"sub-01\.h5 .* and .*piece\.h5 .* hold the same signals"):
        read_training_data([people, piece], sensors=WRIST)


def test_a_copy_that_was_saved_in_another_precision_is_found(people: Path, tmp_path: Path) -> None:
    copy = changed(
        renamed(people / "sub-01.h5", tmp_path / "copy.h5"),
        lambda _, x: x.astype(np.float64) + 1e-7,
    )
    with pytest.raises(TableError, match="hold the same signals"):
        read_training_data([people, copy], sensors=WRIST)


def test_copies_that_are_allowed_are_one_subject_and_their_trials_one_each(
    people: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = read_training_data([people], sensors=WRIST)
    copy = renamed(people / "sub-01.h5", tmp_path / "copy.h5")
    both = read_training_data([people, copy], sensors=WRIST, allow_copies=True)
    assert len(both) == len(alone) + int((alone.subject == "sub-01").sum())
    assert set(both.subject) == {"sub-01", "sub-02"}
    assert both.labels is not None
    labelled = np.isfinite(both.labels).all(axis=1)
    # Equal rows stand in one group, which no split tears.
    copied = labelled[len(alone) :]
    assert (
        both.groups[len(alone) :][copied]
        == both.groups[: len(alone)][alone.subject == "sub-01"][copied]
    ).all()
    assert "kept together" in caplog.text


def ready_made(seed: int, subject: str, *, rows: int = 12, flat: bool = False) -> FeatureTable:
    rng = np.random.default_rng(seed)
    gsr = np.full((rows, 28), 0.25) if flat else rng.standard_normal((rows, 28))
    ppg = np.full((rows, 27), 0.5) if flat else rng.standard_normal((rows, 27))
    parts = {"gsr": ready_made_rows(gsr), "ppg": ready_made_rows(ppg)}
    labels = rng.dirichlet(np.ones(3), rows)
    trial = np.arange(rows).astype(str)
    windows = assemble(SPEC, np.arange(rows, dtype=float), parts)
    return FeatureTable(windows, ("a", "b", "c"), labels, np.full(rows, subject), trial, subject)


def test_equal_features_in_tables_are_found_and_flat_ones_are_not_taken_for_copies(
    tmp_path: Path,
) -> None:
    write_table(ready_made(0, "one"), tmp_path / "one.npz")
    write_table(
        dataclasses.replace(ready_made(0, "two"), trial=np.full(12, "x")), tmp_path / "two.npz"
    )
    with pytest.raises(
        TableError,
        match=r"one\.npz .* and .*two\.npz .* hold the same signals \(12 of 12 windows\)",
    ):
        read_training_data([tmp_path / "one.npz", tmp_path / "two.npz"])
    for name in ("flat", "flat too"):
        write_table(ready_made(1, name, flat=True), tmp_path / f"{name}.npz")
    assert len(read_training_data([tmp_path / "flat.npz", tmp_path / "flat too.npz"])) == 24


def test_two_subjects_of_one_table_that_hold_the_same_are_named(tmp_path: Path) -> None:
    one, two = ready_made(0, "one"), ready_made(0, "two")
    rows = np.concatenate([np.arange(12), np.arange(12)])
    table = dataclasses.replace(one.rows(rows), subject=np.concatenate([one.subject, two.subject]))
    write_table(table, tmp_path / "all.npz")
    with pytest.raises(
        TableError, match=r"In .*all\.npz subjects 'one' and 'two' hold the same signals"
    ):
        read_training_data([tmp_path / "all.npz"])


def test_one_equal_window_of_many_is_luck(tmp_path: Path) -> None:
    one, two = ready_made(0, "one"), ready_made(1, "two")
    two.windows.tokens[3] = one.windows.tokens[5]
    for table in (one, two):
        write_table(table, tmp_path / f"{table.source}.npz")
    assert len(read_training_data([tmp_path / "one.npz", tmp_path / "two.npz"])) == 24


def test_numbers_are_equal_to_ten_bits_of_their_mantissa() -> None:
    """Ten bits split an octave into 1024 steps: 1/1024 moves 1.0 by one of them."""
    one = rounded(np.array([1.0]))
    assert rounded(np.array([1.0 + 0.4 / 1024])) == one
    assert rounded(np.array([1.0 + 1 / 1024])) == one + 1
    assert rounded(np.array([-0.0])) == rounded(np.array([0.0]))


def test_marks_lie_in_the_row_in_which_their_samples_begin() -> None:
    samples = np.random.default_rng(0).standard_normal((3000, 1))
    recording = Recording(
        "s", "one", signals={"ppg": Signal("ppg", 100.0, "a.u.", ("ppg",), samples)}
    )
    marks = marks_of(recording, np.arange(0.0, 27.0), list(recording.signals))
    assert 15 < len(marks) < 60  # about one a second
    later = Recording(
        "s", "one", signals={"ppg": Signal("ppg", 100.0, "a.u.", ("ppg",), samples[1000:])}
    )
    moved = marks_of(later, np.arange(0.0, 17.0), list(later.signals))
    shared = set(marks) & set(moved)
    assert len(shared) == len(moved) > 8
    # Ten seconds were cut off, ten rows of a second;
    # the last row holds what begins after it as well.
    assert {marks[m] - moved[m] for m in shared if moved[m] < 16} == {10}


def test_a_value_that_stands_for_a_missing_sensor_is_not_a_copy(tmp_path: Path) -> None:
    one, two = ready_made(0, "one"), ready_made(1, "two")
    for table in (one, two):
        table.windows.tokens[:] = one.windows.tokens[0]
        write_table(table, tmp_path / f"{table.source}.npz")
    assert len(read_training_data([tmp_path / "one.npz", tmp_path / "two.npz"])) == 24


def test_a_flat_signal_has_no_marks_and_takes_no_memory() -> None:
    zeros = np.zeros((200_000, 1))
    recording = Recording(
        "s", "one", signals={"ppg": Signal("ppg", 500.0, "a.u.", ("ppg",), zeros)}
    )
    tracemalloc.start()
    assert marks_of(recording, np.arange(400.0), ["ppg"]) == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A few arrays of 4 and 8 bytes a sample; 64 samples for each of them would be 51 MB.
    assert peak < 12e6


def test_marks_of_a_recording_with_losses_lie_where_its_counter_says() -> None:
    samples = np.random.default_rng(0).standard_normal((2000, 1))
    # 20 s lost in the middle.
    counter = np.arange(2000) + np.where(np.arange(2000) >= 1000, 2000, 0)
    signal = Signal("ppg", 100.0, "a.u.", ("ppg",), samples, sequence=counter)
    marks = marks_of(Recording("s", "one", signals={"ppg": signal}), np.arange(40.0), ["ppg"])
    assert not [row for row in marks.values() if 10 <= row < 29]
    assert max(marks.values()) >= 30


def test_signals_that_are_not_asked_for_are_not_read() -> None:
    class Damaged:
        shape = (1000, 1)

        def __getitem__(self, key: object) -> np.ndarray:
            raise AssertionError("it was read")

    recording = Recording(
        "s", "one", signals={"eeg": Signal("eeg", 100.0, "uV", ("Fz",), Damaged())}
    )
    assert marks_of(recording, np.arange(10.0), ["ppg"]) == {}
