"""Whether trials lie in their recording: one check, whoever says when they were."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import LONGEST_S, Trials

Mask = NDArray[np.bool_]

# Seconds of later times would be years: these count from 1970.
_UNIX_S = 1e8
_SINCE_1970 = (
    "Subtract the session's start (emodict-session inspect shows it): this counts from 1970"
)


def starts_within(trials: Trials, duration_s: float) -> Mask:
    """(trials,) whether each begins in the recording."""
    start_s = np.asarray(trials.start_s)
    return np.asarray((start_s >= 0) & (start_s < duration_s))


def check_within(
    trials: Trials, duration_s: float, *, of: str, fix: str = "Correct its times"
) -> None:
    """Refuse a trial that starts before the recording or after it, or takes longer than any.

    Raises:
        RecordingError: there is one; `of` says whose trials they are.
    """
    for i in np.flatnonzero(~starts_within(trials, duration_s)):
        start_s = float(trials.start_s[i])
        raise RecordingError(
            f"{of}: trial '{trials.trial_id[i]}' is not in the recording",
            expected=f"an onset of 0 to {duration_s:.1f} s from the session's start",
            got=f"{start_s:.15g}",
            fix=_SINCE_1970 if start_s > _UNIX_S else fix,
        )
    for i in np.flatnonzero(np.asarray(trials.stop_s) > LONGEST_S):
        raise RecordingError(
            f"{of}: trial '{trials.trial_id[i]}' stops {trials.stop_s[i] / 86400:.0f} days after "
            "the session's start",
            expected=f"at most {LONGEST_S / 86400:.0f}",
            fix=fix,
        )


def say_cut(trials: Trials, duration_s: float) -> Iterator[str]:
    """A sentence for each trial that goes on after the recording has ended."""
    for i in np.flatnonzero(np.asarray(trials.stop_s) > duration_s + 1):
        yield (
            f"trial '{trials.trial_id[i]}' stops at {trials.stop_s[i]:.1f} s, "
            f"and the recording ends at {duration_s:.1f} s"
        )
