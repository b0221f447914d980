"""What training reaches on the released one-subject sample,
on outer folds that no training run has seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from emodict.results.metrics import METRICS, mean_metrics
from emodict_desk.tables.table import read_table
from emodict_train.data.split import complement, k_folds
from emodict_train.fit import FitOptions, fit
from emodict_train.model.checkpoint import predict

FOLDS = 5


def measure(path: Path, *, seed: int = 0) -> Iterator[str]:
    """A line per fold and protocol; early stopping sees the training part of each fold alone."""
    torch.set_num_threads(1)
    table = read_table(path, part="train")
    for split in ("windows", "trials"):
        rows: dict[str, list[dict[str, float]]] = {"model": [], "mean label": []}
        folds = k_folds(table.groups, split=split, folds=FOLDS, rng=np.random.default_rng(seed))
        for fold, held_out in enumerate(folds):
            started = time.monotonic()
            training = table.rows(complement(held_out, len(table)))
            checkpoint = fit(training, FitOptions(split=split, seed=fold))
            seconds = time.monotonic() - started
            tokens = torch.from_numpy(table.windows.tokens[held_out]).float()
            predicted = predict(checkpoint.networks(), tokens)[0].numpy()
            mean = np.repeat(checkpoint.mean_label[None], len(held_out), axis=0)
            rows["model"].append(mean_metrics(table.labels[held_out], predicted))
            rows["mean label"].append(mean_metrics(table.labels[held_out], mean))
            kl = rows["model"][-1]["kl"]
            trained = f"{checkpoint.training['epochs']} epochs in {seconds:.0f} s"
            yield f"{split}, fold {fold + 1}: {trained}, KL {kl:.4f}"
        yield f"{split:<12}" + "".join(f"{name:>14}" for name in METRICS)
        for name, values in rows.items():
            yield f"{name:<12}" + "".join(
                f"{np.mean([v[m] for v in values]):>14.4f}" for m in METRICS
            )
