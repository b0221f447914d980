"""Recordings of other makers: one module a format, and the table the command is built from."""

from __future__ import annotations

from emodict_desk.importers import (
    acqknowledge,
    brainflow,
    case,
    dmer,
    dsi,
    e4,
    edf,
    embraceplus,
    emognition,
    emotibit,
    kemocon,
    mne_files,
    muse,
    muse_lsl,
    openbci,
    opensignals,
    plain_csv,
    polar,
    shimmer,
    wesad,
    xdf,
)
from emodict_desk.importers.form import IMPORTERS

# A new format is one module and one line here; the first line of its reader's docstring is its
# help. Files are tried in this order when their kind is looked for: the plain CSV, which takes
# any table, comes last.
IMPORTERS |= {
    "e4": e4.FORM,
    "embraceplus": embraceplus.FORM,
    "edf": edf.FORM,
    "dsi": dsi.FORM,
    "muse": muse.FORM,
    "muse-lsl": muse_lsl.FORM,
    "xdf": xdf.FORM,
    "opensignals": opensignals.FORM,
    "brainflow": brainflow.FORM,
    "openbci": openbci.FORM,
    "emotibit": emotibit.FORM,
    "shimmer": shimmer.FORM,
    "polar": polar.FORM,
    "acqknowledge": acqknowledge.FORM,
    "dmer": dmer.FORM,
    "mne": mne_files.FORM,
    "wesad": wesad.FORM,
    "emognition": emognition.FORM,
    "case": case.FORM,
    "kemocon": kemocon.FORM,
    "csv": plain_csv.FORM,
}

__all__ = ["IMPORTERS"]
