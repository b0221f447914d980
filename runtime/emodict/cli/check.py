"""emodict-run --check: what this machine can run, printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from emodict.errors import InputError

CANNOT_RUN = 2


def print_check(engine: Path | None, device: str | None, *, as_json: bool) -> int:
    """Look at this machine and, where one is named, at a model;
    the exit code says whether the model runs here.
    """
    from emodict.check import as_dict, check_machine, lines
    from emodict.check.machine import read_machine

    check = check_machine(read_machine(), engine, device)
    print(json.dumps(as_dict(check), indent=1) if as_json else "\n".join(lines(check)))
    return CANNOT_RUN if check.verdict is not None and not check.verdict.runs else 0


def require_recordings(
    engine: Path | None, recordings: list[Path] | None
) -> tuple[Path, list[Path]]:
    """Everything but --check needs a model and something to run it on.

    Raises:
        InputError: one of them is not named.
    """
    if engine is None or not recordings:
        needed = {"--engine model.onnx": engine, "recordings": recordings}
        missing = [name for name, value in needed.items() if not value]
        words = [str(path) for path in recordings or ()]
        first = words and (words[0].startswith("demo:") or words[0].endswith((".onnx", ".plan")))
        command = " ".join(words) if first else "model.onnx session.h5"
        raise InputError(
            f"Nothing to run: {' and '.join(missing)} not given",
            expected="a model and recordings",
            fix=f"emodict-run --engine {command}. What this machine can run: emodict-run --check",
        )
    return engine, recordings


def refuse_idle_options(given: Sequence[str]) -> None:
    """--check runs no model: what only a run heeds is refused beside it.

    Raises:
        InputError: naming what would do nothing.
    """
    if given:
        raise InputError(
            "--check looks at this machine and runs nothing",
            expected="at most --engine, --device and --json beside it",
            got=", ".join(given),
            fix="Leave one of the two out",
        )


def refuse_live_options(given: Sequence[str]) -> None:
    """Without --live these options would do nothing.

    Raises:
        InputError: naming them.
    """
    if given:
        of_import = [name for name in given if name in ("--channels", "--stream")]
        raise InputError(
            f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} for a live run",
            expected="--live lsl, brainflow:BOARD or replay:session.h5 beside it",
            fix=f"Of a recording: emodict-session import FILE {of_import[0]} ... -o session.h5"
            if of_import
            else None,
        )
