"""Counters, arrivals, times and spooled samples: the parts that all importers stand on."""

from __future__ import annotations

import datetime
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from emodict.errors import RecordingError
from emodict.recording.electrodes import ELECTRODES
from emodict.recording.units import plain_unit
from emodict_desk.importers import IMPORTERS
from emodict_desk.importers.clock import (
    counter_from_arrivals,
    gap_or_none,
    growing,
    lost_samples,
    parse_time,
    start_and_times,
    utc_text,
)
from emodict_desk.importers.kinds import check_there, describe, kind_of, only_kind_of
from emodict_desk.importers.labels import (
    electrode_name,
    is_electrode,
    modality_of_words,
    place_and_reference,
    split_unit,
)
from emodict_desk.importers.spool import Growing, Spool
from emodict_desk.recordings.account import Account, joined_attributes
from emodict_desk.recordings.rate import usual_rate_hz

RNG = np.random.default_rng(11)


def test_samples_lost_are_those_between_the_first_and_the_last() -> None:
    assert [lost_samples(np.array(n, dtype=np.int64)) for n in ([], [7], [7, 8], [7, 9, 12])] == [
        0,
        0,
        0,
        3,
    ]
    assert gap_or_none(None) is None
    assert gap_or_none(np.array([7, 8])) is None
    assert gap_or_none(np.array([7, 9])).tolist() == [7, 9]


@pytest.mark.parametrize(
    ("unix_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1.7e9 + 0.25, "2023-11-14T22:13:20.250000Z"),
        (1e300, None),
        (np.nan, None),
    ],
)
def test_unix_time_is_written_in_utc(unix_s: float, text: str | None) -> None:
    assert utc_text(unix_s) == text


def test_bursts_and_a_stall_lose_nothing() -> None:
    taken_s = np.arange(256 * 60) / 256
    arrived_s = (
        np.ceil(taken_s / 0.047) * 0.047
        + RNG.choice([0, 0.03], len(taken_s) // 12 + 1).repeat(12)[: len(taken_s)]
    )
    stall = (arrived_s > 20) & (arrived_s < 24)
    arrived_s[stall] = 24.0  # four seconds held back, then delivered at once
    np.testing.assert_array_equal(
        counter_from_arrivals(np.maximum.accumulate(arrived_s), 256.0), np.arange(256 * 60)
    )


@pytest.mark.parametrize("lost", [64, 256, 2560])
def test_a_loss_is_found_to_a_tenth_of_a_second_and_where_it_was(lost: int) -> None:
    taken = np.delete(np.arange(256 * 60), np.arange(5000, 5000 + lost))
    arrived_s = np.ceil(taken / 256 / 0.047) * 0.047
    counter = counter_from_arrivals(arrived_s, 256.0)
    assert np.abs(counter - taken).max() <= 26
    # Which packet of those within the pause was lost, the stamps say to a packet.
    assert abs(int(np.diff(counter).argmax()) - 4999) <= 24


@pytest.mark.parametrize(
    ("rate_hz", "late", "late_s", "lost"), [(1.0, 10, 3.0, 3), (0.2, 2, 10.0, 2)]
)
def test_of_a_slow_sensor_two_samples_at_least_are_looked_at_at_a_time(
    rate_hz: float, late: int, late_s: float, lost: int
) -> None:
    n = np.arange(40)
    for count, found in ((late, lost), (late - 1, 0)):
        arrived_s = n / rate_hz + late_s * ((n >= 2) & (n < 2 + count))
        np.testing.assert_array_equal(
            counter_from_arrivals(arrived_s, rate_hz), n + found * (n >= 2)
        )


def test_many_small_losses_do_not_add_up() -> None:
    taken = np.flatnonzero(np.repeat(RNG.random(256 * 5) > 0.02, 12))
    arrived_s = np.ceil(taken / 256 / 0.047) * 0.047
    counter = counter_from_arrivals(arrived_s, 256.0)
    assert np.abs(counter - (taken - taken[0])).max() <= 0.5 * 256


def test_even_times_need_no_time_stamps_and_others_keep_theirs() -> None:
    assert start_and_times(3.5 + np.arange(100) / 64, 64.0) == (3.5, None)
    gap = np.delete(np.arange(100) / 64, [50])
    start_s, times_s = start_and_times(gap, 64.0)
    assert start_s == 0.0
    np.testing.assert_array_equal(times_s, gap)


def test_the_rate_is_measured_between_the_gaps() -> None:
    assert usual_rate_hz(np.array([0, 0.25, 0.5, 9, 9.25, 9.5])) == 4.0
    assert usual_rate_hz(np.array([1.0])) == 0.0
    assert usual_rate_hz(np.array([1.0, 1.0, 1.0])) == 0.0
    assert usual_rate_hz(np.arange(999) / 92.93) == pytest.approx(92.93)


def test_only_samples_later_than_all_before_grow() -> None:
    np.testing.assert_array_equal(
        growing(np.array([0, 1, 3, 2, 3, 4])), [True, True, True, False, False, True]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-31T00:21:17+0000", "2025-01-31T00:21:17+00:00"),
        ("2025-01-31T00:21:17.5Z", "2025-01-31T00:21:17.500000+00:00"),
        ("2025-01-31 00:21:17.123456789", "2025-01-31T00:21:17.123456"),
        ("2025-01-31T00:21:17.250+02:00", "2025-01-31T00:21:17.250000+02:00"),
        ("2025-02-30T00:00:00", None),
        ("12.5", None),
        ("", None),
    ],
)
def test_times_are_read_on_every_python(text: str, expected: str | None) -> None:
    assert parse_time(text) == (
        None if expected is None else datetime.datetime.fromisoformat(expected)
    )


