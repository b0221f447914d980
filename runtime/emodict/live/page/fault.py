"""Faults of the page's own: a sentence at the terminal, for the run goes on without the page."""

from __future__ import annotations

import logging
import os


def log_fault(log: logging.Logger, what: str, error: Exception) -> None:
    """Say what failed and by what; the traceback only with EMODICT_DEBUG=1."""
    trace = bool(os.environ.get("EMODICT_DEBUG"))
    log.error(
        "%s: a fault in emodict itself: %s: %s", what, type(error).__name__, error, exc_info=trace
    )
