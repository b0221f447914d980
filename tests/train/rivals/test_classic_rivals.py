from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import approx_fprime, brentq, minimize
from scipy.special import softmax
from scipy.stats import entropy, gmean
from sklearn.calibration import CalibratedClassifierCV
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from tests.train.study.fixtures import BUDGET

from emodict.errors import InputError
from emodict_train.rivals import GRIDS, RIVALS
from emodict_train.rivals.baselines import KernelRidge, MeanLabel
from emodict_train.rivals.low_rank import EDLLRL, shrink_singular_values
from emodict_train.rivals.maximum_entropy import SABFGS, SAIIS, l2_penalties, regularised_kl
from emodict_train.rivals.nearest_neighbours import AAkNN
from emodict_train.rivals.problem_transformation import PTSVM, PTBayes

NAMES = [
    *(
        "PT-Bayes",
        "PT-SVM",
        "AA-kNN",
        "AA-BP",
        "SA-IIS",
        "SA-BFGS",
        "SA-CPNN",
        "SA-CPNN (one-hot)",
        "DLDL",
    ),
    *("EDL-LRL", "EDLConv", "MISA", "TAILOR", "mean label", "kernel ridge"),
]
CLASSIC = [
    "PT-Bayes",
    "PT-SVM",
    "AA-kNN",
    "SA-IIS",
    "SA-BFGS",
    "EDL-LRL",
    "mean label",
    "kernel ridge",
]
every_classic = pytest.mark.parametrize("name", CLASSIC)

ROWS, FEATURES, LABELS = 60, 4, 3


def planted(seed: int = 0, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Features of both signs and noisy distributions that depend on them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, FEATURES))
    logits = X @ rng.normal(size=(FEATURES, LABELS)) + 0.5 * rng.normal(size=(rows, LABELS))
    return X, softmax(logits, axis=1)


