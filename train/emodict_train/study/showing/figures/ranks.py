"""Critical-difference diagrams: average ranks on a line,
methods that cannot be distinguished joined (Demsar 2006).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from emodict_train.study.judging.results import Results, scores
from emodict_train.study.judging.statistics import FoldRanks, compared_methods, fold_ranks
from emodict_train.study.showing.figures import canvas
from emodict_train.study.showing.figures.reading import Float64Array
from emodict_train.study.showing.tables import protocols_of

_LINE_IN, _REST_IN = 0.17, 1.05
# In units of a line of text, downwards from the axis.
_FIRST_LABEL, _CLIQUE_STEP = 1.2, 0.55


def drawings(results: Results) -> list[canvas.Drawing]:
    """A diagram for each protocol; none where there are fewer than two methods or folds."""
    found = scores(results)
    ranked = {p: fold_ranks(found, p, compared_methods(results, p)) for p in protocols_of(results)}
    return [
        _drawing(protocol, one)
        for protocol, one in ranked.items()
        if math.isfinite(one.critical_difference)
    ]


def cliques(average: Float64Array, critical_difference: float) -> list[tuple[int, int]]:
    """Of ascending average ranks, first and last of every longest run whose ends
    lie within the difference.
    """
    found: list[tuple[int, int]] = []
    for first in range(len(average)):
        last = int(np.flatnonzero(average - average[first] < critical_difference)[-1])
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _drawing(protocol: str, ranked: FoldRanks) -> canvas.Drawing:
    order = np.argsort(ranked.average, kind="stable")
    names, average = [ranked.methods[i] for i in order], ranked.average[order]
    where = canvas.PROTOCOL_TITLES[protocol]
    spoken = ", ".join(f"{name} {rank:.2f}" for name, rank in zip(names, average, strict=True))
    joined = cliques(average, ranked.critical_difference)
    lines = math.ceil(len(names) / 2) + _FIRST_LABEL + _CLIQUE_STEP * len(joined)
    return canvas.Drawing(
        f"ranks-{protocol}",
        f"Critical-difference diagram of the ranks, {where}",
        f"Average rank by KL over {len(ranked.ranks)} folds, best right (Demsar, J. Mach. "
        f"Learn. Res. 7:1, 2006). "
        f"Methods joined by a bar differ by less than the critical difference of "
        f"{ranked.critical_difference:.2f} "
        f"(Nemenyi, 5 %). Friedman's test that all rank alike: p = {ranked.p:.2g}. "
        f"Folds share training rows and "
        "are less independent than Demsar's data sets: a description, not a proof.",
        f"Methods by average rank, best first: {spoken}. "
        f"Critical difference {ranked.critical_difference:.2f}.",
        protocol,
        canvas.PAGE_IN,
        _REST_IN + _LINE_IN * lines,
        partial(_paint, names, average, ranked.critical_difference),
    )


def _paint(names: Sequence[str], average: Float64Array, difference: float, figure: Any) -> None:
    """The best at the right, as Demsar has it; labels run down both sides."""
    axes = figure.add_subplot()
    axes.set_axis_off()
    count = len(names)
    joined = cliques(average, difference)
    labels_at = _FIRST_LABEL + _CLIQUE_STEP * len(joined)
    _paint_axis(axes, count, difference)
    for i, (first, last) in enumerate(joined):
        y = -0.5 - _CLIQUE_STEP * i
        axes.plot(
            average[[first, last]],
            (y, y),
            color=canvas.INK,
            linewidth=2.6,
            solid_capstyle="round",
            zorder=3,
            gid=f"clique-{i}",
        )
    half = math.ceil(count / 2)
    best, rest = range(half), range(count - 1, half - 1, -1)
    reach = 0.03 * (count - 1)
    for side, members in (("right", best), ("left", rest)):
        end = 1 - reach if side == "right" else count + reach
        for line, i in enumerate(members):
            _paint_label(axes, names[i], float(average[i]), end, -labels_at - line, side)
    # A quarter of the width on each side for the names.
    margin = 0.55 * (count - 1)
    axes.set_xlim(count + margin, 1 - margin)
    axes.set_ylim(-labels_at - half + 0.3, 2.6)


def _paint_axis(axes: Any, count: int, difference: float) -> None:
    axes.plot((1, count), (0, 0), color=canvas.INK, linewidth=0.8)
    step = max(1, math.ceil(count / 10))
    for rank in sorted({1, count, *range(1, count, step)} - ({count - 1} if step > 1 else set())):
        axes.plot((rank, rank), (0, 0.3), color=canvas.INK, linewidth=0.8)
        axes.text(rank, 0.42, str(rank), ha="center", va="bottom", fontsize=canvas.TINY_PT)
    # A difference wider than the axis joins all methods;
    # the ruler then shows as much of it as there is axis.
    shown = min(difference, count - 1)
    axes.plot(
        (count - shown, count),
        (1.75, 1.75),
        color=canvas.INK,
        linewidth=1.2,
        marker="|",
        markersize=5,
        gid="critical-difference",
    )
    said = f"critical difference {difference:.2f}" + (
        ", wider than the axis" if difference > count - 1 else ""
    )
    axes.text(count - shown / 2, 1.95, said, ha="center", va="bottom", fontsize=canvas.SMALL_PT)


def _paint_label(axes: Any, name: str, rank: float, end: float, y: float, side: str) -> None:
    """From the axis down to the label's line, then out to the label."""
    colour = canvas.METHOD_COLOURS.get(name, canvas.MUTED)
    axes.plot((rank, rank, end), (0, y, y), color=colour, linewidth=0.8, label=f"rank of {name}")
    bold = "bold" if name in canvas.METHOD_COLOURS else "normal"
    axes.annotate(
        f"{name}  {rank:.2f}" if side == "left" else f"{rank:.2f}  {name}",
        (end, y),
        fontsize=canvas.SMALL_PT,
        xytext=(3 if side == "right" else -3, 0),
        textcoords="offset points",
        fontweight=bold,
        va="center",
        ha="left" if side == "right" else "right",
    )
