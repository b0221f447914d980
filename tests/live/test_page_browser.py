"""The live page in a real Chromium: what people see on a desk, on a phone,
and when the run goes away.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
pytest.importorskip("websockets", reason="the extra 'serve' is not installed")

from benchmarks.page import manifest, noise
from tests.live.asking import port_of
from tests.live.chromium import chromium, found

from emodict.live.page import PageListener, page_address
from emodict.live.row import ABSENT, LOST

TOKEN = "correct-horse-battery"
SHOWN = "[...document.querySelectorAll('#emotions .value')].map((v) => v.textContent)"
STATES = "[...document.querySelectorAll('#sensors .pill')].map((v) => v.textContent)"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = found()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with chromium(path, tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def rng() -> Any:
    return np.random.default_rng(2)


@pytest.fixture
def page() -> Iterator[Any]:
    with PageListener(page_address("127.0.0.1:0"), model="model.onnx") as served:
        served.begin(manifest(), "LSL")
        yield served


def percents(row: Any) -> Any:
    return [f"{100 * share:.1f} %" for share in np.round(row.prediction.distribution[0], 5)]


def shows(tab: Any, row: Any) -> None:
    tab.wait(f"JSON.stringify({SHOWN}) === JSON.stringify({percents(row)})")


def test_the_distribution_moves_with_the_rows(tab: Any, page: Any, rng: Any) -> None:
    rows = [noise(number, rng) for number in range(30)]
    for row in rows[:20]:
        page.row(row)
    tab.open(page.url)
    shows(tab, rows[19])
    assert tab.text("#model") == "model.onnx · emodict-1 · fp32 · from LSL"
    assert tab.value("[...document.querySelectorAll('#emotions .name')].map((n) => n.textContent)")[
        :2
    ] == ["Inspired", "Alert"]
    history = "document.querySelector('#minute polygon').getAttribute('points')"
    before, seconds_before = tab.value(history), tab.value(f"{history}.split(' ').length")
    for row in rows[20:]:
        page.row(row)
    shows(tab, rows[29])
    assert tab.value(history) != before
    assert tab.value(f"{history}.split(' ').length") == seconds_before + 10
    # A bar is as long as its share of the scale, up to 25 % here (once it has moved there).
    share = float(np.round(rows[29].prediction.distribution[0, 3], 5))
    width = "document.querySelectorAll('#emotions .fill')[3].style.width"
    assert float(tab.value(width).rstrip("%")) == pytest.approx(100 * share / 0.25, abs=0.01)
    assert tab.text("#link-words") == "Connected"
    assert tab.complaints == []


def test_every_sensor_has_its_state_device_rate_and_quality(tab: Any, page: Any, rng: Any) -> None:
    row = noise(15, rng)
    eeg, gsr, ppg, video = row.sensors
    sensors = (
        eeg, dataclasses.replace(gsr, state=LOST, valid=False, late_samples=7),
        dataclasses.replace(ppg, state=ABSENT, valid=False, device="", rate_hz=0.0), video,
    )  # fmt: skip
    page.row(dataclasses.replace(row, sensors=sensors))
    tab.open(page.url)
    assert tab.wait(f"{STATES}.length && {STATES}") == ["live", "lost", "absent", "stalled"]
    devices = tab.value(
        "[...document.querySelectorAll('#sensors .device')].map((d) => d.textContent)"
    )
    assert devices[:3] == [
        "device of eeg · 100 Hz",
        "device of gsr · 100 Hz · 7 late",
        "never seen",
    ]
    qualities = tab.value(
        "[...document.querySelectorAll('#sensors .quality .value')].map((d) => d.textContent)"
    )
    assert qualities == [f"{eeg.quality:.2f}", "not valid", "not valid", "not valid"]
    meters = tab.value(
        "[...document.querySelectorAll('[role=meter]')].map((m) => m.getAttribute('aria-label'))"
    )
    assert meters == ["Quality of EEG", "Quality of GSR", "Quality of PPG", "Quality of Face"]


def test_the_dictionary_weights_are_bars_on_either_side_of_zero(
    tab: Any, page: Any, rng: Any
) -> None:
    row = noise(0, rng)
    page.row(row)
    tab.open(page.url)
    weights = row.prediction.weights[0]
    tab.wait("document.querySelectorAll('#weights .above, #weights .below').length === 32")
    assert tab.value("document.querySelectorAll('#weights .below').length") == (weights < 0).sum()
    heights = tab.value(
        "[...document.querySelectorAll('#weights .above, #weights .below')].map((b) "
        "=> b.getBBox().height)"
    )
    np.testing.assert_allclose(
        np.array(heights) / max(heights), np.abs(weights) / np.abs(weights).max(), atol=2e-3
    )


def test_a_second_without_an_answer_shows_no_number_of_another_second(
    tab: Any, page: Any, rng: Any
) -> None:
    page.row(noise(0, rng))
    tab.open(page.url)
    tab.wait(f"{SHOWN}.length && {SHOWN}[0] !== '–'")
    row = noise(1, rng, answered=False)
    page.row(
        dataclasses.replace(
            row, sensors=(dataclasses.replace(row.sensors[0], valid=False), *row.sensors[1:])
        )
    )
    tab.wait(f"{SHOWN}.every((shown) => shown === '–')")
    assert tab.text("#silent") == "No answer for this second: not valid: EEG."
    assert tab.value("document.querySelectorAll('#minute .gap').length") == 1
    assert tab.value("document.querySelectorAll('#weights .above, #weights .below').length") == 0


def test_simulated_people_are_called_so_and_others_are_not(tab: Any, page: Any, rng: Any) -> None:
    banner = "getComputedStyle(document.querySelector('#simulated')).display !== 'none'"
    page.row(noise(0, rng, simulated=True))
    tab.open(page.url)
    tab.wait(banner)
    assert "SIMULATED" in tab.text("#simulated")
    page.row(noise(1, rng, simulated=False))
    tab.wait(f"!({banner})")


def test_when_no_row_comes_the_page_says_so_and_shows_no_old_number(
    tab: Any, page: Any, rng: Any
) -> None:
    page.row(noise(0, rng))
    tab.open(page.url)
    tab.wait("document.querySelector('#link').dataset.state === 'waiting'")
    assert tab.text("#link-words") == "Connected, but no row comes"
    tab.wait("/^No row for ([3-9]|\\d\\d) s/.test(document.querySelector('#silent').textContent)")
    assert set(tab.value(SHOWN)) == {"–"}
    # Nor does it claim to know how the sensors are.
    assert set(tab.value(STATES)) == {"unknown"}
    assert set(
        tab.value("[...document.querySelectorAll('#sensors .value')].map((v) => v.textContent)")
    ) == {"–"}
    row = noise(5, rng)
    page.row(row)
    shows(tab, row)
    assert tab.text("#link-words") == "Connected"
    assert tab.value(STATES)[0] == "live"


def test_it_finds_its_way_back_when_the_run_is_started_again(tab: Any, rng: Any) -> None:
    with PageListener(page_address("127.0.0.1:0"), model="first.onnx") as first:
        first.begin(manifest(), "LSL")
        first.row(noise(0, rng))
        tab.open(first.url)
        tab.wait(f"{SHOWN}.length && {SHOWN}[0] !== '–'")
        port = port_of(first)
    tab.wait("document.querySelector('#link').dataset.state === 'broken'")
    assert tab.text("#link-words") == "Reconnecting"
    assert set(tab.value(SHOWN)) == {"–"}
    tab.wait("/try ([2-9]|\\d\\d)/.test(document.querySelector('#link-count').textContent)")
    with PageListener(page_address(f"127.0.0.1:{port}"), model="second.onnx") as second:
        second.begin(manifest(), "LSL")
        row = noise(1, rng)
        second.row(row)
        shows(tab, row)
        assert tab.text("#model").startswith("second.onnx")
        # The first run's second is not in the second run's history.
        assert tab.value("rows.length") == 1
        tab.open("about:blank")


def test_a_token_opens_the_page_once_and_leaves_the_address(tab: Any, rng: Any) -> None:
    with PageListener(page_address("127.0.0.1:0"), token=TOKEN) as guarded:
        guarded.begin(manifest(), "LSL")
        row = noise(0, rng)
        guarded.row(row)
        tab.open(guarded.url)
        tab.wait("document.body && document.body.innerText.includes('needs its token')")
        tab.open(f"{guarded.url}?token={TOKEN}")
        shows(tab, row)
        assert tab.value("location.href") == guarded.url
        assert TOKEN not in tab.value("document.documentElement.outerHTML + document.cookie")
        port = port_of(guarded)
    # The run comes back with another token: the page says why it is not let in.
    with PageListener(page_address(f"127.0.0.1:{port}"), token=TOKEN + "-new"):
        tab.wait("!document.querySelector('#refused').hidden")
        assert tab.text("#refused") == "That is not the token of this page."
        tab.open("about:blank")


@pytest.mark.parametrize("width", [320, 375, 768, 1200])
def test_nothing_is_wider_than_the_screen_and_everything_has_a_name(
    tab: Any, page: Any, rng: Any, width: Any
) -> None:
    for number in range(60):
        row = noise(number, rng, answered=number % 7 > 0)
        names = [
            dataclasses.replace(sensor, device="A-Very-Long-Device-Name-" * 4)
            for sensor in row.sensors
        ]
        page.row(dataclasses.replace(row, sensors=tuple(names)))
    tab.open(page.url, width=width)
    tab.wait("document.querySelectorAll('#sensors li').length === 4")
    assert tab.value("document.documentElement.scrollWidth") <= width
    beyond = (
        f"[...document.querySelectorAll('main *')].filter((e) "
        f"=> e.getBoundingClientRect().right > {width} + 1).length"
    )
    assert tab.value(beyond) == 0
    assert tab.value(
        "[...document.querySelectorAll('[role=img],[role=meter]')].every((e) "
        "=> e.getAttribute('aria-label'))"
    )


def test_words_can_be_read_in_light_and_dark(tab: Any, page: Any, rng: Any) -> None:
    page.row(noise(15, rng))
    for scheme in ("light", "dark"):
        tab.open(page.url, scheme=scheme)
        tab.wait("document.querySelectorAll('#sensors li').length === 4")
        worst = tab.value(CONTRAST)
        assert worst["ratio"] >= 4.5, (scheme, worst)  # WCAG 2, level AA


# Each element with words of its own against the first background behind it.
CONTRAST = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parts(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  let worst = { ratio: 99 };
  for (const e of document.querySelectorAll("body *")) {
    const wordless = ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (wordless || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const a = light(parts(e.closest("svg") ? style.fill : style.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst.ratio) worst = { ratio, text: e.textContent, className: e.className };
  }
  return worst;
})()"""


