"""Plain CSV: what comes out is what the rows say."""

from __future__ import annotations

import datetime
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict.recording.electrodes import electrode_names
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.plain_csv import read_csv
from emodict_desk.importers.row_clock import ClockTimes
from emodict_desk.importers.text import BLOCK_ROWS, open_table
from emodict_desk.recordings.account import Account


def test_csv_columns_are_known_by_name_and_units_by_their_brackets(tmp_path: Path) -> None:
    rows = "\n".join(
        f"{n / 100:.2f},{n},{n * 2},{n / 10},{3 if 50 <= n < 60 else 0},x" for n in range(300)
    )
    path = write(tmp_path / "a.csv", f"time,AF7 (mV),AF8 (mV),EDA [nS],marker,mood\n{rows}\n")
    recording = read_csv(path)
    eeg, gsr = recording.signals["eeg"], recording.signals["gsr"]
    assert (eeg.channel_names, eeg.unit, eeg.rate_hz) == (("AF7", "AF8"), "mV", 100.0)
    np.testing.assert_array_equal(eeg.samples[:, 1], 2 * np.arange(300))
    assert (gsr.unit, gsr.timestamps_s) == ("nS", None)
    assert [(e.onset_s, e.code) for e in recording.events] == [(0.5, 3)]
    assert recording.attributes["left_out"] == "column mood (not used)"
    assert "time: column time, time in s" in recording.attributes["notes"]


@pytest.mark.parametrize(
    ("count", "told"), [(40, "c38, c39;"), (41, r"c38, c39, \.\.\. \(41 in all\);")]
)
def test_csv_names_up_to_40_columns_in_a_sentence(tmp_path: Path, count: int, told: str) -> None:
    path = write(
        tmp_path / "a.csv",
        ",".join(f"c{i}" for i in range(count)) + "\n" + ",".join("1" * count) + "\n",
    )
    with pytest.raises(RecordingError, match="got c0, c1, .*" + told.replace(";", r"\. ")):
        read_csv(path)


@pytest.mark.parametrize(("comments", "taken"), [(9_999, True), (10_000, False)])
def test_csv_the_header_is_looked_for_behind_9999_comments(
    tmp_path: Path, comments: int, taken: bool
) -> None:
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
        with pytest.raises(
            RecordingError, match=r"near line 3: field larger than field limit \(1048576\)"
        ):
            read_csv(path)


@pytest.mark.parametrize(("cells", "comma"), [(14, True), (13, False)])
def test_csv_a_row_much_longer_than_the_header_is_told_of_its_decimal_commas(
    tmp_path: Path, cells: int, comma: bool
) -> None:
    path = write(
        tmp_path / "a.csv",
        ",".join(["time", "PPG", *"abcdefgh"]) + "\n" + ",".join("1" * cells) + "\n",
    )
    with pytest.raises(RecordingError, match=f"10 cells, got {cells}") as refusal:
        read_csv(path)
    assert ("here the comma stands for both" in str(refusal.value)) is comma


def test_csv_electrodes_are_those_that_channels_of_a_model_can_be(tmp_path: Path) -> None:
    names = ("PO9", "O9", "O10", "PO10")  # the lowest row of the 10-10 system
    rows = "\n".join(f"{n / 100:.2f},1,2,3,4" for n in range(100))
    recording = read_csv(write(tmp_path / "a.csv", f"time,{','.join(names)}\n{rows}\n"))
    assert recording.signals["eeg"].channel_names == electrode_names(names) == names


def test_csv_of_three_lights_of_one_sensor_the_second_is_the_pulse_unless_asked(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path / "a.csv",
        "time,PPG1,PPG2,PPG3\n" + "".join(f"{n / 64:.4f},1,2,3\n" for n in range(99)),
    )
    recording = read_csv(path)
    assert recording.signals["ppg"].samples[0, 0] == 2
    assert (
        "ppg: column PPG2 taken of PPG1, PPG2, PPG3, as the infrared light"
        in recording.attributes["notes"]
    )
    assert read_csv(path, columns=["ppg=PPG3"]).signals["ppg"].samples[0, 0] == 3


@pytest.mark.parametrize("names", ["PPG,BVP,pulse", "PPG_Red,PPG_Green"])
def test_csv_lights_of_which_nothing_says_which_is_the_pulse_are_refused(
    tmp_path: Path, names: str
) -> None:
    cells = ",".join("1" * (names.count(",") + 1))
    path = write(
        tmp_path / "a.csv",
        f"time,{names}\n" + "".join(f"{n / 64:.4f},{cells}\n" for n in range(99)),
    )
    with pytest.raises(RecordingError, match=r"ppg has one channel, and \d columns could be it"):
        read_csv(path)


