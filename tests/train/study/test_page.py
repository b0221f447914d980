"""study.html: one file that opens offline, the honest protocol first,
and nothing in it that a name smuggled in.
"""

from __future__ import annotations

import importlib.resources
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.live.chromium import chromium, found
from tests.train.study import synthetic

from emodict.errors import OutputError
from emodict_train.rivals import GRIDS
from emodict_train.study.compared.ablations import PAPER, ROBUST
from emodict_train.study.compared.methods import PAPER_CANDIDATES, ROBUST_CANDIDATES
from emodict_train.study.judging.results import Results
from emodict_train.study.showing.figures import canvas, overview, ranks
from emodict_train.study.showing.figures.canvas import DrawnFigure
from emodict_train.study.showing.figures.inline import VARIABLES, inline_svg
from emodict_train.study.showing.page import page_html, write_page
from emodict_train.study.showing.tables import study_tables
from emodict_train.study.showing.tables.table import Table

VOID = {"meta", "br", "link", "img", "hr"}
HOSTILE = "<script>alert(1)</script><b id=\"findings\">&amp; 'x'.mat"
SPREADS = {name: synthetic.SPREADS[name] for name in ("AA-kNN", "mean label", PAPER, ROBUST)}


class Page(HTMLParser):
    """Tags with their attributes, texts, and the texts of the tables' cells;
    every tag must be closed.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.texts, self.open, self.cells = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[Any]) -> None:
        assert len(dict(attributes)) == len(attributes)
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.texts.append(data)
        if "sup" not in self.open and {"td", "th"} & set(self.open):
            self.cells[-1] += data

    def all(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    @property
    def text(self) -> str:
        return "".join(self.texts)


def made(folder: Path, results: Results) -> tuple[tuple[Table, ...], list[DrawnFigure], str]:
    """(tables, figures, html) with two of the figures."""
    tables = study_tables(results, rng=np.random.default_rng(0), resamples=200)
    drawings = [*overview.drawings(results), *ranks.drawings(results)]
    figures = [canvas.save(drawing, results, folder) for drawing in drawings]
    return tables, figures, page_html(results, tables, figures)


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[tuple[Table, ...], list[DrawnFigure], str]:
    return made(
        tmp_path_factory.mktemp("figures"), synthetic.results(spreads=SPREADS, latents=False)
    )


@pytest.fixture(scope="module")
def hostile(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[tuple[Table, ...], list[DrawnFigure], str]:
    data = synthetic.data(trials=4, windows=2, source=HOSTILE, simulated=True)
    missing = {"trials": {"DLDL": "a fold has <no> class"}}
    about = {"command": "emodict-train study '<script>.mat' && x", "missing": missing}
    about["left_out"] = {"subjects": "one subject <only>"}
    spreads = {name: SPREADS[name] for name in ("AA-kNN", "mean label")}
    results = synthetic.results(
        data, protocols=("trials",), spreads=spreads, latents=False, quick=True, about=about
    )
    return made(tmp_path_factory.mktemp("hostile"), results)


def test_the_page_refers_to_nothing_outside_itself(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    _, _, html = study
    page = Page(html)
    assert not re.findall(r"https?:|@import|url\((?!#)", html)
    assert not [
        tag
        for tag, attributes in page.tags
        if tag in ("link", "script", "img") or "src" in attributes
    ]
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in page.all("href"))


def test_every_id_is_there_once_and_every_link_and_clip_has_its_target(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    _, figures, html = study
    page = Page(html)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    wanted = {href[1:] for href in page.all("href")} | set(re.findall(r"url\(#([^)]+)\)", html))
    assert wanted <= set(ids)
    assert any(name.startswith(f"{figures[0].key}-") for name in wanted)


def test_findings_come_first_and_the_honest_protocol_before_random_windows(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    tables, _, html = study
    places = [
        html.index(f'id="{key}"')
        for key in ("findings", "overview", "reading", "trials", "windows", "made")
    ]
    assert places == sorted(places)
    main = Page(html[html.index("<main>") : html.index("</main>") + 7]).text
    own = {p: [t.finding for t in tables if p in t.key.split("-")] for p in ("trials", "windows")}
    assert main.startswith("\nFindingsLeave-trials-out")
    assert (
        main.index(own["trials"][-1]) < main.index(own["windows"][1]) < main.index("How to read it")
    )


def test_every_cell_of_every_table_stands_in_the_page_as_it_is(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    tables, _, html = study
    expected = [
        cell
        for table in tables
        for cell in (*table.columns, *(c.text for row in table.rows for c in row))
    ]
    assert Page(html).cells == expected


def test_the_page_says_of_every_table_what_it_shows_and_stands_on(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    tables, _, html = study
    text = Page(html).text
    assert len(tables) > 10
    for table in tables:
        assert table.caption in text
        assert text.count(table.finding) >= 2  # with the findings, and with its table
        for said in (*table.notes, *table.remarks):
            assert said in text


def test_every_figure_has_an_alternative_text_and_a_caption(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    _, figures, html = study
    page = Page(html)
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert labels == [figure.alt for figure in figures]
    for figure in figures:
        assert figure.caption in page.text


def test_the_page_gives_the_candidates_that_the_methods_have(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    said = re.search(
        r"rival has up to (\d+) candidates, EmotionDict up to (\d+)", Page(study[2]).text
    )
    ours = max(len(PAPER_CANDIDATES), len(ROBUST_CANDIDATES))
    assert [int(count) for count in said.groups()] == [max(map(len, GRIDS.values())), ours]


@pytest.mark.parametrize(
    ("data", "protocols", "said"),
    [
        (
            {},
            ("trials", "windows"),
            "resample trials, never .* other trials like these, not of other people",
        ),
        (
            {"people": 4},
            ("subjects",),
            "resample trials, never .* other trials like these, not of other people",
        ),
        (
            {"people": 6},
            ("trials", "subjects"),
            "resample trials or people, .* of other trials or people like these",
        ),
        (
            {"people": 6},
            ("subjects",),
            "resample people, .* of other people like these, not of another training",
        ),
        ({"trials": 24, "windows": 1}, ("windows",), "resample rows .* of other rows like these"),
    ],
)
def test_the_page_speaks_of_other_people_only_where_people_are_resampled(
    data: dict[Any, Any], protocols: tuple[str, ...], said: str
) -> None:
    spreads = {name: SPREADS[name] for name in ("AA-kNN", "mean label")}
    study = synthetic.data(**data)
    results = synthetic.results(study, protocols=protocols, spreads=spreads, latents=False)
    assert re.search(f"Intervals {said}", Page(page_html(results, (), ())).text)


def test_headings_descend_one_level_at_a_time(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    levels = [int(tag[1]) for tag, _ in Page(study[2]).tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_study_of_real_people_with_all_seeds_has_no_badge(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    assert not [a for _, a in Page(study[2]).tags if a.get("class") == "badge"]


def test_simulated_people_and_fewer_seeds_are_said_at_the_top(
    hostile: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    page = Page(hostile[2])
    assert sum(a.get("class") == "badge" for _, a in page.tags) == 2
    for said in ("SIMULATED people", "QUICK: fewer seeds"):
        assert page.text.index(said) < page.text.index("How to read it")


def test_hostile_names_are_text(hostile: tuple[tuple[Table, ...], list[DrawnFigure], str]) -> None:
    page = Page(hostile[2])
    assert "<script" not in hostile[2]
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert page.all("id").count("findings") == 1
    assert f"Study of {HOSTILE}" in page.texts


def test_the_page_says_how_it_was_made_and_what_could_not_be_run(
    hostile: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    page = Page(hostile[2])
    assert "emodict-train study '<script>.mat' && x" in page.texts
    assert "DLDL: a fold has <no> class" in page.texts
    assert "Left out, leave-one-subject-out" in page.texts
    assert "one subject <only>" in page.texts
    assert "leave-trials-out 4" in page.texts
    assert "83 s" in page.texts


def test_every_colour_of_the_figures_is_known_to_the_page_in_light_and_dark() -> None:
    css = (importlib.resources.files("emodict_train.study.showing") / "page.css").read_text("utf-8")
    light, dark = css.split("prefers-color-scheme: dark")
    for colour, name in VARIABLES.items():
        assert f"{name}: {colour};" in light
        assert f"{name}: #" in dark


def test_no_colour_of_the_light_stays_behind_in_a_figure(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str],
) -> None:
    for figure in study[1]:
        left = set(
            re.findall(
                r"#[0-9a-f]{6}\b", "".join(re.findall(r'style="([^"]*)"', inline_svg(figure)))
            )
        )
        assert left == set()


def test_a_page_is_written_whole_whatever_the_name_of_the_data(tmp_path: Path) -> None:
    spreads = {name: SPREADS[name] for name in ("AA-kNN", "mean label")}
    data = synthetic.data(source="caf\udce9.mat")
    results = synthetic.results(data, protocols=("windows",), spreads=spreads, latents=False)
    tables = study_tables(results, rng=np.random.default_rng(0), resamples=50)
    write_page(results, tables, [], tmp_path / "study.html")
    assert "caf\\udce9.mat" in Page((tmp_path / "study.html").read_text("utf-8")).text
    with pytest.raises(OutputError, match="mkdir -p"):
        write_page(results, tables, [], tmp_path / "none" / "study.html")


@pytest.mark.skipif(found() is None, reason="no Chromium on this machine")
def test_a_browser_fetches_nothing_and_a_phone_need_not_scroll_sideways(
    study: tuple[tuple[Table, ...], list[DrawnFigure], str], tmp_path: Path
) -> None:
    (tmp_path / "study.html").write_text(study[2], encoding="utf-8")
    with chromium(found(), tmp_path / "profile") as tab:
        for width, scheme in ((1200, "light"), (400, "dark")):
            tab.open(f"file://{tmp_path}/study.html", width=width, scheme=scheme)
            assert tab.value("document.documentElement.scrollWidth") <= width
        fills = "getComputedStyle(document.querySelector('svg.plot text')).fill"
        assert tab.value(fills) == "rgb(230, 234, 240)"  # --ink in the dark
        assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []
        assert tab.complaints == []
