"""EDF, EDF+ and BDF: the EEG of one recording, as most headsets export it, and EDA and PPG."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError, RecordingError
from emodict.files.hdf5 import DAMAGE
from emodict.recording.recording import Event, Recording
from emodict_desk.importers.channels import Channel, leave_out_others, signals_of, sorted_out
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import describe
from emodict_desk.importers.labels import Label
from emodict_desk.importers.patient import patient_code
from emodict_desk.recordings.account import Account

if TYPE_CHECKING:
    import edfio

    Edf = edfio.Edf | edfio.Bdf
    EdfSignal = edfio.EdfSignal | edfio.BdfSignal

logger = logging.getLogger(__name__)

# An EDF opens with its version, 0, in eight characters; a BDF, whose samples have 24 bits, with
# 0xFF and the name of the maker who made it so.
_EDF, _BDF = b"0       ", b"\xffBIOSEMI"
# BioSemi's status line: the triggers are its lower 16 bits, the state of the amplifier the others.
_STATUS, _TRIGGER_BITS = "Status", 0xFFFF


def read_edf(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the EEG, EDA and PPG of an EDF, EDF+ or BDF file.

    EEG channels become eeg in uV, EDA gsr, PPG ppg, annotations and BioSemi's triggers events.
    Those are EEG that are named so, or by places on the head, and where nothing is known by its
    name any voltage. Of several rates the EEG's most common one is taken. The header's start time
    has no time zone, so start_time has none either. Names default to the header's patient code and
    the file's name.

    Raises:
        RecordingError: the file is not an EDF, has gaps, has no channel of use,
            or one with a unit emodict does not know.
        MissingDependencyError: edfio is not installed.
    """
    path = Path(source)
    _check_magic(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        edf = _open(path)
        try:
            recording = _recording(edf, path, subject_id, session_id)
        except DAMAGE as error:
            # Header fields are read as they are asked for.
            raise _damaged(path, error) from error
    for warning in caught:
        # edfio repairs small faults, such as a cut-off last record, and says so.
        logger.warning("%s: %s", path, warning.message)
    return recording


def _recording(edf: Edf, path: Path, subject_id: str | None, session_id: str | None) -> Recording:
    account = Account(f"{'BDF' if _is_bdf(path) else 'EDF'} {path.name}")
    chosen = _choose(edf.signals, path, account)
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or _patient_code(edf) or path.stem,
        signals=signals_of(chosen, path, account),
        events=(*(_event(a) for a in edf.annotations), *_triggers(edf, path)),
        start_time=_start_time(edf),
        device=_equipment(edf),
        attributes=account.attributes(),
    )


def _damaged(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path} starts like an EDF but cannot be read: {error}", fix="Copy or export it again"
    )


def looks_like_edf(path: Path, head: bytes) -> bool:
    """The version that opens the header."""
    return head.startswith((_EDF, _BDF))


def _is_bdf(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(len(_BDF)) == _BDF


def _check_magic(path: Path) -> None:
    if not path.is_file():
        raise RecordingError(
            f"{path} is a folder" if path.exists() else f"There is no file {path}",
            expected="an EDF or BDF file",
            fix="Check the path",
        )
    with path.open("rb") as handle:
        head = handle.read(len(_EDF))
    if not looks_like_edf(path, head):
        raise RecordingError(
            f"{path} is not an EDF file",
            expected=f"a file that starts with {_EDF!r}, or of BDF {_BDF!r}",
            got=describe(path),
            fix="Save it as EDF+ with the program that recorded it",
        )


def _open(path: Path) -> Edf:
    try:
        import edfio
    except ImportError:
        raise MissingDependencyError("edfio", extra="edf", purpose="Reading EDF") from None
    try:
        # Many writers put a micro sign in the unit, which plain ASCII does not have.
        read: Callable[..., Edf] = edfio.read_bdf if _is_bdf(path) else edfio.read_edf
        edf = read(path, header_encoding="latin-1")
        continuous = edf.reserved[3:5] != "+D" or edf.is_continuous
    except Exception as error:
        # edfio raises whatever its parsing runs into; the file's fault, whichever it is.
        raise _damaged(path, error) from error
    if not continuous:
        raise RecordingError(
            f"{path} is discontinuous (EDF+D): it has pauses that emodict cannot place",
            fix="Save it as continuous EDF+C, or each stretch as a file of its own",
        )
    return edf


def _choose(signals: Sequence[EdfSignal], path: Path, account: Account) -> dict[str, list[Channel]]:
    """The channels of each modality; the others are named."""
    channels = [_channel(signal) for signal in signals if _is_calibrated(signal)]
    chosen = sorted_out(channels)
    if not chosen:
        uncalibrated = "" if channels else "; no channel is calibrated, so its samples have no unit"
        raise RecordingError(
            f"{path} holds no EEG, EDA or PPG",
            expected="places of the 10-20 system, such as 'EEG P3-Pz' or 'P3', in uV, mV or V, "
            "or signals named EDA, GSR, PPG or BVP",
            got=_named(signals) + uncalibrated,
        )
    for signal in signals:
        if not _is_calibrated(signal):
            account.leave_out(signal.label, "not calibrated")
    leave_out_others(channels, chosen, account)
    return chosen


def _named(signals: Sequence[EdfSignal]) -> str:
    units = (f"{s.label} ({s.physical_dimension or 'no unit'})" for s in signals)
    return ", ".join(units) or "no signals"


def _channel(signal: EdfSignal) -> Channel:
    return Channel(
        Label(signal.label, signal.physical_dimension),
        float(signal.sampling_frequency),
        lambda: np.asarray(signal.data, dtype=np.float64),
    )


def _is_calibrated(signal: EdfSignal) -> bool:
    low, high = signal.physical_range
    return bool(low != high and signal.digital_min != signal.digital_max)


def _triggers(edf: Edf, path: Path) -> Iterator[Event]:
    """The changes of BioSemi's trigger lines to another code than 0."""
    if not _is_bdf(path):
        return
    for signal in (signal for signal in edf.signals if signal.label == _STATUS):
        codes: NDArray[np.int64] = np.asarray(signal.digital, dtype=np.int64) & _TRIGGER_BITS
        for at in (np.flatnonzero(np.diff(codes)) + 1).tolist():
            if codes[at]:
                yield Event(at / float(signal.sampling_frequency), int(codes[at]), "trigger")


def _event(annotation: edfio.EdfAnnotation) -> Event:
    """A number as its code, any other text as its description."""
    text = annotation.text.strip()
    return Event(
        float(annotation.onset), int(text) if re.fullmatch(r"-?\d{1,9}", text) else 0, text
    )


def _patient_code(edf: Edf) -> str:
    """The code EDF+ puts first; plain EDF has free text there,
    maybe a name, which is left alone.
    """
    has_code = edf.reserved.startswith(("EDF+", "BDF+"))
    return patient_code(edf.local_patient_identification) if has_code else ""


def _equipment(edf: Edf) -> str:
    """Fourth of the parts after "Startdate dd-MMM-yyyy" in EDF+; X where unknown."""
    parts = edf.local_recording_identification.split(" ")
    known = edf.reserved.startswith(("EDF+", "BDF+")) and len(parts) > 4 and parts[4] != "X"
    # OpenSignals writes a list of one there: ['channeller'].
    return parts[4].replace("_", " ").strip("[]'") if known else ""


def _start_time(edf: Edf) -> str:
    try:
        return str(edf.startdatetime.isoformat())
    except ValueError:
        # An anonymised header has no date.
        return ""


FORM = Form(read_edf, looks_like_edf)
