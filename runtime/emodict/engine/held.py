"""Content that was checked, held for whoever opens the file: what is run is what was checked."""

from __future__ import annotations

from pathlib import Path

_held: dict[Path, bytes] = {}


def hold(path: Path, content: bytes) -> None:
    """From now on this process takes this for the content of `path`."""
    _held[path.resolve()] = content


def held(path: Path) -> bytes | None:
    """What is held of `path`; None: nothing, and the file itself is to be opened."""
    return _held.get(path.resolve()) if _held else None


def read_content(path: Path) -> bytes:
    """What is held of `path`, or else what lies there."""
    content = held(path)
    return path.read_bytes() if content is None else content
