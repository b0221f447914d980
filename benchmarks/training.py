"""What a network costs that is trained among 28 at once, against one trained alone; and that it learns the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.result import Bound, Result
from benchmarks.timing import interleaved
from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import load_spec
from emodict.features.windows import FeatureWindows
from emodict.results.metrics import mean_metrics
from emodict_desk.tables.table import DMER_EMOTIONS, FeatureTable
from emodict_train.model.standardisation import fit_standardisation
from emodict_train.study.compared.network_method import emotion_dict_ensemble
from emodict_train.study.compared.networks import Variant
from emodict_train.training.ensemble import Member
from emodict_train.training.trainer import Trainer, TrainingPlan, TrainingRows

MEMBERS, ALONE, EPOCHS = 28, 12, 6
ROWS, HELD_OUT = 480, 120
PROMISED = 0.45
# As many steps as it takes for 12 or 28 networks to learn what was planted.
PLAN = TrainingPlan(learning_rate=2e-3)


def measure() -> Iterator[Result | Bound]:
    torch.set_num_threads(1)
    table = planted()
    rows = np.arange(ROWS)
    ensemble = emotion_dict_ensemble(table, members(table, rows), Variant(PLAN))
    alone = [trainer(table, rows, seed=100 + i) for i in range(ALONE)]

    def train_alone() -> None:
        for one in alone:
            one.run_epoch()

    jobs = {"at once": ensemble.run_epoch, "alone": train_alone}
    cpu = interleaved(jobs, rounds=EPOCHS - 1, repeats={})
    yield Result(
        f"a network trained among {MEMBERS}, against alone", cpu["alone"] / ALONE, cpu["at once"] / MEMBERS,
        at_most=PROMISED,
    )  # fmt: skip
    held_out = np.arange(ROWS, ROWS + HELD_OUT)
    at_once = [kl(table, held_out, part) for part in ensemble.predict(rows=[held_out] * MEMBERS)]
    tokens = torch.from_numpy(fit_standardisation(table.windows.tokens[rows]).apply(table.windows.tokens[held_out]))
    one_by_one = [kl(table, held_out, one.predict(tokens.float())) for one in alone]
    gap = abs(float(np.mean(at_once) - np.mean(one_by_one))) / float(np.std([*at_once, *one_by_one]))
    yield Bound(f"KL {np.mean(at_once):.4f} at once, {np.mean(one_by_one):.4f} alone, apart by", gap, "sd", at_most=1.0)


def planted() -> FeatureTable:
    """Made-up windows whose labels follow some of the features."""
    spec, rng = load_spec("emodict-1"), np.random.default_rng(0)
    count = ROWS + HELD_OUT
    tokens = rng.standard_normal((count, spec.tokens, spec.token_width))
    logits = 0.5 * tokens[:, 0, : len(DMER_EMOTIONS)]
    labels = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    valid = np.ones((count, len(spec.modalities)), dtype=bool)
    windows = FeatureWindows(spec, np.arange(count, dtype=float), tokens, valid, np.ones(valid.shape))
    names = np.arange(count).astype(str)
    return FeatureTable(windows, DMER_EMOTIONS, labels, np.full(count, "nobody"), names, "planted")


def members(table: FeatureTable, rows: np.ndarray) -> list[Member]:
    scaling = fit_standardisation(table.windows.tokens[rows])
    return [Member(rows, seed, scaling) for seed in range(MEMBERS)]


def trainer(table: FeatureTable, rows: np.ndarray, *, seed: int) -> Trainer:
    tokens = table.windows.tokens[rows]
    training = TrainingRows(
        tokens=torch.from_numpy(fit_standardisation(tokens).apply(tokens)).float(),
        labels=torch.from_numpy(table.labels[rows]).float(),
        valid=torch.from_numpy(table.windows.valid[rows]),
    )
    return Trainer(table.spec, ModelSpec(DMER_EMOTIONS, table.spec.modality_names), PLAN, training, seed=seed)


def kl(table: FeatureTable, rows: np.ndarray, predicted: np.ndarray) -> float:
    return mean_metrics(table.labels[rows], predicted)["kl"]
