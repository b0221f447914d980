from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.train.study import synthetic

from emodict.errors import OutputError
from emodict.results.metrics import LARGER_IS_BETTER, METRICS
from emodict_train.data.split import SPLIT_NAMES
from emodict_train.study.compared.ablations import PAPER, ROBUST
from emodict_train.study.judging.results import Results, scores
from emodict_train.study.judging.statistics import MEAN_LABEL, ranking, spread
from emodict_train.study.showing.tables import Cell, Table, study_tables, write_tables
from emodict_train.study.showing.tables.findings import ranking_finding
from emodict_train.study.showing.tables.render import latex, latex_escaped, markdown

RESAMPLES = 2000
# What the variants of an ablation are compared with.
FULL = "components: full"


def _tables(study: Results) -> dict[str, Table]:
    tables = study_tables(study, rng=np.random.default_rng(0), resamples=RESAMPLES)
    found = {table.key: table for table in tables}
    assert len(found) == len(tables)
    return found


@pytest.fixture(scope="module")
def study() -> Results:
    missing = {p: {"MISA": "it needs two modalities"} for p in ("trials", "windows")}
    data = synthetic.data(trials=8, windows=3, source="a_b|50%.mat", simulated=True)
    return synthetic.results(data, latents=False, about={"missing": missing})


@pytest.fixture(scope="module")
def tables(study: Results) -> dict[str, Table]:
    return _tables(study)


def _row(table: Table, heading: str) -> tuple[Cell, ...]:
    return next(row for row in table.rows if row[0].text == heading)


def _with(
    study: Results, replaced: Mapping[str, NDArray[np.float64]], protocol: str = "trials"
) -> Results:
    """The study with other distributions, {method: (seeds, n, emotions)}, under one protocol."""
    predictions = dict(study.predictions)
    for method, distribution in replaced.items():
        key = (protocol, method)
        predictions[key] = dataclasses.replace(
            predictions[key], method=method, distribution=distribution
        )
    return dataclasses.replace(study, predictions=predictions)


# --- what every table has


def test_the_paper_s_tables_come_for_each_protocol_the_honest_first(
    tables: dict[str, Table],
) -> None:
    blocks = ("table3", "table5", "table6", "table7", "figure5", "stopping")
    for protocol in ("trials", "windows"):
        assert {f"{block}-{protocol}" for block in blocks} <= set(tables)
        assert {f"table3-{protocol}-mean-label", f"table3-{protocol}-best-rival"} <= set(tables)
    assert [key.split("-")[1] for key in tables] == ["trials"] * 8 + ["windows"] * 8


def test_every_caption_says_data_protocol_folds_seeds_simulated_and_quick(study: Results) -> None:
    for key, table in _tables(
        dataclasses.replace(study, about={**study.about, "quick": True})
    ).items():
        protocol = key.split("-")[1]
        for words in (
            SPLIT_NAMES[protocol],
            "a_b|50%.mat",
            "24 rows, 8 trials, 1 SIMULATED person",
            "4 folds, 2 seeds",
            "QUICK: fewer seeds",
        ):
            assert words in table.caption


def test_a_full_study_of_recordings_says_neither_simulated_nor_quick() -> None:
    study = synthetic.results(
        synthetic.data(people=2, trials=4, windows=2), ablations=False, protocols=("trials",)
    )
    for table in _tables(study).values():
        assert "16 rows, 8 trials, 2 people." in table.caption
        assert "SIMULATED" not in table.caption
        assert "QUICK" not in table.caption


def test_data_that_do_not_say_what_belongs_together_are_said_not_to() -> None:
    study = synthetic.results(
        synthetic.data(trials=12, windows=1), ablations=False, protocols=("windows",)
    )
    table = _tables(study)["table3-windows-mean-label"]
    assert "random rows: which of them belong together is not known" in table.caption
    assert "12 rows, trials and people not known" in table.caption
    assert "each of 12 rows counting once" in table.caption
    assert any("the intervals are too narrow" in remark for remark in table.remarks)


def test_leaving_people_out_is_table_4_and_resamples_people() -> None:
    data = synthetic.data(people=6, trials=2, windows=2)
    tables = _tables(synthetic.results(data, ablations=False, protocols=("windows", "subjects")))
    assert [key.split("-")[1] for key in tables] == ["subjects"] * 3 + ["windows"] * 3
    assert "each of 6 subjects counting once" in tables["table4-subjects-mean-label"].caption
    assert "nobody stands on both sides" in tables["table4-subjects"].caption


# --- cells


