"""calibrate_output: the temperature at which a model's distributions are as
sharp as they should be.

p = softmax(logits / T), the mean of the members' for an ensemble (Guo et al., ICML 2017, for
distributions). T is judged on people (or trials) that it was not fitted on, and divided into the
last layer: no export gains a node.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emodict.errors import InputError, ModelError, TableError
from emodict.results.metrics import CLIP
from emodict_calibration.output.reliability import Reliability, reliability
from emodict_desk.tables.table import FeatureTable
from emodict_train.data.trial_digests import trial_digests
from emodict_train.model.checkpoint import Checkpoint

Float64Array = NDArray[np.float64]
logger = logging.getLogger(__name__)

# Beyond these a temperature says nothing about confidence: the model is uniform, or one-hot.
SMALLEST, LARGEST = 0.05, 20.0
OUTPUT = "output"
_LAST_LAYER = ("classifier.to_emotions.weight", "classifier.to_emotions.bias")


@dataclass(frozen=True)
class OutputReport:
    """A temperature and what it does to rows that it was not fitted on.

    Attributes:
        temperature: fitted on all rows.
        folds: the temperature fitted without each group, by the group's name.
        grouped_by: `subject`, or `trial` where there is one subject alone.
        before, after: of all rows; after: each group at the temperature fitted without it.
    """

    temperature: float
    folds: Mapping[str, float]
    grouped_by: str
    before: Reliability
    after: Reliability
    rows: int
    data: str
    simulated: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the training record."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **plain,
            "folds": dict(self.folds),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


def calibrate_output(checkpoint: Checkpoint, table: FeatureTable) -> OutputReport:
    """Fit the temperature and judge it by leaving each person (or trial) out once.

    Raises:
        TableError: no labels, the rows that the model was trained on, or a single trial.
        ModelError: the model's output has been calibrated already,
            or a temperature makes it no better.
    """
    if OUTPUT in checkpoint.training:
        raise ModelError(
            "This model's output has been calibrated already",
            fix="Give the checkpoint of emodict-train",
        )
    table = _labelled(table)
    refuse_trained(checkpoint, table)
    logits = member_logits(checkpoint, table)
    assert table.labels is not None
    grouped_by, names, group = _groups(table)
    folds, after = {}, np.empty_like(table.labels)
    for i, name in enumerate(names):
        held_out = group == i
        folds[name] = fit_temperature(logits[:, ~held_out], table.labels[~held_out])
        after[held_out] = at_temperature(logits[:, held_out], folds[name])
    report = OutputReport(
        temperature=fit_temperature(logits, table.labels),
        folds=folds,
        grouped_by=grouped_by,
        before=reliability(table.labels, at_temperature(logits, 1.0)),
        after=reliability(table.labels, after),
        rows=len(table),
        data=table.source,
        simulated=table.simulated,
    )
    _refuse_no_better(report)
    return report


def with_temperature(checkpoint: Checkpoint, report: OutputReport) -> Checkpoint:
    """The checkpoint with the last layer of every member divided by the
    temperature, and the record of it.
    """
    states = []
    for state in checkpoint.states:
        scaled = {
            name: (state[name].double() / report.temperature).to(state[name].dtype)
            for name in _LAST_LAYER
        }
        states.append({**state, **scaled})
    training = {**checkpoint.training, OUTPUT: report.to_dict()}
    return dataclasses.replace(checkpoint, states=tuple(states), training=training)


def member_logits(checkpoint: Checkpoint, table: FeatureTable) -> Float64Array:
    """(members, rows, emotions): logits up to a constant per row, which no softmax sees."""
    tokens = torch.from_numpy(table.windows.tokens).float()
    with torch.no_grad():
        logits = [
            network(tokens).log_distribution.double().numpy() for network in checkpoint.networks()
        ]
    return np.stack(logits)


def at_temperature(logits: Float64Array, temperature: float) -> Float64Array:
    """(rows, emotions): the mean of the members' softmax(logits / temperature)."""
    scaled = logits / temperature
    shares = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    mean: Float64Array = (shares / shares.sum(axis=2, keepdims=True)).mean(axis=0)
    return mean


def fit_temperature(logits: Float64Array, truth: Float64Array) -> float:
    """argmin_T of the mean KL(truth || prediction)."""
    from scipy.optimize import minimize_scalar

    def cross_entropy(log_temperature: float) -> float:
        predicted = at_temperature(logits, math.exp(log_temperature))
        return float(-(truth * np.log(np.maximum(predicted, CLIP))).sum(axis=1).mean())

    bounds = (math.log(SMALLEST), math.log(LARGEST))
    found = minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


def refuse_trained(checkpoint: Checkpoint, table: FeatureTable) -> None:
    """Rows that a model was trained on look better than any others,
    so a temperature fitted on them is too low.

    Raises:
        TableError: the training record holds some of the trials.
    """
    known = checkpoint.training.get("trial_digests")
    if known is None:
        logger.warning(
            "The model's training record does not say which trials it was trained on: "
            "make sure that it has not seen "
            "these, or the temperature is worth nothing"
        )
        return
    ours = trial_digests(table)
    seen = len(set(ours) & set(known))
    if seen:
        raise TableError(
            f"The model was trained on {seen} of these {len(ours)} trials, "
            f"and is surer of them than of any others",
            expected="trials that it has not seen",
            fix="Give recordings of other people, which were left out of the training",
        )
    same = sorted(set(table.subject.tolist()) & set(checkpoint.training.get("subject_ids", ())))
    if same:
        logger.warning(
            "Other trials of %s were trained on: strangers may need another temperature",
            ", ".join(same),
        )


def _labelled(table: FeatureTable) -> FeatureTable:
    known: NDArray[np.bool_] = np.zeros(len(table), dtype=bool)
    if table.labels is not None:
        known = np.asarray(np.isfinite(table.labels).all(axis=1))
    if not known.any():
        raise TableError(
            f"{table.source} has no labels to calibrate with",
            fix="Give recordings whose trials have a distribution",
        )
    return table.rows(known)


def _groups(table: FeatureTable) -> tuple[str, list[str], NDArray[np.intp]]:
    """What is held out together: its kind, the names, and (rows,) the number of each row's."""
    for kind, labels in (("subject", table.subject), ("trial", table.trial)):
        names, group = np.unique(labels, return_inverse=True)
        if len(names) >= 2:
            return kind, names.tolist(), group.reshape(-1)
    raise TableError(
        f"{table.source}: there is one trial alone, and nothing to judge a temperature on",
        expected="at least 2 trials, better 2 people",
        fix="Add recordings",
    )


def _refuse_no_better(report: OutputReport) -> None:
    edge = report.temperature < 1.01 * SMALLEST or report.temperature > 0.99 * LARGEST
    if edge:
        raise InputError(
            "No temperature fits: what the model predicts has nothing to do with these labels",
            expected=f"a temperature between {SMALLEST:g} and {LARGEST:g}",
            got=f"{report.temperature:.3g}",
            fix="Check that the labels are of these recordings, or train again",
        )
    if not report.after.kl < report.before.kl:
        raise ModelError(
            "A temperature would make this model no better; nothing was written",
            expected=f"a KL below {report.before.kl:.5f} on what was left out",
            got=f"{report.after.kl:.5f} (temperature {report.temperature:.3g})",
            fix="Use the model as it is",
        )
