"""SessionRecorder: everything is kept, a killed program loses 2 s at most,
and no disk stops the rows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from benchmarks.fixtures import resident_bytes

from emodict.errors import OutputError
from emodict.live import recorder as recorder_module
from emodict.live.recorder import SessionRecorder
from emodict.live.source import Chunk, Connected, Ended, LiveStream, Lost
from emodict.recording.recording import Recording
from emodict.recording.session import open_session, write_session
from emodict_desk.recordings.summary import inspect_session
from emodict_desk.recordings.validate import validate_session

SENDER = Path(__file__).with_name("recording_sender.py")
EEG = LiveStream("eeg", 300.0, ("Fz", "Cz"), "uV", "headset")
GSR = LiveStream("gsr", 4.0, ("gsr",), "uS", "wristband")
KILLS = 6
# What a killed program may lose: a second that waits to be written, and a second for the disk.
LOSS_S = 2.0
# On a machine whose processor and disk have other work to do.
# Who writes nothing before the end loses all 5.5 s.
BUSY_LOSS_S = 3.0
# What comes within seconds on a machine at rest; nothing that is right takes as long on any.
PATIENCE_S = 60.0
# When the sender's streams appear.
STARTS = {("eeg", 300.0): 0.0, ("gsr", 4.0): 0.3, ("ppg", 100.0): 0.7, ("eeg", 250.0): 1.6}


def chunk(stream: LiveStream, start_s: float, stop_s: float, *, at: int = 0) -> Chunk:
    """Samples numbered from `at`, one more in each channel."""
    count = round((stop_s - start_s) * stream.rate_hz)
    numbers = np.arange(count)
    samples = at + numbers[:, None] + np.arange(len(stream.channel_names))
    return Chunk(stream.modality, samples.astype(float), start_s + numbers / stream.rate_hz)


def sent_lines(process: Any) -> dict[Any, Any]:
    """{(modality, rate): samples handed over}."""
    sent = {}
    for line in process.stdout.read().splitlines():
        words = line.split()
        if len(words) == 3:
            sent[words[0], float(words[1])] = int(words[2])
    return sent


def start_sender(out: Path) -> Any:
    return subprocess.Popen([sys.executable, SENDER, str(out)], stdout=subprocess.PIPE, text=True)


def check_counters(
    recording: Recording, sent: dict[Any, Any], starts: dict[tuple[str, float], float]
) -> float:
    """Every stream is there but for its last 2 s, each sample being its number;
    the shortfalls in seconds.
    """
    short_s = []
    by_rate = {
        (signal.modality.partition("_")[0], signal.rate_hz): signal
        for signal in recording.signals.values()
    }
    for (modality, rate_hz), count in sent.items():
        signal = by_rate.get((modality, rate_hz))
        kept = 0 if signal is None else signal.sample_count
        short_s.append((count - kept) / rate_hz)
        if signal is None:
            continue
        channels = len(signal.channel_names)
        wanted = np.arange(kept)[:, None] + 0.25 * np.arange(channels)
        np.testing.assert_array_equal(signal.read(0, kept), wanted.astype(np.float32))
        np.testing.assert_array_equal(
            signal.timestamps_s, starts[modality, rate_hz] + np.arange(kept) / rate_hz
        )
    return max(short_s, default=0.0)


def kill_one(out: Path, after_s: float) -> float:
    """A recording in real time, killed after so long:
    the seconds that were handed over and are not in the file.
    """
    process = start_sender(out)
    first = process.stdout.readline()
    time.sleep(after_s)
    process.kill()
    sent = sent_lines(process)
    process.wait()
    process.stdout.close()
    assert first
    with open_session(out) as recording:
        assert recording.subject_id == "counter"
        assert recording.attributes["recording"].startswith("cut off")
        return check_counters(recording, sent, STARTS)


def test_killed_at_any_moment_all_but_the_last_seconds_can_be_read(tmp_path: Path) -> None:
    """A few times: `make kill` does it more often, and holds it to its 2 s."""
    delays_s = np.linspace(0.0, 5.5, KILLS)
    with ThreadPoolExecutor(KILLS) as threads:
        short_s = list(
            threads.map(kill_one, [tmp_path / f"{i}.h5" for i in range(KILLS)], delays_s)
        )
    assert len(short_s) == KILLS
    assert max(short_s) <= BUSY_LOSS_S, sorted(short_s)


def test_each_second_is_on_the_disk_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "FLUSH_EVERY_S", 0.02)
    out, after_a_power_cut = tmp_path / "now.h5", tmp_path / "cut.h5"
    real, held = os.fdatasync, []

    def fdatasync(descriptor: int) -> None:
        real(descriptor)
        # What is on the disk for sure.
        shutil.copy(out, after_a_power_cut)
        with open_session(after_a_power_cut) as recording:
            held.append(recording.signals["gsr"].sample_count if "gsr" in recording.signals else 0)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with SessionRecorder(out, start_s=0.0) as recorder:
        recorder.keep(Connected(GSR, 0.0))
        recorder.keep(chunk(GSR, 0.0, 5.0))
        deadline_s = time.monotonic() + PATIENCE_S
        while (not held or held[-1] < 20) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert held[-1] == 20


def test_it_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    out = tmp_path / "now.h5"
    process = start_sender(out)
    try:
        process.stdout.readline()
        end_s = time.monotonic() + PATIENCE_S
        while not {"eeg", "gsr", "ppg"} <= {
            signal.modality for signal in inspect_session(out).signals
        }:
            assert time.monotonic() < end_s
            time.sleep(0.1)
        assert inspect_session(out).attributes["recording"].startswith("still going on")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_clean_end_gives_a_normal_session(tmp_path: Path) -> None:
    out = tmp_path / "clean.h5"
    with SessionRecorder(
        out, start_s=100.0, start_unix_s=1_700_000_000.25, subject_id="P07", simulated=True
    ) as recorder:
        recorder.keep(Connected(EEG, 100.0))
        recorder.keep(Connected(GSR, 100.5))
        recorder.keep(chunk(EEG, 100.0, 110.0))
        recorder.keep(chunk(GSR, 100.5, 110.5, at=7))
        recorder.note(104.0, "film 1 starts")
        recorder.keep(Lost("gsr", 109.0, "out of reach"))
        recorder.keep(Ended("eeg"))
    assert recorder.failure is None
    with h5py.File(out, "r") as file:
        assert not file.swmr_mode
    with open_session(out) as recording:
        assert (recording.session_id, recording.subject_id) == ("clean", "P07")
        assert (recording.start_time, recording.device) == (
            "2023-11-14T22:13:20.250000Z",
            "headset, wristband",
        )
        assert recording.simulated
        assert "recording" not in recording.attributes
        eeg, gsr = recording.signals["eeg"], recording.signals["gsr"]
        assert (eeg.rate_hz, eeg.unit, eeg.channel_names, eeg.sample_count) == (
            300.0,
            "uV",
            ("Fz", "Cz"),
            3000,
        )
        np.testing.assert_array_equal(eeg.read(0, 3000), np.arange(3000)[:, None] + [[0, 1]])
        # Seconds of 110, less 100: rounded by 1.4e-14 each time.
        np.testing.assert_allclose(eeg.timestamps_s, np.arange(3000) / 300, rtol=0, atol=1e-13)
        # Quarters are exact.
        np.testing.assert_array_equal(gsr.timestamps_s, 0.5 + np.arange(40) / 4)
        np.testing.assert_array_equal(gsr.read(0, 40)[:, 0], 7 + np.arange(40))
        assert [(event.onset_s, event.description) for event in recording.events] == [
            (0.0, "eeg connected from headset: 300 Hz, 2 channels"),
            (0.5, "gsr connected from wristband: 4 Hz, 1 channel"),
            (4.0, "film 1 starts"),
            (9.0, "gsr lost: out of reach"),
            (pytest.approx(10 - 1 / 300), "eeg ended"),
        ]
        write_session(recording, tmp_path / "copy.h5")
    assert not [f for f in validate_session(out) if f.severity == "error"]
    assert inspect_session(tmp_path / "copy.h5").signals == inspect_session(out).signals


def test_a_stream_that_appears_late_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "FLUSH_EVERY_S", 0.05)
    out = tmp_path / "late.h5"
    with SessionRecorder(out, start_s=0.0) as recorder:
        bytes_of_nothing = out.stat().st_size
        recorder.keep(Connected(EEG, 0.0))
        recorder.keep(chunk(EEG, 0.0, 5.0))
        end_s = time.monotonic() + PATIENCE_S
        while out.stat().st_size == bytes_of_nothing:
            assert time.monotonic() < end_s
            time.sleep(0.02)
        recorder.keep(Connected(GSR, 5.0))
        recorder.keep(chunk(GSR, 5.0, 10.0))
        recorder.keep(chunk(EEG, 5.0, 10.0, at=1500))
    with open_session(out) as recording:
        eeg, gsr = recording.signals["eeg"], recording.signals["gsr"]
        np.testing.assert_array_equal(eeg.read(0, 4000)[:, 0], np.arange(3000))
        assert (gsr.start_s, gsr.sample_count) == (5.0, 20)


def test_a_stream_that_comes_back_at_another_rate_goes_on_in_a_signal_of_its_own(
    tmp_path: Path,
) -> None:
    slower = LiveStream("eeg", 250.0, EEG.channel_names, "uV", "headset")
    with SessionRecorder(tmp_path / "rates.h5", start_s=0.0) as recorder:
        for stream, start_s, at in ((EEG, 0.0, 0), (slower, 6.0, 0), (EEG, 12.0, 1500)):
            recorder.keep(Connected(stream, start_s))
            recorder.keep(chunk(stream, start_s, start_s + 5.0, at=at))
            recorder.keep(Lost("eeg", start_s + 5.0))
    with open_session(tmp_path / "rates.h5") as recording:
        assert {name: (s.rate_hz, s.sample_count) for name, s in recording.signals.items()} == {
            "eeg": (300.0, 3000),
            "eeg_2": (250.0, 1250),
        }
        eeg = recording.signals["eeg"]
        np.testing.assert_array_equal(eeg.read(0, 3000)[:, 0], np.arange(3000))
        assert eeg.timestamps_s[1500] == 12.0
        assert recording.signals["eeg_2"].start_s == 6.0


def test_samples_out_of_order_are_left_out_and_said(tmp_path: Path) -> None:
    with SessionRecorder(tmp_path / "back.h5", start_s=0.0) as recorder:
        recorder.keep(Connected(GSR, 0.0))
        recorder.keep(chunk(GSR, 0.0, 5.0))
        recorder.keep(chunk(GSR, 4.0, 6.0, at=16))
    with open_session(tmp_path / "back.h5") as recording:
        np.testing.assert_array_equal(recording.signals["gsr"].read(0, 30)[:, 0], np.arange(24))
        assert recording.events[-1].description == "4 samples out of order left out of gsr"


def test_faces_and_missing_samples_are_kept(tmp_path: Path) -> None:
    face = LiveStream("video", 1.0, tuple(f"f{i}" for i in range(72)), "hog", "camera 0")
    rows = np.arange(3 * 72.0).reshape(3, 72)
    rows[1] = np.nan
    with SessionRecorder(tmp_path / "face.h5", start_s=0.0) as recorder:
        recorder.keep(Connected(face, 0.0))
        recorder.keep(Chunk("video", rows, np.arange(3.0)))
    with open_session(tmp_path / "face.h5") as recording:
        assert recording.face.features == "hog"
        np.testing.assert_array_equal(recording.face.embedding[:], rows)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "old.h5"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="it exists"):
        SessionRecorder(out, start_s=0.0)
    assert out.read_bytes() == b"precious"
    with pytest.raises(OutputError, match="folder that exists"):
        SessionRecorder(tmp_path / "nowhere" / "new.h5", start_s=0.0)


def test_of_two_that_start_on_one_name_the_second_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "one.h5"
    # Both look, and see no file, before either has made it.
    monkeypatch.setattr(Path, "exists", lambda self: False)
    with SessionRecorder(out, start_s=0.0) as recorder:
        with pytest.raises(OutputError, match="File exists"):
            SessionRecorder(out, start_s=0.0)
        recorder.keep(Connected(GSR, 0.0))
        recorder.keep(chunk(GSR, 0.0, 5.0))
    monkeypatch.undo()
    with open_session(out) as recording:
        assert recording.signals["gsr"].sample_count == 20


FULL_DISK = """
import resource, sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
from recording_sender import PLAN, counters
import numpy as np
from emodict.live import recorder as recorder_module
from emodict.live.recorder import SessionRecorder
from emodict.live.source import Chunk, Connected
stream = PLAN[0][1]
out = Path(sys.argv[1])
recorder_module.FLUSH_EVERY_S = 0.1
recorder = SessionRecorder(out, start_s=0.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
recorder.keep(Connected(stream, 0.0))
slowest_s = 0.0
for second in range(600):
    numbers = np.arange(second * 300, second * 300 + 300)
    began_s = time.perf_counter()
    recorder.keep(Chunk("eeg", counters(second * 300, second * 300 + 300, 3), numbers / 300))
    slowest_s = max(slowest_s, time.perf_counter() - began_s)
    time.sleep(0.004)
recorder.close()
print(recorder.failure)
print(slowest_s)
"""


def test_a_full_disk_ends_the_recording_with_one_sentence_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "full.h5"
    script = FULL_DISK.format(folder=str(SENDER.parent))
    done = subprocess.run(
        [sys.executable, "-c", script, out], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    failure, slowest_s = done.stdout.splitlines()
    assert failure.startswith(f"Recording {out} stopped: File too large")
    # logging's last resort: the sentence, once.
    assert done.stderr.strip() == failure
    # To hand a chunk over takes microseconds; a busy machine's scheduler is what this allows for.
    # Who waits for a disk that takes nothing waits for ever.
    assert float(slowest_s) < 5.0
    with open_session(out) as recording:
        eeg = recording.signals["eeg"]
        assert eeg.sample_count > 300
        np.testing.assert_array_equal(
            eeg.read(0, eeg.sample_count)[:, 0], np.arange(eeg.sample_count)
        )


def test_a_disk_that_is_too_slow_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder_module, "MOST_WAITING_BYTES", 50_000)
    # As if the disk had not taken the first second yet.
    monkeypatch.setattr(recorder_module, "FLUSH_EVERY_S", 3600.0)
    with SessionRecorder(tmp_path / "slow.h5", start_s=0.0) as recorder:
        recorder.keep(Connected(EEG, 0.0))
        for second in range(20):
            recorder.keep(chunk(EEG, second, second + 1.0, at=300 * second))
    assert "the disk is too slow" in recorder.failure
    assert len(caplog.records) == 1


def test_a_patient_recorder_waits_rather_than_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MOST_WAITING_BYTES", 50_000)
    monkeypatch.setattr(recorder_module, "_WRITE_AT_BYTES", 20_000)
    with SessionRecorder(tmp_path / "patient.h5", start_s=0.0, patient=True) as recorder:
        recorder.keep(Connected(EEG, 0.0))
        for second in range(60):
            recorder.keep(chunk(EEG, second, second + 1.0, at=300 * second))
    assert recorder.failure is None
    with open_session(tmp_path / "patient.h5") as recording:
        np.testing.assert_array_equal(
            recording.signals["eeg"].read(0, 20_000)[:, 0], np.arange(18_000)
        )


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")

    with SessionRecorder(tmp_path / "long.h5", start_s=0.0, patient=True) as recorder:
        recorder.keep(Connected(EEG, 0.0))
        seen = []
        for minute in range(120):
            recorder.keep(chunk(EEG, minute * 60.0, minute * 60.0 + 60.0))
            if minute in (40, 119):
                seen.append(resident_bytes())
    # What may wait to be written, twice: queued, and being written.
    assert seen[1] - seen[0] < 2 * recorder_module._WRITE_AT_BYTES + (2 << 20)
