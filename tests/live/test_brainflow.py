"""BrainFlowSource against BrainFlow itself: its synthetic board,
a file played back, a board that stops.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("brainflow", reason="needs the extra 'brainflow'")

from emodict.errors import InputError
from emodict.features.spec import load_spec
from emodict.live.source import Chunk, Connected, Ended, Lost
from emodict_desk import boards
from emodict_desk.boards import find_board, import_brainflow
from emodict_desk.boards import source as brainflow_module
from emodict_desk.boards.source import BrainFlowSource

SPEC = load_spec("emodict-1")
# What comes within a second or two on a machine at rest;
# nothing that is right takes as long on any.
PATIENCE_S = 60.0
# fmt: off
SYNTHETIC_EEG = (
    "Fz", "C3", "Cz", "C4", "Pz", "PO7", "Oz", "PO8",
    "F5", "F7", "F3", "F1", "F2", "F4", "F6", "F8",
)
# fmt: on


def listen(
    source: BrainFlowSource,
    seconds: float = PATIENCE_S,
    *,
    until: Callable[..., Any] = lambda events: False,
) -> list[Any]:
    """All that happens until the end, until that is true of it, or in so many seconds."""
    events, stop_s = [], time.monotonic() + seconds
    while time.monotonic() < stop_s and not source.finished and not until(events):
        events += source.poll(0.05)
    return events


def streams(events: list[Any]) -> dict[Any, Any]:
    return {h.stream.modality: h.stream for h in events if isinstance(h, Connected)}


def has_samples(events: list[Any], modality: str) -> bool:
    return any(isinstance(h, Chunk) and h.modality == modality for h in events)


def all_three(events: list[Any]) -> bool:
    return set(streams(events)) == {"eeg", "ppg", "gsr"}


def lost_in(events: list[Any]) -> list[Any]:
    return [h for h in events if isinstance(h, Lost)]


def joined(events: list[Any], modality: str) -> tuple[np.ndarray, np.ndarray]:
    """(times, samples) of one modality."""
    chunks = [h for h in events if isinstance(h, Chunk) and h.modality == modality]
    return np.concatenate([c.times_s for c in chunks]), np.concatenate([c.samples for c in chunks])


@pytest.fixture(scope="module")
def synthetic() -> tuple[list[Any], float, float]:
    """Three seconds of the synthetic board: what events, and when it was entered and left."""
    with BrainFlowSource("synthetic", SPEC) as source:
        began_s = source.now_s()
        events = listen(source, 3.0)
        ended_s = source.now_s()
        assert not source.finished
        assert (source.name, source.simulated) == ("BrainFlow SYNTHETIC_BOARD", True)
    return events, began_s, ended_s


def test_the_synthetic_board_gives_eeg_ppg_and_gsr(
    synthetic: tuple[list[Any], float, float],
) -> None:
    found = streams(synthetic[0])
    assert set(found) == {"eeg", "ppg", "gsr"}
    assert (found["eeg"].rate_hz, found["eeg"].unit, found["eeg"].channel_names) == (
        250.0,
        "uV",
        SYNTHETIC_EEG,
    )
    assert (found["ppg"].unit, found["gsr"].unit) == ("a.u.", "uS")
    assert joined(synthetic[0], "eeg")[1].shape[1] == 16
    assert joined(synthetic[0], "gsr")[1].shape[1] == 1


def test_times_are_even_and_on_the_clock_of_this_machine(
    synthetic: tuple[list[Any], float, float],
) -> None:
    events, began_s, ended_s = synthetic
    times_s, _ = joined(events, "eeg")
    # The board sleeps between two samples, and a busy machine lets it sleep longer: how even times
    # become is tested in test_clock.py. Taken as they come, half of the steps would be next to
    # nothing, for samples come in pairs.
    steps_s = np.diff(times_s)
    assert (steps_s > 0).all()
    np.testing.assert_allclose(np.median(steps_s), 1 / 250, rtol=0.1)
    np.testing.assert_allclose(len(times_s), 250 * (times_s[-1] - times_s[0]) + 1, rtol=0.1)
    # Stamped where BrainFlow received them, seconds ago at the most; another clock is off by hours.
    assert began_s - 1 < times_s[0] < began_s + 5
    assert ended_s - 5 < times_s[-1] < ended_s + 1


def write_playback(path: Path, rows: np.ndarray) -> None:
    """A file as BrainFlow's DataFilter.write_file writes it, of the synthetic board."""
    np.savetxt(path, rows, fmt="%.6f", delimiter="\t")


