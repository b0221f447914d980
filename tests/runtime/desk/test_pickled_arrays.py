"""Pickles of arrays: numbers come out as they went in, and nothing else is done or made."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made_up_wesad import write_python2_pickle

from emodict.errors import RecordingError
from emodict_desk.importers import pickled_arrays
from emodict_desk.importers.pickled_arrays import read_pickle

ARRAYS = {
    "float64": np.linspace(-1, 1, 12).reshape(6, 2),
    "int32": np.arange(-5, 7, dtype=np.int32),
    "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(4, dtype=">f4"),
    "empty": np.empty((0, 3)),
    "flags": np.array([True, False]),
}


class Calls:
    """Unpickled by the usual way, it runs a command."""

    def __init__(self, function: Any, *words: Any) -> None:
        self.function, self.words = function, words

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.words


def write_pickle(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_out_as_numpy_pickled_them(protocol: int, tmp_path: Path) -> None:
    content = {"signal": ARRAYS, "number": np.float64(2.5), "text": "S2"}
    if protocol == 5:
        # Out-of-band buffers are for processes, and come with functions of numpy's own.
        with pytest.raises(RecordingError, match="_frombuffer"):
            read_pickle(write_pickle(tmp_path / "p.pkl", content, protocol))
        return
    read = read_pickle(write_pickle(tmp_path / "p.pkl", content, protocol))
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(read["signal"][name], values)
    assert read["number"] == 2.5


def test_what_python_2_wrote_is_read(tmp_path: Path) -> None:
    write_python2_pickle(tmp_path / "p.pkl", {"signal": ARRAYS, "subject": "S2"})
    read = read_pickle(tmp_path / "p.pkl")
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(read["signal"][name], values)


@pytest.mark.parametrize(
    ("calls", "name"),
    [
        (Calls(os.system, "touch hurt"), "posix.system"),
        (Calls(eval, "open('hurt', 'w')"), "builtins.eval"),
        (Calls(getattr, "x", "join"), "builtins.getattr"),
        (Calls(np.load, "hurt"), "numpy.load"),
        (Calls(np.zeros, 3), "numpy.zeros"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_name_that_is_not_numpys_array_is_refused_by_name_and_not_called(
    calls: Calls, name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_pickle(tmp_path / "p.pkl", {"signal": calls, **ARRAYS}, protocol)
    # Python 2 has other names for what is built in.
    with pytest.raises(RecordingError, match="would call") as refusal:
        read_pickle(path)
    assert name.rpartition(".")[2] in str(refusal.value)
    assert not Path("hurt").exists()


@pytest.mark.parametrize(
    "content",
    [
        np.array([{}], dtype=object),
        np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
    ],
    ids=["objects", "records", "dates"],
)
def test_arrays_of_anything_but_numbers_and_texts_are_refused(
    content: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(RecordingError, match="damaged, or holds more than arrays"):
        read_pickle(write_pickle(tmp_path / "p.pkl", {"a": content}))


@pytest.mark.parametrize("kept", [0, 1, 40, 200, -1])
def test_a_pickle_that_was_cut_off_is_one_sentence(kept: int, tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "p.pkl", ARRAYS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RecordingError, match="is damaged"):
        read_pickle(path)


@pytest.mark.parametrize(
    "opcodes",
    [
        # A memo of 2**32 places and then nothing, a text of 2**40 characters, and one of 2**63.
        b"\x80\x02Nr\xff\xff\xff\xff",
        b"\x80\x04\x8d\x00\x00\x00\x00\x00\x01\x00\x00.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        # A persistent object, an extension, a name from the stack.
        b"\x80\x02X\x01\x00\x00\x00aQ.",
        b"\x80\x02\x82\x01.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    ],
)
def test_opcodes_that_claim_much_or_reach_out_do_no_harm(opcodes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.pkl"
    path.write_bytes(opcodes)
    with pytest.raises(RecordingError, match=r"p\.pkl"):
        read_pickle(path)


def test_a_dictionary_that_is_there_a_million_times_is_made_once(tmp_path: Path) -> None:
    level: dict[str, Any] = {"a": np.arange(3)}
    for _ in range(40):
        level = {"a": level, "b": level}
    read = read_pickle(write_pickle(tmp_path / "p.pkl", level))
    assert read["a"] is read["b"]


def memory_of(read: Callable[[], object]) -> int:
    """The bytes at the peak of a call."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_room_is_made_for_what_a_bytearray_claims_to_hold(tmp_path: Path) -> None:
    path = tmp_path / "p.pkl"
    path.write_bytes(b"\x80\x05\x96" + (1 << 28).to_bytes(8, "little") + b"x.")

    def refuse() -> None:
        with pytest.raises(RecordingError, match="bytes that can be changed"):
            read_pickle(path)

    assert memory_of(refuse) < 1 << 24


# The 2nd memo is the function, the 1st what it is given; a tuple, and a call.
TEXT = b"X" + (1 << 18).to_bytes(4, "little") + b"a" * (1 << 18) + b"q\x00"
ENCODE = b"c_codecs\nencode\nq\x01"
ENCODED = b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R"


def test_a_text_that_is_encoded_many_times_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "p.pkl"
    path.write_bytes(b"\x80\x02" + TEXT + ENCODE + b"(" + ENCODED * 300 + b"l.")
    # The file's buffer, the text and its bytes, and what the list takes; 300 of them are 75 MiB.
    assert memory_of(lambda: read_pickle(path)) < 8 * path.stat().st_size
    assert read_pickle(path) == [b"a" * (1 << 18)] * 300


def test_a_key_that_is_there_many_times_is_made_once(tmp_path: Path) -> None:
    path, key = tmp_path / "p.pkl", b"T" + (1 << 18).to_bytes(4, "little") + b"a" * (1 << 18)
    inner = b"".join(b"U\x03%03d}h\x00Ns" % i for i in range(250))
    path.write_bytes(b"\x80\x02" + key + b"q\x000}(" + inner + b"u.")
    assert memory_of(lambda: read_pickle(path)) < 8 * path.stat().st_size


def test_a_text_as_a_number_is_refused_for_it_is_copied_each_time(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="a text as a number"):
        read_pickle(write_pickle(tmp_path / "p.pkl", {"a": np.str_("words")}))


@pytest.mark.parametrize(
    "opcodes",
    [b"]", b"}", b"\x8f", b"(", b")\x85", b"h\x01)R", b"N\x94"],
    ids=["lists", "dictionaries", "sets", "marks", "tuples", "arrays", "memos"],
)
def test_objects_of_which_a_byte_makes_a_hundred_are_counted(
    opcodes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickled_arrays, "_MOST_OBJECTS", 1000)
    path = tmp_path / "p.pkl"
    path.write_bytes(b"\x80\x04cnumpy\nndarray\nq\x01" + opcodes * 1001 + b".")
    with pytest.raises(RecordingError, match="more than 1000 objects"):
        read_pickle(path)


@pytest.mark.parametrize("name", ["_codecs\nencode", "numpy\ndtype", "builtins\nbytes"])
def test_nothing_can_be_written_on_what_a_name_stands_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / "p.pkl"
    evil = b"}(X\x0c\x00\x00\x00__defaults__X\x04\x00\x00\x00evil\x85u"
    # As a state of attributes, and as one of slots.
    for state in (evil, b"N" + evil + b"\x86"):
        path.write_bytes(b"\x80\x02c" + name.encode() + b"\n" + state + b"b.")
        with pytest.raises(RecordingError, match="state of something that is not an array"):
            read_pickle(path)
