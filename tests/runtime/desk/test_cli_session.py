"""emodict-session as it is typed: what it prints, how it exits, and never a traceback."""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.runtime.desk.test_import_openbci import openbci_file

from emodict.recording.recording import Recording, Signal
from emodict.recording.session import open_session, write_session
from emodict_desk.cli import session as cli
from emodict_desk.importers import IMPORTERS


@pytest.fixture
def run(run_in_process: Callable[..., Any]) -> Callable[..., Any]:
    return functools.partial(run_in_process, cli)


@pytest.fixture
def gsr_session(tmp_path: Path) -> Path:
    samples = 5 + 0.01 * np.random.default_rng(1).normal(size=(400, 1))
    signal = Signal("gsr", 4.0, "uS", ("gsr",), samples, start_offset_s=2.0)
    write_session(Recording("sitting", "anna", {"gsr": signal}), tmp_path / "s.h5")
    return tmp_path / "s.h5"


@pytest.fixture
def e4_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "S07"
    folder.mkdir()
    (folder / "BVP.csv").write_text("1644226061\n64\n" + "1\n-1\n" * 640)
    (folder / "ACC.csv").write_text("1644226061, 1644226061, 1644226061\n32, 32, 32\n1,2,3\n")
    return folder


def test_inspect_says_what_a_session_holds(run: Callable[..., Any], gsr_session: Path) -> None:
    code, out, _ = run("inspect", gsr_session)
    assert code == 0
    assert "subject anna" in out
    assert "gsr   4 Hz, uS, 1.7 min, from 2 s on" in out


def test_inspect_json_is_read_by_a_program(run: Callable[..., Any], gsr_session: Path) -> None:
    code, out, _ = run("inspect", gsr_session, "--json")
    summary = json.loads(out)
    assert code == 0
    assert (summary["subject_id"], summary["signals"][0]["rate_hz"]) == ("anna", 4.0)


def test_validate_exits_0_on_a_good_session_and_2_on_a_bad_one(
    run: Callable[..., Any], gsr_session: Path
) -> None:
    code, out, _ = run("validate", gsr_session)
    assert (code, out) == (0, f"{gsr_session} can be used: 0 errors, 0 warnings\n")
    with h5py.File(gsr_session, "r+") as file:
        file["signals/gsr"].attrs["units"] = "lux"
    code, out, _ = run("validate", gsr_session)
    assert code == 2
    assert "error: /signals/gsr: the unit cannot be used" in out
    assert out.endswith("cannot be used as it is: 1 error, 0 warnings\n")