def test_names_from_outside_are_shown_as_they_are_and_do_nothing(
    tab: Any, page: Any, rng: Any
) -> None:
    row = noise(0, rng)
    evil = "<img src=x onerror=\"document.title='broken'\">"
    page.begin(manifest(), evil)
    page.row(
        dataclasses.replace(
            row, sensors=(dataclasses.replace(row.sensors[0], device=evil), *row.sensors[1:])
        )
    )
    tab.open(page.url)
    tab.wait("document.querySelectorAll('#sensors li').length === 4")
    assert evil in tab.text("#model")
    assert tab.text("#sensors .device").startswith(evil)
    assert tab.value("document.title") == "SIMULATED · emodict live"
    assert tab.value("document.images.length") == 0


def test_it_asks_for_nothing_but_its_own_four_files(tab: Any, page: Any, rng: Any) -> None:
    tab.asked.clear()
    page.row(noise(0, rng))
    tab.open(page.url)
    tab.wait("document.querySelectorAll('#sensors li').length === 4")
    assert tab.asked
    assert all(url.startswith(page.url) for url in tab.asked)


def test_who_wants_no_motion_gets_none(tab: Any, page: Any, rng: Any) -> None:
    page.row(noise(0, rng))
    tab.open(page.url)
    tab.call(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
    )
    tab.wait("document.querySelectorAll('#sensors li').length === 4")
    assert (
        tab.value("getComputedStyle(document.querySelector('#emotions .fill')).transitionDuration")
        == "0s"
    )


def test_an_hour_of_rows_leaves_the_page_as_large_as_a_minute_of_them(
    tab: Any, page: Any, rng: Any
) -> None:
    tab.open(page.url)
    tab.wait("document.querySelector('#link').dataset.state !== 'connecting'")
    feeding = threading.Thread(
        target=lambda: [(page.row(noise(n, rng)), time.sleep(0.001)) for n in range(3600)]
    )
    feeding.start()
    feeding.join()
    tab.wait("rows.length === 60 && rows[59].start_s === 3599")
    elements = tab.value("document.querySelectorAll('*').length")
    page.row(noise(3600, rng))
    tab.wait("rows[59].start_s === 3600")
    # Runs of seconds begin and end; nothing else comes.
    assert abs(tab.value("document.querySelectorAll('*').length") - elements) < 100
    assert elements < 1500
