from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from tests.train.study.fixtures import EMOTIONS, SPEC, make_table

from emodict.errors import TableError
from emodict.features.windows import assemble, ready_made_rows
from emodict_desk.sensors import Sensors
from emodict_desk.tables.table import FeatureTable, write_table
from emodict_train.study.compared.data import from_table, read_study_data


def test_the_columns_are_the_features_without_the_padding_of_tokens() -> None:
    rng = np.random.default_rng(1)
    gsr, ppg = rng.standard_normal((6, 28)), rng.standard_normal((6, 27))
    gsr[2] = np.nan
    windows = assemble(
        SPEC, np.arange(6.0), {"gsr": ready_made_rows(gsr), "ppg": ready_made_rows(ppg)}
    )
    # 28 and 27 features lie in two tokens of 18 each
    assert windows.tokens.shape == (6, 4, 18)
    data = from_table(dataclasses.replace(make_table(trials=3, rows_each=2), windows=windows))
    assert dict(data.modalities) == {"gsr": slice(0, 28), "ppg": slice(28, 55)}
    np.testing.assert_array_equal(data.X, np.concatenate([gsr, ppg], axis=1))


def test_rows_without_a_label_or_without_any_modality_are_left_out() -> None:
    table = make_table(trials=5, rows_each=2)
    assert table.labels is not None
    labels, tokens, valid = (
        table.labels.copy(),
        table.windows.tokens.copy(),
        table.windows.valid.copy(),
    )
    labels[0] = np.nan
    tokens[3], valid[3] = np.nan, False
    tokens[4, :2], valid[4, 0] = np.nan, False
    windows = dataclasses.replace(table.windows, tokens=tokens, valid=valid)
    data = from_table(dataclasses.replace(table, labels=labels, windows=windows))
    kept = [1, 2, 4, 5, 6, 7, 8, 9]
    # Shares are divided by their sum once more: 1 up to three roundings of 2^-53,
    # and the division is the fourth.
    np.testing.assert_allclose(data.D, table.labels[kept], rtol=2**-51)
    assert data.table is not None
    assert len(data.table) == len(data) == 8
    assert np.isnan(data.X[2, :28]).all()
    assert np.isfinite(data.X[2, 28:]).all()


def test_labels_of_a_rounded_table_sum_to_one_exactly_enough_for_kl() -> None:
    table = make_table(trials=3)
    assert table.labels is not None
    data = from_table(dataclasses.replace(table, labels=np.round(table.labels, 4)))
    # Three shares, each rounded once.
    np.testing.assert_allclose(data.D.sum(axis=1), 1, rtol=3 * 2**-53)


def test_trials_are_told_apart_by_subject() -> None:
    data = from_table(make_table(subjects=3, trials=4, rows_each=2))
    assert len(np.unique(data.trial)) == 12
    assert all(
        len(np.unique(data.subject[data.trial == trial])) == 1 for trial in np.unique(data.trial)
    )
    assert data.subjects == ("person0", "person1", "person2")


