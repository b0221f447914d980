"""From rest recordings to a run for one person,
and from a model to a calibrated one, as a user types it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emodict.cli import run as run_cli
from emodict.engine import open_engine
from emodict.features import extract_features
from emodict.predict.person import read_person
from emodict.predict.scoring import predict
from emodict.recording.session import open_session, write_session
from emodict_calibration import cli
from emodict_desk.tables.table import write_table
from emodict_export.export import export_onnx
from emodict_train.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

from .test_output import sharpened, unbiased_table
from .test_person_calibration import WRIST, wrist_rest


@pytest.fixture
def folder(small: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """model.pt, and a rest of each of four people."""
    monkeypatch.chdir(tmp_path)
    save_checkpoint(small, tmp_path / "model.pt")
    for i in range(4):
        write_session(
            wrist_rest(seed=i, level=2.0 + i, subject_id=f"sub-{i}"), tmp_path / f"rest-{i}.h5"
        )
    return tmp_path


def test_a_rest_becomes_what_a_run_adds_to_the_features(
    folder: Path, run_in_process: Callable[..., Any]
) -> None:
    for i in range(4):
        words = ("person", f"rest-{i}.h5", "-o", f"p{i}.json", "--modalities", "gsr,ppg")
        code, out, err = run_in_process(cli, *words)
        assert (code, err) == (0, "")
        assert f"Baseline of subject sub-{i} at rest: gsr" in out
    code, out, _ = run_in_process(
        cli, "population", "model.pt", "p0.json", "p1.json", "p2.json", "-o", "rest.pt"
    )
    assert code == 0
    assert "The model knows 3 people at rest: gsr+ppg" in out
    export_onnx(load_checkpoint("rest.pt"), "rest.onnx")
    words = (
        "--engine",
        "rest.onnx",
        "rest-3.h5",
        "--person",
        "p3.json",
        "-q",
        "--report",
        "report.html",
    )
    code, out, _ = run_in_process(run_cli, *words)
    line = "Baseline of subject sub-3 applied to gsr, ppg"
    assert code == 0
    assert line in out
    assert line in (folder / "report.html").read_text()
    code, out, _ = run_in_process(
        run_cli, "--engine", "rest.onnx", "rest-3.h5", "--person", "p3.json", "--json"
    )
    assert json.loads(out.splitlines()[-1])["summary"]["person"] == "sub-3"
    with open_engine("rest.onnx") as engine:
        got = predict(engine, "rest-3.h5", person=read_person("p3.json"))
        with open_session("rest-3.h5") as recording:
            windows = extract_features(recording, WRIST)
        people = [read_person(f"p{i}.json") for i in range(4)]
        tokens = windows.tokens.copy()
        for name, part in WRIST.token_slices.items():
            rest = np.mean([person.baselines[name].mean for person in people[:3]], axis=0)
            tokens[:, part] += (rest - people[3].baselines[name].mean) / 2
        ready = windows.valid.all(axis=1)
        expected = engine.infer(tokens[ready].astype(np.float32))[0].copy()
    # The same sums in another order, rounded to float32.
    np.testing.assert_allclose(got.distribution[ready], expected, atol=1e-6)
    assert ready.sum() > 50


def test_a_person_is_refused_where_it_does_not_belong(
    folder: Path, run_in_process: Callable[..., Any], small: Checkpoint
) -> None:
    assert (
        run_in_process(cli, "person", "rest-0.h5", "-o", "p0.json", "--modalities", "gsr,ppg")[0]
        == 0
    )
    export_onnx(small, "plain.onnx")
    code, _, err = run_in_process(
        run_cli, "--engine", "plain.onnx", "rest-0.h5", "--person", "p0.json"
    )
    assert code == 2
    assert "does not know how people are at rest" in err
    told = dataclasses.replace(small, training={**small.training, "rest": _rest_of(small)})
    export_onnx(told, "rest.onnx")
    code, _, err = run_in_process(
        run_cli, "--engine", "rest.onnx", "rest-1.h5", "--person", "p0.json"
    )
    assert code == 2
    assert "'sub-0'" in err
    assert "'sub-1'" in err
    write_table(unbiased_table(small), folder / "rows.npz")
    code, _, err = run_in_process(
        run_cli, "--engine", "rest.onnx", "rows.npz", "--person", "p0.json"
    )
    assert code == 2
    assert "cannot be applied to the feature table" in err
    before = (folder / "p0.json").read_bytes()
    words = ("--engine", "rest.onnx", "rest-0.h5", "--person", "p0.json", "-o", "p0.json")
    code, _, err = run_in_process(run_cli, *words)
    assert code == 2
    assert "it is what is read" in err
    assert (folder / "p0.json").read_bytes() == before
    code, _, err = run_in_process(cli, "person", "rest-0.h5", "-o", "person.txt")
    assert code == 2
    assert "person.json" in err


def _rest_of(checkpoint: Checkpoint) -> dict[str, Any]:
    spec = checkpoint.features
    means = {
        name: np.zeros((part.stop - part.start, spec.token_width)).tolist()
        for name, part in spec.token_slices.items()
    }
    return {"people": 3, "simulated": False, "mean": means}


def test_a_temperature_is_fitted_written_and_said(
    folder: Path,
    run_in_process: Callable[..., Any],
    small: Checkpoint,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_table(unbiased_table(small), folder / "rows.npz")
    save_checkpoint(sharpened(small, 3.0), folder / "sure.pt")
    code, out, _ = run_in_process(cli, "output", "sure.pt", "rows.npz", "-o", "calibrated.pt")
    assert code == 0
    assert "does not say which trials" in caplog.text
    assert "expected calibration error" in out
    assert (folder / "calibrated.svg").is_file()
    export_onnx(load_checkpoint("calibrated.pt"), "calibrated.onnx")
    code, out, _ = run_in_process(run_cli, "--engine", "calibrated.onnx", "rows.npz", "-q")
    assert code == 0
    temperature = load_checkpoint("calibrated.pt").training["output"]["temperature"]
    assert temperature == pytest.approx(3, rel=0.05)  # as in test_output.py
    assert f"calibrated (temperature {temperature:.3g})" in out
    code, _, err = run_in_process(cli, "output", "calibrated.pt", "rows.npz", "-o", "again.pt")
    assert code == 2
    assert "calibrated already" in err
    assert not (folder / "again.pt").exists()
    assert not (folder / "again.svg").exists()
