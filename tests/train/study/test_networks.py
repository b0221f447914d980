from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import load_spec
from emodict_train.model.emotion_dict import EmotionDict
from emodict_train.study.compared.networks import AblationNetwork, Variant
from emodict_train.training.ensemble import Ensemble, Member
from emodict_train.training.plan import StepPlan, TrainingPlan

EMOTIONS = ("a", "b", "c")
FEATURES = load_spec("emodict-1")
# Tokens of 18 numbers: 5 bands of 18 channels, 28, 27 and 32 features.
TOKENS = {"eeg": slice(0, 5), "gsr": slice(5, 7), "ppg": slice(7, 9), "video": slice(9, 11)}
SMALL = {
    "d_model": 8,
    "heads": 2,
    "feed_forward": 6,
    "layers": 1,
    "elements": 4,
    "latent": 16,
    "bottleneck": 8,
    "readout": "last",
}
# Nothing but what a test asks for.
PLAN = TrainingPlan(
    weight_decay=0.0,
    modality_dropout=0.0,
    average=0.0,
    cosine=False,
    from_mean_label=False,
    auxiliary="kl",
    distillation=0.0,
)
FUSIONS = ("dictionary", "none", "concatenation", "attention")


def variant(model: dict[str, Any] = SMALL, *, auxiliary: str = "kl", **changes: Any) -> Variant:
    return Variant(PLAN, model, **changes).with_plan(auxiliary=auxiliary)


def network(of: Variant, *, seed: int = 0) -> AblationNetwork:
    """In evaluation mode, with BatchNorm statistics that are not the defaults."""
    torch.manual_seed(seed)
    made = of.network(EMOTIONS, FEATURES, torch.full((3,), 1 / 3))
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return made.eval()


def rows(count: int = 6, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Standardised tokens, and labels."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, FEATURES.tokens, FEATURES.token_width, generator=generator)
    return x, torch.softmax(torch.randn(count, 3, generator=generator), dim=1)


def numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def encoded(model: EmotionDict, x: Tensor) -> list[np.ndarray]:
    """What the multi-modal encoder gives,
    and what each modality's own encoder gives for its own tokens.
    """
    own = [model.modality_encoders[name](x[:, part]) for name, part in TOKENS.items()]
    return [numpy(part) for part in (model.encoder(x), *own)]


def lbl(x: np.ndarray, module: nn.Module) -> np.ndarray:
    """Equation 4: Linear, BatchNorm with its running statistics, LeakyReLU."""
    state = {name: numpy(value) for name, value in module.state_dict().items()}
    x = x @ state["0.weight"].T + state["0.bias"]
    x = (x - state["1.running_mean"]) / np.sqrt(state["1.running_var"] + 1e-5)
    x = x * state["1.weight"] + state["1.bias"]
    return np.where(x > 0, x, 0.01 * x)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum(axis=1).mean())


def assert_classified(model: EmotionDict, latent: np.ndarray, log_distribution: Tensor) -> None:
    """The rest of the path, from h on, is EmotionDict's own (see test_emotion_dict.py)."""
    logits = numpy(model.classifier(torch.from_numpy(latent).float()))
    np.testing.assert_allclose(numpy(log_distribution.exp()), softmax(logits), atol=1e-5)  # float32


def test_with_nothing_changed_the_network_is_emotion_dict() -> None:
    ours = network(variant())
    plain = EmotionDict(
        ModelSpec(EMOTIONS, FEATURES.modality_names, **SMALL), FEATURES, auxiliary=True
    )  # type: ignore[arg-type]
    plain.load_state_dict(ours.emotion_dict.state_dict())
    x, _ = rows()
    for training in (False, True):
        ours.train(training)
        plain.train(training)
        with torch.no_grad():
            for got, expected in zip(ours.output(x), plain.from_standardised(x), strict=True):
                assert torch.equal(got, expected)
    assert set(dict(ours.named_parameters())) == {
        f"emotion_dict.{name}" for name, _ in plain.named_parameters()
    }


def test_the_sizes_are_the_papers_unless_a_variant_changes_them() -> None:
    matrices = [
        network(variant(model)).emotion_dict.dictionary.matrix for model in ({}, {"elements": 8})
    ]
    assert [tuple(matrix.shape) for matrix in matrices] == [(128, 32), (128, 8)]


