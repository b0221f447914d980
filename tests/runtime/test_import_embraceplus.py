"""EmbracePlus Avro written by fastavro with the fields of Empatica's schema (version 6)."""

import sys

import numpy as np
import pytest

from emodict.errors import MissingDependencyError, RecordingError
from emodict.importers.embraceplus import read_embraceplus

fastavro = pytest.importorskip("fastavro")


def series(name, values="float"):
    """A sampled sensor, as the schema describes eda, bvp, temperature and steps."""
    fields = [
        {"name": "timestampStart", "type": "long"},
        {"name": "samplingFrequency", "type": "float"},
        {"name": "values", "type": {"type": "array", "items": values}},
    ]
    return {"name": name, "type": {"name": name.capitalize(), "type": "record", "fields": fields}}


def times(name, field):
    fields = [{"name": field, "type": {"type": "array", "items": "long"}}]
    return {"name": name, "type": {"name": name.capitalize(), "type": "record", "fields": fields}}


SCHEMA = fastavro.parse_schema(
    {
        "name": "empatica.format.avro.Session",
        "type": "record",
        "fields": [
            {"name": "deviceSn", "type": "string"},
            {"name": "enrollment", "type": {"name": "Enrollment", "type": "record", "fields": [
                {"name": "participantID", "type": "string"}]}},
            {"name": "rawData", "type": {"name": "RawData", "type": "record", "fields": [
                series("eda"), series("temperature"), series("bvp"), series("steps", "int"),
                times("tags", "tagsTimeMicros"), times("systolicPeaks", "peaksTimeNanos")]}},
        ],
    }
)  # fmt: skip
START_US = 1707311064_250000


def empty():
    return {"timestampStart": 0, "samplingFrequency": 0.0, "values": []}


def avro_file(folder, start_s=0.0, seconds=10, *, bvp_hz=64.0, eda_hz=4.0, tags_s=(), eda=True, first=0.0):
    folder.mkdir(exist_ok=True)
    start = START_US + round(start_s * 1e6)
    bvp, skin = (first + np.arange(round(seconds * hz)) for hz in (bvp_hz, eda_hz))
    raw = {
        "eda": {"timestampStart": start, "samplingFrequency": eda_hz, "values": (skin / 10).tolist()}
        if eda
        else empty(),
        "temperature": {"timestampStart": start, "samplingFrequency": 1.0, "values": [33.0]},
        "bvp": {"timestampStart": start, "samplingFrequency": bvp_hz, "values": bvp.tolist()},
        "steps": empty() | {"values": []},
        "tags": {"tagsTimeMicros": [START_US + round(t * 1e6) for t in tags_s]},
        "systolicPeaks": {"peaksTimeNanos": []},
    }
    path = folder / f"1-1-100_{start // 1000000}.avro"
    with path.open("wb") as handle:
        record = {"deviceSn": "3YK1", "enrollment": {"participantID": "1-1-100"}, "rawData": raw}
        fastavro.writer(handle, SCHEMA, [record])
    return path


def test_one_file_gives_pulse_skin_tags_and_the_start_in_utc(tmp_path):
    recording = read_embraceplus(avro_file(tmp_path / "day", tags_s=[3.5]))
    ppg, gsr = recording.signals["ppg"], recording.signals["gsr"]
    assert (ppg.rate_hz, ppg.unit, gsr.rate_hz, gsr.unit) == (64.0, "a.u.", 4.0, "uS")
    np.testing.assert_array_equal(ppg.samples[:, 0], np.arange(640))
    np.testing.assert_array_equal(gsr.samples[:, 0], (np.arange(40) / 10).astype(np.float32))
    assert ppg.timestamps_s is None
    assert recording.start_time == "2024-02-07T13:04:24.250000Z"  # 1707311064.25 s
    assert [e.onset_s for e in recording.events] == [3.5]
    assert recording.subject_id == "1-1-100"
    assert recording.attributes["left_out"] == "temperature (not used)"


def test_the_files_of_a_folder_are_joined_in_the_order_of_their_time(tmp_path):
    folder = tmp_path / "day"
    for start, first in ((20, 1280), (0, 0), (10, 640)):
        avro_file(folder, start, first=first)
    recording = read_embraceplus(folder)
    np.testing.assert_array_equal(recording.signals["ppg"].samples[:, 0], np.arange(1920))
    assert recording.signals["ppg"].timestamps_s is None
    assert recording.duration_s == pytest.approx(30.0)


def test_a_pause_between_files_and_a_drifting_clock_are_in_the_time_stamps(tmp_path):
    folder = tmp_path / "day"
    avro_file(folder, 0, bvp_hz=64.01)
    avro_file(folder, 60, bvp_hz=64.01)
    ppg = read_embraceplus(folder).signals["ppg"]
    assert ppg.rate_hz == 64.0
    rate = float(np.float32(64.01))  # the schema holds rates in single precision
    # Files start at whole microseconds.
    np.testing.assert_allclose(ppg.timestamps_s[:640], np.arange(640) / rate, atol=1e-6)
    np.testing.assert_allclose(ppg.timestamps_s[640:], 60 + np.arange(640) / rate, atol=1e-6)


def test_a_sensor_without_samples_is_named(tmp_path):
    recording = read_embraceplus(avro_file(tmp_path / "day", eda=False))
    assert recording.modality_names == ("ppg",)
    assert "eda of 1-1-100_1707311064.avro (no samples)" in recording.attributes["left_out"]


def test_files_that_overlap_are_refused_or_the_few_samples_named(tmp_path):
    folder = tmp_path / "day"
    avro_file(folder, 0)
    avro_file(folder, 9.9)
    # The first file's last sample lies at 639 / 64 = 9.984 s: 9.9 s + k / 64 is not later for k = 0 ... 5.
    assert "6 samples of bvp" in read_embraceplus(folder).attributes["left_out"]
    avro_file(folder, 5)
    with pytest.raises(RecordingError, match=r"bvp starts 5\.0 s before the file before it ends"):
        read_embraceplus(folder)


def test_other_and_damaged_files_are_refused_by_name(tmp_path):
    whole = avro_file(tmp_path / "day").read_bytes()
    for content, sentence in (
        (whole[: len(whole) // 2], "cut off or damaged"),
        (b"time,PPG\n0,1\n", "cannot be read.*emodict-session import csv"),
        (b"", "an empty file"),
    ):
        (tmp_path / "a.avro").write_bytes(content)
        with pytest.raises(RecordingError, match=sentence):
            read_embraceplus(tmp_path / "a.avro")
    other = fastavro.parse_schema({"name": "x", "type": "record", "fields": [{"name": "a", "type": "int"}]})
    with (tmp_path / "a.avro").open("wb") as handle:
        fastavro.writer(handle, other, [{"a": 1}])
    with pytest.raises(RecordingError, match="Avro of another schema"):
        read_embraceplus(tmp_path / "a.avro")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="an empty folder"):
        read_embraceplus(tmp_path / "empty")
    with pytest.raises(RecordingError, match="another sampling rate"):
        read_embraceplus(avro_file(tmp_path / "day", 100, bvp_hz=32.0))


def test_without_fastavro_it_says_what_to_install(tmp_path, monkeypatch):
    path = avro_file(tmp_path / "day")
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[embraceplus\]'"):
        read_embraceplus(path)
