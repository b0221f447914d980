"""What every command shares: how it is started, how it ends, how it shows progress."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from emodict.errors import EmodictError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from pathlib import Path

    import typer

# A log gets a line this often; a terminal's bar moves as often as it is told to.
LOG_EVERY_S = 5.0
BAR_WIDTH = 24
# What the system refuses for reasons that lie with the user's files and disk.
USERS_ERRNOS = {
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EFBIG,
    errno.ENAMETOOLONG,
}
# Which of emodict's extras brings a package that a command may find missing.
EXTRAS = {
    "torch": "train",
    "scipy": "train",
    "neurokit2": "train",
    "onnx": "export",
    "onnxruntime": "onnx",
}

_LACK_OF_MEMORY = "out of memory. Close other programs, or work on a shorter recording."
_LACK_OF_GPU_MEMORY = (
    "the GPU is out of memory. End what else uses it (nvidia-smi lists that), "
    "or work on the CPU: --device cpu."
)
_WORDS_FOR_NO_MEMORY = (
    "failed to map segment",
    "annot allocate memory",
    "an't allocate memory",
    "out of memory",
    "bad_alloc",
    "Failed to allocate memory",
)


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

    EMODICT_DEBUG=1 shows the traceback of a failure of emodict's.
    """
    _open_standard_streams()
    try:
        # A terminal that cannot show a sign gets a question mark, not a crash.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        _require_working_folder()
        from emodict.cli.command import complete_command

        outcome = complete_command(build(), name).main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:
        if os.environ.get("EMODICT_DEBUG") and not isinstance(error, SystemExit | EmodictError):
            raise
        _quit(*_ending(error, name))
    # typer makes 130 of Ctrl-C, and says nothing.
    _quit(f"{name}: stopped" if outcome == 130 else "", outcome if isinstance(outcome, int) else 0)


