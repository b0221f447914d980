"""Figure 5: the six measures against the number of elements in the dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from emodict.results.metrics import LARGER_IS_BETTER, METRICS
from emodict_train.study.compared.ablations import BLOCKS
from emodict_train.study.judging.results import Results, Score, scores
from emodict_train.study.judging.statistics import MEAN_LABEL, Spread, spread
from emodict_train.study.showing.figures import canvas
from emodict_train.study.showing.tables import protocols_of

_LEVEL: dict[str, Any] = {"linestyle": (0, (4, 2)), "linewidth": 0.9}
_BLOCK = next(block for block in BLOCKS if block.key == "elements")


@dataclass(frozen=True)
class Curve:
    """One protocol: the measures by the size of the dictionary,
    and those of the mean label where it was run.
    """

    protocol: str
    by_size: Mapping[int, Spread]
    mean_label: Spread | None


def drawings(results: Results) -> list[canvas.Drawing]:
    """Figure 5; none where no two sizes were run."""
    curves = curves_of(results)
    if not curves:
        return []
    spoken = "; ".join(
        f"{canvas.PROTOCOL_TITLES[curve.protocol]}: "
        + ", ".join(f"{size} elements {one.mean['kl']:.4f}" for size, one in curve.by_size.items())
        for curve in curves
    )
    return [
        canvas.Drawing(
            "figure-5-elements",
            "The measures against the number of dictionary elements",
            "EmotionDict (paper) with dictionaries of 8 to 128 elements. Points and bars: "
            "mean and one standard "
            "deviation over folds and seeds; dashed: the mean label under the same protocol, "
            "the level to beat. "
            "↓ smaller is better, ↑ larger is better.",
            f"Six line charts. Mean KL by protocol: {spoken}.",
            None,
            canvas.PAGE_IN,
            3.9,
            partial(_paint, curves),
        )
    ]


def curves_of(results: Results) -> tuple[Curve, ...]:
    """A curve for each protocol under which at least two sizes were run."""
    found = scores(results)
    curves = [
        _curve([score for score in found if score.protocol == protocol])
        for protocol in protocols_of(results)
    ]
    return tuple(curve for curve in curves if curve is not None)


def _curve(found: Sequence[Score]) -> Curve | None:
    by_size = {
        int(size): [s for s in found if s.method == _BLOCK.method(size)] for size in _BLOCK.variants
    }
    spreads = {size: spread(some) for size, some in by_size.items() if some}
    if len(spreads) < 2:
        return None
    label = [score for score in found if score.method == MEAN_LABEL]
    return Curve(found[0].protocol, spreads, spread(label) if label else None)


def _paint(curves: Sequence[Curve], figure: Any) -> None:
    panels = figure.subplots(2, 3, sharex=True)
    for axes, name in zip(panels.flat, METRICS, strict=True):
        for i, curve in enumerate(curves):
            _paint_curve(axes, curve, name, shift=1 + 0.05 * (i - (len(curves) - 1) / 2))
        arrow = "↑" if name in LARGER_IS_BETTER else "↓"
        axes.set_title(f"{'KL' if name == 'kl' else name.capitalize()} {arrow}")
        axes.grid(axis="y")
    _size_axis(panels, sorted({size for curve in curves for size in curve.by_size}))
    handles = list(panels.flat[0].containers)
    handles += panels.flat[0].plot(
        [], [], color=canvas.MUTED, label="mean label, in the protocol's colour", **_LEVEL
    )
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handlelength=2.2)


def _paint_curve(axes: Any, curve: Curve, name: str, *, shift: float) -> None:
    """The points of several protocols stand side by side,
    `shift` being a factor on the log scale.
    """
    marker, colour = canvas.PROTOCOL_MARKS[curve.protocol]
    mean, sd = (
        [getattr(one, which)[name] for one in curve.by_size.values()] for which in ("mean", "sd")
    )
    axes.errorbar(
        np.array(list(curve.by_size)) * shift,
        mean,
        yerr=np.nan_to_num(sd),
        color=colour,
        marker=marker,
        capsize=1.8,
        elinewidth=0.8,
        capthick=0.8,
        label=canvas.PROTOCOL_TITLES[curve.protocol],
    )
    if curve.mean_label is not None:
        axes.axhline(
            curve.mean_label.mean[name],
            color=colour,
            gid=f"level-{name}-{curve.protocol}",
            **_LEVEL,
        )


def _size_axis(panels: Any, sizes: Sequence[int]) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    for axes in panels.flat:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_major_formatter(FixedFormatter([str(size) for size in sizes]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.locator_params(axis="y", nbins=5)
    for axes in panels[-1]:
        axes.set_xlabel("dictionary elements")