def test_where_trials_are_unknown_the_label_vectors_of_a_subject_are_the_trials(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = make_table(subjects=2, trials=4, rows_each=3)
    assert table.labels is not None
    # the first trial of both people now has one label
    labels = table.labels.copy()
    labels[12:15] = labels[0]
    named = table.trial.copy()
    unknown = np.arange(24) % 12 < 9
    named[unknown] = ""
    data = from_table(dataclasses.replace(table, labels=labels, trial=named))
    assert "18 windows do not say which trial they are of" in caplog.text
    np.testing.assert_array_equal(np.unique(data.trial, return_counts=True)[1], np.full(8, 3))
    together = data.trial[:, None] == data.trial[None, :]
    np.testing.assert_array_equal(together, table.groups[:, None] == table.groups[None, :])


def test_the_released_sample_is_one_subject_with_22_trials(shared_data: Path) -> None:
    data = read_study_data([shared_data / "dmer_sample" / "train.mat"])
    assert (len(data), len(np.unique(data.trial)), len(data.subjects)) == (696, 22, 1)
    # 18 channels of 4 bands, twice 4 statistics, and 32 features of the face
    assert {name: part.stop - part.start for name, part in data.modalities.items()} == {
        "eeg": 72, "gsr": 4, "ppg": 4, "video": 32,
    }  # fmt: skip
    stored = scipy.io.loadmat(shared_data / "dmer_sample" / "train.mat")["train_video"]
    np.testing.assert_array_equal(data.X[:, data.modalities["video"]], stored.reshape(696, 32))


def test_s_jaffe_is_read_for_the_rivals_alone(shared_data: Path) -> None:
    path = shared_data / "sjaffe" / "SJAFFE.mat"
    data, stored = read_study_data([path]), scipy.io.loadmat(path)
    np.testing.assert_array_equal(data.X, stored["features"])
    np.testing.assert_allclose(data.D, stored["labels"], rtol=1e-12)
    assert data.table is None
    assert (data.X.shape, len(data.emotions), len(np.unique(data.trial)), data.simulated) == (
        (213, 243),
        6,
        213,
        False,
    )


def test_rows_with_distributions_under_their_other_name_are_read_too(tmp_path: Path) -> None:
    X, D = (
        np.random.default_rng(0).standard_normal((4, 3)),
        np.array([[0.5, 0.5], [1, 0], [np.nan, np.nan], [0, 1]]),
    )
    scipy.io.savemat(tmp_path / "d.mat", {"features": X, "distributions": D})
    data = read_study_data([tmp_path / "d.mat"])
    np.testing.assert_array_equal(data.X, X[[0, 1, 3]])
    np.testing.assert_array_equal(data.D, D[[0, 1, 3]])


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"labels": None},
            r"has features and no labels\. Expected an array 'labels' or an array 'distributions'",
        ),
        ({"features": np.full((4, 3), np.nan)}, "some of the features no numbers"),
        ({"features": np.zeros((5, 3))}, r"do not fit together.*\(5, 3\) and \(4, 2\)"),
        (
            {"labels": np.array([[1.5, -0.5]] * 4)},
            r"label row 0 is not a distribution.*smallest -0\.5",
        ),
        ({"labels": np.array([[0.5, 0.6]] * 4)}, r"label row 0 is not a distribution.*sum 1\.1"),
        ({"labels": np.array([[0.5, 0.5], [1, np.nan]] * 2)}, r"label row 1 is not a distribution"),
    ],
)
def test_rows_that_are_no_labelled_features_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray | None], said: str
) -> None:
    whole = {"features": np.zeros((4, 3)), "labels": np.full((4, 2), 0.5), **arrays}
    scipy.io.savemat(
        tmp_path / "d.mat", {name: values for name, values in whole.items() if values is not None}
    )
    with pytest.raises(TableError, match=said):
        read_study_data([tmp_path / "d.mat"])


def test_features_without_a_spec_leave_nothing_to_choose_from(tmp_path: Path) -> None:
    scipy.io.savemat(
        tmp_path / "d.mat", {"features": np.zeros((4, 3)), "labels": np.full((4, 2), 0.5)}
    )
    with pytest.raises(
        TableError, match=r"nothing to choose from.*got --part and --modalities \(or --channels\)"
    ):
        read_study_data([tmp_path / "d.mat"], part="train", sensors=Sensors(("eeg",)))


def test_the_digest_is_that_of_the_numbers_and_names(tmp_path: Path) -> None:
    table = make_table()
    data = from_table(table)
    write_table(table, tmp_path / "t.npz")
    assert read_study_data([tmp_path / "t.npz"]).digest == data.digest
    other: list[FeatureTable] = [
        table.rows(np.arange(39)),
        dataclasses.replace(table, trial=np.roll(table.trial, 1)),
        dataclasses.replace(table, subject=np.full(40, "another")),
        dataclasses.replace(table, emotions=("up", "level", "down")),
        table.with_modalities(("gsr",)),
        make_table(seed=1),
    ]
    assert len({data.digest, *(from_table(changed).digest for changed in other)}) == 1 + len(other)


def test_a_table_without_labels_is_refused() -> None:
    with pytest.raises(TableError, match="planted has no labels to train on"):
        from_table(dataclasses.replace(make_table(), labels=None, emotions=EMOTIONS))


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
