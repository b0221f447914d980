"""emodict-export --raw and --check-vectors as they are typed."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.export.conftest import MakeCheckpoint
from tests.export.raw.conftest import WRIST

from emodict_export import cli
from emodict_export.raw import export as raw_export
from emodict_train.model.checkpoint import save_checkpoint

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, cli)


@pytest.fixture
def wrist(fitted: MakeCheckpoint, tmp_path: Path) -> Path:
    path = tmp_path / "in" / "wrist.pt"
    path.parent.mkdir()
    save_checkpoint(fitted(**WRIST), path)
    return path


def test_a_raw_graph_goes_beside_the_checkpoint_under_a_name_of_its_own(
    run: Run, wrist: Path
) -> None:
    code, out, _ = run(wrist, "--raw")
    written = wrist.with_suffix(".raw.onnx")
    assert code == 0
    assert sorted(i.name for i in onnx.load(written).graph.input)[:2] == ["gsr", "ppg"]
    assert "in 120 seconds with faults: valid and answered equal" in out
    assert f"emodict-run --engine {written}" in out
    assert not wrist.with_suffix(".onnx").exists()


def test_tokens_come_out_on_request(run: Run, wrist: Path) -> None:
    assert run(wrist, "--raw", "--with-tokens")[0] == 0
    outputs = [o.name for o in onnx.load(wrist.with_suffix(".raw.onnx")).graph.output]
    assert outputs[4] == "tokens"


def test_a_graph_of_many_seconds_is_written_on_request(run: Run, wrist: Path) -> None:
    assert run(wrist, "--raw", "--many")[0] == 0
    graph = onnx.load(wrist.with_suffix(".raw.onnx")).graph
    axes = {i.name: i.type.tensor_type.shape.dim[0] for i in graph.input}
    assert axes["ppg"].dim_param == "seconds"
    assert axes["state_ppg_samples"].dim_value == 1


def test_a_graph_that_is_not_what_python_computes_is_not_written(
    run: Run, wrist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Another:
        """Python's rows, with one of them judged otherwise."""

        def __init__(self, *arguments: object, **options: object) -> None:
            self._rows = expected(*arguments, **options)
            self.windows, self.distribution = self._rows.windows, self._rows.distribution
            self.weights, self.answered = self._rows.weights, self._rows.answered
            self.windows.valid[20, 0] ^= True

    expected = raw_export.expected_rows
    monkeypatch.setattr(raw_export, "expected_rows", Another)
    code, _, err = run(wrist, "--raw")
    assert code == 1
    assert "1 of 120 seconds otherwise" in err
    assert [path.name for path in wrist.parent.iterdir()] == [wrist.name]


def test_vectors_are_the_same_numbers_in_both_files(run: Run, wrist: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    code, out, _ = run(wrist, "--check-vectors", folder)
    assert code == 0
    assert "with gaps, saturated and lost sensors among them" in out
    text = (folder / "vectors.h").read_text()
    with np.load(folder / "vectors.npz") as arrays:
        assert arrays["modalities"].tolist() == ["gsr", "ppg"]
        assert len(arrays["emotions"]) == arrays["distribution"].shape[1]
        for name in arrays.files[:-2]:
            # A signal of one channel is the argument of emodict_second: a row of samples.
            own = arrays[name][..., 0] if name in ("gsr", "ppg") else arrays[name]
            np.testing.assert_array_equal(in_header(text, name), own, err_msg=name)
        seconds, valid = arrays["ppg"], arrays["valid"]
        partly = np.isnan(seconds).any(axis=(1, 2)) & ~np.isnan(seconds).all(axis=(1, 2))
        assert partly.any()  # a gap
        assert np.isnan(seconds).all(axis=(1, 2)).sum() >= 2  # a lost sensor
        assert ((seconds == seconds.max(axis=(1, 2), keepdims=True)).mean(axis=(1, 2)) > 0.5).any()
        assert {0, 1} == set(valid.reshape(-1).tolist())
        np.testing.assert_array_equal(arrays["answered"], np.isfinite(arrays["weights"][:, 0]))


def in_header(text: str, name: str) -> np.ndarray:
    found = re.search(rf"emodict_vector_{name}((?:\[\d+\])+) = (.*?);", text, re.DOTALL)
    assert found is not None
    shape = [int(size) for size in re.findall(r"\d+", found[1])]
    numbers = re.findall(r"[-\w.+]+", found[2])
    values = [float(number.replace("INFINITY", "inf ").rstrip("f")) for number in numbers]
    return np.array(values, np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--with-tokens"], "--with-tokens is for a graph that begins at raw samples"),
        (["--person", "p.json"], "--person is for a graph that begins at raw samples"),
        (["--many"], "--many is for a graph that begins at raw samples"),
        (["--raw", "--many", "--sm", "86"], "a plan takes one second at a time"),
        (["--raw", "--triton", "dir"], "a raw graph has states"),
        (["--raw", "--person", "nowhere.json"], "There is no file nowhere.json"),
        (["--raw", "-o", "raw.bin"], "Expected a file ending in .onnx, .plan or .c"),
        (["--face", "--raw"], "--raw is for a model of emotions"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    run: Run, wrist: Path, words: list[str], said: str
) -> None:
    code, _, err = run(wrist, *words)
    assert code == 2
    assert said in err
    assert [path.name for path in wrist.parent.iterdir()] == [wrist.name]


@pytest.mark.parametrize(
    ("spec_id", "said"),
    [
        ("dmer-sample", "cannot stream, and has no raw graph"),
        ("edl-89", "only exist ready-made"),
    ],
)
@pytest.mark.parametrize("words", [["--raw"], ["--check-vectors", "vectors"]])
def test_a_model_of_features_that_cannot_stream_has_neither_graph_nor_vectors(
    run: Run, trained: MakeCheckpoint, tmp_path: Path, spec_id: str, said: str, words: list[str]
) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(trained(spec_id), path)
    code, _, err = run(path, *words)
    assert code == 2
    assert said in err
    assert not path.with_suffix(".raw.onnx").exists()


def test_the_onnx_beside_a_raw_plan_never_takes_the_name_of_a_model_that_begins_at_features(
    run: Run, wrist: Path
) -> None:
    features = wrist.with_name("z.fp16.onnx")
    features.write_bytes(b"the model of z.plan")
    code, _, err = run(wrist, "--raw", "--sm", "86", "-o", wrist.with_name("z.plan"))
    assert code == 2
    assert "expected a plan of a raw graph that ends in .raw.plan" in err.lower()
    assert f"-o {wrist.with_name('z.raw.plan')}" in err
    assert features.read_bytes() == b"the model of z.plan"
