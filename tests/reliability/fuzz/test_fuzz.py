"""Hypothesis on every fuzz target: whatever becomes of an input,
a result or one of our errors comes of it.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests import forkserver
from tests.reliability.fuzz.edits import EDIT_BYTES, edits_of
from tests.reliability.fuzz.registry import TARGETS
from tests.reliability.fuzz.target import Target

# As many as make fifteen seconds of all targets together;
# an input that is found is as good as a smaller one.
EXAMPLES = 12
BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def damaged(content: bytes, edits: bytes) -> bytes:
    """Cut off, sprinkled with other bytes, mostly in the header,
    or with pieces missing or doubled.
    """
    some = bytearray(content)
    for where, what, value in edits_of(edits):
        at = where % max(1, min(len(some), 1500 if what & 4 else len(some)))
        if what & 3 == 0:
            some[at : at + value] = b""
        elif what & 3 == 1:
            some[at : at + 1] = bytes([value])
        elif what & 3 == 2:
            some[at:at] = some[at : at + value]
        elif what > 200:
            del some[at:]
        else:
            some[at : at + 4] = [
                b"\xff\xff\xff\xff",
                b"\x7f\xff\xff\xff",
                b"\0\0\0\0",
                b"\xff\xff\xff\x7f",
            ][value % 4]
    return bytes(some)


@st.composite
def inputs(draw: st.DrawFn, target: Target) -> bytes:
    edits = draw(
        st.integers(1, 6).flatmap(
            lambda n: st.binary(min_size=n * EDIT_BYTES, max_size=n * EDIT_BYTES)
        )
    )
    seed = draw(st.sampled_from(target.seeds()))
    return seed + edits if target.edited else damaged(seed, edits)


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_it_is_given_ends_in_a_result_or_a_sentence(name: str) -> None:
    forkserver.call(check, name)


def check(name: str) -> None:
    """Run in a process of its own: a damaged file may leave HDF5 broken,
    which then crashes in another test.
    """
    target = TARGETS[name]

    @BOUNDED
    @given(inputs(target))
    def check_one(data: bytes) -> None:
        target.check(data)

    check_one()
