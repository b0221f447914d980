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
    path = shimmer_file(tmp_path / "a.csv", names=names)
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
