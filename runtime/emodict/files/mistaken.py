"""What a file is in place of what it should be, told from how it begins:
for the sentences of errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
AN_ONNX = "an ONNX model, which is already exported"
_RUN = "emodict-run --engine model.onnx session.h5"


class Mistaken(NamedTuple):
    """What a file is, and what to do."""

    what: str
    fix: str


def mistaken_for(path: Path) -> Mistaken | None:
    """What the file is, or None where nothing is known of it.

    Git LFS leaves a pointer where a file was not fetched,
    and a browser saves the page that a link led to.
    """
    if not path.is_file():
        return None
    with path.open("rb") as handle:
        head = handle.read(512)
    text = head.lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        return Mistaken(
            "a Git LFS pointer, in the place of the file", "Fetch the file itself: git lfs pull"
        )
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return Mistaken(
            "a web page", "The download went wrong: download the file itself, not the page about it"
        )
    if head.startswith(HDF5_MAGIC):
        fix = f"The model comes after --engine, the recording without it: {_RUN}"
        return Mistaken("an HDF5 file, as recordings are", fix)
    # An ONNX file begins with its version, field 1, and then who made it, field 2.
    if head[:1] == b"\x08" and head[2:3] == b"\x12":
        return Mistaken(AN_ONNX, f"Run it: {_RUN}")
    return None
