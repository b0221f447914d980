"""Everything that a study compares: the rivals, the baselines,
EmotionDict by either preset, and its ablations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from emodict_train.fit.presets import PRESETS
from emodict_train.rivals import GRIDS, RIVALS
from emodict_train.study.compared.ablations import PAPER, ROBUST, Block, blocks_for
from emodict_train.study.compared.network_method import EmotionDictMethod, NeuralRivalMethod
from emodict_train.study.compared.networks import Variant
from emodict_train.study.compared.rival_method import ONE_STEP_RIVALS, rival_methods
from emodict_train.study.compared.stimulus_mean import StimulusMean, has_shared_stimuli
from emodict_train.study.compared.task import Candidate, Method

if TYPE_CHECKING:
    from emodict_train.study.compared.data import StudyData
    from emodict_train.study.running.run import StudyOptions

# A network learns what carries over to other trials in a few epochs,
# and a trial's neighbouring windows for long.
EPOCHS = {"trials": 15, "subjects": 15, "windows": 40}
RIVAL_EPOCHS = {"trials": 30, "subjects": 30, "windows": 50}
# The paper trains for a fixed time on random windows, and so do its ablations here.
ABLATION_EPOCHS = {"trials": 10, "subjects": 10, "windows": 25}
QUICK_SHARE = 0.2

# Rivals have up to 8 candidates. Our own have fewer: tuned less,
# they cannot win by having been tuned more.
PAPER_CANDIDATES: tuple[Candidate, ...] = ({"learning_rate": 1e-3}, {"learning_rate": 3e-4})
ROBUST_CANDIDATES: tuple[Candidate, ...] = ({"learning_rate": 2e-3}, {"learning_rate": 1e-3})


def methods_for(data: StudyData, options: StudyOptions, protocol: str) -> tuple[Method, ...]:
    """The methods that such data allow under a protocol, in the order of the tables."""
    sizing = _Sizing(options, protocol)
    one_step = {method.name: method for method in rival_methods(data, seeds=options.seeds)}
    methods: list[Method] = []
    for name in RIVALS:
        if name in ONE_STEP_RIVALS:
            methods.append(
                dataclasses.replace(
                    one_step[name], candidates=sizing.few(one_step[name].candidates)
                )
            )
        elif data.table is not None or not hasattr(RIVALS[name](), "modalities"):
            methods.append(NeuralRivalMethod(
                name, sizing.few(GRIDS[name]), options.seeds, sizing.epochs(RIVAL_EPOCHS),
                z_score=data.table is not None, device=options.device,
            ))  # fmt: skip
    if has_shared_stimuli(data):
        methods.append(StimulusMean())
    if data.table is not None:
        methods += [_paper(sizing), _robust(sizing), *_ablations(data, sizing)]
    return tuple(methods)


class _Sizing:
    """How much of everything: all of it, or for `--quick` a part."""

    def __init__(self, options: StudyOptions, protocol: str) -> None:
        self.quick, self.seeds, self.protocol = options.quick, options.seeds, protocol
        self.device = options.device

    def epochs(self, of_protocol: Mapping[str, int]) -> int:
        epochs = of_protocol[self.protocol]
        return round(epochs * QUICK_SHARE) if self.quick else epochs

    def few(self, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """All, or every other."""
        return candidates[::2] if self.quick else candidates

    @property
    def ablation_seeds(self) -> int:
        """There are many ablations, and each is compared over folds as well as seeds."""
        return max(1, self.seeds // 2)


def _paper(sizing: _Sizing) -> EmotionDictMethod:
    return EmotionDictMethod(
        PAPER,
        paper_variant(),
        sizing.few(PAPER_CANDIDATES),
        sizing.seeds,
        sizing.epochs(EPOCHS),
        device=sizing.device,
    )


def _robust(sizing: _Sizing) -> EmotionDictMethod:
    """The robust preset, its learning rate falling to 0 at the last epoch."""
    preset, grouping = PRESETS["robust"], "subjects" if sizing.protocol == "subjects" else "trials"
    if sizing.protocol == "windows":
        # As in `fit`: neighbours of held-out windows need no softened labels.
        candidates, epochs = sizing.few(ROBUST_CANDIDATES), sizing.epochs(EPOCHS)
        plan = dataclasses.replace(preset.plan, epochs=epochs, distillation=0.0)
    else:
        # Taught only what carries over, it may train to the end:
        # an epoch chosen on a handful of trials scatters more.
        candidates, epochs = ROBUST_CANDIDATES[:1], EPOCHS[sizing.protocol]
        plan = dataclasses.replace(preset.plan, epochs=epochs)
    return EmotionDictMethod(
        ROBUST, Variant(plan, preset.model), candidates, sizing.seeds, epochs, grouping=grouping,
        last_only=sizing.protocol != "windows", device=sizing.device,
    )  # fmt: skip


def paper_variant(**changes: Any) -> Variant:
    """EmotionDict by the paper's preset, changed in one respect."""
    preset = PRESETS["paper"]
    return dataclasses.replace(Variant(preset.plan, preset.model), **changes)


def _ablations(data: StudyData, sizing: _Sizing) -> list[Method]:
    return [
        _ablation(block, name, sizing)
        for block in blocks_for(tuple(data.modalities))
        for name in block.variants
        if name not in block.shared
    ]


def _ablation(block: Block, name: str, sizing: _Sizing) -> EmotionDictMethod:
    variant = _CHANGES[block.key](name)
    fixed = sizing.protocol == "windows" and variant.stop_on is None
    return EmotionDictMethod(
        block.method(name),
        variant,
        PAPER_CANDIDATES[:1],
        sizing.ablation_seeds,
        sizing.epochs(ABLATION_EPOCHS),
        last_only=fixed or name == "fixed epochs",
        device=sizing.device,
    )


def _component(name: str) -> Variant:
    paper = paper_variant()
    return {
        "full": paper,
        "without dictionary": paper_variant(fusion="none"),
        "without aux 1": paper_variant(tasks=("peripheral",)),
        "without aux 2": paper_variant(tasks=("central",)),
        "without auxiliary losses": paper.with_plan(auxiliary="none"),
        "aux literal": paper.with_plan(auxiliary="literal"),
        "aux mse": paper.with_plan(auxiliary="mse"),
    }[name]


def _without_modality(name: str) -> Variant:
    return paper_variant(without=name.removeprefix("without "))


def _fusion(name: str) -> Variant:
    return paper_variant(fusion=name)


def _elements(name: str) -> Variant:
    return paper_variant(model={**PRESETS["paper"].model, "elements": int(name)})


def _stopping(name: str) -> Variant:
    return paper_variant(
        stop_on={
            "fixed epochs": None,
            "early (random windows)": "windows",
            "early (grouped)": "trials",
        }[name]
    )


_CHANGES: Mapping[str, Callable[[str], Variant]] = {
    "components": _component,
    "modalities": _without_modality,
    "fusion": _fusion,
    "elements": _elements,
    "stopping": _stopping,
}
