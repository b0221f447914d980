"""Files that BrainFlow wrote: what comes out is what the rows and the board's description say."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import MissingDependencyError, RecordingError
from emodict_desk.importers.brainflow import read_brainflow

RNG = np.random.default_rng(7)
DESCRIPTION = {
    "name": "Band",
    "sampling_rate": 250,
    "timestamp_channel": 5,
    "package_num_channel": 0,
    "marker_channel": 6,
    "eeg_channels": [1, 2],
    "eeg_names": "Fp1,Fp2",
    "ppg_channels": [3],
    "eda_channels": [4],
    "num_rows": 7,
    "emg_channels": [1, 2],
}


def brainflow_file(
    path: Path,
    *,
    seconds: int = 4,
    drop: range | tuple[Any, ...] = (),
    package: Callable[..., Any] = lambda n: n % 256,
) -> np.ndarray:
    n = np.array([i for i in range(seconds * 250) if i not in drop])
    table = np.zeros((len(n), 7))
    table[:, 0] = [package(i) for i in n]
    table[:, 1:5] = RNG.normal(0, 10, (len(n), 4)).round(5)
    table[:, 5] = 1700000000.25 + n / 250
    table[100, 6] = 3.0
    np.savetxt(path, table, fmt="%.6f", delimiter="\t")
    path.with_name(path.name + ".json").write_text(json.dumps(DESCRIPTION))
    return table


def test_brainflow_columns_are_those_of_the_description_beside_the_file(tmp_path: Path) -> None:
    table = brainflow_file(tmp_path / "a.csv")
    recording = read_brainflow(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert (eeg.rate_hz, eeg.unit, eeg.channel_names) == (250.0, "uV", ("Fp1", "Fp2"))
    # Six decimals are written, and held in float32.
    np.testing.assert_allclose(eeg.samples[:], table[:, 1:3], rtol=2**-24, atol=0.51e-6)
    np.testing.assert_allclose(
        recording.signals["ppg"].samples[:, 0], table[:, 3], rtol=2**-24, atol=0.51e-6
    )
    assert recording.start_time == "2023-11-14T22:13:20.250000Z"  # 1700000000.25 in UTC
    assert [(e.onset_s, e.code) for e in recording.events] == [(0.4, 3)]


def test_brainflow_package_counter_shows_what_was_lost(tmp_path: Path) -> None:
    brainflow_file(tmp_path / "a.csv", drop=range(300, 310))
    recording = read_brainflow(tmp_path / "a.csv")
    assert "10 samples lost, by the package counter" in recording.attributes["notes"]
    np.testing.assert_array_equal(
        recording.signals["eeg"].sequence, [n for n in range(1000) if not 300 <= n < 310]
    )


def test_brainflow_packages_of_several_samples_are_placed_by_their_time(tmp_path: Path) -> None:
    brainflow_file(tmp_path / "a.csv", drop=range(300, 400), package=lambda n: n // 2 % 100)
    recording = read_brainflow(tmp_path / "a.csv")
    assert "100 samples lost, by the time stamps" in recording.attributes["notes"]


def test_brainflow_board_is_looked_up_in_brainflow_itself(tmp_path: Path) -> None:
    board_shim = pytest.importorskip("brainflow.board_shim")
    from brainflow.data_filter import DataFilter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the age of pkg_resources, on Python 3.10 and 3.11
        descr = board_shim.BoardShim.get_board_descr(board_shim.BoardIds.SYNTHETIC_BOARD)
    data = RNG.normal(0, 10, (descr["num_rows"], 500))
    data[descr["package_num_channel"]] = np.arange(500) % 256
    data[descr["timestamp_channel"]] = 1700000000 + np.arange(500) / descr["sampling_rate"]
    data[descr["marker_channel"]] = 0
    DataFilter.write_file(data, str(tmp_path / "a.csv"), "w")
    for board in ("-1", "SYNTHETIC_BOARD", "synthetic"):
        eeg = read_brainflow(tmp_path / "a.csv", board=board).signals["eeg"]
        assert eeg.channel_names == tuple(descr["eeg_names"].split(","))
        np.testing.assert_allclose(
            eeg.samples[:], data[descr["eeg_channels"]].T, rtol=2**-24, atol=0.51e-6
        )
    with pytest.raises(RecordingError, match="knows no board '9999'"):
        read_brainflow(tmp_path / "a.csv", board="9999")
    with pytest.raises(RecordingError, match=r"not from the board.*columns"):
        read_brainflow(tmp_path / "a.csv", board="38")


def test_brainflow_without_a_board_or_the_package_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brainflow_file(tmp_path / "a.csv")
    (tmp_path / "a.csv.json").unlink()
    with pytest.raises(
        RecordingError, match=r"does not say which board.*--board ID, or .*a\.csv\.json"
    ):
        read_brainflow(tmp_path / "a.csv")
    monkeypatch.setitem(sys.modules, "brainflow", None)
    monkeypatch.setitem(sys.modules, "brainflow.board_shim", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[brainflow\]'"):
        read_brainflow(tmp_path / "a.csv", board="38")


def brainflow_rows(path: Path, descr: dict[Any, Any], rows: int = 20, columns: int = 8) -> Path:
    """Cell c of row n is 100 c + n; beside it the description."""
    table = np.arange(rows)[:, None] + 100 * np.arange(columns)
    np.savetxt(path, table, fmt="%.1f", delimiter="\t")
    path.with_name(path.name + ".json").write_text(
        json.dumps({"sampling_rate": 250, "num_rows": columns, **descr})
    )
    return path


def test_brainflow_of_several_lights_the_second_is_the_pulse_and_of_skin_the_first(
    tmp_path: Path,
) -> None:
    descr = {"ppg_channels": [3, 4, 5], "eda_channels": [6, 7], "accel_channels": [1, 2]}
    recording = read_brainflow(brainflow_rows(tmp_path / "a.csv", descr))
    assert (recording.signals["ppg"].samples[0, 0], recording.signals["gsr"].samples[0, 0]) == (
        400,
        600,
    )
    notes = recording.attributes["notes"]
    assert "ppg: column 5 taken of 4, 5, 6" in notes
    assert "gsr: column 7 taken of 7, 8" in notes
    assert "gsr: BrainFlow names no unit, samples taken for uS" in notes
    assert recording.attributes["left_out"] == "columns 2, 3 (accel)"
    one = read_brainflow(brainflow_rows(tmp_path / "b.csv", {"ppg_channels": [3]}))
    assert one.signals["ppg"].samples[0, 0] == 300
    assert "taken" not in one.attributes["notes"]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (
            [*range(500), *range(400, 500), *range(500, 1000)],
            "100 samples came twice (by the package counter); the second copies are left out",
        ),
        (
            [n // 20 * 20 + 19 - n % 20 for n in range(1000)],
            "950 samples came late, by the package counter",
        ),
    ],
)
def test_brainflow_rows_twice_or_out_of_order_are_put_right_and_said(
    tmp_path: Path, order: list[int], said: str
) -> None:
    path = tmp_path / "a.csv"
    table = brainflow_file(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[n] for n in order))
    recording = read_brainflow(path)
    eeg = recording.signals["eeg"]
    np.testing.assert_array_equal(eeg.samples[:], table[:, 1:3].astype(np.float32))
    assert eeg.sequence is None
    assert said in recording.attributes["notes"]
    assert [e.onset_s for e in recording.events] == [pytest.approx(0.4)]
    assert recording.start_time == "2023-11-14T22:13:20.250000Z"


def test_brainflow_a_file_with_commas_is_told_what_it_looks_like(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.txt", "%OpenBCI Raw EXG Data\n%Sample Rate = 250 Hz\n0, 1, 2, 3, 4, 5, 6, 7\n"
    )
    with pytest.raises(
        RecordingError,
        match=r"separated by tabs.*got what looks like .*`emodict-session import openbci`",
    ):
        read_brainflow(path, board="0")


def test_brainflow_a_counter_that_is_given_up_is_said(tmp_path: Path) -> None:
    brainflow_file(tmp_path / "a.csv", package=lambda n: n // 12 % 256)
    assert (
        "the package counter does not count samples: it is not used"
        in read_brainflow(tmp_path / "a.csv").attributes["notes"]
    )


@pytest.mark.parametrize(
    ("board", "lights", "taken"), [("Emotibit", 3, 300), ("Muse2", 3, 400), ("Galea", 2, 400)]
)
def test_brainflow_infrared_is_where_the_board_has_it(
    tmp_path: Path, board: str, lights: int, taken: int
) -> None:
    descr = {"name": board, "ppg_channels": [3, 4, 5][:lights]}
    recording = read_brainflow(brainflow_rows(tmp_path / "a.csv", descr))
    assert recording.signals["ppg"].samples[0, 0] == taken


def test_brainflow_electrodes_without_names_are_numbered(tmp_path: Path) -> None:
    descr = {
        "eeg_channels": [2, 1],
        "emg_channels": [1, 3],
        "ecg_channels": [1, 2],
        "other_channels": [],
    }
    recording = read_brainflow(brainflow_rows(tmp_path / "a.csv", descr))
    assert recording.signals["eeg"].channel_names == ("ch1", "ch2")
    assert recording.signals["eeg"].samples[0].tolist() == [200, 100]
    assert "EEG channels are numbered" in recording.attributes["notes"]
    # Columns that are EEG as well are no loss.
    assert recording.attributes["left_out"] == "columns 2, 4 (emg)"
    named = brainflow_rows(tmp_path / "b.csv", {"eeg_channels": [2, 1], "eeg_names": "Fz, Cz"})
    assert read_brainflow(named).signals["eeg"].channel_names == ("Fz", "Cz")
    assert "numbered" not in read_brainflow(named).attributes["notes"]


def test_brainflow_without_counter_and_time_says_that_losses_cannot_be_seen(tmp_path: Path) -> None:
    recording = read_brainflow(brainflow_rows(tmp_path / "a.csv", {"eeg_channels": [1]}))
    assert "neither package counter nor time stamps" in recording.attributes["notes"]
    assert (recording.start_time, recording.events, recording.session_id) == ("", (), "a")
    named = read_brainflow(tmp_path / "a.csv", subject_id="anna", session_id="monday")
    assert (named.subject_id, named.session_id) == ("anna", "monday")
    timed = brainflow_rows(tmp_path / "b.csv", {"eeg_channels": [1], "timestamp_channel": 2})
    assert "neither" not in read_brainflow(timed).attributes.get("notes", "")


@pytest.mark.parametrize(
    ("descr", "said"),
    [
        ({"accel_channels": [1]}, "has no EEG, PPG or EDA"),
        ({"eeg_channels": [1], "num_rows": 9}, "Expected 9 columns, got 8"),
        ({"eeg_channels": [1], "num_rows": 7}, "Expected 7 columns, got 8"),
        ({"eeg_channels": [1], "num_rows": 0}, "Expected 2 columns, got 8"),
        ({"eeg_channels": [1, -1]}, "eeg_channels names no columns"),
        ({"eeg_channels": [1, 10_000]}, "eeg_channels names no columns"),
        ({"eeg_channels": [1], "marker_channel": True}, "marker_channel names no columns"),
        ({"eeg_channels": [9_999]}, "Expected 10000 columns, got 8"),
        ({"sampling_rate": "fast"}, "is not a description of a board: ValueError"),
        ({"num_rows": 0}, "Expected 0 columns, got 8"),
    ],
)
def test_brainflow_descriptions_that_do_not_fit_are_refused(
    tmp_path: Path, descr: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecordingError, match=said):
        read_brainflow(brainflow_rows(tmp_path / "a.csv", descr))
    # Where the last column that is used is the last there is, nothing need say how many there are.
    assert read_brainflow(
        brainflow_rows(tmp_path / "b.csv", {"eeg_channels": [0, 7], "num_rows": 0})
    ).signals


def test_brainflow_presets_are_those_of_the_package(tmp_path: Path) -> None:
    pytest.importorskip("brainflow.board_shim")
    with pytest.raises(
        RecordingError, match=r"has no preset 'best'.*default.*auxiliary.*ancillary"
    ):
        read_brainflow(brainflow_rows(tmp_path / "a.csv", {}), board="-1", preset="best")


def test_brainflow_bad_cell_is_named_by_line(tmp_path: Path) -> None:
    brainflow_file(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    lines[41] = lines[41].replace(lines[41].split("\t")[2], "oops")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match=r"line 42, cell 3: not a number.*'oops'"):
        read_brainflow(tmp_path / "a.csv")
