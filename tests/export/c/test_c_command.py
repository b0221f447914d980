"""emodict-export -o model.c as it is typed."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.export.c.conftest import MakeCheckpoint

from emodict_export import cli
from emodict_export.export import folded_graph, graph_hash
from emodict_train.model.checkpoint import save_checkpoint

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, cli)


@pytest.fixture
def model(realistic: MakeCheckpoint, tmp_path: Path) -> Path:
    path = tmp_path / "in" / "model.pt"
    path.parent.mkdir()
    save_checkpoint(realistic("wrist"), path)
    return path


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_c_file_and_its_header_are_written_and_what_they_take_is_said(
    run: Run, model: Path, realistic: MakeCheckpoint, tmp_path: Path, precision: str
) -> None:
    out = tmp_path / "wrist.c"
    code, said, _ = run(model, "-o", out, "--precision", precision)
    assert code == 0
    assert f"Wrote {out} and {tmp_path / 'wrist.h'}: {precision.upper()}" in said
    assert re.search(r"RAM: 7\.0 KiB, of which state 6\.4 KiB", said)
    (kl,) = re.findall(r"mean KL ([\d.e-]+)", said)
    assert float(kl) < 2e-3
    header = (tmp_path / "wrist.h").read_text(encoding="utf-8")
    assert f'SHA256 "{graph_hash(folded_graph(realistic("wrist")))}"' in header
    assert f'PRECISION "{precision}"' in header
    assert '#include "wrist.h"' in out.read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "wrist.c", "wrist.h"]


def test_vectors_to_check_it_with_are_written_beside_it(
    run: Run, model: Path, tmp_path: Path
) -> None:
    code, said, _ = run(model, "-o", tmp_path / "w.c", "--check-vectors", tmp_path / "vectors")
    assert code == 0
    assert "raw seconds" in said
    assert np.load(tmp_path / "vectors" / "vectors.npz")["ppg"].shape[1:] == (100, 1)


REFUSED: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "half": (("--precision", "fp16"), ("not written in FP16", "fp32 or int8")),
    "data": (("--precision", "int8", "--data", "s.h5"), ("--data does nothing",)),
    "GPUs": (("--sm", "86"), ("--sm does nothing",)),
    "signature": (("--sign", "key.pem"), ("--sign does nothing",)),
    "face": (("--face",), ("--face does nothing",)),
    "little RAM": (
        ("--ram", "4k"),
        (
            "at most 4.0 KiB, got 7.0 KiB, of which 6.4 KiB are the state",
            "Train on fewer modalities",
            "a board with more RAM",
        ),
    ),
    "vectors in the file": (("--check-vectors", "{out}"), ("model.c names a file", "a folder")),
    "no number": (("--ram", "much"), ("--ram cannot be read", "64k or 65536")),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    run: Run, model: Path, tmp_path: Path, why: str
) -> None:
    words, said = REFUSED[why]
    out = tmp_path / "model.c"
    code, _, err = run(model, "-o", out, *(str(word).format(out=out) for word in words))
    assert code == 2
    assert all(part in err for part in said)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ['we"ird.c', "back\\slash.c", "two\nlines.c", "latin\udce9.c"])
def test_a_name_that_no_include_can_hold_is_refused(
    run: Run, model: Path, tmp_path: Path, name: str
) -> None:
    code, _, err = run(model, "-o", tmp_path / name)
    assert code == 2
    assert "a file name without double quotes, backslashes and line ends" in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_folder_of_vectors_that_cannot_be_made_is_refused_before_any_work(
    run: Run, model: Path, tmp_path: Path
) -> None:
    code, _, err = run(model, "-o", tmp_path / "m.c", "--check-vectors", model / "in" / "a file")
    assert code == 2
    assert "cannot be made" in err
    assert f"{model}, which is a file" in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_folder_of_vectors_that_may_not_be_written_is_refused_before_any_work(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a test that runs as root, too, who may write everywhere."""
    closed = tmp_path / "in" / "closed"
    closed.mkdir()
    may = os.access

    def access(path: Path, mode: int) -> bool:
        return may(path, mode) and not (mode == os.W_OK and Path(path) == closed)

    monkeypatch.setattr(os, "access", access)
    for folder in (closed, closed / "new" / "one"):
        code, _, err = run(model, "-o", tmp_path / "m.c", "--check-vectors", folder)
        assert code == 2
        assert f"no permission in '{closed}'" in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("ram", ["64k", "65536", "64 KiB", "1M"])
def test_ram_may_be_told_in_bytes_or_kilobytes(
    run: Run, model: Path, tmp_path: Path, ram: str
) -> None:
    code, _, _ = run(model, "-o", tmp_path / "model.c", "--ram", ram)
    assert code == 0


def test_ram_is_for_a_c_file_alone(run: Run, model: Path, tmp_path: Path) -> None:
    code, _, err = run(model, "-o", tmp_path / "model.onnx", "--ram", "64k")
    assert code == 2
    assert "--ram is for a C file" in err


def test_a_model_that_cannot_stream_is_refused(
    run: Run, trained: MakeCheckpoint, tmp_path: Path
) -> None:
    save_checkpoint(trained("dmer-sample"), tmp_path / "model.pt")
    code, _, err = run(tmp_path / "model.pt", "-o", tmp_path / "model.c")
    assert code == 2
    assert "cannot stream" in err
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
