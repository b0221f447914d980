"""The ablations of EmotionDict by name:
what the paper's Tables 5 to 7 and Figure 5 take out or exchange.

A name is all that stands here; what a variant changes in the model is said where it is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emodict.recording.modalities import EEG
from emodict_desk.tables.table import SAMPLE_MODALITIES

PAPER = "EmotionDict (paper)"
ROBUST = "EmotionDict (robust)"
OURS = (PAPER, ROBUST)


@dataclass(frozen=True)
class Block:
    """One ablation: variants of the paper's model that differ in one respect.

    Attributes:
        key: the first half of a variant's method name, as in `elements: 8`.
        paper: the table or figure of the paper that shows it; empty where the paper has none.
        variants: in the order of the table; without commas, which part the names that a user gives.
        reference: the variant that the others are compared with.
        shared: variants that are run and stored once for several blocks,
            with the method's name they have there.
    """

    key: str
    title: str
    paper: str
    variants: tuple[str, ...]
    reference: str = "full"
    shared: Mapping[str, str] = field(default_factory=dict)

    def method(self, variant: str) -> str:
        """The name under which the predictions of a variant are stored."""
        return self.shared.get(variant, f"{self.key}: {variant}")


def blocks_for(modalities: Sequence[str]) -> tuple[Block, ...]:
    """The ablations of data with these modalities;
    a modality is left out only where another one stays.

    The two auxiliary losses, of EEG and of the others,
    can be distinguished only where there are both.
    """
    without = tuple(f"without {name}" for name in modalities) if len(modalities) > 1 else ()
    # The first auxiliary loss (the paper's equation 13) is that of EEG.
    both = EEG in modalities and len(modalities) > 1
    auxiliary = ("without aux 1", "without aux 2") if both else ()
    # All ablations are trained for the same number of epochs and seeds,
    # and so is what they are compared with.
    full = {"full": "components: full"}
    return (
        Block(
            "components",
            "Network components",
            "Table 5",
            (
                "full",
                "without dictionary",
                *auxiliary,
                "without auxiliary losses",
                "aux literal",
                "aux mse",
            ),
        ),
        Block("modalities", "Modalities", "Table 6", ("full", *without), shared=full),
        # The paper, section 4.5.4: its first fusion is "the same condition" as Table 5's.
        Block(
            "fusion",
            "Fusion",
            "Table 7",
            ("full", "without dictionary", "concatenation", "attention"),
            shared={**full, "without dictionary": "components: without dictionary"},
        ),
        Block(
            "elements",
            "Basic emotion elements in the dictionary",
            "Figure 5",
            ("8", "16", "32", "64", "128"),
            reference="32",
            shared={"32": full["full"]},
        ),
        Block(
            "stopping",
            "When training stops",
            "",
            ("fixed epochs", "early (random windows)", "early (grouped)"),
            reference="fixed epochs",
        ),
    )


BLOCKS = blocks_for(SAMPLE_MODALITIES)


def is_variant(method: str) -> bool:
    """Whether a method's name is that of an ablation's variant, which Tables 3 and 4 leave out."""
    return method.partition(": ")[0] in {block.key for block in BLOCKS}
