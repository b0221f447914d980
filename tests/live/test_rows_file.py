"""--live --out: rows in a file as they come, whatever becomes of the run."""

from __future__ import annotations

import csv
import functools
import json
import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emodict.cli import run as cli
from emodict.live.rows_file import RowsFile

Run = Callable[..., tuple[int, str, str]]
COMMAND = str(Path(sysconfig.get_path("scripts")) / "emodict-run")
PATIENCE_S = 60.0


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, cli)


def table(path: Path) -> tuple[list[str], np.ndarray]:
    """(columns, (rows, columns) with NaN for what is empty)."""
    with path.open(newline="") as handle:
        header, *rows = csv.reader(handle)
    return header, np.array([[float(cell or "nan") for cell in row] for row in rows])


def test_a_replay_at_full_speed_writes_the_file_of_the_offline_run(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    offline, live = tmp_path / "offline.csv", tmp_path / "live.csv"
    assert run("--engine", model, session, "--out", offline, "--weights", "--quiet")[0] == 0
    words = ("--live", f"replay:{session}", "--speed", "max", "--quiet", "--weights")
    code, out, _ = run("--engine", model, *words, "--out", live)
    assert code == 0
    assert f"Wrote {live}" in out
    (columns, got), (expected_columns, expected) = table(live), table(offline)
    assert columns == expected_columns
    # Float32 scores of one row and of 64 at a time; a quality has three digits.
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1.1e-3)
    np.testing.assert_array_equal(got[:, 0], expected[:, 0])


def test_json_lines_hold_what_json_prints(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    words = ("--engine", model, "--live", f"replay:{session}", "--speed", "max", "--json")
    code, printed, _ = run(*words, "--out", out)
    assert code == 0
    assert out.read_text() == printed
    assert len(printed.splitlines()) == 26


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_of_a_run_that_is_killed_all_rows_but_the_last_can_be_read(
    model: Path, session: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    words = [
        COMMAND,
        "--engine",
        str(model),
        "--live",
        f"replay:{session}",
        "--speed",
        "8",
        "--out",
        str(out),
    ]
    printed = 0
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed += line.strip().startswith("0:")
            if printed == 8:
                process.send_signal(signal.SIGKILL)
                break
        process.wait(PATIENCE_S)
    lines = out.read_text().splitlines(keepends=True)
    assert all(line.endswith("\n") for line in lines)
    starts = (
        table(out)[1][:, 0].tolist()
        if name.endswith("csv")
        else [json.loads(line)["start_s"] for line in lines]
    )
    # The listener that prints comes before the one that writes.
    assert len(starts) >= printed - 1
    assert starts == [4.0 + i for i in range(len(starts))]


def test_a_row_is_in_the_file_as_soon_as_it_is_known(
    model: Path, session: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.csv"
    words = [
        COMMAND,
        "--engine",
        str(model),
        "--live",
        f"replay:{session}",
        "--speed",
        "4",
        "--quiet",
    ]
    with subprocess.Popen([*words, "--out", str(out)], stdout=subprocess.DEVNULL) as process:
        end_s = time.monotonic() + PATIENCE_S
        while not (out.exists() and out.read_text().count("\n") >= 3):
            assert time.monotonic() < end_s
            time.sleep(0.02)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def test_rows_never_replace_a_file_and_nothing_is_left_where_nothing_came(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.csv"
    out.write_text("precious")
    words = (
        "--engine",
        model,
        "--live",
        f"replay:{session}",
        "--speed",
        "max",
        "--quiet",
        "--out",
        out,
    )
    code, _, err = run(*words)
    assert code == 2
    assert "it exists, and is never overwritten" in err
    assert out.read_text() == "precious"
    out.unlink()
    assert run(*words, "--seconds", "2")[0] == 0
    assert not out.exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_full_disk_ends_the_file_with_one_sentence_and_not_the_run(
    run: Run, model: Path, session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RowsFile, "_opened", lambda self: open("/dev/full", "w"))  # noqa: PTH123, SIM115
    words = ("--engine", model, "--live", f"replay:{session}", "--speed", "max", "--quiet")
    code, out, err = run(*words, "--out", tmp_path / "rows.csv")
    assert code == 2
    assert "26 rows, 26 answered" in out
    assert "No space left on device" in err
    assert "can be read" in err
