"""BrainFlow's boards: by which name and parameters one is asked for,
and which of its columns are what.
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from emodict.errors import InputError, MissingDependencyError
from emodict.live.source import LiveStream
from emodict.recording.modalities import EEG, MODALITIES
from emodict_desk.boards.columns import pick_columns
from emodict_desk.recordings.account import Account

# Boards that repeat what another one has measured, which must be named as master_board.
PLAYBACK, STREAMING = "PLAYBACK_FILE_BOARD", "STREAMING_BOARD"
SYNTHETIC = "SYNTHETIC_BOARD"
# Which file a playback reads for which preset.
_PLAYBACK_FILES = {"DEFAULT": "file", "AUXILIARY": "file_aux", "ANCILLARY": "file_anc"}
# Why a board cannot be read, in words;
# the names are those of BrainFlowExitCodes, and stand beside them.
_IN_WORDS = {
    "PORT_ALREADY_OPEN_ERROR": "its port is in use, perhaps by another program",
    "UNABLE_TO_OPEN_PORT_ERROR": "its port cannot be opened; is the dongle plugged in, "
    "and no other program using it?",
    "SER_PORT_ERROR": "its port is not a serial port that can be set up",
    "BOARD_WRITE_ERROR": "it takes no commands; is it switched on?",
    "INCOMMING_MSG_ERROR": "what it answers cannot be read; is it that board?",
    "INITIAL_MSG_ERROR": "it does not greet; is it that board?",
    "BOARD_NOT_READY_ERROR": "it is not ready; is it switched on and in reach?",
    "STREAM_THREAD_ERROR": "its samples cannot be read",
    "SYNC_TIMEOUT_ERROR": "it does not answer in time; is it switched on and in reach?",
    "GENERAL_ERROR": "BrainFlow says only that something failed; is Bluetooth on, "
    "and the board in reach?",
    "BOARD_NOT_CREATED_ERROR": "BrainFlow has no connection to it",
    "UNSUPPORTED_BOARD_ERROR": "this machine's BrainFlow does not support it",
}
# Not BrainFlow's but ours: where the electrodes of a board that leaves that to its user are.
_CHANNELS = "channels"


@dataclass(frozen=True)
class Column:
    """One modality among a preset's columns."""

    stream: LiveStream
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Preset:
    """One of a board's streams of rows, all of one rate.

    Attributes:
        number: BrainFlow's.
        counter, stamps: the columns of the package counter and of the arrival times; None if it has
        none. playback: the file that is played, if one is.
    """

    number: int
    rate_hz: float
    rows: int
    counter: int | None
    stamps: int | None
    modalities: tuple[Column, ...]
    playback: Path | None = None


@dataclass(frozen=True)
class Board:
    """A board, ready to be asked for.

    Attributes:
        name: of BoardIds.
        params: fields of BrainFlowInputParams.
        presets: those that have something that is wanted.
        simulated: what it measures is of no real person.
        notes: what was chosen or taken for granted, as sentences.
    """

    name: str
    number: int
    params: Mapping[str, Any]
    presets: tuple[Preset, ...]
    simulated: bool
    notes: tuple[str, ...] = ()


def import_brainflow() -> ModuleType:
    """The module brainflow.board_shim, its log silent.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # On Python 3.10 and 3.11 brainflow finds its library through
            # pkg_resources, which warns of its age.
            warnings.simplefilter("ignore")
            from brainflow import board_shim

            board_shim.BoardShim.disable_board_logger()
    except ImportError:
        raise MissingDependencyError(
            "brainflow", extra="brainflow", purpose="A BrainFlow board"
        ) from None
    found: ModuleType = board_shim
    return found


def find_board(name: str, wanted: Sequence[str], params: Mapping[str, str]) -> Board:
    """The board of that name or number, and where on it the wanted modalities are.

    Args:
        params: of BrainFlowInputParams (serial_port, mac_address, file, master_board, ...), and
            `channels`: the places of the electrodes, for a board that leaves them to its user.

    Raises:
        InputError: no such board or parameter, or the board has nothing that is wanted.
        MissingDependencyError: brainflow is not installed.
    """
    shim = import_brainflow()
    board = _board_id(shim, name)
    values = _input_params(shim, params)
    layout = _layout_board(shim, board, values)
    notes: dict[str, None] = {}
    electrodes = tuple(
        place.strip() for place in params.get(_CHANNELS, "").split(",") if place.strip()
    )
    presets = list(_presets(shim, board, layout, values, wanted, electrodes, notes))
    if not presets:
        raise InputError(
            f"The BrainFlow board {board.name} has none of the signals that are wanted",
            expected=", ".join(wanted),
            fix="Use another board, or a model for the sensors that this one has",
        )
    return Board(
        name=board.name,
        number=int(board.value),
        params=values,
        presets=tuple(presets),
        simulated=layout.name == SYNTHETIC,
        notes=tuple(notes),
    )


def in_words(code: str) -> str:
    """What an exit code of BrainFlow's means, as part of a sentence."""
    return f"the board does not answer: {_IN_WORDS.get(code, 'BrainFlow gives no reason')} ({code})"