@pytest.mark.parametrize("limit", [100, 1 << 20])
def test_spooled_samples_read_like_an_array(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("emodict_desk.importers.spool.IN_MEMORY_BYTES", limit)
    expected = RNG.normal(size=(97, 3)).astype(np.float32)
    spool = Spool(3)
    for start in range(0, 97, 10):
        spool.append(expected[start : start + 10])
    assert spool.shape == expected.shape
    assert len(spool) == 97
    for key in (
        slice(None),
        slice(5, 20),
        slice(90, 200),
        slice(3, 50, 7),
        slice(None, None, -1),
        slice(-4, None),
        5,
    ):
        np.testing.assert_array_equal(spool[key], expected[key])
    np.testing.assert_array_equal(spool[:, 1], expected[:, 1])
    np.testing.assert_array_equal(spool[4:9, [2, 0]], expected[4:9, [2, 0]])
    np.testing.assert_array_equal(np.asarray(spool, dtype=np.float64), expected)
    del spool
    gc.collect()  # a file left open would warn here, and warnings are errors


def test_names_and_units_are_understood() -> None:
    assert [electrode_name(name) for name in ("RAW_TP9", "EEG.AF7", "eeg Cz", "left")] == [
        "TP9",
        "AF7",
        "Cz",
        "left",
    ]
    assert is_electrode("T7")
    assert not is_electrode("time")
    assert all(is_electrode(name) for name in ELECTRODES)
    assert split_unit("EDA (uS)") == ("EDA", "uS")
    assert split_unit("EDA") == ("EDA", "")
    assert [plain_unit(unit) for unit in ("microvolts", "µV", "μS", "Volts", "UV", "lux")] == [
        "uV", "uV", "uS", "V", "uV", "lux",
    ]  # fmt: skip
    for text, modality in (
        ("EEG", "eeg"),
        ("BVP", "ppg"),
        ("PPG_IR", "ppg"),
        ("eda_uS", "gsr"),
        ("GalvanicS", "gsr"),
        ("Markers", "marker"),
        ("scene", None),
        ("Accelerometer", None),
    ):
        assert modality_of_words(text) == modality, text


def test_a_growing_column_knows_its_last_number() -> None:
    column = Growing()
    assert column.last == -np.inf
    column.append([3.0, 4.0, 5.0])
    assert column.last == 5.0
    column.append([])
    assert column.last == -np.inf
    column.append([7])
    assert column.last == 7.0
    assert column.all().tolist() == [3, 4, 5, 7]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("1\t2\t3\n", "brainflow"),
        ("1\t2\n", None),
        ("1\tb\t3\n", None),
        ("a\tb\t3\n", "csv"),
        ("1,2\n", None),
        ("a,2\n", "csv"),
        ("a\n", None),
        ("-1.5e3;2\n", None),
        ("# a comment\n\nt,2\n", "csv"),
        ("TimeStamp,RAW_AF7\n", "muse"),
        ("RAW_AF7,TimeStamp\n", "csv"),
        ("TimeStamp,HeadBandOn\n", "muse"),
        ("TimeStamp,a\n", "csv"),
        ("Time,a,Trigger,ADC_Status\n", "dsi"),
        ("Time,a,Trigger,Time_Offset\n", "dsi"),
        ("Time,a,Mark,ADC_Status\n", "csv"),
        ("a,Time,Trigger,ADC_Status\n", "csv"),
        ("Time,a,Trigger\n", "csv"),
        ("XDF:", "xdf"),
        ("0       x", "edf"),
        ("Obj\x01", "embraceplus"),
        ("MATLAB", None),
        ("", None),
        # Logs are no tables: OSC, packets of a radio, JSON.
        ("1533059192.5\t/muse/eeg\t800.1\t805.2\n1533059192.6\t/muse/acc\t1\t2\n", None),
        ("/muse/eeg, 800.1, 805.2, 799.9\n/muse/eeg, 801.1, 804.2, 797.9\n", None),
        ("12:00:01.5,a0ff3c,in\n12:00:01.6,b1ee2d,out\n", None),
        ('{"a": 1, "b": 2}\n', None),
    ],
)
def test_a_kind_of_file_is_told_by_how_it_begins(
    tmp_path: Path, head: str, kind: str | None
) -> None:
    (tmp_path / "a").write_text(head)
    assert kind_of(tmp_path / "a") == kind


