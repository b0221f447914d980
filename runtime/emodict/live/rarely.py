"""RarelyLogger and ChangeLogger: a line of one kind at most once in ten seconds,
with how often it was due.
"""

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

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
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


class ChangeLogger:
    """Says changes of state; of one kind one in EVERY_S,
    and of those held back the last as soon as it may be said.

    The last line therefore always is the state that holds, however often it changes.

    Args:
        clock: seconds that never run backwards.
    """

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger, self._clock = logger, clock
        self._said_s: dict[tuple[str, str], float] = {}
        # Of whom -> (the last change, its detail, how many since the last line).
        self._held: dict[str, tuple[str, str, int]] = {}

    def changed(self, of: str, change: str, detail: str = "") -> None:
        """Say "of: change detail", at once or later; `detail` does not make it another kind."""
        _, _, count = self._held.get(of, ("", "", 0))
        self._held[of] = change, detail, count + 1
        self.say_due()

    def say_due(self) -> None:
        """Say what was held back long enough; to be called often."""
        now_s = self._clock()
        for of, (change, detail, count) in list(self._held.items()):
            if now_s - self._said_s.get((of, change), -EVERY_S) >= EVERY_S:
                del self._held[of]
                self._said_s[of, change] = now_s
                self._logger.warning(
                    "%s: %s%s%s", of, change, detail, f" ({count} changes)" if count > 1 else ""
                )
