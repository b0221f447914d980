"""Person: one person's baseline at rest and, where asked for, an unmixing matrix of the EEG,
as person.json holds them.

A model may know how people are at rest (`emodict-calibrate population`). Half of the way from a
person's own rest to theirs is added to every feature before the engine: x' = x + (population rest -
own rest) / 2, one affine map. Why half, why no scale, and why not towards the mean of all training
rows: docs/calibration.md has the measurement.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.engine.manifest import Manifest
from emodict.errors import EmodictError, PersonError, SpecError
from emodict.features.spec import FeatureSpec
from emodict.files.atomic import atomic_path
from emodict.files.jsontext import parse_json
from emodict.recording.modalities import EEG
from emodict.recording.recording import Recording, canonical_channel

Float64Array = NDArray[np.float64]

FORMAT = "emodict-person"
FORMAT_VERSION = "1"
STRENGTH = 0.5
# Where the training record of a model holds how people are at rest: {"people": n,
# "mean": {modality: [[...]]}}.
REST = "rest"
_MAKE_ONE = "Make one: emodict-calibrate person REST.h5 -o person.json"
_MAKE_AGAIN = "Make it again: emodict-calibrate person REST.h5 -o person.json"


@dataclass(frozen=True)
class Baseline:
    """One modality's features at rest.

    Attributes:
        fingerprint: of the feature spec with this modality alone,
            so that it serves every model that uses it.
        rows: valid windows that it was taken from, one a second.
        mean, scale: (tokens, width) mean and standard deviation over these windows.
    """

    fingerprint: str
    rows: int
    mean: Float64Array
    scale: Float64Array

    def __post_init__(self) -> None:
        if self.rows < 1 or self.mean.ndim != 2 or self.scale.shape != self.mean.shape:
            raise PersonError(
                "A baseline does not fit together", got=f"{self.mean.shape} and {self.scale.shape}"
            )
        if not (
            np.isfinite(self.mean).all()
            and np.isfinite(self.scale).all()
            and (self.scale >= 0).all()
        ):
            raise PersonError("A baseline holds something that is not a number")


@dataclass(frozen=True)
class Unmixing:
    """(channels, channels): each sample of the EEG, in uV, is multiplied by it;
    artefacts do not come through.

    Attributes:
        reference: of the EEG that it was fitted on, "" where unknown.
        removed: why each component was taken out, for people to read.
    """

    channel_names: tuple[str, ...]
    reference: str
    matrix: Float64Array
    removed: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.channel_names)
        if self.matrix.shape != (count, count) or not np.isfinite(self.matrix).all():
            raise PersonError(
                "The unmixing matrix cannot be used", expected=f"{count} x {count} numbers"
            )
        if len(set(map(canonical_channel, self.channel_names))) != count:
            raise PersonError(
                "The unmixing matrix has a channel twice", got=" ".join(self.channel_names)
            )

    def in_order(self, channels: Sequence[str]) -> Float64Array:
        """The matrix for channels in this order, matched by name.

        Raises:
            PersonError: they are not the channels that it was fitted on.
        """
        at = {canonical_channel(name): i for i, name in enumerate(self.channel_names)}
        wanted = [canonical_channel(name) for name in channels]
        if set(wanted) != set(at) or len(wanted) != len(at):
            raise PersonError(
                "The unmixing matrix is for other EEG channels than the model's",
                expected=" ".join(channels),
                got=" ".join(self.channel_names),
                fix=_MAKE_AGAIN,
            )
        order = [at[name] for name in wanted]
        return np.ascontiguousarray(self.matrix[np.ix_(order, order)])


@dataclass(frozen=True)
class Adaptation:
    """A person on a model: what is added to its features, and what the EEG is multiplied by.

    Attributes:
        shift: (tokens, width); 0 for a modality without baseline.
        modalities, lacking: the model's modalities with a baseline, and without.
        unmixing: (channels, channels) in the spec's order; None: the EEG is taken as it is.
    """

    person: Person
    shift: Float64Array
    modalities: tuple[str, ...]
    lacking: tuple[str, ...]
    unmixing: Float64Array | None

    def describe(self) -> str:
        """What is applied, in one line."""
        text = (
            f"Baseline of subject {self.person.subject_id} applied to {', '.join(self.modalities)}"
        )
        if self.unmixing is not None:
            text += "; the EEG is unmixed"
        if self.lacking:
            lacking = (f"{name} ({self._why_without(name)})" for name in self.lacking)
            text += f"; none for {', '.join(lacking)}"
        return text + (" (SIMULATED person)" if self.person.simulated else "")

    def _why_without(self, name: str) -> str:
        if name in self.person.baselines:
            return "the model knows no rest of it"
        return self.person.without.get(name, "not in the person.json")

    def check(self, recording: Recording) -> None:
        """Refuse a recording of anybody else, or one whose EEG has another reference.

        Raises:
            PersonError: with both subject ids, or both references.
        """
        person = self.person
        if recording.subject_id != person.subject_id:
            raise PersonError(
                "A person's baseline is never applied to somebody else",
                expected=f"a recording of subject '{person.subject_id}'",
                got=f"subject '{recording.subject_id}'"
                if recording.subject_id
                else "a recording without subject_id",
                fix="Give this subject's own person.json, or leave --person out",
            )
        eeg = recording.signals.get(EEG)
        if self.unmixing is None or eeg is None or person.unmixing is None:
            return
        ours, theirs = person.unmixing.reference, eeg.reference
        if ours and theirs and canonical_channel(ours) != canonical_channel(theirs):
            raise PersonError(
                "The unmixing matrix was fitted on EEG with another reference",
                expected=f"reference {ours}",
                got=theirs,
                fix=_MAKE_AGAIN,
            )


@dataclass(frozen=True)
class Person:
    """What a rest recording tells of one person.

    Attributes:
        spec_id: of the features; each baseline has its modality's fingerprint.
        without: modalities that have no baseline, and why.
        simulated: the rest recording is of a simulated person.
    """

    subject_id: str
    session_id: str
    spec_id: str
    baselines: Mapping[str, Baseline]
    without: Mapping[str, str] = field(default_factory=dict)
    unmixing: Unmixing | None = None
    simulated: bool = False
    software: str = ""

    def __post_init__(self) -> None:
        if not self.subject_id:
            raise PersonError("A person needs a subject_id")
        if not self.baselines:
            raise PersonError("A person needs the baseline of at least one modality")

    def adapt(self, manifest: Manifest) -> Adaptation:
        """What is done for this person before a model.

        Raises:
            SpecError: the baselines are of other features; both are in the sentence.
            PersonError: the model does not know how people are at rest, none of its modalities has
                a baseline, or the EEG's channels differ.
        """
        if manifest.raw_inputs:
            raise PersonError(
                "A model that begins at raw samples takes no person.json",
                expected="one into which the person was folded when it was exported",
                fix="emodict-export model.pt --raw --person person.json",
            )
        features = manifest.features
        rest = population_rest(manifest)
        shift = np.zeros((features.tokens, features.token_width))
        shared = tuple(
            name for name in features.modality_names if name in self.baselines and name in rest
        )
        if not shared:
            raise PersonError(
                f"The person.json of subject '{self.subject_id}' has no baseline that "
                f"this model can use",
                expected=", ".join(features.modality_names),
                got=", ".join(self.baselines),
                fix="Record a rest with these sensors, or leave --person out",
            )
        for name in shared:
            part = features.token_slices[name]
            self.require_same(features, name)
            shift[part] = STRENGTH * (rest[name] - self.baselines[name].mean)
        unmixing = None
        if self.unmixing is not None and EEG in features.modality_names:
            unmixing = self.unmixing.in_order(features.modality(EEG).channel_names)
        lacking = tuple(name for name in features.modality_names if name not in shared)
        return Adaptation(self, shift, shared, lacking, unmixing)

    def require_same(self, features: FeatureSpec, name: str) -> None:
        """Refuse features other than those of the baseline of modality `name`.

        Raises:
            SpecError: both are in the sentence.
        """
        baseline, wanted = self.baselines[name], modality_fingerprint(features, name)
        part = features.token_slices[name]
        tokens = part.stop - part.start
        channels = features.chosen_channels if name == EEG else ()
        chosen = f" --channels {','.join(channels)}" if channels else ""
        if baseline.fingerprint != wanted or baseline.mean.shape != (tokens, features.token_width):
            raise SpecError(
                f"The person.json of subject '{self.subject_id}' and the model use different "
                f"features of {name}",
                expected=f"{features.id} ({name}, {wanted})",
                got=f"{self.spec_id} ({name}, {baseline.fingerprint})",
                fix=f"Make it with the model's features: emodict-calibrate person REST.h5 --spec "
                f"{features.id}{chosen}",
            )


def population_rest(manifest: Manifest) -> dict[str, Float64Array]:
    """(tokens, width) of each modality: the mean of people at rest that was written into the model.

    Raises:
        PersonError: nothing was, or it does not fit the features.
    """
    features = manifest.features
    try:
        means = {
            str(name): _numbers(mean) for name, mean in manifest.training[REST]["mean"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PersonError(
            "This model does not know how people are at rest, "
            "so there is nothing to compare a person with",
            expected="a model that went through emodict-calibrate population",
            fix="emodict-calibrate population model.pt PERSON.json... "
            "-o model-rest.pt, and export that",
        ) from None
    for name, mean in means.items():
        part = features.token_slices.get(name)
        if (
            part is None
            or mean.shape != (part.stop - part.start, features.token_width)
            or not np.isfinite(mean).all()
        ):
            raise PersonError(
                f"What the model says of people at rest ({name}) is damaged", fix="Export it again"
            )
    return means


def modality_fingerprint(features: FeatureSpec, name: str) -> str:
    """Of a spec with this modality alone."""
    return features.with_modalities([name]).fingerprint


def write_person(person: Person, path: str | os.PathLike[str]) -> None:
    """Write person.json, whole or not at all."""
    content = person_as_dict(person)
    with atomic_path(path) as part:
        part.write_text(
            json.dumps({**content, "sha256": _sha256(content)}, indent=1) + "\n", encoding="utf-8"
        )


def person_as_dict(person: Person) -> dict[str, Any]:
    """Plain JSON types; `read_person` reads them back."""
    unmixing = None
    if person.unmixing is not None:
        unmixing = {
            "channel_names": list(person.unmixing.channel_names),
            "reference": person.unmixing.reference,
            "removed": list(person.unmixing.removed),
            "matrix": person.unmixing.matrix.tolist(),
        }
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "subject_id": person.subject_id,
        "session_id": person.session_id,
        "simulated": person.simulated,
        "software": person.software,
        "spec_id": person.spec_id,
        "baselines": {
            name: {
                "fingerprint": b.fingerprint,
                "rows": b.rows,
                "mean": b.mean.tolist(),
                "scale": b.scale.tolist(),
            }
            for name, b in person.baselines.items()
        },
        "without": dict(person.without),
        "unmixing": unmixing,
    }


def read_person(path: str | os.PathLike[str]) -> Person:
    """Read what `write_person` wrote.

    Raises:
        PersonError: no such file, not a person.json, changed after it was written,
            or one that does not fit together.
    """
    content = _read_json(Path(path))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise PersonError(
            f"{path} is not a person.json", expected=f"format '{FORMAT}'", fix=_MAKE_ONE
        )
    if content.get("format_version") != FORMAT_VERSION:
        raise PersonError(
            f"{path} was written for another version of emodict",
            expected=f"format_version {FORMAT_VERSION}",
            got=content.get("format_version"),
            fix=_MAKE_AGAIN,
        )
    stored = content.pop("sha256", None)
    if stored != _sha256(content):
        raise PersonError(
            f"{path} was changed after it was written, or is damaged: its sha256 differs",
            fix=_MAKE_AGAIN,
        )
    try:
        return _person_from(content)
    except (EmodictError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise PersonError(f"{path} is damaged: {error}", fix=_MAKE_AGAIN) from error


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise PersonError(f"There is no file {path}", expected="a person.json", fix=_MAKE_ONE)
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PersonError(
            f"{path} cannot be read as JSON: {error}", expected="a person.json", fix=_MAKE_ONE
        ) from error


def _person_from(content: Mapping[str, Any]) -> Person:
    unmixing = content["unmixing"]
    return Person(
        subject_id=str(content["subject_id"]),
        session_id=str(content["session_id"]),
        spec_id=str(content["spec_id"]),
        baselines={
            str(name): Baseline(
                str(b["fingerprint"]), int(b["rows"]), _numbers(b["mean"]), _numbers(b["scale"])
            )
            for name, b in content["baselines"].items()
        },
        without={str(name): str(why) for name, why in content["without"].items()},
        unmixing=None
        if unmixing is None
        else Unmixing(
            channel_names=tuple(map(str, unmixing["channel_names"])),
            reference=str(unmixing["reference"]),
            matrix=_numbers(unmixing["matrix"]),
            removed=tuple(map(str, unmixing["removed"])),
        ),
        simulated=bool(content["simulated"]),
        software=str(content["software"]),
    )


def _numbers(values: Any) -> Float64Array:
    return np.asarray(values, dtype=np.float64)


def _sha256(content: Mapping[str, Any]) -> str:
    """Of the content as JSON, whatever its layout in the file."""
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()
