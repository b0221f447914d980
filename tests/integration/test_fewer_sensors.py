"""From a headband's recordings to its answers: train, export, run,
calibrate, with four EEG channels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from tests.recordings import noise_recording

from emodict.engine.onnx import OnnxEngine
from emodict.errors import SpecError
from emodict.features.spec import load_spec
from emodict.recording.session import open_session, write_session
from emodict_desk.sensors import Sensors
from emodict_desk.tables.table import read_table
from emodict_train.data import read_training_data
from emodict_train.model.checkpoint import load_checkpoint
from emodict_train.simulate import simulate_people
from emodict_train.simulate.course import SimulationPlan

BAND = ("AF7", "AF8", "TP9", "TP10")
NAMES = ",".join(BAND)
FEATURES = load_spec("emodict-1").with_modalities(("eeg", "ppg")).with_channels(BAND)


@pytest.fixture(scope="module")
def headbands(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three simulated people with a headband of five channels, not in the model's order."""
    folder = tmp_path_factory.mktemp("people")
    plan = SimulationPlan(
        trials=5, trial_s=10, rest_s=2, baseline_s=60, eeg_channels=("TP10", "Fz", *BAND[:3])
    )
    return simulate_people(folder, people=3, plan=plan, seed=4)


@pytest.fixture(scope="module")
def trained(
    headbands: list[Path], tmp_path_factory: pytest.TempPathFactory, run: Callable[..., Any]
) -> tuple[Path, Path]:
    """(checkpoint, engine) of EEG and PPG, made by the commands."""
    folder = tmp_path_factory.mktemp("band")
    out = folder / "band.pt"
    sensors = ("--modalities", "eeg,ppg", "--channels", NAMES)
    done = run("emodict-train", "fit", *headbands, "-o", out, *sensors, "--epochs", 2)
    assert done.returncode == 0, done.stderr
    assert "eeg[AF7 AF8 TP9 TP10]+ppg" in done.stdout
    done = run("emodict-export", out, "-o", folder / "band.onnx")
    assert done.returncode == 0, done.stderr
    return out, folder / "band.onnx"


def test_the_checkpoint_and_the_engine_say_which_channels_they_need(
    trained: tuple[Path, Path],
) -> None:
    checkpoint, engine = trained
    assert load_checkpoint(checkpoint).features == FEATURES
    metadata = {p.key: p.value for p in onnx.load(engine).metadata_props}
    assert json.loads(metadata["emodict.feature_spec"])["modalities"][0]["channel_names"] == list(
        BAND
    )
    assert metadata["emodict.feature_spec_fingerprint"] == FEATURES.fingerprint
    with OnnxEngine(engine) as opened:
        assert opened.manifest.features == FEATURES
        # 20 and 27 features in tokens of 18.
        assert opened.manifest.missing_value.shape == (4, 18)


