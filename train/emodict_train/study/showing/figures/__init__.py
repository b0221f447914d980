"""The figures of a study, each as SVG and PNG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emodict_train.study.judging.results import Results
from emodict_train.study.showing.figures import (
    distributions,
    elements,
    latent,
    overview,
    ranks,
    weights,
)
from emodict_train.study.showing.figures.canvas import DrawnFigure, save

__all__ = ["DrawnFigure", "draw_figures"]

# The overview first, then as in the paper.
_MODULES = (overview, ranks, distributions, latent, elements, weights)


def draw_figures(
    results: Results, folder: Path, *, on_figure: Callable[[str], None] = lambda key: None
) -> tuple[DrawnFigure, ...]:
    """Draw every figure that the results have something for into a folder that exists.

    Args:
        on_figure: called with the name of each figure that is done.

    Raises:
        OutputError: they cannot be written there.
        MissingDependencyError: matplotlib or scikit-learn is not installed.
    """
    drawn = []
    for module in _MODULES:
        for drawing in module.drawings(results):
            drawn.append(save(drawing, results, folder))
            on_figure(drawing.key)
    return tuple(drawn)
