"""Draw docs/architecture.svg: the rooms of the runtime,
and which imports which, from the code itself.

Run from the repository root: python tools/draw_rooms.py (`make pages` does).
A test checks that the file is what this writes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "architecture.svg"
# From what stands on nothing to what stands on all:
# tests/runtime/test_rooms.py holds that no arrow leads back.
DEVICE = (
    "files",
    "recording",
    "features",
    "engine",
    "results",
    "predict",
    "face",
    "check",
    "live",
    "cli",
)
DESK = (
    "tables",
    "recordings",
    "boards",
    "importers",
    "ratings",
    "simulated",
    "faces",
    "report",
    "many",
    "cli",
)
WIDTH, ROW, BOX, LEFT = 920, 42, 32, 16
DEVICE_WIDTH, DESK_WIDTH = 370, 340
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1b2733 }
.small { font-size: 11px; fill: #5b6875 }
.head { font-size: 14px; font-weight: 600 }
rect { fill: #f3f6f9; stroke: #9fb0c0 }
path { fill: none; stroke: #2a6db0; stroke-opacity: .55; stroke-width: 1.6 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9aa7b4 } path { stroke: #6fc3c9 }
rect { fill: #1c2733; stroke: #4a5b6b }
}
"""


def main() -> None:
    OUT.write_text(drawing(), encoding="utf-8")
    print(OUT.relative_to(ROOT))


def drawing() -> str:
    """The picture as SVG text."""
    arrows = set(room_arrows())
    height = ROW * max(len(DEVICE), len(DESK)) + 70
    desk_left = LEFT + DEVICE_WIDTH + 178
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="The rooms of the runtime, each importing only rooms above it">',
        f"<style>{STYLE}</style>",
        _head(LEFT, "emodict: what a device can need"),
        _head(desk_left, "emodict_desk: what only a desk needs"),
        *(_box("emodict", room, i, LEFT, DEVICE_WIDTH) for i, room in enumerate(DEVICE)),
        *(_box("emodict_desk", room, i, desk_left, DESK_WIDTH) for i, room in enumerate(DESK)),
        *_arcs(arrows, "emodict", DEVICE, LEFT + DEVICE_WIDTH, 1),
        *_arcs(arrows, "emodict_desk", DESK, desk_left, -1),
        f'<text class="small" x="{LEFT}" y="{height - 12}">A line leads from a room up to each '
        f"one that it imports. "
        "Every room of the desk also imports rooms of emodict, which is not drawn.</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def room_arrows() -> Iterator[tuple[str, str]]:
    """(room, room it imports) for each import statement between two rooms of one package."""
    for package in ("emodict", "emodict_desk"):
        for path in sorted((ROOT / "runtime" / package).rglob("*.py")):
            room = _room(path.relative_to(ROOT / "runtime").with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    other = _room(tuple(node.module.split(".")))
                    if other != room and other.startswith(f"{package}."):
                        yield room, other


def _room(parts: tuple[str, ...]) -> str:
    return ".".join(parts[:2])


def _doc(package: str, room: str) -> str:
    """What a room is for: the first words of its docstring."""
    base = ROOT / "runtime" / package / room
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].rstrip(".")


def _head(x: float, text: str) -> str:
    return f'<text class="head" x="{x}" y="22">{escape(text)}</text>'


def _middle(row: int) -> float:
    return 36 + ROW * row + BOX / 2


def _box(package: str, room: str, row: int, x: float, width: float) -> str:
    about = re.split(r"[,:;] ", _doc(package, room))[0]
    return (
        f'<rect x="{x}" y="{_middle(row) - BOX / 2}" width="{width}" height="{BOX}" rx="5"/>'
        f'<text x="{x + 12}" y="{_middle(row) + 4.5}">{room}</text>'
        f'<text class="small" x="{x + 96}" y="{_middle(row) + 4}">{escape(about)}</text>'
    )


def _arcs(
    arrows: set[tuple[str, str]], package: str, rooms: tuple[str, ...], x: float, side: int
) -> Iterator[str]:
    """A curve beside the boxes for each room and a room that it imports."""
    for source, target in sorted(arrows):
        names = [name.removeprefix(f"{package}.") for name in (source, target)]
        if not source.startswith(f"{package}.") or any(name not in rooms for name in names):
            continue
        start, stop = (_middle(rooms.index(name)) for name in names)
        reach = x + side * (14 + 0.36 * abs(start - stop))
        title = f"<title>{names[0]} imports {names[1]}</title>"
        arc = f"M{x} {start:g} C{reach:g} {start:g} {reach:g} {stop:g} {x} {stop:g}"
        yield f'<path d="{arc}">{title}</path>'


if __name__ == "__main__":
    main()
