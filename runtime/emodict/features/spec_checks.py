"""The kinds and sizes of a feature spec's JSON, checked before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Far beyond every sensor and every window, and far within what a device can hold.
_MOST_RATE_HZ, _MOST_WINDOW_S = 100_000, 3600
_MOST_WINDOW_SAMPLES = 65_536
# Band powers and filters inside a window are products with matrices of
# (samples, samples): 32 MiB each.
_MOST_MATRIX_SAMPLES = 2_048
# 64 s are worked on at once: 128 MiB of samples, 256 channels at 1 kHz.
_MOST_WINDOW_VALUES = 1 << 18
# All bands' bins times the samples of the window:
# the matrix that gives their powers has two such rows, 32 MiB.
_MOST_ANALYSIS_VALUES = 1 << 21
# Two differences of differences.
_FEWEST_SAMPLES = 4
_MOST_FEATURES, _MOST_NAMES, _MOST_BANDS = 65_536, 65_536, 256
_MOST_SECTIONS = 64


def check_spec(content: Mapping[str, Any]) -> None:
    """Raises ValueError, TypeError or KeyError where a spec holds something of another
    kind or beyond its size.
    """
    for name in ("id", "description"):
        _text(content, name)
    _whole(content, "token_width", _MOST_FEATURES)
    if not isinstance(content["streaming"], bool):
        raise TypeError("streaming is not true or false")
    for modality in _list(content, "modalities", 64):
        check_modality(modality)


def check_modality(content: Mapping[str, Any]) -> None:
    """The same of one modality."""
    for name in ("name", "kind", "unit"):
        _text(content, name)
    samples = _check_window(content)
    for name in ("channel_names", "feature_names"):
        if not all(isinstance(text, str) for text in _list(content, name, _MOST_NAMES)):
            raise TypeError(f"{name} are not all texts")
    shape = _list(content, "shape", 8)
    if (
        not shape
        or not all(type(size) is int and size > 0 for size in shape)
        or math.prod(shape) > _MOST_FEATURES
    ):
        raise ValueError(f"the shape is not one of at most {_MOST_FEATURES} features")
    if "settle_s" in content:
        _number(content, "settle_s", 0, _MOST_WINDOW_S)
    if "valid_range" in content:
        _check_range(content)
    if not isinstance(content.get("constant_usable", False), bool):
        raise TypeError("constant_usable is not true or false")
    if not all(isinstance(text, str) for text in content.get("face_features", ())):
        raise TypeError("face_features are not all texts")
    if content.get("filter") is not None:
        _check_filter(content["filter"], samples)
    if content.get("spectrum") is not None:
        _check_spectrum(content["spectrum"], samples)
    if len(content["channel_names"]) * samples > _MOST_WINDOW_VALUES:
        raise ValueError(
            f"a window of {len(content['channel_names'])} channels and {samples} "
            f"samples: more than "
            f"{_MOST_WINDOW_VALUES} values"
        )


def _check_window(content: Mapping[str, Any]) -> int:
    """How many samples a window has."""
    rate_hz = _whole_number(content, "rate_hz", _MOST_RATE_HZ)
    samples = round(rate_hz * _whole_number(content, "window_s", _MOST_WINDOW_S))
    by_matrix = content["kind"] == "band_power" or content.get("filter") is not None
    most = _MOST_MATRIX_SAMPLES if by_matrix else _MOST_WINDOW_SAMPLES
    if samples > most:
        raise ValueError(
            f"a window of {samples} samples is longer than {most}; a lower rate_hz makes it shorter"
        )
    if content["kind"] == "statistics" and samples < _FEWEST_SAMPLES:
        raise ValueError(
            f"statistics of {samples} samples: their differences need {_FEWEST_SAMPLES}"
        )
    return samples


def _check_range(content: Mapping[str, Any]) -> None:
    limits = _list(content, "valid_range", 2)
    if len(limits) != 2 or not all(limit is None or _is_number(limit) for limit in limits):
        raise ValueError("valid_range is not two numbers or nulls")


def _check_filter(content: Mapping[str, Any], samples: int) -> None:
    _text(content, "mode")
    for section in _list(content, "sos", _MOST_SECTIONS):
        if not isinstance(section, list | tuple) or not all(map(_is_number, section)):
            raise ValueError("the filter's sections are malformed")
    if "padding_samples" in content:
        # What is mirrored at the ends of a window must be in it.
        inside = content["mode"] == "zero-phase-window"
        _whole(content, "padding_samples", samples - 1 if inside else _MOST_MATRIX_SAMPLES)


def _check_spectrum(content: Mapping[str, Any], samples: int) -> None:
    length = _whole(content, "n_fft", _MOST_WINDOW_SAMPLES, least=1)
    _whole(content, "decimation", _MOST_WINDOW_SAMPLES, least=1)
    _numbers(content, "taper", _MOST_WINDOW_SAMPLES)
    for name in ("log_scale", "log_offset"):
        _number(content, name, -math.inf, math.inf)
    for band in _list(content, "bands", _MOST_BANDS):
        _text(band, "name")
        _number(band, "low_hz", 0, _MOST_RATE_HZ)
        _number(band, "high_hz", 0, _MOST_RATE_HZ)
        first = _whole(band, "first_bin", length)
        _numbers(band, "weights", length // 2 + 1 - first)
    bins = sum(len(band["weights"]) for band in content["bands"])
    if bins * samples > _MOST_ANALYSIS_VALUES:
        raise ValueError(
            f"bands of {bins} bins for a window of {samples} samples: "
            f"more than {_MOST_ANALYSIS_VALUES}"
        )


def _text(content: Mapping[str, Any], name: str) -> None:
    if not isinstance(content[name], str):
        raise TypeError(f"{name} is not a text")


def _list(content: Mapping[str, Any], name: str, most: int) -> Any:
    values = content[name]
    if not isinstance(values, list | tuple) or len(values) > most:
        raise ValueError(f"{name} is not a list of at most {most}")
    return values


def _numbers(content: Mapping[str, Any], name: str, most: int) -> None:
    if not all(map(_is_number, _list(content, name, most))):
        raise TypeError(f"{name} holds something other than numbers")


def _number(content: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = content[name]
    if not _is_number(value) or not least <= value <= most:
        raise ValueError(f"{name} is not a number from {least:g} to {most:g}")
    return float(value)


def _whole(content: Mapping[str, Any], name: str, most: int, *, least: int = 0) -> int:
    value = content[name]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is not a whole number from {least} to {most}")
    return value


def _whole_number(content: Mapping[str, Any], name: str, most: int) -> float:
    """A whole number, which may be written as 300.0: rows come once a second,
    and every window ends with one.
    """
    value = content[name]
    if not _is_number(value) or not 1 <= value <= most or value != math.floor(value):
        raise ValueError(f"{name} is not a whole number from 1 to {most}")
    return float(value)


def _is_number(value: Any) -> bool:
    """A finite one that float64 can hold; true and false are none."""
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
