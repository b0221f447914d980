"""AcqKnowledge files: channels by name and unit, each at its rate, and markers as events."""

from __future__ import annotations

import datetime
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emodict.errors import MissingDependencyError, RecordingError
from emodict_desk.importers.acqknowledge import read_acqknowledge
from emodict_desk.importers.kinds import kind_of

BASE_HZ = 200.0
START = datetime.datetime(2024, 5, 1, 9, 30, 5, 250000, tzinfo=datetime.timezone.utc)
# Name, unit, divider of the base rate, samples; as AcqKnowledge names what its amplifiers give.
CHANNELS = (
    ("EDA filtered, differentiated", "microsiemens", 1, np.arange(2000) / 7),
    ("EKG - ERS100C", "mV", 1, np.arange(2000) % 90),
    ("EDA - GSR100C", "microsiemens", 4, 2 + np.arange(500) / 300),
    ("PPG - PPG100C", "Volts", 2, np.sin(np.arange(1000) / 9)),
)
MARKERS = (
    (-400, b"apnd", "Segment 1"),
    (100, b"flag", "Deep breath"),
    (100, b"flag", "Deep breath"),
)


def bioread() -> Any:
    return pytest.importorskip("bioread", reason="bioread is not installed")


def header(kind: Any, **fields: Any) -> bytes:
    """A header of revision 132 (AcqKnowledge 5.0.1) as bioread lays it out, with these fields."""
    made = kind.for_revision(132, ">")
    made.unpack_from_file(io.BytesIO(bytes(made.struct_length)), 0)
    for name, value in fields.items():
        setattr(made._struct, name, value)
    return bytes(made._struct)


