"""FeatureWindows: features of consecutive seconds, as the tokens a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodict.errors import SpecError
from emodict.features.spec import FeatureSpec
from emodict.recording.modalities import EEG
from emodict.showing import Shown

Float64Array = NDArray[np.float64]
# Named here, where `slice` is Python's own: in the classes below it is a method.
Rows = slice | NDArray[np.bool_]

# A model computes in float32, which holds numbers to 3e38, and squares them;
# the pulse's largest features are 5e11.
LARGEST_FEATURE = 1e12


@dataclass(frozen=True)
class ModalityRows:
    """One modality's rows: values (rows, *shape), NaN where not valid;
    valid and quality (rows,).
    """

    values: Float64Array
    valid: NDArray[np.bool_]
    quality: Float64Array

    def __len__(self) -> int:
        return len(self.valid)

    def slice(self, rows: slice) -> ModalityRows:
        """Some of the rows."""
        return ModalityRows(self.values[rows], self.valid[rows], self.quality[rows])


def ready_made_rows(values: Float64Array) -> ModalityRows:
    """Rows whose features arrive computed: one that `numeric_rows` does not pass is not valid."""
    values = values.copy()
    valid = numeric_rows(values)
    values[~valid] = np.nan
    return ModalityRows(values, valid, valid.astype(np.float64))


def numeric_rows(values: Float64Array) -> NDArray[np.bool_]:
    """(rows, ...) features -> (rows,): nothing but numbers up to LARGEST_FEATURE in it."""
    # NaN compares false, and is the maximum of anything.
    largest = np.maximum.reduce(np.abs(values), axis=tuple(range(1, values.ndim)))
    usable: NDArray[np.bool_] = largest <= LARGEST_FEATURE
    return usable


@dataclass(frozen=True, repr=False)
class FeatureWindows(Shown):
    """Rows of features, one a second.

    Attributes:
        start_s: (rows,) start of the second a row describes; its windows end one second later.
        tokens: (rows, tokens, token_width), NaN for a modality that is not valid in that row.
        valid: (rows, modalities); quality: the same shape, from 0 (useless) to 1 (clean).
    """

    spec: FeatureSpec
    start_s: Float64Array
    tokens: Float64Array
    valid: NDArray[np.bool_]
    quality: Float64Array

    def __len__(self) -> int:
        return len(self.start_s)

    def features(self, modality: str) -> Float64Array:
        """(rows, *shape) of one modality, the tokens' padding taken off."""
        wanted = self.spec.modality(modality)
        tokens = self.tokens[:, self.spec.token_slices[modality]]
        flat = tokens.reshape(len(self), tokens.shape[1] * self.spec.token_width)
        return flat[:, : wanted.dims].reshape(len(self), *wanted.shape)

    def slice(self, rows: Rows) -> FeatureWindows:
        """Some of the rows."""
        return FeatureWindows(
            self.spec, self.start_s[rows], self.tokens[rows], self.valid[rows], self.quality[rows]
        )

    def with_modalities(self, names: Sequence[str]) -> FeatureWindows:
        """The same rows with these modalities only, in the spec's order."""
        spec = self.spec.with_modalities(names)
        columns = [self.spec.modality_names.index(name) for name in spec.modality_names]
        tokens = np.concatenate(
            [self.tokens[:, self.spec.token_slices[n]] for n in spec.modality_names], 1
        )
        return FeatureWindows(
            spec, self.start_s, tokens, self.valid[:, columns], self.quality[:, columns]
        )

    def with_channels(self, names: Sequence[str]) -> FeatureWindows:
        """The same rows with these EEG channels only; still valid only where all the channels were.

        Raises:
            SpecError: no EEG, or a channel whose features are not there; it is named.
        """
        spec = self.spec.with_channels(names)
        there, wanted = self.spec.channel_names, spec.channel_names
        missing = [name for name in wanted if name not in there]
        if missing:
            raise SpecError(
                "The features are ready-made, and there are none of EEG "
                f"{'channels' if len(missing) > 1 else 'channel'} {', '.join(missing)}",
                expected=f"some of {' '.join(there)}",
                fix="Choose among these, or read the recordings themselves",
            )
        eeg = self.spec.modality(EEG)
        picked = np.take(
            self.features(EEG),
            [there.index(name) for name in wanted],
            axis=2 if eeg.band_major else 1,
        )
        rows = {
            name: ModalityRows(self.features(name), self.valid[:, column], self.quality[:, column])
            for column, name in enumerate(self.spec.modality_names)
        }
        rows[EEG] = ModalityRows(picked, rows[EEG].valid, rows[EEG].quality)
        return assemble(spec, self.start_s, rows)


def assemble(
    spec: FeatureSpec, start_s: Float64Array, rows: Mapping[str, ModalityRows | None]
) -> FeatureWindows:
    """Lay modalities out as tokens; one that is None or absent is invalid throughout."""
    count = len(start_s)
    flat = np.zeros((count, spec.tokens * spec.token_width))
    valid = np.zeros((count, len(spec.modalities)), dtype=bool)
    quality = np.zeros((count, len(spec.modalities)))
    for column, modality in enumerate(spec.modalities):
        part, tokens = rows.get(modality.name), spec.token_slices[modality.name]
        block = flat[:, tokens.start * spec.token_width : tokens.stop * spec.token_width]
        if part is None:
            block[:] = np.nan
            continue
        block[:, : modality.dims] = part.values.reshape(count, modality.dims)
        if np.count_nonzero(part.valid) < count:
            block[~part.valid] = np.nan
        valid[:, column], quality[:, column] = part.valid, part.quality
    laid_out = flat.reshape(count, spec.tokens, spec.token_width)
    return FeatureWindows(spec, start_s, laid_out, valid, quality)


def concatenate(spec: FeatureSpec, parts: Sequence[FeatureWindows]) -> FeatureWindows:
    """Rows of several blocks, one after the other."""
    if not parts:
        return assemble(spec, np.empty(0), {})
    return FeatureWindows(
        spec,
        np.concatenate([p.start_s for p in parts]),
        np.concatenate([p.tokens for p in parts]),
        np.concatenate([p.valid for p in parts]),
        np.concatenate([p.quality for p in parts]),
    )
