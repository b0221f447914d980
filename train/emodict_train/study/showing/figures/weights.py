"""The weights of the dictionary's elements over time,
over the held-out trials of a few networks.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from emodict_desk import svg
from emodict_train.study.judging.results import Results
from emodict_train.study.showing.figures import canvas
from emodict_train.study.showing.figures.networks import Sitting, in_trial_order, network, sittings
from emodict_train.study.showing.figures.reading import Float64Array, Indices
from emodict_train.study.showing.tables import protocols_of

_STRIPS = 4
_STRIP_IN, _REST_IN = 1.15, 0.65


def drawings(results: Results) -> list[canvas.Drawing]:
    """A figure for each protocol of which latents were kept."""
    return [
        _drawing(results, protocol)
        for protocol in protocols_of(results)
        if protocol in results.latents
    ]


def by_variation(weights: Float64Array) -> Float64Array:
    """(rows, elements) -> (elements, rows), the elements that change most over the rows first."""
    return weights.T[np.argsort(-weights.std(axis=0), kind="stable")]


def boundaries(trial: Indices) -> Indices:
    """The positions at which another trial begins, 0 not counted."""
    return np.flatnonzero(trial[1:] != trial[:-1]) + 1


def _drawing(results: Results, protocol: str) -> canvas.Drawing:
    strips = sittings(results, protocol, _STRIPS)
    rows = sum(len(strip.rows) for strip in strips)
    order = (
        "in time order"
        if in_trial_order(results)
        else "trial by trial (these data do not say in which order)"
    )
    elements = max(strip.weights.shape[1] for strip in strips)
    return canvas.Drawing(
        f"weights-{protocol}",
        f"Dictionary weights over time, {canvas.PROTOCOL_TITLES[protocol]}",
        f"{network(results, protocol).method}: one column for each held-out window, {order}; "
        f"black lines where another "
        "trial begins, its number above. Each strip is one network with a dictionary of its own: "
        "elements are sorted "
        "by how much they vary within the strip and cannot be compared between strips. "
        "Weights that change from trial "
        "to trial and not within one say that the network recognises trials.",
        f"{'Heat maps' if len(strips) > 1 else 'Heat map'} of up to {elements} elements by "
        f"{rows} held-out windows in "
        "all.",
        protocol,
        canvas.PAGE_IN,
        _REST_IN + _STRIP_IN * len(strips),
        partial(_paint, strips),
    )


def _paint(strips: tuple[Sitting, ...], figure: Any) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list(
        "emodict", [tuple(c / 255 for c in rgb) for rgb in svg.DIVERGING]
    )
    # A few outliers must not turn the rest pale.
    limit = (
        float(np.percentile(np.abs(np.concatenate([strip.weights for strip in strips])), 99)) or 1.0
    )
    panels = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
    for axes, strip in zip(panels, strips, strict=True):
        image = axes.imshow(
            by_variation(strip.weights),
            aspect="auto",
            cmap=colours,
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
        )
        axes.set_ylabel(f"{strip.name}\nelement")
        _paint_trials(axes, strip.trial)
    panels[-1].set_xlabel("held-out window")
    bar = figure.colorbar(image, ax=list(panels), shrink=0.6, aspect=30, pad=0.01)
    bar.outline.set_visible(False)
    bar.set_label("weight")


def _paint_trials(axes: Any, trial: Indices) -> None:
    starts = [0, *boundaries(trial).tolist(), len(trial)]
    for start in starts[1:-1]:
        axes.axvline(start - 0.5, color=canvas.INK, linewidth=0.7)
    # As many numbers as find room.
    step = max(1, (len(starts) - 1) // 32 + 1)
    for start, stop in list(pairwise(starts))[::step]:
        said = f"trial {trial[start]}" if start == 0 else str(trial[start])
        axes.text(
            (start + stop - 1) / 2,
            1.02,
            said,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=canvas.TINY_PT,
        )
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
