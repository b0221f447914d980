"""CSV of muse-lsl: what comes out is what the rows say, at the headband's rate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.muse_lsl import read_muse_lsl

RNG = np.random.default_rng(3)
UNIX_S = 1533059192.499
EEG_COLUMNS = "timestamps,TP9,AF7,AF8,TP10,Right AUX,Marker0"


def muse_lsl_file(
    path: Path, *, samples: Iterable[int] = range(3000), rate_hz: float = 256.0
) -> np.ndarray:
    """Rows of these samples, their times rounded to ms; a marker of 3 at sample 512.

    Returns (all samples, 4) of EEG.
    """
    numbers = list(samples)
    values = RNG.normal(0, 30, (max(numbers) + 1, 4)).round(3)
    rows = (
        f"{UNIX_S + n / rate_hz:.3f},{','.join(f'{v:.3f}' for v in values[n])},0.5,"
        f"{3 if n == 512 else 0}"
        for n in numbers
    )
    write(path, f"{EEG_COLUMNS}\n" + "".join(f"{row}\n" for row in rows))
    return values


def test_eeg_in_microvolts_stands_on_the_even_clock_though_its_times_are_rounded(
    tmp_path: Path,
) -> None:
    values = muse_lsl_file(tmp_path / "a.csv")
    recording = read_muse_lsl(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    np.testing.assert_array_equal(eeg.samples[:], values.astype(np.float32))
    assert (eeg.rate_hz, eeg.unit, eeg.reference) == (256.0, "uV", "Fpz")
    assert eeg.channel_names == ("TP9", "AF7", "AF8", "TP10")
    assert eeg.timestamps_s is None
    assert recording.start_time == "2018-07-31T17:46:32.499000Z"
    # Times are rounded to ms.
    assert [(round(e.onset_s, 2), e.code) for e in recording.events] == [(2.0, 3)]
    assert recording.attributes["left_out"] == "column Right AUX (not used)"
    assert kind_of(tmp_path / "a.csv") == "muse-lsl"


def test_no_sample_comes_before_the_recording_begins(tmp_path: Path) -> None:
    # Rounded to ms the first time is later than the line through all of them.
    kept = np.r_[0:1200, 1212:3000]
    muse_lsl_file(tmp_path / "a.csv", samples=kept.tolist())
    eeg = read_muse_lsl(tmp_path / "a.csv").signals["eeg"]
    assert eeg.timestamps_s is not None
    assert eeg.timestamps_s[0] == 0.0
    # Each stretch is as late as its earliest sample: half of the ms that times are rounded to.
    np.testing.assert_allclose(eeg.timestamps_s, kept / 256, atol=1.1e-3)


def test_lost_samples_are_gaps_and_the_rest_stays_at_its_rate(tmp_path: Path) -> None:
    kept = np.r_[0:1000, 1300:3000]
    muse_lsl_file(tmp_path / "a.csv", samples=kept.tolist())
    recording = read_muse_lsl(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert eeg.rate_hz == 256.0
    # Each stretch is as late as its earliest sample: half of the ms that times are rounded to.
    np.testing.assert_allclose(eeg.timestamps_s, kept / 256, atol=6e-4)
    assert "eeg: 300 samples lost, by the times" in recording.attributes["notes"]


@pytest.mark.parametrize(("comes_at_hz", "taken_hz"), [(253.5, 256.0), (250.0, 250.0)])
def test_a_rate_that_is_not_the_headbands_is_taken_as_measured_and_doubted(
    tmp_path: Path, comes_at_hz: float, taken_hz: float
) -> None:
    muse_lsl_file(tmp_path / "a.csv", rate_hz=comes_at_hz)
    recording = read_muse_lsl(tmp_path / "a.csv")
    assert recording.signals["eeg"].rate_hz == pytest.approx(taken_hz, rel=1e-3)
    doubted = "eeg: 250 Hz measured, not the usual 256 Hz: if samples were lost, its"
    assert (doubted in recording.attributes.get("notes", "")) is (taken_hz != 256.0)


def test_of_three_lights_the_infrared_one_is_the_pulse(tmp_path: Path) -> None:
    rows = "".join(f"{UNIX_S + n / 64:.3f},1,{n % 70},3\n" for n in range(640))
    recording = read_muse_lsl(write(tmp_path / "a.csv", f"timestamps,PPG1,PPG2,PPG3\n{rows}"))
    ppg = recording.signals["ppg"]
    assert (ppg.rate_hz, ppg.unit, ppg.channel_names) == (64.0, "a.u.", ("ppg",))
    np.testing.assert_array_equal(ppg.samples[:, 0], np.arange(640) % 70)
    assert "column PPG1 (not used), column PPG3 (not used)" in recording.attributes["left_out"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timestamps,TP9\n", "holds no samples"),
        ("timestamps,TP9\n1533059192.5,1\nx,2\n", "line 3, column timestamps: not a number"),
        ("timestamps,TP9\n1533059192.5,1\n,2\n", "line 3: no time"),
        ("timestamps,TP9\n3,1\n2,5\n9,7\n4,7\n", "its times run back"),
        ("timestamps,TP9,Marker0\n3,1,0\n4,1,1e300\n", "line 3: the marker is too large"),
        ("time,PPG\n0,1\n", "cannot be read.*import csv"),
        ("timestamps,X,Y\n0,1,2\n", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        read_muse_lsl(write(tmp_path / "a.csv", text))


def test_the_real_recording_has_the_numbers_of_its_rows_at_the_mean_rate(
    shared_cases: Path,
) -> None:
    path = shared_cases / "03_muselsl_ms_timestamps" / "muselsl.csv"
    eeg = read_muse_lsl(path).signals["eeg"]
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    np.testing.assert_array_equal(eeg.samples[:], np.float32([row[1:5] for row in rows]))
    times_s = np.array([float(row[0]) for row in rows]) - float(rows[0][0])
    assert eeg.rate_hz == 256.0
    placed = np.arange(len(rows)) / 256 if eeg.timestamps_s is None else eeg.timestamps_s
    # Times are rounded to ms.
    np.testing.assert_allclose(placed, times_s, atol=1e-3)
