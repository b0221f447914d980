"""Entry points of the commands: Ctrl-C while they are imported ends them with one line."""

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

# Where each command is: by name, for emodict imports none of the packages that stand on it.
COMMANDS = {
    "emodict-run": "emodict.cli.run",
    "emodict-session": "emodict_desk.cli.session",
    "emodict-train": "emodict_train.cli",
    "emodict-export": "emodict_export.cli",
    "emodict-calibrate": "emodict_calibration.cli",
}


def _start(name: str) -> None:
    with importing(name):
        main = importlib.import_module(COMMANDS[name]).main
    sys.unraisablehook = partial(_send_again, sys.unraisablehook)
    main()


def _send_again(otherwise: Callable[[Any], object], told: Any) -> None:
    """Ctrl-C within a finaliser, where Python can only print it, comes again a moment later."""
    if not isinstance(told.exc_value, KeyboardInterrupt):
        otherwise(told)
    elif main := threading.main_thread().ident:
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()


@contextlib.contextmanager
def importing(name: str) -> Iterator[None]:
    """Ctrl-C, unless ignored, ends the process: a library's import may make any error of it."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    heeded &= threading.current_thread() is threading.main_thread()
    if heeded:
        signal.signal(
            signal.SIGINT, lambda *_: (os.write(2, f"{name}: stopped\n".encode()), os._exit(130))
        )
    try:
        yield
    finally:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)


run, session, train, export, calibrate = (partial(_start, name) for name in COMMANDS)
