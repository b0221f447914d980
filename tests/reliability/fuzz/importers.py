"""Targets: the importers of recordings of other makers, and of tables to train on."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import edfio
import numpy as np
from scipy.io import savemat
from tests.reliability.fuzz.target import Target
from tests.runtime.desk.test_import_acqknowledge import acq_file
from tests.runtime.desk.test_import_brainflow import brainflow_file
from tests.runtime.desk.test_import_dsi import dsi_file
from tests.runtime.desk.test_import_embraceplus import avro_file
from tests.runtime.desk.test_import_emotibit import emotibit_file
from tests.runtime.desk.test_import_mne import brainvision
from tests.runtime.desk.test_import_muse import muse_file
from tests.runtime.desk.test_import_muse_lsl import muse_lsl_file
from tests.runtime.desk.test_import_openbci import openbci_file
from tests.runtime.desk.test_import_opensignals import add_device, bitalino_rows, txt_file
from tests.runtime.desk.test_import_polar import polar_file
from tests.runtime.desk.test_import_shimmer import shimmer_file
from tests.runtime.desk.test_import_xdf import EEG, XdfWriter
from tests.train.data.test_data import write_dmer, write_edl

from emodict.errors import EmodictError
from emodict.features import extract_features
from emodict.features.spec import load_spec
from emodict.recording.recording import Recording
from emodict.recording.session import write_session
from emodict_desk.importers import IMPORTERS
from emodict_desk.importers.join import Companion, join_recordings, read_companion
from emodict_train.data.dmer import read_dmer_folder
from emodict_train.data.edl import read_edl

Write = Callable[[Path], object]


def table(path: Path) -> None:
    path.write_text(
        "time,BVP,EDA (uS)\n" + "".join(f"{n / 64:.4f},{n},{n / 9:.3f}\n" for n in range(40))
    )


def e4(path: Path) -> None:
    path.write_text("1700000000.00\n4.000000\n" + "".join(f"{n / 9:.3f}\n" for n in range(40)))


def edf(path: Path) -> None:
    signal = edfio.EdfSignal(np.sin(np.arange(200)), 100, label="EEG Cz", physical_dimension="uV")
    edfio.Edf([signal], annotations=[edfio.EdfAnnotation(1.0, None, "x")]).write(path)


def xdf(path: Path) -> None:
    writer = XdfWriter(datetime="2025-01-31T00:21:17+0000")
    writer.stream(1, "Cap", "EEG", rate=100, channels=EEG).stream(
        3, "Tasks", "Markers", form="string"
    )
    writer.samples(1, 1000 + np.arange(40) / 100, np.ones((40, 3)))
    writer.clock_offset(1, 1000.0, -20.0).clock_offset(1, 1000.1, -20.0)
    writer.samples(3, [1000.1, 1000.2], ["begin", "7"], form="string").footer(1).write(path)


def dmer(path: Path) -> None:
    def rows(channels: int, count: int) -> np.ndarray:
        return np.vstack([np.ones((channels, 2 * count)), np.repeat([[1.0, 0.0]], count, axis=1)])

    arrays = {
        "eeg_datas": rows(18, 30),
        "ppg_datas": rows(1, 10),
        "gsr_datas": rows(1, 1),
        "dis_label": np.eye(10)[:2],
    }
    savemat(path, arrays, do_compression=True)


# What each kind's file is called, and who writes a small one.
FILES: dict[str, tuple[str, Write]] = {
    "dsi": ("a.csv", lambda path: dsi_file(path, rows=20)),
    "muse": ("a.csv", lambda path: muse_file(path, seconds=1)),
    "brainflow": ("a.txt", lambda path: brainflow_file(path, seconds=1)),
    "openbci": ("a.txt", lambda path: openbci_file(path, samples=range(40))),
    "csv": ("a.csv", table),
    "e4": ("EDA.csv", e4),
    "edf": ("a.edf", edf),
    "xdf": ("a.xdf", xdf),
    "opensignals": ("a.h5", add_device),
    "embraceplus": (
        "a.avro",
        lambda path: avro_file(path.parent / "made", seconds=2, tags_s=[1.0]).rename(path),
    ),
    "muse-lsl": ("a.csv", lambda path: muse_lsl_file(path, samples=range(40))),
    "emotibit": ("a.csv", lambda path: emotibit_file(path, seconds=6)),
    "shimmer": ("a.csv", lambda path: shimmer_file(path, samples=range(40))),
    "polar": ("a_PPG.txt", lambda path: polar_file(path, samples=range(40))),
    "dmer": ("datas.mat", dmer),
}
# Where what reads them is installed.
if importlib.util.find_spec("mne"):
    # MNE imports it late, and it makes folders for its settings at the first time.
    importlib.import_module("matplotlib").get_cachedir()
    FILES["mne"] = ("a.vhdr", lambda path: brainvision(path.parent, samples=50))
if importlib.util.find_spec("bioread"):
    FILES["acqknowledge"] = ("a.acq", acq_file)
# Read by their folder.
FOLDERS = ("e4",)


# Read by their folder.
FOLDERS = ("e4",)


def written(write: Write, name: str) -> bytes:
    """The content of a file that `write` writes."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def use_recording(recording: Recording, out: Path) -> None:
    """All that is done with a recording once it is read, whatever comes of each."""
    spec = load_spec("emodict-1")
    for work in (
        lambda: extract_features(recording, spec),
        lambda: write_session(recording, out / "session.h5"),
        lambda: join_recordings(recording, [Companion("itself", recording, 1.0)]),
    ):
        with contextlib.suppress(EmodictError):
            work()


