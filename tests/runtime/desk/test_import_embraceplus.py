"""EmbracePlus Avro written by fastavro with the fields of Empatica's schema (version 6)."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emodict.errors import MissingDependencyError, RecordingError
from emodict_desk.importers.avro_blocks import Bounded, check_blocks
from emodict_desk.importers.embraceplus import read_embraceplus

fastavro = pytest.importorskip("fastavro")


def series(name: str, values: str = "float") -> dict[str, Any]:
    """A sampled sensor, as the schema describes eda, bvp, temperature and steps."""
    fields = [
        {"name": "timestampStart", "type": "long"},
        {"name": "samplingFrequency", "type": "float"},
        {"name": "values", "type": {"type": "array", "items": values}},
    ]
    return {"name": name, "type": {"name": name.capitalize(), "type": "record", "fields": fields}}


def times(name: str, field: str) -> dict[str, Any]:
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


def empty() -> dict[str, Any]:
    return {"timestampStart": 0, "samplingFrequency": 0.0, "values": []}


def avro_file(
    folder: Path,
    start_s: float = 0.0,
    seconds: int = 10,
    *,
    bvp_hz: float = 64.0,
    eda_hz: float = 4.0,
    tags_s: list[float] | tuple[Any, ...] = (),
    eda: bool = True,
    first: float = 0.0,
) -> Path:
    folder.mkdir(exist_ok=True)
    start = START_US + round(start_s * 1e6)
    bvp, skin = (first + np.arange(round(seconds * hz)) for hz in (bvp_hz, eda_hz))
    raw = {
        "eda": {
            "timestampStart": start,
            "samplingFrequency": eda_hz,
            "values": (skin / 10).tolist(),
        }
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


def test_one_file_gives_pulse_skin_tags_and_the_start_in_utc(tmp_path: Path) -> None:
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


def test_the_files_of_a_folder_are_joined_in_the_order_of_their_time(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    for start, first in ((20, 1280), (0, 0), (10, 640)):
        avro_file(folder, start, first=first)
    recording = read_embraceplus(folder)
    np.testing.assert_array_equal(recording.signals["ppg"].samples[:, 0], np.arange(1920))
    assert recording.signals["ppg"].timestamps_s is None
    assert recording.duration_s == pytest.approx(30.0)


def test_a_pause_between_files_and_a_drifting_clock_are_in_the_time_stamps(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    avro_file(folder, 0, bvp_hz=64.01)
    avro_file(folder, 60, bvp_hz=64.01)
    ppg = read_embraceplus(folder).signals["ppg"]
    assert ppg.rate_hz == 64.0
    rate = float(np.float32(64.01))  # the schema holds rates in single precision
    # Files start at whole microseconds.
    np.testing.assert_allclose(ppg.timestamps_s[:640], np.arange(640) / rate, atol=1e-6)
    np.testing.assert_allclose(ppg.timestamps_s[640:], 60 + np.arange(640) / rate, atol=1e-6)


def test_a_sensor_without_samples_is_named(tmp_path: Path) -> None:
    recording = read_embraceplus(avro_file(tmp_path / "day", eda=False))
    assert recording.modality_names == ("ppg",)
    assert "eda of 1-1-100_1707311064.avro (no samples)" in recording.attributes["left_out"]


def test_files_that_overlap_are_refused_or_the_few_samples_named(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    avro_file(folder, 0)
    avro_file(folder, 9.9)
    # The first file's last sample lies at 639 / 64 = 9.984 s:
    # 9.9 s + k / 64 is not later for k = 0 ... 5.
    assert "6 samples of bvp" in read_embraceplus(folder).attributes["left_out"]
    avro_file(folder, 5)
    with pytest.raises(RecordingError, match=r"bvp starts 5\.0 s before the file before it ends"):
        read_embraceplus(folder)


def test_other_and_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    whole = avro_file(tmp_path / "day").read_bytes()
    for content, sentence in (
        (whole[: len(whole) // 2], "cut off or damaged"),
        (b"time,PPG\n0,1\n", "cannot be read.*emodict-session import csv"),
        (b"", "an empty file"),
    ):
        (tmp_path / "a.avro").write_bytes(content)
        with pytest.raises(RecordingError, match=sentence):
            read_embraceplus(tmp_path / "a.avro")
    other = fastavro.parse_schema(
        {"name": "x", "type": "record", "fields": [{"name": "a", "type": "int"}]}
    )
    with (tmp_path / "a.avro").open("wb") as handle:
        fastavro.writer(handle, other, [{"a": 1}])
    with pytest.raises(RecordingError, match="Avro of another schema"):
        read_embraceplus(tmp_path / "a.avro")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="an empty folder"):
        read_embraceplus(tmp_path / "empty")
    with pytest.raises(RecordingError, match="another sampling rate"):
        read_embraceplus(avro_file(tmp_path / "day", 100, bvp_hz=32.0))


def test_without_fastavro_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = avro_file(tmp_path / "day")
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[embraceplus\]'"):
        read_embraceplus(path)


def test_a_record_without_raw_data_is_of_another_schema(tmp_path: Path) -> None:
    for fields in ([{"name": "x", "type": "int"}], [{"name": "rawData", "type": "int"}]):
        schema = fastavro.parse_schema({"name": "Session", "type": "record", "fields": fields})
        with (tmp_path / "a.avro").open("wb") as handle:
            fastavro.writer(handle, schema, [{"x": 1, "rawData": 1}])
        with pytest.raises(
            RecordingError, match=r"is Avro of another schema\. Expected a record with rawData"
        ):
            read_embraceplus(tmp_path / "a.avro")


def test_a_file_without_pulse_and_skin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no samples of BVP or EDA"):
        read_embraceplus(avro_file(tmp_path / "day", seconds=0))


def zigzag(value: int) -> bytes:
    """Avro's whole numbers, seven bits a byte (Apache Avro specification)."""
    left, out = (value << 1) ^ (value >> 63), bytearray()
    while True:
        out.append((left & 0x7F) | (0x80 if left > 0x7F else 0))
        left >>= 7
        if not left:
            return bytes(out)