def test_tables_3_and_4_print_mean_sd_and_rank_and_the_best_in_bold(
    study: Results, tables: dict[str, Table]
) -> None:
    table, found = tables["table3-trials"], scores(study)
    own = {
        m: spread([s for s in found if (s.protocol, s.method) == ("trials", m)])
        for m in synthetic.SPREADS
    }
    for j, name in enumerate(METRICS):
        order = sorted(own, key=lambda m: own[m].mean[name], reverse=name in LARGER_IS_BETTER)
        for rank, method in enumerate(order, start=1):
            cell = _row(table, method)[1 + j]
            assert (
                cell.text == f"{own[method].mean[name]:.4f} ± {own[method].sd[name]:.4f} ({rank})"
            )
            assert cell.bold == (rank == 1)


def test_a_method_that_could_not_run_has_dashes_and_its_reason_below(
    tables: dict[str, Table],
) -> None:
    for key in ("table3-trials", "table3-windows-mean-label"):
        assert {cell.text for cell in _row(tables[key], "MISA")[1:]} == {"–"}
        assert tables[key].notes == ("it needs two modalities",)
        assert "<sup>a</sup> it needs two modalities" in markdown(tables[key])
        assert r"\textsuperscript{a} it needs two modalities" in latex(tables[key])


def test_predictions_that_are_no_numbers_are_dashes_with_that_reason(study: Results) -> None:
    values = study.predictions["trials", "AA-kNN"].distribution.copy()
    values[0, 5] = np.nan
    tables = _tables(_with(study, {"AA-kNN": values}))
    for key in ("table3-trials", "table3-trials-mean-label"):
        assert _row(tables[key], "AA-kNN")[1] == Cell("–", note="its predictions are not finite")
    assert "(7)" in _row(tables["table3-trials"], "PT-Bayes")[1].text


def test_an_ablation_that_ran_in_part_says_what_did_not(study: Results) -> None:
    key = ("trials", "fusion: concatenation")
    table = _tables(
        dataclasses.replace(
            study, predictions={k: p for k, p in study.predictions.items() if k != key}
        )
    )["table7-trials"]
    assert _row(table, "concatenation")[1].text == "–"
    assert len(table.notes) == 1
    assert _row(table, "attention")[1].text != "–"


def test_ablations_that_were_run_under_one_protocol_have_no_tables_under_the_other(
    study: Results,
) -> None:
    kept = {
        key: p for key, p in study.predictions.items() if key[0] == "trials" or ": " not in key[1]
    }
    tables = _tables(dataclasses.replace(study, predictions=kept))
    assert "table5-trials" in tables
    assert [key for key in tables if key.endswith("windows")] == ["table3-windows"]


def test_an_ablation_that_could_not_be_run_at_all_says_why_in_each_row(study: Results) -> None:
    sizes = [f"elements: {n}" for n in (8, 16, 64, 128)]
    kept = {key: p for key, p in study.predictions.items() if key[1] in (MEAN_LABEL, "AA-kNN")}
    missing = {"trials": dict.fromkeys([FULL, *sizes], "it needs tokens")}
    table = _tables(dataclasses.replace(study, predictions=kept, about={"missing": missing}))[
        "figure5-trials"
    ]
    assert [[cell.text for cell in row[1:]] for row in table.rows] == [["–"] * 7] * 5
    assert table.notes == ("it needs tokens",)
    assert table.finding == "Nothing can be told of the differences to '32'."


def test_a_study_without_ablations_has_no_tables_of_them() -> None:
    tables = _tables(synthetic.results(ablations=False, latents=False))
    assert not [key for key in tables if not key.startswith("table3")]


def test_one_trial_alone_has_no_intervals() -> None:
    study = synthetic.results(
        synthetic.data(trials=1, windows=8), protocols=("windows",), ablations=False
    )
    table = _tables(study)["table3-windows-mean-label"]
    assert {cell.text for cell in _row(table, ROBUST)[2:]} == {"–"}
    assert "cannot be compared on a single cluster" in table.finding


def test_only_a_sure_advantage_is_bold(tables: dict[str, Table]) -> None:
    for row in tables["table3-trials-mean-label"].rows:
        if row[0].text not in (MEAN_LABEL, "MISA"):
            advantage = row[2].text.startswith("−")
            adjusted = 0.0 if row[-1].text.startswith("<") else float(row[-1].text)
            assert row[1].bold == (advantage and adjusted < 0.05)


def test_the_interval_of_a_difference_stands_around_it(tables: dict[str, Table]) -> None:
    def number(text: str) -> float:
        return float(text.replace("−", "-"))

    for table in (tables["table3-trials-mean-label"], tables["table3-windows-best-rival"]):
        for row in (row for row in table.rows if row[2].text not in ("–", "reference")):
            for value, ends in ((row[2], row[3]), (row[4], row[5])):
                low, high = (number(end) for end in ends.text.strip("[]").split(", "))
                assert low < number(value.text) < high


# --- findings


def _means(**kl: float) -> dict[str, dict[str, float]]:
    """All measures go with KL."""
    return {m: {n: -v if n in LARGER_IS_BETTER else v for n in METRICS} for m, v in kl.items()}