def _open_standard_streams() -> None:
    """Put /dev/null where the caller has closed a standard stream.

    Python has none then, and the next file opened takes its number:
    what a C library prints would go into a result.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        # Workers that are started have the same need of it.
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode))


def _require_working_folder() -> None:
    """Libraries end a process that has none, without a word of emodict's.

    Raises:
        InputError: it was deleted.
    """
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise InputError(
            f"The folder in which the command was started cannot be used: {error.strerror}",
            fix="cd to one that exists",
        ) from error


def _ending(error: BaseException, name: str) -> tuple[str, int]:
    """What is said, and with which exit code, when a command ends by an exception."""
    if isinstance(error, EmodictError):
        return f"{name}: {error}", error.exit_code
    # The reader of our output (head, less) has gone: nothing is wrong,
    # but nobody is listening. typer turns it into 1.
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        _drop_standard_output()
        return "", 0
    if isinstance(error, SystemExit):
        return "", error.code if isinstance(error.code, int) else 1
    # Within a library's import Ctrl-C may become an error of the library's.
    interrupted = isinstance(error, KeyboardInterrupt) or isinstance(
        error.__context__, KeyboardInterrupt
    )
    # typer's and click's own, told by name: which package brings them depends on typer's version.
    if interrupted or type(error).__name__ == "Abort":
        return f"{name}: stopped", 130
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        error.show()
        from emodict.cli.command import hint_at

        return hint_at(error) if isinstance(error, Exception) else "", int(error.exit_code)
    return _failure(error, name)


def _failure(error: BaseException, name: str) -> tuple[str, int]:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRAS:
        missing = str(error.name).split(".")[0]
        return f"{name}: {MissingDependencyError(missing, extra=EXTRAS[missing], purpose=name)}", 2
    if isinstance(error, OSError) and error.errno in USERS_ERRNOS:
        where = f" '{error.filename}'" if error.filename else ""
        return (
            f"{name}: {os.strerror(error.errno)}{where}. Check the path, "
            f"the permissions and the disk.",
            2,
        )
    if _is_lack_of_memory(error):
        return f"{name}: {_LACK_OF_GPU_MEMORY if 'CUDA' in str(error) else _LACK_OF_MEMORY}", 1
    return (
        f"{name}: a fault in emodict itself: {type(error).__name__}: {error}. "
        "Please report it, with what EMODICT_DEBUG=1 prints.",
        1,
    )


def _is_lack_of_memory(error: BaseException) -> bool:
    """Python says so by a class; the dynamic linker, torch and ONNX Runtime in words alone."""
    if isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno == errno.ENOMEM
    ):
        return True
    return isinstance(error, ImportError | RuntimeError) and any(
        words in str(error) for words in _WORDS_FOR_NO_MEMORY
    )


def log_to_stderr() -> None:
    """Let the library's messages (resampled, going on from ...)
    reach the person at the terminal.
    """
    import logging
    import warnings

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # A library's warning is one sentence: where in its source it was raised helps nobody here.
    warnings.showwarning = lambda message, *_: logging.getLogger(__name__).warning("%s", message)


class Progress:
    """Progress of long work on stderr:
    a bar with the time left on a terminal, plain lines in a log.
    """

    def __init__(self, title: str, total: float, *, unit: str = "") -> None:
        self._title, self._total, self._unit = title, max(total, 1e-9), unit
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._complete = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def wipe(self) -> None:
        """Take the bar off the terminal, so that other lines can be printed;
        the next `show` draws it again.
        """
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self, done: float, note: str = "", *, total: float | None = None) -> None:
        """Say that `done` of the total is done; in a log, at most a line every few seconds."""
        if total is not None and total != self._total:
            self._total, self._started, self._complete = max(total, 1e-9), time.monotonic(), False
        now = time.monotonic()
        complete = done >= self._total
        if self._complete or (
            now - self._shown < (0.1 if self._terminal else LOG_EVERY_S) and not complete
        ):
            return
        self._complete = complete
        self._shown = now
        share = min(1.0, done / self._total)
        left = (now - self._started) * (1 - share) / share if share > 0 else float("nan")
        line = f"{self._title} {done:.0f}/{self._total:.0f}{self._unit}, {duration(left)} left"
        self.draw(share, f"{line}, {note}" if note else line)

    def draw(self, share: float, line: str) -> None:
        """A line now: behind a bar on a terminal."""
        if self._terminal:
            filled = round(share * BAR_WIDTH)
            bar = "█" * filled + "░" * (BAR_WIDTH - filled)
            # A line that wraps could not be wiped again.
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(
                f"\r\x1b[K{f'{bar} {line}' if len(line) + BAR_WIDTH < width else line}"[: width + 4]
            )
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def show_file(self, path: Path, done: int, total: int) -> None:
        """Say that `done` of `total` files are done, and which was the last."""
        self.show(done, path.name, total=total)


class OutlivesItsReader:
    """Standard output that may lose its reader (head, less) and says nothing:
    files are still to be written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            _drop_standard_output()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            _drop_standard_output()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _drop_standard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def plain_output() -> bool:
    """Is standard output unable to show bars of blocks?"""
    try:
        "▁×".encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return True
    return False


def split_names(text: str | None) -> list[str]:
    """`ppg,gsr` -> ["ppg", "gsr"]; nothing given -> []."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def split_modalities(text: str | None) -> list[str]:
    """The same for modalities, by whatever name: `EDA,Face` -> ["gsr", "video"]."""
    from emodict.recording.modalities import modality_name

    return [modality_name(word) for word in split_names(text)]


def duration(seconds: float) -> str:
    """In minutes and seconds, `?` for NaN."""
    if seconds != seconds:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _quit(message: str, code: int) -> NoReturn:
    if message:
        print(message, file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        # A full disk behind standard output: said above,
        # and Python would say it again on its way out.
        _drop_standard_output()
    sys.exit(code)
