"""Many networks of one kind trained at once:
folds and seeds as members of one vmapped ensemble (torch.func).
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from emodict_train.data.split import Indices
from emodict_train.model.standardisation import Standardisation, fit_standardisation
from emodict_train.training.plan import StepPlan
from emodict_train.training.schedule import average_decay, cosine

Float64Array = NDArray[np.float64]
State = dict[str, Tensor]

# Rows of each member that are predicted in one batch: with 32 members some hundred megabytes.
PREDICTED_AT_ONCE = 256


class Network(Protocol):
    """What a `torch.nn.Module` needs to be trained in an ensemble;
    both must be mappable by torch.func.vmap.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, ...) -> (rows, labels) natural log of the predicted distribution."""
        ...

    def loss(self, x: Tensor, d: Tensor) -> Tensor:
        """What a training step makes smaller: one number for (rows, ...)
        and the labels (rows, labels).
        """
        ...


@dataclass(frozen=True)
class Member:
    """One network of an ensemble.

    Attributes:
        rows: what it is trained on.
        seed: of its first weights and of the order of its rows.
        standardisation: of its inputs, from its own training rows; None: they are used as they are.
        taught: (rows, labels) what it learns instead of the rows' labels; None: the labels.
    """

    rows: Indices
    seed: int
    standardisation: Standardisation | None = None
    taught: Float64Array | None = None


def standardised(inputs: Float64Array, members: Sequence[Member]) -> list[Member]:
    """The members with the standardisation of their own rows; those of the same rows share one."""
    scalings: dict[int, Standardisation] = {}
    for member in members:
        if id(member.rows) not in scalings:
            scalings[id(member.rows)] = fit_standardisation(inputs[member.rows])
    return [
        dataclasses.replace(member, standardisation=scalings[id(member.rows)]) for member in members
    ]


def steps_of_an_epoch(rows: int, plan: StepPlan) -> tuple[int, int]:
    """(steps, rows in each) of a pass over so many rows:
    members alike in both train together as they would alone.
    """
    batch = min(plan.batch_size, rows)
    return rows // batch, batch


Build = Callable[[Member], nn.Module]
Augment = Callable[[Tensor, Tensor, torch.Generator], Tensor]


class Ensemble:
    """Members that share a kind of network, a plan and a table, each with rows,
    weights and randomness of its own.

    Every step is one batched step of all members, which costs much less than their steps one by
    one. An epoch is the same number of steps for all: a pass over the rows of the mean member.

    Args:
        build: a new Network of a member; called once for each under its seed.
        x: (table rows, ...) inputs, NaN where missing.
        d: (table rows, labels).
        augment: (inputs (batch, ...) of a member, their rows of the table (batch,), its
            randomness) -> changed inputs.
    """

    def __init__(
        self,
        build: Build,
        x: Float64Array,
        d: Float64Array,
        members: Sequence[Member],
        plan: StepPlan,
        *,
        augment: Augment | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._plan, self._members, self._augment = plan, tuple(members), augment
        self._device = torch.device(device)
        self._d = torch.from_numpy(_what_is_taught(d, members)).float().to(self._device)
        self._each = torch.arange(len(members), device=self._device)[:, None]
        self._x = torch.from_numpy(x).to(self._device)
        self._scaling = _Scaling([member.standardisation for member in members], self._device)
        with _randomness_of_our_own(self._device, members[0].seed):
            made = [_seeded(build, member) for member in members]
        networks, self._randoms = (
            [network.to(self._device) for network, _ in made],
            [random for _, random in made],
        )
        self._network = _WithLoss(networks[0])
        self._kept = tuple(networks[0].state_dict())
        parameters, buffers = stack_module_state(networks)
        self._parameters: State = {
            k: cast(Tensor, v).detach().requires_grad_() for k, v in parameters.items()
        }
        self._buffers: State = dict(buffers)
        self._averaged: State | None = (
            {k: v.detach().clone() for k, v in self._weights()} if plan.average else None
        )
        self._optimiser = torch.optim.AdamW(
            self._parameters.values(),
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            fused=True,
        )
        # All members take batches of one size, so the smallest member limits it.
        self._batch_size = min(plan.batch_size, *(len(member.rows) for member in members))
        self._orders = [_Order(member) for member in members]
        self._random = torch.Generator().manual_seed(members[0].seed)
        self._step = 0
        self.epoch = 0

    @property
    def steps_per_epoch(self) -> int:
        mean_rows = float(np.mean([len(member.rows) for member in self._members]))
        return max(1, int(mean_rows) // self._batch_size)

    def run_epoch(self) -> None:
        """One pass over the training rows, for all members."""
        self._network.train()
        seed = int(torch.randint(2**62, (), generator=self._random))
        with _randomness_of_our_own(self._device, seed):
            for _ in range(self.steps_per_epoch):
                self._train_step()
        self.epoch += 1

    def predict(
        self, x: Float64Array | None = None, rows: Sequence[Indices] | None = None
    ) -> list[Float64Array]:
        """The distributions that each member predicts, (rows, labels) for each.

        Args:
            x: other inputs than the table's; None: the table's.
            rows: which of them, for each member; None: all.
        """
        inputs = self._x if x is None else torch.from_numpy(x).to(self._device)
        if rows is None:
            rows = [np.arange(len(inputs))] * len(self._members)
        longest = max(map(len, rows))
        # Shorter sets are filled up with their own rows, for one batch of all;
        # what those give is left out.
        filled = torch.from_numpy(np.stack([np.resize(part, longest) for part in rows])).to(
            self._device
        )
        chunks = torch.split(filled, PREDICTED_AT_ONCE, dim=1)
        distributions = np.concatenate([self._predict(inputs[chunk]) for chunk in chunks], axis=1)
        return [distributions[i, : len(part)] for i, part in enumerate(rows)]

    def _predict(self, inputs: Tensor) -> Float64Array:
        """(members, rows, ...) -> (members, rows, labels)."""
        self._network.eval()
        state = self._averaged or {k: v.detach() for k, v in self._weights()}
        with torch.no_grad():
            out = self._for_each(self._log_distribution, state, self._scaling.apply(inputs))
        distributions: Float64Array = out.double().exp().cpu().numpy()
        return distributions

    def states(self) -> list[State]:
        """The weights of each member that `predict` uses, as a state_dict of its network."""
        state = self._averaged or dict(self._weights())
        return [
            {k: state[k][i].detach().clone() for k in self._kept} for i in range(len(self._members))
        ]

    def state(self) -> dict[str, Any]:
        """Everything a killed run needs to go on as if nothing had happened;
        tensors and plain values.
        """
        return {
            "weights": {k: v.detach().clone() for k, v in self._weights()},
            "average": {k: v.clone() for k, v in (self._averaged or {}).items()},
            "optimiser": copy.deepcopy(self._optimiser.state_dict()),
            "orders": [order.state() for order in self._orders],
            "random": [random.get_state() for random in (self._random, *self._randoms)],
            "step": self._step,
            "epoch": self.epoch,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        with torch.no_grad():
            for name, value in self._weights():
                value.copy_(state["weights"][name])
            for name, value in (self._averaged or {}).items():
                value.copy_(state["average"][name])
        self._optimiser.load_state_dict(copy.deepcopy(state["optimiser"]))
        for order, saved in zip(self._orders, state["orders"], strict=True):
            order.restore(saved)
        for random, saved in zip((self._random, *self._randoms), state["random"], strict=True):
            random.set_state(saved)
        self._step, self.epoch = state["step"], state["epoch"]

    def _train_step(self) -> None:
        batches = np.stack([order.next_batch(self._batch_size) for order in self._orders])
        rows = torch.from_numpy(batches).to(self._device)
        x = self._scaling.apply(self._x[rows])
        if self._augment is not None:
            x = torch.stack(
                [self._augment(*own) for own in zip(x, rows, self._randoms, strict=True)]
            )
        for group in self._optimiser.param_groups:
            group["lr"] = self._plan.learning_rate * self._schedule()
        self._optimiser.zero_grad(set_to_none=True)
        # A sum: each member's gradient is that of its own loss.
        torch.autograd.backward(self._losses(x, self._d[self._each, rows]).sum())
        self._optimiser.step()
        self._step += 1
        self._update_average()

    def _losses(self, x: Tensor, d: Tensor) -> Tensor:
        """(members,)"""
        return self._for_each(self._loss, self._parameters, self._buffers, x, d)

    def _for_each(self, function: Callable[..., Tensor], *of_members: State | Tensor) -> Tensor:
        """What the function makes of each member's part of the arguments,
        at once: (members, ...).
        """
        if len(self._members) > 1:
            return vmap(function, randomness="different")(*of_members)
        # To map a lone network costs half as much again as its step.
        return function(*map(_first, of_members))[None]

    def _loss(self, parameters: State, buffers: State, x: Tensor, d: Tensor) -> Tensor:
        return cast(
            Tensor, functional_call(self._network, _inside({**parameters, **buffers}), (x, d))
        )

    def _log_distribution(self, state: State, x: Tensor) -> Tensor:
        return cast(Tensor, functional_call(self._network, _inside(state), (x,)))

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        yield from self._parameters.items()
        yield from self._buffers.items()

    def _schedule(self) -> float:
        if not self._plan.cosine:
            return 1.0
        total = self._plan.epochs * self.steps_per_epoch
        return cosine(self._step, total)

    def _update_average(self) -> None:
        """Exponential moving average of all weights and statistics."""
        if self._averaged is None:
            return
        decay = average_decay(self._plan.average, self._step)
        pairs = [
            (self._averaged[k], v.detach()) for k, v in self._weights() if v.is_floating_point()
        ]
        torch._foreach_lerp_([a for a, _ in pairs], [v for _, v in pairs], 1 - decay)


class _WithLoss(nn.Module):
    """A network whose call is its loss when labels come with the inputs: vmap maps calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, d: Tensor | None = None) -> Tensor:
        network = cast(Network, self.network)
        return network(x) if d is None else network.loss(x, d)


