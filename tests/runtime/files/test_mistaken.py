"""A file in place of another is called by what it is, and what to do is said."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from emodict.engine import open_engine
from emodict.errors import ModelError, RecordingError
from emodict.files.mistaken import mistaken_for
from emodict.recording import open_session

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123\n"
PAGE = b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"


@pytest.mark.parametrize(
    ("content", "what", "do"),
    [
        (POINTER, "a Git LFS pointer", "git lfs pull"),
        (PAGE, "a web page", "download the file itself"),
    ],
)
def test_what_was_not_fetched_is_called_so_whatever_it_was_to_be(
    content: bytes, what: str, do: str, tmp_path: Path
) -> None:
    for name, error, opening in (
        ("m.onnx", ModelError, open_engine),
        ("s.h5", RecordingError, open_session),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=f"got {what}.*{do}"), opening(tmp_path / name):
            pass


def test_a_recording_in_the_place_of_the_model_is_recognised(session: Path) -> None:
    with pytest.raises(
        ModelError,
        match=r"got an HDF5 file, as recordings are.*the recording without it: emodict-run",
    ):
        open_engine(session)


def test_a_model_in_the_place_of_a_recording_is_recognised(model: Path) -> None:
    with (
        pytest.raises(
            RecordingError,
            match=r"got an ONNX model, which is already exported\. Run it: emodict-run",
        ),
        open_session(model),
    ):
        pass


def test_results_in_the_place_of_a_recording_are_recognised(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file.attrs["format"], file.attrs["version"] = "emodict-predictions", 1
    with (
        pytest.raises(RecordingError, match="It holds results of emodict-run"),
        open_session(tmp_path / "rows.h5"),
    ):
        pass


def test_nothing_is_said_of_what_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x00\x01")
    assert mistaken_for(tmp_path / "x") is None
    assert mistaken_for(tmp_path) is None
    assert mistaken_for(tmp_path / "absent") is None
