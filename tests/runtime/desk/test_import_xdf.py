"""XDF by a writer of our own after the specification of the format:
chunks of length, tag and content.
"""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyxdf

from emodict.errors import InputError, MissingDependencyError, RecordingError
from emodict.recording.recording import Recording, Signal
from emodict.recording.session import open_session, write_session
from emodict_desk.importers.xdf import read_xdf
from emodict_desk.importers.xdf_chunks import check_chunks
from emodict_desk.recordings.validate import validate_session

FORMATS = {
    "float32": "<f4",
    "double64": "<f8",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
}


def chunk(tag: int, content: bytes) -> bytes:
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def text_sample(text: str) -> bytes:
    raw = text.encode()
    return b"\x04" + struct.pack("<I", len(raw)) + raw


class XdfWriter:
    def __init__(self, datetime: str = "") -> None:
        when = f"<datetime>{datetime}</datetime>" if datetime else ""
        self.content = b"XDF:" + chunk(
            1, f"<?xml version='1.0'?><info><version>1.0</version>{when}</info>".encode()
        )

    def stream(
        self,
        number: int,
        name: str,
        kind: str,
        *,
        rate: float = 0.0,
        channels: list[tuple[str, ...]] | tuple[Any, ...] = (),
        count: int | None = None,
        form: str = "float32",
    ) -> XdfWriter:
        described = "".join(
            f"<channel><label>{label}</label><unit>{unit}</unit><type>{type_}</type></channel>"
            for label, unit, type_ in channels
        )
        xml = (
            f"<?xml version='1.0'?><info><name>{name}</name><type>{kind}</type>"
            f"<channel_count>{count or len(channels) or 1}</channel_count>"
            f"<nominal_srate>{rate}</nominal_srate>"
            f"<channel_format>{form}</channel_format><source_id>x{number}</source_id><hostname>lab</hostname>"
            f"<uid>u{number}</uid><created_at>0</created_at><session_id>s</session_id>"
            f"<desc><channels>{described}</channels></desc></info>"
        )
        self.content += chunk(2, struct.pack("<I", number) + xml.encode())
        return self

    def samples(
        self,
        number: int,
        times_s: list[float] | np.ndarray,
        values: list[str] | np.ndarray,
        *,
        form: str = "float32",
    ) -> XdfWriter:
        body = struct.pack("<I", number) + b"\x04" + struct.pack("<I", len(times_s))
        for at, value in zip(times_s, values, strict=True):
            body += b"\x08" + struct.pack("<d", at)
            body += (
                text_sample(value)
                if form == "string"
                else np.asarray(value, dtype=FORMATS[form]).tobytes()
            )
        self.content += chunk(3, body)
        return self

    def clock_offset(self, number: int, at_s: float, offset_s: float) -> XdfWriter:
        self.content += chunk(4, struct.pack("<Idd", number, at_s, offset_s))
        return self

    def footer(self, number: int) -> XdfWriter:
        xml = "<?xml version='1.0'?><info><first_timestamp>0</first_timestamp></info>"
        self.content += chunk(6, struct.pack("<I", number) + xml.encode())
        return self

    def write(self, path: Path) -> Path:
        path.write_bytes(self.content)
        return path


EEG = (("EEG Cz-Pz", "microvolts", "EEG"), ("Fp1", "microvolts", "EEG"), ("TRIG", "", "Trigger"))


def eeg_and_wrist(**more: Any) -> tuple[XdfWriter, np.ndarray, np.ndarray]:
    """10 s: EEG at 100 Hz from 1000 s,
    GSR at 4 Hz from 1000.5 s on a clock that is 20 s ahead, two markers.
    """
    values = np.random.default_rng(1).normal(0, 30, (1000, 3))
    gsr = np.linspace(1, 2, 38)[:, None]
    xdf = XdfWriter(**more)
    xdf.stream(1, "Cap", "EEG", rate=100, channels=EEG).stream(
        2, "Wrist", "GSR", rate=4, channels=[("", "uS", "")]
    )
    xdf.stream(3, "Tasks", "Markers", form="string")
    xdf.samples(1, 1000 + np.arange(1000) / 100, values)
    xdf.samples(2, 1020.5 + np.arange(38) / 4, gsr)
    for at in (1020.0, 1025.0, 1030.0):
        xdf.clock_offset(2, at, -20.0)
    return xdf.samples(3, [1002.0, 1004.25], ["begin", "7"], form="string"), values, gsr


