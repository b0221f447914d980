"""Files of Polar Sensor Logger: the pulse on the sensor's clock, intervals as events."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.polar import read_polar

START = datetime.datetime(2024, 5, 1, 9, 30, 5, 250000)
# Nanoseconds of the sensor's clock, since 2000.
SENSOR_NS = 767_871_005_250_000_000
PPG_HEADER = "Phone timestamp;sensor timestamp [ns];channel 0;channel 1;channel 2;ambient"
PPI_HEADER = "Phone timestamp;PP-interval [ms];error estimate [ms];blocker;contact;contact;hr [bpm]"


def light(n: int) -> int:
    return 301000 - n * 37 % 1000


def polar_file(
    path: Path, *, samples: Iterable[int] = range(1100), rate_hz: float = 55.0, end: str = ""
) -> Path:
    """Rows as the logger writes them: 36 at once, each with the sensor's own time."""
    rows = []
    for n in samples:
        phone = START + datetime.timedelta(seconds=n // 36 * 36 / rate_hz)
        sensor = SENSOR_NS + round(n / rate_hz * 1e9)
        lights = f"{light(n)};{light(n) + 5};{light(n) - 7};120"
        rows.append(f"{phone.isoformat(timespec='milliseconds')};{sensor};{lights}{end}\n")
    return write(path, f"{PPG_HEADER}{end}\n" + "".join(rows))


@pytest.mark.parametrize("end", ["", ";"])
def test_the_first_light_is_the_pulse_at_the_sensors_rate(tmp_path: Path, end: str) -> None:
    path = polar_file(tmp_path / "Polar_Sense_1_PPG.txt", end=end)
    recording = read_polar(path)
    ppg = recording.signals["ppg"]
    np.testing.assert_array_equal(ppg.samples[:, 0], [light(n) for n in range(1100)])
    assert (ppg.rate_hz, ppg.unit, ppg.channel_names) == (55.0, "a.u.", ("ppg",))
    assert ppg.timestamps_s is None
    assert recording.start_time == "2024-05-01T09:30:05.250000"
    left_out = recording.attributes["left_out"]
    assert all(f"column {n} (not used)" in left_out for n in ("channel 1", "channel 2", "ambient"))
    assert kind_of(path) == kind_of(tmp_path) == "polar"


def test_lost_samples_are_gaps_by_the_sensors_clock(tmp_path: Path) -> None:
    kept = np.r_[0:500, 610:1100]
    path = polar_file(tmp_path / "a_PPG.txt", samples=kept.tolist())
    ppg = read_polar(path).signals["ppg"]
    # Nanoseconds since 2000 as floats are right to 100 ns.
    np.testing.assert_allclose(ppg.timestamps_s, kept / 55, atol=1e-6)
    assert ppg.rate_hz == 55.0


@pytest.mark.parametrize("rate_hz", [28.0, 44.0, 130.0, 135.0, 176.0, 52.0])
def test_a_rate_is_the_one_that_the_device_was_set_to_or_as_measured(
    tmp_path: Path, rate_hz: float
) -> None:
    # A crystal that is 1 in 1000 fast; 52 Hz is none of those that Polar's devices offer.
    path = polar_file(tmp_path / "a_PPG.txt", samples=range(2000), rate_hz=rate_hz * 1.001)
    recording = read_polar(path)
    ppg = recording.signals["ppg"]
    assert ppg.rate_hz == pytest.approx(rate_hz if rate_hz != 52.0 else 52.052, rel=1e-6)
    assert "not the usual" not in recording.attributes["notes"]


def test_intervals_between_beats_are_events_unless_blocked_by_movement(tmp_path: Path) -> None:
    polar_file(tmp_path / "a_PPG.txt")
    rows = (
        "2024-05-01T09:30:06.250;812;4;0;1;1;74\n"
        "2024-05-01T09:30:07.050;400;30;1;1;1;0\n"
        "2024-05-01T09:30:07.900;805;4;0;1;1;74\n"
    )
    write(tmp_path / "a_PPI.txt", f"{PPI_HEADER}\n{rows}")
    for source in (tmp_path, tmp_path / "a_PPG.txt"):
        recording = read_polar(source)
        assert [(e.onset_s, e.code) for e in recording.events] == [(1.0, 812), (2.65, 805)]
        assert "1 of the intervals between beats" in recording.attributes["left_out"]


def test_intervals_alone_are_not_a_pulse(tmp_path: Path) -> None:
    path = write(tmp_path / "a_PPI.txt", f"{PPI_HEADER}\n2024-05-01T09:30:06;812;4;0;1;1;74\n")
    assert kind_of(path) == "polar"
    with pytest.raises(RecordingError, match="intervals between heart beats, and no pulse"):
        read_polar(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{PPG_HEADER}\n", "holds no samples"),
        (f"{PPG_HEADER}\nyesterday;1;2;3;4;5\n", "line 2, column Phone timestamp: not a time"),
        (f"{PPG_HEADER}\n2024-05-01T09:30:05;x;2;3;4;5\n", "line 2, column sensor timestamp"),
        ("time,PPG\n0,1\n", "cannot be read.*import csv"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        read_polar(write(tmp_path / "a_PPG.txt", text))


def test_a_folder_of_two_recordings_is_refused_with_both(tmp_path: Path) -> None:
    for name in ("a_PPG.txt", "b_PPG.txt"):
        polar_file(tmp_path / name, samples=range(99))
    with pytest.raises(RecordingError, match=r"several recordings.*a_PPG\.txt, b_PPG\.txt"):
        read_polar(tmp_path)
