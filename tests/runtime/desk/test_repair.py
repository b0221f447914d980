"""repair: what can be used of a session whose times cannot be,
and a sentence on all that was done.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emodict.errors import RecordingError
from emodict.recording.recording import Event, Recording, Signal, Trials
from emodict.recording.session import open_session, write_session
from emodict_desk.recordings.repair import longest_growing, repair_session

START = "2026-11-30T11:40:34Z"
# By `date -u -d 2026-11-30T11:40:34Z +%s`.
START_UNIX_S = 1796038834.0
TIMES_S = {"gsr": np.arange(48) / 4, "ppg": np.arange(1200) / 100}
UNITS = {"gsr": "uS", "ppg": "a.u."}


@pytest.fixture
def stamped(tmp_path: Path) -> Path:
    """12 s of two sensors with times, each sample its own number."""
    signals = {
        name: Signal(
            name,
            1 / float(times_s[1]),
            UNITS[name],
            (name,),
            np.arange(len(times_s), dtype=np.float32)[:, None],
            timestamps_s=times_s,
        )
        for name, times_s in TIMES_S.items()
    }
    trials = Trials(np.array([1.0]), np.array([9.0]), ("film",), np.array([[1.0]]), ("Alert",))
    path = tmp_path / "s.h5"
    write_session(
        Recording(
            "s", "p", signals, trials=trials, events=(Event(2.5, 1, "tag"),), start_time=START
        ),
        path,
    )
    return path


def with_times(path: Path, **times_s: np.ndarray) -> bytes:
    with h5py.File(path, "r+") as file:
        for name, values in times_s.items():
            file[f"signals/{name}/timestamps"][:] = values
    return path.read_bytes()


def test_unix_times_are_counted_from_the_start_and_all_modalities_moved_by_the_same(
    stamped: Path, tmp_path: Path
) -> None:
    moved = {name: times_s + START_UNIX_S + 1.25 for name, times_s in TIMES_S.items()}
    before = with_times(stamped, **moved)
    done = repair_session(stamped, tmp_path / "out.h5")
    with open_session(tmp_path / "out.h5") as read:
        for name, signal in read.signals.items():
            # Unix times of 1.8e9 s are held by float64 to 2.4e-7 s.
            np.testing.assert_allclose(signal.timestamps_s, TIMES_S[name] + 1.25, rtol=0, atol=5e-7)
            assert signal.read(0, 2000)[:, 0].tolist() == list(range(len(TIMES_S[name])))
        assert (read.trials.start_s.tolist(), read.events[0].onset_s) == ([1.0], 2.5)
        assert all(sentence in read.attributes["notes"] for sentence in done)
    assert [sentence.split(":")[0] for sentence in done] == ["gsr", "ppg"]
    assert stamped.read_bytes() == before


def test_times_from_a_moment_that_is_not_known_begin_at_zero_and_keep_their_distance(
    stamped: Path, tmp_path: Path
) -> None:
    # As a bridge to LSL wrote them: Unix time less the uptime of the machine.
    with_times(
        stamped,
        gsr=TIMES_S["gsr"] + START_UNIX_S - 12_000,
        ppg=TIMES_S["ppg"] + START_UNIX_S - 11_999.5,
    )
    repair_session(stamped, tmp_path / "out.h5")
    with open_session(tmp_path / "out.h5") as read:
        assert read.signals["gsr"].start_s == pytest.approx(0.0, abs=5e-7)
        assert read.signals["ppg"].start_s == pytest.approx(0.5, abs=5e-7)


@pytest.mark.parametrize(
    ("at", "stamp_s", "left_out"),
    [
        (700, 200_007.0, [700]),
        (1199, 200_012.0, [1199]),
        (0, -400_000.0, [0]),
        (500, np.nan, [500]),
        (300, 2.0, [300]),
        # Equal to the one before: which of the two is wrong cannot be told.
        (300, 2.99, [299]),
    ],
)
def test_one_glitched_stamp_costs_its_own_sample_alone(
    stamped: Path, tmp_path: Path, at: int, stamp_s: float, left_out: list[int]
) -> None:
    times_s = TIMES_S["ppg"].copy()
    times_s[at] = stamp_s
    with_times(stamped, ppg=times_s)
    (said,) = repair_session(stamped, tmp_path / "out.h5")
    assert said.startswith("ppg: 1 of 1200 samples left out")
    kept = [n for n in range(1200) if n not in left_out]
    with open_session(tmp_path / "out.h5") as read:
        assert read.signals["ppg"].read(0, 2000)[:, 0].tolist() == kept
        np.testing.assert_array_equal(read.signals["ppg"].timestamps_s, times_s[kept])
        np.testing.assert_array_equal(read.signals["gsr"].timestamps_s, TIMES_S["gsr"])


def test_a_clock_that_steps_back_and_stays_loses_the_seconds_that_it_counted_twice(
    stamped: Path, tmp_path: Path
) -> None:
    # 3 s back at second 8: the samples of 5 to 8 s were stamped twice, and may stay once.
    with_times(stamped, ppg=np.where(np.arange(1200) < 800, TIMES_S["ppg"], TIMES_S["ppg"] - 3.0))
    repair_session(stamped, tmp_path / "out.h5")
    with open_session(tmp_path / "out.h5") as read:
        times_s = read.signals["ppg"].timestamps_s
    # One more may stay where rounding has put a second stamp beside the first.
    assert len(times_s) in (900, 901)
    assert (np.diff(times_s) > 0).all()
    np.testing.assert_allclose(
        np.unique(np.round(times_s, 9)), np.arange(900) / 100, rtol=0, atol=1e-9
    )


def test_what_else_is_wrong_is_left_out_and_named(stamped: Path, tmp_path: Path) -> None:
    with_times(stamped, ppg=TIMES_S["ppg"] + 1.7e9)
    with h5py.File(stamped, "r+") as file:
        del file["signals/gsr"].attrs["units"]
    said = repair_session(stamped, tmp_path / "out.h5")
    assert said[-1].startswith("Left out: gsr: /signals/gsr has no attribute 'units'")
    with open_session(tmp_path / "out.h5") as read:
        assert read.modality_names == ("ppg",)


def test_a_counter_that_stands_still_beside_good_times_is_left_out(
    stamped: Path, tmp_path: Path
) -> None:
    with h5py.File(stamped, "r+") as file:
        file["signals/ppg/sequence"] = np.zeros(1200, dtype=int)
    (said,) = repair_session(stamped, tmp_path / "out.h5")
    assert said == "ppg: its counter of samples is left out; its times say where they lie"
    with open_session(tmp_path / "out.h5") as read:
        assert read.signals["ppg"].sequence is None
        np.testing.assert_array_equal(read.signals["ppg"].timestamps_s, TIMES_S["ppg"])


def test_a_counter_without_times_that_jumps_back_loses_the_samples_it_counted_twice(
    stamped: Path, tmp_path: Path
) -> None:
    with h5py.File(stamped, "r+") as file:
        del file["signals/gsr/timestamps"]
        file["signals/gsr/sequence"] = np.r_[np.arange(30), np.arange(25, 43)]
    (said,) = repair_session(stamped, tmp_path / "out.h5")
    assert said.startswith("gsr: 5 of 48 samples left out")
    with open_session(tmp_path / "out.h5") as read:
        assert read.signals["gsr"].sequence.tolist() == list(range(43))


def test_what_is_not_one_time_a_sample_is_left_out_not_guessed(
    stamped: Path, tmp_path: Path
) -> None:
    with_times(stamped, gsr=TIMES_S["gsr"] + 1.7e9)
    with h5py.File(stamped, "r+") as file:
        del file["signals/ppg/timestamps"]
        file["signals/ppg/timestamps"] = np.r_[TIMES_S["ppg"][:600], 3.0]
    said = repair_session(stamped, tmp_path / "out.h5")
    assert said[-1].startswith("Left out: ppg: timestamps and data disagree")


def test_a_session_with_nothing_to_repair_is_not_written_again(
    stamped: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        RecordingError, match=r"no times in it that can be repaired\. Use it as it is"
    ):
        repair_session(stamped, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


@given(st.lists(st.integers(0, 6), max_size=7))
def test_the_samples_that_stay_are_as_many_as_can_grow(values: list[int]) -> None:
    chosen = longest_growing(np.array(values, dtype=float)).tolist()
    growing = [
        picked
        for count in range(len(values) + 1)
        for picked in itertools.combinations(range(len(values)), count)
        if all(values[a] < values[b] for a, b in itertools.pairwise(picked))
    ]
    assert tuple(chosen) in growing
    assert len(chosen) == max(map(len, growing))


def test_the_command_says_what_it_did_and_never_writes_in_place(
    stamped: Path, tmp_path: Path
) -> None:
    with_times(stamped, ppg=TIMES_S["ppg"] + 1.7e9)
    command = [
        sys.executable,
        "-c",
        "from emodict_desk.cli.session import main; main()",
        "repair",
        str(stamped),
        "-o",
    ]
    done = subprocess.run([*command, str(tmp_path / "out.h5")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "ppg: its times counted from another moment, and are moved by -1700000000.000 s"
    )
    assert f"Wrote {tmp_path / 'out.h5'}" in done.stdout
    again = subprocess.run([*command, str(stamped)], capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (2, "")
    assert "it is what is read" in again.stderr


def test_times_in_another_unit_are_not_repaired_by_leaving_nearly_all_out(
    stamped: Path, tmp_path: Path
) -> None:
    with_times(stamped, ppg=1000 * TIMES_S["ppg"])
    with pytest.raises(
        RecordingError, match=r"ppg: its times are not in seconds.*by 1000, where they are in ms"
    ):
        repair_session(stamped, tmp_path / "out.h5")
