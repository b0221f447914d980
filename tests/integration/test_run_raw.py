"""A raw graph run on a recording gives the rows of the same model that begins at features."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from benchmarks.fixtures import untrained_checkpoint
from tests.integration.conftest import ALL, WRIST
from tests.recordings import noise_recording
from tests.stand_in import cuda_core
from tests.stand_in.plans import put_in_place, write_plan

from emodict.engine import open_engine
from emodict.errors import ModelError, PersonError
from emodict.features.source import source_blocks
from emodict.predict import predict
from emodict.predict.person import (
    Baseline,
    Person,
    Unmixing,
    modality_fingerprint,
    write_person,
)
from emodict.recording.session import write_session
from emodict.recording.units import UNIT_FACTORS
from emodict.results.prediction import Prediction
from emodict_desk.raw import raw_seconds
from emodict_desk.simulated import FOLDER
from emodict_export.export import export_onnx
from emodict_export.raw.export import export_raw
from emodict_export.vector_files import write_vectors

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "CompletedProcess[str]"]


def same_rows(got: Prediction, expected: Prediction) -> None:
    np.testing.assert_array_equal(got.start_s, expected.start_s)
    np.testing.assert_array_equal(got.valid, expected.valid)
    np.testing.assert_array_equal(got.answered, expected.answered)
    # float32 features behind float32 samples: the graph's own test says how near.
    np.testing.assert_allclose(got.quality, expected.quality, atol=1e-5)
    np.testing.assert_allclose(got.distribution, expected.distribution, atol=3e-5)
    assert (got.emotions, got.modalities) == (expected.emotions, expected.modalities)
    assert (got.session, got.doubts) == (expected.session, expected.doubts)
    np.testing.assert_array_equal(got.truth, expected.truth)


@pytest.mark.parametrize("name", ["wrist", "all"])
def test_a_raw_graph_gives_the_rows_of_the_model_that_begins_at_features(
    models: Path, broken_session: Path, name: str
) -> None:
    with open_engine(models / f"{name}.onnx") as engine:
        expected = predict(engine, broken_session)
    with open_engine(models / f"{name}.raw.onnx") as engine:
        got = predict(engine, broken_session)
    same_rows(got, expected)
    assert 0.2 < expected.valid.mean() < 1
    assert len(expected) == 66


def test_a_sensor_that_was_not_recorded_is_missing_throughout(models: Path, tmp_path: Path) -> None:
    recording = noise_recording()
    rest = {name: s for name, s in recording.signals.items() if name != "ppg"}
    write_session(dataclasses.replace(recording, signals=rest), tmp_path / "session.h5")
    with open_engine(models / "all.onnx") as engine:
        expected = predict(engine, tmp_path / "session.h5")
    with open_engine(models / "all.raw.onnx") as engine:
        same_rows(predict(engine, tmp_path / "session.h5"), expected)
    assert not expected.valid[:, expected.modalities.index("ppg")].any()


@pytest.mark.parametrize("unit", ["nS", "mS", "S"])
def test_skin_conductance_in_another_unit_is_the_same_to_a_raw_graph_as_to_the_features(
    models: Path, unit: str
) -> None:
    """To the last bit, for its equal steps are counted: one more is 3e-3 of a share."""
    recording = noise_recording(seconds=60)
    factor = UNIT_FACTORS["uS"][unit]
    walk = 3906 + np.rint(8 * np.random.default_rng(0).standard_normal((240, 1))).cumsum(axis=0)
    samples = (1.28e-3 / factor * walk).astype(np.float32)
    gsr = dataclasses.replace(recording.signals["gsr"], unit=unit, samples=samples)
    recording = dataclasses.replace(recording, signals={"gsr": gsr})
    with open_engine(models / "wrist.raw.onnx") as engine:
        manifest = engine.manifest
    raw = np.concatenate([second["gsr"] for second in raw_seconds(recording, manifest)])
    blocks = source_blocks(recording, manifest.features.modality("gsr"))
    np.testing.assert_array_equal(raw.reshape(-1, 1), np.concatenate(list(blocks)))
    # What a recording in uS holds, too.
    np.testing.assert_array_equal(
        raw.reshape(-1, 1), (samples.astype(np.float64) * factor).astype(np.float32)
    )


@pytest.fixture
def all_memory_is_given_back() -> Iterator[None]:
    yield
    assert not cuda_core.LIVE


@pytest.mark.usefixtures("all_memory_is_given_back")
@pytest.mark.parametrize("builder", ["tensorrt", "tensorrt_rtx"])
def test_a_raw_plan_gives_the_same_rows(
    models: Path,
    broken_session: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    builder: str,
) -> None:
    plan = write_plan(models / "wrist.raw.onnx", tmp_path / "plan", builder)
    put_in_place(monkeypatch, builder)
    with open_engine(models / "wrist.raw.onnx") as engine:
        expected = predict(engine, broken_session)
    with open_engine(plan) as engine:
        got = predict(engine, broken_session)
        with pytest.raises(ModelError, match="begins at raw samples"):
            engine.infer(np.zeros((1, 4, 18), np.float32))
    same_rows(got, expected)


def test_the_command_prints_the_same_rows(
    run: Run, models: Path, noise_session: Path, tmp_path: Path
) -> None:
    said = []
    for name in ("all.onnx", "all.raw.onnx"):
        done = run("emodict-run", "--engine", models / name, noise_session)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.replace(name, "MODEL"))
    # Shares are printed with two digits, and untrained ones lie far from where these change.
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--live", "replay:{session}"], "begins at raw samples"),
        (["{table}"], "begins at raw samples"),
        (["{session}", "--person", "{person}"], "takes no person.json"),
    ],
)
def test_what_needs_features_is_refused(
    run: Run, models: Path, noise_session: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    table, person = tmp_path / "table.npz", tmp_path / "person.json"
    run("emodict-session", "features", noise_session, "-o", table)
    rest = Baseline("0" * 16, 1, np.zeros((1, 18)), np.zeros((1, 18)))
    write_person(Person("nobody", "rest", "emodict-1", {"gsr": rest}), person)
    filled = [w.format(session=noise_session, table=table, person=person) for w in words]
    done = run("emodict-run", "--engine", models / "all.raw.onnx", *filled)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr


def test_a_graph_with_a_person_in_it_runs_on_nobody_else(
    models: Path, noise_session: Path, tmp_path: Path
) -> None:
    with open_engine(models / "all.raw.onnx") as engine:
        for subject, fine in (("nobody", True), ("somebody", False)):
            engine.manifest = dataclasses.replace(engine.manifest, subject_id=subject)
            if fine:
                assert len(predict(engine, noise_session)) == 26
            else:
                with pytest.raises(PersonError, match="never applied to somebody else"):
                    predict(engine, noise_session)


def compared_by_example(model: Path, vectors: Path) -> CompletedProcess[str]:
    command = [sys.executable, ROOT / "examples" / "raw_onnxruntime.py", model, vectors]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_example_says_that_its_own_loop_is_right(models: Path, tmp_path: Path) -> None:
    write_vectors(untrained_checkpoint(WRIST), tmp_path)
    done = compared_by_example(models / "wrist.raw.onnx", tmp_path / "vectors.npz")
    assert done.returncode == 0, done.stderr
    assert "valid and answered equal in 60 of 60 seconds" in done.stdout
    worst = float(done.stdout.split("within ")[1].split()[0])
    assert worst < 3e-5


@pytest.mark.parametrize("example", ["raw_onnxruntime.py", "raw_seconds.py"])
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("demo.onnx", "takes features: give the graph of emodict-export --raw"),
        ("no", "There is no"),
    ],
)
def test_an_example_that_is_given_another_model_or_none_says_so_in_a_sentence(
    noise_session: Path, tmp_path: Path, example: str, model: str, said: str
) -> None:
    shutil.copy(FOLDER / "wrist.onnx", tmp_path / "demo.onnx")
    words = [noise_session, *([tmp_path / "s.f32"] if example == "raw_seconds.py" else [])]
    command = [sys.executable, ROOT / "examples" / example, tmp_path / model, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("valid", "equal in 0 of 60 seconds"),
        ("answered", "strongest in the last second with an answer: none"),
        ("distribution", "equal in 60 of 60 seconds, shares within 1e-04"),
    ],
)
def test_the_example_ends_with_one_where_a_row_is_another(
    models: Path, tmp_path: Path, wrong: str, said: str
) -> None:
    write_vectors(untrained_checkpoint(WRIST), tmp_path)
    vectors = dict(np.load(tmp_path / "vectors.npz"))
    true = vectors[wrong]
    vectors[wrong] = true + np.float32(1e-4) if wrong == "distribution" else ~true.astype(bool)
    np.savez(tmp_path / "wrong.npz", **vectors)
    done = compared_by_example(models / "wrist.raw.onnx", tmp_path / "wrong.npz")
    assert done.returncode == 1
    assert said in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("ends", ["inputs", "outputs"])
def test_a_graph_that_takes_or_gives_something_else_than_its_features_is_refused(
    models: Path, noise_session: Path, ends: str
) -> None:
    with open_engine(models / "wrist.raw.onnx") as engine:
        name = f"raw_{ends}"
        others = dict(list(getattr(engine.manifest, name).items())[1:])
        engine.manifest = dataclasses.replace(engine.manifest, **{name: others})
        with pytest.raises(ModelError, match="not those of its features"):
            predict(engine, noise_session)


def test_a_person_folded_in_is_what_the_command_does_before_the_model(
    noise_session: Path, tmp_path: Path
) -> None:
    checkpoint, rng = untrained_checkpoint(ALL), np.random.default_rng(0)
    features, rest, own = checkpoint.features, {}, {}
    for name in ("gsr", "ppg"):
        part = features.token_slices[name]
        shape = (part.stop - part.start, features.token_width)
        rest[name] = rng.normal(0, 0.5, shape).tolist()
        fingerprint = modality_fingerprint(features, name)
        own[name] = Baseline(fingerprint, 30, rng.normal(0, 0.5, shape), np.ones(shape))
    knows_rest = {"rest": {"people": 5, "mean": rest}}
    checkpoint = dataclasses.replace(checkpoint, training=knows_rest)
    channels = features.channel_names
    mixing = np.eye(len(channels)) + 0.1 * rng.standard_normal((len(channels), len(channels)))
    person = Person(
        "nobody", "rest", features.id, own, unmixing=Unmixing(channels, "", mixing, ("a blink",))
    )
    export_onnx(checkpoint, tmp_path / "model.onnx")
    export_raw(checkpoint, tmp_path / "raw.onnx", person=person)
    with open_engine(tmp_path / "model.onnx") as engine:
        expected = predict(engine, noise_session, person=person)
        without = predict(engine, noise_session)
    with open_engine(tmp_path / "raw.onnx") as engine:
        same_rows(predict(engine, noise_session), expected)
    assert np.abs(expected.distribution - without.distribution).max() > 1e-3
