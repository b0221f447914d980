"""Text and picture of a page are of the same run: stamps, digits and docs/figures.json agree."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = json.loads((ROOT / "docs" / "figures.json").read_text(encoding="utf-8"))
STAMP = FIGURES["run"]["stamp"]
PAGES = (
    "README.md",
    "docs/training.md",
    "docs/export.md",
    "docs/run.md",
    "docs/features.md",
    "docs/python-api.md",
    "docs/calibration.md",
    "docs/live.md",
)
PICTURES = ("docs/report.png", "docs/live-page.png", "docs/precision.svg", "docs/reliability.svg")
MEASURES = ("chebyshev", "clark", "canberra", "kl", "cosine", "intersection")
RENEW = "Run `make pages`: it renews text and pictures from one run."


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def section(page: str, name: str) -> str:
    (said,) = re.findall(
        rf"^<!-- pages: {name} -->\n(.*?)\n<!-- /pages: {name} -->$",
        text_of(page),
        re.DOTALL | re.M,
    )
    return said


def png_texts(png: bytes) -> Iterator[tuple[str, str]]:
    """Keyword and text of every tEXt chunk, by the PNG specification, sections 5.3 and 11.3.4.3."""
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length]) == (
            zlib.crc32(kind + data),
        )
        if kind == b"tEXt":
            keyword, _, text = data.partition(b"\0")
            yield keyword.decode("latin-1"), text.decode("latin-1")
        at += 12 + length


def stamp_of(picture: Path) -> str:
    if picture.suffix == ".svg":
        return (
            ", ".join(
                re.findall(r"<!-- emodict pages: (\w+) -->", picture.read_text(encoding="utf-8"))
            )
            or "none"
        )
    return dict(png_texts(picture.read_bytes())).get("emodict pages", "none")


@pytest.mark.parametrize("page", PAGES)
def test_the_text_of_a_page_and_its_pictures_are_of_one_run(page: str) -> None:
    (stamp, date, cpu) = re.fullmatch(
        r"\*One run of `make pages`: `(\w+)`, ([\d-]+), (.+)\.\*", section(page, "run")
    ).groups()
    assert (stamp, date, cpu) == (STAMP, FIGURES["run"]["date"], FIGURES["run"]["cpu"]), RENEW
    for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text_of(page)):
        assert stamp_of((ROOT / page).parent / link) == stamp, (
            f"{page} shows {link} of another run. {RENEW}"
        )


def test_every_picture_of_the_pages_is_one_that_make_pages_takes() -> None:
    shown = {
        ((ROOT / page).parent / link).resolve().relative_to(ROOT).as_posix()
        for page in ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
        for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text_of(page))
    }
    # Drawn from the imports, not from a run: tests/runtime/test_rooms.py compares it.
    assert shown - {"docs/architecture.svg"} == set(PICTURES) == set(FIGURES["pictures"])


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_the_file_that_the_run_made(picture: str) -> None:
    digest = hashlib.sha256((ROOT / picture).read_bytes()).hexdigest()
    assert digest == FIGURES["pictures"][picture], f"{picture} was changed after its run. {RENEW}"


@pytest.mark.parametrize("page", ["README.md", "docs/run.md"])
def test_the_measures_in_the_text_are_those_of_the_run_and_those_drawn_in_the_picture(
    page: str,
) -> None:
    (name_line, model, mean_label) = re.findall(
        r"^(?:against the truth|this model|mean label) .*$", text_of(page), re.M
    )
    assert tuple(name_line.split()[3:]) == MEASURES
    shown = {
        "this model": dict(zip(MEASURES, model.split()[2:], strict=True)),
        "mean label": dict(zip(MEASURES, mean_label.split()[2:], strict=True)),
    }
    assert shown == FIGURES["stranger"], (
        f"{page} shows other measures than docs/figures.json. {RENEW}"
    )
    assert FIGURES["drawn"] == FIGURES["stranger"]["this model"], (
        f"report.png shows other measures. {RENEW}"
    )


def test_the_summary_for_programs_has_the_same_measures_in_full() -> None:
    (line,) = re.findall(r'^\{"summary": .*$', text_of("docs/run.md"), re.M)
    summary = json.loads(line)["summary"]
    for key, name in (("metrics", "this model"), ("metrics_of_mean_label", "mean label")):
        assert {k: f"{v:.4f}" for k, v in summary[key].items()} == FIGURES["stranger"][name], RENEW


def test_the_first_second_has_the_same_share_on_every_page_and_in_every_form() -> None:
    """In full as JSON, to three digits from Python, to two from ONNX Runtime alone,
    in per cent in the tables.
    """
    (share,) = map(
        float,
        re.findall(
            r'"start_s": 4\.0, "distribution": \{"Inspired": ([\d.]+)', text_of("docs/run.md")
        ),
    )
    (from_python,) = map(float, re.findall(r"^Inspired \[([\d.]+)", text_of("README.md"), re.M))
    (from_onnx,) = map(
        float, re.findall(r"^ +4 s  Inspired ([\d.]+)", text_of("docs/export.md"), re.M)
    )
    # Each is the same number rounded: half a unit of its last digit.
    assert from_python == pytest.approx(share, abs=0.5001e-3)
    assert from_onnx == pytest.approx(share, abs=0.5001e-2)
    for page in ("README.md", "docs/run.md"):
        (per_cent,) = map(int, re.findall(r"^   0:04  [▁-█] ?(\d+)", text_of(page), re.M))
        assert per_cent == pytest.approx(100 * share, abs=0.5001), f"{page}. {RENEW}"


def test_what_the_readme_expects_is_the_range_that_was_seen_with_this_run_in_it() -> None:
    kl = [figure for seen in FIGURES["seen"] for figure in seen["kl"].values()]
    low, high, mean_label = re.findall(r"(?<!\d)\.\d{4}", section("README.md", "range"))[:3]
    assert (float(low), float(high)) == (min(map(float, kl)), max(map(float, kl))), RENEW
    assert float(mean_label) == float(FIGURES["stranger"]["mean label"]["kl"]), RENEW
    (own,) = [seen["kl"] for seen in FIGURES["seen"] if seen["cpu"] == FIGURES["run"]["cpu"]]
    assert own["as they come"] == FIGURES["stranger"]["this model"]["kl"], RENEW
    for seen in FIGURES["seen"]:
        assert seen["cpu"] in section("README.md", "range"), RENEW


def test_running_text_gives_no_digits_of_the_stranger_but_in_the_range() -> None:
    prose = re.sub(
        r"```.*?```|<!-- pages: range -->.*?<!-- /pages: range -->",
        "",
        text_of("README.md"),
        flags=re.DOTALL,
    )
    figures = {row["kl"].removeprefix("0") for row in FIGURES["stranger"].values()}
    assert not [figure for figure in figures if figure in prose]
