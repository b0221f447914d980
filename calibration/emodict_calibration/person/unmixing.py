"""fit_unmixing: which directions of a person's EEG are eye blinks and muscle,
and the matrix that takes them out.

An independent component analysis (MNE's extended infomax) of a rest splits the EEG into components.
Those that look like blinks or muscle are taken out, and what is left is one matrix M = mixing
diag(keep) unmixing: what a device multiplies each sample by. M is fitted once, offline, and never
changes while it is used.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError, RecordingError
from emodict.features.quality import assess, without_unusable
from emodict.features.source import source_blocks, source_rate_hz
from emodict.features.spec import FeatureSpec, ModalitySpec
from emodict.predict.person import Unmixing
from emodict.recording.recording import Recording, Signal, canonical_channel

Float64Array = NDArray[np.float64]
logger = logging.getLogger(__name__)

FEWEST_CHANNELS = 4
SHORTEST_S = 60
# A stretch must be longer than the 1 Hz filter, whose ends are not to be trusted.
SHORTEST_STRETCH_S = 5
# Slow drifts are neither brain nor blink,
# and pull the components towards themselves (Winkler et al. 2015).
HIGH_PASS_HZ = 1.0
LOW_PASS_HZ = 70.0
# Muscle is told by its spectrum up to 45 Hz:
# this rate is enough to learn the components, and quick.
LEARNING_RATE_HZ = 150.0
# Eyes are seen best here; there is no electrode of their own. A blink is of both eyes,
# a loose electrode is not.
FRONTAL = (("FP1", "FP2"), ("AF7", "AF8"), ("F7", "F8"), ("FPZ",))
BLINK_CORRELATION = 0.5
# A blink is rare and large; a rhythm of the frontal brain, which correlates as well,
# is neither (its excess is 0).
BLINK_KURTOSIS = 3.0
# MNE multiplies three criteria and compares with the cube of this. Its default of 0.5 took
# out up to 7 of 18 components of simulated people, the brain's among them; 0.7 took out none
# where there was no muscle.
MUSCLE_THRESHOLD = 0.7
# More components than this share are not artefacts but the recording.
LARGEST_SHARE = 1 / 3


@dataclass(frozen=True)
class Removal:
    """A component that is taken out: what it is, and how sure (correlation or score)."""

    component: int
    kind: str
    score: float

    def __str__(self) -> str:
        measure = (
            "correlation with the frontal channels" if self.kind == "eye blinks" else "muscle score"
        )
        return f"component {self.component}: {self.kind}, {measure} {self.score:.2f}"


def fit_unmixing(
    recording: Recording, spec: FeatureSpec, *, seed: int, from_s: float = 0.0, to_s: float = np.inf
) -> Unmixing | None:
    """The unmixing matrix of a rest between two times; None where nothing was found to take out.

    Raises:
        RecordingError: no EEG, too few channels, or less than a minute of good signal.
        MissingDependencyError: MNE is not installed.
    """
    modality, signal = _eeg_of(recording, spec)
    samples = _good_samples(recording, modality, from_s=from_s, to_s=to_s)
    mixing, unmixing, removals = _components(
        samples, modality.channel_names, signal.rate_hz, seed=seed
    )
    if not removals:
        return None
    return Unmixing(
        channel_names=modality.channel_names,
        reference=signal.reference,
        matrix=matrix_without(mixing, unmixing, [removal.component for removal in removals]),
        removed=tuple(map(str, removals)),
    )


def matrix_without(
    mixing: Float64Array, unmixing: Float64Array, removed: list[int]
) -> Float64Array:
    """M = 1 - sum_k a_k w_k = mixing diag(keep) unmixing; mixing (channels, components)
    holds a_k, unmixing w_k.
    """
    return np.asarray(np.eye(len(mixing)) - mixing[:, removed] @ unmixing[removed])


def _eeg_of(recording: Recording, spec: FeatureSpec) -> tuple[ModalitySpec, Signal]:
    if "eeg" not in spec.modality_names or "eeg" not in recording.signals:
        raise RecordingError(
            "There is no EEG to unmix",
            expected="a recording and features with eeg",
            got=", ".join(recording.modality_names),
            fix="Leave --ica out",
        )
    modality = spec.modality("eeg")
    if len(modality.channel_names) < FEWEST_CHANNELS:
        raise RecordingError(
            "Too few EEG channels to unmix",
            expected=f"at least {FEWEST_CHANNELS}",
            got=len(modality.channel_names),
            fix="Leave --ica out",
        )
    return modality, recording.signals["eeg"]


def _good_samples(
    recording: Recording, modality: ModalitySpec, *, from_s: float, to_s: float
) -> Float64Array:
    """(samples, channels) in uV: high-passed stretches of good seconds, one after the other."""
    filter_data = _mne().filter.filter_data
    rate_hz = source_rate_hz(recording, modality)
    samples = np.concatenate(list(source_blocks(recording, modality)))
    samples = without_unusable(modality, samples[_cut(from_s, to_s, rate_hz)])
    second = round(rate_hz)
    count = len(samples) // second
    good, _ = assess(modality, samples[: count * second].reshape(count, second, -1))
    edges = np.flatnonzero(
        np.diff(np.concatenate([[False], good, [False]]).astype(np.int8))
    ).reshape(-1, 2)
    long = [(start, stop) for start, stop in edges.tolist() if stop - start >= SHORTEST_STRETCH_S]
    good_s = sum(stop - start for start, stop in long)
    if good_s < SHORTEST_S:
        raise RecordingError(
            "Too little good EEG to find artefacts in",
            expected=f"at least {SHORTEST_S} s in stretches of {SHORTEST_STRETCH_S} s or "
            f"more without a gap",
            got=f"{good_s} s",
            fix="Record a longer rest, or leave --ica out",
        )
    upper = LOW_PASS_HZ if rate_hz > 2.5 * LOW_PASS_HZ else None
    stretches = [
        filter_data(
            samples[start * second : stop * second].T, rate_hz, HIGH_PASS_HZ, upper, verbose="ERROR"
        ).T
        for start, stop in long
    ]
    return np.concatenate(stretches)


def _cut(from_s: float, to_s: float, rate_hz: float) -> slice:
    return slice(round(from_s * rate_hz), None if np.isinf(to_s) else round(to_s * rate_hz))


def _components(
    samples: Float64Array, channels: tuple[str, ...], rate_hz: float, *, seed: int
) -> tuple[Float64Array, Float64Array, list[Removal]]:
    """Mixing (channels, components), unmixing (components, channels),
    and what is to be taken out.
    """
    mne = _mne()
    info = mne.create_info(list(channels), rate_hz, "eeg")
    raw = mne.io.RawArray(samples.T * 1e-6, info, verbose="ERROR")
    raw.set_montage("standard_1020", match_case=False, on_missing="ignore", verbose="ERROR")
    ica = mne.preprocessing.ICA(
        method="infomax",
        fit_params={"extended": True},
        random_state=seed,
        max_iter="auto",
        verbose="ERROR",
    )
    with warnings.catch_warnings():
        # Each stretch was high-passed on its own, which MNE cannot see.
        warnings.filterwarnings("ignore", message=".*high-pass filtered.*")
        ica.fit(raw, decim=max(1, int(rate_hz // LEARNING_RATE_HZ)), verbose="ERROR")
    pca = ica.pca_components_[: ica.n_components_]
    removals = _strongest(
        [*_blinks(ica, raw, channels), *_muscle(ica, raw)], components=int(ica.n_components_)
    )
    return pca.T @ ica.mixing_matrix_, ica.unmixing_matrix_ @ pca, removals


def _blinks(ica: Any, raw: Any, channels: tuple[str, ...]) -> list[Removal]:
    """Components that go with the channels above both eyes and are as rare and large as blinks."""
    by_name = {canonical_channel(name): name for name in channels}
    frontal = next(
        ([by_name[name] for name in pair] for pair in FRONTAL if set(pair) <= set(by_name)), []
    )
    if not frontal:
        logger.warning("No pair of frontal channels (Fp1 and Fp2, ...): blinks cannot be told")
        return []
    found, scores = ica.find_bads_eog(
        raw, ch_name=frontal, measure="correlation", threshold=BLINK_CORRELATION, verbose="ERROR"
    )
    slow = ica.get_sources(raw).filter(HIGH_PASS_HZ, 10.0, picks="misc", verbose="ERROR").get_data()
    slow = slow - slow.mean(axis=1, keepdims=True)
    excess = (slow**4).mean(axis=1) / np.square(np.square(slow).mean(axis=1)) - 3
    correlation = np.abs(np.atleast_2d(scores)).min(axis=0)
    blinks = [
        int(k) for k in found if correlation[k] >= BLINK_CORRELATION and excess[k] > BLINK_KURTOSIS
    ]
    return [Removal(k, "eye blinks", float(correlation[k])) for k in blinks]


def _muscle(ica: Any, raw: Any) -> list[Removal]:
    """Components with the spectrum,
    the place and the unevenness of muscle (Dharmaprani et al. 2016).
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*sensor positions.*")
        found, scores = ica.find_bads_muscle(raw, threshold=MUSCLE_THRESHOLD, verbose="ERROR")
    return [Removal(int(k), "muscle", float(scores[k])) for k in found]


def _strongest(removals: list[Removal], *, components: int) -> list[Removal]:
    """Each component once, blinks before muscle, and no more than a third of all."""
    once = list({removal.component: removal for removal in reversed(removals)}.values())
    order = sorted(once, key=lambda removal: (removal.kind == "muscle", -removal.score))
    most = int(components * LARGEST_SHARE)
    if len(order) > most:
        logger.warning(
            "%d of %d components look like artefacts; the surest %d go",
            len(order),
            components,
            most,
        )
    return order[:most]


def _mne() -> Any:
    try:
        import mne
    except ImportError as error:
        raise MissingDependencyError(
            "mne", extra="calibrate", purpose="Finding artefacts in EEG (--ica)"
        ) from error
    return mne
