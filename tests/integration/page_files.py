"""The files that the pages speak of, small and made up,
so that every command on them can be typed.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import edfio
import h5py
import numpy as np
import torch
from scipy.io import savemat
from tests.recordings import noise_recording
from tests.runtime.desk.test_import_dmer import arrays
from tests.runtime.desk.test_import_dsi import DSI_COLUMNS, dsi_file
from tests.runtime.desk.test_import_embraceplus import avro_file
from tests.runtime.desk.test_import_emotibit import emotibit_file
from tests.runtime.desk.test_import_mne import brainvision
from tests.runtime.desk.test_import_muse import muse_file
from tests.runtime.desk.test_import_muse_lsl import muse_lsl_file
from tests.runtime.desk.test_import_openbci import openbci_file
from tests.runtime.desk.test_import_opensignals import add_device
from tests.runtime.desk.test_import_polar import polar_file
from tests.runtime.desk.test_import_shimmer import shimmer_file
from tests.runtime.desk.test_import_xdf import eeg_and_wrist
from tests.runtime.face.test_face_video import face_for, write_video

from emodict.engine.model_spec import ModelSpec
from emodict.features.spec import load_spec
from emodict.recording.session import write_session
from emodict_desk.importers.e4 import read_e4
from emodict_desk.tables.table import DMER_EMOTIONS
from emodict_export.export import export_onnx
from emodict_train.data import read_training_data
from emodict_train.model.checkpoint import Checkpoint, save_checkpoint
from emodict_train.model.emotion_dict import EmotionDict
from emodict_train.model.standardisation import fit_standardisation
from emodict_train.simulate import simulate_people
from emodict_train.simulate.course import SimulationPlan

# The shortest trials that leave every fold something to learn from.
SMALL = SimulationPlan(trials=5, trial_s=8.0)
DMER_WINDOWS = 44


def make_files(folder: Path) -> None:
    """Everything that is there before the first command of a page."""
    make_people_and_models(folder)
    make_recordings(folder)
    make_devices(folder)


def make_people_and_models(folder: Path) -> None:
    """`people`, and `model` and `wrist` as checkpoints and as graphs, untrained,
    with a record of a training.
    """
    simulate_people(folder / "people", people=6, plan=SMALL, seed=1)
    one = read_training_data([folder / "people" / "sub-01.h5"])
    for name, modalities in (("model", ("eeg", "gsr", "ppg", "video")), ("wrist", ("gsr", "ppg"))):
        features = load_spec("emodict-1").with_modalities(modalities)
        spec = ModelSpec(DMER_EMOTIONS, features.modality_names)
        torch.manual_seed(0)
        rows = fit_standardisation(one.with_modalities(modalities).windows.tokens)
        state = EmotionDict(spec, features).eval().state_dict()
        state["standardise.mean"] = torch.from_numpy(rows.mean).float()
        state["standardise.scale"] = torch.from_numpy(rows.scale).float()
        training = {
            "rows": 90,
            "trials": 30,
            "subjects": 6,
            "simulated": True,
            "epochs": 1,
            "options": {},
            "split": "",
        }
        checkpoint = Checkpoint(features, spec, (state,), np.full(10, 0.1), training=training)
        save_checkpoint(checkpoint, folder / f"{name}.pt")
        export_onnx(checkpoint, folder / f"{name}.onnx")


def make_recordings(folder: Path) -> None:
    """Sessions, whole and broken ones, and the released sample's kind of table."""
    shutil.copy(folder / "people" / "sub-06.h5", folder / "session.h5")
    shutil.copy(folder / "session.h5", folder / "broken.h5")
    with h5py.File(folder / "broken.h5", "r+") as file:
        file["signals/ppg"].attrs["sampling_rate"] = 0.0
    rng = np.random.default_rng(0)
    labels = rng.dirichlet(np.ones(10), DMER_WINDOWS // 4).repeat(4, axis=0)
    shapes = {"eeg": (18, 4), "gsr": (1, 4), "ppg": (1, 4), "video": (32,)}
    tables = {
        f"train_{name}": rng.standard_normal((DMER_WINDOWS, *shape))
        for name, shape in shapes.items()
    }
    savemat(folder / "train.mat", {**tables, "train_label": labels})


def make_devices(folder: Path) -> None:
    """A file of every maker."""
    make_e4(folder / "E4_FOLDER")
    write_session(read_e4(folder / "E4_FOLDER"), folder / "wrist.h5")
    avro_file(folder / "2024-02-07", tags_s=[3.5])
    for name in ("eeg.edf", "headset.edf"):
        make_edf(folder / name)
    dsi_file(folder / "headset.csv", drop=range(200, 260), columns=DSI_COLUMNS)
    muse_file(folder / "mindMonitor.csv")
    muse_lsl_file(folder / "muselsl.csv", samples=range(7680))
    openbci_file(folder / "OpenBCI-RAW.txt", samples=range(5000))
    emotibit_file(folder / "emotibit.csv", lost_s=(10.0, 14.0))
    shimmer_file(folder / "shimmer.csv", samples=range(3840))
    polar_file(folder / "Polar_Sense_PPG.txt", samples=range(1650))
    brainvision(folder, samples=7500, stem="cap")
    xdf, _, _ = eeg_and_wrist()
    xdf.write(folder / "clock_resets.xdf")
    add_device(folder / "bvp_rest.h5", sensors=("BVP",))
    np.savetxt(folder / "muse2.csv", muse2_rows(), fmt="%.6f", delimiter="\t")
    (folder / "sub07").mkdir()
    savemat(folder / "sub07" / "datas.mat", arrays())
    make_tables(folder)
    write_video(folder / "visit.avi", face_for(3)).rename(folder / "visit.mov")


def make_e4(folder: Path) -> None:
    """A minute of an Empatica E4, with two tags and the files that are not used."""
    folder.mkdir()
    start = 1644226061
    time_s = np.arange(60 * 64) / 64
    for name, rate_hz, values in (
        ("BVP", 64, 50 * np.sin(2 * np.pi * 1.2 * time_s)),
        ("EDA", 4, 0.5 + 0.01 * np.sin(np.arange(240) / 9)),
        ("TEMP", 4, np.full(240, 33.0)),
        ("HR", 1, np.full(60, 72.0)),
        ("ACC", 32, np.zeros(60 * 32)),
        ("IBI", 1, np.full(60, 0.8)),
    ):
        rows = "\n".join(f"{value:.4f}" for value in values)
        (folder / f"{name}.csv").write_text(f"{start}.000000\n{rate_hz}.000000\n{rows}\n")
    (folder / "tags.csv").write_text(f"{start + 10}.25\n{start + 20}.5\n")


def make_edf(path: Path) -> None:
    """30 s of the headset's 18 channels against Pz, and an annotation."""
    recording = noise_recording(30)
    signals = [
        edfio.EdfSignal(
            np.clip(values, -200, 200),
            300,
            label=f"EEG {name}-Pz",
            physical_dimension="uV",
            physical_range=(-200, 200),
        )
        for name, values in zip(
            recording.signals["eeg"].channel_names,
            np.asarray(recording.signals["eeg"].samples).T,
            strict=True,
        )
    ]
    edfio.Edf(signals, annotations=[edfio.EdfAnnotation(3.0, None, "closed")]).write(path)


def muse2_rows() -> np.ndarray:
    """10 s in the columns that BrainFlow describes for a Muse 2: package,
    four electrodes, other, time, marker.
    """
    n = np.arange(10 * 256)
    rows = np.zeros((len(n), 8))
    rows[:, 0], rows[:, 6] = n % 256, 1700000000 + n / 256
    rows[:, 1:5] = np.random.default_rng(0).normal(0, 10, (len(n), 4))
    return rows


def make_tables(folder: Path) -> None:
    """A plain CSV, and one with a comma for the decimals in line 42."""
    rows = [
        f"{i / 64:.6f},{np.sin(i / 8):.4f},{5 + i / 9000 if i % 16 == 0 else ''},0"
        for i in range(60 * 64)
    ]
    (folder / "table.csv").write_text("\n".join(["time,BVP,EDA (uS),button", *rows]) + "\n")
    rows[40] = rows[40].replace(rows[40].split(",")[1], '"0,31"', 1)
    make_answers(folder / "answers.csv")
    (folder / "spoilt.csv").write_text("\n".join(["time,BVP,EDA (uS),button", *rows]) + "\n")


def make_answers(path: Path) -> None:
    """What the page on labels shows of a table that was filled in."""
    page = Path(__file__).resolve().parents[2] / "docs" / "labels.md"
    (table,) = re.findall(
        r"^```text\n(film,.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    path.write_text(table)


def make_my_session(page: Path, folder: Path) -> None:
    """What the page on sessions writes in Python, and the same spoilt in the ways that it lists."""
    (snippet, *_) = re.findall(
        r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    exec(compile(snippet, str(page), "exec"), {"__name__": "__main__"})
    shutil.copy(folder / "my_session.h5", folder / "old.h5")
    with h5py.File(folder / "old.h5", "r+") as file:
        times_s = 1714555800.25 + np.arange(len(file["signals/ppg/data"])) / 64
        times_s[1000] = 0.0
        file["signals/ppg/timestamps"] = times_s
    shutil.copy(folder / "my_session.h5", folder / "broken.h5")
    with h5py.File(folder / "broken.h5", "r+") as file:
        eeg = file["signals/eeg"].attrs
        eeg["units"] = "degrees"
        eeg["channel_names"] = ["X1", *list(eeg["channel_names"])[1:]]
        file["signals/ppg"].attrs["sampling_rate"] = 0.0
        file["trials/distribution"][0] = [0.5, 0.2, 0.1]
