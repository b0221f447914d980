"""What MNE-Python reads: volts to microvolts, channels by type and name, annotations as events."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from tests.runtime.desk.written import write

from emodict.errors import MissingDependencyError, RecordingError
from emodict_desk.importers.kinds import kind_of
from emodict_desk.importers.mne_files import read_mne

RNG = np.random.default_rng(11)
RATE_HZ = 250.0
VHDR = """Brain Vision Data Exchange Header File Version 1.0

[Common Infos]
DataFile={stem}.eeg
MarkerFile={stem}.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels={count}
SamplingInterval=4000

[Binary Infos]
BinaryFormat=IEEE_FLOAT_32

[Channel Infos]
{channels}
"""
VMRK = """Brain Vision Data Exchange Marker File, Version 1.0

[Common Infos]
DataFile={stem}.eeg

[Marker Infos]
Mk1=New Segment,,1,1,0,20240501093005250000
Mk2=Stimulus,S  7,501,1,0
Mk3=Comment,eyes closed,751,1,0
"""
# Name, reference and unit, as a BrainVision header has them.
CHANNELS = (("Fp1", "FCz", "µV"), ("T7", "FCz", "µV"), ("HEOG", "FCz", "µV"), ("GSR", "", "µS"))


def mne() -> Any:
    return pytest.importorskip("mne", reason="mne is not installed")


def brainvision(folder: Path, *, samples: int = 1000, stem: str = "a") -> np.ndarray:
    """STEM.vhdr, STEM.vmrk and STEM.eeg; returns (samples, channels) in the units of the header."""
    values = RNG.normal(0, 30, (samples, len(CHANNELS))).astype(np.float32)
    values[:, 3] = 5 + np.arange(samples) / samples
    channels = "\n".join(
        f"Ch{i}={name},{reference},1.0,{unit}"
        for i, (name, reference, unit) in enumerate(CHANNELS, 1)
    )
    (folder / f"{stem}.vhdr").write_text(
        VHDR.format(count=len(CHANNELS), channels=channels, stem=stem), encoding="utf-8"
    )
    write(folder / f"{stem}.vmrk", VMRK.format(stem=stem))
    (folder / f"{stem}.eeg").write_bytes(values.tobytes())
    return values


def test_brainvision_gives_electrodes_in_microvolts_skin_and_events(tmp_path: Path) -> None:
    mne()
    values = brainvision(tmp_path)
    recording = read_mne(tmp_path / "a.vhdr")
    eeg, gsr = recording.signals["eeg"], recording.signals["gsr"]
    assert (eeg.channel_names, eeg.rate_hz, eeg.unit) == (("Fp1", "T7"), RATE_HZ, "uV")
    assert eeg.reference == "FCz"
    # To volts and back in float64, then float32.
    np.testing.assert_allclose(eeg.samples[:], values[:, :2], rtol=2**-22)
    np.testing.assert_allclose(gsr.samples[:, 0], values[:, 3], rtol=2**-22)
    assert (gsr.rate_hz, gsr.unit) == (RATE_HZ, "uS")
    events = [(event.onset_s, event.description) for event in recording.events]
    # Marker positions count from 1.
    assert events == [(2.0, "Stimulus/S  7"), (3.0, "Comment/eyes closed")]
    assert recording.start_time == "2024-05-01T09:30:05.250000"
    assert recording.attributes["left_out"] == "HEOG (not EEG, EDA or PPG)"
    # Its samples and its markers lead to the header beside them.
    for name in ("a.vhdr", "a.eeg", "a.vmrk"):
        assert kind_of(tmp_path / name) == "mne"
        assert read_mne(tmp_path / name).events == recording.events


def test_fif_keeps_places_bad_channels_and_the_time_of_a_cut_recording(tmp_path: Path) -> None:
    package = mne()
    info = package.create_info(["Fz", "Cz", "BVP", "STI"], RATE_HZ, ["eeg", "eeg", "misc", "stim"])
    samples = RNG.normal(0, 30e-6, (4, 2500))
    samples[2] = np.sin(np.arange(2500) / 9)
    samples[3] = 0
    samples[3, 1500:1510] = 5
    raw = package.io.RawArray(samples, info, first_samp=500, verbose="ERROR")
    raw.set_montage(package.channels.make_standard_montage("standard_1020"))
    raw.info["bads"] = ["Cz"]
    raw.set_meas_date(datetime.datetime(2024, 5, 1, 9, 30, tzinfo=datetime.timezone.utc))
    raw.info["subject_info"] = {"his_id": "P11", "sex": 2, "last_name": "Somebody"}
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    recording = read_mne(tmp_path / "a_raw.fif")
    eeg, ppg = recording.signals["eeg"], recording.signals["ppg"]
    # FIF holds single precision.
    np.testing.assert_allclose(eeg.samples[:], samples[:2].T * 1e6, rtol=2**-22)
    np.testing.assert_allclose(ppg.samples[:, 0], samples[2], rtol=2**-22)
    assert recording.start_time == "2024-05-01T09:30:02Z"
    assert [(e.onset_s, e.code) for e in recording.events] == [(6.0, 5)]
    places = json.loads(recording.attributes["electrode_positions_m"])
    expected = raw.get_montage().get_positions()["ch_pos"]["Fz"]
    np.testing.assert_allclose(places["Fz"], expected, atol=1e-3)
    assert "1 channel marked bad in the file: Cz; kept" in recording.attributes["notes"]
    assert recording.subject_id == "a_raw"
    assert "Somebody" not in str(recording)


@pytest.mark.parametrize("dated", [True, False])
def test_triggers_and_annotations_are_events_from_the_first_sample_on(
    tmp_path: Path, dated: bool
) -> None:
    package = mne()
    info = package.create_info(["Fz", "STI"], RATE_HZ, ["eeg", "stim"])
    samples = np.zeros((2, 2500))
    # On from the start, to another code without 0 between, off, and on again.
    for start, stop, code in ((0, 500, 9), (500, 600, 5), (600, 700, 3), (1500, 1510, 7)):
        samples[1, start:stop] = code
    raw = package.io.RawArray(samples, info, first_samp=500, verbose="ERROR")
    if dated:
        raw.set_meas_date(datetime.datetime(2024, 5, 1, 9, 30, tzinfo=datetime.timezone.utc))
    # 6 s is sample 1500, whose code an annotation has, too.
    raw.set_annotations(package.Annotations([4.0, 6.0], [0.5, 0.0], ["BAD_blink", "7"]))
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    events = read_mne(tmp_path / "a_raw.fif").events
    assert [(round(e.onset_s, 6), e.code, e.description) for e in events] == [
        (2.0, 5, "trigger of STI"),
        (2.4, 3, "trigger of STI"),
        (4.0, 0, "BAD_blink"),
        (6.0, 7, "7"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "DataFile=../out/a.eeg", "DataFile = ../out/a.eeg", "datafile=../out/a.eeg",
        "DataFile: ../out/a.eeg", "there=../out\nDataFile=%(there)s", "MARKERFILE : /a.vmrk",
    ],
)  # fmt: skip
def test_a_header_that_leads_out_of_its_folder_is_refused(tmp_path: Path, line: str) -> None:
    mne()
    brainvision(tmp_path)
    path = tmp_path / "a.vhdr"
    key = "MarkerFile" if line.startswith("M") else "DataFile"
    header = path.read_text(encoding="utf-8")
    path.write_text(header.replace(f"{key}=a.{'vmrk' if key[0] == 'M' else 'eeg'}", line), "utf-8")
    with pytest.raises(RecordingError, match="samples or markers are not beside it"):
        read_mne(path)


def eeglab(path: Path, data: Any) -> Path:
    """A .set of two channels, whose samples are `data` or in the file of that name."""
    labels = np.array([("Cz",), ("O1",)], dtype=[("labels", "O")])
    events = np.array([("S1", 251.0)], dtype=[("type", "O"), ("latency", "O")])
    eeg = {
        "data": data, "srate": RATE_HZ, "nbchan": 2, "pnts": 1000, "trials": 1, "xmin": 0.0,
        "chanlocs": labels, "event": events, "setname": "a", "epoch": [], "icawinv": [],
        "icasphere": [], "icaweights": [], "ref": "common",
    }  # fmt: skip
    savemat(path, {"EEG": eeg})
    return path


def test_samples_of_eeglab_are_read_from_its_own_folder_alone(tmp_path: Path) -> None:
    mne()
    values = RNG.normal(0, 30, (2, 1000)).astype(np.float32)
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.fdt").write_bytes(values.T.tobytes())
    signal = read_mne(eeglab(tmp_path / "in" / "a.set", "in.fdt")).signals["eeg"]
    np.testing.assert_allclose(signal.samples[:], values.T, rtol=2**-22)
    # A folder that is reached by a link is its own.
    (tmp_path / "linked").symlink_to(tmp_path / "in")
    assert read_mne(tmp_path / "linked" / "a.set").signals["eeg"].sample_count == 1000
    for name in ("../out/out.fdt", str(tmp_path / "out" / "out.fdt")):
        with pytest.raises(RecordingError, match=r"not beside it.*out\.fdt"):
            read_mne(eeglab(tmp_path / "in" / "b.set", name))


def test_eeglab_gives_its_channels_and_events(tmp_path: Path) -> None:
    mne()
    values = RNG.normal(0, 30, (2, 1000)).astype(np.float32)
    recording = read_mne(eeglab(tmp_path / "a.set", values))
    signal = recording.signals["eeg"]
    assert (signal.channel_names, signal.rate_hz) == (("Cz", "O1"), RATE_HZ)
    np.testing.assert_allclose(signal.samples[:], values.T, rtol=2**-22)
    # Latencies count from 1.
    assert [(event.onset_s, event.description) for event in recording.events] == [(1.0, "S1")]


def test_what_holds_nothing_of_use_is_refused_by_its_channels(tmp_path: Path) -> None:
    package = mne()
    info = package.create_info(["ECG", "RESP"], RATE_HZ, ["ecg", "resp"])
    raw = package.io.RawArray(np.zeros((2, 1000)), info, verbose="ERROR")
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    with pytest.raises(RecordingError, match=r"no EEG, EDA or PPG.*got ECG \(ecg\), RESP \(resp\)"):
        read_mne(tmp_path / "a_raw.fif")


def test_a_header_without_its_samples_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    mne()
    brainvision(tmp_path)
    (tmp_path / "a.eeg").unlink()
    with pytest.raises(RecordingError, match=r"cannot be read by MNE.*lie beside it"):
        read_mne(tmp_path / "a.vhdr")
    (tmp_path / "a.fif").write_bytes(bytes(100))
    with pytest.raises(RecordingError, match="cannot be read by MNE"):
        read_mne(tmp_path / "a.fif")
    with pytest.raises(RecordingError, match="There is no file"):
        read_mne(tmp_path / "nowhere.fif")
    with pytest.raises(RecordingError, match=r"cannot be read.*import csv"):
        read_mne(write(tmp_path / "a.csv", "time,PPG\n0,1\n"))


def test_without_mne_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brainvision(tmp_path)
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[mne\]'"):
        read_mne(tmp_path / "a.vhdr")
