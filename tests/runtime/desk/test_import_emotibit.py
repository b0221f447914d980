"""EmotiBit's raw packets, and the files that its DataParser makes of them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict_desk.importers.emotibit import read_emotibit
from emodict_desk.importers.kinds import kind_of

RNG = np.random.default_rng(5)
# Of EmotiBit's clock, at the first sample; EDA comes in packets of 3, light in packets of 5.
FIRST_MS = 40_000.0
EDA_HZ, PPG_HZ = 15.0, 25.0
START = datetime.datetime(2022, 1, 30, 12, 3, 4, 500000)


def eda_us(n: int) -> float:
    return round(1.5 + n / 500, 6)


def infrared(n: int) -> int:
    return 120000 + n * 53 % 900


def emotibit_file(
    path: Path,
    *,
    seconds: int = 30,
    lost_s: tuple[float, float] = (0.0, 0.0),
    change: Callable[[list[str]], list[str]] | None = None,
) -> Path:
    """Packets as EmotiBit's firmware writes them; a packet bears the time of its last value.

    Those between the two of `lost_s` never arrived. The computer said its time at second 2, and a
    note came at second 5.
    """
    packets: list[tuple[float, str, list[Any]]] = []
    for tag, rate_hz, count, value in (
        ("EA", EDA_HZ, 3, eda_us), ("PI", PPG_HZ, 5, infrared), ("PR", PPG_HZ, 5, lambda n: 7),
    ):  # fmt: skip
        for first in range(0, round(seconds * rate_hz), count):
            last = first + count - 1
            values = [value(n) for n in range(first, last + 1)]
            packets.append((last / rate_hz, tag, values))
    said = START + datetime.timedelta(seconds=2)
    packets += [
        (2.0, "TL", [said.strftime("%Y-%m-%d_%H-%M-%S-%f")]),
        (5.0, "UN", ["eyes closed"]),
        (1.0, "T1", [33.1]),
    ]
    packets.sort(key=lambda packet: packet[0])
    kept = [packet for packet in packets if not lost_s[0] <= packet[0] < lost_s[1]]
    lines = [
        f"{FIRST_MS + at_s * 1000:.3f},{number},{len(values)},{tag},1,100,"
        + ",".join(map(str, values))
        for number, (at_s, tag, values) in enumerate(kept)
    ]
    return write(path, "\n".join(change(lines) if change else lines) + "\n")


def parsed_folder(folder: Path, *, seconds: int = 30, name: str = "first") -> Path:
    """The DataParser's files: a row a value, LocalTimestamp in Unix time."""
    folder.mkdir(exist_ok=True)
    start_s = START.replace(tzinfo=datetime.timezone.utc).timestamp()
    for tag, rate_hz, value in (("EA", EDA_HZ, eda_us), ("PI", PPG_HZ, infrared)):
        header = (
            "LocalTimestamp,EmotiBitTimestamp,PacketNumber,DataLength,TypeTag,ProtocolVersion,"
            f"DataReliability,{tag}"
        )
        rows = (
            f"{start_s + n / rate_hz:.6f},{FIRST_MS + n * 1000 / rate_hz:.3f},{n},3,{tag},1,100,"
            f"{value(n)}"
            for n in range(round(seconds * rate_hz))
        )
        write(folder / f"{name}_{tag}.csv", "\n".join([header, *rows]) + "\n")
    return folder


def test_raw_packets_give_skin_and_the_infrared_light_at_their_rates(tmp_path: Path) -> None:
    path = emotibit_file(tmp_path / "a.csv")
    recording = read_emotibit(path)
    gsr, ppg = recording.signals["gsr"], recording.signals["ppg"]
    assert (gsr.rate_hz, gsr.unit, ppg.rate_hz, ppg.unit) == (15.0, "uS", 25.0, "a.u.")
    np.testing.assert_array_equal(gsr.samples[:, 0], np.float32([eda_us(n) for n in range(450)]))
    np.testing.assert_array_equal(ppg.samples[:, 0], [infrared(n) for n in range(750)])
    assert gsr.timestamps_s is None
    assert ppg.timestamps_s is None
    # The packets' times are whole microseconds.
    assert recording.start_time[:22] == START.isoformat()[:22]
    assert [(round(e.onset_s, 3), e.description) for e in recording.events] == [
        (5.0, "eyes closed")
    ]
    assert recording.attributes["left_out"] == "PR (PI is taken of the lights), T1 (not used)"
    assert kind_of(path) == "emotibit"


