"""Checkpoint: a trained model that describes itself; it loads from its file alone,
and never runs pickled code.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emodict.engine.model_spec import ModelSpec, model_spec_from_dict
from emodict.errors import EmodictError, ModelError
from emodict.features.spec import FeatureSpec, require_known_spec, spec_from_dict
from emodict.files.atomic import atomic_path
from emodict.files.jsontext import parse_json
from emodict.files.mistaken import mistaken_for
from emodict_desk.tables.npz import check_archive
from emodict_train.model.emotion_dict import EmotionDict

FORMAT = "emodict-checkpoint"
FORMAT_VERSION = 1
# By this torch tells its archives from the files it wrote before.
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Checkpoint:
    """Both specs, the weights of each member (standardisation included) and how they came about.

    Attributes:
        states: one state_dict per member of the ensemble.
        mean_label: (emotions,) of the training rows: the prediction to beat.
        metrics: the six measures on the held-out rows, {"model": {...}, "mean_label": {...}}.
        training: plan, data and protocol, as JSON.
    """

    features: FeatureSpec
    model: ModelSpec
    states: tuple[Mapping[str, Tensor], ...]
    mean_label: NDArray[np.float64]
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Trained on simulated people, if only on some;
        the manifest of what is exported says the same.
        """
        return bool(self.training.get("simulated"))

    def networks(self) -> list[EmotionDict]:
        """The members, in evaluation mode on the CPU."""
        members = []
        for state in self.states:
            network = EmotionDict(self.model, self.features)
            network.load_state_dict(dict(state))
            members.append(network.eval())
        return members


def predict(networks: list[EmotionDict], tokens: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, tokens, width) raw features -> mean distribution of the members,
    their weights side by side.
    """
    with torch.no_grad():
        outputs = [network(tokens) for network in networks]
    distribution = torch.stack([o.log_distribution.exp() for o in outputs]).mean(dim=0)
    return distribution, torch.cat([o.weights for o in outputs], dim=1)


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint, whole or not at all: tensors, and JSON for the rest."""
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "features": json.dumps(checkpoint.features.to_dict()),
        "feature_spec_fingerprint": checkpoint.features.fingerprint,
        "model": json.dumps(checkpoint.model.to_dict()),
        "metrics": json.dumps(checkpoint.metrics),
        "training": json.dumps(checkpoint.training),
        "mean_label": torch.from_numpy(np.asarray(checkpoint.mean_label, dtype=np.float64)),
        "states": [dict(state) for state in checkpoint.states],
    }
    save_tensors(content, path)