def block(content: bytes, *, count: int = 1, size: int | None = None) -> bytes:
    return zigzag(count) + zigzag(len(content) if size is None else size) + content + b"m" * 16


def checked(
    tmp_path: Path,
    content: bytes,
    *,
    codec: str = "null",
    schema: dict[str, Any] | list[Any] | str = "int",
) -> int:
    path = tmp_path / "a.avro"
    path.write_bytes(b"head" + content)
    with Bounded(path) as file:
        file.seek(4)
        check_blocks(file, codec, schema)
        return file.tell()


def packed(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def test_blocks_are_walked_and_the_file_stands_where_it_stood(tmp_path: Path) -> None:
    for content in (
        b"",
        block(b"x"),
        block(b"x" * 63) + block(b"x" * 64) + block(b"x" * 9000, count=100_000),
    ):
        assert checked(tmp_path, content) == 4
    assert checked(tmp_path, block(packed(b"x" * 9000)) + block(packed(b"")), codec="deflate") == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (block(b"", size=-1), "a block claims -1"),
        (block(b"", count=-3), "a block claims -3"),
        (b"\x82", "a block is cut off"),
        (b"\x02", "a block is cut off"),
        (b"\xff" * 10 + b"\x01" + zigzag(0) + b"m" * 16, "a block is cut off"),
        (block(b"x", size=65_600), "it claims 65600 bytes where 17 are left"),
    ],
)
def test_a_block_that_claims_what_cannot_be_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        checked(tmp_path, content)


def test_a_block_may_claim_64_kib_more_than_is_left(tmp_path: Path) -> None:
    assert checked(tmp_path, block(b"", size=65_536 + 16)) == 4
    with pytest.raises(ValueError, match="it claims 65553 bytes where 16 are left"):
        checked(tmp_path, block(b"", size=65_536 + 17))