def test_lost_packets_are_gaps(tmp_path: Path) -> None:
    recording = read_emotibit(emotibit_file(tmp_path / "a.csv", lost_s=(10.0, 14.0)))
    gsr = recording.signals["gsr"]
    # The packets of EDA that end from 10 to 14 s: those of the values 150 to 209.
    kept = np.r_[0:150, 210:450]
    np.testing.assert_array_equal(gsr.samples[:, 0], np.float32([eda_us(n) for n in kept]))
    np.testing.assert_allclose(gsr.timestamps_s, kept / EDA_HZ, atol=2e-3)
    assert gsr.rate_hz == 15.0
    assert "gsr: 60 samples lost, by the times" in recording.attributes["notes"]


def test_packets_that_stand_twice_count_once_and_late_ones_are_put_back(tmp_path: Path) -> None:
    def disordered(lines: list[str]) -> list[str]:
        light = [i for i, line in enumerate(lines) if ",PI," in line]
        first, second = light[4], light[5]
        lines[first], lines[second] = lines[second], lines[first]
        return [line for i, line in enumerate(lines) for line in [line] * (2 if i > 400 else 1)]

    path = emotibit_file(tmp_path / "a.csv", change=disordered)
    recording = read_emotibit(path)
    gsr, ppg = recording.signals["gsr"], recording.signals["ppg"]
    np.testing.assert_array_equal(ppg.samples[:, 0], [infrared(n) for n in range(750)])
    np.testing.assert_array_equal(gsr.samples[:, 0], np.float32([eda_us(n) for n in range(450)]))
    assert (ppg.timestamps_s, gsr.timestamps_s) == (None, None)
    said = [line.split(",") for line in path.read_text().splitlines()]
    numbers = [cells[1] for cells in said if cells[3] == "PI"]
    notes = recording.attributes["notes"]
    assert f"ppg: {5 * (len(numbers) - 150)} samples came twice (by the times)" in notes
    assert "ppg: 5 samples came late, by the times: put back in order" in notes


@pytest.mark.parametrize("back_ms", [15_000, 25_000])
def test_a_clock_that_runs_back_is_refused_with_where_to_cut(tmp_path: Path, back_ms: int) -> None:
    def set_back(lines: list[str]) -> list[str]:
        cells = [line.split(",", 1) for line in lines]
        late = [at_s for at_s, _ in cells if float(at_s) > FIRST_MS + 20_000]
        return [f"{float(at_s) - back_ms * (at_s in late):.3f},{rest}" for at_s, rest in cells]

    path = emotibit_file(tmp_path / "a.csv", change=set_back)
    # EDA's packet that ends with value 299 is the last before.
    said = (
        rf"its times run back.*59\.933\d* s, then {60.133 - back_ms / 1000:.3f}\d* s.*Cut the file"
    )
    with pytest.raises(RecordingError, match=said):
        read_emotibit(path)


def test_packets_without_values_and_notes_with_commas_are_packets(tmp_path: Path) -> None:
    def more(lines: list[str]) -> list[str]:
        return ["39000.0,0,0,HE,1,100", *lines, "45000.0,9,1,UN,1,100,eyes closed, and quiet"]

    path = emotibit_file(tmp_path / "a.csv", change=more)
    recording = read_emotibit(path)
    assert kind_of(path) == "emotibit"
    assert "damaged" not in recording.attributes["left_out"]
    assert "eyes closed, and quiet" in [event.description for event in recording.events]


def test_damaged_packets_are_left_out_and_counted(tmp_path: Path) -> None:
    def damaged(lines: list[str]) -> list[str]:
        return [*lines[:20], lines[20][:9], "\x01\x02,,,", *lines[20:]]

    recording = read_emotibit(emotibit_file(tmp_path / "a.csv", change=damaged))
    assert "2 packets (damaged, the first in line 21)" in recording.attributes["left_out"]
    assert recording.signals["gsr"].sample_count == 450


