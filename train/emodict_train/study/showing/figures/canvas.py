"""What every figure of a study shares: its look,
the line that says what it was computed on, and its two files.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emodict.errors import MissingDependencyError
from emodict.files.atomic import atomic_path
from emodict_train.study.judging.results import Results
from emodict_train.study.judging.statistics import clusters_of

# The column and the text width of a two-column journal page (IEEE).
COLUMN_IN, PAGE_IN = 3.5, 7.16
ENDINGS = (".svg", ".png")
_PNG_DPI = 300
_LONGEST = 72
TEXT_PT, SMALL_PT, TINY_PT = 8, 7, 6
# The tokens of the project's pages, which study.html turns into its own in the dark.
INK, MUTED, LINE, PAPER, WARNING = "#1c2430", "#5c6675", "#dfe3e9", "#ffffff", "#b45309"
# Okabe and Ito's colours (the purple darker), which the colour-blind can distinguish;
# a method has one in every figure.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, GREY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#b5649a",
    "#e69f00",
    "#858e9b",
)
METHOD_COLOURS = {
    "EmotionDict (paper)": BLUE,
    "EmotionDict (robust)": VERMILLION,
    "mean label": GREY,
    "kernel ridge": GREEN,
}
OTHER_METHOD = PURPLE
# For titles; the tables' captions say what each means.
PROTOCOL_TITLES = {
    "trials": "leave-trials-out", "subjects": "leave-one-subject-out", "windows": "random windows"
}  # fmt: skip
PROTOCOL_MARKS = {"trials": ("o", BLUE), "subjects": ("D", GREEN), "windows": ("s", ORANGE)}
_RC = {
    # Text stays text, and the same numbers give the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "emodict",
    "font.family": "DejaVu Sans",
    # A dollar in a file's name is not a formula.
    "text.parse_math": False,
    "font.size": TEXT_PT,
    "axes.titlesize": TEXT_PT,
    "axes.labelsize": SMALL_PT,
    "legend.fontsize": SMALL_PT,
    "xtick.labelsize": TINY_PT,
    "ytick.labelsize": TINY_PT,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "axes.titlelocation": "left",
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn.

    Attributes:
        key: its name, and that of its files without their endings.
        title, caption: what it is, and how to read it.
        alt: what it shows, for those who cannot see it.
        protocol: the one it belongs to; None: several.
        paint: draws on an empty matplotlib figure.
    """

    key: str
    title: str
    caption: str
    alt: str
    protocol: str | None
    width_in: float
    height_in: float
    paint: Callable[[Any], None]


@dataclass(frozen=True)
class DrawnFigure:
    """A figure that lies in a folder as `svg` and `png`; the rest as in its drawing."""

    key: str
    title: str
    caption: str
    alt: str
    protocol: str | None
    svg: Path
    png: Path


def painted(drawing: Drawing, results: Results) -> Any:
    """The drawing as a matplotlib figure,
    with the data it stands on and what there is to warn of below it.
    """
    figure_class = _figure_class()
    with _style():
        figure = figure_class(figsize=(drawing.width_in, drawing.height_in), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
        drawing.paint(figure)
        said = warnings_of(results)
        # What a figure has room for on a line.
        lines = [" · ".join(said)] * bool(said) + [
            computed_on(results, longest=round(20 * drawing.width_in) - 35)
        ]
        colour, weight = (WARNING, "bold") if said else (MUTED, "normal")
        figure.supxlabel(
            "\n".join(lines), x=0.005, ha="left", fontsize=TINY_PT, color=colour, fontweight=weight
        )
        # Laid out once, not once for each file.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def save(drawing: Drawing, results: Results, folder: Path) -> DrawnFigure:
    """Draw it into `folder` as SVG and PNG, each whole or not at all.

    Raises:
        OutputError: they cannot be written there.
    """
    figure = painted(drawing, results)
    paths = [folder / f"{drawing.key}{ending}" for ending in ENDINGS]
    for path in paths:
        unsaid = ("Date", "Creator", "Format", "Type") if path.suffix == ".svg" else ("Software",)
        with _style(), atomic_path(path) as part:
            figure.savefig(
                part, format=path.suffix[1:], dpi=_PNG_DPI, metadata=dict.fromkeys(unsaid)
            )
    return DrawnFigure(
        drawing.key, drawing.title, drawing.caption, drawing.alt, drawing.protocol, *paths
    )


def computed_on(results: Results, *, longest: int = _LONGEST) -> str:
    """The data a number stands on: "train.mat · 648 rows · 32 trials · 1 person";
    a source's name may be cut.
    """
    data = results.data
    trials, people = clusters_of(data, "trials"), len(data.subjects)
    known = (f"{trials.count} trials", "1 person" if people == 1 else f"{people} people")
    counts = known if knows_trials(results) else ("trials and people not known",)
    return " · ".join(
        (printable(data.source, longest=min(longest, _LONGEST)), f"{len(data)} rows", *counts)
    )


def knows_trials(results: Results) -> bool:
    """Whether the data say which rows belong together; where they do not, rows are all there is."""
    return clusters_of(results.data, "trials").unit == "trials"


def warnings_of(results: Results) -> tuple[str, ...]:
    """What must stand on every figure of these results besides its data."""
    said = []
    if results.data.simulated:
        said.append("SIMULATED people")
    if results.about.get("quick"):
        said.append("QUICK: fewer seeds")
    return tuple(said)


def printable(text: str, *, longest: int = _LONGEST) -> str:
    """A name from outside on one line of a figure, cut where it is too long."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"


def method_colour(name: str) -> str:
    """The colour of a method in every figure."""
    return METHOD_COLOURS.get(name, OTHER_METHOD)


@contextlib.contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context(_RC), warnings.catch_warnings():
        # A source named in a script that the font lacks is still right in the SVG.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _figure_class() -> Any:
    """Matplotlib without a screen and without its global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "matplotlib", extra="study", purpose="Drawing a study's figures"
        ) from error
    return Figure