def _finding(kl: Mapping[str, float]) -> str:
    return ranking_finding(ranking(_means(**kl)))


def test_the_finding_of_the_ranks_names_the_winner_and_emotiondicts_rank() -> None:
    assert _finding({"A": 0.3, ROBUST: 0.1, PAPER: 0.2}) == (
        "EmotionDict (robust) has the best average rank (1.00, of 3 methods)."
    )
    assert _finding({"kernel ridge": 0.07, ROBUST: 0.08, PAPER: 0.09}) == (
        "kernel ridge has the best average rank (1.00, of 3 methods); "
        "EmotionDict (robust) has 2.00."
    )
    assert _finding({"A": 0.05, "B": 0.04, PAPER: 0.09}) == (
        "B has the best average rank (1.00, of 3 methods); EmotionDict (paper) has 3.00."
    )
    assert _finding({"A": 0.1, ROBUST: 0.1}).startswith(
        "A and EmotionDict (robust) share the best average rank (1.50"
    )
    assert _finding({"A": 0.1, "B": 0.2}).startswith("A has the best average rank")
    assert _finding({}) == "No method has numbers under this protocol."


def test_the_finding_against_a_reference_says_better_worse_or_that_it_cannot_be_told(
    study: Results,
) -> None:
    mean = study.predictions["trials", MEAN_LABEL]
    truth = study.data.D[mean.rows]
    near = 0.9 * truth + 0.1 * mean.distribution[0]
    far = np.roll(truth, 1, axis=-1)
    tables = _tables(_with(study, {ROBUST: near[None], PAPER: far[None]}))
    finding = tables["table3-trials-mean-label"].finding
    numbers = (
        r"KL \d\.\d{4} against \d\.\d{4}, [+−]\d+\.\d \[.*?\] %, "
        r"each of 8 trials counting once, p \(Holm\) "
    )
    assert re.search(r"EmotionDict \(robust\) is better than mean label: " + numbers, finding)
    assert re.search(r"EmotionDict \(paper\) is worse than mean label: " + numbers, finding)
    same = _tables(_with(study, {ROBUST: mean.distribution}))["table3-trials-mean-label"].finding
    assert "EmotionDict (robust) cannot be told from mean label: KL " in same


def test_without_emotiondict_the_finding_counts_who_beats_the_mean_label(study: Results) -> None:
    predictions = {key: p for key, p in study.predictions.items() if key[1] not in (PAPER, ROBUST)}
    for i, name in enumerate(("PT-Bayes", "AA-kNN", "SA-BFGS", "DLDL")):
        p = predictions["trials", name]
        # Beyond doubt: two methods better than the mean label in every row, two worse.
        mean, truth = predictions["trials", MEAN_LABEL].distribution[:1], study.data.D[p.rows]
        share = (0.9, 0.8, -0.05, -0.1)[i]
        mixed = np.maximum(share * truth + (1 - share) * mean, 1e-3)
        predictions["trials", name] = dataclasses.replace(
            p, distribution=mixed / mixed.sum(axis=-1, keepdims=True)
        )
    del predictions["trials", "kernel ridge"]
    table = _tables(dataclasses.replace(study, predictions=predictions))["table3-trials-mean-label"]
    assert table.finding == (
        "2 of 4 methods are better than mean label (KL, each of 8 trials counting once): "
        "PT-Bayes and AA-kNN."
    )


def test_the_finding_of_an_ablation_has_three_words_by_one_rule(study: Results) -> None:
    full = study.predictions["trials", FULL]
    truth = study.data.D[full.rows]
    # Sure of one emotion, whatever is felt.
    worse = np.where(np.arange(10) == 0, 0.91, 0.01) * np.ones_like(full.distribution)
    better = 0.9 * truth + 0.1 * full.distribution
    replaced = {
        "components: without dictionary": full.distribution,
        "components: without aux 1": full.distribution,
        "components: without aux 2": better,
        "components: without auxiliary losses": worse,
        "components: aux literal": worse,
        "components: aux mse": worse,
    }
    finding = _tables(_with(study, replaced))["table5-trials"].finding
    kl = r"\(\d\.\d{4}\)"
    assert re.fullmatch(
        r"Against 'full' \(KL (\d\.\d{4}), each of 8 trials counting once\): "
        rf"worse: removing auxiliary losses {kl}, 'aux literal' {kl} and 'aux mse' {kl}; better: "
        rf"removing aux 2 {kl}; "
        r"cannot be told: removing dictionary \(\1\) and removing aux 1 \(\1\)\.",
        finding,
    )


def test_no_finding_has_a_word_of_another_rule(tables: dict[str, Table]) -> None:
    for table in tables.values():
        assert not re.search(r"within one sd|harm|help|clearly|beats?\b", table.finding)


