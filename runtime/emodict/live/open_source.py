"""`--live lsl | brainflow:BOARD | replay:session.h5` -> the source it names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from emodict.errors import InputError
from emodict.features.spec import FeatureSpec
from emodict.live.source import FIRST_WAIT_S, LiveSource

FORMS = "lsl, brainflow:BOARD or replay:session.h5"


def open_source(
    text: str,
    spec: FeatureSpec,
    *,
    speed: float | None = None,
    streams: Mapping[str, str] | None = None,
    board: Mapping[str, str] | None = None,
    places: Sequence[str] = (),
    wait_s: float = FIRST_WAIT_S,
) -> LiveSource:
    """The source, not yet entered.

    Args:
        text: lsl, brainflow:BOARD or replay:session.h5.
        spec: the signals that are wanted, with their channels and units.
        speed: of a replay; 1 unless told otherwise.
        streams: which LSL stream is a modality's, where several could be.
        board: parameters of a BrainFlow board, such as serial_port.
        wait_s: how long a first sensor is looked for.
        places: of the electrodes, in order,
            where the device does not say them; nothing to a replay.

    Raises:
        InputError: no such source, or an option that belongs to another one.
    """
    kind, _, rest = text.partition(":")
    _refuse_stray(
        kind,
        {
            "replay": ("--speed", speed),
            "lsl": ("--stream", streams),
            "brainflow": ("--board", board),
        },
    )
    if kind == "lsl" and not rest:
        from emodict.live.lsl import LslSource

        return LslSource(spec, names=streams or {}, places=places, wait_s=wait_s)
    if kind == "brainflow" and rest:
        from emodict_desk.boards.source import BrainFlowSource

        params = {**(board or {}), **({"channels": ",".join(places)} if places else {})}
        return BrainFlowSource(rest, spec, params=params, wait_s=wait_s)
    if kind == "replay" and rest:
        from emodict.live.replay import ReplaySource

        return ReplaySource(Path(rest), spec, speed=1.0 if speed is None else speed)
    raise _no_such_source(text, kind)


def _no_such_source(text: str, kind: str) -> InputError:
    near = difflib.get_close_matches(kind, ("lsl", "brainflow", "replay"), n=1)
    return InputError(
        f"There is no live source '{text}'",
        expected=FORMS,
        fix=f"Did you mean {near[0]}?" if near and near[0] != kind else None,
    )


def _refuse_stray(kind: str, options: Mapping[str, tuple[str, object]]) -> None:
    for owner, (name, value) in options.items():
        if value and owner != kind:
            raise InputError(
                f"{name} belongs to --live {owner}", got=f"--live {kind}", fix="Leave it out"
            )