def test_csv_columns_and_units_are_what_the_user_says(tmp_path: Path) -> None:
    rows = "\n".join(f"{n};{n};{n + 1};{n + 2}" for n in range(100))
    path = write(tmp_path / "a.csv", f"index;left;right;skin\n{rows}\n")
    recording = read_csv(
        path, rate=50.0, columns=["eeg=left+right", "gsr=skin"], unit=["gsr=S,eeg=V"]
    )
    assert recording.signals["eeg"].channel_names == ("left", "right")
    assert (recording.signals["gsr"].unit, recording.signals["gsr"].rate_hz) == ("S", 50.0)
    np.testing.assert_array_equal(recording.signals["gsr"].samples[:, 0], np.arange(100) + 2)


@pytest.mark.parametrize(
    "time_of", [lambda n: 4 * n, lambda n: f"12:00:{n:02}", lambda n: 100 - n, lambda n: ""]
)
def test_csv_rows_are_counted_at_a_rate_whatever_the_time_column_holds(
    tmp_path: Path, time_of: Callable[..., Any]
) -> None:
    path = write(
        tmp_path / "a.csv", "time,PPG\n" + "".join(f"{time_of(n)},{n}\n" for n in range(50))
    )
    recording = read_csv(path, rate=250.0)
    ppg = recording.signals["ppg"]
    assert (ppg.rate_hz, ppg.start_s, ppg.timestamps_s) == (250.0, 0.0, None)
    np.testing.assert_array_equal(ppg.samples[:, 0], np.arange(50))
    assert recording.attributes["left_out"] == "column time (not used)"


def test_csv_a_time_column_that_is_named_beside_a_rate_gives_the_start(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "time,PPG\n" + "".join(f"{1700000000 + n // 9},{n}\n" for n in range(50)),
    )
    recording = read_csv(path, rate=250.0, time="time")
    assert recording.start_time == "2023-11-14T22:13:20Z"  # 1700000000 in UTC
    assert (recording.signals["ppg"].rate_hz, recording.signals["ppg"].timestamps_s) == (
        250.0,
        None,
    )


