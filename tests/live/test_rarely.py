"""What is logged of what happens again and again: once in ten seconds, with a count."""

from __future__ import annotations

import numpy as np
import pytest
from tests.live.stamped import LOGGER

from emodict.live.rarely import EVERY_S, ChangeLogger, RarelyLogger


def test_a_line_of_one_kind_is_logged_once_in_ten_seconds_with_how_often_it_was_due(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = 0.0
    log = RarelyLogger(LOGGER, clock=lambda: now_s)
    for tenth in range(201):
        now_s = tenth / 10
        log.warning("%s: late", "ppg")
    log.warning("%s: late", "gsr")
    log.warning("%s: %d Hz", "gsr", 4)
    log.warning("%s: %d Hz", "gsr", 5)
    assert [record.message for record in caplog.records] == [
        "ppg: late", "ppg: late (100 times)", "ppg: late (100 times)", "gsr: late", "gsr: 4 Hz"
    ]  # fmt: skip
    assert EVERY_S == 10.0


def changes_said(
    changes: list[tuple[float, str]], caplog: pytest.LogCaptureFixture, *, until_s: float
) -> list[str]:
    """What is said of ppg, each with its second, where it is asked twice a second."""
    now_s = 0.0
    log, said, left = ChangeLogger(LOGGER, clock=lambda: now_s), [], list(changes)
    for half in range(round(2 * until_s) + 1):
        now_s = half / 2
        while left and left[0][0] <= now_s:
            log.changed("ppg", left.pop(0)[1])
        log.say_due()
        said += [f"{now_s:g} {record.message}" for record in caplog.records]
        caplog.clear()
    return said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([(0, "lost"), (1, "back"), (5, "lost")], ["0 ppg: lost", "1 ppg: back", "10 ppg: lost"]),
        ([(0, "lost"), (1, "back"), (10, "lost")], ["0 ppg: lost", "1 ppg: back", "10 ppg: lost"]),
        # Of those held back the last holds, though the other was due before it.
        (
            [(0, "lost"), (1, "back"), (5, "lost"), (6, "back")],
            ["0 ppg: lost", "1 ppg: back", "11 ppg: back (2 changes)"],
        ),
        ([(0, "lost"), (5, "lost"), (6, "silent")], ["0 ppg: lost", "6 ppg: silent (2 changes)"]),
    ],
)
def test_the_last_change_is_said_however_soon_it_follows(
    changes: list[tuple[float, str]], said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert changes_said(changes, caplog, until_s=40) == said


def test_a_sensor_that_flaps_is_said_once_in_ten_seconds_a_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes = [(second, "back" if second % 2 else "lost") for second in range(60)]
    said = changes_said(changes, caplog, until_s=90)
    # In a minute six of each, and the last one when its ten seconds are over.
    assert len(said) <= 13
    assert "back" in said[-1]
    for kind in ("lost", "back"):
        at_s = [float(line.split()[0]) for line in said if kind in line]
        assert min(np.diff(at_s)) >= EVERY_S


def test_what_changes_elsewhere_is_said_on_its_own_and_a_detail_does_not_make_it_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = ChangeLogger(LOGGER, clock=lambda: 0.0)
    log.changed("ppg", "lost")
    log.changed("gsr", "lost", " (battery)")
    log.changed("gsr", "lost", " (out of reach)")
    assert [record.message for record in caplog.records] == ["ppg: lost", "gsr: lost (battery)"]
