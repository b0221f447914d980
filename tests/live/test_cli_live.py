"""emodict-run --live as it is typed: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import functools
import json
import re
import signal
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emodict.cli import run as cli
from emodict.cli.check import refuse_live_options
from emodict.cli.live import _without_video
from emodict.cli.options import LiveOptions, SourceOptions, given_options
from emodict.errors import InputError, OutputError
from emodict.features.spec import load_spec
from emodict.recording.session import open_session
from emodict_desk.cli.record import RecordRequest, record_session

Run = Callable[..., tuple[int, str, str]]
COMMAND = str(Path(sysconfig.get_path("scripts")) / "emodict-run")


@pytest.fixture
def run(run_in_process: Run) -> Run:
    return functools.partial(run_in_process, cli)


def numbers_of_rows(printed: str) -> NDArray[np.float64]:
    """(rows, columns) of the table: second, per cent of each emotion, quality of each modality."""
    rows = re.findall(r"^ +0:(\d\d)  (.*)$", printed, re.MULTILINE)
    return np.array(
        [[float(n) for n in (second, *re.findall(r"\d+(?:\.\d+)?", rest))] for second, rest in rows]
    )


def test_a_replay_prints_the_rows_of_the_recording(run: Run, model: Path, session: Path) -> None:
    _, offline, _ = run("--engine", model, session)
    code, live, _ = run("--engine", model, "--live", f"replay:{session}", "--speed", "max")
    assert code == 0
    got, expected = numbers_of_rows(live), numbers_of_rows(offline)
    assert got.shape == expected.shape == (26, 1 + 10 + 4)
    # Live, a row is scored alone, and in float32: what is printed may be the next per cent,
    # or hundredth of a quality.
    off = np.abs(got - expected)
    assert off[:, 0].max() == 0
    assert off[:, 1:11].max() <= 1
    assert off[:, 11:].max() <= 0.01 + 1e-9
    assert "Live from replay of session.h5; Ctrl-C ends it" in live
    assert "26 rows, 26 answered" in live


def test_json_lines_carry_the_sensors(run: Run, model: Path, session: Path) -> None:
    words = [
        "--engine",
        model,
        "--live",
        f"replay:{session}",
        "--speed",
        "max",
        "--json",
        "--weights",
        "--seconds",
        "7",
    ]
    code, out, err = run(*words)
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["start_s"] for row in rows] == [4, 5, 6]
    assert sum(rows[0]["distribution"].values()) == pytest.approx(1, abs=1e-6)  # float32 softmax
    assert len(rows[0]["weights"]) == 32
    assert [(s["modality"], s["state"]) for s in rows[0]["sensors"]] == [
        (name, "live") for name in ("eeg", "gsr", "ppg", "video")
    ]
    assert "Live from" in err


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_service_managers_stop_end_a_run_well(
    model: Path, session: Path, ending: signal.Signals
) -> None:
    words = [COMMAND, "--engine", str(model), "--live", f"replay:{session}", "--speed", "4"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip().startswith("0:04"):
                process.send_signal(ending)
                break
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "answered" in out
    assert err == ""


def test_what_came_live_is_recorded(run: Run, model: Path, session: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.h5"
    words = ["--engine", model, "--live", f"replay:{session}", "--speed", "max", "--quiet"]
    code, out, _ = run(*words, "--record", copy, "--subject", "nobody")
    assert code == 0
    assert f"Recorded {copy}" in out
    with open_session(session) as sent, open_session(copy) as kept:
        assert kept.subject_id == "nobody"
        for name, signal_ in sent.signals.items():
            # Recordings hold float32.
            np.testing.assert_allclose(
                kept.signals[name].read(0, 10**9), signal_.read(0, 10**9), rtol=2**-24
            )
    code, _, err = run(*words, "--record", copy)
    assert code == 2
    assert "copy.h5" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--live", "lsx"], "Did you mean lsl"),
        (["--live", "replay:nowhere.h5"], "There is no file nowhere.h5"),
        (["--live", "replay:SESSION", "--speed", "fast"], "--speed is not a speed"),
        (["--live", "replay:SESSION", "--speed", "0"], "runs forwards"),
        (
            ["--live", "replay:SESSION", "--out", "x.parquet"],
            "Expected .csv or .jsonl, got .parquet",
        ),
        (["--live", "replay:SESSION", "--report", "x.html"], "no use for --report"),
        (["--live", "replay:SESSION", "--weights"], "--weights has nowhere to go"),
        (["--live", "replay:SESSION", "--channels", "Fz"], "--channels has no use in a replay"),
        (["--live", "replay:SESSION", "SESSION"], "no use for recordings"),
        (["--live", "replay:SESSION", "--jobs", "2"], "no use for --jobs"),
        (["--live", "replay:SESSION", "--check"], "no use for --check"),
        (["--live", "replay:SESSION", "--stream", "eeg=DSI"], "--stream belongs to --live lsl"),
        (["--live", "lsl", "--stream", "DSI"], "'DSI' is not a name and a value"),
        (["--live", "replay:SESSION", "--token", "x"], "none is served"),
        (["--live", "replay:SESSION", "--serve", "0.0.0.0:8765"], "token"),
        (["--live", "replay:SESSION", "--face", "hog"], "--camera 0 beside them"),
        (["--live", "replay:SESSION", "--camera", "0"], "face.onnx"),
        (["SESSION", "--serve", "8765"], "--serve is for a live run"),
        (["SESSION", "--seconds", "3"], "--seconds is for a live run"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: Run, model: Path, session: Path, words: list[str], said: str
) -> None:
    code, _, err = run(
        "--engine", model, *(word.replace("SESSION", str(session)) for word in words)
    )
    assert code == 2
    assert said in err


def test_sensors_beside_a_camera_are_refused_where_only_the_face_is_read() -> None:
    with pytest.raises(
        InputError, match=r"reads only the face\. Got --live beside --camera\. Leave --live out"
    ):
        _without_video(load_spec("emodict-1").with_modalities(("video",)))


def test_a_token_in_the_environment_is_no_option_of_other_runs(
    run: Run, model: Path, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMODICT_TOKEN", "0123456789abcdef")
    for words in ([str(session)], ["--check"], ["--live", f"replay:{session}", "--speed", "max"]):
        assert run("--engine", model, *words)[0] == 0


def test_a_recording_that_is_there_is_refused_before_a_sensor_is_looked_for(
    run: Run, model: Path, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connected(*_: object, **__: object) -> None:
        raise AssertionError("a sensor was looked for")

    monkeypatch.setattr("emodict.live.open_source.open_source", connected)
    code, _, err = run("--engine", model, "--live", "lsl", "--record", session)
    assert code == 2
    assert "a recording is never overwritten" in err
    with pytest.raises(OutputError, match="a recording is never overwritten"):
        record_session(RecordRequest(SourceOptions(live="lsl"), out=session))


@pytest.mark.parametrize(
    "option", [one for one in fields(LiveOptions) if one.name not in ("live", "camera")]
)
def test_every_option_of_a_live_run_is_refused_without_one(option: Field) -> None:
    other = {None: "x", False: True, "": "x"}.get(option.default, 1.0)
    assert given_options(LiveOptions()) == []
    given = given_options(LiveOptions(**{option.name: other}))
    assert given == [f"--{option.name.replace('_', '-')}"]
    with pytest.raises(InputError, match=f"{given[0]} is for a live run"):
        refuse_live_options(given)


def test_a_live_run_needs_a_model(run: Run, session: Path) -> None:
    code, _, err = run("--live", f"replay:{session}")
    assert code == 2
    assert "--engine model.onnx not given" in err
