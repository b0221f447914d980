"""session.h5: what was written comes back, and what cannot be read is refused in a sentence."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from emodict.errors import OutputError, RecordingError
from emodict.recording.recording import Event, FaceVideo, Recording, Signal, Trials
from emodict.recording.session import open_session, write_session

CHANNELS = ("P3", "Cz", "T7")


def eeg(seconds: int = 12, **fields: Any) -> Signal:
    samples = np.random.default_rng(1).normal(size=(seconds * 100, 3)).astype(np.float32)
    samples[7, 1] = np.nan
    return Signal("eeg", 100.0, "uV", CHANNELS, samples, reference="Pz", **fields)


def gsr(**fields: Any) -> Signal:
    return Signal("gsr", 4.0, "uS", ("gsr",), np.arange(48, dtype=np.float32)[:, None], **fields)


def recording(**fields: Any) -> Recording:
    content = {
        "signals": {"eeg": eeg(), "gsr": gsr(start_offset_s=0.25)},
        "trials": Trials(
            np.array([1.0, 6.0]),
            np.array([5.0, 10.0]),
            ("joy ☺", "fear"),
            np.array([[0.25, 0.75], [0.5, 0.5]]),
            ("Alert", "Upset"),
        ),
        "events": (Event(1.5, 7, "button"), Event(2.0, -1, "")),
        "start_time": "2024-05-01T09:30:00Z",
        "device": "a band",
        "software": "a program 1.2",
        "attributes": {"left_out": "TEMP.csv"},
    }
    return Recording("sitting", "Änne", **{**content, **fields})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "s.h5"
    write_session(recording(), path)
    return path


def assert_other_threads_read(path: Path) -> None:
    """h5py has one lock for all threads of a process."""
    read = threading.Thread(target=h5py.is_hdf5, args=(path,), daemon=True)
    read.start()
    read.join(timeout=60)
    assert not read.is_alive()


def assert_same_signal(ours: Signal, theirs: Signal) -> None:
    for name in ("modality", "rate_hz", "unit", "channel_names", "reference", "start_offset_s"):
        assert getattr(ours, name) == getattr(theirs, name)
    np.testing.assert_array_equal(ours.samples[:], theirs.samples[:])
    for name in ("timestamps_s", "sequence"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_every_field_comes_back_as_it_was_written(written: Path) -> None:
    expected = recording()
    with open_session(written) as read:
        for name in (
            "session_id",
            "subject_id",
            "start_time",
            "device",
            "software",
            "attributes",
            "events",
        ):
            assert getattr(read, name) == getattr(expected, name)
        assert set(read.signals) == set(expected.signals)
        for modality, signal in expected.signals.items():
            assert_same_signal(read.signals[modality], signal)
        for name in ("start_s", "stop_s", "distribution"):
            np.testing.assert_array_equal(
                getattr(read.trials, name), getattr(expected.trials, name)
            )
        assert read.trials.trial_id == expected.trials.trial_id
        assert read.trials.label_names == expected.trials.label_names
        assert read.duration_s == 12.25


def test_timestamps_and_sequence_counters_come_back(tmp_path: Path) -> None:
    signals = {
        "eeg": eeg(timestamps_s=np.arange(1200) / 100 + 0.123456789),
        "gsr": gsr(sequence=np.arange(48) * 2),
    }
    write_session(recording(signals=signals), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as read:
        for modality, signal in signals.items():
            assert_same_signal(read.signals[modality], signal)


@pytest.mark.parametrize("form", ["embedding", "frames", "jpeg"])
def test_a_face_comes_back_in_the_form_it_was_written(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(2)
    jpeg = np.empty(3, dtype=object)
    jpeg[:] = [np.arange(n, dtype=np.uint8) for n in (4, 9, 1)]
    held = {
        "embedding": rng.normal(size=(3, 32)).astype(np.float32),
        "frames": rng.integers(0, 255, (3, 8, 6, 3), dtype=np.uint8),
        "jpeg": jpeg,
    }[form]
    face = FaceVideo(
        np.array([0.0, 1.0, 2.5]), **{form: held}, frame_rate_hz=30.0, color_order="RGB"
    )
    write_session(recording(face=face), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as read:
        assert (read.face.form, read.face.frame_rate_hz, read.face.color_order) == (
            form,
            30.0,
            "RGB",
        )
        np.testing.assert_array_equal(read.face.timestamps_s, face.timestamps_s)
        back = getattr(read.face, form)[:]
        assert all(np.array_equal(a, b) for a, b in zip(back, held, strict=True))


def test_a_video_beside_the_session_moves_with_it(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    face = FaceVideo(np.empty(0), external_file="face.mp4")
    write_session(recording(face=face), first / "s.h5")
    with open_session(first / "s.h5") as read:
        assert read.face.external_file == str(first / "face.mp4")
        write_session(read, first / "copy.h5")
    first.rename(second)
    with open_session(second / "copy.h5") as read:
        assert read.face.external_file == str(second / "face.mp4")


def test_a_recording_read_from_one_session_can_be_written_to_another(
    written: Path, tmp_path: Path
) -> None:
    with open_session(written) as read:
        write_session(read, tmp_path / "copy.h5")
    with open_session(written) as ours, open_session(tmp_path / "copy.h5") as theirs:
        for modality in ("eeg", "gsr"):
            assert_same_signal(ours.signals[modality], theirs.signals[modality])
        assert ours.attributes == theirs.attributes


def test_signals_without_samples_come_back_empty(tmp_path: Path) -> None:
    empty = Signal(
        "gsr", 4.0, "uS", ("gsr",), np.empty((0, 1), np.float32), timestamps_s=np.empty(0)
    )
    write_session(Recording("s", "p", {"gsr": empty}), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as read:
        assert read.signals["gsr"].samples.shape == (0, 1)


def test_samples_stay_in_the_file_until_they_are_sliced(written: Path) -> None:
    with open_session(written) as read:
        samples = read.signals["eeg"].samples
        assert isinstance(samples, h5py.Dataset)
        assert samples.chunks == (1000, 3)
        np.testing.assert_array_equal(samples[100:103], eeg().samples[100:103])


def test_an_attribute_cannot_pass_for_the_format(tmp_path: Path) -> None:
    write_session(recording(attributes={"format": "mine", "subject_id": "x"}), tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as read:
        assert read.subject_id == "Änne"


def test_a_single_channel_name_may_be_one_string(written: Path) -> None:
    with h5py.File(written, "r+") as file:
        file["signals/gsr"].attrs["channel_names"] = "gsr"
    with open_session(written) as read:
        assert read.signals["gsr"].channel_names == ("gsr",)


def test_a_file_that_is_no_session_is_refused_with_what_it_is(
    tmp_path: Path, written: Path
) -> None:
    text, empty, other = tmp_path / "a.csv", tmp_path / "empty.h5", tmp_path / "other.h5"
    text.write_text("Time,P3\n")
    empty.touch()
    h5py.File(other, "w").close()
    for path, sentence in (
        (tmp_path / "nowhere.h5", "There is no file"),
        (tmp_path, "is a folder"),
        (text, "is not an HDF5 file.*Time,P3"),
        (empty, "got an empty file"),
        (other, "is HDF5 but not a session.*no such attribute"),
    ):
        with pytest.raises(RecordingError, match=sentence), open_session(path):
            pass


def test_a_session_cut_off_anywhere_is_refused(written: Path, tmp_path: Path) -> None:
    content = written.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        cut = tmp_path / "cut.h5"
        cut.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(RecordingError, match="cut off"), open_session(cut):
            pass


@pytest.mark.parametrize("version", [0, 2, "one", None])
def test_another_version_is_refused_with_both_numbers(
    written: Path, version: int | str | None
) -> None:
    with h5py.File(written, "r+") as file:
        del file.attrs["format_version"]
        if version is not None:
            file.attrs["format_version"] = version
    got = "no such attribute" if version is None else version
    with pytest.raises(RecordingError, match=f"format_version 1, got {got}"), open_session(written):
        pass


def _set(group: str, name: str, value: float | list[str] | str) -> Callable[..., Any]:
    def change(file: h5py.File) -> None:
        file[group].attrs[name] = value

    return change


def _delete(path: str) -> Callable[..., Any]:
    def change(file: h5py.File) -> None:
        del file[path]

    return change


def _add(path: str, data: int | np.ndarray) -> Callable[..., Any]:
    def change(file: h5py.File) -> None:
        file[path] = data

    return change


def _replace(path: str, data: list[Any] | np.ndarray) -> Callable[..., Any]:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = data

    return change


BROKEN = [
    (_replace("signals", np.zeros(3)), "is damaged or incomplete"),
    (_delete("trials/stop"), "is damaged or incomplete.*stop"),
    (_replace("trials/stop", [0.5, 10.0]), "does not stop after it starts"),
    (_replace("trials/distribution", np.ones((2, 3))), r"shape is wrong.*\(2, 2\).*\(2, 3\)"),
    (_delete("events/code"), "is damaged or incomplete.*code"),
]
BROKEN_MODALITY = [
    (_delete("signals/eeg/data"), "eeg: /signals/eeg has no dataset 'data'"),
    (_set("signals/eeg", "sampling_rate", 0.0), "eeg: the sampling rate cannot be used.*got 0.0"),
    (_set("signals/eeg", "sampling_rate", -100.0), "eeg: the sampling rate.*got -100.0"),
    (_set("signals/eeg", "sampling_rate", np.nan), "eeg: the sampling rate.*got nan"),
    (_set("signals/eeg", "sampling_rate", "fast"), "eeg: sampling_rate is not a number.*fast"),
    (
        _set("signals/eeg", "channel_names", ["P3", "Cz"]),
        r"eeg: data and channel names.*\(1200, 3\)",
    ),
    (_set("signals/eeg", "channel_names", ["P3", "T3", "T7"]), "eeg: channel T3 is there twice"),
    (_set("signals/gsr", "start_offset", np.inf), "gsr: start_offset is not a time"),
    (
        _add("signals/gsr/timestamps", np.r_[np.arange(47), 5.0]),
        "timestamps.*run back at sample 47.*46.0",
    ),
    (_add("signals/gsr/timestamps", np.full(48, np.nan)), "timestamps.*not a finite number"),
    (
        _add("signals/gsr/timestamps", np.arange(48) + 1.7e9),
        "gsr: the last sample.*days.*not Unix time",
    ),
    (
        _add("signals/gsr/timestamps", np.arange(47.0)),
        r"gsr: timestamps and data disagree.*\(48,\)",
    ),
    (
        _add("signals/gsr/sequence", np.r_[np.arange(47), 2**40]),
        "gsr: the last sample lies .* days",
    ),
    (_replace("signals/eeg", np.zeros(3)), "eeg: /signals/eeg has no dataset 'data'"),
    (_replace("signals/gsr/data", ["a"] * 48), "gsr: data holds no numbers"),
    (_add("video/face/frames", np.zeros((3, 4))), "video: frames has the wrong shape"),
    (_add("video/face/other", 0), "video: a face is held in one form"),
]


@pytest.mark.parametrize(("change", "sentence"), BROKEN, ids=[sentence for _, sentence in BROKEN])
def test_what_is_wrong_inside_is_named(
    written: Path, change: Callable[..., Any], sentence: str
) -> None:
    with h5py.File(written, "r+") as file:
        change(file)
    with pytest.raises(RecordingError, match=sentence) as held, open_session(written):
        pass
    # The error holds the frames it passed through:
    # what h5py locked in them is locked as long as it lives.
    assert held.value.__traceback__ is not None
    assert_other_threads_read(written)


@pytest.mark.parametrize(
    ("change", "sentence"), BROKEN_MODALITY, ids=[sentence for _, sentence in BROKEN_MODALITY]
)
def test_a_broken_modality_is_named_and_does_not_take_the_others_with_it(
    written: Path, change: Callable[..., Any], sentence: str
) -> None:
    with h5py.File(written, "r+") as file:
        change(file)
    with open_session(written) as read:
        (broken,) = read.unusable
        assert re.search(sentence, read.unusable[broken])
        assert set(read.modality_names) == {"eeg", "gsr"} - {broken}
        assert all(len(signal.read(0, 8)) == 8 for signal in read.signals.values())
        with pytest.raises(RecordingError, match=sentence):
            read.require_usable([broken])
        read.require_usable(read.modality_names)
    assert_other_threads_read(written)


def test_where_the_only_modality_is_broken_the_session_is_refused(written: Path) -> None:
    with h5py.File(written, "r+") as file:
        del file["signals/eeg"], file["signals/gsr"].attrs["units"]
    with (
        pytest.raises(RecordingError, match=r"s\.h5: gsr: /signals/gsr has no attribute 'units'"),
        open_session(written),
    ):
        pass


def test_times_that_cannot_be_are_refused_with_the_command_that_repairs_them(written: Path) -> None:
    with h5py.File(written, "r+") as file:
        file["signals/gsr/timestamps"] = np.arange(48) + 1.7e9
    with open_session(written) as read:
        assert read.unusable["gsr"].endswith(
            f"Or emodict-session repair '{written}' -o REPAIRED.h5."
        )


def test_a_missing_channel_is_named_when_it_is_asked_for(written: Path) -> None:
    with (
        open_session(written) as read,
        pytest.raises(RecordingError, match=r"eeg: channels F3, Oz missing\. .*got P3 Cz T7"),
    ):
        read.signals["eeg"].channel_columns(["P3", "F3", "Oz", "T3"])


def test_writing_fails_whole_and_leaves_the_old_file_alone(written: Path, tmp_path: Path) -> None:
    before = written.read_bytes()

    class Damaged:
        shape = (10, 1)

        def __getitem__(self, key: slice) -> None:
            raise OSError("inflate() failed")

    bad = Recording("s", "p", {"gsr": Signal("gsr", 4.0, "uS", ("gsr",), Damaged())})
    with pytest.raises(RecordingError, match="cannot be read"):
        write_session(bad, written)
    assert written.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]
    with pytest.raises(OutputError, match="mkdir -p"):
        write_session(recording(), tmp_path / "no" / "s.h5")


def test_two_readers_may_open_one_session(written: Path, tmp_path: Path) -> None:
    shutil.copy(written, tmp_path / "copy.h5")
    with open_session(written) as one, open_session(written) as two:
        assert one.subject_id == two.subject_id


def test_a_signal_turned_upside_down_is_read_so_and_the_recording_says_so(tmp_path: Path) -> None:
    ppg = Signal("ppg", 10.0, "a.u.", ("ppg",), np.arange(40, dtype=np.uint16)[:, None])
    turned = Recording("s", "p", {"ppg": ppg}).inverted(["ppg"])
    write_session(turned, tmp_path / "s.h5")
    with open_session(tmp_path / "s.h5") as read:
        np.testing.assert_array_equal(read.signals["ppg"].read(3, 6)[:, 0], [-3, -4, -5])
        assert read.attributes["inverted"] == "ppg"
    with pytest.raises(
        RecordingError, match=r"--invert gsr: there is no such signal. Expected one of ppg"
    ):
        turned.inverted(["gsr"])
