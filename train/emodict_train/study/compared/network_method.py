"""Networks as methods of a study: all tasks of a candidate, folds and seeds,
are trained at once as one ensemble.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from emodict_desk.tables.table import FeatureTable
from emodict_train.data.split import Indices
from emodict_train.fit.distillation import held_out_by_teacher, taught
from emodict_train.model.standardisation import fit_standardisation
from emodict_train.rivals import RIVALS
from emodict_train.study.compared.networks import AblationNetwork, Variant
from emodict_train.study.compared.task import Candidate, Latents, Task
from emodict_train.training.emotion_dict import table_ensemble
from emodict_train.training.ensemble import Ensemble, Member, standardised

if TYPE_CHECKING:
    from emodict_train.rivals.neural import NeuralRival
    from emodict_train.study.compared.data import StudyData
    from emodict_train.study.compared.protocols import Split

Float64Array = NDArray[np.float64]

# So many networks share each step: more would no longer fit the processor's cache,
# fewer would wait for Python.
MEMBERS_AT_ONCE = 32
# How many times as many rows as the smallest the largest member of an ensemble may have.
UNLIKE = 1.25


@dataclass(frozen=True)
class NeuralRivalMethod:
    """A rival that is a network.

    Attributes:
        name: one of RIVALS.
        epochs: training goes on for so many; when to stop is chosen from the curve.
        z_score: scale the features by each task's own training rows;
            otherwise they are seen as they are.
        device: cpu or cuda.
    """

    name: str
    candidates: tuple[Candidate, ...]
    seeds: int
    epochs: int
    z_score: bool = True
    device: str = "cpu"

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Candidate
    ) -> list[Float64Array]:
        """For each task (epochs, test rows, emotions)."""
        from emodict_train.rivals.neural import MultimodalRival

        rival = cast("NeuralRival", RIVALS[self.name](**candidate))
        if isinstance(rival, MultimodalRival):
            rival = dataclasses.replace(rival, modalities=tuple(data.modalities.values()))
        plan = dataclasses.replace(rival.plan(), epochs=self.epochs)

        def train(part: Sequence[Task]) -> list[Float64Array]:
            members = _members(data.X, part, z_score=self.z_score)
            ensemble = Ensemble(
                lambda _: rival.network(data.X.shape[1], data.D.shape[1]),
                data.X,
                data.D,
                members,
                plan,
                device=self.device,
            )
            return _curves(ensemble, part, self.epochs)

        return _in_parts(tasks, train)


@dataclass(frozen=True)
class EmotionDictMethod:
    """EmotionDict or one of its ablations.

    Attributes:
        candidates: changes of the variant's plan.
        grouping: what the teacher of a distilled network holds out together: trials or subjects.
        last_only: train for all epochs and predict after the last alone,
            so when to stop is not chosen.
    """

    name: str
    variant: Variant
    candidates: tuple[Candidate, ...]
    seeds: int
    epochs: int
    grouping: str = "trials"
    last_only: bool = False
    device: str = "cpu"

    @property
    def steps(self) -> int:
        return 1 if self.last_only else self.epochs

    @property
    def stop_on(self) -> str | None:
        """The protocol whose folds decide when to stop; None: the study's own."""
        return self.variant.stop_on

    def describe_step(self, step: int) -> dict[str, Any]:
        """What a step of the curves stands for."""
        return {"epochs": self.epochs if self.last_only else step + 1}

    def predict(
        self, data: StudyData, tasks: Sequence[Task], candidate: Candidate
    ) -> list[Float64Array]:
        """For each task (steps, test rows, emotions)."""
        table = self._table(data)

        def train(part: Sequence[Task]) -> list[Float64Array]:
            ensemble = self._ensemble(data, table, part, candidate)
            return _curves(ensemble, part, self.epochs, last_only=self.last_only)

        return _in_parts(tasks, train)

    def latents(
        self, data: StudyData, split: Split, candidate: Candidate, step: int, seed: int
    ) -> Latents:
        """Weights and h of the test rows after the epoch that a step belongs to."""
        table = self._table(data)
        ensemble = self._ensemble(data, table, [Task(split, seed)], candidate)
        for _ in range(self.describe_step(step)["epochs"]):
            ensemble.run_epoch()
        network = _network(table, self.variant.with_plan(**candidate), split.train)
        network.load_state_dict(ensemble.states()[0])
        tokens = table.windows.tokens
        z = fit_standardisation(tokens[split.train]).apply(tokens[split.test])
        with torch.no_grad():
            output = network.eval().output(torch.from_numpy(z).float())
        return Latents(
            rows=split.test,
            latent=output.latent.double().numpy(),
            weights=output.weights.double().numpy(),
        )

    def _table(self, data: StudyData) -> FeatureTable:
        assert data.table is not None
        if self.variant.without is None:
            return data.table
        kept = [name for name in data.table.spec.modality_names if name != self.variant.without]
        return data.table.with_modalities(kept)

    def _ensemble(
        self, data: StudyData, table: FeatureTable, tasks: Sequence[Task], candidate: Candidate
    ) -> Ensemble:
        members = _members(table.windows.tokens, tasks)
        variant = self.variant.with_plan(**candidate)
        if variant.plan.distillation:
            groups = held_out_by_teacher(self.grouping, subject=data.subject, trial=data.trial)
            members = taught(table, members, groups, share=variant.plan.distillation)
        return emotion_dict_ensemble(table, members, variant, device=self.device)


