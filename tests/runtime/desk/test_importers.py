"""Recordings of other makers: what comes out is what the file holds,
and a bad file is named to the line.
"""

from __future__ import annotations

import datetime
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
from tests.reliability.fuzz.importers import FILES, FOLDERS, beside_of

from emodict.errors import EmodictError, MissingDependencyError, RecordingError
from emodict.recording.session import open_session, write_session
from emodict_desk.importers import IMPORTERS
from emodict_desk.importers.e4 import read_e4
from emodict_desk.importers.edf import read_edf
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.plain_csv import read_csv


@pytest.fixture
def e4_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "S07"
    folder.mkdir()
    (folder / "BVP.csv").write_text("1644226061.500000\n64.000000\n1.25\n-2.5\n3\n")
    (folder / "EDA.csv").write_text("1644226061\r\n4\r\n0.0\r\n0.301\r\n")
    (folder / "tags.csv").write_text("1644226071.25\n1644226081\n")
    (folder / "TEMP.csv").write_text("1644226061\n4\n28.3\n")
    return folder


def test_e4_starts_with_its_earliest_file_and_keeps_the_other_late(e4_folder: Path) -> None:
    recording = read_e4(e4_folder)
    ppg, gsr = recording.signals["ppg"], recording.signals["gsr"]
    assert recording.start_time == "2022-02-07T09:27:41Z"
    assert (ppg.rate_hz, ppg.unit, ppg.channel_names, ppg.start_offset_s) == (
        64.0,
        "a.u.",
        ("ppg",),
        0.5,
    )
    assert (gsr.rate_hz, gsr.unit, gsr.channel_names, gsr.start_offset_s) == (
        4.0,
        "uS",
        ("gsr",),
        0.0,
    )
    np.testing.assert_array_equal(ppg.samples[:, 0], [1.25, -2.5, 3])
    np.testing.assert_array_equal(gsr.samples[:, 0], np.float32([0.0, 0.301]))
    assert [event.onset_s for event in recording.events] == [10.25, 20.0]


@pytest.mark.parametrize("name", ["BVP.csv", "EDA.csv"])
def test_one_file_of_an_e4_given_to_another_importer_is_told_what_to_do(
    e4_folder: Path, name: str
) -> None:
    for read in (read_csv, read_edf):
        with pytest.raises(
            RecordingError, match=r"one file of an Empatica E4; give its folder to .*import e4"
        ):
            read(e4_folder / name)


def test_e4_names_default_to_the_folder_and_say_what_was_left_out(e4_folder: Path) -> None:
    recording = read_e4(e4_folder)
    assert (recording.subject_id, recording.session_id) == ("S07", "S07-20220207T092741Z")
    assert recording.attributes["left_out"] == "TEMP.csv"
    named = read_e4(e4_folder, subject_id="anna", session_id="monday")
    assert (named.subject_id, named.session_id) == ("anna", "monday")


def test_e4_the_only_tags_file_is_the_tags_whatever_it_is_called(e4_folder: Path) -> None:
    plain = read_e4(e4_folder).events
    (e4_folder / "tags.csv").rename(e4_folder / "tags_S07.csv")
    recording = read_e4(e4_folder)
    assert recording.events == plain
    assert recording.attributes["notes"] == "events: tags_S07.csv"
    (e4_folder / "tags_S08.csv").write_text("1644226071.25\n")
    assert read_e4(e4_folder).events == ()
    assert "tags_S07.csv, tags_S08.csv" in read_e4(e4_folder).attributes["left_out"]


def test_e4_the_real_folder_with_named_tags_has_their_events(shared_cases: Path) -> None:
    folder = shared_cases / "13_e4_tags_named" / "S01"
    start_s = float((folder / "EDA.csv").read_text().split()[0])
    pressed = [float(line) - start_s for line in (folder / "tags_S01.csv").read_text().split()]
    assert len(pressed) > 0
    assert [event.onset_s for event in read_e4(folder).events] == pressed


def test_e4_without_a_bvp_file_gives_what_is_there(e4_folder: Path) -> None:
    (e4_folder / "BVP.csv").unlink()
    (e4_folder / "tags.csv").write_text("")
    recording = read_e4(e4_folder)
    assert recording.modality_names == ("gsr",)
    assert recording.events == ()


