"""Whatever a user hands over: exit code 2, one sentence that helps,
no traceback, no half-written file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.integration.conftest import Run
from tests.recordings import EEG_CHANNELS, noise_recording

from emodict.recording.session import write_session

Break = Callable[[Path], None]


def edit(change: Callable[[h5py.File], None]) -> Break:
    def apply(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def set_attribute(where: str, name: str, value: object) -> Break:
    return edit(lambda file: file[where].attrs.__setitem__(name, value))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_channel(path: Path) -> None:
    write_session(noise_recording(eeg_channels=[c for c in EEG_CHANNELS if c != "F3"]), path)


def short(path: Path) -> None:
    write_session(noise_recording(3), path)


def all_nan(file: h5py.File) -> None:
    for name in ("eeg", "ppg", "gsr"):
        file[f"signals/{name}/data"][...] = np.nan
    file["video/face/embedding"][...] = np.nan


def clock_runs_back(file: h5py.File) -> None:
    times = np.arange(len(file["signals/ppg/data"])) / 100
    times[500] = 1.0
    file["signals/ppg/timestamps"] = times


def bad_label(file: h5py.File) -> None:
    file["trials/distribution"][0, 0] = 0.5


BROKEN: dict[str, tuple[Break, list[str]]] = {
    "not HDF5": (
        lambda path: path.write_text("time,P3,C3\n0,1,2\n"),
        ["is not an HDF5 file", "emodict-session import"],
    ),
    "truncated": (cut_off, ["cut off"]),
    "another version": (set_attribute("/", "format_version", 7), ["format_version 1", "got 7"]),
    "a missing channel": (without_channel, ["F3", "missing"]),
    "a channel twice": (
        set_attribute("signals/eeg", "channel_names", [*EEG_CHANNELS[:-1], "P3"]),
        ["P3", "twice"],
    ),
    "wrong units": (set_attribute("signals/gsr", "units", "kOhm"), ["gsr", "uS", "kOhm"]),
    "rate zero": (set_attribute("signals/eeg", "sampling_rate", 0.0), ["eeg", "positive", "0.0"]),
    "rate negative": (
        set_attribute("signals/ppg", "sampling_rate", -100.0),
        ["ppg", "positive", "-100"],
    ),
    "rate NaN": (
        set_attribute("signals/gsr", "sampling_rate", float("nan")),
        ["gsr", "positive", "nan"],
    ),
    "three seconds": (short, ["too short", "3.0 s"]),
    "all NaN": (edit(all_nan), ["not one second could be answered", "emodict-session validate"]),
    "clock runs back": (edit(clock_runs_back), ["ppg", "timestamps", "back"]),
    "a label row": (edit(bad_label), ["trial 't1'", "sum to 1"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_recording_is_refused_with_a_sentence(
    name: str, run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    spoil, expected = BROKEN[name]
    spoil(session)
    out = tmp_path / "out"
    out.mkdir()
    done = run(
        "emodict-run",
        "--engine",
        model,
        session,
        "--out",
        out / "x.csv",
        "--report",
        out / "r.html",
    )
    assert_refused(done, *expected)
    assert list(out.iterdir()) == []


def test_a_recording_without_a_modality_the_model_needs_is_refused(
    run: Run, wrist_model: Path, tmp_path: Path
) -> None:
    full = noise_recording()
    path = tmp_path / "s.h5"
    write_session(type(full)("s", "", {"ppg": full.signals["ppg"]}), path)
    assert_refused(run("emodict-run", "--engine", wrist_model, path), "lacks gsr", "needs")


def test_an_onnx_of_somebody_else_is_refused(run: Run, session: Path, tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [out])
    theirs = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(theirs, tmp_path / "theirs.onnx")
    done = run("emodict-run", "--engine", tmp_path / "theirs.onnx", session)
    assert_refused(done, "not one of emodict's", "emodict-export")


def test_bytes_that_are_no_onnx_are_refused(run: Run, session: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    assert_refused(run("emodict-run", "--engine", tmp_path / "m.onnx", session), "cannot be opened")


def test_a_checkpoint_in_place_of_an_engine_names_the_export_command(
    run: Run, session: Path, tmp_path: Path
) -> None:
    (tmp_path / "m.pt").write_bytes(b"x")
    assert_refused(run("emodict-run", "--engine", tmp_path / "m.pt", session), "emodict-export")


def test_a_table_of_another_feature_spec_is_refused_with_both_ids(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    table = tmp_path / "t.npz"
    assert (
        run("emodict-session", "features", session, "--spec", "dmer-2024", "-o", table).returncode
        == 0
    )
    done = run("emodict-run", "--engine", model, table)
    assert_refused(done, "emodict-1 (", "dmer-2024 (", "different features")


def test_a_feature_spec_changed_after_export_is_refused(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    changed = onnx.load(model)
    for entry in changed.metadata_props:
        if entry.key == "emodict.feature_spec":
            entry.value = entry.value.replace('"rate_hz": 300.0', '"rate_hz": 250.0')
    onnx.save(changed, tmp_path / "m.onnx")
    assert_refused(run("emodict-run", "--engine", tmp_path / "m.onnx", session), "spec")


def test_an_output_folder_that_does_not_exist_is_said_before_the_work(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    done = run("emodict-run", "--engine", model, session, "--out", tmp_path / "nowhere" / "x.csv")
    assert_refused(done, "nowhere", "mkdir -p")
    assert "0:04" not in done.stdout


def test_an_unknown_ending_names_the_known_ones(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    assert_refused(
        run("emodict-run", "--engine", model, session, "--out", tmp_path / "x.xlsx"),
        ".csv",
        ".parquet",
    )


def test_a_full_disk_leaves_nothing_behind(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    limited = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
    limited += "from emodict.cli.run import main; sys.argv[0] = 'emodict-run'; main()"
    out = tmp_path / "full"
    out.mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            limited,
            "--engine",
            str(model),
            str(session),
            "-q",
            "--out",
            str(out / "x.csv"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert_refused(done, "Cannot write", "Nothing was left behind")
    assert list(out.iterdir()) == []


def test_a_typo_in_an_option_is_a_usage_error(run: Run, model: Path, session: Path) -> None:
    done = run("emodict-run", "--engin", model, session)
    assert done.returncode == 2
    assert "--engine" in done.stderr


def test_a_missing_file_is_named(run: Run, model: Path, tmp_path: Path) -> None:
    assert_refused(
        run("emodict-run", "--engine", model, tmp_path / "gone.h5"), "gone.h5", "There is no file"
    )


def assert_refused(done: object, *parts: str) -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("emodict-run: ")
    for part in parts:
        assert part in message, message


def test_a_table_without_rows_is_refused(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    table = tmp_path / "t.npz"
    assert run("emodict-session", "features", session, "-o", table).returncode == 0
    with np.load(table) as file:
        rows = {k: v[:0] if v.shape[:1] == (26,) else v for k, v in file.items()}
    np.savez(table, **rows)
    assert_refused(run("emodict-run", "--engine", model, table), "no whole window", "0 rows")


def test_a_pipe_or_device_is_never_replaced_by_a_file(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    done = run("emodict-run", "--engine", model, session, "--out", tmp_path / "pipe.csv")
    assert_refused(done, "pipe.csv", "a plain file")
    assert (tmp_path / "pipe.csv").is_fifo()


def test_a_result_never_replaces_what_it_is_computed_from(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    before = session.read_bytes()
    link = tmp_path / "link.h5"
    link.symlink_to(session)
    assert_refused(
        run("emodict-run", "-q", "--engine", model, link, "--out", session), "it is what is read"
    )
    assert session.read_bytes() == before


def test_a_full_disk_behind_standard_output_is_the_users_matter(
    run: Run, model: Path, session: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        command = [
            str(Path(sysconfig.get_path("scripts")) / "emodict-run"),
            "-q",
            "--engine",
            str(model),
            str(session),
        ]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("emodict-run: No space left on device")


def test_an_option_that_would_do_nothing_is_refused(run: Run, model: Path, session: Path) -> None:
    assert_refused(
        run("emodict-run", "--engine", model, session, "--part", "train"),
        "has no parts",
        "Leave --part out",
    )
    assert_refused(
        run("emodict-run", "--engine", model, session, "--weights"), "--out FILE or --json"
    )
