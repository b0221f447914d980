"""What is fuzzed: one reader of files from others, and the inputs to start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.fuzz.oracle import outcome

from emodict.errors import EmodictError


@dataclass(frozen=True)
class Target:
    """A reader and its inputs, for hypothesis and for atheris alike.

    Attributes:
        file: the name under which the input lies in a folder of its own, where `use` finds it.
        seeds: inputs to start from; each ends in a result.
        form: an input as the file's content; of edits (see `edits`), the document that they make.
        edited: the input is a list of edits, not content.
        beside: other files of the folder, by name.
    """

    name: str
    file: str
    use: Callable[[Path], object]
    seeds: Callable[[], Sequence[bytes]]
    form: Callable[[bytes], bytes] = bytes
    edited: bool = False
    beside: Callable[[], Mapping[str, bytes]] = dict

    def check(self, data: bytes) -> EmodictError | None:
        """The error that an input is refused with, None for a result;
        raises FoundError for anything else.
        """
        return outcome(self.use, self.file, {**self.beside(), self.file: self.form(data)})
