"""docs/figures.json: the figures of the run that the pages show,
and what training came to on every processor seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from emodict.files.atomic import atomic_path
from emodict_desk.wording import count_of

MODEL, MEAN_LABEL = "this model", "mean label"


@dataclass(frozen=True)
class Run:
    """One run of `make pages`.

    Attributes:
        stamp: digest of all that its commands said, and of what its pictures show.
        date: the day; a run that comes out the same keeps the day of the first.
        cpu: as the system calls the processor.
    """

    stamp: str
    date: str
    cpu: str
    packages: Mapping[str, str]

    @property
    def sentence(self) -> str:
        return f"*One run of `make pages`: `{self.stamp}`, {self.date}, {self.cpu}.*"


@dataclass(frozen=True)
class Seen:
    """The demo's training on one processor: KL of the stranger, as printed,
    by the kernels it was computed with.
    """

    cpu: str
    date: str
    kl: Mapping[str, str]

    @property
    def text(self) -> str:
        low, high = min(self.kl.values(), key=float), max(self.kl.values(), key=float)
        span = short(low) if low == high else f"{short(low)} to {short(high)}"
        return f"{span} in {count_of(len(self.kl), 'training')} on {self.cpu}"


@dataclass(frozen=True)
class Figures:
    """What the file holds.

    Attributes:
        stranger: the six measures of `this model` and of `mean label`, as emodict-run prints them.
        drawn: those of the model as the report's picture shows them.
        pictures: SHA-256 of each picture's file.
        seen: every processor that `make pages` has run on; the newest run of each.
    """

    run: Run
    stranger: Mapping[str, Mapping[str, str]]
    drawn: Mapping[str, str]
    pictures: Mapping[str, str]
    seen: tuple[Seen, ...]

    @property
    def range_sentence(self) -> str:
        """What to expect of the stranger, on whatever processor."""
        kl = [float(value) for seen in self.seen for value in seen.kl.values()]
        low, high = short(f"{min(kl):.4f}"), short(f"{max(kl):.4f}")
        where = "; ".join(seen.text for seen in self.seen)
        mean_label = short(self.stranger[MEAN_LABEL]["kl"])
        return (
            f"For the stranger KL was between {low} and {high}, "
            f"against {mean_label} of the mean label. Processors\n"
            "round otherwise, and training follows every last bit: "
            "yours may come to other digits. Seen, under the\n"
            f"kernels of several kinds of processors: {where}."
        )


def short(figure: str) -> str:
    """Without the 0 before the point, as figures stand in running text."""
    return figure.removeprefix("0")


def read_figures(path: Path) -> Figures | None:
    """None where there is no such file yet."""
    if not path.exists():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    seen = tuple(Seen(**entry) for entry in said.pop("seen"))
    return Figures(run=Run(**said.pop("run")), seen=seen, **said)


def write_figures(figures: Figures, path: Path) -> None:
    with atomic_path(path) as part:
        part.write_text(json.dumps(asdict(figures), indent=1) + "\n", encoding="utf-8")


def with_seen(earlier: tuple[Seen, ...], new: Seen) -> tuple[Seen, ...]:
    """The new one in the place of an older one of the same processor."""
    others = tuple(seen for seen in earlier if seen.cpu != new.cpu)
    return tuple(sorted((*others, new), key=lambda seen: seen.cpu))
