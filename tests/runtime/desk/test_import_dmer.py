"""DMER datas.mat written by scipy: videos become trials, aligned at their end,
with the truth of their label row.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from emodict.errors import RecordingError
from emodict.features.spec import load_spec
from emodict.recording.session import open_session, write_session
from emodict_desk.importers.dmer import read_dmer
from emodict_desk.tables.stimuli import STIMULUS
from emodict_desk.tables.table import table_from_recording

RNG = np.random.default_rng(3)
# Video 2 is seen first; PPG and GSR of video 0 start a little later than its EEG.
SECONDS = {2: 8.0, 0: 6.0}


def arrays(**change: Any) -> dict[str, np.ndarray]:
    def rows(channels: int, rate: int, shorter: float = 0.0) -> np.ndarray:
        parts = []
        for video, seconds in SECONDS.items():
            count = round((seconds - shorter * (video == 0)) * rate)
            parts.append(
                np.vstack([RNG.normal(5, 1, (channels, count)), np.full((1, count), video)])
            )
        return np.hstack(parts)

    content = {
        "eeg_datas": rows(18, 300),
        "ppg_datas": rows(1, 100, 0.5),
        "gsr_datas": rows(1, 4, 0.5),
    }
    content["dis_label"] = RNG.integers(1, 6, (3, 10)).astype(float)
    return {name: value for name, value in {**content, **change}.items() if value is not None}


@pytest.fixture
def subject(tmp_path: Path) -> Callable[..., Any]:
    def make(**change: Any) -> tuple[Path, dict[str, np.ndarray]]:
        folder = tmp_path / "sub07"
        folder.mkdir(exist_ok=True)
        content = arrays(**change)
        savemat(folder / "datas.mat", content)
        return folder, content

    return make


def test_videos_become_trials_with_their_label_row_as_truth(subject: Callable[..., Any]) -> None:
    folder, content = subject()
    recording = read_dmer(folder)
    assert recording.attributes[STIMULUS] == "video"
    trials = recording.trials
    assert trials.trial_id == ("video02", "video00")
    np.testing.assert_allclose(trials.start_s, [1.0, 10.0])  # a second of nothing before each
    np.testing.assert_allclose(trials.stop_s, [9.0, 16.0])
    scores = content["dis_label"]
    np.testing.assert_allclose(trials.distribution, (scores / scores.sum(1, keepdims=True))[[2, 0]])
    assert trials.label_names[:2] == ("Inspired", "Alert")
    assert recording.subject_id == "sub07"


def test_modalities_of_a_trial_end_together_and_nothing_lies_between_trials(
    subject: Callable[..., Any],
) -> None:
    folder, content = subject()
    recording = read_dmer(folder / "datas.mat")
    for modality, name, rate in (
        ("eeg", "eeg_datas", 300),
        ("ppg", "ppg_datas", 100),
        ("gsr", "gsr_datas", 4),
    ):
        signal, array = recording.signals[modality], content[name]
        samples = signal.samples[:]
        assert len(samples) == 16 * rate
        for video, stop_s in ((2, 9.0), (0, 16.0)):
            expected = array[:-1, array[-1] == video].T
            stop = round(stop_s * rate)
            np.testing.assert_allclose(samples[stop - len(expected) : stop], expected, rtol=1e-6)
        assert np.isnan(samples[9 * rate : 10 * rate]).all()
    assert recording.signals["eeg"].channel_names[:3] == ("P3", "C3", "F3")
    assert recording.signals["eeg"].reference == "Pz"


def test_the_session_gives_labelled_rows_for_training(
    subject: Callable[..., Any], tmp_path: Path
) -> None:
    folder, _ = subject()
    write_session(read_dmer(folder), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as recording:
        table = table_from_recording(recording, load_spec("emodict-1"), name="s")
    labelled = table.trial != ""
    assert {name.partition("/")[2] for name in table.trial[labelled]} == {"video02", "video00"}
    assert np.isfinite(table.labels[labelled]).all()
    # Of 8 s of EEG and 8 s of PPG, rows with all three whole begin where five seconds
    # of PPG and GSR are there.
    whole = table.windows.valid[:, :3].all(axis=1)
    assert whole[labelled].sum() >= 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"gsr_datas": np.array([[1.0, 2], [-1, 0]])},
            r"names a video without a label.*0\.\.2, got -1\.\.0",
        ),
        (
            {"gsr_datas": np.array([[1.0, 2], [0, 3]])},
            r"names a video without a label.*0\.\.2, got 0\.\.3",
        ),
        ({"gsr_datas": np.array([[1.0, 2], [np.nan, 0]])}, r"names no videos"),
        ({"gsr_datas": np.array([[1.0, 2], [np.inf, 0]])}, r"names no videos"),
        ({"gsr_datas": np.ones((3, 8))}, r"'gsr_datas' cannot be used.*\(2, samples\).*\(3, 8\)"),
        ({"gsr_datas": np.ones((2, 8, 2))}, r"'gsr_datas' cannot be used"),
        ({"dis_label": np.zeros((3, 10))}, r"'dis_label' cannot be used"),
        ({"dis_label": -np.ones((3, 10))}, r"'dis_label' cannot be used"),
        ({"dis_label": np.ones((3, 10, 2))}, r"'dis_label' cannot be used"),
        ({"dis_label": None}, r"'dis_label' cannot be used.*no such array"),
        ({"gsr_datas": None}, r"'gsr_datas' cannot be used.*no such array"),
        (
            {"eeg_datas": np.zeros((18, 100))},
            r"'eeg_datas' cannot be used.*\(19, samples\).*\(18, 100\)",
        ),
        ({"dis_label": np.ones((3, 7))}, r"'dis_label' cannot be used.*\(3, 7\)"),
        ({"dis_label": np.ones((2, 10))}, r"names a video without a label.*0\.\.1, got 0\.\.2"),
        ({"ppg_datas": np.array([[1.0, 2, 3], [0, 2, 0]])}, r"shows video 0 twice"),
        ({"ppg_datas": np.array([[1.0, 2], [0.5, 0]])}, r"names no videos"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(
    subject: Callable[..., Any], change: dict[str, Any], sentence: str
) -> None:
    folder, _ = subject(**change)
    with pytest.raises(RecordingError, match=sentence):
        read_dmer(folder)


def test_a_score_of_zero_is_a_score(subject: Callable[..., Any]) -> None:
    scores = np.eye(10)[:3] * 5
    folder, _ = subject(dis_label=scores)
    np.testing.assert_array_equal(read_dmer(folder).trials.distribution, np.eye(10)[[2, 0]])


def test_a_video_that_one_modality_lacks_or_has_alone_is_named_and_missing(
    subject: Callable[..., Any],
) -> None:
    gsr = np.vstack([np.arange(1.0, 33), np.full(32, 2.0)])
    ppg = np.vstack([np.ones(1000), np.repeat([2.0, 1.0], [800, 200])])
    folder, _ = subject(gsr_datas=gsr, ppg_datas=ppg)
    recording = read_dmer(folder, subject_id="anna", session_id="monday")
    assert (recording.subject_id, recording.session_id) == ("anna", "monday")
    assert recording.trials.trial_id == ("video02", "video00")
    assert "gsr_datas lacks video 0" in recording.attributes["notes"]
    assert "ppg_datas lacks video 0" in recording.attributes["notes"]
    assert "eeg_datas" not in recording.attributes["notes"]
    assert recording.attributes["left_out"] == "video 1 of ppg_datas (no EEG)"
    # A second of nothing, 8 s of video 2; a second of nothing, 6 s without skin conductance.
    samples = recording.signals["gsr"].samples[:, 0]
    np.testing.assert_array_equal(samples[4:36], np.arange(1.0, 33))
    assert len(samples) == 64
    assert np.isnan(samples[36:]).all()


def test_a_video_lasts_whole_quarters_of_a_second_of_its_longest_modality(
    subject: Callable[..., Any],
) -> None:
    # 8.01 s of EEG and 6.5 s of pulse; 6 s of EEG and 6.26 s of pulse.
    eeg = np.vstack([np.ones((18, 4203)), np.repeat([2.0, 0.0], [2403, 1800])[None]])
    ppg = np.vstack([np.ones(1276), np.repeat([2.0, 0.0], [650, 626])])
    folder, _ = subject(eeg_datas=eeg, ppg_datas=ppg)
    trials = read_dmer(folder).trials
    assert trials.start_s.tolist() == [1.0, 10.25]
    assert trials.stop_s.tolist() == [9.25, 16.75]


def test_arrays_that_are_not_used_are_named(subject: Callable[..., Any]) -> None:
    folder, _ = subject(other=np.ones((2, 2)))
    assert read_dmer(folder).attributes["left_out"] == "other (not used)"


def test_the_released_sample_is_told_from_the_signals(tmp_path: Path) -> None:
    savemat(
        tmp_path / "train.mat", {"train_eeg": np.zeros((4, 18, 4)), "train_label": np.ones((4, 10))}
    )
    with pytest.raises(
        RecordingError, match=r"holds features, not signals.*emodict-train fit '.*train\.mat'"
    ):
        read_dmer(tmp_path / "train.mat")
    savemat(tmp_path / "empty.mat", {})
    with pytest.raises(RecordingError, match="'dis_label' cannot be used"):
        read_dmer(tmp_path / "empty.mat")


def test_what_is_no_dmer_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="an empty folder"):
        read_dmer(tmp_path)
    (tmp_path / "datas.mat").write_text("no")
    with pytest.raises(RecordingError, match=r"datas\.mat cannot be read.*starts with b'no'"):
        read_dmer(tmp_path)
    with pytest.raises(RecordingError, match="There is no file"):
        read_dmer(tmp_path / "gone.mat")
