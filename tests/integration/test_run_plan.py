"""emodict-run with plans and --check as a user types it: on the stand-in for a GPU,
and on this machine as it is.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.integration.conftest import Run
from tests.stand_in.plans import put_in_place, write_plan

from emodict.cli import run as run_cli
from emodict.engine.driver import read_driver

InProcess = Callable[..., tuple[int, str, str]]
WITHOUT_GPU = pytest.mark.skipif(bool(read_driver().gpus), reason="this machine has a GPU")


@pytest.mark.parametrize("builder", ["tensorrt", "tensorrt_rtx"])
def test_a_plan_writes_what_its_onnx_file_writes(
    builder: str,
    model: Path,
    session: Path,
    tmp_path: Path,
    run_in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = write_plan(model, tmp_path / "plan", builder)
    module = put_in_place(monkeypatch, builder)
    tables = []
    for engine, options in (
        (plan, ()),
        (plan, ("--device", "cuda")),
        (plan.with_suffix(".onnx"), ("--device", "cpu")),
    ):
        out = tmp_path / f"{len(tables)}.csv"
        code, _, err = run_in_process(
            run_cli, "-q", "--engine", engine, session, "--out", out, *options, "--weights"
        )
        assert code == 0, err
        tables.append(np.genfromtxt(out, delimiter=",", skip_header=1))
    assert module.calls.count("deserialised") == 2
    assert tables[2].shape[0] == 26
    # The same plan twice: the very same calls.
    np.testing.assert_array_equal(tables[0], tables[1])
    # Float32, in blocks of another size.
    np.testing.assert_allclose(tables[0], tables[2], rtol=1e-5, atol=1e-6)


@WITHOUT_GPU
def test_a_real_plan_on_a_machine_without_a_gpu_is_a_sentence_with_the_way_out(
    run: Run, model: Path, session: Path, tmp_path: Path
) -> None:
    real = pytest.importorskip("tensorrt_rtx")
    plan = write_plan(model, tmp_path, builder_version=real.__version__)
    done = run("emodict-run", "--engine", plan, session)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "needs an NVIDIA GPU, and there is no NVIDIA driver" in done.stderr
    assert f"emodict-run --engine '{plan.with_suffix('.onnx')}' session.h5" in done.stderr
    assert "TRT" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@WITHOUT_GPU
def test_what_the_real_tensorrt_logs_becomes_a_sentence_and_is_never_printed(
    model: Path,
    session: Path,
    tmp_path: Path,
    run_in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver and cuda-core are stand-ins here,
    TensorRT for RTX is the real one: it finds no driver.
    """
    real = pytest.importorskip("tensorrt_rtx")
    plan = write_plan(model, tmp_path, builder_version=real.__version__)
    put_in_place(monkeypatch, "tensorrt_rtx")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", real)
    code, out, err = run_in_process(run_cli, "--engine", plan, session)
    assert code == 2
    assert out == ""
    assert "TensorRT for RTX says that this plan cannot run here: " in err
    assert "malformed engine" in err, "the stand-in's plan is none of the real one's"
    assert "[TRT]" not in err
    assert "cudaError" not in err
    assert len(err.splitlines()) == 1


