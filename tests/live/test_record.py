"""record: a live source kept without a model, and the command that does it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emodict.cli.options import SourceOptions
from emodict.errors import InputError
from emodict.features.spec import load_spec
from emodict.live.lsl_streams import Channel, pick
from emodict.live.source import Chunk, LiveStream
from emodict.recording.session import open_session
from emodict_desk.cli.record import RecordRequest, _of_all_electrodes, record_session
from emodict_desk.recordings.record import StreamCount

pytest.importorskip("brainflow", reason="needs the extra 'brainflow'")

COMMAND = """
import typer
from emodict.cli.app import new_app, run_app
from emodict_desk.cli.record import add_record_command
def build():
    app = new_app("")
    app.callback()(lambda: None)
    add_record_command(app)
    return app
run_app(build, "emodict-session")
"""


def command(*words: Any) -> list[str]:
    return [sys.executable, "-c", COMMAND, "record", *map(str, words)]


def start_recording(out: Path) -> tuple[Any, int]:
    """A recording of the synthetic board, and how many samples of EEG it said that it has."""
    words = ("--live", "brainflow:SYNTHETIC_BOARD", "-o", out, "--subject", "P07")
    process = subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in iter(process.stdout.readline, ""):
        if said := re.search(r"eeg (\d+) samples", line):
            return process, int(said[1])
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_recording_cleanly(tmp_path: Path, how: Any) -> None:
    process, heard = start_recording(tmp_path / "s.h5")
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Wrote" in out
    with open_session(tmp_path / "s.h5") as recording:
        assert set(recording.signals) == {"eeg", "ppg", "gsr"}
        assert (recording.subject_id, recording.simulated) == ("P07", True)
        assert "recording" not in recording.attributes
        assert recording.signals["eeg"].sample_count >= heard > 0


def test_nothing_recorded_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "port").touch()
    words = (
        "--live",
        "brainflow:CYTON",
        "--board",
        f"serial_port={tmp_path}/port",
        "--seconds",
        "1.5",
    )
    done = subprocess.run(
        command(*words, "-o", tmp_path / "n.h5"), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "has brought no samples" in done.stderr
    assert not (tmp_path / "n.h5").exists()


def test_gaps_and_the_rate_are_counted() -> None:
    count = StreamCount(LiveStream("gsr", 4.0, ("gsr",), "uS"))
    for start in range(0, 40, 4):
        times_s = np.arange(start, start + 4) / 4
        count.add(Chunk("gsr", np.zeros((4, 1)), times_s))
    assert (count.samples, count.gaps) == (40, 0)
    assert count.measured_hz == pytest.approx(4.0)
    count.add(Chunk("gsr", np.zeros((4, 1)), 13.0 + np.arange(4) / 4))
    # The last sample was at 9.75 s, the next is at 13 s: 3.25 s apart instead of 0.25.
    assert (count.gaps, count.missing_s) == (1, pytest.approx(3.0))


@pytest.mark.parametrize(("slow_s", "measured_hz"), [(9, (9 * 2 + 4) / 10), (10, 2.0)])
def test_the_rate_is_that_of_the_last_ten_seconds(slow_s: Any, measured_hz: Any) -> None:
    count = StreamCount(LiveStream("gsr", 4.0, ("gsr",), "uS"))
    for second in range(20 + slow_s):
        samples = 4 if second < 20 else 2
        count.add(Chunk("gsr", np.zeros((samples, 1)), second + 1 - np.arange(samples)[::-1] / 4))
    assert count.measured_hz == pytest.approx(measured_hz)


def test_without_a_model_all_electrodes_of_an_lsl_stream_are_recorded() -> None:
    eeg = _of_all_electrodes(load_spec("emodict-1")).modality("eeg")
    channels = [Channel("AF7", "microvolts"), Channel("TP10", "microvolts"), Channel("Trigger")]
    assert pick(eeg, "Muse", channels).names == ("AF7", "TP10")
    assert pick(eeg, "Muse", channels).columns == (0, 1)


def test_channels_of_a_board_say_where_its_electrodes_are(tmp_path: Path) -> None:
    sensors = SourceOptions(live="brainflow:SYNTHETIC_BOARD", channels="Fz")
    with pytest.raises(
        InputError, match=r"channels names the places of its electrodes\. Expected 16 names, got 1"
    ):
        record_session(RecordRequest(sensors, tmp_path / "x.h5"))
    assert not (tmp_path / "x.h5").exists()
