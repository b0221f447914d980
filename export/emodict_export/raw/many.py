"""Many seconds of one wearer in one call: time is the first axis, and states are passed on inside.

What takes a graph of one second as many calls as there are seconds takes this one a single call.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict_desk.raw import NEXT, STATE
from emodict_export.raw.builder import RawBuilder

Float64Array = NDArray[np.float64]

# What is left of a state after so long that float32 does not see it any more.
FORGOTTEN = 1e-9
# To the end of an axis, however long.
END = np.iinfo(np.int64).max


def a_second_before(b: RawBuilder, state: str, values: str) -> str:
    """(seconds, ...), each row a second later: the first is the state, the last goes on as it."""
    earlier = b.part(values, 0, 0, -1, f"{state}/earlier")
    b.part(values, 0, -1, END, f"{NEXT}{state}")
    return b.add("Concat", [f"{STATE}{state}", earlier], f"{state}/before", axis=0)


def windows(b: RawBuilder, state: str, fresh: str, step: int, length: int) -> str:
    """(seconds, step) -> (seconds, length), each with what came before it."""
    before = length // step - 1
    kept = b.reshape(f"{STATE}{state}", (-1, step), f"{state}/kept")
    whole = b.add("Concat", [kept, fresh], f"{state}/whole", axis=0)
    shifted = [
        b.part(whole, 0, i, i - before if i < before else END, f"{state}/shifted{i}")
        for i in range(before + 1)
    ]
    last = b.part(whole, 0, -before, END, f"{state}/last")
    b.reshape(last, (1, before * step), f"{NEXT}{state}")
    return b.join(shifted, f"{state}/windows")


def filter_states(b: RawBuilder, name: str, pushed: str, good: str, carry: Float64Array) -> str:
    """Where a filter stands at the start of each second, (seconds, channels, states).

    `pushed` is what each second leaves behind, 0 where it is not `good`; s' = good (s carry) +
    pushed. The sum over all seconds before is taken by doubling: what one second passes on, then
    two, then four, until nothing is left of it.
    """
    state = f"{name}_filter"
    sums = b.add("Concat", [f"{STATE}{state}", pushed], f"{state}/sums", axis=0)
    passed = b.add("Pad", [good, b.whole(1, 0, 0, 0, 0, 0)], f"{state}/passed")
    power, seconds = carry, 1
    while np.linalg.norm(power) > FORGOTTEN:
        at = f"{state}/{seconds}"
        earlier = b.product(_later(b, sums, seconds, f"{at}/earlier"), power, f"{at}/carried")
        earlier = b.add("Mul", [earlier, passed], f"{at}/reached")
        sums = b.add("Add", [sums, earlier], f"{at}/sums")
        before = _later(b, passed, seconds, f"{at}/before")
        passed = b.add("Mul", [passed, before], f"{at}/passed")
        power, seconds = power @ power, 2 * seconds
    b.part(sums, 0, -1, END, f"{NEXT}{state}")
    return b.part(sums, 0, 0, -1, f"{state}/at_start")


def _later(b: RawBuilder, x: str, seconds: int, name: str) -> str:
    """Moved by so many seconds, zeros before the first."""
    padded = b.add("Pad", [x, b.whole(seconds, 0, 0, 0, 0, 0)], f"{name}_padded")
    return b.part(padded, 0, 0, -seconds, name)
