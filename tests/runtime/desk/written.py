"""Small files of text for the tests of importers."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, text: str) -> Path:
    """The file, with this text in it."""
    path.write_text(text)
    return path
