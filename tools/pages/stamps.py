"""Stamps: which run a picture is of, written into the picture itself."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG's first chunk, IHDR: length, type, 13 bytes, check sum.
HEADER_END = len(PNG_SIGNATURE) + 4 + 4 + 13 + 4
KEYWORD = "emodict pages"


def stamp_png(png: bytes, stamp: str) -> bytes:
    """A PNG with the stamp as its text (a tEXt chunk after the header)."""
    if not png.startswith(PNG_SIGNATURE):
        raise ValueError("no PNG")
    body = b"tEXt" + f"{KEYWORD}\0{stamp}".encode("latin-1")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:HEADER_END] + chunk + png[HEADER_END:]


def stamp_svg(svg: str, stamp: str) -> str:
    """An SVG with the stamp as a comment at its end."""
    return f"{svg.rstrip()}\n<!-- {KEYWORD}: {stamp} -->\n"


def is_stamped(path: Path, stamp: str) -> bool:
    """Is the picture of the run with this stamp?"""
    marks = (f"{KEYWORD}\0{stamp}".encode(), f"<!-- {KEYWORD}: {stamp} -->".encode())
    return path.exists() and any(mark in path.read_bytes() for mark in marks)


def with_section(text: str, name: str, content: str) -> str:
    """The text of a page with what stands between two comments replaced:
    what `make pages` says in its own words.
    """
    start, end = f"<!-- pages: {name} -->\n", f"<!-- /pages: {name} -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"the page has not one section {name!r}: {start.strip()} ... {end}")
    return re.sub(
        f"{re.escape(start)}.*?{re.escape(end)}",
        lambda _: f"{start}{content}\n{end}",
        text,
        flags=re.DOTALL,
    )