class _Scaling:
    """Each member's standardisation, applied to all members' rows at once."""

    def __init__(
        self, standardisations: Sequence[Standardisation | None], device: torch.device
    ) -> None:
        if len({standardisation is None for standardisation in standardisations}) > 1:
            raise ValueError("either all members are standardised or none is")
        self._mean = self._scale = torch.empty(0)
        self._any = standardisations[0] is not None
        if self._any:
            known = [s for s in standardisations if s is not None]
            self._mean = torch.from_numpy(np.stack([s.mean for s in known]))[:, None].to(device)
            self._scale = torch.from_numpy(np.stack([s.scale for s in known]))[:, None].to(device)

    def apply(self, x: Tensor) -> Tensor:
        """(members, rows, ...) float64 -> z-scores, 0 where missing, float32."""
        return torch.nan_to_num((x - self._mean) / self._scale if self._any else x, nan=0.0).float()


def _what_is_taught(d: Float64Array, members: Sequence[Member]) -> Float64Array:
    """(members, table rows, labels)."""
    targets = np.repeat(d[None], len(members), axis=0)
    for target, member in zip(targets, members, strict=True):
        if member.taught is not None:
            target[member.rows] = member.taught
    return targets


def _seeded(build: Build, member: Member) -> tuple[nn.Module, torch.Generator]:
    """A new network, and the randomness that goes on where its first weights left off."""
    torch.manual_seed(member.seed)
    network = build(member)
    return network, torch.Generator().set_state(torch.get_rng_state())


