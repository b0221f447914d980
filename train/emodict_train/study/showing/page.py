"""study.html: one file that opens offline and says what a study found,
the honest protocol first.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from emodict_desk.page import html_page
from emodict_desk.page import write_page as write_html
from emodict_train.study.compared.ablations import OURS
from emodict_train.study.judging.results import Results
from emodict_train.study.judging.statistics import BASELINES, clusters_of
from emodict_train.study.showing.figures import DrawnFigure
from emodict_train.study.showing.figures.canvas import (
    PROTOCOL_TITLES,
    computed_on,
    knows_trials,
    warnings_of,
)
from emodict_train.study.showing.figures.inline import inline_svg
from emodict_train.study.showing.figures.overview import KEY as OVERVIEW
from emodict_train.study.showing.tables import Cell, Table, protocols_of

_READING = (
    "The six measures compare a predicted distribution of emotions with the true one, "
    "window by window. Chebyshev, "
    "Clark, Canberra and KL ↓: smaller is better; cosine and intersection ↑: larger is better.",
    "Windows of one trial are nearly alike and share one label. "
    "Where random windows are held out, the neighbours of "
    "each were trained on, and a method looks good that only recognises the trial. "
    "What a method knows about emotions "
    "shows where whole trials, or whole people, are held out: read these first.",
    "The mean label is the average label of the training rows, whatever the signals say. "
    "A method that does not beat "
    "it has learned nothing that carries over. "
    "The stimulus mean, where people had the same films or conditions, is what the others "
    "answered to the same one: a method that does not beat it may have learned the film alone.",
    "Hyper-parameters and the number of epochs were chosen inside the training rows of each "
    "fold, by splits of the "
    "same kind as the protocol's (the ablations of when training stops choose theirs otherwise). "
    "Every rival has up to "
    "8 candidates, EmotionDict up to 2, each of its ablations 1. "
    "Where whole trials or people are held out, "
    "EmotionDict (robust) chooses its teacher's strength alone and trains for a fixed time. "
    "Held-out rows chose "
    "nothing.",
)
_HELD_OUT = {
    "trials": "Whole trials are held out: no trial stands on both sides.",
    "subjects": "Whole people are held out: nobody stands on both sides.",
    "windows": "Random windows are held out, and neighbours of each were trained on: "
    "what is measured is largely "
    "whether a method recognises the trial.",
}
_UNGROUPED = "Random rows are held out: which of them belong together is not known."


def write_page(
    results: Results,
    tables: Sequence[Table],
    figures: Sequence[DrawnFigure],
    path: str | os.PathLike[str],
) -> None:
    """Write study.html, whole or not at all.

    Raises:
        OutputError: the folder does not exist or cannot be written, or the disk is full.
    """
    write_html(page_html(results, tables, figures), path)


def page_html(results: Results, tables: Sequence[Table], figures: Sequence[DrawnFigure]) -> str:
    """The page as text; the figures are read from their SVG files."""
    style = (importlib.resources.files("emodict_train.study.showing") / "page.css").read_text(
        "utf-8"
    )
    title = f"Study of {results.data.source}"
    sections = [_findings(results, tables, figures), _reading(results)]
    sections += [
        _protocol(protocol, tables, figures, results) for protocol in protocols_of(results)
    ]
    sections += [_across(figures), _made(results)]
    body = f"""<header>
