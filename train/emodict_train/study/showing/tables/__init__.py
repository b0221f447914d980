"""The tables of a study, each with what it was computed on and what it shows, and their files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emodict.results.metrics import LARGER_IS_BETTER, METRICS
from emodict_desk.wording import count_of
from emodict_train.data.split import SPLIT_NAMES
from emodict_train.study.compared.ablations import OURS, Block, blocks_for, is_variant
from emodict_train.study.compared.protocols import PROTOCOLS
from emodict_train.study.judging.results import Results, Score, scores
from emodict_train.study.judging.statistics import (
    BASELINES,
    CONFIDENCE,
    RESAMPLES,
    ClusterKL,
    Comparison,
    FoldRanks,
    Ranking,
    Spread,
    best_rival,
    cluster_kl,
    clusters_of,
    compare,
    compared_methods,
    fold_ranks,
    ranking,
    spread,
)
from emodict_train.study.showing.tables.findings import (
    QUICK_FINDING,
    ablation_finding,
    comparison_finding,
    differences_finding,
    ranking_finding,
)
from emodict_train.study.showing.tables.render import write_tables
from emodict_train.study.showing.tables.table import Cell, Table
from emodict_train.study.showing.tables.wording import ends_of, mean_sd, p_value, signed

__all__ = ["Cell", "Table", "protocols_of", "study_tables", "write_tables"]

_ROWS_WORDS = "random rows: which of them belong together is not known"
METRIC_TITLES = {
    name: ("KL" if name == "kl" else name.capitalize())
    + (" ↑" if name in LARGER_IS_BETTER else " ↓")
    for name in METRICS
}
SIGNIFICANT = 0.05
_INTERVAL = f"{100 * CONFIDENCE:.0f} % interval"
_NOT_RUN = "not run"
_NOT_FINITE = "its predictions are not finite"
_NO_TABLE = "EmotionDict needs windows of features with a spec, which these data are not"
_FEW = "a single one cannot be resampled"
_UNADJUSTED = "They are not adjusted for the number of variants."


def study_tables(
    results: Results, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[Table, ...]:
    """Every table the results have something for: by protocol, the honest first,
    Tables 3 to 7 and Figure 5.
    """
    found = scores(results)
    maker = _Maker(results, found, rng, resamples)
    return tuple(
        table for protocol in protocols_of(results) for table in maker.of_protocol(protocol)
    )


def protocols_of(results: Results) -> tuple[str, ...]:
    """The protocols of the study, the honest first."""
    ran = {protocol for protocol, _ in results.predictions}
    return tuple(protocol for protocol in PROTOCOLS if protocol in ran)


@dataclass(frozen=True)
class _Maker:
    """What all tables of one study are made from."""

    results: Results
    scores: Sequence[Score]
    rng: np.random.Generator
    resamples: int

    def of_protocol(self, protocol: str) -> list[Table]:
        """The tables of one protocol, in the order of the paper."""
        found = cluster_kl(self.results, protocol, compared_methods(self.results, protocol))
        tables = [self._ranking(protocol)]
        rival = best_rival(found)
        references = (
            *((name, name.replace(" ", "-")) for name in BASELINES),
            (rival, "best-rival"),
        )
        for reference, key in references:
            if reference in found.methods and len(found.methods) > 1:
                tables.append(self._differences(protocol, found, str(reference), key))
        return [*tables, *(self._ablation(protocol, block) for block in self._blocks(protocol))]

    def _blocks(self, protocol: str) -> list[Block]:
        """The ablations of which any variant of their own ran, or was to run."""
        known = {*(p.method for p in self.results.of(protocol)), *self._missing().get(protocol, {})}
        blocks = blocks_for(tuple(self.results.data.modalities))
        return [
            b for b in blocks if any(b.method(v) in known for v in b.variants if v not in b.shared)
        ]

    def _missing(self) -> Mapping[str, Mapping[str, str]]:
        """Why methods could not be run: {protocol: {method: reason}}."""
        missing: Mapping[str, Mapping[str, str]] = self.results.about.get("missing", {})
        return missing

    def _rows(self) -> list[str]:
        """The methods of Tables 3 and 4: those that ran under any protocol,
        then those that could not.
        """
        ran = [method for _, method in self.results.predictions]
        wanted = dict.fromkeys(
            [*ran, *(method for reasons in self._missing().values() for method in reasons)]
        )
        return [method for method in wanted if not is_variant(method)]

    def _spreads(self, protocol: str, methods: Iterable[str]) -> dict[str, Spread]:
        """Of the methods that ran and gave finite predictions."""
        of_method = {
            m: [s for s in self.scores if (s.protocol, s.method) == (protocol, m)] for m in methods
        }
        spreads = {method: spread(own) for method, own in of_method.items() if own}
        return {
            method: s for method, s in spreads.items() if all(map(math.isfinite, s.mean.values()))
        }

    def _reason(self, protocol: str, method: str) -> str:
        """Why a method has no numbers under a protocol, as a clause."""
        if (protocol, method) in self.results.predictions:
            return _NOT_FINITE
        ours = method in OURS or is_variant(method)
        unable = _NO_TABLE if ours and self.results.data.table is None else _NOT_RUN
        return self._missing().get(protocol, {}).get(method, unable)

    def _ranking(self, protocol: str) -> Table:
        """Table 3 (subject-dependent protocols) or 4 (subject-independent)."""
        methods = self._rows()
        spreads = self._spreads(protocol, methods)
        ranked = ranking({method: s.mean for method, s in spreads.items()})
        cells = {method: _ranked_cells(method, ranked, own) for method, own in spreads.items()}
        columns = ("Method", *(METRIC_TITLES[name] for name in METRICS), "Average rank ↓")
        return Table(
            key=f"{_key(_name(protocol))}-{protocol}",
            title=f"{_name(protocol)}: all methods ({protocol})",
            caption=f"All methods: mean ± sd over folds and seeds, in parentheses the rank. "
            f"{self._basis(protocol)}",
            columns=columns,
            rows=self._filled(
                protocol, {method: method for method in methods}, cells, len(columns)
            ),
            finding=self._concluded(ranking_finding(ranked)),
            remarks=_friedman_remark(fold_ranks(self.scores, protocol, tuple(spreads))),
        )

    def _differences(self, protocol: str, found: ClusterKL, reference: str, key: str) -> Table:
        """What Tables 3 and 4 lack:
        how far a KL lies from that of a reference, and how sure that is.
        """
        compared = {
            c.method: c for c in compare(found, reference, rng=self.rng, resamples=self.resamples)
        }
        columns = (
            "Method",
            "KL ↓",
            "Difference",
            _INTERVAL,
            "Per cent",
            f"{_INTERVAL}, per cent",
            "p",
            "p (Holm)",
        )
        finding = [comparison_finding(compared[method]) for method in OURS if method in compared]
        cells = {method: _comparison_cells(c) for method, c in compared.items()}
        cells[reference] = [
            Cell(f"{found.of(reference).mean():.4f}"),
            *[Cell("reference")] * (len(columns) - 2),
        ]
        return Table(
            key=f"{_key(_name(protocol))}-{protocol}-{key}",
            title=f"{_name(protocol)}, continued: KL against {reference} ({protocol})",
            caption=f"KL of each method against that of {reference}, "
            f"each of {_units(found)} counting once. "
            f"Bold: lower at p (Holm) < {SIGNIFICANT}. {self._basis(protocol)}",
            columns=columns,
            rows=self._filled(
                protocol, {method: method for method in self._rows()}, cells, len(columns)
            ),
            finding=self._concluded(
                " ".join(finding) or differences_finding(tuple(compared.values()), reference)
            ),
            remarks=(
                _resampling_remark(found, self.resamples),
                f"p: sign flips of the {found.unit}; Holm: "
                f"adjusted for the {len(compared)} methods."
                + (
                    " The best rival was found on these very rows, which flatters it."
                    if key == "best-rival"
                    else ""
                ),
            ),
        )

    def _ablation(self, protocol: str, block: Block) -> Table:
        """Table 5, 6 or 7, the numbers of Figure 5, or the block on stopping."""
        methods = {variant: block.method(variant) for variant in block.variants}
        spreads = self._spreads(protocol, methods.values())
        found = cluster_kl(self.results, protocol, spreads)
        reference = block.method(block.reference)
        compared = {
            c.method: c for c in compare(found, reference, rng=self.rng, resamples=self.resamples)
        }
        best = ranking({method: s.mean for method, s in spreads.items()})
        change = {
            method: _change(compared.get(method), self._reason(protocol, reference))
            for method in spreads
        }
        change[reference] = Cell("reference")
        cells = {
            method: [*_metric_cells(method, best, own), change[method]]
            for method, own in spreads.items()
        }
        columns = ("Variant", *(METRIC_TITLES[name] for name in METRICS), f"KL − {block.reference}")
        return Table(
            key=f"{_key(block.paper or block.key)}-{protocol}",
            title=(f"{block.paper}: {block.title.lower()}" if block.paper else block.title)
            + f" ({protocol})",
            caption=f"{block.title}: mean ± sd over folds and seeds; "
            f"the KL difference to '{block.reference}' with its "
            f"{_INTERVAL}, each of {_units(found)} counting once. {self._basis(protocol)}",
            columns=columns,
            rows=self._filled(protocol, methods, cells, len(columns)),
            finding=self._concluded(ablation_finding(block, compared)),
            remarks=(f"{_resampling_remark(found, self.resamples)} {_UNADJUSTED}",)
            if compared
            else (),
        )

    def _concluded(self, finding: str) -> str:
        """The finding, if the study is more than a first look."""
        return QUICK_FINDING if self.results.about.get("quick") else finding

    def _filled(
        self, protocol: str, methods: Mapping[str, str], cells: Mapping[str, list[Cell]], width: int
    ) -> tuple[tuple[Cell, ...], ...]:
        """A row for each {heading: method}: its cells or,
        where it has none, dashes and the reason.
        """
        return tuple(
            (
                Cell(heading),
                *(cells.get(method) or _dashes(width - 1, self._reason(protocol, method))),
            )
            for heading, method in methods.items()
        )

    def _basis(self, protocol: str) -> str:
        """The protocol and the data in words: what every caption ends with."""
        of_protocol = self.results.of(protocol)
        folds = max(len(np.unique(p.fold)) for p in of_protocol)
        seeds = max(len(p.distribution) for p in of_protocol)
        grouped = clusters_of(self.results.data, "trials").unit == "trials"
        quick = " QUICK: fewer seeds." if self.results.about.get("quick") else ""
        return (
            f"Protocol: {SPLIT_NAMES[protocol] if grouped else _ROWS_WORDS}. Data: "
            f"{_data_words(self.results)}. "
            f"{count_of(folds, 'fold')}, {count_of(seeds, 'seed')} (one of a deterministic "
            f"method).{quick}"
        )


def _data_words(results: Results) -> str:
    """Source, rows, trials and people, or that the data say nothing of them."""
    data = results.data
    trials = clusters_of(data, "trials")
    noun = ("SIMULATED person", "SIMULATED people") if data.simulated else ("person", "people")
    people = count_of(len(np.unique(data.subject)), *noun)
    known = (
        f"{count_of(trials.count, 'trial')}, {people}"
        if trials.unit == "trials"
        else "trials and people not known"
    )
    return f"{data.source}, {count_of(len(data.D), 'row')}, {known}"


def _name(protocol: str) -> str:
    """The paper's table: 3 is subject-dependent, 4 subject-independent."""
    return f"Table {4 if protocol == 'subjects' else 3}"


