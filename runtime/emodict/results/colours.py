"""The colour of each emotion, the same on every page and picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

# Two families that the colour-blind can distinguish, blue to teal and yellow to red, each
# from dark to light so that neighbours differ in a grey print, too; light meets light
# where the families meet.
_PANAS_COLOURS = {
    "inspired": "#1f3f75",
    "alert": "#2a6db0",
    "excited": "#3f9bc8",
    "enthusiastic": "#6fc3c9",
    "determined": "#b5e2d3",
    "afraid": "#fae09a",
    "upset": "#f6b766",
    "nervous": "#e98443",
    "scared": "#c94f37",
    "distressed": "#862a3c",
}
# Paul Tol's "muted" scheme, in the order in which neighbours differ most.
_OTHER_COLOURS = (
    "#332288",
    "#88ccee",
    "#117733",
    "#ddcc77",
    "#cc6677",
    "#44aa99",
    "#882255",
    "#999933",
    "#aa4499",
    "#bbbbbb",
)


def emotion_colours(names: Sequence[str]) -> tuple[str, ...]:
    """One colour per emotion: the PANAS families, else ten distinct ones,
    else as many hues as it takes.
    """
    known = [_PANAS_COLOURS.get(name.lower()) for name in names]
    if all(known):
        return tuple(colour for colour in known if colour)
    if len(names) <= len(_OTHER_COLOURS):
        return _OTHER_COLOURS[: len(names)]
    return tuple(_hue(i / len(names), lightness=0.42 + 0.26 * (i % 2)) for i in range(len(names)))


def _hue(hue: float, *, lightness: float) -> str:
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.5))
    return f"#{red:02x}{green:02x}{blue:02x}"
