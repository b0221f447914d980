"""CASE, by made-up files of its layout: films become trials, the joystick's valence their truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emodict.errors import RecordingError
from emodict_desk.importers.case import read_case
from emodict_desk.importers.kinds import kind_of
from emodict_desk.tables.stimuli import STIMULUS

COLUMNS = "daqtime,ecg,bvp,gsr,rsp,skt,emg_zygo,emg_coru,emg_trap,video"
# Video and seconds: start, film 3, blue screen, film 1, end.
COURSE = ((10, 2), (3, 6), (11, 2), (1, 6), (12, 1))
VALENCE = {10: 5.0, 3: 9.5, 11: 5.0, 1: 2.75, 12: 5.0}


def write_case(folder: Path, *, step_ms: float = 1.0, valence: dict[int, float] = VALENCE) -> Path:
    """physiological/sub_1.csv and annotations/sub_1.csv: MADE UP, with no person behind them."""
    video = np.repeat([v for v, _ in COURSE], [1000 * s for _, s in COURSE])
    n = np.arange(len(video))
    zero = np.zeros(len(n))
    table = np.stack(
        [n * step_ms, zero, 40 + n / 1e3, 2 + n / 1e4, zero, zero, zero, zero, zero, video], axis=1
    )
    for name in ("physiological", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / "physiological" / "sub_1.csv"
    np.savetxt(path, table, fmt="%.4f", delimiter=",", header=COLUMNS, comments="")
    told = np.array([valence[int(v)] for v in video[::50]])
    # The joystick wavers by 0.25 up and down, and as often up as down.
    told += np.where((told > 0.75) & (told < 9.25), 0.25 * (-1.0) ** np.arange(len(told)), 0)
    rows = np.stack([n[::50] * step_ms, told, told, video[::50]], axis=1)
    np.savetxt(
        folder / "annotations" / "sub_1.csv",
        rows, fmt="%.4f", delimiter=",", header="jstime,valence,arousal,video", comments="",
    )  # fmt: skip
    return path


def test_films_become_trials_whose_truth_is_the_mean_valence(tmp_path: Path) -> None:
    path = write_case(tmp_path)
    assert kind_of(path) == "case"
    recording = read_case(path)
    trials = recording.trials
    assert trials is not None
    assert trials.trial_id == ("video3", "video1")
    np.testing.assert_allclose(trials.start_s, [2, 10], atol=1e-9)
    np.testing.assert_allclose(trials.stop_s, [8, 16], atol=1e-9)
    # (9.5 - 0.5) / 9 and (2.75 - 0.5) / 9.
    np.testing.assert_allclose(trials.truth, [[1, 0], [0.25, 0.75]], atol=1e-9)
    assert trials.label_names == ("Pleasant", "Unpleasant")
    assert recording.attributes[STIMULUS] == "film"


def test_pulse_and_skin_conductance_come_at_a_thousand_a_second(tmp_path: Path) -> None:
    recording = read_case(write_case(tmp_path))
    shapes = {name: (s.rate_hz, s.sample_count, s.unit) for name, s in recording.signals.items()}
    assert shapes == {"ppg": (1000.0, 17000, "a.u."), "gsr": (1000.0, 17000, "uS")}
    n = np.arange(17000)
    # Four decimals in the file, and float32 in memory.
    np.testing.assert_allclose(
        recording.signals["gsr"].read(0, 17000)[:, 0], 2 + n / 1e4, atol=1e-4
    )
    assert "ecg rsp skt" in recording.attributes["left_out"]


def test_raw_data_and_answers_beyond_the_joystick_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"not a millisecond apart.*data/interpolated"):
        read_case(write_case(tmp_path / "raw", step_ms=0.001))
    with pytest.raises(RecordingError, match=r"valence cannot be used. Expected 0.5 to 9.5"):
        read_case(write_case(tmp_path / "volt", valence={**VALENCE, 3: 26225.0}))


def test_a_file_without_its_annotations_is_not_of_case(tmp_path: Path) -> None:
    path = write_case(tmp_path)
    (tmp_path / "annotations" / "sub_1.csv").unlink()
    assert kind_of(path) != "case"
    with pytest.raises(RecordingError, match=r"and \.\./annotations/sub_N\.csv"):
        read_case(path)


def test_films_that_begin_after_the_samples_have_ended_are_left_out(tmp_path: Path) -> None:
    path = write_case(tmp_path)
    # A header and 9 s; the second film begins at 10 s.
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:9001]))
    recording = read_case(path)
    assert recording.trials is not None
    assert recording.trials.trial_id == ("video3",)
    assert "trial video1 (not in the recording)" in recording.attributes["left_out"]
