"""Figure 4: t-SNE of the latent h of held-out windows, coloured by trial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from emodict.errors import MissingDependencyError
from emodict_train.study.judging.results import Results
from emodict_train.study.showing.figures import canvas
from emodict_train.study.showing.figures.networks import Sitting, network, sittings
from emodict_train.study.showing.figures.reading import Float64Array, Indices
from emodict_train.study.showing.tables import protocols_of

# The paper draws four people and five windows of each trial.
_PANELS, SAMPLES = 4, 5
# Paul Tol's "bright" scheme with its yellow and grey darkened for thin strokes;
# with the marks, 32 trials differ.
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#b59a1f", "#66ccee", "#aa3377", "#7f7f7f", "#e07b28")
_MARKS = ("o", "s", "^", "D")
_PERPLEXITY = 30.0


@dataclass(frozen=True)
class Embedding:
    """Held-out windows of one network in two dimensions.

    Attributes:
        name: of the sitting.
        trial: (points,) number of each point's trial.
        at: (points, 2).
    """

    name: str
    trial: Indices
    at: Float64Array


def drawings(results: Results) -> list[canvas.Drawing]:
    """A figure for each protocol of which latents were kept."""
    return [
        _drawing(results, protocol)
        for protocol in protocols_of(results)
        if protocol in results.latents
    ]


def embeddings(results: Results, protocol: str) -> tuple[Embedding, ...]:
    """SAMPLES windows of each trial, drawn and embedded with the study's seed;
    a network has a space of its own.
    """
    seed = int(results.about["seed"])
    found = []
    for sitting in sittings(results, protocol, _PANELS):
        chosen = _sampled(sitting.trial, np.random.default_rng(seed))
        found.append(Embedding(sitting.name, sitting.trial[chosen], _embed(sitting, chosen, seed)))
    return tuple(found)


def _sampled(trial: Indices, rng: np.random.Generator) -> Indices:
    """At most SAMPLES positions of each trial, in order."""
    each = [np.flatnonzero(trial == number) for number in np.unique(trial)]
    return np.concatenate([np.sort(rng.permutation(some)[:SAMPLES]) for some in each])


def _embed(sitting: Sitting, chosen: Indices, seed: int) -> Float64Array:
    """(points, 2); fewer than four points are drawn along their first two coordinates,
    as t-SNE needs neighbours.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingDependencyError(
            "scikit-learn", extra="study", purpose="The t-SNE of Figure 4"
        ) from error
    latent = sitting.latent[chosen]
    if len(latent) < 4:
        return latent[:, :2]
    perplexity = min(_PERPLEXITY, (len(latent) - 1) / 3)
    # Exact: a few hundred points need no approximation, nor threads.
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, method="exact")
    embedded: Float64Array = tsne.fit_transform(latent)
    return embedded.astype(np.float64)


def _drawing(results: Results, protocol: str) -> canvas.Drawing:
    found = embeddings(results, protocol)
    method = network(results, protocol).method
    where = canvas.PROTOCOL_TITLES[protocol]
    trials = sum(len(np.unique(one.trial)) for one in found)
    columns = min(2, len(found))
    width = canvas.PAGE_IN if columns == 2 else canvas.COLUMN_IN
    return canvas.Drawing(
        f"figure-4-latent-{protocol}",
        f"t-SNE of the latent h by trial, {where}",
        f"{method}, {SAMPLES} random held-out windows of each trial; "
        f"a trial has one colour and mark, "
        "its number stands above it, thin lines tie its windows to their centre. "
        "Each panel is one network, that of "
        "the first seed, trained once more by itself: h of two networks cannot be compared. "
        "Distances between groups, "
        "and axes, mean nothing in t-SNE.",
        f"{'Scatter plots' if len(found) > 1 else 'Scatter plot'} with {trials} groups of points "
        f"in all, one for each "
        "held-out trial.",
        protocol,
        width,
        0.45 + 0.46 * canvas.PAGE_IN * math.ceil(len(found) / columns),
        partial(_paint, found, columns),
    )


def _paint(found: tuple[Embedding, ...], columns: int, figure: Any) -> None:
    panels = figure.subplots(math.ceil(len(found) / columns), columns, squeeze=False)
    for axes, one in zip(panels.flat, found, strict=False):
        _paint_embedding(axes, one)
        axes.set_title(one.name)
    for axes in panels.flat[len(found) :]:
        axes.set_axis_off()


def _paint_embedding(axes: Any, one: Embedding) -> None:
    for i, number in enumerate(np.unique(one.trial)):
        at = one.at[one.trial == number]
        centre = at.mean(axis=0)
        colour, mark = _COLOURS[i % len(_COLOURS)], _MARKS[i // len(_COLOURS) % len(_MARKS)]
        for point in at:
            axes.plot(
                *zip(centre, point, strict=True), color=colour, linewidth=0.5, alpha=0.6, zorder=1
            )
        axes.scatter(
            *at.T, s=13, color=colour, marker=mark, linewidths=0, zorder=2, gid=f"trial-{number}"
        )
        axes.annotate(
            str(number),
            (centre[0], at[:, 1].max()),
            xytext=(0, 2.5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=canvas.TINY_PT,
            zorder=3,
        )
    # A square with room for the numbers: the same length is the same distance both ways.
    centre, reach = (
        (one.at.max(axis=0) + one.at.min(axis=0)) / 2,
        0.6 * np.ptp(one.at, axis=0).max() or 1.0,
    )
    axes.set_xlim(centre[0] - reach, centre[0] + reach)
    axes.set_ylim(centre[1] - reach, centre[1] + reach)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="box")
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(True)
        axes.spines[side].set_color(canvas.LINE)
