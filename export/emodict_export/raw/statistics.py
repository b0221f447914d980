"""The statistics of a window of a few seconds, of which the samples before the new ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emodict.errors import SpecError
from emodict.features.filters import state_space
from emodict.features.spec import ModalitySpec
from emodict.features.statistics import STATISTICS, hann
from emodict.recording.modalities import modality_of
from emodict_export.raw import quality
from emodict_export.raw.balance import passes_level
from emodict_export.raw.builder import Part, RawBuilder
from emodict_export.raw.series import series_of, window_of

Float64Array = NDArray[np.float64]

# In a place that is not there: it must sort behind all samples, or before them.
BEYOND = 1e30
SERIES = ("x", "d1", "d2")
# How many samples shorter each is than the window.
SHORTER = {"d1": 1, "d2": 2}


def statistics_part(b: RawBuilder, modality: ModalitySpec) -> Part:
    """The nodes of one modality, from its samples (batch, samples, 1) on.

    Raises:
        SpecError: its filter lets constants through, or constant windows are usable.
    """
    _check(modality)
    name = modality.name
    window, whole = window_of(b, modality)
    extent = quality.spread(b, window, name)
    fit = b.as_float(_fit(b, modality, window, extent), f"{name}/fit")
    valid = b.add("Mul", [fit, whole], f"{name}/valid")
    columns = _Figures(b, modality, window, extent).columns()
    score = _score(b, modality, window, extent)
    order, scale, offset = _features(modality, columns.places)
    return Part(
        columns=b.add("Concat", columns.tensors, f"{name}/columns", axis=1),
        width=columns.width,
        order=order,
        scale=scale,
        offset=offset,
        valid=valid,
        quality=valid if score is None else b.add("Mul", [score, valid], f"{name}/quality"),
    )


def _check(modality: ModalitySpec) -> None:
    if modality.constant_usable:
        raise SpecError(f"{modality.name}: constant windows are usable, which has no raw graph")
    if modality.filter is not None and passes_level(state_space(modality.filter.sos)):
        raise SpecError(
            f"{modality.name}: its filter lets constants through, which has no raw graph"
        )


def _fit(b: RawBuilder, modality: ModalitySpec, window: str, extent: quality.Spread) -> str:
    if modality_of(modality.name).coarse:
        # It may well sit at its extremes for five seconds.
        return quality.moving(b, extent, modality.name)
    return quality.lively(b, window, extent, (modality.window_samples,), modality.name)


def _score(
    b: RawBuilder, modality: ModalitySpec, window: str, extent: quality.Spread
) -> str | None:
    """(batch, 1); None: what is valid is good."""
    name, samples = modality.name, modality.window_samples
    kind = modality_of(name).score
    if kind == "pulse":
        return quality.pulse_score(b, modality, extent, name)
    if kind == "swing":
        return quality.swing_score(b, modality, extent, name)
    if kind == "step":
        later = b.part(window, 1, 1, samples, f"{name}/later")
        earlier = b.part(window, 1, 0, samples - 1, f"{name}/earlier")
        step = b.add("Abs", [b.add("Sub", [later, earlier], f"{name}/step")], f"{name}/step_size")
        steepest = b.reduce("ReduceMax", step, 1, f"{name}/steepest")
        return quality.step_score(b, modality, steepest, name)
    return None


class _Columns:
    """Tensors (batch, n) side by side, and the place of each column by its name."""

    def __init__(self) -> None:
        self.tensors: list[str] = []
        self.places: dict[str, int] = {}
        self.width = 0

    def add(self, tensor: str, *names: str) -> None:
        self.tensors.append(tensor)
        self.places.update({name: self.width + i for i, name in enumerate(names)})
        self.width += len(names)


class _Figures:
    """The figures of all series of a window at once."""

    def __init__(
        self, b: RawBuilder, modality: ModalitySpec, window: str, extent: quality.Spread
    ) -> None:
        self._b, self._name, self._extent = b, modality.name, extent
        self._samples, self._window = modality.window_samples, window
        density = ("psd",) if modality.dims > STATISTICS else ()
        self._rows = (*SERIES, *density, "fft")
        self._lengths = np.array([self._samples - SHORTER.get(row, 0) for row in self._rows])
        self._raw = modality.filter is None
        self._series = series_of(b, modality, extent)

    def columns(self) -> _Columns:
        """Every figure of every series, needed or not: one operator takes them all."""
        columns = _Columns()

        def keep(tensor: str, what: str) -> None:
            columns.add(tensor, *(f"{row}_{what}" for row in self._rows))

        for what, tensor in zip(("mean", "std", "square"), self._moments(), strict=True):
            keep(tensor, what)
        levelled = self._with_level() if self._raw else self._series
        keep(self._median(levelled), "median")
        low, high = self._extremes(levelled, keep)
        keep(self._add("Sub", [high, low], "range"), "range")
        self._keep_x(columns)
        return columns

    def _moments(self) -> tuple[str, str, str]:
        """Mean, standard deviation and mean square; (batch, series) each."""
        b, share = self._b, self._constant("share", 1 / self._lengths)
        total = b.reduce("ReduceSum", self._series, 2, self._at("total"), keep=False)
        squares = self._add("Mul", [self._series, self._series], "squared")
        squares = b.reduce("ReduceSum", squares, 2, self._at("squares"), keep=False)
        mean = self._add("Mul", [total, share], "mean")
        square = self._add("Mul", [squares, share], "square")
        variance = self._add("Sub", [square, self._add("Mul", [mean, mean], "mean2")], "variance")
        # Rounding may leave less than nothing.
        variance = self._add("Relu", [variance], "some_variance")
        return mean, self._add("Sqrt", [variance], "std"), square

    def _with_level(self) -> str:
        """x and its spectrum's first bin with the level of the window, which was taken off."""
        level = np.zeros((len(self._rows), self._samples))
        level[0], level[-1, 0] = 1.0, self._samples
        centre = self._b.reshape(self._extent.centre, (-1, 1, 1), self._at("level"))
        added = self._add("Mul", [centre, self._constant("level_in", level)], "level_of_each")
        return self._add("Add", [self._series, added], "levelled")

    def _median(self, series: str) -> str:
        """(batch, series).

        The upper half and a bit, unsorted, then the least two of it: sorting all takes longer.
        Padded places lie on both sides, so that every series' middle is at the same two places.
        """
        b, samples = self._b, self._samples
        below, middle = _middles(self._lengths, samples)
        padded = self._padded(series, below, "to_sort")
        upper = samples - middle
        top = b.top(padded, upper, self._at("upper"), largest=True)
        two = b.top(top, 2, self._at("middle"), largest=False)
        weights = np.stack([(self._lengths - 1) // 2, self._lengths // 2]) + below - middle
        share = np.stack([(weights == place).mean(axis=0) for place in (0, 1)], axis=1)
        weighted = self._add("Mul", [two, self._constant("middle_share", share)], "middle_parts")
        return b.reduce("ReduceSum", weighted, 2, self._at("median"), keep=False)

    def _extremes(self, series: str, keep: Callable[[str, str], None]) -> tuple[str, str]:
        """Least and largest, (batch, series); of a raw signal also how often each is there."""
        found = []
        for op, what, sides in (("ReduceMin", "min", 0), ("ReduceMax", "max", self._samples)):
            padded = self._padded(series, np.full(len(self._rows), sides), f"for_{what}")
            extreme = self._b.reduce(op, padded, 2, self._at(f"{what}_kept"))
            flat = self._b.reshape(extreme, (-1, len(self._rows)), self._at(what))
            keep(flat, what)
            found.append(flat)
            if self._raw:
                # A filtered signal has no ties: its extremes are there once.
                keep(self._ties(padded, extreme, what), f"{what}ratio")
        return found[0], found[1]

    def _ties(self, series: str, extreme: str, what: str) -> str:
        same = self._add("Equal", [series, extreme], f"at_{what}")
        count = self._b.as_float(same, self._at(f"at_{what}_ones"))
        count = self._b.reduce("ReduceSum", count, 2, self._at(f"{what}_count"), keep=False)
        return self._add("Mul", [count, self._constant("share", 1 / self._lengths)], f"{what}ratio")

    def _keep_x(self, columns: _Columns) -> None:
        """The spectrum's mean is x[0], its variance the sum of the other squares; a raw x's mean."""
        b, samples = self._b, self._samples
        x = self._window
        if self._raw:
            columns.add(b.reduce("ReduceMean", x, 1, self._at("raw_mean")), "x_mean")
        else:
            x = b.part(self._series, 1, 0, 1, self._at("x_row"))
            x = b.reshape(x, (-1, samples), self._at("x"))
        columns.add(b.part(x, 1, 0, 1, self._at("first")), "fft_mean")
        rest = b.part(x, 1, 1, samples, self._at("rest"))
        columns.add(b.reduce("ReduceL2", rest, 1, self._at("fft_std")), "fft_std")

    def _padded(self, series: str, below: NDArray[np.int64], what: str) -> str:
        """Where a series is shorter than the window: `below` such places before all, others behind."""
        pads = np.zeros((len(self._rows), self._samples))
        for row, length in enumerate(self._lengths):
            missing = self._samples - length
            first = min(int(below[row]), missing)
            pads[row, length:] = [-BEYOND] * first + [BEYOND] * (missing - first)
        return self._add("Add", [series, self._constant(f"{what}.pads", pads)], what)

    def _add(self, op: str, inputs: Sequence[str], output: str) -> str:
        return self._b.add(op, list(inputs), self._at(output))

    def _constant(self, name: str, value: Float64Array) -> str:
        return self._b.constant(self._at(name), value)

    def _at(self, name: str) -> str:
        return f"{self._name}/figures/{name}"


def _middles(lengths: NDArray[np.int64], samples: int) -> tuple[NDArray[np.int64], int]:
    """How many padded places go before each series, and the first of two places of all medians."""
    below = (samples - lengths) // 2
    return below, int(((lengths - 1) // 2 + below).min())


def _features(
    modality: ModalitySpec, places: Mapping[str, int]
) -> tuple[NDArray[np.int64], Float64Array, Float64Array]:
    """Of each feature its column (-1: none), and by what it is multiplied, and what is added."""
    figures = ("median", "mean", "std", "min", "max", "minratio", "maxratio")
    names = [f"{row}_{figure}" for row in SERIES for figure in figures]
    names += [f"fft_{figure}" for figure in ("median", "mean", "std", "min", "max", "range")]
    samples = modality.window_samples
    scale, offset = np.ones(modality.dims), np.zeros(modality.dims)
    if modality.dims > STATISTICS:
        names.append("psd_square")
        taper = hann(samples)
        # Welch's one-sided density adds up to the two-sided one, which Parseval gives.
        scale[-1] = samples**2 / (modality.rate_hz * (taper @ taper)) / (samples // 2 + 1)
    for i, name in enumerate(names):
        row, figure = name.split("_")
        if name not in places:
            offset[i] = 1 / (samples - SHORTER.get(row, 0))
    order = np.array([places.get(name, -1) for name in names])
    return order, scale, offset
