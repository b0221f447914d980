"""Pickles of numbers: arrays in dictionaries and lists, and not a single function of anybody's.

A pickle names functions, and whoever loads it calls them. Here a name stands for one of the few
that numpy's arrays are made by, and even these are our own stand-ins; any other is refused.
"""

from __future__ import annotations

import os
import pickle
import re
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emodict.errors import RecordingError

# Numbers, and texts of fixed length; objects, which could hold anything, are not among them.
_NUMBERS = re.compile(r"[<>|=]?[biufSU]\d*")
_ORDERS = ("<", ">", "=", "|")
# What reading a damaged pickle, or one that was made to harm, runs into.
_DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError,
    OverflowError, MemoryError, RecursionError, struct.error,
)  # fmt: skip


class _Type:
    """Stands for numpy.dtype: what it is called, and in which order its bytes are."""

    def __init__(self, code: Any, *_: Any) -> None:
        name = _text(code)
        if not _NUMBERS.fullmatch(name):
            raise pickle.UnpicklingError(f"an array of '{name}'")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = _text(state[1])
        if order not in _ORDERS or state[3] is not None:
            raise pickle.UnpicklingError("an array of records")
        self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array:
    """Stands for numpy.ndarray: its shape, its type and its bytes."""

    def __init__(self, *_: Any) -> None:
        self.values: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(content, bytes | str):
            raise pickle.UnpicklingError("an array without its bytes")
        held = content if isinstance(content, bytes) else content.encode("latin-1")
        flat = np.frombuffer(held, dtype=kind.dtype)
        self.values = flat.reshape(shape, order="F" if fortran else "C")


def _scalar(kind: Any, content: Any) -> Any:
    """Stands for numpy.core.multiarray.scalar: a single number."""
    if not isinstance(kind, _Type) or not isinstance(content, bytes):
        raise pickle.UnpicklingError("a number without its bytes")
    return np.frombuffer(content, dtype=kind.dtype)[0]


def _encoded(content: Any, encoding: Any = "latin1") -> bytes:
    """Stands for _codecs.encode, by which Python 3 writes an array's bytes for Python 2."""
    if not isinstance(content, str) or _text(encoding) not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in another encoding")
    return content.encode("latin-1")


def _no_bytes(*content: Any) -> bytes:
    """Stands for bytes(), by which Python 3 writes for Python 2 that there are none."""
    if content:
        raise pickle.UnpicklingError("bytes of something")
    return b""


# Under both names that numpy's core has had.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encoded,
    **{(module, "bytes"): _no_bytes for module in ("builtins", "__builtin__")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}


class _Bounded:
    """A file of which no more is read than there is, whatever a pickle claims to hold."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytes:
        if count > self._left:
            raise EOFError("it ends before what it holds does")
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline()
        self._left -= len(line)
        return line


# The one in Python: that in C makes as much room as a pickle claims to need.
class _Unpickler(pickle._Unpickler):
    """Reads a pickle, and refuses every name but those of numpy's arrays."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _ALLOWED[(module_name, global_name)]
        except KeyError:
            raise _ForbiddenNameError(f"{module_name}.{global_name}") from None


class _ForbiddenNameError(Exception):
    """A pickle wants something called that is not among the few."""


def read_pickle(path: Path) -> Any:
    """What a pickle of Python 2 or 3 holds: dictionaries of numbers and arrays, by text.

    The whole file is in memory meanwhile.

    Raises:
        RecordingError: it names anything but numpy's array constructors, or is damaged.
    """
    try:
        with path.open("rb") as file:
            # As bytes: text of Python 2 may be an array's content.
            return _plain(_Unpickler(_Bounded(file), encoding="bytes").load(), {})
    except _ForbiddenNameError as error:
        raise RecordingError(
            f"{path} is not read: it would call {error}",
            expected="a pickle of dictionaries, lists and numpy arrays",
            fix="Take the file as its makers published it",
        ) from None
    except _DAMAGE as error:
        raise RecordingError(
            f"{path} is damaged, or holds more than arrays: {error}", fix="Copy the file again"
        ) from error


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """Stand-ins -> what they stand for; a dictionary that is there many times is made once."""
    if isinstance(value, _Array):
        return value.values
    if not isinstance(value, dict):
        return value
    if id(value) not in seen:
        made = seen[id(value)] = {}
        made.update({_text(key): _plain(content, seen) for key, content in value.items()})
    return seen[id(value)]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
