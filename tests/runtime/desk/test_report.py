"""The report: one page that opens offline, shows what was predicted,
and is honest about what was not.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import struct
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emodict.errors import OutputError
from emodict.results.colours import emotion_colours
from emodict.results.prediction import Prediction
from emodict_desk import svg
from emodict_desk.report import report_html, write_report
from emodict_desk.tables.table import DMER_EMOTIONS

VOID = {"meta", "br", "link", "img"}


def prediction(
    rows: int = 60,
    *,
    session: str = "sitting",
    truth: bool = True,
    emotions: tuple[str, ...] = DMER_EMOTIONS,
    elements: int = 4,
) -> Prediction:
    """Two trials; no answer in rows 10 to 19; gsr invalid in rows 10 to 19 and 40."""
    rng = np.random.default_rng(5)
    distribution = rng.dirichlet(np.ones(len(emotions)), size=rows)
    weights, quality = rng.normal(size=(rows, elements)), rng.uniform(0.5, 1, size=(rows, 2))
    valid = np.ones((rows, 2), dtype=bool)
    valid[10:20], valid[40:41, 0] = False, False
    distribution[10:20], weights[10:20] = np.nan, np.nan
    true = np.full_like(distribution, np.nan)
    true[5:30], true[35:60] = rng.dirichlet(np.ones(len(emotions)), size=2)[:, None]
    return Prediction(
        session,
        emotions,
        ("gsr", "ppg"),
        np.arange(rows) + 4.0,
        distribution,
        weights,
        valid,
        quality,
        true if truth else None,
    )


class Page(HTMLParser):
    """Tags with their attributes and texts; every tag must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[Any]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def count(self, tag: str, name: str) -> int:
        return sum(t == tag and name in (a.get("class") or "").split() for t, a in self.tags)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def page_of(
    *predictions: Any, title: str = "A title", model_lines: list[str] | tuple[Any, ...] = ()
) -> Page:
    return Page(report_html(predictions, title=title, model_lines=model_lines))


def test_a_report_is_one_file_that_asks_nothing_of_the_network(tmp_path: Path) -> None:
    write_report(
        [prediction()], tmp_path / "r.html", title="A title", model_lines=["model.onnx, emodict-1"]
    )
    text = (tmp_path / "r.html").read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert not re.findall(
        r"https?:|//[a-z]|@import|url\((?!#)", text.replace("http://www.w3.org/2000/svg", "")
    )
    page = Page(text)
    assert not [tag for tag, attributes in page.tags if tag == "link" or "src" in attributes]
    assert "model.onnx, emodict-1" in page.text


def test_every_emotion_has_a_polygon_per_stretch_and_per_trial_and_a_place_in_the_legend() -> None:
    page = page_of(prediction())
    # Answers in rows 0-9 and 20-59, truth in 5-29 and 35-59.
    assert page.count("polygon", "share") == 10 * (2 + 2)
    names = [t for t in page.texts if t in DMER_EMOTIONS]
    assert names == [*DMER_EMOTIONS, *DMER_EMOTIONS]  # the legend, then the table
    assert page.count("rect", "gap") == 2  # below the distribution and below the weights
    assert "no answer" in page.text


def test_without_truth_there_is_no_second_strip_and_no_measure() -> None:
    page = page_of(prediction(truth=False))
    assert page.count("polygon", "share") == 10 * 2
    assert "Truth" not in page.text
    assert "Chebyshev" not in page.text


def test_the_six_measures_are_those_of_the_prediction() -> None:
    ours = prediction()
    text = page_of(ours).text
    for name, value in ours.metrics().items():
        label = "KL" if name == "kl" else name.capitalize()
        assert re.search(rf"{label} [↑↓]{value:.4f}", text)


