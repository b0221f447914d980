"""The OpenBCI GUI's text files, of the layouts that its versions write:
what comes out is what the rows say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.openbci import read_openbci

RNG = np.random.default_rng(9)
UNIX_S = 1557936053.0
OTHERS = "Accel Channel 0, Accel Channel 1, Accel Channel 2, Not Used, Digital Channel 0 (D11)"
OLD = (
    "%First Column = SampleIndex\n%Last Column = Timestamp \n%Other Columns = EEG data "
    "in microvolts\n"
)


def clock(n: int, rate: float) -> str:
    seconds = 50.5 + n / rate
    return f"{(12 + int(seconds // 3600)) % 24}:{int(seconds // 60) % 60:02}:{seconds % 60:06.3f}"


def of_version_6(n: int, values: str, rate: float) -> str:
    mark = 2 if n == 40 else 0
    return (
        f"{values}, 0.040, 0.420, 0.238,0,0, "
        f"{UNIX_S * 1000 + n // 8 * 8000 / rate:.0f},{mark}, {clock(n, rate)}"
    )


def of_version_3(n: int, values: str, rate: float) -> str:
    return f"{values}, 0.070, 0.378, -0.922, {clock(n, rate)}"


def of_version_1(n: int, values: str, rate: float) -> str:
    return f"{of_version_3(n, values, rate)}, {UNIX_S * 1000 + n * 1000 / rate:.0f}"


def header(version: int, channels: int, rate: float) -> str:
    count = "%\n" if version == 3 else f"%Number of channels = {channels}\n"
    start = f"%OpenBCI Raw E{'X' if version > 5 else 'E'}G Data\n{count}%Sample Rate = {rate} Hz\n"
    if version < 5:
        return start + OLD
    names = ", ".join(f"EXG Channel {i}" for i in range(channels))
    board = "%Board = OpenBCI_GUI$BoardCytonSerial\n"
    columns = f"Sample Index, {names}, {OTHERS}, Timestamp, Marker Channel, Timestamp (Formatted)\n"
    return start + board + (columns if version > 5 else "0.0," * (channels + 8) + "0.0\n")


ROW: dict[int, Callable[[int, str, float], str]] = {
    1: of_version_1,
    3: of_version_3,
    5: of_version_6,
    6: of_version_6,
}


def openbci_file(
    path: Path,
    version: int = 6,
    *,
    channels: int = 8,
    rate: float = 250,
    samples: Iterable[int] = range(1000),
    index: Callable[[int], int] = lambda n: n % 256,
) -> np.ndarray:
    """The rows of these samples, in this order; what they hold is (all samples, channels)."""
    numbers = list(samples)
    values = RNG.normal(0, 30, (max(numbers) + 1, channels)).round(2)
    rows = (
        ROW[version](n, f"{index(n)}, " + ", ".join(f"{value:.2f}" for value in values[n]), rate)
        for n in numbers
    )
    write(path, header(version, channels, rate) + "".join(f"{row}\n" for row in rows))
    return values


@pytest.mark.parametrize("version", ROW)
@pytest.mark.parametrize("channels", [8, 16])
def test_channels_rate_and_start_are_those_of_every_version(
    tmp_path: Path, version: int, channels: int
) -> None:
    values = openbci_file(tmp_path / "a.txt", version, channels=channels)
    recording = read_openbci(tmp_path / "a.txt")
    eeg = recording.signals["eeg"]
    np.testing.assert_array_equal(eeg.samples[:], values.astype(np.float32))
    assert (eeg.rate_hz, eeg.unit, eeg.sequence) == (250.0, "uV", None)
    assert eeg.channel_names == tuple(f"ch{i + 1}" for i in range(channels))
    assert recording.start_time == ("" if version == 3 else "2019-05-15T16:00:53Z")
    assert "EEG channels are numbered (--channels names them)" in recording.attributes["notes"]


def test_markers_are_events_and_a_row_of_zeros_is_left_out(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt", 6)
    assert [(e.onset_s, e.code) for e in read_openbci(tmp_path / "a.txt").events] == [(40 / 250, 2)]
    openbci_file(tmp_path / "b.txt", 5)
    assert read_openbci(tmp_path / "b.txt").attributes["left_out"] == "line 5 (no time)"


@pytest.mark.parametrize("version", [1, 3, 6])
@pytest.mark.parametrize("lost", [30, 700])
def test_lost_samples_are_found_by_the_index_and_the_time(
    tmp_path: Path, version: int, lost: int
) -> None:
    taken = [n for n in range(3000) if not 1000 <= n < 1000 + lost]
    openbci_file(tmp_path / "a.txt", version, samples=taken)
    recording = read_openbci(tmp_path / "a.txt")
    np.testing.assert_array_equal(recording.signals["eeg"].sequence, taken)
    assert f"{lost} samples lost, by the sample index" in recording.attributes["notes"]


def test_rows_that_stand_twice_count_once(tmp_path: Path) -> None:
    values = openbci_file(tmp_path / "a.txt", 1, samples=[*range(500), *range(400, 1000)])
    recording = read_openbci(tmp_path / "a.txt")
    np.testing.assert_array_equal(recording.signals["eeg"].samples[:], values.astype(np.float32))
    assert "100 samples came twice" in recording.attributes["notes"]


def test_a_daisy_whose_index_counts_by_two_loses_nothing(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt", channels=16, rate=125, index=lambda n: 2 * n % 256)
    eeg = read_openbci(tmp_path / "a.txt").signals["eeg"]
    assert (eeg.rate_hz, eeg.sample_count, eeg.sequence) == (125.0, 1000, None)


def test_a_daisy_whose_index_counts_each_twice_is_placed_by_its_times(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt", channels=16, rate=125, index=lambda n: n // 2 % 256)
    recording = read_openbci(tmp_path / "a.txt")
    assert recording.signals["eeg"].sequence is None
    assert (
        "the sample index does not count samples: it is not used" in recording.attributes["notes"]
    )


def test_times_of_day_go_on_through_midnight(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt", 3)
    text = (tmp_path / "a.txt").read_text()
    new = ("23:59:58", "23:59:59", "0:00:00", "0:00:01", "0:00:02")
    for day, midnight in zip(("50", "51", "52", "53", "54"), new, strict=True):
        assert f" 12:00:{day}" in text
        text = text.replace(f" 12:00:{day}", f" {midnight}")
    recording = read_openbci(write(tmp_path / "b.txt", text))
    assert recording.signals["eeg"].sequence is None
    assert "late" not in recording.attributes["notes"]


def test_a_row_of_before_midnight_that_comes_just_behind_it_is_put_back(tmp_path: Path) -> None:
    # 12:00:50.5 and 375 samples are 12:00:52.
    order = [*range(374), 375, 374, *range(376, 1000)]
    values = openbci_file(tmp_path / "a.txt", 3, samples=order)
    text = (tmp_path / "a.txt").read_text()
    for second, midnight in (
        (50, "23:59:58"),
        (51, "23:59:59"),
        (52, "0:00:00"),
        (53, "0:00:01"),
        (54, "0:00:02"),
    ):
        text = text.replace(f" 12:00:{second}", f" {midnight}")
    eeg = read_openbci(write(tmp_path / "b.txt", text)).signals["eeg"]
    np.testing.assert_array_equal(eeg.samples[:], values.astype(np.float32))
    assert eeg.sequence is None


def test_a_ganglion_whose_packets_have_two_samples_is_placed_by_its_times(tmp_path: Path) -> None:
    kept = [n for n in range(2000) if not 800 <= n < 1000]
    values = openbci_file(
        tmp_path / "a.txt", channels=4, rate=200, samples=kept, index=lambda n: n // 2 % 101
    )
    eeg = read_openbci(tmp_path / "a.txt").signals["eeg"]
    np.testing.assert_array_equal(eeg.samples[:], values[kept].astype(np.float32))
    assert (eeg.rate_hz, len(eeg.channel_names)) == (200.0, 4)
    assert eeg.sequence is not None
    # Times of arrival tell how many were lost, to a packet of eight rows.
    assert abs(int(eeg.sequence[-1]) + 1 - 2000) <= 8


def test_an_index_that_turns_at_127_loses_nothing(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt", 6, index=lambda n: n % 128)
    recording = read_openbci(tmp_path / "a.txt")
    assert recording.signals["eeg"].sequence is None
    assert "not used" not in recording.attributes["notes"]


def test_what_hangs_on_a_pin_is_taken_when_it_is_said(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt", 1)
    lines = (tmp_path / "a.txt").read_text().splitlines()
    # Acceleration's three columns are the pins A5 to A7 in the analogue mode: 0.070, 0.378, -0.922.
    recording = read_openbci(tmp_path / "a.txt", sensor=["A5=BVP,A6=EDA:10"])
    ppg, gsr = recording.signals["ppg"], recording.signals["gsr"]
    assert len(lines) == 6 + 1000
    np.testing.assert_array_equal(ppg.samples[:], np.full((1000, 1), np.float32(0.070)))
    np.testing.assert_allclose(gsr.samples[:], np.full((1000, 1), 3.78), rtol=2**-22)
    assert (ppg.rate_hz, ppg.unit, gsr.unit) == (250.0, "a.u.", "uS")
    notes = read_openbci(tmp_path / "a.txt", sensor=["A6=EDA"]).attributes["notes"]
    assert "gsr: the numbers of A6 are taken for uS as they are" in notes


def test_a_pin_of_version_6_is_its_analogue_channel_or_a_name_of_the_header(tmp_path: Path) -> None:
    head = header(6, 8, 250).rpartition("%")[0] + (
        "%Board = OpenBCI_GUI$BoardCytonSerial\nSample Index, "
        + ", ".join(f"EXG Channel {i}" for i in range(8))
        + ", Accel Channel 0, Accel Channel 1, Accel Channel 2, Not Used, Digital Channel 0 (D11), "
        "Digital Channel 1 (D12), Digital Channel 2 (D13), Digital Channel 3 (D17), Not Used, "
        "Digital Channel 4 (D18), Analog Channel 0, Analog Channel 1, Analog Channel 2, "
        "Timestamp, Marker Channel, Timestamp (Formatted)\n"
    )
    rows = "".join(
        f"{n % 256}{', 1.0' * 8}{', 0' * 10}, {n}, {2 * n}, {3 * n}, "
        f"{UNIX_S * 1000 + 4 * n:.0f}, 0, {clock(n, 250)}\n"
        for n in range(500)
    )
    path = write(tmp_path / "a.txt", head + rows)
    for pin, times in (("A5", 1), ("A7", 3), ("Analog Channel 1", 2)):
        ppg = read_openbci(path, sensor=[f"{pin}=BVP"]).signals["ppg"]
        np.testing.assert_array_equal(ppg.samples[:, 0], times * np.arange(500))


def test_a_header_without_analogue_channels_has_no_pins(tmp_path: Path) -> None:
    # A Ganglion: Accel Channel 0 stands where a Cyton in the analogue mode has A5.
    openbci_file(tmp_path / "a.txt", 6, channels=4, rate=200)
    with pytest.raises(RecordingError, match=r"A5=\.\.\..*no such pin.*Accel Channel 0") as refused:
        read_openbci(tmp_path / "a.txt", sensor=["A5=EDA"])
    assert "A5, A6, A7" not in str(refused.value)


@pytest.mark.parametrize(
    ("sensor", "said"),
    [
        ("A9=BVP", r"--sensor A9=\.\.\..*has no such pin.*A5, A6, A7"),
        ("A5=ECG", "--sensor A5=ECG names no sensor"),
        ("A5=EDA:x", "--sensor A5=EDA:x names no sensor"),
        ("A5=EDA,A6=GSR", "--sensor A6=GSR names no sensor"),
    ],
)
def test_a_pin_or_sensor_that_is_not_there_is_refused(
    tmp_path: Path, sensor: str, said: str
) -> None:
    openbci_file(tmp_path / "a.txt", 3)
    with pytest.raises(RecordingError, match=said):
        read_openbci(tmp_path / "a.txt", sensor=[sensor])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%OpenBCI Raw EXG Data\n0, 1, 2, 3\n", "names no sampling rate.*%Sample Rate = 250 Hz"),
        (
            "%OpenBCI Raw EXG Data\n%Sample Rate = 0 Hz\n0, 1, 2, 3\n",
            "names no sampling rate.*got 0 Hz",
        ),
        (
            f"%OpenBCI Raw EXG Data\n%Sample Rate = {'9' * 400} Hz\n0, 1, 2, 3\n",
            r"names no sampling rate.*got 9{40}\.",
        ),
        (
            "%OpenBCI Raw EXG Data\n%Sample Rate = 1e999 Hz\n0, 1, 2, 3\n",
            "names no sampling rate.*got 1e999 Hz",
        ),
        (
            "%OpenBCI Raw EXG Data\n%Sample Rate = 250 Hz\n0, 1, 2\n",
            "its rows do not hold its channels",
        ),
        ("%OpenBCI Raw EXG Data\n%Sample Rate = 250 Hz\n", "its rows do not hold its channels"),
        (
            "%OpenBCI\n%Sample Rate = 250 Hz\n%Number of channels = 8\n0, 1, 2, 3, 4, 5\n",
            "do not hold its channels",
        ),
        ("time,PPG\n0,1\n", "cannot be read.*import csv"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        read_openbci(write(tmp_path / "a.txt", text))


def test_a_byte_order_mark_hides_nothing(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt")
    path = tmp_path / "b.txt"
    path.write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.txt").read_bytes())
    assert kind_of(path) == "openbci"
    assert read_openbci(path).signals["eeg"].sample_count == 1000


def test_a_marker_too_large_for_a_code_is_refused_by_its_line(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt")
    text = (tmp_path / "a.txt").read_text()
    assert text.count(",2, ") == 1
    with pytest.raises(RecordingError, match=r"line 46: the marker is too large.*'1e300'"):
        read_openbci(write(tmp_path / "a.txt", text.replace(",2, ", ",1e300, ")))


def test_a_bad_cell_is_named_by_its_line(tmp_path: Path) -> None:
    openbci_file(tmp_path / "a.txt")
    lines = (tmp_path / "a.txt").read_text().splitlines()
    lines[41] = lines[41].replace(lines[41].split(",")[2], " oops")
    with pytest.raises(
        RecordingError, match=r"line 42, column EXG Channel 1: not a number.*'oops'"
    ):
        read_openbci(write(tmp_path / "a.txt", "\n".join(lines) + "\n"))


def test_the_real_recording_of_a_cyton_has_what_its_rows_say(shared_data: Path) -> None:
    path = shared_data / "openbci_gui" / "OpenBCI-RAW-v6.txt"
    recording = read_openbci(path)
    eeg = recording.signals["eeg"]
    rows = [line.split(",") for line in path.read_text().splitlines() if line[0].isdigit()]
    expected = np.array([[float(cell) for cell in row[1:9]] for row in rows], dtype=np.float32)
    np.testing.assert_array_equal(eeg.samples[:], expected)
    assert (eeg.rate_hz, eeg.sequence, recording.start_time) == (
        250.0,
        None,
        "2019-05-15T16:00:53.329000Z",
    )


@pytest.mark.parametrize(
    ("version", "start"),
    [
        ("v1", "2019-05-15T16:00:53.329000Z"),
        ("v3_2018", ""),
        ("v5", "2019-05-15T16:00:53.329000Z"),
        ("v6", "2019-05-15T16:00:53.329000Z"),
    ],
)
def test_the_real_file_of_each_version_has_what_its_rows_say(
    shared_cases: Path, version: str, start: str
) -> None:
    path = shared_cases / "02_openbci_gui_txt" / f"openbci_gui_{version}.txt"
    recording = read_openbci(path)
    eeg = recording.signals["eeg"]
    rows = [line.split(",") for line in path.read_text().splitlines() if line[0].isdigit()]
    rows = [row for row in rows if row[0] != "0.0"]  # version 5 begins with a row of zeros
    np.testing.assert_array_equal(eeg.samples[:], np.float32([row[1:9] for row in rows]))
    assert (eeg.rate_hz, eeg.unit, eeg.sequence) == (250.0, "uV", None)
    assert recording.start_time == start