def test_streams_become_modalities_on_one_clock(tmp_path: Path) -> None:
    xdf, values, gsr = eeg_and_wrist(datetime="2025-01-31T00:21:17+0000")
    recording = read_xdf(xdf.write(tmp_path / "a.xdf"))
    eeg, wrist = recording.signals["eeg"], recording.signals["gsr"]
    assert (eeg.channel_names, eeg.unit, eeg.rate_hz, eeg.reference) == (
        ("Cz", "Fp1"),
        "uV",
        100.0,
        "Pz",
    )
    assert eeg.start_s == 0.0
    np.testing.assert_array_equal(eeg.samples[:], values[:, :2].astype(np.float32))
    # 1020.5 s on a clock 20 s ahead is 1000.5 s.
    assert wrist.start_s == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_array_equal(wrist.samples[:], gsr.astype(np.float32))
    assert [(e.code, e.description) for e in recording.events] == [(0, "begin"), (7, "7")]
    np.testing.assert_allclose([e.onset_s for e in recording.events], [2.0, 4.25], atol=1e-9)
    assert recording.start_time == "2025-01-31T00:21:17Z"
    assert "start_time is when the file was opened" in recording.attributes["notes"]
    assert recording.attributes["left_out"] == "channel TRIG of Cap (Trigger)"


def test_volts_of_the_header_stay_volts_and_are_known_to_be(tmp_path: Path) -> None:
    xdf = XdfWriter().stream(1, "Cap", "EEG", rate=100, channels=[("Cz", "volts", "EEG")])
    xdf.samples(1, np.arange(200) / 100, np.full((200, 1), 2e-5))
    assert read_xdf(xdf.write(tmp_path / "a.xdf")).signals["eeg"].unit == "V"


def test_an_unknown_unit_is_refused_by_the_streams_name(tmp_path: Path) -> None:
    xdf = XdfWriter().stream(1, "Cap", "EEG", rate=100, channels=[("Cz", "counts", "EEG")])
    xdf.samples(1, np.arange(200) / 100, np.ones((200, 1)))
    with pytest.raises(RecordingError, match=r"stream Cap: the unit cannot be used.*got 'counts'"):
        read_xdf(xdf.write(tmp_path / "a.xdf"))


def test_an_irregular_stream_keeps_its_time_stamps(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(3).uniform(0.008, 0.012, 500))
    xdf = XdfWriter().stream(1, "Finger", "PPG", rate=0, channels=[("IR", "", "")])
    xdf.samples(1, times, np.sin(times)[:, None])
    ppg = read_xdf(xdf.write(tmp_path / "a.xdf")).signals["ppg"]
    np.testing.assert_allclose(ppg.timestamps_s, times - times[0], atol=1e-9)
    assert ppg.rate_hz == pytest.approx(1 / np.diff(times).mean(), rel=0.01)
    assert (ppg.channel_names, ppg.unit) == (("ppg",), "a.u.")


def test_several_eeg_streams_are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    xdf = XdfWriter()
    for number, name in ((1, "Cap"), (2, "Band")):
        xdf.stream(number, name, "EEG", rate=100, channels=[("Cz", "uV", "EEG")])
        xdf.samples(number, np.arange(200) / 100, np.full((200, 1), number))
    path = xdf.write(tmp_path / "a.xdf")
    with pytest.raises(
        RecordingError, match=r"2 streams of eeg.*Cap .*number 1.*; Band .*number 2.*--stream 'Cap'"
    ):
        read_xdf(path)
    for wanted in ("Band", "2", "eeg=Band", "Band@lab"):
        recording = read_xdf(path, stream=[wanted])
        assert recording.signals["eeg"].samples[0, 0] == 2
        assert "stream Cap" in recording.attributes["left_out"]
    with pytest.raises(RecordingError, match=r"--stream 'Cup' names no stream.*Cap .*Band"):
        read_xdf(path, stream=["Cup"])


def test_a_stream_of_another_type_is_taken_when_told_what_it_is(tmp_path: Path) -> None:
    xdf = XdfWriter().stream(5, "Shimmer", "ExG", rate=100, channels=[("a", "", ""), ("b", "", "")])
    xdf.samples(5, np.arange(200) / 100, np.arange(400).reshape(200, 2))
    path = xdf.write(tmp_path / "a.xdf")
    with pytest.raises(
        RecordingError, match=r"no stream of EEG, PPG or GSR.*Shimmer \(type ExG.*--stream eeg=NAME"
    ):
        read_xdf(path)
    with pytest.raises(
        RecordingError, match=r"does not say what it measures.*--stream 'eeg=Shimmer'"
    ):
        read_xdf(path, stream=["Shimmer"])
    recording = read_xdf(path, stream=["ppg=Shimmer"])
    np.testing.assert_array_equal(recording.signals["ppg"].samples[:, 0], np.arange(0, 400, 2))
    assert "ppg: channel a taken of 2" in recording.attributes["notes"]


@pytest.mark.parametrize("wanted", ["gsr=Tasks", "eeg=3"])
def test_a_stream_of_text_is_no_modality_whatever_it_is_told_to_be(
    tmp_path: Path, wanted: str
) -> None:
    xdf, _, _ = eeg_and_wrist()
    path = xdf.write(tmp_path / "a.xdf")
    with pytest.raises(
        RecordingError, match=r"Tasks \(type Markers.*number 3\) holds text, not samples"
    ) as said:
        read_xdf(path, stream=[wanted])
    assert said.value.exit_code == 2
    assert len(read_xdf(path, stream=["Tasks"]).events) == 2