def test_the_table_gives_each_trial_its_mean_and_its_truth() -> None:
    ours = prediction()
    html = report_html([ours], title="t", model_lines=[])
    row = html.split("Alert</th>")[1].split("</tr>")[0]
    found = [float(n) for n in re.findall(r">(\d+\.\d)<", row)]
    answered = ours.answered
    means = [
        ours.distribution[rows & answered, 1].mean() for rows in (np.ones(60, bool), *trial_rows())
    ]
    truth = ours.truth[5, 1], ours.truth[35, 1]
    expected = [means[0], means[1], truth[0], means[2], truth[1]]
    # Printed with one decimal.
    np.testing.assert_allclose(found, 100 * np.array(expected), atol=0.051)
    assert "trial 2" in html
    assert "0:09" not in html  # a session of a minute counts in seconds
    assert "9–34" in html


def trial_rows() -> list[np.ndarray]:
    rows = np.arange(60)
    return [(rows >= 5) & (rows < 30), (rows >= 35) & (rows < 60)]


def test_invalid_seconds_are_marked_where_they_are() -> None:
    page = page_of(prediction())
    marks = [a for t, a in page.tags if t == "rect" and a.get("class") == "invalid"]
    percent = [(float(a["x"][:-1]), float(a["width"][:-1])) for a in marks]
    expected = [(10, 10), (40, 1), (10, 10)]  # gsr, gsr, ppg: first row and rows
    # Printed with three decimals.
    np.testing.assert_allclose(percent, 100 / 60 * np.array(expected), atol=1e-3)
    assert "11 invalid rows" in page.text
    sound = dataclasses.replace(prediction(), valid=np.ones((60, 2), dtype=bool))
    assert page_of(sound).count("rect", "invalid") == 0
    assert "Always valid" in page_of(sound).text


def test_the_stack_is_as_high_as_the_shares() -> None:
    shares = np.array([[0.25, 0.75], [0.5, 0.5]])
    polygons = re.findall(r'fill="(.)" points="([^"]*)"', svg.stacked_area(shares, "ab"))
    assert polygons == [
        ("b", "0,1000 0,0 1,0 3,0 4,0 4,1000"),
        ("a", "0,1000 0,750 1,750 3,500 4,500 4,1000"),
    ]


def test_the_weights_are_a_picture_that_is_clear_where_there_is_no_answer() -> None:
    ours = prediction()
    page = page_of(ours)
    uri = next(a["href"] for t, a in page.tags if t == "image")
    width, height, index, clear = read_png(base64.b64decode(uri.partition("base64,")[2]))
    assert (width, height) == (60, 4)
    assert clear == b"\0"
    np.testing.assert_array_equal(index == 0, np.isnan(ours.weights).T)
    weights, shown = ours.weights[ours.answered].T, index[:, ours.answered].astype(float) - 128
    # Colours end at the 99th percentile, 127 steps from 0.
    limit = np.nanpercentile(np.abs(ours.weights), 99)
    np.testing.assert_allclose(
        shown / 127 * limit, np.clip(weights, -limit, limit), atol=0.5001 / 127 * limit
    )