def save_tensors(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """torch.save, whole or not at all.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    # Into memory first: of a full disk torch's own writer says no more than
    # "unexpected pos 128 vs 0".
    archive = io.BytesIO()
    torch.save(content, archive)
    with atomic_path(path) as part:
        part.write_bytes(archive.getbuffer())


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        ModelError: not a checkpoint of emodict's, damaged, or one that wants to run pickled code.
        SpecError: its features are not the ones this emodict computes under that name.
    """
    content = load_tensors(Path(path), what="a checkpoint written by emodict-train")
    found = content.get("format") if isinstance(content, dict) else content
    # A tensor is no more to be compared or shown than it is a format.
    if not isinstance(content, dict) or not isinstance(found, str) or found != FORMAT:
        raise ModelError(
            f"{path} is a PyTorch file but not a checkpoint of emodict's",
            expected=f"format '{FORMAT}'",
            got=repr(found) if isinstance(found, str | None) else type(found).__name__,
            fix="Train one: emodict-train fit DATA -o model.pt",
        )
    version = content.get("format_version")
    if not isinstance(version, int) or version != FORMAT_VERSION:
        raise ModelError(
            f"{path} is a checkpoint of another version",
            expected=f"format_version {FORMAT_VERSION}",
            got=version if isinstance(version, int | str | None) else type(version).__name__,
            fix="Use the emodict that wrote it, or train again",
        )
    with _damage_named(path):
        fingerprint = str(content["feature_spec_fingerprint"])
        checkpoint = Checkpoint(
            features=spec_from_dict(parse_json(content["features"])),
            model=model_spec_from_dict(parse_json(content["model"])),
            states=tuple(content["states"]),
            mean_label=content["mean_label"].numpy(),
            metrics=parse_json(content["metrics"]),
            training=parse_json(content["training"]),
        )
    require_known_spec(checkpoint.features, source=str(path), fingerprint=fingerprint)
    with _damage_named(path):
        _check(checkpoint)
    return checkpoint


@contextlib.contextmanager
def _damage_named(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except (EmodictError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ModelError(
            f"{path} is a damaged checkpoint: {error}", fix="Copy it again, or train again"
        ) from error


def _check(checkpoint: Checkpoint) -> None:
    """Raises ValueError or RuntimeError where the parts do not go together."""
    model = checkpoint.model
    if len(checkpoint.states) != model.members or checkpoint.mean_label.shape != (
        len(model.emotions),
    ):
        raise ValueError(
            f"{len(checkpoint.states)} states, {checkpoint.mean_label.shape} mean label"
        )
    if model.modalities != checkpoint.features.modality_names:
        raise ValueError(
            f"a model of {model.modalities} on features of {checkpoint.features.modality_names}"
        )
    _check_size(checkpoint)
    checkpoint.networks()


def _check_size(checkpoint: Checkpoint) -> None:
    """Raises ValueError for fewer weights than the network's matrices have,
    before any room is made for those.
    """
    model = checkpoint.model
    layer = 4 * model.d_model**2 + 2 * model.d_model * model.feed_forward
    pooled = model.d_model * (checkpoint.features.tokens if model.readout == "flatten" else 1)
    classifier = model.latent * (model.latent + 2 * model.bottleneck)
    least = model.layers * layer + (pooled + model.latent) * model.elements + classifier
    for state in checkpoint.states:
        # Of the storage: a view may claim any number of elements.
        held = sum(value.untyped_storage().nbytes() // value.itemsize for value in state.values())
        if held < least:
            raise ValueError(f"its network has {least:,} weights and more, {held:,} are there")


def load_tensors(path: Path, *, what: str) -> Any:
    """torch.load of tensors and plain values only.

    Raises:
        ModelError: missing, not a PyTorch file, or with code pickled into it.
    """
    if not path.is_file():
        raise ModelError(
            f"There is no file {path}", expected=what, fix="Check the path and its spelling"
        )
    try:
        return read_torch(path)
    except pickle.UnpicklingError as error:
        # torch says this where the pickle names something other than tensors.
        if "GLOBAL" in str(error) or ("weights_only" in str(error) and zipfile.is_zipfile(path)):
            raise ModelError(
                f"{path} holds pickled Python objects, which could run any code; it was not loaded",
                expected=what,
                fix="Use only checkpoints written by emodict-train",
            ) from None
        raise _not_a_checkpoint(path, what) from error
    except Exception as error:  # torch's readers of broken files fail in too many ways to name
        raise _not_a_checkpoint(path, what) from error


def read_torch(path: Path) -> Any:
    """torch.load of tensors and plain values only,
    from a file that holds what it claims; raises whatever comes.
    """
    _check_sums(path)
    with _Measured(path) as file, warnings.catch_warnings():
        zipped = file.peek(len(_ZIP)).startswith(_ZIP)
        # Of files that are none of emodict's (TorchScript) it warns with lines of its source,
        # before they are refused.
        warnings.simplefilter("ignore")
        return torch.load(path if zipped else file, map_location="cpu", weights_only=True)


class _Measured(io.BufferedReader):
    """A file that makes no room for bytes it does not have:
    torch's format from before zip archives says any length.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _check_sums(path: Path) -> None:
    """Raises where a bit of a torch file (a zip archive) has changed,
    or it unpacks to more than it holds.

    Torch itself looks for neither.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path.stat().st_size)
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"checksum of {damaged}")


def _not_a_checkpoint(path: Path, what: str) -> ModelError:
    with path.open("rb") as handle:
        head = handle.read(8)
    got, fix = mistaken_for(path) or (
        f"a damaged or another file, starting with {head!r}",
        "Copy it again, or train one: emodict-train fit DATA -o model.pt",
    )
    return ModelError(f"{path} cannot be read as a PyTorch file", expected=what, got=got, fix=fix)
