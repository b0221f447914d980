"""What the modules of a source folder import, early and late,
for the tests that hold the order of the rooms.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def modules(source: Path) -> dict[str, Path]:
    found = {
        ".".join(path.relative_to(source).with_suffix("").parts): path
        for path in source.rglob("*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


def arrows(source: Path) -> Iterator[tuple[str, str]]:
    """(module, what it imports) of a source folder, early and late,
    but not for type checkers alone.
    """
    known = modules(source)
    for name, path in known.items():
        for node in without_types(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield name, inner if inner in known else node.module
            elif isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)


def without_types(node: ast.AST) -> Iterator[ast.AST]:
    if (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    ):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from without_types(child)


def rooms_of(source: Path, package: str) -> list[str]:
    """The folders and files of a package, sorted."""
    folder = source.joinpath(*package.split("."))
    names = [path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"]
    return sorted(name for name in names if not name.startswith("_"))


def imports_against(rooms: Sequence[str], source: Path, package: str) -> list[str]:
    """Each import of a room by one before it in the list, in words."""
    depth, wrong = package.count(".") + 1, []
    for importer, imported in arrows(source):
        if not all(name.startswith(f"{package}.") for name in (importer, imported)):
            continue
        own, other = (name.split(".")[depth] for name in (importer, imported))
        if rooms.index(other) > rooms.index(own):
            wrong.append(f"{importer} imports {imported}")
    return wrong


def modules_without_circles(source: Path) -> int:
    """How many modules there are.

    Raises:
        graphlib.CycleError: some import one another.
    """
    known = modules(source)
    graph: dict[str, set[str]] = {name: set() for name in known}
    for importer, imported in arrows(source):
        if imported in known and imported != importer:
            graph[importer].add(imported)
    return len(list(graphlib.TopologicalSorter(graph).static_order()))