def test_a_quick_study_concludes_nothing(study: Results) -> None:
    quick = _tables(dataclasses.replace(study, about={**study.about, "quick": True}))
    assert {table.finding for table in quick.values()} == {
        "QUICK: a first look, from which nothing is concluded."
    }


def test_the_finding_of_figure_5_speaks_of_elements(study: Results) -> None:
    full = study.predictions["trials", FULL].distribution
    finding = _tables(_with(study, {f"elements: {n}": full for n in (8, 16, 64, 128)}))[
        "figure5-trials"
    ].finding
    assert re.search(
        r": cannot be told: 8 elements \(.*\), 16 elements \(.*\), 64 elements \(.*\) and 128 ",
        finding,
    )


def test_every_table_has_one_finding_that_ends_as_a_sentence(tables: dict[str, Table]) -> None:
    assert all(re.fullmatch(r"[A-Z'\d].*\.", table.finding) for table in tables.values())


# --- languages


def _markdown_cells(line: str) -> list[str]:
    assert line.startswith("| ")
    assert line.endswith(" |")
    return re.split(r"(?<!\\)\|", line)[1:-1]


def test_markdown_has_as_many_cells_in_every_line(tables: dict[str, Table]) -> None:
    for table in tables.values():
        lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
        assert len(lines) == len(table.rows) + 2
        assert {len(_markdown_cells(line)) for line in lines} == {len(table.columns)}
        assert all(set(cell) <= set(" -:") for cell in _markdown_cells(lines[1]))


def test_markdown_keeps_signs_of_its_own_apart_from_the_text() -> None:
    table = Table(
        "k", "a|b", "c", ("m|n", "x"), ((Cell("a_b*c|d\\"), Cell("1", bold=True)),), "Found."
    )
    lines = markdown(table).splitlines()
    assert lines[0] == r"### a\|b"
    assert r"| m\|n | x |" in lines
    assert r"| a\_b\*c\|d\\ | **1** |" in lines


def test_latex_has_as_many_cells_in_every_line_and_closes_what_it_opens(
    tables: dict[str, Table],
) -> None:
    for table in tables.values():
        text = latex(table)
        inside = text.split("\\toprule\n")[1].split("\\bottomrule")[0]
        lines = [line for line in inside.splitlines() if line != r"\midrule"]
        assert len(lines) == len(table.rows) + 1
        assert all(line.endswith(r" \\") for line in lines)
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(table.columns) - 1}
        assert re.search(r"\\begin{tabular}{(l r*)}".replace(" ", ""), text)
        for name in ("table*", "tabular"):
            assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
        bare = re.sub(r"\\[{}\\]", "", text)
        assert bare.count("{") == bare.count("}")
        assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
        assert text.isascii()


def test_latex_escapes_its_ten_special_characters_and_the_signs_of_tables() -> None:
    # The LaTeX manual (Lamport), section 2.2.1:
    # # $ % & _ { } are printed with a backslash, \ ~ ^ by name.
    assert latex_escaped("#$%&_{}") == r"\#\$\%\&\_\{\}"
    assert latex_escaped("\\~^") == r"\textbackslash{}\textasciitilde{}\textasciicircum{}"
    assert latex_escaped("0.1 ± 0.2 ↓ ↑ −1 –") == r"0.1 $\pm$ 0.2 $\downarrow$ $\uparrow$ $-$1 --"
    assert latex_escaped("a\nb") == "a b"


def test_a_reason_is_printed_once_for_all_its_dashes() -> None:
    dash = Cell("–", note="not run")
    rows = ((Cell("A"), dash), (Cell("B"), dash), (Cell("C"), Cell("–", note="late")))
    table = Table("k", "t", "c", ("m", "x"), rows, "Found.")
    text = markdown(table)
    assert text.count("–<sup>a</sup>") == 2
    assert text.count("–<sup>b</sup>") == 1
    assert text.count("not run") == text.count("late") == 1


def test_the_tables_are_written_to_one_file_of_each_language(
    tables: dict[str, Table], tmp_path: Path
) -> None:
    written = write_tables(tuple(tables.values()), tmp_path)
    assert written == (tmp_path / "tables.md", tmp_path / "tables.tex")
    text = written[0].read_text("utf-8")
    assert [line[4:] for line in text.splitlines() if line.startswith("### ")] == [
        t.title for t in tables.values()
    ]
    assert written[1].read_text("utf-8").count(r"\end{table*}") == len(tables)
    with pytest.raises(OutputError, match="a folder that exists"):
        write_tables(tuple(tables.values()), tmp_path / "absent")


def test_the_same_results_and_seed_make_the_same_tables(
    study: Results, tables: dict[str, Table]
) -> None:
    assert _tables(study) == tables
