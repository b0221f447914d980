from __future__ import annotations

import dataclasses
import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.special import rel_entr
from tests.train.study import synthetic

from emodict.results.metrics import METRICS
from emodict_train.study.compared.ablations import PAPER, ROBUST
from emodict_train.study.judging.results import Predictions, Results, Score
from emodict_train.study.judging.statistics import (
    MEAN_LABEL,
    ClusterKL,
    best_rival,
    cluster_kl,
    clusters_of,
    compare,
    critical_difference,
    fold_ranks,
    friedman_p,
    holm,
    ranking,
    ranks,
    row_kl,
    sign_flip_p,
    spread,
)

FloatArray = NDArray[np.float64]
SMALL = st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=2, max_size=6)

# Table 3 of the paper, DMER: measures of the twelve methods, and the ranks it prints behind them.
TABLE_3 = {
    "chebyshev": [
        0.7733,
        0.1025,
        0.0789,
        0.0890,
        0.0786,
        0.0871,
        0.0819,
        0.0807,
        0.0769,
        0.0785,
        0.0823,
        0.0717,
    ],
    "clark": [
        2.8673,
        0.7020,
        0.5409,
        0.6490,
        0.5556,
        0.6100,
        0.5968,
        0.5672,
        0.5411,
        0.5423,
        0.5706,
        0.4729,
    ],
    "canberra": [
        8.9723,
        1.8544,
        1.4263,
        1.7358,
        1.5049,
        1.7313,
        1.6380,
        1.5344,
        1.4632,
        1.4785,
        1.5089,
        1.2297,
    ],
    "kl": [
        12.6201,
        0.1378,
        0.0831,
        0.1133,
        0.0777,
        0.0979,
        0.0788,
        0.0707,
        0.0742,
        0.0778,
        0.0854,
        0.0592,
    ],
    "cosine": [
        0.4003,
        0.8776,
        0.9237,
        0.9102,
        0.9288,
        0.9119,
        0.9335,
        0.9418,
        0.9320,
        0.9289,
        0.9202,
        0.9419,
    ],
    "intersection": [
        0.1961,
        0.8025,
        0.8500,
        0.8242,
        0.8445,
        0.8228,
        0.8410,
        0.8535,
        0.8488,
        0.8471,
        0.8406,
        0.8686,
    ],
}
TABLE_3_RANKS = {
    "chebyshev": [12, 11, 5, 10, 4, 9, 7, 6, 2, 3, 8, 1],
    "clark": [12, 11, 2, 10, 5, 9, 8, 6, 3, 4, 7, 1],
    "kl": [12, 11, 7, 10, 4, 9, 6, 2, 3, 5, 8, 1],
    "intersection": [12, 11, 3, 9, 6, 10, 7, 2, 4, 5, 8, 1],
}


def _score(
    fold: int, kl: float, *, method: str = "A", seed: int = 0, protocol: str = "trials"
) -> Score:
    metrics = {**dict.fromkeys(METRICS, 0.0), "kl": kl}
    return Score(protocol, method, fold, seed, 1, metrics, "{}", False, False, "made up")


def _found(**kl: FloatArray) -> ClusterKL:
    return ClusterKL(tuple(kl), "trials", np.array(list(kl.values())))


