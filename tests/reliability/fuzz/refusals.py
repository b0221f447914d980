"""What a target says of an input, in a process that may crash."""

from __future__ import annotations

from tests import forkserver
from tests.reliability.fuzz.registry import TARGETS


def refused(target: str, data: bytes) -> str:
    """The sentence; the oracle itself holds time, memory and files to their bounds."""
    sentence = forkserver.call(sentence_of, target, data)
    assert sentence is not None
    return str(sentence)


def sentence_of(target: str, data: bytes) -> str | None:
    refusal = TARGETS[target].check(data)
    return None if refusal is None else str(refusal)
