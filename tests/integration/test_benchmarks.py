"""The table of speeds: what was measured under which kernels, and which promise was missed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import __main__ as bench
from benchmarks import same, scale, table
from benchmarks.result import Bound, Result
from benchmarks.timing import interleaved

from emodict.features.spec import load_spec
from emodict.features.windows import ModalityRows, assemble


def figures(*values: float, kept: bool = True) -> list[table.Figure]:
    return [table.Figure("hour", value, "x", ">= 30", kept) for value in values]


def test_a_cell_is_the_middle_run_and_of_several_the_least_and_the_largest() -> None:
    own, haswell, _ = table.SETTINGS
    page = table.rendered({"hour": {own: figures(41.26, 39.0, 52.0), haswell: figures(33.0)}})
    assert page.splitlines()[-1] == ("| hour | >= 30 | 41.3 x (39 to 52) | 33 x | not run |")


def test_a_promise_that_was_missed_in_one_run_is_marked() -> None:
    own = next(iter(table.SETTINGS))
    runs = [*figures(31.0, 33.0), *figures(29.0, kept=False)]
    assert "31 x (29 to 33) **missed**" in table.rendered({"hour": {own: runs}})


@pytest.mark.parametrize(
    ("result", "value", "promise", "kept"),
    [
        (Result("a", 6.0, 2.0, at_least=3), 3.0, ">= 3", True),
        (Result("a", 6.0, 2.0, at_least=3.1), 3.0, ">= 3.1", False),
        # Where less was promised, the share of the other's time.
        (Result("a", 6.0, 3.0, at_most=0.4), 0.5, "<= 0.4", False),
        (Result("a", 6.0, 3.0), 2.0, "", True),
        (Bound("a", 0.5, "sd", at_most=1), 0.5, "<= 1", True),
    ],
)
def test_what_was_promised_is_judged_the_same_on_the_line_and_in_the_table(
    result: Result | Bound, value: float, promise: str, kept: bool
) -> None:
    figure = table.Figure(**json.loads(table.as_json(table.Figure.of(result))))
    assert (figure.value, figure.promise, figure.kept) == (value, promise, kept)
    assert ("MISSED" in str(result)) == (not kept)


def test_every_job_runs_in_every_round_and_the_first_round_is_not_counted() -> None:
    calls: list[str] = []
    jobs = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    seconds = interleaved(jobs, rounds=3, repeats={"b": 2})
    assert list(seconds) == ["a", "b", "c"]
    rounds = [calls[i : i + 4] for i in range(0, len(calls), 4)]
    assert [sorted(each) for each in rounds] == [["a", "b", "b", "c"]] * 4


def test_an_unknown_group_is_named_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench.main(["feature"]) == 2
    assert "Unknown: feature. There are features, models" in capsys.readouterr().err


def test_the_page_has_a_place_for_the_table() -> None:
    text = table.PAGE.read_text(encoding="utf-8")
    assert text.count(table.BEGIN) == text.count(table.END) == 1


def test_growth_is_told_by_its_exponent_and_too_much_of_it_is_named() -> None:
    small, large = scale.Cost("10", 10, 1.0, 1.0, 50.0), scale.Cost("100", 100, 8.0, 9.0, 60.0)
    # Ten times as much in eight times the time: log10 8.
    assert large.exponent(small) == pytest.approx(0.903, abs=5e-4)
    line, kept = large.line(small)
    assert kept
    assert "8.00 s" in line
    assert "60 MB" in line
    assert "exponent  0.90" in line
    # 13 times the time: log10 13 = 1.11.
    assert scale.Cost("100", 100, 13.0, 9.0).line(small)[1] is False
    assert scale.Cost("100", 100, 8.0, 9.0, 60.0, limit_mb=59).line(small)[0].endswith("TOO MUCH")
    assert scale.main(["lenght"]) == 2


def test_features_that_moved_are_told_from_those_that_did_not(tmp_path: Path) -> None:
    spec = load_spec("emodict-1").with_modalities(["gsr"])
    rows = ModalityRows(np.ones((3, 28)), np.ones(3, bool), np.full(3, 0.5))
    windows = assemble(spec, np.arange(3.0), {"gsr": rows})
    same.save(tmp_path / "before.npz", {"a": windows})
    moved = dataclasses.replace(windows, tokens=windows.tokens + 2e-9)
    invalid = dataclasses.replace(windows, valid=~windows.valid)
    no_feature, no_quality = (
        dataclasses.replace(windows, **{part: np.full_like(getattr(windows, part), np.nan)})
        for part in ("tokens", "quality")
    )
    with np.load(tmp_path / "before.npz") as before:
        for now, expected in (
            ({"a": windows}, True),
            ({"a": moved}, False),
            ({"a": invalid}, False),
            ({"a": no_feature}, False),
            ({"a": no_quality}, False),
        ):
            assert [kept for _, kept in same.compare(before, now)] == [expected]
        assert [kept for _, kept in same.compare(before, {})] == [False]


def test_names_are_looked_at_before_anything_is_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def imported(name: str) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(bench.importlib, "import_module", imported)
    assert bench.main(["-h"]) == 0
    assert "python -m benchmarks scale" in capsys.readouterr().out
    assert bench.main(["raw", "nosuch"]) == 2
    assert "Unknown: nosuch. There are features, models" in capsys.readouterr().err
