"""Recordings of several devices on one clock, and `emodict-session import` as it is typed."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
from tests.runtime.desk.test_import_openbci import openbci_file

from emodict.errors import RecordingError
from emodict.recording.recording import Event, FaceVideo, Recording, Signal, Trials
from emodict.recording.session import open_session, write_session
from emodict_desk.cli import session as cli
from emodict_desk.importers.join import Companion, join_recordings, keep_only, read_companion


def recording(
    modality: str = "ppg",
    *,
    seconds: int = 60,
    start: str = "2024-05-01T09:30:00Z",
    offset_s: float = 0.0,
    **more: Any,
) -> Recording:
    rate, unit = {"ppg": (64.0, "a.u."), "gsr": (4.0, "uS"), "eeg": (100.0, "uV")}[modality]
    names = ("Cz", "Fz") if modality == "eeg" else (modality,)
    samples = np.random.default_rng(1).normal(size=(round(seconds * rate), len(names)))
    signal = Signal(modality, rate, unit, names, samples, start_offset_s=offset_s)
    return Recording(
        f"{modality}-1",
        "anna",
        {modality: signal},
        start_time=start,
        device=modality.upper(),
        **more,
    )


def test_start_times_and_offset_place_the_second_device() -> None:
    band = recording("eeg", start="2024-05-01T11:30:10.500+02:00", events=(Event(1.0, 3, "on"),))
    joined = join_recordings(recording("ppg"), [Companion("band.edf", band, 1.25)])
    assert joined.signals["ppg"].start_s == 0.0
    assert joined.signals["eeg"].start_s == pytest.approx(11.75)
    assert [(e.onset_s, e.code) for e in joined.events] == [(12.75, 3)]
    assert joined.start_time == "2024-05-01T09:30:00Z"
    assert joined.device == "PPG + EEG"
    assert (
        "band.edf: starts +10.500 s by the start times, +1.25 s added" in joined.attributes["notes"]
    )


def test_a_second_device_that_started_earlier_moves_the_start() -> None:
    trials = Trials(np.array([1.0]), np.array([9.0]), ("a",))
    first = recording("ppg", trials=trials, events=(Event(2.0, 1),))
    joined = join_recordings(
        first, [Companion("b", recording("gsr", start="2024-05-01T09:29:50Z"))]
    )
    assert joined.start_time == "2024-05-01T09:29:50Z"
    assert joined.signals["ppg"].start_s == pytest.approx(10.0)
    assert joined.signals["gsr"].start_s == 0.0
    assert joined.trials.start_s.tolist() == [11.0]
    assert joined.events[0].onset_s == 12.0


@pytest.mark.parametrize(
    ("ours", "theirs", "sentence"),
    [
        ("2024-05-01T09:30:00Z", "", "b: taken to start together, for b has no start time"),
        ("", "2024-05-01T09:30:00Z", "for the first recording has no start time"),
        ("2024-05-01T09:30:00Z", "2024-05-01T11:30:00", "the start time of b has no time zone"),
        (
            "2024-05-01T11:30:00",
            "2024-05-01T09:30:00Z",
            "the start time of the first recording has no time zone",
        ),
    ],
)
def test_start_times_that_cannot_be_compared_are_said_and_not_used(
    ours: str, theirs: str, sentence: str
) -> None:
    joined = join_recordings(
        recording("ppg", start=ours), [Companion("b", recording("gsr", start=theirs), 2.0)]
    )
    assert joined.signals["gsr"].start_s == 2.0
    assert sentence in joined.attributes["notes"]
    assert "+2 s added" in joined.attributes["notes"]


def test_start_times_that_no_time_zone_brings_together_are_refused() -> None:
    years_later = Companion("b", recording("gsr", start="2026-05-01T09:30:00"))
    with pytest.raises(RecordingError, match=r"b is not of the same day.*730 days later"):
        join_recordings(recording("ppg"), [years_later])
    # A clock that was wrong: the offset says where it belongs.
    placed = dataclasses.replace(years_later, offset_s=2.0)
    assert join_recordings(recording("ppg"), [placed]).signals["gsr"].start_s == 2.0
    # The furthest zone is 14 hours from UTC.
    same_day = Companion("b", recording("gsr", start="2024-05-01T23:30:00"))
    assert join_recordings(recording("ppg"), [same_day]).signals["gsr"].start_s == 0.0


def test_time_stamps_are_shifted_too() -> None:
    signal = Signal(
        "gsr", 4.0, "uS", ("gsr",), np.ones((4, 1)), timestamps_s=np.array([0, 0.25, 0.5, 3])
    )
    joined = join_recordings(
        recording("ppg"), [Companion("b", Recording("b", "b", {"gsr": signal}), 1.5)]
    )
    np.testing.assert_array_equal(joined.signals["gsr"].timestamps_s, [1.5, 1.75, 2.0, 4.5])


def test_the_frame_times_of_a_video_beside_the_session_are_shifted() -> None:
    film = FaceVideo(np.array([0.0, 0.04, 0.08]), external_file="film.mp4")
    joined = join_recordings(recording("ppg"), [Companion("b", recording("gsr", face=film), 1.5)])
    np.testing.assert_array_equal(joined.face.timestamps_s, [1.5, 1.54, 1.58])


def test_a_video_without_frame_times_plays_from_zero_so_it_is_joined_there_or_refused() -> None:
    film = FaceVideo(np.zeros(0), external_file="film.mp4")
    both = recording("ppg"), recording("gsr", face=film)
    assert join_recordings(both[0], [Companion("b", both[1])]).face is film
    with pytest.raises(
        RecordingError, match=r"film\.mp4 cannot be moved by 1\.500 s.*/video/face/timestamps"
    ):
        join_recordings(both[0], [Companion("b", both[1], 1.5)])
    # The one that holds the video stays at 0; then it is the first that is moved.
    assert join_recordings(both[0], [Companion("b", both[1], -1.5)]).signals["ppg"].start_s == 1.5
    with pytest.raises(RecordingError, match=r"film\.mp4 cannot be moved by 1\.500 s"):
        join_recordings(both[1], [Companion("b", both[0], -1.5)])


def test_recordings_that_share_no_time_or_modality_are_refused() -> None:
    with pytest.raises(
        RecordingError, match=r"does not overlap.*0 and 60\.0 s.*3600\.0 to 3660\.0 s.*--offset"
    ):
        join_recordings(
            recording("ppg"), [Companion("b", recording("gsr", start="2024-05-01T10:30:00Z"))]
        )
    with pytest.raises(RecordingError, match=r"b and the first recording both hold ppg"):
        join_recordings(recording("ppg"), [Companion("b", recording("ppg"))])
    trials = Trials(np.array([1.0]), np.array([9.0]), ("a",))
    with pytest.raises(RecordingError, match="hold trials"):
        join_recordings(
            recording("ppg", trials=trials), [Companion("b", recording("gsr", trials=trials))]
        )


@pytest.mark.parametrize(
    ("late_s", "offset_s", "overlaps"),
    [
        (0.0, 59.999, True),
        (0.0, 60.0, False),
        (0.0, -59.999, True),
        (0.0, -60.0, False),
        (2.0, 58.0, False),
    ],
)
def test_recordings_that_only_touch_do_not_overlap(
    late_s: float, offset_s: float, overlaps: bool
) -> None:
    # `late_s` is where the companion's signal starts on its own clock;
    # its last second is then later, too.
    companion = recording("gsr", offset_s=late_s, start="")
    if overlaps:
        joined = join_recordings(recording("ppg"), [Companion("b", companion, offset_s)])
        assert set(joined.modality_names) == {"gsr", "ppg"}
        return
    with pytest.raises(RecordingError, match="does not overlap"):
        join_recordings(recording("ppg"), [Companion("b", companion, offset_s)])


def test_two_that_hold_a_face_are_refused_and_one_is_kept() -> None:
    face = FaceVideo(np.arange(3.0), embedding=np.ones((3, 32)))
    joined = join_recordings(recording("ppg"), [Companion("b", recording("gsr", face=face), 0.5)])
    assert joined.face.timestamps_s.tolist() == [0.5, 1.5, 2.5]
    assert joined.trials is None
    with pytest.raises(RecordingError, match="Two of the recordings hold a face"):
        join_recordings(recording("ppg", face=face), [Companion("b", recording("gsr", face=face))])


def test_of_three_the_sentence_says_whose_modality_to_leave_out() -> None:
    first, second = recording("ppg"), recording("gsr")
    with pytest.raises(RecordingError, match="c and the first recording both hold ppg"):
        join_recordings(first, [Companion("b", second), Companion("c", recording("ppg"))])
    both = Recording("s", "a", {**recording("ppg").signals, **recording("eeg").signals})
    with pytest.raises(RecordingError, match="Take it from the second: --only eeg"):
        join_recordings(both, [Companion("b", recording("ppg"))])
    with pytest.raises(
        RecordingError, match=r"c and b both hold gsr.*Import the second alone with --only"
    ):
        join_recordings(first, [Companion("b", second), Companion("c", recording("gsr"))])


def test_a_recording_without_a_start_time_gets_none_where_a_companion_starts_earlier() -> None:
    joined = join_recordings(
        recording("ppg", start=""), [Companion("b", recording("gsr", start=""), -3.0)]
    )
    assert (joined.start_time, joined.signals["ppg"].start_s) == ("", 3.0)
    assert "-3 s added" in joined.attributes["notes"]
    plain = join_recordings(
        recording("ppg", start=""), [Companion("b", recording("gsr", start=""))]
    )
    assert "added" not in plain.attributes["notes"]


def test_a_second_file_that_names_no_electrodes_is_to_be_imported_alone_first(
    tmp_path: Path,
) -> None:
    openbci_file(tmp_path / "a.txt", samples=range(400))
    said = r"where its electrodes were.*Import it alone"
    with contextlib.ExitStack() as stack, pytest.raises(RecordingError, match=said):
        read_companion(tmp_path / "a.txt", None, stack)


def test_a_second_file_of_no_kind_or_of_one_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"what")
    with contextlib.ExitStack() as stack:
        with pytest.raises(
            RecordingError, match=r"cannot be told.*a file that starts with b'what'.*--with-kind"
        ):
            read_companion(tmp_path / "a", None, stack)
        with pytest.raises(RecordingError, match="--with-kind ecg is not a kind of recording"):
            read_companion(tmp_path / "a", "ecg", stack)
        with pytest.raises(RecordingError, match="There is no file"):
            read_companion(tmp_path / "b", None, stack)


def test_what_is_not_wanted_is_named() -> None:
    both = Recording(
        "s",
        "a",
        {**recording("ppg").signals, **recording("gsr").signals},
        attributes={"left_out": "x"},
    )
    only = keep_only(both, ["gsr"])
    assert only.modality_names == ("gsr",)
    assert only.attributes["left_out"] == "x, ppg (not wanted)"
    with pytest.raises(RecordingError, match="has no eeg"):
        keep_only(both, ["eeg"])
    filmed = recording("gsr", face=FaceVideo(np.arange(3.0), embedding=np.ones((3, 32))))
    assert keep_only(filmed, ["gsr"]).face is None
    assert keep_only(filmed, ["video"]).modality_names == ("video",)


@pytest.fixture
def e4_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "S07"
    folder.mkdir()
    (folder / "BVP.csv").write_text("1714555800\n64\n" + "1\n-1\n" * 960)
    (folder / "EDA.csv").write_text("1714555800\n4\n" + "0.5\n" * 120)
    return folder


@pytest.fixture
def edf_file(tmp_path: Path) -> Path:
    signal = edfio.EdfSignal(
        np.random.default_rng(1).normal(0, 20, 2000), 100, label="EEG Cz", physical_dimension="uV"
    )
    edfio.Edf([signal]).write(tmp_path / "eeg.edf")
    return tmp_path / "eeg.edf"


def test_import_joins_an_edf_to_an_e4_with_an_offset(
    run_in_process: Callable[..., Any], e4_folder: Path, edf_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "both.h5"
    code, said, _ = run_in_process(
        cli,
        "import",
        "e4",
        e4_folder,
        "--with",
        edf_file,
        "--offset",
        "1.25",
        "-o",
        out,
        "--subject",
        "anna",
    )
    assert code == 0
    assert "eeg   100 Hz, uV, 20.0 s, from 1.25 s on" in said
    assert "taken to start together" in said
    with open_session(out) as joined:
        assert joined.modality_names == ("eeg", "gsr", "ppg")
        assert joined.subject_id == "anna"


def test_import_joins_several_files_of_any_kind(
    run_in_process: Callable[..., Any], e4_folder: Path, edf_file: Path, tmp_path: Path
) -> None:
    table = tmp_path / "skin.csv"
    table.write_text("time,EDA (uS)\n" + "".join(f"{n / 4:.2f},{n}\n" for n in range(80)))
    session = tmp_path / "first.h5"
    assert run_in_process(cli, "import", "edf", edf_file, "-o", session)[0] == 0
    out = tmp_path / "all.h5"
    words = ["--only", "ppg", "--with", session, "--with", table, "--offset", "1", "--offset", "2"]
    code, said, _ = run_in_process(cli, "import", "e4", e4_folder, *words, "-o", out)
    assert code == 0
    assert "gsr (not wanted)" in said
    with open_session(out) as joined:
        assert joined.signals["eeg"].start_s == 1.0
        assert joined.signals["gsr"].start_s == 2.0
        np.testing.assert_array_equal(joined.signals["gsr"].samples[:, 0], np.arange(80))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--with", "nowhere.edf"], "There is no file nowhere.edf"),
        (
            ["--with", "{edf}", "--offset", "1", "--offset", "2"],
            "--offset is there 2 times, and --with 1 times",
        ),
        (["--offset", "1"], "--offset is there 1 times, and --with 0 times"),
        (["--with", "{edf}", "--with-kind", "gpx"], "--with-kind gpx is not a kind of recording"),
        (["--with", "{edf}", "--with-kind", "xdf"], "emodict-session import edf"),
        (["--with", "{copy}"], "both hold ppg"),
        (["--with", "{e4}"], "S07 is given twice"),
        (["--only", "eeg"], "the recording has no eeg"),
        (["--with", "{edf}", "--offset", "9999"], "does not overlap"),
    ],
)
def test_import_refuses_what_cannot_be_joined(
    run_in_process: Callable[..., Any],
    e4_folder: Path,
    edf_file: Path,
    tmp_path: Path,
    words: list[str],
    says: str,
) -> None:
    copy = shutil.copytree(e4_folder, tmp_path / "copy")
    words = [word.format(edf=edf_file, e4=e4_folder, copy=copy) for word in words]
    code, _, err = run_in_process(cli, "import", "e4", e4_folder, *words, "-o", tmp_path / "x.h5")
    assert code == 2
    assert says in err
    assert not (tmp_path / "x.h5").exists()


def test_import_never_writes_over_a_recording_that_it_joins(
    run_in_process: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    write_session(recording("eeg"), tmp_path / "eeg.h5")
    before = (tmp_path / "eeg.h5").read_bytes()
    words = ("--with", tmp_path / "eeg.h5", "-o", tmp_path / "eeg.h5")
    code, _, err = run_in_process(cli, "import", "e4", e4_folder, *words)
    assert code == 2
    assert "it is what is read" in err
    assert (tmp_path / "eeg.h5").read_bytes() == before


def test_import_takes_the_options_of_its_kind_alone(
    run_in_process: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "a.csv"
    table.write_text("n,puls\n" + "".join(f"{n},{n}\n" for n in range(640)))
    words = ("--rate", "64", "--columns", "ppg=puls", "-o", tmp_path / "a.h5")
    code, said, _ = run_in_process(cli, "import", "csv", table, *words)
    assert (code, "ppg   64 Hz, a.u., 10.0 s" in said) == (0, True)
    assert "left out: column n (not used)" in said
    code, _, err = run_in_process(
        cli, "import", "e4", e4_folder, "--rate", "64", "-o", tmp_path / "b.h5"
    )
    assert (code, "No such option" in err and "--rate" in err) == (2, True)


def test_import_help_names_every_kind_and_how_to_join(run_in_process: Callable[..., Any]) -> None:
    code, said, _ = run_in_process(cli, "import", "--help")
    assert code == 0
    for word in (
        "e4",
        "embraceplus",
        "edf",
        "dsi",
        "muse",
        "xdf",
        "opensignals",
        "brainflow",
        "dmer",
        "csv",
        "--with",
    ):
        assert word in said


def test_starting_the_command_imports_no_reader_of_files() -> None:
    code = (
        "import sys; from emodict_desk.cli.session import build; build(); "
        "late = ('pyxdf', 'fastavro', 'brainflow', 'edfio', 'h5py', 'emodict.features'); "
        "print([m for m in late if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (["e4", "e4_stress_predict_S01"], {"ppg", "gsr"}),
        (["opensignals", "opensignals_h5/bvp_rest.h5"], {"ppg"}),
        (["opensignals", "opensignals_h5/bvp_motion_artifact.h5", "--sensor", "A2=BVP"], {"ppg"}),
        (["opensignals", "opensignals_h5/eda_slow_signal.h5"], {"gsr"}),
        (["opensignals", "opensignals_h5/eda_hot_surface.h5"], {"gsr"}),
        (["opensignals", "opensignals_h5/signal_sample_single_hub_EEG_2018_7_4.h5"], {"eeg"}),
        (
            [
                "opensignals",
                "opensignals_h5/eeg_sample_closed_open_eyes.h5",
                "--sensor",
                "RAW1=EEG:O1,RAW5=EEG:O2",
            ],
            {"eeg"},
        ),
        (["xdf", "xdf_examples/minimal.xdf"], {"eeg"}),
        (["xdf", "xdf_examples/clock_resets.xdf"], {"eeg"}),
        (["xdf", "xdf_examples/empty_streams.xdf"], "holds no stream of EEG, PPG or GSR"),
        (
            ["opensignals", "opensignals_h5/bvp_motion_artifact.h5"],
            "holds no channel that emodict uses",
        ),
        (
            ["opensignals", "opensignals_h5/eeg_sample_closed_open_eyes.h5"],
            "holds no channel that emodict uses",
        ),
    ],
)
def test_every_real_file_is_imported_or_refused_in_a_sentence(
    run_in_process: Callable[..., Any],
    shared_data: Path,
    tmp_path: Path,
    words: list[str],
    holds: set[str] | str,
) -> None:
    out = tmp_path / "s.h5"
    code, said, err = run_in_process(
        cli, "import", words[0], shared_data / words[1], *words[2:], "-o", out
    )
    if isinstance(holds, str):
        assert (code, out.exists()) == (2, False)
        assert holds in err
        assert err.count("\n") == 1
        return
    assert code == 0, err
    with open_session(out) as imported:
        assert set(imported.signals) == holds
    assert "source: " in said
