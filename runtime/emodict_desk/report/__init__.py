"""The report: one HTML file that shows predictions offline, on a desk, a phone or paper."""

from __future__ import annotations

import datetime
import importlib.resources
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emodict.results.colours import emotion_colours
from emodict.results.console import never_valid_lines
from emodict.results.metrics import LARGER_IS_BETTER, METRICS, percent
from emodict.results.prediction import Prediction
from emodict_desk import svg
from emodict_desk.page import html_page, write_page
from emodict_desk.report.about_wearer import about_wearer, event_marks
from emodict_desk.report.parts import box, plot_head, zone_of
from emodict_desk.report.wearer import Wearer, read_wearer
from emodict_desk.wording import count_of

__all__ = ["read_wearer", "report_html", "write_report"]

# Truth that changes more often than this is not a list of trials.
MOST_TRIALS = 40
_SHARE_TICKS = ((0.0, "100 %"), (0.25, "75"), (0.5, "50"), (0.75, "25"), (1.0, "0"))
_TRUTH_TICKS = ((0.0, "100 %"), (0.5, "50"), (1.0, "0"))
_QUALITY_TICKS = ((0.0, "1"), (1.0, "0"))
_HATCH = (
    '<svg class="defs" aria-hidden="true"><defs><pattern id="hatch" width="6" height="6" '
    'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line y2="6" stroke="var(--hatch)" stroke-width="1.4"/></pattern></defs></svg>'
)

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """Consecutive rows with one truth."""

    first: int
    stop: int


def write_report(
    predictions: Sequence[Prediction],
    path: str | os.PathLike[str],
    *,
    title: str,
    model_lines: Sequence[str],
    wearers: Sequence[Wearer | None] = (),
) -> None:
    """Write one HTML file that needs nothing else, whole or not at all.

    Args:
        model_lines: what to say of the model under the title, a line each.
        wearers: what the recording of each prediction says of its wearer
            (`read_wearer`); none, or one for each.

    Raises:
        OutputError: the folder does not exist or cannot be written, or the disk is full.
    """
    write_page(
        report_html(predictions, title=title, model_lines=model_lines, wearers=wearers), path
    )


def report_html(
    predictions: Sequence[Prediction],
    *,
    title: str,
    model_lines: Sequence[str],
    wearers: Sequence[Wearer | None] = (),
) -> str:
    """The page as text."""
    files = importlib.resources.files("emodict_desk.report")
    style, script = ((files / name).read_text("utf-8") for name in ("report.css", "report.js"))
    pairs = zip(predictions, wearers or [None] * len(predictions), strict=True)
    sections = "\n".join(
        _section(prediction, f"s{i}", wearer or Wearer())
        for i, (prediction, wearer) in enumerate(pairs)
    )
    body = f"""{_HATCH}
<h1>{escape(title)}</h1>
{"".join(f'<p class="model">{escape(line)}</p>' for line in model_lines)}
{_index(predictions) if len(predictions) > 1 else ""}
{sections}
<script>
{script}</script>"""
    return html_page(title, body, style=style)


def _index(predictions: Sequence[Prediction]) -> str:
    head = '<tr><th>session</th><th class="number">length</th><th class="number">answered</th>'
    with_truth = any(p.metrics() for p in predictions)
    head += '<th class="number">KL</th></tr>' if with_truth else "</tr>"
    rows = [head]
    for i, prediction in enumerate(predictions):
        metrics = prediction.metrics()
        answered = _percent(prediction.answered.mean() if len(prediction) else 0.0)
        rows.append(
            f'<tr><th><a href="#s{i}">{escape(prediction.session)}</a>{_badge(prediction)}</th>'
            f"<td>{_length(prediction)}</td><td>{answered}</td>"
            + (f"<td>{metrics['kl']:.4f}</td>" if metrics else "<td>–</td>" if with_truth else "")
            + "</tr>"
        )
    return (
        f'<nav aria-label="Sessions"><div class="scroll"><table>{"".join(rows)}</table></div></nav>'
    )


