"""The statistics of a window of some seconds; the samples before the new ones are kept."""

from __future__ import annotations

import math
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
from emodict_export.raw.series import differences, series_of, window_of

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
        step = b.add("Abs", [differences(b, window, samples, f"{name}/step")], f"{name}/step_size")
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
        self._series = series_of(b, modality, window, extent)

    def columns(self) -> _Columns:
        """Every figure of every series, needed or not: one operator takes them all."""
        columns = _Columns()

        def keep(tensor: str, what: str) -> None:
            columns.add(tensor, *(f"{row}_{what}" for row in self._rows))

        for what, tensor in zip(("sum", "deviation", "square"), self._moments(), strict=True):
            keep(tensor, what)
        levelled = self._with_level() if self._raw else self._series
        below = self._samples - self._lengths
        upwards = self._padded(levelled, -BEYOND, "upwards")
        keep(self._median(upwards, below), "median")
        low = self._extreme("ReduceMin", self._padded(levelled, BEYOND, "downwards"), "min", keep)
        high = self._extreme("ReduceMax", upwards, "max", keep)
        keep(self._add("Sub", [high, low], "range"), "range")
        self._keep_x(columns)
        return columns

    def _moments(self) -> tuple[str, str, str]:
        """Sum, root of the summed squared distances from the mean, and sum of squares.

        (batch, series) each; what they are divided by is in the features' scale.
        """
        b, share = self._b, self._constant("share", 1 / self._lengths)
        total = b.reduce("ReduceSum", self._series, 2, self._at("sum"), keep=False)
        squares = b.reduce("ReduceSumSquare", self._series, 2, self._at("square"), keep=False)
        of_mean = self._add("Mul", [self._add("Mul", [total, total], "sum2"), share], "of_mean")
        distance = self._add("Sub", [squares, of_mean], "distance")
        # Rounding may leave less than nothing.
        distance = self._add("Relu", [distance], "some_distance")
        return total, self._add("Sqrt", [distance], "deviation"), squares

    def _with_level(self) -> str:
        """The series, x and its spectrum with the level that was taken off.

        That is the least sample and what rounding took: x is again what it was, to the last bit.
        """
        level = np.zeros((len(self._rows), self._samples))
        level[0], level[-1, 0] = 1.0, self._samples
        taken = self._add("Sub", [self._window, self._extent.above], "taken")
        taken = self._b.reshape(taken, (-1, 1, self._samples), self._at("level"))
        added = self._add("Mul", [taken, self._constant("level_in", level)], "level_of_each")
        return self._add("Add", [self._series, added], "levelled")

    def _median(self, series: str, below: NDArray[np.int64]) -> str:
        """(batch, series), of series with so many padded places `below` their samples.

        The upper half and a bit, unsorted, then the least few of it: sorting all takes longer.
        """
        b = self._b
        places = np.stack([(self._lengths - 1) // 2, self._lengths // 2]) + below
        first = int(places.min())
        few = np.arange(first, places.max() + 1)
        upper = b.top(series, self._samples - first, self._at("upper"), largest=True)
        middle = b.top(upper, len(few), self._at("middle"), largest=False)
        share = (places[:, :, None] == few).mean(axis=0)
        weighted = self._add("Mul", [middle, self._constant("middle_share", share)], "middles")
        return b.reduce("ReduceSum", weighted, 2, self._at("median"), keep=False)

    def _extreme(self, op: str, series: str, what: str, keep: Callable[[str, str], None]) -> str:
        """(batch, series); of a raw signal also how often it is there."""
        extreme = self._b.reduce(op, series, 2, self._at(what), keep=False)
        keep(extreme, what)
        if self._raw:
            # A filtered signal has no ties: its extremes are there once.
            keep(self._ties(series, extreme, what), f"{what}ties")
        return extreme

    def _ties(self, series: str, extreme: str, what: str) -> str:
        b, rows = self._b, len(self._rows)
        wide = b.reshape(extreme, (-1, rows, 1), self._at(f"{what}_wide"))
        same = self._add("Equal", [series, wide], f"at_{what}")
        count = b.as_float(same, self._at(f"at_{what}_ones"))
        return b.reduce("ReduceSum", count, 2, self._at(f"{what}ties"), keep=False)

    def _keep_x(self, columns: _Columns) -> None:
        """The spectrum's mean is x[0], its variance the sum of the other squares; a raw x's sum."""
        b, x, samples = self._b, self._window, self._samples
        if self._raw:
            # The series have no level.
            columns.add(b.reduce("ReduceSum", x, 1, self._at("raw_sum")), "x_sum")
            first = b.part(x, 1, 0, 1, self._at("first"))
            rest = b.part(x, 1, 1, samples, self._at("rest"))
            rest = b.reduce("ReduceL2", rest, 1, self._at("fft_deviation"))
        else:
            first = b.corner(self._series, (0, 0), (1, 1), self._at("first_of_all"))
            first = b.reshape(first, (-1, 1), self._at("first"))
            rest = b.corner(self._series, (0, 1), (1, samples), self._at("rest"))
            rest = b.reduce("ReduceL2", rest, 2, self._at("fft_deviation"), keep=False)
        columns.add(first, "fft_mean")
        columns.add(rest, "fft_std")

    def _padded(self, series: str, value: float, what: str) -> str:
        """The series with a value in the places that a shorter one does not have."""
        pads = np.zeros((len(self._rows), self._samples))
        for row, length in enumerate(self._lengths):
            pads[row, length:] = value
        return self._add("Add", [series, self._constant(f"{what}.pads", pads)], what)

    def _add(self, op: str, inputs: Sequence[str], output: str) -> str:
        return self._b.add(op, list(inputs), self._at(output))

    def _constant(self, name: str, value: Float64Array) -> str:
        return self._b.constant(self._at(name), value)

    def _at(self, name: str) -> str:
        return f"{self._name}/figures/{name}"


def _features(
    modality: ModalitySpec, places: Mapping[str, int]
) -> tuple[NDArray[np.int64], Float64Array, Float64Array]:
    """Of each feature its column (-1: none), by what it is multiplied, and what is added."""
    samples = modality.window_samples
    order = np.full(modality.dims, -1)
    scale, offset = np.ones(modality.dims), np.zeros(modality.dims)
    for i, (row, figure) in enumerate(_names(modality)):
        length = samples - SHORTER.get(row, 0)
        column, scale[i] = {
            "mean": ("sum", 1 / length),
            "std": ("deviation", 1 / math.sqrt(length)),
            "minratio": ("minties", 1 / length),
            "maxratio": ("maxties", 1 / length),
        }.get(figure if row != "fft" else "", (figure, 1.0))
        order[i] = places.get(f"{row}_{column}", -1)
        if order[i] < 0:
            offset[i] = 1 / length
    if modality.dims > STATISTICS:
        taper = hann(samples)
        # Welch's one-sided density adds up to the two-sided one, which Parseval gives.
        scale[-1] = samples / (modality.rate_hz * (taper @ taper)) / (samples // 2 + 1)
    return order, scale, offset


def _names(modality: ModalitySpec) -> list[tuple[str, str]]:
    """(series, figure) of each feature, in the order of features/statistics.py."""
    figures = ("median", "mean", "std", "min", "max", "minratio", "maxratio")
    names = [(row, figure) for row in SERIES for figure in figures]
    names += [("fft", figure) for figure in ("median", "mean", "std", "min", "max", "range")]
    return names + ([("psd", "square")] if modality.dims > STATISTICS else [])