@pytest.fixture
def recorded() -> np.ndarray:
    """(samples, columns) of the synthetic board, as BrainFlow itself gives them."""
    shim = import_brainflow()
    board = shim.BoardShim(shim.BoardIds.SYNTHETIC_BOARD, shim.BrainFlowInputParams())
    board.prepare_session()
    board.start_stream()
    end_s = time.monotonic() + PATIENCE_S
    while board.get_board_data_count() < 400:
        assert time.monotonic() < end_s
        time.sleep(0.05)
    rows = board.get_board_data().T
    board.stop_stream()
    board.release_session()
    return rows


def play(path: Path) -> tuple[list[Any], bool]:
    params = {"file": str(path), "master_board": "SYNTHETIC_BOARD"}
    with BrainFlowSource("PLAYBACK_FILE_BOARD", SPEC, params=params) as source:
        events = listen(source)
        return events, source.finished


def test_a_file_is_played_back_to_its_end(recorded: np.ndarray, tmp_path: Path) -> None:
    write_playback(tmp_path / "board.csv", recorded)
    events, finished = play(tmp_path / "board.csv")
    assert finished
    assert sorted(h.modality for h in events if isinstance(h, Ended)) == ["eeg", "gsr", "ppg"]
    descr = import_brainflow().BoardShim.get_board_descr(-1)
    for modality, column in (("eeg", descr["eeg_channels"][3]), ("gsr", descr["eda_channels"][0])):
        index = 3 if modality == "eeg" else 0
        # Six decimals are written.
        np.testing.assert_allclose(
            joined(events, modality)[1][:, index], recorded[:, column], rtol=0, atol=0.51e-6
        )


def test_lost_packages_leave_a_gap_as_long_as_the_counter_says(
    recorded: np.ndarray, tmp_path: Path
) -> None:
    # A third of a second is missing, and its packages with it.
    lost = slice(200, 283)
    write_playback(tmp_path / "lossy.csv", np.delete(recorded, lost, axis=0))
    events, finished = play(tmp_path / "lossy.csv")
    assert finished
    steps = np.diff(joined(events, "eeg")[0]) * 250
    gap = int(np.argmax(steps))
    assert gap == 199
    # 83 lost packages: 84 periods. Playback sleeps by the recorded stamps,
    # which jitter by a period.
    assert steps[gap] == pytest.approx(84, abs=0.5)
    assert np.delete(steps, gap).max() < 1.5