def test_e4_real_recording_equals_its_csv_read_by_plain_python(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "e4_stress_predict_S01"
    write_session(read_e4(folder), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as recording:
        for modality, name in (("ppg", "BVP.csv"), ("gsr", "EDA.csv")):
            lines = (folder / name).read_text().split()
            assert recording.signals[modality].rate_hz == float(lines[1])
            expected = np.array([float(line) for line in lines[2:]], dtype=np.float32)
            np.testing.assert_array_equal(recording.signals[modality].samples[:, 0], expected)
        presses = [float(line) - 1644226061 for line in (folder / "tags.csv").read_text().split()]
        assert [event.onset_s for event in recording.events] == presses


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("BVP.csv", "1644226061\n64\n1\n2\nthree\n4\n", r"BVP\.csv, line 5: not a number.*'three'"),
        ("BVP.csv", "1644226061\n64\n1\n\n4\n", r"BVP\.csv, line 4: not a number.*an empty line"),
        ("EDA.csv", "1644226061\n4\n0,31\n", r"EDA\.csv, line 3: .*point for the decimals.*'0,31'"),
        ("EDA.csv", "1644226061\n4\ninf\n", r"EDA\.csv, line 3"),
        ("BVP.csv", "", r"BVP\.csv holds no samples.*got 0 lines"),
        ("BVP.csv", "1644226061\n64\n", r"BVP\.csv holds no samples.*got 2 lines"),
        ("BVP.csv", "1644226061\n0\n1\n", r"BVP\.csv, line 2: the sampling rate.*got 0\.0"),
        ("BVP.csv", "1644226061\n-64\n1\n", r"BVP\.csv, line 2: the sampling rate.*got -64\.0"),
        ("BVP.csv", "nan\n64\n1\n", r"BVP\.csv, line 1: no start time"),
        ("BVP.csv", "-1e300\n64\n1\n", r"not a time.*a Unix time"),
        ("BVP.csv", "1644226061000\n64\n1\n", r"days after the start"),
        ("tags.csv", "tag\n", r"tags\.csv, line 1: not a number"),
    ],
)
def test_e4_names_the_file_and_the_line_that_cannot_be_read(
    e4_folder: Path, name: str, content: str, sentence: str
) -> None:
    (e4_folder / name).write_text(content)
    with pytest.raises(RecordingError, match=sentence):
        read_e4(e4_folder)


def test_e4_says_what_to_give_instead_of_a_wrong_path(e4_folder: Path, tmp_path: Path) -> None:
    zipped = tmp_path / "S07.zip"
    zipped.write_bytes(b"PK")
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong, sentence in (
        (e4_folder / "BVP.csv", "Give the folder instead"),
        (zipped, "it cannot be unpacked"),
        (tmp_path / "nowhere", "There is no folder"),
        (empty, "an empty one"),
    ):
        with pytest.raises(RecordingError, match=sentence):
            read_e4(wrong)


