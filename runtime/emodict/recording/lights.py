"""Which of a sensor's lights shows the pulse: one rule for boards, streams and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

_INFRARED = re.compile(r"(^|[^a-z])(ppg)?(ir|infra[ _-]?red)([^a-z]|$)", re.IGNORECASE)
_AMBIENT = re.compile(r"(^|[^a-z])(ambient|dark)([^a-z]|$)", re.IGNORECASE)
_LIGHT = re.compile(r"[\W_\d]|infra[ _-]?red|ir|red|green|blue|ambient|dark|light", re.IGNORECASE)
# A Muse sends the light of the room, infrared and red, in this order:
# the first shows the lamp, not the pulse.
_MUSE = 3


def pulse_light(names: Sequence[str]) -> int | None:
    """Which light shows the pulse: the one called infrared, else the second of three;
    "" is one without a name.

    Of two, of which one is called ambient, it is the other. None where nothing says.
    """
    infrared = [i for i, name in enumerate(names) if _INFRARED.search(name)]
    if infrared:
        return infrared[0]
    if len(names) == _MUSE:
        return 1
    others = [i for i, name in enumerate(names) if not _AMBIENT.search(name)]
    return others[0] if len(others) == 1 else None


def of_one_sensor(names: Sequence[str]) -> bool:
    """Do the names differ only by a number or a colour: PPG1 PPG2 PPG3, PPG_IR PPG_Red?"""
    return len({_LIGHT.sub("", name.lower()) for name in names}) == 1
