"""RarelyLogger: a line of one kind at most once in ten seconds, with how often it was due."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

EVERY_S = 10.0


class RarelyLogger:
    """Passes warnings on; of one kind, which is its text and its first value, one in EVERY_S.

    Args:
        clock: seconds that never run backwards.
    """

    def __init__(self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._said_s: dict[tuple[object, ...], float] = {}
        self._due: dict[tuple[object, ...], int] = {}

    def warning(self, text: str, *values: object, count: int = 1) -> None:
        """Log `text % values`; `count`: how many samples, or times, it stands for."""
        kind, now_s = (text, *values[:1]), self._clock()
        self._due[kind] = self._due.get(kind, 0) + count
        if now_s - self._said_s.get(kind, -EVERY_S) < EVERY_S:
            return
        self._said_s[kind], due = now_s, self._due.pop(kind)
        self._logger.warning(f"{text}%s", *values, f" ({due} times)" if due > 1 else "")