def test_without_a_dictionary_the_encoders_128_numbers_are_h() -> None:
    full_size = network(variant({"readout": "last"}, fusion="none"))
    x, _ = rows()
    output = full_size.output(x)
    assert output.latent.shape == (len(x), 128)
    model = full_size.emotion_dict
    expected = model.encoder(x)
    assert torch.equal(output.latent, expected)
    assert torch.equal(output.weights, expected)
    assert_classified(model, numpy(expected), output.log_distribution)
    assert not [name for name, _ in full_size.named_parameters() if "dictionary" in name]
    # as wide as h in the modality encoders, which the auxiliary losses compare with it
    for name, latent in model.auxiliary_latents(x).items():
        assert torch.equal(latent, model.modality_encoders[name](x[:, TOKENS[name]]))


def test_concatenation_joins_what_all_encoders_give_by_one_lbl() -> None:
    ours, (x, _) = network(variant(fusion="concatenation")), rows()
    parts = encoded(ours.emotion_dict, x)
    assert [part.shape for part in parts] == [(len(x), 4)] * 5
    assert isinstance(ours.join, nn.Sequential)
    latent = lbl(np.concatenate(parts, axis=1), ours.join[1])
    output = ours.output(x)
    np.testing.assert_allclose(numpy(output.latent), latent, atol=1e-5)  # float32
    np.testing.assert_array_equal(numpy(output.weights), parts[0])
    assert_classified(ours.emotion_dict, latent, output.log_distribution)


def test_attention_is_one_of_torchs_own_layers_over_what_all_encoders_give() -> None:
    ours, (x, _) = network(variant(fusion="attention")), rows()
    parts = encoded(ours.emotion_dict, x)
    layer = nn.TransformerEncoderLayer(
        4, 2, dim_feedforward=6, dropout=0.0, batch_first=True
    ).eval()
    assert isinstance(ours.join, nn.Sequential)
    layer.load_state_dict(ours.join[0].layers[0].state_dict())
    assert len(ours.join[0].layers) == 1
    with torch.no_grad():
        attended = numpy(layer(torch.from_numpy(np.stack(parts, axis=1)).float()))
    latent = lbl(attended.reshape(len(x), 20), ours.join[1][1])
    output = ours.output(x)
    # Float32, other order of sums.
    np.testing.assert_allclose(numpy(output.latent), latent, atol=1e-5)
    assert_classified(ours.emotion_dict, latent, output.log_distribution)


@pytest.mark.parametrize(
    ("auxiliary", "tasks"),
    [
        ("kl", ("central", "peripheral")),
        ("kl", ("central",)),
        ("kl", ("peripheral",)),
        ("kl", ()),
        ("literal", ("central", "peripheral")),
        ("mse", ("central", "peripheral")),
        ("mse", ("peripheral",)),
        ("none", ("central", "peripheral")),
    ],
)
@pytest.mark.parametrize("fusion", ["dictionary", "none"])
def test_the_loss_is_the_papers_equation_15_by_hand(
    auxiliary: str, tasks: tuple[str, ...], fusion: str
) -> None:
    ours = network(variant(auxiliary=auxiliary, tasks=tasks, fusion=fusion))
    x, d = rows()
    output = ours.output(x)
    expected = kl(numpy(d), np.exp(numpy(output.log_distribution)))
    if auxiliary != "none":
        h = numpy(output.latent)
        own = encoded(ours.emotion_dict, x)[1:]
        if fusion == "dictionary":
            own = [weights @ numpy(ours.emotion_dict.dictionary.matrix).T for weights in own]
        groups = {"central": own[:1], "peripheral": own[1:]}
        for task in tasks:
            joint = sum(groups[task]) / (1 if auxiliary == "literal" else len(groups[task]))
            expected += (
                float(np.square(joint - h).mean())
                if auxiliary == "mse"
                else kl(softmax(h), softmax(joint))
            )
    assert ours.loss(x, d).item() == pytest.approx(expected, rel=1e-4)  # float32 sums


