"""What of a model can be written as C, and what of it cannot."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from emodict.errors import InputError, SpecError
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.recording.modalities import modality_of

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# A byte counts the seconds, and its last number, 255, stands for a broken channel.
_MOST_SETTLE = 254
# Words that the C language, or the signature of emodict_second, has for something else.
_TAKEN = frozenset((
    "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
    "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict",
    "return", "row", "short", "signed", "sizeof", "state", "static", "struct", "switch", "typedef",
    "union", "unsigned", "void", "volatile", "while",
))  # fmt: skip


def require_writable(features: FeatureSpec) -> None:
    """Refuse features that the C code does not compute.

    Raises:
        SpecError: naming what cannot be done, and what can.
    """
    for modality in features.modalities:
        _require_raw(modality)
    if not features.streaming:
        raise SpecError(
            f"Feature spec {features.id} cannot stream: its filters need whole trials",
            expected="features that come second by second, as on a device",
            fix="Train on recordings with --spec emodict-1",
        )
    for modality in features.modalities:
        unlike = _unlike(modality)
        if unlike:
            raise SpecError(f"{modality.name}: its features cannot be written as C", got=unlike)


def require_includable(header: Path) -> None:
    """Refuse a file name that an #include cannot hold: escapes mean nothing there.

    Raises:
        InputError: naming the file and what may stand in its name.
    """
    name = header.name
    # What is not printable holds line ends, and bytes that are not UTF-8.
    if '"' in name or "\\" in name or not name.isprintable():
        raise InputError(
            f"No C file can include {name!r}",
            expected="a file name without double quotes, backslashes and line ends",
            fix="Choose another name for -o",
        )


def _require_raw(modality: ModalitySpec) -> None:
    if modality.kind == "table":
        raise SpecError(
            f"{modality.name}: these features only exist ready-made, and have no raw form",
            expected="modalities whose features are computed from samples",
            fix="Leave it out: emodict-train fit --modalities",
        )
    if not _NAME.fullmatch(modality.name) or modality.name in _TAKEN:
        raise SpecError(
            "The modality's name cannot stand in C",
            expected="small letters, digits and _, not a word of C",
            got=repr(modality.name),
        )


def _unlike(modality: ModalitySpec) -> str:
    """In what the modality is unlike those that the C code was written for; "" in nothing."""
    if modality.constant_usable:
        return "constant windows that are usable"
    if modality.kind == "embedding":
        return (
            ""
            if modality.hop_samples == modality.window_samples == 1
            else "several frames a second"
        )
    if modality.window_samples % 4:
        return f"a window of {modality.window_samples} samples, which is not a multiple of 4"
    if modality.kind == "statistics":
        return "" if len(modality.channel_names) == 1 else "statistics of several channels"
    spectrum = modality.spectrum
    if modality.filter is None or modality_of(modality.name).score != "swing":
        return "band powers without a causal filter, or not judged by their swing"
    if spectrum is None or (spectrum.decimation, spectrum.n_fft, len(spectrum.taper)) != (
        1,
        modality.window_samples,
        modality.window_samples,
    ):
        return "a spectrum of another length than the window"
    if math.ceil(modality.settle_s / modality.window_s) > _MOST_SETTLE:
        return f"a filter that settles for {modality.settle_s:g} s, {_MOST_SETTLE} windows at most"
    return ""


def float_limits(modality: ModalitySpec) -> tuple[float, float]:
    """The least and the largest float within the modality's range."""
    most = np.finfo(np.float32).max
    lower, upper = modality.valid_range
    return (
        -float(most) if lower is None else _towards(lower, np.float32(np.inf)),
        float(most) if upper is None else _towards(upper, np.float32(-np.inf)),
    )


def _towards(limit: float, inside: np.float32) -> float:
    """The float nearest to the limit that does not lie beyond it."""
    single = np.float32(limit)
    beyond = float(single) < limit if inside > 0 else float(single) > limit
    return float(np.nextafter(single, inside)) if beyond else float(single)
