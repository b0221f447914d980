"""BrainFlowSource: a BrainFlow board as a live source,
connected again by itself when it drops out.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import InputError
from emodict.features.spec import FeatureSpec
from emodict.live.clock import counts_samples
from emodict.live.source import FIRST_WAIT_S, Chunk, Connected, Ended, Lost, SensorEvent
from emodict.live.stamps import SampleClock
from emodict_desk.boards import Board, Preset, find_board, import_brainflow, in_words, require_port

logger = logging.getLogger(__name__)

READ_EVERY_S = 0.02
# A board that gives nothing at all for so long is gone;
# the rows know after a second or two that nothing comes.
LOST_S = 3.0
# How long to wait before it is looked for again; longer each time,
# since looking for it may disturb others.
RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0)
# By so many of a board's first samples, which take a moment,
# we see whether its counter counts them.
FIRST_S = 0.5
# A stamp this far from when it was read is not of this machine's clock.
_STAMP_S = 10.0
# A board that is being looked for (Bluetooth: seconds) is waited for so long at the end.
_STOP_S = 5.0


class BrainFlowSource:
    """A LiveSource that reads a board of BrainFlow; its clock is this machine's monotonic one.

    Args:
        board: its name or number in BrainFlow: MUSE_2_BOARD, MUSE_2, 38.
        spec: whose modalities are wanted.
        params: of BrainFlowInputParams, such as serial_port; and `channels`,
            the places of the electrodes.
        wait_s: how long the board is looked for at first.

    Raises:
        InputError: no such board or parameter, or it measures nothing that is wanted.
        MissingDependencyError: brainflow is not installed.
    """

    def __init__(
        self,
        board: str,
        spec: FeatureSpec,
        *,
        params: Mapping[str, str] | None = None,
        wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._board, self._wait_s = find_board(board, spec.modality_names, params or {}), wait_s
        require_port(self._board)
        self.name = f"BrainFlow {self._board.name}"
        self.session = "live"
        self.simulated = self._board.simulated
        self._events: queue.SimpleQueue[SensorEvent] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._tried, self._stopping, self._ended = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self._thread = threading.Thread(target=self._run, name="emodict-brainflow", daemon=True)

    def now_s(self) -> float:
        """Seconds of this machine's monotonic clock."""
        return time.monotonic()

    @property
    def finished(self) -> bool:
        return self._ended.is_set() and self._events.empty()

    def poll(self, timeout_s: float) -> Sequence[SensorEvent]:
        """What happened since the last call."""
        found: list[SensorEvent] = []
        wait_s = max(0.0, timeout_s)
        while True:
            try:
                found.append(
                    self._events.get(timeout=wait_s) if wait_s else self._events.get_nowait()
                )
            except queue.Empty:
                break
            wait_s = 0.0
        if self._error is not None and not found:
            raise self._error
        return found

    def __enter__(self) -> BrainFlowSource:
        for note in self._board.notes:
            logger.info("%s: %s", self.name, note)
        self._thread.start()
        self._tried.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        """The reading thread: looks for the board, reads it while it lasts, looks for it again."""
        try:
            shim = import_brainflow()
            retries, said, seen, began_s = 0, "", False, time.monotonic()
            while not self._stopping.is_set() and not self._ended.is_set():
                session = _Session(shim, self._board, self._events.put)
                problem = session.read_while_it_lasts(self._stopping, self._tried)
                if session.ended:
                    self._ended.set()
                retries, seen = (0, True) if session.gave_samples else (retries, seen)
                if problem and not seen and time.monotonic() - began_s >= self._wait_s:
                    raise self._not_found(problem)
                if problem and problem != said:
                    logger.warning("%s: %s; it is looked for again and again", self.name, problem)
                said = problem
                self._tried.set()
                pause_s = RETRY_S[min(retries, len(RETRY_S) - 1)]
                left_s = math.inf if seen else max(0.0, began_s + self._wait_s - time.monotonic())
                if not self._ended.is_set():
                    self._stopping.wait(min(pause_s, left_s))
                retries += 1
        except BaseException as error:
            self._error = error
        finally:
            self._tried.set()

    def _not_found(self, problem: str) -> InputError:
        params = ", ".join(f"{name}={value}" for name, value in self._board.params.items())
        return InputError(
            f"{self.name} was looked for {self._wait_s:g} s: {problem}",
            expected=f"the board{f' at {params}' if params else ''}, switched on and in reach",
            fix="Check --board; --wait SECONDS looks for longer",
        )


