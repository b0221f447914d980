"""A modality of window statistics as C: its filter, and how its windows are judged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.features.quality import PULSE_BAND_HZ, PULSE_HZ
from emodict.features.spec import ModalitySpec
from emodict.features.statistics import STATISTICS, hann
from emodict.recording.modalities import modality_of
from emodict_export.c.limits import float_limits
from emodict_export.c.literals import number, record, table
from emodict_export.c.part import (
    BINS_AT_ONCE,
    FLOAT_BYTES,
    Field,
    Part,
    Place,
    bends,
    bin_tables,
    bins_of,
    filled_up,
    for_each,
    upper,
)
from emodict_export.c.sections import Cascade, cascade, sections_table

SOURCES = frozenset({
    "quality", "sections", "fold", "real_parts", "median", "statistics", "numbers", "zero_phase",
    "window_statistics",
})  # fmt: skip
# A coarse signal may well sit at its extremes for a whole window.
JUDGED = {False: {"rails"}, True: set[str]()}
SCORE_SOURCES = {"pulse": {"bin_powers", "pulse"}, "step": {"step"}}


def statistics_part(modality: ModalitySpec, place: Place) -> Part:
    """Statistics of one channel.

    Raises:
        SpecError: the filter cannot be written.
    """
    name, samples, about = modality.name, modality.window_samples, modality_of(modality.name)
    filter_ = None if modality.filter is None else cascade(name, modality.filter.sos)
    padding = 0 if modality.filter is None else modality.filter.padding_samples
    pulse = _Pulse(samples, modality.rate_hz) if about.score == "pulse" else None
    return Part(
        signal=name,
        argument=f"const float {name}[{upper(modality)}_SAMPLES]",
        input_bytes=FLOAT_BYTES * modality.hop_samples,
        sizes={f"{upper(modality)}_SAMPLES": modality.hop_samples},
        fields=(Field(f"float {name}_window[{samples}]", FLOAT_BYTES * samples),),
        start=for_each(samples, f"state->{name}_window[i] = NAN;"),
        tables="\n".join((
            _tables(modality, filter_, padding),
            "" if pulse is None else pulse.tables(name),
            _judge(modality),
        )),
        judged=f"{name}_second(state, {name}, {place.features}, {place.quality})",
        sources=SOURCES | SCORE_SOURCES.get(about.score, set()) | JUDGED[about.coarse],
        work=2 * samples + 2 * padding,
        bins=1 if pulse is None else len(pulse.bins),
        states=1 if filter_ is None else filter_.states,
    )  # fmt: skip


def _tables(modality: ModalitySpec, filter_: Cascade | None, padding: int) -> str:
    name, samples = modality.name, modality.window_samples
    lower, upper_limit = float_limits(modality)
    with_density = modality.dims == STATISTICS + 1
    fields = {
        "samples": samples,
        "fresh": modality.hop_samples,
        "lower": lower,
        "upper": upper_limit,
        "bend": f"{name}_bends",
        "sections": "NULL" if filter_ is None else f"{name}_sections",
        "section_count": 0 if filter_ is None else len(filter_.sections),
        "padding": padding,
        "gain": 1.0 if filter_ is None else filter_.gain**2,
        "density_taper": f"{name}_density_taper" if with_density else "NULL",
    }
    parts = [table(f"{name}_bends", _spectrum_bends(samples))]
    if filter_ is not None:
        parts.append(sections_table(f"{name}_sections", filter_))
    if with_density:
        parts.append(table(f"{name}_density_taper", _density_taper(modality)))
    return "\n".join((*parts, record(f"static const statistics_spec {name}_spec", fields)))


def _spectrum_bends(samples: int) -> NDArray[np.float64]:
    """Of the bins up to a quarter of the window, the even ones first."""
    quarter = samples // 4
    halves = range(0, quarter + 1, 2), range(1, quarter + 1, 2)
    return np.concatenate([filled_up(bends(half, samples), BINS_AT_ONCE) for half in halves])


def _density_taper(modality: ModalitySpec) -> NDArray[np.float64]:
    """The squares of the window, times this, add up to the mean of its Welch density (Hann)."""
    samples = modality.window_samples
    taper = hann(samples)
    mean = samples / (modality.rate_hz * (taper @ taper)) / (samples // 2 + 1)
    return np.asarray(taper * np.sqrt(mean))


class _Pulse:
    """The bins that tell a pulse, as in emodict/features/quality.py."""

    def __init__(self, samples: int, rate_hz: float) -> None:
        self._samples = samples
        hz = np.fft.rfftfreq(samples, 1 / rate_hz)
        self._band = np.flatnonzero((hz >= PULSE_BAND_HZ[0]) & (hz <= PULSE_BAND_HZ[1]))
        self._pulse = np.flatnonzero((hz >= PULSE_HZ[0]) & (hz <= PULSE_HZ[1]))
        self._taper = np.hanning(samples)[: samples // 2]
        first = min(self._band[0], self._pulse[0] - 1)
        last = min(max(self._band[-1], 2 * self._pulse[-1] + 1), len(hz) - 1)
        self.bins = range(first, last + 1)

    def tables(self, name: str) -> str:
        fields = {
            "taper": f"{name}_taper",
            "bins": bins_of(f"{name}_pulse", self.bins, self._samples),
            "first_in_band": self._band[0],
            "last_in_band": self._band[-1],
            "slowest": self._pulse[0],
            "fastest": self._pulse[-1],
        }
        return "\n".join((
            table(f"{name}_taper", self._taper),
            bin_tables(f"{name}_pulse", self.bins, self._samples),
            record(f"static const pulse_spec {name}_pulse", fields),
        ))  # fmt: skip


def _judge(modality: ModalitySpec) -> str:
    """The function that takes a second of this modality."""
    name, about = modality.name, modality_of(modality.name)
    rails = "" if about.coarse else (
        f" || stuck(window, {name}_spec.samples, 1, &found)"
        f"\n        || saturated(window, {name}_spec.samples, 1, &found)"
    )  # fmt: skip
    return f"""\
static bool {name}_second(emodict_state *state, const float *fresh, float *features, float *quality)
{{
    float *const window = state->{name}_window;
    extremes found;
    push(&{name}_spec, fresh, window);
    *quality = 0.0f;
    if (!within(window, {name}_spec.samples, 1, {name}_spec.lower, {name}_spec.upper, &found)
        || !moves(&found){rails}) {{
        return false;
    }}
    window_statistics(&{name}_spec, window, state->work, features);
    if (!usable(features, {modality.dims})) {{
        return false;
    }}
    *quality = {_score(modality)};
    return true;
}}
"""


def _score(modality: ModalitySpec) -> str:
    name, about = modality.name, modality_of(modality.name)
    return {
        "pulse": f"pulse_share(&{name}_pulse, window, state->work)",
        "step": f"step_score(window, {name}_spec.samples, {number(modality.rate_hz)}, "
        f"{number(about.clean)})",
        "swing": f"{number(about.clean)} / fmaxf(found.swing, {number(about.clean)})",
        "": "1.0f",
    }[about.score]
