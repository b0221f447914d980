"""A signal whose samples bear times: at the rate of its device, or at the one measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError
from emodict.recording.recording import Samples, Signal
from emodict_desk.importers.clock import start_and_times
from emodict_desk.importers.order import by_time
from emodict_desk.importers.stamps import even_times, unrounded
from emodict_desk.recordings.account import WRONG_FREQUENCIES, Account
from emodict_desk.recordings.rate import usual_rate_hz
from emodict_desk.wording import count_of

Float64Array = NDArray[np.float64]
# A device whose samples come this much off its nominal rate has the measured one.
RATE_TOLERANCE = 0.01


def signal_by_times(
    modality: str,
    times_s: Float64Array,
    samples: Samples,
    *,
    unit: str,
    names: Sequence[str],
    account: Account,
    nominal_hz: float | None = None,
    reference: str = "",
    of: str = "",
) -> Signal:
    """(samples,) growing times from the recording's start, (samples, channels) -> the signal.

    Args:
        nominal_hz: the device's rate. Most samples come at it, and stay at it: what was lost is a
            gap, and jitter is none. Without it the rate is measured, and times stay as they are but
            for those rounded to milliseconds.
        of: whose samples they are, for a sentence.

    Raises:
        RecordingError: too few samples for a rate.
    """
    if nominal_hz is not None:
        times_s, lost = even_times(times_s, nominal_hz)
        if lost:
            account.note(f"{modality}: {count_of(lost, 'sample')} lost, by the times")
    rate_hz = _rate_hz(modality, times_s, nominal_hz, account)
    if not rate_hz:
        raise RecordingError(
            f"{of or account.source}: {modality} has {count_of(len(times_s), 'sample')}, "
            "too few for a rate",
            expected="many samples",
            fix="Check the file",
        )
    if nominal_hz is None:
        times_s = unrounded(times_s, rate_hz)
    # The line through jittering times may begin before them: by our rounding nothing was taken
    # before the recording began, where a sample would be lost.
    times_s = times_s - min(0.0, float(times_s[0]))
    start_s, timestamps_s = start_and_times(times_s, rate_hz)
    return Signal(modality, rate_hz, unit, tuple(names), samples, reference, start_s, timestamps_s)


def _rate_hz(
    modality: str, times_s: Float64Array, nominal_hz: float | None, account: Account
) -> float:
    measured = usual_rate_hz(times_s)
    if nominal_hz is None or not measured:
        return measured
    if abs(measured / nominal_hz - 1) <= RATE_TOLERANCE:
        return nominal_hz
    measured_hz = f"{modality}: {measured:.4g} Hz measured, not the usual {nominal_hz:g} Hz"
    account.note(f"{measured_hz}: {WRONG_FREQUENCIES}")
    return measured


def in_order(
    times_s: Float64Array, samples: Any, of: str, account: Account
) -> tuple[Float64Array, Any] | None:
    """Times and samples in the order in which they were taken, each once, which is said.

    None where the times run back, and sorting does not make them even.
    """
    order = by_time(times_s, samples)
    if order is None:
        return None
    order.say(f"{of}: ", "the times", account)
    return order.of(times_s), order.of(samples)


def times_cannot_be_sorted(path: Path, times_s: Float64Array) -> RecordingError:
    """The error for times that `in_order` gives up, with their longest step back."""
    at = int(np.diff(times_s).argmin())
    return RecordingError(
        f"{path}: its times run back, and cannot be put in order",
        expected="times that grow from row to row",
        got=f"{times_s[at]:.10g} s, then {times_s[at + 1]:.10g} s",
        fix="Cut the file where the clock was set or started again, and import the parts",
    )
