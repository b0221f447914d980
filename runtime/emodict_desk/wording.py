"""How a number and its noun are worded."""

from __future__ import annotations


def count_of(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun, such as 1 fold or 3 folds; `plural` where that is not a mere s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
