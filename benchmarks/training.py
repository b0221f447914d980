"""What a network costs that is trained among 28 at once, against one trained alone;
and that it learns the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.result import Bound, Result
from benchmarks.timing import interleaved
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows
from emodict.results.metrics import mean_metrics
from emodict_desk.tables.table import DMER_EMOTIONS, FeatureTable
from emodict_train.study.compared.network_method import emotion_dict_ensemble
from emodict_train.study.compared.networks import Variant
from emodict_train.training.ensemble import Member, standardised
from emodict_train.training.plan import TrainingPlan

MEMBERS, ALONE, EPOCHS = 28, 12, 6
CURVE = (4, 8, MEMBERS, 64)
ROWS, HELD_OUT = 480, 120
PROMISED = 0.42
# As many steps as it takes for 12 or 28 networks to learn what was planted.
PLAN = TrainingPlan(learning_rate=2e-3)


def measure() -> Iterator[Result | Bound]:
    torch.set_num_threads(1)
    table = planted()
    rows = np.arange(ROWS)
    ensemble = emotion_dict_ensemble(table, members(table, rows, *range(MEMBERS)), Variant(PLAN))
    alone = [
        emotion_dict_ensemble(table, members(table, rows, 100 + i), Variant(PLAN))
        for i in range(ALONE)
    ]

    def train_alone() -> None:
        for one in alone:
            one.run_epoch()

    others = {
        count: emotion_dict_ensemble(table, members(table, rows, *range(count)), Variant(PLAN))
        for count in CURVE
        if count != MEMBERS
    }
    ensembles = {**others, MEMBERS: ensemble}
    jobs = {str(count): one.run_epoch for count, one in sorted(ensembles.items())}
    cpu = interleaved({**jobs, "alone": train_alone}, rounds=EPOCHS - 1, repeats={})
    for count in sorted(ensembles):
        yield Result(
            f"a network trained among {count}, against alone",
            cpu["alone"] / ALONE,
            cpu[str(count)] / count,
            at_most=PROMISED if count == MEMBERS else 1.0,
        )
    held_out = np.arange(ROWS, ROWS + HELD_OUT)
    at_once = [kl(table, held_out, part) for part in ensemble.predict(rows=[held_out] * MEMBERS)]
    one_by_one = [kl(table, held_out, one.predict(rows=[held_out])[0]) for one in alone]
    gap = abs(float(np.mean(at_once) - np.mean(one_by_one))) / float(
        np.std([*at_once, *one_by_one])
    )
    yield Bound("held-out KL of networks at once and alone, apart by", gap, "sd", at_most=1.0)


def planted() -> FeatureTable:
    """Made-up windows whose labels follow some of the features."""
    spec, rng = load_spec("emodict-1"), np.random.default_rng(0)
    count = ROWS + HELD_OUT
    tokens = rng.standard_normal((count, spec.tokens, spec.token_width))
    logits = 0.5 * tokens[:, 0, : len(DMER_EMOTIONS)]
    labels = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    valid = np.ones((count, len(spec.modalities)), dtype=bool)
    windows = FeatureWindows(
        spec, np.arange(count, dtype=float), tokens, valid, np.ones(valid.shape)
    )
    names = np.arange(count).astype(str)
    return FeatureTable(windows, DMER_EMOTIONS, labels, np.full(count, "nobody"), names, "planted")


def members(table: FeatureTable, rows: np.ndarray, *seeds: int) -> list[Member]:
    return standardised(table.windows.tokens, [Member(rows, seed) for seed in seeds])


def kl(table: FeatureTable, rows: np.ndarray, predicted: np.ndarray) -> float:
    return mean_metrics(table.labels[rows], predicted)["kl"]
