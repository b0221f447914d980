"""Checkpoint -> model.c and model.h, checked against torch before they are written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emodict.files.atomic import atomic_path
from emodict.predict.person import Person
from emodict_export.c.assemble import source_text
from emodict_export.c.check import run_written
from emodict_export.c.fold import Network, fold_for_c
from emodict_export.c.header import header_text
from emodict_export.c.limits import require_includable
from emodict_export.c.network import WrittenNetwork, write_network
from emodict_export.c.plan import Plan, kib, make_plan, require_ram
from emodict_export.compare import Runner, compare_runner, plausible_tokens
from emodict_export.export import (
    BATCH_NORM_EPS,
    checkpoint_manifest,
    folded_graph,
    graph_hash,
)
from emodict_export.fold import as_float64
from emodict_train.model.checkpoint import Checkpoint, predict
from emodict_train.model.emotion_dict import EmotionDict

KL_ROWS = 1024


@dataclass(frozen=True)
class CReport:
    """What was written, and how far its numbers are from the torch model over all checked batches.

    Attributes:
        kl: mean divergence of what is written from the torch model, on plausible features.
    """

    path: Path
    header: Path
    plan: Plan
    distribution_error: float
    weights_error: float
    kl: float

    @property
    def lines(self) -> tuple[str, ...]:
        """What there is to say of it."""
        plan = self.plan
        return (
            f"Wrote {self.path} and {self.header}: {plan.precision.upper()}, "
            f"feature spec {plan.features}",
            f"RAM: {kib(plan.ram_bytes)}, of which state {kib(plan.state_bytes)}, one second of "
            f"signals {kib(plan.input_bytes)}, its row {kib(plan.row_bytes)}; add the stack",
            f"Its numbers against torch at batch 1, 2, 7 and 64: distributions within "
            f"{self.distribution_error:.1e}, weights within {self.weights_error:.1e}; "
            f"mean KL {abs(self.kl):.1e}",
            f"Next: compile {self.path.name} with your firmware; {self.header.name} says how it is "
            "called",
        )


def export_c(
    checkpoint: Checkpoint,
    path: str | os.PathLike[str],
    *,
    precision: str = "fp32",
    person: Person | None = None,
    ram_bytes: int | None = None,
) -> CReport:
    """Write `path` and the .h beside it.

    Args:
        precision: fp32, or int8: the weights are bytes, and everything else is float as before.
        person: whose baseline, and perhaps unmixing, is folded in.
        ram_bytes: what the board has for state, row and one second of signals.

    Raises:
        SpecError: the features cannot be written as C.
        InputError: the board has too little RAM, or no #include can hold the header's name.
        EmodictError: the numbers do not compute what the torch model does; nothing is written.
    """
    source, header = Path(path), Path(path).with_suffix(".h")
    require_includable(header)
    adaptation = None if person is None else person.adapt(checkpoint_manifest(checkpoint, "fp32"))
    plan = plan_for(
        checkpoint,
        precision=precision,
        unmixing=None if adaptation is None else adaptation.unmixing,
    )
    if ram_bytes is not None:
        require_ram(plan, ram_bytes)
    members = [write_network(network, precision) for network in _folded(checkpoint)]

    def run(tokens: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        return run_written(members, checkpoint.model, tokens)

    errors = compare_runner(run, checkpoint, precision)
    if adaptation is not None:
        members = [member.moved_by(adaptation.shift) for member in members]
    _write(plan, members, source, header)
    return CReport(source, header, plan, *errors, kl=_divergence(run, checkpoint))


def _divergence(run: Runner, checkpoint: Checkpoint) -> float:
    """Mean KL (natural log) of the torch model's distributions from those of `run`."""
    tokens = plausible_tokens(checkpoint, KL_ROWS, np.random.default_rng(1))
    got, _ = run(tokens)
    expected, _ = predict(checkpoint.networks(), torch.from_numpy(tokens))
    # As float64, and never a logarithm of 0.
    p, q = (np.maximum(x, 1e-12).astype(np.float64) for x in (expected.numpy(), got))
    return float((p * np.log(p / q)).sum(axis=1).mean())


def plan_for(
    checkpoint: Checkpoint, *, precision: str, unmixing: NDArray[np.float64] | None = None
) -> Plan:
    """The layout of the C file, and its memory."""
    return make_plan(
        checkpoint.features,
        checkpoint.model,
        precision=precision,
        graph_sha256=graph_hash(folded_graph(checkpoint)),
        simulated=checkpoint.simulated,
        unmixing=unmixing,
    )


def _folded(checkpoint: Checkpoint) -> list[Network]:
    return [fold_member(network) for network in checkpoint.networks()]


def fold_member(network: EmotionDict) -> Network:
    """The numbers of one member."""
    return fold_for_c(
        as_float64(network.state_dict()),
        positions=network.encoder.positions.double().numpy(),
        heads=network.spec.heads,
        layers=network.spec.layers,
        norm_eps=BATCH_NORM_EPS,
    )


def _write(plan: Plan, members: Sequence[WrittenNetwork], source: Path, header: Path) -> None:
    """Both files whole, or neither of them new."""
    with atomic_path(source) as source_part, atomic_path(header) as header_part:
        source_part.write_text(source_text(plan, members, header), encoding="utf-8")
        header_part.write_text(header_text(plan, header), encoding="utf-8")
