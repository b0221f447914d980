"""Small wrong changes of a Python file: each swaps one operator,
moves one number, or drops one condition.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_RENAMED = {"min": "max", "minimum": "maximum", "any": "all", "floor": "ceil", "less": "less_equal"}
_RENAMED |= {new: old for old, new in _RENAMED.items()}
# What only speaks: of errors and log lines the wording is not tested, and annotations do nothing.
_LOGS = ("logger", "logging", "warnings")
_SKIPPED = (ast.Import, ast.ImportFrom, ast.Raise, ast.Assert, ast.JoinedStr)


@dataclass(frozen=True)
class Change:
    """One expression in the place of another.

    Attributes:
        line: number of the line, from 1; text: the line itself, without its indentation.
        start, stop: where the old expression lies in the UTF-8 bytes of the file.
    """

    line: int
    text: str
    old: str
    new: str
    start: int
    stop: int

    @property
    def words(self) -> str:
        return f"{self.old} -> {self.new}"

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + f"({self.new})".encode() + source[self.stop :]


def changes(source: bytes) -> list[Change]:
    """All small changes of a file, in its order."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found = []
    for node, new in _of_statement(ast.parse(source)):
        start, stop = (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )
        old = " ".join(source[start:stop].decode().split())
        found.append(
            Change(node.lineno, lines[node.lineno - 1].decode().strip(), old, new, start, stop)
        )
    return found


def _of_statement(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Expressions below a node that can be changed, each with what takes its place."""
    if isinstance(node, _SKIPPED) or _speaks(node):
        return
    if isinstance(node, (ast.If, ast.IfExp)) and not _is_type_checking(node.test):
        yield node.test, "False"
    if isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield node.value, f"-({ast.unparse(node.value)})"
    if isinstance(node, ast.expr):
        yield from ((node, new) for new in _of_expression(node))
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            # `zip(..., strict=True)` is an assertion.
            if isinstance(child, ast.AST) and not (
                isinstance(child, ast.keyword) and child.arg == "strict"
            ):
                yield from _of_statement(child)


def _speaks(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        name = node.targets[0].id
        return name == "__all__" or bool(re.match("[A-Z]+[a-z]", name))  # a type
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        return called.value.id in _LOGS
    return isinstance(called, ast.Name) and called.id.endswith("Error")


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _of_expression(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield from map(repr, _other_values(node.value))
    elif isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            changed = copy.copy(node)
            changed.ops = [*node.ops[:i], _SWAPPED[type(operator)](), *node.ops[i + 1 :]]  # type: ignore[list-item]
            yield ast.unparse(changed)
    elif isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in _SWAPPED:
        changed_op = copy.copy(node)
        changed_op.op = _SWAPPED[type(node.op)]()  # type: ignore[assignment]
        yield ast.unparse(changed_op)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield ast.unparse(node.operand)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _RENAMED:
        yield _RENAMED[node.id]
    elif (
        isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in _RENAMED
    ):
        yield f"{ast.unparse(node.value)}.{_RENAMED[node.attr]}"


def _other_values(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1] if value in (0, 1) else [value + 1, value * 10]
    return []
