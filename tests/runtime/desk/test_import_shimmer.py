"""CSV of a Shimmer3 GSR+ in the layouts that its programs write."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.shimmer import read_shimmer

UNIX_MS = 1557936053250.0
NAMES = ("Timestamp_Unix", "GSR_Range", "GSR_Skin_Conductance", "GSR_Skin_Resistance", "PPG_A13")
UNITS = ("ms", "no_units", "uS", "kOhms", "mV")
RATE_HZ = 128.0


def conductance_us(n: int) -> float:
    return 2.0 + n / 1000


def row(n: int, sign: str) -> str:
    numbers = (
        UNIX_MS + n * 1000 / RATE_HZ, 2.0, conductance_us(n), 1000 / conductance_us(n), 90 - n % 91,
    )  # fmt: skip
    return sign.join(f"{number:.10g}" if number < 1e6 else f"{number:.4f}" for number in numbers)


def shimmer_file(
    path: Path,
    *,
    samples: Iterable[int] = range(1280),
    sign: str = "\t",
    declared: str = '"sep=\\t"\n',
    layout: str = "joined",
    names: tuple[str, ...] = NAMES,
    units: tuple[str, ...] = UNITS,
) -> Path:
    """`joined` is ConsensysPRO's; `three` has RAW and CAL in a line of their own, `four` the
    device, too.
    """
    calibrated = [f"Shimmer_8B58_{name}_CAL" for name in names]
    device, plain = ["Shimmer_8B58"] * len(names), [f"Shimmer_8B58_{name}" for name in names]
    forms = ["CAL"] * len(names)
    head = {
        "joined": [calibrated, units],
        "three": [plain, forms, units],
        "four": [device, names, forms, units],
    }[layout]
    lines = [declared.removesuffix("\n")] if declared else []
    lines += [sign.join(cells) + sign for cells in head]
    lines += [row(n, sign) + sign for n in samples]
    return write(path, "\n".join(lines) + "\n")


@pytest.mark.parametrize("layout", ["joined", "three", "four"])
@pytest.mark.parametrize(
    ("sign", "declared"), [("\t", '"sep=\\t"\n'), ("\t", "sep=\t\n"), (",", "sep=,\n"), (",", "")]
)
def test_conductance_and_pulse_have_the_units_and_numbers_of_their_columns(
    tmp_path: Path, layout: str, sign: str, declared: str
) -> None:
    path = shimmer_file(tmp_path / "a.csv", layout=layout, sign=sign, declared=declared)
    recording = read_shimmer(path)
    gsr, ppg = recording.signals["gsr"], recording.signals["ppg"]
    assert (gsr.rate_hz, gsr.unit, ppg.rate_hz, ppg.unit) == (RATE_HZ, "uS", RATE_HZ, "a.u.")
    expected = np.float32([conductance_us(n) for n in range(1280)])
    np.testing.assert_allclose(gsr.samples[:, 0], expected, rtol=2**-23)
    np.testing.assert_array_equal(ppg.samples[:, 0], 90 - np.arange(1280) % 91)
    assert gsr.timestamps_s is None
    assert (recording.start_time, recording.device) == (
        "2019-05-15T16:00:53.250000Z",
        "Shimmer 8B58",
    )
    assert kind_of(path) == "shimmer"


def test_a_resistance_alone_becomes_conductance(tmp_path: Path) -> None:
    names = ("Timestamp_Unix", "GSR_Range", "Other", "GSR_Skin_Resistance", "PPG_A13")
    recording = read_shimmer(shimmer_file(tmp_path / "a.csv", names=names))
    expected = [conductance_us(n) for n in range(1280)]
    # Ten digits of the resistance.
    np.testing.assert_allclose(recording.signals["gsr"].samples[:, 0], expected, rtol=1e-6)
    assert "gsr: given in kOhms, turned into uS" in recording.attributes["notes"]


def test_lost_packets_are_gaps_by_the_devices_times(tmp_path: Path) -> None:
    kept = np.r_[0:500, 600:1280]
    recording = read_shimmer(shimmer_file(tmp_path / "a.csv", samples=kept.tolist()))
    np.testing.assert_allclose(recording.signals["gsr"].timestamps_s, kept / RATE_HZ, atol=1e-6)
    assert recording.signals["gsr"].rate_hz == RATE_HZ
    assert "gsr: 100 samples lost, by the times" in recording.attributes["notes"]


def test_times_that_are_written_out_are_local(tmp_path: Path) -> None:
    names = ("Timestamp_FormattedUnix", *NAMES[1:])
    path = shimmer_file(
        tmp_path / "a.csv", names=names, units=("yyyy/mm/dd hh:mm:ss.000", *UNITS[1:])
    )
    lines = path.read_text().splitlines()
    start = datetime.datetime(2019, 5, 15, 16, 0, 53, 250000)
    for n in range(1280):
        moment = start + datetime.timedelta(seconds=n / RATE_HZ)
        written = moment.strftime("%Y/%m/%d %H:%M:%S.%f")[:-3]
        lines[3 + n] = f"{written}\t{lines[3 + n].partition(chr(9))[2]}"
    recording = read_shimmer(write(path, "\n".join(lines) + "\n"))
    assert recording.start_time == "2019-05-15T16:00:53.250000"
    assert recording.signals["gsr"].rate_hz == RATE_HZ
    assert recording.signals["gsr"].timestamps_s is None


def test_the_devices_own_unix_time_is_taken_of_several_clocks(tmp_path: Path) -> None:
    names = ("System_Timestamp", "GSR_Range", "GSR_Skin_Conductance", "Timestamp_Unix", "PPG_A13")
    path = shimmer_file(tmp_path / "a.csv", names=names, units=("ms", "", "uS", "ms", "mV"))
    lines = path.read_text().splitlines()
    for n in range(1280):
        cells = lines[3 + n].split("\t")
        # The computer's time comes in bursts of ten packets.
        late = f"{UNIX_MS + 500 + n // 10 * 10 * 1000 / RATE_HZ:.4f}"
        lines[3 + n] = "\t".join([late, *cells[1:3], cells[0], *cells[4:]])
    recording = read_shimmer(write(path, "\n".join(lines) + "\n"))
    assert recording.start_time == "2019-05-15T16:00:53.250000Z"
    assert recording.signals["gsr"].timestamps_s is None
    assert "System_Timestamp_CAL (not used)" in recording.attributes["left_out"]


def clock_file(path: Path, clocks: dict[str, tuple[str, list[float]]]) -> Path:
    """A table of these clocks (name -> unit and times), and 2 uS throughout."""
    names = [*clocks, "GSR_Skin_Conductance_CAL"]
    lines = ['"sep=\\t"', "\t".join(f"S_1_{name}" for name in names) + "\t"]
    lines += ["\t".join([*(unit for unit, _ in clocks.values()), "uS"]) + "\t"]
    columns = [times for _, times in clocks.values()]
    lines += ["\t".join([*map(repr, row), "2.0"]) + "\t" for row in zip(*columns, strict=True)]
    return write(path, "\n".join(lines) + "\n")


def seconds(count: int = 1280) -> list[float]:
    return [n / RATE_HZ for n in range(count)]


@pytest.mark.parametrize(
    ("unit", "in_a_second"), [("s", 1), ("ms", 1e3), ("mSecs", 1e3), ("u_secs", 1e6)]
)
def test_the_unit_of_a_clock_is_that_of_its_line_of_units(
    tmp_path: Path, unit: str, in_a_second: float
) -> None:
    times = [(1557936053.25 + at_s) * in_a_second for at_s in seconds()]
    recording = read_shimmer(clock_file(tmp_path / "a.csv", {"Timestamp_Unix_CAL": (unit, times)}))
    assert recording.start_time == "2019-05-15T16:00:53.250000Z"
    gsr = recording.signals["gsr"]
    assert (gsr.rate_hz, gsr.sample_count, gsr.timestamps_s) == (RATE_HZ, 1280, None)
    with pytest.raises(RecordingError, match=r"Timestamp_Unix_CAL has an unknown unit.*'weeks'"):
        read_shimmer(clock_file(tmp_path / "b.csv", {"Timestamp_Unix_CAL": ("weeks", times)}))


@pytest.mark.parametrize(("turn", "count"), [(1 << 16, 1280), (1 << 24, 1 << 17)])
def test_a_raw_clock_counts_the_crystal_and_turns_and_a_calibrated_one_goes_before_it(
    tmp_path: Path, turn: int, count: int
) -> None:
    ticks = [at_s * 32768 % turn for at_s in seconds(count)]
    raw = {"Timestamp_RAW": ("no_units", ticks)}
    gsr = read_shimmer(clock_file(tmp_path / "a.csv", raw)).signals["gsr"]
    assert (gsr.rate_hz, gsr.sample_count, gsr.timestamps_s) == (RATE_HZ, count, None)
    both = {**raw, "Timestamp_CAL": ("ms", [at_s * 2000 for at_s in seconds(count)])}
    gsr = read_shimmer(clock_file(tmp_path / "b.csv", both)).signals["gsr"]
    # Made up to run half as fast, so that it can be told which was read.
    assert (gsr.rate_hz, gsr.timestamps_s) == (RATE_HZ / 2, None)


def test_a_clock_that_was_not_calibrated_and_counts_no_ticks_is_refused(tmp_path: Path) -> None:
    clocks = {"System_Timestamp_RAW": ("no_units", seconds())}
    with pytest.raises(RecordingError, match=r"holds no calibrated clock.*System_Timestamp_RAW"):
        read_shimmer(clock_file(tmp_path / "a.csv", clocks))


def test_a_table_of_which_some_names_end_so_is_not_of_a_shimmer(tmp_path: Path) -> None:
    rows = "".join(f"{n},1,2\n" for n in range(40))
    path = write(tmp_path / "a.csv", f"timestamp_CAL,PPG_CAL,mood\nms,mV,none\n{rows}")
    assert kind_of(path) != "shimmer"
    with pytest.raises(RecordingError, match="cannot be read"):
        read_shimmer(path)


def test_raw_counts_and_what_is_made_of_a_pulse_are_not_signals(tmp_path: Path) -> None:
    names = ("Timestamp_Unix", "GSR_Range", "PPGtoHR", "IBI_PPG", "Heart_Rate_PPG")
    path = shimmer_file(tmp_path / "a.csv", names=names)
    with pytest.raises(RecordingError, match=r"no calibrated GSR or PPG.*PPGtoHR_CAL"):
        read_shimmer(path)
    path.write_text(path.read_text().replace("PPGtoHR_CAL", "PPG_A13_RAW"))
    with pytest.raises(RecordingError, match=r"no calibrated GSR or PPG"):
        read_shimmer(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines[:5], "x" + lines[5], *lines[6:]], "line 6, column .*not a number"),
        (lambda lines: [*lines[:5], "\t1\t2\t3\t4\t", *lines[6:]], "line 6: no time"),
        (lambda lines: [*lines[:3], lines[9], *lines[3:8]], "its times run back"),
        (lambda lines: lines[:3], "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_line(
    tmp_path: Path, change: object, said: str
) -> None:
    path = shimmer_file(tmp_path / "a.csv", samples=range(40))
    lines = change(path.read_text().splitlines())  # type: ignore[operator]
    with pytest.raises(RecordingError, match=said):
        read_shimmer(write(path, "\n".join(lines) + "\n"))
