"""Feature tables on disk: what is written is read, what does not fit together is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from emodict.errors import SpecError, TableError
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows
from emodict.recording.recording import Recording, Signal
from emodict_desk.tables.table import (
    DMER_EMOTIONS,
    FeatureTable,
    join_tables,
    read_sample,
    read_table,
    table_from_recording,
    with_unknown_labels,
    write_table,
)


def table_of(rows: int = 4, *, labels: bool = True) -> FeatureTable:
    rng = np.random.default_rng(0)
    spec = load_spec("emodict-1")
    tokens = rng.normal(size=(rows, 11, 18))
    valid = rng.random((rows, 4)) < 0.8
    for column, name in enumerate(spec.modality_names):
        tokens[~valid[:, column], spec.token_slices[name]] = np.nan
    windows = FeatureWindows(spec, np.arange(4.0, 4 + rows), tokens, valid, valid * 0.5)
    scores = rng.integers(1, 6, size=(rows, 10)).astype(float)
    return FeatureTable(
        windows,
        DMER_EMOTIONS,
        scores / scores.sum(axis=1, keepdims=True) if labels else None,
        np.array(["s1"] * rows),
        np.array([f"t{i // 2}" for i in range(rows)]),
        "table.npz",
    )


def test_the_labels_of_a_part_are_not_added_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of()
    monkeypatch.setattr("emodict_desk.tables.table.check_labels", None)
    part = table.rows(np.array([False, True, True, False])).with_modalities(["eeg", "ppg"])
    assert table.labels is not None
    np.testing.assert_array_equal(part.labels, table.labels[1:3])
    assert (len(part), part.spec.modality_names, part.emotions) == (
        2,
        ("eeg", "ppg"),
        table.emotions,
    )


def assert_same(got: FeatureTable, expected: FeatureTable) -> None:
    assert got.spec == expected.spec
    assert got.emotions == expected.emotions
    assert got.simulated == expected.simulated
    for name in ("start_s", "tokens", "valid", "quality"):
        np.testing.assert_array_equal(getattr(got.windows, name), getattr(expected.windows, name))
    np.testing.assert_array_equal(got.subject, expected.subject)
    np.testing.assert_array_equal(got.trial, expected.trial)
    if expected.labels is None:
        assert got.labels is None
    else:
        np.testing.assert_array_equal(got.labels, expected.labels)


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("rows", [4, 0])
def test_a_table_comes_back_as_it_was_written(tmp_path: Path, labels: bool, rows: int) -> None:
    table = table_of(rows, labels=labels)
    write_table(table, tmp_path / "table.npz")
    assert_same(read_table(tmp_path / "table.npz"), table)


def test_the_file_holds_each_modality_by_name_for_readers_without_emodict(tmp_path: Path) -> None:
    table = table_of()
    write_table(table, tmp_path / "table.npz")
    with np.load(tmp_path / "table.npz") as file:
        assert file["eeg"].shape == (4, 5, 18)
        assert file["ppg"].shape == (4, 27)
        assert str(file["spec_id"]) == "emodict-1"
        assert len(file["names"]) == 90 + 28 + 27 + 32
        # Token 0 is the first band of the EEG.
        np.testing.assert_array_equal(file["eeg"][:, 0], file["tokens"][:, 0])


def rewritten(path: Path, **changes: Any) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays |= changes
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


def test_a_row_of_unknown_truth_and_a_simulated_person_survive_the_file(tmp_path: Path) -> None:
    table = table_of()
    labels = table.labels.copy()
    labels[2] = np.nan
    table = dataclasses.replace(table, labels=labels, simulated=True)
    write_table(table, tmp_path / "table.npz")
    got = read_table(tmp_path / "table.npz")
    assert_same(got, table)
    assert got.simulated


@pytest.mark.parametrize(
    "missing", ["tokens", "start_s", "valid", "quality", "spec", "subject", "trial", "emotions"]
)
def test_a_missing_array_is_named(tmp_path: Path, missing: str) -> None:
    write_table(table_of(), tmp_path / "table.npz")
    rewritten(tmp_path / "table.npz", **{missing: None})
    with pytest.raises(TableError, match=rf"not a feature table.*{missing}"):
        read_table(tmp_path / "table.npz")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tokens": np.zeros((4, 10, 18))}, r"'tokens' does not fit.*\(4, 11, 18\).*\(4, 10, 18\)"),
        ({"tokens": np.zeros(())}, "'tokens' does not fit"),
        ({"valid": np.ones((4, 3), bool)}, "'valid' does not fit"),
        ({"quality": np.ones((3, 4))}, "'quality' does not fit"),
        ({"start_s": np.zeros(5)}, "'start_s' does not fit"),
        ({"start_s": np.float64(3)}, "'start_s' does not fit"),
        ({"tokens": np.full((4, 11, 18), "x")}, "not a feature table"),
        ({"spec": np.array("{")}, "not a feature table"),
        ({"subject": np.array(["s1"] * 3)}, "differ in length"),
        ({"labels": np.full((4, 9), 1 / 9)}, r"labels have the wrong shape.*\(4, 10\).*\(4, 9\)"),
        (
            {"labels": np.full((4, 10), 0.2)},
            r"label row 0 is not a distribution \(4 such rows\).*sum 2",
        ),
        ({"labels": np.array([[np.nan] + [1 / 9] * 9] * 4)}, "label row 0 is not a distribution"),
        ({"labels": np.array([[np.inf] + [0.0] * 9] * 4)}, "label row 0 is not a distribution"),
        ({"labels": np.array([[2.0, -1.0] + [0.0] * 8] * 4)}, "smallest -1"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    write_table(table_of(), tmp_path / "table.npz")
    rewritten(tmp_path / "table.npz", **changes)
    with pytest.raises(TableError, match=said):
        read_table(tmp_path / "table.npz")


def test_a_pickle_inside_the_file_is_never_loaded(tmp_path: Path) -> None:
    write_table(table_of(), tmp_path / "table.npz")

    class Boom:
        def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
            return (pytest.fail, ("a pickle was loaded",))

    rewritten(tmp_path / "table.npz", subject=np.array([Boom()] * 4, dtype=object))
    with pytest.raises(TableError, match="not a feature table"):
        read_table(tmp_path / "table.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", b"\x93NUMPY"])
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "table.npz").write_bytes(content)
    with pytest.raises(TableError, match="not a feature table"):
        read_table(tmp_path / "table.npz")


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    write_table(table_of(), tmp_path / "table.npz")
    whole = (tmp_path / "table.npz").read_bytes()
    for length in range(0, len(whole), 499):
        (tmp_path / "table.npz").write_bytes(whole[:length])
        with pytest.raises(TableError):
            read_table(tmp_path / "table.npz")


def test_a_table_of_an_older_recipe_is_refused_before_anything_is_trained_on_it(
    tmp_path: Path,
) -> None:
    write_table(table_of(), tmp_path / "table.npz")
    # As dmer-sample had it in version 0.1.0: 10.24 bins a hertz.
    content = load_spec("dmer-sample").to_dict()
    theta = content["modalities"][0]["spectrum"]["bands"][0]
    theta["weights"] = [1 / 40] * 40
    rewritten(tmp_path / "table.npz", spec=np.array(json.dumps(content)))
    with pytest.raises(
        SpecError,
        match=r"table\.npz is of other features.*dmer-sample.*or extract the features again",
    ):
        read_table(tmp_path / "table.npz")


def test_a_broken_spec_inside_is_the_specs_own_error(tmp_path: Path) -> None:
    write_table(table_of(), tmp_path / "table.npz")
    content = load_spec("emodict-1").to_dict() | {"token_width": 0}
    rewritten(tmp_path / "table.npz", spec=np.array(json.dumps(content)))
    with pytest.raises(Exception, match="token_width must be positive"):
        read_table(tmp_path / "table.npz")


@pytest.mark.parametrize(
    ("name", "said"), [("no.npz", "There is no file"), ("table.csv", "expected|Expected")]
)
def test_another_path_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "table.csv").write_text("a,b\n")
    with pytest.raises(TableError, match=said):
        read_table(tmp_path / name)


def test_rows_and_modalities_can_be_chosen() -> None:
    table = table_of(6)
    chosen = table.rows(np.array([5, 0])).with_modalities(["ppg", "eeg"])
    assert len(chosen) == 2
    assert chosen.spec.modality_names == ("eeg", "ppg")
    np.testing.assert_array_equal(
        chosen.windows.features("ppg"), table.windows.features("ppg")[[5, 0]]
    )
    np.testing.assert_array_equal(chosen.labels, table.labels[[5, 0]])
    assert table.groups.tolist() == [0, 0, 1, 1, 2, 2]


def sample_arrays(count: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = rng.integers(1, 6, size=(2, 10)).astype(float)
    labels /= labels.sum(axis=1, keepdims=True)
    return {
        "train_eeg": rng.normal(size=(count, 18, 4)),
        "train_gsr": rng.normal(size=(count, 1, 4)),
        "train_ppg": rng.normal(size=(count, 1, 4)),
        "train_video": rng.normal(size=(count, 32)).astype(np.float32),
        "train_label": labels[np.arange(count) % 2],
    }


def sample_file(folder: Path, **changes: Any) -> Path:
    arrays = sample_arrays() | changes
    scipy.io.savemat(folder / "sample.mat", {k: v for k, v in arrays.items() if v is not None})
    return folder / "sample.mat"


def test_the_released_sample_is_what_scipy_reads(shared_data: Path) -> None:
    path = shared_data / "dmer_sample" / "train.mat"
    table, expected = read_table(path), scipy.io.loadmat(path)
    assert len(table) == 696
    assert table.spec == load_spec("dmer-sample")
    for modality in ("eeg", "gsr", "ppg", "video"):
        np.testing.assert_array_equal(
            table.windows.features(modality), expected[f"train_{modality}"]
        )
    # Rows divided by their sum.
    np.testing.assert_allclose(table.labels, expected["train_label"], atol=1e-12)
    assert table.windows.valid.all()
    # Channel-major: token 3 is channel 3, its four bands; GSR follows the 18 channels.
    np.testing.assert_array_equal(table.windows.tokens[:, 3], expected["train_eeg"][:, 3])
    np.testing.assert_array_equal(table.windows.tokens[:, 18], expected["train_gsr"][:, 0])
    distinct = np.unique(np.round(expected["train_label"], 9), axis=0)
    assert len(np.unique(table.trial)) == len(distinct)


def test_equal_label_vectors_are_one_trial(tmp_path: Path) -> None:
    table = read_sample(sample_file(tmp_path))
    assert table.trial[0] == table.trial[2] == table.trial[4] != table.trial[1] == table.trial[3]


def test_a_sample_without_labels_has_none(tmp_path: Path) -> None:
    table = read_sample(sample_file(tmp_path, train_label=None))
    assert table.labels is None
    assert set(table.trial) == {"?"}


def test_a_row_of_the_sample_with_nan_is_not_valid(tmp_path: Path) -> None:
    video = sample_arrays()["train_video"]
    video[1, 3] = np.nan
    table = read_sample(sample_file(tmp_path, train_video=video))
    assert table.windows.valid[:, 3].tolist() == [True, False, True, True, True]
    assert np.isnan(table.windows.features("video")[1]).all()
    assert table.windows.quality[1, 3] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_gsr": None}, "no array 'train_gsr'"),
        (
            {"train_eeg": np.zeros((5, 4, 18))},
            r"'eeg' has the wrong shape.*\(5, 18, 4\).*\(5, 4, 18\)",
        ),
        (
            {"train_ppg": np.zeros((4, 1, 4))},
            r"'ppg' has the wrong shape.*\(5, 1, 4\).*\(4, 1, 4\)",
        ),
        ({"train_label": np.full((5, 10), 0.3)}, "is not a distribution"),
        ({"train_label": np.full((4, 10), 0.1)}, "labels have the wrong shape"),
        ({"train_label": np.full((5, 7), 1 / 7)}, "labels have the wrong shape"),
        ({"train_eeg": None}, "which part of the sample"),
    ],
)
def test_a_sample_that_does_not_fit_together_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(TableError, match=said):
        read_sample(sample_file(tmp_path, **changes))


def test_of_two_parts_one_must_be_named(tmp_path: Path) -> None:
    arrays = sample_arrays()
    scipy.io.savemat(
        tmp_path / "sample.mat",
        arrays | {k.replace("train", "test"): v[:3] for k, v in arrays.items()},
    )
    with pytest.raises(TableError, match="--part with one of test, train"):
        read_table(tmp_path / "sample.mat")
    assert len(read_table(tmp_path / "sample.mat", part="test")) == 3


def test_a_file_whose_valid_and_tokens_disagree_is_valid_only_where_both_say_so(
    tmp_path: Path,
) -> None:
    table = table_of()
    everywhere = np.ones((4, 4), dtype=bool)
    whole = np.random.default_rng(1).normal(size=(4, 11, 18))
    write_table(table, tmp_path / "t.npz")
    doubted, holed = everywhere.copy(), whole.copy()
    doubted[0, 0] = False
    holed[1, 5, 3] = np.nan  # one GSR feature
    rewritten(tmp_path / "t.npz", valid=doubted, tokens=holed, quality=np.ones((4, 4)))
    got = read_table(tmp_path / "t.npz").windows
    expected = everywhere.copy()
    expected[0, 0] = expected[1, 1] = False
    np.testing.assert_array_equal(got.valid, expected)
    np.testing.assert_array_equal(got.quality, expected.astype(float))
    assert np.isnan(got.tokens[0, :5]).all()
    assert np.isnan(got.tokens[1, 5:7]).all()
    assert np.isnan(got.tokens).sum() == 5 * 18 + 2 * 18


def test_a_subject_of_two_dimensions_is_refused() -> None:
    table = table_of(4)
    with pytest.raises(
        TableError, match=r"differ in length\. Expected \(4,\), got \(4, 2\) and \(4,\)"
    ):
        dataclasses.replace(table, subject=np.full((4, 2), "a"))


def test_beside_labels_those_of_a_table_without_are_unknown() -> None:
    labelled, bare = table_of(4), table_of(3, labels=False)
    for tables in ([labelled, bare], [bare, labelled]):
        joined = join_tables(with_unknown_labels(tables))
        known = ~np.isnan(joined.labels).all(axis=1)
        np.testing.assert_array_equal(
            known, np.concatenate([np.full(len(t), t is labelled) for t in tables])
        )
        np.testing.assert_array_equal(joined.labels[known], labelled.labels)
    assert join_tables(with_unknown_labels([bare, bare])).labels is None
    with pytest.raises(TableError, match="has no labels, the others have"):
        join_tables([labelled, bare])


def test_what_is_doubtful_in_the_signals_is_logged_where_rows_are_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = load_spec("emodict-1").with_modalities(["gsr"])
    microsiemens = 4 + 0.01 * np.random.default_rng(0).standard_normal((240, 1))
    for factor in (1.0, 1e-3):
        signal = Signal("gsr", 4.0, "uS", ("gsr",), factor * microsiemens)
        table_from_recording(Recording("s", "p", {"gsr": signal}), spec, name="anna")
    (said,) = caplog.messages
    assert said.startswith("anna: doubtful: gsr: its level is 0.004 uS")
