"""CSV of DSI-Streamer: what comes out is what the header and the rows say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict_desk.importers.dsi import read_dsi
from emodict_desk.importers.text import BLOCK_ROWS

RNG = np.random.default_rng(7)
DSI_HEADER = [
    "#File Format Version,1.2",
    "#Product,DSI-24",
    "#Subject ID,P11",
    "#Date,2024-05-01",
    "#Time,09:30:05",
    "#Sample Rate,300",
    "#Sensor Data Units,uV",
    "#Reference,Pz",
]
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
    """`drop` are the counts of samples that never arrived;
    the time stamps come in bursts of 30, as they do.
    """
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
    assert (eeg.rate_hz, eeg.unit, eeg.reference, eeg.channel_names) == (
        300.0,
        "uV",
        "Pz",
        ("P3", "C3", "A1"),
    )
    # Four decimals, then float32.
    np.testing.assert_allclose(eeg.samples[:], values, rtol=2**-24, atol=0.51e-4)
    assert eeg.sequence is None
    assert eeg.timestamps_s is None
    assert (recording.start_time, recording.subject_id) == ("2024-05-01T09:30:05", "P11")
    assert recording.device == "DSI-24"
    assert (
        recording.attributes["left_out"]
        == "Time (not used), Time_Offset (not used), ADC_Status (not used)"
    )


def test_dsi_counter_places_samples_though_it_wraps_and_some_are_lost(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv", drop=range(200, 240))
    recording = read_dsi(tmp_path / "a.csv")
    np.testing.assert_array_equal(
        recording.signals["eeg"].sequence, [n for n in range(600) if not 200 <= n < 240]
    )
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
        return [
            ",".join([*r.split(",")[:4], "", *r.split(",")[5:]]) if n in empty else r
            for n, r in enumerate(rows)
        ]

    dsi_file(tmp_path / "a.csv", change=without_triggers)
    events = read_dsi(tmp_path / "a.csv").events
    assert [(round(e.onset_s * 300), e.code) for e in events] == [(100, 4), (300, 9), (450, 0)]


def test_dsi_header_is_understood_with_colons_and_units_in_brackets(tmp_path: Path) -> None:
    header = ["# Sample Frequency (Hz): 300", "# Reference: LE", "# Subject: P11"]
    dsi_file(tmp_path / "a.csv", header=header)
    recording = read_dsi(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert (eeg.rate_hz, eeg.reference, eeg.unit, recording.subject_id) == (
        300.0,
        "LE",
        "uV",
        "P11",
    )
    assert "no unit: samples taken for uV" in recording.attributes["notes"]


def test_dsi_rows_that_stand_twice_count_once_and_so_do_their_events(tmp_path: Path) -> None:
    values = dsi_file(
        tmp_path / "a.csv", change=lambda rows: [*rows[:120], *rows[90:120], *rows[120:]]
    )
    recording = read_dsi(tmp_path / "a.csv")
    # As above.
    np.testing.assert_allclose(
        recording.signals["eeg"].samples[:], values, rtol=2**-24, atol=0.51e-4
    )
    assert "30 samples came twice (by the counter ADC_Sequence)" in recording.attributes["notes"]
    assert [round(e.onset_s * 300) for e in recording.events] == [100, 300, 450]


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
        (
            lambda rows: [
                *rows[:5],
                rows[5].replace(",0.0,", ",x,", 1).replace(rows[5].split(",")[1], "abc"),
                *rows[6:],
            ],
            r"line 15, column P3: not a number.*'abc'",
        ),
        (
            lambda rows: [*rows[:5], rows[5] + ",1", *rows[6:]],
            r"line 15: the row does not fit.*10 cells, got 11",
        ),
        (
            lambda rows: [*rows[:5], "1,2", *rows[6:]],
            r"line 15: the row does not fit.*10 cells, got 2",
        ),
        (
            lambda rows: [row.replace(".", ",") for row in rows],
            r"line 10: .*a point for the decimals",
        ),
        (lambda rows: [], "holds no samples"),
    ],
)
def test_dsi_bad_rows_are_named_by_line_and_column(
    tmp_path: Path, change: Callable[..., Any], sentence: str
) -> None:
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
    one = read_dsi(
        write(tmp_path / "b.csv", "#Sample Rate,300\nTime,Cz,Trigger\n0,1.5,0\n0,2.5,0\n")
    )
    assert one.signals["eeg"].samples[:].tolist() == [[1.5], [2.5]]
    for columns in ("Zeit,Cz,Trigger", "Time,Cz,Mark"):
        with pytest.raises(RecordingError, match="cannot be read"):
            read_dsi(write(tmp_path / "c.csv", f"#Sample Rate,300\n{columns}\n0,1.5,0\n"))


def test_dsi_events_and_comments_are_told_from_empty_ones_and_numbers_are_codes(
    tmp_path: Path,
) -> None:
    cells = [
        ("0", ""),
        ("12", ""),
        ("7.0", "eyes open"),
        ("0.0000", "rest"),
        ("1234567890", ""),
        ("1.5", ""),
        ("", ""),
    ]
    rows = "".join(f"0,1,0,{n},{event},{comment}\n" for n, (event, comment) in enumerate(cells))
    header = "#Sample Rate,300\nTime,Cz,Trigger,ADC_Sequence,Event,Comments\n"
    events = read_dsi(write(tmp_path / "a.csv", header + rows)).events
    assert [(round(e.onset_s * 300), e.code, e.description) for e in events] == [
        (1, 12, "12"), (2, 7, "7.0 eyes open"), (3, 0, "rest"), (4, 0, "1234567890"), (5, 0, "1.5"),
    ]  # fmt: skip


def test_dsi_a_counter_that_counts_nothing_or_has_holes_is_said(tmp_path: Path) -> None:
    header = "#Sample Rate,300\nTime,Cz,Trigger,ADC_Sequence\n"
    for counter, said in (
        (lambda n: 5, "ADC_Sequence does not count samples"),
        (lambda n: n or "", "no whole sample"),
    ):
        rows = "".join(f"0,{n},0,{counter(n)}\n" for n in range(9))
        recording = read_dsi(write(tmp_path / "a.csv", header + rows))
        assert said in recording.attributes["notes"]
        assert recording.signals["eeg"].sequence is None


# As DSI-Streamer 1.08 writes it, made up but for its spelling.
HEADER_1_08 = [
    "# Sample_Frequency_(Hz) =,300,,,",
    "# Filter_Delay_(ms) =,43.3,,,",
    "# Sensor_Data_Units =,uV,,,",
    "# Headset_Name =,DSI-24 SN:0042,,,",
    "# Date =,5/11/2024,,,",
    "# Time =,09:30:05,,,",
    "# Patient_ID =,P11 F 01-JAN-1990 Somebody,,,",
    "# Comments =,,,,",
    "# Reference location:,Pz,,,",
]
COLUMNS_1_08 = "Time,P3,CM,X1,Trigger,Time_Offset,ADC_Status,ADC_Sequence,Event,Comments"


def test_dsi_1_08_header_is_read_by_its_meaning_and_free_inputs_are_not_eeg(tmp_path: Path) -> None:
    values = dsi_file(tmp_path / "a.csv", header=HEADER_1_08, columns=COLUMNS_1_08)
    recording = read_dsi(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert (eeg.rate_hz, eeg.unit, eeg.reference, eeg.channel_names) == (300.0, "uV", "Pz", ("P3",))
    np.testing.assert_allclose(eeg.samples[:, 0], values[:, 0], rtol=2**-24, atol=0.51e-4)
    assert (recording.start_time, recording.device) == ("2024-05-11T09:30:05", "DSI-24")
    assert "CM X1 (not an electrode)" in recording.attributes["left_out"]
    assert "notes" not in recording.attributes


@pytest.mark.parametrize(
    ("patient", "subject"),
    [("P11 F 01-JAN-1990 Somebody", "P11"), ("X X 01-JAN-1990 X", "a"), ("F 01-JAN-1990", "a")],
)
def test_dsi_subject_is_the_code_of_the_person_and_never_sex_or_birth_date(
    tmp_path: Path, patient: str, subject: str
) -> None:
    dsi_file(tmp_path / "a.csv", header=[*HEADER_1_08[:6], f"# Patient_ID =,{patient}"])
    recording = read_dsi(tmp_path / "a.csv")
    assert recording.subject_id == subject
    assert "1990" not in str(recording)


@pytest.mark.parametrize(
    ("lines", "start"),
    [
        (["# Date =,5/11/2024", "# Time =,9:30:05"], "2024-05-11T09:30:05"),
        (["# Record_ID =,Startdate 11-MAY-2024 X X X", "# Time =,9:30:05"], "2024-05-11T09:30:05"),
        (["# Date =,31/11/2024", "# Time =,9:30:05"], ""),
        (["# Date =,5/11/2024"], ""),
    ],
)
def test_dsi_start_is_the_date_in_the_american_order_or_with_the_months_name(
    tmp_path: Path, lines: list[str], start: str
) -> None:
    dsi_file(tmp_path / "a.csv", header=["# Sample Rate,300", *lines])
    assert read_dsi(tmp_path / "a.csv").start_time == start


def test_dsi_the_real_header_of_1_08_is_understood(shared_cases: Path) -> None:
    path = shared_cases / "01_dsi_streamer_1.08_header" / "dsi_streamer.csv"
    recording = read_dsi(path)
    eeg = recording.signals["eeg"]
    rows = [line.split(",") for line in path.read_text().splitlines() if line[0].isdigit()]
    at = path.read_text().splitlines()[15].split(",").index("P3")
    assert (eeg.rate_hz, eeg.unit, eeg.reference, eeg.sequence) == (300.0, "uV", "Pz", None)
    np.testing.assert_array_equal(eeg.samples[:, 0], np.float32([row[at] for row in rows]))
    assert not {"CM", "X1", "X2", "X3"} & {*eeg.channel_names}
    assert (recording.start_time, recording.device) == ("2018-01-02T11:28:18", "DSI-24")
    assert recording.subject_id == "dsi_streamer"
    assert [(e.onset_s, e.description) for e in recording.events] == [(0, "Start Data Acquisition")]
