"""EDF and EDF+: the EEG of one recording, as most headsets export it."""

from __future__ import annotations

import logging
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError, RecordingError
from emodict.files.hdf5 import DAMAGE
from emodict.recording.recording import Event, Recording, Signal, channel_and_reference
from emodict.recording.units import unit_factor
from emodict_desk.importers.form import Form
from emodict_desk.importers.kinds import describe
from emodict_desk.importers.labels import is_electrode

if TYPE_CHECKING:
    import edfio

logger = logging.getLogger(__name__)

# An EDF opens with its version, 0, in eight characters; a BDF with 0xFF.
_MAGIC = b"0       "
# EDF+ puts a signal's type before its name ("EEG Fp1", "ECG II");
# plain EDF has bare names of the same kind.
_OTHER_TYPES = re.compile(
    r"^(h?e[ckomr]g|veog|meg|mcg|ppg|gsr|eda|bvp|temp|resp|sao2|spo2|light|sound|event|trig|status|marker"
    r"|counter|acc|gyro|mag|batt|dc\d|stim|sti\b)",
    re.IGNORECASE,
)
# Places between those of the 10-10 system: AFF1h, TTP7h.
_TEN_FIVE = re.compile(r"[A-Z]{1,3}p?\d{1,2}h", re.IGNORECASE)
_VOLTAGE = re.compile(r"^\s*[num\u00b5\u03bc]?V\s*$")