def test_validate_json_holds_the_same_findings(run: Callable[..., Any], gsr_session: Path) -> None:
    with h5py.File(gsr_session, "r+") as file:
        del file.attrs["device"]
    code, out, _ = run("validate", gsr_session, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["usable"] is True
    assert [(f["severity"], f["where"]) for f in report["findings"]] == [("warning", "/")]


def test_import_e4_writes_a_session_and_says_what_it_left_out(
    run: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    out_file = tmp_path / "s07.h5"
    code, out, _ = run(
        "import", "e4", e4_folder, "-o", out_file, "--subject", "anna", "--session", "monday"
    )
    assert code == 0
    assert "ppg   64 Hz, a.u., 20.0 s" in out
    assert "left out: ACC.csv" in out
    with open_session(out_file) as recording:
        assert (recording.subject_id, recording.session_id) == ("anna", "monday")


def test_import_checks_where_it_writes_before_it_reads(
    run: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    (e4_folder / "BVP.csv").write_text("broken")
    code, _, err = run("import", "e4", e4_folder, "-o", tmp_path / "no" / "s.h5")
    assert code == 2
    assert "mkdir -p" in err


def test_import_never_writes_over_the_recording_it_reads(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    source = tmp_path / "rest.edf"
    source.write_bytes(b"0       precious")
    code, _, err = run("import", "edf", source, "-o", source)
    assert code == 2
    assert "it is what is read" in err
    assert source.read_bytes() == b"0       precious"


def test_import_does_not_replace_a_session_that_was_labelled(
    run: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    out, ratings = tmp_path / "wrist.h5", tmp_path / "r.csv"
    ratings.write_text("trial,onset,stop,joy,fear\na,1,5,3,1\n")
    assert run("import", "e4", e4_folder, "-o", out)[0] == 0
    # Without labels there is nothing to lose.
    assert run("import", "e4", e4_folder, "-o", out)[0] == 0
    assert run("label", out, ratings)[0] == 0
    code, _, err = run("import", "e4", e4_folder, "-o", out)
    assert code == 2
    assert "has labels, and they would be lost" in err
    assert "Name another to write with -o" in err
    with open_session(out) as kept:
        assert kept.trials is not None
        assert kept.trials.distribution.tolist() == [[0.75, 0.25]]


def test_import_finds_the_kind_wherever_the_options_stand(
    run: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    for n, words in enumerate(
        [(e4_folder, "-o", tmp_path / "0.h5"), ("-o", tmp_path / "1.h5", e4_folder)]
    ):
        code, out, _ = run("import", *words)
        assert code == 0
        assert out.startswith(f"S07 is read as kind e4\nWrote {tmp_path / f'{n}.h5'}\n")
    table = tmp_path / "a.csv"
    table.write_text("n,puls\n" + "".join(f"{n},{n}\n" for n in range(640)))
    code, out, _ = run(
        "import", table, "--rate", "64", "--columns", "ppg=puls", "-o", tmp_path / "a.h5"
    )
    assert code == 0
    assert "a.csv is read as kind csv" in out


def test_a_kind_is_known_in_any_letters_and_another_word_is_told_the_kind(
    run: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    assert run("import", "E4", e4_folder, "-o", tmp_path / "a.h5")[0] == 0
    code, _, err = run("import", "empatica", e4_folder, "-o", tmp_path / "b.h5")
    assert code == 2
    assert "'empatica' is not a kind of recording" in err
    assert f"emodict-session import e4 '{e4_folder}'" in err


def test_import_of_what_no_kind_knows_says_which_were_tried(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(99)))
    code, _, err = run("import", tmp_path / "a.bin", "-o", tmp_path / "a.h5")
    assert code == 2
    assert f"The kind of {tmp_path / 'a.bin'} cannot be told" in err
    assert all(kind in err.partition("that were tried: ")[2] for kind in IMPORTERS)


def test_import_of_a_session_says_that_it_needs_none(
    run: Callable[..., Any], gsr_session: Path, tmp_path: Path
) -> None:
    code, _, err = run("import", gsr_session, "-o", tmp_path / "b.h5")
    assert code == 2
    assert f"{gsr_session} is a session already, which needs no import" in err
    assert "emodict-run --engine" in err
    code, _, err = run("import", "xdf", gsr_session, "-o", tmp_path / "b.h5")
    assert code == 2
    assert "got a session, which needs no import" in err


def of_zip(name: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(name, "x")
    return held.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "what", "named"),
    [
        (
            "BVP.csv",
            b"1644226061\n64\n1\n",
            "give its folder to `emodict-session import e4`",
            False,
        ),
        ("a.gif", b"GIF89a", "a picture", False),
        ("a.onnx", b"\x08\x0a\x12\x07emodict", "an ONNX model", False),
        ("a.pt", of_zip("model/data.pkl"), "a model of torch", False),
        ("a.zip", of_zip("eeg.edf"), "a zip archive; unpack it first", False),
        ("a.xlsx", of_zip("xl/workbook.xml"), "an Excel file; save it as CSV", False),
        ("a.csv", b"", "an empty file", False),
        ("a.bin", bytes(range(99)), "a file that starts with", True),
    ],
)
def test_a_kind_is_asked_for_only_where_one_may_read_the_file(
    run: Callable[..., Any], tmp_path: Path, name: str, content: bytes, what: str, named: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    code, _, err = run("import", tmp_path / name, "-o", tmp_path / "a.h5")
    assert code == 2
    assert what in err
    assert ("Name it:" in err) == named


def test_an_excel_file_of_ratings_is_named_as_one(
    run: Callable[..., Any], gsr_session: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.xlsx").write_bytes(of_zip("xl/workbook.xml"))
    code, _, err = run("label", gsr_session, tmp_path / "r.xlsx")
    assert code == 2
    assert "an Excel file; save it as CSV" in err


def test_import_of_a_folder_of_recordings_names_the_first_of_them(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "csvs"
    folder.mkdir()
    code, _, err = run("import", folder, "-o", tmp_path / "a.h5")
    assert (code, "got an empty folder" in err, "Name it" in err) == (2, True, False)
    (folder / "a.csv").write_text("time,EDA (uS)\n0,1\n0.25,2\n")
    code, _, err = run("import", folder, "-o", tmp_path / "a.h5")
    assert (code, "Name it" in err) == (2, False)
    assert f"Give them one by one: '{folder / 'a.csv'}'" in err


def test_import_of_eeg_without_electrodes_asks_for_their_names(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    openbci_file(tmp_path / "a.txt", samples=range(400))
    code, _, err = run("import", tmp_path / "a.txt", "-o", tmp_path / "a.h5")
    assert (code, (tmp_path / "a.h5").exists()) == (2, False)
    assert "a.txt does not say where its electrodes were. Expected their 8 names" in err
    names = err.partition("--channels ")[2].strip().rstrip(".")
    code, out, _ = run("import", tmp_path / "a.txt", "--channels", names, "-o", tmp_path / "a.h5")
    assert code == 0
    assert "8 channels Fp1 Fp2 C3 C4 T5 T6 O1 O2" in out
    # What else is on the board needs no names.
    code, out, _ = run(
        "import", "openbci", tmp_path / "a.txt", "--sensor", "Accel Channel 0=BVP",
        "--only", "ppg", "-o", tmp_path / "b.h5",
    )  # fmt: skip
    assert code == 0
    assert "eeg (not wanted)" in out


def test_import_refuses_options_that_the_kind_it_found_does_not_have(
    run: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    code, _, err = run("import", e4_folder, "--rate", "4", "-o", tmp_path / "a.h5")
    assert code == 2
    assert "looks like a recording of kind e4, whose import has no --rate" in err


def test_import_of_one_file_given_twice_is_refused(
    run: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    code, _, err = run(
        "import", "e4", e4_folder, "--with", f"{e4_folder}/", "-o", tmp_path / "a.h5"
    )
    assert code == 2
    assert f"{e4_folder} is given twice" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("inspect", "nowhere.h5"), "There is no file nowhere.h5"),
        (("inspect", "."), "is a folder"),
        (("imprt",), "No such command 'imprt'"),
        (("import", "edff", "x"), "No such command 'edff'"),
        (("import", "E5", "-o", "x.h5"), "There is no file E5"),
        (("import", "e4", "nowhere", "-o", "x.h5"), "There is no folder nowhere"),
        (("import", "nowhere.xdf", "-o", "x.h5"), "There is no file nowhere.xdf"),
        (("import", "e4", "."), "Missing option '--out'"),
        (("import", "edf", "nowhere.edf", "-o", "x.h5"), "There is no file nowhere.edf"),
        (("validate",), "Missing argument"),
    ],
)
def test_a_typo_or_a_wrong_file_is_answered_with_exit_code_2(
    run: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*words)
    assert code == 2
    assert says in err


def test_a_failed_import_leaves_nothing_behind(
    run: Callable[..., Any], e4_folder: Path, tmp_path: Path
) -> None:
    (e4_folder / "BVP.csv").write_text("1644226061\n64\n1\nx\n")
    code, _, err = run("import", "e4", e4_folder, "-o", tmp_path / "s.h5")
    assert code == 2
    assert "BVP.csv, line 4" in err
    assert [path.name for path in tmp_path.iterdir()] == ["S07"]


def test_the_installed_command_starts_and_knows_its_subcommands() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from emodict_desk.cli.session import main; main()", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    for name in ("inspect", "validate", "import"):
        assert name in done.stdout