class _Session:
    """The board from one connection to its loss."""

    def __init__(self, shim: ModuleType, board: Board, tell: Callable[[SensorEvent], None]) -> None:
        self._shim, self._board, self._tell = shim, board, tell
        self._streams = [_PresetStream(preset) for preset in board.presets]

    @property
    def gave_samples(self) -> bool:
        return any(stream.rows for stream in self._streams)

    @property
    def ended(self) -> bool:
        """The file that is played is through."""
        return all(stream.rows >= stream.rows_in_file for stream in self._streams)

    def read_while_it_lasts(self, stopping: threading.Event, tried: threading.Event) -> str:
        """Read until the board is lost; why it was, "" if it was not.

        Raises:
            InputError: the board refuses its parameters.
        """
        params = self._shim.BrainFlowInputParams()
        for name, value in self._board.params.items():
            setattr(params, name, value)
        shim_board = self._shim.BoardShim(self._board.number, params)
        problem = ""
        try:
            try:
                shim_board.prepare_session()
                shim_board.start_stream()
                tried.set()
                problem = self._read(shim_board, stopping)
            except self._shim.BrainFlowError as error:
                problem = self._in_words(error)
            for stream in self._streams:
                for event in stream.close(time.monotonic(), problem):
                    self._tell(event)
        finally:
            # After the loss is told: some boards take seconds to be released.
            self._release(shim_board)
        return problem

    def _read(self, shim_board: Any, stopping: threading.Event) -> str:
        heard_s = time.monotonic()
        while not stopping.wait(READ_EVERY_S):
            for stream in self._streams:
                rows = shim_board.get_board_data(preset=stream.preset.number).T
                now_s = time.monotonic()
                if not len(rows):
                    continue
                heard_s = now_s
                for event in stream.take(rows, now_s):
                    self._tell(event)
            if self.ended:
                return ""
            if time.monotonic() - heard_s > LOST_S and not self._plays:
                return f"no samples for {LOST_S:g} s"
        return ""

    @property
    def _plays(self) -> bool:
        """A file is played, in which silence is a gap and not a loss."""
        return any(stream.preset.playback for stream in self._streams)

    def _in_words(self, error: Any) -> str:
        """BrainFlow's error as part of a sentence.

        Raises:
            InputError: the parameters are wrong, which no waiting will change.
        """
        code = str(error).partition(":")[0]
        if error.exit_code == self._shim.BrainFlowExitCodes.INVALID_ARGUMENTS_ERROR.value:
            raise InputError(
                f"BrainFlow cannot use the board {self._board.name} with these parameters",
                expected="what its list of supported boards names for it, "
                "such as serial_port or mac_address",
                got=", ".join(f"{name}={value}" for name, value in self._board.params.items())
                or "none",
            ) from None
        return in_words(code)

    def _release(self, shim_board: Any) -> None:
        try:
            shim_board.release_session()
        except self._shim.BrainFlowError:
            # It was never there, or is gone; there is nothing left to release.
            logger.debug("%s could not be released", self._board.name)


class _PresetStream:
    """Rows of one preset -> what happens to its modalities."""

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        self.rows = 0
        self.rows_in_file = (
            math.inf if preset.playback is None else _count_rows(preset.playback, preset.rows)
        )
        self._first: list[NDArray[np.float64]] = []
        self._first_stamps_s: list[NDArray[np.float64]] = []
        self._clock: SampleClock | None = None

    def take(self, rows: NDArray[np.float64], now_s: float) -> list[SensorEvent]:
        """(samples, columns) that have just been read."""
        self.rows += len(rows)
        stamps_s = self._stamps(rows, now_s)
        if self._clock is not None:
            return self._chunks(self._clock, rows, stamps_s, now_s)
        self._first.append(rows)
        self._first_stamps_s.append(stamps_s)
        if self.rows < FIRST_S * self.preset.rate_hz and self.rows < self.rows_in_file:
            return []
        return self._begin(now_s)

    def close(self, now_s: float, reason: str) -> list[SensorEvent]:
        """The end of this connection."""
        if self._clock is None:
            return []
        if self.rows >= self.rows_in_file:
            return [Ended(column.stream.modality) for column in self.preset.modalities]
        return [Lost(column.stream.modality, now_s, reason) for column in self.preset.modalities]

    def _begin(self, now_s: float) -> list[SensorEvent]:
        rows, stamps_s = np.concatenate(self._first), np.concatenate(self._first_stamps_s)
        counts = self.preset.counter is not None and counts_samples(rows[:, self.preset.counter])
        modalities = ", ".join(column.stream.modality for column in self.preset.modalities)
        counter = self.preset.counter if counts else None
        self._clock = SampleClock(self.preset.rate_hz, counter=counter, of=modalities)
        self._first, self._first_stamps_s = [], []
        chunks = self._chunks(self._clock, rows, stamps_s, now_s)
        start_s = min(
            (float(one.times_s[0]) for one in chunks if isinstance(one, Chunk)),
            default=float(stamps_s[0]),
        )
        return [*(Connected(column.stream, start_s) for column in self.preset.modalities), *chunks]

    def _chunks(
        self,
        clock: SampleClock,
        rows: NDArray[np.float64],
        stamps_s: NDArray[np.float64],
        now_s: float,
    ) -> list[SensorEvent]:
        announced_hz = clock.rate_hz
        rows, times_s = clock.place(rows, stamps_s, now_s)
        if not len(times_s):
            return []
        events: list[SensorEvent] = []
        for column in self.preset.modalities:
            if clock.rate_hz != announced_hz:
                stream = replace(column.stream, rate_hz=clock.rate_hz, measured=True)
                events.append(Connected(stream, float(times_s[0])))
            events.append(Chunk(column.stream.modality, rows[:, list(column.columns)], times_s))
        return events

    def _stamps(self, rows: NDArray[np.float64], now_s: float) -> NDArray[np.float64]:
        """(samples,) when BrainFlow received each, on our clock; when it was read,
        for a board that says nonsense.
        """
        if self.preset.stamps is None:
            return np.full(len(rows), now_s)
        stamps_s = rows[:, self.preset.stamps] + (now_s - time.time())
        sane = np.isfinite(stamps_s) & (stamps_s <= now_s) & (stamps_s > now_s - _STAMP_S)
        return stamps_s if sane.all() else np.full(len(rows), now_s)


def _count_rows(path: Path, columns: int) -> int:
    """How many rows BrainFlow will play: it passes over lines of another length."""
    with path.open() as handle:
        lines = (line.rstrip("\n") for line in handle)
        return sum(len(line.split("\t" if "\t" in line else ",")) == columns for line in lines)
