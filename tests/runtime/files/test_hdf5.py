"""HDF5 files that would reach into others,
load code or fill the memory are refused before they are read.
"""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from emodict.errors import RecordingError
from emodict.files.hdf5 import MOST_CHUNK_BYTES, MOST_COLUMN_BYTES, check_contents
from emodict.recording.recording import Recording, Signal, Trials
from emodict.recording.session import open_session, write_session
from emodict_desk.importers.opensignals import looks_like_opensignals, read_opensignals
from emodict_desk.recordings.validate import validate_session

BZIP2 = 307


@pytest.fixture
def stamped(tmp_path: Path) -> Path:
    path = tmp_path / "session.h5"
    gsr = Signal(
        "gsr",
        4.0,
        "uS",
        ("gsr",),
        np.ones((48, 1), dtype=np.float32),
        timestamps_s=np.arange(48) / 4,
    )
    write_session(Recording(session_id="s", subject_id="p", signals={"gsr": gsr}), path)
    return path


def _replace(file: h5py.File, **how: object) -> None:
    del file["signals/gsr/data"]
    file["signals/gsr"].create_dataset("data", **how)


def external_link(file: h5py.File) -> None:
    del file["signals/gsr"]
    file["signals/gsr"] = h5py.ExternalLink("/etc/secret.h5", "/x")


def link_out_of_sight(file: h5py.File) -> None:
    file.create_group("a/b/c")["d"] = h5py.ExternalLink("other.h5", "/x")


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((48, 1), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (48, 1), dtype="f4")
    del file["signals/gsr/data"]
    file["signals/gsr"].create_virtual_dataset("data", layout)


def external_storage(file: h5py.File) -> None:
    _replace(file, shape=(48, 1), dtype="f4", external=[("/etc/passwd", 0, 192)])


def unknown_filter(file: h5py.File) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((48, 1))
    plist.set_filter(BZIP2, h5py.h5z.FLAG_OPTIONAL, (9,))
    space = h5py.h5s.create_simple((48, 1))
    del file["signals/gsr/data"]
    h5py.h5d.create(file["signals/gsr"].id, b"data", h5py.h5t.IEEE_F32LE, space, plist)


def absurd_shape(file: h5py.File) -> None:
    _replace(file, shape=(10**12, 1), dtype="f4", chunks=(1000, 1))


