"""Predictions written as CSV, JSON, Parquet and HDF5 come back as they were,
with nothing where there is no answer.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from emodict.errors import MissingDependencyError, OutputError
from emodict.results.outputs import check_output, row_as_dict, write_csv, write_predictions
from emodict.results.prediction import Prediction

EMOTIONS = ("Alert", "Upset", "joy, or so")
MODALITIES = ("gsr", "ppg")
SILENT = 2
ENDINGS = (".csv", ".json", ".parquet", ".h5")


def prediction(
    rows: int = 6,
    *,
    session: str = "sitting",
    truth: bool = True,
    elements: int = 4,
    emotions: tuple[str, ...] = EMOTIONS,
) -> Prediction:
    """Rows as an engine gives them, float32 numbers held as float64; row SILENT has no answer."""
    rng = np.random.default_rng(3)

    def shares() -> np.ndarray:
        return (
            rng.dirichlet(np.ones(len(emotions)), size=rows).astype(np.float32).astype(np.float64)
        )

    distribution, true = shares(), shares()
    weights = rng.normal(size=(rows, elements)).astype(np.float32).astype(np.float64)
    quality = np.round(rng.uniform(size=(rows, 2)), 3)
    valid = np.ones((rows, 2), dtype=bool)
    silent = slice(SILENT, SILENT + 1)
    distribution[silent], weights[silent], valid[silent] = np.nan, np.nan, False
    true[:2] = np.nan
    return Prediction(
        session,
        emotions,
        MODALITIES,
        np.arange(rows) + 4.25,
        distribution,
        weights,
        valid,
        quality,
        true if truth else None,
        simulated=True,
    )


def read_csv(path: Path) -> list[Any]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) if row[name] else np.nan for row in rows])


def test_json_lines_have_a_row_each_and_what_is_known_of_its_session(tmp_path: Path) -> None:
    ours = prediction(session='"☺"')
    write_predictions([ours, prediction(session="b")], tmp_path / "x.jsonl", with_weights=True)
    lines = [
        json.loads(line) for line in (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [line["session"] for line in lines] == ['"☺"'] * 6 + ["b"] * 6
    assert {(line["simulated"], line["model_simulated"]) for line in lines} == {(True, False)}
    assert [line["start_s"] for line in lines[:6]] == ours.start_s.tolist()
    assert lines[SILENT]["distribution"] is None
    got = [list(line["distribution"].values()) for line in lines[:6] if line["distribution"]]
    # Nine digits bring every float32 back.
    np.testing.assert_array_equal(
        np.float32(got), np.delete(ours.distribution, SILENT, axis=0).astype(np.float32)
    )


def test_a_csv_has_one_row_per_window_and_every_float32_to_the_bit(tmp_path: Path) -> None:
    ours = prediction()
    write_predictions([ours], tmp_path / "x.csv", with_weights=True)
    rows = read_csv(tmp_path / "x.csv")
    assert list(rows[0]) == [
        "start_s",
        *EMOTIONS,
        "valid_gsr",
        "valid_ppg",
        "quality_gsr",
        "quality_ppg",
        "w00",
        "w01",
        "w02",
        "w03",
        "simulated",
    ]
    np.testing.assert_array_equal(column(rows, "start_s"), ours.start_s)
    for i, name in enumerate(EMOTIONS):
        np.testing.assert_array_equal(
            column(rows, name).astype(np.float32), ours.distribution[:, i].astype("f4")
        )
    for i in range(4):
        np.testing.assert_array_equal(
            column(rows, f"w{i:02d}").astype(np.float32), ours.weights[:, i].astype("f4")
        )
    for i, name in enumerate(MODALITIES):
        assert [row[f"valid_{name}"] for row in rows] == [str(int(v)) for v in ours.valid[:, i]]
        np.testing.assert_array_equal(column(rows, f"quality_{name}"), ours.quality[:, i])


def test_a_csv_row_without_an_answer_has_empty_cells_and_keeps_its_quality(tmp_path: Path) -> None:
    write_predictions([prediction()], tmp_path / "x.csv", with_weights=True)
    row = read_csv(tmp_path / "x.csv")[SILENT]
    assert [row[name] for name in (*EMOTIONS, "w00", "w03")] == [""] * 5
    assert row["start_s"] == "6.25"
    assert row["valid_gsr"] == "0"
    assert float(row["quality_gsr"]) > 0


def test_a_csv_has_weights_only_when_asked(tmp_path: Path) -> None:
    write_predictions([prediction()], tmp_path / "x.csv", with_weights=False)
    assert not [name for name in read_csv(tmp_path / "x.csv")[0] if name.startswith("w0")]


def test_several_sessions_share_a_csv_and_their_names_survive_commas_quotes_and_nan() -> None:
    names = ['nan, "the first"', "zwei"]
    handle = io.StringIO()
    write_csv([prediction(session=name) for name in names], handle, with_weights=False)
    rows = list(csv.DictReader(io.StringIO(handle.getvalue())))
    assert next(iter(rows[0])) == "session"
    assert [row["session"] for row in rows] == [names[0]] * 6 + [names[1]] * 6


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_sessions_of_different_models_are_refused_in_one_table(tmp_path: Path, ending: str) -> None:
    others = [prediction(), prediction(session="other", emotions=("joy", "anger", "fear"))]
    with pytest.raises(OutputError, match=r"'sitting' and 'other' do not fit .* anger fear"):
        write_predictions(others, tmp_path / f"x{ending}", with_weights=False)
    assert list(tmp_path.iterdir()) == []


def test_sessions_of_different_models_share_a_json(tmp_path: Path) -> None:
    others = [prediction(), prediction(session="other", emotions=("joy", "anger", "fear"))]
    write_predictions(others, tmp_path / "x.json", with_weights=False)
    sessions = json.loads((tmp_path / "x.json").read_text())["sessions"]
    assert [s["emotions"] for s in sessions] == [list(EMOTIONS), ["joy", "anger", "fear"]]


def test_a_json_is_one_strict_document_with_null_where_nothing_is_known(tmp_path: Path) -> None:
    ours = prediction(session='"☺"')
    write_predictions([ours, prediction(truth=False)], tmp_path / "x.json", with_weights=True)

    def refuse(constant: Any) -> None:
        pytest.fail(f"{constant} is no JSON")

    document = json.loads((tmp_path / "x.json").read_text(), parse_constant=refuse)
    assert (document["format"], document["version"]) == ("emodict-predictions", 1)
    first, second = document["sessions"]
    assert (first["session"], first["simulated"], first["modalities"]) == (
        '"☺"',
        True,
        ["gsr", "ppg"],
    )
    assert first["metrics"] == pytest.approx(ours.metrics(), rel=1e-8)  # 9 significant digits
    assert second["metrics"] is None
    assert len(first["rows"]) == 6
    silent, spoken = first["rows"][SILENT], first["rows"][4]
    assert silent["distribution"] is silent["weights"] is None
    assert silent["valid"] == {"gsr": False, "ppg": False}
    assert first["rows"][0]["truth"] is None
    assert second["rows"][4]["truth"] is None
    assert list(spoken["distribution"]) == list(EMOTIONS)
    np.testing.assert_array_equal(
        np.float32(list(spoken["distribution"].values())), np.float32(ours.distribution[4])
    )
    np.testing.assert_array_equal(
        np.float32(list(spoken["truth"].values())), np.float32(ours.truth[4])
    )
    np.testing.assert_array_equal(np.float32(spoken["weights"]), np.float32(ours.weights[4]))
    assert spoken["quality"] == dict(zip(MODALITIES, ours.quality[4], strict=True))


def test_a_row_as_dict_leaves_the_weights_out_and_turns_a_nan_quality_into_none() -> None:
    ours = prediction()
    quality = ours.quality.copy()
    quality[1, 0] = np.nan
    row = row_as_dict(dataclasses.replace(ours, quality=quality), 1, with_weights=False)
    assert "weights" not in row
    assert row["quality"]["gsr"] is None
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_a_parquet_has_the_columns_of_the_csv_and_nulls_where_there_is_no_answer(
    tmp_path: Path,
) -> None:
    ours = prediction()
    for ending in (".csv", ".parquet"):
        write_predictions(
            [ours, prediction(session="b")], tmp_path / f"x{ending}", with_weights=True
        )
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column_names == list(read_csv(tmp_path / "x.csv")[0])
    assert table["session"].to_pylist() == ["sitting"] * 6 + ["b"] * 6
    for i, name in enumerate(EMOTIONS):
        values = table[name].to_pylist()[:6]
        assert values[SILENT] is None
        assert [v for v in values if v is not None] == np.delete(
            ours.distribution[:, i], SILENT
        ).tolist()
    assert table["w01"].to_pylist()[SILENT] is None
    assert table["valid_ppg"].to_pylist()[:6] == ours.valid[:, 1].tolist()
    assert table["start_s"].to_pylist()[:6] == ours.start_s.tolist()
    assert table.schema.metadata == {b"simulated": b"true"}
    write_predictions(
        [dataclasses.replace(ours, simulated=False)], tmp_path / "x.parquet", with_weights=True
    )
    assert pq.read_table(tmp_path / "x.parquet").schema.metadata is None


def test_a_model_of_simulated_people_and_doubts_are_marked_in_every_format(tmp_path: Path) -> None:
    ours = dataclasses.replace(
        prediction(), simulated=False, model_simulated=True, doubts=("eeg: in V",)
    )
    real = dataclasses.replace(prediction(session="b"), simulated=False)
    for ending in ("csv", "parquet", "json", "h5"):
        write_predictions([ours, real], tmp_path / f"x.{ending}", with_weights=False)
    rows = read_csv(tmp_path / "x.csv")
    assert [row["model_simulated"] for row in rows] == ["1"] * 6 + ["0"] * 6
    assert "simulated" not in rows[0]
    table = pq.read_table(tmp_path / "x.parquet")
    assert table["model_simulated"].to_pylist() == [True] * 6 + [False] * 6
    assert table.schema.metadata == {b"model_simulated": b"true"}
    first, second = json.loads((tmp_path / "x.json").read_text())["sessions"]
    assert [(s["simulated"], s["model_simulated"], s["doubts"]) for s in (first, second)] == [
        (False, True, ["eeg: in V"]), (False, False, [])
    ]  # fmt: skip
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["sitting"].attrs["model_simulated"]
        assert list(file["sitting"].attrs["doubts"]) == ["eeg: in V"]
        assert not file["b"].attrs["model_simulated"]


def test_parquet_without_pyarrow_names_the_package_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"emodict\[parquet\]"):
        check_output(tmp_path / "x.parquet")


def test_an_hdf5_has_a_group_per_session_with_every_array(tmp_path: Path) -> None:
    ours = prediction()
    write_predictions(
        [ours, prediction(truth=False, session="b")], tmp_path / "x.h5", with_weights=True
    )
    with h5py.File(tmp_path / "x.h5") as file:
        assert (file.attrs["format"], file.attrs["version"]) == ("emodict-predictions", 1)
        group = file["sitting"]
        for name in ("start_s", "distribution", "weights", "valid", "truth"):
            np.testing.assert_array_equal(group[name][:], getattr(ours, name))
        np.testing.assert_array_equal(group["quality"][:], ours.quality.astype(np.float32))
        assert tuple(group.attrs["emotions"]) == EMOTIONS
        assert tuple(group.attrs["modalities"]) == MODALITIES
        assert group.attrs["simulated"]
        # 9 significant digits.
        assert group.attrs["kl"] == pytest.approx(ours.metrics()["kl"], rel=1e-8)
        assert "truth" not in file["b"]
        assert "kl" not in file["b"].attrs


def test_an_hdf5_keeps_sessions_apart_whose_names_are_equal_or_hold_slashes(tmp_path: Path) -> None:
    names = ["a/b", "a/b", "", "..", "a_b-2"]
    write_predictions(
        [prediction(session=name) for name in names], tmp_path / "x.h5", with_weights=False
    )
    with h5py.File(tmp_path / "x.h5") as file:
        assert sorted(group.attrs["session"] for group in file.values()) == sorted(names)
        assert "weights" not in file["a_b"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_session_without_rows_is_written_without_rows(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    write_predictions([prediction(rows=0)], path, with_weights=True)
    rows = {
        ".csv": lambda: len(read_csv(path)),
        ".json": lambda: len(json.loads(path.read_text())["sessions"][0]["rows"]),
        ".parquet": lambda: pq.read_table(path).num_rows,
        ".h5": lambda: len(h5py.File(path)["sitting/start_s"]),
    }
    assert rows[ending]() == 0
    if ending == ".csv":
        assert path.read_text().startswith("start_s,Alert,Upset,")


@pytest.mark.parametrize("name", ["x.txt", "x"])
def test_an_unknown_ending_is_refused_with_the_four_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"\.csv \.json \.jsonl \.parquet \.h5"):
        write_predictions([prediction()], tmp_path / name, with_weights=False)


def test_an_ending_may_be_in_capitals(tmp_path: Path) -> None:
    write_predictions([prediction()], tmp_path / "X.CSV", with_weights=False)
    assert len(read_csv(tmp_path / "X.CSV")) == 6


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_that_does_not_exist_is_refused_with_the_way_to_make_it(
    tmp_path: Path, ending: str
) -> None:
    with pytest.raises(OutputError, match="mkdir -p"):
        write_predictions([prediction()], tmp_path / "none" / f"x{ending}", with_weights=False)


FILL = """
import resource, signal, sys
import numpy as np
from emodict.errors import OutputError
from emodict.results.outputs import write_predictions
from emodict.results.prediction import Prediction

rng = np.random.default_rng(0)
rows = 3000
shares = rng.dirichlet([1, 1], size=rows)
ours = Prediction("s", ("a", "b"), ("gsr",), np.arange(rows) * 1.0, shares,
                  rng.normal(size=(rows, 32)), np.ones((rows, 1), bool),
                  rng.uniform(size=(rows, 1)))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_predictions([ours], sys.argv[1], with_weights=True)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing_behind(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"x{ending}"
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Cannot write {path}: File too large. Nothing was left behind.")
    assert list(tmp_path.iterdir()) == []


def test_an_hour_becomes_csv_in_less_than_a_third_of_a_second() -> None:
    hour = prediction(rows=3600, elements=32, emotions=tuple("abcdefghij"))
    before = time.process_time()
    write_csv([hour], io.StringIO(), with_weights=True)
    assert time.process_time() - before < 0.3
