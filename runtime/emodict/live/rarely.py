"""RarelyLogger and ChangeLogger: a line of one kind at most once in ten seconds, with how often it was due."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class _Change:
    """`kind`: of whom, and which; `count`: of the changes since the last line, this one included."""

    kind: tuple[str, str]
    detail: str
    count: int


class ChangeLogger:
    """Says changes of state; of one kind one in EVERY_S, and of those held back the last as soon as it may be said.

    The last line therefore always is the state that holds, however often it changes.

    Args:
        clock: seconds that never run backwards.
    """

    def __init__(self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._said_s: dict[tuple[str, str], float] = {}
        self._held: dict[str, _Change] = {}

    def changed(self, of: str, change: str, detail: str = "") -> None:
        """Say "of: change detail", at once or later; `detail` does not make it another kind."""
        held = self._held.get(of)
        self._held[of] = _Change((of, change), detail, 1 if held is None else held.count + 1)
        self.say_due()

    def say_due(self) -> None:
        """Say what was held back long enough; to be called often."""
        now_s = self._clock()
        for of, held in list(self._held.items()):
            if now_s - self._said_s.get(held.kind, -EVERY_S) >= EVERY_S:
                del self._held[of]
                self._said_s[held.kind] = now_s
                count = f" ({held.count} changes)" if held.count > 1 else ""
                self._logger.warning("%s: %s%s%s", *held.kind, held.detail, count)
