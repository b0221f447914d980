from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import FeatureSpec, load_spec
from emodict_train.model.emotion_dict import (
    Dictionary,
    EmotionDict,
    Encoder,
    Standardise,
    sinusoidal_positions,
)

EMOTIONS = tuple(f"emotion{i}" for i in range(10))


def _spec(features: FeatureSpec, **changes: object) -> ModelSpec:
    return ModelSpec(EMOTIONS, features.modality_names, **changes)  # type: ignore[arg-type]


def _network(
    features: FeatureSpec, *, auxiliary: bool = False, seed: int = 0, **changes: object
) -> EmotionDict:
    """In evaluation mode, with BatchNorm statistics that are not the defaults."""
    torch.manual_seed(seed)
    network = EmotionDict(_spec(features, **changes), features, auxiliary=auxiliary)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return network.eval()


def _tokens(features: FeatureSpec, rows: int = 5, seed: int = 1) -> Tensor:
    return torch.randn(
        rows, features.tokens, features.token_width, generator=torch.Generator().manual_seed(seed)
    )


def _numpy(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


def _lbl(x: np.ndarray, state: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Linear, BatchNorm; the paper's LBL but for the activation."""
    x = x @ state[f"{name}.0.weight"].T + state[f"{name}.0.bias"]
    x = (x - state[f"{name}.1.running_mean"]) / np.sqrt(state[f"{name}.1.running_var"] + 1e-5)
    return x * state[f"{name}.1.weight"] + state[f"{name}.1.bias"]


def _leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.01 * x)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_positions_are_the_sines_and_cosines_of_the_closed_form() -> None:
    got = sinusoidal_positions(11, 24).double().numpy()
    for position in range(11):
        for i in range(12):
            angle = position / 10000 ** (2 * i / 24)
            # float32 keeps 7 digits of numbers up to 1
            assert got[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-7)
            assert got[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-7)


def test_what_a_checkpoint_holds_is_learned_or_measured_and_positions_are_neither() -> None:
    spec = load_spec("emodict-1").with_modalities(["gsr", "ppg"])
    state = EmotionDict(ModelSpec(("a", "b"), spec.modality_names), spec).state_dict()
    assert {"standardise.mean", "standardise.scale"} <= set(state)
    assert not [name for name in state if "positions" in name]


def test_the_encoder_is_a_stack_of_torchs_own_untouched_layers_between_two_linears() -> None:
    features = load_spec("emodict-1")
    ours = _network(features, readout="last").encoder
    layers = []
    for i in range(3):
        layer = nn.TransformerEncoderLayer(
            24, 4, dim_feedforward=32, dropout=0.0, batch_first=True
        ).eval()
        prefix = f"transformer.layers.{i}."
        layer.load_state_dict(
            {
                k.removeprefix(prefix): v
                for k, v in ours.state_dict().items()
                if k.startswith(prefix)
            }
        )
        layers.append(layer)
    x = _tokens(features)
    with torch.no_grad():
        hidden = x @ ours.embed.weight.T + ours.embed.bias + sinusoidal_positions(11, 24)
        for layer in layers:
            hidden = layer(hidden)
        expected = hidden[:, -1] @ ours.to_weights.weight.T + ours.to_weights.bias
        # Float32, other order of sums.
        torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("readout", ["last", "mean", "flatten"])
def test_the_readout_reads_the_last_token_their_mean_or_all(readout: str) -> None:
    features = load_spec("emodict-1")
    encoder = _network(features, readout=readout).encoder
    x = _tokens(features)
    with torch.no_grad():
        hidden = encoder.transformer(encoder.embed(x) + encoder.positions).numpy()
        pooled = {
            "last": hidden[:, 10],
            "mean": hidden.sum(axis=1) / 11,
            "flatten": np.concatenate([hidden[:, i] for i in range(11)], axis=1),
        }[readout]
        expected = pooled @ encoder.to_weights.weight.numpy().T + encoder.to_weights.bias.numpy()
        # float32, other order of sums
        np.testing.assert_allclose(encoder(x).numpy(), expected, atol=1e-5)


def test_dropout_acts_in_training_alone_and_only_where_asked() -> None:
    features = load_spec("emodict-1")
    torch.manual_seed(0)
    without = EmotionDict(_spec(features), features)
    shares = [m.p for m in without.modules() if isinstance(m, nn.Dropout)]
    shares += [m.dropout for m in without.modules() if isinstance(m, nn.MultiheadAttention)]
    assert shares
    assert set(shares) == {0.0}
    with_dropout = EmotionDict(_spec(features), features, dropout=0.5).eval()
    assert torch.equal(
        with_dropout(_tokens(features)).weights, with_dropout(_tokens(features)).weights
    )
    with_dropout.train()
    assert not torch.equal(
        with_dropout(_tokens(features)).weights, with_dropout(_tokens(features)).weights
    )


def test_the_dictionary_is_orthonormal_and_stays_so_after_training_steps() -> None:
    torch.manual_seed(0)
    dictionary = Dictionary(128, 32)
    optimiser = torch.optim.SGD(dictionary.parameters(), lr=1.0)
    before = dictionary.matrix.detach().clone()
    for _ in range(3):
        optimiser.zero_grad()
        dictionary(torch.randn(4, 32)).square().mul(torch.randn(128)).sum().backward()
        optimiser.step()
    after = dictionary.matrix.detach()
    assert (after - before).abs().max() > 0.01  # it has learned
    for matrix in (before, after):
        # Float32 QR.
        torch.testing.assert_close(matrix.T @ matrix, torch.eye(32), atol=1e-5, rtol=0)


def test_the_latent_is_the_weighted_sum_of_the_dictionarys_elements() -> None:
    torch.manual_seed(0)
    dictionary, weights = Dictionary(128, 32), torch.randn(3, 32)
    elements = dictionary.matrix.detach().double().numpy()
    for row, latent in zip(weights.numpy(), dictionary(weights).detach().numpy(), strict=True):
        # float32 sums of 32 terms
        np.testing.assert_allclose(
            latent, sum(row[i] * elements[:, i] for i in range(32)), atol=1e-6
        )


def test_the_dictionary_spans_what_its_parameter_spans() -> None:
    torch.manual_seed(0)
    dictionary = Dictionary(128, 32)
    q, parameter = dictionary.matrix.detach().double(), dictionary.parameter.detach().double()
    # float32 QR of numbers below 1
    torch.testing.assert_close(q @ (q.T @ parameter), parameter, atol=1e-5, rtol=0)


@pytest.mark.parametrize("gate", ["linear", "bare"])
def test_the_classifier_follows_equations_4_to_9(gate: str) -> None:
    network = _network(load_spec("emodict-1"), gate=gate)
    state = _numpy(network.classifier)
    latent = torch.randn(6, 128, generator=torch.Generator().manual_seed(2))
    h1 = _leaky(_lbl(latent.double().numpy(), state, "lbl1"))
    wide = _leaky(_lbl(_leaky(_lbl(h1, state, "lbl2")), state, "lbl3"))
    h2 = _sigmoid(_lbl(wide, state, "lbs") if gate == "linear" else wide)
    expected = (h1 * h2) @ state["to_emotions.weight"].T + state["to_emotions.bias"]
    with torch.no_grad():
        # float32, three layers of 128 terms
        np.testing.assert_allclose(network.classifier(latent).numpy(), expected, atol=1e-5)


def test_the_whole_path_is_its_parts_one_after_the_other_and_ends_in_a_softmax() -> None:
    features = load_spec("emodict-1")
    network, tokens = _network(features), _tokens(features)
    with torch.no_grad():
        out = network(tokens)
        weights = network.encoder(network.standardise(tokens))
        latent = weights @ network.dictionary.matrix.T
        logits = network.classifier(latent).double().numpy()
    assert torch.equal(out.weights, weights)
    assert torch.equal(out.latent, latent)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # Float32 shares.
    np.testing.assert_allclose(out.log_distribution.exp().numpy(), shares, atol=1e-6)


def test_the_papers_own_sizes_make_52634_parameters() -> None:
    features = load_spec("emodict-1")
    assert (features.tokens, features.token_width) == (11, 18)
    network = EmotionDict(_spec(features, gate="bare", readout="last"), features)
    # SCIENCE.md, of the released code with width 32.
    assert sum(p.numel() for p in network.parameters()) == 52_634


@pytest.mark.parametrize(
    ("spec_id", "tokens"),
    [
        ("emodict-1", {"eeg": (0, 5), "gsr": (5, 7), "ppg": (7, 9), "video": (9, 11)}),
        ("dmer-2024", {"eeg": (0, 5), "gsr": (5, 7), "ppg": (7, 9), "video": (9, 11)}),
        ("dmer-sample", {"eeg": (0, 18), "gsr": (18, 19), "ppg": (19, 20), "video": (20, 28)}),
        ("edl-89", {"gsr": (0, 39), "skt": (39, 43), "ecg": (43, 82), "hr": (82, 89)}),
    ],
)
def test_each_modality_has_its_own_encoder_for_its_own_tokens(
    spec_id: str, tokens: dict[str, tuple[int, int]]
) -> None:
    features = load_spec(spec_id)
    network = _network(features, auxiliary=True)
    assert {name: (part.start, part.stop) for name, part in network.token_slices.items()} == tokens
    x = _tokens(features, rows=3)
    with torch.no_grad():
        assert network(x).log_distribution.shape == (3, 10)
        latents = network.auxiliary_latents(x)
        assert list(latents) == list(tokens)
        for name, (start, stop) in tokens.items():
            encoder = network.modality_encoders[name]
            assert isinstance(encoder, Encoder)
            assert torch.equal(encoder.positions, sinusoidal_positions(stop - start, 24))
            # Eq. 11, 12: the same dictionary.
            expected = encoder(x[:, start:stop]) @ network.dictionary.matrix.T
            assert torch.equal(latents[name], expected)


@pytest.mark.parametrize("names", [("ppg",), ("gsr", "ppg"), ("eeg", "video")])
@pytest.mark.parametrize("spec_id", ["emodict-1", "dmer-2024", "dmer-sample"])
def test_a_subset_of_modalities_makes_a_smaller_model_that_works(
    spec_id: str, names: tuple[str, ...]
) -> None:
    features = load_spec(spec_id).with_modalities(names)
    network = _network(features, auxiliary=True)
    with torch.no_grad():
        out = network(_tokens(features, rows=4))
    assert out.weights.shape == (4, 32)
    assert set(network.modality_encoders) == set(names)
    # float32 shares
    torch.testing.assert_close(
        out.log_distribution.exp().sum(dim=1), torch.ones(4), atol=1e-6, rtol=0
    )


def test_what_is_missing_acts_exactly_like_the_training_mean() -> None:
    features = load_spec("emodict-1")
    network = _network(features)
    torch.manual_seed(3)
    network.standardise.mean.normal_(0, 100)
    network.standardise.scale.uniform_(0.1, 10)
    tokens = _tokens(features) * network.standardise.scale + network.standardise.mean
    missing, at_mean = tokens.clone(), tokens.clone()
    missing[:, 5:9] = torch.nan
    at_mean[:, 5:9] = network.standardise.mean[5:9]
    with torch.no_grad():
        assert torch.equal(network(missing).log_distribution, network(at_mean).log_distribution)
        assert not torch.equal(network(missing).log_distribution, network(tokens).log_distribution)


def test_standardising_subtracts_the_mean_and_divides_by_the_scale() -> None:
    standardise = Standardise(2, 3)
    standardise.mean.copy_(torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    standardise.scale.copy_(torch.tensor([[1.0, 2, 4], [1, 2, 4]]))
    got = standardise(torch.tensor([[[2.0, 4, 7], [4, 3, torch.nan]]]))
    assert got.tolist() == [[[1, 1, 1], [0, -1, 0]]]
