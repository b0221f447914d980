"""A picture of what each node costs in FP16 and INT8."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emodict_calibration.picture import picture
from emodict_calibration.precision.calibrate import NodeReport, PrecisionReport
from emodict_calibration.precision.table import data_phrase

ROW_INCHES, HEAD_INCHES, WIDTH_INCHES = 0.2, 1.8, 8.5
# KL below this is float32's own rounding.
SMALLEST_KL = 1e-13


@dataclass(frozen=True)
class _Series:
    """One precision: KL of each node alone (None: it never has this precision;
    infinite: it overflows).
    """

    name: str
    colour: str
    marker: str
    kl: tuple[float | None, ...]
    kept: tuple[bool, ...]
    budget: float


def draw_costs(report: PrecisionReport, path: Path) -> None:
    """Each node's mean KL alone, on a log scale, with both budgets and the nodes that stay in FP32.

    Raises:
        OutputError: it cannot be written there.
    """
    nodes = [node for node in report.nodes if node.fp16 is not None or node.int8 is not None]
    with picture(
        path, width_in=WIDTH_INCHES, height_in=HEAD_INCHES + ROW_INCHES * len(nodes)
    ) as figure:
        axes = figure.add_subplot()
        series = _series_of(nodes, report)
        _frame(axes, nodes, _limits(series))
        for one in series:
            _draw_series(axes, one)
        axes.set_title(_title(report), loc="left", fontsize=10)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _series_of(nodes: Sequence[NodeReport], report: PrecisionReport) -> list[_Series]:
    # Two colours that the colour-blind can distinguish (Okabe and Ito).
    def series(
        name: str, colour: str, marker: str, kept: Collection[str], budget: float
    ) -> _Series:
        costs = [node.fp16 if name == "FP16" else node.int8 for node in nodes]
        kl = tuple(None if cost is None else cost.kl_mean for cost in costs)
        return _Series(name, colour, marker, kl, tuple(node.name in kept for node in nodes), budget)

    return [
        series("FP16", "#0072B2", "o", report.fp16.keep_fp32, report.options.max_kl_fp16),
        series("INT8", "#D55E00", "s", report.int8.keep_fp32, report.options.max_kl_int8),
    ]


def _limits(series: Sequence[_Series]) -> tuple[float, float]:
    shown = [
        kl for one in series for kl in (*one.kl, one.budget) if kl is not None and 0 < kl < math.inf
    ]
    shown = shown or [SMALLEST_KL]
    return max(SMALLEST_KL, min(shown)) / 3, max(SMALLEST_KL, max(shown)) * 3


def _frame(axes: Any, nodes: Sequence[NodeReport], limits: tuple[float, float]) -> None:
    """One striped row for each node, in the graph's order from above."""
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    for row in range(1, len(nodes), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="0.96", zorder=0)
    axes.set_yticks(
        range(len(nodes)), [node.name for node in nodes], fontfamily="monospace", fontsize=7
    )
    axes.set_ylim(len(nodes) - 0.5, -0.5)
    axes.set_xlabel("KL(FP32 || low precision) of the emotion distribution, mean over windows")
    axes.grid(axis="x", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_series(axes: Any, series: _Series) -> None:
    low, high = axes.get_xlim()
    rows = [
        (min(max(kl, low), high), row, math.isinf(kl), kept)
        for row, (kl, kept) in enumerate(zip(series.kl, series.kept, strict=True))
        if kl is not None
    ]
    hollow = {"markerfacecolor": "white", "markersize": 7, "markeredgewidth": 1.6}
    for label, marker, style, chosen in (
        (
            "node alone",
            series.marker,
            {"markersize": 4.5},
            [r for r in rows if not r[2] and not r[3]],
        ),
        ("kept in FP32", series.marker, hollow, [r for r in rows if not r[2] and r[3]]),
        (
            "overflows, kept in FP32",
            ">",
            {"markersize": 8, "clip_on": False},
            [r for r in rows if r[2] and r[3]],
        ),
        (
            "overflows",
            "x",
            {"markersize": 8, "clip_on": False},
            [r for r in rows if r[2] and not r[3]],
        ),
    ):
        if chosen:
            x, y = zip(*((r[0], r[1]) for r in chosen), strict=True)
            axes.plot(x, y, marker, color=series.colour, label=f"{series.name}: {label}", **style)
    if series.budget > 0:
        budget_of = f"{series.name}: budget of the whole graph"
        axes.axvline(
            series.budget, color=series.colour, linestyle="--", linewidth=1, label=budget_of
        )


def _title(report: PrecisionReport) -> str:
    return (
        f"What each node costs in low precision\n{data_phrase(report)}, "
        f"{report.measured_rows} windows; whole graph: "
        f"FP16 KL {report.fp16.cost.kl_mean:.1e}, INT8 KL {report.int8.cost.kl_mean:.1e}"
    )