def test_an_empty_stream_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    xdf, _, _ = eeg_and_wrist()
    xdf.stream(9, "Finger", "PPG", rate=64, channels=[("IR", "", "")])
    recording = read_xdf(xdf.write(tmp_path / "a.xdf"))
    assert recording.modality_names == ("eeg", "gsr")
    assert "stream Finger (no samples)" in recording.attributes["left_out"]


def test_only_empty_streams_are_refused(tmp_path: Path) -> None:
    xdf = XdfWriter().stream(9, "Finger", "PPG", rate=64, channels=[("IR", "", "")])
    with pytest.raises(RecordingError, match=r"are empty.*Record it again"):
        read_xdf(xdf.write(tmp_path / "a.xdf"))


def one_stream(
    kind: str = "EEG",
    *,
    name: str = "Cap",
    rate: float = 100.0,
    channels: list[tuple[str, ...]] | tuple[Any, ...] = (("Cz", "uV", "EEG"),),
    times: np.ndarray | None = None,
    count: int | None = None,
    **more: Any,
) -> XdfWriter:
    """A file of one stream, sample n of channel c being 100 c + n % 100."""
    width = count or len(channels)
    times = np.arange(200) / 100 if times is None else times
    values = np.arange(len(times))[:, None] % 100 + 100 * np.arange(width) * (
        more.get("form") != "int8"
    )
    xdf = XdfWriter().stream(1, name, kind, rate=rate, channels=channels, count=count, **more)
    return xdf.samples(1, times, values, **more)


def longest_step_s(signal: Signal) -> float:
    """Of its time stamps; 0 where they are even."""
    return 0.0 if signal.timestamps_s is None else float(np.diff(signal.timestamps_s).max())


def notes_of(recording: Recording) -> str:
    return recording.attributes.get("notes", "")


@pytest.mark.parametrize("form", FORMATS)
def test_numbers_of_every_format_are_read(tmp_path: Path, form: str) -> None:
    recording = read_xdf(one_stream(channels=EEG[:2], form=form).write(tmp_path / "a.xdf"))
    expected = np.arange(200)[:, None] % 100 + np.array([0, 0 if form == "int8" else 100])
    np.testing.assert_array_equal(recording.signals["eeg"].samples[:], expected)


def test_session_and_subject_are_the_files_or_as_asked(tmp_path: Path) -> None:
    path = one_stream().write(tmp_path / "rest.xdf")
    plain, named = read_xdf(path), read_xdf(path, subject_id="anna", session_id="monday")
    assert (plain.session_id, plain.subject_id, plain.device, plain.start_time) == (
        "rest",
        "rest",
        "Cap",
        "",
    )
    assert (named.session_id, named.subject_id) == ("monday", "anna")
    assert "start_time" not in notes_of(plain)


def in_bursts(pause_s: float) -> np.ndarray:
    """6 s of 100 Hz, each ten samples stamped when they came;
    between two of the bursts lies a pause.
    """
    times_s = np.floor(np.arange(600) / 10) / 10
    return times_s + (pause_s - 0.1) * (np.arange(600) >= 300)


@pytest.mark.parametrize(("pause_s", "kept"), [(0.49, False), (0.52, True)])
def test_of_bursts_a_pause_of_more_than_half_a_second_is_not_evened_out(
    tmp_path: Path, pause_s: float, kept: bool
) -> None:
    eeg = read_xdf(one_stream(times=in_bursts(pause_s)).write(tmp_path / "a.xdf")).signals["eeg"]
    assert (longest_step_s(eeg) > 0.4) is kept


@pytest.mark.parametrize("lost", [1, 30, 300])
def test_samples_lost_from_a_steady_stream_are_a_gap_of_their_length(
    tmp_path: Path, lost: int
) -> None:
    taken = np.delete(np.arange(2000), np.arange(700, 700 + lost))
    recording = read_xdf(one_stream(times=taken / 100).write(tmp_path / "a.xdf"))
    eeg = recording.signals["eeg"]
    assert (eeg.rate_hz, eeg.sample_count) == (100.0, len(taken))
    # Of sums of seconds as float64.
    np.testing.assert_allclose(eeg.timestamps_s, taken / 100, atol=1e-9)
    assert (
        f"stream Cap: {lost} sample{'' if lost == 1 else 's'} lost, by the time stamps"
        in notes_of(recording)
    )


def test_samples_stay_at_their_rate_though_a_third_is_lost_and_packets_come_late(
    tmp_path: Path,
) -> None:
    """Of 250 Hz in packets of 5, each late by up to 12 ms: none becomes 170 Hz."""
    rng = np.random.default_rng(4)
    packets = np.flatnonzero(rng.random(2000) > 0.35)
    taken = (packets[:, None] * 5 + np.arange(5)).ravel()
    late_s = np.repeat(rng.uniform(0, 0.012, len(packets)), 5)
    recording = read_xdf(
        one_stream(times=taken / 250 + late_s, rate=250.0).write(tmp_path / "a.xdf")
    )
    eeg = recording.signals["eeg"]
    assert eeg.rate_hz == 250.0
    placed_s = eeg.timestamps_s - eeg.timestamps_s[0] - (taken - taken[0]) / 250
    assert np.abs(placed_s).max() < 0.012 + 1 / 250  # as late as the packets, and a sample
    assert np.diff(eeg.timestamps_s).min() > 0.9 / 250
    assert "not the 250 Hz" not in notes_of(recording)


