"""emodict-run on other makers' recordings: imported on the way, said in one line,
and scored like the session.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.integration.conftest import Run

from emodict.recording.session import write_session
from emodict_desk.importers import IMPORTERS

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def wristband(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wristband, 20 s; a table of the same samples,
    its packets in another order; and its zip.
    """
    folder = tmp_path_factory.mktemp("wrist") / "S07"
    folder.mkdir()
    pulse, skin = np.sin(np.arange(1280) * 0.12) + RNG.normal(0, 0.1, 1280), np.linspace(1, 2, 80)
    (folder / "BVP.csv").write_text(
        "1644226061\n64\n" + "".join(f"{value:.5f}\n" for value in pulse)
    )
    (folder / "EDA.csv").write_text("1644226061\n4\n" + "".join(f"{value:.5f}\n" for value in skin))
    (folder / "TEMP.csv").write_text("1644226061\n4\n28.3\n")
    rows = [
        f"{n / 64:.6f},{pulse[n]:.5f},{'' if n % 16 else format(skin[n // 16], '.5f')}\n"
        for n in range(1280)
    ]
    order = np.arange(1280).reshape(-1, 8).copy()
    order[::4] = order[::4, ::-1]
    table = folder.parent / "table.csv"
    table.write_text("time_s,BVP,EDA (uS)\n" + "".join(rows[n] for n in order.ravel()))
    shutil.make_archive(str(folder), "zip", folder)
    return folder


@pytest.mark.parametrize("name", ["S07", "S07.zip", "table.csv"])
@pytest.mark.parametrize("jobs", [[], ["--jobs", "2"]])
def test_what_an_importer_knows_is_scored_as_the_session_that_it_makes(
    run: Run, wrist_model: Path, wristband: Path, tmp_path: Path, name: str, jobs: list[str]
) -> None:
    source = wristband.parent / name
    kind = "csv" if name.endswith(".csv") else "e4"
    write_session(IMPORTERS[kind].read(source), tmp_path / "s.h5")
    outs = tmp_path / "imported.csv", tmp_path / "session.csv"
    done = run("emodict-run", "-q", "--engine", wrist_model, source, *jobs, "--out", outs[0])
    assert done.returncode == 0, done.stderr
    assert (
        run(
            "emodict-run", "-q", "--engine", wrist_model, tmp_path / "s.h5", "--out", outs[1]
        ).returncode
        == 0
    )
    assert outs[0].read_text() == outs[1].read_text()
    (line,) = (line for line in done.stderr.splitlines() if "imported on the way" in line)
    assert line.startswith(f"{name}: imported on the way, as {kind}; ")
    assert ("left out: TEMP.csv" if kind == "e4" else "came late, by the times") in line


def test_what_no_importer_can_read_says_so_and_how_to_import_it_first(
    run: Run, wrist_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("n,BVP,EDA\n" + "".join(f"{n},{n},{n}\n" for n in range(99)))
    done = run("emodict-run", "--engine", wrist_model, tmp_path / "a.csv")
    assert done.returncode == 2
    assert "is not a session.h5, and cannot be imported on the way, as csv" in done.stderr
    assert (
        f"Import it first: emodict-session import csv '{tmp_path / 'a.csv'}' -o session.h5"
        in done.stderr
    )


def test_a_folder_without_any_recording_is_refused(
    run: Run, wrist_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.bin").write_bytes(bytes(9))
    done = run("emodict-run", "--engine", wrist_model, tmp_path)
    assert done.returncode == 2
    assert f"There is no session in the folder {tmp_path}" in done.stderr
    assert "a folder with notes.bin" in done.stderr


def test_one_file_of_an_e4_is_named_as_one_and_its_folder_asked_for(
    run: Run, wrist_model: Path, wristband: Path
) -> None:
    done = run("emodict-run", "--engine", wrist_model, wristband / "BVP.csv")
    assert done.returncode == 2
    assert f"{wristband / 'BVP.csv'} is one file of an Empatica E4" in done.stderr
    assert f"Give that: '{wristband}'" in done.stderr


def test_a_folder_of_recordings_to_import_asks_for_the_files_themselves(
    run: Run, wrist_model: Path, wristband: Path, tmp_path: Path
) -> None:
    for name in ("a.csv", "b.csv"):
        shutil.copy(wristband.parent / "table.csv", tmp_path / name)
    done = run("emodict-run", "--engine", wrist_model, tmp_path)
    assert done.returncode == 2
    assert f"There is no session in the folder {tmp_path}" in done.stderr
    assert "got 2 recordings to import" in done.stderr
    files = f"Give the files themselves: '{tmp_path / 'a.csv'}' '{tmp_path / 'b.csv'}'"
    assert files in done.stderr


def test_a_recording_that_is_given_twice_is_said(
    run: Run, wrist_model: Path, wristband: Path
) -> None:
    done = run("emodict-run", "-q", "--engine", wrist_model, wristband, f"{wristband}/")
    assert done.returncode == 0, done.stderr
    assert "S07 is given 2 times; each is scored" in done.stdout
