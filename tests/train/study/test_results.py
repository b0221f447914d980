from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial.distance import canberra, chebyshev, cosine
from scipy.special import rel_entr
from tests.train.study import synthetic

from emodict.errors import MissingDependencyError
from emodict.results.metrics import METRICS
from emodict_desk.sensors import names_given
from emodict_train.study.compared.ablations import BLOCKS, PAPER, ROBUST, blocks_for, is_variant
from emodict_train.study.judging.results import (
    COLUMNS,
    RESULTS_FILE,
    Predictions,
    Results,
    scores,
    write_results,
)


@pytest.fixture(scope="module")
def study() -> Results:
    return synthetic.results(
        synthetic.data(trials=6, windows=3, simulated=True), ablations=False, quick=True
    )


def test_there_is_one_score_for_every_protocol_method_fold_and_seed(study: Results) -> None:
    found = scores(study)
    keys = [(s.protocol, s.method, s.fold, s.seed) for s in found]
    expected = {
        (p.protocol, p.method, fold, seed)
        for p in study.predictions.values()
        for fold in p.fold.tolist()
        for seed in range(len(p.distribution))
    }
    assert len(keys) == len(set(keys))
    assert set(keys) == expected


def test_the_measures_of_a_fold_are_those_of_scipy_over_its_rows(study: Results) -> None:
    for score in scores(study)[::7]:
        predictions = study.predictions[score.protocol, score.method]
        held_out = predictions.fold == score.fold
        truth = study.data.D[predictions.rows[held_out]]
        predicted = predictions.distribution[score.seed, held_out]
        pairs = list(zip(truth, predicted, strict=True))
        expected = {
            "chebyshev": np.mean([chebyshev(d, p) for d, p in pairs]),
            "canberra": np.mean([canberra(d, p) for d, p in pairs]),
            "kl": rel_entr(truth, predicted).sum(axis=1).mean(),
            "cosine": np.mean([1 - cosine(d, p) for d, p in pairs]),
        }
        assert score.rows == len(pairs)
        # Sums in another order.
        assert {name: score.metrics[name] for name in expected} == pytest.approx(
            expected, rel=1e-12
        )


def test_what_was_written_comes_back_to_the_bit(study: Results, tmp_path: Path) -> None:
    write_results(study, tmp_path / RESULTS_FILE)
    rows = pq.read_table(tmp_path / RESULTS_FILE).to_pylist()
    others = [name for name in COLUMNS if name not in METRICS]
    assert rows == [
        {name: getattr(s, name) for name in others} | dict(s.metrics) for s in scores(study)
    ]


def test_any_parquet_reader_finds_the_columns_and_where_the_numbers_come_from(
    study: Results, tmp_path: Path
) -> None:
    write_results(study, tmp_path / RESULTS_FILE)
    table = pq.read_table(tmp_path / RESULTS_FILE)
    assert tuple(table.column_names) == COLUMNS
    assert set(METRICS) <= set(COLUMNS)
    assert table["quick"].to_pylist() == [True] * len(table)
    assert table["simulated"].to_pylist() == [True] * len(table)
    assert set(table["source"].to_pylist()) == {study.data.source}
    assert {json.loads(text)["epochs"] for text in table["chosen"].to_pylist()} == {5}


def test_the_chosen_parameters_stand_beside_their_fold_and_numpy_values_become_plain() -> None:
    data = synthetic.data(trials=4, windows=1)
    chosen = (
        {"k": np.int64(3), "scale": np.float64(0.5), "sizes": np.array([8, 4]), "kind": Path("a")},
        {"k": 7, "epochs": 2},
    )
    # Folds need not be numbered from 0, nor be in order.
    predictions = Predictions(
        "AA-kNN",
        "trials",
        np.arange(4),
        np.array([9, 2, 9, 2]),
        np.full((1, 4, 10), 0.1),
        chosen,
        0.0,
    )
    found = scores(Results(data, {("trials", "AA-kNN"): predictions}, {}, {}))
    assert {s.fold: json.loads(s.chosen) for s in found} == {
        2: {"k": 3, "scale": 0.5, "sizes": [8, 4], "kind": "a"},
        9: {"k": 7, "epochs": 2},
    }


def test_the_methods_of_a_protocol_keep_the_order_of_the_tables(study: Results) -> None:
    assert [p.method for p in study.of("windows")] == list(synthetic.SPREADS)
    assert study.of("subjects") == ()


def test_a_missing_pyarrow_is_named_with_what_installs_it(
    study: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'emodict\[parquet\]'"):
        write_results(study, tmp_path / RESULTS_FILE)


def test_the_run_that_several_ablations_share_is_stored_once_under_one_name() -> None:
    by_key = {block.key: block for block in BLOCKS}
    assert {by_key[key].method("full") for key in ("components", "modalities", "fusion")} == {
        "components: full"
    }
    assert by_key["elements"].method("32") == "components: full"
    assert by_key["elements"].method("8") == "elements: 8"
    assert by_key["fusion"].method("without dictionary") == by_key["components"].method(
        "without dictionary"
    )
    assert all(block.reference in block.variants for block in BLOCKS)


def test_variants_of_ablations_are_told_from_methods() -> None:
    variants = {block.method(variant) for block in BLOCKS for variant in block.variants}
    assert all(map(is_variant, variants))
    assert not any(
        map(is_variant, (PAPER, ROBUST, "SA-CPNN (one-hot)", "mean label", "kernel ridge"))
    )


def test_modalities_are_left_out_one_by_one_as_the_data_have_them() -> None:
    edl = {block.key: block for block in blocks_for(("gsr", "skt", "ecg", "hr"))}
    assert edl["modalities"].variants == (
        "full",
        "without gsr",
        "without skt",
        "without ecg",
        "without hr",
    )
    alone = {block.key: block for block in blocks_for(("features",))}
    assert alone["modalities"].variants == ("full",)


def test_scores_of_a_study_on_recordings_do_not_say_simulated() -> None:
    study = synthetic.results(synthetic.data(trials=4, windows=1), ablations=False)
    assert not any(s.simulated or s.quick for s in scores(study))
    assert all(s.simulated for s in scores(dataclasses.replace(study, data=synthetic.data(
        trials=4, windows=1, simulated=True))))  # fmt: skip


def test_every_variant_can_be_named_on_the_command_line() -> None:
    names = tuple(block.method(variant) for block in BLOCKS for variant in block.variants)
    assert names_given(",".join(names), "--methods") == names
