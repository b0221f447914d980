"""run_live: an engine fed by sensors, its rows told to listeners once a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from emodict.engine import Engine
from emodict.errors import RecordingError
from emodict.features.windows import FeatureWindows
from emodict.live.pipeline import PATIENCE_S, LivePipeline
from emodict.live.row import Listener, LiveRow, SensorState
from emodict.live.source import LiveSource, SensorEvent
from emodict.predict.person import Adaptation
from emodict.predict.scoring import score

# Nothing can be due before a sensor has been found: look whether the run is to end this often.
LONGEST_WAIT_S = 0.5
# Ends of seconds are sums, which are rounded.
_ROUNDING_S = 1e-6
OnEvent = Callable[[SensorEvent], object]


def run_live(
    engine: Engine,
    source: LiveSource,
    listeners: Sequence[Listener],
    *,
    adaptation: Adaptation | None = None,
    invert: Collection[str] = (),
    on_event: OnEvent = lambda event: None,
    seconds: float | None = None,
) -> int:
    """Run until the source is finished, the rows of `seconds` are out, or Ctrl-C;
    returns the number of rows.

    The source and the listeners are entered and left by the caller. `invert` names the signals
    that are turned upside down. `on_event` hears everything the source tells, before it is
    used or turned: a recorder.
    """
    count = 0
    for listener in listeners:
        listener.begin(engine.manifest, source.name)
    rows = live_rows(
        engine, source, adaptation=adaptation, invert=invert, on_event=on_event, seconds=seconds
    )
    for row in rows:
        for listener in listeners:
            listener.row(row)
        count += 1
    return count


def live_rows(
    engine: Engine,
    source: LiveSource,
    *,
    adaptation: Adaptation | None = None,
    invert: Collection[str] = (),
    on_event: OnEvent = lambda event: None,
    seconds: float | None = None,
) -> Iterator[LiveRow]:
    """The rows of a live run, each as soon as it is known;
    those that end in the first `seconds`, if that is given.

    Raises:
        RecordingError: the source or the time ended without one of the model's
            modalities ever appearing.
    """
    unmixing = None if adaptation is None else adaptation.unmixing
    pipeline = LivePipeline(engine.manifest.features, unmixing=unmixing, invert=invert)
    end_s = math.inf if seconds is None else source.now_s() + seconds + _ROUNDING_S
    for row in _all_rows(engine, source, pipeline, adaptation, on_event, end_s):
        ends_s = pipeline.end_s(float(row.prediction.start_s[0]))
        if ends_s <= end_s:
            yield row
        if ends_s + 1.0 > end_s:
            return
    if pipeline.start_s is None:
        wanted = ", ".join(engine.manifest.features.modality_names)
        raise RecordingError(
            f"{source.name} has none of the signals this model reads", expected=wanted, got="none"
        )


def _all_rows(
    engine: Engine,
    source: LiveSource,
    pipeline: LivePipeline,
    adaptation: Adaptation | None,
    on_event: OnEvent,
    end_s: float,
) -> Iterator[LiveRow]:
    """The rows until the source is finished,
    or no row of what was before `end_s` waits any more.
    """
    # The wall clock is read once: it may be set while we run, the source's clock is not.
    unix_offset_s = time.time() - source.now_s()
    while not source.finished and source.now_s() < end_s + PATIENCE_S:
        for event in source.poll(pipeline.wait_s(source.now_s(), LONGEST_WAIT_S)):
            on_event(event)
            pipeline.push(event)
        pipeline.flush(source.now_s())
        yield from _rows(engine, source, pipeline, adaptation, unix_offset_s)
    pipeline.finish()
    yield from _rows(engine, source, pipeline, adaptation, unix_offset_s)


def _rows(
    engine: Engine,
    source: LiveSource,
    pipeline: LivePipeline,
    adaptation: Adaptation | None,
    unix_offset_s: float,
) -> Iterator[LiveRow]:
    windows = pipeline.take()
    if windows is None:
        return
    prediction = score(
        engine, windows, session=source.session, simulated=source.simulated, adaptation=adaptation,
        doubts=pipeline.doubts(), unusable=pipeline.absent,
    )  # fmt: skip
    assert pipeline.start_s is not None
    ready_s = source.now_s()
    for i in range(len(prediction)):
        one = prediction.slice(slice(i, i + 1))
        second = float(one.start_s[0])
        yield LiveRow(
            prediction=one,
            sensors=_sensors(pipeline, windows, i),
            unix_s=pipeline.start_s + second + unix_offset_s,
            delay_s=ready_s - pipeline.end_s(second),
        )


def _sensors(pipeline: LivePipeline, windows: FeatureWindows, row: int) -> tuple[SensorState, ...]:
    sensors = []
    for column, name in enumerate(windows.spec.modality_names):
        state, stream, late = pipeline.state(name)
        sensors.append(
            SensorState(
                modality=name,
                state=state,
                device="" if stream is None else stream.device,
                rate_hz=0.0 if stream is None else stream.rate_hz,
                valid=bool(windows.valid[row, column]),
                quality=float(windows.quality[row, column]),
                late_samples=late,
            )
        )
    return tuple(sensors)