def test_packets_that_come_late_lose_nothing(tmp_path: Path) -> None:
    late_s = np.repeat(np.random.default_rng(4).uniform(0, 0.03, 200), 10)
    recording = read_xdf(one_stream(times=np.arange(2000) / 100 + late_s).write(tmp_path / "a.xdf"))
    assert longest_step_s(recording.signals["eeg"]) < 0.011
    assert "lost" not in notes_of(recording)


def test_samples_in_another_order_are_put_where_their_stamps_say(tmp_path: Path) -> None:
    order = np.arange(1200).reshape(-1, 12).copy()
    order[::3] = order[::3, ::-1]
    taken = order.ravel()
    xdf = XdfWriter().stream(1, "Cap", "EEG", rate=100, channels=[("Cz", "uV", "EEG")])
    xdf.samples(1, taken / 100, np.sin(taken)[:, None])
    recording = read_xdf(xdf.write(tmp_path / "a.xdf"))
    eeg = recording.signals["eeg"]
    np.testing.assert_array_equal(eeg.samples[:, 0], np.sin(np.arange(1200)).astype(np.float32))
    assert eeg.timestamps_s is None
    # 34 packets, 11 of each.
    assert "stream Cap: 374 samples came late, by the time stamps" in notes_of(recording)


def test_samples_that_stand_twice_count_once(tmp_path: Path) -> None:
    taken = np.concatenate([np.arange(500), np.arange(400, 1000)])
    xdf = XdfWriter().stream(1, "Cap", "EEG", rate=100, channels=[("Cz", "uV", "EEG")])
    xdf.samples(1, taken / 100, np.sin(taken)[:, None])
    recording = read_xdf(xdf.write(tmp_path / "a.xdf"))
    assert recording.signals["eeg"].sample_count == 1000
    assert "stream Cap: 100 samples came twice (by the time stamps)" in notes_of(recording)


def test_a_clock_that_is_set_back_leaves_out_what_runs_back(tmp_path: Path) -> None:
    times = np.arange(1000) / 100 - 2.005 * (np.arange(1000) >= 500)
    recording = read_xdf(one_stream(times=times).write(tmp_path / "a.xdf"))
    assert recording.signals["eeg"].sample_count == 800
    assert "200 samples of stream Cap (their time runs back)" in recording.attributes["left_out"]


def test_one_wrong_stamp_is_placed_between_the_next_ones(tmp_path: Path) -> None:
    times = np.arange(1000) / 100
    times[500] += 200_000
    recording = read_xdf(one_stream(times=times).write(tmp_path / "a.xdf"))
    eeg = recording.signals["eeg"]
    assert (eeg.sample_count, eeg.timestamps_s) == (1000, None)
    assert "stream Cap: 1 sample with a wrong time stamp" in notes_of(recording)


def test_a_clock_that_is_set_forward_by_days_is_refused_by_the_streams_name(tmp_path: Path) -> None:
    times = np.arange(1000) / 100 + 200_000 * (np.arange(1000) >= 500)
    with pytest.raises(
        RecordingError, match=r"clock of stream Cap was set.*got a step of 200000 s after 5\.0 s"
    ):
        read_xdf(one_stream(times=times).write(tmp_path / "a.xdf"))


def restarted(*starts_s: float, source: str = "x1") -> XdfWriter:
    """A stream for each start, of 20 s at 64 Hz, all of one name and source."""
    xdf = XdfWriter()
    for number, _ in enumerate(starts_s, start=1):
        xdf.stream(number, "bvp", "BVP", rate=64)
        xdf.content = xdf.content.replace(
            f"<source_id>x{number}<".encode(), f"<source_id>{source}<".encode()
        )
    for number, start_s in enumerate(starts_s, start=1):
        if np.isfinite(start_s):
            xdf.samples(number, start_s + np.arange(1280) / 64, np.full((1280, 1), number))
    return xdf


def test_a_stream_that_was_started_again_is_one_signal_with_a_gap(tmp_path: Path) -> None:
    recording = read_xdf(restarted(30.0, 0.0).write(tmp_path / "a.xdf"))
    ppg = recording.signals["ppg"]
    assert (ppg.sample_count, ppg.rate_hz, ppg.stop_s) == (2560, 64.0, 50.0)
    assert (ppg.samples[0, 0], ppg.samples[-1, 0]) == (2, 1)
    assert "stream bvp: started again at 30.0 s; its parts are one signal with a gap" in notes_of(
        recording
    )


def test_streams_of_one_name_that_overlap_are_two(tmp_path: Path) -> None:
    path = restarted(0.0, 10.0).write(tmp_path / "a.xdf")
    with pytest.raises(
        RecordingError, match=r"holds 2 streams of ppg.*Choose one: by its number, --stream 1"
    ):
        read_xdf(path)
    assert read_xdf(path, stream=["2"]).signals["ppg"].samples[0, 0] == 2


