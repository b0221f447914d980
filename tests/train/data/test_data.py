from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from emodict.errors import InputError, RecordingError, SpecError, TableError
from emodict.features.spec import load_spec
from emodict.recording.recording import Recording, Signal, Trials
from emodict.recording.session import write_session
from emodict_train.data import read_training_data

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
EDL_EMOTIONS = ("anger", "disgust", "sadness", "fear", "tenderness", "joy", "amusement")

# ---- the released sample ----


def test_the_released_sample_is_read_as_scipy_reads_it(shared_data: Path) -> None:
    path = shared_data / "dmer_sample" / "train.mat"
    table = read_training_data([path])
    arrays = scipy.io.loadmat(path)
    assert len(table) == 696
    assert table.spec.id == "dmer-sample"
    assert table.emotions == PANAS
    assert len(np.unique(table.groups)) == 22  # SCIENCE.md: distinct label vectors
    for name in ("eeg", "gsr", "ppg", "video"):
        np.testing.assert_array_equal(
            table.windows.features(name), arrays[f"train_{name}"].astype(float)
        )
    assert table.labels is not None
    # Rows are divided by their sums.
    np.testing.assert_allclose(table.labels, arrays["train_label"], atol=1e-3)
    assert table.windows.valid.all()


# ---- a DMER folder ----

VIDEOS = 3
# Seconds of each video, then what the release has of them: EEG and video every second,
# PPG and GSR five-second windows.
SECONDS = (9, 12, 7)


def _vids(lengths: list[int]) -> np.ndarray:
    return np.repeat(np.arange(VIDEOS), lengths)[None, :]


def write_dmer(
    folder: Path, *, video_dims: int = 32, seed: int = 0, **changes: Any
) -> dict[str, np.ndarray]:
    """One subject in the released layout; `changes` replace arrays by name, None leaves one out."""
    rng = np.random.default_rng(seed)
    every = list(SECONDS)
    windows = [s - 4 for s in SECONDS]
    arrays: dict[str, Any] = {
        "dis_label": rng.integers(1, 6, (VIDEOS, 10)).astype(float),
        "feas": rng.standard_normal((sum(every), 5, 18)),
        "eeg_vids": _vids(every),
        "feas_gsr": rng.standard_normal((sum(windows), 28))
        + 1j * rng.standard_normal((sum(windows), 28)),
        "feas_ppg": rng.standard_normal((sum(windows), 27))
        + 1j * rng.standard_normal((sum(windows), 27)),
        "peri_vids": _vids(windows),
        "lbps_all": rng.standard_normal((sum(every) - 2, video_dims)),
        "video_vids": _vids([every[0], every[1] - 2, every[2]]),
    } | changes
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "datas.mat": {"dis_label": "dis_label"},
        "eegfea.mat": {"feas": "feas", "vids": "eeg_vids"},
        "perifea.mat": {"feas_gsr": "feas_gsr", "feas_ppg": "feas_ppg", "vids": "peri_vids"},
        "videoFea.mat": {"lbps_all": "lbps_all", "vids": "video_vids"},
    }
    for name, content in files.items():
        held = {
            key: arrays[source] for key, source in content.items() if arrays[source] is not None
        }
        scipy.io.savemat(folder / name, held)
    return arrays


