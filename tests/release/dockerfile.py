"""The Dockerfile, read into stages."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Stage:
    """One `FROM base AS name` and what follows:
    (instruction, the rest of its lines in one), in order.

    Attributes:
        arguments: the defaults of the ARGs that the stage can use.
    """

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]
    arguments: dict[str, str] = field(default_factory=dict)

    def all_of(self, word: str) -> list[str]:
        """The text of each instruction of a kind."""
        return [text for name, text in self.instructions if name == word]


def read_stages() -> dict[str, Stage]:
    """Stages by name; build arguments stand as `${NAME}` in all but the base,
    where their defaults do.
    """
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    instructions = [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]
    starts = [i for i, (word, _) in enumerate(instructions) if word == "FROM"] + [len(instructions)]
    global_arguments = dict(
        rest.split("=", 1) for word, rest in instructions[: starts[0]] if word == "ARG"
    )
    stages = {}
    for start, stop in itertools.pairwise(starts):
        base, _, name = instructions[start][1].split()
        body = tuple((word, rest) for word, rest in instructions[start + 1 : stop])
        own = dict(rest.split("=", 1) for word, rest in body if word == "ARG")
        base = re.sub(r"\$\{(\w+)\}", lambda match: global_arguments[match[1]], base)
        stages[name] = Stage(name, base, body, own)
    return stages
