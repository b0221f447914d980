"""The commands that are killed: what each reads, what it writes,
and what may be there after a kill.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.reliability import forked
from tests.reliability.content import content
from tests.reliability.forked import Command

from emodict.engine.trust import read_signing_key, require_signed
from emodict.errors import TrustError

HEADBAND = "AF7,AF8,TP9,TP10"


@dataclass(frozen=True)
class Job:
    """A command that is killed and started again.

    Attributes:
        module: of the command; with `loads`,
            what a forked process finds imported and need not import each time.
        inputs: links to what it reads, which lie in its folder.
        old_words: makes an older version of the same files, for the runs that replace one.
        worst_moments: whether it is killed at them; not where every start costs many seconds.
        signed: the model among its outputs of which a mixture of old and new must be refused.
        keeps: what it keeps to go on from, as patterns; all else is there in the end alone.
    """

    key: str
    name: str
    module: str
    words: Sequence[str]
    inputs: Sequence[str]
    old_words: Sequence[str] = ()
    keeps: Sequence[str] = ()
    worst_moments: bool = True
    signed: str | None = None
    loads: Sequence[str] = ()

    def command(self, words: Sequence[str]) -> Command:
        return Command(self.module, words)

    def files(self, folder: Path) -> dict[str, Path]:
        """What lies under its final name: neither an input nor hidden."""
        found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*"))}
        return {
            n: p
            for n, p in found.items()
            if p.is_file() and not p.is_symlink() and not p.name.startswith(".")
        }

    def outputs(self, folder: Path) -> dict[str, object]:
        return {name: content(path) for name, path in self.files(folder).items()}

    def broken(
        self, folder: Path, old: Mapping[str, Sequence[object]], new: Mapping[str, object]
    ) -> list[str]:
        """Files that are neither the old ones nor the new ones, in sentences."""
        broken = []
        for name, path in self.files(folder).items():
            try:
                found = content(path)
            except (
                Exception
            ) as error:  # whatever a reader says of a broken file is what we look for
                broken.append(f"{name} cannot be read: {error}")
                continue
            if self._is_kept(path, folder) and name not in new:
                continue
            if found not in [*old.get(name, ()), *([new[name]] if name in new else [])]:
                broken.append(f"{name} is neither the old file nor the new one")
        return [*broken, *self._mixed(folder, old, new)]

    def _mixed(
        self, folder: Path, old: Mapping[str, Sequence[object]], new: Mapping[str, object]
    ) -> list[str]:
        """A model whose files are not all of one run, and that a device would take nevertheless."""
        if self.signed is None or not self.is_trusted(folder):
            return []
        files = [self.signed] + [f"{self.signed}.json"] * self.signed.endswith(".plan")
        found = [content(folder / name) for name in files]
        wholes = [[new[name] for name in files]] + [[old[name][0] for name in files]] * bool(old)
        return [] if found in wholes else [f"{self.signed} is taken, though not all of one run"]

    def is_trusted(self, folder: Path) -> bool:
        """Would a device run it?"""
        assert self.signed is not None
        try:
            require_signed(folder / self.signed, read_signing_key(folder / "key.pem").public_key())
        except TrustError:
            return False
        return True

    def differing(self, folder: Path, new: Mapping[str, object]) -> list[str]:
        """Files that an undisturbed run does not leave, or not like this."""
        found = self.outputs(folder)
        differing = {name for name in {*found, *new} if found.get(name) != new.get(name)}
        return sorted(
            differing
            | ({self.signed} if self.signed is not None and not self.is_trusted(folder) else set())
        )

    def kept_work(self, folder: Path) -> dict[str, int]:
        """What there is to go on from, and when it was written."""
        files = self.files(folder)
        return {n: p.stat().st_mtime_ns for n, p in files.items() if self._is_kept(p, folder)}

    def _is_kept(self, path: Path, folder: Path) -> bool:
        return any(path.relative_to(folder).match(pattern) for pattern in self.keeps)


_WRIST = ("--modalities", "gsr,ppg")
_PERSON = ("person", "people/sub-01.h5", *_WRIST, "-o", "person.json")
_FIT = ("fit", "rows.npz", "-o", "model.pt", *_WRIST)
_STUDY = ("--quick", "--methods", "AA-kNN,kernel ridge", "--protocols", "trials", "--jobs", "1")
_SIMULATE = (
    "simulate",
    "made",
    "--people",
    "2",
    "--trials",
    "2",
    "--trial-s",
    "6",
    "--channels",
    HEADBAND,
)
_RUN = ("--engine", "model.onnx", "-q", "--weights")
_FIT_LOADS = (
    "torch._dynamo",
    "emodict_train.fit.fitting",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.kernel_ridge",
)
_STUDY_LOADS = (*_FIT_LOADS, "matplotlib.figure")
_EXPORT_LOADS = (
    "torch._dynamo",
    "onnx",
    "onnxruntime",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
)
_RUN_READS = ("people", "model.onnx")

JOBS = (
    Job(
        "fit",
        "emodict-train fit",
        "emodict_train.cli",
        (*_FIT, "--epochs", "3", "--ensemble", "2"),
        ("rows.npz",),
        (*_FIT, "--epochs", "1"),
        keeps=("*.resume",),
        loads=_FIT_LOADS,
    ),
    Job(
        "study",
        "emodict-train study",
        "emodict_train.cli",
        ("study", "rows.npz", "-o", "study", *_STUDY),
        ("rows.npz",),
        keeps=("study/cells/*",),
        loads=_STUDY_LOADS,
    ),
    Job(
        "study-2",
        "emodict-train study --jobs 2",
        "emodict_train.cli",
        ("study", "rows.npz", "-o", "study", *_STUDY[:-1], "2"),
        ("rows.npz",),
        keeps=("study/cells/*",),
        worst_moments=False,
        loads=_STUDY_LOADS,
    ),
    Job(
        "simulate",
        "emodict-train simulate",
        "emodict_train.cli",
        _SIMULATE,
        (),
        (*_SIMULATE, "--seed", "1"),
    ),
    Job(
        "export-onnx",
        "emodict-export --sign",
        "emodict_export.cli",
        ("model.pt", "-o", "out.onnx", "--sign", "key.pem"),
        ("model.pt", "other.pt", "key.pem"),
        ("other.pt", "-o", "out.onnx", "--sign", "key.pem"),
        signed="out.onnx",
        loads=_EXPORT_LOADS,
    ),
    Job(
        "export-plan",
        "emodict-export --sm 89 --sign",
        "emodict_export.cli",
        ("model.pt", "-o", "out.plan", "--sm", "89", "--sign", "key.pem"),
        ("model.pt", "other.pt", "key.pem"),
        ("other.pt", "-o", "out.plan", "--sm", "89", "--sign", "key.pem"),
        signed="out.plan",
        loads=_EXPORT_LOADS,
    ),
    Job(
        "calibrate",
        "emodict-calibrate",
        "emodict_calibration.cli",
        ("model.pt", "rows.npz", "-o", "precision.json", "--rows", "12"),
        ("model.pt", "rows.npz"),
        ("model.pt", "rows.npz", "-o", "precision.json", "--rows", "8"),
        loads=(*_EXPORT_LOADS, "matplotlib.figure"),
    ),
    Job(
        "person",
        "emodict-calibrate person",
        "emodict_calibration.cli",
        (*_PERSON, "--to", "40"),
        ("people",),
        (*_PERSON, "--to", "39"),
    ),
    *(
        Job(
            f"run-{ending}",
            f"emodict-run --out {ending} --report",
            "emodict.cli.run",
            (*_RUN, "people", "--out", f"rows.{ending}", "--report", "report.html"),
            _RUN_READS,
            (*_RUN, "people/sub-01.h5", "--out", f"rows.{ending}", "--report", "report.html"),
            loads=("h5py", "onnxruntime"),
        )
        for ending in ("csv", "json", "parquet", "h5")
    ),
    Job(
        "import",
        "emodict-session import",
        "emodict_desk.cli.session",
        ("import", "csv", "signals.csv", "-o", "s.h5", "--columns", "gsr=gsr", "--unit", "gsr=uS"),
        ("signals.csv",),
        (
            "import",
            "csv",
            "signals.csv",
            "-o",
            "s.h5",
            "--columns",
            "gsr=gsr",
            "--unit",
            "gsr=uS",
            "--subject",
            "old",
        ),
    ),
    Job(
        "features",
        "emodict-session features",
        "emodict_desk.cli.session",
        ("features", "people/sub-01.h5", "people/sub-02.h5", "-o", "f.npz", "--channels", HEADBAND),
        ("people",),
        ("features", "people/sub-01.h5", "-o", "f.npz", "--channels", HEADBAND),
    ),
    Job(
        "faces",
        "emodict-session faces",
        "emodict_desk.cli.session",
        ("faces", "film.avi", "--face", "hog", "--cropped", "-o", "face.h5"),
        ("film.avi",),
        ("faces", "film.avi", "--face", "hog", "--cropped", "-o", "face.h5", "--subject", "old"),
    ),
)


def load(jobs: Sequence[Job]) -> None:
    """Import what these commands import, which must start no thread."""
    for name in {name for job in jobs for name in (job.module, *job.loads)}:
        importlib.import_module(name)
    if "emodict_train.fit.resume" in sys.modules:
        # After every epoch, so that a kill finds something to go on from.
        sys.modules["emodict_train.fit.resume"].SAVE_EVERY_S = 0.0  # type: ignore[attr-defined]


def make_materials(folder: Path, names: set[str]) -> Path:
    """What the commands read; `names` as in Job.inputs."""
    folder.mkdir()
    if names & {"people", "rows.npz"}:
        _make(
            folder,
            "emodict_train.cli",
            "simulate",
            "people",
            "--people",
            "2",
            "--trials",
            "6",
            "--trial-s",
            "8",
            "--baseline-s",
            "40",
            "--channels",
            HEADBAND,
        )
    if "rows.npz" in names:
        _make(
            folder,
            "emodict_desk.cli.session",
            "features",
            "people/sub-01.h5",
            "people/sub-02.h5",
            "-o",
            "rows.npz",
            "--channels",
            HEADBAND,
        )
    for seed, name in enumerate(("model.pt", "other.pt")):
        if name in names or "model.onnx" in names:
            _make_model(folder / name, seed)
    if "model.onnx" in names:
        _make(folder, "emodict_export.cli", "model.pt", "-o", "model.onnx")
    if "key.pem" in names:
        _make_key(folder / "key.pem")
    if "film.avi" in names:
        from tests.runtime.face.test_face_video import face_for, write_video

        write_video(folder / "film.avi", face_for(40))
    rows = "".join(f"{i / 4},{5 + i % 7}\n" for i in range(20_000))
    (folder / "signals.csv").write_text("time,gsr\n" + rows)
    return folder


def _make(folder: Path, module: str, *words: str) -> None:
    ended = forked.run(Command(module, words), folder)
    if ended.code != 0:
        raise RuntimeError(f"{module} {' '.join(words)}: {ended.said}")


def _make_model(path: Path, seed: int) -> None:
    """A model of the wrist with random weights: real in everything but its opinions."""
    import numpy as np
    import torch

    from emodict.engine.model_spec import ModelSpec
    from emodict.features.spec import load_spec
    from emodict_desk.tables.table import DMER_EMOTIONS
    from emodict_train.model.checkpoint import Checkpoint, save_checkpoint
    from emodict_train.model.emotion_dict import EmotionDict

    features = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
    spec = ModelSpec(DMER_EMOTIONS, features.modality_names, ())
    torch.manual_seed(seed)
    state = EmotionDict(spec, features).eval().state_dict()
    save_checkpoint(Checkpoint(features, spec, (state,), np.full(10, 0.1)), path)


def _make_key(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
