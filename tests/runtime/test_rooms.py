"""The rooms of the runtime stand on one another:
each imports the rooms before it in this list, and none after it.
"""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest
from tests.rooms import ROOT, arrows, imports_against, modules, modules_without_circles, rooms_of

RUNTIME = ROOT / "runtime"
ROOMS = {
    "emodict": (
        "errors",
        "showing",
        "files",
        "recording",
        "features",
        "engine",
        "results",
        "predict",
        "face",
        "check",
        "live",
        "cli",
    ),
    "emodict_desk": (
        "wording",
        "page",
        "sensors",
        "svg",
        "shown",
        "by_trial",
        "raw",
        "unusable",
        "tables",
        "recordings",
        "boards",
        "importers",
        "ratings",
        "simulated",
        "faces",
        "report",
        "many",
        "cli",
    ),
}
# What only a desk has is imported late, in the function that is asked for it.
ASKED_FOR = {
    ("emodict.cli.run", "emodict_desk.many"),
    ("emodict.cli.run", "emodict_desk.report"),
    ("emodict.engine", "emodict_desk.simulated"),
    ("emodict.features.extract", "emodict_desk.by_trial"),
    ("emodict.features.unusable", "emodict_desk.unusable"),
    ("emodict.live.open_source", "emodict_desk.boards.source"),
    ("emodict.predict.scoring", "emodict_desk.importers.on_the_way"),
    ("emodict.predict.scoring", "emodict_desk.raw"),
    ("emodict.predict.scoring", "emodict_desk.tables.table"),
    ("emodict.showing", "emodict_desk.shown"),
}


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_none_that_stands_on_it(package: str) -> None:
    assert sorted(ROOMS[package]) == rooms_of(RUNTIME, package)
    assert imports_against(ROOMS[package], RUNTIME, package) == []


def test_a_device_needs_nothing_of_a_desk() -> None:
    found = {
        (a, b)
        for a, b in arrows(RUNTIME)
        if a.startswith("emodict.") and b.startswith("emodict_desk")
    }
    assert found == ASKED_FOR


def test_no_modules_import_one_another() -> None:
    assert modules_without_circles(RUNTIME) == len(modules(RUNTIME))


def test_features_load_no_engine() -> None:
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(RUNTIME)!r})
        import emodict.features
        rooms = ("emodict.engine", "emodict.face")
        print(sorted(name for name in sys.modules if name.startswith(rooms)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_picture_of_the_rooms_is_what_the_imports_say() -> None:
    tool = runpy.run_path(str(RUNTIME.parent / "tools" / "draw_rooms.py"))
    assert (RUNTIME.parent / "docs" / "architecture.svg").read_text(encoding="utf-8") == tool[
        "drawing"
    ]()