def zipped(folder: Path, inside: str = "") -> Path:
    """The folder as its maker packs it."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "a") as packed:
        for file in folder.iterdir():
            packed.write(file, inside + file.name)
    return path


def test_e4_the_real_zip_has_the_numbers_of_the_files_in_it(shared_cases: Path) -> None:
    path = shared_cases / "12_e4_zip" / "1680000000_A00000.zip"
    recording = read_e4(path)
    with zipfile.ZipFile(path) as packed:
        for modality, name in (("ppg", "BVP.csv"), ("gsr", "EDA.csv")):
            found = next(part for part in packed.namelist() if part.endswith(name))
            lines = packed.read(found).decode().split()
            signal = recording.signals[modality]
            assert signal.rate_hz == float(lines[1])
            np.testing.assert_array_equal(signal.samples[:, 0], np.float32(lines[2:]))


@pytest.mark.parametrize("inside", ["", "S07/", "export/S07/"])
def test_e4_zip_is_the_folder_that_it_unpacks_to(e4_folder: Path, inside: str) -> None:
    recording, folder = read_e4(zipped(e4_folder, inside)), read_e4(e4_folder)
    assert kind_of(e4_folder.with_suffix(".zip")) == "e4"
    assert (recording.session_id, recording.subject_id) == (folder.session_id, folder.subject_id)
    assert (recording.events, recording.attributes) == (folder.events, folder.attributes)
    for modality, signal in folder.signals.items():
        np.testing.assert_array_equal(recording.signals[modality].samples, signal.samples)


def test_e4_zip_of_several_sittings_or_damaged_is_refused(e4_folder: Path) -> None:
    zipped(e4_folder, "a/")
    both = zipped(e4_folder, "b/")
    with pytest.raises(RecordingError, match=r"not the zip of one sitting.*got a/, b/"):
        read_e4(both)
    both.unlink()
    content = zipped(e4_folder).read_bytes()
    both.write_bytes(content.replace(b"1.25", b"1.26"))  # its sum no longer fits
    with pytest.raises(RecordingError, match="is a damaged zip"):
        read_e4(both)
    # The size that a part takes stands at byte 20 of its entry in the list of parts
    # (PKZIP, APPNOTE 4.3.12).
    at = content.index(b"PK\x01\x02") + 20
    both.write_bytes(content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :])
    with pytest.raises(
        RecordingError, match="is a damaged zip: a part of it claims more than the whole"
    ):
        read_e4(both)
    both.write_bytes(b"PK" + bytes(30))
    assert kind_of(both) is None


def test_e4_zip_that_unpacks_to_more_than_a_wristband_records_is_refused(e4_folder: Path) -> None:
    with (
        zipfile.ZipFile(e4_folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("BVP.csv", "w", force_zip64=True) as file,
    ):
        for _ in range(257):
            file.write(b"0" * (1 << 20))
    with pytest.raises(RecordingError, match=r"BVP\.csv is too large.*at most 256 MiB"):
        read_e4(e4_folder.with_suffix(".zip"))


def test_e4_zip_that_unpacks_to_many_times_its_size_is_refused(e4_folder: Path) -> None:
    (e4_folder / "BVP.csv").write_text("1644226061\n64\n" + "12\n" * 1_000_000)
    path = e4_folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(e4_folder / "BVP.csv", "BVP.csv")
    with pytest.raises(RecordingError, match=r"unpacks to \d+ times its size.*at most 100 times"):
        read_e4(path)
    assert read_e4(e4_folder).signals["ppg"].sample_count == 1_000_000


def test_e4_is_read_in_blocks_that_take_less_memory_than_its_text(e4_folder: Path) -> None:
    # 7 MB, of which a list of its lines takes 33 MB.
    lines = 600_000
    (e4_folder / "BVP.csv").write_text("1644226061\n64\n" + "-123.456789\n" * lines)
    tracemalloc.start()
    try:
        recording = read_e4(e4_folder)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 4 bytes of each sample, of a buffer that may double to grow.
    assert peak_bytes < lines * 12
    assert recording.signals["ppg"].sample_count == lines


def test_e4_a_line_is_named_by_its_number_in_the_file_however_far_down(e4_folder: Path) -> None:
    for damage, got in (("x", "'x'"), ("", "an empty line")):
        lines = ["1644226061", "64", *["1.5"] * 200_000, damage, "2"]
        (e4_folder / "BVP.csv").write_text("\n".join(lines) + "\n\n")
        with pytest.raises(RecordingError, match=rf"line 200003: not a number.*got {got}"):
            read_e4(e4_folder)


def test_e4_a_line_without_an_end_is_refused_before_it_fills_the_memory(e4_folder: Path) -> None:
    (e4_folder / "BVP.csv").write_text("1644226061\n64\n" + "1" * 300_000)
    with pytest.raises(RecordingError, match="a line of more than 4096 characters"):
        read_e4(e4_folder)


@pytest.mark.parametrize(
    ("start", "rounded_s"), [("1.64423E+09", 10_000), ("1.644226e9", 1000), ("2E+09", 10**9)]
)
@pytest.mark.parametrize("name", ["EDA.csv", "tags.csv"])
def test_e4_times_that_a_spreadsheet_has_rounded_are_refused(
    e4_folder: Path, name: str, start: str, rounded_s: int
) -> None:
    lines = (e4_folder / name).read_text().splitlines()
    (e4_folder / name).write_text("\n".join([start, *lines[1:]]) + "\n")
    with pytest.raises(
        RecordingError, match=rf"{name}, line 1: the time was rounded to {rounded_s} s by a spread"
    ):
        read_e4(e4_folder)


def test_e4_a_start_in_powers_of_ten_that_is_right_to_the_second_is_taken(e4_folder: Path) -> None:
    (e4_folder / "EDA.csv").write_text("1.644226061E+09\n4\n0.0\n0.301\n")
    assert read_e4(e4_folder).start_time == "2022-02-07T09:27:41Z"


RATE_HZ = 300


def edf_signal(
    label: str,
    values: np.ndarray,
    *,
    rate_hz: int = RATE_HZ,
    unit: str = "uV",
    limits: tuple[float, float] = (-500.0, 500.0),
) -> Any:
    return edfio.EdfSignal(
        np.asarray(values, dtype=float),
        rate_hz,
        label=label,
        physical_dimension=unit,
        physical_range=limits,
    )


def noise(seed: int, seconds: int = 10, rate_hz: int = RATE_HZ, scale: float = 50.0) -> np.ndarray:
    return np.clip(
        np.random.default_rng(seed).normal(0, scale, seconds * rate_hz), -10 * scale, 10 * scale
    )


@pytest.fixture
def edf_file(tmp_path: Path) -> Path:
    path = tmp_path / "rest.edf"
    signals = [
        edf_signal("EEG P3-Pz", noise(1)),
        edf_signal("EEG Fp1-Pz", noise(2) / 1000, unit="mV", limits=(-0.5, 0.5)),
        edf_signal("EEG X1-Pz", noise(3)),
        edf_signal("EEG Cz-Pz", noise(4, rate_hz=100), rate_hz=100),
        edf_signal("Trigger", np.zeros(10 * RATE_HZ), unit=""),
        edf_signal("ECG", noise(5), unit="mV"),
    ]
    edf = edfio.Edf(
        signals,
        patient=edfio.Patient(code="P017", name="Somebody"),
        recording=edfio.Recording(startdate=datetime.date(2024, 5, 1), equipment_code="DSI_24"),
        starttime=datetime.time(9, 30, 5),
        annotations=[
            edfio.EdfAnnotation(1.5, None, "eyes closed"),
            edfio.EdfAnnotation(4.0, 2.0, "12"),
        ],
    )
    edf.write(path)
    return path


def test_edf_eeg_has_bare_channel_names_their_reference_and_microvolts(edf_file: Path) -> None:
    eeg = read_edf(edf_file).signals["eeg"]
    assert eeg.channel_names == ("P3", "Fp1", "X1")
    assert (eeg.rate_hz, eeg.unit, eeg.reference) == (300.0, "uV", "Pz")
    step_uv = 1000.0 / 65535  # EDF holds 16 bits over the physical range
    np.testing.assert_allclose(eeg.samples[:, 0], noise(1), atol=step_uv)
    np.testing.assert_allclose(eeg.samples[:, 1], noise(2), atol=step_uv)


def test_edf_header_gives_time_and_names_and_annotations_become_events(edf_file: Path) -> None:
    recording = read_edf(edf_file)
    assert recording.start_time == "2024-05-01T09:30:05"
    assert (recording.subject_id, recording.session_id, recording.device) == (
        "P017",
        "rest",
        "DSI 24",
    )
    events = [(e.onset_s, e.code, e.description) for e in recording.events]
    assert events == [(1.5, 0, "eyes closed"), (4.0, 12, "12")]


def test_edf_what_is_not_named_by_a_place_is_left_out_beside_what_is(tmp_path: Path) -> None:
    # As an Emotiv EPOC names them, all in uV.
    names = (
        "COUNTER",
        "INTERPOLATED",
        "AF3",
        "T7",
        "AFF1h",
        "RAW_CQ",
        "CQ_AF3",
        "CQ_CMS",
        "DIG DTRIG",
    )
    edfio.Edf([edf_signal(name, noise(n)) for n, name in enumerate(names)]).write(
        tmp_path / "a.edf"
    )
    recording = read_edf(tmp_path / "a.edf")
    assert recording.signals["eeg"].channel_names == ("AF3", "T7", "AFF1h")
    for name in ("INTERPOLATED", "RAW_CQ", "CQ_AF3", "CQ_CMS", "DIG DTRIG"):
        assert name in recording.attributes["left_out"].partition(" (not EEG, EDA or PPG)")[0]


def test_edf_voltages_are_eeg_where_none_is_named_by_a_place(tmp_path: Path) -> None:
    edfio.Edf([edf_signal(name, noise(1)) for name in ("ch1", "ch2", "EMG chin")]).write(
        tmp_path / "a.edf"
    )
    assert read_edf(tmp_path / "a.edf").signals["eeg"].channel_names == ("ch1", "ch2")


def test_edf_places_are_bare_of_the_dots_that_fill_them_up(tmp_path: Path) -> None:
    edfio.Edf([edf_signal(name, noise(1)) for name in ("Fc5.", "C3..", "Cz..", "T10.")]).write(
        tmp_path / "a.edf"
    )
    assert read_edf(tmp_path / "a.edf").signals["eeg"].channel_names == ("Fc5", "C3", "Cz", "T10")


def test_edf_says_which_signals_it_left_out_and_why(edf_file: Path) -> None:
    left_out = read_edf(edf_file).attributes["left_out"]
    assert left_out == ("Trigger, ECG (not EEG, EDA or PPG), EEG Cz-Pz (100 Hz)")


def test_edf_eeg_in_an_unknown_unit_is_refused_by_name(tmp_path: Path) -> None:
    edfio.Edf([edf_signal("EEG P3", noise(1), unit="ADU")]).write(tmp_path / "a.edf")
    with pytest.raises(RecordingError, match=r"channel EEG P3: the unit.*uV or mV or V.*got 'ADU'"):
        read_edf(tmp_path / "a.edf")


def test_edf_plain_channel_names_and_a_micro_sign_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    edfio.Edf([edf_signal("Fz", noise(1)), edf_signal("T7", noise(2))]).write(path)
    path.write_bytes(path.read_bytes().replace(b"uV      ", "µV      ".encode("latin-1")))
    eeg = read_edf(path).signals["eeg"]
    assert (eeg.channel_names, eeg.reference, eeg.unit) == (("Fz", "T7"), "", "uV")


# Behind 256 bytes: of each signal its label, transducer, unit,
# and in 8 bytes each the limits (Kemp et al. 1992).
LIMITS = {"physical": 16 + 80 + 8, "digital": 16 + 80 + 8 + 2 * 8}


def without_calibration(path: Path, which: str, *, signals: int, column: int) -> None:
    """Write a signal's lower limit, physical or digital, over its upper one."""
    content = bytearray(path.read_bytes())
    low = 256 + signals * LIMITS[which] + 8 * column
    high = low + 8 * signals
    content[high : high + 8] = content[low : low + 8]
    path.write_bytes(content)


