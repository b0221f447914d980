"""HTML pages that are one file and open offline: what all of them begin,
end and are written with.
"""

from __future__ import annotations

import os
from html import escape

from emodict.files.atomic import atomic_path


def html_page(title: str, body: str, *, style: str) -> str:
    """A page of this body, its style within it."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def write_page(page: str, path: str | os.PathLike[str]) -> None:
    """Write a page, whole or not at all.

    Raises:
        OutputError: the folder does not exist or cannot be written, or the disk is full.
    """
    with atomic_path(path) as part:
        # A file name that is not UTF-8 may have become the name of what is shown.
        part.write_bytes(page.encode("utf-8", "backslashreplace"))