def absurd_chunk(file: h5py.File) -> None:
    _replace(file, shape=(10**9, 1), dtype="f4", chunks=(MOST_CHUNK_BYTES // 4 + 1, 1))


def absurd_column(file: h5py.File) -> None:
    del file["signals/gsr/timestamps"]
    rows = MOST_COLUMN_BYTES // 8 + 1
    times = file["signals/gsr"].create_dataset(
        "timestamps", shape=(rows,), dtype="f8", chunks=(1 << 20,), compression=9
    )
    # A bomb: chunks of zeros, which deflate packs a thousand to one,
    # so that the file really holds what it claims.
    packed = zlib.compress(bytes(8 << 20), 9)
    for start in range(0, rows, 1 << 20):
        times.id.write_direct_chunk((start,), packed)


def absurd_value(file: h5py.File) -> None:
    file.create_dataset("x", shape=(1,), dtype=np.dtype("V2000000"))


HOSTILE: list[tuple[Callable[[h5py.File], None], str]] = [
    (external_link, r"/signals/gsr is a link into another file, 'secret\.h5'"),
    (link_out_of_sight, "/a/b/c/d is a link into another file"),
    (virtual, "/signals/gsr/data is a virtual dataset"),
    (external_storage, "/signals/gsr/data keeps its data in another file"),
    (unknown_filter, r"/signals/gsr/data is packed by a filter that is not known \(number 307\)"),
    (absurd_shape, "/signals/gsr/data claims 3,814,697 MiB and holds 0 bytes"),
    (absurd_chunk, "/signals/gsr/data has chunks of 256 MiB"),
    (absurd_column, "/signals/gsr/timestamps is a column of 1,024 MiB"),
    (absurd_value, "/x has values of 2 MiB each"),
]


@pytest.mark.parametrize(
    ("change", "sentence"), HOSTILE, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_could_do_harm_is_refused_with_its_place(
    stamped: Path, change: Callable[[h5py.File], None], sentence: str
) -> None:
    with h5py.File(stamped, "r+") as file:
        change(file)
    with pytest.raises(RecordingError, match=sentence), open_session(stamped):
        pass
    (finding,) = validate_session(stamped)
    assert (finding.severity, finding.where) == ("error", "file")
    with pytest.raises(RecordingError, match=sentence):
        read_opensignals(stamped)
    assert looks_like_opensignals(stamped, stamped.read_bytes()[:8])


def test_links_within_the_file_and_groups_in_a_circle_are_no_harm(stamped: Path) -> None:
    with h5py.File(stamped, "r+") as file:
        file["alias"] = h5py.SoftLink("/signals/gsr")
        file["nowhere"] = h5py.SoftLink("/not/there")
        file["signals/again"] = file["signals/gsr"]
        file["circle"] = file["/"]
    with h5py.File(stamped) as file:
        check_contents(file)


def test_more_objects_than_any_recording_has_are_refused(stamped: Path) -> None:
    with h5py.File(stamped, "r+") as file:
        for i in range(10_001):
            file.create_group(f"many/{i}")
    with (
        pytest.raises(RecordingError, match=r"holds too many objects\. Expected at most 10000"),
        open_session(stamped),
    ):
        pass


def test_a_group_that_cannot_be_looked_into_is_refused(stamped: Path) -> None:
    content = bytearray(stamped.read_bytes())
    at = content.find(b"TREE")
    content[at : at + 4] = b"TREx"
    stamped.write_bytes(content)
    with (
        pytest.raises(RecordingError, match=r"is damaged or incomplete: .* B-tree"),
        open_session(stamped),
    ):
        pass


def test_refusing_takes_little_memory(stamped: Path) -> None:
    with h5py.File(stamped, "r+") as file:
        absurd_column(file)
    code = (
        "import sys, resource\n"
        "from emodict_desk.recordings.validate import validate_session\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert validate_session(sys.argv[1])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stamped], capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 64 << 20


def test_a_file_that_another_program_writes_is_said_to_be_open_there_not_cut_off(
    stamped: Path,
) -> None:
    with stamped.open("rb") as held:
        # The lock that HDF5 holds in a program that writes.
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(
            RecordingError, match=r"open for writing in another program.*Close it there"
        ) as refused:
            open_session(stamped).__enter__()
    assert "cut off" not in str(refused.value)
    with open_session(stamped) as recording:
        assert recording.modality_names == ("gsr",)


def test_on_a_drive_without_locks_a_file_is_read_without_one_and_that_is_said(
    stamped: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened = h5py.File

    def on_a_drive_without_locks(
        path: Path, mode: str, *, locking: bool | None = None, **how: Any
    ) -> h5py.File:
        if locking is not False:
            # As h5py words it on an NFS without lockd (h5py#1101).
            raise OSError(
                "[Errno 37] Unable to synchronously open file "
                f"(unable to lock file, errno = {errno.ENOLCK}, "
                f"error message = 'No locks available')"
            )
        return opened(path, mode, locking=locking, **how)

    monkeypatch.setattr(h5py, "File", on_a_drive_without_locks)
    with open_session(stamped) as recording:
        assert recording.signals["gsr"].read(0, 48).sum() == 48
    assert [record.getMessage() for record in caplog.records] == [
        f"{stamped}: read without a lock, for its drive has none (No locks available)"
    ]


@pytest.mark.parametrize("where", ["attribute", "dataset"])
def test_values_of_any_length_that_are_neither_text_nor_sequence_are_refused_before_they_are_read(
    tmp_path: Path, where: str
) -> None:
    # HDF5 reads such a value by a function that is not there, and the process is gone.
    # One byte of damage is enough.
    path = tmp_path / "s.h5"
    gsr = Signal("gsr", 4.0, "uS", ("gsr",), np.ones((48, 1), dtype=np.float32))
    trials = Trials(np.array([1.0]), np.array([9.0]), ("film",), np.array([[1.0]]), ("Alert",))
    write_session(
        Recording("s", "p", {"gsr": gsr}, trials=trials if where == "dataset" else None), path
    )
    content = bytearray(path.read_bytes())
    # The type of a text of any length: class 9 in version 1, kind 1, no padding, UTF-8, 16 bytes.
    text = bytes.fromhex("1901010010000000")
    places = [at for at in range(len(content)) if content[at : at + 8] == text]
    assert places
    for at in places:
        damaged = bytearray(content)
        damaged[at + 1] = 6
        path.write_bytes(damaged)
        with (
            h5py.File(path, "r") as file,
            pytest.raises(RecordingError, match="neither texts nor sequences"),
        ):
            check_contents(file)
