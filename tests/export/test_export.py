from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from emodict.engine import open_engine
from emodict.errors import EmodictError, OutputError
from emodict_export import compare
from emodict_export import export as export_module
from emodict_export.export import export_onnx, missing_value
from emodict_export.fold import Affine, FoldedModel
from emodict_train.model.checkpoint import Checkpoint

MakeCheckpoint = Callable[..., Checkpoint]


def test_the_report_says_what_was_written_and_how_far_it_is_from_torch(
    trained: MakeCheckpoint, tmp_path: Path
) -> None:
    report = export_onnx(trained("emodict-1"), tmp_path / "model.onnx")
    assert report.path == tmp_path / "model.onnx"
    assert report.nodes == len(onnx.load(report.path).graph.node)
    assert 0 < report.distribution_error < 1e-5  # float32 against float32, in another order
    assert 0 < report.weights_error < 1e-4


BROKEN = {
    "bias": lambda m: dataclasses.replace(m, lbl2=Affine(m.lbl2.weight, m.lbl2.bias + 0.1)),
    "layer": lambda m: dataclasses.replace(m, layers=(m.layers[0], m.layers[0], m.layers[2])),
    "NaN": lambda m: dataclasses.replace(m, position=m.position * np.nan),
    "weights": lambda m: dataclasses.replace(
        m, to_weights=Affine(m.to_weights.weight, m.to_weights.bias + 0.01), lbl1=m.lbl1
    ),
}


@pytest.mark.parametrize("what", list(BROKEN))
def test_a_broken_fold_is_refused_and_nothing_is_written(
    trained: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    original = export_module.fold_network

    def broken(network: object) -> FoldedModel:
        return BROKEN[what](original(network))  # type: ignore[arg-type]

    monkeypatch.setattr(export_module, "fold_network", broken)
    (tmp_path / "model.onnx").write_text("the model before")
    with pytest.raises(
        EmodictError, match="does not compute what the torch model computes; nothing was written"
    ):
        export_onnx(trained("emodict-1", readout="last"), tmp_path / "model.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_text() == "the model before"


def test_a_fault_of_ours_is_not_called_the_users(
    trained: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(compare.ALLOWED, "fp32", (0.0, 0.0))
    with pytest.raises(EmodictError) as error:
        export_onnx(trained("emodict-1"), tmp_path / "model.onnx")
    assert error.value.exit_code == 1


@pytest.mark.parametrize("offset", [4e3, -1e5])
def test_features_far_from_0_are_centred_before_float32_loses_their_digits(
    trained: MakeCheckpoint, tmp_path: Path, offset: float
) -> None:
    checkpoint = trained("emodict-1", offset=offset)
    state = checkpoint.states[0]
    assert (state["standardise.mean"].abs() / state["standardise.scale"]).min() > 1000
    # The same as near 0.
    assert export_onnx(checkpoint, tmp_path / "model.onnx").distribution_error < 1e-5
    # float64 throughout, from the very same float32 tokens
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    z = np.random.default_rng(0).standard_normal((7, 11, 18))
    tokens = (z * state["standardise.scale"].numpy() + state["standardise.mean"].numpy()).astype(
        np.float32
    )
    with torch.no_grad():
        exact = (
            checkpoint.networks()[0]
            .double()(torch.from_numpy(tokens).double())
            .log_distribution.exp()
        )
    got = session.run(["distribution"], {"tokens": tokens})[0]
    # The subtraction itself is exact nearby.
    np.testing.assert_allclose(got, exact.numpy(), rtol=0, atol=1e-5)


def test_an_output_folder_that_is_missing_is_refused(
    trained: MakeCheckpoint, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="which does not"):
        export_onnx(trained("emodict-1"), tmp_path / "no" / "model.onnx")


def test_what_stands_for_a_missing_modality_is_the_training_mean(trained: MakeCheckpoint) -> None:
    checkpoint = trained("emodict-1")
    np.testing.assert_array_equal(
        missing_value(checkpoint), checkpoint.states[0]["standardise.mean"].double().numpy()
    )


def test_members_that_standardise_differently_are_refused(
    trained: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = trained("emodict-1", members=3)
    other = {
        **checkpoint.states[1],
        "standardise.mean": checkpoint.states[1]["standardise.mean"] + 1,
    }
    mixed = dataclasses.replace(
        checkpoint, states=(checkpoint.states[0], other, checkpoint.states[2])
    )
    with pytest.raises(EmodictError, match=r"members.*standardise"):
        export_onnx(mixed, tmp_path / "model.onnx")


@pytest.mark.parametrize("simulated", [True, False])
def test_an_engine_tells_whether_its_model_learned_from_simulated_people(
    simulated: bool, trained: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = dataclasses.replace(trained("emodict-1"), training={"simulated": simulated})
    export_onnx(checkpoint, tmp_path / "model.onnx")
    with open_engine(tmp_path / "model.onnx") as engine:
        assert engine.manifest.simulated is simulated
