"""Faces second by second: which frame counts, how long a lost face is held,
and that batch and stream agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tests.stand_in.face_pictures import SIDE, MarkFinder, picture

from emodict.errors import InputError, RecordingError
from emodict.face.crop import FaceBox, clamp, crop_face
from emodict.face.detect import WholePicture, largest
from emodict.face.embed import HogEmbedder
from emodict.face.stream import FaceStream
from emodict.face.track import LastBox
from emodict.features.extract import extract_features
from emodict.features.face_kinds import require_face_features
from emodict.features.spec import load_spec
from emodict.features.stream import FeatureStream
from emodict.recording.recording import FaceVideo, Recording
from emodict_desk.faces import FaceReport, faces_of_frames, faces_of_recording

BOX = FaceBox(10, 20, 30, 40)
RATE_HZ = 5.0


def stream(**options: Any) -> FaceStream:
    return FaceStream(MarkFinder(), HogEmbedder(), **options)


def film(seconds: int, there: Callable[..., Any], *, rate_hz: float = RATE_HZ) -> Iterator[Any]:
    """(frame, time) of a face that wanders, where `there(time)` says so."""
    for i in range(round(seconds * rate_hz)):
        time_s = i / rate_hz
        yield picture((10 + i % 50, 5 + i % 30) if there(time_s) else None, seed=i), time_s


def source_of(frames: Iterator[Any] | list[tuple[np.ndarray, float]]) -> Callable[..., Any]:
    """A source that honours what is wanted, as a video file does."""

    def source(wants: Callable[..., Any]) -> Iterator[Any]:
        for frame, time_s in frames:
            if wants(time_s):
                yield frame, time_s

    return source


def embedding_of(frame: np.ndarray, left: int, top: int) -> np.ndarray:
    return HogEmbedder().embed(crop_face(frame, FaceBox(left, top, SIDE, SIDE)))


# Boxes over time


def test_a_lost_box_is_held_for_a_while_and_then_forgotten_until_a_face_comes_back() -> None:
    last = LastBox(hold_s=2.5)
    other = FaceBox(1, 2, 30, 30)
    looks = [
        (BOX, 0.0),
        (None, 1.0),
        (None, 2.5),
        (None, 2.6),
        (None, 2.7),
        (other, 3.0),
        (None, 4.0),
    ]
    seen = [last.update(box, time_s) for box, time_s in looks]
    assert [s and (s.box, s.held) for s in seen] == [
        (BOX, False), (BOX, True), (BOX, True), None, None, (other, False), (other, True)
    ]  # fmt: skip


def test_no_box_is_held_before_the_first_face_nor_from_a_time_that_is_yet_to_come() -> None:
    last = LastBox()
    assert last.update(None, 0.0) is None
    last.update(BOX, 10.0)
    assert last.update(None, 9.0) is None


def test_two_looks_a_second_apart_may_be_missed_whatever_the_cameras_jitter() -> None:
    for jitter in (-0.2, 0.2):
        last = LastBox()
        last.update(BOX, 5.0)
        held = [last.update(None, 5 + n + jitter) is not None for n in (1, 2, 3)]
        assert held == [True, True, False]


def test_a_face_is_held_for_two_and_a_half_seconds() -> None:
    last = LastBox()
    last.update(BOX, 5.0)
    assert [last.update(None, at_s) is not None for at_s in (7.5, 7.501)] == [True, False]


def test_the_largest_face_is_taken_and_of_equal_ones_the_first() -> None:
    small, wide, tall = FaceBox(0, 0, 10, 10), FaceBox(5, 5, 40, 20), FaceBox(9, 9, 20, 40)
    assert largest([small, wide, tall]) == wide
    assert largest([tall, wide]) == tall
    assert largest([]) is None


# Crops


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (FaceBox(10, 20, 30, 40), (10, 20, 40, 60)),
        (FaceBox(-5, -7, 30, 40), (0, 0, 25, 33)),
        (FaceBox(100, 70, 60, 60), (100, 70, 120, 90)),
        (FaceBox(-50, -50, 500, 500), (0, 0, 120, 90)),
        (FaceBox(200, 10, 30, 30), None),
        (FaceBox(-27, 10, 30, 30), None),
        (FaceBox(10, 10, math.nan, 30), None),
        (FaceBox(10, 10, 0, 0), None),
    ],
)
def test_a_box_is_clamped_to_the_picture(box: FaceBox, inside: tuple[int, ...] | None) -> None:
    assert clamp(box, width=120, height=90) == inside


def test_a_crop_of_128_pixels_is_the_picture_itself_with_its_colours_in_their_order() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    crop = crop_face(frame, FaceBox(40, 30, 128, 128))
    np.testing.assert_array_equal(crop, frame[30:158, 40:168])
    assert not np.shares_memory(crop, frame)


def test_a_crop_of_twice_the_size_is_the_mean_of_each_four_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    means = frame.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    crop = crop_face(frame, FaceBox(0, 0, 256, 256))
    # Rounded to whole grey levels.
    np.testing.assert_allclose(crop, means, atol=0.5)


# Seconds


def test_the_first_frame_of_each_second_makes_its_row_and_the_others_are_not_even_looked_at() -> (
    None
):
    faces = stream()
    rows = [faces.push(frame, time_s) for frame, time_s in film(3, lambda _: True)]
    assert [len(r) for r in rows] == [1, 0, 0, 0, 0] * 3
    assert faces._finder.looks == 3
    expected = embedding_of(picture((15, 10), seed=5), 15, 10)
    np.testing.assert_array_equal(rows[5].embedding[0], expected)
    assert (rows[5].start_s[0], rows[5].frame_s[0]) == (1.0, 1.0)


def test_a_face_that_leaves_is_held_then_invalid_and_valid_again_once_it_is_back() -> None:
    faces = stream()
    frames = film(12, lambda t: t < 2.5 or t >= 7.2)
    rows = [row for frame, time_s in frames if len(row := faces.push(frame, time_s))]
    assert "".join("f" if r.found[0] else "h" if r.held[0] else "." for r in rows) == "fffhh...ffff"
    for row in rows:
        assert np.isnan(row.embedding).all() == (not row.valid[0])
        assert np.isfinite(row.embedding).all() == row.valid[0]


def test_a_held_row_describes_what_is_now_where_the_face_was() -> None:
    faces = stream()
    faces.push(picture((20, 30), seed=1), 0.0)
    hidden = picture(None)
    hidden[40:60] = 30
    rows = faces.push(hidden, 1.0)
    assert rows.held.tolist() == [True]
    np.testing.assert_array_equal(rows.embedding[0], embedding_of(hidden, 20, 30))


def test_seconds_without_a_frame_are_invalid_rows_and_a_late_frame_changes_nothing() -> None:
    faces = stream()
    faces.push(picture((0, 0)), 0.2)
    rows = faces.push(picture((0, 0)), 3.4)
    assert rows.start_s.tolist() == [1, 2, 3]
    assert rows.valid.tolist() == [False, False, True]
    assert len(faces.push(picture((0, 0)), 2.9)) == 0
    assert len(faces.push(picture((0, 0)), -1.0)) == 0


def test_a_stalled_camera_gives_invalid_rows_as_time_goes_on_and_its_next_frame_a_valid_one() -> (
    None
):
    faces = stream(first_second=2)
    assert len(faces.advance(2.9)) == 0
    assert faces.push(picture((0, 0)), 2.9).valid.tolist() == [True]
    assert [len(faces.advance(t)) for t in (3.0, 4.0, 4.5, 6.1)] == [0, 1, 0, 2]
    # Second 6 is under way: its row is still to come.
    rows = faces.push(picture((0, 0)), 6.5)
    assert (rows.start_s.tolist(), rows.valid.tolist()) == ([6.0], [True])


def test_rows_may_be_kept_while_the_stream_goes_on() -> None:
    faces = stream()
    first = faces.push(picture((0, 0), seed=1), 0.0)
    kept = first.embedding.copy()
    faces.push(picture((30, 10), seed=2), 1.0)
    np.testing.assert_array_equal(first.embedding, kept)


@pytest.mark.parametrize("time_s", [math.nan, math.inf, 1.7e9])
def test_a_time_that_is_none_is_refused(time_s: float) -> None:
    with pytest.raises(InputError, match=r"time cannot be used.*not Unix time"):
        stream().push(picture(None), time_s)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3)),
        np.zeros((0, 9, 3), np.uint8),
    ],
)
def test_what_is_no_colour_picture_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"uint8 \(height, width, 3\)"):
        stream().push(frame, 0.0)


# Batch and stream


def test_batch_and_stream_give_the_same_rows_to_the_model() -> None:
    spec = load_spec("emodict-1-hog").with_modalities(["video"])

    def there(time_s: float) -> bool:
        return not 3.1 <= time_s < 9.5

    face, report = faces_of_frames(source_of(film(14, there)), MarkFinder(), HogEmbedder())
    batch = extract_features(Recording("s", "p", {}, face=face), spec)

    faces, features = stream(), FeatureStream(spec, {"video": 1.0})
    parts = [features.push("video", faces.push(frame, t).embedding) for frame, t in film(14, there)]
    parts.append(features.finish())
    tokens = np.concatenate([p.tokens for p in parts])
    valid = np.concatenate([p.valid for p in parts])
    np.testing.assert_array_equal(tokens, batch.tokens)
    np.testing.assert_array_equal(valid, batch.valid)
    assert valid[:, 0].tolist() == [True] * 6 + [False] * 4 + [True] * 4
    assert (report.seconds, report.found, report.held, report.without) == (14, 8, 2, 4)
    assert str(report) == (
        "14 s of video: a face in 8, held over 2, none in 4; detector: green line; features: hog"
    )


def test_a_video_that_starts_late_has_no_rows_before_it() -> None:
    frames = [(frame, time_s + 10.3) for frame, time_s in film(2, lambda _: True)]
    face, report = faces_of_frames(source_of(frames), MarkFinder(), HogEmbedder())
    assert np.floor(face.timestamps_s).tolist() == [10, 11, 12]
    assert report.seconds == 3


def test_frames_before_the_recordings_start_are_left_out_and_none_at_all_is_an_error() -> None:
    frames = [(frame, time_s - 1.5) for frame, time_s in film(3, lambda _: True)]
    face, _ = faces_of_frames(source_of(frames), MarkFinder(), HogEmbedder())
    assert np.floor(face.timestamps_s).tolist() == [0, 1]
    with pytest.raises(RecordingError, match="no picture in the recording's time"):
        faces_of_frames(source_of([(picture(None), -5.0)]), MarkFinder(), HogEmbedder())


def test_pictures_of_a_session_become_features_and_cropped_ones_are_taken_whole() -> None:
    frames = np.stack([picture((3 * i, i), seed=i) for i in range(4)])
    pictures = Recording("s", "p", {}, face=FaceVideo(np.arange(4) + 0.25, frames=frames))
    found, _ = faces_of_recording(pictures, MarkFinder(), HogEmbedder())
    for i in range(4):
        np.testing.assert_array_equal(found.face.embedding[i], embedding_of(frames[i], 3 * i, i))
    whole, report = faces_of_recording(pictures, WholePicture(), HogEmbedder())
    np.testing.assert_array_equal(
        whole.face.embedding[0], HogEmbedder().embed(crop_face(frames[0], FaceBox(0, 0, 120, 90)))
    )
    assert (report.found, whole.face.features) == (4, "hog")


# Which features


def test_features_of_another_kind_are_refused_and_unnamed_ones_taken() -> None:
    def face(features: str) -> FaceVideo:
        return FaceVideo(np.zeros(1), embedding=np.zeros((1, 32)), features=features)

    require_face_features(face(""), load_spec("emodict-1"))
    require_face_features(face("vgg16-clean 0123456789abcdef"), load_spec("emodict-1"))
    require_face_features(face("vgg16-reference 0123456789abcdef"), load_spec("dmer-sample"))
    require_face_features(face("hog"), load_spec("emodict-1-hog-60hz"))
    require_face_features(face("hog"), load_spec("emodict-1").with_modalities(["eeg"]))
    with pytest.raises(
        RecordingError,
        match=r"not those of feature spec emodict-1\. Expected vgg16-clean, got vgg16-ref",
    ):
        require_face_features(face("vgg16-reference 0123456789abcdef"), load_spec("emodict-1"))
    with pytest.raises(RecordingError, match="Expected hog, got vgg16-clean"):
        require_face_features(face("vgg16-clean 0123456789abcdef"), load_spec("emodict-1-hog"))


@pytest.mark.parametrize(
    ("seconds", "found", "warned"), [(9, 0, True), (9, 1, False), (0, 0, False)]
)
def test_a_video_without_a_face_is_warned_of(seconds: int, found: int, warned: bool) -> None:
    said = str(FaceReport(seconds, found, 0, "green line", "hog"))
    assert ("no face was found in it" in said) == warned