def test_csv_of_other_rows_the_time_is_not_looked_at_where_the_first_gives_the_start(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.csv", "time,PPG\n2023-11-14T22:13:20Z,1\nlater,2\n,3\n")
    recording = read_csv(path, rate=250.0, time="time")
    assert (recording.start_time, recording.signals["ppg"].sample_count) == (
        "2023-11-14T22:13:20Z",
        3,
    )


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
    path = write(
        tmp_path / "a.csv", "time,PPG\n" + "\n".join(f"{10 * n},{n}" for n in range(100)) + "\n"
    )
    with pytest.raises(
        RecordingError, match=r"unit of the time column time is not clear.*--time 'time:ms'"
    ):
        read_csv(path)
    assert read_csv(path, time="time:ms").signals["ppg"].rate_hz == 100.0


@pytest.mark.parametrize(
    ("name", "scale", "ticks"),
    [
        ("time (s)", 5, "s"),
        ("seconds", 5, "s"),
        ("elapsed_sec", 5, "s"),
        ("t_s", 5, "s"),
        ("time (sec)", 5, "s"),
        ("time (secs)", 5, "s"),
        ("time [ms]", 5, "ms"),
        ("time_msec", 5, "ms"),
        ("time milliseconds", 5, "ms"),
        ("time_us", 5, "us"),
        ("time (µs)", 5, "us"),
        ("t ns", 5, "ns"),
        ("elapsed", 0.4, "s"),
    ],
)
def test_csv_the_unit_of_the_time_is_the_names(
    tmp_path: Path, name: str, scale: float, ticks: str
) -> None:
    in_s = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[ticks]
    path = write(
        tmp_path / "a.csv", f"{name},PPG\n" + "".join(f"{scale * n:.1f},{n}\n" for n in range(50))
    )
    recording = read_csv(path)
    assert recording.signals["ppg"].rate_hz == pytest.approx(1 / (scale * in_s), rel=1e-9)
    assert f"time: column {name}, time in {ticks}" in recording.attributes["notes"]
    assert recording.start_time == ""


@pytest.mark.parametrize(("step", "clear"), [("0.49", True), ("0.5", False)])
def test_csv_steps_of_half_a_second_or_more_could_be_milliseconds(
    tmp_path: Path, step: str, clear: bool
) -> None:
    path = write(
        tmp_path / "a.csv",
        "time,PPG\n" + "".join(f"{n * float(step):.2f},{n}\n" for n in range(50)),
    )
    if clear:
        assert read_csv(path).duration_s == pytest.approx(50 * 0.49)
    else:
        with pytest.raises(RecordingError, match=r"seconds or milliseconds, got 0, 0\.5 and so on"):
            read_csv(path)


@pytest.mark.parametrize(
    ("first", "ticks", "unix"),
    # Unix time of 2000 to 2100, by `date -u -d 2000-01-01 +%s`.
    [
        (946_684_800, "s", True),
        (946_684_799, "s", False),
        (4_102_444_799, "s", True),
        (4_102_444_800, "s", False),
    ],
)
def test_csv_unix_time_is_told_by_its_size(
    tmp_path: Path, first: float, ticks: str, unix: bool
) -> None:
    rows = "".join(f"{first + n / 50:.2f},{n}\n" for n in range(50))
    recording = read_csv(write(tmp_path / "a.csv", f"time_{ticks},PPG\n{rows}"))
    assert (recording.start_time != "") is unix
    assert ("Unix time in s" in recording.attributes["notes"]) is unix


@pytest.mark.parametrize(
    # Since a device was switched on: 42 hours in ms, 150 s in us, 20 min in us, 14 days in ms.
    ("first", "step"),
    [(150_000_000, 10), (150_000_000, 10_000), (1_200_000_000, 10_000), (1_209_600_000, 10)],
)
def test_csv_a_devices_own_time_is_not_taken_for_unix_time(
    tmp_path: Path, first: int, step: int
) -> None:
    rows = "".join(f"{first + n * step},{n}\n" for n in range(100))
    path = write(tmp_path / "a.csv", f"timestamp,PPG\n{rows}")
    with pytest.raises(RecordingError, match=r"is not clear.*'timestamp:ms', 'timestamp:us' or"):
        read_csv(path)
    recording = read_csv(path, time=f"timestamp:{'us' if step == 10_000 else 'ms'}")
    assert (recording.signals["ppg"].rate_hz, recording.start_time) == (100.0, "")


@pytest.mark.parametrize(
    ("first", "second", "days"),
    [
        ("29/12/2024", "31/12/2024", 2),
        ("2024/12/30", "2025/01/02", 3),
        ("28.2.2024", "1.3.2024", 2),
        ("12/30/2024", "01/02/2025", 3),
        # The order is that by which the days follow one another: 30 April and 31 May.
        ("03/04/2024", "04/04/2024", 1),
        ("04/03/2024", "04/04/2024", 1),
    ],
)
def test_csv_dates_are_as_far_apart_as_the_calendar_says(
    tmp_path: Path, first: str, second: str, days: int
) -> None:
    path = write(tmp_path / "a.csv", f"time,EDA\n{first} 10:00:00,1\n{second} 10:00:05,2\n")
    table = open_table(path, "a table")
    times_s = ClockTimes().times_s(table, next(table.blocks(Account(""))), 0)
    assert times_s.tolist() == [0, days * 86400 + 5]


def test_csv_dates_whose_order_cannot_be_told_or_that_are_none_are_refused(tmp_path: Path) -> None:
    for second, sentence in (
        ("06/04/2024", r"line 3, column time: the order of day and month .*03/04/2024, then 06/04"),
        ("31/02/2024", r"line 3, column time: not a time.*a date"),
    ):
        rows = f"time,EDA\n03/04/2024 10:00:00,1\n{second} 10:00:00,2\n"
        with pytest.raises(RecordingError, match=sentence):
            read_csv(write(tmp_path / "a.csv", rows))


def test_csv_a_column_of_dates_alone_is_told_of_the_one_with_the_times(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01,10:00:{n:02}.0,{n}\n" for n in range(50))
    path = write(tmp_path / "a.csv", f"date,time,EDA (uS)\n{rows}")
    with pytest.raises(RecordingError, match=r"column date holds dates without .*--time 'time'"):
        read_csv(path)
    assert read_csv(path, time="time").signals["gsr"].rate_hz == 1.0
    path = write(tmp_path / "b.csv", "date,EDA\n2.1.2024,1\n2.1.2024,2\n")
    with pytest.raises(RecordingError, match="Write date and time in one column"):
        read_csv(path)


@pytest.mark.parametrize(
    # A resistance of R kOhm is a conductance of 1000 / R uS.
    ("unit", "resistance", "conductance"),
    [("kOhm", 500.0, 2.0), ("Ohm", 250_000.0, 4.0), ("MOhm", 0.5, 2.0), ("kOhm", 0.0, np.nan)],
)
def test_csv_skin_resistance_becomes_conductance_and_is_said(
    tmp_path: Path, unit: str, resistance: float, conductance: float
) -> None:
    rows = "".join(f"{n / 4},{resistance if n == 5 else 800}\n" for n in range(40))
    recording = read_csv(write(tmp_path / "a.csv", f"time,EDA ({unit})\n{rows}"))
    gsr = recording.signals["gsr"]
    if np.isfinite(conductance):
        assert (gsr.unit, gsr.rate_hz) == ("uS", 4.0)
        assert gsr.samples[5, 0] == pytest.approx(conductance, rel=1e-6)
    else:
        # The row is one without a sample, as where a cell is empty.
        assert gsr.sample_count == 39
    assert f"gsr: given in {unit}, turned into uS" in recording.attributes["notes"]


def test_csv_a_resistance_that_is_not_the_skins_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,Cz (kOhm)\n0,1\n0.1,2\n")
    with pytest.raises(RecordingError, match="the unit cannot be used"):
        read_csv(path)


@pytest.mark.filterwarnings("error")
def test_csv_numbers_that_no_sample_can_hold_are_missing_and_counted(tmp_path: Path) -> None:
    rows = "".join(f"{'1e300' if n in (3, 4) else n},{-n}\n" for n in range(64))
    path = write(tmp_path / "a.csv", f"AF7,AF8\n{rows}")
    recording = read_csv(path, rate=64.0)
    assert np.flatnonzero(np.isnan(recording.signals["eeg"].samples[:, 0])).tolist() == [3, 4]
    assert np.isfinite(recording.signals["eeg"].samples[:, 1]).all()
    assert "eeg: 2 numbers beyond 3.4e+38 taken for missing" in recording.attributes["notes"]


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
        (1, 5, "5"),
        (4, 5, "5"),
        (6, -7, "-7.0"),
        (7, 0, "go"),
        (9, 0, "stop"),
        (10, 0, "1.5"),
        (11, 0, "1234567890"),
    ]


def test_csv_iso_times_with_and_without_a_zone_do_not_mix(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "date,PPG\n2024-05-01T09:30:00Z,1\n2024-05-01T09:30:01,2\n")
    with pytest.raises(
        RecordingError, match=r"line 3, column date: not a time.*as in the first row"
    ):
        read_csv(path)


def test_csv_units_are_the_usual_ones_unless_named_and_of_a_modality_all_the_same(
    tmp_path: Path,
) -> None:
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
    path = write(
        tmp_path / "a.csv", "TimeStamp,RAW_TP9,EDA\n" + "".join(f"{n / 10},1,2\n" for n in range(9))
    )
    named = read_csv(path, subject_id="anna", session_id="monday", columns=["gsr=EDA"])
    assert "it looks like a file for `emodict-session import muse`" in named.attributes["notes"]
    assert (named.subject_id, named.session_id) == ("anna", "monday")
    assert named.modality_names == ("gsr",)


def test_csv_a_modality_without_a_sample_is_left_out(tmp_path: Path) -> None:
    recording = read_csv(
        write(tmp_path / "a.csv", "time,PPG,EDA\n" + "".join(f"{n / 10},1,\n" for n in range(9)))
    )
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


def test_csv_rows_that_came_late_are_put_in_their_place_and_said(tmp_path: Path) -> None:
    order = np.arange(960).reshape(-1, 12).copy()
    order[::4] = order[::4, ::-1]
    rows = [f"{1700000000 + n / 64:.6f},{n},{int(n == 500)}\n" for n in range(960)]
    path = write(tmp_path / "a.csv", "time,PPG,marker\n" + "".join(rows[n] for n in order.ravel()))
    recording = read_csv(path)
    ppg = recording.signals["ppg"]
    np.testing.assert_array_equal(ppg.samples[:, 0], np.arange(960))
    assert (ppg.start_s, ppg.rate_hz) == (0.0, 64.0)
    # Of the earliest row, which is not the first.
    assert recording.start_time == "2023-11-14T22:13:20Z"
    # 20 packets, 11 of each.
    assert (
        "ppg: 220 samples came late, by the times: put back in order"
        in recording.attributes["notes"]
    )
    assert [e.onset_s for e in recording.events] == [pytest.approx(500 / 64)]


def test_csv_rows_that_stand_twice_count_once(tmp_path: Path) -> None:
    rows = [f"{n / 64:.6f},{n},{'' if n % 16 else n}\n" for n in range(320)]
    path = write(
        tmp_path / "a.csv", "time,PPG,EDA\n" + "".join([*rows[:200], *rows[128:200], *rows[200:]])
    )
    recording = read_csv(path)
    np.testing.assert_array_equal(recording.signals["ppg"].samples[:, 0], np.arange(320))
    np.testing.assert_array_equal(recording.signals["gsr"].samples[:, 0], np.arange(0, 320, 16))
    notes = recording.attributes["notes"]
    assert "ppg: 72 samples came twice" in notes
    assert "gsr: 5 samples came twice" in notes  # 128, 144, ..., 192


def local_times(*, jump_s: float) -> str:
    """An hour and a half at 1 Hz in local time, the clock set in its middle."""
    start = datetime.datetime(2024, 10, 27, 2, 15)
    rows = [
        (start + datetime.timedelta(seconds=n + jump_s * (n >= 2700))).isoformat(" ")
        for n in range(5400)
    ]
    return "date,EDA\n" + "".join(f"{row},{n}\n" for n, row in enumerate(rows))


def test_csv_end_of_summer_time_is_recognised_and_not_sorted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", local_times(jump_s=-3600))
    said = (
        r"line 2702: the time.*goes backwards.*looks like the end of summer time\. "
        r"Write the times in UTC.*--rate HZ"
    )
    with pytest.raises(RecordingError, match=said):
        read_csv(path)
    assert read_csv(path, rate=1.0).signals["gsr"].sample_count == 5400


def test_csv_beginning_of_summer_time_is_said(tmp_path: Path) -> None:
    recording = read_csv(write(tmp_path / "a.csv", local_times(jump_s=3600)))
    assert (
        "an hour is missing after 2699.0 s, as where summer time begins"
        in recording.attributes["notes"]
    )
    assert recording.duration_s == 9000.0


@pytest.mark.parametrize(
    ("cells", "start_time"),
    [
        (["23:59:59.000", "23:59:59.500", "00:00:00.000", "00:00:00.500"], ""),
        (
            [
                "01/02/2024 11:59:59.0 PM",
                "01/02/2024 11:59:59.5 PM",
                "01/03/2024 12:00:00 AM",
                "01/03/2024 12:00:00.5 AM",
            ],
            "2024-01-02T23:59:59",
        ),
        (
            ["1.2.2024 23:59:59", "1.2.2024 23:59:59.5", "2.2.2024 00:00:00", "2.2.2024 0:00:00.5"],
            "2024-02-01T23:59:59",
        ),
        (
            [
                "13/02/2024 23:59:59",
                "13/02/2024 23:59:59.5",
                "14/02/2024 00:00:00",
                "14/02/2024 00:00:00.5",
            ],
            "2024-02-13T23:59:59",
        ),
        (
            [
                "01/02/2024 23:59:59",
                "01/02/2024 23:59:59.5",
                "02/02/2024 00:00:00",
                "02/02/2024 00:00:00.5",
            ],
            "",
        ),
        (
            [
                "2024/02/01 23:59:59",
                "2024/02/01 23:59:59.5",
                "2024/02/02 00:00:00",
                "2024/02/02 00:00:00.5",
            ],
            "2024-02-01T23:59:59",
        ),
    ],
)
def test_csv_times_of_day_are_read_through_midnight(
    tmp_path: Path, cells: list[str], start_time: str
) -> None:
    path = write(
        tmp_path / "a.csv", "time;EDA\n" + "".join(f"{cell};{n}\n" for n, cell in enumerate(cells))
    )
    recording = read_csv(path)
    gsr = recording.signals["gsr"]
    assert (gsr.rate_hz, gsr.sample_count, gsr.timestamps_s) == (2.0, 4, None)
    assert recording.start_time == start_time
    assert "time: column time, time of day" in recording.attributes["notes"]


def test_csv_a_row_of_before_midnight_that_comes_just_behind_it_is_put_back(tmp_path: Path) -> None:
    # Ten rows a second; row 40 is midnight.
    order = [*range(38), 41, 40, 39, 38, *range(42, 80)]
    hours = {
        n: f"23:59:5{6 + n // 10}.{n % 10}" if n < 40 else f"00:00:0{(n - 40) // 10}.{n % 10}"
        for n in order
    }
    path = write(tmp_path / "a.csv", "time;EDA\n" + "".join(f"{hours[n]};{n}\n" for n in order))
    gsr = read_csv(path).signals["gsr"]
    np.testing.assert_array_equal(gsr.samples[:, 0], np.arange(80))
    assert (gsr.rate_hz, gsr.timestamps_s) == (10.0, None)


def test_csv_a_first_row_that_is_late_behind_midnight_is_put_back(tmp_path: Path) -> None:
    cells = ["00:00:00.0", "23:59:59.9", *(f"00:00:0{n // 10}.{n % 10}" for n in range(1, 20))]
    path = write(
        tmp_path / "a.csv", "time;EDA\n" + "".join(f"{cell};{n}\n" for n, cell in enumerate(cells))
    )
    gsr = read_csv(path).signals["gsr"]
    assert gsr.samples[:, 0].tolist() == [1, 0, *range(2, 21)]
    assert (gsr.rate_hz, gsr.timestamps_s) == (10.0, None)


def test_csv_what_is_not_a_time_of_day_is_refused_with_another_way(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "time,EDA\n23:30:00,1\n23:30:01,2\n24:00:00,3\n")
    with pytest.raises(
        RecordingError, match=r"line 4, column time: not a time.*a time of day, as in.*--rate HZ"
    ):
        read_csv(path)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_decimals_may_have_a_comma_where_it_is_said(tmp_path: Path, separator: str) -> None:
    rows = "".join(
        f"{n / 4:.2f};{n / 8:.3f};x\n".replace(".", ",").replace(";", separator) for n in range(40)
    )
    plain = write(tmp_path / "a.csv", "time;EDA;mood, maybe\n".replace(";", separator) + rows)
    path = write(tmp_path / "b.csv", "time, s;EDA;mood, maybe\n".replace(";", separator) + rows)
    told = read_csv(plain)
    assert "decimals: with a comma" in told.attributes["notes"]
    said = r"not a number.*with a point.*'0,00'. Say .*--decimal , \(of import csv\)"
    with pytest.raises(RecordingError, match=said):
        read_csv(plain, decimal=".")
    for recording in (told, read_csv(path, time="time, s", decimal=",")):
        gsr = recording.signals["gsr"]
        assert gsr.rate_hz == 4.0
        np.testing.assert_array_equal(gsr.samples[:, 0], np.arange(40) / 8)
    with pytest.raises(RecordingError, match="--decimal x is not a sign"):
        read_csv(path, decimal="x")


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
        (
            ("time,PPG,x\n" + GOOD.replace("0.50,", ",")).encode(),
            {},
            r"line 52: the time stands still or goes back",
        ),
        (
            ("time,PPG,x\n" + GOOD.replace("0.50,50", "0.50,inf")).encode(),
            {},
            r"line 52, column PPG: not a number",
        ),
        (("a,PPG,x\n" + GOOD).encode(), {}, r"no time column.*a, PPG, x.*--rate HZ"),
        (
            ("time,alpha,x\n" + GOOD).encode(),
            {},
            r"no column that is known.*time, alpha, x.*--columns",
        ),
        (
            ("time,PPG,BVP\n" + GOOD).encode(),
            {},
            r"ppg has one channel, and 2 columns could be it.*PPG, BVP",
        ),
        (
            ("time,PPG,x\n" + GOOD).encode(),
            {"columns": ["ppg=bpv"]},
            r"no column 'bpv'.*time, PPG, x",
        ),
        (
            ("time,PPG,x\n" + GOOD).encode(),
            {"columns": ["ecg=x"]},
            r"names no modality.*one of eeg, ppg, gsr, skt",
        ),
        (
            ("time,PPG,x\n" + GOOD).encode(),
            {"columns": ["PPG"]},
            r"--columns 'PPG' cannot be read.*NAME=VALUE",
        ),
        (("time,PPG,x\n" + GOOD).encode(), {"time": "when"}, r"no column 'when'"),
        (("time,PPG,x\n" + GOOD).encode(), {"time": "time:min"}, r"names no unit of time"),
        (("time,PPG,x\n" + GOOD).encode(), {"rate": -3.0}, r"--rate -3.0 is not a sampling rate"),
        (("time,PPG,x\n" + GOOD).encode(), {"unit": ["gsr=uS"]}, r"there is no gsr"),
        (("time,EDA (lux),x\n" + GOOD).encode(), {}, r"gsr: the unit cannot be used.*got 'lux'"),
        (
            "time,Hautleitfähigkeit\n0,1\n".encode("latin-1"),
            {},
            r"not text in UTF-8.*0xe4, as in Latin-1",
        ),
        ("time,PPG\n0,1\n".encode("utf-16"), {}, r"not text in UTF-8.*UTF-16"),
        (
            b"time,PPG\n" + "".join(f"{n},1\n" for n in range(99)).encode() + b"99,\xff\n",
            {"time": "time:ms"},
            "UTF-8",
        ),
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
    np.testing.assert_array_equal(
        samples[rows - 2 :], np.repeat([[rows - 2], [rows - 1]], 32, axis=1)
    )
    # Samples take 2.6 MB. Times take 0.2 MB, a few copies of which are held against the even clock.
    assert peak < 2e6 < samples.shape[0] * samples.shape[1] * 4


@pytest.mark.parametrize(
    ("comments", "rows", "rate_hz"),
    [
        # As a "Simple Text Format" of OpenSignals' users writes it.
        ("# Simple Text Format\n# Sampling Rate (Hz):= 1000.00\n# Labels:= BVP\n", "{n}\n", 1000.0),
        ("# fs: 64 Hz\n# columns: BVP,button\n", "{n},0\n", 64.0),
        ("# sample_rate = 0.5 kHz\n# marker;BVP\n", "0;{n}\n", 500.0),
        ("#Sampling frequency,128\n#Channels,x,BVP,y\n", "1,{n},2\n", 128.0),
    ],
)
def test_csv_comments_may_name_the_columns_and_the_rate(
    tmp_path: Path, comments: str, rows: str, rate_hz: float
) -> None:
    path = write(tmp_path / "a.txt", comments + "".join(rows.format(n=n) for n in range(300)))
    recording = read_csv(path)
    ppg = recording.signals["ppg"]
    np.testing.assert_array_equal(ppg.samples[:, 0], np.arange(300))
    assert (ppg.rate_hz, ppg.timestamps_s) == (rate_hz, None)
    notes = recording.attributes["notes"]
    assert f"rate: {rate_hz:g} Hz, by the comments above the table" in notes
    assert "BVP" in notes.partition(": by the comments above the table")[0]
    assert kind_of(path) == "csv"


def test_csv_a_rate_in_the_comments_stands_behind_times_and_what_is_asked(tmp_path: Path) -> None:
    rows = "".join(f"{n / 50:.2f},{n}\n" for n in range(200))
    path = write(tmp_path / "a.csv", f"# sampling rate: 64\ntime,BVP\n{rows}")
    recording = read_csv(path)
    assert recording.signals["ppg"].rate_hz == 50.0
    assert (
        "the comments say 64 Hz, and the times 50 Hz: the times are taken"
        in recording.attributes["notes"]
    )
    assert read_csv(path, rate=25.0).signals["ppg"].rate_hz == 25.0


def test_csv_a_rate_in_the_comments_that_the_times_agree_with_is_not_said(tmp_path: Path) -> None:
    # Every 16th row has a skin conductance, too.
    rows = "".join(f"{n / 64:.6f},{n},{'' if n % 16 else 1}\n" for n in range(640))
    path = write(tmp_path / "a.csv", f"# sampling rate: 64\ntime,BVP,EDA (uS)\n{rows}")
    assert "the comments say" not in read_csv(path).attributes["notes"]


@pytest.mark.parametrize(
    ("written", "rate_hz"),
    [("1,000 Hz", None), ("1,000.0", None), ("12,500", None), ("0,250 kHz", 250), ("62,5", 62.5)],
)
def test_csv_a_comma_in_a_rate_that_can_stand_for_thousands_is_refused(
    tmp_path: Path, written: str, rate_hz: float | None
) -> None:
    path = write(tmp_path / "a.csv", f"# Sampling Rate: {written}\nPPG;EDA\n" + "0;2\n" * 99)
    if rate_hz is None:
        with pytest.raises(RecordingError, match=r"is not clear: the comma of 1.*--rate HZ"):
            read_csv(path)
        assert read_csv(path, rate=1000.0).signals["ppg"].rate_hz == 1000.0
    else:
        assert read_csv(path).signals["ppg"].rate_hz == rate_hz


def test_csv_counts_of_an_adc_are_not_taken_for_a_unit(tmp_path: Path) -> None:
    comments = "# Sampling Rate (Hz):= 100\n# Resolution:= 12\n# Labels:= EDA\n"
    path = write(tmp_path / "a.txt", comments + "".join(f"{n}\n" for n in range(300)))
    with pytest.raises(RecordingError, match=r"counts of 12 bits.*samples in uS.*--unit gsr=uS"):
        read_csv(path)
    assert read_csv(path, unit=["gsr=nS"]).signals["gsr"].unit == "nS"


def test_csv_times_rounded_to_milliseconds_stand_on_the_even_clock(tmp_path: Path) -> None:
    # At 256 Hz the steps are 3 and 4 ms.
    rows = "".join(f"{1533059192.499 + n / 256:.3f},{n}\n" for n in range(2560))
    ppg = read_csv(write(tmp_path / "a.csv", f"time,PPG\n{rows}")).signals["ppg"]
    assert (ppg.rate_hz, ppg.timestamps_s) == (256.0, None)
    jittering = np.arange(2560) / 256 + np.where(np.arange(2560) % 7, 0, 0.002)
    rows = "".join(f"{at_s:.3f},1\n" for at_s in jittering)
    ppg = read_csv(write(tmp_path / "b.csv", f"time,PPG\n{rows}")).signals["ppg"]
    # Each is rounded by half a ms at most, and so is the first.
    np.testing.assert_allclose(ppg.timestamps_s, jittering - jittering[0], atol=1.01e-3)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("name", "written", "how"),
    [
        ("timestamp", lambda s: f"{1700000000 + s:.6f}", "Unix time in s"),
        ("timestamp", lambda s: f"{(1700000000 + s) * 1e3:.3f}", "Unix time in ms"),
        ("timestamp", lambda s: f"{round((1700000000 + s) * 1e6)}", "Unix time in us"),
        ("time", lambda s: f"2023-11-14T22:13:{20 + s:09.6f}Z", "ISO 8601"),
    ],
)
def test_csv_of_times_however_written_has_the_same_rate_and_start(
    tmp_path: Path, separator: str, name: str, written: Callable[[float], str], how: str
) -> None:
    rows = "".join(f"{written(n / 100)}{separator}{n}\n" for n in range(300))
    recording = read_csv(write(tmp_path / "a.csv", f"{name}{separator}PPG\n{rows}"))
    assert (recording.signals["ppg"].rate_hz, recording.start_time) == (
        100.0,
        "2023-11-14T22:13:20Z",
    )
    assert recording.signals["ppg"].timestamps_s is None
    assert how in recording.attributes["notes"]