def multicast_works() -> bool:
    """Whether this machine hears its own multicast, which the streaming board needs."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
    ):
        try:
            ear.bind(("", 0))
            membership = socket.inet_aton("225.1.1.1") + socket.inet_aton("0.0.0.0")
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            ear.settimeout(1.0)
            mouth.sendto(b"heard?", ("225.1.1.1", ear.getsockname()[1]))
            return ear.recv(16) == b"heard?"
        except OSError:
            return False


def test_a_board_that_stops_is_lost_and_connected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    if not multicast_works():
        pytest.skip("no multicast on this machine")
    # Less than usual, and more than a busy machine keeps a board that runs waiting.
    monkeypatch.setattr(brainflow_module, "LOST_S", 2.0)
    monkeypatch.setattr(brainflow_module, "RETRY_S", (0.1,))
    shim = import_brainflow()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]

    # One object throughout: BrainFlow's, when it is collected,
    # releases whatever session is open under its parameters.
    board = shim.BoardShim(shim.BoardIds.SYNTHETIC_BOARD, shim.BrainFlowInputParams())

    def start() -> None:
        board.prepare_session()
        board.start_stream(45000, f"streaming_board://225.1.1.1:{port}")

    start()
    params = {"master_board": "SYNTHETIC_BOARD", "ip_address": "225.1.1.1", "ip_port": str(port)}
    try:
        with BrainFlowSource("STREAMING_BOARD", SPEC, params=params) as source:
            assert all_three(listen(source, until=all_three))
            board.release_session()
            stopped_s = source.now_s()
            lost = lost_in(listen(source, until=lambda events: len(lost_in(events)) == 3))
            assert sorted(h.modality for h in lost) == ["eeg", "gsr", "ppg"]
            assert lost[0].reason == "no samples for 2 s"
            start()
            again = listen(
                source, until=lambda events: all_three(events) and has_samples(events, "eeg")
            )
            assert all_three(again)
            assert joined(again, "eeg")[0][0] > stopped_s
    finally:
        board.release_session()


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("MUSE_3", {}, "Did you mean MUSE_"),
        ("CYTON", {"seriel_port": "x"}, "no parameter 'seriel_port'.*serial_port"),
        ("CYTON", {"ip_port": "many"}, "ip_port is a number"),
        ("PLAYBACK_FILE_BOARD", {"file": "x.csv"}, "master_board=BOARD"),
        (
            "PLAYBACK_FILE_BOARD",
            {"file": "nowhere.csv", "master_board": "CYTON"},
            "no file nowhere.csv",
        ),
        ("PLAYBACK_FILE_BOARD", {"master_board": "CYTON"}, "file=RECORDING.csv"),
        ("GANGLION", {"channels": "Fp1,Fp2"}, "4 names, got 2"),
    ],
)
def test_what_cannot_be_meant_is_said(name: str, params: dict[Any, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        find_board(name, SPEC.modality_names, params)


def test_a_board_without_the_wanted_sensors_is_refused() -> None:
    with pytest.raises(InputError, match="none of the signals"):
        find_board("CYTON", ("ppg", "gsr"), {})


def test_a_muse_has_its_pulse_on_a_preset_of_its_own() -> None:
    board = find_board("38", SPEC.modality_names, {})
    assert board.name == "MUSE_2_BOARD"
    assert [(p.rate_hz, [c.stream.modality for c in p.modalities]) for p in board.presets] == [
        (256.0, ["eeg"]),
        (64.0, ["ppg"]),
    ]
    assert board.presets[0].modalities[0].stream.channel_names == ("TP9", "AF7", "AF8", "TP10")


def test_electrodes_of_a_board_that_leaves_them_free_are_named_by_its_user() -> None:
    placed = find_board("GANGLION", ("eeg",), {"channels": "Fp1, Fp2, T7, T8"})
    assert placed.presets[0].modalities[0].stream.channel_names == ("Fp1", "Fp2", "T7", "T8")


def test_a_board_that_does_not_answer_is_looked_for_said_once_and_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "port").touch()
    port = {"serial_port": str(tmp_path / "port")}
    with BrainFlowSource("CYTON", SPEC, params=port, wait_s=2.0) as source:
        began_s = time.monotonic()
        with pytest.raises(
            InputError,
            match=rf"was looked for 2 s: .* Expected the board at serial_port={tmp_path}",
        ):
            listen(source)
        # It is looked for again after 1 and 2 s more.
        assert time.monotonic() - began_s > 1.5
    said = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert len(said) == 1
    assert said[0].startswith("BrainFlow CYTON_BOARD: the board does not answer: its port")


def test_a_serial_port_that_is_not_there_is_named_at_once() -> None:
    with pytest.raises(InputError, match="There is no serial port /dev/no_such_port"):
        BrainFlowSource("CYTON", SPEC, params={"serial_port": "/dev/no_such_port"})


def test_a_serial_port_that_may_not_be_used_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "port").touch()
    # Root may use all of them.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"No permission to use the serial port .*dialout"):
        BrainFlowSource("CYTON", SPEC, params={"serial_port": str(tmp_path / "port")})


def test_every_code_of_brainflow_that_a_board_gives_is_put_in_words() -> None:
    codes = {code.name for code in import_brainflow().BrainFlowExitCodes}
    assert set(boards._IN_WORDS) <= codes
    for code in ("UNABLE_TO_OPEN_PORT_ERROR", "BOARD_NOT_READY_ERROR", "SYNC_TIMEOUT_ERROR"):
        assert "no reason" not in boards.in_words(code)


def test_parameters_that_brainflow_refuses_end_at_once() -> None:
    # A Cyton is on a serial port, and none is named.
    with pytest.raises(InputError, match="with these parameters"), BrainFlowSource("CYTON", SPEC):
        pass


def test_brainflow_itself_is_silent() -> None:
    code = (
        "from emodict_desk.boards.source import BrainFlowSource; import time\n"
        "from emodict.features.spec import load_spec\n"
        "with BrainFlowSource('SYNTHETIC', load_spec('emodict-1')) as s: time.sleep(0.3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_brainflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brainflow", None)
    with pytest.raises(InputError, match=r"pip install 'emodict\[brainflow\]'"):
        boards.import_brainflow()