def single_labels(seed: int = 0, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    X, D = planted(seed, rows)
    label = D.argmax(axis=1)
    return X, label


def quarters(rows: int = ROWS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, distributions in quarters, and how often each (row, label)
    stands for itself in them.
    """
    rng = np.random.default_rng(1)
    times = rng.multinomial(4, np.full(LABELS, 1 / LABELS), size=rows)
    return (
        rng.normal(size=(rows, FEATURES)) + times @ rng.normal(size=(LABELS, FEATURES)),
        times / 4,
        times,
    )


def repeated(X: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row as an example of each label, as many times as said."""
    labels = np.tile(np.arange(times.shape[1]), len(X))
    return np.repeat(np.repeat(X, times.shape[1], axis=0), times.ravel(), axis=0), np.repeat(
        labels, times.ravel()
    )


def kl_sum(D: np.ndarray, P: np.ndarray) -> float:
    return float(entropy(D, P, axis=1).sum())


# The mapping by name


def test_the_rivals_are_listed_in_the_order_of_the_tables_without_importing_what_they_need() -> (
    None
):
    program = (
        "import sys; from emodict_train.rivals import GRIDS, RIVALS; print(*RIVALS, sep=';'); "
        "print(*GRIDS, sep=';');"
        "print({'torch', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    paths = [path for path in sys.path if path]
    code = f"import sys; sys.path[:0] = {paths!r}; {program}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [";".join(NAMES), ";".join(NAMES), "set()"]


@pytest.mark.parametrize("name", NAMES)
def test_no_rival_has_more_candidates_than_another_may_have_and_takes_each_of_them(
    name: str,
) -> None:
    assert 1 <= len(GRIDS[name]) <= BUDGET
    assert len({repr(sorted(candidate.items())) for candidate in GRIDS[name]}) == len(GRIDS[name])
    for candidate in GRIDS[name]:
        rival = RIVALS[name](**candidate)
        assert {setting: getattr(rival, setting) for setting in candidate} == candidate


def test_a_name_that_is_no_rival_is_not_found() -> None:
    assert "kNN" not in RIVALS
    with pytest.raises(KeyError):
        RIVALS["kNN"]


def test_the_two_networks_of_conditional_probability_differ_in_how_the_label_enters() -> None:
    encodings = [RIVALS[name]().encoding for name in ("SA-CPNN", "SA-CPNN (one-hot)")]  # type: ignore[attr-defined]
    assert encodings == ["numeric", "one-hot"]


# What holds for all


@every_classic
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_every_candidate_predicts_distributions_also_of_labels_with_zeros(
    name: str, scale: float
) -> None:
    X, D = planted(rows=30)
    D = np.where(D < 0.2, 0.0, D)
    D /= D.sum(axis=1, keepdims=True)
    for candidate in GRIDS[name]:
        P = RIVALS[name](**candidate).fit(X[:20] * scale, D[:20]).predict(X * scale)
        assert P.shape == D.shape
        assert (P >= 0).all()
        np.testing.assert_allclose(P.sum(axis=1), 1.0)


@every_classic
def test_a_label_never_seen_in_training_is_not_predicted(name: str) -> None:
    X, D = planted()
    D = np.insert(D, 1, 0.0, axis=1)
    P = RIVALS[name]().fit(X, D).predict(X)
    # Kernel ridge counts a share below its floor of 0.001 as that; the others are nearer to 0.
    assert P[:, 1].max() < 5e-3
    np.testing.assert_allclose(P.sum(axis=1), 1.0)


@every_classic
def test_where_all_training_rows_have_one_label_it_is_predicted(name: str) -> None:
    X, _ = planted()
    D = np.tile([0.0, 1.0, 0.0], (len(X), 1))
    # Kernel ridge: as above.
    np.testing.assert_allclose(RIVALS[name]().fit(X, D).predict(X), D, atol=5e-3)


@every_classic
def test_the_order_of_the_labels_does_not_matter(name: str) -> None:
    X, D = planted()
    order = [2, 0, 1]
    P, permuted = (RIVALS[name]().fit(X, labels).predict(X) for labels in (D, D[:, order]))
    # L-BFGS stops where little is gained.
    np.testing.assert_allclose(permuted, P[:, order], atol=1e-3)


@pytest.mark.parametrize("name", [name for name in CLASSIC if name != "mean label"])
def test_what_depends_on_the_features_is_predicted_better_than_by_the_mean_label(name: str) -> None:
    X, D = planted()
    test, train = slice(0, 20), slice(20, None)
    P, mean = (
        RIVALS[each]().fit(X[train], D[train]).predict(X[test]) for each in (name, "mean label")
    )
    assert kl_sum(D[test], P) < 0.7 * kl_sum(D[test], mean)


@every_classic
def test_predicting_before_fitting_is_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match="fit comes before predict"):
        RIVALS[name]().predict(planted()[0])


# Problem transformation


def test_with_one_label_to_a_row_pt_bayes_is_naive_bayes() -> None:
    X, label = single_labels()
    expected = GaussianNB(var_smoothing=0.1).fit(X, label).predict_proba(X)
    np.testing.assert_allclose(
        PTBayes(smoothing=0.1).fit(X, np.eye(LABELS)[label]).predict(X), expected, atol=1e-12
    )


def test_a_share_weighs_in_pt_bayes_as_that_many_examples_would() -> None:
    X, D, times = quarters()
    expected = GaussianNB(var_smoothing=1e-12).fit(*repeated(X, times)).predict_proba(X)
    np.testing.assert_allclose(
        PTBayes(smoothing=1e-12).fit(X, D).predict(X), expected, rtol=1e-6, atol=1e-9
    )


def test_drawn_examples_are_those_of_their_seed_and_on_average_what_the_weights_say() -> None:
    X, D = planted(rows=1000)
    drawn = [PTBayes(draw_seed=seed).fit(X, D).predict(X) for seed in (0, 0, 1)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    # 3000 examples, a third of them of each label: a mean is known to 1 / sqrt(1000).
    np.testing.assert_allclose(
        drawn[0].mean(axis=0), PTBayes().fit(X, D).predict(X).mean(axis=0), atol=0.03
    )


def test_with_two_labels_pt_svm_is_a_calibrated_linear_machine() -> None:
    X, label = single_labels()
    label = np.minimum(label, 1)
    machine = CalibratedClassifierCV(LinearSVC(C=0.1, dual=False), cv=KFold(5)).fit(X, label)
    P = PTSVM(C=0.1).fit(X, np.eye(2)[label]).predict(X)
    # Each row is of the other label too, by 1e-6.
    np.testing.assert_allclose(P, machine.predict_proba(X), atol=1e-4)


def test_pt_svm_learns_shares_and_not_only_the_largest_label() -> None:
    x = np.linspace(-2, 2, 200)
    share = 0.4 * softmax(np.stack([x, -x], axis=1), axis=1)[:, 0]  # never the larger one
    rows = np.random.default_rng(0).permutation(len(x))
    P = PTSVM().fit(x[rows, None], np.stack([share, 1 - share], axis=1)[rows]).predict(x[:, None])
    assert (np.diff(P[:, 0]) > 0).all()
    assert P[:, 0].mean() == pytest.approx(share.mean(), abs=0.01)


# Nearest neighbours


@pytest.mark.parametrize("k", [1, 3])
def test_aa_knn_is_the_mean_over_the_rows_that_sorting_all_distances_puts_first(k: int) -> None:
    X, D = planted()
    test, train = slice(0, 20), slice(20, None)
    expected = [
        D[train][np.argsort(np.linalg.norm(X[train] - x, axis=1))[:k]].mean(axis=0) for x in X[test]
    ]
    np.testing.assert_allclose(AAkNN(k=k).fit(X[train], D[train]).predict(X[test]), expected)


def test_more_neighbours_than_rows_are_all_rows() -> None:
    X, D = planted()
    np.testing.assert_allclose(
        AAkNN(k=1000).fit(X, D).predict(X[:2]), np.tile(D.mean(axis=0), (2, 1))
    )


def test_no_neighbour_is_refused() -> None:
    with pytest.raises(InputError, match=r"k of at least 1, got 0\. 5 is usual"):
        AAkNN(k=0)


# The maximum entropy model


def test_the_gradient_of_the_regularised_divergence_is_its_difference_quotient() -> None:
    X, D = planted(rows=10)
    penalties = l2_penalties(X, 0.7, intercept=True)
    weights = np.random.default_rng(2).normal(size=FEATURES * LABELS)

    def value(flat: np.ndarray) -> float:
        return regularised_kl(flat.reshape(FEATURES, LABELS), X, D, penalties)[0]

    _, gradient = regularised_kl(weights.reshape(FEATURES, LABELS), X, D, penalties)
    np.testing.assert_allclose(gradient, approx_fprime(weights, value, 1e-7), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("l2", [0.05, 5.0])
def test_sa_bfgs_is_multinomial_logistic_regression_of_weighted_labels(l2: float) -> None:
    X, D = planted()
    labels = np.tile(np.arange(LABELS), len(X))
    # scikit-learn weighs the likelihood against half the sum of squares.
    oracle = LogisticRegression(C=1 / (2 * l2), tol=1e-10, max_iter=2000)
    oracle.fit(np.repeat(X, LABELS, axis=0), labels, sample_weight=D.ravel())
    np.testing.assert_allclose(
        SABFGS(l2=l2).fit(X, D).predict(X), oracle.predict_proba(X), atol=1e-4
    )


def test_the_heavier_the_penalty_the_nearer_the_mean_label() -> None:
    X, D = planted()
    mean = np.tile(D.mean(axis=0), (len(X), 1))
    distances = [kl_sum(mean, SABFGS(l2=l2).fit(X, D).predict(X)) for l2 in (0.0, 1.0, 100.0, 1e6)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-4


def test_iterative_scaling_converges_to_what_quasi_newton_finds() -> None:
    X, D = planted()
    P = SAIIS(max_iterations=5000).fit(X, D).predict(X)
    np.testing.assert_allclose(P, SABFGS().fit(X, D).predict(X), atol=1e-3)
    # The maximum entropy model is the one that expects of each feature what the labels do.
    np.testing.assert_allclose(X.T @ P, X.T @ D, atol=1e-2)


@pytest.mark.parametrize("outlier", [1.0, 300.0])
def test_no_iteration_of_scaling_makes_the_divergence_larger(outlier: float) -> None:
    X, D = planted()
    X[0] *= outlier
    divergence = [
        kl_sum(D, SAIIS(max_iterations=n).fit(X, D).predict(X))
        for n in (1, 2, 3, 5, 10, 20, 50, 100)
    ]
    assert divergence == sorted(divergence, reverse=True)
    assert divergence[-1] < divergence[0] - 1e-3


def test_for_histograms_an_iteration_is_the_root_of_improved_iterative_scalings_equation() -> None:
    _, D = planted(rows=12)
    X = np.random.default_rng(3).dirichlet(np.ones(FEATURES), size=12)
    p = np.full(D.shape, 1 / LABELS)  # of zero weights, from which it starts

    def root(k: int, label: int) -> float:
        def equation(delta: float) -> float:
            return float(
                (
                    p[:, label] * X[:, k] * np.exp(delta * X.sum(axis=1)) - D[:, label] * X[:, k]
                ).sum()
            )

        return float(brentq(equation, -20, 20))

    weights = np.array([[root(k, label) for label in range(LABELS)] for k in range(FEATURES)])
    P = SAIIS(max_iterations=1, intercept=False).fit(X, D).predict(X)
    np.testing.assert_allclose(P, softmax(X @ weights, axis=1), rtol=1e-9)


def test_a_feature_that_is_always_zero_changes_nothing_in_iterative_scaling() -> None:
    X, D = planted()
    P, same = (
        SAIIS(max_iterations=50).fit(x, D).predict(x) for x in (X, np.insert(X, 2, 0.0, axis=1))
    )
    np.testing.assert_allclose(same, P, rtol=1e-9)


# Local low-rank label correlations


def test_shrinking_singular_values_solves_its_problem() -> None:
    matrix, threshold = planted(rows=8)[1], 0.3
    Z = shrink_singular_values(matrix, threshold)

    def objective(flat: np.ndarray) -> float:
        other = flat.reshape(matrix.shape)
        return float(np.square(other - matrix).sum() / 2 + threshold * np.linalg.norm(other, "nuc"))

    rng = np.random.default_rng(0)
    others = [
        objective(Z.ravel() + size * rng.normal(size=Z.size))
        for size in (1e-4, 1e-2, 1.0)
        for _ in range(50)
    ]
    assert min(others) > objective(Z.ravel())
    assert np.linalg.matrix_rank(Z, tol=1e-9) < np.linalg.matrix_rank(matrix, tol=1e-9)


def test_edl_lrl_reaches_the_optimum_that_a_direct_search_finds() -> None:
    X, D = planted(rows=25)
    inputs = np.column_stack([X, np.ones(len(X))])

    def objective(P: np.ndarray) -> float:
        return kl_sum(D, P) + 2.0 * float(np.linalg.norm(P, "nuc"))

    def of_weights(flat: np.ndarray) -> float:
        return objective(softmax(inputs @ flat.reshape(FEATURES + 1, LABELS), axis=1))

    direct = minimize(of_weights, np.zeros((FEATURES + 1) * LABELS), method="L-BFGS-B")
    rival = EDLLRL(l2=0.0, low_rank=2.0, clusters=1, max_iterations=2000).fit(X, D)
    assert objective(rival.predict(X)) == pytest.approx(direct.fun, rel=1e-4)
    # Without the trace norm it would be elsewhere.
    assert objective(SABFGS().fit(X, D).predict(X)) > direct.fun * 1.01


def test_edl_lrl_without_trace_norms_is_the_maximum_entropy_model() -> None:
    X, D = planted()
    P = EDLLRL(l2=1.0, low_rank=0.0, max_iterations=1000).fit(X, D).predict(X)
    np.testing.assert_allclose(P, SABFGS(l2=1.0).fit(X, D).predict(X), atol=1e-3)


def test_edl_lrl_makes_the_predictions_of_each_cluster_nearer_to_low_rank() -> None:
    rng = np.random.default_rng(0)
    centre = np.repeat([[-20.0, 0, 0, 0], [20.0, 0, 0, 0]], 30, axis=0)
    _, D = planted()
    X = centre + rng.normal(size=centre.shape)
    spectra = []
    for low_rank in (0.0, 3.0):
        P = EDLLRL(low_rank=low_rank, clusters=2).fit(X, D).predict(X)
        spectra.append(
            [np.linalg.svd(part, compute_uv=False)[1:].sum() for part in (P[:30], P[30:])]
        )
    assert (np.array(spectra[1]) < 0.8 * np.array(spectra[0])).all()


def test_fewer_different_rows_than_clusters_are_a_cluster_each() -> None:
    X, D = planted()
    P = EDLLRL(clusters=5).fit(np.repeat(X[:2], 30, axis=0), D).predict(X[:2])
    np.testing.assert_allclose(P, [D[:30].mean(axis=0), D[30:].mean(axis=0)], atol=0.05)


# Baselines


def test_the_mean_label_is_the_mean_whatever_the_features() -> None:
    X, D = planted()
    np.testing.assert_array_equal(
        MeanLabel().fit(X, D).predict(X[:2]), np.tile(D.mean(axis=0), (2, 1))
    )


def test_kernel_ridge_with_rbf_is_that_of_scikit_learn_on_centred_log_labels() -> None:
    X, D = planted()
    squared = np.square(X[:, None] - X[None]).sum(axis=2)
    oracle = SklearnKernelRidge(kernel="rbf", gamma=0.5 / squared.mean(), alpha=0.3)
    mean = np.log(D).mean(axis=0)
    oracle.fit(X, np.log(D) - mean)
    other = planted(1)[0]
    P = KernelRidge(ridge=0.3, width=0.5, floor=1e-9).fit(X, D).predict(other)
    np.testing.assert_allclose(P, softmax(mean + oracle.predict(other), axis=1), rtol=1e-9)


def test_linear_kernel_ridge_is_ridge_regression_with_an_intercept() -> None:
    X, D = planted()
    X = X + 3.0
    per_row = np.square(X - X.mean(axis=0)).sum(axis=1).mean()
    oracle = Ridge(alpha=2.0 * per_row).fit(X, np.log(D))
    P = KernelRidge(kernel="linear", ridge=2.0, floor=1e-9).fit(X, D).predict(X)
    np.testing.assert_allclose(P, softmax(oracle.predict(X), axis=1), rtol=1e-9)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_kernel_ridge_does_not_depend_on_the_units_of_the_features(kernel: str) -> None:
    X, D = planted()
    P, same = (KernelRidge(kernel=kernel).fit(x, D).predict(x) for x in (X, 1000 * X + 5))
    np.testing.assert_allclose(same, P, rtol=1e-6)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_a_heavy_ridge_leaves_the_geometric_mean_of_the_labels(kernel: str) -> None:
    X, D = planted()
    mean = gmean(D, axis=0)
    P = KernelRidge(kernel=kernel, ridge=1e9, floor=1e-9).fit(X, D).predict(X)
    np.testing.assert_allclose(P, np.tile(mean / mean.sum(), (len(X), 1)), rtol=1e-6)


def test_an_unknown_kernel_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InputError, match=r"one of linear, rbf, got cubic"):
        KernelRidge(kernel="cubic")


@pytest.mark.parametrize(
    "make", [PTSVM, AAkNN, SAIIS, SABFGS, KernelRidge, MeanLabel, EDLLRL, PTBayes]
)
def test_fitting_twice_is_fitting_the_second_time(make: Callable[[], KernelRidge]) -> None:
    X, D = planted()
    rival = make().fit(*planted(5, rows=30))
    np.testing.assert_array_equal(rival.fit(X, D).predict(X), make().fit(X, D).predict(X))


def test_naive_bayes_on_features_that_never_vary_is_the_mean_label() -> None:
    D = np.array([[0.2, 0.8], [0.6, 0.4]])
    predicted = PTBayes().fit(np.ones((2, 3)), D).predict(np.zeros((1, 3)))
    np.testing.assert_allclose(predicted, [[0.4, 0.6]], rtol=1e-12)  # by hand
