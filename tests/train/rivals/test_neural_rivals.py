from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from scipy.stats import entropy
from tests.train.study.fixtures import BUDGET
from torch import Tensor, nn
from torch.nn import functional

from emodict.errors import InputError
from emodict.results.metrics import METRICS, mean_metrics
from emodict_train.rivals import back_propagation, cpnn, dldl, edlconv, misa, tailor
from emodict_train.rivals.back_propagation import AABP
from emodict_train.rivals.cpnn import CPNN, ConditionalProbabilityNetwork, label_codes
from emodict_train.rivals.dldl import DLDL
from emodict_train.rivals.edlconv import Convolution, EDLConv
from emodict_train.rivals.misa import MISA, difference_loss, similarity_loss
from emodict_train.rivals.neural import AttentionBlock, NeuralRival, RivalNetwork
from emodict_train.rivals.tailor import TAILOR, orthogonality_loss, reverse_gradient
from emodict_train.training.ensemble import Ensemble, Member

ROWS, COLUMNS, LABELS = 40, 8, 5
MODALITIES = (slice(0, 4), slice(4, 5), slice(5, 8))
Make = Callable[..., NeuralRival]


def one_hot(**options: Any) -> CPNN:
    return CPNN(encoding="one-hot", **options)


SINGLE: Mapping[str, Make] = {
    "AA-BP": AABP,
    "SA-CPNN": CPNN,
    "SA-CPNN (one-hot)": one_hot,
    "DLDL": DLDL,
}
MULTIMODAL: Mapping[str, Make] = {"EDLConv": EDLConv, "MISA": MISA, "TAILOR": TAILOR}
GRIDS = {
    "AA-BP": back_propagation.GRID,
    "SA-CPNN": cpnn.GRID,
    "SA-CPNN (one-hot)": cpnn.GRID,
    "DLDL": dldl.GRID,
    "EDLConv": edlconv.GRID,
    "MISA": misa.GRID,
    "TAILOR": tailor.GRID,
}
every_rival = pytest.mark.parametrize("name", [*SINGLE, *MULTIMODAL])
every_multimodal = pytest.mark.parametrize("name", MULTIMODAL)


def make(name: str, **options: Any) -> NeuralRival:
    if name in SINGLE:
        return SINGLE[name](**options)
    return MULTIMODAL[name](**{"modalities": MODALITIES, **options})