@pytest.mark.parametrize("fusion", ["concatenation", "attention"])
def test_where_there_is_no_h_to_compare_with_the_main_loss_is_all(fusion: str) -> None:
    ours, (x, d) = network(variant(fusion=fusion)), rows()
    # Float32 sums.
    assert ours.loss(x, d).item() == pytest.approx(kl(numpy(d), np.exp(numpy(ours(x)))), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "idle"),
    [
        ({}, ()),
        ({"fusion": "none"}, ()),
        ({"auxiliary": "none"}, ()),
        ({"auxiliary": "none", "fusion": "none"}, ()),
        ({"tasks": ("peripheral",)}, ("modality_encoders.eeg.",)),
        (
            {"tasks": ("central",)},
            ("modality_encoders.gsr.", "modality_encoders.ppg.", "modality_encoders.video."),
        ),
        ({"fusion": "concatenation"}, ("dictionary.parameter",)),
        ({"fusion": "attention"}, ("dictionary.parameter",)),
    ],
)
def test_every_parameter_learns_but_those_that_a_variant_takes_out(
    changes: dict[str, Any], idle: tuple[str, ...]
) -> None:
    ours, (x, d) = network(variant(**changes)).train(), rows()
    torch.autograd.backward(ours.loss(x, d))
    without = {name for name, parameter in ours.named_parameters() if parameter.grad is None}
    expected = {
        n for n, _ in ours.named_parameters() if n.removeprefix("emotion_dict.").startswith(idle)
    }
    assert without == expected
    assert bool(idle) == bool(without)


def test_without_auxiliary_losses_there_are_no_modality_encoders() -> None:
    assert not network(variant(auxiliary="none")).emotion_dict.modality_encoders


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_network_may_start_at_the_mean_label(fusion: str) -> None:
    mean_label = torch.tensor([0.2, 0.3, 0.5])
    made = (
        variant(fusion=fusion)
        .with_plan(from_mean_label=True)
        .network(EMOTIONS, FEATURES, mean_label)
    )
    predicted = made.eval()(rows()[0]).exp()
    torch.testing.assert_close(predicted, mean_label.expand(6, 3), atol=1e-6, rtol=0)  # float32


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_dropout_acts_where_the_plan_says_so(fusion: str, dropout: float) -> None:
    ours = network(variant(fusion=fusion).with_plan(dropout=dropout))
    shares = {m.p for m in ours.modules() if isinstance(m, nn.Dropout)}
    shares |= {m.dropout for m in ours.modules() if isinstance(m, nn.MultiheadAttention)}
    assert shares == {dropout}


def trained_alone(of: Variant, member: Member, x: Tensor, d: Tensor) -> AblationNetwork:
    """One pass over the member's rows by an ordinary loop in batches of 8, without vmap."""
    torch.manual_seed(member.seed)
    made = of.network(EMOTIONS, FEATURES, torch.full((3,), 1 / 3)).train()
    optimiser = torch.optim.AdamW(made.parameters(), lr=1e-2, weight_decay=0.0)
    order = np.random.default_rng(member.seed).permutation(member.rows)
    for start in range(0, len(order), 8):
        batch = torch.from_numpy(order[start : start + 8])
        optimiser.zero_grad()
        torch.autograd.backward(made.loss(x[batch], d[batch]))
        optimiser.step()
    return made


@pytest.mark.parametrize(
    "changes",
    [*({"fusion": fusion} for fusion in FUSIONS), {"auxiliary": "literal"}, {"auxiliary": "mse"},
     {"tasks": ("peripheral",)}, {"tasks": ("central",)}, {"auxiliary": "none"}],
)  # fmt: skip
def test_two_networks_trained_at_once_are_those_trained_one_by_one(changes: dict[str, Any]) -> None:
    of = variant(**changes)
    x, d = rows(32)
    members = [Member(np.arange(16), 3), Member(np.arange(16, 32), 4)]
    plan = StepPlan(epochs=1, batch_size=8, learning_rate=1e-2)
    ensemble = Ensemble(
        lambda member: of.network(EMOTIONS, FEATURES, torch.full((3,), 1 / 3)),
        numpy(x),
        numpy(d),
        members,
        plan,
    )
    untrained = ensemble.states()
    ensemble.run_epoch()
    for member, before, after in zip(members, untrained, ensemble.states(), strict=True):
        alone = trained_alone(of, member, x, d)
        # By each batch's own statistics: a bias before BatchNorm,
        # whose gradient is rounding alone, counts for nothing.
        with torch.no_grad():
            expected = alone(x).exp()
            alone.load_state_dict(after)
            got = alone.train()(x).exp()
            alone.load_state_dict(before)
            start = alone.train()(x).exp()
        # float32, sums in another order; two steps of Adam,
        # which makes even small gradients full steps
        torch.testing.assert_close(got, expected, atol=5e-3, rtol=0)
        assert (got - start).abs().max() > 5e-2
