"""Targets: people of published data sets, of which one file is damaged and the others are whole."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.made_up_emognition import write_person as write_emognition
from tests.made_up_wesad import write_person as write_wesad
from tests.reliability.fuzz.importers import use_recording
from tests.reliability.fuzz.target import Target
from tests.runtime.desk.test_import_case import write_case
from tests.runtime.desk.test_import_kemocon import write_kemocon

from emodict_desk.importers import IMPORTERS

# From file name to content.
Files = Mapping[str, bytes]


def _written(write: Callable[[Path], Path]) -> Files:
    """The files of a person that `write` writes into a folder, which it returns."""
    with tempfile.TemporaryDirectory() as folder:
        return {file.name: file.read_bytes() for file in write(Path(folder)).iterdir()}


@functools.cache
def wesad() -> Files:
    return _written(lambda folder: write_wesad(folder, 0, condition_s=10.0, rest_s=1.0))


@functools.cache
def emognition() -> Files:
    return _written(lambda folder: write_emognition(folder, films=["AWE"]))


@functools.cache
def case() -> Files:
    """One name twice: of the signals, of which the head is enough, and of the annotations."""
    with tempfile.TemporaryDirectory() as folder:
        signals = write_case(Path(folder))
        told = Path(folder) / "annotations" / signals.name
        head = b"\n".join(signals.read_bytes().splitlines()[:300]) + b"\n"
        return {"sub_1.csv": head, "annotations": told.read_bytes()}


def read_folder(kind: str, path: Path) -> None:
    use_recording(IMPORTERS[kind].read(path.parent), path.parent / "out")


def read_signals_of_case(path: Path) -> None:
    _read_case(path, path.read_bytes(), case()["annotations"])


def read_annotations_of_case(path: Path) -> None:
    _read_case(path, case()["sub_1.csv"], path.read_bytes())


def _read_case(path: Path, signals: bytes, annotations: bytes) -> None:
    out = path.parent / "out"
    for folder, content in (("physiological", signals), ("annotations", annotations)):
        (out / folder).mkdir(parents=True, exist_ok=True)
        (out / folder / path.name).write_bytes(content)
    use_recording(IMPORTERS["case"].read(out / "physiological" / path.name), out)


@functools.cache
def kemocon() -> Files:
    """By their names; the folders they lie in are made again."""
    with tempfile.TemporaryDirectory() as folder:
        write_kemocon(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).rglob("*.csv")}


def read_kemocon(path: Path) -> None:
    """A damaged file where it has to be, the others whole."""
    out = path.parent / "out"
    for place in (
        "e4_data/7/E4_BVP.csv",
        "e4_data/7/E4_EDA.csv",
        "emotion_annotations/self_annotations/P7.self.csv",
        "metadata/subjects.csv",
    ):
        laid = out / place
        laid.parent.mkdir(parents=True, exist_ok=True)
        whole = kemocon()[laid.name]
        laid.write_bytes(path.read_bytes() if laid.name == path.name else whole)
    use_recording(IMPORTERS["kemocon"].read(out / "e4_data" / "7"), out)


def _target(label: str, kind: str, name: str, files: Callable[[], Files]) -> Target:
    return Target(
        label, name, functools.partial(read_folder, kind), lambda: [files()[name]], beside=files
    )


TARGETS = [
    _target("import wesad", "wesad", "S2.pkl", wesad),
    _target("WESAD questionnaire", "wesad", "S2_quest.csv", wesad),
    _target("import emognition", "emognition", "22_AWE_STIMULUS_EMPATICA.json", emognition),
    _target("Emognition headband", "emognition", "22_AWE_STIMULUS_MUSE.json", emognition),
    _target("Emognition answers", "emognition", "22_QUESTIONNAIRES.json", emognition),
    Target("import case", "sub_1.csv", read_signals_of_case, lambda: [case()["sub_1.csv"]]),
    *(
        Target(label, name, read_kemocon, functools.partial(lambda at: [kemocon()[at]], name))
        for label, name in (
            ("import kemocon", "E4_BVP.csv"),
            ("K-EmoCon ratings", "P7.self.csv"),
            ("K-EmoCon people", "subjects.csv"),
        )
    ),
    Target(
        "CASE annotations", "sub_1.csv", read_annotations_of_case, lambda: [case()["annotations"]]
    ),
]