def _section(prediction: Prediction, name: str, wearer: Wearer) -> str:
    parts = [f'<section id="{name}"><h2>{escape(prediction.session)}</h2>{_badge(prediction)}']
    parts.append(_facts(prediction, wearer.start))
    parts += [
        f'<p class="doubt"><strong>Doubtful:</strong> {escape(doubt)}.</p>'
        for doubt in prediction.doubts
    ]
    if len(prediction):
        parts += [
            '<p class="doubt"><strong>Never valid:</strong> '
            f"{escape(line.removeprefix('never valid: '))}.</p>"
            for line in never_valid_lines(prediction)
        ]
    if not len(prediction):
        return "".join(
            [*parts, "<p>Nothing to show: the session is shorter than one window.</p></section>"]
        )
    line = svg.timeline(prediction.start_s, wearer.start)
    about = about_wearer(wearer, line)
    if prediction.answered.any():
        marks = event_marks(wearer, line) if line.by_time else ""
        parts += [
            _measures(prediction),
            _distribution(prediction, line, marks),
            about,
            _quality(prediction, line),
        ]
        parts += [
            _weights(prediction, line),
            _means(prediction, line),
            _column_data(prediction, line),
        ]
    else:
        parts.append(
            "<p><strong>No row of this session has an answer.</strong> The signal quality below "
            "may say why.</p>"
        )
        parts += [about, _quality(prediction, line)]
    return "".join([*parts, "</section>"])


def _badge(prediction: Prediction) -> str:
    return "".join(
        f' <span class="badge">{escape(part)}</span>' for part in prediction.simulated_parts
    )


def _facts(prediction: Prediction, start: datetime.datetime | None) -> str:
    if not len(prediction):
        return '<p class="facts">no rows</p>'
    silent = int((~prediction.answered).sum())
    share = f" ({_percent(silent / len(prediction))})" if silent else ""
    since = "" if start is None else f"from {start:%Y-%m-%d %H:%M:%S} {escape(zone_of(start))} · "
    return (
        f'<p class="facts">{since}{_length(prediction)} · {count_of(len(prediction), "row")} · '
        f"{silent or 'none'} without an answer{share}</p>"
    )


def _percent(share: float) -> str:
    return escape(percent(share)).replace("%", "&nbsp;%")


def _measures(prediction: Prediction) -> str:
    metrics, mean = prediction.metrics(), prediction.metrics_of_mean_label()
    if metrics is None:
        return ""
    tiles = "".join(
        f"<div><dt>{'KL' if name == 'kl' else name.capitalize()} "
        f"{'↑' if name in LARGER_IS_BETTER else '↓'}</dt>"
        f"<dd>{metrics[name]:.4f}</dd>"
        + (f"<dd>{mean[name]:.4f} mean label</dd>" if mean else "")
        + "</div>"
        for name in METRICS
    )
    return (
        f'<dl class="measures">{tiles}</dl><p class="caption">Predicted against true, '
        f"mean over the rows with both. "
        "↓ smaller is better, ↑ larger is better; the mean label of the training data is the "
        "prediction to beat.</p>"
    )


def _distribution(prediction: Prediction, line: svg.Timeline, marks: str) -> str:
    fills = emotion_colours(prediction.emotions)
    answered = prediction.answered
    shares = line.means(prediction.distribution, answered)
    gaps = np.isnan(shares[:, 0])
    truth = _truth(prediction, line, fills)
    plot = svg.plot(
        svg.stacked_area(shares, fills),
        line,
        height=260,
        label="Predicted distribution over time",
        y_ticks=_SHARE_TICKS,
        time_labels=not truth,
        under=svg.spans(gaps, "gap"),
        over=marks,
    )
    heading = "<h3>Distribution over time</h3>"
    rest = f"Mean of the {count_of(int(answered.sum()), 'row')} with an answer:"
    return (
        f"<figure>{heading}<p "
        f'class="readout">{rest}</p>{_legend(prediction, fills, gaps=bool(gaps.any()))}'
        f"{plot_head('Predicted', 'share of each emotion')}"
        f"{box(plot, line, timed=not truth)}{truth}"
        f'<figcaption class="caption">{_averaged(line)}</figcaption></figure>'
    )