@pytest.mark.parametrize("which", LIMITS)
def test_edf_eeg_whose_limits_are_equal_has_no_unit_and_is_left_out(
    tmp_path: Path, which: str
) -> None:
    path = tmp_path / "a.edf"
    edfio.Edf([edf_signal("EEG P3", noise(1)), edf_signal("EEG P4", noise(2))]).write(path)
    without_calibration(path, which, signals=2, column=1)
    recording = read_edf(path)
    assert recording.signals["eeg"].channel_names == ("P3",)
    assert recording.attributes["left_out"] == "EEG P4 (not calibrated)"
    without_calibration(path, which, signals=2, column=0)
    with pytest.raises(
        RecordingError, match="no channel is calibrated, so its samples have no unit"
    ):
        read_edf(path)


def test_edf_without_eeg_says_what_it_holds(tmp_path: Path) -> None:
    edfio.Edf([edf_signal("ECG", noise(1)), edf_signal("SpO2", noise(2), unit="%")]).write(
        tmp_path / "a.edf"
    )
    with pytest.raises(RecordingError, match=r"holds no EEG, EDA or PPG.*ECG \(uV\), SpO2 \(%\)"):
        read_edf(tmp_path / "a.edf")


def test_edf_skin_and_pulse_are_taken_each_at_its_rate_and_a_monitors_numbers_are_not(
    tmp_path: Path,
) -> None:
    skin, pulse = np.linspace(2, 3, 80), np.sin(np.arange(640) / 10)
    signals = [
        edf_signal("EEG Cz", noise(1)),
        edf_signal("EDA", skin, rate_hz=8, unit="uS", limits=(0, 10)),
        edf_signal("Pleth", pulse, rate_hz=64, unit="", limits=(-1, 1)),
        edf_signal("Pulse", np.full(10, 70), rate_hz=1, unit="bpm", limits=(0, 200)),
    ]
    edfio.Edf(signals).write(tmp_path / "a.edf")
    recording = read_edf(tmp_path / "a.edf")
    gsr, ppg = recording.signals["gsr"], recording.signals["ppg"]
    assert [(s.rate_hz, s.unit) for s in (gsr, ppg)] == [(8.0, "uS"), (64.0, "a.u.")]
    # EDF holds 16 bits over the physical range.
    np.testing.assert_allclose(gsr.samples[:, 0], skin, atol=10 / 65535)
    np.testing.assert_allclose(ppg.samples[:, 0], pulse, atol=2 / 65535)
    assert recording.signals["eeg"].channel_names == ("Cz",)
    assert recording.attributes["left_out"] == "Pulse (not EEG, EDA or PPG)"


