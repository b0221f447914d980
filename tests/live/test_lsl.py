"""Sensors in other processes, on real streams of the Lab Streaming Layer over loopback."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.fixtures import untrained_model

from emodict.engine import open_engine
from emodict.engine.manifest import Manifest
from emodict.errors import InputError, StreamError
from emodict.features.spec import FeatureSpec, ModalitySpec, load_spec
from emodict.live.liblsl import StreamInfo
from emodict.live.row import LIVE, LOST, LiveRow
from emodict.live.run import live_rows
from emodict.live.source import Chunk, Connected, Lost, SensorEvent
from emodict.results.prediction import Prediction

if importlib.util.find_spec("mne_lsl") is None:
    pytest.skip("mne-lsl, which brings liblsl, is not installed", allow_module_level=True)

from emodict.live import lsl
from emodict.live.liblsl import Inlet, Resolver
from emodict.live.lsl import LslSource
from emodict.live.lsl_streams import channels_of
from emodict.live.outlet import LslOutlet

HERE = Path(__file__).parent
SPEC = load_spec("emodict-1")
EEG_NAMES = SPEC.modality("eeg").channel_names
# A process and a stream take a second or two each to start; on busy cores, many times that.
PATIENCE_S = 60.0
# For a row to be worked out, on busy cores.
# The 2 s themselves are held to on a clock of its own in test_pipeline.py.
SLACK_S = 5.0


class Devices:
    """Processes that send streams, and are all gone at the end."""

    def __init__(self, origin_s: float) -> None:
        self.origin_s = origin_s
        self._running: list[subprocess.Popen] = []

    def start(
        self,
        name: str,
        kind: str,
        rate_hz: float,
        *labels: str,
        clock: Path | None = None,
        **more: Any,
    ) -> subprocess.Popen:
        """Of a clock of its own, where that is given: 200 ms off, and drifting by 50 ppm."""
        settings = {
            "name": name,
            "kind": kind,
            "rate_hz": rate_hz,
            "labels": labels or [kind],
            "unit": "",
            "source_id": f"id of {name}",
            "origin_s": self.origin_s,
            "parent": os.getpid(),
            **more,
        }
        process = subprocess.Popen(
            [sys.executable, str(HERE / "lsl_device.py"), json.dumps(settings)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(self._skew(clock) if clock else {})},
        )
        self._running.append(process)
        return process

    def _skew(self, clock: Path) -> dict[str, str]:
        origin = {"SKEW_ORIGIN_S": repr(self.origin_s)}
        return {"LD_PRELOAD": str(clock), "SKEW_OFFSET_S": "0.2", "SKEW_DRIFT": "50e-6", **origin}

    def eeg(self, rate_hz: float = 300.0, **more: Any) -> subprocess.Popen:
        # Not in the spec's order, with one more, and by today's names.
        names = ["T7" if name == "T3" else name for name in reversed(EEG_NAMES)]
        return self.start("headset", "EEG", rate_hz, "Trigger", *names, unit="microvolts", **more)

    def wait(self) -> None:
        """Until every stream is there to be found."""
        for process in self._running:
            process.stdout.readline()

    def stop_all(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture
def devices() -> Iterator[Any]:
    # The steady clock of this machine is LSL's.
    running = Devices(origin_s=time.monotonic())
    yield running
    running.stop_all()


class Ear:
    """Everything that a source has told."""

    def __init__(self, source: LslSource) -> None:
        self.source = source
        self.heard: list[SensorEvent] = []

    def listen(self, until: Callable[[], bool], *, at_most_s: float = PATIENCE_S) -> None:
        end_s = time.monotonic() + at_most_s
        while not until():
            assert time.monotonic() < end_s, [
                type(h).__name__ for h in self.heard if not isinstance(h, Chunk)
            ]
            for event in self.source.poll(0.2):
                self.hear(event)

    def hear(self, event: SensorEvent) -> None:
        self.heard.append(event)

    def of(self, kind: type, modality: str | None = None) -> list:
        found = [event for event in self.heard if isinstance(event, kind)]
        return [
            h
            for h in found
            if modality in (None, h.stream.modality if kind is Connected else h.modality)
        ]

    def seconds(self, modality: str) -> float:
        chunks = self.of(Chunk, modality)
        return (
            sum(len(c.times_s) for c in chunks) / self.of(Connected, modality)[-1].stream.rate_hz
            if chunks
            else 0.0
        )

    def samples(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
        chunks = self.of(Chunk, modality)
        return np.concatenate([c.samples for c in chunks]), np.concatenate(
            [c.times_s for c in chunks]
        )


def spec_of(*modalities: str, **channels: tuple[str, ...]) -> FeatureSpec:
    chosen = tuple(
        dataclasses.replace(m, **_narrowed(m, channels[m.name])) if m.name in channels else m
        for m in SPEC.modalities
        if m.name in modalities
    )
    return dataclasses.replace(SPEC, modalities=chosen)


def _narrowed(modality: ModalitySpec, names: tuple[str, str]) -> dict[str, Any]:
    features = tuple(f"{name}{i}" for name in names for i in range(5))
    return {"channel_names": names, "shape": (5, len(names)), "feature_names": features}


@pytest.fixture(scope="module")
def other_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives a process a steady clock of its own, as if it ran on another machine."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler to build another machine's clock with")
    library = tmp_path_factory.mktemp("clock") / "skewed_clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "skewed_clock.c", "-lm"],
        check=True,
    )
    return library


def test_rows_keep_coming_aligned_and_invalid_only_where_a_device_was_dead(
    devices: Devices, other_clock: Path, tmp_path: Path
) -> None:
    headset = devices.eeg(clock=other_clock)
    wrist = devices.start("wrist", "BVP", 100.0)
    devices.start("palm", "EDA", 4.0, unit="microsiemens")
    # LSL's correction measures a clock that really is off: the one that the headset's process
    # lives on. It has drifted by 50 ppm of what the process took to start, which may be held up
    # between its two looks.
    assert float(headset.stdout.readline()) == pytest.approx(0.2, abs=0.1)
    model = untrained_model(
        tmp_path / "model.onnx", spec_id=SPEC.id, modalities=("eeg", "gsr", "ppg")
    )
    rows: list[LiveRow] = []
    with open_engine(model) as engine, LslSource(engine.manifest.features) as source:
        ear = Ear(source)
        live = live_rows(engine, source, on_event=ear.hear)
        wait_for_row(live, rows, lambda row: all(sensor.valid for sensor in row.sensors))
        wrist.kill()
        killed_s = source.now_s()
        wait_for_row(live, rows, lambda row: state_of(row, "ppg") == LOST)
        assert source.now_s() < killed_s + 2.0 + SLACK_S
        devices.start("wrist", "BVP", 100.0)
        wait_for_row(live, rows, lambda row: valid(row, "ppg") and state_of(row, "ppg") == LIVE)
    check_alignment(ear, devices.origin_s)
    check_validity(ear, rows)
    # 20 ms between two looks at the streams, 4 ms to work a row out, and busy cores. Rows that wait
    # for the next second are 1 s late.
    assert np.median([row.delay_s for row in rows]) < 0.5


def check_alignment(ear: Ear, origin_s: float) -> None:
    """Every sample stands within half a period of its true time, which is its value."""
    for modality, rate_hz in (("eeg", 300.0), ("ppg", 100.0), ("gsr", 4.0)):
        samples, times_s = ear.samples(modality)
        # Channel c, in the model's order, is the sensor's time plus 1000 c,
        # its channels being in reverse.
        lanes = 1000.0 * np.arange(len(EEG_NAMES), 0, -1) if modality == "eeg" else np.zeros(1)
        true_s = samples - lanes + origin_s
        assert np.abs(times_s[:, None] - true_s).max() < 0.5 / rate_hz
        assert (np.diff(times_s) > 0).all()
        steps = np.diff(samples[:, 0]) * rate_hz
        off = np.flatnonzero(np.abs(steps - 1) > 1e-6)
        assert len(off) == (modality == "ppg"), "samples are missing where no stream was dead"
    assert [connected.stream.unit for connected in ear.of(Connected, "gsr")] == ["uS"]
    assert len(ear.of(Connected, "eeg")) == 1
    assert len(ear.of(Connected, "ppg")) == 2


def check_validity(ear: Ear, rows: list[LiveRow]) -> None:
    """A row a second, and no modality invalid but where its window reaches into a
    time without its samples.
    """
    starts_s = [row.prediction.start_s[0] for row in rows]
    assert starts_s == list(range(int(starts_s[0]), int(starts_s[0]) + len(rows)))
    begin_s = ear.of(Connected)[0].time_s
    for modality in ("eeg", "gsr", "ppg"):
        spec = SPEC.modality(modality)
        _, times_s = ear.samples(modality)
        for row, start_s in zip(rows, starts_s, strict=True):
            window = begin_s + start_s + 1 - np.array([spec.window_s + spec.settle_s, 0])
            inside_s = times_s[(times_s >= window[0]) & (times_s < window[1])]
            edges_s = np.concatenate([[window[0]], inside_s, [window[1]]])
            longest = np.diff(edges_s).max() * spec.rate_hz
            # A stream is taken up with the next second.
            joined_s = max(
                (c.time_s for c in ear.of(Connected, modality) if c.time_s < window[1]),
                default=np.inf,
            )
            since_s = begin_s + np.ceil(joined_s - begin_s)
            # On the edge of a period either is right.
            if longest < 1.4 and window[0] >= since_s - 1e-6:
                assert valid(row, modality), (modality, start_s)
            if longest > 2.1:
                assert not valid(row, modality), (modality, start_s)


def wait_for_row(
    live: Iterator[LiveRow], rows: list[LiveRow], wanted: Callable[[LiveRow], bool]
) -> None:
    end_s = time.monotonic() + PATIENCE_S
    for row in live:
        rows.append(row)
        if wanted(row):
            return
        assert time.monotonic() < end_s, [row.sensors for row in rows[-3:]]


def state_of(row: LiveRow, modality: str) -> str:
    return next(sensor.state for sensor in row.sensors if sensor.modality == modality)


def valid(row: LiveRow, modality: str) -> bool:
    return next(sensor.valid for sensor in row.sensors if sensor.modality == modality)


def test_a_stream_that_comes_late_and_back_at_another_rate_and_in_bursts_is_taken_as_it_is(
    devices: Devices,
) -> None:
    with LslSource(spec_of("ppg", "gsr")) as source:
        ear = Ear(source)
        assert list(source.poll(0.3)) == []
        first = devices.start("my PPG", "", 64.0)
        ear.listen(lambda: ear.seconds("ppg") > 1)
        first.kill()
        ear.listen(lambda: bool(ear.of(Lost)))
        devices.start("other wrist", "ppg", 100.0, "green", "PPG_2", "ADC_Sequence", burst=20)
        ear.listen(lambda: len(ear.of(Connected)) == 2 and ear.seconds("ppg") > 2)
    assert [c.stream.rate_hz for c in ear.of(Connected)] == [64.0, 100.0]
    samples, times_s = ear.samples("ppg")
    again = samples[:, 0] > 1000
    assert again.any()
    assert np.abs(samples[~again, 0] + devices.origin_s - times_s[~again]).max() < 0.5 / 64
    assert np.abs(samples[again, 0] - 1000 + devices.origin_s - times_s[again]).max() < 0.5 / 100


def test_a_device_that_freezes_is_lost_and_found_again(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lsl, "SILENT_S", 0.3)
    # A stream that is there answers within a few milliseconds, and is asked every half second.
    monkeypatch.setattr(lsl, "UNANSWERED_S", 1.2)
    wrist = devices.start("wrist", "PPG", 100.0)
    with LslSource(spec_of("ppg")) as source:
        ear = Ear(source)
        ear.listen(lambda: ear.seconds("ppg") > 0.5)
        wrist.send_signal(signal.SIGSTOP)
        try:
            ear.listen(lambda: bool(ear.of(Lost)))
        finally:
            wrist.send_signal(signal.SIGCONT)
        ear.listen(lambda: len(ear.of(Connected)) == 2)
        before = len(ear.of(Chunk))
        ear.listen(lambda: len(ear.of(Chunk)) > before + 20)
    samples, times_s = ear.samples("ppg")
    assert np.abs(samples[-20:, 0] + devices.origin_s - times_s[-20:]).max() < 1 / 100


def test_what_cannot_be_told_apart_or_lacks_channels_is_refused_in_a_sentence(
    devices: Devices,
) -> None:
    devices.start("left", "GSR", 4.0)
    devices.start("right", "EDA", 8.0)
    devices.start("band", "EEG", 256.0, "AF7", "AF8", "TP9", "TP10")
    devices.wait()
    with (
        LslSource(spec_of("gsr")) as source,
        pytest.raises(StreamError, match=r"--stream gsr=NAME") as refusal,
    ):
        Ear(source).listen(lambda: False)
    assert "'left' (type GSR" in str(refusal.value)
    assert "'right' (type EDA" in str(refusal.value)
    with (
        LslSource(SPEC, names={"gsr": "right"}) as source,
        pytest.raises(StreamError, match="lacks channels P3, C3"),
    ):
        Ear(source).listen(lambda: False)
    headband = spec_of("eeg", "gsr", eeg=("TP10", "AF7"))
    with LslSource(headband, names={"gsr": "RIGHT"}) as source:
        ear = Ear(source)
        ear.listen(lambda: ear.seconds("gsr") > 0.5 and ear.seconds("eeg") > 0.5)
    assert ear.of(Connected, "gsr")[0].stream.rate_hz == 8.0
    assert ear.of(Connected, "eeg")[0].stream.channel_names == ("TP10", "AF7")
    np.testing.assert_array_equal(np.unique(ear.samples("eeg")[0] // 1000, axis=0), [[3, 0]])


def test_a_model_that_reads_only_the_face_is_told_to_use_a_camera_before_streams_are_sought() -> (
    None
):
    with pytest.raises(InputError, match=r"reads only the face.*--camera 0"):
        LslSource(spec_of("video"))


def test_other_programs_read_the_distribution_as_a_stream(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    distributions = rng.dirichlet(np.ones(10), size=3)
    distributions[1] = np.nan
    model = untrained_model(tmp_path / "model.onnx", spec_id=SPEC.id, modalities=("gsr", "ppg"))
    with open_engine(model) as engine:
        manifest = engine.manifest
    with LslOutlet() as outlet:
        outlet.begin(manifest, "LSL")
        outlet.row(row_of(manifest, np.full(10, 0.1), delay_s=0.0))
        with Resolver() as resolver:
            found = first_stream(resolver)
            inlet = Inlet(found, timeout_s=PATIENCE_S)
            inlet.open(timeout_s=PATIENCE_S)
        ready_s = []
        for distribution in distributions:
            before_s = time.monotonic()
            outlet.row(row_of(manifest, distribution, delay_s=0.03))
            ready_s.append((before_s, time.monotonic()))
        pulled = []
        end_s = time.monotonic() + PATIENCE_S
        # The first row may have been sent before the inlet was open, or after.
        while not any(np.array_equal(values[-1:], distributions[-1:]) for values, _ in pulled):
            assert time.monotonic() < end_s
            pulled.append(inlet.pull())
            time.sleep(0.02)
        description = inlet.info.xml()
        inlet.close()
    assert (found.name, found.kind, found.rate_hz) == ("emodict", "Emotion", 1.0)
    assert [channel.label for channel in channels_of(description, 10)] == list(
        manifest.model.emotions
    )
    assert f"<model_sha256>{manifest.graph_sha256}</model_sha256>" in description
    assert "<simulated>true</simulated>" in description
    np.testing.assert_array_equal(
        np.concatenate([values for values, _ in pulled])[-3:], distributions
    )
    stamps_s = np.concatenate([stamps for _, stamps in pulled])[-3:]
    # Of the end of the second: 30 ms before the row was ready.
    # Two clocks are read one after the other.
    earliest_s, latest_s = np.transpose(ready_s) - 0.03
    assert np.all((stamps_s >= earliest_s - 1e-3) & (stamps_s <= latest_s + 1e-3))


def first_stream(resolver: Resolver) -> StreamInfo:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        for stream in resolver.results():
            return stream
        time.sleep(0.05)
    raise AssertionError("the stream is not found")


def row_of(manifest: Manifest, distribution: np.ndarray, *, delay_s: float) -> LiveRow:
    prediction = Prediction(
        session="live",
        emotions=manifest.model.emotions,
        modalities=manifest.features.modality_names,
        start_s=np.zeros(1),
        distribution=distribution[None],
        weights=np.zeros((1, 4)),
        valid=np.ones((1, 2), dtype=bool),
        quality=np.ones((1, 2)),
        simulated=True,
    )
    return LiveRow(prediction, sensors=(), unix_s=time.time(), delay_s=delay_s)


def test_the_library_keeps_off_the_terminal_and_leaves_the_users_settings_alone(
    tmp_path: Path,
) -> None:
    given = tmp_path / "lsl_api.cfg"
    given.write_text("[multicast]\nResolveScope = machine\n[lab]\nSessionID = mine")
    script = """
import os
from emodict.live.liblsl import Outlet, library, local_clock_s
library()
with Outlet(name="a", kind="b", source_id="c", labels=["x"], rate_hz=1.0): pass
assert os.environ["LSLAPICFG"] == os.sys.argv[1]
import sys
assert not {"mne", "mne_lsl", "scipy"} & set(sys.modules)
"""
    command = [sys.executable, "-c", script, str(given)]
    ended = subprocess.run(
        command, env={**os.environ, "LSLAPICFG": str(given)}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_library_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    script = "from emodict.live.liblsl import library; library()"
    wrong = tmp_path / "liblsl.so"
    wrong.write_text("no library")
    command = [sys.executable, "-c", script]
    ended = subprocess.run(
        command, env={**os.environ, "MNE_LSL_LIB": str(wrong)}, capture_output=True, text=True
    )
    assert "StreamError: The library of the Lab Streaming Layer cannot be used" in ended.stderr
