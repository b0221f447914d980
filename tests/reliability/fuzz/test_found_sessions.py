"""Sessions that were once found to do harm, each made here by code:
what each must come to is a sentence.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.reliability.fuzz import sessions
from tests.reliability.fuzz.refusals import refused
from tests.reliability.fuzz.registry import TARGETS

from emodict.errors import RecordingError
from emodict.files.hdf5 import lookup3
from emodict.recording.recording import Event, FaceVideo, Recording, Signal
from emodict.recording.session import open_session, write_session
from emodict_desk.recordings.validate import validate_session


def unfinished(change: int, at: bytes) -> bytes:
    """A recording that was cut off, with one byte changed behind the last of `at`."""
    content = bytearray(sessions.edited_session(b"\1"))
    content[content.rindex(at) + change] ^= 0xFF
    return bytes(content)


def test_a_cut_off_session_with_a_wrong_sum_is_refused_and_not_waited_for() -> None:
    # HDF5 would try again a hundred times, each wait twice as long: centuries.
    # OHDR opens an object's header.
    assert "checksum" in refused("session.h5", unfinished(6, b"OHDR"))


@pytest.mark.parametrize(
    "head",
    [bytes(16), b"\1" + bytes(7) + b"\xf0" + b"\xff" * 7, b"\1" + bytes(7) + b"\xd0" + b"\xff" * 7],
)
def test_texts_that_lead_back_to_themselves_are_refused_and_not_followed(head: bytes) -> None:
    # An object of no size; one whose size and head are 2^64 together;
    # one 32 bytes short of that, which leads back.
    content = bytearray(sessions.edited_session(b""))
    at = content.index(b"GCOL") + 16
    content[at : at + 16] = head
    assert "lead back to themselves" in refused("session.h5", bytes(content))


def test_texts_that_lie_over_each_other_are_refused_and_not_all_gone_through() -> None:
    # Each object's content is the head of a collection that claims the rest of the file:
    # a walk from each to the end.
    count = 20_000
    objects = (
        struct.pack("<HHIQ", 1, 1, 0, 16)
        + b"GCOL\1\0\0\0"
        + struct.pack("<Q", 32 * (count - i) - 16)
        for i in range(count)
    )
    content = sessions.edited_session(b"") + b"".join(objects)
    assert "texts lie over each other" in refused("session.h5", content)


def test_a_cut_off_session_that_points_beyond_every_file_is_refused() -> None:
    head = bytearray(sessions.edited_session(b"\1")[:44])
    # The superblock's address of the root's header.
    head[36:44] = struct.pack("<Q", 2**63 + 8)
    whole = (
        bytes(head)
        + lookup3(bytes(head)).to_bytes(4, "little")
        + sessions.edited_session(b"\1")[48:]
    )
    refused("session.h5", whole)


def test_the_sum_of_hdf5_is_lookup3() -> None:
    # From the driver of lookup3.c (Jenkins, 2006);
    # the other is what HDF5 itself wrote into a superblock.
    assert lookup3(b"Four score and seven years ago") == 0x17770551
    head = sessions.edited_session(b"\1")[:48]
    assert lookup3(head[:44]) == int.from_bytes(head[44:], "little")


def session_with(tmp_path: Path, change: Callable[[h5py.File], object]) -> Path:
    path = tmp_path / "s.h5"
    path.write_bytes(sessions.session_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def dangle(file: h5py.File) -> None:
    del file["trials"], file["signals/ppg"]
    file["trials"] = h5py.SoftLink("/nowhere")
    file["signals/ppg"] = h5py.SoftLink("/signals/ppg")


def test_links_that_lead_nowhere_and_a_start_that_is_no_text_are_findings(tmp_path: Path) -> None:
    path = session_with(tmp_path, dangle)
    with h5py.File(path, "r+") as file:
        file.attrs["start_time"] = np.array([])
    assert {finding.where for finding in validate_session(path)} >= {"/signals/ppg"}


def test_a_face_of_something_other_than_numbers_is_refused(tmp_path: Path) -> None:
    def words(file: h5py.File) -> None:
        del file["video/face/embedding"]
        file.create_dataset("video/face/embedding", shape=(6, 32), dtype=h5py.string_dtype())

    with open_session(session_with(tmp_path, words)) as recording:
        assert "video" not in recording.modality_names
        with pytest.raises(RecordingError, match="embedding holds no numbers"):
            recording.require_usable(["video"])


def test_more_trials_than_any_recording_has_are_refused_unread(tmp_path: Path) -> None:
    def many(file: h5py.File) -> None:
        for name in ("start", "stop", "trial_id"):
            del file[f"trials/{name}"]
            file.create_dataset(f"trials/{name}", shape=(200_000,), dtype="f4")

    with pytest.raises(
        RecordingError, match=r"trials: start is too large\. Expected at most 100000"
    ):
        open_session(session_with(tmp_path, many)).__enter__()


def test_few_samples_that_claim_days_are_refused_and_a_recording_with_long_gaps_is_not() -> None:
    def gsr(last_s: float, count: int = 8) -> Signal:
        times_s = np.append(np.arange(count - 1) / 4, last_s)
        return Signal("gsr", 4.0, "uS", ("gsr",), np.ones((count, 1)), timestamps_s=times_s)

    with pytest.raises(
        RecordingError, match=r"nearly all of it is missing.*2 s of samples in 480 h"
    ):
        gsr(20 * 86400.0)
    with pytest.raises(RecordingError, match="nearly all of it is missing"):
        FaceVideo(np.array([0.0, 20 * 86400.0]), embedding=np.ones((2, 32)))
    # Three hours of samples in three days, and two seconds of them in 23 hours.
    assert gsr(3 * 86400.0, count=3 * 3600 * 4).stop_s == pytest.approx(3 * 86400.25, abs=1)
    assert gsr(23 * 3600.0).stop_s > 82_000


def test_texts_that_hdf5_cannot_hold_are_written_without_what_it_cannot(tmp_path: Path) -> None:
    gsr = Signal("gsr", 4.0, "uS", ("gsr",), np.ones((8, 1)), reference="\0")
    write_session(
        Recording("a\0b", "\ud800", {"gsr": gsr}, events=(Event(0.0, 1, "x\0y"),)),
        tmp_path / "s.h5",
    )
    with open_session(tmp_path / "s.h5") as recording:
        assert (recording.session_id, recording.subject_id, recording.events[0].description) == (
            "ab",
            "?",
            "xy",
        )


def test_a_jpeg_that_claims_more_pixels_than_any_camera_is_refused_before_it_is_decoded() -> None:
    whole = sessions._pictures()[0].tobytes()
    at = whole.index(b"\xff\xc0")
    bomb = whole[: at + 5] + struct.pack(">HH", 65_500, 65_500) + whole[at + 9 :]
    assert "claims 65500 x 65500 pixels" in refused("picture", bomb)
    assert "not a JPEG" in refused("picture", b"\x89PNG\r\n\x1a\n" + whole)
    assert TARGETS["picture"].check(whole) is None


def test_frames_larger_than_any_camera_gives_are_refused(tmp_path: Path) -> None:
    def large(file: h5py.File) -> None:
        del file["video/face/embedding"]
        file.create_dataset(
            "video/face/frames", shape=(6, 9000, 9000, 3), dtype="u1", chunks=(1, 1000, 1000, 3)
        )

    with pytest.raises(RecordingError, match=r"claims|too large"):
        open_session(session_with(tmp_path, large)).__enter__()