def test_edf_skin_resistance_becomes_conductance_and_is_said(tmp_path: Path) -> None:
    signal = edf_signal("GSR", np.full(80, 250.0), rate_hz=8, unit="kOhm", limits=(0, 500))
    edfio.Edf([signal]).write(tmp_path / "a.edf")
    recording = read_edf(tmp_path / "a.edf")
    # 1 / 250 kOhm is 4 uS; 16 bits over 500 kOhm.
    np.testing.assert_allclose(recording.signals["gsr"].samples, 4.0, rtol=500 / 65535 / 250)
    assert recording.attributes["notes"] == "gsr: given in kOhm, turned into uS"


def test_bdf_has_24_bits_and_its_status_line_the_triggers(tmp_path: Path) -> None:
    status = np.zeros(10 * RATE_HZ)
    status[300:330] = 7  # a second after the start
    status[900:] = 2**16 + 12  # of which the lower 16 bits are the trigger
    # Physical limits equal to the digital ones: the numbers of the line are its samples.
    limits = (-8388608.0, 8388607.0)
    signals = [
        edfio.BdfSignal(noise(1), RATE_HZ, label="Cz", physical_dimension="uV",
                        physical_range=(-262144.0, 262143.0)),
        edfio.BdfSignal(status, RATE_HZ, label="Status", physical_dimension="Boolean",
                        physical_range=limits),
    ]  # fmt: skip
    edfio.Bdf(signals).write(tmp_path / "a.bdf")
    recording = read_edf(tmp_path / "a.bdf")
    eeg = recording.signals["eeg"]
    assert (eeg.channel_names, eeg.rate_hz, eeg.unit) == (("Cz",), RATE_HZ, "uV")
    step_uv = 524287 / (2**24 - 1)
    np.testing.assert_allclose(eeg.samples[:, 0], noise(1), atol=step_uv)
    assert [(e.onset_s, e.code) for e in recording.events] == [(1.0, 7), (3.0, 12)]
    assert kind_of(tmp_path / "a.bdf") == "edf"


