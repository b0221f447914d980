"""What low precision costs: each node alone,
and the choice of nodes that must stay in FP32 to hold a budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.results.metrics import distribution_metrics
from emodict_calibration.precision.emulate import Emulator, Plan, Run
from emodict_calibration.precision.half import Floats
from emodict_calibration.precision.ranges import BLOCK_ROWS

# Moves that are tried out before one is made: the most sensitive nodes and layers;
# each trial is a run of the graph.
TRIED_NODES, TRIED_GROUPS = 4, 2
MakePlan = Callable[[Collection[str]], Plan]


@dataclass(frozen=True)
class Cost:
    """Distance of a low precision's distributions from FP32's, over rows;
    infinite where it overflows.
    """

    kl_mean: float
    kl_max: float
    chebyshev_mean: float
    chebyshev_max: float


@dataclass(frozen=True)
class Choice:
    """Nodes to keep in FP32 beyond those that always are, each with its reason,
    and what the rest then costs.

    Attributes:
        cost_before_moves: with only those kept that were forced to; steps: moves made since then.
    """

    keep_fp32: tuple[str, ...]
    reasons: dict[str, str]
    cost: Cost
    cost_before_moves: Cost
    steps: int


class Bench:
    """Rows to measure on, with FP32's answers kept,
    so that one node's precision costs only what stands behind it.
    """

    def __init__(self, emulator: Emulator, tokens: Floats) -> None:
        self.emulator = emulator
        count = math.ceil(len(tokens) / BLOCK_ROWS)
        # Every block is spread over all rows, so that one alone is a fair sample too.
        self._rows = [np.arange(start, len(tokens), count) for start in range(count)]
        self._tokens = [tokens[rows] for rows in self._rows]
        self._references = [emulator.run(block).distribution for block in self._tokens]

    @property
    def blocks(self) -> int:
        return len(self._tokens)

    def alone(
        self, plans: Sequence[Plan], *, on_plan: Callable[[], None] = lambda: None
    ) -> list[Cost]:
        """The cost of each plan against FP32, computing again only what differs."""
        distances: list[list[NDArray[np.float64]]] = [[] for _ in plans]
        for block in self._tokens:
            reference = self.emulator.run(block)
            for plan, seen in zip(plans, distances, strict=True):
                low = self.emulator.run(block, plan, base=reference)
                seen.append(_distances(reference.distribution, low.distribution))
                on_plan()
        return [_cost(seen) for seen in distances]

    def whole(self, plan: Plan) -> Cost:
        """The cost of a plan over all rows."""
        return _cost(
            [
                _distances(reference, self.emulator.run(block, plan).distribution)
                for block, reference in zip(self._tokens, self._references, strict=True)
            ]
        )

    def distributions(self, plan: Plan) -> NDArray[np.float64]:
        """(rows, emotions) in the order of the rows given."""
        parts = [self.emulator.run(block, plan).distribution for block in self._tokens]
        order = np.argsort(np.concatenate(self._rows))
        return np.concatenate(parts)[order].astype(np.float64)

    def trial(self, plan: Plan) -> Run:
        """One block under a plan."""
        return self.emulator.run(self._tokens[0], plan)

    def trial_kl(self, plan: Plan, base: Run) -> float:
        """Mean KL over one block, computed from another plan's run of it."""
        low = self.emulator.run(self._tokens[0], plan, base=base)
        return _cost([_distances(self._references[0], low.distribution)]).kl_mean


def choose(
    bench: Bench,
    make_plan: MakePlan,
    *,
    alone: dict[str, Cost],
    forced: dict[str, str],
    max_kl: float,
    on_step: Callable[[int], None] = lambda kept: None,
) -> Choice:
    """Greedily give nodes back to FP32 until the whole graph's mean KL holds the budget.

    Args:
        make_plan: the plan in which all nodes but these are in low precision.
        alone: the nodes that can be in low precision, with each one's cost alone.
        forced: those of them that must not be, and why.
    """
    kept, reasons = set(forced), dict(forced)
    before = cost = bench.whole(make_plan(kept))
    steps = 0
    while not cost.kl_mean <= max_kl and len(kept) < len(alone):
        move = _best_move(bench, make_plan, kept, alone)
        for name in sorted(move):
            with_what = f", with the rest of {_group(name)}" if len(move) > 1 else ""
            reasons[name] = (
                f"to hold the budget: alone it costs KL {alone[name].kl_mean:.1e}{with_what}"
            )
        kept |= move
        cost = bench.whole(make_plan(kept))
        steps += 1
        on_step(len(kept))
    return Choice(tuple(n for n in alone if n in kept), reasons, cost, before, steps)


def half_plan(emulator: Emulator, kept: Collection[str]) -> Plan:
    """FP16 in all nodes that can have it but these."""
    return Plan(half=frozenset(emulator.computing) - frozenset(kept))


def int8_plan(emulator: Emulator, kept: Collection[str]) -> Plan:
    """INT8 in all products with a constant weight but these."""
    return Plan(int8=frozenset(emulator.quantisable) - frozenset(kept))


def _best_move(
    bench: Bench, make_plan: MakePlan, kept: set[str], alone: dict[str, Cost]
) -> set[str]:
    """The node or layer that takes off most KL for each node it moves,
    among the most sensitive ones.
    """
    base = bench.trial(make_plan(kept))
    now = bench.trial_kl(make_plan(kept), base)
    moves = _candidates([name for name in alone if name not in kept], alone)
    gains = [_gain(now, bench.trial_kl(make_plan(kept | move), base)) / len(move) for move in moves]
    best = int(np.argmax(gains))
    # Where no move helps by itself, the most sensitive node goes first: others hide behind it.
    return moves[best] if gains[best] > 0 else moves[0]


def _candidates(free: Iterable[str], alone: dict[str, Cost]) -> list[set[str]]:
    """The most sensitive nodes, most sensitive first, then the most sensitive layers."""
    ranked = sorted(free, key=lambda name: alone[name].kl_mean, reverse=True)
    groups: dict[str, set[str]] = {}
    for name in ranked:
        if _group(name):
            groups.setdefault(_group(name), set()).add(name)
    # A dict keeps the order of its first, most sensitive members.
    large = [names for names in groups.values() if len(names) > 1]
    return [{name} for name in ranked[:TRIED_NODES]] + large[:TRIED_GROUPS]


def _gain(before: float, after: float) -> float:
    if math.isfinite(after):
        return before - after
    return 0.0


def _group(name: str) -> str:
    """`m0/layer1/norm1` -> `m0/layer1`; nodes of a single model's head have none."""
    return name.rpartition("/")[0]


def _distances(reference: Floats, low: Floats) -> NDArray[np.float64]:
    """(2, rows): KL and Chebyshev; infinite where the low precision's answer is not finite."""
    # Float32 rounding leaves sums off by 1e-7, which a KL of 1e-7 would show.
    truth, answer = (np.asarray(x, dtype=np.float64) for x in (reference, low))
    finite = np.asarray(np.isfinite(answer).all(axis=1))
    shares = np.where(finite[:, None], answer, 1.0)
    metrics = distribution_metrics(
        truth / truth.sum(axis=1, keepdims=True), shares / shares.sum(axis=1, keepdims=True)
    )
    return np.where(
        finite, np.stack([np.maximum(metrics["kl"], 0.0), metrics["chebyshev"]]), np.inf
    )


def _cost(blocks: Sequence[NDArray[np.float64]]) -> Cost:
    kl, chebyshev = np.concatenate(blocks, axis=1)
    return Cost(float(kl.mean()), float(kl.max()), float(chebyshev.mean()), float(chebyshev.max()))
