"""The table of docs/embedding.md: what models in C cost on a Cortex-M4F.

python -m benchmarks.embedded.table         measures, and writes it into the page
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.pages.stamps import with_section

from benchmarks.embedded.costs import Cost, can_measure, cost_of
from benchmarks.embedded.shapes import SHAPES, Shape
from benchmarks.embedded.toolchain import CORTEX_M4F, QEMU, version_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "embedding.md"
SECTION = "c"
HEAD = (
    "| model | | flash | RAM | stack | instructions a second | of them the network |",
    "|---|---|---|---|---|---|---|",
)


def table(costs: Sequence[Cost]) -> str:
    """Markdown, with the tools that were used below it."""
    return "\n".join((*HEAD, *map(_row, costs), "", tools()))


def tools() -> str:
    """The sentence on what the figures are of."""
    return (
        f"*Counted and measured by `python -m benchmarks.embedded.table`: {CORTEX_M4F.name}, "
        f"{CORTEX_M4F.compiler} {CORTEX_M4F.version} with `-O2`, QEMU {version_of(QEMU)}.*"
    )


def _row(cost: Cost) -> str:
    cells = (
        _name(cost.shape) if cost.precision == "fp32" else "",
        "float32" if cost.precision == "fp32" else "int8",
        f"{cost.flash / 1e3:.1f} KB",
        f"{cost.ram / 1e3:.1f} KB",
        f"{cost.stack / 1e3:.1f} KB",
        f"{cost.instructions / 1e6:.2f} M",
        f"{cost.network / 1e6:.2f} M",
    )
    return f"| {' | '.join(cells)} |"


def _name(shape: Shape) -> str:
    channels = f"{len(shape.channels) or 18} channels of EEG" if "eeg" in shape.modalities else ""
    others = "+".join(name.upper() for name in shape.modalities if name not in ("eeg", "video"))
    face = "face" if "video" in shape.modalities else ""
    return f"{shape.name}: {', '.join(filter(None, (channels, others, face)))}"


def measured() -> Iterator[Cost]:
    """Of every shape in both precisions."""
    for shape in SHAPES:
        for precision in ("fp32", "int8"):
            yield cost_of(shape, precision)


def main() -> int:
    if not can_measure():
        print(f"There is no {CORTEX_M4F.compiler} or no {QEMU} here", file=sys.stderr)
        return 2
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_section(page, SECTION, table(list(measured()))), encoding="utf-8")
    print(f"Wrote the table into {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
