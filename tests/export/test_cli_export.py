"""emodict-export as it is typed: what it prints, how it exits, and never a traceback."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emodict_export import cli
from emodict_export import export as export_module
from emodict_train.checkpoint import Checkpoint, save_checkpoint

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, cli)


@pytest.fixture
def model(trained: Callable[..., Checkpoint], tmp_path: Path) -> Path:
    path = tmp_path / "in" / "model.pt"
    path.parent.mkdir()
    save_checkpoint(trained("emodict-1"), path)
    return path


def test_the_graph_goes_beside_the_checkpoint_unless_told_otherwise(run: Run, model: Path, tmp_path: Path) -> None:
    code, out, _ = run(model)
    assert code == 0
    assert re.search(r"(\d+) nodes", out)
    assert f"emodict-run --engine {model.with_suffix('.onnx')}" in out
    code, _, _ = run(model, "-o", tmp_path / "other.onnx")
    assert code == 0
    assert (tmp_path / "other.onnx").read_bytes() == model.with_suffix(".onnx").read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no file"),
        (b"", "cannot be read as a PyTorch file"),
        (b"hello", "cannot be read as a PyTorch file"),
        (np.random.default_rng(0).bytes(1000), "cannot be read as a PyTorch file"),
    ],
)
def test_what_is_no_checkpoint_is_refused(run: Run, tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "model.pt"
    if content is not None:
        path.write_bytes(content)
    code, _, err = run(path)
    assert code == 2
    assert said in err
    assert not (tmp_path / "model.onnx").exists()


def test_a_missing_folder_and_a_wrong_ending_are_refused(run: Run, model: Path, tmp_path: Path) -> None:
    code, _, err = run(model, "-o", tmp_path / "no" / "model.onnx")
    assert code == 2
    assert "Expected a folder that exists" in err
    code, _, err = run(model, "-o", tmp_path / "model.plan")
    assert code == 2
    assert "Expected a file ending in .onnx, got .plan. Name it " in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_broken_fold_is_our_failure_and_leaves_no_file(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "DISTRIBUTION_ATOL", 0.0)
    code, _, err = run(model)
    assert code == 1
    assert "nothing was written" in err
    assert [p.name for p in model.parent.iterdir()] == ["model.pt"]
