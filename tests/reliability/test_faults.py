"""Faults of the machine around a command: each ends in a sentence,
and nothing is lost or left behind.
"""

from __future__ import annotations

import errno
import os
import pty
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests import forkserver
from tests.recordings import noise_recording

from emodict.cli import app as app_module
from emodict.cli import run as run_cli
from emodict.recording.session import open_session, write_session
from emodict_desk.cli import session as session_cli

InProcess = Callable[..., tuple[int, str, str]]
SCRIPTS = Path(sysconfig.get_path("scripts"))
FULL = "No space left on device"


@pytest.fixture(scope="module")
def expected(
    wrist_model: Path, noise_session: Path, tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """The rows of an undisturbed run."""
    out = tmp_path_factory.mktemp("expected") / "rows.csv"
    subprocess.run(
        [SCRIPTS / "emodict-run", "--engine", wrist_model, noise_session, "--out", out],
        check=True,
        capture_output=True,
    )
    return out.read_bytes()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system in memory with these options, beside the test's other files."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mounted(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", disk], capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return disk

    try:
        yield mounted
    finally:
        subprocess.run(["umount", "--lazy", disk], capture_output=True)


# What surrounds the command in a shell; `{}` is the command, which writes rows.csv.
SURROUNDINGS = {
    "standard output is closed": "{} >&-",
    "standard error is closed": "{} 2>&-",
    "all three are closed": "{} <&- >&- 2>&-",
    "standard input is closed": "{} <&-",
    "nobody reads": "{} | true",
    "there is no home": "env -u HOME {}",
    "home cannot be written": "HOME=/proc/nowhere {}",
    "there is no room for temporary files": "TMPDIR=/proc/nowhere {}",
    "the locale is C": "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {}",
}


@pytest.mark.parametrize("around", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_whatever_surrounds_a_command_its_rows_are_the_same(
    around: str, wrist_model: Path, session: Path, expected: bytes, tmp_path: Path
) -> None:
    command = (
        f"'{SCRIPTS / 'emodict-run'}' --engine '{wrist_model}' '{session}' --out "
        f"'{tmp_path / 'rows.csv'}'"
    )
    script = around.format(command)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (tmp_path / "rows.csv").read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_closed_standard_input_is_an_empty_one() -> None:
    code = (
        "import sys; from emodict.cli.app import _open_standard_streams as o; o(); "
        "print(repr(sys.stdin.read()))"
    )
    done = subprocess.run(
        ["bash", "-c", f"'{SCRIPTS / 'python'}' -c '{code}' <&-"], capture_output=True, text=True
    )
    assert done.stdout == "''\n"


def test_a_working_folder_that_is_gone_is_said(
    wrist_model: Path, session: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    script = (
        f"mkdir '{folder}'; cd '{folder}'; rmdir '{folder}'; "
        f"'{SCRIPTS / 'emodict-run'}' --engine '{wrist_model}' a.h5"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert done.stderr == (
        "emodict-run: The folder in which the command was started cannot be used: "
        "No such file or directory. "
        "cd to one that exists.\n"
    )


def test_where_no_memory_can_be_had_it_is_said(wrist_model: Path, session: Path) -> None:
    script = (
        f"ulimit -v 150000; '{SCRIPTS / 'emodict-run'}' --engine '{wrist_model}' '{session}' -q"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "emodict-run: out of memory. Close other programs"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "t: out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "t: out of memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "t: out of memory"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: "
                "can't allocate memory"
            ),
            "t: out of memory",
        ),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
            "t: the GPU is out of memory",
        ),
        (RuntimeError("another thing"), "t: a fault in emodict itself"),
    ],
)
def test_a_lack_of_memory_is_told_from_a_fault(error: Exception, said: str) -> None:
    message, code = app_module._ending(error, "t")
    assert message.startswith(said)
    assert code == 1


ROWS = ("rows.csv", "rows.json", "rows.parquet", "rows.h5")
# Commands whose outputs do not fit the disk; DISK is where they write.
TOO_LARGE: list[tuple[ModuleType, str]] = [
    *(
        (run_cli, f"--engine MODEL SESSION -q --weights --out DISK/rows.{ending}")
        for ending in ("csv", "json", "parquet", "h5")
    ),
    (run_cli, "--engine MODEL SESSION -q --report DISK/report.html"),
    (session_cli, "features SESSION -o DISK/f.npz"),
    (session_cli, "import csv TABLE -o DISK/s.h5 --columns gsr=gsr --unit gsr=uS"),
]