@WITHOUT_GPU
def test_the_real_cuda_core_without_a_driver_is_a_sentence(
    model: Path,
    session: Path,
    tmp_path: Path,
    run_in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = write_plan(model, tmp_path)
    stand_in = put_in_place(monkeypatch, "tensorrt_rtx")
    monkeypatch.delitem(sys.modules, "cuda.core")
    code, _, err = run_in_process(run_cli, "--engine", plan, session)
    assert code == 2
    assert "the GPU cannot be used" in err
    assert stand_in.calls == []


@WITHOUT_GPU
def test_check_tells_this_machine_as_a_table_and_as_json(run: Run) -> None:
    table = run("emodict-run", "--check")
    assert table.returncode == 0, table.stderr
    assert "model.onnx on the CPU" in table.stdout
    done = run("emodict-run", "--check", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert [way["name"] for way in content["runs"] if way["runs"]] == ["onnx-cpu"]
    assert content["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert content["machine"]["distributions"]["numpy"] == np.__version__
    for way in content["runs"]:
        assert way["detail"] in table.stdout


@WITHOUT_GPU
def test_check_says_whether_a_model_runs_and_the_exit_code_says_it_too(
    run: Run, model: Path, tmp_path: Path
) -> None:
    plan = write_plan(model, tmp_path)
    fits = run("emodict-run", "--check", "--engine", model)
    assert (fits.returncode, f"{model}: runs here" in fits.stdout) == (0, True)
    for engine, options in (
        (plan, ()),
        (model, ("--device", "cuda")),
        (tmp_path / "absent.onnx", ()),
    ):
        done = run("emodict-run", "--check", "--engine", engine, "--json", *options)
        assert done.returncode == 2, engine
        assert json.loads(done.stdout)["engine"]["runs"] is False


def test_a_run_without_model_or_recordings_says_what_is_missing(
    run_in_process: InProcess, model: Path, session: Path
) -> None:
    for words, missing in (
        ((), "--engine model.onnx and recordings"),
        (("--engine", model), "recordings"),
        ((session,), "--engine"),
    ):
        code, _, err = run_in_process(run_cli, *words)
        assert code == 2
        assert f"Nothing to run: {missing}" in err


@pytest.mark.parametrize(
    "words", [["x.h5"], ["--out", "x.csv"], ["--device", "cuda"], ["--weights"], ["-q"]]
)
def test_check_refuses_what_it_would_not_heed(words: list[str], run_in_process: InProcess) -> None:
    code, _, err = run_in_process(run_cli, "--check", *words)
    assert code == 2
    assert "--check looks at this machine and runs nothing" in err


def test_an_unknown_device_and_a_plan_on_the_cpu_are_refused(
    run_in_process: InProcess, model: Path, session: Path, tmp_path: Path
) -> None:
    plan = write_plan(model, tmp_path)
    for engine, device, sentence in (
        (model, "gpu", "There is no device 'gpu'. Expected one of cpu, cuda"),
        (plan, "cpu", "runs on a GPU alone"),
    ):
        code, _, err = run_in_process(run_cli, "--engine", engine, "--device", device, session)
        assert code == 2
        assert sentence in err


def test_what_describes_a_plan_is_never_overwritten(
    run_in_process: InProcess, model: Path, session: Path, tmp_path: Path
) -> None:
    plan = write_plan(model, tmp_path)
    code, _, err = run_in_process(run_cli, "--engine", plan, session, "--out", f"{plan}.json")
    assert code == 2
    assert "it is what is read" in err


def test_on_the_cpu_only_an_onnx_file_that_is_there_is_named(
    run_in_process: InProcess, model: Path, session: Path, tmp_path: Path
) -> None:
    plan = write_plan(model, tmp_path)
    words = ("--engine", plan, "--device", "cpu", session)
    assert f"emodict-run --engine {plan.with_suffix('.onnx')}" in run_in_process(run_cli, *words)[2]
    plan.with_suffix(".onnx").unlink()
    assert "emodict-export model.pt -o model.onnx" in run_in_process(run_cli, *words)[2]


def test_the_way_out_is_taken_only_if_the_onnx_beside_is_the_very_model(
    run_in_process: InProcess, model: Path, wrist_model: Path, session: Path, tmp_path: Path
) -> None:
    plan = write_plan(model, tmp_path, platform="linux-riscv64")
    assert "emodict-run --engine" in run_in_process(run_cli, "--engine", plan, session)[2]
    shutil.copy(wrist_model, plan.with_suffix(".onnx"))
    assert (
        "emodict-export model.pt -o model.onnx"
        in run_in_process(run_cli, "--engine", plan, session)[2]
    )
