"""What a table shows, in a sentence made from its own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emodict_desk.wording import count_of
from emodict_train.study.compared.ablations import PAPER, ROBUST, Block
from emodict_train.study.judging.statistics import Comparison, Ranking, Spread
from emodict_train.study.showing.tables.wording import ends_of, listed, p_value


def ranking_finding(ranked: Ranking, kl: Mapping[str, float]) -> str:
    """Who has the best average rank, or who beats EmotionDict: the robust one where it ran, else the paper's."""
    if not ranked.methods:
        return "No method has numbers under this protocol."
    average = dict(zip(ranked.methods, ranked.average.tolist(), strict=True))
    lowest = min(average.values())
    best = [method for method, value in average.items() if value == lowest]
    ours = next((method for method in (ROBUST, PAPER) if method in average), None)
    if ours is None or ours in best:
        return (
            f"{listed(best)} {'has' if len(best) == 1 else 'share'} the best average rank "
            f"({lowest:.2f}, of {count_of(len(average), 'method')})."
        )
    ahead = sorted((method for method in average if average[method] < average[ours]), key=average.__getitem__)
    return (
        f"{listed(ahead)} {'beats' if len(ahead) == 1 else 'beat'} {ours}: average rank "
        f"{listed([f'{average[m]:.2f}' for m in ahead])} against {average[ours]:.2f} "
        f"(KL {listed([f'{kl[m]:.4f}' for m in ahead])} against {kl[ours]:.4f})."
    )


def comparison_finding(compared: Comparison) -> str:
    """Whether a method's KL lies below that of the reference."""
    sides = f"{compared.kl:.4f} against {compared.reference_kl:.4f}"
    if compared.clusters < 2:
        return f"{compared.method} and {compared.reference} cannot be compared on a single cluster (KL {sides})."
    numbers = f"({sides}, {ends_of(compared.percent_interval, 1)} %, p (Holm) {p_value(compared.p_holm)})"
    if compared.interval.holds_zero:
        return f"The KL of {compared.method} cannot be told from that of {compared.reference} {numbers}."
    direction = "lower" if compared.difference < 0 else "higher"
    return (
        f"The KL of {compared.method} is {abs(compared.percent):.1f} % {direction} than that of "
        f"{compared.reference} {numbers}."
    )


def differences_finding(compared: Sequence[Comparison], reference: str) -> str:
    """Which methods' KL lies below that of the reference, where EmotionDict is not among them."""
    below = [c.method for c in compared if c.interval.high < 0]
    names = f": {listed(below)}" if below else ""
    return f"{len(below)} of {count_of(len(compared), 'method')} have a KL clearly below that of {reference}{names}."


def ablation_finding(block: Block, compared: Mapping[str, Comparison], spreads: Mapping[str, Spread]) -> str:
    """What each variant does to KL: harms or helps where the interval of the difference leaves 0 out."""
    own = {variant: compared[block.method(variant)] for variant in block.variants if block.method(variant) in compared}
    if not own or min(c.clusters for c in own.values()) < 2:
        return f"Nothing can be told of the differences to '{block.reference}'."
    groups = (
        ("harms", "harm", [v for v, c in own.items() if c.interval.low > 0]),
        ("helps", "help", [v for v, c in own.items() if c.interval.high < 0]),
        ("shows no harm", "show no harm", [v for v, c in own.items() if c.interval.holds_zero]),
    )
    parts = [_effect(block, variants, one if len(variants) == 1 else several, spreads)
             for one, several, variants in groups if variants]  # fmt: skip
    sentence = "; ".join(parts)
    return sentence[:1].upper() + sentence[1:] + "."


def _effect(block: Block, variants: Sequence[str], verb: str, spreads: Mapping[str, Spread]) -> str:
    """A clause on variants that have the same effect."""
    reference = spreads[block.method(block.reference)]
    means = [spreads[block.method(variant)].mean["kl"] for variant in variants]
    spread = max(abs(mean - reference.mean["kl"]) for mean in means)
    near = " (within one sd)" if spread <= reference.sd["kl"] else ""
    return (
        f"{listed([_deed(variant, block) for variant in variants])} {verb}: KL "
        f"{listed([f'{mean:.4f}' for mean in means])} against {reference.mean['kl']:.4f}{near}"
    )


def _deed(variant: str, block: Block) -> str:
    """What was done to make the variant, as the subject of a sentence."""
    if variant.startswith("without "):
        return "removing " + variant.removeprefix("without ")
    return f"{variant} elements" if block.key == "elements" else f"'{variant}'"
