"""What a page shows of commands and snippets: read, held against what they say,
and renewed in the page's own form.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from emodict_desk.tables.table import DMER_EMOTIONS

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# A line of a page that stands for any number of lines.
LEFT_OUT = "..."
# Lines that come only every few seconds, and say how long it will take: another run has others.
PROGRESS = re.compile(r"(Training|Simulating|Calibrating|Scoring) \d")
EMOTIONS = "|".join({*DMER_EMOTIONS, *(name[:4] for name in DMER_EMOTIONS)})
# What differs from run to run, and what may stand in its place; no groups but (?:...).
WILD = {
    # A row of `emodict-calibrate`: they are sorted by what they cost.
    r"^[a-z]\w*(?:/\w+)? +[A-Z]\w+ +[\d.e+]+ +\d\S*x .*": r"[a-z]\w*(?:/\w+)? +[A-Z]\w+ "
    r"+[\d.e+]+ +\d\S*x .*",
    r"\b[0-9a-f]{16}\b": "[0-9a-f]{16}",
    r"(?:\d+ (?:h|min) )?\d[\d.]* (?:min|s)\b": r"(?:\d+ (?:h|min) )?\d[\d.]* (?:min|s)",
    r"\blinux-\w+": r"linux-\w+",
    r"\b(?:true|false)\b": "(?:true|false)",
    rf"\b(?:{EMOTIONS})\b": r"\w+",
    r"[▁▂▃▄▅▆▇█] ?\d+": r"[▁▂▃▄▅▆▇█] ?\d+",
    r"×|\b\d\.\d\d\b": r"(?:×|\d[\d.]*)",
    r"[-+]?\d[\d.]*(?:e[-+]?\d+)?": r"[-+]?\d[\d.]*(?:e[-+]?\d+)?",
    r"\s+": r"\s+",
}
_WILD_PIECE = re.compile(f"({'|'.join(WILD)})")
# Lines that stand together on the page stood together where they came from, if at all that can be.
_TOGETHER = 1000.0


@dataclass(frozen=True)
class Shown:
    """A command on a page, and the lines that the page shows after it."""

    command: str
    output: tuple[str, ...]


class NotSaidError(Exception):
    """A page shows a line of a form that the command did not print."""


def shown_in(text: str) -> Iterator[Shown]:
    """The commands of a page, in order."""
    for kind, body in BLOCK.findall(text):
        if kind == "console":
            yield from _commands(body)


def _commands(block: str) -> Iterator[Shown]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *output = part.splitlines()
        yield Shown(command, tuple(output))


@functools.cache
def pattern_of(line: str) -> re.Pattern[str]:
    """Any number, hash, emotion and bar may stand where one does; `...` is anything,
    and stands between the groups.
    """
    return re.compile(".*?".join(f"({_form(part)})" for part in line.rstrip().split(LEFT_OUT)))


def _form(part: str) -> str:
    pieces = _WILD_PIECE.split(part)
    return "".join(_wild(piece) if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))


def _wild(piece: str) -> str:
    return next(stands_for for source, stands_for in WILD.items() if re.fullmatch(source, piece))


def renewed(
    text: str, say: Callable[[Shown], Sequence[str] | None], run: Callable[[str], str | None]
) -> str:
    """The text of a page with the outputs that its commands and snippets have now.

    Args:
        say: types a command: the lines that it says, or None to leave the page's.
        run: runs a Python snippet: what it prints, or None to leave the page's; its output is the
            next text block, if that comes before any other block.

    Raises:
        NotSaidError: a command said nothing of the form of a line that the page shows.
    """
    printed: list[str | None] = [None]

    def renew(block: re.Match[str]) -> str:
        kind, body = block.groups()
        before, printed[0] = printed[0], run(body) if kind == "python" else None
        if kind == "console":
            body = "".join(_renewed_command(shown, say(shown)) for shown in _commands(body))
        elif kind == "text" and before is not None:
            body = before
        return f"```{kind}\n{body}```"

    return BLOCK.sub(renew, text)


def _renewed_command(shown: Shown, said: Sequence[str] | None) -> str:
    try:
        output = shown.output if said is None else renewed_lines(shown.output, said)
    except NotSaidError as error:
        raise NotSaidError(f"$ {shown.command}\n{error}") from error
    return "".join(f"{line}\n" for line in (f"$ {shown.command}", *output))


def renewed_lines(shown: Sequence[str], said: Sequence[str]) -> tuple[str, ...]:
    """Each line of the page as it has now been said, what the page leaves out left out again.

    Of several lines of one form, those that stood together stay together, and else the most alike
    is taken. Where nothing but progress differs, the page stays as it is.

    Raises:
        NotSaidError: a line of the page has no like among those said after the lines before it.
    """
    said = [line.rstrip() for line in said]
    wanted = [line for line in shown if line.strip() and line != LEFT_OUT]
    after_gap = [
        i > 0 and shown[i - 1] == LEFT_OUT for i, line in enumerate(shown) if line in wanted
    ]
    taken = iter(_aligned(wanted, after_gap, said))
    lines = tuple(_abridged(line, said[next(taken)]) if line in wanted else line for line in shown)
    return tuple(shown) if without_progress(lines) == without_progress(shown) else lines


def without_progress(lines: Sequence[str]) -> list[str]:
    """What another run of the same says, too."""
    return [line for line in lines if not PROGRESS.match(line)]


def _abridged(shown: str, said: str) -> str:
    """The line that was said, with `...` where the page has it."""
    found = pattern_of(shown).fullmatch(said)
    assert found is not None
    return LEFT_OUT.join(found.groups())


def _aligned(wanted: Sequence[str], after_gap: Sequence[bool], said: Sequence[str]) -> list[int]:
    """For each line wanted the place of its like, in order;
    the choice that is most alike as a whole.

    best[i][j] is the likeness of the first i + 1 lines where the last of them is the line j;
    came_from where the one before it was.
    """
    best: list[dict[int, float]] = []
    came_from: list[dict[int, int]] = []
    for i, line in enumerate(wanted):
        here, back = {}, {}
        for j in range(len(said)):
            if pattern_of(line).fullmatch(said[j]) is None:
                continue
            together = 0.0 if after_gap[i] else _TOGETHER
            before = (
                {k: v + together * (k == j - 1) for k, v in best[-1].items() if k < j}
                if best
                else {-1: 0.0}
            )
            if before:
                back[j] = max(before, key=before.__getitem__)
                here[j] = (
                    before[back[j]]
                    + _likeness(line, said[j])
                    + (j if after_gap[i] else -j) / len(said)
                )
        if not here:
            said_text = "\n".join(said)
            raise NotSaidError(f"the page shows\n{line}\nand this was said\n{said_text}")
        best.append(here)
        came_from.append(back)
    places = [max(best[-1], key=best[-1].__getitem__)] if best else []
    for back in reversed(came_from[1:]):
        places.append(back[places[-1]])
    return places[::-1]


def _likeness(a: str, b: str) -> int:
    """Words that are equal; the first,
    by which a row is known (its time, its name), outweighs all others.
    """
    words = list(zip(a.split(), b.split(), strict=False))
    return sum(x == y for x, y in words) + 100 * (words[0][0] == words[0][1])
