"""What a table shows, in a sentence made from its own numbers.

Three words by one rule: of two methods one is better, or worse, where the interval of the
difference of their KL leaves 0 out; else they cannot be distinguished. The KL is that of the
interval, and what counts once in it is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emodict_desk.wording import count_of
from emodict_train.study.compared.ablations import PAPER, ROBUST, Block
from emodict_train.study.judging.statistics import Comparison, Ranking
from emodict_train.study.showing.tables.wording import ends_of, listed, p_value, signed

QUICK_FINDING = "QUICK: a first look, from which nothing is concluded."
BETTER, WORSE, UNKNOWN = "better", "worse", "cannot be told"


def verdict(compared: Comparison) -> str:
    """The word for a method beside its reference."""
    if compared.clusters < 2 or compared.interval.holds_zero:
        return UNKNOWN
    return BETTER if compared.difference < 0 else WORSE


def ranking_finding(ranked: Ranking) -> str:
    """Who has the best average rank, and EmotionDict's; ranks only describe."""
    if not ranked.methods:
        return "No method has numbers under this protocol."
    average = dict(zip(ranked.methods, ranked.average.tolist(), strict=True))
    lowest = min(average.values())
    best = [method for method, value in average.items() if value == lowest]
    ours = next((method for method in (ROBUST, PAPER) if method in average), None)
    behind = "" if ours is None or ours in best else f"; {ours} has {average[ours]:.2f}"
    return (
        f"{listed(best)} {'has' if len(best) == 1 else 'share'} the best average rank "
        f"({lowest:.2f}, of {count_of(len(average), 'method')}){behind}."
    )


def comparison_finding(compared: Comparison) -> str:
    """Whether a method is better than the reference."""
    sides = f"{compared.kl:.4f} against {compared.reference_kl:.4f}"
    if compared.clusters < 2:
        return (
            f"{compared.method} and {compared.reference} cannot be compared on a single "
            f"cluster (KL {sides})."
        )
    verbs = {BETTER: "is better than", WORSE: "is worse than", UNKNOWN: "cannot be told from"}
    return (
        f"{compared.method} {verbs[verdict(compared)]} {compared.reference}: KL {sides}, "
        f"{signed(compared.percent, 1)} {ends_of(compared.percent_interval, 1)} %, "
        f"{_counted(compared)}, "
        f"p (Holm) {p_value(compared.p_holm)}."
    )


def differences_finding(compared: Sequence[Comparison], reference: str) -> str:
    """Which methods are better than the reference, where EmotionDict is not among them."""
    better = [c.method for c in compared if verdict(c) == BETTER]
    names = f": {listed(better)}" if better else ""
    counted = f" (KL, {_counted(compared[0])})" if compared else ""
    return (
        f"{len(better)} of {count_of(len(compared), 'method')} are better than "
        f"{reference}{counted}{names}."
    )


def ablation_finding(block: Block, compared: Mapping[str, Comparison]) -> str:
    """What becomes of the KL in each variant."""
    own = {
        variant: compared[block.method(variant)]
        for variant in block.variants
        if block.method(variant) in compared
    }
    if not own or min(c.clusters for c in own.values()) < 2:
        return f"Nothing can be told of the differences to '{block.reference}'."
    first = next(iter(own.values()))
    groups = {
        word: listed(
            [f"{_deed(v, block)} ({c.kl:.4f})" for v, c in own.items() if verdict(c) == word]
        )
        for word in (WORSE, BETTER, UNKNOWN)
        if any(verdict(c) == word for c in own.values())
    }
    told = "; ".join(f"{word}: {names}" for word, names in groups.items())
    return f"Against '{block.reference}' (KL {first.reference_kl:.4f}, {_counted(first)}): {told}."


def _counted(compared: Comparison) -> str:
    return f"each of {count_of(compared.clusters, compared.unit.removesuffix('s'))} counting once"


def _deed(variant: str, block: Block) -> str:
    """What was done to make the variant."""
    if variant.startswith("without "):
        return "removing " + variant.removeprefix("without ")
    return f"{variant} elements" if block.key == "elements" else f"'{variant}'"
