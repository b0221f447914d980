"""validate lists everything that is wrong with a session; inspect says what it holds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from emodict.recording.recording import Event, FaceVideo, Recording, Signal, Trials
from emodict.recording.session import write_session
from emodict_desk.importers.e4 import read_e4
from emodict_desk.recordings.summary import inspect_session
from emodict_desk.recordings.validate import validate_session

# The headset's 18 channels in the data set's paper (Yang et al., Scientific Data 11:847, 2024).
CHANNELS = (
    *("P3", "C3", "F3", "Fz", "F4", "C4", "P4", "Cz", "Fp1"),
    *("Fp2", "T3", "T5", "O1", "O2", "F7", "F8", "T6", "T4"),
)
SECONDS = 20


def noise(
    modality: str, rate_hz: float, unit: str, channels: tuple[str, ...], **fields: Any
) -> Signal:
    samples = np.random.default_rng(5).normal(size=(round(SECONDS * rate_hz), len(channels)))
    return Signal(modality, rate_hz, unit, channels, samples.astype(np.float32), **fields)


@pytest.fixture
def flawless(tmp_path: Path) -> Path:
    """A session with nothing wrong in it."""
    path = tmp_path / "s.h5"
    recording = Recording(
        "sitting",
        "anna",
        {
            "eeg": noise("eeg", 300.0, "uV", CHANNELS),
            "gsr": noise("gsr", 4.0, "uS", ("gsr",)),
            "ppg": noise("ppg", 100.0, "a.u.", ("ppg",)),
        },
        face=FaceVideo(np.arange(20.0), embedding=np.ones((20, 32), np.float32)),
        trials=Trials(
            np.array([0.0, 10.0]),
            np.array([10.0, 20.0]),
            ("first", "second"),
            np.eye(2),
            ("Alert", "Upset"),
        ),
        events=(Event(1.0, 1, "button"),),
        start_time="2024-05-01T09:30:00Z",
    )
    write_session(recording, path)
    return path


def changed(path: Path, change: Callable[..., Any]) -> list[Any]:
    with h5py.File(path, "r+") as file:
        change(file)
    return [
        (finding.severity, f"{finding.where}: {finding.message}")
        for finding in validate_session(path)
    ]


def replace(file: h5py.File, name: str, data: list[Any] | np.ndarray) -> None:
    del file[name]
    file[name] = data


def fill(
    file: h5py.File,
    modality: str,
    value: float,
    rows: int | slice = slice(None),
    column: int | slice = slice(None),
) -> None:
    data = file[f"signals/{modality}/data"]
    samples = data[:]
    samples[rows, column] = value
    data[:] = samples


def test_a_good_session_has_no_findings(flawless: Path) -> None:
    assert validate_session(flawless) == []


CASES = [
    (lambda f: f["signals/eeg"].attrs.update(reference="Pz"), None, ""),
    (
        lambda f: f["signals/eeg"].attrs.update(reference="A1A2"),
        "warning",
        "reference is 'A1A2'.*against Pz",
    ),
    (lambda f: f["signals/eeg"].attrs.update(units="mV"), None, ""),
    (lambda f: f["signals/eeg"].attrs.update(units="µV"), None, ""),
    (
        lambda f: f["signals/eeg"].attrs.update(units="uS"),
        "error",
        "/signals/eeg: the unit.*got 'uS'",
    ),
    (
        lambda f: f["signals/ppg"].attrs.update(units="V"),
        "error",
        r"/signals/ppg: the unit.*a\.u\..*'V'",
    ),
    (
        lambda f: f["signals/gsr"].attrs.update(units="kOhm"),
        "error",
        "/signals/gsr: the unit.*'kOhm'",
    ),
    (lambda f: f["signals/gsr"].attrs.update(sampling_rate=1.0), "warning", "1 Hz is too slow"),
    (lambda f: f["signals/eeg"].attrs.__delitem__("units"), "error", "has no attribute 'units'"),
    (lambda f: f.attrs.__delitem__("device"), "warning", "/: attribute device missing"),
    (
        lambda f: f.attrs.update(start_time="1st of May"),
        "warning",
        "not an ISO 8601 time.*1st of May",
    ),
    (lambda f: fill(f, "gsr", np.nan), "error", "/signals/gsr: every sample is NaN"),
    (lambda f: fill(f, "eeg", np.nan, column=7), "warning", "only NaN in channel Cz"),
    (lambda f: fill(f, "eeg", 3.0, column=1), "warning", "flat most of the time.*channel C3"),
    (lambda f: fill(f, "ppg", np.inf, rows=5), "warning", "infinite samples in channel ppg"),
    (
        lambda f: fill(f, "ppg", np.nan, rows=slice(0, 500)),
        "warning",
        "ppg: 25.0% of the samples are missing",
    ),
    (
        lambda f: replace(f, "signals/gsr/data", np.ones((16, 1))),
        "error",
        "gsr: is 4 s long.*at least 5 s",
    ),
    (
        lambda f: f.create_group("signals/temp"),
        "warning",
        "/signals/temp: no model of emodict-1 uses it",
    ),
    (
        lambda f: replace(f, "trials/stop", [10.0, 25.0]),
        "error",
        r"'second' \(10 s to 25 s\) lies outside.*20 s",
    ),
    # A trial may end a second after the recording.
    (lambda f: replace(f, "trials/stop", [10.0, 21.0]), None, ""),
    (lambda f: replace(f, "trials/stop", [10.0, 21.001]), "error", "'second' .* lies outside"),
    (lambda f: replace(f, "trials/start", [-3.0, 10.0]), "error", "'first' .* lies outside"),
    (lambda f: replace(f, "trials/start", [-0.001, 10.0]), "error", "'first' .* lies outside"),
    (lambda f: replace(f, "trials/distribution", [[1.0, 0.0009], [0.0, 1.0]]), None, ""),
    (
        lambda f: replace(f, "trials/distribution", [[1.0, 0.0011], [0.0, 1.0]]),
        "error",
        "trial 'first' is not a distribution.*sum 1.0011",
    ),
    (
        lambda f: replace(f, "trials/stop", [12.5, 20.0]),
        "error",
        "'first' and 'second' overlap.*first stops at 12.5 s, the second starts at 10 s",
    ),
    (
        lambda f: replace(f, "trials/stop", [10.0, 9.0]),
        "error",
        "trial 'second' does not stop after it starts.*got 10 to 9",
    ),
    (
        lambda f: replace(f, "trials/trial_id", [b"film", b"film"]),
        "warning",
        "2 trials share the id 'film'",
    ),
    (lambda f: f.__delitem__("trials/trial_id"), "error", "/trials: has no dataset 'trial_id'"),
    (
        lambda f: f["trials"].attrs.update(label_names=["a", "a"]),
        "error",
        "label name is there twice: a a",
    ),
    (lambda f: replace(f, "events/onset", [np.nan]), "error", "/events: an onset is not a finite"),
    (lambda f: f.__delitem__("events/code"), "error", "/events: cannot be read.*code"),
    (
        lambda f: replace(f, "video/face/embedding", np.ones((20, 8))),
        "error",
        "8 numbers a frame. Expected 32",
    ),
    (
        lambda f: f.__delitem__("video/face/timestamps"),
        "error",
        "/video/face: timestamps and data disagree",
    ),
    (lambda f: f["video/face"].attrs.update(color_order="GRB"), "error", "color_order is 'GRB'"),
]


@pytest.mark.parametrize(
    ("change", "severity", "sentence"), CASES, ids=[c[2] or f"fine{i}" for i, c in enumerate(CASES)]
)
def test_each_fault_is_found_and_named(
    flawless: Path, change: Callable[..., Any], severity: str | None, sentence: str
) -> None:
    findings = changed(flawless, change)
    if severity is None:
        assert findings == []
        return
    assert severity in [found for found, _ in findings]
    assert any(found == severity and re.search(sentence, text) for found, text in findings), (
        findings
    )


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([0.6, 0.6], "sum 1.2, smallest 0.6"),
        ([-0.5, 1.5], "sum 1, smallest -0.5"),
        ([np.nan, 1], "sum nan"),
    ],
)
def test_a_label_row_that_is_no_distribution_is_named_with_its_trial(
    flawless: Path, row: list[Any], says: str
) -> None:
    findings = changed(flawless, lambda f: replace(f, "trials/distribution", [[0.0, 1.0], row]))
    assert len(findings) == 1
    assert findings[0][1].startswith(
        "/trials: the label row of trial 'second' is not a distribution"
    )
    assert says in findings[0][1]


def test_a_label_row_within_a_thousandth_of_one_is_good(flawless: Path) -> None:
    assert (
        changed(
            flawless, lambda f: replace(f, "trials/distribution", [[0.0, 1.0], [0.3333, 0.6664]])
        )
        == []
    )


def test_missing_channels_are_named(flawless: Path) -> None:
    def change(file: h5py.File) -> None:
        replace(file, "signals/eeg/data", np.random.default_rng(1).normal(size=(6000, 16)))
        file["signals/eeg"].attrs["channel_names"] = [n for n in CHANNELS if n not in ("O1", "T6")]

    (finding,) = changed(flawless, change)
    assert finding[0] == "warning"
    assert "2 of the 18 channels of emodict-1 missing: O1 T6" in finding[1]


def test_todays_channel_names_are_the_headsets_own(flawless: Path) -> None:
    today = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    names = [f"EEG {today.get(name, name)}-Pz" for name in CHANNELS]
    assert changed(flawless, lambda f: f["signals/eeg"].attrs.update(channel_names=names)) == []


def test_gaps_of_the_sequence_counter_are_counted_as_missing(flawless: Path) -> None:
    # 1900 of 2000 numbers arrived: 5 % lost.
    def change(file: h5py.File) -> None:
        replace(file, "signals/ppg/data", np.random.default_rng(1).normal(size=(1900, 1)))
        file["signals/ppg/sequence"] = np.r_[np.arange(1000), np.arange(1100, 2000)]

    assert changed(flawless, change) == [
        (
            "warning",
            "/signals/ppg: 5.0% of the samples are missing; "
            "windows that touch a gap give no result.",
        )
    ]


def test_timestamps_that_belie_the_rate_are_a_warning(flawless: Path) -> None:
    findings = changed(
        flawless, lambda f: f["signals/ppg"].create_dataset("timestamps", data=np.arange(2000) / 64)
    )
    assert any(
        "sampling_rate is 100 Hz, but the timestamps come at 64 Hz" in text for _, text in findings
    )


def test_timestamps_rounded_to_milliseconds_do_not_belie_the_rate(flawless: Path) -> None:
    # At 75 Hz the steps are 13 and 14 ms, and the middle one says 76.9 Hz.
    def change(file: Any) -> None:
        file["signals/ppg"].attrs["sampling_rate"] = 75.0
        file["signals/ppg"].create_dataset("timestamps", data=(np.arange(2000) / 75).round(3))

    assert not any("timestamps come at" in text for _, text in changed(flawless, change))


def test_of_times_that_cannot_be_the_command_that_repairs_them_is_named(flawless: Path) -> None:
    findings = changed(
        flawless,
        lambda f: f["signals/ppg"].create_dataset("timestamps", data=np.arange(2000) + 1.7e9),
    )
    assert [
        text
        for _, text in findings
        if "not Unix time" in text and "emodict-session repair may do it" in text
    ]


def test_many_faults_are_all_listed_errors_first(flawless: Path) -> None:
    def change(file: h5py.File) -> None:
        file["signals/eeg"].attrs["sampling_rate"] = 0.0
        file["signals/eeg"].attrs["channel_names"] = ["Cz", *CHANNELS[1:]]
        fill(file, "eeg", np.nan)
        file["signals/gsr"].attrs["units"] = "lux"
        file["signals/ppg/timestamps"] = np.r_[np.arange(1999), 3.0]
        file["signals/ppg/sequence"] = np.zeros(2000)
        del file["signals/gsr"].attrs["sampling_rate"]
        replace(file, "trials/distribution", [[1.0, 1.0], [-1.0, 2.0]])
        file["video/face"].attrs["color_order"] = "GRAY"

    findings = changed(flawless, change)
    text = "\n".join(sentence for _, sentence in findings)
    for expected in (
        "/signals/eeg: the sampling rate cannot be used",
        "/signals/eeg: channel CZ is there twice",
        "channels of emodict-1 missing: P3",
        "/signals/eeg: every sample is NaN",
        "/signals/gsr: the unit cannot be used",
        "/signals/gsr: has no attribute 'sampling_rate'",
        "/signals/ppg: the values of timestamps stand still or run back at sample 1999",
        "/signals/ppg: the values of sequence stand still or run back at sample 1",
        "trial 'first' is not a distribution (2 such rows). "
        "Expected non-negative numbers that sum to 1, got sum 2",
        "trial 'second' is not a distribution (2 such rows). "
        "Expected non-negative numbers that sum to 1, got sum 1, "
        "smallest -1",
        "color_order is 'GRAY'",
    ):
        assert expected in text
    severities = [severity for severity, _ in findings]
    assert severities == sorted(severities)
    assert len(findings) == len(set(findings))


def test_a_file_that_cannot_be_opened_is_one_error(flawless: Path, tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("no session")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(flawless.read_bytes()[:-500])
    for path in (text, cut, tmp_path / "nowhere.h5"):
        assert [finding.severity for finding in validate_session(path)] == ["error"]
    (version,) = changed(flawless, lambda f: f.attrs.update(format_version=9))
    assert "format_version 1, got 9" in version[1]


def test_a_damaged_chunk_is_an_error_of_its_signal_only(flawless: Path) -> None:
    with h5py.File(flawless) as file:
        chunk = file["signals/ppg/data"].id.get_chunk_info(1)
    with flawless.open("r+b") as handle:
        handle.seek(chunk.byte_offset)
        handle.write(b"\0" * chunk.size)
    (finding,) = validate_session(flawless)
    assert (finding.severity, finding.where) == ("error", "/signals/ppg")
    assert "cannot be read" in finding.message


def test_an_empty_session_is_an_error(tmp_path: Path) -> None:
    write_session(Recording("s", "p", {}), tmp_path / "s.h5")
    assert [finding.where for finding in validate_session(tmp_path / "s.h5")] == ["/signals"]


def test_inspect_says_what_was_written(flawless: Path) -> None:
    summary = inspect_session(flawless)
    assert (summary.session_id, summary.subject_id, summary.duration_s) == ("sitting", "anna", 20.0)
    assert (summary.face_form, summary.face_frames) == ("embedding", 20)
    assert (summary.trials, summary.label_names, summary.events) == (2, ("Alert", "Upset"), 1)
    eeg = {signal.modality: signal for signal in summary.signals}["eeg"]
    assert (eeg.rate_hz, eeg.unit, eeg.channel_names, eeg.samples) == (300.0, "uV", CHANNELS, 6000)
    assert (eeg.start_s, eeg.stop_s, eeg.missing_share, eeg.flat_share) == (0.0, 20.0, 0.0, 0.0)


def test_inspect_counts_missing_and_flat_by_arithmetic(flawless: Path) -> None:
    with h5py.File(flawless, "r+") as file:
        fill(file, "gsr", np.nan, rows=slice(0, 8))  # 2 of 20 s
        fill(file, "gsr", 1.5, rows=slice(40, 60))  # 5 of 20 s
    gsr = {signal.modality: signal for signal in inspect_session(flawless).signals}["gsr"]
    assert gsr.missing_share == pytest.approx(0.1)
    assert gsr.flat_share == 0.25


def test_a_real_wristband_recording_is_good(shared_data: Path, tmp_path: Path) -> None:
    write_session(read_e4(shared_data / "e4_stress_predict_S01"), tmp_path / "s.h5")
    assert [
        finding for finding in validate_session(tmp_path / "s.h5") if finding.severity == "error"
    ] == []


_PEAK = """
import sys
from pathlib import Path
from emodict_desk.recordings.validate import validate_session
from emodict_desk.recordings.summary import inspect_session
assert validate_session(sys.argv[1]) == []
inspect_session(sys.argv[1])
# Not ru_maxrss: that one remembers the peak of the process that this one was forked from.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def test_an_hour_of_recording_stays_far_below_its_own_size_in_memory(tmp_path: Path) -> None:
    class Hour:
        shape = (3600 * 300, 18)

        def __getitem__(self, rows: slice) -> np.ndarray:
            count = len(range(*rows.indices(self.shape[0])))
            return np.random.default_rng(rows.start).normal(size=(count, 18)).round()

    write_session(
        Recording("s", "p", {"eeg": Signal("eeg", 300.0, "uV", CHANNELS, Hour())}),
        tmp_path / "s.h5",
    )
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, str(tmp_path / "s.h5")],
        capture_output=True,
        text=True,
        check=True,
    )
    # The samples alone are 78 MB as float32 and 156 MB as float64;
    # Python with numpy and h5py is about 50 MB.
    assert int(run.stdout) < 120 * 1024
