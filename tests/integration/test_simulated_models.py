"""The models that come with emodict: they open, say what they are of, and answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emodict.cli import run as cli
from emodict.engine import open_engine
from emodict.errors import ModelError
from emodict.features.spec import load_spec
from emodict.predict import predict
from emodict.recording.session import open_session, write_session
from emodict.results.console import describe_model, summary_lines
from emodict_desk.importers.join import keep_only
from emodict_desk.sensors import Sensors
from emodict_desk.simulated import FOLDER
from emodict_train.simulate import simulate_person
from emodict_train.simulate.course import SimulationPlan

BAND = ("TP9", "AF7", "AF8", "TP10")
SENSORS = {
    "wrist": Sensors(("gsr", "ppg")),
    "headband": Sensors(("eeg", "ppg"), BAND),
    "full": Sensors(),
}
MOST_BYTES = 600_000


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody whom no model has seen, with the electrodes of the headset and of the band."""
    path = tmp_path_factory.mktemp("stranger") / "s.h5"
    cap = load_spec("emodict-1").channel_names
    plan = SimulationPlan(trials=6, trial_s=12.0, eeg_channels=(*cap, *BAND))
    write_session(simulate_person(np.random.default_rng(99), subject_id="sub-99", plan=plan), path)
    return path


def test_these_models_come_with_a_card_each_and_are_small_together() -> None:
    files = [file for file in FOLDER.iterdir() if file.suffix in (".onnx", ".md")]
    assert sorted(file.name for file in files) == sorted(
        f"{name}{ending}" for name in SENSORS for ending in (".md", ".onnx")
    )
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES


@pytest.mark.parametrize("name", SENSORS)
def test_a_model_has_the_features_of_today_and_says_that_it_is_of_simulated_people(
    name: str,
) -> None:
    with open_engine(f"demo:{name}") as engine:
        manifest = engine.manifest
    assert manifest.features.fingerprint == SENSORS[name].of(load_spec("emodict-1")).fingerprint
    assert manifest.simulated
    assert "of SIMULATED people" in describe_model(manifest, f"demo:{name}")
    card = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert "It was trained on SIMULATED people" in card
    assert manifest.features.fingerprint in card


@pytest.mark.parametrize("name", SENSORS)
def test_a_model_answers_a_stranger_better_than_the_mean_label_does(
    name: str, stranger: Path
) -> None:
    with open_engine(f"demo:{name}") as engine:
        prediction = predict(engine, stranger)
    answered = prediction.answered
    assert answered.mean() > 0.9
    shares = prediction.distribution[answered]
    # FP16 has 11 bits: the ten shares of a row are each right to 2**-11 of themselves.
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=2**-10)
    assert (shares >= 0).all()
    model, mean = prediction.metrics(), prediction.metrics_of_mean_label()
    assert model is not None
    assert mean is not None
    assert model["kl"] < 0.8 * mean["kl"]
    assert "a model of SIMULATED people" in summary_lines(prediction)[0]


@pytest.mark.parametrize("keep", ["ppg", "gsr"])
def test_the_wrist_can_do_without_one_of_its_sensors(
    keep: str, stranger: Path, tmp_path: Path
) -> None:
    with open_session(stranger) as recording:
        write_session(keep_only(recording, [keep]), tmp_path / "one.h5")
    with open_engine("demo:wrist") as engine:
        assert predict(engine, tmp_path / "one.h5").answered.mean() > 0.9


def test_a_real_wristband_is_answered_second_by_second(shared_data: Path) -> None:
    with open_engine("demo:wrist") as engine:
        prediction = predict(engine, shared_data / "e4_stress_predict_S01")
    assert prediction.answered.mean() > 0.95
    assert (len(prediction), prediction.model_simulated) == (3256, True)


def test_the_command_takes_it_by_its_name_and_every_part_says_simulated(
    stranger: Path, tmp_path: Path, run_in_process: Callable[..., tuple[int, str, str]]
) -> None:
    page = tmp_path / "mine.html"
    words = ("--engine", "demo:wrist", stranger, "--report", page)
    code, out, err = run_in_process(cli, *words)
    assert code == 0, err
    assert out.startswith("Model demo:wrist: gsr+ppg -> 10 emotions")
    assert "of SIMULATED people" in out.splitlines()[0]
    assert "a model of SIMULATED people" in out
    assert "SIMULATED" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["demo:watch", "demo:", "demo:../wrist"])
def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    name: str, stranger: Path, run_in_process: Callable[..., tuple[int, str, str]]
) -> None:
    with pytest.raises(ModelError):
        open_engine(name)
    code, _, err = run_in_process(cli, "--engine", name, stranger)
    assert code == 2
    assert f"No model {name} comes with emodict." in err
    assert "one of demo:full, demo:headband, demo:wrist" in err


def test_several_processes_take_it_by_its_name(
    stranger: Path, tmp_path: Path, run_in_process: Callable[..., tuple[int, str, str]]
) -> None:
    shutil.copy(stranger, tmp_path / "other.h5")
    words = ("--engine", "demo:wrist", stranger, tmp_path / "other.h5", "--quiet")
    code, alone, err = run_in_process(cli, *words)
    assert code == 0, err
    code, shared, err = run_in_process(cli, *words, "--jobs", "2")
    assert code == 0, err
    assert shared.count("a model of SIMULATED people") == 2
    assert shared == alone


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("demo", "--engine demo:full or demo:headband or demo:wrist"),
        ("wrist", "--engine demo:wrist"),
        ("Demo:Wrist", "--engine demo:wrist"),
        ("DEMO:headbnd", "--engine demo:headband"),
        ("missing.onnx", "Export one"),
    ],
)
def test_a_name_that_is_nearly_one_of_them_is_told(word: str, said: str) -> None:
    with pytest.raises(ModelError, match=f"There is no model {word}.*{said}"):
        open_engine(word)


@pytest.mark.parametrize("model", ["demo:wrist", "model.onnx"])
def test_a_model_among_the_recordings_is_told_to_stand_after_engine(
    run_in_process: Callable[..., tuple[int, str, str]], model: str
) -> None:
    code, _, err = run_in_process(cli, model, "S07")
    assert code == 2
    assert "Nothing to run: --engine model.onnx not given" in err
    assert f"emodict-run --engine {model} S07" in err