def test_packings_other_than_avros_own_two_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="packed by 'snappy', and only null and deflate are read"):
        checked(tmp_path, b"", codec="snappy")


def test_a_file_and_what_it_unpacks_to_are_read_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "emodict_desk.importers.avro_blocks.MOST_BYTES"
    two = block(packed(b"x" * 600)) + block(packed(b"y" * 400))
    monkeypatch.setattr(limit, 1000)
    assert checked(tmp_path, two, codec="deflate") == 4
    monkeypatch.setattr(limit, 999)
    with pytest.raises(ValueError, match="it unpacks to more than 999 bytes"):
        checked(tmp_path, two, codec="deflate")
    monkeypatch.setattr(limit, 4 + len(two))
    assert checked(tmp_path, two) == 4
    monkeypatch.setattr(limit, 3 + len(two))
    with pytest.raises(
        ValueError, match=f"it has {4 + len(two)} bytes, and at most {3 + len(two)} are read"
    ):
        checked(tmp_path, two)


@pytest.mark.parametrize(("size", "taken"), [(268_435_456, True), (268_435_457, False)])
def test_a_file_of_more_than_256_mib_is_not_read(tmp_path: Path, size: int, taken: bool) -> None:
    path = tmp_path / "a.avro"
    with path.open("wb") as file:
        file.truncate(size)  # of holes alone: it takes no room
    if taken:
        with Bounded(path) as file:
            assert file.read(4) == bytes(4)
    else:
        with pytest.raises(
            ValueError, match="it has 268435457 bytes, and at most 268435456 are read"
        ):
            Bounded(path)


def array(items: dict[str, Any] | list[str] | str) -> dict[str, Any]:
    return {"type": "array", "items": items}


def record(*types: Any, name: str = "r") -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{i}", "type": t} for i, t in enumerate(types)],
    }


EMPTY = [
    "null",
    {"type": "null"},
    {"type": {"type": "null"}},
    record(),
    record("null", record(name="s")),
    {"type": "fixed", "name": "f", "size": 0},
    {"type": "error", "name": "e", "fields": []},
]
FULL = [
    "int",
    "string",
    {"type": "int"},
    record("null", "int"),
    {"type": "fixed", "name": "f", "size": 1},
    ["null", "int"],
    ["null"],
    array("int"),
    {"type": "map", "values": "null"},
]


@pytest.mark.parametrize(
    "place",
    [
        lambda s: s,
        lambda s: ["null", s],
        lambda s: record("int", s, name="outer"),
        lambda s: {"type": "map", "values": s},
        lambda s: {"type": s},
        array,
    ],
)
def test_arrays_of_what_takes_no_byte_are_refused_wherever_they_stand(
    tmp_path: Path, place: Callable[..., Any]
) -> None:
    for items in FULL:
        assert checked(tmp_path, b"", schema=place(array(items))) == 4
    for items in EMPTY:
        with pytest.raises(ValueError, match="items without content"):
            checked(tmp_path, b"", schema=place(array(items)))


def test_a_name_stands_for_what_it_was_given_to(tmp_path: Path) -> None:
    for first, said in ((record(name="s"), True), (record("int", name="s"), False)):
        schema = record(first, array("s"), name="outer")
        if said:
            with pytest.raises(ValueError, match="items without content"):
                checked(tmp_path, b"", schema=schema)
        else:
            assert checked(tmp_path, b"", schema=schema) == 4


def test_a_record_that_holds_itself_alone_has_no_content(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="items without content"):
        checked(
            tmp_path, b"", schema=record(record("loop", name="loop"), array("loop"), name="outer")
        )


@pytest.mark.parametrize(
    "deeper", [lambda s: {"type": s}, lambda s: [s], lambda s: record(s), array]
)
def test_a_schema_may_be_nested_50_deep(tmp_path: Path, deeper: Callable[..., Any]) -> None:
    schema = "int"
    for _ in range(50):
        schema = deeper(schema)
    assert checked(tmp_path, b"", schema=schema) == 4
    with pytest.raises(ValueError, match="nested too deep"):
        checked(tmp_path, b"", schema=deeper(schema))


