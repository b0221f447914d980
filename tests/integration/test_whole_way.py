"""From recordings to distributions and back to the truth:
simulated people, and a real wristband.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tests.integration.conftest import Run


@pytest.fixture(scope="module")
def people_and_stranger(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """Four simulated people to learn from and one stranger."""
    folder = tmp_path_factory.mktemp("people")
    for name, count, seed in (("known", 4, 11), ("stranger", 1, 12)):
        done = run(
            "emodict-train",
            "simulate",
            folder / name,
            "--people",
            count,
            "--trials",
            8,
            "--seed",
            seed,
        )
        assert done.returncode == 0, done.stderr
    return folder


def train_and_export(run: Run, people_and_stranger: Path, name: str, *options: object) -> Path:
    checkpoint, engine = people_and_stranger / f"{name}.pt", people_and_stranger / f"{name}.onnx"
    done = run(
        "emodict-train",
        "fit",
        people_and_stranger / "known",
        "-o",
        checkpoint,
        "--epochs",
        6,
        *options,
    )
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout
    done = run("emodict-export", checkpoint, "-o", engine)
    assert done.returncode == 0, done.stderr
    return engine


def test_a_model_of_simulated_people_beats_the_mean_label_on_one_it_has_not_seen(
    run: Run, people_and_stranger: Path
) -> None:
    engine = train_and_export(run, people_and_stranger, "full")
    done = run(
        "emodict-run", "--engine", engine, people_and_stranger / "stranger" / "sub-01.h5", "--json"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    assert summary["simulated"] is True
    assert summary["metrics"]["kl"] < summary["metrics_of_mean_label"]["kl"]


def test_a_wrist_model_runs_on_the_whole_of_a_real_wristband_recording(
    run: Run, people_and_stranger: Path, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "e4_stress_predict_S01"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    engine = train_and_export(
        run, people_and_stranger, "wrist", "--modalities", "ppg,gsr", "--epochs", 1
    )
    session, out, report = tmp_path / "e4.h5", tmp_path / "e4.csv", tmp_path / "e4.html"
    assert run("emodict-session", "import", "e4", folder, "-o", session).returncode == 0
    done = run("emodict-run", "-q", "--engine", engine, session, "--out", out, "--report", report)
    assert done.returncode == 0, done.stderr
    assert "resampled from 64 to 100 Hz" in done.stderr
    with out.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    samples = len((folder / "BVP.csv").read_text().split()) - 2
    assert len(rows) == samples // 64 - 4
    shares = np.array([[float(row[e] or "nan") for e in list(row)[1:11]] for row in rows])
    answered = np.isfinite(shares).all(axis=1)
    assert answered.mean() > 0.99
    np.testing.assert_allclose(shares[answered].sum(axis=1), 1, atol=1e-6)  # float32 softmax
    # GSR reads 0 uS before the band touches the skin: that is no measurement.
    assert rows[0]["valid_gsr"] == "0"
    assert rows[0]["quality_gsr"] == "0.000"