def test_edf_the_code_of_the_person_is_never_the_sex_or_the_birth_date(tmp_path: Path) -> None:
    for sex, code in (("F", "X"), ("M", "M")):
        patient = edfio.Patient(code=code, sex=sex, birthdate=datetime.date(1990, 1, 1))
        edfio.Edf([edf_signal("Cz", noise(1))], patient=patient).write(tmp_path / "a.edf")
        recording = read_edf(tmp_path / "a.edf")
        assert recording.subject_id == "a"
        assert "1990" not in str(recording)


@pytest.mark.parametrize(
    ("case", "channels", "left_out"),
    [
        ("04_edf_emotiv_cq_as_eeg/epoc.edf",
         "AF3 F7 F3 FC5 T7 P7 O1 O2 P8 T8 FC6 F4 F8 AF4", ("INTERPOLATED", "RAW_CQ", "CQ_AF3")),
        ("10_bdf/mne_test_bdf_stim_channel.bdf", "C3 C4 Cz", ("Status",)),
        ("11_edf_dig_dtrig/mne_test_edf_stim_channel.edf",
         "Fp1 Fp2 F7 F3 Fz F4 F8 T3 C3 Cz C4 T4 T5 P3 Pz P4 T6 O1 O2",
         ("REF_EEG REF_EEG", "DIG DTRIG", "EOG VEOG_I", "ECG ECG1")),
    ],
)  # fmt: skip
def test_edf_of_the_real_cases_the_electrodes_alone_are_eeg(
    shared_cases: Path, case: str, channels: str, left_out: tuple[str, ...]
) -> None:
    recording = read_edf(shared_cases / case)
    eeg = recording.signals["eeg"]
    assert eeg.channel_names == tuple(channels.split())
    assert all(name in recording.attributes["left_out"].split(" (")[0] for name in left_out)
    # The same file by edfio's own description of it: digital counts to the physical range.
    read = edfio.read_bdf if case.endswith(".bdf") else edfio.read_edf
    signal = next(
        s for s in read(shared_cases / case).signals if s.label.endswith(channels.split()[0])
    )
    low, high = signal.physical_range
    gain = (high - low) / (signal.digital_max - signal.digital_min)
    expected = low + gain * (signal.digital.astype(float) - signal.digital_min)
    # float32 of values up to 2**18 uV, and edfio's sum in another order.
    np.testing.assert_allclose(eeg.samples[:, 0], expected, rtol=2**-22, atol=1e-3)


