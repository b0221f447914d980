"""CSV of Mind Monitor: what comes out is what the rows say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.desk.test_import_dsi import dsi_file
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict_desk.importers.muse import read_muse

RNG = np.random.default_rng(7)
# What the app writes: every row has all columns; rows of markers have nothing else.
BANDS = ",".join(f"{band}_{place}" for band in ("Delta", "Theta", "Alpha", "Beta", "Gamma")
                 for place in ("TP9", "AF7", "AF8", "TP10"))  # fmt: skip
MUSE_COLUMNS = (
    f"TimeStamp,{BANDS},RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,AUX_RIGHT,Accelerometer_X,HeadBandOn,HSI_TP9,HSI_AF7,HSI_AF8,"
    "HSI_TP10,Battery,Elements"
)


def stamp(seconds: float) -> str:
    return f"2025-07-01 14:{56 + int(seconds // 60):02}:{seconds % 60:06.3f}"


def muse_file(
    path: Path,
    *,
    seconds: int = 8,
    drop: range | tuple[Any, ...] = (),
    blinks: tuple[Any, ...] = (2.0,),
    on: Callable[..., Any] = lambda s: 1,
    contact: Callable[..., Any] = lambda s: 1,
    rate: int = 256,
    packet: int = 12,
) -> np.ndarray:
    """Samples arrive in packets of 12, all stamped when their packet came."""
    values = RNG.normal(830, 20, (seconds * rate, 4)).round(3)
    lines = [f"{stamp(0)}" + "," * 33 + "/muse/event/connected MuseS-84AC"]
    told = list(blinks)
    for n in range(seconds * rate):
        arrived = ((n // packet) * packet + packet) / rate
        if n in drop:
            continue
        while told and told[0] <= arrived:
            lines.append(f"{stamp(told.pop(0))}" + "," * 33 + "/muse/elements/blink")
        raw = ",".join(f"{v:.3f}" for v in values[n])
        seconds_in = n / rate
        lines.append(
            f"{stamp(arrived)}"
            + ",0.5" * 20
            + f",{raw},800.0,0.1,{on(seconds_in)},1.0,{contact(seconds_in)},1.0,1.0,54.1,"
        )
    path.write_text("\n".join([MUSE_COLUMNS, *lines]) + "\n")
    return values


@pytest.mark.parametrize("worn", [0, 1])
def test_packets_that_stand_twice_count_once_even_without_contact(
    tmp_path: Path, worn: int
) -> None:
    values = muse_file(tmp_path / "a.csv", blinks=(), on=lambda s: worn)
    header, connected, *rows = (tmp_path / "a.csv").read_text().splitlines()
    # Each tenth packet of twelve rows; the last one is shorter, and stands once.
    packets = [rows[first : first + 12] for first in range(0, len(rows), 12)]
    twice = [row for i, of in enumerate(packets) for row in of * (2 if i % 10 == 5 else 1)]
    write(tmp_path / "b.csv", "\n".join([header, connected, *twice]) + "\n")
    recording = read_muse(tmp_path / "b.csv")
    eeg = recording.signals["eeg"]
    assert (eeg.sample_count, eeg.sequence) == (len(values), None)
    assert "eeg: 204 samples came twice (by the times)" in recording.attributes["notes"]
    assert np.isnan(eeg.samples[:]).all() == (worn == 0)


def test_muse_raw_columns_become_eeg_and_elements_events(tmp_path: Path) -> None:
    values = muse_file(tmp_path / "a.csv")
    recording = read_muse(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert (eeg.rate_hz, eeg.unit, eeg.channel_names) == (
        256.0,
        "uV",
        ("TP9", "AF7", "AF8", "TP10"),
    )
    # Three decimals, then float32.
    np.testing.assert_allclose(eeg.samples[:], values, rtol=2**-24, atol=0.51e-3)
    assert eeg.sequence is None
    assert recording.start_time == "2025-07-01T14:56:00"
    said = [(e.onset_s, e.description) for e in recording.events]
    assert said == [(0.0, "/muse/event/connected MuseS-84AC"), (2.0, "/muse/elements/blink")]
    assert "Battery" in recording.attributes["left_out"]


def test_muse_samples_lost_in_a_pause_become_a_gap_of_their_length(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv", seconds=20, drop=range(1200, 1800))
    recording = read_muse(tmp_path / "a.csv")
    eeg = recording.signals["eeg"]
    assert "samples lost, by the time stamps" in recording.attributes["notes"]
    steps = np.diff(eeg.sequence)
    (gap,) = np.flatnonzero(steps > 1)
    assert gap == 1199
    # Time stamps tell it to a tenth of a second.
    assert steps[gap] - 1 == pytest.approx(600, abs=26)


def test_muse_rows_of_older_versions_lack_the_last_cell(tmp_path: Path) -> None:
    values = muse_file(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text().replace("54.1,\n", "54.1\n")
    (tmp_path / "a.csv").write_text(text)
    recording = read_muse(tmp_path / "a.csv")
    assert recording.signals["eeg"].sample_count == len(values)
    assert len(recording.events) == 2


def test_muse_off_the_head_or_without_contact_is_missing(tmp_path: Path) -> None:
    muse_file(
        tmp_path / "a.csv", on=lambda s: int(s >= 1), contact=lambda s: 4.0 if s >= 6 else 1.0
    )
    samples = read_muse(tmp_path / "a.csv").signals["eeg"].samples[:]
    missing = np.isnan(samples)
    assert missing[:256].all()
    assert not missing[256 : 6 * 256].any()
    np.testing.assert_array_equal(missing[6 * 256 :].all(axis=0), [False, True, False, False])


def test_muse_recorded_twice_a_second_is_refused_with_the_setting_to_change(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv", seconds=30, rate=2, packet=1, blinks=())
    with pytest.raises(
        RecordingError, match=r"not recorded at the headband's rate.*got 2.*Constant"
    ):
        read_muse(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(256, 256.0), (220, 220.0), (240, 256.0), (236, 220.0), (281, 256.0), (199, 220.0)],
)
def test_muse_rates_are_those_of_the_two_headbands(
    tmp_path: Path, rate: int, expected: float
) -> None:
    muse_file(tmp_path / "a.csv", seconds=20, rate=rate, packet=1, blinks=())
    assert read_muse(tmp_path / "a.csv").signals["eeg"].rate_hz == expected


@pytest.mark.parametrize("rate", [282, 197])
def test_muse_rates_more_than_a_tenth_off_are_refused(tmp_path: Path, rate: int) -> None:
    muse_file(tmp_path / "a.csv", seconds=20, rate=rate, packet=1, blinks=())
    with pytest.raises(RecordingError, match=f"256 rows a second or 220 rows a second, got {rate}"):
        read_muse(tmp_path / "a.csv")


def test_muse_time_that_is_none_is_refused_by_line(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv", seconds=2)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    lines[500] = "soon" + lines[500][lines[500].index(",") :]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match=r"line 501, column TimeStamp: not a time.*got 'soon'"):
        read_muse(tmp_path / "a.csv")


@pytest.mark.parametrize(("back_s", "taken"), [(0.999, True), (1.002, False)])
def test_muse_stamps_may_run_back_by_a_second(tmp_path: Path, back_s: float, taken: bool) -> None:
    rows = [stamp(10 + n / 256) for n in range(5120)]
    rows[300] = stamp(10 + 299 / 256 - back_s)
    path = write(
        tmp_path / "a.csv",
        "TimeStamp,RAW_TP9\n" + "".join(f"{row},{n}\n" for n, row in enumerate(rows)),
    )
    if taken:
        assert read_muse(path).signals["eeg"].sample_count == 5120
    else:
        with pytest.raises(
            RecordingError, match="line 302: the time stands still or goes backwards"
        ):
            read_muse(path)


@pytest.mark.parametrize("light", ["PPG_IR", "PPG2", "PPG_2", "PPG_Infrared"])
def test_muse_infrared_is_the_pulse_where_it_comes_at_its_own_rate(
    tmp_path: Path, light: str
) -> None:
    rows = "".join(f"{stamp(n / 256)},{n % 7},{n if n % 4 == 0 else ''},8\n" for n in range(2560))
    recording = read_muse(
        write(tmp_path / "a.csv", f"TimeStamp,RAW_AF7,{light},PPG_Ambient\n{rows}")
    )
    ppg = recording.signals["ppg"]
    assert (ppg.rate_hz, ppg.unit, ppg.channel_names, ppg.sequence) == (
        64.0,
        "a.u.",
        ("ppg",),
        None,
    )
    np.testing.assert_array_equal(ppg.samples[:, 0], np.arange(0, 2560, 4))
    assert recording.attributes["left_out"] == "PPG_Ambient (not used)"
    # Copied along with every row of EEG it is no pulse.
    rows = "".join(f"{stamp(n / 256)},{n % 7},{n},8\n" for n in range(2560))
    copied = read_muse(write(tmp_path / "b.csv", f"TimeStamp,RAW_AF7,{light},PPG_Ambient\n{rows}"))
    assert copied.modality_names == ("eeg",)
    assert "ppg (not recorded at the sensor's own rate)" in copied.attributes["left_out"]


@pytest.mark.parametrize(
    ("lights", "pulse"),
    [
        ("PPG1,PPG2,PPG3", 20.0),
        ("PPG_Ambient,PPG_IR,PPG_Red", 20.0),
        ("PPG_IR,PPG_Red,PPG_Ambient", 10.0),
        ("PPG1,PPG2", 20.0),
        ("PPG1", None),
        ("PPG_Ambient", None),
    ],
)
def test_muse_light_of_the_room_is_never_the_pulse(
    tmp_path: Path, lights: str, pulse: float | None
) -> None:
    count = lights.count(",") + 1
    cells = [
        ",".join(str(10.0 * (c + 1)) if n % 4 == 0 else "" for c in range(count))
        for n in range(2560)
    ]
    rows = "".join(f"{stamp(n / 256)},{n % 7},{cells[n]}\n" for n in range(2560))
    signals = read_muse(write(tmp_path / "a.csv", f"TimeStamp,RAW_AF7,{lights}\n{rows}")).signals
    assert (float(signals["ppg"].samples[0, 0]) if "ppg" in signals else None) == pulse


def test_muse_contact_is_bad_from_4_on(tmp_path: Path) -> None:
    rows = "".join(
        f"{stamp(n / 256)},{n},{4 if n >= 200 else 3 if n >= 100 else ''}\n" for n in range(300)
    )
    path = write(tmp_path / "a.csv", f"TimeStamp,RAW_AF7,HSI_AF7\n{rows}")
    missing = np.isnan(read_muse(path).signals["eeg"].samples[:, 0])
    np.testing.assert_array_equal(missing, np.arange(300) >= 200)


def test_muse_clock_that_is_set_back_is_refused_by_line(tmp_path: Path) -> None:
    muse_file(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    lines[500] = lines[500].replace("14:56", "14:51")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match=r"line 501: the time stands still or goes backwards"):
        read_muse(tmp_path / "a.csv")


def test_muse_of_the_end_of_summer_time_is_recognised(tmp_path: Path) -> None:
    stamps = [
        f"2025-10-26 02:{59 - 59 * (n >= 256):02}:{59 * (n < 256) + n % 256 / 256:06.3f}"
        for n in range(512)
    ]
    rows = "".join(f"{stamp},{n}\n" for n, stamp in enumerate(stamps))
    path = write(tmp_path / "a.csv", f"TimeStamp,RAW_AF7\n{rows}")
    with pytest.raises(
        RecordingError, match=r"line 258.*It looks like the end of summer time: cut the file there"
    ):
        read_muse(path)


def test_muse_says_what_another_csv_looks_like(tmp_path: Path) -> None:
    dsi_file(tmp_path / "a.csv")
    with pytest.raises(RecordingError, match="looks like a file for `emodict-session import dsi`"):
        read_muse(tmp_path / "a.csv")
