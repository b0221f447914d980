"""The errors a user can meet: each says what is wrong, what was expected,
what was got, and what to do.
"""

from __future__ import annotations

import copyreg
from typing import Any

# What is cited comes from files of others: so much of each part is shown.
MOST_CHARACTERS = 2000


class EmodictError(Exception):
    """Base of every error emodict raises on purpose; as it stands,
    a failure of emodict's (exit code 1).

    Args:
        what: the thing that is wrong, as a sentence without its full stop.
        expected, got: the two sides of the mismatch, with the offending values in them; of several
        names, one is. fix: what the user can do about it.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, expected: object = None, got: object = None, fix: str | None = None
    ) -> None:
        if isinstance(expected, tuple) and all(isinstance(choice, str) for choice in expected):
            expected = f"one of {', '.join(expected)}"
        sides = (("expected", expected), ("got", got))
        mismatch = ", ".join(f"{name} {value}" for name, value in sides if value is not None)
        mismatch = mismatch[:1].upper() + mismatch[1:]
        parts = (shown(part) for part in (what, mismatch, fix) if part)
        super().__init__(" ".join(s if s.endswith("?") else s.rstrip(".") + "." for s in parts))

    def __reduce__(self) -> tuple[Any, ...]:
        """An error comes back from a worker process as it was:
        its sentences are not put together again.
        """
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


def printable(text: str) -> str:
    """Text for a terminal: what steers one, or cannot be printed at all, as its escape."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def shown(text: str) -> str:
    """The same, the middle of much left out."""
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS // 2]} ... {text[-MOST_CHARACTERS // 2 :]}"
    return printable(text)


class InputError(EmodictError):
    """Something the user gave cannot be used (exit code 2)."""

    exit_code = 2


class InterruptedByUserError(EmodictError):
    """The user stopped a command that can be gone on with."""

    exit_code = 130


class RecordingError(InputError):
    """A recording, or a file meant to be one, cannot be used."""


class ClockError(RecordingError):
    """Times in a recording that cannot be; `emodict-session repair` may correct them."""


class SpecError(InputError):
    """A feature spec is unknown, broken, or not the one the model was trained on."""


class ModelError(InputError):
    """A checkpoint or an engine file cannot be used."""


class TrustError(ModelError):
    """A model is not signed by the key that a device trusts."""


class TableError(InputError):
    """A feature table or its labels cannot be used."""


class PersonError(InputError):
    """A person.json cannot be used, or not with this model or recording."""


class OutputError(InputError):
    """A result cannot be written where the user asked for it."""


class ClusterError(InputError):
    """A Dask cluster cannot be reached, or its workers cannot do the work."""


class PageError(InputError):
    """The live page cannot be served where, or as, the user asked for it."""


class StreamError(InputError):
    """A live stream or device cannot be used."""


class MissingDependencyError(InputError):
    """A feature was asked for whose optional package is not installed."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed",
            fix=f"pip install 'emodict[{extra}]'",
        )
