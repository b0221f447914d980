"""OpenSignals .h5 in the layout of the vendor's own files:
counts of the ADC to physical units, counter to gaps.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.runtime.desk.written import write
from tests.runtime.recording.test_session import assert_other_threads_read

from emodict.errors import RecordingError
from emodict.features.spec import load_spec
from emodict.recording.session import write_session
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.opensignals import read_opensignals
from emodict_desk.tables.table import table_from_recording

PLUX = "00:07:80:3B:46:61"
BITALINO = "20:16:11:02:85:30"


def add_device(
    path: Path,
    name: str = PLUX,
    *,
    model: str = "channeller",
    sensors: tuple[str, ...] = ("EDA",),
    counts: np.ndarray | None = None,
    bits: tuple[int, ...] = (16,),
    rate: int = 100,
    **more: Any,
) -> Path:
    """One device as OpenSignals writes it; `counts` is (samples, channels)."""
    counts = np.full((400, len(sensors)), 1 << 15) if counts is None else np.asarray(counts)
    with h5py.File(path, "a") as file:
        group = file.create_group(name)
        group.attrs.update(
            {"device": model, "sampling rate": np.int32(rate), "resolution": np.array(bits, "i4")}
        )
        group.attrs.update(
            {"date": more.get("date", "2017-1-23"), "time": more.get("time", "13:28:43.110")}
        )
        group.attrs["digital IO"] = np.array(more.get("digital_io", [0, 1]), "i4")
        group["raw/nSeq"] = np.asarray(more.get("counter", np.arange(len(counts))), "u2")[:, None]
        for i, sensor in enumerate(sensors):
            data = group.create_dataset(
                f"raw/channel_{i + 1}", data=counts[:, i : i + 1].astype("u4")
            )
            data.attrs.update({"sensor": sensor, "label": f"A{i + 1}"})
        for i, line in enumerate(more.get("digital", [])):
            group[f"digital/digital_{i + 1}"] = np.asarray(line, "u2")[:, None]
        group.create_dataset("events/digital", data=np.zeros((0, 4), "u4"))
    return path


@pytest.mark.parametrize(
    ("model", "sensor", "bits", "counts", "modality", "unit", "expected"),
    [
        # PLUX EDA data sheet: 0 to 25 uS over the range of the ADC.
        ("channeller", "EDA", (16,), [0, 1 << 15, (1 << 16) - 1], "gsr", "uS", [0, 12.5, 25.0]),
        ("biosignalsplux", "EDA", (8,), [0, 128, 255], "gsr", "uS", [0, 12.5, 24.9]),
        # PLUX EEG data sheet: -37.5 to 37.5 uV.
        ("channeller", "EEG", (16,), [0, 1 << 15, (1 << 16) - 1], "eeg", "uV", [-37.5, 0, 37.5]),
        # BITalino (r)evolution EDA data sheet: 0 to 25 uS; EEG: -39.49 to 39.49 uV.
        # 10 bits come last in the list.
        (
            "bitalino_rev",
            "EDABITREV",
            (4, 1, 1, 1, 1, 10),
            [0, 512, 1023],
            "gsr",
            "uS",
            [0, 12.5, 24.976],
        ),
        (
            "bitalino_rev",
            "EEGBITREV",
            (4, 1, 1, 1, 1, 10),
            [0, 512, 1023],
            "eeg",
            "uV",
            [-39.49, 0, 39.41],
        ),
        ("channeller", "BVP", (16,), [0, 1 << 15, 1 << 16], "ppg", "a.u.", [0, 0.5, 1.0]),
    ],
)
def test_counts_become_the_units_of_the_data_sheets(
    tmp_path: Path,
    model: str,
    sensor: str,
    bits: tuple[int, ...],
    counts: list[int],
    modality: str,
    unit: str,
    expected: list[Any],
) -> None:
    path = add_device(
        tmp_path / "a.h5",
        model=model,
        sensors=(sensor,),
        counts=np.array(counts)[:, None],
        bits=bits,
    )
    signal = read_opensignals(path).signals[modality]
    assert (signal.unit, signal.rate_hz) == (unit, 100.0)
    # The data sheets give two decimals.
    np.testing.assert_allclose(signal.samples[:, 0], expected, atol=0.005)


def test_lost_samples_show_in_the_sequence_and_wrapping_does_not(tmp_path: Path) -> None:
    counter = np.delete(np.arange(400), [7, 8, 200]) % 16
    path = add_device(tmp_path / "a.h5", counts=np.arange(397)[:, None], counter=counter)
    recording = read_opensignals(path)
    expected = np.delete(np.arange(400), [7, 8, 200])
    np.testing.assert_array_equal(recording.signals["gsr"].sequence, expected)
    assert "3 samples lost, by nSeq" in recording.attributes["notes"]
    whole = add_device(tmp_path / "b.h5", counter=np.arange(400) % 16)
    assert read_opensignals(whole).signals["gsr"].sequence is None


def test_a_counter_that_ran_out_of_bits_loses_nothing(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5", counter=np.minimum(np.arange(400) + 65300, 65535))
    recording = read_opensignals(path)
    assert recording.signals["gsr"].sequence is None
    assert "nSeq ran out at 2.35 s" in recording.attributes["notes"]  # 65535 - 65300 = 235 samples


def test_a_raw_channel_is_taken_when_told_its_sensor(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5", sensors=("RAW", "CUSTOM"), bits=(16, 16))
    with pytest.raises(
        RecordingError,
        match=r"no channel that emodict uses.*A1 \(RAW\), A2 \(CUSTOM\).*--sensor A1=BVP",
    ):
        read_opensignals(path)
    recording = read_opensignals(path, sensor=["A1=EEG:O1,2=BVP"])
    assert recording.signals["eeg"].channel_names == ("O1",)
    assert recording.modality_names == ("eeg", "ppg")
    for wrong, sentence in (
        ("A9=BVP", "names no channel"),
        ("A1=ECG", "names no sensor"),
        ("A1", "NAME=VALUE"),
    ):
        with pytest.raises(RecordingError, match=sentence):
            read_opensignals(path, sensor=[wrong])


def test_two_channels_of_one_modality_are_listed_and_one_is_left_out(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5", sensors=("EDA", "EDA"), bits=(16, 16))
    with pytest.raises(RecordingError, match=r"2 channels of gsr.*channel_1.*channel_2.*=none"):
        read_opensignals(path)
    recording = read_opensignals(path, sensor=["channel_2=none"])
    assert recording.attributes["left_out"] == "A2 (EDA) (not wanted)"


def test_two_devices_lie_on_one_clock(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5", PLUX, time="13:28:43.110")
    add_device(
        path,
        BITALINO,
        model="bitalino_rev",
        sensors=("PULSEBITREV",),
        bits=(10,),
        time="13:28:44.360",
    )
    recording = read_opensignals(path)
    assert recording.start_time == "2017-01-23T13:28:43.110000"
    assert recording.signals["gsr"].start_s == 0.0
    assert recording.signals["ppg"].start_s == pytest.approx(1.25)


def test_changes_of_a_digital_input_become_events_and_outputs_do_not(tmp_path: Path) -> None:
    line = np.repeat([1, 0, 1], [100, 50, 250])
    path = add_device(tmp_path / "a.h5", digital=[line, line], digital_io=[0, 1])
    events = [(e.onset_s, e.code, e.description) for e in read_opensignals(path).events]
    assert events == [(1.0, 1, "digital_1 1 -> 0"), (1.5, 1, "digital_1 0 -> 1")]


def test_names_are_the_files_or_as_asked(tmp_path: Path) -> None:
    path = add_device(tmp_path / "rest.h5")
    plain, named = (
        read_opensignals(path),
        read_opensignals(path, subject_id="anna", session_id="monday"),
    )
    assert (plain.subject_id, plain.session_id, plain.device) == (
        "rest",
        "rest",
        f"PLUX channeller {PLUX}",
    )
    assert (named.subject_id, named.session_id) == ("anna", "monday")


@pytest.mark.parametrize(
    ("bits", "expected"),
    # Of BITalino's list the last are the channels'; a list that is too short goes on with its last.
    [((16, 10), [12.5, 0.5]), ((4, 1, 16, 10), [12.5, 0.5]), ((16,), [12.5, 0.0078125])],
)
def test_each_channel_has_a_width_of_its_own(
    tmp_path: Path, bits: tuple[int, ...], expected: list[float]
) -> None:
    counts = np.tile([[1 << 15, 1 << 9]], (40, 1))
    recording = read_opensignals(
        add_device(tmp_path / "a.h5", sensors=("EDA", "BVP"), counts=counts, bits=bits)
    )
    assert [recording.signals[m].samples[0, 0] for m in ("gsr", "ppg")] == expected


def test_channels_of_no_width_have_16_bits(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file[PLUX].attrs["resolution"]
    assert read_opensignals(path).signals["gsr"].samples[0, 0] == 12.5


def test_channels_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = add_device(
        tmp_path / "a.h5", sensors=("EEG",) * 11, counts=np.tile(np.arange(11) << 12, (40, 1))
    )
    eeg = read_opensignals(path).signals["eeg"]
    assert eeg.channel_names == tuple(f"A{i + 1}" for i in range(11))
    # 75 uV over 2^16 counts.
    np.testing.assert_allclose(eeg.samples[0], np.arange(11) * 75 / 16 - 37.5, atol=1e-5)


def test_electrodes_named_by_port_are_said_and_those_that_were_told_are_not(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5", sensors=("EEG", "EEG"))
    assert "named by port" in read_opensignals(path).attributes["notes"]
    told = read_opensignals(path, sensor=["A1=EEG:O1", "PORT2=EEG:O2"])
    assert told.signals["eeg"].channel_names == ("O1", "O2")
    assert "notes" not in told.attributes


@pytest.mark.parametrize(
    "name", ["A2", "a2", "2", "channel_2", "PORT2", f"{PLUX}/2", f"{PLUX}/channel_2"]
)
def test_a_channel_is_called_by_label_number_or_key(tmp_path: Path, name: str) -> None:
    path = add_device(tmp_path / "a.h5", sensors=("RAW", "RAW"))
    assert (
        read_opensignals(path, sensor=[f"{name}=BVP"]).attributes["left_out"]
        == "A1 (RAW) (sensor not known)"
    )


def test_a_name_of_two_channels_and_eeg_of_two_devices_are_refused(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5", sensors=("EEG",))
    add_device(path, BITALINO, sensors=("EEG",))
    with pytest.raises(RecordingError, match="--sensor A1 names several channels"):
        read_opensignals(path, sensor=["A1=BVP"])
    with pytest.raises(RecordingError, match=r"2 channels of eeg.*one \(of one device, for EEG\)"):
        read_opensignals(path)
    one = read_opensignals(path, sensor=[f"{BITALINO}/1=none"])
    assert one.signals["eeg"].channel_names == ("A1",)


@pytest.mark.parametrize(
    ("more", "start"),
    [
        ({"date": "2018-7-4", "time": "16:13:47.787"}, "2018-07-04T16:13:47.787000"),
        ({"date": "2018-7-4", "time": "16:13:60.5"}, "2018-07-04T16:14:00.500000"),
        ({"date": "yesterday"}, ""),
        ({"time": "noon"}, ""),
    ],
)
def test_a_start_that_is_none_is_left_out(tmp_path: Path, more: dict[str, str], start: str) -> None:
    recording = read_opensignals(add_device(tmp_path / "a.h5", **more))
    assert recording.start_time == start
    assert recording.signals["gsr"].start_s == 0.0


def test_events_lie_on_the_clock_of_the_first_device_to_start(tmp_path: Path) -> None:
    line = np.repeat([0, 1], [100, 300])
    path = add_device(tmp_path / "a.h5", digital=[line], digital_io=[0])
    add_device(
        path,
        BITALINO,
        sensors=("BVP",),
        digital=[line, line, line],
        digital_io=[1, 0],
        time="13:28:42.110",
    )
    events = [(round(e.onset_s, 6), e.code, e.description) for e in read_opensignals(path).events]
    assert events == [
        (1.0, 2, "digital_2 0 -> 1"),
        (1.0, 3, "digital_3 0 -> 1"),
        (2.0, 1, "digital_1 0 -> 1"),
    ]


def test_a_second_device_without_a_start_is_taken_to_start_with_the_first(tmp_path: Path) -> None:
    line = np.repeat([0, 1], [100, 300])
    path = add_device(tmp_path / "a.h5", "00:first")
    add_device(path, "11:second", sensors=("BVP",), digital=[line], date="yesterday")
    recording = read_opensignals(path)
    assert recording.start_time == "2017-01-23T13:28:43.110000"
    assert recording.signals["ppg"].start_s == 0.0
    assert [e.onset_s for e in recording.events] == [1.0]


def test_events_of_an_unknown_layout_are_named(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        for name, rows in (("sync", 1), ("ttl", 2)):
            file[PLUX].create_dataset(f"events/{name}", data=np.zeros((rows, 4), "u4"))
    left_out = read_opensignals(path).attributes["left_out"]
    assert (
        left_out == "events/sync (1 row of unknown layout), events/ttl (2 rows of unknown layout)"
    )


def test_a_counter_that_counts_nothing_is_said(tmp_path: Path) -> None:
    recording = read_opensignals(add_device(tmp_path / "a.h5", counter=np.arange(400) // 2 % 16))
    assert "nSeq does not count samples" in recording.attributes["notes"]
    assert "ran out" not in recording.attributes["notes"]
    assert recording.signals["gsr"].sequence is None


def test_a_long_recording_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = add_device(tmp_path / "a.h5", counts=np.arange(400)[:, None])
    whole = read_opensignals(path).signals["gsr"].samples[:]
    monkeypatch.setattr("emodict_desk.importers.opensignals._BLOCK_ROWS", 130)
    np.testing.assert_array_equal(read_opensignals(path).signals["gsr"].samples[:], whole)


def test_other_and_damaged_files_are_refused(tmp_path: Path) -> None:
    cut = add_device(tmp_path / "a.h5", counts=np.zeros((50000, 1)))
    cut.write_bytes(cut.read_bytes()[:20000])
    with pytest.raises(RecordingError, match=r"cut off|damaged"):
        read_opensignals(cut)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(RecordingError, match=r"cannot be read.*raw/channel_N"):
        read_opensignals(tmp_path / "b.h5")
    (tmp_path / "c.h5").write_text("# OpenSignals Text File Format\n")
    with pytest.raises(RecordingError, match="holds nothing but comments"):
        read_opensignals(tmp_path / "c.h5")
    with h5py.File(add_device(tmp_path / "d.h5"), "r+") as file:
        del file[PLUX].attrs["sampling rate"]
    with pytest.raises(RecordingError, match="damaged or incomplete") as held:
        read_opensignals(tmp_path / "d.h5")
    assert held.value.__traceback__ is not None
    assert_other_threads_read(tmp_path / "d.h5")


@pytest.mark.parametrize(
    ("name", "sensor", "modality", "channel", "unit_of"),
    [
        ("eda_slow_signal", [], "gsr", "channel_3", lambda counts: counts / 2**16 * 3 / 0.12),
        ("eda_hot_surface", [], "gsr", "channel_3", lambda counts: counts / 2**10 * 25),
        ("bvp_rest", [], "ppg", "channel_1", lambda counts: counts / 2**16),
        ("bvp_motion_artifact", ["A2=BVP"], "ppg", "channel_2", lambda counts: counts / 2**10),
        (
            "signal_sample_single_hub_EEG_2018_7_4",
            [],
            "eeg",
            "channel_1",
            lambda counts: (counts / 2**16 - 0.5) * 75,
        ),
        (
            "eeg_sample_closed_open_eyes",
            ["RAW1=EEG:O1", "RAW5=EEG:O2"],
            "eeg",
            "channel_1",
            lambda counts: (counts / 2**16 - 0.5) * 75,
        ),
    ],
)
def test_the_real_files_equal_their_counts_in_physical_units(
    shared_data: Path,
    tmp_path: Path,
    name: str,
    sensor: list[Any],
    modality: str,
    channel: str,
    unit_of: Callable[..., Any],
) -> None:
    path = shared_data / "opensignals_h5" / f"{name}.h5"
    recording = read_opensignals(path, sensor=sensor)
    with h5py.File(path) as file:
        (group,) = file.values()
        counts, rate = (
            group[f"raw/{channel}"][:, 0].astype(float),
            float(group.attrs["sampling rate"]),
        )
    signal = recording.signals[modality]
    assert (signal.rate_hz, signal.sample_count) == (rate, len(counts))
    np.testing.assert_allclose(signal.samples[:, 0], unit_of(counts), rtol=1e-6)  # float32
    assert signal.sequence is None
    write_session(recording, tmp_path / "s.h5")


def test_quality_ranks_a_pulse_at_rest_above_one_in_motion(shared_data: Path) -> None:
    folder = shared_data / "opensignals_h5"
    quality = {}
    for name, sensor in (("bvp_rest", []), ("bvp_motion_artifact", ["A2=BVP"])):
        recording = read_opensignals(folder / f"{name}.h5", sensor=sensor)
        table = table_from_recording(recording, load_spec("emodict-1"), name=name)
        ppg = list(table.windows.spec.modality_names).index("ppg")
        quality[name] = table.windows.quality[table.windows.valid[:, ppg], ppg]
    rest, motion = quality["bvp_rest"], quality["bvp_motion_artifact"]
    assert len(rest) > 90
    assert len(motion) > 20
    assert rest.mean() > motion.mean() + 0.05
    assert np.median(rest) > np.median(motion)


def txt_device(name: str = BITALINO, **said: Any) -> dict[str, Any]:
    """What OpenSignals says of a device in the second line of a text file."""
    usual = {
        "sensor": ["EDABITREV"], "device name": name, "time": "13:28:43.110", "date": "2017-1-23",
        "column": ["nSeq", "I1", "I2", "O1", "O2", "A3"], "channels": [3], "label": ["A3"],
        "digital IO": [0, 0, 1, 1], "device": "bitalino_rev", "sampling rate": 100,
        "resolution": [4, 1, 1, 1, 1, 10],
    }  # fmt: skip
    return {name: {**usual, **said}}


def txt_file(
    path: Path, rows: np.ndarray, devices: dict[str, Any] | None = None, *, end: str = "\t"
) -> Path:
    """A text file as OpenSignals writes it; `rows` are those of its columns."""
    said = json.dumps(txt_device() if devices is None else devices)
    head = f"# OpenSignals Text File Format. Version 1\n# {said}\n# EndOfHeader\n"
    lines = ("\t".join(map(str, row)) + end for row in np.asarray(rows).tolist())
    return write(path, head + "\n".join(lines) + "\n")


def bitalino_rows(counts: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
    """NSeq of four bits, two inputs (the first pressed from row 50 to 59), two outputs, counts."""
    n = np.arange(len(counts))
    rows = np.zeros((len(counts), 6), dtype=int)
    rows[:, 0] = (n if numbers is None else numbers) % 16
    rows[50:60, 1] = 1
    rows[:, 3] = 1
    rows[:, 5] = counts
    return rows


@pytest.mark.parametrize("end", ["\t", ""])
def test_a_text_file_gives_units_start_and_buttons_as_its_description_says(
    tmp_path: Path, end: str
) -> None:
    counts = np.arange(400) + 100
    path = txt_file(tmp_path / "a.txt", bitalino_rows(counts), end=end)
    recording = read_opensignals(path)
    gsr = recording.signals["gsr"]
    assert (gsr.rate_hz, gsr.unit, gsr.sequence) == (100.0, "uS", None)
    # BITalino (r)evolution EDA data sheet: 0 to 25 uS over 10 bits.
    np.testing.assert_allclose(gsr.samples[:, 0], counts / 1024 * 25, rtol=1e-6)
    assert recording.start_time == "2017-01-23T13:28:43.110000"
    pressed = [(e.onset_s, e.code, e.description) for e in recording.events]
    assert pressed == [(0.5, 1, "I1 0 -> 1"), (0.6, 1, "I1 1 -> 0")]
    assert kind_of(path) == "opensignals"


def test_lost_rows_of_a_text_file_are_gaps_by_its_counter(tmp_path: Path) -> None:
    kept = np.r_[0:200, 205:400]
    rows = bitalino_rows(np.full(len(kept), 500), numbers=kept)
    gsr = read_opensignals(txt_file(tmp_path / "a.txt", rows)).signals["gsr"]
    np.testing.assert_array_equal(gsr.sequence, kept)


def test_a_text_file_of_two_devices_has_the_columns_of_the_first_and_then_of_the_second(
    tmp_path: Path,
) -> None:
    plux = {"sensor": ["BVP"], "column": ["nSeq", "DI", "CH1"], "channels": [1], "label": ["CH1"],
            "digital IO": [0, 1], "device": "biosignalsplux", "resolution": [16],
            "time": "13:28:43.610"}  # fmt: skip
    first = bitalino_rows(np.full(400, 512))
    second = np.stack([np.arange(400), np.zeros(400, int), np.arange(400) * 100], axis=1)
    path = txt_file(
        tmp_path / "a.txt", np.hstack([first, second]), {**txt_device(), **txt_device(PLUX, **plux)}
    )
    recording = read_opensignals(path)
    np.testing.assert_allclose(recording.signals["gsr"].samples, 12.5)
    ppg = recording.signals["ppg"]
    np.testing.assert_allclose(ppg.samples[:, 0], np.arange(400) * 100 / 65536, rtol=1e-6)
    assert ppg.start_offset_s == 0.5


def test_a_sensor_that_the_file_knows_is_not_renamed_in_silence(tmp_path: Path) -> None:
    path = add_device(tmp_path / "a.h5", sensors=("ECG",))
    with pytest.raises(RecordingError, match="no channel that emodict uses") as refusal:
        read_opensignals(path)
    assert "--sensor" not in str(refusal.value)
    notes = read_opensignals(path, sensor=["A1=BVP"]).attributes["notes"]
    assert "A1 (ECG) is taken for ppg, as asked; the file says otherwise" in notes


def test_a_counter_with_an_empty_cell_is_refused(tmp_path: Path) -> None:
    path = txt_file(tmp_path / "a.txt", bitalino_rows(np.full(99, 500)))
    lines = path.read_text().splitlines()
    lines[9] = lines[9][lines[9].index("\t") :]
    with pytest.raises(RecordingError, match="a counter or digital line has an empty cell"):
        read_opensignals(write(path, "\n".join(lines) + "\n"))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("# {not json", "the description of the devices cannot be read"),
        ("# {}", "cannot be read: it names no device"),
        ('# {"a": {"column": ["nSeq", "A1"]}}', "rate cannot be used"),
        ('# {"a": {"column": ["nSeq", "A1"], "sampling rate": 0}}', "rate cannot be used"),
        ('# {"a": {"column": ["nSeq", "A1"], "sampling rate": 1e999}}', "rate cannot be used"),
        ('# {"a": {"column": ["nSeq", "A1"], "sampling rate": 1e308}}', "rate cannot be used"),
        ('# {"a": {"column": ["nSeq", "A1"], "sampling rate": "x"}}', "rate cannot be used"),
        ('# {"a": {"column": ["nSeq"], "sampling rate": 100}}', "the rows do not fit"),
        ('# {"a": {"column": ["nSeq", "A1"], "sampling rate": 100}}', "no channel that emodict"),
        ('# {"a": {"column": 5, "sampling rate": 100}}', "cannot be read"),
    ],
)
def test_a_text_file_whose_description_says_too_little_is_refused(
    tmp_path: Path, head: str, said: str
) -> None:
    path = write(tmp_path / "a.txt", f"# OpenSignals Text File Format\n{head}\n1\t2\t\n")
    with pytest.raises(RecordingError, match=said):
        read_opensignals(path)


@pytest.mark.parametrize(
    ("file", "modality", "full"),
    # BITalino EDA: 25 uS over 10 bits; BVP a share of 16 bits.
    [("bvp.txt", "ppg", 1 / 65536), ("eda_bitalino_rev.txt", "gsr", 25 / 1024)],
)
def test_the_real_text_files_equal_their_counts_in_physical_units(
    shared_cases: Path, file: str, modality: str, full: float
) -> None:
    path = shared_cases / "08_opensignals_txt" / file
    signal = read_opensignals(path).signals[modality]
    rows = [line.split() for line in path.read_text().splitlines() if line[0] != "#"]
    np.testing.assert_allclose(
        signal.samples[:, 0], np.array([float(row[-1]) for row in rows]) * full, rtol=1e-6
    )
    assert (signal.rate_hz, signal.sequence) == (1000.0, None)


def test_the_real_accelerometer_is_not_taken_for_skin(shared_data: Path) -> None:
    path = shared_data / "opensignals_txt" / "opensignals_bitalino.txt"
    with pytest.raises(RecordingError, match=r"Expected EDA, EEG or BVP, got A5 \(ACCBITREV\)"):
        read_opensignals(path)
    ppg = read_opensignals(path, sensor=["A5=BVP"]).signals["ppg"]
    rows = [line.split() for line in path.read_text().splitlines() if line[0] != "#"]
    expected = np.array([float(row[5]) for row in rows]) / 1024
    np.testing.assert_allclose(ppg.samples[:, 0], expected, rtol=1e-6)
    assert ppg.rate_hz == 100.0


ROWS = bitalino_rows(np.full(99, 500))
NO_WIDTHS: list[Any] = [
    0,
    [],
    [0],
    10**9,
    "ten",
    -3,
    {},
    [10, "x"],
    [[10], [1, 2]],
    None,
    True,
    9.5,
]


@pytest.mark.parametrize("resolution", NO_WIDTHS, ids=repr)
def test_a_resolution_that_no_converter_has_is_refused(resolution: Any, tmp_path: Path) -> None:
    path = txt_file(tmp_path / "o.txt", ROWS, txt_device(resolution=resolution))
    with pytest.raises(RecordingError, match=r"o\.txt: its resolution cannot be used.*1 to 32"):
        read_opensignals(path)


@pytest.mark.parametrize("resolution", [np.array([], "i4"), np.array([0], "i4"), "ten"])
def test_a_resolution_in_hdf5_that_no_converter_has_is_refused(
    resolution: Any, tmp_path: Path
) -> None:
    path = add_device(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file[PLUX].attrs["resolution"] = resolution
    with pytest.raises(RecordingError, match="its resolution cannot be used"):
        read_opensignals(path)


def test_digital_io_that_is_not_a_list_is_refused(tmp_path: Path) -> None:
    path = txt_file(tmp_path / "o.txt", ROWS, txt_device(**{"digital IO": 3}))
    with pytest.raises(RecordingError, match="its digital IO is not a list"):
        read_opensignals(path)
