"""Pickles of numbers: arrays in dictionaries and lists, and not a single function of anybody's.

A pickle names functions, and whoever loads it calls them. Here a name stands for one of the few
that numpy's arrays are made by, and even these are our own stand-ins; any other is refused.
"""

from __future__ import annotations

import os
import pickle
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

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
            raise pickle.UnpicklingError(f"an array of '{name[:40]}'")
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
        if not isinstance(kind, _Type) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array without its bytes")
        flat = np.frombuffer(content, dtype=kind.dtype)
        self.values = flat.reshape(shape, order="F" if fortran else "C")


def _scalar(kind: Any, content: Any) -> Any:
    """Stands for numpy.core.multiarray.scalar: a single number."""
    if not isinstance(kind, _Type) or not isinstance(content, bytes):
        raise pickle.UnpicklingError("a number without its bytes")
    if kind.dtype.kind in "SU":
        # It would be copied each time that it is named.
        raise pickle.UnpicklingError("a text as a number")
    return np.frombuffer(content, dtype=kind.dtype)[0]


def _no_bytes(*content: Any) -> bytes:
    """Stands for bytes(), by which Python 3 writes for Python 2 that there are none."""
    if content:
        raise pickle.UnpicklingError("bytes of something")
    return b""


# Under both names that numpy's core has had.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Array,
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


# WESAD's pickles hold some hundreds.
_MOST_OBJECTS = 1 << 20
# What makes an object of a hundred bytes of one or a few.
_MAKE_OBJECTS = (
    pickle.MARK, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.LIST, pickle.DICT,
    pickle.FROZENSET, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.REDUCE,
    pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.OBJ, pickle.INST, pickle.MEMOIZE, pickle.LONG_BINPUT,
)  # fmt: skip


def _counted(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """How an opcode is read, with a bound for the objects that a pickle makes."""

    def read(unpickler: _Unpickler) -> None:
        unpickler.objects += 1
        if unpickler.objects > _MOST_OBJECTS:
            raise pickle.UnpicklingError(f"more than {_MOST_OBJECTS} objects")
        load(unpickler)

    return read


# The one in Python: that in C makes as much room as a pickle claims to need.
class _Unpickler(pickle._Unpickler):
    """Reads a pickle, and refuses every name but those of numpy's arrays.

    Texts and arrays take no more bytes than there are in the file, and of objects there are few.
    """

    dispatch: ClassVar[dict[int, Any]] = {
        code: _counted(load) if bytes([code]) in _MAKE_OBJECTS else load
        for code, load in pickle._Unpickler.dispatch.items()
    }

    def __init__(self, file: _Bounded) -> None:
        # As bytes: text of Python 2 may be an array's content.
        super().__init__(file, encoding="bytes")
        self.objects = 0
        self._encoded: dict[str, bytes] = {}

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) == ("_codecs", "encode"):
            return self._encode
        try:
            return _ALLOWED[(module_name, global_name)]
        except KeyError:
            raise _ForbiddenNameError(f"{module_name}.{global_name}") from None

    def _encode(self, content: Any, encoding: Any = "latin1") -> bytes:
        """Stands for _codecs.encode, by which Python 3 writes an array's bytes for Python 2.

        A text is encoded once, however often it is named: else a small file could fill the memory.
        """
        if not isinstance(content, str) or _text(encoding) not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError("bytes in another encoding")
        if content not in self._encoded:
            self._encoded[content] = content.encode("latin-1")
        return self._encoded[content]

    def _load_build(self) -> None:
        """Give a stand-in its state; functions and classes, which are the process's, have none."""
        if not isinstance(self.stack[-2], _Type | _Array):  # type: ignore[attr-defined]
            raise pickle.UnpicklingError("a state of something that is not an array")
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)  # type: ignore[arg-type]

    def _refuse_bytearray(self) -> None:
        """Refuse it: pickle makes as much room as one claims to take before it reads any."""
        raise pickle.UnpicklingError("bytes that can be changed")

    dispatch[pickle.BUILD[0]] = _load_build
    dispatch[pickle.BYTEARRAY8[0]] = _refuse_bytearray


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
            return _plain(_Unpickler(_Bounded(file)).load(), {})
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
        # A key that is there many times is kept once, too.
        made.update(
            {sys.intern(_text(key)): _plain(content, seen) for key, content in value.items()}
        )
    return seen[id(value)]


def _text(value: Any) -> str:
    if not isinstance(value, bytes | str):
        # Written out, a few nested ones could fill the memory.
        raise pickle.UnpicklingError("a name that is not a text")
    return value.decode("latin-1") if isinstance(value, bytes) else value
