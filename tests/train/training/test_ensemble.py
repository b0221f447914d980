from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emodict_train.model.standardisation import Standardisation
from emodict_train.training.ensemble import Ensemble, Member
from emodict_train.training.plan import StepPlan

ROWS, FEATURES, LABELS = 40, 6, 3
# Shares are below 1, of which float32 keeps 6e-8;
# 6 and then 5 products summed in another order move a dozen of them.
FLOAT32_SHARES = 1e-6


def apart(plan: StepPlan, *, steps: int) -> float:
    """How far rounding alone may lead two trainings: Adam divides a gradient,
    and its rounding, by its own size.

    A gradient of a thousandth of the terms that it sums up is rounded by some 3e-4 of
    itself, and so is its step.
    """
    return 3e-4 * plan.learning_rate * steps


class Small(nn.Module):
    """Linear, BatchNorm, Linear, softmax: it has parameters, statistics and a counter."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        # A bias before BatchNorm has no gradient but rounding,
        # which Adam would blow up to full steps.
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, 5, bias=False),
            nn.BatchNorm1d(5),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(5, LABELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.layers(x), dim=-1)

    def loss(self, x: Tensor, d: Tensor) -> Tensor:
        return -(d * self(x)).sum(dim=-1).mean()


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(3.0, 2.0, (ROWS, FEATURES))
    return x, rng.dirichlet(np.ones(LABELS), ROWS)


def scaling(x: np.ndarray) -> Standardisation:
    return Standardisation(mean=x.mean(axis=0), scale=x.std(axis=0))


def trained_alone(
    member: Member, plan: StepPlan, x: np.ndarray, d: np.ndarray, *, steps: int
) -> tuple[nn.Module, dict[str, Tensor]]:
    """One network by an ordinary loop, without vmap: the network,
    and the average of its weights.
    """
    torch.manual_seed(member.seed)
    network = Small().train()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
    )
    rng, order = np.random.default_rng(member.seed), np.empty(0, dtype=int)
    averaged = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(steps):
        if len(order) < plan.batch_size:
            order = rng.permutation(member.rows)
        batch, order = order[: plan.batch_size], order[plan.batch_size :]
        rows = (
            x[batch] if member.standardisation is None else member.standardisation.apply(x[batch])
        )
        share = 0.5 * (1 + math.cos(math.pi * step / (plan.epochs * 2))) if plan.cosine else 1.0
        optimiser.param_groups[0]["lr"] = plan.learning_rate * share
        optimiser.zero_grad()
        loss = network.loss(torch.from_numpy(rows).float(), torch.from_numpy(d[batch]).float())
        torch.autograd.backward(loss)
        optimiser.step()
        decay = min(plan.average, (2 + step) / (11 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                averaged[name] = decay * averaged[name] + (1 - decay) * value
    return network.eval(), averaged


def distributions(network: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        out: Tensor = network(torch.from_numpy(x).float())
    return out.exp().double().numpy()


@pytest.mark.parametrize("plan", [
    StepPlan(epochs=3, batch_size=8, learning_rate=1e-2),
    StepPlan(epochs=3, batch_size=8, learning_rate=1e-2, weight_decay=1.0, cosine=True),
])  # fmt: skip
def test_members_trained_at_once_are_those_trained_one_by_one(plan: StepPlan) -> None:
    x, d = table()
    # 16 to 20 rows: two steps an epoch for all, whoever has more rows
    members = [Member(np.arange(i, 20 + i)[: 16 + i], seed=10 + i) for i in range(4)]
    ensemble = Ensemble(lambda _: Small(), x, d, members, plan)
    assert ensemble.steps_per_epoch == 2
    for _ in range(plan.epochs):
        ensemble.run_epoch()
    predicted = ensemble.predict()
    for member, ours, state in zip(members, predicted, ensemble.states(), strict=True):
        network, _ = trained_alone(member, plan, x, d, steps=6)
        np.testing.assert_allclose(
            ours, distributions(network, x), rtol=0, atol=apart(plan, steps=6)
        )
        for name, value in network.state_dict().items():
            # Float32.
            torch.testing.assert_close(state[name], value, atol=apart(plan, steps=6), rtol=1e-6)


def test_what_is_averaged_is_what_predicts() -> None:
    x, d = table()
    plan = StepPlan(epochs=2, batch_size=8, learning_rate=5e-2, average=0.9)
    member = Member(np.arange(16), seed=1)
    ensemble = Ensemble(lambda _: Small(), x, d, [member], plan)
    for _ in range(2):
        ensemble.run_epoch()
    network, averaged = trained_alone(member, plan, x, d, steps=4)
    latest = distributions(network, x)
    network.load_state_dict(averaged)
    np.testing.assert_allclose(
        ensemble.predict()[0], distributions(network, x), rtol=0, atol=apart(plan, steps=4)
    )
    assert np.abs(ensemble.predict()[0] - latest).max() > 1e-2


def test_each_member_has_its_own_scaling_and_its_own_held_out_rows() -> None:
    x, d = table()
    x[3, 2] = np.nan  # missing: the mean
    plan = StepPlan(epochs=1, batch_size=8, learning_rate=1e-2)
    parts = [np.arange(8), np.arange(8, 24)]
    members = [
        Member(rows, seed=5, standardisation=scaling(np.nan_to_num(x[rows]))) for rows in parts
    ]
    held_out = [np.array([30, 31, 32]), np.array([39])]
    ensemble = Ensemble(lambda _: Small(), x, d, members, plan)
    ensemble.run_epoch()
    predicted = ensemble.predict(rows=held_out)
    assert [len(part) for part in predicted] == [3, 1]
    for member, rows, ours in zip(members, held_out, predicted, strict=True):
        network, _ = trained_alone(member, plan, x, d, steps=ensemble.steps_per_epoch)
        assert member.standardisation is not None
        expected = distributions(network, member.standardisation.apply(x[rows]))
        np.testing.assert_allclose(
            ours, expected, rtol=0, atol=apart(plan, steps=ensemble.steps_per_epoch)
        )


def test_a_member_can_be_taught_something_else_than_the_labels() -> None:
    x, d = table()
    plan = StepPlan(epochs=1, batch_size=8, learning_rate=1e-2)
    rows = np.arange(4, 20)
    lesson = np.random.default_rng(7).dirichlet(np.ones(LABELS), len(rows))
    members = [Member(rows, seed=3), Member(rows, seed=3, taught=lesson)]
    ensemble = Ensemble(lambda _: Small(), x, d, members, plan)
    ensemble.run_epoch()
    other = d.copy()
    other[rows] = lesson
    for ours, labels in zip(ensemble.predict(), (d, other), strict=True):
        network, _ = trained_alone(members[0], plan, x, labels, steps=2)
        np.testing.assert_allclose(
            ours, distributions(network, x), rtol=0, atol=apart(plan, steps=2)
        )
    assert np.abs(ensemble.predict()[0] - ensemble.predict()[1]).max() > 2e-3


def test_other_inputs_can_be_predicted() -> None:
    x, d = table()
    ensemble = Ensemble(
        lambda _: Small(), x, d, [Member(np.arange(16), seed=0)], StepPlan(batch_size=8)
    )
    ensemble.run_epoch()
    of_others, of_table = ensemble.predict(x[5:9])[0], ensemble.predict()[0]
    # A product of 4 rows may be summed in another order than one of 40.
    np.testing.assert_allclose(of_others, of_table[5:9], rtol=0, atol=FLOAT32_SHARES)
    assert np.abs(of_others - of_table[:4]).max() > 1000 * FLOAT32_SHARES  # other rows


def test_the_smallest_member_limits_the_batch_of_all() -> None:
    x, d = table()
    members = [Member(np.arange(4), seed=0), Member(np.arange(20), seed=1)]
    ensemble = Ensemble(lambda _: Small(), x, d, members, StepPlan(batch_size=32))
    ensemble.run_epoch()
    assert ensemble.steps_per_epoch == 12 // 4
    assert all(np.isfinite(part).all() for part in ensemble.predict())


def test_the_same_seeds_give_the_same_networks_and_leave_torchs_own_randomness_alone() -> None:
    x, d = table()
    plan = StepPlan(epochs=2, batch_size=8, learning_rate=1e-2)

    def run(seed: int) -> np.ndarray:
        members = [Member(np.arange(16), seed=seed), Member(np.arange(16), seed=seed + 1)]
        ensemble = Ensemble(lambda _: Small(dropout=0.5), x, d, members, plan)
        ensemble.run_epoch()
        return np.stack(ensemble.predict())

    torch.manual_seed(0)
    first = run(3)
    after = torch.rand(1)
    torch.manual_seed(0)
    np.testing.assert_array_equal(after.numpy(), torch.rand(1).numpy())
    np.testing.assert_array_equal(first, run(3))
    assert np.abs(first - run(4)).max() > 1e-3
    assert np.abs(first[0] - first[1]).max() > 1e-3


def test_rows_are_changed_on_their_way_into_a_step() -> None:
    x, d = table()
    plan = StepPlan(batch_size=8, learning_rate=1e-2)
    seen: list[Tensor] = []

    def hide(batch: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        # Float32 of float64.
        np.testing.assert_allclose(batch.numpy(), x[rows.numpy()], rtol=2**-24)
        seen.append(rows)
        return torch.zeros_like(batch)

    ensemble = Ensemble(
        lambda _: Small(), x, d, [Member(np.arange(16), seed=2)] * 2, plan, augment=hide
    )
    before = ensemble.states()[0]["layers.0.weight"]
    ensemble.run_epoch()
    assert [tuple(rows.shape) for rows in seen] == [(8,)] * 2 * 2  # two members, two steps
    # Of inputs that are all 0 no weight of the first layer can learn anything.
    np.testing.assert_array_equal(ensemble.states()[0]["layers.0.weight"].numpy(), before.numpy())