def read_edf(
    source: Path, /, *, subject_id: str | None = None, session_id: str | None = None
) -> Recording:
    """Read the EEG of an EDF or EDF+ file.

    EEG channels become eeg in uV, annotations events. Those are EEG that are named so, or by places
    on the head, and where there are none any voltage. Of several rates the most common one is
    taken. The header's start time has no time zone, so start_time has none either. Names default to
    the header's patient code and the file's name.

    Raises:
        RecordingError: the file is not an EDF, has gaps, has no EEG,
            or its EEG has a unit emodict does not know.
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


def _recording(
    edf: edfio.Edf, path: Path, subject_id: str | None, session_id: str | None
) -> Recording:
    eeg, left_out = _sort_out(edf.signals, path)
    return Recording(
        session_id=session_id or path.stem,
        subject_id=subject_id or _patient_code(edf) or path.stem,
        signals={"eeg": _signal(eeg, path)},
        events=tuple(_event(a) for a in edf.annotations),
        start_time=_start_time(edf),
        device=_equipment(edf),
        attributes={
            "source": f"EDF {path.name}",
            **({"left_out": ", ".join(left_out)} if left_out else {}),
        },
    )


def _damaged(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path} starts like an EDF but cannot be read: {error}", fix="Copy or export it again"
    )


def looks_like_edf(path: Path, head: bytes) -> bool:
    """The version that opens the header."""
    return head.startswith(_MAGIC)


def _check_magic(path: Path) -> None:
    if not path.is_file():
        raise RecordingError(
            f"{path} is a folder" if path.exists() else f"There is no file {path}",
            expected="an EDF file",
            fix="Check the path",
        )
    with path.open("rb") as handle:
        head = handle.read(len(_MAGIC))
    if head != _MAGIC:
        raise RecordingError(
            f"{path} is not an EDF file",
            expected=f"a file that starts with {_MAGIC!r}",
            got=describe(path),
            fix="Save it as EDF+ with the program that recorded it",
        )


def _open(path: Path) -> edfio.Edf:
    try:
        import edfio
    except ImportError:
        raise MissingDependencyError("edfio", extra="edf", purpose="Reading EDF") from None
    try:
        # Many writers put a micro sign in the unit, which plain ASCII does not have.
        edf = edfio.read_edf(path, header_encoding="latin-1")
        continuous = not edf.reserved.startswith("EDF+D") or edf.is_continuous
    except Exception as error:
        # edfio raises whatever its parsing runs into; the file's fault, whichever it is.
        raise _damaged(path, error) from error
    if not continuous:
        raise RecordingError(
            f"{path} is discontinuous (EDF+D): it has pauses that emodict cannot place",
            fix="Save it as continuous EDF+C, or each stretch as a file of its own",
        )
    return edf


def _sort_out(
    signals: Sequence[edfio.EdfSignal], path: Path
) -> tuple[list[edfio.EdfSignal], list[str]]:
    """The EEG signals of the most common rate, and what was left out with the reason."""
    eeg = [signal for signal in signals if _is_named_eeg(signal)] or [
        s for s in signals if _may_be_eeg(s)
    ]
    if not eeg:
        raise RecordingError(
            f"{path} holds no EEG",
            expected="signals named by the 10-20 system, "
            "such as 'EEG P3-Pz' or 'P3', in uV, mV or V",
            got=", ".join(f"{s.label} ({s.physical_dimension or 'no unit'})" for s in signals)
            or "no signals",
            fix="Name the channels in the program that recorded it",
        )
    rate = Counter(signal.sampling_frequency for signal in eeg).most_common(1)[0][0]
    left_out = []
    for signal in signals:
        if signal not in eeg:
            left_out.append(f"{signal.label} (no EEG)")
        elif signal.sampling_frequency != rate:
            left_out.append(f"{signal.label} ({signal.sampling_frequency:g} Hz)")
        elif not _is_calibrated(signal):
            left_out.append(f"{signal.label} (not calibrated)")
    kept = [s for s in eeg if s.sampling_frequency == rate and _is_calibrated(s)]
    if not kept:
        raise RecordingError(f"{path}: no EEG channel is calibrated, so its samples have no unit")
    return kept, left_out


def _is_named_eeg(signal: edfio.EdfSignal) -> bool:
    """By the type before its name, or a voltage at a place on the head."""
    if signal.label.upper().startswith("EEG "):
        return True
    name = _place(signal)[0]
    return _is_voltage(signal) and (is_electrode(name) or bool(_TEN_FIVE.fullmatch(name)))


def _may_be_eeg(signal: edfio.EdfSignal) -> bool:
    """Where no signal is named as EEG: any voltage that is not named as something else."""
    return _is_voltage(signal) and not _OTHER_TYPES.match(signal.label)


def _is_voltage(signal: edfio.EdfSignal) -> bool:
    return bool(_VOLTAGE.match(signal.physical_dimension))


def _place(signal: edfio.EdfSignal) -> tuple[str, str]:
    """Name and reference; PhysioNet fills names up with dots: `Fc5.`, `C3..`."""
    name, reference = channel_and_reference(signal.label)
    return name.rstrip("."), reference.rstrip(".")


def _is_calibrated(signal: edfio.EdfSignal) -> bool:
    low, high = signal.physical_range
    return bool(low != high and signal.digital_min != signal.digital_max)


def _signal(eeg: Sequence[edfio.EdfSignal], path: Path) -> Signal:
    parts = [_place(signal) for signal in eeg]
    samples: NDArray[np.float32] = np.empty((len(eeg[0].digital), len(eeg)), dtype=np.float32)
    for column, signal in enumerate(eeg):
        factor = unit_factor(signal.physical_dimension, "uV", of=f"{path}, channel {signal.label}")
        samples[:, column] = signal.data * factor
    return Signal(
        modality="eeg",
        rate_hz=float(eeg[0].sampling_frequency),
        unit="uV",
        channel_names=tuple(name for name, _ in parts),
        samples=samples,
        reference=", ".join(dict.fromkeys(reference for _, reference in parts if reference)),
    )


def _event(annotation: edfio.EdfAnnotation) -> Event:
    """A number as its code, any other text as its description."""
    text = annotation.text.strip()
    return Event(
        float(annotation.onset), int(text) if re.fullmatch(r"-?\d{1,9}", text) else 0, text
    )


def _patient_code(edf: edfio.Edf) -> str:
    """The code EDF+ puts first; plain EDF has free text there,
    maybe a name, which is left alone.
    """
    code = edf.local_patient_identification.split(" ")[0]
    return code if edf.reserved.startswith("EDF+") and code != "X" else ""


def _equipment(edf: edfio.Edf) -> str:
    """Fourth of the parts after "Startdate dd-MMM-yyyy" in EDF+; X where unknown."""
    parts = edf.local_recording_identification.split(" ")
    known = edf.reserved.startswith("EDF+") and len(parts) > 4 and parts[4] != "X"
    return parts[4].replace("_", " ") if known else ""


def _start_time(edf: edfio.Edf) -> str:
    try:
        return str(edf.startdatetime.isoformat())
    except ValueError:
        # An anonymised header has no date.
        return ""


FORM = Form(read_edf, looks_like_edf)
