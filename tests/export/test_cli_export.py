"""emodict-export as it is typed: what it prints, how it exits, and never a traceback."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from emodict.engine.sidecar import read_plan, read_sidecar
from emodict.engine.trust import require_signed
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows
from emodict_desk.tables.table import FeatureTable, write_table
from emodict_export import cli, compare
from emodict_export.export import folded_graph, graph_hash
from emodict_train.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, cli)


@pytest.fixture
def checkpoint(trained: Callable[..., Checkpoint], tmp_path: Path) -> Path:
    path = tmp_path / "in" / "model.pt"
    path.parent.mkdir()
    save_checkpoint(trained("emodict-1"), path)
    return path


def test_the_graph_goes_beside_the_checkpoint_unless_told_otherwise(
    run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    code, out, _ = run(checkpoint)
    assert code == 0
    assert re.search(r"(\d+) nodes", out)
    assert f"emodict-run --engine {checkpoint.with_suffix('.onnx')}" in out
    code, _, _ = run(checkpoint, "-o", tmp_path / "other.onnx")
    assert code == 0
    assert (tmp_path / "other.onnx").read_bytes() == checkpoint.with_suffix(".onnx").read_bytes()


def test_what_is_exported_is_signed_with_the_key_asked_for(
    run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "signing.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    out = tmp_path / "model.onnx"
    code, said, _ = run(checkpoint, "-o", out, "--sign", path)
    assert code == 0
    assert f"Signed: {out}.sig" in said
    require_signed(out, key.public_key())


def test_a_key_that_is_none_is_refused_before_any_work(
    run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    code, _, said = run(checkpoint, "-o", tmp_path / "model.onnx", "--sign", checkpoint)
    assert code == 2
    assert "holds no private key that can be used" in said
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no file"),
        (b"", "cannot be read as a PyTorch file"),
        (b"hello", "cannot be read as a PyTorch file"),
        (np.random.default_rng(0).bytes(1000), "cannot be read as a PyTorch file"),
    ],
)
def test_what_is_no_checkpoint_is_refused(
    run: Run, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "model.pt"
    if content is not None:
        path.write_bytes(content)
    code, _, err = run(path)
    assert code == 2
    assert said in err
    assert not (tmp_path / "model.onnx").exists()


def test_a_missing_folder_and_a_wrong_ending_are_refused(
    run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    code, _, err = run(checkpoint, "-o", tmp_path / "no" / "model.onnx")
    assert code == 2
    assert "Expected a folder that exists" in err
    code, _, err = run(checkpoint, "-o", tmp_path / "model.trt")
    assert code == 2
    assert "Expected a file ending in .onnx, .plan or .c, got .trt" in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "fp8"], "'fp8' is not one of 'fp32', 'fp16', 'int8'"),
        (["--precision", "int8"], "none were given"),
        (["--precision", "int8", "--data", "nowhere.h5"], "There is no file or folder nowhere.h5"),
        (["--precision", "fp16", "--data", "x.h5"], "--data is for the ranges of INT8"),
        (["--calibration", "precision.json"], "every node stays FP32"),
        (["--precision", "fp16", "--calibration", "nowhere.json"], "There is no file nowhere.json"),
        (["--sm", "86", "-o", "model.onnx"], "--sm names GPUs to build a plan for"),
        (["--triton", "model.pt"], "--triton model.pt is a file"),
        (["--sm", "ampere"], "--sm"),
        (["--sm", ""], "No GPU is named after --sm"),
        (["--sm", "33"], "cannot build for GPUs of compute capability 3.3"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_any_work(
    run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    if "33" in words:
        pytest.importorskip(
            "tensorrt_rtx", reason="only a TensorRT for RTX knows what it can build for"
        )
    monkeypatch.chdir(checkpoint.parent)
    code, _, err = run(checkpoint, *words)
    assert code == 2
    assert said in err
    assert [p.name for p in checkpoint.parent.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(("precision", "nodes"), [("fp16", 61), ("int8", None)])
def test_a_low_precision_says_its_nodes_and_its_error(
    run: Run, checkpoint: Path, tmp_path: Path, precision: str, nodes: int | None
) -> None:
    words = ["-o", tmp_path / "low.onnx", "--precision", precision]
    if precision == "int8":
        words += ["--data", _table(tmp_path)]
    code, out, _ = run(checkpoint, *words)
    assert code == 0
    graph = onnx.load(tmp_path / "low.onnx")
    assert f"{precision.upper()}, {len(graph.graph.node)} nodes" in out
    assert nodes is None or len(graph.graph.node) == nodes
    assert ("INT8 ranges from 40 windows of table.npz (simulated people)" in out) == (
        precision == "int8"
    )
    # Torch computes in FP32: a low precision is near, and not the same.
    error = float(re.search(r"distributions within ([\d.e-]+)", out)[1])  # type: ignore[index]
    assert 1e-5 < error < 0.2


def _table(folder: Path) -> Path:
    """Random rows in the form of simulated people's features."""
    spec = load_spec("emodict-1")
    rng = np.random.default_rng(0)
    rows, shape = 40, (spec.tokens, spec.token_width)
    modalities = len(spec.modalities)
    windows = FeatureWindows(
        spec=spec,
        start_s=np.arange(rows, dtype=float),
        tokens=5 + rng.standard_normal((rows, *shape)),
        valid=np.ones((rows, modalities), dtype=bool),
        quality=np.ones((rows, modalities)),
    )
    names = np.array(["nobody"] * rows)
    table = FeatureTable(windows, (), None, names, names, "table.npz", simulated=True)
    write_table(table, folder / "table.npz")
    return folder / "table.npz"