def _legend(prediction: Prediction, fills: Sequence[str], *, gaps: bool) -> str:
    means = prediction.distribution[prediction.answered].mean(axis=0)
    items = [
        f'<li><span class="swatch" style="background:{fill}"></span><span '
        f'class="name">{escape(name)}</span>'
        f'<span class="value">{100 * mean:.1f} %</span></li>'
        for name, fill, mean in zip(prediction.emotions, fills, means, strict=True)
    ]
    if gaps:
        items.append(
            '<li><span class="swatch nothing"></span><span class="name">no answer</span></li>'
        )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _truth(prediction: Prediction, line: svg.Timeline, fills: Sequence[str]) -> str:
    """The strip below the predictions; "" where nothing is known."""
    if prediction.truth is None:
        return ""
    known = np.asarray(np.isfinite(prediction.truth).all(axis=1))
    if not known.any():
        return ""
    area = svg.stacked_area(line.means(prediction.truth, known), fills)
    plot = svg.plot(
        area,
        line,
        height=110,
        label="True distribution over time",
        y_ticks=_TRUTH_TICKS,
        time_labels=True,
    )
    return plot_head("Truth", "blank outside trials") + box(plot, line, timed=True)


def _quality(prediction: Prediction, line: svg.Timeline) -> str:
    rows = np.ones(len(prediction), dtype=bool)
    quality = np.nan_to_num(prediction.quality, nan=0.0)
    levels = line.means(quality, rows)
    parts = ['<figure class="quality"><h3>Signal quality</h3>']
    for i, name in enumerate(prediction.modalities):
        last = i == len(prediction.modalities) - 1
        invalid = ~prediction.valid[:, i]
        head = (
            f"mean {prediction.mean_quality[i]:.2f} where valid · "
            f"{int(invalid.sum()) or 'no'} invalid rows"
        )
        marks = svg.spans(line.any(invalid), "invalid")
        plot = svg.plot(
            svg.area(levels[:, i]),
            line,
            height=34,
            label=f"Quality of {name} over time",
            y_ticks=_QUALITY_TICKS,
            time_labels=last,
            over=marks,
        )
        parts.append(plot_head(name, head) + box(plot, line, timed=last))
    where = (
        "invalid: not used"
        if line.rows_per_column == 1
        else "some row of the column is invalid: not used"
    )
    key = (
        "Always valid"
        if prediction.valid.all()
        else f'<span class="swatch invalid"></span> {where}'
    )
    parts.append(
        f'<figcaption class="caption">0 to 1. {key}. {_averaged(line)}</figcaption></figure>'
    )
    return "".join(parts)


def _weights(prediction: Prediction, line: svg.Timeline) -> str:
    elements = prediction.weights.shape[1]
    known = np.asarray(np.isfinite(prediction.weights).all(axis=1))
    if not elements or not known.any():
        return ""
    weights = line.means(prediction.weights, known)
    # A few outliers must not turn the rest pale.
    limit = float(np.nanpercentile(np.abs(weights), 99)) or 1.0
    step = max(1, round(elements / 4 / 4) * 4)
    ticks = [((i + 0.5) / elements, str(i)) for i in range(0, elements, step)]
    plot = svg.plot(
        svg.heat_map(weights, limit=limit),
        line,
        height=min(320, max(96, 6 * elements)),
        label="Dictionary weights over time",
        y_ticks=ticks,
        time_labels=True,
        kind="heat",
        under=svg.spans(np.isnan(weights[:, 0]), "gap"),
    )
    stops = ",".join(f"rgb{stop}" for stop in svg.DIVERGING)
    scale = (
        f'≤ −{limit:.2g}<span class="scale" style="background:linear-gradient(to '
        f'right,{stops})"></span>≥ {limit:.2g}'
    )
    return (
        f'<figure><h3>Dictionary weights</h3><div class="plothead"><b>element 0 to '
        f"{elements - 1}</b>"
        f"<span>{scale}</span></div>{box(plot, line, timed=True)}"
        f'<figcaption class="caption">{_averaged(line)}</figcaption></figure>'
    )


def _means(prediction: Prediction, line: svg.Timeline) -> str:
    """A table of mean distributions: of all rows and, where there is a truth,
    of each trial beside its truth.
    """
    trials = _trials(prediction)
    listed = trials if len(trials) <= MOST_TRIALS else []
    head, columns = _range_columns(prediction)
    notes = ["In percent, over the rows with an answer."]
    if listed:
        head, columns = _trial_columns(prediction, listed, line)
        notes.append("Under each number the truth; a trial is a stretch of rows with one truth.")
    elif trials:
        notes.append(f"The truth changes {len(trials)} times: too often to list.")
    means = prediction.distribution[prediction.answered].mean(axis=0)
    fills = emotion_colours(prediction.emotions)
    body = "".join(
        f'<tr><th><span class="swatch" style="background:{fill}"></span>{escape(name)}</th>'
        f"{_share_cell(mean)}{rest}</tr>"
        for name, fill, mean, rest in zip(prediction.emotions, fills, means, columns, strict=True)
    )
    return (
        '<figure><h3>Mean distribution</h3><div class="scroll"><table class="means"><tr><th></th>'
        f'<th class="number">all rows</th>{head}</tr>{body}</table></div>'
        f'<figcaption class="caption">{" ".join(notes)}</figcaption></figure>'
    )


