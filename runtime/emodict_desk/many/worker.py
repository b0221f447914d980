"""What a worker process does with one recording of many, and what it sends back."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import emodict
from emodict.engine import Engine, open_engine
from emodict.engine.held import holding, model_files, read_content
from emodict.errors import ClusterError, ModelError
from emodict.predict.person import Person
from emodict.predict.scoring import iter_predictions
from emodict.results.prediction import Prediction

# One engine a thread: the engine owns the arrays of its answer,
# and a Dask worker may have several threads.
_kept = threading.local()


@dataclass(frozen=True)
class Work:
    """What every worker is told once: the model, by its path and its content, and how to run it.

    Attributes:
        engine_path: absolute.
        engine_sha256: of each of `model_files`; "" where there is none,
            which open_engine has to say.
        log_level: of the messages that the asking process shows.
        on_cluster: the workers may be other machines, which may see other files.
    """

    engine_path: str
    engine_sha256: tuple[str, ...]
    device: str | None = None
    part: str | None = None
    person: Person | None = None
    invert: tuple[str, ...] = ()
    log_level: int = logging.WARNING
    on_cluster: bool = False


@dataclass(frozen=True)
class Task:
    """One recording: its place in the order,
    its path as the user gave it and absolute, and its size here.
    """

    number: int
    given: str
    path: str
    size_bytes: int | None


@dataclass(frozen=True)
class Note:
    """A message that the library logged."""

    logger: str
    level: int
    text: str


class WorkerError(Exception):
    """Where in the worker an error came from, for EMODICT_DEBUG=1."""


@dataclass(frozen=True)
class Outcome:
    """What became of one recording: its blocks and messages in the order they came,
    and the error that ended it.
    """

    number: int
    events: tuple[Prediction | Note, ...]
    error: Exception | None = None
    trace: str = ""

    def replay(self) -> Iterator[Prediction]:
        """The blocks, messages logged and error raised as if all of it happened here."""
        for event in self.events:
            if isinstance(event, Note):
                logging.getLogger(event.logger).log(event.level, "%s", event.text)
            else:
                yield event
        if self.error is not None:
            raise self.error from WorkerError(self.trace)


def task_of(number: int, path: str | os.PathLike[str]) -> Task:
    """The task to score this file, for a worker whose working directory is another one."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - a shared folder keeps its name: symbolic links stay as they are
    size_bytes = Path(absolute).stat().st_size if Path(absolute).is_file() else None
    return Task(number, str(path), absolute, size_bytes)


def score_task(work: Work, task: Task) -> Outcome:
    """Score one recording; an error comes back as a value,
    for the asking process to raise in its turn.
    """
    events: list[Prediction | Note] = []
    error, trace = None, ""
    with _notes_into(events, work.log_level, task):
        try:
            if work.on_cluster:
                _require_visible(task)
            parts = iter_predictions(
                _engine(work), task.path, part=work.part, person=work.person, invert=work.invert
            )
            events.extend(parts)
        except Exception as caught:
            error, trace = _portable(caught, task), traceback.format_exc()
    return Outcome(task.number, tuple(events), error, trace)


def version() -> str:
    """Of the emodict that a worker runs."""
    return emodict.__version__


def readiness(work: Work) -> Exception | None:
    """What keeps this worker from running the model; None: nothing."""
    try:
        import joblib  # noqa: F401 - Dask's workers unpack what joblib packed

        _open(work).__exit__(None, None, None)
    except Exception as error:
        return error if _survives(error) else RuntimeError(f"{type(error).__name__}: {error}")
    return None


def forget_engines() -> None:
    """Let go of the engines that this worker's threads keep."""
    global _kept
    _kept = threading.local()


def sha256_of_model(path: str) -> tuple[str, ...]:
    """Of the content of each of its `model_files`."""
    return tuple(
        _sha256(read_content(file)) if file.is_file() else "" for file in model_files(Path(path))
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _engine(work: Work) -> Engine:
    """This thread's engine, opened at the first recording and again where
    the file has changed since.
    """
    state = Path(work.engine_path).stat()
    key = (work.engine_path, work.engine_sha256, work.device, state.st_mtime_ns, state.st_size)
    if getattr(_kept, "key", None) != key:
        if hasattr(_kept, "engine"):
            # Only now: another thread's engine may be at work.
            _kept.engine.__exit__(None, None, None)
            del _kept.key, _kept.engine
        _kept.engine = _open(work)
        _kept.key = key
    engine: Engine = _kept.engine
    return engine


def _open(work: Work) -> Engine:
    """The model, from the very bytes that were compared;
    a file that is not there is for open_engine to say.
    """
    contents = {}
    for file, expected in zip(model_files(Path(work.engine_path)), work.engine_sha256, strict=True):
        if file.is_file():
            contents[file] = file.read_bytes()
            if (found := _sha256(contents[file])) != expected:
                raise ModelError(
                    f"{file} is not the model that the run began with",
                    expected=f"SHA-256 {expected[:16]}",
                    got=found[:16],
                    fix="Leave the file alone during a run; "
                    "workers on other machines need the same file",
                )
    with holding(contents):
        return open_engine(work.engine_path, device=work.device)


def _require_visible(task: Task) -> None:
    """A file that the asking process sees must be the same here."""
    path = Path(task.path)
    size_bytes = path.stat().st_size if path.is_file() else None
    if task.size_bytes is None or size_bytes == task.size_bytes:
        return
    from distributed import get_worker

    raise ClusterError(
        f"The Dask worker {get_worker().address} cannot see {task.path}",
        expected=f"a file of {task.size_bytes} bytes",
        got="no file" if size_bytes is None else f"a file of {size_bytes} bytes",
        fix="A Dask cluster needs a shared folder, with the same path on every machine",
    )


@contextlib.contextmanager
def _notes_into(events: list[Prediction | Note], level: int, task: Task) -> Iterator[None]:
    """Collect what this thread logs;
    the other threads of a Dask worker have their own recordings.
    """
    handler, logger, thread = logging.Handler(), logging.getLogger("emodict"), threading.get_ident()

    def keep(record: logging.LogRecord) -> None:
        if record.thread == thread and record.levelno >= level:
            events.append(Note(record.name, record.levelno, _as_given(record.getMessage(), task)))

    handler.emit = keep  # type: ignore[method-assign]
    logger.addHandler(handler)
    # Only where more is to be heard: a level of its own is deaf to what the root is set to later.
    if logger.getEffectiveLevel() > level:
        logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _portable(error: Exception, task: Task) -> Exception:
    """The error in the words of the user's path, and able to travel."""
    if not _survives(error):
        return RuntimeError(_as_given(f"{type(error).__name__}: {error}", task))
    error.args = tuple(
        _as_given(part, task) if isinstance(part, str) else part for part in error.args
    )
    if isinstance(error, OSError) and isinstance(error.filename, str):
        error.filename = _as_given(error.filename, task)
    return error


def _survives(error: Exception) -> bool:
    try:
        return str(pickle.loads(pickle.dumps(error))) == str(error)
    except Exception:
        # An error of somebody else's: any of its parts may refuse, each in its own way.
        return False


def _as_given(text: str, task: Task) -> str:
    return text.replace(task.path, task.given)