def emotion_dict_ensemble(
    table: FeatureTable, members: Sequence[Member], variant: Variant, *, device: str = "cpu"
) -> Ensemble:
    """Networks of EmotionDict, or of an ablation, that share the rows of a labelled table."""
    return table_ensemble(
        lambda member: _network(table, variant, member.rows),
        table,
        members,
        variant.plan,
        device=device,
    )


def _network(table: FeatureTable, variant: Variant, rows: Indices) -> AblationNetwork:
    assert table.labels is not None
    mean_label = torch.from_numpy(table.labels[rows].mean(axis=0)).float()
    return variant.network(table.emotions, table.spec, mean_label)


def _members(inputs: Float64Array, tasks: Sequence[Task], *, z_score: bool = True) -> list[Member]:
    """A member for each task."""
    members = [Member(task.split.train, task.seed) for task in tasks]
    return standardised(inputs, members) if z_score else members


def _in_parts(
    tasks: Sequence[Task], train: Callable[[Sequence[Task]], list[Float64Array]]
) -> list[Float64Array]:
    """Train in ensembles, each of tasks of about as many rows;
    the outcomes are in the order of the tasks.
    """
    outcomes: list[Float64Array] = [np.empty(0)] * len(tasks)
    for part in _alike(tasks):
        for i, curve in zip(part, train([tasks[i] for i in part]), strict=True):
            outcomes[i] = curve
    return outcomes


def _alike(tasks: Sequence[Task]) -> list[list[int]]:
    """Numbers of tasks that go together: an ensemble's members all take the same steps.

    So a member's epoch is, within UNLIKE, a pass over its own rows,
    and no small one makes the batches of all small.
    """
    rows = [len(task.split.train) for task in tasks]
    order = sorted(range(len(tasks)), key=lambda i: rows[i])
    runs: list[list[int]] = []
    for i in order:
        if not runs or rows[i] > UNLIKE * rows[runs[-1][0]]:
            runs.append([])
        runs[-1].append(i)
    return [
        part.tolist()
        for run in runs
        for part in np.array_split(run, -(-len(run) // MEMBERS_AT_ONCE))
    ]


def _curves(
    ensemble: Ensemble, tasks: Sequence[Task], epochs: int, *, last_only: bool = False
) -> list[Float64Array]:
    """For each task (epochs, test rows, emotions), or (1, ...) after the last epoch."""
    rows = [task.split.test for task in tasks]
    after: list[list[NDArray[np.float32]]] = [[] for _ in tasks]
    for epoch in range(epochs):
        ensemble.run_epoch()
        if not last_only or epoch == epochs - 1:
            for curve, predicted in zip(after, ensemble.predict(rows=rows), strict=True):
                curve.append(predicted.astype(np.float32))  # that is what the networks compute in
    return [np.stack(curve).astype(np.float64) for curve in after]