def _key(name: str) -> str:
    return name.lower().replace(" ", "")


def _dashes(count: int, note: str) -> list[Cell]:
    return [Cell("–", note=note), *[Cell("–")] * (count - 1)]


def _ranked_cells(method: str, ranked: Ranking, own: Spread) -> list[Cell]:
    """The six measures and the average rank of a method, each with its place among the methods."""
    i = ranked.methods.index(method)
    cells = [
        Cell(
            f"{mean_sd(own.mean[name], own.sd[name])} ({rank:g})",
            bold=bool(rank == ranked.ranks[:, j].min()),
        )
        for j, (name, rank) in enumerate(zip(METRICS, ranked.ranks[i], strict=True))
    ]
    best = bool(ranked.place[i] == ranked.place.min())
    return [*cells, Cell(f"{ranked.average[i]:.2f} ({ranked.place[i]:g})", bold=best)]


def _metric_cells(method: str, ranked: Ranking, own: Spread) -> list[Cell]:
    """The six measures of a variant, the best of each in bold."""
    best = ranked.ranks[ranked.methods.index(method)] == ranked.ranks.min(axis=0)
    return [
        Cell(mean_sd(own.mean[n], own.sd[n]), bold=bool(b))
        for n, b in zip(METRICS, best, strict=True)
    ]