def read_png(data: bytes) -> tuple[int, int, np.ndarray, bytes]:
    """By the PNG specification: 8-bit palette, no filter."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (size,), name = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (
            zlib.crc32(name + body),
        )
        chunks[name], at = body, at + 12 + size
    width, height, depth, kind, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, kind, len(chunks[b"PLTE"])) == (8, 3, 768)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(
        height, width + 1
    )
    assert not lines[:, 0].any()
    return width, height, lines[:, 1:], chunks[b"tRNS"]


def test_the_hover_data_are_the_distribution_in_tenths_of_a_percent() -> None:
    ours = prediction()
    html = report_html([ours], title="t", model_lines=[])
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])
    assert (data["start"], data["width"], data["unit"], len(data["shares"])) == (4.0, 1.0, "s", 60)
    assert data["shares"][10:20] == [0] * 10
    # Rounded.
    np.testing.assert_allclose(data["shares"][30], 1000 * ours.distribution[30], atol=0.5001)


def test_what_users_named_is_text_and_never_markup() -> None:
    evil = "<script>alert(\"x\")</script> & 'y'"
    ours = dataclasses.replace(
        prediction(session=evil), modalities=(evil, "ppg"), emotions=(evil, *DMER_EMOTIONS[1:])
    )
    plain = page_of(prediction())
    page = page_of(ours, title=evil, model_lines=[evil])
    assert (
        [t for t, _ in page.tags].count("script") == [t for t, _ in plain.tags].count("script") == 2
    )
    assert page.text.count(evil) >= 5  # title, model line, session, modality, legend
    assert f"Quality of {evil} over time" in [a.get("aria-label") for _, a in page.tags]


def test_an_hour_is_averaged_says_so_and_stays_small() -> None:
    rows = 3600
    page_text = report_html([prediction(rows, truth=False, elements=32)], title="t", model_lines=[])
    assert len(page_text) < 2_000_000
    text = Page(page_text).text
    assert "each of the 1200 columns is the mean of 3 rows (3 s)" in text
    assert "min:s" in page_text
    assert "1 h" not in text
    assert "60 min 4 s" in text


def test_columns_average_only_rows_with_an_answer_and_leave_holes_in_time_open() -> None:
    start = np.concatenate([np.arange(1500.0), np.arange(2000.0, 2500.0)])
    line = svg.timeline(start)
    assert (line.width, line.rows_per_column, line.count) == (3.0, 3, 834)
    use = start % 3 != 1
    means = line.means(start[:, None], use)[:, 0]
    assert means[0] == 1.0  # of seconds 0 and 2
    assert np.isnan(means[500:666]).all()  # seconds 1500 to 1997
    assert np.isfinite(means[:500]).all()
    assert np.isfinite(means[667:]).all()


def test_rows_whose_times_run_back_are_counted_instead() -> None:
    ours = prediction(truth=False)
    html = report_html(
        [dataclasses.replace(ours, start_s=np.tile(np.arange(30.0), 2))], title="t", model_lines=[]
    )
    assert 'data-axis="row"' in html
    assert "from the start of the recording" not in html


@pytest.mark.parametrize("rows", [1, 2, 90, 296, 3236, 20000, 500000])
def test_a_time_axis_has_a_few_round_times(rows: int) -> None:
    ticks = svg.time_ticks(svg.timeline(np.arange(rows) + 4.0))
    assert 1 <= len(ticks) <= 7
    assert len({text for _, text in ticks}) == len(ticks)
    assert all(0 <= at <= 1 for at, _ in ticks)


@pytest.mark.parametrize(
    ("rows", "texts"),
    [(56, ["10", "20", "30", "40", "50", "60"]), (296, ["1:00", "2:00", "3:00", "4:00", "5:00"]),
     (4 * 3600, ["1:00", "2:00", "3:00", "4:00"])],
)  # fmt: skip
def test_times_are_written_in_the_axis_unit(rows: int, texts: list[str]) -> None:
    assert [text for _, text in svg.time_ticks(svg.timeline(np.arange(rows) + 4.0))] == texts


def test_several_sessions_have_an_index_that_leads_to_each() -> None:
    page = page_of(prediction(session="one"), prediction(session="two", truth=False))
    targets = [a["href"] for t, a in page.tags if t == "a"]
    assert targets == ["#s0", "#s1"]
    assert [a["id"] for t, a in page.tags if t == "section"] == ["s0", "s1"]
    assert "nav" not in [t for t, _ in page_of(prediction()).tags]


def test_only_a_simulated_session_wears_the_badge() -> None:
    ours = prediction()
    assert page_of(ours).count("span", "badge") == 0
    assert page_of(dataclasses.replace(ours, simulated=True)).count("span", "badge") == 1
    assert (
        page_of(dataclasses.replace(ours, simulated=True, model_simulated=True)).count(
            "span", "badge"
        )
        == 2
    )


def test_a_session_shows_what_is_doubtful_in_its_signals() -> None:
    doubts = ("eeg: its spread is 1e-05 uV", "ppg: looks upside down")
    assert page_of(prediction()).count("p", "doubt") == 0
    assert page_of(dataclasses.replace(prediction(), doubts=doubts)).count("p", "doubt") == 2


def test_a_session_shows_which_sensor_no_row_could_use_and_why() -> None:
    whole = prediction()
    name = whole.modalities[0]
    without = dataclasses.replace(
        whole, valid=np.zeros_like(whole.valid), unusable={name: "not in this recording"}
    )
    page = report_html([without], title="t", model_lines=())
    assert f"<strong>Never valid:</strong> {name} (not in this recording).</p>" in page
    assert "Never valid" not in report_html([whole], title="t", model_lines=())


def test_a_session_without_any_answer_says_so_and_shows_the_signals_alone() -> None:
    ours = prediction()
    nothing = dataclasses.replace(
        ours, distribution=ours.distribution * np.nan, weights=ours.weights * np.nan
    )
    page = page_of(nothing)
    assert "No row of this session has an answer." in page.text
    assert page.count("polygon", "share") == 0
    assert page.count("polygon", "level") == 2


def test_a_session_without_rows_says_so() -> None:
    page = page_of(prediction(0, truth=False))
    assert "shorter than one window" in page.text
    assert page.count("svg", "plot") == 0


def test_a_truth_that_always_changes_is_drawn_but_not_listed() -> None:
    ours = prediction()
    moving = np.random.default_rng(1).dirichlet(np.ones(10), size=60)
    page = page_of(dataclasses.replace(ours, truth=moving))
    assert "changes 60 times: too often to list" in page.text
    assert "trial 1" not in page.text
    assert page.count("polygon", "share") == 10 * (2 + 1)


def test_weights_that_are_all_zero_or_absent_are_no_reason_to_stop() -> None:
    ours = prediction()
    zero = dataclasses.replace(ours, weights=ours.weights * 0)
    assert [t for t, _ in page_of(zero).tags].count("image") == 1
    none = dataclasses.replace(ours, weights=np.empty((60, 0)))
    assert [t for t, _ in page_of(none).tags].count("image") == 0


def test_positive_and_negative_emotions_have_hues_of_their_own() -> None:
    fills = emotion_colours([name.upper() for name in DMER_EMOTIONS])
    assert len(set(fills)) == 10
    red, blue = ([int(fill[i : i + 2], 16) for fill in fills] for i in (1, 5))
    assert all(b > r for r, b in zip(red[:5], blue[:5], strict=True))
    assert all(r > b for r, b in zip(red[5:], blue[5:], strict=True))


@pytest.mark.parametrize("count", [1, 7, 10, 25])
def test_any_other_emotions_have_distinct_colours(count: int) -> None:
    fills = emotion_colours([f"emotion {i}" for i in range(count)])
    assert len(set(fills)) == count
    assert all(re.fullmatch("#[0-9a-f]{6}", fill) for fill in fills)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="mkdir -p"):
        write_report([prediction()], tmp_path / "none" / "r.html", title="t", model_lines=[])


FILL = """
import resource, signal, sys
import numpy as np
from emodict.errors import OutputError
from emodict.results.prediction import Prediction
from emodict_desk.report import write_report

shares = np.random.default_rng(0).dirichlet([1, 1], size=900)
ours = Prediction("s", ("a", "b"), ("gsr",), np.arange(900.0), shares,
                  np.ones((900, 32)), np.ones((900, 1), bool), np.ones((900, 1)))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_report([ours], sys.argv[1], title="t", model_lines=[])
except OutputError as error:
    print(error)
"""


def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Cannot write {path}: File too large. Nothing was left behind.")
    assert list(tmp_path.iterdir()) == []
