"""emodict-run as a user types it: what it prints, what it writes,
and what it says when it cannot.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sysconfig
from pathlib import Path

import h5py
import numpy as np
import onnxruntime
import pyarrow.parquet
import pytest
from tests.integration.conftest import Run
from tests.recordings import noise_recording

from emodict.engine import open_engine
from emodict.features.spec import load_spec
from emodict.predict.scoring import predict
from emodict.recording.session import open_session, write_session
from emodict_desk.tables.table import table_from_recording


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


# Of the data set's paper (Yang et al., Scientific Data 11:847, 2024),
# in the order of its label rows.
PANAS = (
    "Inspired",
    "Alert",
    "Excited",
    "Enthusiastic",
    "Determined",
    "Afraid",
    "Upset",
    "Nervous",
    "Scared",
    "Distressed",
)
ROWS = 26  # 30 s, less the 4 s before the first five-second window is complete


def test_a_run_prints_one_line_a_second_and_a_summary_beside_the_mean_label(
    run: Run, model: Path, session: Path
) -> None:
    done = run("emodict-run", "--engine", model, session)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum(line.startswith("   0:") for line in lines) == ROWS
    assert "Insp Aler Exci Enth Dete Afra Upse Nerv Scar Dist" in lines[1]
    assert any(line.startswith("this model") for line in lines)
    assert any(line.startswith("mean label") for line in lines)


def test_the_csv_has_the_promised_columns_and_what_plain_onnx_runtime_computes(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.csv"
    assert (
        run("emodict-run", "-q", "--engine", model, session, "--out", out, "--weights").returncode
        == 0
    )
    rows = read_rows(out)
    modalities = ("eeg", "gsr", "ppg", "video")
    assert list(rows[0]) == [
        "start_s",
        *PANAS,
        *(f"valid_{m}" for m in modalities),
        *(f"quality_{m}" for m in modalities),
        *(f"w{i:02d}" for i in range(32)),
    ]
    assert [float(r["start_s"]) for r in rows] == list(range(4, 30))
    with open_session(session) as recording:
        tokens = table_from_recording(recording, load_spec("emodict-1"), name="s").windows.tokens
    plain = onnxruntime.InferenceSession(model).run(None, {"tokens": tokens.astype(np.float32)})
    written = np.array([[float(r[e]) for e in PANAS] for r in rows])
    # The rows were scored in blocks: float32 keeps 6e-8, behind a few hundred operations each.
    np.testing.assert_allclose(written, plain[0], rtol=0, atol=1e-6)
    # Of size 1 to 10.
    np.testing.assert_allclose([float(r["w31"]) for r in rows], plain[1][:, 31], rtol=0, atol=1e-5)


@pytest.mark.parametrize("ending", ["json", "parquet", "h5"])
def test_every_format_holds_the_same_distribution(
    run: Run, model: Path, session: Path, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"x.{ending}"
    assert run("emodict-run", "-q", "--engine", model, session, "--out", out).returncode == 0
    with open_engine(model) as engine:
        expected = predict(engine, session).distribution[:, 0]
    if ending == "json":
        values = [
            row["distribution"]["Inspired"]
            for row in json.loads(out.read_text())["sessions"][0]["rows"]
        ]
    elif ending == "parquet":
        values = pyarrow.parquet.read_table(out)["Inspired"].to_pylist()
    else:
        with h5py.File(out) as file:
            values = next(iter(file.values()))["distribution"][:, 0]
    # Float32 shares, of another process.
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


def test_a_dash_writes_csv_to_standard_output_and_nothing_else(
    run: Run, model: Path, session: Path
) -> None:
    done = run("emodict-run", "--engine", model, session, "--out", "-")
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert len(rows) == ROWS + 1
    assert rows[0][0] == "start_s"


def test_json_lines_hold_a_row_each_and_a_summary(run: Run, model: Path, session: Path) -> None:
    done = run("emodict-run", "--engine", model, session, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == ROWS + 1
    assert sum(lines[0]["distribution"].values()) == pytest.approx(1, abs=1e-6)  # float32 softmax
    assert lines[-1]["summary"]["rows"] == ROWS
    assert lines[-1]["summary"]["metrics"]["kl"] > 0


def test_several_sessions_go_into_one_table_and_one_report(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    other, out, report = tmp_path / "other.h5", tmp_path / "x.csv", tmp_path / "r.html"
    write_session(noise_recording(20, seed=1), other)
    done = run(
        "emodict-run", "-q", "--engine", model, session, other, "--out", out, "--report", report
    )
    assert done.returncode == 0, done.stderr
    sessions = [row["session"] for row in read_rows(out)]
    assert sessions == ["noise-0"] * ROWS + ["noise-1"] * 16
    assert "noise-1" in report.read_text()


def test_a_feature_table_gives_the_same_answers_as_its_session(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    table, out = tmp_path / "t.npz", tmp_path / "x.csv"
    assert run("emodict-session", "features", session, "-o", table).returncode == 0
    assert run("emodict-run", "-q", "--engine", model, table, "--out", out).returncode == 0
    with open_engine(model) as engine:
        expected = predict(engine, session)
    written = np.array([float(row["Scared"]) for row in read_rows(out)])
    # Rows of a table and of a session are scored in other blocks: float32 shares.
    # Nine digits are written.
    np.testing.assert_allclose(written, expected.distribution[:, 8], rtol=0, atol=1e-6)


def test_features_alone_hold_the_promised_arrays(run: Run, session: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.npz"
    assert (
        run("emodict-session", "features", session, "--spec", "emodict-1", "-o", table).returncode
        == 0
    )
    with np.load(table, allow_pickle=False) as file:
        shapes = {
            name: file[name].shape
            for name in ("eeg", "gsr", "ppg", "video", "tokens", "valid", "start_s")
        }
        names = file["names"]
    assert shapes == {
        "eeg": (ROWS, 5, 18), "gsr": (ROWS, 28), "ppg": (ROWS, 27), "video": (ROWS, 32),
        "tokens": (ROWS, 11, 18), "valid": (ROWS, 4), "start_s": (ROWS,),
    }  # fmt: skip
    assert len(names) == 90 + 28 + 27 + 32
    assert names[0] == "eeg/delta_P3"


def test_a_missing_modality_degrades_a_model_that_can_do_without(
    run: Run, model: Path, tmp_path: Path
) -> None:
    full = noise_recording()
    path = tmp_path / "noface.h5"
    write_session(type(full)(full.session_id, "", dict(full.signals)), path)
    done = run("emodict-run", "--engine", model, path)
    assert done.returncode == 0
    assert "×" in done.stdout
    assert f"{ROWS} rows, {ROWS} answered" in done.stdout


def test_five_lines_of_python_do_the_same(model: Path, session: Path) -> None:
    with open_engine(model) as engine:
        prediction = predict(engine, session)
    assert prediction.distribution.shape == (ROWS, 10)
    np.testing.assert_allclose(prediction.distribution.sum(axis=1), 1, atol=1e-6)  # float32 softmax


def test_missing_seconds_have_no_answer_rather_than_a_number(
    run: Run, wrist_model: Path, tmp_path: Path
) -> None:
    recording = noise_recording()
    ppg = recording.signals["ppg"].samples
    ppg[1000:1100] = np.nan  # second 10, which the five-second windows of rows 10 to 14 touch
    path, out = tmp_path / "gap.h5", tmp_path / "x.csv"
    write_session(recording, path)
    assert run("emodict-run", "-q", "--engine", wrist_model, path, "--out", out).returncode == 0
    empty = [float(row["start_s"]) for row in read_rows(out) if row["Alert"] == ""]
    assert empty == [10, 11, 12, 13, 14]


def test_a_folder_stands_for_its_sessions_and_equal_names_are_told_apart(
    run: Run, model: Path, tmp_path: Path
) -> None:
    for name in ("a.h5", "b.h5"):
        write_session(noise_recording(10), tmp_path / name)
    done = run("emodict-run", "-q", "--engine", model, tmp_path, "-o", tmp_path / "x.csv")
    assert done.returncode == 0, done.stderr
    lines = run("emodict-run", "--json", "--engine", model, tmp_path).stdout.splitlines()
    files = [json.loads(line).get("file") for line in lines[:-2]]
    assert files == [str(tmp_path / "a.h5")] * 6 + [str(tmp_path / "b.h5")] * 6
    sessions = {row["session"] for row in read_rows(tmp_path / "x.csv")}
    assert sessions == {f"noise-0 ({tmp_path / name})" for name in ("a.h5", "b.h5")}


def test_a_terminal_that_knows_ascii_alone_gets_ascii(run: Run, model: Path, session: Path) -> None:
    done = run(
        "emodict-run", "--engine", model, session, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith("   0:") for line in done.stdout.splitlines()) == ROWS
    assert done.stdout.isascii()


def test_a_reader_that_leaves_early_is_no_failure(model: Path, session: Path) -> None:
    script = Path(sysconfig.get_path("scripts")) / "emodict-run"
    piped = f"set -o pipefail; '{script}' --engine '{model}' '{session}' --json | head -1"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert json.loads(done.stdout)["start_s"] == 4


@pytest.mark.parametrize("options", ["", "--quiet", "--json"])
def test_a_reader_that_leaves_early_still_gets_its_files(
    model: Path, session: Path, tmp_path: Path, options: str
) -> None:
    script, out = Path(sysconfig.get_path("scripts")) / "emodict-run", tmp_path / "all.csv"
    piped = (
        f"set -o pipefail; '{script}' --engine '{model}' '{session}' {options} -o "
        f"'{out}' | head -c 1"
    )
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    whole = subprocess.run(
        [str(script), "--engine", str(model), str(session), "-q", "-o", str(tmp_path / "whole.csv")]
    )
    assert whole.returncode == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
