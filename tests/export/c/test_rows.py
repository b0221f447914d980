"""The rows of the C file are Python's, on a desk and on a board."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmarks.embedded.rows import Rows, read_rows, write_seconds
from benchmarks.embedded.toolchain import (
    CORTEX_M4F,
    CORTEX_M7,
    QEMU,
    STRICT,
    Target,
    build_for_board,
    build_rows,
    run,
    run_on_board,
)
from tests.export.c.conftest import MODELS, MakeC, MakeCheckpoint, here

from emodict.features.spec import FeatureSpec
from emodict.predict.person import Baseline, Person, Unmixing
from emodict_export import vectors
from emodict_export.c import export_c
from emodict_export.export import checkpoint_manifest
from emodict_export.vector_files import write_vectors
from emodict_export.vectors import expected_rows, fault_seconds
from emodict_train.model.checkpoint import Checkpoint

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "check_vectors.c"
SECONDS = 180
# float32 rounds by 6e-8; features pass some hundred operations, and the network is no steeper than
# that errors of 1e-6 in them come to less than these 1e-5 of a share.
FP32_WITHIN = 1e-5
# Weights of one byte are off by up to 1/254 of the largest of their output.
INT8_WITHIN, INT8_KL = 2e-3, 2e-3
# Farther from the mean than this, in standard deviations, no feature of a person lies: a number of
# 1e12 in a face's vector is passed on, and what a network makes of it has no meaning.
PLAUSIBLE = 100
SANITIZED = ("-g", "-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")

Float32Seconds = dict[str, np.ndarray]


@pytest.fixture(params=(CORTEX_M4F, CORTEX_M7), ids=lambda board: board.name)
def board(request: pytest.FixtureRequest) -> Target:
    if shutil.which(QEMU) is None:
        pytest.skip(f"no {QEMU} on this machine")
    return here(request.param)


def faulty(features: FeatureSpec, seconds: int = SECONDS) -> Float32Seconds:
    return dict(fault_seconds(features, seconds, seed=3))


def assert_rows_are_pythons(checkpoint: Checkpoint, seconds: Float32Seconds, rows: Rows) -> None:
    expected = expected_rows(checkpoint, seconds)
    assert_flags_are_pythons(expected, rows)
    # NaN where there is no answer, and only there.
    np.testing.assert_allclose(rows.distribution, expected.distribution, rtol=0, atol=FP32_WITHIN)
    # Weights are not normalised: they are compared with the largest of them.
    scale = max(1.0, float(np.nanmax(np.abs(expected.weights))))
    np.testing.assert_allclose(
        rows.weights, expected.weights, rtol=0, atol=10 * FP32_WITHIN * scale
    )


def assert_flags_are_pythons(expected: vectors.Rows, rows: Rows) -> None:
    valid = expected.windows.valid
    assert valid.any(axis=0).all()
    assert not valid.all(axis=0).any()
    np.testing.assert_array_equal(rows.valid, valid)
    np.testing.assert_array_equal(rows.answered, expected.answered)
    # Ratios of powers and swings: some dozen roundings of float32.
    np.testing.assert_allclose(rows.quality, expected.windows.quality, rtol=0, atol=1e-5)


def assert_rows_are_nearly_pythons(
    checkpoint: Checkpoint, seconds: Float32Seconds, rows: Rows
) -> None:
    """What weights of one byte may cost."""
    expected = expected_rows(checkpoint, seconds)
    assert_flags_are_pythons(expected, rows)
    p, q = expected.distribution[expected.answered], rows.distribution[expected.answered]
    assert (p * np.log(p / q)).sum(axis=1).max() <= INT8_KL
    state = checkpoint.states[0]
    z = (expected.windows.tokens - state["standardise.mean"].numpy()) / state[
        "standardise.scale"
    ].numpy()
    plausible = ~(np.abs(z) > PLAUSIBLE).any(axis=(1, 2))[expected.answered]
    np.testing.assert_allclose(q[plausible], p[plausible], rtol=0, atol=INT8_WITHIN)


@pytest.mark.parametrize("name", MODELS)
def test_the_rows_of_a_desk_are_pythons(
    host: Target, name: str, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    folder, seconds = exported(name), faulty(realistic(name).features)
    write_seconds(folder, realistic(name).features, seconds)
    run(build_rows(host, folder, "-O2", "-std=c99"))
    rows = read_rows(folder, realistic(name).model)
    assert_rows_are_pythons(realistic(name), seconds, rows)


@pytest.mark.parametrize("name", ["full", "wrist", "ensemble, mean of tokens"])
def test_the_rows_with_weights_of_one_byte_are_pythons_but_for_their_rounding(
    gcc: Target, name: str, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    folder, seconds = exported(name, "int8"), faulty(realistic(name).features)
    write_seconds(folder, realistic(name).features, seconds)
    run(build_rows(gcc, folder, "-O2"))
    rows = read_rows(folder, realistic(name).model)
    assert_rows_are_nearly_pythons(realistic(name), seconds, rows)


def test_nothing_is_undefined_and_no_memory_is_overrun(
    host: Target, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    """The sanitizers end the program at the first fault; all kinds of windows pass through it."""
    for name in ("full", "ensemble, mean of tokens"):
        folder, seconds = exported(name), faulty(realistic(name).features, 30)
        write_seconds(folder, realistic(name).features, seconds)
        run(build_rows(host, folder, *SANITIZED))
        assert len(read_rows(folder, realistic(name).model).valid) == 30


@pytest.mark.parametrize("name", ["full", "wrist", "headband"])
def test_the_rows_of_a_board_are_pythons(
    board: Target, name: str, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    folder, seconds = exported(name), faulty(realistic(name).features, 60)
    write_seconds(folder, realistic(name).features, seconds)
    run_on_board(board, build_for_board(board, folder, "rows"))
    assert_rows_are_pythons(realistic(name), seconds, read_rows(folder, realistic(name).model))


def test_the_rows_of_a_board_with_weights_of_one_byte_are_nearly_pythons(
    board: Target, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    folder, seconds = exported("wrist", "int8"), faulty(realistic("wrist").features, 60)
    write_seconds(folder, realistic("wrist").features, seconds)
    run_on_board(board, build_for_board(board, folder, "rows"))
    rows = read_rows(folder, realistic("wrist").model)
    assert_rows_are_nearly_pythons(realistic("wrist"), seconds, rows)


def drift(samples: np.ndarray) -> np.ndarray:
    """30 mV within two minutes."""
    ramp = np.linspace(0, 30_000, samples.shape[0] * samples.shape[1])
    return samples + ramp.reshape(*samples.shape[:2], 1)


OFFSETS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "30 mV": lambda samples: samples + 30_000,
    "-30 mV": lambda samples: samples - 30_000,
    "drift": drift,
}


@pytest.mark.parametrize("offset", OFFSETS)
def test_an_electrode_that_stands_elsewhere_costs_no_digits(
    gcc: Target, offset: str, tmp_path: Path, exported: MakeC, realistic: MakeCheckpoint
) -> None:
    """Alpha waves of 10 uV on an offset 3000 times as large; floats there are 2e-3 apart."""
    features = realistic("headband").features
    rng, time_s = np.random.default_rng(1), np.arange(120 * 300) / 300
    waves = 10 * np.sin(2 * np.pi * 10 * time_s)[:, None] + rng.standard_normal((120 * 300, 4))
    seconds = {"eeg": OFFSETS[offset](waves.reshape(120, 300, 4)).astype(np.float32)}
    folder = shutil.copytree(exported("headband"), tmp_path / "c")
    write_seconds(folder, features, seconds)
    run(build_rows(gcc, folder, "-O2"))
    rows = read_rows(folder, realistic("headband").model)
    expected = expected_rows(realistic("headband"), seconds)
    assert rows.valid[1:].all()
    np.testing.assert_array_equal(rows.valid, expected.windows.valid)
    np.testing.assert_allclose(rows.distribution, expected.distribution, rtol=0, atol=FP32_WITHIN)


def test_two_streams_know_nothing_of_one_another(
    gcc: Target, exported: MakeC, realistic: MakeCheckpoint, tmp_path: Path
) -> None:
    """Two states take turns, each with its own signal: the rows are those of each alone."""
    features = realistic("wrist").features
    one, other = (dict(fault_seconds(features, 40, seed=seed)) for seed in (1, 2))
    folder = shutil.copytree(exported("wrist"), tmp_path / "c")
    alone = []
    for seconds in (one, other):
        write_seconds(folder, features, seconds)
        run(build_rows(gcc, folder, "-O2"))
        alone.append(read_rows(folder, realistic("wrist").model))
    turns = {name: np.stack([one[name], other[name]], 1).reshape(80, *one[name].shape[1:])
             for name in one}  # fmt: skip
    write_seconds(folder, features, turns)
    run(build_rows(gcc, folder, "-O2", "-DSTREAMS=2"))
    rows = read_rows(folder, realistic("wrist").model)
    for i, expected in enumerate(alone):
        # The same program on the same numbers.
        np.testing.assert_array_equal(rows.distribution[i::2], expected.distribution)
        np.testing.assert_array_equal(rows.valid[i::2], expected.valid)


@pytest.mark.parametrize("unmixes", [False, True])
def test_a_person_is_folded_in(
    gcc: Target, unmixes: bool, realistic: MakeCheckpoint, tmp_path: Path
) -> None:
    """The rows are those that Python gives with the person's shift and unmixing."""
    checkpoint = knowing_rest(realistic("headband"))
    person, features = someone(checkpoint, unmixes=unmixes), checkpoint.features
    seconds = faulty(features, 90)
    export_c(checkpoint, tmp_path / "model.c", person=person)
    write_seconds(tmp_path, features, seconds)
    run(build_rows(gcc, tmp_path, "-O2"))
    rows = read_rows(tmp_path, checkpoint.model)
    adaptation = person.adapt(checkpoint_manifest(checkpoint, "fp32"))
    expected = expected_rows(checkpoint, seconds, adaptation=adaptation)
    np.testing.assert_array_equal(rows.valid, expected.windows.valid)
    np.testing.assert_allclose(rows.distribution, expected.distribution, rtol=0, atol=FP32_WITHIN)
    plain = expected_rows(checkpoint, seconds).distribution
    assert np.nanmax(np.abs(plain - expected.distribution)) > 100 * FP32_WITHIN