def _range_columns(prediction: Prediction) -> tuple[str, list[str]]:
    """Header cells, and each emotion's cells: the least and the most it ever had."""
    shares = prediction.distribution[prediction.answered]
    ends = 100 * np.stack([shares.min(axis=0), shares.max(axis=0)], axis=1)
    cells = [f"<td>{low:.1f}</td><td>{high:.1f}</td>" for low, high in ends]
    return '<th class="number">lowest</th><th class="number">highest</th>', cells


def _trial_columns(
    prediction: Prediction, trials: Sequence[Trial], line: svg.Timeline
) -> tuple[str, list[str]]:
    """Header cells, and each emotion's cells: a trial's mean above its truth."""
    assert prediction.truth is not None
    head, cells = "", ["" for _ in prediction.emotions]
    for k, trial in enumerate(trials, 1):
        time = _trial_time(prediction, trial, line)
        head += f'<th class="number">trial {k}<small>{time}</small></th>'
        rows = slice(trial.first, trial.stop)
        shares = prediction.distribution[rows][prediction.answered[rows]]
        means = shares.mean(axis=0) if len(shares) else np.full(len(cells), np.nan)
        for i, (mean, truth) in enumerate(zip(means, prediction.truth[trial.first], strict=True)):
            cells[i] += _share_cell(mean, f"<small>{100 * truth:.1f}</small>")
    return head, cells


def _trials(prediction: Prediction) -> list[Trial]:
    if prediction.truth is None:
        return []
    truth = np.nan_to_num(prediction.truth, nan=-1.0)
    changes = (np.flatnonzero((truth[1:] != truth[:-1]).any(axis=1)) + 1).tolist()
    stretches = [Trial(first, stop) for first, stop in pairwise([0, *changes, len(truth)])]
    return [trial for trial in stretches if np.isfinite(prediction.truth[trial.first]).all()]


def _trial_time(prediction: Prediction, trial: Trial, line: svg.Timeline) -> str:
    first, last = float(prediction.start_s[trial.first]), float(prediction.start_s[trial.stop - 1])
    times = (first, last + line.hop) if line.by_time else (trial.first, trial.stop)
    return "–".join(svg.axis_time(at, line) for at in times)


def _share_cell(share: float, below: str = "") -> str:
    if np.isnan(share):
        return f"<td>–{below}</td>"
    return f'<td class="share" style="--share:{share:.3f}">{100 * share:.1f}{below}</td>'


def _column_data(prediction: Prediction, line: svg.Timeline) -> str:
    """What the script reads: per column the shares in tenths of a percent,
    0 where there is no answer.
    """
    shares = line.means(prediction.distribution, prediction.answered)
    rows = [
        np.round(1000 * row).astype(int).tolist() if np.isfinite(row).all() else 0 for row in shares
    ]
    data = {"start": line.start, "width": line.width, "unit": svg.axis_unit(line), "shares": rows}
    data |= {} if line.zero is None else {"day": line.day_s}
    return f'<script type="application/json">{json.dumps(data, separators=(",", ":"))}</script>'


def _averaged(line: svg.Timeline) -> str:
    each = f" ({line.width:g} s)" if line.by_time else ""
    if line.rows_per_column == 1:
        return f"One point per row{each}."
    return (
        f"Averaged: each of the {line.count} columns is the mean of "
        f"{line.rows_per_column} rows{each}."
    )


def _length(prediction: Prediction) -> str:
    """From the recording's start to the end of the last row."""
    if not len(prediction):
        return "0 s"
    line = svg.timeline(prediction.start_s)
    return (
        _duration(float(prediction.start_s[-1]) + line.hop)
        if line.by_time
        else count_of(len(prediction), "row")
    )


def _duration(length_s: float) -> str:
    seconds = round(length_s)
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