<h1>{escape(title)}</h1>
{"".join(f'<span class="badge">{escape(said)}</span>' for said in warnings_of(results))}
<p class="facts">{escape(computed_on(results))}</p>
</header>
{_contents(results, figures)}
<main>
{"".join(sections)}
</main>"""
    return html_page(title, body, style=style)


def _contents(results: Results, figures: Sequence[DrawnFigure]) -> str:
    links = {"findings": "Findings", "reading": "How to read it"}
    links |= {protocol: _heading(protocol) for protocol in protocols_of(results)}
    links |= {"across": "All protocols"} if _later(figures) else {}
    links["made"] = "How it was made"
    items = "".join(f'<li><a href="#{key}">{escape(text)}</a></li>' for key, text in links.items())
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'


def _heading(protocol: str) -> str:
    title = PROTOCOL_TITLES[protocol]
    return title[0].upper() + title[1:]


def _findings(results: Results, tables: Sequence[Table], figures: Sequence[DrawnFigure]) -> str:
    """What each table shows, in its own sentence, by protocol,
    and the overview, which has all methods.
    """
    parts = ['<section id="findings"><h2>Findings</h2>']
    for protocol in protocols_of(results):
        showing: dict[str, list[str]] = {}
        for table in _of_protocol(tables, protocol):
            showing.setdefault(table.finding, []).append(
                f'<a href="#{table.key}">{escape(_short(table))}</a>'
            )
        items = "".join(
            f"<li>{escape(finding)} {', '.join(links)}</li>" for finding, links in showing.items()
        )
        parts.append(f"<h3>{escape(_heading(protocol))}</h3>")
        parts.append(f'<p class="caption">{_held_out(protocol, results)}</p>')
        parts.append(f'<ul class="findings">{items}</ul>')
    return "".join(
        [*parts, *(_figure(figure) for figure in figures if figure.key == OVERVIEW), "</section>"]
    )


def _held_out(protocol: str, results: Results) -> str:
    return escape(_HELD_OUT[protocol] if knows_trials(results) else _UNGROUPED)


def _short(table: Table) -> str:
    """ "Table 3" of "Table 3: all methods (trials)"."""
    return table.title.partition(":")[0].partition(" (")[0]


def _of_protocol(tables: Sequence[Table], protocol: str) -> list[Table]:
    return [table for table in tables if protocol in table.key.split("-")]


def _reading(results: Results) -> str:
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in (*_READING, _intervals(results)))
    return f'<section id="reading"><h2>How to read it</h2>{paragraphs}</section>'


def _intervals(results: Results) -> str:
    """What the intervals of these protocols resample, and so what they speak of."""
    units = {clusters_of(results.data, protocol).unit for protocol in protocols_of(results)}
    if units == {"rows"}:
        return (
            "Intervals resample rows and keep the trained models: "
            "they speak of other rows like these, not of another "
            "training. Were rows to belong together, the intervals would be too narrow."
        )
    nouns = " or ".join(
        noun for unit, noun in (("trials", "trials"), ("subjects", "people")) if unit in units
    )
    others = "another training" if "subjects" in units else "other people or another training"
    return (
        f"Intervals resample {nouns}, never windows, and keep the trained models: "
        f"they speak of other {nouns} like "
        f"these, not of {others}."
    )


def _protocol(
    protocol: str, tables: Sequence[Table], figures: Sequence[DrawnFigure], results: Results
) -> str:
    own = [figure for figure in figures if figure.protocol == protocol]
    parts = [f'<section id="{protocol}"><h2>{escape(_heading(protocol))}</h2>']
    parts.append(f'<p class="caption">{_held_out(protocol, results)}</p>')
    parts += [_table(table) for table in _of_protocol(tables, protocol)]
    return "".join([*parts, *map(_figure, own), "</section>"])


def _later(figures: Sequence[DrawnFigure]) -> list[DrawnFigure]:
    """Those of several protocols that do not stand with the findings."""
    return [figure for figure in figures if figure.protocol is None and figure.key != OVERVIEW]


def _across(figures: Sequence[DrawnFigure]) -> str:
    later = _later(figures)
    if not later:
        return ""
    return "".join(
        ['<section id="across"><h2>All protocols</h2>', *map(_figure, later), "</section>"]
    )


def _figure(figure: DrawnFigure) -> str:
    return (
        f'<figure id="{figure.key}"><h3>{escape(figure.title)}</h3>'
        f'<div class="scroll" tabindex="0" role="group" '
        f'aria-label="{escape(figure.title)}">{inline_svg(figure)}</div>'
        f"<figcaption>{escape(figure.caption)} File: "
        f"<code>{escape(figure.svg.name)}</code>.</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "".join(_row(table, row) for row in table.rows)
    notes = [f"<sup>[{i}]</sup> {escape(note)}" for i, note in enumerate(table.notes, 1)]
    below = "".join(f'<p class="note">{line}</p>' for line in (*notes, *map(escape, table.remarks)))
    return (
        f'<article id="{table.key}"><h3>{escape(table.title)}</h3><p '
        f'class="finding">{escape(table.finding)}</p>'
        f'<p class="caption">{escape(table.caption)}</p>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{below}</article>"
    )


def _row(table: Table, row: Sequence[Cell]) -> str:
    name = row[0].text
    kind = ' class="own"' if name in OURS else ' class="level"' if name in BASELINES else ""
    cells = "".join(f"<td>{_cell(table, cell)}</td>" for cell in row[1:])
    return f'<tr{kind}><th scope="row">{_cell(table, row[0])}</th>{cells}</tr>'


def _cell(table: Table, cell: Cell) -> str:
    # The spread goes below its mean, else seven columns of them are wider than a screen.
    at = min((i for i in map(cell.text.find, (" ± ", " [")) if i > 0), default=len(cell.text))
    text = escape(cell.text[:at]) + (
        f"<small>{escape(cell.text[at:])}</small>" if cell.text[at:] else ""
    )
    return (f"<b>{text}</b>" if cell.bold else text) + (
        f"<sup>[{table.notes.index(cell.note) + 1}]</sup>" if cell.note else ""
    )


def _made(results: Results) -> str:
    about = results.about
    facts: dict[str, str] = {
        "Data": computed_on(results),
        "Seeds": f"{about['seeds']} of each method that is random, counted from {about['seed']}",
        "Folds": _listed(about["folds"]),
        "Software": _listed(about["software"]),
        "Started": str(about["started"]),
        "Took": _duration(float(about["seconds"])),
    }
    facts |= {
        f"Not run, {PROTOCOL_TITLES.get(protocol, protocol)}": "; ".join(
            f"{m}: {why}" for m, why in reasons.items()
        )
        for protocol, reasons in about.get("missing", {}).items()
        if reasons
    }
    facts |= {
        f"Left out, {PROTOCOL_TITLES[protocol]}": why
        for protocol, why in about.get("left_out", {}).items()
    }
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()
    )
    return (
        '<section id="made"><h2>How it was made</h2>'
        f"<pre>{escape(str(about['command']))}</pre><dl>{items}</dl></section>"
    )


def _listed(value: Any) -> str:
    """Names with what belongs to each, protocols by their titles."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{PROTOCOL_TITLES.get(name, name)} {what}" for name, what in value.items()
        )
    return str(value)


def _duration(length_s: float) -> str:
    seconds = round(length_s)
    if seconds < 120:
        return f"{seconds} s"
    return (
        f"{seconds // 60} min"
        if seconds < 7200
        else f"{seconds // 3600} h {seconds % 3600 // 60} min"
    )
