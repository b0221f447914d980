"""A figure of emodict's as a part of a page: ids of its own,
the page's colours, nothing fetched.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from emodict_train.study.showing.figures import canvas
from emodict_train.study.showing.figures.canvas import DrawnFigure

# Each colour's variable in page.css, which knows a brighter one for the dark.
VARIABLES = {
    canvas.INK: "--ink",
    canvas.MUTED: "--muted",
    canvas.LINE: "--line",
    canvas.PAPER: "--surface",
    canvas.WARNING: "--warning",
    canvas.BLUE: "--blue",
    canvas.VERMILLION: "--vermillion",
    canvas.GREEN: "--green",
    canvas.PURPLE: "--purple",
    canvas.ORANGE: "--orange",
    canvas.GREY: "--grey",
}
# A figure of full width reads well at this many CSS pixels for each of its points.
_PIXELS_PER_POINT = 1.85


def inline_svg(figure: DrawnFigure) -> str:
    """The figure's SVG as an element of HTML, its alternative text as its label."""
    root = ElementTree.parse(figure.svg).getroot()
    width_pt, height_pt = (float(number) for number in root.attrib["viewBox"].split()[2:])
    _drop_style(root)
    for element in root.iter():
        # An HTML parser knows what is SVG without namespaces.
        element.tag = _local(element.tag)
        own = {_local(name): value for name, value in element.attrib.items()}
        element.attrib = {name: _adapted(name, value, figure.key) for name, value in own.items()}
    root.attrib = {
        "class": "plot",
        "role": "img",
        "aria-label": figure.alt,
        "viewBox": f"0 0 {width_pt:g} {height_pt:g}",
        "style": f"width: {width_pt * _PIXELS_PER_POINT:.0f}px",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _drop_style(root: ElementTree.Element) -> None:
    """In a page, the style sheet of a figure would be that of everything."""
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) == "style":
                parent.remove(child)


def _local(name: str) -> str:
    """A tag or an attribute without its namespace."""
    return name.rpartition("}")[2]


def _adapted(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{key}-{value[1:]}"
    value = value.replace("url(#", f"url(#{key}-")
    return (
        re.sub(r"#[0-9a-f]{6}\b", lambda colour: _variable(colour[0]), value)
        if name == "style"
        else value
    )


def _variable(colour: str) -> str:
    return f"var({VARIABLES[colour]})" if colour in VARIABLES else colour