def run_apart(cli: ModuleType, *words: object) -> tuple[int, str, str]:
    """As `run_in_process`, in a process of its own:
    a full disk leaves HDF5 so that a later test would crash.
    """
    done = forkserver.run_forked(cli.NAME, [str(word) for word in words])
    assert "Traceback" not in done.stderr
    assert "fault in emodict" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def words_of(line: str, **paths: Path) -> list[str]:
    for name, path in paths.items():
        line = line.replace(name, str(path))
    return line.split()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "signals.csv"
    values = np.random.default_rng(0).normal(5, 1, 4000)
    path.write_text("time,gsr\n" + "".join(f"{i / 4},{value}\n" for i, value in enumerate(values)))
    return path


@pytest.mark.parametrize(
    ("cli", "line"), TOO_LARGE, ids=[line.split("DISK/")[1].split()[0] for _, line in TOO_LARGE]
)
def test_a_full_disk_is_said_and_keeps_the_older_file(
    cli: ModuleType,
    line: str,
    wrist_model: Path,
    session: Path,
    samples: Path,
    mount: Callable[[str], Path],
) -> None:
    disk = mount("size=8k")
    words = words_of(line, MODEL=wrist_model, SESSION=session, TABLE=samples, DISK=disk)
    (out,) = [Path(word) for word in words if word.startswith(str(disk))]
    out.write_text("older")
    code, _, err = run_apart(cli, *words)
    assert code == 2
    assert f"Cannot write {out}: {FULL}" in err
    assert "Free some space, or write to another disk" in err
    assert [path.name for path in disk.iterdir()] == [out.name]
    assert out.read_text() == "older"