@pytest.mark.parametrize(("dims", "spec_id"), [(32, "dmer-2024"), (768, "dmer-2024-lbptop")])
def test_a_dmer_folder_is_aligned_at_the_end_of_each_trial(
    tmp_path: Path, dims: int, spec_id: str
) -> None:
    arrays = write_dmer(tmp_path / "S01", video_dims=dims)
    table = read_training_data([tmp_path / "S01"])
    assert table.spec.id == spec_id
    expected: dict[str, list[np.ndarray]] = {"eeg": [], "gsr": [], "ppg": [], "video": []}
    labels, names = [], []
    for video in range(VIDEOS):
        of_video = {
            "eeg": [
                arrays["feas"][i]
                for i in range(len(arrays["feas"]))
                if arrays["eeg_vids"][0, i] == video
            ],
            "video": [
                arrays["lbps_all"][i] for i, v in enumerate(arrays["video_vids"][0]) if v == video
            ],
            "gsr": [
                arrays["feas_gsr"][i].real
                for i, v in enumerate(arrays["peri_vids"][0])
                if v == video
            ],
            "ppg": [
                arrays["feas_ppg"][i].real
                for i, v in enumerate(arrays["peri_vids"][0])
                if v == video
            ],
        }
        count = len(of_video["gsr"])  # the shortest: the first 4 seconds have no row
        assert count == SECONDS[video] - 4
        for back in range(count, 0, -1):
            for name, rows in of_video.items():
                expected[name].append(rows[len(rows) - back])
            labels.append(arrays["dis_label"][video] / arrays["dis_label"][video].sum())
            names.append(f"video{video:02d}")
    for name, rows in expected.items():
        np.testing.assert_array_equal(table.windows.features(name), np.array(rows))
    assert table.labels is not None
    np.testing.assert_allclose(table.labels, labels, atol=1e-15)  # one division
    assert table.trial.tolist() == names
    assert set(table.subject) == {"S01"}


def test_a_folder_of_dmer_folders_is_all_its_subjects(tmp_path: Path) -> None:
    for i in range(2):
        write_dmer(tmp_path / f"S0{i}", seed=i)
    seen: list[tuple[str, int, int]] = []
    table = read_training_data(
        [tmp_path], on_file=lambda path, done, total: seen.append((path.name, done, total))
    )
    assert seen == [("S00", 0, 2), ("S01", 1, 2)]
    assert len(table) == 2 * (sum(SECONDS) - 12)
    # Equal video names of two subjects are two trials.
    assert len(np.unique(table.groups)) == 2 * VIDEOS


def test_a_row_of_nan_is_not_valid_and_a_video_that_one_modality_lacks_has_no_rows(
    tmp_path: Path,
) -> None:
    feas = np.random.default_rng(0).standard_normal((sum(SECONDS), 5, 18))
    feas[8] = np.nan
    lbps = np.random.default_rng(0).standard_normal((9 + 7, 32))
    write_dmer(tmp_path / "S01", feas=feas, lbps_all=lbps, video_vids=_vids([9, 0, 7]))
    table = read_training_data([tmp_path / "S01"])
    assert table.trial.tolist() == ["video00"] * 5 + ["video02"] * 3
    assert table.windows.valid[:, 0].tolist() == [True] * 4 + [False] + [True] * 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"feas": None}, "the array 'feas' is missing"),
        (
            {"feas": np.zeros((28, 18, 5))},
            r"the eeg features do not fit\. Expected \(rows, 5, 18\).*\(28, 18, 5\)",
        ),
        ({"eeg_vids": _vids([1, 1, 1])}, "and 3 vids"),
        ({"dis_label": np.ones((3, 9))}, r"dis_label cannot be used.*\(3, 9\)"),
        ({"dis_label": np.zeros((3, 10))}, "dis_label cannot be used"),
        ({"dis_label": np.full((3, 10), np.nan)}, "dis_label cannot be used"),
        (
            {"dis_label": np.ones((2, 10))},
            r"vids name a video without a label\. Expected 0\.\.1, got 0\.\.2",
        ),
        ({"dis_label": np.array(["a"] * 3)}, "the array 'dis_label' is missing.*no numeric arrays"),
    ],
)
def test_a_dmer_folder_that_does_not_fit_together_is_refused(
    tmp_path: Path, changes: Any, said: str
) -> None:
    write_dmer(tmp_path / "S01", **changes)
    with pytest.raises(TableError, match=said):
        read_training_data([tmp_path / "S01"])