def test_a_spoilt_byte_costs_its_packet_alone(tmp_path: Path) -> None:
    path = emotibit_file(tmp_path / "a.csv")
    lines = path.read_bytes().split(b"\n")
    at = next(i for i, line in enumerate(lines) if b",PI," in line and i > 100)
    lines[at] = lines[at][:-1] + b"\xff"
    path.write_bytes(b"\n".join(lines))
    recording = read_emotibit(path)
    assert f"1 packet (damaged, the first in line {at + 1})" in recording.attributes["left_out"]
    assert "ppg: 5 samples lost, by the times" in recording.attributes["notes"]


@pytest.mark.parametrize("time_ms", ["1e20", "-1e300", "nan"])
def test_a_time_that_its_clock_cannot_have_is_damage(tmp_path: Path, time_ms: str) -> None:
    def changed(lines: list[str]) -> list[str]:
        return [
            line.replace(line.split(",")[0], time_ms) if ",TL," in line else line for line in lines
        ]

    recording = read_emotibit(emotibit_file(tmp_path / "a.csv", change=changed))
    assert recording.start_time == ""
    assert "1 packet (damaged" in recording.attributes["left_out"]


def test_a_local_time_beyond_all_years_is_none(tmp_path: Path) -> None:
    def changed(lines: list[str]) -> list[str]:
        said = "1.0,0,1,TL,1,100,9999-12-31_23-59-59-000000"
        return [said, *(line for line in lines if ",TL," not in line)]

    assert read_emotibit(emotibit_file(tmp_path / "a.csv", change=changed)).start_time == ""


def test_the_files_of_the_data_parser_are_one_recording(tmp_path: Path) -> None:
    folder = parsed_folder(tmp_path / "parsed")
    recording = read_emotibit(folder)
    gsr, ppg = recording.signals["gsr"], recording.signals["ppg"]
    np.testing.assert_array_equal(gsr.samples[:, 0], np.float32([eda_us(n) for n in range(450)]))
    np.testing.assert_array_equal(ppg.samples[:, 0], [infrared(n) for n in range(750)])
    assert (gsr.rate_hz, gsr.timestamps_s, ppg.rate_hz) == (15.0, None, 25.0)
    assert recording.start_time == "2022-01-30T12:03:04.500000Z"
    assert kind_of(folder) == kind_of(folder / "first_EA.csv") == "emotibit"
    assert read_emotibit(folder / "first_EA.csv").modality_names == ("gsr",)


def test_notes_and_a_light_that_starts_later_keep_their_times_in_the_parsed_files(
    tmp_path: Path,
) -> None:
    folder = parsed_folder(tmp_path / "parsed")
    lines = (folder / "first_PI.csv").read_text().splitlines()
    write(folder / "first_PI.csv", "\n".join([lines[0], *lines[1 + 25 :]]) + "\n")
    at_s = START.replace(tzinfo=datetime.timezone.utc).timestamp() + 12.5
    header = lines[0].replace(",PI", ",UN")
    write(folder / "first_UN.csv", f"{header}\n{at_s:.6f},1,1,1,UN,1,100,film begins\n")
    recording = read_emotibit(folder)
    assert recording.signals["gsr"].start_offset_s == pytest.approx(0.0, abs=1e-5)
    # The files' times are whole microseconds.
    assert recording.signals["ppg"].start_offset_s == pytest.approx(1.0, abs=1e-5)
    events = [(round(event.onset_s, 3), event.description) for event in recording.events]
    assert events == [(12.5, "film begins")]


def test_a_folder_of_two_recordings_is_refused(tmp_path: Path) -> None:
    parsed_folder(parsed_folder(tmp_path / "parsed"), name="second")
    with pytest.raises(RecordingError, match=r"several recordings of an EmotiBit.*first.*second"):
        read_emotibit(tmp_path / "parsed")


def test_what_holds_no_skin_and_no_pulse_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "1000.0,1,1,T1,1,100,33.1\n")
    with pytest.raises(RecordingError, match=r"no EDA or PPG of an EmotiBit.*got T1"):
        read_emotibit(path)
    with pytest.raises(RecordingError, match=r"cannot be read.*import csv"):
        read_emotibit(write(tmp_path / "b.csv", "time,PPG\n0,1\n"))