def _pair(seed: int, count: int, *, effect: float = 0.01) -> ClusterKL:
    """Skewed KL of two methods that share how hard a trial is."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(2.0, 0.05, count)
    return _found(A=base + rng.normal(effect, 0.03, count), B=base)


# --- means and ranks


def test_mean_and_sd_are_over_every_fold_and_seed() -> None:
    values = [0.1, 0.2, 0.4, 0.25]
    found = spread([_score(i // 2, kl, seed=i % 2) for i, kl in enumerate(values)])
    assert found.count == 4
    assert found.mean["kl"] == pytest.approx(statistics.mean(values))
    assert found.sd["kl"] == pytest.approx(statistics.stdev(values))


def test_a_single_fold_and_seed_has_no_sd() -> None:
    assert np.isnan(spread([_score(0, 0.1)]).sd["kl"])


@settings(max_examples=50, deadline=None)
@given(SMALL)
def test_ties_share_the_mean_of_their_ranks(rows: list[list[int]]) -> None:
    values = np.array(rows, dtype=np.float64)
    np.testing.assert_array_equal(ranks(values), stats.rankdata(values, axis=1))


def test_a_method_without_a_number_ranks_last() -> None:
    assert ranks(np.array([3.0, np.nan, 1.0])).tolist() == [2, 3, 1]


def test_the_ranks_of_the_papers_table_3_come_out_of_its_measures() -> None:
    methods = [f"method {i}" for i in range(12)]
    found = ranking(
        {m: {name: column[i] for name, column in TABLE_3.items()} for i, m in enumerate(methods)}
    )
    for name, expected in TABLE_3_RANKS.items():
        assert found.ranks[:, METRICS.index(name)].tolist() == expected
    printed = {0: 12, 1: 11, 2: 4.33, 3: 9.83, 4: 5, 11: 1}
    # The paper cuts off after two digits.
    assert {i: found.average[i] for i in printed} == pytest.approx(printed, abs=0.01)
    assert found.place[[11, 0]].tolist() == [1, 12]


# --- what is resampled


def test_trials_are_resampled_and_people_only_where_they_are_held_out_and_enough() -> None:
    many, few = synthetic.data(people=5, trials=3), synthetic.data(people=4, trials=3)
    assert [
        (c.unit, c.count) for c in (clusters_of(many, p) for p in ("trials", "windows", "subjects"))
    ] == [
        ("trials", 15),
        ("trials", 15),
        ("subjects", 5),
    ]
    found = clusters_of(few, "subjects")
    assert (found.unit, found.count) == ("trials", 12)
    # Everybody's trials are numbered from 0 here, and are not one and the same for that.
    assert (
        len(set(zip(few.subject.tolist(), few.trial.tolist(), found.of_row.tolist(), strict=True)))
        == 12
    )


def test_rows_that_belong_to_no_trial_are_called_rows() -> None:
    data = synthetic.data(trials=7, windows=1)
    assert (clusters_of(data, "windows").unit, clusters_of(data, "windows").count) == ("rows", 7)


def test_the_kl_of_a_row_is_averaged_over_seeds_and_over_the_times_it_was_held_out() -> None:
    data = synthetic.data(trials=2, windows=2)
    rng = np.random.default_rng(0)
    drawn = rng.dirichlet(np.ones(10), size=(3, 4))
    rows = np.array([2, 0, 2, 1])
    kl = row_kl(
        Predictions("A", "trials", rows, np.zeros(4, dtype=np.intp), drawn, ({},), 0.0), data
    )
    each = rel_entr(data.D[rows], drawn).sum(axis=-1).mean(axis=0)
    np.testing.assert_allclose(kl, [each[1], each[3], (each[0] + each[2]) / 2, np.nan], rtol=1e-12)


def _two_methods(data_windows: int = 4) -> Results:
    return synthetic.results(
        synthetic.data(trials=9, windows=data_windows),
        protocols=("trials",),
        ablations=False,
        latents=False,
        spreads={"A": 0.3, MEAN_LABEL: 0.4},
    )


def test_each_trial_counts_once_and_rows_that_one_method_lacks_are_left_out_for_all() -> None:
    study = _two_methods()
    whole = study.predictions["trials", "A"]
    # A says nothing of trial 0, and little of trial 1.
    kept = (study.data.trial[whole.rows] != 0) & (whole.rows != 4)
    part = dataclasses.replace(
        whole,
        rows=whole.rows[kept],
        fold=whole.fold[kept],
        distribution=whole.distribution[:, kept],
    )
    found = cluster_kl(
        dataclasses.replace(study, predictions={**study.predictions, ("trials", "A"): part}),
        "trials", ("A", "not run", MEAN_LABEL),
    )  # fmt: skip
    kl = row_kl(study.predictions["trials", MEAN_LABEL], study.data)
    assert found.methods == ("A", MEAN_LABEL)
    np.testing.assert_allclose(
        found.of(MEAN_LABEL),
        [kl[5:8].mean(), *(kl[4 * t : 4 * t + 4].mean() for t in range(2, 9))],
        rtol=1e-12,
    )


def test_more_windows_of_the_same_trials_are_no_more_evidence() -> None:
    study = _two_methods()
    often = np.repeat(np.arange(len(study.data.D)), 10)
    data = dataclasses.replace(
        study.data, X=study.data.X[often], D=study.data.D[often], trial=study.data.trial[often],
        subject=study.data.subject[often],
    )  # fmt: skip
    repeated = {}
    for key, p in study.predictions.items():
        order = np.argsort(p.rows)
        by_row = p.distribution[:, order][:, often]
        repeated[key] = dataclasses.replace(
            p, rows=np.arange(len(often)), fold=p.fold[order][often], distribution=by_row
        )
    more = dataclasses.replace(study, data=data, predictions=repeated)
    once, tenfold = (
        compare(
            cluster_kl(s, "trials", ("A", MEAN_LABEL)),
            MEAN_LABEL,
            rng=np.random.default_rng(0),
            resamples=2000,
        )
        for s in (study, more)
    )
    assert (once[0].clusters, tenfold[0].clusters) == (9, 9)
    assert (tenfold[0].interval.low, tenfold[0].interval.high, tenfold[0].p) == pytest.approx(
        (once[0].interval.low, once[0].interval.high, once[0].p), rel=1e-9
    )


def test_a_method_whose_predictions_are_no_numbers_is_not_compared() -> None:
    study = _two_methods()
    broken = study.predictions["trials", "A"]
    values = broken.distribution.copy()
    values[0, 3] = np.nan
    predictions = {
        **study.predictions,
        ("trials", "A"): dataclasses.replace(broken, distribution=values),
    }
    found = cluster_kl(
        dataclasses.replace(study, predictions=predictions), "trials", ("A", MEAN_LABEL)
    )
    assert found.methods == (MEAN_LABEL,)
    assert found.kl.shape == (1, 9)


# --- intervals


def _difference_of_means(a: FloatArray, b: FloatArray, axis: int = -1) -> FloatArray:
    return np.asarray(a.mean(axis) - b.mean(axis))


def _percent_of_means(a: FloatArray, b: FloatArray, axis: int = -1) -> FloatArray:
    return np.asarray(100 * (a.mean(axis) / b.mean(axis) - 1))


@pytest.mark.parametrize("seed", range(3))
def test_intervals_agree_with_scipys_bootstrap_of_the_cluster_means(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.gamma(2.0, 0.05, 15)
    # So skewed that an interval without the corrections of BCa lies elsewhere.
    found = _found(A=base * rng.lognormal(0.0, 1.2, 15), B=base)
    (ours,) = compare(found, "B", rng=rng, resamples=100_000)
    sides = (found.of("A"), found.of("B"))
    for statistic, interval, estimate in (
        (_difference_of_means, ours.interval, ours.difference),
        (_percent_of_means, ours.percent_interval, ours.percent),
    ):
        theirs = stats.bootstrap(
            sides,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=100_000,
            random_state=np.random.default_rng(100 + seed),
            method="BCa",
        )
        assert estimate == pytest.approx(statistic(*sides))
        # Of 100,000 draws a 2.5 % quantile has a standard error of .0085 of the statistic's own,
        # and the bias correction, which moves it by twice its error of .004, nearly as much:
        # four of both, of two runs.
        atol = 4 * np.sqrt(2) * np.hypot(0.0085, 0.008) * theirs.standard_error
        assert (interval.low, interval.high) == pytest.approx(
            tuple(theirs.confidence_interval), abs=atol
        )


def test_intervals_hold_the_truth_as_often_as_a_bootstrap_of_so_few_clusters_can() -> None:
    repeats, count, effect = 400, 22, 0.01
    rng = np.random.default_rng(5)
    held = 0
    for seed in range(repeats):
        (one,) = compare(_pair(seed, count, effect=effect), "B", rng=rng, resamples=2000)
        held += one.interval.low <= effect <= one.interval.high
    # Of normal differences: Student's t,
    # with normal quantiles and a variance over n. .93 for 22 clusters.
    expected = 1 - 2 * stats.t.sf(stats.norm.ppf(0.975) * np.sqrt((count - 1) / count), count - 1)
    # Four standard errors of a share of 400.
    assert held / repeats == pytest.approx(
        expected, abs=4 * np.sqrt(expected * (1 - expected) / repeats)
    )


def test_methods_that_predict_the_same_differ_by_nothing() -> None:
    kl = np.random.default_rng(0).random(20)
    (same,) = compare(_found(A=kl, B=kl.copy()), "B", rng=np.random.default_rng(0), resamples=2000)
    assert (same.difference, same.interval.low, same.interval.high, same.p) == (0, 0, 0, 1)
    assert same.interval.holds_zero


def test_a_single_cluster_gives_no_interval_and_proves_nothing() -> None:
    (alone,) = compare(
        _found(A=np.array([0.1]), B=np.array([0.2])), "B", rng=np.random.default_rng(0)
    )
    assert alone.difference == pytest.approx(-0.1)
    assert np.isnan([alone.interval.low, alone.interval.high]).all()
    assert alone.interval.holds_zero
    assert alone.p == 1


def test_a_method_that_is_better_in_every_cluster_is_better_in_every_resample() -> None:
    base = np.random.default_rng(1).uniform(0.5, 1.0, 20)
    (better,) = compare(
        _found(A=base * 0.9, B=base), "B", rng=np.random.default_rng(0), resamples=2000
    )
    assert better.interval.high < 0
    assert (
        better.percent,
        better.percent_interval.low,
        better.percent_interval.high,
    ) == pytest.approx((-10,) * 3)


def test_comparisons_repeat_with_the_generator() -> None:
    first, again = (
        compare(_pair(1, 30), "B", rng=np.random.default_rng(7), resamples=2000) for _ in range(2)
    )
    assert first == again


def test_nothing_is_compared_with_a_reference_that_did_not_run() -> None:
    assert compare(_pair(0, 5), MEAN_LABEL, rng=np.random.default_rng(0)) == ()


def test_the_best_rival_is_neither_emotiondict_nor_the_mean_label() -> None:
    low, high = np.full(4, 0.1), np.full(4, 0.3)
    found = ClusterKL(
        (PAPER, ROBUST, MEAN_LABEL, "AA-kNN", "DLDL"),
        "trials",
        np.array([low, low, low, high, high / 2]),
    )
    assert best_rival(found) == "DLDL"
    assert best_rival(ClusterKL((ROBUST, MEAN_LABEL), "trials", np.array([low, low]))) is None


# --- tests


def _brute_force_p(differences: FloatArray) -> float:
    flips = [
        np.mean(np.array(signs) * differences)
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return float(np.mean(np.abs(flips) >= abs(differences.mean()) - 1e-15))


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_the_permutation_test_of_few_clusters_tries_every_pattern_of_signs(count: int) -> None:
    differences = np.random.default_rng(count).normal(0.3, 1.0, (3, count))
    expected = [_brute_force_p(row) for row in differences]
    # Nothing is drawn, so the generator does not matter.
    for seed in range(2):
        assert sign_flip_p(differences, rng=np.random.default_rng(seed)).tolist() == expected


def test_the_exact_permutation_test_is_scipys() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1.0, 12)
    theirs = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="two-sided",
    )
    assert sign_flip_p(differences[None], rng=np.random.default_rng(0))[0] == pytest.approx(
        theirs.pvalue
    )


def test_the_random_permutation_test_comes_near_the_exact_one() -> None:
    differences = np.random.default_rng(4).normal(0.25, 1.0, 16)
    signs = 1.0 - 2.0 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1)
    exact = (np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12).mean()
    found = sign_flip_p(differences[None], rng=np.random.default_rng(0), flips=10_000)[0]
    assert 0.05 < exact < 0.95
    # Four standard errors of a share of 10,000.
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 10_000))


def test_random_permutations_never_say_that_a_difference_is_impossible() -> None:
    found = sign_flip_p(np.ones((1, 40)), rng=np.random.default_rng(0), flips=999)
    assert found.tolist() == [1 / 1000]


def test_holm_multiplies_the_smallest_by_all_the_next_by_one_less_and_never_falls() -> None:
    # Sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04, and .04 may not be below .06.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []


@settings(max_examples=50, deadline=None)
@given(SMALL)
def test_friedmans_test_is_scipys_with_its_correction_for_ties(rows: list[list[int]]) -> None:
    values = np.array(rows, dtype=np.float64)
    if all(len(set(row)) == 1 for row in rows):
        assert friedman_p(ranks(values)) == 1
    else:
        assert friedman_p(ranks(values)) == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)


def test_nemenyis_critical_difference_has_demsars_published_q() -> None:
    # Demsar 2006, Table 5 (a), q at 5 % for 2 to 10 classifiers.
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    # N = k (k + 1) / 6 would make the root 1; N is an integer, so it is divided out.
    q = [critical_difference(k, folds=30) / np.sqrt(k * (k + 1) / 180) for k in range(2, 11)]
    # Printed with three digits, from tables with as many.
    assert q == pytest.approx(published, abs=1e-3)
    # His example: 4 classifiers on 14 data sets, 1.25.
    assert critical_difference(4, folds=14) == pytest.approx(1.25, abs=0.005)


def test_folds_rank_methods_by_the_mean_of_their_seeds_where_all_have_the_fold() -> None:
    found = fold_ranks(
        [
            *(
                _score(fold, kl, method="A", seed=seed)
                for fold in (0, 1, 2)
                for seed, kl in enumerate((0.1, 0.5))
            ),
            *(_score(fold, kl, method="B") for fold, kl in enumerate((0.2, 0.4, 0.0))),
            *(_score(fold, kl, method="C") for fold, kl in enumerate((0.9, 0.3))),
            _score(0, 0.0, method="D"),
            _score(0, 0.0, method="A", protocol="windows"),
        ],
        "trials",
        ("A", "B", "C", "not run"),
    )
    assert found.methods == ("A", "B", "C")
    # A has .3 in every fold; C ties with it in fold 1, and has no fold 2.
    assert found.ranks.tolist() == [[2, 1, 3], [1.5, 3, 1.5]]
    assert found.average.tolist() == [1.75, 2, 2.25]
    assert found.critical_difference == critical_difference(3, folds=2)


def test_folds_rank_larger_measures_first_where_larger_is_better() -> None:
    scores = [
        dataclasses.replace(_score(0, 0.0, method=m), metrics={"cosine": v})
        for m, v in (("A", 0.9), ("B", 0.8))
    ]
    assert fold_ranks(scores, "trials", ("A", "B"), metric="cosine").ranks.tolist() == [[1, 2]]


def test_ranks_of_one_fold_or_one_method_are_not_tested() -> None:
    found = fold_ranks([_score(0, 0.1), _score(0, 0.2, method="B")], "trials", ("A", "B"))
    assert np.isnan(found.p)
    assert np.isnan(found.critical_difference)
    assert np.isnan(fold_ranks([], "trials", ()).p)
