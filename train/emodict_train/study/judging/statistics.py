"""What may be said of a study's measures: means and spreads, ranks, intervals and tests.

Windows are never resampled. The windows of one trial share its label and nearly its features, so
hundreds of them are about as much evidence as one; an interval that resamples windows is many
times too narrow and any difference "significant". What is drawn, flipped and counted here is the
trial or, where people are held out and there are MIN_SUBJECTS of them or more, the person.
Measures of a row are averaged over a method's seeds first: seeds are repeats of one method and no
evidence about people or trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emodict.results.metrics import LARGER_IS_BETTER, METRICS, distribution_metrics
from emodict_train.study.compared.ablations import OURS, is_variant
from emodict_train.study.compared.stimulus_mean import STIMULUS_MEAN
from emodict_train.study.judging.results import Predictions, Results, Score

if TYPE_CHECKING:
    from emodict_train.study.compared.data import StudyData

Float64Array = NDArray[np.float64]
Indices = NDArray[np.intp]

MEAN_LABEL = "mean label"
# They see no signals, and are no rivals.
BASELINES = (MEAN_LABEL, STIMULUS_MEAN)
CONFIDENCE = 0.95
RESAMPLES = 10_000
# Below this an interval over people would say more of the bootstrap than of them.
MIN_SUBJECTS = 5
# 2^14 sign patterns cost hardly more than RESAMPLES random ones, and are exact.
EXACT_CLUSTERS = 14
# Numbers drawn at a time while resampling: 16 MiB.
_BATCH = 2**21


@dataclass(frozen=True)
class Spread:
    """The six measures over folds and seeds.

    Attributes:
        sd: with n - 1; NaN of a single fold and seed.
        count: folds times seeds.
    """

    mean: Mapping[str, float]
    sd: Mapping[str, float]
    count: int


def spread(scores: Sequence[Score]) -> Spread:
    """Mean and standard deviation over every fold and seed of one method,
    each fold counting once.
    """
    values = np.array([[score.metrics[name] for name in METRICS] for score in scores])
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(METRICS), np.nan)
    mean = values.mean(axis=0)
    return Spread(
        mean=dict(zip(METRICS, mean.tolist(), strict=True)),
        sd=dict(zip(METRICS, sd.tolist(), strict=True)),
        count=len(values),
    )


def ranks(values: Float64Array) -> Float64Array:
    """(..., methods) -> ranks along the last axis: 1 is the smallest,
    ties share their mean, NaN is last.
    """
    values = np.where(np.isnan(values), np.inf, values)
    smaller = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    rank: Float64Array = smaller + (equal + 1) / 2
    return rank


@dataclass(frozen=True)
class Ranking:
    """How methods rank, as in Tables 3 and 4.

    Attributes:
        ranks: (methods, measures) 1 is best.
        average: (methods,) over the six measures.
        place: (methods,) rank of the average.
    """

    methods: tuple[str, ...]
    ranks: Float64Array
    average: Float64Array
    place: Float64Array


def ranking(means: Mapping[str, Mapping[str, float]]) -> Ranking:
    """Rank methods by each measure of `means` {method: {measure: mean}},
    and by the average of the six ranks.
    """
    oriented = [[_oriented(mean[name], name) for mean in means.values()] for name in METRICS]
    by_measure = ranks(np.array(oriented)).T
    average: Float64Array = by_measure.mean(axis=1)
    return Ranking(tuple(means), by_measure, average, ranks(average))


def _oriented(value: float, metric: str) -> float:
    return -value if metric in LARGER_IS_BETTER else value


def compared_methods(results: Results, protocol: str) -> tuple[str, ...]:
    """The methods of Tables 3 and 4 under one protocol: all but the variants of the ablations."""
    return tuple(p.method for p in results.of(protocol) if not is_variant(p.method))


@dataclass(frozen=True)
class Clusters:
    """What is resampled.

    Attributes:
        unit: `trials`, `subjects`, or `rows` where each row is a trial of its own.
        of_row: (rows,) the number of each row's cluster, from 0.
    """

    unit: str
    of_row: Indices
    count: int


def clusters_of(data: StudyData, protocol: str) -> Clusters:
    """Subjects where subjects are held out and there are MIN_SUBJECTS or more,
    trials elsewhere; never windows.

    Data that do not say which rows belong together, such as s-JAFFE,
    have a trial for each row: then it is rows.
    """
    people, subject = np.unique(data.subject, return_inverse=True)
    if protocol == "subjects" and len(people) >= MIN_SUBJECTS:
        return Clusters("subjects", subject.reshape(-1), len(people))
    pairs, trial = np.unique(
        np.stack([subject.reshape(-1), data.trial]), axis=1, return_inverse=True
    )
    return Clusters(
        "rows" if pairs.shape[1] == len(data.trial) else "trials", trial.reshape(-1), pairs.shape[1]
    )


@dataclass(frozen=True)
class ClusterKL:
    """KL of each method on each cluster: what all comparisons start from.

    Attributes:
        kl: (methods, clusters) mean over seeds and over the rows of the cluster.
    """

    methods: tuple[str, ...]
    unit: str
    kl: Float64Array

    def of(self, method: str) -> Float64Array:
        """(clusters,) of one method."""
        values: Float64Array = self.kl[self.methods.index(method)]
        return values


def cluster_kl(results: Results, protocol: str, methods: Iterable[str]) -> ClusterKL:
    """KL by cluster of those of `methods` that ran under the protocol and
    whose predictions are finite.

    Rows that one of them did not predict are left out for all, so that every comparison is paired.
    """
    data = results.data
    ran = [method for method in methods if (protocol, method) in results.predictions]
    by_row = {method: row_kl(results.predictions[protocol, method], data) for method in ran}
    finite = {method: kl for method, kl in by_row.items() if not np.isinf(kl).any()}
    clusters = clusters_of(data, protocol)
    common = (
        np.all([~np.isnan(kl) for kl in finite.values()], axis=0)
        if finite
        else np.zeros(len(data.D), dtype=bool)
    )
    kept = clusters.of_row[common]
    rows = np.bincount(kept, minlength=clusters.count)
    sums = [
        np.bincount(kept, kl[common], minlength=clusters.count)[rows > 0] for kl in finite.values()
    ]
    kl = np.array(sums).reshape(len(finite), int((rows > 0).sum())) / rows[rows > 0]
    return ClusterKL(tuple(finite), clusters.unit, kl)


def row_kl(predictions: Predictions, data: StudyData) -> Float64Array:
    """(rows of the data,) KL averaged over seeds; NaN where the method was not asked,
    inf where it gave no number.
    """
    of_seed = [
        distribution_metrics(data.D[predictions.rows], distribution)["kl"]
        for distribution in predictions.distribution
    ]
    kl = np.mean(of_seed, axis=0)
    total = np.bincount(predictions.rows, np.where(np.isnan(kl), np.inf, kl), minlength=len(data.D))
    # Repeated cross-validation holds a row out more than once.
    times = np.bincount(predictions.rows, minlength=len(data.D))
    mean: Float64Array = np.divide(total, times, out=np.full(len(data.D), np.nan), where=times > 0)
    return mean


@dataclass(frozen=True)
class Interval:
    """A confidence interval; NaN at both ends where there are too few clusters for one."""

    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether no difference is among what it allows; true of an interval that is not known."""
        return not (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Comparison:
    """The KL of a method against that of a reference, paired by cluster.

    Attributes:
        kl, reference_kl: means over clusters, each cluster counting once.
        difference: kl - reference_kl; below 0 the method is better.
        percent: 100 (kl / reference_kl - 1).
        p: two-sided, of a sign-flip permutation test.
        p_holm: p adjusted for all comparisons with this reference.
        unit, clusters: what was resampled, and how many there are.
    """

    method: str
    reference: str
    kl: float
    reference_kl: float
    difference: float
    interval: Interval
    percent: float
    percent_interval: Interval
    p: float
    p_holm: float
    unit: str
    clusters: int


def compare(
    found: ClusterKL, reference: str, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[Comparison, ...]:
    """Compare every other method with `reference` by a paired cluster bootstrap and a
    sign-flip permutation test.

    Clusters are drawn with replacement, all methods on the same draws. Training is not repeated:
    the intervals are about other trials (people) for the models of these folds and seeds. P values
    are adjusted by Holm over the methods. Nothing is compared where the reference did not run.
    """
    if reference not in found.methods:
        return ()
    others = tuple(method for method in found.methods if method != reference)
    sides = np.array([found.of(method) for method in (*others, reference)])
    p = sign_flip_p(sides[:-1] - sides[-1], rng=rng, flips=resamples)
    resampled = _Resampled(
        sides.mean(axis=1), bootstrap_means(sides, rng=rng, resamples=resamples), _left_out(sides)
    )
    return tuple(
        Comparison(
            method=method,
            reference=reference,
            kl=float(resampled.mean[i]),
            reference_kl=float(resampled.mean[-1]),
            difference=float(_difference(resampled.mean[i], resampled.mean[-1])),
            interval=resampled.interval(i, _difference),
            percent=float(_percent(resampled.mean[i], resampled.mean[-1])),
            percent_interval=resampled.interval(i, _percent),
            p=float(p[i]),
            p_holm=float(adjusted),
            unit=found.unit,
            clusters=sides.shape[1],
        )
        for i, (method, adjusted) in enumerate(zip(others, holm(p), strict=True))
    )


@dataclass(frozen=True)
class _Resampled:
    """Means over clusters of several methods, the reference last.

    Attributes:
        mean: (methods,) over all clusters.
        drawn: (methods, resamples) over clusters drawn with replacement.
        left_out: (methods, clusters) over all clusters but one.
    """

    mean: Float64Array
    drawn: Float64Array
    left_out: Float64Array

    def interval(
        self, i: int, statistic: Callable[[Float64Array, Float64Array], Float64Array]
    ) -> Interval:
        """The interval of statistic(method i, reference)."""
        sides = (self.mean, self.drawn, self.left_out)
        estimate, replicates, jackknife = (statistic(side[i], side[-1]) for side in sides)
        return bca_interval(float(estimate), replicates, jackknife)


def _difference(kl: Float64Array, reference: Float64Array) -> Float64Array:
    return kl - reference


def _percent(kl: Float64Array, reference: Float64Array) -> Float64Array:
    return 100 * (kl - reference) / reference


def _left_out(values: Float64Array) -> Float64Array:
    """(methods, clusters) -> mean over all clusters but this one; NaN of a single cluster."""
    others = values.shape[1] - 1
    if not others:
        return np.full(values.shape, np.nan)
    mean: Float64Array = (values.sum(axis=1, keepdims=True) - values) / others
    return mean


def bootstrap_means(
    values: Float64Array, *, rng: np.random.Generator, resamples: int
) -> Float64Array:
    """(methods, clusters) -> (methods, resamples):
    means over clusters drawn with replacement, the same for all.
    """
    count = values.shape[1]
    means: Float64Array = np.empty((len(values), resamples))
    for start, size in _batches(resamples, count):
        drawn = rng.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.reshape(-1), minlength=size * count).reshape(size, count)
        means[:, start : start + size] = values @ times.T / count
    return means


def bca_interval(
    estimate: float,
    replicates: Float64Array,
    jackknife: Float64Array,
    *,
    confidence: float = CONFIDENCE,
) -> Interval:
    """The bias-corrected and accelerated bootstrap interval (Efron, J. Am.
    Stat. Assoc. 82:171, 1987).

    Args:
        replicates: (resamples,) the statistic of each resample.
        jackknife: (clusters,) the statistic without each cluster.
    """
    from scipy.special import ndtr, ndtri

    if len(jackknife) < 2:
        return Interval(math.nan, math.nan)
    # A resample of each cluster once is the estimate itself, but for the order of the sum.
    equal = np.isclose(replicates, estimate, rtol=1e-12, atol=0)
    below = ((replicates < estimate) & ~equal).mean() + equal.mean() / 2
    lean = jackknife.mean() - jackknife
    spread_of_lean = np.square(lean).sum()
    if not 0 < below < 1 or spread_of_lean == 0:
        # Nothing varies, or all of it on one side: there is nothing to correct the percentiles by.
        bias, acceleration = 0.0, 0.0
    else:
        bias, acceleration = ndtri(below), (lean**3).sum() / (6 * spread_of_lean**1.5)
    z = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    low, high = np.quantile(replicates, ndtr(bias + z / (1 - acceleration * z)))
    return Interval(float(low), float(high))


def sign_flip_p(
    differences: Float64Array, *, rng: np.random.Generator, flips: int = RESAMPLES
) -> Float64Array:
    """(methods, clusters) paired differences -> (methods,) two-sided p of a mean of 0.

    If neither method were better, the sign of each cluster's difference would be a coin's: all
    sign patterns are tried where there are at most 2^EXACT_CLUSTERS of them, else `flips` random
    ones, the observed counted as one more, so that p is never 0 (Phipson and Smyth, Stat. Appl.
    Genet. Mol. Biol. 9:39, 2010).
    """
    count = differences.shape[1]
    # Sums in another order differ in their last bits,
    # and the observed pattern must count as reaching itself.
    bar = np.abs(differences.sum(axis=1)) - 1e-12 * np.abs(differences).sum(axis=1)
    exact = count <= EXACT_CLUSTERS
    patterns = _all_signs(count) if exact else _random_signs(flips, count, rng)
    reached = np.zeros(len(differences))
    for signs in patterns:
        reached += (np.abs(differences @ signs.T) >= bar[:, None]).sum(axis=1)
    p: Float64Array = reached / 2**count if exact else (reached + 1) / (flips + 1)
    return p


def _all_signs(count: int) -> Iterator[Float64Array]:
    """Every pattern of +1 and -1, at one go: (2^count, count)."""
    yield _sign((np.arange(2**count)[:, None] >> np.arange(count)) & 1)


def _random_signs(flips: int, count: int, rng: np.random.Generator) -> Iterator[Float64Array]:
    for _, size in _batches(flips, count):
        yield _sign(rng.integers(0, 2, (size, count)))


def _sign(bits: NDArray[np.int64]) -> Float64Array:
    return np.where(bits == 0, 1.0, -1.0)


def _batches(repeats: int, count: int) -> Iterator[tuple[int, int]]:
    """(start, size) of the parts in which `repeats` draws of `count` numbers fit into memory."""
    size = max(1, _BATCH // count)
    return ((start, min(size, repeats - start)) for start in range(0, repeats, size))


def holm(p: Float64Array) -> Float64Array:
    """P values adjusted for all of them being looked at (Holm, Scand. J. Stat. 6:65, 1979)."""
    order = np.argsort(p)
    stepped = (len(p) - np.arange(len(p))) * p[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def best_rival(found: ClusterKL) -> str | None:
    """The method of the lowest KL that is neither EmotionDict nor a baseline;
    None where there is none.

    It is found on the very rows it is then compared on, which flatters it:
    an advantage over it is safe to report.
    """
    rivals = [method for method in found.methods if method not in (*OURS, *BASELINES)]
    return min(rivals, key=lambda method: float(found.of(method).mean()), default=None)


@dataclass(frozen=True)
class FoldRanks:
    """How methods rank in each fold by one measure (Demsar, J. Mach. Learn. Res. 7:1,
    2006), folds as his data sets.

    Folds share training rows, so they are less independent than data sets:
    read the test as a description.

    Attributes:
        ranks: (folds, methods) of the mean over seeds; 1 is best.
        p: of Friedman's test that all methods rank alike.
        critical_difference: of average ranks, Nemenyi at 5 %;
            NaN with fewer than two folds or methods.
    """

    methods: tuple[str, ...]
    metric: str
    ranks: Float64Array
    p: float
    critical_difference: float

    @property
    def average(self) -> Float64Array:
        """(methods,) over the folds."""
        mean: Float64Array = self.ranks.mean(axis=0)
        return mean


def fold_ranks(
    scores: Sequence[Score], protocol: str, methods: Sequence[str], *, metric: str = "kl"
) -> FoldRanks:
    """Rank those of `methods` that ran under the protocol, fold by fold;
    folds that one of them lacks are left out.
    """
    values: dict[str, dict[int, list[float]]] = {}
    for score in scores:
        if score.protocol == protocol and score.method in methods:
            values.setdefault(score.method, {}).setdefault(score.fold, []).append(
                score.metrics[metric]
            )
    folds = (
        sorted(set.intersection(*(set(of_fold) for of_fold in values.values()))) if values else []
    )
    table = [
        [_oriented(float(np.mean(of_fold[f])), metric) for of_fold in values.values()]
        for f in folds
    ]
    by_fold = ranks(np.array(table).reshape(len(folds), len(values)))
    return FoldRanks(
        tuple(values),
        metric,
        by_fold,
        friedman_p(by_fold),
        critical_difference(len(values), folds=len(folds)),
    )


def friedman_p(by_fold: Float64Array) -> float:
    """P of Friedman's test, corrected for ties, of (folds, methods) ranks;
    NaN with fewer than two of either.
    """
    from scipy.stats import chi2

    folds, methods = by_fold.shape
    if folds < 2 or methods < 2:
        return math.nan
    within = np.square(by_fold - (methods + 1) / 2).sum()
    if within == 0:
        return 1.0
    between = folds * np.square(by_fold.mean(axis=0) - (methods + 1) / 2).sum()
    return float(chi2.sf(folds * (methods - 1) * between / within, methods - 1))


def critical_difference(methods: int, *, folds: int, alpha: float = 0.05) -> float:
    """How far average ranks must lie apart by Nemenyi's test:
    q sqrt(k (k + 1) / 6 N), q of Tukey over sqrt 2.
    """
    from scipy.stats import studentized_range

    if folds < 2 or methods < 2:
        return math.nan
    q = studentized_range.ppf(1 - alpha, methods, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(methods * (methods + 1) / (6 * folds)))
