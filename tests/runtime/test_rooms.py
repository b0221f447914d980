"""The rooms of the runtime stand on one another: each imports the rooms before it in this list, and none after it."""

from __future__ import annotations

import ast
import graphlib
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNTIME = Path(__file__).resolve().parents[2] / "runtime"
ROOMS = {
    "emodict": (
        "errors", "showing", "files", "recording", "features", "engine", "results", "predict", "face", "check", "live",
        "cli",
    ),
    "emodict_desk": (
        "wording", "page", "sensors", "svg", "shown", "tables", "recordings", "board_columns", "boards", "importers",
        "faces", "report", "many", "cli",
    ),
}  # fmt: skip
# What only a desk has is imported late, in the function that is asked for it.
ASKED_FOR = {
    ("emodict.cli.run", "emodict_desk.many"),
    ("emodict.cli.run", "emodict_desk.report"),
    ("emodict.live.brainflow", "emodict_desk.boards"),
    ("emodict.predict.scoring", "emodict_desk.tables.table"),
    ("emodict.showing", "emodict_desk.shown"),
}


def modules() -> dict[str, Path]:
    found = {".".join(path.relative_to(RUNTIME).with_suffix("").parts): path for path in RUNTIME.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


def arrows() -> Iterator[tuple[str, str]]:
    """(module, what it imports) of the runtime, early and late, but not for type checkers alone."""
    known = modules()
    for name, path in known.items():
        for node in without_types(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield name, inner if inner in known else node.module
            elif isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)


def without_types(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from without_types(child)


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_none_that_stands_on_it(package: str) -> None:
    rooms = ROOMS[package]
    there = {path.stem for path in (RUNTIME / package).iterdir() if path.is_dir() or path.suffix == ".py"}
    assert sorted(rooms) == sorted(name for name in there if not name.startswith("_"))
    inside = [(a.split("."), b.split(".")) for a, b in arrows() if a.startswith(f"{package}.")]
    wrong = [
        f"{'.'.join(a)} imports {'.'.join(b)}" for a, b in inside
        if b[0] == package and len(b) > 1 and rooms.index(b[1]) > rooms.index(a[1])
    ]  # fmt: skip
    assert not wrong


def test_a_device_needs_nothing_of_a_desk() -> None:
    assert {(a, b) for a, b in arrows() if a.startswith("emodict.") and b.startswith("emodict_desk")} == ASKED_FOR


def test_no_modules_import_one_another() -> None:
    known = modules()
    graph: dict[str, set[str]] = {name: set() for name in known}
    for a, b in arrows():
        if b in known and b != a:
            graph[a].add(b)
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(known)


def test_features_load_no_engine() -> None:
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(RUNTIME)!r})
        import emodict.features
        print(sorted(name for name in sys.modules if name.startswith(("emodict.engine", "emodict.face"))))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_picture_of_the_rooms_is_what_the_imports_say() -> None:
    tool = runpy.run_path(str(RUNTIME.parent / "tools" / "draw_rooms.py"))
    assert (RUNTIME.parent / "docs" / "architecture.svg").read_text(encoding="utf-8") == tool["drawing"]()
