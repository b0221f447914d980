"""calibrate_precision: from a checkpoint and data to the nodes that must stay in FP32,
and what low precision costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict import __version__
from emodict.results.metrics import mean_metrics
from emodict_calibration.precision.emulate import FP32, Emulator, Plan
from emodict_calibration.precision.options import PrecisionOptions
from emodict_calibration.precision.ranges import (
    NodeRange,
    absmax_of,
    measure_ranges,
    too_large_for_half,
)
from emodict_calibration.precision.sensitivity import (
    Bench,
    Choice,
    Cost,
    choose,
    half_plan,
    int8_plan,
)
from emodict_calibration.precision.worth import Worth, judge_int8, products, too_narrow_for_int8
from emodict_desk.tables.table import FeatureTable
from emodict_export.export import folded_onnx, graph_hash
from emodict_export.precision import MOVING
from emodict_export.windows import engine_tokens
from emodict_train.model.checkpoint import Checkpoint

# Of the measured rows at most this share is chosen for its extremes; the others are spread evenly.
EXTREME_SHARE = 0.25


@dataclass(frozen=True)
class NodeReport:
    """One computing node: its range, and what it alone costs in each precision; None:
    never in that precision.
    """

    name: str
    op: str
    range: NodeRange
    fp16: Cost | None
    int8: Cost | None


@dataclass(frozen=True)
class PrecisionReport:
    """What was found.

    Attributes:
        rows, measured_rows: of the data; of these, those on which the cost was measured.
        nodes: all that compute, in the graph's order.
        truth: the six measures against the truth of the labelled measured rows,
            by precision; empty without labels.
    """

    graph_sha256: str
    software: str
    data: tuple[str, ...]
    simulated: bool
    rows: int
    measured_rows: int
    labelled_rows: int
    options: PrecisionOptions
    nodes: tuple[NodeReport, ...]
    always_fp32: tuple[str, ...]
    fp16: Choice
    int8: Choice
    worth: Worth
    truth: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Step:
    """Progress: what is being done, and how far it is."""

    stage: str
    done: int
    total: int


OnStep = Callable[[Step], None]


def calibrate_precision(
    checkpoint: Checkpoint,
    table: FeatureTable,
    options: PrecisionOptions | None = None,
    *,
    data: tuple[str, ...] = (),
    on_step: OnStep = lambda step: None,
) -> PrecisionReport:
    """Measure ranges on all rows and costs on some, and choose what stays in FP32.

    Args:
        table: rows of the checkpoint's features, all answerable
            (`emodict_export.windows.calibration_table`).
        data: names of the files, for the report.

    Raises:
        ModelError: the model puts out infinities or NaN already in FP32.
    """
    options = options or PrecisionOptions()
    model, tokens = folded_onnx(checkpoint), engine_tokens(checkpoint, table)
    ranges = measure_ranges(
        Emulator(model), tokens, on_rows=lambda done: on_step(Step("ranges", done, len(tokens)))
    )
    emulator = Emulator(model, absmax=absmax_of(ranges))
    measured = rows_to_measure(ranges, len(tokens), options.rows)
    bench = Bench(emulator, tokens[measured])
    nodes = _each_alone(bench, ranges, on_step)
    shapes = products(emulator, tokens[:1])
    too_large = too_large_for_half(emulator, ranges, margin=options.margin)
    fp16 = _choose_half(bench, nodes, too_large, options, on_step)
    int8 = _choose_int8(bench, nodes, too_narrow_for_int8(emulator, shapes), options, on_step)
    labels = None if table.labels is None else table.labels[measured]
    return PrecisionReport(
        graph_sha256=graph_hash(model),
        software=f"emodict {__version__}",
        data=data or (table.source,),
        simulated=table.simulated,
        rows=len(tokens),
        measured_rows=len(measured),
        labelled_rows=0 if labels is None else int(_known(labels).sum()),
        options=options,
        nodes=nodes,
        always_fp32=tuple(
            node.name for node in emulator.nodes if node.name in emulator.always_fp32
        ),
        fp16=fp16,
        int8=int8,
        worth=judge_int8(shapes, int8_plan(emulator, int8.keep_fp32).int8, fp16=fp16, int8=int8),
        truth=_against_truth(bench, labels, fp16, int8),
    )


def rows_to_measure(ranges: Mapping[str, NodeRange], count: int, wanted: int) -> NDArray[np.intp]:
    """At most `wanted` of `count` rows: those where nodes reach their extremes,
    and others evenly spread.
    """
    if count <= wanted:
        return np.arange(count)
    extremes = list(dict.fromkeys(r.extreme_row for r in ranges.values()))[
        : int(EXTREME_SHARE * wanted)
    ]
    spread = np.linspace(0, count - 1, wanted - len(extremes)).round().astype(np.intp)
    return np.asarray(np.unique([*spread.tolist(), *extremes]), dtype=np.intp)


def _each_alone(
    bench: Bench, ranges: Mapping[str, NodeRange], on_step: OnStep
) -> tuple[NodeReport, ...]:
    """Range and cost of each node that computes,
    alone in FP16 and alone in INT8, in the graph's order.
    """
    emulator = bench.emulator
    plans = {("fp16", name): Plan(half=frozenset({name})) for name in emulator.computing}
    plans |= {("int8", name): Plan(int8=frozenset({name})) for name in emulator.quantisable}
    done, total = 0, len(plans) * bench.blocks

    def on_plan() -> None:
        nonlocal done
        done += 1
        on_step(Step("each node alone", done, total))

    costs = dict(zip(plans, bench.alone(list(plans.values()), on_plan=on_plan), strict=True))
    return tuple(
        NodeReport(
            n.name, n.op, ranges[n.name], costs.get(("fp16", n.name)), costs.get(("int8", n.name))
        )
        for n in emulator.nodes
        if n.op not in MOVING
    )


def _choose_half(
    bench: Bench,
    nodes: Sequence[NodeReport],
    forced: dict[str, str],
    options: PrecisionOptions,
    on_step: OnStep,
) -> Choice:
    alone = {node.name: node.fp16 for node in nodes if node.fp16 is not None}
    return choose(
        bench,
        lambda kept: half_plan(bench.emulator, kept),
        alone=alone,
        forced=forced,
        max_kl=options.max_kl_fp16,
        on_step=lambda kept: on_step(Step("choosing for FP16", kept, len(alone))),
    )


def _choose_int8(
    bench: Bench,
    nodes: Sequence[NodeReport],
    forced: dict[str, str],
    options: PrecisionOptions,
    on_step: OnStep,
) -> Choice:
    alone = {node.name: node.int8 for node in nodes if node.int8 is not None}
    return choose(
        bench,
        lambda kept: int8_plan(bench.emulator, kept),
        alone=alone,
        forced=forced,
        max_kl=options.max_kl_int8,
        on_step=lambda kept: on_step(Step("choosing for INT8", kept, len(alone))),
    )


def _against_truth(
    bench: Bench, labels: NDArray[np.float64] | None, fp16: Choice, int8: Choice
) -> dict[str, dict[str, float]]:
    """The six measures in FP32, FP16 and INT8, on rows whose truth is known."""
    if labels is None or not _known(labels).any():
        return {}
    known = _known(labels)
    emulator = bench.emulator
    plans = {
        "fp32": FP32,
        "fp16": half_plan(emulator, fp16.keep_fp32),
        "int8": int8_plan(emulator, int8.keep_fp32),
    }
    return {
        name: mean_metrics(labels[known], bench.distributions(plan)[known])
        for name, plan in plans.items()
    }


def _known(labels: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(labels).all(axis=1))