def test_csv_lines_of_words_above_the_header_are_read_over_and_may_name_the_rate(
    tmp_path: Path,
) -> None:
    # As EmotivPRO exports it.
    head = "title:rest, start timestamp:1600000000.5, headset type:EPOCX, sampling rate:eeg_128\n"
    names = "EEG.Counter,EEG.Interpolated,EEG.AF3,EEG.O1,EEG.RawCq,MarkerIndex\n"
    rows = "".join(f"{n % 128},0,{4100 + n},{4200 - n},0,\n" for n in range(300))
    recording = read_csv(write(tmp_path / "a.csv", head + names + rows))
    eeg = recording.signals["eeg"]
    assert (eeg.channel_names, eeg.rate_hz) == (("AF3", "O1"), 128.0)
    np.testing.assert_array_equal(eeg.samples[:, 0], 4100 + np.arange(300))
    timed = "".join(f"{n / 50:.2f};{n}\n" for n in range(200))
    path = write(tmp_path / "b.csv", f"Recorder X\nPerson;S01\n\nZeit;BVP\n{timed}")
    assert read_csv(path).signals["ppg"].rate_hz == 50.0


def test_csv_a_column_of_another_signal_is_not_renamed_in_silence(tmp_path: Path) -> None:
    rows = "".join(f"{n / 50:.2f},{n}\n" for n in range(200))
    path = write(tmp_path / "a.csv", f"time,ECG\n{rows}")
    notes = read_csv(path, columns=["ppg=ECG"]).attributes["notes"]
    assert "column ECG is taken for ppg, as asked; its name says otherwise" in notes
