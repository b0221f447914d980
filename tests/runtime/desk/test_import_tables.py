"""CSV of DSI-Streamer, Mind Monitor and BrainFlow, and plain CSV: what comes out is what the rows say."""

from __future__ import annotations

import json
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emodict.errors import MissingDependencyError, RecordingError
from emodict.recording.electrodes import electrode_names
from emodict_desk.importers.brainflow import read_brainflow
from emodict_desk.importers.dsi import read_dsi
from emodict_desk.importers.muse import read_muse
from emodict_desk.importers.plain_csv import read_csv
from emodict_desk.importers.text import BLOCK_ROWS

RNG = np.random.default_rng(7)
DSI_HEADER = [
    "#File Format Version,1.2", "#Product,DSI-24", "#Subject ID,P11", "#Date,2024-05-01", "#Time,09:30:05",
    "#Sample Rate,300", "#Sensor Data Units,uV", "#Reference,Pz",
]  # fmt: skip
DSI_COLUMNS = "Time,P3,C3,A1,Trigger,Time_Offset,ADC_Status,ADC_Sequence,Event,Comments"


def dsi_file(
    path: Path,
    *,
    rows: int = 600,
    drop: range | tuple[Any, ...] = (),
    header: list[str] = DSI_HEADER,
    columns: str = DSI_COLUMNS,
    change: Callable[..., Any] | None = None,
    wrap: int = 1 << 16,
) -> np.ndarray:
    """`drop` are the counts of samples that never arrived; the time stamps come in bursts of 30, as they do."""
    values = RNG.normal(0, 20, (rows, 3)).round(4)
    lines = []
    for n in range(rows):
        if n in drop:
            continue
        burst_s = (n // 30) * 30 / 300 + 0.07 * (n // 30 % 3)
        trigger = 4 if 100 <= n < 130 else 9 if 300 <= n < 310 else 0
        remark = ",eyes closed" if n == 450 else ","
        cells = ",".join(f"{v:.4f}" for v in values[n])
        lines.append(f"{burst_s:.4f},{cells},{trigger},0.0,0,{(n + 65000) % wrap},{remark}")
    if change:
        lines = change(lines)
    path.write_text("\n".join([*header, columns, *lines]) + "\n")
    return values


def test_dsi_rate_reference_and_unit_are_the_headers_and_samples_the_rows(tmp_path: Path) -> None:
    values = dsi_file(tmp_path / "a.csv")
    recording = read_dsi(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert (eeg.rate_hz, eeg.unit, eeg.reference, eeg.channel_names) == (300.0, "uV", "Pz", ("P3", "C3", "A1"))
    np.testing.assert_allclose(eeg.samples[:], values, rtol=2**-24, atol=0.51e-4)  # four decimals, then float32
    assert eeg.sequence is None
    assert eeg.timestamps_s is None
    assert (recording.start_time, recording.subject_id) == ("2024-05-01T09:30:05", "P11")
    assert recording.device == "DSI-24"
    assert recording.attributes["left_out"] == "Time (not used), Time_Offset (not used), ADC_Status (not used)"


def test_dsi_counter_places_samples_though_it_wraps_and_some_are_lost(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv", drop=range(200, 240))
    recording = read_dsi(tmp_path / "a.csv")
    np.testing.assert_array_equal(recording.signals["eeg"].sequence, [n for n in range(600) if not 200 <= n < 240])
    assert "40 samples lost" in recording.attributes["notes"]
    events = [(round(e.onset_s * 300), e.code, e.description) for e in recording.events]
    assert events == [(100, 4, "trigger"), (300, 9, "trigger"), (450, 0, "eyes closed")]


@pytest.mark.parametrize("block_rows", [BLOCK_ROWS, 110, 111])
def test_dsi_trigger_stays_what_it_was_through_empty_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    monkeypatch.setattr("emodict_desk.importers.text.BLOCK_ROWS", block_rows)
    empty = {0, 110, 111, 299, 305}

    def without_triggers(rows: list[str]) -> list[str]:
        return [",".join([*r.split(",")[:4], "", *r.split(",")[5:]]) if n in empty else r for n, r in enumerate(rows)]

    dsi_file(tmp_path / "a.csv", change=without_triggers)
    events = read_dsi(tmp_path / "a.csv").events
    assert [(round(e.onset_s * 300), e.code) for e in events] == [(100, 4), (300, 9), (450, 0)]


def test_dsi_header_is_understood_with_colons_and_units_in_brackets(tmp_path: Path) -> None:
    header = ["# Sample Frequency (Hz): 300", "# Reference: LE", "# Subject: P11"]
    dsi_file(tmp_path / "a.csv", header=header)
    recording = read_dsi(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert (eeg.rate_hz, eeg.reference, eeg.unit, recording.subject_id) == (300.0, "LE", "uV", "P11")
    assert "no unit: samples taken for uV" in recording.attributes["notes"]


def test_dsi_without_a_counter_is_placed_by_row_and_says_so(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv", columns=DSI_COLUMNS.replace("ADC_Sequence", "Other"))
    recording = read_dsi(tmp_path / "a.csv")
    assert recording.signals["eeg"].sequence is None
    assert "placed by row" in recording.attributes["notes"]


def test_dsi_without_a_rate_is_refused(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv", header=["#Reference,Pz"])
    with pytest.raises(RecordingError, match=r"names no sampling rate.*Sample Rate,300"):
        read_dsi(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: [*rows[:5], rows[5].replace(",0.0,", ",x,", 1).replace(rows[5].split(",")[1], "abc"), *rows[6:]],
         r"line 15, column P3: not a number.*'abc'"),
        (lambda rows: [*rows[:5], rows[5] + ",1", *rows[6:]], r"line 15: the row does not fit.*10 cells, got 11"),
        (lambda rows: [*rows[:5], "1,2", *rows[6:]], r"line 15: the row does not fit.*10 cells, got 2"),
        (lambda rows: [row.replace(".", ",") for row in rows], r"line 10: .*a point for the decimals"),
        (lambda rows: [], "holds no samples"),
    ],
)  # fmt: skip
def test_dsi_bad_rows_are_named_by_line_and_column(tmp_path: Path, change: Callable[..., Any], sentence: str) -> None:
    dsi_file(tmp_path / "a.csv", change=change)
    with pytest.raises(RecordingError, match=sentence):
        read_dsi(tmp_path / "a.csv")


def test_dsi_cut_off_in_its_last_line_gives_the_whole_lines_and_says_so(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv")
    content = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(content[: content.rstrip().rindex("\n") + 20])
    recording = read_dsi(tmp_path / "a.csv")
    assert recording.signals["eeg"].sample_count == 599
    assert "line 609 (cut off after" in recording.attributes["left_out"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_dsi_a_last_line_that_is_short_but_whole_is_refused(tmp_path: Path, end: str) -> None:
    dsi_file(tmp_path / "a.csv", rows=20)
    with (tmp_path / "a.csv").open("a", newline="") as file:
        file.write("1,2" + end)
    with pytest.raises(RecordingError, match=r"line 30: the row does not fit.*10 cells, got 2"):
        read_dsi(tmp_path / "a.csv")


def test_dsi_a_last_line_that_is_too_long_was_not_cut_off(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv", rows=20)
    with (tmp_path / "a.csv").open("a") as file:
        file.write("1" + ",1" * 10)
    with pytest.raises(RecordingError, match=r"line 30: the row does not fit.*10 cells, got 11"):
        read_dsi(tmp_path / "a.csv")


@pytest.mark.parametrize("rate", ["0", "0.0", "-300", "fast"])
def test_dsi_a_rate_that_is_none_is_refused(tmp_path: Path, rate: str) -> None:
    dsi_file(tmp_path / "a.csv", header=[f"#Sample Rate,{rate}"])
    with pytest.raises(RecordingError, match=f"names no sampling rate.*got {rate}"):
        read_dsi(tmp_path / "a.csv")


def test_dsi_a_rate_may_have_decimals(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv", header=["#Sample Rate,299.5", "#Sensor Data Units,mV"])
    eeg = read_dsi(tmp_path / "a.csv").signals["eeg"]
    assert (eeg.rate_hz, eeg.unit) == (299.5, "mV")


def test_dsi_without_a_channel_between_time_and_trigger_is_none_of_dsis(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read"):
        read_dsi(write(tmp_path / "a.csv", "#Sample Rate,300\nTime,Trigger,ADC_Sequence\n0,0,0\n"))
    one = read_dsi(write(tmp_path / "b.csv", "#Sample Rate,300\nTime,Cz,Trigger\n0,1.5,0\n0,2.5,0\n"))
    assert one.signals["eeg"].samples[:].tolist() == [[1.5], [2.5]]
    for columns in ("Zeit,Cz,Trigger", "Time,Cz,Mark"):
        with pytest.raises(RecordingError, match="cannot be read"):
            read_dsi(write(tmp_path / "c.csv", f"#Sample Rate,300\n{columns}\n0,1.5,0\n"))


def test_dsi_events_and_comments_are_told_from_empty_ones_and_numbers_are_codes(tmp_path: Path) -> None:
    cells = [("0", ""), ("12", ""), ("7.0", "eyes open"), ("0.0000", "rest"), ("1234567890", ""), ("1.5", ""), ("", "")]
    rows = "".join(f"0,1,0,{n},{event},{comment}\n" for n, (event, comment) in enumerate(cells))
    header = "#Sample Rate,300\nTime,Cz,Trigger,ADC_Sequence,Event,Comments\n"
    events = read_dsi(write(tmp_path / "a.csv", header + rows)).events
    assert [(round(e.onset_s * 300), e.code, e.description) for e in events] == [
        (1, 12, "12"), (2, 7, "7.0 eyes open"), (3, 0, "rest"), (4, 0, "1234567890"), (5, 0, "1.5"),
    ]  # fmt: skip


def test_dsi_a_counter_that_counts_nothing_or_has_holes_is_said(tmp_path: Path) -> None:
    header = "#Sample Rate,300\nTime,Cz,Trigger,ADC_Sequence\n"
    for counter, said in ((lambda n: 5, "ADC_Sequence does not count samples"), (lambda n: n or "", "no whole sample")):
        rows = "".join(f"0,{n},0,{counter(n)}\n" for n in range(9))
        recording = read_dsi(write(tmp_path / "a.csv", header + rows))
        assert said in recording.attributes["notes"]
        assert recording.signals["eeg"].sequence is None


# What the app writes: every row has all columns; rows of markers have nothing else.
BANDS = ",".join(f"{band}_{place}" for band in ("Delta", "Theta", "Alpha", "Beta", "Gamma")
                 for place in ("TP9", "AF7", "AF8", "TP10"))  # fmt: skip
MUSE_COLUMNS = (
    f"TimeStamp,{BANDS},RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,AUX_RIGHT,Accelerometer_X,HeadBandOn,HSI_TP9,HSI_AF7,HSI_AF8,"
    "HSI_TP10,Battery,Elements"
)


def stamp(seconds: float) -> str:
    return f"2025-07-01 14:{56 + int(seconds // 60):02}:{seconds % 60:06.3f}"


def muse_file(
    path: Path,
    *,
    seconds: int = 8,
    drop: range | tuple[Any, ...] = (),
    blinks: tuple[Any, ...] = (2.0,),
    on: Callable[..., Any] = lambda s: 1,
    contact: Callable[..., Any] = lambda s: 1,
    rate: int = 256,
    packet: int = 12,
) -> np.ndarray:
    """Samples arrive in packets of 12, all stamped when their packet came."""
    values = RNG.normal(830, 20, (seconds * rate, 4)).round(3)
    lines = [f"{stamp(0)}" + "," * 33 + "/muse/event/connected MuseS-84AC"]
    told = list(blinks)
    for n in range(seconds * rate):
        arrived = ((n // packet) * packet + packet) / rate
        if n in drop:
            continue
        while told and told[0] <= arrived:
            lines.append(f"{stamp(told.pop(0))}" + "," * 33 + "/muse/elements/blink")
        raw = ",".join(f"{v:.3f}" for v in values[n])
        seconds_in = n / rate
        lines.append(
            f"{stamp(arrived)}"
            + ",0.5" * 20
            + f",{raw},800.0,0.1,{on(seconds_in)},1.0,{contact(seconds_in)},1.0,1.0,54.1,"
        )
    path.write_text("\n".join([MUSE_COLUMNS, *lines]) + "\n")
    return values


def test_muse_raw_columns_become_eeg_and_elements_events(tmp_path: Path) -> None:
    values = muse_file(tmp_path / "a.csv")
    recording = read_muse(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert (eeg.rate_hz, eeg.unit, eeg.channel_names) == (256.0, "uV", ("TP9", "AF7", "AF8", "TP10"))
    np.testing.assert_allclose(eeg.samples[:], values, rtol=2**-24, atol=0.51e-3)  # three decimals, then float32
    assert eeg.sequence is None
    assert recording.start_time == "2025-07-01T14:56:00"
    said = [(e.onset_s, e.description) for e in recording.events]
    assert said == [(0.0, "/muse/event/connected MuseS-84AC"), (2.0, "/muse/elements/blink")]
    assert "Battery" in recording.attributes["left_out"]


def test_muse_samples_lost_in_a_pause_become_a_gap_of_their_length(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv", seconds=20, drop=range(1200, 1800))
    recording = read_muse(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert "samples lost, by the time stamps" in recording.attributes["notes"]
    steps = np.diff(eeg.sequence)
    (gap,) = np.flatnonzero(steps > 1)
    assert gap == 1199
    assert steps[gap] - 1 == pytest.approx(600, abs=26)  # time stamps tell it to a tenth of a second


def test_muse_rows_of_older_versions_lack_the_last_cell(tmp_path: Path) -> None:
    values = muse_file(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text().replace("54.1,\n", "54.1\n")
    (tmp_path / "a.csv").write_text(text)
    recording = read_muse(tmp_path / "a.csv")
    assert recording.signals["eeg"].sample_count == len(values)
    assert len(recording.events) == 2


def test_muse_off_the_head_or_without_contact_is_missing(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv", on=lambda s: int(s >= 1), contact=lambda s: 4.0 if s >= 6 else 1.0)
    samples = read_muse(tmp_path / "a.csv").signals["eeg"].samples[:]
    missing = np.isnan(samples)
    assert missing[:256].all()
    assert not missing[256 : 6 * 256].any()
    np.testing.assert_array_equal(missing[6 * 256 :].all(axis=0), [False, True, False, False])


def test_muse_recorded_twice_a_second_is_refused_with_the_setting_to_change(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv", seconds=30, rate=2, packet=1, blinks=())
    with pytest.raises(RecordingError, match=r"not recorded at the headband's rate.*got 2.*Constant"):
        read_muse(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("rate", "expected"), [(256, 256.0), (220, 220.0), (240, 256.0), (236, 220.0), (281, 256.0), (199, 220.0)]
)
def test_muse_rates_are_those_of_the_two_headbands(tmp_path: Path, rate: int, expected: float) -> None:
    muse_file(tmp_path / "a.csv", seconds=20, rate=rate, packet=1, blinks=())
    assert read_muse(tmp_path / "a.csv").signals["eeg"].rate_hz == expected


@pytest.mark.parametrize("rate", [282, 197])
def test_muse_rates_more_than_a_tenth_off_are_refused(tmp_path: Path, rate: int) -> None:
    muse_file(tmp_path / "a.csv", seconds=20, rate=rate, packet=1, blinks=())
    with pytest.raises(RecordingError, match=f"256 rows a second or 220 rows a second, got {rate}"):
        read_muse(tmp_path / "a.csv")


def test_muse_time_that_is_none_is_refused_by_line(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv", seconds=2)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    lines[500] = "soon" + lines[500][lines[500].index(",") :]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match=r"line 501, column TimeStamp: not a time.*got 'soon'"):
        read_muse(tmp_path / "a.csv")


@pytest.mark.parametrize(("back_s", "taken"), [(0.999, True), (1.002, False)])
def test_muse_stamps_may_run_back_by_a_second(tmp_path: Path, back_s: float, taken: bool) -> None:
    rows = [stamp(10 + n / 256) for n in range(5120)]
    rows[300] = stamp(10 + 299 / 256 - back_s)
    path = write(tmp_path / "a.csv", "TimeStamp,RAW_TP9\n" + "".join(f"{row},{n}\n" for n, row in enumerate(rows)))
    if taken:
        assert read_muse(path).signals["eeg"].sample_count == 5120
    else:
        with pytest.raises(RecordingError, match="line 302: the time stands still or goes backwards"):
            read_muse(path)


@pytest.mark.parametrize("light", ["PPG_IR", "PPG2", "PPG_2", "PPG_Infrared"])
def test_muse_infrared_is_the_pulse_where_it_comes_at_its_own_rate(tmp_path: Path, light: str) -> None:
    rows = "".join(f"{stamp(n / 256)},{n % 7},{n if n % 4 == 0 else ''},8\n" for n in range(2560))
    recording = read_muse(write(tmp_path / "a.csv", f"TimeStamp,RAW_AF7,{light},PPG_Ambient\n{rows}"))
    ppg = recording.signals["ppg"]
    assert (ppg.rate_hz, ppg.unit, ppg.channel_names, ppg.sequence) == (64.0, "a.u.", ("ppg",), None)
    np.testing.assert_array_equal(ppg.samples[:, 0], np.arange(0, 2560, 4))
    assert recording.attributes["left_out"] == "PPG_Ambient (not used)"
    # Copied along with every row of EEG it is no pulse.
    rows = "".join(f"{stamp(n / 256)},{n % 7},{n},8\n" for n in range(2560))
    copied = read_muse(write(tmp_path / "b.csv", f"TimeStamp,RAW_AF7,{light},PPG_Ambient\n{rows}"))
    assert copied.modality_names == ("eeg",)
    assert "ppg (not recorded at the sensor's own rate)" in copied.attributes["left_out"]


def test_muse_contact_is_bad_from_4_on(tmp_path: Path) -> None:
    rows = "".join(f"{stamp(n / 256)},{n},{4 if n >= 200 else 3 if n >= 100 else ''}\n" for n in range(300))
    path = write(tmp_path / "a.csv", f"TimeStamp,RAW_AF7,HSI_AF7\n{rows}")
    missing = np.isnan(read_muse(path).signals["eeg"].samples[:, 0])
    np.testing.assert_array_equal(missing, np.arange(300) >= 200)


def test_muse_clock_that_is_set_back_is_refused_by_line(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    lines[500] = lines[500].replace("14:56", "14:51")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match=r"line 501: the time stands still or goes backwards"):
        read_muse(tmp_path / "a.csv")


def test_muse_says_what_another_csv_looks_like(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv")
    with pytest.raises(RecordingError, match="looks like a file for `emodict-session import dsi`"):
        read_muse(tmp_path / "a.csv")


DESCRIPTION = {
    "name": "Band", "sampling_rate": 250, "timestamp_channel": 5, "package_num_channel": 0, "marker_channel": 6,
    "eeg_channels": [1, 2], "eeg_names": "Fp1,Fp2", "ppg_channels": [3], "eda_channels": [4], "num_rows": 7,
    "emg_channels": [1, 2],
}  # fmt: skip


def brainflow_file(
    path: Path, *, seconds: int = 4, drop: range | tuple[Any, ...] = (), package: Callable[..., Any] = lambda n: n % 256
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
    np.testing.assert_allclose(recording.signals["ppg"].samples[:, 0], table[:, 3], rtol=2**-24, atol=0.51e-6)
    assert recording.start_time == "2023-11-14T22:13:20.250000Z"  # 1700000000.25 in UTC
    assert [(e.onset_s, e.code) for e in recording.events] == [(0.4, 3)]


def test_brainflow_package_counter_shows_what_was_lost(tmp_path: Path) -> None:
    brainflow_file(tmp_path / "a.csv", drop=range(300, 310))
    recording = read_brainflow(tmp_path / "a.csv")
    assert "10 samples lost, by the package counter" in recording.attributes["notes"]
    np.testing.assert_array_equal(recording.signals["eeg"].sequence, [n for n in range(1000) if not 300 <= n < 310])


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
        np.testing.assert_allclose(eeg.samples[:], data[descr["eeg_channels"]].T, rtol=2**-24, atol=0.51e-6)
    with pytest.raises(RecordingError, match="knows no board '9999'"):
        read_brainflow(tmp_path / "a.csv", board="9999")
    with pytest.raises(RecordingError, match=r"not from the board.*columns"):
        read_brainflow(tmp_path / "a.csv", board="38")


def test_brainflow_without_a_board_or_the_package_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brainflow_file(tmp_path / "a.csv")
    (tmp_path / "a.csv.json").unlink()
    with pytest.raises(RecordingError, match=r"does not say which board.*--board ID, or .*a\.csv\.json"):
        read_brainflow(tmp_path / "a.csv")
    monkeypatch.setitem(sys.modules, "brainflow", None)
    monkeypatch.setitem(sys.modules, "brainflow.board_shim", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[brainflow\]'"):
        read_brainflow(tmp_path / "a.csv", board="38")


def brainflow_rows(path: Path, descr: dict[Any, Any], rows: int = 20, columns: int = 8) -> Path:
    """Cell c of row n is 100 c + n; beside it the description."""
    table = np.arange(rows)[:, None] + 100 * np.arange(columns)
    np.savetxt(path, table, fmt="%.1f", delimiter="\t")
    path.with_name(path.name + ".json").write_text(json.dumps({"sampling_rate": 250, "num_rows": columns, **descr}))
    return path


def test_brainflow_of_several_lights_the_second_is_the_pulse_and_of_skin_the_first(tmp_path: Path) -> None:
    descr = {"ppg_channels": [3, 4, 5], "eda_channels": [6, 7], "accel_channels": [1, 2]}
    recording = read_brainflow(brainflow_rows(tmp_path / "a.csv", descr))
    assert (recording.signals["ppg"].samples[0, 0], recording.signals["gsr"].samples[0, 0]) == (400, 600)
    notes = recording.attributes["notes"]
    assert "ppg: column 5 taken of 4, 5, 6" in notes
    assert "gsr: column 7 taken of 7, 8" in notes
    assert "gsr: BrainFlow names no unit, samples taken for uS" in notes
    assert recording.attributes["left_out"] == "columns 2, 3 (accel)"
    one = read_brainflow(brainflow_rows(tmp_path / "b.csv", {"ppg_channels": [3]}))
    assert one.signals["ppg"].samples[0, 0] == 300
    assert "taken" not in one.attributes["notes"]


def test_brainflow_electrodes_without_names_are_numbered(tmp_path: Path) -> None:
    descr = {"eeg_channels": [2, 1], "emg_channels": [1, 3], "ecg_channels": [1, 2], "other_channels": []}
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
        ({"sampling_rate": "fast"}, "is no description of a board: ValueError"),
        ({"num_rows": 0}, "Expected 0 columns, got 8"),
    ],
)
def test_brainflow_descriptions_that_do_not_fit_are_refused(tmp_path: Path, descr: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        read_brainflow(brainflow_rows(tmp_path / "a.csv", descr))
    # Where the last column that is used is the last there is, nothing need say how many there are.
    assert read_brainflow(brainflow_rows(tmp_path / "b.csv", {"eeg_channels": [0, 7], "num_rows": 0})).signals


def test_brainflow_presets_are_those_of_the_package(tmp_path: Path) -> None:
    pytest.importorskip("brainflow.board_shim")
    with pytest.raises(RecordingError, match=r"has no preset 'best'.*default.*auxiliary.*ancillary"):
        read_brainflow(brainflow_rows(tmp_path / "a.csv", {}), board="-1", preset="best")


def test_brainflow_bad_cell_is_named_by_line(tmp_path: Path) -> None:
    brainflow_file(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    lines[41] = lines[41].replace(lines[41].split("\t")[2], "oops")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match=r"line 42, cell 3: not a number.*'oops'"):
        read_brainflow(tmp_path / "a.csv")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_columns_are_known_by_name_and_units_by_their_brackets(tmp_path: Path) -> None:
    rows = "\n".join(f"{n / 100:.2f},{n},{n * 2},{n / 10},{3 if 50 <= n < 60 else 0},x" for n in range(300))
    path = write(tmp_path / "a.csv", f"time,AF7 (mV),AF8 (mV),EDA [nS],marker,mood\n{rows}\n")
    recording = read_csv(path)
    eeg, gsr = recording.signals["eeg"], recording.signals["gsr"]
    assert (eeg.channel_names, eeg.unit, eeg.rate_hz) == (("AF7", "AF8"), "mV", 100.0)
    np.testing.assert_array_equal(eeg.samples[:, 1], 2 * np.arange(300))
    assert (gsr.unit, gsr.timestamps_s) == ("nS", None)
    assert [(e.onset_s, e.code) for e in recording.events] == [(0.5, 3)]
    assert recording.attributes["left_out"] == "column mood (not used)"
    assert "time: column time, time in s" in recording.attributes["notes"]


@pytest.mark.parametrize(("count", "told"), [(40, "c38, c39;"), (41, r"c38, c39, \.\.\. \(41 in all\);")])
def test_csv_names_up_to_40_columns_in_a_sentence(tmp_path: Path, count: int, told: str) -> None:
    path = write(tmp_path / "a.csv", ",".join(f"c{i}" for i in range(count)) + "\n" + ",".join("1" * count) + "\n")
    with pytest.raises(RecordingError, match="got c0, c1, .*" + told.replace(";", r"\. ")):
        read_csv(path)


@pytest.mark.parametrize(("comments", "taken"), [(9_999, True), (10_000, False)])
def test_csv_the_header_is_looked_for_behind_9999_comments(tmp_path: Path, comments: int, taken: bool) -> None:
    path = write(tmp_path / "a.csv", "# so\n" * comments + "time,PPG\n0,1\n0.1,2\n")
    if taken:
        assert read_csv(path).signals["ppg"].sample_count == 2
    else:
        with pytest.raises(RecordingError, match="nothing but comments"):
            read_csv(path)


@pytest.mark.parametrize(("size", "taken"), [(1_048_576, True), (1_048_577, False)])
def test_csv_a_cell_has_at_most_a_mib(tmp_path: Path, size: int, taken: bool) -> None:
    path = write(tmp_path / "a.csv", f"time,PPG,remark\n0,1,\n0.1,2,{'a' * size}\n0.2,3,\n")
    if taken:
        assert read_csv(path).signals["ppg"].sample_count == 3
    else:
        with pytest.raises(RecordingError, match=r"near line 3: field larger than field limit \(1048576\)"):
            read_csv(path)


@pytest.mark.parametrize(("cells", "comma"), [(14, True), (13, False)])
def test_csv_a_row_much_longer_than_the_header_is_told_of_its_decimal_commas(
    tmp_path: Path, cells: int, comma: bool
) -> None:
    path = write(tmp_path / "a.csv", ",".join(["time", "PPG", *"abcdefgh"]) + "\n" + ",".join("1" * cells) + "\n")
    with pytest.raises(RecordingError, match=f"10 cells, got {cells}") as refusal:
        read_csv(path)
    assert ("here the comma stands for both" in str(refusal.value)) is comma


def test_csv_electrodes_are_those_that_channels_of_a_model_can_be(tmp_path: Path) -> None:
    names = ("PO9", "O9", "O10", "PO10")  # the lowest row of the 10-10 system
    rows = "\n".join(f"{n / 100:.2f},1,2,3,4" for n in range(100))
    recording = read_csv(write(tmp_path / "a.csv", f"time,{','.join(names)}\n{rows}\n"))
    assert recording.signals["eeg"].channel_names == electrode_names(names) == names


def test_csv_columns_and_units_are_what_the_user_says(tmp_path: Path) -> None:
    rows = "\n".join(f"{n};{n};{n + 1};{n + 2}" for n in range(100))
    path = write(tmp_path / "a.csv", f"index;left;right;skin\n{rows}\n")
    recording = read_csv(path, rate=50.0, columns=["eeg=left+right", "gsr=skin"], unit=["gsr=S,eeg=V"])
    assert recording.signals["eeg"].channel_names == ("left", "right")
    assert (recording.signals["gsr"].unit, recording.signals["gsr"].rate_hz) == ("S", 50.0)
    np.testing.assert_array_equal(recording.signals["gsr"].samples[:, 0], np.arange(100) + 2)


@pytest.mark.parametrize("time_of", [lambda n: 4 * n, lambda n: f"12:00:{n:02}", lambda n: 100 - n, lambda n: ""])
def test_csv_rows_are_counted_at_a_rate_whatever_the_time_column_holds(
    tmp_path: Path, time_of: Callable[..., Any]
) -> None:
    path = write(tmp_path / "a.csv", "time,PPG\n" + "".join(f"{time_of(n)},{n}\n" for n in range(50)))
    recording = read_csv(path, rate=250.0)
    ppg = recording.signals["ppg"]
    assert (ppg.rate_hz, ppg.start_s, ppg.timestamps_s) == (250.0, 0.0, None)
    np.testing.assert_array_equal(ppg.samples[:, 0], np.arange(50))
    assert recording.attributes["left_out"] == "column time (not used)"


def test_csv_a_time_column_that_is_named_beside_a_rate_gives_the_start(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,PPG\n" + "".join(f"{1700000000 + n // 9},{n}\n" for n in range(50)))
    recording = read_csv(path, rate=250.0, time="time")
    assert recording.start_time == "2023-11-14T22:13:20Z"  # 1700000000 in UTC
    assert (recording.signals["ppg"].rate_hz, recording.signals["ppg"].timestamps_s) == (250.0, None)


def test_csv_of_other_rows_the_time_is_not_looked_at_where_the_first_gives_the_start(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,PPG\n2023-11-14T22:13:20Z,1\nlater,2\n,3\n")
    recording = read_csv(path, rate=250.0, time="time")
    assert (recording.start_time, recording.signals["ppg"].sample_count) == ("2023-11-14T22:13:20Z", 3)


@pytest.mark.parametrize(
    ("name", "cell", "start_time"),
    [
        ("timestamp", lambda s: f"{1700000000 + s:.3f}", "2023-11-14T22:13:20Z"),
        ("timestamp", lambda s: f"{(1700000000 + s) * 1000:.0f}", "2023-11-14T22:13:20Z"),
        ("timestamp", lambda s: f"{round((1700000000 + s) * 1e9)}", "2023-11-14T22:13:20Z"),
        ("time_ms", lambda s: f"{5000 + 1000 * s:.0f}", ""),
        ("t (us)", lambda s: f"{1e6 * s:.0f}", ""),
        ("DateTime", lambda s: f"2023-11-14T22:13:{20 + s:06.3f}Z", "2023-11-14T22:13:20Z"),
        ("date", lambda s: f"2023-11-14 22:13:{20 + s:06.3f}", "2023-11-14T22:13:20"),
    ],
)
def test_csv_time_is_understood_in_the_ways_it_is_written(
    tmp_path: Path, name: str, cell: Callable[..., Any], start_time: str
) -> None:
    rows = "\n".join(f"{cell(n / 50)},{n}" for n in range(200))
    recording = read_csv(write(tmp_path / "a.csv", f"{name},PPG\n{rows}\n"))
    assert recording.signals["ppg"].rate_hz == 50.0
    assert recording.start_time == start_time
    assert recording.duration_s == pytest.approx(4.0)


def test_csv_time_without_a_unit_that_could_be_either_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,PPG\n" + "\n".join(f"{10 * n},{n}" for n in range(100)) + "\n")
    with pytest.raises(RecordingError, match=r"unit of the time column time is not clear.*--time 'time:ms'"):
        read_csv(path)
    assert read_csv(path, time="time:ms").signals["ppg"].rate_hz == 100.0


@pytest.mark.parametrize(
    ("name", "scale", "ticks"),
    [
        ("time (s)", 5, "s"), ("seconds", 5, "s"), ("elapsed_sec", 5, "s"), ("t_s", 5, "s"), ("time (sec)", 5, "s"),
        ("time (secs)", 5, "s"), ("time [ms]", 5, "ms"), ("time_msec", 5, "ms"), ("time milliseconds", 5, "ms"),
        ("time_us", 5, "us"), ("time (µs)", 5, "us"), ("t ns", 5, "ns"), ("elapsed", 0.4, "s"),
    ],
)  # fmt: skip
def test_csv_the_unit_of_the_time_is_the_names(tmp_path: Path, name: str, scale: float, ticks: str) -> None:
    in_s = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[ticks]
    path = write(tmp_path / "a.csv", f"{name},PPG\n" + "".join(f"{scale * n:.1f},{n}\n" for n in range(50)))
    recording = read_csv(path)
    assert recording.signals["ppg"].rate_hz == pytest.approx(1 / (scale * in_s), rel=1e-9)
    assert f"time: column {name}, time in {ticks}" in recording.attributes["notes"]
    assert recording.start_time == ""


@pytest.mark.parametrize(("step", "clear"), [("0.49", True), ("0.5", False)])
def test_csv_steps_of_half_a_second_or_more_could_be_milliseconds(tmp_path: Path, step: str, clear: bool) -> None:
    path = write(tmp_path / "a.csv", "time,PPG\n" + "".join(f"{n * float(step):.2f},{n}\n" for n in range(50)))
    if clear:
        assert read_csv(path).duration_s == pytest.approx(50 * 0.49)
    else:
        with pytest.raises(RecordingError, match=r"seconds or milliseconds, got 0, 0\.5, "):
            read_csv(path)


@pytest.mark.parametrize(
    ("first", "ticks", "unix"),
    # Unix time of 1973 to 2603: 1e8 to 2e10 s.
    [(1.001e8, "s", True), (0.999e8, "s", False), (1.999e10, "s", True), (2.001e10, "s", False)],
)
def test_csv_unix_time_is_told_by_its_size(tmp_path: Path, first: float, ticks: str, unix: bool) -> None:
    rows = "".join(f"{first + n / 50:.2f},{n}\n" for n in range(50))
    recording = read_csv(write(tmp_path / "a.csv", f"time_{ticks},PPG\n{rows}"))
    assert (recording.start_time != "") is unix
    assert ("Unix time in s" in recording.attributes["notes"]) is unix


def test_csv_of_one_row_has_a_rate_only_where_it_is_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,PPG\n7,1\n")
    with pytest.raises(RecordingError, match="ppg has 1 sample, too few for a rate"):
        read_csv(path)
    assert read_csv(path, rate=4.0).signals["ppg"].sample_count == 1
    two = write(tmp_path / "b.csv", "time_s,PPG\n7,1\n9,2\n")
    assert read_csv(two).signals["ppg"].rate_hz == 0.5


def test_csv_rows_are_counted_through_empty_cells_and_from_block_to_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emodict_desk.importers.text.BLOCK_ROWS", 7)
    rows = "".join(f"{n if n % 3 else ''},{int(n == 18)}\n" for n in range(20))
    recording = read_csv(write(tmp_path / "a.csv", f"PPG,marker\n{rows}"), rate=10.0)
    ppg = recording.signals["ppg"]
    np.testing.assert_array_equal(ppg.samples[:, 0], [n if n % 3 else np.nan for n in range(20)])
    assert [(e.onset_s, e.code) for e in recording.events] == [(1.8, 1)]


def test_csv_markers_are_told_where_they_change(tmp_path: Path) -> None:
    texts = ["0", "5", "5", "", "5", "0.0", "-7.0", "go", "go", "stop", "1.5", "1234567890"]
    rows = "".join(f"{n / 10},{n},{text}\n" for n, text in enumerate(texts))
    events = read_csv(write(tmp_path / "a.csv", f"time,PPG,trigger\n{rows}")).events
    assert [(round(10 * e.onset_s), e.code, e.description) for e in events] == [
        (1, 5, "5"), (4, 5, "5"), (6, -7, "-7.0"), (7, 0, "go"), (9, 0, "stop"), (10, 0, "1.5"), (11, 0, "1234567890"),
    ]  # fmt: skip


def test_csv_iso_times_with_and_without_a_zone_do_not_mix(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "date,PPG\n2024-05-01T09:30:00Z,1\n2024-05-01T09:30:01,2\n")
    with pytest.raises(RecordingError, match=r"line 3, column date: not a time.*as in the first row"):
        read_csv(path)


def test_csv_units_are_the_usual_ones_unless_named_and_of_a_modality_all_the_same(tmp_path: Path) -> None:
    rows = "".join(f"{n / 10},1,2,3\n" for n in range(9))
    usual = read_csv(write(tmp_path / "a.csv", f"time,Cz,Fz,EDA\n{rows}"))
    assert [s.unit for s in usual.signals.values()] == ["uV", "uS"]
    assert "eeg: no unit given, taken for uV" in usual.attributes["notes"]
    assert "gsr: no unit given, taken for uS" in usual.attributes["notes"]
    with pytest.raises(RecordingError, match=r"the columns of eeg have different units.*mV.*uV"):
        read_csv(write(tmp_path / "b.csv", f"time,Cz (mV),Fz (uV),EDA\n{rows}"))
    ppg = read_csv(write(tmp_path / "c.csv", f"time,PPG (mV),heart rate,EDA (mS)\n{rows}"))
    assert [s.unit for s in ppg.signals.values()] == ["a.u.", "mS"]
    assert "taken for" not in ppg.attributes["notes"]


def test_csv_of_another_kind_is_said_to_look_like_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "TimeStamp,RAW_TP9,EDA\n" + "".join(f"{n / 10},1,2\n" for n in range(9)))
    named = read_csv(path, subject_id="anna", session_id="monday", columns=["gsr=EDA"])
    assert "it looks like a file for `emodict-session import muse`" in named.attributes["notes"]
    assert (named.subject_id, named.session_id) == ("anna", "monday")
    assert named.modality_names == ("gsr",)


def test_csv_a_modality_without_a_sample_is_left_out(tmp_path: Path) -> None:
    recording = read_csv(write(tmp_path / "a.csv", "time,PPG,EDA\n" + "".join(f"{n / 10},1,\n" for n in range(9))))
    assert recording.modality_names == ("ppg",)
    assert recording.attributes["left_out"] == "gsr (no samples)"


def test_csv_times_rounded_to_milliseconds_give_the_true_rate(tmp_path: Path) -> None:
    rows = "\n".join(f"{round(n * 1000 / 256)},{n}" for n in range(2000))
    ppg = read_csv(write(tmp_path / "a.csv", f"time_ms,PPG\n{rows}\n")).signals["ppg"]
    assert ppg.rate_hz == 256.0


def test_csv_slower_sensors_share_the_table_and_keep_their_own_rate(tmp_path: Path) -> None:
    rows = "\n".join(f"{n / 100:.2f},{n},{n / 25 if n % 25 == 0 else ''}" for n in range(1000))
    recording = read_csv(write(tmp_path / "a.csv", f"time,BVP,EDA (uS)\n{rows}\n"))
    gsr = recording.signals["gsr"]
    assert (gsr.rate_hz, gsr.sample_count, gsr.timestamps_s) == (4.0, 40, None)
    np.testing.assert_array_equal(gsr.samples[:, 0], np.arange(40))
    assert recording.signals["ppg"].rate_hz == 100.0


def test_csv_gaps_in_the_time_stay_gaps(tmp_path: Path) -> None:
    rows = "\n".join(f"{n / 100:.2f},{n}" for n in range(1000) if not 300 <= n < 400)
    ppg = read_csv(write(tmp_path / "a.csv", f"time,BVP\n{rows}\n")).signals["ppg"]
    assert ppg.rate_hz == 100.0
    np.testing.assert_allclose(np.diff(ppg.timestamps_s).max(), 1.01)


GOOD = "".join(f"{n / 100:.2f},{n},{n}\n" for n in range(100))


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (b"", {}, "is an empty file"),
        (b"# only\n# comments\n", {}, "nothing but comments"),
        (b"time,PPG\n", {}, "holds no rows"),
        (b"time,PPG\n", {"rate": 250.0}, "holds no samples"),
        (
            ("time,PPG,x\n" + GOOD.replace("0.50,50", "0.50,5o")).encode(),
            {},
            r"line 52, column PPG: not a number.*'5o'",
        ),
        (
            ("time,PPG,x\n" + GOOD.replace("0.50,", "0.20,")).encode(),
            {},
            r"line 52: the time stands still or goes back.*got 0\.49 s then 0\.2 s after",
        ),
        (("time,PPG,x\n" + GOOD.replace("0.50,", ",")).encode(), {}, r"line 52: the time stands still or goes back"),
        (("time,PPG,x\n" + GOOD.replace("0.50,50", "0.50,inf")).encode(), {}, r"line 52, column PPG: not a number"),
        (("a,PPG,x\n" + GOOD).encode(), {}, r"no time column.*a, PPG, x.*--rate HZ"),
        (("time,alpha,x\n" + GOOD).encode(), {}, r"no column that is known.*time, alpha, x.*--columns"),
        (("time,PPG,BVP\n" + GOOD).encode(), {}, r"ppg has one channel, and 2 columns could be it.*PPG, BVP"),
        (("time,PPG,x\n" + GOOD).encode(), {"columns": ["ppg=bpv"]}, r"no column 'bpv'.*time, PPG, x"),
        (("time,PPG,x\n" + GOOD).encode(), {"columns": ["ecg=x"]}, r"names no modality.*one of eeg, ppg, gsr, skt"),
        (("time,PPG,x\n" + GOOD).encode(), {"columns": ["PPG"]}, r"--columns 'PPG' cannot be read.*NAME=VALUE"),
        (("time,PPG,x\n" + GOOD).encode(), {"time": "when"}, r"no column 'when'"),
        (("time,PPG,x\n" + GOOD).encode(), {"time": "time:min"}, r"names no unit of time"),
        (("time,PPG,x\n" + GOOD).encode(), {"rate": -3.0}, r"--rate -3.0 is no sampling rate"),
        (("time,PPG,x\n" + GOOD).encode(), {"unit": ["gsr=uS"]}, r"there is no gsr"),
        (("time,EDA (lux),x\n" + GOOD).encode(), {}, r"gsr: the unit cannot be used.*got 'lux'"),
        ("time,Hautleitfähigkeit\n0,1\n".encode("latin-1"), {}, r"not text in UTF-8.*0xe4, as in Latin-1"),
        ("time,PPG\n0,1\n".encode("utf-16"), {}, r"not text in UTF-8.*UTF-16"),
        (b"time,PPG\n" + "".join(f"{n},1\n" for n in range(99)).encode() + b"99,\xff\n", {"time": "time:ms"}, "UTF-8"),
        (b"PK\x03\x04\x00\x00", {}, "a zip archive"),
    ],
)
def test_csv_that_cannot_be_read_is_refused_with_file_and_line(
    tmp_path: Path, content: bytes, options: dict[Any, Any], sentence: str
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(RecordingError, match=sentence):
        read_csv(tmp_path / "a.csv", **options)


def test_csv_line_numbers_hold_beyond_the_first_block(tmp_path: Path) -> None:
    rows = [f"{n / 100:.2f},{n}" for n in range(BLOCK_ROWS + 500)]
    rows[BLOCK_ROWS + 100] = f"{(BLOCK_ROWS + 100) / 100:.2f},bad"
    path = write(tmp_path / "a.csv", "# a comment\n\ntime,PPG\n" + "\n".join(rows) + "\n")
    with pytest.raises(RecordingError, match=f"line {BLOCK_ROWS + 104}, column PPG"):
        read_csv(path)


def test_csv_that_is_long_is_read_in_less_memory_than_its_samples_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples lie on disk; what grows with the recording is the column of its times alone."""
    monkeypatch.setattr("emodict_desk.importers.spool.IN_MEMORY_BYTES", 1 << 18)
    monkeypatch.setattr("emodict_desk.importers.text.BLOCK_ROWS", 256)
    rows, names = 20_000, [f"AF{i}" for i in range(32)]
    lines = (f"{n / 1000:.3f}" + f",{n}" * len(names) + "\n" for n in range(rows))
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write(",".join(["time", *names]) + "\n")
        file.writelines(lines)
    tracemalloc.start()
    recording = read_csv(path, columns=["eeg=" + "+".join(names)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    samples = recording.signals["eeg"].samples
    np.testing.assert_array_equal(samples[rows - 2 :], np.repeat([[rows - 2], [rows - 1]], 32, axis=1))
    # Samples take 2.6 MB. Times take 0.2 MB, a few copies of which are held against the even clock.
    assert peak < 2e6 < samples.shape[0] * samples.shape[1] * 4