def planted(rows: int = ROWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features and the distributions that a linear softmax, always the same, gives for them."""
    weights = np.random.default_rng(99).normal(size=(COLUMNS, LABELS)) * 0.7
    X = np.random.default_rng(seed).normal(size=(rows, COLUMNS))
    powers = np.exp(X @ weights)
    return X, powers / powers.sum(axis=1, keepdims=True)


def tensors(rows: int = ROWS, seed: int = 0) -> tuple[Tensor, Tensor]:
    X, D = planted(rows, seed)
    return torch.from_numpy(X).float(), torch.from_numpy(D).float()


def network(rival: NeuralRival, seed: int = 0, inputs: int = COLUMNS) -> RivalNetwork:
    torch.manual_seed(seed)
    return rival.network(inputs, LABELS)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """In [0, 1], float64, so that formulas can be compared to many digits."""
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# What all of them do


@every_rival
def test_a_prediction_is_one_distribution_for_each_row(name: str) -> None:
    X, D = planted()
    predicted = make(name, epochs=1).fit(X, D).predict(X[:7])
    assert predicted.shape == (7, LABELS)
    assert (predicted >= 0).all()
    np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-6)  # float32 softmax


@every_rival
def test_members_trained_at_once_equal_networks_trained_one_by_one(name: str) -> None:
    X, D = planted()
    x, d = tensors()
    # A batch of all rows: the losses are means over rows, so that their order does not matter.
    rival = make(name, epochs=4, batch_size=20, learning_rate=1e-3, weight_decay=0.5)
    members = [Member(np.arange(20), 3), Member(np.arange(20, 40), 8)]
    ensemble = Ensemble(lambda _: rival.network(COLUMNS, LABELS), X, D, members, rival.plan())
    for _ in range(4):
        ensemble.run_epoch()
    for member, predicted in zip(members, ensemble.predict(X), strict=True):
        alone = network(rival, member.seed)
        untrained = alone(x).exp().detach().numpy()
        optimiser = torch.optim.AdamW(alone.parameters(), lr=1e-3, weight_decay=0.5)
        for _ in range(4):
            optimiser.zero_grad()
            alone.loss(x[member.rows], d[member.rows]).backward()
            optimiser.step()
        with torch.no_grad():
            # Adam's first steps have the size of the rate whatever the gradient's:
            # rounding of a gradient of 0 shows.
            np.testing.assert_allclose(predicted, alone(x).exp().numpy(), atol=1e-4)
        assert np.abs(predicted - untrained).max() > 1e-3


@every_rival
def test_a_planted_linear_softmax_is_learned_better_than_the_mean_label(name: str) -> None:
    X, D = planted(200)
    X_new, D_new = planted(100, seed=1)
    predicted = make(name, epochs=30, batch_size=100, learning_rate=1e-2).fit(X, D).predict(X_new)
    mean_label = np.tile(D.mean(axis=0), (100, 1))
    assert mean_metrics(D_new, predicted)["kl"] < 0.8 * mean_metrics(D_new, mean_label)["kl"]


@every_rival
def test_the_same_seed_gives_the_same_rival_and_another_seed_another(name: str) -> None:
    X, D = planted()
    first, again, other = (
        make(name, epochs=2, seed=seed).fit(X, D).predict(X) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@every_rival
def test_zeros_in_labels_give_finite_losses_and_gradients(name: str) -> None:
    x, _ = tensors()
    d = functional.one_hot(torch.arange(ROWS) % LABELS, LABELS).float()
    net = network(make(name)).train()
    loss = net.loss(x, d)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@every_rival
def test_every_weight_takes_part_in_the_loss(name: str) -> None:
    net = network(make(name)).train()
    net.loss(*tensors()).backward()
    idle = [n for n, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert idle == []


@every_rival
def test_candidates_are_few_and_each_can_be_trained(name: str) -> None:
    x, d = tensors()
    assert 1 < len(GRIDS[name]) <= BUDGET
    for candidate in GRIDS[name]:
        assert "epochs" not in candidate  # chosen from the curve
        assert torch.isfinite(network(make(name, **candidate)).loss(x, d))


@every_rival
def test_predicting_before_fitting_is_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match="fit"):
        make(name).predict(planted()[0])


# The modalities


@every_multimodal
@pytest.mark.parametrize(
    "modalities",
    [
        (slice(0, 1), slice(1, COLUMNS)),
        tuple(slice(i, i + 1) for i in range(COLUMNS)),
        (slice(0, COLUMNS),),
        (),
    ],
    ids=["one of one column", "all of one column", "one modality", "not told"],
)
def test_any_division_into_modalities_trains(name: str, modalities: tuple[slice, ...]) -> None:
    X, D = planted()
    before, after = (
        make(name, epochs=epochs, batch_size=ROWS, learning_rate=2e-2, modalities=modalities)
        .fit(X, D)
        .predict(X)
        for epochs in (0, 15)
    )
    assert mean_metrics(D, after)["kl"] < 0.9 * mean_metrics(D, before)["kl"]


@every_multimodal
def test_columns_of_no_modality_are_not_read(name: str) -> None:
    x, _ = tensors()
    net = network(make(name, modalities=(slice(0, 3), slice(3, 6)))).eval()
    changed = torch.cat([x[:, :6], x[:, 6:] + 5], dim=1)
    assert torch.equal(net(x), net(changed))
    assert not torch.equal(net(x), net(torch.cat([x[:, :5], x[:, 5:] + 5], dim=1)))


@every_multimodal
def test_dropout_is_at_work_in_training_only(name: str) -> None:
    x, _ = tensors()
    net = network(make(name, dropout=0.5))
    assert torch.equal(net.eval()(x), net(x))
    assert not torch.equal(net.train()(x), net(x))


# Their parts


@pytest.mark.parametrize("name", ["SA-CPNN", "SA-CPNN (one-hot)", "DLDL", "EDLConv"])
def test_most_are_trained_on_the_kl_divergence_that_scipy_gives(name: str) -> None:
    x, d = tensors()
    net = network(make(name))
    expected = entropy(d.double().numpy(), net(x).double().exp().detach().numpy(), axis=1).mean()
    assert net.loss(x, d).item() == pytest.approx(expected, rel=1e-5)  # float32


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_an_attention_block_is_torchs_transformer_layer(heads: int) -> None:
    block = AttentionBlock(8, heads=heads)
    layer = nn.TransformerEncoderLayer(8, heads, dim_feedforward=16, dropout=0.0, batch_first=True)
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(
            torch.cat([block.query.weight, block.key_value.weight])
        )
        layer.self_attn.in_proj_bias.copy_(torch.cat([block.query.bias, block.key_value.bias]))
    for ours, theirs in (
        (block.out, layer.self_attn.out_proj),
        (block.feed_forward[0], layer.linear1),
        (block.feed_forward[2], layer.linear2),
    ):
        theirs.load_state_dict(ours.state_dict())
    tokens = uniform(6, 5, 8).float()
    torch.testing.assert_close(block(tokens, tokens), layer(tokens), atol=1e-5, rtol=0)  # float32


def test_tokens_attend_to_another_context_as_in_torch() -> None:
    block, theirs = AttentionBlock(8, heads=2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([block.query.weight, block.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([block.query.bias, block.key_value.bias]))
    theirs.out_proj.load_state_dict(block.out.state_dict())
    tokens, context = uniform(1, 3, 8).float(), uniform(6, 4, 8, seed=1).float()
    attended, _ = theirs(tokens.expand(6, -1, -1), context, context)
    x = block.norm_attention(tokens + attended)
    expected = block.norm(x + block.feed_forward(x))
    torch.testing.assert_close(block(tokens, context), expected, atol=1e-5, rtol=0)  # float32


@pytest.mark.parametrize("length", [1, 2, 9])
def test_a_convolution_is_torchs_conv1d_of_stride_2_with_zeros_beyond_the_ends(length: int) -> None:
    ours = Convolution(2, 4)
    x = uniform(6, length, 2).float()
    # (outputs, 3 neighbours x 2 channels) -> torch's (outputs, channels, neighbours)
    kernel = ours.kernel.weight.unflatten(1, (3, 2)).transpose(1, 2)
    expected = functional.conv1d(
        x.transpose(1, 2), kernel, ours.kernel.bias, stride=2, padding=1
    ).transpose(1, 2)
    torch.testing.assert_close(ours(x), expected, atol=1e-6, rtol=0)  # float32


# AA-BP


def test_aa_bp_is_trained_on_the_sum_of_squared_errors() -> None:
    x, d = tensors()
    net = network(AABP(hidden=3))
    predicted, truth = net(x).exp().detach().double().numpy(), d.double().numpy()
    expected = sum(
        (p - t) ** 2
        for row in zip(predicted, truth, strict=True)
        for p, t in zip(*row, strict=True)
    )
    assert net.loss(x, d).item() == pytest.approx(expected / ROWS, rel=1e-5)  # float32


def test_aa_bp_has_sigmoid_units_and_a_softmax() -> None:
    x, _ = tensors(1)
    net = network(AABP(hidden=3))
    (w, a, v, b) = (p.detach().double().numpy() for p in net.parameters())
    row = x[0].double().numpy()
    hidden = [sigmoid(sum(w[j, i] * row[i] for i in range(COLUMNS)) + a[j]) for j in range(3)]
    powers = [math.exp(sum(v[k, j] * hidden[j] for j in range(3)) + b[k]) for k in range(LABELS)]
    expected = [power / sum(powers) for power in powers]
    np.testing.assert_allclose(net(x)[0].exp().detach().numpy(), expected, atol=1e-6)  # float32


def test_aa_bp_reaches_the_published_s_jaffe_row(shared_data: Path) -> None:
    table = loadmat(shared_data / "sjaffe" / "SJAFFE.mat")
    X, D = table["features"].astype(np.float64), table["labels"].astype(np.float64)
    order = np.random.default_rng(0).permutation(len(X))
    test = [order[i::10] for i in range(10)]
    members = [Member(np.setdiff1d(order, rows), fold) for fold, rows in enumerate(test)]
    rival = AABP()
    ensemble = Ensemble(
        lambda _: rival.network(X.shape[1], D.shape[1]), X, D, members, rival.plan()
    )
    for _ in range(rival.epochs):
        ensemble.run_epoch()
    predicted = np.concatenate(ensemble.predict(rows=test))
    measured = mean_metrics(D[np.concatenate(test)], predicted)
    published = dict(zip(METRICS, (0.120, 0.426, 0.889, 0.073, 0.931, 0.848), strict=True))
    for metric, value in published.items():
        # the table's KL has two digits only
        assert measured[metric] == pytest.approx(value, rel=0.08 if metric == "kl" else 0.05), (
            metric
        )


# SA-CPNN


@pytest.mark.parametrize(
    ("encoding", "codes"),
    [("numeric", [[1.0], [2.0], [3.0]]), ("one-hot", [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])],
)
def test_cpnn_is_its_closed_form_with_the_label_as_an_input(
    encoding: str, codes: list[list[float]]
) -> None:
    net = ConditionalProbabilityNetwork(2, label_codes(encoding, 3), hidden=2)
    w, a = net.hidden.weight.detach().double().numpy(), net.hidden.bias.detach().double().numpy()
    v = net.score.weight.detach().double().numpy()[0]
    row = [0.3, -1.2]
    powers = []
    for code in codes:
        entered = [*row, *code]
        hidden = [
            sigmoid(sum(w[j, i] * entered[i] for i in range(len(entered))) + a[j]) for j in range(2)
        ]
        powers.append(math.exp(v[0] * hidden[0] + v[1] * hidden[1]))
    expected = [power / sum(powers) for power in powers]
    predicted = net(torch.tensor([row])).exp()[0].detach().numpy()
    np.testing.assert_allclose(predicted, expected, atol=1e-6)  # float32


def test_an_unknown_encoding_of_labels_is_refused() -> None:
    with pytest.raises(InputError, match="encoding"):
        CPNN(encoding="ordinal")


# MISA


def _moment(sample: np.ndarray, column: int, k: int) -> float:
    mean = sum(row[column] for row in sample) / len(sample)
    return mean if k == 1 else sum((row[column] - mean) ** k for row in sample) / len(sample)


def _cmd(a: np.ndarray, b: np.ndarray) -> float:
    """Central moment discrepancy of values in [0, 1], moments 1 to 5, by its formula."""
    return sum(
        math.sqrt(sum((_moment(a, i, k) - _moment(b, i, k)) ** 2 for i in range(a.shape[1])))
        for k in range(1, 6)
    )


@pytest.mark.parametrize("modalities", [2, 3])
def test_misas_similarity_is_the_mean_cmd_of_pairs_of_modalities(modalities: int) -> None:
    samples = uniform(9, modalities, 3)
    found = [_cmd(a.numpy(), b.numpy()) for a, b in combinations(samples.unbind(1), 2)]
    assert similarity_loss(samples).item() == pytest.approx(sum(found) / len(found), rel=1e-12)


def test_misas_similarity_is_0_for_equal_samples_with_a_finite_gradient_and_for_one_modality() -> (
    None
):
    samples = uniform(9, 1, 3).expand(-1, 2, -1).clone().requires_grad_()
    loss = similarity_loss(samples)
    loss.backward()
    assert loss.item() == 0
    assert samples.grad is not None
    assert torch.isfinite(samples.grad).all()
    assert similarity_loss(uniform(9, 1, 3)).item() == 0


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared entry of a' b, columns centred, rows of length 1."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    total = 0.0
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            cells = (
                p[i] / np.linalg.norm(p) * q[j] / np.linalg.norm(q)
                for p, q in zip(a, b, strict=True)
            )
            total += sum(cells) ** 2
    return total / (a.shape[1] * b.shape[1])


@pytest.mark.parametrize("modalities", [1, 3])
def test_misas_difference_is_the_overlap_of_what_should_be_orthogonal(modalities: int) -> None:
    invariant, specific = uniform(9, modalities, 3), uniform(9, modalities, 3, seed=1)
    i, s = [[one.numpy() for one in both.unbind(1)] for both in (invariant, specific)]
    expected = sum(_overlap(a, b) for a, b in zip(i, s, strict=True))
    expected += sum(_overlap(a, b) for a, b in combinations(s, 2))
    assert difference_loss(invariant, specific).item() == pytest.approx(expected, rel=1e-12)


def test_misas_losses_add_to_the_kl_of_its_prediction() -> None:
    x, d = tensors()
    alone, *others = (
        network(MISA(modalities=MODALITIES, similarity=s, difference=f, reconstruction=r))
        .loss(x, d)
        .item()
        for s, f, r in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 3, 4)]
    )
    predicted = network(MISA(modalities=MODALITIES))(x)
    assert alone == pytest.approx(
        entropy(d.numpy(), predicted.exp().detach().numpy(), axis=1).mean(), rel=1e-4
    )
    assert min(others) > alone
    weighted = sum(w * (other - alone) for w, other in zip((2, 3, 4), others, strict=False))
    assert others[-1] - alone == pytest.approx(weighted, rel=1e-4)  # float32


# TAILOR


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_reversing_the_gradient_keeps_the_value_and_turns_the_gradient_round(
    strength: float,
) -> None:
    x = uniform(4, 3).requires_grad_()
    y = reverse_gradient(x, strength)
    torch.testing.assert_close(y, x, atol=1e-15, rtol=0)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    torch.testing.assert_close(gradient, -strength * 2 * x, atol=1e-14, rtol=0)


def test_tailors_discriminator_learns_the_modality_and_the_common_extractor_unlearns_it() -> None:
    x, d = tensors()
    with_adversary, without = (
        network(TAILOR(modalities=MODALITIES, adversarial=weight, orthogonal=0, semantic=0))
        for weight in (1.0, 0.0)
    )
    gradients = [
        {n: p.grad for n, p in net.named_parameters() if p.grad is not None}
        for net in (with_adversary, without)
        if net.loss(x, d).backward() is None
    ]
    private, common = without._represent(x)
    modality = torch.arange(3).repeat(ROWS)
    of_private, of_common = (
        # torch's mean is over rows and modalities, the loss sums over modalities
        3 * functional.cross_entropy(without.discriminator(part.flatten(0, 1)), modality)
        for part in (private, common)
    )
    for name, expected in (
        ("discriminator.0.weight", of_private + of_common),
        ("private.1.weight", of_private),
        ("common.weight", -of_common),
    ):
        parameter = without.get_parameter(name)
        (by_hand,) = torch.autograd.grad(expected, parameter, retain_graph=True)
        added = gradients[0][name] - gradients[1].get(name, torch.zeros_like(parameter))
        torch.testing.assert_close(added, by_hand, atol=1e-5, rtol=1e-3)  # float32
        assert by_hand.abs().max() > 1e-3


def test_tailors_orthogonality_is_the_squared_products_by_loops() -> None:
    private, common = uniform(5, 3, 4), uniform(5, 3, 4, seed=1)
    expected = 0.0
    for p, c in zip(private.numpy(), common.numpy(), strict=True):
        expected += sum(float(p[m] @ c[m]) ** 2 for m in range(3)) / 5
        expected += sum(float(p[m] @ p[n]) ** 2 for m, n in combinations(range(3), 2)) / 5
    assert orthogonality_loss(private, common).item() == pytest.approx(expected, rel=1e-12)