@pytest.mark.parametrize("stream", [[], ["bvp"], ["2"]])
def test_an_empty_twin_is_left_out(tmp_path: Path, stream: list[str]) -> None:
    recording = read_xdf(restarted(np.nan, 0.0).write(tmp_path / "a.xdf"), stream=stream)
    assert recording.signals["ppg"].sample_count == 1280
    assert recording.attributes["left_out"] == "stream bvp (no samples)"


def unix_and_lsl() -> XdfWriter:
    xdf = one_stream(
        "BVP", name="bvp", rate=64.0, channels=[("", "", "")], times=1.7e9 + np.arange(640) / 64
    )
    xdf.stream(2, "gsr", "GSR", rate=4, channels=[("", "uS", "")])
    xdf.samples(2, 1000 + np.arange(40) / 4, np.ones((40, 1)))
    return xdf.stream(3, "Tasks", "Markers", form="string").samples(
        3, [1002.0], ["begin"], form="string"
    )


def test_streams_of_two_clocks_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = unix_and_lsl().write(tmp_path / "a.xdf")
    with pytest.raises(
        RecordingError,
        match=r"stream bvp is stamped in Unix time.*--only ppg and with --only gsr.*--offset",
    ):
        read_xdf(path)
    wrist, skin = read_xdf(path, only=["ppg"]), read_xdf(path, only=["gsr"])
    assert (wrist.modality_names, skin.modality_names) == (("ppg",), ("gsr",))
    assert wrist.events == ()
    assert "events of Tasks (no clock in common with the samples)" in wrist.attributes["left_out"]
    assert [e.onset_s for e in skin.events] == [2.0]


@pytest.mark.parametrize(
    ("nominal", "rate_hz"), [(100.9, 100.9), (99.1, 99.1), (101.1, 100.0), (98.9, 100.0), (0, 100)]
)
def test_the_rate_of_the_header_is_taken_where_samples_come_at_it_to_a_hundredth(
    tmp_path: Path, nominal: float, rate_hz: float
) -> None:
    recording = read_xdf(one_stream(rate=nominal).write(tmp_path / "a.xdf"))
    assert recording.signals["eeg"].rate_hz == rate_hz
    said = (
        f"100 Hz measured, not the {nominal:g} Hz"
        if nominal
        else "100 Hz measured, its header names no rate"
    )
    assert (said in notes_of(recording)) is (nominal != rate_hz)


def test_a_stream_of_one_sample_has_the_rate_of_its_header_or_none(tmp_path: Path) -> None:
    path = one_stream(times=np.zeros(1)).write(tmp_path / "a.xdf")
    assert read_xdf(path).signals["eeg"].rate_hz == 100
    with pytest.raises(RecordingError, match="stream Cap has one sample only"):
        read_xdf(one_stream(times=np.zeros(1), rate=0.0).write(path))


def test_channels_that_the_header_does_not_tell_apart_are_numbered(tmp_path: Path) -> None:
    more = read_xdf(one_stream(channels=EEG[:2], count=3).write(tmp_path / "a.xdf"))
    assert more.signals["eeg"].channel_names == ("ch1", "ch2", "ch3")
    assert "stream Cap: 2 channels described, 3 there; they are numbered" in notes_of(more)
    silent = read_xdf(one_stream(channels=(), count=2).write(tmp_path / "a.xdf"))
    assert silent.signals["eeg"].channel_names == ("ch1", "ch2")
    assert "described" not in notes_of(silent)
    assert "its header names no channels, they are numbered" in notes_of(silent)
    assert "no unit in its header, taken for uV" in notes_of(silent)
    half = read_xdf(
        one_stream(channels=[EEG[0], ("", "microvolts", "EEG")]).write(tmp_path / "a.xdf")
    )
    assert half.signals["eeg"].channel_names == ("Cz", "ch2")
    assert "names no channels" not in notes_of(half)
    known = notes_of(read_xdf(one_stream().write(tmp_path / "a.xdf")))
    assert "numbered" not in known
    assert "taken for" not in known


def test_channels_of_one_stream_in_different_units_are_refused(tmp_path: Path) -> None:
    xdf = one_stream(channels=[("Cz", "uV", "EEG"), ("Fz", "mV", "EEG")])
    with pytest.raises(RecordingError, match=r"stream Cap have different units.*mV.*uV"):
        read_xdf(xdf.write(tmp_path / "a.xdf"))


