"""FeatureSpec: everything that turns a recording into a model's input,
as data with an id and a fingerprint.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from emodict.errors import SpecError
from emodict.features.spec_checks import check_spec
from emodict.recording.electrodes import electrode_names
from emodict.recording.modalities import EEG

KINDS = ("band_power", "statistics", "embedding", "table")
FILTER_MODES = ("causal", "zero-phase-window", "zero-phase-trial", "zero-phase-recording")
# What a filter of each kind of features may run over;
# a mode that nothing computes would be left out silently.
_MODES_OF_KIND = {
    "band_power": ("causal", "zero-phase-trial", "zero-phase-recording"),
    "statistics": ("zero-phase-window", "zero-phase-trial", "zero-phase-recording"),
}
# Kinds of face features: gradients, or VGG-16's of pixels scaled as torchvision does,
# or as the released code does.
HOG, VGG_CLEAN, VGG_REFERENCE = "hog", "vgg16-clean", "vgg16-reference"
DEFAULT_SPEC_ID = "emodict-1"


@dataclass(frozen=True)
class FilterSpec:
    """A filter as second-order sections, and over what it runs.

    Attributes:
        mode: `causal` carries its state through the recording; the `zero-phase-*` modes run forward
            and backward over one window, one trial or the whole recording.
        sos: (sections, 6) coefficients b0 b1 b2 a0 a1 a2 with a0 = 1, as scipy.signal writes them.
        padding_samples: odd extension at both ends of a zero-phase run.
    """

    mode: str
    sos: tuple[tuple[float, ...], ...]
    padding_samples: int = 0

    def __post_init__(self) -> None:
        if self.mode not in FILTER_MODES:
            raise SpecError(
                "The filter's mode is unknown", expected=FILTER_MODES, got=repr(self.mode)
            )
        if not self.sos or any(
            len(row) != 6 or row[3] != 1.0 or not all(map(math.isfinite, row)) for row in self.sos
        ):
            raise SpecError(
                "The filter's sections are malformed",
                expected="rows of 6 finite numbers with a0 = 1",
            )
        if not all(abs(a2) < 1 and abs(a1) < 1 + a2 for *_, a1, a2 in self.sos):
            raise SpecError(
                "The filter is unstable",
                expected="sections with their poles inside the unit circle",
            )

    @property
    def streams(self) -> bool:
        """Whether it needs no more than the samples so far and one window."""
        return self.mode in ("causal", "zero-phase-window")


@dataclass(frozen=True)
class Band:
    """One frequency band: the weight of each DFT bin in it, from `first_bin` on."""

    name: str
    low_hz: float
    high_hz: float
    first_bin: int
    weights: tuple[float, ...]


@dataclass(frozen=True)
class SpectrumSpec:
    """Log band power: value_b = log_scale * ln(sum_k weight_bk |X_k|^2) + log_offset.

    X is the DFT of length `n_fft` of the tapered window, after keeping every `decimation`-th
    sample. Where the taper is shorter than the window the rest is cut off; where it is shorter than
    `n_fft` it is padded with zeros.
    """

    decimation: int
    taper: tuple[float, ...]
    n_fft: int
    bands: tuple[Band, ...]
    log_scale: float
    log_offset: float


@dataclass(frozen=True)
class ModalitySpec:
    """What is computed from one modality.

    Attributes:
        kind: `band_power`, `statistics` of the window, `embedding` (one frame's vector a second),
            or `table` (features that only arrive ready-made; raw signals cannot be used).
        shape: of one window's features, before they are flattened into tokens.
        feature_names: one per feature, in flattened order.
        window_s: samples up to the end of a row's second that its features look at.
        settle_s: how long after a gap the filter's output is not to be trusted.
        valid_range: samples outside it make a window invalid (None: no limit on that side).
        face_features: the kinds of face features that may stand in an embedding, where they are not
            VGG-16's of pixels scaled as torchvision does.
        constant_usable: a window whose raw samples are all equal is a window like any other, as it
            is for the code whose features the spec reproduces; without it such a window is invalid.
    """

    name: str
    kind: str
    rate_hz: float
    unit: str
    channel_names: tuple[str, ...]
    window_s: float
    shape: tuple[int, ...]
    feature_names: tuple[str, ...]
    settle_s: float = 0.0
    valid_range: tuple[float | None, float | None] = (None, None)
    filter: FilterSpec | None = None
    spectrum: SpectrumSpec | None = None
    constant_usable: bool = False
    face_features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SpecError(
                f"{self.name}: unknown kind of features", expected=KINDS, got=repr(self.kind)
            )
        if len(self.feature_names) != self.dims:
            raise SpecError(
                f"{self.name}: names and shape disagree",
                expected=f"{self.dims} feature names for shape {self.shape}",
                got=len(self.feature_names),
            )
        for what, value in (("rate", self.rate_hz), ("window", self.window_s)):
            if not (value >= 1 and value == math.floor(value)):
                # Rows come once a second, and every window ends with one.
                raise SpecError(
                    f"{self.name}: the {what} must be a whole number of Hz or seconds", got=value
                )
        if self.filter is not None:
            self._check_filter(self.filter)
        if self.constant_usable and (
            self.kind not in _MODES_OF_KIND or len(self.channel_names) != 1
        ):
            # Among several channels one that stands still is broken.
            raise SpecError(
                f"{self.name}: its constant windows cannot be usable",
                expected="band powers or statistics of a single channel",
                got=f"{self.kind} of {len(self.channel_names)} channels",
            )
        if self.constant_usable and self.filter is not None and self.filter.mode == "causal":
            # A stuck channel is cut out before the filter, and what was cut out has no features.
            raise SpecError(
                f"{self.name}: constant windows cannot be usable behind a causal filter"
            )

    def _check_filter(self, filter_spec: FilterSpec) -> None:
        modes = _MODES_OF_KIND.get(self.kind, ())
        if filter_spec.mode not in modes:
            raise SpecError(
                f"{self.name}: {self.kind} features do not filter so",
                expected=modes,
                got=repr(filter_spec.mode),
            )
        if filter_spec.mode == "causal" and self.window_s != 1:
            raise SpecError(
                f"{self.name}: a causal filter runs over windows of 1 s", got=f"{self.window_s:g} s"
            )

    @cached_property
    def dims(self) -> int:
        """Number of features of one window."""
        return math.prod(self.shape)

    @property
    def face_kinds(self) -> tuple[str, ...]:
        """The kinds of face features that an embedding may hold;
        none where they only exist ready-made.
        """
        if self.kind != "embedding":
            return ()
        if self.face_features:
            return self.face_features
        return (
            (HOG,) if all(name.startswith("hog_") for name in self.feature_names) else (VGG_CLEAN,)
        )

    @cached_property
    def window_samples(self) -> int:
        return round(self.rate_hz * self.window_s)

    @cached_property
    def hop_samples(self) -> int:
        """Samples per row; rows come once a second."""
        return round(self.rate_hz)

    @property
    def band_major(self) -> bool:
        """Whether band powers are laid out as (bands, channels), and not as (channels, bands)."""
        if self.shape[0] != len(self.bands):
            return False
        # With as many channels as bands the shape says nothing, and the names do.
        square = len(self.channel_names) == len(self.bands)
        return not (
            square and self.feature_names == self._features_of(self.channel_names, band_major=False)
        )

    @property
    def bands(self) -> tuple[Band, ...]:
        return self.spectrum.bands if self.spectrum is not None else ()

    def with_channels(self, names: Sequence[str]) -> ModalitySpec:
        """The same band powers of these channels, in this order.

        Raises:
            SpecError: the features are not band powers of named channels, one by one.
        """
        channels, bands = tuple(names), len(self.bands)
        own = (self._features_of(self.channel_names, band_major=major) for major in (True, False))
        if self.feature_names not in own:
            raise SpecError(
                f"{self.name}: its features are not of single channels, so none can be chosen"
            )
        return dataclasses.replace(
            self,
            channel_names=channels,
            shape=(bands, len(channels)) if self.band_major else (len(channels), bands),
            feature_names=self._features_of(channels, band_major=self.band_major),
        )

    def _features_of(self, channels: Sequence[str], *, band_major: bool) -> tuple[str, ...]:
        bands = [band.name for band in self.bands]
        if band_major:
            return tuple(f"{band}_{channel}" for band in bands for channel in channels)
        return tuple(f"{band}_{channel}" for channel in channels for band in bands)


@dataclass(frozen=True)
class FeatureSpec:
    """An ordered set of modalities and how their features are laid out as tokens.

    A modality of d features becomes ceil(d / token_width) tokens, zero-padded at its end.
    """

    id: str
    description: str
    token_width: int
    streaming: bool
    modalities: tuple[ModalitySpec, ...]

    def __post_init__(self) -> None:
        names = self.modality_names
        if not names or len(set(names)) != len(names):
            raise SpecError("A feature spec needs distinct modalities", got=names)
        if self.token_width < 1:
            raise SpecError("token_width must be positive", got=self.token_width)
        for modality in self.modalities:
            if modality.filter is not None and modality.filter.streams != self.streaming:
                raise SpecError(
                    f"{self.id}: {modality.name}'s filter does not fit a spec with streaming "
                    f"{self.streaming}",
                    got=repr(modality.filter.mode),
                )

    @property
    def modality_names(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.modalities)

    @cached_property
    def tokens(self) -> int:
        return sum(self._token_count(m) for m in self.modalities)

    @cached_property
    def token_slices(self) -> Mapping[str, slice]:
        """Which tokens belong to which modality."""
        slices, start = {}, 0
        for modality in self.modalities:
            stop = start + self._token_count(modality)
            slices[modality.name] = slice(start, stop)
            start = stop
        return slices

    @property
    def first_row_s(self) -> int:
        """Start of the first second for which every modality's window is complete."""
        return max(math.ceil(m.window_s) for m in self.modalities) - 1

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change when anything but the description changes."""
        content = {k: v for k, v in self.to_dict().items() if k != "description"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Of the EEG, in the model's order; () without EEG,
        or where its features come without channels.
        """
        return self.modality(EEG).channel_names if EEG in self.modality_names else ()

    @property
    def chosen_channels(self) -> tuple[str, ...]:
        """The EEG's, where they are not those of the shipped spec of this id; else ()."""
        shipped = load_spec(self.id).channel_names if self.id in spec_ids() else self.channel_names
        return self.channel_names if self.channel_names != shipped else ()

    @property
    def sensors(self) -> str:
        """The modalities, and of the EEG the channels where they were chosen."""
        chosen = f"{EEG}[{' '.join(self.chosen_channels)}]" if self.chosen_channels else EEG
        return "+".join(chosen if name == EEG else name for name in self.modality_names)

    def __str__(self) -> str:
        return f"{self.id} ({self.sensors}, {self.fingerprint})"

    def modality(self, name: str) -> ModalitySpec:
        for modality in self.modalities:
            if modality.name == name:
                return modality
        raise SpecError(
            f"Feature spec {self.id} has no modality '{name}'",
            expected=self.modality_names,
            fix="Correct the name",
        )

    def with_modalities(self, names: Sequence[str]) -> FeatureSpec:
        """The same spec with these modalities only, in the spec's own order."""
        for name in names:
            self.modality(name)
        kept = tuple(m for m in self.modalities if m.name in names)
        return dataclasses.replace(self, modalities=kept)

    def with_channels(self, names: Sequence[str]) -> FeatureSpec:
        """The same spec with the EEG of these channels, in this order;
        they need not be among the spec's own.

        Raises:
            SpecError: no EEG in the spec, or names that are not electrodes, each once.
        """
        if EEG not in self.modality_names:
            raise SpecError(
                f"EEG channels are chosen, and there is no EEG in feature spec {self.id}"
                f" ({'+'.join(self.modality_names)})",
                fix="Leave the channels out, or add eeg to the modalities",
            )
        return self._with_channel_names(electrode_names(names))

    def _with_channel_names(self, names: Sequence[str]) -> FeatureSpec:
        return dataclasses.replace(
            self,
            modalities=tuple(
                m.with_channels(names) if m.name == EEG else m for m in self.modalities
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `spec_from_dict` reads them back."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for modality in plain["modalities"]:
            # Written only where they are set:
            # the specs that were there before them keep their fingerprints.
            for name in ("constant_usable", "face_features"):
                if not modality[name]:
                    del modality[name]
        return plain

    def _token_count(self, modality: ModalitySpec) -> int:
        return -(-modality.dims // self.token_width)


# Beside this file; importlib.resources would take a fiftieth of a short run to import.
_SPECS = Path(__file__).parent / "specs"


def spec_ids() -> list[str]:
    """The ids of the specs that ship with emodict."""
    return sorted(path.stem for path in _SPECS.glob("*.json"))


def load_spec(spec_id: str) -> FeatureSpec:
    """The shipped spec of this id.

    Raises:
        SpecError: no such id.
    """
    known = spec_ids()
    if spec_id not in known:
        raise SpecError(
            f"There is no feature spec '{spec_id}'", expected=f"one of {', '.join(known)}"
        )
    return spec_from_dict(json.loads((_SPECS / f"{spec_id}.json").read_text("utf-8")))


def spec_from_dict(content: Any) -> FeatureSpec:
    """Read what `FeatureSpec.to_dict` wrote.

    Raises:
        SpecError: a field is missing, unknown or of the wrong kind.
    """
    try:
        check_spec(content)
        modalities = tuple(_modality_from_dict(m) for m in content["modalities"])
        return FeatureSpec(**{**content, "modalities": modalities})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecError(f"The feature spec cannot be read: {error}") from error


def require_same_spec(
    ours: FeatureSpec, theirs: FeatureSpec, *, ours_is: str, theirs_is: str
) -> None:
    """Refuse to mix two specs.

    Raises:
        SpecError: the fingerprints differ; both are in the sentence.
    """
    if ours.fingerprint != theirs.fingerprint:
        raise SpecError(
            f"{ours_is} and {theirs_is} use different features",
            expected=f"feature spec {ours}",
            got=str(theirs),
            fix="Use a model and data of one spec: extract the features again, or train again",
        )


def require_known_spec(
    features: FeatureSpec, *, source: str, fingerprint: str = "", again: str = "train"
) -> None:
    """A stored spec must be what this emodict knows under its id,
    and what its stored `fingerprint` says, if any.

    `again` says what is done again where it is not.

    Raises:
        SpecError: it is not; both specs are in the sentence.
    """
    if fingerprint and features.fingerprint != fingerprint:
        raise SpecError(
            f"{source}: the feature spec was changed after it was written",
            expected=f"feature spec {features.id} with fingerprint {fingerprint}",
            got=str(features),
            fix="Use the file as it was written, or train or export it again",
        )
    ours = _ours_if_other(features)
    if ours is not None:
        raise SpecError(
            f"{source} is of other features than this emodict computes",
            expected=f"feature spec {ours}",
            got=str(features),
            fix=f"Use the emodict that wrote it, or {again} again",
        )


def _ours_if_other(features: FeatureSpec) -> FeatureSpec | None:
    """What this emodict computes under the spec's id with its sensors,
    where that is something else.
    """
    if features.id not in spec_ids():
        return None
    ours = load_spec(features.id).with_modalities(features.modality_names)
    if features.channel_names != ours.channel_names:
        ours = ours._with_channel_names(features.channel_names)
    # Equal data have equal fingerprints; hashing ours as well would cost every start 7 ms.
    return ours if ours != features and ours.fingerprint != features.fingerprint else None


def _modality_from_dict(content: Mapping[str, Any]) -> ModalitySpec:
    fields = dict(content)
    for name in ("channel_names", "shape", "feature_names", "valid_range", "face_features"):
        if name in fields:
            fields[name] = tuple(fields[name])
    if fields.get("filter"):
        sos = tuple(tuple(map(float, row)) for row in fields["filter"]["sos"])
        fields["filter"] = FilterSpec(**{**fields["filter"], "sos": sos})
    if fields.get("spectrum"):
        spectrum = dict(fields["spectrum"])
        bands = tuple(
            Band(**{**b, "weights": tuple(map(float, b["weights"]))}) for b in spectrum["bands"]
        )
        taper = tuple(map(float, spectrum["taper"]))
        fields["spectrum"] = SpectrumSpec(**{**spectrum, "taper": taper, "bands": bands})
    return ModalitySpec(**fields)
