"""What is said while a training goes on: the time left, and never nothing for long."""

from __future__ import annotations

import math
import threading

import pytest

from emodict_train.cli import progress
from emodict_train.cli.progress import Ticking
from emodict_train.fit.foreseen import Foreseen, expected_epochs


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_what_was_told_is_said_again_and_the_time_left_runs_down(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    bar = Ticking("Training", "0/80 epochs", clock=clock)
    bar.renew()
    bar.tell(0.25, "20/80 epochs", "held out", left_s=90.0)
    bar.renew()
    clock.now_s += 31
    bar.renew()
    clock.now_s += 500  # it took longer than was foreseen, and is not done
    bar.renew()
    bar.tell(1.0, "24/24 epochs", "final model", left_s=0.0)
    assert capsys.readouterr().err.splitlines() == [
        "Training 0/80 epochs, ? left",
        "Training 20/80 epochs, 1 min 30 s left, held out",
        "Training 20/80 epochs, 59 s left, held out",
        "Training 20/80 epochs, 1 s left, held out",
        "Training 24/24 epochs, 0 s left, final model",
    ]


def test_without_a_forecast_the_work_is_taken_to_go_on_as_fast_as_it_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    bar = Ticking("Study", "0/100%", clock=clock)
    bar.tell(0.0, "0/100%", "3 cells to do")
    bar.renew()
    clock.now_s += 10
    bar.tell(0.2, "20/100%", "DLDL")  # a fifth in 10 s leaves 40 s
    bar.renew()
    assert capsys.readouterr().err.splitlines() == [
        "Study 0/100%, ? left, 3 cells to do",
        "Study 20/100%, 40 s left, DLDL",
    ]


def test_a_log_is_never_silent_for_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert progress.LOG_S <= 3 >= progress.TERMINAL_S
    monkeypatch.setattr(progress, "LOG_S", 0.001)
    renewed = threading.Event()

    class Watched(Ticking):
        def renew(self) -> None:
            super().renew()
            renewed.set()

    with Watched("Starting PyTorch"):
        assert renewed.wait(30)  # the work itself says nothing
    assert capsys.readouterr().err.startswith("Starting PyTorch\n")


@pytest.mark.parametrize(
    ("best", "done", "expected"),
    [
        # Just got better: as long again, 10 and 20 epochs, then the patience of 10.
        (5, 5, (20, 10)),
        (20, 20, (50, 40)),
        # Half of the patience is gone: half as long again.
        (10, 15, (25, 15)),
        # All of it is gone.
        (10, 20, (20, 10)),
        # Never more than there are.
        (60, 60, (80, 80)),
    ],
)
def test_what_gets_better_is_expected_to_go_on_for_as_long_again(
    best: int, done: int, expected: tuple[int, int]
) -> None:
    assert expected_epochs(best, done, patience=10, most=80) == expected


def test_the_time_left_of_a_fit_is_what_its_own_rows_have_taken() -> None:
    """400 rows a held-out epoch and 100 a final one, a row in 0.01 s."""
    clock = Clock()
    foreseen = Foreseen(400, 100, patience=10, most=80, clock=clock)
    clock.now_s += 20  # 5 epochs of 400 rows
    share, left_s = foreseen.stopping_early(5, 5)
    # In all 20 held-out epochs and 10 final ones: 9000 rows, of which 2000 are done.
    assert (share, left_s) == (pytest.approx(2 / 9), pytest.approx(70.0))
    clock.now_s += 40  # stopped at 15 epochs, the best at 5
    share, left_s = foreseen.stopping_early(5, 15)
    assert (share, left_s) == (pytest.approx(6000 / 6500), pytest.approx(5.0))
    clock.now_s += 3
    assert foreseen.training(3, 5) == (pytest.approx(6300 / 6500), pytest.approx(2.0))


def test_what_an_earlier_run_did_tells_nothing_of_this_ones_pace() -> None:
    clock = Clock()
    foreseen = Foreseen(400, 100, patience=10, most=80, clock=clock)
    foreseen.go_on(held_out=15)
    assert foreseen.stopping_early(5, 15) == (0.0, pytest.approx(math.nan, nan_ok=True))
    clock.now_s += 2  # 2 of 5 final epochs
    assert foreseen.training(2, 5) == (pytest.approx(0.4), pytest.approx(3.0))


def test_a_fit_that_goes_on_within_its_final_model_reckons_from_there() -> None:
    clock = Clock()
    foreseen = Foreseen(400, 100, patience=10, most=80, clock=clock)
    foreseen.go_on(final=60)
    clock.now_s += 10  # the first of 20 epochs that are left
    assert foreseen.training(61, 80) == (pytest.approx(1 / 20), pytest.approx(190.0))