def test_of_several_lights_infrared_is_the_pulse_and_else_the_first(tmp_path: Path) -> None:
    lights = [("Red", "", ""), ("ir 940", "", ""), ("Green", "", "")]
    recording = read_xdf(one_stream("PPG", channels=lights).write(tmp_path / "a.xdf"))
    assert recording.signals["ppg"].samples[5, 0] == 105
    assert "ppg: channel ir 940 taken of 3" in notes_of(recording)
    assert (
        recording.attributes["left_out"]
        == "channel Red of Cap (one is taken), channel Green of Cap (one is taken)"
    )
    muse = read_xdf(
        one_stream("PPG", channels=[(f"PPG{n}", "", "") for n in (1, 2, 3)]).write(
            tmp_path / "a.xdf"
        )
    )
    assert muse.signals["ppg"].samples[5, 0] == 105
    assert "ppg: channel PPG2 taken of 3" in notes_of(muse)
    plain = read_xdf(one_stream("PPG", channels=[("", "", "")] * 2).write(tmp_path / "a.xdf"))
    assert plain.signals["ppg"].samples[5, 0] == 5
    assert "ppg: channel 1 taken of 2" in notes_of(plain)
    assert "channel 2 of Cap" in plain.attributes["left_out"]


def test_markers_that_are_whole_numbers_of_up_to_nine_digits_are_codes(tmp_path: Path) -> None:
    texts = ["-3", "123456789", "1234567890", "4.5", " 7 ", "-"]
    xdf = one_stream().stream(2, "Tasks", "Markers", form="string")
    xdf.samples(2, [1.5, *np.arange(5) / 4], texts, form="string")
    events = read_xdf(xdf.write(tmp_path / "a.xdf")).events
    assert [e.description for e in events] == ["123456789", "1234567890", "4.5", "7", "-", "-3"]
    assert [e.code for e in events] == [123456789, 0, 0, 7, 0, -3]
    np.testing.assert_allclose([e.onset_s for e in events], [0, 0.25, 0.5, 0.75, 1, 1.5], atol=1e-6)


def test_text_is_events_whatever_its_type(tmp_path: Path) -> None:
    xdf = (
        one_stream()
        .stream(2, "Notes", "Remarks", form="string")
        .samples(2, [0.5], ["tired"], form="string")
    )
    recording = read_xdf(xdf.write(tmp_path / "a.xdf"))
    assert [e.description for e in recording.events] == ["tired"]
    assert "left_out" not in recording.attributes


def test_two_streams_of_one_name_are_told_apart_by_number(tmp_path: Path) -> None:
    xdf = one_stream().stream(2, "Cap", "EEG", rate=100, channels=[("Cz", "uV", "EEG")])
    xdf.samples(2, np.arange(100) / 100, np.ones((100, 1)))
    path = xdf.write(tmp_path / "a.xdf")
    with pytest.raises(RecordingError, match=r"--stream 'Cap' names 2 streams.*Choose by number"):
        read_xdf(path, stream=["Cap"])
    assert read_xdf(path, stream=["2"]).signals["eeg"].sample_count == 100
    with pytest.raises(RecordingError, match=r"Cap \(type EEG, 1 channel, number 1\); Cap"):
        read_xdf(path)


def test_a_file_cut_off_in_a_chunk_gives_what_came_before(tmp_path: Path) -> None:
    xdf = XdfWriter().stream(1, "Cap", "EEG", rate=100, channels=[("Cz", "uV", "EEG")])
    for second in range(5):
        xdf.samples(1, second + np.arange(100) / 100, np.full((100, 1), second))
    path = tmp_path / "a.xdf"
    path.write_bytes(xdf.content[:-700])
    recording = read_xdf(path)
    assert 400 <= recording.signals["eeg"].sample_count < 500
    assert "pyxdf: " in recording.attributes["notes"]


def test_a_pause_in_the_stream_stays_a_gap(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(300), np.arange(500, 800)]) / 100
    xdf = XdfWriter().stream(1, "Cap", "EEG", rate=100, channels=[("Cz", "uV", "EEG")])
    xdf.samples(1, times, np.ones((600, 1)))
    eeg = read_xdf(xdf.write(tmp_path / "a.xdf")).signals["eeg"]
    assert eeg.stop_s == pytest.approx(8.0, abs=0.02)
    assert np.diff(eeg.timestamps_s).max() == pytest.approx(2.01, abs=0.02)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "an empty file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file of another kind"),
        (b"\x00\x01\x02\x03", "a file that starts with"),
        (b"0       rest of the header", "emodict-session import edf"),
        (b"PK\x03\x04", "a zip archive; unpack it first"),
        (b"XDF:", "no stream of EEG, PPG or GSR.*cut off before the first stream"),
        (b"XDF:\x04\xff\xff", "no stream of EEG|cannot be read"),
    ],
)
def test_what_is_no_xdf_is_refused_with_what_it_looks_like(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "a.xdf").write_bytes(content)
    with pytest.raises(RecordingError, match=sentence):
        read_xdf(tmp_path / "a.xdf")
    with pytest.raises(RecordingError, match="There is no file"):
        read_xdf(tmp_path / "nowhere.xdf")


def number(value: int, size: int) -> bytes:
    return bytes([size]) + value.to_bytes(size, "little")


def sample_chunk(
    count: int, content: bytes, *, stream: int = 1, count_size: int = 1, length_size: int = 4
) -> bytes:
    body = struct.pack("<HI", 3, stream) + number(count, count_size) + content
    return number(len(body), length_size) + body


