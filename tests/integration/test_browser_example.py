"""The page in examples/browser, in a real Chromium: onnxruntime-web gives the rows of emodict-run,
and asks for nothing from elsewhere.
"""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("websockets", reason="the extra 'serve' is not installed")

from tests.live.chromium import Tab, chromium, found
from tests.recordings import noise_recording

from emodict.engine import open_engine
from emodict.predict import predict
from emodict.recording.session import write_session

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGE = EXAMPLES / "browser"
FIRST_S = 4  # emodict-run prints no row before the longest window is full
SHOWN = "[...document.querySelectorAll('#emotions .value')].map((v) => v.textContent)"
# JSON has no NaN: null is in its place.
ROWS = "JSON.stringify(rows.map((row) => row.distribution))"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    path = found()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with chromium(path, tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


class Quiet(http.server.SimpleHTTPRequestHandler):
    """What `python -m http.server` serves, without a line for each file."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A copy of the page's folder, and the address that it is served at."""
    if not (PAGE / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("no onnxruntime-web: npm install in examples/browser")
    folder = tmp_path / "site"
    shutil.copytree(PAGE, folder, ignore=shutil.ignore_patterns("node_modules", "*.onnx", "*.json"))
    (folder / "node_modules").symlink_to(PAGE / "node_modules")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def fill(folder: Path, model: Path, session: Path) -> None:
    """Put the model and the session there, as the page in docs/embedding.md says."""
    shutil.copy(model, folder / "model.raw.onnx")
    words = folder / "model.raw.onnx", session, folder / "seconds.json"
    command = [sys.executable, EXAMPLES / "raw_seconds.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_rows_in_the_browser_are_those_of_emodict_run(
    tab: Tab, site: tuple[Path, str], models: Path, broken_session: Path
) -> None:
    folder, address = site
    fill(folder, models / "wrist.raw.onnx", broken_session)
    tab.asked.clear()
    tab.open(address + "?second_ms=0")
    tab.wait("document.querySelector('#state').textContent === 'The session is over'")
    with open_engine(models / "wrist.onnx") as engine:
        expected = predict(engine, broken_session)
    got = np.array(json.loads(tab.value(ROWS)), dtype=np.float64)
    # What the raw graph's own tests allow for float32 features.
    np.testing.assert_allclose(got[FIRST_S:], expected.distribution, rtol=0, atol=3e-5)
    assert 0.2 < expected.answered.mean() < 1
    last = expected.distribution[-1]
    shown = [f"{100 * share:.1f} %" if expected.answered[-1] else "–" for share in last]
    assert tab.value(SHOWN) == shown
    assert tab.value("document.querySelector('#simulated').hidden")
    assert tab.complaints == []
    assert {url.startswith(address) for url in tab.asked} == {True}


def test_a_second_with_an_answer_is_drawn_as_bars_and_simulated_is_marked(
    tab: Tab, site: tuple[Path, str], models: Path, tmp_path: Path
) -> None:
    folder, address = site
    attributes = {**noise_recording().attributes, "simulated": "true"}
    recording = dataclasses.replace(noise_recording(), attributes=attributes)
    write_session(recording, tmp_path / "session.h5")
    fill(folder, models / "all.raw.onnx", tmp_path / "session.h5")
    tab.open(address + "?second_ms=0")
    tab.wait("document.querySelector('#state').textContent === 'The session is over'")
    shares = json.loads(tab.value(ROWS))[-1]
    widths = tab.value("[...document.querySelectorAll('.fill')].map((f) => f.style.width)")
    # Untrained shares are all near a tenth, so the scale ends at a quarter.
    wanted = [100 * share / 0.25 for share in shares]
    assert [float(width.rstrip("%")) for width in widths] == pytest.approx(wanted, abs=0.01)
    colours = tab.value("[...document.querySelectorAll('.fill')].map((f) => f.style.background)")
    assert len(set(colours)) == len(shares)
    assert tab.text("#simulated").endswith(
        "of a SIMULATED person: it says nothing about a human being."
    )
    assert not tab.value("document.querySelector('#simulated').hidden")
    assert tab.value("document.title").startswith("SIMULATED")


def test_a_missing_file_is_said(tab: Tab, site: tuple[Path, str], models: Path) -> None:
    folder, address = site
    shutil.copy(models / "wrist.raw.onnx", folder / "model.raw.onnx")
    tab.open(address)
    assert "seconds.json: 404" in tab.wait("document.querySelector('#failed').textContent")
    assert tab.text("#state") == "Stopped"


def test_seconds_of_another_model_are_said(
    tab: Tab, site: tuple[Path, str], models: Path, noise_session: Path
) -> None:
    folder, address = site
    fill(folder, models / "wrist.raw.onnx", noise_session)
    shutil.copy(models / "all.raw.onnx", folder / "model.raw.onnx")
    tab.open(address)
    said = tab.wait("document.querySelector('#failed').textContent")
    assert said == "seconds.json is of another model: eeg does not fit"