def acq_file(path: Path, *, channels: Any = CHANNELS, markers: Any = MARKERS) -> Path:
    """A small file of AcqKnowledge 5.0.1, not compressed, whose samples are interleaved."""
    bioread()
    from bioread import headers as bh

    graph = header(
        bh.GraphHeader, lVersion=132, nChannels=len(channels), dSampleTime=1000 / BASE_HZ,
        lExtItemHeaderLen=bh.GraphHeader.for_revision(132, ">").struct_length,
    )  # fmt: skip
    long = bh.ChannelHeader.for_revision(132, ">").struct_length
    content = graph + b"".join(
        header(
            bh.ChannelHeader, lChanHeaderLen=long, szCommentText=name.encode(), dAmplScale=1.0,
            szUnitsText=unit.encode(), lBufLength=len(values), nVarSampleDivider=divider,
            nChanOrder=at,
        )
        for at, (name, unit, divider, values) in enumerate(channels)
    )  # fmt: skip
    content += header(bh.ForeignHeader, lLength=4)
    content += header(bh.ChannelDTypeHeader, nSize=8, nType=1) * len(channels)
    for tick in range(max(len(values) * divider for _, _, divider, values in channels)):
        for _, _, divider, values in channels:
            if tick % divider == 0 and tick // divider < len(values):
                content += np.asarray(values[tick // divider], dtype=">f8").tobytes()
    created_ms = round(START.timestamp() * 1000)
    content += header(bh.MarkerHeader, lMarkersExtra=len(markers) + 1)
    for at, style, text in markers:
        content += header(
            bh.MarkerItemHeader, lSample=at % 2**32, nChannel=-1, sMarkerStyle=style,
            llDateCreated=created_ms, nTextLength=len(text) + 1,
        )  # fmt: skip
        content += text.encode() + b"\0"
    path.write_bytes(content + header(bh.JournalLengthHeader, lJournalDataLen=4))
    return path


def test_each_channel_has_its_unit_and_rate_and_the_raw_one_of_two_is_taken(tmp_path: Path) -> None:
    path = acq_file(tmp_path / "a.acq")
    recording = read_acqknowledge(path)
    gsr, ppg = recording.signals["gsr"], recording.signals["ppg"]
    assert (gsr.rate_hz, gsr.unit, ppg.rate_hz, ppg.unit) == (50.0, "uS", 100.0, "a.u.")
    np.testing.assert_array_equal(gsr.samples[:, 0], CHANNELS[2][3].astype(np.float32))
    np.testing.assert_array_equal(ppg.samples[:, 0], CHANNELS[3][3].astype(np.float32))
    notes = recording.attributes["notes"]
    assert notes == "gsr: channel 'EDA - GSR100C' is taken, not 'EDA filtered, differentiated'"
    assert recording.attributes["left_out"] == "EKG - ERS100C (not EEG, EDA or PPG)"
    assert kind_of(path) == "acqknowledge"


def test_markers_are_events_and_the_segments_moment_gives_the_start(tmp_path: Path) -> None:
    recording = read_acqknowledge(acq_file(tmp_path / "a.acq"))
    events = [(event.onset_s, event.description) for event in recording.events]
    # Positions count samples at the base rate; those before the first are negative.
    assert events == [(-2.0, "Segment 1"), (0.5, "Deep breath")]
    assert recording.start_time == "2024-05-01T09:30:07.250000Z"


def test_eeg_is_what_is_named_so_and_not_any_voltage(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 20, (3, 2000))
    channels = [
        ("EEG (.5 - 35 Hz)", "microvolts", 1, noise[0]),
        ("EEG (.5 - 35 Hz)", "Volts", 1, noise[1] / 1e6),
        ("Analog input", "Volts", 1, noise[2]),
    ]
    recording = read_acqknowledge(acq_file(tmp_path / "a.acq", channels=channels))
    eeg = recording.signals["eeg"]
    assert (eeg.channel_names, eeg.unit, eeg.rate_hz) == (("EEG", "2"), "uV", BASE_HZ)
    np.testing.assert_allclose(eeg.samples[:], noise[:2].T, rtol=2**-22)
    assert "Analog input (not EEG, EDA or PPG)" in recording.attributes["left_out"]
    with pytest.raises(RecordingError, match="no EEG, EDA or PPG"):
        read_acqknowledge(acq_file(tmp_path / "b.acq", channels=channels[2:]))


def test_what_holds_no_channel_of_use_is_refused_by_their_names(tmp_path: Path) -> None:
    path = acq_file(tmp_path / "a.acq", channels=CHANNELS[1:2])
    with pytest.raises(RecordingError, match=r"no EEG, EDA or PPG.*got EKG - ERS100C \(mV\)"):
        read_acqknowledge(path)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = acq_file(tmp_path / "a.acq")
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    with pytest.raises(RecordingError, match="starts like an AcqKnowledge file but cannot be read"):
        read_acqknowledge(path)


def test_a_file_that_claims_more_than_it_holds_is_refused_at_once(tmp_path: Path) -> None:
    many = [("EDA", "microsiemens", 1, np.zeros(4))]
    path = acq_file(tmp_path / "a.acq", channels=many)
    content = path.read_bytes()
    path.write_bytes(content.replace((4).to_bytes(4, "big"), (1 << 30).to_bytes(4, "big")))
    with pytest.raises(RecordingError, match="cannot be read"):
        read_acqknowledge(path)


def test_markers_without_end_are_refused_at_once(tmp_path: Path) -> None:
    path = acq_file(tmp_path / "a.acq", markers=((5, b"flag", "x"),))
    from bioread import headers as bh

    long = bh.MarkerItemHeader.for_revision(132, ">").struct_length
    item = header(
        bh.MarkerItemHeader, lSample=5, nChannel=-1, sMarkerStyle=b"flag",
        llDateCreated=round(START.timestamp() * 1000), nTextLength=2,
    )  # fmt: skip
    head = header(bh.MarkerHeader, lMarkersExtra=2)
    # A text of minus the header's length: each marker begins where the last one did.
    endless = item[:-2] + (-long).to_bytes(2, "big", signed=True)
    content = path.read_bytes().replace(item, endless)
    path.write_bytes(content.replace(head, header(bh.MarkerHeader, lMarkersExtra=1 << 30)))
    with pytest.raises(RecordingError, match="cannot be read"):
        read_acqknowledge(path)


def test_another_file_is_refused_with_its_own_kind(tmp_path: Path) -> None:
    (tmp_path / "a.acq").write_text("time,PPG\n0,1\n")
    with pytest.raises(RecordingError, match=r"cannot be read.*import csv"):
        read_acqknowledge(tmp_path / "a.acq")


def test_without_bioread_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.acq").write_bytes(b"\0\0\0\0\0\x84" + bytes(100))
    assert kind_of(tmp_path / "a.acq") == "acqknowledge"
    monkeypatch.setitem(sys.modules, "bioread", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[acqknowledge\]'"):
        read_acqknowledge(tmp_path / "a.acq")


def test_the_real_recording_has_its_raw_skin_conductance_and_markers(shared_data: Path) -> None:
    path = shared_data / "acqknowledge" / "physio-5.0.1-c.acq"
    expected = bioread().read(str(path))
    recording = read_acqknowledge(path)
    gsr = recording.signals["gsr"]
    channel = next(c for c in expected.channels if c.name == "EDA - GSR100C")
    np.testing.assert_array_equal(gsr.samples[:, 0], channel.data.astype(np.float32))
    assert (gsr.rate_hz, gsr.unit) == (2000.0, "uS")
    positions = {(np.uint32(m.sample_index).view(np.int32), m.text) for m in expected.event_markers}
    onsets = {(round(event.onset_s * 2000), event.description) for event in recording.events}
    assert onsets == positions
