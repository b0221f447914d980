"""What every command shares: how it is started, how it ends, how it shows progress."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emodict.errors import EmodictError, MissingDependencyError

if TYPE_CHECKING:
    import typer

# A log gets a line this often; a terminal's bar moves as often as it is told to.
LOG_EVERY_S = 5.0
BAR_WIDTH = 24
# Which of emodict's extras brings a package that a command may find missing.
EXTRAS = {"torch": "train", "scipy": "train", "neurokit2": "train", "onnx": "export", "onnxruntime": "onnx"}


def new_app(help_text: str, **options: Any) -> typer.Typer:
    """A typer app with plain, quick help (rich costs a tenth of a second at every start)."""
    import typer

    return typer.Typer(
        help=help_text,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


def run_app(build: Callable[[], Any], name: str) -> None:
    """Run a command to its exit code: 0 done, 1 our failure, 2 the user's input; never a traceback.

    EMODICT_DEBUG=1 shows the traceback of a failure of ours.
    """
    try:
        build()(prog_name=name)
    except EmodictError as error:
        _quit(f"{name}: {error}", error.exit_code)
    except KeyboardInterrupt:
        _quit(f"{name}: stopped", 130)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: nothing is wrong, but nobody is listening.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in EXTRAS:
            raise
        _quit(f"{name}: {MissingDependencyError(missing, extra=EXTRAS[missing], purpose=f'{name}')}", 2)
    except MemoryError:
        _quit(f"{name}: out of memory. Close other programs, or work on a shorter recording.", 1)
    except Exception as error:
        if os.environ.get("EMODICT_DEBUG"):
            raise
        _quit(
            f"{name}: a fault in emodict itself: {type(error).__name__}: {error}. "
            "Please report it, with what EMODICT_DEBUG=1 prints.",
            1,
        )


def log_to_stderr() -> None:
    """Let the library's messages (resampled, going on from ...) reach the person at the terminal."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


class Progress:
    """Progress of long work on stderr: a bar with the time left on a terminal, plain lines in a log."""

    def __init__(self, title: str, total: float, *, unit: str = "") -> None:
        self._title, self._total, self._unit = title, max(total, 1e-9), unit
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._complete = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self, done: float, note: str = "", *, total: float | None = None) -> None:
        """Say that `done` of the total is done; in a log, at most a line every few seconds."""
        if total is not None and total != self._total:
            self._total, self._started, self._complete = max(total, 1e-9), time.monotonic(), False
        now = time.monotonic()
        complete = done >= self._total
        if self._complete or (now - self._shown < (0.1 if self._terminal else LOG_EVERY_S) and not complete):
            return
        self._complete = complete
        self._shown = now
        share = min(1.0, done / self._total)
        left = (now - self._started) * (1 - share) / share if share > 0 else float("nan")
        line = f"{self._title} {done:.0f}/{self._total:.0f}{self._unit}, {_duration(left)} left"
        if note:
            line += f", {note}"
        if self._terminal:
            filled = round(share * BAR_WIDTH)
            bar = "█" * filled + "░" * (BAR_WIDTH - filled)
            sys.stderr.write(f"\r\x1b[K{bar} {line}")
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def split_names(text: str | None) -> list[str]:
    """`ppg,gsr` -> ["ppg", "gsr"]; nothing given -> []."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _duration(seconds: float) -> str:
    if seconds != seconds:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _quit(message: str, code: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(code)