@pytest.mark.parametrize(("before", "kind"), [(4094, "csv"), (4095, None)])
def test_a_kind_is_told_by_the_first_4096_bytes(
    tmp_path: Path, before: int, kind: str | None
) -> None:
    (tmp_path / "a").write_text("#" * (before - 1) + "\n" + "a,b\n")
    assert kind_of(tmp_path / "a") == kind


def test_a_kind_of_folder_is_told_by_a_file_in_it(tmp_path: Path) -> None:
    for name, kind in (
        ("datas.mat", "dmer"),
        ("BVP.csv", "e4"),
        ("EDA.csv", "e4"),
        ("x.avro", "embraceplus"),
        ("x", None),
    ):
        folder = tmp_path / f"folder-{name}"
        folder.mkdir()
        assert kind_of(folder) is None
        (folder / name).write_bytes(b"MATLAB")
        assert kind_of(folder) == kind
        assert describe(folder) == f"a folder with {name}" + (
            f", which `emodict-session import {kind}` reads" if kind else ""
        )
    assert kind_of(tmp_path / "folder-datas.mat" / "datas.mat") == "dmer"
    for i in range(7):
        (folder / f"{i}").touch()
    assert describe(folder) == "a folder with 0, 1, 2, 3, 4, 5"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04", "a zip archive; unpack it first"),
        (b"\x1f\x8b", "a gzip archive; unpack it first"),
        (b"\x89PNG", "a picture"),
        (b"%PDF", "a PDF"),
        (b"MATLAB 5.0", "a MATLAB file"),
        (b"\xff\xfea", "text in UTF-16; save it as UTF-8"),
        (b"\xfe\xffa", "text in UTF-16; save it as UTF-8"),
        (b"0123456789", "a file that starts with b'01234567'"),
    ],
)
def test_what_is_no_recording_is_described(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a").write_bytes(content)
    assert describe(tmp_path / "a") == said


def test_a_path_must_be_there_and_a_file_or_a_folder_as_asked(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,b\n")
    check_there(file, "x")
    check_there(tmp_path, "x", folder=True)
    with pytest.raises(
        RecordingError, match=r"a\.csv is a file\. Expected x, got what looks like .*import csv"
    ):
        check_there(file, "x", folder=True)
    with pytest.raises(
        RecordingError, match=r" is a folder\. Expected x, got a folder with a\.csv"
    ):
        check_there(tmp_path, "x")
    with pytest.raises(RecordingError, match="There is no file"):
        check_there(tmp_path / "b", "x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordingError, match="got something else"):
        check_there(tmp_path / "pipe", "x")


def test_what_is_left_out_and_noted_is_listed_once(tmp_path: Path) -> None:
    account = Account("EDF a.edf")
    assert account.attributes() == {"source": "EDF a.edf"}
    for _ in range(2):
        account.leave_out("ECG", "no EEG")
        account.note("taken for uV")
    account.note("numbered")
    kept = {
        "source": "EDF a.edf",
        "left_out": "ECG (no EEG), ECG (no EEG)",
        "notes": "taken for uV; numbered",
    }
    assert account.attributes() == kept
    joined = joined_attributes(
        [kept, {"source": "E4", "notes": "numbered", "mood": "a"}, {"mood": "b"}, kept]
    )
    assert joined == {
        "source": "EDF a.edf + E4",
        "left_out": kept["left_out"],
        "notes": "taken for uV; numbered; numbered",
        "mood": "a, b",
    }


def test_every_kind_of_real_file_is_told(shared_data: Path) -> None:
    for path, kind in (
        ("e4_stress_predict_S01", "e4"),
        ("xdf_examples/minimal.xdf", "xdf"),
        ("opensignals_h5/bvp_rest.h5", "opensignals"),
        ("e4_stress_predict_S01/IBI.csv", "csv"),
        ("yunet/face_detection_yunet_2023mar.onnx", None),
    ):
        assert kind_of(shared_data / path) == kind, path
    face = shared_data / "yunet" / "face_detection_yunet_2023mar.onnx"
    assert describe(face) == "an ONNX model"


def test_the_plain_csv_is_tried_last() -> None:
    assert list(IMPORTERS)[-1] == "csv"


@pytest.mark.parametrize(("pause_s", "lost"), [(0.0999, 0), (0.1001, 10)])
def test_arrivals_that_stay_more_than_a_tenth_of_a_second_late_tell_of_lost_samples(
    pause_s: float, lost: int
) -> None:
    arrived_s = np.arange(4000) / 100 + np.where(np.arange(4000) < 2000, 0.0, pause_s)
    counter = counter_from_arrivals(arrived_s, 100.0)
    np.testing.assert_array_equal(
        counter, np.arange(4000) + np.where(np.arange(4000) < 2000, 0, lost)
    )


@pytest.mark.parametrize(("held", "lost"), [(999, 0), (1000, 11)])
def test_arrivals_that_are_in_time_again_within_ten_seconds_were_held_up(
    held: int, lost: int
) -> None:
    arrived_s = np.arange(6000) / 100
    arrived_s[2000 : 2000 + held] += 0.11
    assert counter_from_arrivals(arrived_s, 100.0)[-1] == 5999 + lost


@pytest.mark.parametrize(
    ("rate_hz", "expected"), [(100.049, 100.0), (100.051, 100.051), (99.951, 100.0)]
)
def test_a_rate_within_five_hundredths_of_a_per_cent_of_a_whole_number_is_that(
    rate_hz: float, expected: float
) -> None:
    assert usual_rate_hz(np.arange(2000) / rate_hz) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("step_s", "rate_hz"), [(0.375, 3 / 0.875), (0.376, 4.0)])
def test_steps_of_more_than_one_and_a_half_times_the_usual_are_gaps(
    step_s: float, rate_hz: float
) -> None:
    assert usual_rate_hz(np.cumsum([0.0, 0.25, 0.25, step_s])) == pytest.approx(rate_hz, rel=1e-9)


@pytest.mark.parametrize(("off_periods", "even"), [(0.0099, True), (0.0101, False)])
def test_times_within_a_hundredth_of_a_period_lie_on_an_even_clock(
    off_periods: float, even: bool
) -> None:
    times_s = 3.5 + np.arange(100) / 64
    times_s[50] += off_periods / 64
    start_s, uneven_s = start_and_times(times_s, 64.0)
    assert (start_s, uneven_s is None) == ((3.5, True) if even else (0.0, False))


def test_a_file_of_two_kinds_is_refused_with_both(tmp_path: Path) -> None:
    (tmp_path / "BVP.csv").write_text("1700000000\n64\n1\n")
    (tmp_path / "a.avro").write_bytes(b"Obj\x01")
    with pytest.raises(
        RecordingError, match=r"could be of 2 kinds.*got e4, embraceplus"
    ) as refusal:
        only_kind_of(tmp_path)
    for kind in ("e4", "embraceplus"):
        assert f"emodict-session import {kind} '{tmp_path}'" in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\xff\xd8\xff\xe0", "a picture"),
        (b"\0\0\0 ftypmp42", "a video; `emodict-session faces`"),
        (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    ],
)
def test_what_no_importer_reads_is_not_asked_for_its_kind(
    tmp_path: Path, content: bytes, what: str
) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(RecordingError, match=what) as refusal:
        only_kind_of(tmp_path / "a")
    assert "KIND" not in str(refusal.value)


@pytest.mark.parametrize(
    ("written", "place", "reference"),
    [
        ("EEG Fp1-A2", "Fp1", "A2"),
        ("EEG-Fz", "Fz", ""),
        ("EEG:C3", "C3", ""),
        ("EEG, Fp1 - Fp2", "Fp1", "Fp2"),
        ("POL T5", "T5", ""),
        ("RAW_TP9", "TP9", ""),
        ("EEG.AF7", "AF7", ""),
        ("Fc5.", "Fc5", ""),
        ("C3..", "C3", ""),
        ("eeg_p3", "p3", ""),
        ("X1", "X1", ""),
    ],
)
def test_a_place_is_known_in_any_dress(written: str, place: str, reference: str) -> None:
    assert place_and_reference(written) == (place, reference)
    assert is_electrode(written.partition(" - ")[0]) is (place != "X1")