def test_training_on_a_full_disk_is_said_and_keeps_the_older_model(
    mount: Callable[[str], Path],
) -> None:
    from tests.train.study.fixtures import make_table

    from emodict_desk.tables.table import write_table
    from emodict_train import cli

    disk = mount("size=40k")
    write_table(make_table(trials=6), disk.parent / "rows.npz")
    (disk / "model.pt").write_text("older")
    code, _, err = run_apart(
        cli, "fit", disk.parent / "rows.npz", "-o", disk / "model.pt", "--epochs", 1
    )
    assert code == 2
    assert FULL in err
    assert [path.name for path in disk.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("command", ["run", "record"])
def test_a_recording_that_stops_short_is_no_success(
    command: str, wrist_model: Path, session: Path, mount: Callable[[str], Path]
) -> None:
    disk = mount("size=900k")
    source, out = f"replay:{session}", disk / "live.h5"
    if command == "run":
        words = ("--engine", wrist_model, "--live", source, "--speed", "max", "--record", out, "-q")
        code, said, err = run_apart(run_cli, *words)
        assert "rows, 26 answered" in said, "a recording that fails stops nothing else"
    else:
        code, said, err = run_apart(
            session_cli, "record", "--live", source, "-o", out, "--speed", "max"
        )
    assert code == 2
    assert f"Recording {out} stopped: {FULL}" in err
    assert "Recorded" not in said
    assert "Wrote" not in said
    if out.exists():
        with open_session(out) as recording:
            assert recording.session_id == "live"


def test_a_folder_that_is_read_only_is_said(
    wrist_model: Path, session: Path, mount: Callable[[str], Path], run_in_process: InProcess
) -> None:
    disk = mount("ro")
    code, _, err = run_in_process(
        run_cli, "--engine", wrist_model, session, "-q", "--out", disk / "rows.csv"
    )
    assert code == 2
    assert f"Cannot write {disk / 'rows.csv'}" in err
    assert "hoose a folder" in err


def test_without_shared_memory_processes_still_share_the_recordings(
    wrist_model: Path, session: Path, tmp_path: Path, expected: bytes
) -> None:
    command = (
        f"'{SCRIPTS / 'emodict-run'}' --engine '{wrist_model}' '{session}' '{session}' -q "
        f"--jobs 2 --out rows.csv"
    )
    script = f"mount -t tmpfs -o ro none /dev/shm && {command}"
    words = ["unshare", "--mount", "bash", "-c", script]
    if subprocess.run(
        [*words[:-1], "mount -t tmpfs -o ro none /dev/shm"], capture_output=True
    ).returncode:
        pytest.skip("/dev/shm cannot be taken away here")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rows.csv").read_text().count("\n") == 2 * expected.count(b"\n") - 1


# What is done to a recording while it is read, after its first rows.
def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _replace(path: Path) -> None:
    other = path.with_name("other.h5")
    write_session(noise_recording(10, seed=1), other)
    other.replace(path)


@pytest.mark.parametrize("harm", [_remove, _replace])
def test_a_recording_that_is_removed_or_replaced_while_it_is_read_is_read_to_its_end(
    harm: Callable[[Path], None], wrist_model: Path, session: Path, tmp_path: Path, expected: bytes,
    run_in_process: InProcess, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    code, rows = _run_while_harmed(
        harm, wrist_model, session, tmp_path, run_in_process, monkeypatch
    )[:2]
    assert code == 0
    assert rows == expected


@pytest.mark.parametrize("harm", [_truncate, _empty])
def test_a_recording_that_is_cut_off_while_it_is_read_is_said(
    harm: Callable[[Path], None],
    wrist_model: Path,
    session: Path,
    tmp_path: Path,
    run_in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, rows, err = _run_while_harmed(
        harm, wrist_model, session, tmp_path, run_in_process, monkeypatch
    )
    assert (code, rows) == (2, None)
    assert "recording.h5" in err


def _run_while_harmed(
    harm: Callable[[Path], None],
    wrist_model: Path,
    session: Path,
    tmp_path: Path,
    run_in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[int, bytes | None, str]:
    """Run on a recording that comes to harm once it is open."""
    from emodict.predict import scoring as predict

    recording, out = tmp_path / "recording.h5", tmp_path / "rows.csv"
    recording.write_bytes(session.read_bytes())
    real = predict.open_session

    def opened(path: Path) -> object:
        context = real(path)

        class Harmed:
            def __enter__(self) -> object:
                entered = context.__enter__()
                harm(recording)
                return entered

            def __exit__(self, *error: object) -> object:
                return context.__exit__(*error)

        return Harmed()

    monkeypatch.setattr(predict, "open_session", opened)
    code, _, err = run_in_process(run_cli, "--engine", wrist_model, recording, "-q", "--out", out)
    return code, out.read_bytes() if out.exists() else None, err


def test_two_that_write_one_file_leave_the_whole_file_of_one(
    wrist_model: Path, session: Path, expected: bytes, tmp_path: Path
) -> None:
    words = [SCRIPTS / "emodict-run", "--engine", wrist_model, "-q", "--out", tmp_path / "rows.csv"]
    both = [
        subprocess.Popen([*words, session, *more], stdout=subprocess.DEVNULL)
        for more in ((), (session,))
    ]
    assert [process.wait(timeout=100) for process in both] == [0, 0]
    # One recording or two: with a column that says which.
    first, second = (expected.count(b"\n"), 2 * expected.count(b"\n") - 1)
    assert (tmp_path / "rows.csv").read_bytes().count(b"\n") in (first, second)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_recording_is_finished_whatever_signal_ends_it(
    ending: signal.Signals, session: Path, tmp_path: Path
) -> None:
    words = [
        SCRIPTS / "emodict-session",
        "record",
        "--live",
        f"replay:{session}",
        "-o",
        tmp_path / "live.h5",
    ]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(ending)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert f"Wrote {tmp_path / 'live.h5'}" in out
    with open_session(tmp_path / "live.h5") as recording:
        assert "recording" not in recording.attributes, "it would say that it was cut off"
        assert recording.signals["eeg"].sample_count >= 300 - 75


def test_a_recording_is_finished_when_its_terminal_goes_away(session: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = [
        SCRIPTS / "emodict-session",
        "record",
        "--live",
        f"replay:{session}",
        "-o",
        tmp_path / "live.h5",
    ]

    def own_terminal() -> None:
        os.login_tty(theirs) if hasattr(os, "login_tty") else _take_terminal(theirs)

    process = subprocess.Popen(words, preexec_fn=own_terminal)
    os.close(theirs)
    os.read(ours, 1000)
    os.close(ours)
    process.wait(timeout=60)
    with open_session(tmp_path / "live.h5") as recording:
        assert "recording" not in recording.attributes


def _take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
    for standard in range(3):
        os.dup2(descriptor, standard)


def test_the_clock_set_back_and_forward_changes_no_row(
    wrist_model: Path,
    session: Path,
    tmp_path: Path,
    run_in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = (
        "--engine",
        wrist_model,
        "--live",
        f"replay:{session}",
        "--speed",
        "max",
        "--json",
        "--record",
    )
    _, steady, _ = run_in_process(run_cli, *words, tmp_path / "steady.h5")
    jumps, real = iter(range(10**9)), time.time

    def jumping() -> float:
        return real() + 86_400 * (-1) ** next(jumps) * (next(jumps) > 1)

    monkeypatch.setattr(time, "time", jumping)
    code, out, _ = run_in_process(run_cli, *words, tmp_path / "jumping.h5")
    assert code == 0
    assert _without_moments(out) == _without_moments(steady)
    with (
        open_session(tmp_path / "steady.h5") as one,
        open_session(tmp_path / "jumping.h5") as other,
    ):
        for name, signal_ in one.signals.items():
            count = signal_.sample_count
            np.testing.assert_array_equal(other.signals[name].timestamps_s, signal_.timestamps_s)
            np.testing.assert_array_equal(
                other.signals[name].read(0, count), signal_.read(0, count)
            )


def _without_moments(lines: str) -> list[dict[str, object]]:
    import json

    rows = [json.loads(line) for line in lines.splitlines()]
    return [
        {name: value for name, value in row.items() if name in ("start_s", "distribution", "valid")}
        for row in rows
    ]