def test_kept_nodes_are_named(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    choice = {
        "format": "emodict-precision",
        "format_version": "1",
        "graph_sha256": graph_hash(folded_graph(load_checkpoint(checkpoint))),
        "fp16": {"keep_fp32": ["layer0/norm1"]},
    }
    (tmp_path / "precision.json").write_text(json.dumps(choice))
    code, out, _ = run(
        checkpoint, "--precision", "fp16", "--calibration", tmp_path / "precision.json"
    )
    assert code == 0
    assert "Kept in FP32: layer0/norm1\n" in out


def test_a_plan_for_three_gpus_is_built_here_with_its_onnx_beside_it(
    run: Run, checkpoint: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="plans are built ahead of time by TensorRT for RTX")
    whole = checkpoint.with_suffix(".onnx")
    assert run(checkpoint, "-o", whole)[0] == 0
    before = whole.read_bytes()
    code, out, _ = run(checkpoint, "--precision", "fp16", "--sm", "86,89,120")
    assert code == 0
    # A model.onnx in FP32 stays what it was.
    assert whole.read_bytes() == before
    plan = checkpoint.with_suffix(".plan")
    sidecar = read_sidecar(plan)
    content = read_plan(plan, sidecar)
    assert sidecar.plan_sha256 == hashlib.sha256(content).hexdigest()
    halved = checkpoint.with_suffix(".fp16.onnx").read_bytes()
    assert sidecar.onnx_sha256 == hashlib.sha256(halved).hexdigest()
    assert sidecar.compute_capabilities == ("8.6", "8.9", "12.0")
    assert sidecar.manifest.precision == "fp16"
    total = sum(sidecar.layers.values())
    assert f"{sidecar.layers['HALF']} of {total} layers in FP16" in out
    assert sidecar.layers["HALF"] > total // 2
    assert f"emodict-run --engine {plan}" in out


def test_a_triton_repository_comes_with_the_graph(
    run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    code, out, _ = run(checkpoint, "--triton", tmp_path / "repository")
    assert code == 0
    assert f"Wrote the Triton model repository {tmp_path / 'repository'}: emodict_onnx\n" in out
    served = tmp_path / "repository" / "emodict_onnx" / "1" / "model.onnx"
    assert served.read_bytes() == checkpoint.with_suffix(".onnx").read_bytes()


def test_what_stands_in_the_way_is_found_before_any_work(
    run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    Path("blocked.plan.json").mkdir()
    Path("served/emodict_onnx").mkdir(parents=True)
    Path("served/emodict_onnx/README").write_text("somebody else's")
    Path("choice.plan.json").write_text("{}")
    before = sorted(checkpoint.parent.iterdir())
    for words, said in (
        (
            ["--sm", "86", "-o", "blocked.plan"],
            "Cannot write blocked.plan.json. Expected a file name, got a folder",
        ),
        (
            ["-o", "new.onnx", "--triton", "served"],
            "holds files that emodict-export has not written",
        ),
        (
            ["--sm", "86", "-o", "choice.plan", "--calibration", "choice.plan.json"],
            "it is what is read",
        ),
    ):
        code, _, err = run(checkpoint, *words)
        assert code == 2
        assert said in err
    assert sorted(checkpoint.parent.iterdir()) == before


def test_a_broken_fold_is_our_failure_and_leaves_no_file(
    run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(compare.ALLOWED, "fp32", (0.0, 0.0))
    code, _, err = run(checkpoint)
    assert code == 1
    assert "nothing was written" in err
    assert [p.name for p in checkpoint.parent.iterdir()] == ["model.pt"]


def test_torch_tells_nothing_of_its_own_on_the_way_out(run: Run, tmp_path: Path) -> None:
    """It logs statistics when Python ends, which a command that was stopped would print."""
    logging.getLogger("torch").setLevel(logging.NOTSET)
    run(tmp_path / "missing.pt", "-o", tmp_path / "m.onnx")
    assert logging.getLogger("torch").level == logging.WARNING
