"""Figures 3 and 6: predicted against true distributions,
of windows picked by rule and of the worst failures.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from emodict.results.metrics import distribution_metrics
from emodict_train.study.compared.ablations import OURS
from emodict_train.study.judging.results import Predictions, Results
from emodict_train.study.judging.statistics import MEAN_LABEL
from emodict_train.study.showing.figures import canvas
from emodict_train.study.showing.figures.reading import (
    Float64Array,
    Indices,
    best_rivals,
    first_of_each_trial,
    leading,
    positions,
)
from emodict_train.study.showing.tables import protocols_of

WINDOWS = 4
_RIVALS = 2
_ROW_IN, _REST_IN = 0.72, 1.3
_READ = (
    "Bars: predicted; black outline: ground truth; number: KL of the window. "
    "One network of each method (the first "
    "seed), not an average."
)


def drawings(results: Results) -> list[canvas.Drawing]:
    """Both figures under the honest protocol; none where no EmotionDict was run."""
    protocol = protocols_of(results)[0]
    ours = leading(results, protocol)
    if ours is None:
        return []
    where = canvas.PROTOCOL_TITLES[protocol]
    typical, failed = typical_rows(results, ours), failed_rows(results, ours)
    return [
        _drawing(
            results,
            "figure-3-distributions",
            typical,
            (*OURS, *best_rivals(results, protocol, _RIVALS), MEAN_LABEL),
            title=f"Predicted and true distributions, {where}",
            caption=f"{len(typical)} held-out windows of different trials, not picked by eye: "
            f"they stand at even "
            f"steps in the order of {ours.method}'s KL, easy ones left, hard ones right. {_READ}",
        ),
        _drawing(
            results,
            "figure-6-failures",
            failed,
            (*OURS, MEAN_LABEL),
            title=f"Failure cases, {where}",
            caption=f"The worst window of each of the {len(failed)} trials on which "
            f"{ours.method} fails most, the "
            f"worst left. {_READ}",
        ),
    ]


def typical_rows(results: Results, predictions: Predictions) -> Indices:
    """The middle of each of WINDOWS equal parts of the KL's order,
    or what is next to it in another trial.
    """
    order = np.argsort(_kl_of_first_seed(results, predictions), kind="stable")
    kept: Indices = np.empty(0, dtype=np.intp)
    for part in np.array_split(order, WINDOWS):
        outwards = part[np.argsort(np.abs(np.arange(len(part)) - len(part) // 2), kind="stable")]
        kept = first_of_each_trial(
            results, np.concatenate([kept, predictions.rows[outwards]]), len(kept) + 1
        )
    return kept


def failed_rows(results: Results, predictions: Predictions) -> Indices:
    """The worst row of each of the WINDOWS trials with the largest KL of one row, largest first."""
    order = np.argsort(-_kl_of_first_seed(results, predictions), kind="stable")
    return first_of_each_trial(results, predictions.rows[order], WINDOWS)


def _kl_of_first_seed(results: Results, predictions: Predictions) -> Float64Array:
    return distribution_metrics(results.data.D[predictions.rows], predictions.distribution[0])["kl"]


def _drawing(
    results: Results, key: str, rows: Indices, names: tuple[str, ...], *, title: str, caption: str
) -> canvas.Drawing:
    protocol = protocols_of(results)[0]
    run = {each.method: each for each in results.of(protocol)}
    shown = [run[name] for name in names if name in run]
    kl = {each.method: _predicted(results, each, rows)[1] for each in shown}
    spoken = "; ".join(
        f"{name} {', '.join(f'{value:.3f}' for value in values)}" for name, values in kl.items()
    )
    return canvas.Drawing(
        key,
        title,
        caption,
        f"Bar charts of {len(rows)} windows. KL of each, left to right: {spoken}.",
        protocol,
        canvas.PAGE_IN,
        _REST_IN + _ROW_IN * len(shown),
        partial(_paint, results, rows, shown),
    )


def _predicted(
    results: Results, predictions: Predictions, rows: Indices
) -> tuple[Float64Array, Float64Array]:
    """(rows, emotions) of the first seed, and the KL of each row."""
    shares = predictions.distribution[0, positions(predictions, rows)]
    return shares, distribution_metrics(results.data.D[rows], shares)["kl"]


def _paint(results: Results, rows: Indices, shown: list[Predictions], figure: Any) -> None:
    """A row of panels for each method, a column for each window."""
    panels = figure.subplots(len(shown), len(rows), sharex=True, sharey=True, squeeze=False)
    truth = results.data.D[rows]
    for line, predictions in zip(panels, shown, strict=True):
        shares, kl = _predicted(results, predictions, rows)
        for axes, *numbers in zip(line, truth, shares, kl, strict=True):
            _paint_window(axes, *numbers, colour=canvas.method_colour(predictions.method))
        line[0].set_ylabel(predictions.method.replace(" (", "\n("))
    for axes, row in zip(panels[0], rows, strict=True):
        axes.set_title(_window_name(results, row), fontsize=canvas.SMALL_PT, pad=3)
    names = [canvas.printable(name, longest=16) for name in results.data.emotions]
    for axes in panels[-1]:
        axes.set_xticks(np.arange(len(names)), names, rotation=90)
    top = max([truth.max(), *(_predicted(results, each, rows)[0].max() for each in shown)])
    panels[0, 0].set_ylim(0, 1.25 * top)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside upper left", handlelength=1.6
    )


def _paint_window(
    axes: Any, truth: Float64Array, shares: Float64Array, kl: float, *, colour: str
) -> None:
    places = np.arange(len(truth))
    axes.bar(places, shares, width=0.78, color=colour, linewidth=0)
    edges = np.arange(len(truth) + 1) - 0.5
    label = "ground truth; bars: predicted share of each emotion"
    axes.stairs(truth, edges, baseline=None, color=canvas.INK, linewidth=1.0, label=label)
    axes.text(
        0.985,
        0.97,
        f"KL {kl:.3f}",
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=canvas.TINY_PT,
    )
    axes.locator_params(axis="y", nbins=3)
    axes.tick_params(axis="x", length=0)


def _window_name(results: Results, row: int) -> str:
    data = results.data
    trial = f"trial {data.trial[row]}"
    if len(data.subjects) > 1:
        trial = f"{canvas.printable(str(data.subject[row]), longest=14)}, {trial}"
    return trial