TIME = b"\x08" + struct.pack("<d", 1.5)
# Streams of two channels: 1 of float32, 2 of text.
ROWS = {1: (2, 4), 2: (2, 0)}


def check(tmp_path: Path, *chunks: Any, rows: dict[int, tuple[int, int]] = ROWS) -> None:
    (tmp_path / "a.xdf").write_bytes(b"XDF:" + b"".join(chunks))
    check_chunks(tmp_path / "a.xdf", rows)


@pytest.mark.parametrize("length_size", [1, 4, 8])
@pytest.mark.parametrize("size", [1, 4, 8])
def test_chunks_that_hold_what_they_claim_are_taken(
    tmp_path: Path, size: int, length_size: int
) -> None:
    sizes = {"count_size": size, "length_size": length_size}
    numbers, no_time = bytes(range(8)), b"\x00"
    for content in (
        (TIME + numbers) * 3,
        (no_time + numbers) * 3,
        no_time + numbers + (TIME + numbers) * 2,
    ):
        check(tmp_path, sample_chunk(3, content, **sizes), sample_chunk(0, b"", **sizes))
    empty, text = number(0, size), number(5, size) + b"begin"
    check(
        tmp_path, sample_chunk(2, TIME + text + empty + no_time + empty + empty, stream=2, **sizes)
    )
    # Of a stream without a header nothing is known, and nothing read.
    check(tmp_path, sample_chunk(99, b"what", stream=3, **sizes))


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        (sample_chunk(2, (TIME + bytes(8)) * 2 + b"x"), "its samples end at 40 of its 41 bytes"),
        (
            sample_chunk(2, (TIME + bytes(8)) * 2 + b"\x00" * 4),
            "its samples end at 40 of its 44 bytes",
        ),
        (
            sample_chunk(2, b"\x00" + bytes(8) + (TIME + bytes(6))),
            "its samples end at 32 of its 30 bytes",
        ),
        (sample_chunk(5, (TIME + bytes(8)) * 2), "claims 5 samples of 2 channels in 40 bytes"),
        (
            sample_chunk(1, TIME + number(5, 1) + b"begin" + number(9, 1) + b"short", stream=2),
            "its samples end at 33 of its 29",
        ),
        (sample_chunk(1, TIME + b"\x02" + bytes(9), stream=2), "a length is damaged"),
        (number(1, 4) + b"\x03", "it claims 1 bytes"),
        (b"\x03" + bytes(9), "its length is damaged"),
        (b"\x04\x01", "unpack requires"),
    ],
)
def test_a_chunk_that_holds_other_than_it_claims_is_refused_by_its_place(
    tmp_path: Path, chunk: bytes, said: str
) -> None:
    good = sample_chunk(1, TIME + bytes(8))
    with pytest.raises(ValueError, match=f"the chunk at byte {4 + len(good)} is damaged: .*{said}"):
        check(tmp_path, good, chunk)


def test_a_stream_of_less_than_no_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its stream has -1 channels"):
        check(tmp_path, sample_chunk(0, b""), rows={1: (-1, 4)})
    check(tmp_path, sample_chunk(2, TIME + b"\x00"), rows={1: (0, 4)})


def test_the_last_chunk_may_be_cut_off_unless_it_is_a_header_or_others_follow(
    tmp_path: Path,
) -> None:
    whole = sample_chunk(2, (TIME + bytes(8)) * 2)
    for left in range(15, len(whole)):
        check(tmp_path, whole[:left])
    with pytest.raises(ValueError, match="it is cut off"):
        check(tmp_path, chunk(2, bytes(20))[:-1])
    check(tmp_path, chunk(2, bytes(20)))
    check(tmp_path, chunk(6, bytes(20))[:-1])
    # The mark that recorders write between chunks (XDF specification).
    boundary = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
    with pytest.raises(ValueError, match="it is cut off"):
        check(tmp_path, chunk(6, bytes(20) + boundary + bytes(20))[:-1])
    check(tmp_path, chunk(6, bytes(20) + boundary + bytes(20)))


def test_of_a_chunk_up_to_64_mib_may_be_missing(tmp_path: Path) -> None:
    def cut_off(missing: int) -> bytes:
        return number(2 + 10 + missing, 8) + struct.pack("<H", 6) + bytes(10)

    check(tmp_path, cut_off(67_108_864))
    with pytest.raises(ValueError, match="it claims 67108877 bytes, and 12 are left"):
        check(tmp_path, cut_off(67_108_865))