def test_a_dmer_file_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    write_dmer(tmp_path / "S01")
    path = tmp_path / "S01" / "perifea.mat"
    content = path.read_bytes()
    for broken in (b"", b"not a mat file at all", content[: len(content) // 2], content[:200]):
        path.write_bytes(broken)
        with pytest.raises(
            TableError, match=r"perifea\.mat is (a damaged MAT|not a MATLAB level 5) file"
        ):
            read_training_data([tmp_path / "S01"])
    path.unlink()
    with pytest.raises(
        TableError,
        match=r"not a complete DMER subject: perifea\.mat is missing.*Copy the "
        r"subject's folder again",
    ):
        read_training_data([tmp_path / "S01"])


# ---- an EDL table ----

EDL_FEATURES = [f for m in load_spec("edl-89").modalities for f in m.feature_names]


def write_edl(path: Path, rows: int = 3, **cells: str) -> np.ndarray:
    """A valid table; `cells` replace those of the second row (line 3)."""
    rng = np.random.default_rng(0)
    labels = rng.dirichlet(np.ones(7), rows)
    numbers = np.hstack([rng.standard_normal((rows, 89)), labels])
    columns = ["subject", "trial", *EDL_FEATURES, *EDL_EMOTIONS]
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        for i, row in enumerate(numbers):
            named = dict(zip(columns, ["anna", f"t{i}", *map(repr, row.tolist())], strict=True))
            writer.writerow((named | cells if i == 1 else named).values())
    return numbers


def test_an_edl_table_is_read_with_its_seven_emotions_and_without_eeg(tmp_path: Path) -> None:
    numbers = write_edl(tmp_path / "edl.csv")
    table = read_training_data([tmp_path / "edl.csv"])
    assert table.spec.modality_names == ("gsr", "skt", "ecg", "hr")
    assert table.windows.tokens.shape == (3, 89, 1)
    np.testing.assert_array_equal(table.windows.tokens[:, :, 0], numbers[:, :89])
    np.testing.assert_array_equal(table.labels, numbers[:, 89:])
    assert table.emotions == EDL_EMOTIONS
    assert table.trial.tolist() == ["t0", "t1", "t2"]


def test_an_empty_cell_makes_its_modality_invalid_in_that_row(tmp_path: Path) -> None:
    write_edl(tmp_path / "edl.csv", skt01="", **dict.fromkeys(EDL_EMOTIONS, ""))
    table = read_training_data([tmp_path / "edl.csv"])
    assert table.windows.valid[1].tolist() == [True, False, True, True]
    assert table.windows.valid[[0, 2]].all()
    assert table.labels is not None
    assert np.isnan(table.labels[1]).all()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"ecg05": "high"}, r"edl\.csv, line 3: not a number\. .* got 'high'.*or empty it"),
        ({"joy": "2.5"}, r"edl\.csv: label row 1 is not a distribution"),
        ({"joy": ""}, r"edl\.csv: label row 1 is not a distribution"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(
    tmp_path: Path, cells: dict[str, str], said: str
) -> None:
    write_edl(tmp_path / "edl.csv", **cells)
    with pytest.raises(TableError, match=said):
        read_training_data([tmp_path / "edl.csv"])


def test_a_missing_edl_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "edl.csv"
    write_edl(path)
    text = path.read_text()
    path.write_text(text.replace("hr06", "hr6").replace("joy", "Joy"))
    with pytest.raises(
        TableError, match=r"not an EDL table.*got no column hr06, joy.*Name the columns"
    ):
        read_training_data([path])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b"\x89HDF\r\n\x1a\n\x00\x00"])
def test_what_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "edl.csv").write_bytes(content)
    with pytest.raises(TableError, match=r"edl\.csv"):
        read_training_data([tmp_path / "edl.csv"])


def test_a_row_cut_short_is_missing_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "edl.csv"
    write_edl(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "anna,t9,1.0"]))
    table = read_training_data([path])
    assert not table.windows.valid[3].any()


# ---- sessions ----


def _session(path: Path, *, trials: Trials | None, session_id: str = "s1") -> None:
    rng = np.random.default_rng(0)
    signals = {
        "gsr": Signal(
            "gsr", 4.0, "uS", ("gsr",), 2 + rng.standard_normal((4 * 40, 1)).cumsum(axis=0) * 0.01
        ),
        "ppg": Signal("ppg", 100.0, "a.u.", ("ppg",), rng.standard_normal((100 * 40, 1))),
    }
    write_session(Recording(session_id, "anna", signals, trials=trials), path)


def _trials(distribution: Any = ((0.25, 0.75), (0.5, 0.5))) -> Trials:
    truth = None if distribution is None else np.array(distribution, dtype=float)
    names = ("calm", "tense") if truth is not None else ()
    return Trials(np.array([3.0, 20.0]), np.array([12.0, 30.0]), ("a", "b"), truth, names)