def test_edf_of_opensignals_gives_its_eda(shared_cases: Path) -> None:
    recording = read_edf(shared_cases / "07_edf_eda_refused" / "eda.edf")
    gsr = recording.signals["gsr"]
    signal = edfio.read_edf(shared_cases / "07_edf_eda_refused" / "eda.edf").signals[0]
    assert (gsr.rate_hz, gsr.unit) == (100.0, "uS")
    np.testing.assert_allclose(gsr.samples[:, 0], signal.data, rtol=2**-23)
    assert (recording.subject_id, recording.device) == ("eda", "channeller")


def test_edf_bipolar_channels_that_share_an_electrode_are_refused(tmp_path: Path) -> None:
    edfio.Edf([edf_signal("EEG Fp1-F7", noise(1)), edf_signal("EEG Fp1-F3", noise(2))]).write(
        tmp_path / "a.edf"
    )
    with pytest.raises(RecordingError, match="FP1 is there twice"):
        read_edf(tmp_path / "a.edf")


def test_edf_cut_off_in_its_last_record_gives_the_whole_records_and_says_so(
    edf_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edf_file.write_bytes(edf_file.read_bytes()[:-1000])
    eeg = read_edf(edf_file).signals["eeg"]
    assert eeg.sample_count == 9 * RATE_HZ
    assert "Data was truncated" in caplog.text


def test_edf_discontinuous_is_refused(edf_file: Path) -> None:
    content = (
        edf_file.read_bytes().replace(b"EDF+C", b"EDF+D").replace(b"+5\x14\x14", b"+7\x14\x14")
    )
    edf_file.write_bytes(content)
    with pytest.raises(RecordingError, match="discontinuous"):
        read_edf(edf_file)


def test_edf_that_is_no_edf_is_refused_with_what_it_is(tmp_path: Path) -> None:
    for content, sentence in (
        (b"\x89HDF\r\n\x1a\n", "is not an EDF file.*HDF"),
        (b"\xffBIOSEMI rubbish", "cannot be read"),
        (b"", "got an empty file"),
        (b"0       rubbish", "cannot be read"),
    ):
        (tmp_path / "a.edf").write_bytes(content)
        with pytest.raises(RecordingError, match=sentence):
            read_edf(tmp_path / "a.edf")
    with pytest.raises(RecordingError, match="There is no file"):
        read_edf(tmp_path / "nowhere.edf")


def test_edf_without_edfio_says_what_to_install(
    edf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "edfio", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[edf\]'"):
        read_edf(edf_file)


def test_every_importer_opens_its_help_with_a_whole_sentence() -> None:
    for form in IMPORTERS.values():
        assert form.help.endswith(".")
        for option in form.options:
            assert option.help.endswith((".", "]"))


@pytest.mark.parametrize("kind", FILES)
def test_subject_and_session_are_called_as_the_user_says(kind: str, tmp_path: Path) -> None:
    path = tmp_path / FILES[kind][0]
    FILES[kind][1](path)
    for name, content in beside_of(kind)().items():
        (tmp_path / name).write_bytes(content)
    source = tmp_path if kind in FOLDERS else path
    named = IMPORTERS[kind].read(source, subject_id="anna", session_id="monday")
    assert (named.subject_id, named.session_id) == ("anna", "monday")
    plain = IMPORTERS[kind].read(source)
    assert plain.subject_id not in ("", "anna")
    assert plain.session_id not in ("", "monday")


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in FOLDERS])
def test_a_file_of_every_other_kind_is_refused_with_its_own(kind: str, tmp_path: Path) -> None:
    name, write = FILES[kind]
    by_ending = ("dmer", "mne", "acqknowledge", "polar")
    path = tmp_path / (name if kind in by_ending else f"a.{kind}")
    write(path)
    for other in IMPORTERS:
        # Those that take any table, or whatever MNE reads.
        if other == kind or IMPORTERS[other].takes_any:
            continue
        with pytest.raises(EmodictError) as refusal:
            IMPORTERS[other].read(path)
        assert refusal.value.exit_code == 2
        assert f"emodict-session import {kind}" in str(refusal.value), (other, refusal.value)
