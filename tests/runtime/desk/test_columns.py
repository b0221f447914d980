"""Features as CSV and Parquet: a row a window, ready for pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest
from tests.recordings import noise_recording

from emodict.errors import OutputError
from emodict.features import load_spec
from emodict_desk.cli.session import extract_to_file
from emodict_desk.tables.columns import write_features
from emodict_desk.tables.table import FeatureTable, table_from_recording

SPEC = load_spec("emodict-1")
READERS = {".csv": pandas.read_csv, ".parquet": pandas.read_parquet}


def table(name: str = "one") -> FeatureTable:
    return table_from_recording(noise_recording(), SPEC.with_modalities(["eeg", "gsr"]), name=name)


@pytest.mark.parametrize("ending", READERS)
def test_pandas_reads_back_each_feature_by_its_name(tmp_path: Path, ending: str) -> None:
    written = table()
    path = tmp_path / f"f{ending}"
    write_features([written], path)
    frame = READERS[ending](path)
    assert len(frame) == len(written)
    eeg = SPEC.modality("eeg").feature_names
    assert list(frame.columns[:4]) == ["subject", "trial", "start_s", f"eeg/{eeg[0]}"]
    flat = written.windows.features("eeg").reshape(len(written), -1)
    # A CSV has 9 significant digits.
    np.testing.assert_allclose(frame[[f"eeg/{name}" for name in eeg]], flat, rtol=5e-9)
    assert frame.valid_eeg.astype(bool).tolist() == written.windows.valid[:, 0].tolist()
    np.testing.assert_allclose(frame.quality_gsr, written.windows.quality[:, 1], rtol=5e-9)
    assert written.labels is not None
    np.testing.assert_allclose(frame[list(written.emotions)], written.labels, rtol=5e-9)


def test_several_sessions_have_a_column_that_says_which(tmp_path: Path) -> None:
    one, two = table("one"), table("two")
    write_features([one, two], tmp_path / "f.csv")
    frame = pandas.read_csv(tmp_path / "f.csv")
    assert frame.columns[0] == "session"
    assert frame.session.tolist() == ["one"] * len(one) + ["two"] * len(two)


def test_what_is_not_known_is_an_empty_cell(tmp_path: Path) -> None:
    write_features([table()], tmp_path / "f.csv")
    text = (tmp_path / "f.csv").read_text()
    assert "nan" not in text.lower()
    # The first rows lie before the trial.
    assert text.splitlines()[1].split(",")[1] == ""


def test_another_ending_is_refused_before_any_session_is_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ending in \.npz \.csv \.parquet, got \.xlsx"):
        extract_to_file(
            [tmp_path / "absent.h5"], tmp_path / "f.xlsx", spec_id="emodict-1", sensors=None
        )  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
