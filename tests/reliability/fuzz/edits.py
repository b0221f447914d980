"""Edits: bytes that say what becomes of a document,
so that whoever makes bytes makes structures with them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

EDIT_BYTES = 4

# JSON that json.dumps does not write; each stands in for the text of its name.
_RAW = {
    "\x1adigits": "1" * 100_000,
    "\x1adeep list": "[" * 100_000 + "]" * 100_000,
    "\x1adeep object": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "\x1atwice": '1, "format": "twice", "format_version": 7, "modalities": []',
    "\x1aexponent": "1e999999",
    "\x1afraction": "0." + "0" * 10_000 + "1",
    "\x1asurrogate": '"\\ud800"',
    "\x1ahalf": '"\\ud8',
}
# Nothing in it stands in two places at once:
# an edit of the one would be an edit of all, and of all in all.
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    1.5,
    1e308,
    -1e308,
    1e-320,
    float("nan"),
    float("inf"),
    2**31,
    2**63,
    -(2**63),
    10**30,
    "",
    "0",
    "nan",
    "x" * 5000,
    "\0",
    "\x1b[2J",
    "é\u202e\ufeff",
    "../../escape",
    "/tmp/escape",
    "..",
    [],
    {},
    [None],
    [[]],
    [[1.0]],
    [1, [2]],
    {"": None},
    ["eeg"] * 3,
    [0.1] * 10,
    list(range(3000)),
    [[0.0] * 4 for _ in range(500)],
    *_RAW,
)


class Text:
    """A JSON text inside a document, opened so that edits reach into it."""

    def __init__(self, content: Any) -> None:
        self.content = content


def edits_of(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(where, what, value) of each edit; a rest too short for one is left out."""
    for start in range(0, len(data) - EDIT_BYTES + 1, EDIT_BYTES):
        where, what, value = data[start : start + 2], data[start + 2], data[start + 3]
        yield int.from_bytes(where, "big"), what, value


def edit(document: Any, data: bytes, hostile: Sequence[Any] = HOSTILE) -> Any:
    """A copy of a document of dicts and lists, with some of its parts dropped,
    doubled, moved or made hostile.
    """
    top = [copy.deepcopy(document)]
    for where, what, value in edits_of(data):
        places = list(_places(top))
        holder, key = places[where % len(places)]
        _apply(holder, key, what, value, places, hostile)
        if not top:
            break
    return top[0] if top else None


def _places(top: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key), outermost first; of long lists, the ends."""
    waiting = [top]
    while waiting:
        holder = waiting.pop(0)
        if isinstance(holder, Text):
            holder = (
                [holder.content] if not isinstance(holder.content, dict | list) else holder.content
            )
        keys = list(holder) if isinstance(holder, dict) else [*range(min(3, len(holder)))]
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list | Text):
                waiting.append(holder[key])


def _apply(
    holder: Any, key: Any, what: int, value: int, places: Sequence[Any], hostile: Sequence[Any]
) -> None:
    if what % 8 == 0:
        del holder[key]
    elif what % 8 == 1 and isinstance(holder, dict):
        holder[f"{key}{value}"] = copy.deepcopy(holder[key])
    elif what % 8 == 1:
        holder.insert(key, copy.deepcopy(holder[key]))
    elif what % 8 == 2:
        other, place = places[value % len(places)]
        holder[key] = copy.deepcopy(other[place])
    else:
        holder[key] = copy.deepcopy(hostile[value % len(hostile)])


def json_text(document: Any) -> str:
    """The document as JSON, with what json.dumps does not write put in."""
    # A tensor or an array has no place in JSON: its text has.
    text = json.dumps(closed(document), default=str)
    for name, raw in _RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text


def closed(document: Any) -> Any:
    """The document with every Text as the text that it is."""
    if isinstance(document, Text):
        return json_text(document.content)
    if isinstance(document, dict):
        return {key: closed(value) for key, value in document.items()}
    if isinstance(document, list):
        return [closed(value) for value in document]
    return document


def json_form(
    document: Callable[[], Any], finish: Callable[[bytes], bytes] = bytes
) -> Callable[[bytes], bytes]:
    """Edits -> the edited document as the bytes of a JSON file."""

    def form(data: bytes) -> bytes:
        return finish(json_text(edit(document(), data)).encode("utf-8", "surrogatepass"))

    return form