@pytest.mark.parametrize(("overlap_s", "taken"), [(1.9, True), (2.1, False)])
def test_files_may_overlap_by_two_seconds(tmp_path: Path, overlap_s: float, taken: bool) -> None:
    avro_file(tmp_path / "day")
    # The last sample of the first file is at 9.984375 s for the pulse, and at 9.75 s for the skin.
    avro_file(tmp_path / "day", 9.984375 - overlap_s, eda=False)
    if taken:
        recording = read_embraceplus(tmp_path / "day")
        assert recording.signals["ppg"].sample_count == 640 + 640 - 122
        assert "122 samples of bvp in" in recording.attributes["left_out"]
    else:
        with pytest.raises(
            RecordingError, match=r"bvp starts 2\.1 s before the file before it ends"
        ):
            read_embraceplus(tmp_path / "day")


@pytest.mark.parametrize(
    ("bvp_hz", "eda_hz", "said"),
    [
        (64.63, 4.0, ""),
        (63.37, 4.0, ""),
        (64.65, 4.0, "bvp.*64 Hz, got 64.65"),
        (64.0, 3.95, "eda.*4 Hz, got 3.95"),
    ],
)
def test_a_rate_is_the_sensors_own_to_a_hundredth(
    tmp_path: Path, bvp_hz: float, eda_hz: float, said: str
) -> None:
    # Long enough for a rate that is more than an estimate over few samples.
    path = avro_file(tmp_path / "day", seconds=200, bvp_hz=bvp_hz, eda_hz=eda_hz)
    if said:
        with pytest.raises(RecordingError, match=said):
            read_embraceplus(path)
    else:
        assert read_embraceplus(path).signals["ppg"].rate_hz == 64.0


def test_the_rate_of_a_short_file_is_an_estimate_and_samples_stay_at_the_sensors_own(
    tmp_path: Path,
) -> None:
    # 40 samples in 10 s, of which the device counted half a one too many: 4.05 Hz.
    gsr = read_embraceplus(avro_file(tmp_path / "day", eda_hz=4.05)).signals["gsr"]
    assert (gsr.rate_hz, gsr.timestamps_s, gsr.sample_count) == (4.0, None, 40)
    with pytest.raises(RecordingError, match=r"another sampling rate.*4 Hz, got 4\.2"):
        read_embraceplus(avro_file(tmp_path / "other", eda_hz=4.2))


def test_one_file_of_a_folder_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    for start in (0, 10, 20):
        avro_file(folder, start, first=64 * start)
    bad = folder / f"1-1-100_{START_US // 1000000 + 10}.avro"
    bad.write_bytes(bad.read_bytes()[:500])
    recording = read_embraceplus(folder)
    ppg = recording.signals["ppg"]
    np.testing.assert_allclose(ppg.timestamps_s, ppg.samples[:, 0] / 64, atol=1e-6)
    assert f"{bad.name} (is cut off or damaged: " in recording.attributes["left_out"]
    for file in folder.glob("*.avro"):
        file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(RecordingError, match=f"{START_US // 1000000}.avro is cut off or damaged"):
        read_embraceplus(folder)


def test_the_real_files_of_ten_seconds_are_one_recording_with_a_pause(shared_cases: Path) -> None:
    folder = shared_cases / "06_embraceplus_short_files"
    recording = read_embraceplus(folder)
    expected: list[float] = []
    for file in sorted(folder.glob("*.avro")):
        with file.open("rb") as handle:
            expected += next(iter(fastavro.reader(handle)))["rawData"]["eda"]["values"]
    gsr = recording.signals["gsr"]
    np.testing.assert_array_equal(gsr.samples[:, 0], np.float32(expected))
    assert gsr.rate_hz == 4.0
    # By timestampStart of the two files, 1764754394.619854 and 1764754536.026816.
    assert np.diff(gsr.timestamps_s).max() == pytest.approx(141.406962 - 39 / 4, abs=1e-3)