def test_an_engine_whose_channels_were_renamed_afterwards_is_refused(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    model = onnx.load(trained[1])
    for entry in model.metadata_props:
        if entry.key == "emodict.feature_spec":
            entry.value = entry.value.replace("AF7", "AF3")
    onnx.save(model, tmp_path / "renamed.onnx")
    with pytest.raises(SpecError, match="was changed after it was written"):
        OnnxEngine(tmp_path / "renamed.onnx")


def test_a_session_of_more_channels_and_one_of_exactly_these_get_the_same_answers(
    trained: tuple[Path, Path], headbands: list[Path], tmp_path: Path, run: Callable[..., Any]
) -> None:
    exact = tmp_path / "exact.h5"
    with open_session(headbands[0]) as recording:
        write_session(recording, exact)
    with h5py.File(exact, "r+") as file:
        group = file["signals/eeg"]
        names = [
            name.decode() if isinstance(name, bytes) else name
            for name in group.attrs["channel_names"]
        ]
        data = group["data"][:][:, [names.index(name) for name in BAND]]
        del group["data"]
        group["data"] = data
        group.attrs["channel_names"] = list(BAND)
    got = []
    for session in (headbands[0], exact):
        out = tmp_path / f"{session.stem}.csv"
        done = run("emodict-run", "--engine", trained[1], session, "-o", out)
        assert done.returncode == 0, done.stderr
        assert "eeg[AF7 AF8 TP9 TP10]+ppg -> 10 emotions" in done.stdout + done.stderr
        got.append(np.genfromtxt(out, delimiter=",", skip_header=1))
    assert len(got[0]) > 100
    # Second, shares, valid and quality. Samples of which columns were picked may lie
    # otherwise in memory, and BLAS then takes another way: float32 shares, and a quality's
    # third digit may be the next one.
    np.testing.assert_allclose(got[0][:, :13], got[1][:, :13], rtol=0, atol=1e-6)
    np.testing.assert_allclose(got[0][:, 13:], got[1][:, 13:], rtol=0, atol=1e-3 + 1e-9)


def test_a_session_that_lacks_a_channel_is_refused_with_all_that_are_needed(
    trained: tuple[Path, Path], tmp_path: Path, run: Callable[..., Any]
) -> None:
    path = tmp_path / "three.h5"
    write_session(noise_recording(eeg_channels=("AF7", "AF8", "TP10")), path)
    done = run("emodict-run", "--engine", trained[1], path)
    assert done.returncode == 2
    assert "channel TP9 missing" in done.stderr
    assert "AF7 AF8 TP9 TP10" in done.stderr


def test_features_of_the_channels_are_a_table_that_the_model_scores(
    trained: tuple[Path, Path], headbands: list[Path], tmp_path: Path, run: Callable[..., Any]
) -> None:
    out = tmp_path / "f.npz"
    done = run(
        "emodict-session",
        "features",
        headbands[1],
        "-o",
        out,
        "--modalities",
        "eeg,ppg",
        "--channels",
        NAMES,
    )
    assert done.returncode == 0, done.stderr
    table = read_table(out)
    assert table.spec == FEATURES
    assert table.windows.features("eeg").shape[1:] == (5, 4)
    answers = [tmp_path / "table.csv", tmp_path / "session.csv"]
    for source, to in zip((out, headbands[1]), answers, strict=True):
        assert run("emodict-run", "--engine", trained[1], source, "-o", to).returncode == 0
    rows = [np.genfromtxt(path, delimiter=",", skip_header=1)[:, 1:11] for path in answers]
    # Float32 shares, scored in other blocks.
    np.testing.assert_allclose(rows[0], rows[1], rtol=0, atol=1e-6)


def test_a_baseline_of_the_same_channels_serves_the_model_and_another_says_what_to_do(
    trained: tuple[Path, Path], headbands: list[Path], tmp_path: Path, run: Callable[..., Any]
) -> None:
    checkpoint, _ = trained
    bands = [(path, f"{path.stem}.json", NAMES) for path in headbands]
    for path, out, channels in (*bands, (headbands[0], "other.json", "Fz,AF7,AF8,TP9")):
        person = ("person", path, "--to", 55, "-o", tmp_path / out)
        done = run("emodict-calibrate", *person, "--modalities", "eeg,ppg", "--channels", channels)
        assert done.returncode == 0, done.stderr
    rest = tmp_path / "rest.pt"
    done = run(
        "emodict-calibrate",
        "population",
        checkpoint,
        *(tmp_path / out for _, out, _ in bands),
        "-o",
        rest,
    )
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(rest).features == FEATURES
    assert run("emodict-export", rest, "-o", tmp_path / "rest.onnx").returncode == 0
    command = ("emodict-run", "--engine", tmp_path / "rest.onnx", headbands[0], "--person")
    done = run(*command, tmp_path / "sub-01.json")
    assert done.returncode == 0, done.stderr
    assert "applied to eeg, ppg" in done.stdout + done.stderr
    done = run(*command, tmp_path / "other.json")
    assert done.returncode == 2
    assert f"--channels {NAMES}" in done.stderr


def test_a_wrist_needs_no_channels_of_a_headset(
    headbands: list[Path], tmp_path: Path, run: Callable[..., Any]
) -> None:
    # A headband's five channels are not the 18 of emodict-1;
    # a model without EEG does not ask for them.
    table = read_training_data(headbands, sensors=Sensors(("ppg", "gsr")))
    assert table.spec == load_spec("emodict-1").with_modalities(("ppg", "gsr"))
    done = run("emodict-train", "fit", *headbands, "-o", tmp_path / "m.pt", "--epochs", 1)
    assert done.returncode == 2
    assert "train a model for these (--channels)" in done.stderr


def test_rows_for_training_are_those_of_a_run_with_the_same_sensors(headbands: list[Path]) -> None:
    # EEG looks at one second, PPG at five: alone,
    # it has a row and a truth from a trial's first second on.
    alone, both = (
        read_training_data(headbands[:1], sensors=Sensors(m, BAND))
        for m in (("eeg",), ("eeg", "ppg"))
    )
    assert (alone.windows.start_s[0], both.windows.start_s[0]) == (0.0, 4.0)
    labelled = [np.isfinite(table.labels).all(axis=1).sum() for table in (alone, both)]
    assert labelled[0] == labelled[1] + 4 * 5  # five trials
