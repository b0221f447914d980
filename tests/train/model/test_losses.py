from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import load_spec
from emodict_train.model.emotion_dict import EmotionDict
from emodict_train.model.losses import auxiliary_loss, main_loss
from emodict_train.training.emotion_dict import TrainedEmotionDict
from emodict_train.training.ensemble import Ensemble, Member
from emodict_train.training.plan import TrainingPlan

ROWS, SIZE = 4, 128


def _latents(names: tuple[str, ...], seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(ROWS, SIZE, generator=generator, requires_grad=True)
    return latent, {
        n: torch.randn(ROWS, SIZE, generator=generator, requires_grad=True) for n in names
    }


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _kl(target: np.ndarray, other: np.ndarray) -> float:
    """Mean over rows of KL(softmax(target) || softmax(other)), written out."""
    p, q = _softmax(target), _softmax(other)
    return float((p * (np.log(p) - np.log(q))).sum(axis=1).mean())


def _plain(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def test_the_main_loss_is_kl_by_hand_with_0_log_0_as_0() -> None:
    truth = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    predicted = torch.tensor([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]])
    by_hand = (
        0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.5) + 1.0 * math.log(1.0 / 0.5)
    ) / 2
    assert main_loss(predicted.log(), truth).item() == pytest.approx(by_hand, abs=1e-7)  # float32


def test_the_main_loss_is_0_at_the_truth_and_keeps_the_intensities() -> None:
    truth = torch.tensor([[0.2, 0.3, 0.5]])
    assert main_loss(truth.log(), truth).item() == pytest.approx(0, abs=1e-7)  # float32
    assert main_loss(truth.flip(1).log(), truth).item() > 0.1


def test_a_zero_in_the_label_gives_a_finite_gradient() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    truth = torch.tensor([[0.0, 0.25, 0.75]])
    main_loss(torch.log_softmax(logits, dim=1), truth).backward()
    assert logits.grad is not None
    # the gradient of KL by the logits is prediction - truth
    torch.testing.assert_close(logits.grad, 1 / 3 - truth, atol=1e-6, rtol=0)  # float32


@pytest.mark.parametrize("form", ["kl", "literal", "mse"])
@pytest.mark.parametrize("names", [("eeg", "gsr", "ppg", "video"), ("gsr", "ppg"), ("eeg",)])
def test_the_auxiliary_forms_equal_plain_numpy(form: str, names: tuple[str, ...]) -> None:
    latent, latents = _latents(names)
    h, groups = _plain(latent), []
    if "eeg" in names:
        groups.append([_plain(latents["eeg"])])
    peripheral = [_plain(latents[n]) for n in names if n != "eeg"]
    if peripheral:
        groups.append(peripheral)
    expected = 0.0
    for group in groups:
        joint = sum(group) if form == "literal" else sum(group) / len(group)
        expected += float(np.square(joint - h).mean()) if form == "mse" else _kl(h, joint)
    # float32 sums of 128 terms
    assert auxiliary_loss(form, latent, latents).item() == pytest.approx(expected, rel=1e-5)


def test_without_eeg_there_is_one_auxiliary_loss() -> None:
    latent, latents = _latents(("gsr", "skt", "ecg", "hr"))
    mean = sum(_plain(h) for h in latents.values()) / 4
    # float32 sums of 128 terms
    assert auxiliary_loss("kl", latent, latents).item() == pytest.approx(
        _kl(_plain(latent), mean), rel=1e-5
    )


def test_negative_latents_give_a_number() -> None:
    latent, latents = _latents(("eeg", "gsr"))
    for form in ("kl", "literal", "mse"):
        assert torch.isfinite(
            auxiliary_loss(form, latent - 100, {n: h - 50 for n, h in latents.items()})
        )


@pytest.mark.parametrize(("form", "fixed"), [("kl", True), ("mse", True), ("literal", False)])
def test_gradients_reach_h_only_where_both_sides_are_trained(form: str, fixed: bool) -> None:
    latent, latents = _latents(("eeg", "gsr", "ppg"))
    auxiliary_loss(form, latent, latents).backward()
    assert (latent.grad is None) == fixed
    for h in latents.values():
        assert h.grad is not None
        assert h.grad.abs().max() > 0


def _one_step(auxiliary: str) -> EmotionDict:
    features = load_spec("emodict-1")
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(8, features.tokens, features.token_width, generator=generator)
    labels = torch.softmax(torch.randn(8, 3, generator=generator), dim=1)
    plan = TrainingPlan(epochs=1, batch_size=8, auxiliary=auxiliary, average=0.0)
    spec = ModelSpec(("a", "b", "c"), features.modality_names, layers=1)
    x, d = tokens.double().numpy(), labels.double().numpy()
    ensemble = Ensemble(
        lambda _: TrainedEmotionDict(spec, features, plan),
        x,
        d,
        [Member(np.arange(8), seed=0)],
        plan,
    )
    ensemble.run_epoch()
    network = TrainedEmotionDict(spec, features, plan)
    network.load_state_dict(ensemble.states()[0])
    return network.emotion_dict


@pytest.mark.parametrize("form", ["kl", "literal", "mse"])
def test_auxiliary_latents_never_pass_the_classifier_and_its_statistics(form: str) -> None:
    plain, with_auxiliary = _one_step("none").state_dict(), _one_step(form).state_dict()
    statistics = [n for n in plain if "running" in n or "num_batches" in n]
    assert len(statistics) == 4 * 3
    for name in statistics:  # of the first batch, before any weight has changed
        assert torch.equal(plain[name], with_auxiliary[name]), name
    name = "modality_encoders.eeg.embed.weight"
    assert name in with_auxiliary
    assert name not in plain
