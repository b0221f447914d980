"""A matplotlib picture in a file: checked before the work, drawn without a screen,
the same bytes every time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emodict.errors import MissingDependencyError, OutputError
from emodict.files.atomic import atomic_path, check_writable

ENDINGS = (".svg", ".png")
_PNG_DPI = 144


def check_picture(path: Path) -> None:
    """Refuse an ending that is not a picture's,
    and a machine that cannot draw, before the work starts.
    """
    if path.suffix not in ENDINGS:
        raise OutputError(
            f"Cannot draw {path}",
            expected=f"a file ending in {' or '.join(ENDINGS)}",
            got=path.suffix or "no ending",
        )
    check_writable(path)
    _figure_class()


@contextlib.contextmanager
def picture(path: Path, *, width_in: float, height_in: float) -> Iterator[Any]:
    """A matplotlib figure to draw on; the file appears, whole, when the block ends.

    Raises:
        OutputError: it cannot be written there.
    """
    from matplotlib import rc_context

    # Text stays text, and the same numbers give the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "emodict", "font.size": 9}):
        figure = _figure_class()(figsize=(width_in, height_in), layout="constrained")
        yield figure
        with atomic_path(path) as part:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(part, format=path.suffix[1:], metadata=metadata, dpi=_PNG_DPI)


def _figure_class() -> Any:
    """Matplotlib without a screen and without its global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "matplotlib", extra="calibrate", purpose="The picture of a calibration"
        ) from error
    return Figure