def test_without_pyxdf_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xdf, _, _ = eeg_and_wrist()
    monkeypatch.setitem(sys.modules, "pyxdf", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[xdf\]'"):
        read_xdf(xdf.write(tmp_path / "a.xdf"))


def test_the_real_minimal_file_has_the_values_of_its_specification(
    shared_data: Path, tmp_path: Path
) -> None:
    recording = read_xdf(shared_data / "xdf_examples" / "minimal.xdf")
    eeg = recording.signals["eeg"]
    # The example of the XDF specification: nine rows of three int16, 5.0 s to 5.8 s.
    expected = [
        [192, 255, 238],
        [12, 22, 32],
        [13, 23, 33],
        [14, 24, 34],
        [15, 25, 35],
        [12, 22, 32],
        [13, 23, 33],
        [14, 24, 34],
        [15, 25, 35],
    ]
    np.testing.assert_array_equal(eeg.samples[:], expected)
    assert (eeg.rate_hz, eeg.sample_count) == (10.0, 9)
    assert len(recording.events) == 9
    assert recording.events[0].onset_s == pytest.approx(0.1)


def test_the_real_file_with_clock_resets_keeps_every_sample_and_the_pause(
    shared_data: Path, tmp_path: Path
) -> None:
    write_session(read_xdf(shared_data / "xdf_examples" / "clock_resets.xdf"), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as recording:
        eeg = recording.signals["eeg"]
        assert eeg.sample_count == 27815
        steps = np.diff(eeg.timestamps_s)
        assert (steps > 0).all()
        # One reset, one pause; within each stretch pyxdf has made the steps even.
        assert np.count_nonzero(steps > 1) == 1
        assert len(recording.events) == 175


def test_the_real_file_of_empty_streams_says_what_it_holds(shared_data: Path) -> None:
    path = shared_data / "xdf_examples" / "empty_streams.xdf"
    with pytest.raises(
        RecordingError, match=r"no stream of EEG.*Data stream: test stream 0 counter \(type data"
    ):
        read_xdf(path)
    recording = read_xdf(path, stream=["gsr=4"])
    np.testing.assert_array_equal(recording.signals["gsr"].samples[:, 0], np.arange(10))
    assert "Empty data stream: test stream 0 counter" in recording.attributes["left_out"]


@pytest.mark.parametrize(
    ("version", "taken"),
    [("1.16.8", False), ("1.17.2", False), ("1.17.3", True), ("1.18.0rc1", True)],
)
def test_a_pyxdf_that_loses_samples_is_refused(
    version: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eeg_and_wrist()[0].write(tmp_path / "a.xdf")
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    if taken:
        assert read_xdf(tmp_path / "a.xdf").modality_names
        return
    with pytest.raises(
        InputError, match=f"Expected pyxdf 1.17.3 or newer, got {re.escape(version)}"
    ):
        read_xdf(tmp_path / "a.xdf")


@pytest.mark.parametrize("header", [b"", chunk(1, b"<info></info>")])
def test_a_file_whose_header_is_missing_or_empty_has_no_start(
    header: bytes, tmp_path: Path
) -> None:
    xdf = eeg_and_wrist(datetime="2024-05-06T07:08:09Z")[0]
    (length,) = struct.unpack_from("<I", xdf.content, 5)
    xdf.content = xdf.content[:4] + header + xdf.content[9 + length :]
    recording = read_xdf(xdf.write(tmp_path / "a.xdf"))
    assert recording.start_time == ""
    assert set(recording.modality_names) == {"eeg", "gsr"}


def test_validate_says_again_that_the_rate_of_a_stream_is_doubtful(tmp_path: Path) -> None:
    # Nine of ten samples of a stream of 100 Hz that is stamped when it arrives: 90 Hz, no steps
    # at the nominal rate.
    times_s = 1000 + np.arange(900) / 90
    writer = XdfWriter().stream(1, "Cap", "EEG", rate=100, channels=EEG)
    writer.samples(1, times_s, np.random.default_rng(1).normal(0, 20, (900, 3)))
    writer.footer(1).write(tmp_path / "a.xdf")
    write_session(read_xdf(tmp_path / "a.xdf"), tmp_path / "a.h5")
    said = [finding.message for finding in validate_session(tmp_path / "a.h5")]
    assert (
        "its import noted of stream Cap: 90 Hz measured, not the 100 Hz of its header: "
        "if samples were lost, its frequencies are wrong." in said
    )


def test_the_real_file_that_lost_samples_keeps_their_rate(shared_cases: Path) -> None:
    path = shared_cases / "14_xdf_lost_samples_stretched" / "trial1.xdf"
    eeg = read_xdf(path).signals["eeg"]
    streams, _ = pyxdf.load_xdf(str(path), dejitter_timestamps=False)
    raw = next(s for s in streams if s["info"]["type"][0] == "EEG")
    assert (eeg.rate_hz, eeg.sample_count) == (250.0, len(raw["time_stamps"]))
    np.testing.assert_array_equal(eeg.samples[:, 0], raw["time_series"][:, 0].astype(np.float32))
    # Nine of ten steps of the file are 4 ms, and so they are here; the rest are gaps.
    steps_s = np.diff(eeg.timestamps_s)
    assert np.mean(np.abs(steps_s - 0.004) < 1e-4) > 0.9
    lasted_s = raw["time_stamps"][-1] - raw["time_stamps"][0]
    assert eeg.timestamps_s[-1] - eeg.timestamps_s[0] == pytest.approx(lasted_s, abs=0.5)