def _comparison_cells(compared: Comparison) -> list[Cell]:
    """Everything known of a comparison; of a single cluster there are no intervals."""
    sure = compared.p_holm < SIGNIFICANT and compared.difference < 0
    known = [
        Cell(signed(compared.difference)),
        Cell(ends_of(compared.interval)),
        Cell(signed(compared.percent, 1)),
        Cell(ends_of(compared.percent_interval, 1)),
        Cell(p_value(compared.p)),
        Cell(p_value(compared.p_holm)),
    ]
    return [
        Cell(f"{compared.kl:.4f}", bold=sure),
        *(known if compared.clusters > 1 else _dashes(len(known), _FEW)),
    ]


def _change(compared: Comparison | None, reason: str) -> Cell:
    """The KL difference of a variant to its reference; without a comparison a dash."""
    if compared is None:
        return Cell("–", note=reason)
    if compared.clusters < 2:
        return Cell(signed(compared.difference), note=_FEW)
    return Cell(f"{signed(compared.difference)} {ends_of(compared.interval)}")


def _units(found: ClusterKL) -> str:
    clusters = found.kl.shape[1]
    return count_of(clusters, found.unit.removesuffix("s"))


def _resampling_remark(found: ClusterKL, resamples: int) -> str:
    why = (
        "Which rows belong together is not known: where some do, the intervals are too narrow."
        if found.unit == "rows"
        else "Windows are never resampled: those of one trial are not independent evidence."
    )
    return f"Intervals: paired BCa bootstrap of {_units(found)}, {resamples} resamples. {why}"


def _friedman_remark(found: FoldRanks) -> tuple[str, ...]:
    if math.isnan(found.p):
        return ()
    return (
        f"Ranks of KL by fold: Friedman's test over {count_of(len(found.ranks), 'fold')} p = "
        f"{p_value(found.p)}; "
        "by Nemenyi's test two methods differ where their average ranks lie more than "
        f"{found.critical_difference:.2f} apart. Folds share training rows, "
        f"so both describe rather than prove.",
    )
