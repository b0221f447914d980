"""K-EmoCon, by a made-up folder of its layout: what was rated alike becomes a trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emodict.errors import RecordingError
from emodict_desk.importers.kemocon import EMOTIONS, read_kemocon
from emodict_desk.importers.kinds import kind_of
from emodict_desk.tables.stimuli import STIMULUS

# The wrist was on 8 s before the debate began; in Unix milliseconds.
WORN_MS, DEBATE_MS, SECONDS = 1_500_000_000_000, 1_500_000_008_000, 40
# Seconds, arousal, valence, and the five emotions; the third row is like the second.
RATED = (
    (5, 1, 3, 1, 1, 1, 2, 1),
    (10, 2, 3, 3, 4, 1, 1, 1),
    (15, 2, 3, 3, 4, 1, 1, 1),
    (20, 3, 3, 1, 1, 4, 2, 1),
)
HEAD = "seconds,arousal,valence,cheerful,happy,angry,nervous,sad"


def write_kemocon(folder: Path, *, doubled: bool = False) -> Path:
    """e4_data/7 and what lies beside e4_data: MADE UP, with no person behind it."""

    def made(name: str) -> Path:
        top, _, rest = name.partition("/")
        path = folder / top / top / rest if doubled else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    wrist = made("e4_data/7/E4_BVP.csv").parent
    for file, rate_hz in (("E4_BVP.csv", 64), ("E4_EDA.csv", 4)):
        n = np.arange(SECONDS * rate_hz)
        stamps = [f"{WORN_MS + 1000 * i / rate_hz:.3f}" for i in n]
        rows = [f"{stamp},7,{2 + i / 100:.2f},A0001" for stamp, i in zip(stamps, n, strict=True)]
        # A second wristband, worn by somebody else for a moment.
        rows += [f"{stamps[0]},7,99,A0002"] * 3
        (wrist / file).write_text("\n".join(["timestamp,pid,value,device_serial", *rows]) + "\n")
    rated = [",".join(map(str, row)) for row in RATED]
    made("emotion_annotations/self_annotations/P7.self.csv").write_text(
        "\n".join([HEAD, *rated]) + "\n"
    )
    made("metadata/subjects.csv").write_text(
        f"pid,initTime,startTime,endTime\n6,0,1,2\n7,{WORN_MS},{DEBATE_MS},{DEBATE_MS + 20_000}\n"
    )
    return wrist


@pytest.mark.parametrize("doubled", [False, True])
def test_ratings_become_trials_on_the_clock_of_the_wrist(doubled: bool, tmp_path: Path) -> None:
    wrist = write_kemocon(tmp_path, doubled=doubled)
    assert kind_of(wrist) == "kemocon"
    recording = read_kemocon(wrist)
    trials = recording.trials
    assert trials is not None
    assert trials.trial_id == ("0-5 s", "5-15 s", "15-20 s")
    # Eight seconds after the wrist was put on.
    np.testing.assert_allclose(trials.start_s, [8, 13, 23], atol=1e-6)
    np.testing.assert_allclose(trials.stop_s, [13, 23, 28], atol=1e-6)
    scores = np.array([RATED[i][3:] for i in (0, 1, 3)], dtype=float)
    np.testing.assert_allclose(trials.truth, scores / scores.sum(axis=1, keepdims=True), rtol=1e-14)
    assert trials.label_names == EMOTIONS
    assert (recording.subject_id, recording.start_time) == ("P7", "2017-07-14T02:40:00Z")
    # Nobody else had this debate's minute.
    assert STIMULUS not in recording.attributes


def test_the_wristband_with_more_samples_is_taken_and_that_is_said(tmp_path: Path) -> None:
    recording = read_kemocon(write_kemocon(tmp_path))
    for modality, rate_hz in (("ppg", 64), ("gsr", 4)):
        signal = recording.signals[modality]
        n = np.arange(SECONDS * rate_hz)
        assert (signal.rate_hz, signal.sample_count, signal.start_s) == (rate_hz, len(n), 0)
        # Two decimals in the file.
        np.testing.assert_allclose(signal.read(0, len(n))[:, 0], 2 + n / 100, atol=0.006)
    assert "E4_BVP.csv is of 2 wristbands" in recording.attributes["notes"]


def test_rows_that_stand_twice_count_once_and_late_ones_are_put_back(tmp_path: Path) -> None:
    wrist = write_kemocon(tmp_path)
    head, *rows = (wrist / "E4_BVP.csv").read_text().splitlines()
    twice = [row for i, row in enumerate(rows) for row in [row] * (2 if i % 10 == 0 else 1)]
    twice[4], twice[6] = twice[6], twice[4]
    (wrist / "E4_BVP.csv").write_text("\n".join([head, *twice]) + "\n")
    recording = read_kemocon(wrist)
    ppg = recording.signals["ppg"]
    n = np.arange(SECONDS * 64)
    # Two decimals in the file.
    np.testing.assert_allclose(ppg.read(0, len(twice))[:, 0], 2 + n / 100, atol=0.006)
    assert (ppg.start_s, ppg.sequence, ppg.timestamps_s) == (0, None, None)
    assert "ppg: 256 samples came twice (by the times)" in recording.attributes["notes"]
    set_back = [head, *rows[1000:2000], *rows[:500]]
    (wrist / "E4_BVP.csv").write_text("\n".join(set_back) + "\n")
    with pytest.raises(RecordingError, match=r"E4_BVP\.csv: its times run back"):
        read_kemocon(wrist)


def test_what_lies_beside_must_be_there_and_know_the_person(tmp_path: Path) -> None:
    wrist = write_kemocon(tmp_path)
    subjects = tmp_path / "metadata" / "subjects.csv"
    subjects.write_text("pid,initTime,startTime,endTime\n6,0,1,2\n")
    with pytest.raises(RecordingError, match="no startTime of the person 7"):
        read_kemocon(wrist)
    subjects.unlink()
    with pytest.raises(RecordingError, match="with emotion_annotations and metadata beside"):
        read_kemocon(wrist)
    (tmp_path / "emotion_annotations" / "self_annotations" / "P7.self.csv").unlink()
    assert kind_of(wrist) is None


@pytest.mark.parametrize(
    # The debate began when the wristband had been on for 15 or 30 s of 40, or in 1970, in seconds.
    ("debate_ms", "trials"),
    [(WORN_MS + 30_000, ["0-5 s", "5-15 s"]), (WORN_MS + 15_000, None), (DEBATE_MS // 1000, [])],
)
def test_trials_beyond_the_recording_are_left_out_or_refused(
    debate_ms: int, trials: list[str] | None, tmp_path: Path
) -> None:
    wrist = write_kemocon(tmp_path)
    (tmp_path / "metadata" / "subjects.csv").write_text(f"pid,startTime\n7,{debate_ms}\n")
    if trials == []:
        with pytest.raises(RecordingError, match=r"trial '0-5 s' is not in the recording.*0 to 40"):
            read_kemocon(wrist)
        return
    recording = read_kemocon(wrist)
    assert recording.trials is not None
    assert recording.trials.trial_id == tuple(trials or ("0-5 s", "5-15 s", "15-20 s"))
    left_out = recording.attributes.get("left_out", "")
    assert ("trial 15-20 s (not in the recording)" in left_out) is (trials is not None)
    cut = "trial '5-15 s' stops at 45.0 s, and the recording ends at 40.0 s"
    assert (cut in recording.attributes["notes"]) is (trials is not None)
