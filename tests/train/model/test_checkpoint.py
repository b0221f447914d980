from __future__ import annotations

import dataclasses
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emodict.engine.model_spec import ModelSpec
from emodict.errors import ModelError, OutputError, SpecError
from emodict.features.spec import load_spec, spec_from_dict
from emodict_train.model.checkpoint import Checkpoint, load_checkpoint, predict, save_checkpoint
from emodict_train.model.emotion_dict import EmotionDict

FEATURES = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
MODEL = ModelSpec(("a", "b", "c"), FEATURES.modality_names, ("ppg",), layers=1, members=2)
METRICS = {"model": {"kl": 0.1}, "mean_label": {"kl": 0.2}}
TRAINING = {"data": "café", "options": {"plan": {"epochs": 3}}, "simulated": True}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states.append(EmotionDict(MODEL, FEATURES).state_dict())
    return Checkpoint(FEATURES, MODEL, tuple(states), np.array([0.2, 0.3, 0.5]), METRICS, TRAINING)


@pytest.fixture
def path(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    save_checkpoint(checkpoint, path)
    return path


def test_a_checkpoint_reads_back_as_it_was_written(checkpoint: Checkpoint, path: Path) -> None:
    read = load_checkpoint(path)
    assert read.features.fingerprint == checkpoint.features.fingerprint
    assert read.model == checkpoint.model
    assert read.mean_label.tolist() == [0.2, 0.3, 0.5]
    assert (read.metrics, read.training) == (METRICS, TRAINING)
    tokens = torch.randn(3, FEATURES.tokens, FEATURES.token_width)
    for ours, theirs in zip(
        predict(read.networks(), tokens), predict(checkpoint.networks(), tokens), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_the_file_alone_holds_tensors_and_text_and_nothing_that_runs(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    assert {type(value) for value in content.values()} <= {str, int, list, torch.Tensor}
    assert json.loads(content["features"])["id"] == "emodict-1"
    assert sorted(p.name for p in path.parent.iterdir()) == ["model.pt"]


class _Payload:
    """Unpickled, it would create a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.victim}'",)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_is_refused_and_not_run(path: Path, tmp_path: Path, legacy: bool) -> None:
    victim = tmp_path / "victim"
    content = torch.load(path, weights_only=True)
    content["training"] = _Payload(victim)
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        ModelError, match="pickled Python objects, which could run any code; it was not loaded"
    ):
        load_checkpoint(path)
    assert not victim.exists()
    torch.load(path, weights_only=False)  # the payload is a real one
    assert victim.exists()


def test_a_plain_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path, victim = tmp_path / "model.pt", tmp_path / "victim"
    path.write_bytes(pickle.dumps(_Payload(victim)))
    with pytest.raises(ModelError, match=r"model\.pt"):
        load_checkpoint(path)
    assert not victim.exists()


def test_a_whole_module_is_refused(path: Path, checkpoint: Checkpoint) -> None:
    torch.save(checkpoint.networks()[0], path)
    with pytest.raises(ModelError, match="pickled Python objects"):
        load_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"cannot be read as a PyTorch file.*train one"):
        load_checkpoint(path)


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_are_refused(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "model.pt"
    head = [b"", b"PK\x03\x04", b"\x80\x02", b"\x89HDF\r\n\x1a\n"][seed % 4]
    path.write_bytes(head + np.random.default_rng(seed).bytes(4000))
    with pytest.raises(ModelError, match="cannot be read as a PyTorch file"):
        load_checkpoint(path)


@pytest.mark.parametrize("seed", range(15))
def test_one_flipped_bit_is_refused_or_has_changed_nothing(
    path: Path, checkpoint: Checkpoint, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    broken = bytearray(path.read_bytes())
    broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(broken))
    try:
        read = load_checkpoint(path)
    except ModelError:
        return
    for ours, theirs in zip(read.states, checkpoint.states, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (read.model, read.training) == (checkpoint.model, checkpoint.training)


def test_the_format_that_torch_wrote_before_its_archives_is_read(
    path: Path, checkpoint: Checkpoint
) -> None:
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    read = load_checkpoint(path)
    for ours, theirs in zip(read.states, checkpoint.states, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_torch_file_is_refused(path: Path) -> None:
    for content, got in (
        ({"a": torch.ones(2)}, "None"),
        ([torch.ones(2)], "list"),
        (torch.ones(2), "Tensor"),
    ):
        torch.save(content, path)
        with pytest.raises(
            ModelError, match=rf"not a checkpoint of emodict's\. Expected format .* got {got}"
        ):
            load_checkpoint(path)


def test_another_version_is_refused_with_both_numbers(path: Path) -> None:
    _change(path, format_version=7)
    with pytest.raises(ModelError, match=r"another version\. Expected format_version 1, got 7"):
        load_checkpoint(path)


def _change(path: Path, **changes: Any) -> None:
    torch.save({**torch.load(path, weights_only=True), **changes}, path)


def _without_a_weight(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in state.items() if "embed" not in k} for state in states]


@pytest.mark.parametrize(
    "what",
    [
        "features",
        "model",
        "states",
        "one state",
        "a weight",
        "mean_label",
        "metrics",
        "shape",
        "modalities",
    ],
)
def test_parts_that_do_not_go_together_are_refused(
    path: Path, what: str, checkpoint: Checkpoint
) -> None:
    states = [dict(s) for s in checkpoint.states]
    wrong = dataclasses.replace(MODEL, d_model=16)
    other = dataclasses.replace(MODEL, modalities=("eeg", "ppg"))
    changes: dict[str, dict[str, Any]] = {
        "features": {"features": "{}"},
        "model": {"model": "[1]"},
        "states": {"states": None},
        "one state": {"states": states[:1]},
        "a weight": {"states": _without_a_weight(states)},
        "mean_label": {"mean_label": torch.ones(4, dtype=torch.float64)},
        "metrics": {"metrics": "{"},
        "shape": {"model": json.dumps(wrong.to_dict())},
        "modalities": {"model": json.dumps(other.to_dict())},
    }
    _change(path, **changes[what])
    with pytest.raises(ModelError, match=r"model\.pt is a damaged checkpoint"):
        load_checkpoint(path)


def test_features_that_were_edited_are_refused_with_both_ids(path: Path) -> None:
    edited = FEATURES.to_dict()
    edited["modalities"][0]["settle_s"] += 1
    found = spec_from_dict(edited).fingerprint
    _change(path, features=json.dumps(edited))
    said = (
        rf"model\.pt: the feature spec was changed .* emodict-1 .*{FEATURES.fingerprint}, "
        rf"got emodict-1 .*{found}"
    )
    with pytest.raises(SpecError, match=said):
        load_checkpoint(path)


def test_features_that_this_emodict_computes_otherwise_are_refused_with_both_ids(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    gsr, ppg = FEATURES.modalities
    other = dataclasses.replace(
        FEATURES, modalities=(gsr, dataclasses.replace(ppg, settle_s=ppg.settle_s + 1))
    )
    save_checkpoint(dataclasses.replace(checkpoint, features=other), tmp_path / "old.pt")
    said = (
        rf"old\.pt is of other features "
        rf".*emodict-1.*{FEATURES.fingerprint}.*emodict-1.*{other.fingerprint}"
    )
    with pytest.raises(SpecError, match=said):
        load_checkpoint(tmp_path / "old.pt")
    own = dataclasses.replace(other, id="mine")
    save_checkpoint(dataclasses.replace(checkpoint, features=own), tmp_path / "mine.pt")
    assert load_checkpoint(tmp_path / "mine.pt").features == own


def test_a_checkpoint_without_its_fingerprint_is_refused(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    del content["feature_spec_fingerprint"]
    torch.save(content, path)
    with pytest.raises(ModelError, match="damaged checkpoint: 'feature_spec_fingerprint'"):
        load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no file .*nothing\.pt"):
        load_checkpoint(tmp_path / "nothing.pt")
    with pytest.raises(ModelError, match="There is no file"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_is_written_whole_or_not_at_all(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="which does not"):
        save_checkpoint(checkpoint, tmp_path / "no" / "model.pt")
    broken = dataclasses.replace(checkpoint, training={"a": object()})
    with pytest.raises(TypeError):
        save_checkpoint(broken, tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_torchscript_file_is_refused_without_torchs_own_warnings(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that TorchScript is deprecated
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"model\.pt"):
        load_checkpoint(tmp_path / "model.pt")
    assert not recwarn.list
