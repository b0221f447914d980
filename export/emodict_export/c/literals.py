"""Numbers, tables and texts as C writes them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

WIDTH = 100
INDENT = "    "


def number(value: float) -> str:
    """The shortest literal that a compiler reads back as the same float."""
    single = np.float32(value)
    if not np.isfinite(single):
        raise ValueError(f"{value} is not a number that a float holds")
    text = str(single)
    return f"{text if '.' in text or 'e' in text else text + '.0'}f"


def table(name: str, values: ArrayLike, *, kind: str = "float") -> str:
    """A constant array of floats, or of whole numbers where its `kind` is another."""
    flat = np.asarray(values).reshape(-1)
    write = number if kind == "float" else lambda value: str(int(value))
    return listed(f"static const {kind} {name}[{len(flat)}]", map(write, flat))


def listed(declared: str, items: Iterable[str]) -> str:
    """`declared` = {items}; over as many lines as it takes."""
    body = textwrap.fill(", ".join(items), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
    return f"{declared} = {{\n{body}\n}};\n"


def record(declared: str, fields: dict[str, object]) -> str:
    """A constant struct with its fields by name."""
    body = "".join(f"{INDENT}.{name} = {_field(value)},\n" for name, value in fields.items())
    return f"{declared} = {{\n{body}}};\n"


def _field(value: object) -> str:
    """A float is written as one; what is text already stays."""
    return number(value) if isinstance(value, float) else str(value)


def string(text: str) -> str:
    """A string literal; what is not plain ASCII is written as the octal digits of its UTF-8."""
    plain = (
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()
    )
    return f'"{"".join(plain)}"'


def comment(text: str) -> str:
    """Text that may stand in a comment: nothing in it ends one, or begins a line."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").split())