def knowing_rest(checkpoint: Checkpoint) -> Checkpoint:
    """A model that knows how people are at rest: half a standard deviation above its mean."""
    state = checkpoint.states[0]
    mean = state["standardise.mean"] + 0.5 * state["standardise.scale"]
    rest = {"people": 9, "mean": {"eeg": mean.tolist()}}
    return dataclasses.replace(checkpoint, training={**checkpoint.training, "rest": rest})


def someone(checkpoint: Checkpoint, *, unmixes: bool) -> Person:
    """Who rests at the model's mean, and whose blinks are to be taken out."""
    features, state = checkpoint.features, checkpoint.states[0]
    mean, scale = (state[f"standardise.{name}"].double().numpy() for name in ("mean", "scale"))
    alone = features.with_modalities(["eeg"]).fingerprint
    channels = features.channel_names
    mixed = np.random.default_rng(0).standard_normal((len(channels), len(channels)))
    matrix = np.eye(len(channels)) + 0.2 * mixed
    return Person(
        subject_id="p1",
        session_id="rest",
        spec_id=features.id,
        baselines={"eeg": Baseline(alone, 60, mean, scale)},
        unmixing=Unmixing(channels, "", matrix, ("blinks",)) if unmixes else None,
    )


@pytest.mark.parametrize("name", ["full", "headband"])
def test_the_example_that_checks_vectors_finds_all_right_and_a_state_that_is_lost(
    gcc: Target, name: str, exported: MakeC, realistic: MakeCheckpoint, tmp_path: Path
) -> None:
    write_vectors(realistic(name), tmp_path)
    example = EXAMPLE.read_text(encoding="utf-8")
    assert checked(gcc, example, exported(name), tmp_path) == "60 of 60 seconds are Python's\n"
    # Who begins anew each second forgets the filter's state.
    forgets = example.replace("emodict_second(", "emodict_init(&state);\n        emodict_second(")
    assert "valid other" in checked(gcc, forgets, exported(name), tmp_path)


def checked(host: Target, example: str, model: Path, folder: Path) -> str:
    """What the example prints, compiled with a model's folder and the vectors in `folder`."""
    source, program = folder / "check.c", folder / "check"
    source.write_text(example)
    files = [str(source), str(model / "model.c"), "-lm", "-o", str(program)]
    command = [host.compiler, *STRICT, f"-I{folder}", f"-I{model}", *files]
    subprocess.run(command, check=True)
    return subprocess.run([str(program)], capture_output=True, text=True, check=False).stdout