@functools.cache
def e4_zip() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        e4(Path(folder) / "EDA.csv")
        with zipfile.ZipFile(Path(folder) / "S07.zip", "w") as packed:
            packed.write(Path(folder) / "EDA.csv", "S07/EDA.csv")
        return (Path(folder) / "S07.zip").read_bytes()


def _read(kind: str, path: Path) -> None:
    source = path.parent if kind in FOLDERS else path
    use_recording(IMPORTERS[kind.removesuffix(" zip")].read(source), path.parent / "out")


@functools.cache
def _brainflow_files() -> dict[str, bytes]:
    """The table, and the description of the board beside it."""
    with tempfile.TemporaryDirectory() as folder:
        brainflow_file(Path(folder) / "a.txt", seconds=1)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


@functools.cache
def _brainvision_files() -> dict[str, bytes]:
    """The header, and the samples and markers that lie beside it."""
    with tempfile.TemporaryDirectory() as folder:
        brainvision(Path(folder), samples=50)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


@functools.cache
def _opensignals_txt() -> bytes:
    return written(lambda path: txt_file(path, bitalino_rows(np.full(99, 500))), "a.txt")


def beside_of(kind: str) -> Callable[[], Mapping[str, bytes]]:
    files = {"brainflow": _brainflow_files, "mne": _brainvision_files}
    return files.get(kind, dict)


def _read_description(path: Path) -> None:
    _read("brainflow", path.with_suffix(""))


def _read_any(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        use_recording(read_companion(path, None, stack), path.parent / "out")


def _seeds(*kinds: str) -> Callable[[], Sequence[bytes]]:
    return functools.cache(lambda: [written(FILES[kind][1], FILES[kind][0]) for kind in kinds])


def _dmer_file(name: str) -> Target:
    @functools.cache
    def folder() -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as made:
            write_dmer(Path(made))
            return {file.name: file.read_bytes() for file in Path(made).iterdir()}

    return Target(
        f"DMER {name}",
        name,
        lambda path: read_dmer_folder(path.parent),
        lambda: [folder()[name]],
        beside=folder,
    )


TARGETS = [
    *(
        Target(
            f"import {kind}",
            name,
            functools.partial(_read, kind),
            _seeds(kind),
            beside=beside_of(kind),
        )
        for kind, (name, _) in FILES.items()
    ),
    Target(
        "OpenSignals text",
        "a.txt",
        functools.partial(_read, "opensignals"),
        lambda: [_opensignals_txt()],
    ),
    Target("E4 zip", "S07.zip", functools.partial(_read, "e4 zip"), lambda: [e4_zip()]),
    Target("import join", "a", _read_any, _seeds(*FILES)),
    Target(
        "BrainFlow description",
        "a.txt.json",
        _read_description,
        lambda: [_brainflow_files()["a.txt.json"]],
        beside=_brainflow_files,
    ),
    Target("EDL table", "edl.csv", read_edl, lambda: [written(write_edl, "edl.csv")]),
    _dmer_file("eegfea.mat"),
    _dmer_file("videoFea.mat"),
]
