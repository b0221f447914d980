"""Reading MATLAB level 5 files, against what scipy.io wrote."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emodict.errors import TableError
from emodict_desk.tables.matfile import read_complex_mat, read_mat

DTYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def numbers(dtype: str, shape: tuple[int, ...] = (3, 4)) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) * 5).astype(dtype)


@pytest.mark.parametrize("compressed", [False, True])
def test_every_numeric_type_comes_back_as_it_was(tmp_path: Path, compressed: bool) -> None:
    arrays = {f"a_{d}": numbers(d) for d in DTYPES}
    scipy.io.savemat(tmp_path / "a.mat", arrays, do_compression=compressed)
    got = read_mat(tmp_path / "a.mat")
    assert sorted(got) == sorted(arrays)
    for name, expected in arrays.items():
        assert got[name].dtype == expected.dtype
        np.testing.assert_array_equal(got[name], expected)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 0), (0, 5), (2, 3, 4), (5, 1, 2, 2), (1, 7)])
def test_every_shape_comes_back(tmp_path: Path, shape: tuple[int, ...], compressed: bool) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"x": numbers("f8", shape)}, do_compression=compressed)
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat")["x"], numbers("f8", shape))


def test_cells_structs_text_sparse_and_complex_are_left_out(tmp_path: Path) -> None:
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = np.ones(3), "text"
    content = {
        "first": np.eye(2),
        "cell": cell,
        "struct": {"inside": np.ones(2), "name": "n"},
        "text": "a sentence",
        "complex": np.array([[1 + 2j]]),
        "sparse": scipy.sparse.csc_matrix(np.eye(3)),
        "last": np.ones((2, 2), dtype=np.float32),
    }
    scipy.io.savemat(tmp_path / "a.mat", content)
    assert sorted(read_mat(tmp_path / "a.mat")) == ["first", "last"]


@pytest.mark.parametrize("dtype", ["c16", "c8"])
def test_complex_numbers_come_back_where_they_are_asked_for(tmp_path: Path, dtype: str) -> None:
    expected = (numbers("f8") - 3j * numbers("f8")[::-1]).astype(dtype)
    scipy.io.savemat(tmp_path / "a.mat", {"x": expected, "y": np.ones(2)})
    got = read_complex_mat(tmp_path / "a.mat")
    assert sorted(got) == ["x", "y"]
    np.testing.assert_array_equal(got["x"], scipy.io.loadmat(tmp_path / "a.mat")["x"])


def test_a_logical_array_is_read_as_numbers(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"b": np.array([[True, False]])})
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat")["b"], [[1, 0]])


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def mat_of(*elements: Any, order: str = "<", version: int = 0x0100) -> bytes:
    header = (
        b"MATLAB 5.0".ljust(124)
        + struct.pack(order + "H", version)
        + {"<": b"IM", ">": b"MI"}[order]
    )
    return header + b"".join(elements)


def matrix(
    shape: tuple[int, int], stored: int, data: bytes, *, mclass: int = 6, order: str = "<"
) -> bytes:
    flags = element(6, struct.pack(order + "II", mclass, 0), order)
    dims = element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    return element(14, flags + dims + element(1, b"x", order) + element(stored, data, order), order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_doubles_that_matlab_stored_as_bytes_are_doubles_again(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(
        mat_of(matrix((2, 3), 2, bytes([1, 2, 3, 4, 5, 250]), order=order), order=order)
    )
    got = read_mat(path)["x"]
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, [[1, 3, 5], [2, 4, 250]])
    np.testing.assert_array_equal(scipy.io.loadmat(path)["x"], got)


@pytest.mark.parametrize(
    "content",
    [
        mat_of(element(14, b"")),
        mat_of(element(14, element(6, struct.pack("<II", 6, 0)))),
        mat_of(matrix((2, 3), 9, b"\0" * 8)),
        mat_of(matrix((-1, 3), 9, b"\0" * 24)),
        mat_of(matrix((2**30, 2**30), 9, b"\0" * 8)),
        mat_of(matrix((1, 1), 16, b"a")),
        mat_of(struct.pack("<II", 14, 1000)),
        mat_of(struct.pack("<II", 15, 4) + b"zlib"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(TableError, match="damaged"):
        read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_off_anywhere_inside_an_array_is_refused(
    tmp_path: Path, compressed: bool
) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(
        path, {"x": np.random.default_rng(0).normal(size=(20, 20))}, do_compression=compressed
    )
    whole = path.read_bytes()
    for length in range(140, len(whole) - 8, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(TableError):
            read_mat(path)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + b"\0" * 200, mat_of(version=0x0200)]
)
def test_what_is_no_level_5_file_is_refused_with_what_would_be(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(
        TableError, match=r"not a MATLAB level 5 file.*savemat or MATLAB's save -v7"
    ):
        read_mat(tmp_path / "a.mat")


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=300), order=st.sampled_from("<>"))
def test_any_bytes_behind_a_header_are_read_or_refused(
    tmp_path: Path, body: bytes, order: str
) -> None:
    (tmp_path / "a.mat").write_bytes(mat_of(body, order=order))
    with contextlib.suppress(TableError):
        read_mat(tmp_path / "a.mat")


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), compressed=st.booleans())
def test_any_flipped_bytes_are_read_or_refused(tmp_path: Path, data: Any, compressed: bool) -> None:
    scipy.io.savemat(
        tmp_path / "a.mat", {"x": np.eye(3), "y": numbers("i2")}, do_compression=compressed
    )
    content = bytearray((tmp_path / "a.mat").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(124, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.mat").write_bytes(content)
    with contextlib.suppress(TableError):
        read_mat(tmp_path / "a.mat")