def require_port(board: Board) -> None:
    """Refuse a serial port that is not there, or that this user may not open;
    others are BrainFlow's to try.

    Raises:
        InputError: naming the port, and those that are there.
    """
    port = str(board.params.get("serial_port", ""))
    if not port.startswith("/"):
        return
    there = sorted(
        str(path)
        for pattern in ("ttyUSB*", "ttyACM*", "cu.usb*")
        for path in Path("/dev").glob(pattern)
    )
    if not Path(port).exists():
        raise InputError(
            f"There is no serial port {port}",
            expected=f"one of {', '.join(there)}"
            if there
            else "the port of a dongle that is plugged in",
            fix="Plug it in, or correct --board serial_port=",
        )
    if not os.access(port, os.R_OK | os.W_OK):
        raise InputError(
            f"No permission to use the serial port {port}",
            fix="sudo usermod -aG dialout $USER, then log out and in again",
        )


def _board_id(shim: ModuleType, name: str) -> Any:
    boards = {board.name: board for board in shim.BoardIds if board.name != "NO_BOARD"}
    upper = name.strip().upper()
    called = {str(board.value): board for board in boards.values()}
    called |= {
        board_name.removesuffix("_BOARD"): board for board_name, board in boards.items()
    } | boards
    if upper not in called:
        near = difflib.get_close_matches(
            upper, [*boards, *(b.removesuffix("_BOARD") for b in boards)], n=4, cutoff=0.5
        )
        near = list(dict.fromkeys(n if n in boards else f"{n}_BOARD" for n in near))
        raise InputError(
            f"BrainFlow knows no board '{name}'",
            expected="a number or name of its list of supported boards",
            fix=f"Did you mean {' or '.join(near)}?"
            if near
            else "Look it up in BrainFlow's list of supported boards",
        )
    return called[upper]


def _input_params(shim: ModuleType, params: Mapping[str, str]) -> dict[str, Any]:
    """Text -> what BrainFlow's fields hold."""
    known = vars(shim.BrainFlowInputParams())
    values: dict[str, Any] = {}
    for name, text in params.items():
        if name == _CHANNELS:
            continue
        if name not in known:
            raise InputError(
                f"BrainFlow has no parameter '{name}'", expected=(*sorted(known), _CHANNELS)
            )
        if name == "master_board":
            values[name] = int(_board_id(shim, text).value)
        elif isinstance(known[name], int):
            try:
                values[name] = int(text)
            except ValueError:
                raise InputError(
                    f"BrainFlow's {name} is a number", expected="a whole number", got=text
                ) from None
        else:
            values[name] = text
    return values


def _layout_board(shim: ModuleType, board: Any, values: Mapping[str, Any]) -> Any:
    """The board whose columns these are: a playback has those of the board that was recorded."""
    if board.name not in (PLAYBACK, STREAMING):
        return board
    if "master_board" not in values:
        raise InputError(
            f"{board.name} does not say what its columns are",
            expected="master_board=BOARD, the board that the data are from",
        )
    if board.name == PLAYBACK:
        files = [values[name] for name in _PLAYBACK_FILES.values() if name in values]
        missing = [file for file in files if not Path(file).is_file()]
        if missing or not files:
            got = f"no file {missing[0]}" if missing else "none"
            raise InputError(f"{PLAYBACK} plays a file", expected="file=RECORDING.csv", got=got)
    return shim.BoardIds(values["master_board"])


def _presets(
    shim: ModuleType,
    board: Any,
    layout: Any,
    values: Mapping[str, Any],
    wanted: Sequence[str],
    electrodes: tuple[str, ...],
    notes: dict[str, None],
) -> Iterator[Preset]:
    """Each preset with the wanted modalities that no preset before it has."""
    left = [modality for modality in wanted if modality in MODALITIES]
    for number in sorted(shim.BoardShim.get_board_presets(layout.value)):
        preset = next(p for p in shim.BrainFlowPresets if p.value == number)
        file = values.get(_PLAYBACK_FILES[preset.name.removesuffix("_PRESET")])
        if board.name == PLAYBACK and file is None:
            continue
        descr = shim.BoardShim.get_board_descr(layout.value, preset)
        account = Account(board.name)
        columns, names = pick_columns(descr, account)
        if electrodes and EEG in columns:
            names[EEG] = _placed(board.name, electrodes, len(columns[EEG]))
        there = [modality for modality in left if modality in columns]
        left = [modality for modality in left if modality not in there]
        rate_hz = float(descr.get("sampling_rate", 0))
        modalities = tuple(
            Column(
                LiveStream(m, rate_hz, names[m], MODALITIES[m].unit, f"BrainFlow {board.name}"),
                tuple(columns[m]),
            )
            for m in there
        )
        if modalities:
            notes.update(dict.fromkeys(account.notes))
            yield Preset(
                number=number,
                rate_hz=rate_hz,
                rows=int(descr["num_rows"]),
                counter=descr.get("package_num_channel"),
                stamps=descr.get("timestamp_channel"),
                modalities=modalities,
                playback=None if board.name != PLAYBACK else Path(str(file)),
            )


def _placed(board: str, electrodes: tuple[str, ...], count: int) -> tuple[str, ...]:
    if len(electrodes) != count:
        raise InputError(
            f"{board}: channels names the places of its electrodes",
            expected=f"{count} names",
            got=len(electrodes),
        )
    return electrodes
