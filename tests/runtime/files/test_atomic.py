"""atomic_path: whole or not at all, through kills and power cuts,
and nothing is left behind for good.
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import h5py
import pytest

from emodict.errors import OutputError
from emodict.files import atomic
from emodict.files.atomic import atomic_path, refuse_overwriting


@pytest.fixture(autouse=True)
def _as_a_new_process() -> None:
    atomic._remove_abandoned.cache_clear()


def killed_while_writing(path: Path) -> list[Path]:
    """A process that dies by SIGKILL in the middle of the file; what it leaves."""
    child = os.fork()
    if not child:
        with atomic_path(path) as part:
            part.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    atomic._remove_abandoned.cache_clear()
    return parts_in(path.parent)


def parts_in(folder: Path) -> list[Any]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(".part"))


def test_what_a_killed_process_left_is_removed_by_the_next_in_that_folder(tmp_path: Path) -> None:
    (left,) = killed_while_writing(tmp_path / "monday.csv")
    assert left.read_text() == "half"
    with atomic_path(tmp_path / "tuesday.csv") as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["tuesday.csv"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_can_be_read_by_whom_open_would_let(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        with atomic_path(tmp_path / "a.csv") as part:
            part.write_text("whole")
    finally:
        os.umask(before)
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == mode


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    told, tell = os.pipe()
    go_on, release = os.pipe()
    child = os.fork()
    if not child:
        os.close(release)
        with atomic_path(tmp_path / "slow.h5") as part:
            # HDF5 opens and closes the file, which must not open the lock.
            h5py.File(part, "w", locking=False).close()
            os.write(tell, b"x")
            os.read(go_on, 1)
        os._exit(0)
    os.read(told, 1)
    with atomic_path(tmp_path / "quick.csv") as part:
        part.write_text("whole")
    assert len(parts_in(tmp_path)) == 1
    os.write(release, b"x")
    assert os.waitpid(child, 0)[1] == 0
    for descriptor in (told, tell, go_on, release):
        os.close(descriptor)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["quick.csv", "slow.h5"]


def test_files_of_other_programs_are_never_removed(tmp_path: Path) -> None:
    others = [".model.onnx.abcd1234.part", "film.emodict.part.txt", ".x.part"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".folder.emodict.part").mkdir()
    precious = tmp_path / "precious"
    precious.write_text("x")
    (tmp_path / ".link.emodict.part").symlink_to(precious)
    with atomic_path(tmp_path / "new.csv") as part:
        part.write_text("whole")
    names = [*others, ".folder.emodict.part", ".link.emodict.part", "new.csv", "precious"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_file_and_name_are_on_the_disk_when_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        steps.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        real_fsync(descriptor)

    def replace(self: Any, target: Path) -> Path:
        steps.append(("rename", Path(target).name))
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    with atomic_path(tmp_path / "a.csv") as part:
        part.write_text("whole")
    assert steps == [("fsync", part.name), ("rename", "a.csv"), ("fsync", tmp_path.name)]


def test_a_name_taken_meanwhile_can_be_refused(tmp_path: Path) -> None:
    def both() -> None:
        with atomic_path(tmp_path / "new.h5", replace=False) as part:
            part.write_text("mine")
            (tmp_path / "new.h5").write_text("another's")

    with pytest.raises(OutputError, match="File exists"):
        both()
    assert (tmp_path / "new.h5").read_text() == "another's"
    assert parts_in(tmp_path) == []


def test_a_folder_that_goes_away_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    def write() -> None:
        with atomic_path(folder / "x") as part:
            part.unlink()
            folder.rmdir()

    with pytest.raises(OutputError, match=r"No such file or directory.*make it again"):
        write()


def test_a_name_that_cannot_be_flushed_is_said_of_a_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(atomic, "_flush_folder", fail)
    said = pytest.raises(
        OutputError, match=r"x is written, but may not survive a power cut: Input/output error"
    )
    with said, atomic_path(tmp_path / "x") as part:
        part.write_text("all of it")
    assert (tmp_path / "x").read_text() == "all of it"


def test_a_file_in_a_folder_that_is_read_is_not_written_over(tmp_path: Path) -> None:
    wristband = tmp_path / "E4"
    wristband.mkdir()
    (wristband / "BVP.csv").write_text("1644226061\n64\n1\n")
    link = tmp_path / "link"
    link.symlink_to(wristband)
    for out in (wristband / "BVP.csv", link / "BVP.csv"):
        with pytest.raises(OutputError, match="it is what is read"):
            refuse_overwriting(out, [wristband])
    refuse_overwriting(wristband / "rows.csv", [wristband])
    refuse_overwriting(tmp_path / "rows.csv", [wristband])
