"""emodict-train as it is typed: what it prints, how it exits, and never a traceback."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import emodict_train.fit.fitting as fit_module
import emodict_train.fit.resume as resume_module
import emodict_train.model.checkpoint as checkpoint_module
from emodict.errors import OutputError
from emodict.features.spec import load_spec
from emodict.features.windows import assemble, ready_made_rows
from emodict.recording.session import open_session
from emodict_desk.tables.table import FeatureTable, table_from_recording, write_table
from emodict_train import cli
from emodict_train.model.checkpoint import load_checkpoint
from emodict_train.training.ensemble import Ensemble

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, cli)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 trials of 4 rows as an .npz."""
    rng = np.random.default_rng(0)
    spec = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
    trial = np.repeat(np.arange(6), 4)
    rows = {m.name: ready_made_rows(rng.standard_normal((24, m.dims))) for m in spec.modalities}
    table = FeatureTable(
        assemble(spec, np.arange(24.0), rows),
        ("a", "b"),
        rng.dirichlet(np.ones(2), 6)[trial],
        np.full(24, "one"),
        np.char.add("t", trial.astype(str)),
        "table",
    )
    path = tmp_path_factory.mktemp("data") / "table.npz"
    write_table(table, path)
    return path


def _fit(data: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("fit", data, "-o", out, "--epochs", 1, *more)


def test_fit_writes_a_checkpoint_and_its_card_prints_six_measures_and_leaves_nothing_else(
    run: Run, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model.pt"
    code, text, _ = run(
        *_fit(data, out, "--ensemble", 2, "--seed", 3, "--readout", "last", "--gate", "bare")
    )
    assert code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.card.md", "model.pt"]
    for word in (
        "chebyshev",
        "clark",
        "canberra",
        "kl",
        "cosine",
        "intersection",
        "mean label",
        "24 windows",
    ):
        assert word in text
    assert f"emodict-export {out}" in text
    checkpoint = load_checkpoint(out)
    assert (checkpoint.model.members, checkpoint.model.readout, checkpoint.model.gate) == (
        2,
        "last",
        "bare",
    )
    assert checkpoint.training["options"]["seed"] == 3


def test_modalities_choose_what_the_model_reads(run: Run, data: Path, tmp_path: Path) -> None:
    code, _, _ = run(*_fit(data, tmp_path / "model.pt", "--modalities", "ppg"))
    assert code == 0
    assert load_checkpoint(tmp_path / "model.pt").features.modality_names == ("ppg",)


def test_channels_choose_what_the_model_reads_of_the_eeg(run: Run, tmp_path: Path) -> None:
    assert run("simulate", tmp_path / "p", "--people", 1, "--trials", 5, "--trial-s", 8)[0] == 0
    # From the recording, and from a table of all the channels.
    data = tmp_path / "p" / "sub-01.h5"
    with open_session(data) as recording:
        write_table(
            table_from_recording(recording, load_spec("emodict-1"), name="p"),
            tmp_path / "table.npz",
        )
    for source in (data, tmp_path / "table.npz"):
        out = tmp_path / f"{source.stem}.pt"
        code, text, _ = run(
            *_fit(source, out, "--modalities", "eeg,gsr", "--channels", "O2, f3,T7")
        )
        assert code == 0
        assert "eeg[O2 F3 T3]+gsr" in text
        assert load_checkpoint(out).features == load_spec("emodict-1").with_modalities(
            ("eeg", "gsr")
        ).with_channels(("O2", "F3", "T3"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--split", "trails"),
            "The split is unknown. Expected subjects, trials or windows, got trails",
        ),
        (("--readout", "lst"), "The model's readout is unknown"),
        (("--gate", "bear"), "The model's gate is unknown"),
        (("--auxiliary", "lk"), "The auxiliary loss is unknown"),
        (("--modalities", "ppg,ecg"), "has no modality 'ecg'"),
        (("--modalities", ","), "--modalities names nothing"),
        (
            ("--modalities", "ppg,gsr", "--channels", "AF7"),
            "EEG channels are chosen for a model without EEG",
        ),
        (("--channels", "AF7"), "there is no EEG in feature spec emodict-1 (gsr+ppg)"),
        (("--channels", "AF7,TP11"), "'TP11': no such electrode"),
        (("--channels", "T3,O1,T7"), "got T3 and T7 (two names of one electrode)"),
        (("--channels", ""), "--channels names nothing"),
        (("--modality-dropout", "1.5"), "modality_dropout is a share"),
        (("--device", "gpu"), "The device is unknown"),
        (("--epochs", "0"), "--epochs"),
        (("--epochs", "many"), "--epochs"),
        (("--ensemble", "0"), "--ensemble"),
        (("--no-such-option",), "--no-such-option"),
    ],
)
def test_a_typo_is_refused_with_exit_code_2_before_any_training(
    run: Run,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setattr(fit_module, "table_ensemble", None)  # training would fail on this
    code, _, err = run(*_fit(data, tmp_path / "model.pt", *options))
    assert code == 2
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_the_users_input(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    code, _, err = run(*_fit(data, tmp_path / "model.pt", "--device", "cuda"))
    assert code == 2
    assert "A GPU was asked for and none can be used" in err


def test_a_missing_output_folder_is_refused_before_the_data_are_read(
    run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "no" / "model.pt"
    code, _, err = run(*_fit(tmp_path / "unread.npz", out))
    assert code == 2
    assert "Expected a folder that exists" in err
    assert "mkdir -p" in err
    assert not out.parent.exists()


def test_data_that_are_not_there_are_the_users_input(run: Run, tmp_path: Path) -> None:
    code, _, err = run(*_fit(tmp_path / "no.npz", tmp_path / "model.pt"))
    assert code == 2
    assert "There is no file or folder" in err


def test_a_fit_stopped_by_the_user_goes_on_when_called_again(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model.pt"
    monkeypatch.setattr(resume_module, "SAVE_EVERY_S", -1.0)
    original = fit_module._train_members

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_module, "_train_members", interrupted)
    code, _, _ = run(*_fit(data, out))
    assert code == 130
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt.resume"]
    monkeypatch.setattr(fit_module, "_train_members", original)
    code, _, _ = run(*_fit(data, out))
    assert code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.card.md", "model.pt"]


def test_a_checkpoint_that_cannot_be_written_does_not_lose_the_training(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model.pt"

    def full_disk(*_: object) -> None:
        raise OutputError(f"Cannot write {out}: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "save_checkpoint", full_disk)
        code, _, err = run(*_fit(data, out))
    assert code == 2
    assert "No space left" in err
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt.resume"]
    monkeypatch.setattr(fit_module, "table_ensemble", None)  # training again would fail on this
    code, _, _ = run(*_fit(data, out))
    assert code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.card.md", "model.pt"]


@pytest.mark.parametrize("other_state", [False, True])
def test_a_fit_stopped_in_its_first_epoch_promises_nothing(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_state: bool
) -> None:
    out = tmp_path / "model.pt"
    if other_state:
        torch.save({"identity": "of something else"}, tmp_path / "model.pt.resume")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Ensemble, "run_epoch", interrupted)
    code, _, err = run(*_fit(data, out))
    assert code == 130
    assert "stopped before the first epoch was done" in err
    assert "goes on from" not in err
    assert not out.exists()


def test_a_fit_stopped_in_its_second_epoch_says_where_it_goes_on(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Ensemble.run_epoch

    def interrupted(self: Ensemble) -> None:
        if self.epoch == 1:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(Ensemble, "run_epoch", interrupted)
    code, _, err = run(*_fit(data, tmp_path / "model.pt", "--epochs", 3))
    assert code == 130
    assert f"stopped; the same command goes on from {tmp_path / 'model.pt.resume'}" in err
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt.resume"]


def test_people_can_be_simulated_with_another_devices_channels(run: Run, tmp_path: Path) -> None:
    people = (
        "simulate",
        tmp_path / "p",
        "--people",
        1,
        "--trials",
        1,
        "--trial-s",
        6,
        "--channels",
        "TP9,af7",
    )
    assert run(*people)[0] == 0
    with open_session(tmp_path / "p" / "sub-01.h5") as recording:
        assert recording.signals["eeg"].channel_names == ("TP9", "AF7")


def test_simulate_writes_people_that_fit_can_read(run: Run, tmp_path: Path) -> None:
    people = tmp_path / "people"
    code, text, _ = run("simulate", people, "--people", 1, "--trials", 5, "--trial-s", 6)
    assert code == 0
    assert "Wrote 1 simulated person" in text
    code, text, _ = run(*_fit(people, tmp_path / "model.pt", "--modalities", "gsr,ppg"))
    assert code == 0
    assert "SIMULATED" in text


@pytest.mark.parametrize(
    "options", [("--people", "0"), ("--trials", "0"), ("--trial-s", "2"), ("--channels", "")]
)
def test_a_simulation_that_cannot_work_is_refused(
    run: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    code, _, err = run("simulate", tmp_path / "people", *options)
    assert code == 2
    assert options[0] in err
    assert not (tmp_path / "people").exists()


def test_the_installed_command_shows_its_help_and_refuses_nonsense() -> None:
    program = [sys.executable, "-c", "from emodict_train.cli import main; main()"]
    shown = subprocess.run([*program, "fit", "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    assert "--modality-dropout" in shown.stdout
    refused = subprocess.run([*program, "fti"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_checkpoint_never_goes_by_the_name_of_a_recording(
    run: Run, data: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "sub-01.h5"
    recording.write_bytes(b"what was recorded")
    code, _, err = run(*_fit(data, recording))
    assert code == 2
    assert "Expected a file ending in .pt, got .h5" in err
    assert recording.read_bytes() == b"what was recorded"
