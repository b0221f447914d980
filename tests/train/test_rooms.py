"""The rooms of emodict_train stand on one another:
each imports the rooms before it in this list, none after it.
"""

from __future__ import annotations

import pytest
from tests.rooms import ROOT, imports_against, modules, modules_without_circles, rooms_of

TRAIN = ROOT / "train"
ROOMS = {
    "emodict_train": ("simulate", "data", "model", "training", "rivals", "fit", "study", "cli"),
    "emodict_train.study": ("compared", "judging", "showing", "running"),
}


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_none_that_stands_on_it(package: str) -> None:
    assert sorted(ROOMS[package]) == rooms_of(TRAIN, package)
    assert imports_against(ROOMS[package], TRAIN, package) == []


def test_no_modules_import_one_another() -> None:
    assert modules_without_circles(TRAIN) == len(modules(TRAIN))
