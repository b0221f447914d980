"""SavedState: where a fit keeps what it has reached, so that a killed one goes on."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emodict.errors import ModelError
from emodict_train.model.checkpoint import load_tensors, save_tensors

logger = logging.getLogger(__name__)

# An interrupted run loses at most this much work, and the epoch it was in.
SAVE_EVERY_S = 5.0
STATE = "the state of an interrupted fit"


class SavedState:
    """What the stages of a fit have reached, in a file;
    `identity` changes with all that the fit depends on.
    """

    def __init__(self, path: Path | None, identity: str) -> None:
        self._path, self._identity = path, identity
        self._stages: dict[str, Any] = {}
        self._written_at = -math.inf  # the first epoch is on disk as soon as it is done
        if path is not None and path.is_file():
            self._stages = self._load(path)

    def of(self, stage: str) -> Any:
        """What an interrupted run had reached in this stage, None if nothing."""
        return self._stages.get(stage)

    def save(self, stage: str, state: Callable[[], Any]) -> None:
        """Keep what a stage has reached, now and then; copying a state takes time,
        so it is asked for only then.
        """
        if self._path is not None and time.monotonic() - self._written_at > SAVE_EVERY_S:
            self._stages[stage] = state()
            self._write()

    def finish(self, stage: str, result: Any, *, instead_of: str) -> None:
        """Keep the result of a stage in place of the state that led to it."""
        self._stages.pop(instead_of, None)
        self._stages[stage] = result
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            save_tensors({"identity": self._identity, **self._stages}, self._path)
            self._written_at = time.monotonic()

    def _load(self, path: Path) -> dict[str, Any]:
        try:
            saved: dict[str, Any] = load_tensors(path, what=STATE)
        except ModelError:
            logger.warning("%s, left by an interrupted run, is damaged: starting again", path)
            return {}
        if not _is_of(saved, self._identity):
            logger.warning(
                "%s belongs to other data or options, or to another kind of device: starting again",
                path,
            )
            return {}
        logger.warning("Going on from %s, left by an interrupted run", path)
        return saved


def can_be_used(path: Path, identity: str) -> bool:
    """Whether a fit of this identity would go on from the file."""
    try:
        return _is_of(load_tensors(path, what=STATE), identity)
    except ModelError:
        return False


def _is_of(saved: Any, identity: str) -> bool:
    return isinstance(saved, dict) and saved.get("identity") == identity