def _first(of_members: State | Tensor) -> State | Tensor:
    """The part of a lone member."""
    if isinstance(of_members, Tensor):
        return of_members.squeeze(0)
    return {name: tensor.squeeze(0) for name, tensor in of_members.items()}


def _inside(state: Mapping[str, Tensor]) -> State:
    return {f"network.{name}": tensor for name, tensor in state.items()}


class _Order:
    """Batches of a member's rows, pass after pass in a fresh order;
    an incomplete last batch is left out.
    """

    def __init__(self, member: Member) -> None:
        self._rows, self._left = member.rows, member.rows[:0]
        self._random = np.random.default_rng(member.seed)

    def next_batch(self, size: int) -> Indices:
        if len(self._left) < size:
            self._left = self._random.permutation(self._rows)
        batch, self._left = self._left[:size], self._left[size:]
        return batch

    def state(self) -> dict[str, Any]:
        """Tensors and plain values: PCG64's 128-bit numbers as text,
        which torch stores without pickling objects.
        """
        state = self._random.bit_generator.state
        numbers = {name: str(number) for name, number in state["state"].items()}
        return {"left": torch.from_numpy(self._left.copy()), "random": {**state, "state": numbers}}

    def restore(self, saved: Mapping[str, Any]) -> None:
        state = saved["random"]
        numbers = {name: int(number) for name, number in state["state"].items()}
        self._random.bit_generator.state = {**state, "state": numbers}
        self._left = saved["left"].numpy()


@contextlib.contextmanager
def _randomness_of_our_own(device: torch.device, seed: int) -> Iterator[None]:
    """Dropout draws from torch's own generators:
    they are seeded here and given back as they were.
    """
    devices: list[Any] = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
