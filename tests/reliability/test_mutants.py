"""What `make mutants` changes, and what it passes over."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from pathlib import Path

import pytest
from tests.reliability.changes import changes
from tests.reliability.mutant_tests import GROUPS, files_of, judges_of

REPOSITORY = Path(__file__).parents[2]
SAME_PROGRAM = json.loads(Path(__file__).with_name("same_program.json").read_text())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = a < b", ["a < b -> a <= b"]),
        ("x = a < b <= c", ["a < b <= c -> a <= b <= c", "a < b <= c -> a < b < c"]),
        ("x = a and not b", ["a and not b -> a or not b", "not b -> b"]),
        ("x = a - 3", ["a - 3 -> a + 3", "3 -> 4", "3 -> 30"]),
        ("x = 0", ["0 -> 1"]),
        ("x = 1e-3", ["1e-3 -> 1.001", "1e-3 -> 0.01"]),
        ("x = True", ["True -> False"]),
        ("x += y", ["y -> -(y)"]),
        ("x = min(y, z)", ["min -> max"]),
        ("x = y.any()", ["y.any -> y.all"]),
        ("if x:\n    raise ValueError(1 + 2)", ["x -> False"]),
        ("x = y if z else w", ["z -> False"]),
        # What does nothing, or only speaks.
        ('"""One of 3."""\nimport a\n__all__ = ["x" + "y"]\nassert 1 < 2\nText = str | None', []),
        ("def f(x: int | None = None) -> 'str | None':\n    return f'{x + 1}'", []),
        ("logger.info('%d', 1 + 2)\nreturn_ = RecordingError('x' * 2)", []),
        ("@dataclass(frozen=True)\nclass A:\n    x: int | None", []),
        ("if TYPE_CHECKING:\n    pass\nx = zip(a, b, strict=True)", []),
    ],
)
def test_each_change_is_small_and_none_is_made_of_what_only_speaks(
    source: str, words: list[str]
) -> None:
    found = changes(source.encode())
    assert [change.words for change in found] == words
    for change in found:
        changed = change.apply(source.encode()).decode()
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def test_a_change_keeps_the_rest_of_the_file_byte_for_byte() -> None:
    source = "# \u00b5V\nx = (\n    a  # why\n    + b\n)  # \u00e4\n".encode()
    (change,) = changes(source)
    assert (change.line, change.text) == (3, "a  # why")
    assert change.apply(source).decode() == "# \u00b5V\nx = (\n    (a - b)\n)  # \u00e4\n"


def test_every_change_that_makes_the_same_program_can_still_be_made_and_has_a_reason() -> None:
    possible = defaultdict(set)
    for file in {place["file"] for place in SAME_PROGRAM}:
        for change in changes((REPOSITORY / file).read_bytes()):
            possible[file].add((change.text, change.words))
    for place in SAME_PROGRAM:
        assert (place["line"], place["change"]) in possible[place["file"]], place
        assert place["reason"].endswith(".")


def test_every_file_of_every_group_has_tests_that_are_there() -> None:
    for group, places in GROUPS.items():
        assert files_of(group)
        for file in files_of(group):
            words = places.get(file) or places[str(Path(file).parent)]
            assert len(judges_of(group, file)) >= len(set(words.split()))
