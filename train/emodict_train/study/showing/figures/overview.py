"""The overview: the KL of every method with its confidence interval, a panel for each protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from emodict_train.study.judging.results import Results
from emodict_train.study.judging.statistics import (
    CONFIDENCE,
    MEAN_LABEL,
    RESAMPLES,
    Interval,
    bca_interval,
    bootstrap_means,
    cluster_kl,
    compared_methods,
)
from emodict_train.study.showing.figures import canvas
from emodict_train.study.showing.tables import protocols_of

KEY = "overview"
_ROW_IN, _REST_IN = 0.19, 0.95
# What is worse than so many mean labels stands at the edge, with its number:
# the rest is worth the room.
_FARTHEST = 2.0

_HONESTY = {"trials": " (honest)", "subjects": " (honest)", "windows": " (recognises trials)"}


@dataclass(frozen=True)
class Estimate:
    """The mean KL over clusters and its interval."""

    kl: float
    interval: Interval


def drawings(results: Results) -> list[canvas.Drawing]:
    """One figure for all protocols."""
    found = {protocol: estimates(results, protocol) for protocol in protocols_of(results)}
    units = {p: cluster_kl(results, p, compared_methods(results, p)).unit for p in found}
    spoken = "; ".join(
        f"{canvas.PROTOCOL_TITLES[protocol]}: "
        + ", ".join(f"{name} {one.kl:.4f}" for name, one in _best_first(of))
        for protocol, of in found.items()
    )
    said = _HONESTY if canvas.knows_trials(results) else dict.fromkeys(found, "")
    resampled = " and ".join(
        dict.fromkeys("people" if unit == "subjects" else unit for unit in units.values())
    )
    rows = max(len(of) for of in found.values())
    return [
        canvas.Drawing(
            KEY,
            "KL of every method",
            f"Mean KL of held-out windows, smaller is better; bars: "
            f"{100 * CONFIDENCE:.0f} % bootstrap intervals over "
            f"{resampled}. Dashed: the mean label, the level to beat. Sorted by the left protocol. "
            "Axes do not begin at 0; a triangle at the edge points to a KL that has no room.",
            f"Dot plots of mean KL. {spoken}.",
            None,
            canvas.PAGE_IN,
            _REST_IN + _ROW_IN * rows,
            partial(_paint, found, said),
        )
    ]


def estimates(results: Results, protocol: str) -> dict[str, Estimate]:
    """Of every compared method; all on the same draws, with the study's seed."""
    found = cluster_kl(results, protocol, compared_methods(results, protocol))
    count = found.kl.shape[1]
    drawn = bootstrap_means(
        found.kl, rng=np.random.default_rng(int(results.about["seed"])), resamples=RESAMPLES
    )
    each = {}
    for method, kl, replicates in zip(found.methods, found.kl, drawn, strict=True):
        jackknife = (kl.sum() - kl) / max(count - 1, 1)
        each[method] = Estimate(
            float(kl.mean()), bca_interval(float(kl.mean()), replicates, jackknife)
        )
    return each


def _best_first(found: Mapping[str, Estimate]) -> list[tuple[str, Estimate]]:
    return sorted(found.items(), key=lambda each: each[1].kl)


def _paint(
    found: Mapping[str, Mapping[str, Estimate]], said: Mapping[str, str], figure: Any
) -> None:
    """`said`: what stands behind each protocol's name."""
    names = list(dict.fromkeys(name for of in found.values() for name, _ in _best_first(of)))
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (protocol, of) in zip(panels, found.items(), strict=True):
        axes.set_title(canvas.PROTOCOL_TITLES[protocol] + said[protocol], fontsize=canvas.SMALL_PT)
        axes.set_xlabel("KL")
        axes.grid(axis="x")
        _paint_protocol(axes, of, names)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    for label in panels[0].get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in canvas.METHOD_COLOURS else "normal")


def _paint_protocol(axes: Any, found: Mapping[str, Estimate], names: list[str]) -> None:
    level = (
        found[MEAN_LABEL].kl
        if MEAN_LABEL in found
        else float(np.median([one.kl for one in found.values()]))
    )
    edge = _FARTHEST * level
    shown = [one for one in found.values() if one.kl <= edge]
    ends = [
        end
        for one in shown
        for end in (one.kl, one.interval.low, one.interval.high)
        if np.isfinite(end)
    ]
    edge = min(edge, max(ends) + 0.04 * (max(ends) - min(ends)) + 1e-9)
    axes.set_xlim(min(ends) - 0.06 * (edge - min(ends)), edge)
    if MEAN_LABEL in found:
        axes.axvline(level, color=canvas.MUTED, linestyle=(0, (4, 2)), linewidth=0.9)
    for row, name in enumerate(names):
        if name in found:
            _paint_estimate(
                axes, row, found[name], edge, canvas.METHOD_COLOURS.get(name, canvas.MUTED)
            )
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)


def _paint_estimate(axes: Any, row: int, one: Estimate, edge: float, colour: str) -> None:
    if one.kl > edge:
        axes.plot(edge, row, ">", color=colour, clip_on=False)
        axes.annotate(
            f"{one.kl:.3g}",
            (edge, row),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=canvas.TINY_PT,
        )
        return
    if np.isfinite([one.interval.low, one.interval.high]).all():
        axes.plot(
            (one.interval.low, min(one.interval.high, edge)),
            (row, row),
            color=colour,
            linewidth=1.4,
        )
    axes.plot(one.kl, row, "o", color=colour, markersize=4.5)
