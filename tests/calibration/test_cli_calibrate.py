"""emodict-calibrate precision as it is typed: what it prints and writes, and how it ends."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.calibration.conftest import plausible_table

from emodict_calibration import cli
from emodict_desk.tables.table import write_table
from emodict_export.precision import read_precision
from emodict_train.model.checkpoint import Checkpoint, save_checkpoint

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, cli)


@pytest.fixture
def folder(small: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """model.pt, rows.npz (simulated, labelled) and bare.npz (neither) in the working folder."""
    save_checkpoint(small, tmp_path / "model.pt")
    write_table(plausible_table(small, 80, simulated=True), tmp_path / "rows.npz")
    write_table(plausible_table(small, 80, labels=False), tmp_path / "bare.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_the_json_and_the_picture_and_prints_a_table(run: Run, folder: Path) -> None:
    code, out, err = run("model.pt", "rows.npz", "-o", "precision.json", "--rows", 40)
    assert code == 0
    assert "rows.npz (SIMULATED): ranges of 80 windows, costs of " in out
    assert "KL against the truth of simulated people" in out
    assert "INT8: Not worth it: " in out
    assert "Next: emodict-export model.pt --precision fp16 --calibration precision.json" in out
    assert max(map(len, out.splitlines())) <= 125
    assert "Calibrating" in err
    assert json.loads((folder / "precision.json").read_text())["data"]["simulated"] is True
    picture = (folder / "precision.svg").read_text()
    for said in (
        "rows.npz (SIMULATED), ",
        "layer1/norm2",
        "FP16: budget of the whole graph",
        "INT8: node alone",
    ):
        assert said in picture
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith("precision")) == [
        "precision.json",
        "precision.svg",
    ]


def test_the_word_precision_may_be_left_out_and_json_is_printed_whole(
    run: Run, folder: Path
) -> None:
    words = ("model.pt", "bare.npz", "-o", "p.json", "--rows", 40, "--json", "--plot", "p.png")
    code, out, _ = run("precision", *words)
    assert code == 0
    assert json.loads(out) == json.loads((folder / "p.json").read_text())
    assert "SIMULATED" not in out
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")
    first = (folder / "p.json").read_bytes()
    assert run(*words)[0] == 0
    assert (folder / "p.json").read_bytes() == first
    # Options may come first, too.
    assert run("-o", "q.json", "--rows", 40, "model.pt", "bare.npz")[0] == 0
    assert json.loads((folder / "q.json").read_text()) == json.loads(first)


def test_the_picture_is_the_same_for_the_same_numbers(run: Run, folder: Path) -> None:
    pictures = []
    for _ in range(2):
        assert run("model.pt", "rows.npz", "-o", "precision.json", "--rows", 40)[0] == 0
        pictures.append((folder / "precision.svg").read_bytes())
    assert pictures[0] == pictures[1]


def test_a_smaller_budget_keeps_more_nodes(run: Run, folder: Path) -> None:
    for budget, name in ((1.0, "free"), (1e-10, "harsh")):
        words = ("--max-kl", budget, "--max-kl-int8", budget, "--rows", 40)
        assert run("model.pt", "rows.npz", "-o", f"{name}.json", *words)[0] == 0
    free, harsh = (read_precision(folder / f"{name}.json").keep_fp32 for name in ("free", "harsh"))
    assert free["fp16"] == ()
    assert len(harsh["fp16"]) > 5
    assert set(free["int8"]) < set(harsh["int8"])


def test_a_large_margin_keeps_nodes_and_says_why(run: Run, folder: Path) -> None:
    code, out, _ = run("model.pt", "rows.npz", "-o", "p.json", "--margin", 1e6, "--rows", 40)
    assert code == 0
    assert "in FP32: its numbers reach" in out
    assert read_precision(folder / "p.json").keep_fp32["fp16"]


def test_help_shows_the_command_its_options_and_how_it_is_typed(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for said in (
        "MODEL.pt DATA... -o precision.json",
        "precision ",
        "--max-kl-int8",
        "--margin",
        "--plot",
        "./person",
    ):
        assert said in out
    code, out, _ = run("model.pt", "--help")
    assert code == 0
    assert "emodict-calibrate precision [OPTIONS] MODEL.pt DATA..." in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("modle.pt", "rows.npz", "-o", "p.json"), "There is no file modle.pt"),
        (("rows.npz", "rows.npz", "-o", "p.json"), "cannot be read as a PyTorch file"),
        (("model.pt", "row.npz", "-o", "p.json"), "There is no file or folder row.npz"),
        (("model.pt", "model.pt", "-o", "p.json"), "is not training data"),
        (("model.pt", "-o", "p.json"), "Missing argument"),
        (("model.pt", "rows.npz"), "Missing option"),
        (("model.pt", "rows.npz", "-o", "p.txt"), "Expected a file ending in .json"),
        (("model.pt", "rows.npz", "-o", "no/p.json"), "Expected a folder that exists"),
        (
            ("model.pt", "rows.npz", "-o", "p.json", "--plot", "p.pdf"),
            "Expected a file ending in .svg or .png",
        ),
        (
            ("model.pt", "rows.npz", "-o", "p.json", "--plot", "no/p.png"),
            "Expected a folder that exists",
        ),
        (
            ("model.pt", "rows.npz", "-o", "p.json", "--max-kl", "-1"),
            "Invalid value for '--max-kl'",
        ),
        (("model.pt", "rows.npz", "-o", "p.json", "--max-kl", "nan"), "--max-kl is not a budget"),
        (
            ("model.pt", "rows.npz", "-o", "p.json", "--max-kl-int8", "inf"),
            "--max-kl-int8 is not a budget",
        ),
        (
            ("model.pt", "rows.npz", "-o", "p.json", "--margin", "0.5"),
            "Invalid value for '--margin'",
        ),
        (("model.pt", "rows.npz", "-o", "p.json", "--rows", "0"), "Invalid value for '--rows'"),
        (("model.pt", "rows.npz", "-o", "p.json", "--maxkl", "1"), "No such option"),
        (("model.pt", "rows.npz", "p.json"), "Missing option"),
        ((), "Missing command"),
        (("persn", "rows.npz", "-o", "p.json"), "No such command 'persn'"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_no_file(
    run: Run, folder: Path, words: tuple[str, ...], said: str
) -> None:
    before = sorted(p.name for p in folder.iterdir())
    code, _, err = run(*words)
    assert code == 2
    assert said in err
    assert sorted(p.name for p in folder.iterdir()) == before


def test_rows_of_another_model_are_refused_by_both_specs(
    run: Run, folder: Path, trained: Callable[..., Checkpoint]
) -> None:
    write_table(plausible_table(trained("dmer-sample", layers=2), 8), folder / "sample.npz")
    code, _, err = run("model.pt", "sample.npz", "-o", "p.json")
    assert code == 2
    assert "dmer-sample" in err
    assert "emodict-1" in err
    assert not (folder / "p.json").exists()


def test_inputs_are_never_overwritten(run: Run, folder: Path) -> None:
    (folder / "link.json").symlink_to(folder / "rows.npz")
    before = (folder / "rows.npz").read_bytes()
    code, _, err = run("model.pt", "rows.npz", "-o", "link.json")
    assert code == 2
    assert "it is what is read" in err
    assert (folder / "rows.npz").read_bytes() == before


def test_a_table_without_one_usable_row_is_refused(
    run: Run, folder: Path, small: Checkpoint
) -> None:
    table = plausible_table(small, 8)
    table.windows.valid[:] = False
    table.windows.tokens[:] = float("nan")
    write_table(table, folder / "empty.npz")
    code, _, err = run("model.pt", "empty.npz", "-o", "p.json")
    assert code == 2
    assert "has no window that the model could answer" in err
