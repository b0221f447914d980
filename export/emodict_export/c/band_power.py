"""A modality of band powers as C: its filter, taper, bins and bands."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emodict.features.spec import Band, ModalitySpec, SpectrumSpec
from emodict.recording.modalities import modality_of
from emodict_export.c.limits import float_limits
from emodict_export.c.literals import listed, record, table
from emodict_export.c.part import (
    FLOAT_BYTES,
    Field,
    Part,
    Place,
    bin_tables,
    bins_of,
    for_each,
    upper,
)
from emodict_export.c.sections import Cascade, cascade, sections_table

SOURCES = frozenset({"quality", "rails", "sections", "fold", "bin_powers", "numbers", "band_power"})


def band_power_part(
    modality: ModalitySpec, place: Place, unmixing: NDArray[np.float64] | None = None
) -> Part:
    """Band powers of all channels, of the EEG multiplied by `unmixing` (channels, channels).

    Raises:
        SpecError: the filter cannot be written.
    """
    assert modality.filter is not None
    assert modality.spectrum is not None
    name, channels = modality.name, len(modality.channel_names)
    filter_ = cascade(name, modality.filter.sos)
    bins = _bins(modality.spectrum)
    return Part(
        signal=f"{name} ({channels} channels)",
        argument=f"const float {name}[{upper(modality)}_SAMPLES][{upper(modality)}_CHANNELS]",
        input_bytes=FLOAT_BYTES * modality.window_samples * channels,
        sizes={
            f"{upper(modality)}_SAMPLES": modality.window_samples,
            f"{upper(modality)}_CHANNELS": channels,
        },
        fields=_fields(modality, filter_),
        start=for_each(channels, f"state->{name}_seconds[i] = 0;"),
        tables=_tables(modality, filter_, bins, unmixing),
        judged=(
            f"band_powers(&{name}_spec, {name} == NULL ? NULL : {name}[0],\n"
            f"        state->{name}_states[0], state->{name}_reference,\n"
            f"        state->{name}_seconds, state->work, {place.features}, {place.quality})"
        ),
        sources=SOURCES,
        work=modality.window_samples,
        bins=len(bins),
    )


def _fields(modality: ModalitySpec, filter_: Cascade) -> tuple[Field, ...]:
    name, channels = modality.name, len(modality.channel_names)
    size = f"{upper(modality)}_CHANNELS"
    return (
        Field(
            f"float {name}_states[{size}][{filter_.states}]",
            FLOAT_BYTES * channels * filter_.states,
        ),
        Field(f"float {name}_reference[{size}]", FLOAT_BYTES * channels),
        Field(f"unsigned char {name}_seconds[{size}]", -(-channels // 4) * 4),
    )


def _bins(spectrum: SpectrumSpec) -> range:
    """The bins from the first to the last that any band holds."""
    first = min(band.first_bin for band in spectrum.bands)
    last = max(band.first_bin + len(band.weights) for band in spectrum.bands)
    return range(first, last)


def _tables(
    modality: ModalitySpec, filter_: Cascade, bins: range, unmixing: NDArray[np.float64] | None
) -> str:
    assert modality.spectrum is not None
    name, spectrum = modality.name, modality.spectrum
    lower, upper_limit = float_limits(modality)
    channels, bands = len(modality.channel_names), len(spectrum.bands)
    weights = np.concatenate([band.weights for band in spectrum.bands])
    return "\n".join((
        sections_table(f"{name}_sections", filter_),
        "" if unmixing is None else table(f"{name}_unmixing", unmixing),
        table(f"{name}_taper", filter_.gain * np.asarray(spectrum.taper)),
        bin_tables(name, bins, modality.window_samples),
        table(f"{name}_weights", weights),
        _bands_table(name, spectrum.bands),
        record(f"static const band_power_spec {name}_spec", {
            "samples": modality.window_samples,
            "channels": channels,
            "lower": lower,
            "upper": upper_limit,
            "clean": modality_of(name).clean,
            "unmixing": "NULL" if unmixing is None else f"{name}_unmixing",
            "settle": math.ceil(modality.settle_s / modality.window_s),
            "sections": f"{name}_sections",
            "section_count": len(filter_.sections),
            "rest1": filter_.sections[0].rest1,
            "rest2": filter_.sections[0].rest2,
            "taper": f"{name}_taper",
            "bins": bins_of(name, bins, modality.window_samples),
            "bands": f"{name}_bands",
            "band_count": bands,
            "log_scale": float(spectrum.log_scale),
            "log_offset": float(spectrum.log_offset),
            "band_step": channels if modality.band_major else 1,
            "channel_step": 1 if modality.band_major else bands,
        }),
    ))  # fmt: skip


def _bands_table(name: str, bands: tuple[Band, ...]) -> str:
    starts = np.cumsum([0, *(len(band.weights) for band in bands)])
    rows = (
        f"{{{band.first_bin}, {len(band.weights)}, {name}_weights + {start}}}"
        for band, start in zip(bands, starts, strict=False)
    )
    return listed(f"static const band {name}_bands[]", rows)