def test_only_rows_whose_windows_lie_inside_a_trial_have_its_label(tmp_path: Path) -> None:
    _session(tmp_path / "one.h5", trials=_trials())
    table = read_training_data([tmp_path])
    assert table.emotions == ("calm", "tense")
    assert table.labels is not None
    for start, label, trial in zip(table.windows.start_s, table.labels, table.trial, strict=True):
        # a row's longest window is the 5 s that end one second after its start
        first, last = start - 4, start + 1
        if first >= 3 and last <= 12:
            assert (label.tolist(), trial) == ([0.25, 0.75], "s1/a")
        elif first >= 20 and last <= 30:
            assert (label.tolist(), trial) == ([0.5, 0.5], "s1/b")
        else:
            assert np.isnan(label).all()
            assert trial == ""
    assert np.isfinite(table.labels[:, 0]).sum() == 5 + 6


@pytest.mark.parametrize("trials", [None, _trials(None)])
def test_a_session_without_truth_is_refused(tmp_path: Path, trials: Trials | None) -> None:
    _session(tmp_path / "one.h5", trials=trials)
    with pytest.raises(TableError, match=r"one\.h5 has no truth to train on.*label_names"):
        read_training_data([tmp_path / "one.h5"])


def test_a_label_row_that_does_not_sum_to_1_is_refused_by_its_trial(tmp_path: Path) -> None:
    _session(tmp_path / "one.h5", trials=_trials())
    with h5py.File(tmp_path / "one.h5", "r+") as file:
        file["trials/distribution"][1] = [0.5, 0.9]
    with pytest.raises(RecordingError, match=r"trial 'b' is not a distribution.*sum 1\.4"):
        read_training_data([tmp_path / "one.h5"])


# ---- together ----


def test_tables_of_two_specs_are_refused_with_both_fingerprints(tmp_path: Path) -> None:
    write_dmer(tmp_path / "S01")
    _session(tmp_path / "one.h5", trials=_trials())
    with pytest.raises(SpecError) as error:
        read_training_data([tmp_path / "one.h5", tmp_path / "S01"])
    for spec_id in ("emodict-1", "dmer-2024"):
        assert f"{spec_id} (" in str(error.value)
        assert load_spec(spec_id).fingerprint in str(error.value)


def test_tables_of_other_emotions_are_refused(tmp_path: Path) -> None:
    _session(tmp_path / "one.h5", trials=_trials())
    other = Trials(
        np.array([3.0]), np.array([12.0]), ("a",), np.array([[0.5, 0.5]]), ("calm", "sad")
    )
    _session(tmp_path / "two.h5", trials=other, session_id="s2")
    with pytest.raises(
        TableError, match=r"have different emotions\. Expected calm, tense, got calm, sad"
    ):
        read_training_data([tmp_path])


def test_an_empty_folder_and_a_strange_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"nothing to train on in the folder .*Expected session\.h5 files.*Name a folder",
    ):
        read_training_data([tmp_path])
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(
        TableError, match=r"notes\.txt is not training data.*got \.txt.*docs/session-format\.md"
    ):
        read_training_data([tmp_path / "notes.txt"])


@pytest.mark.parametrize("name", ["no.h5", "no.mat", "no.npz", "no.csv", "no"])
def test_a_file_that_is_not_there_is_named_and_said_not_to_be_there(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match=rf"There is no file or folder .*{name}.*Check the path"):
        read_training_data([tmp_path / name])


def test_no_data_at_all_is_refused() -> None:
    with pytest.raises(InputError, match=r"nothing to train on.*emodict-train simulate"):
        read_training_data([])


def test_a_spec_for_tables_and_a_part_of_what_has_none_are_refused(tmp_path: Path) -> None:
    table, session = tmp_path / "edl.csv", tmp_path / "s.h5"
    table.touch()
    session.touch()
    with pytest.raises(TableError, match=r"--spec chooses features for sessions.*got edl\.csv"):
        read_training_data([table], spec_id="emodict-1")
    with pytest.raises(TableError, match=r"s\.h5 has no parts"):
        read_training_data([session], part="train")
