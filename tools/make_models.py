"""Make the models that come with emodict, of SIMULATED people, and a card for each.

Run from the repository root: `make models` (some eight minutes). The same machine makes the same
models again; another processor rounds otherwise, and training follows every last bit.
"""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass

from emodict_desk.sensors import Sensors
from emodict_desk.simulated import DEMO, FOLDER
from emodict_export.export import Precision, export_onnx
from emodict_train.data import read_training_data
from emodict_train.fit import FitOptions, fit, write_card
from emodict_train.model import Checkpoint
from emodict_train.simulate import simulate_people
from emodict_train.simulate.course import SimulationPlan

SEED = 16
PEOPLE = 16
# FP16 halves what the wheel carries, and moves no share by more than 0.001.
PRECISION = Precision("fp16")


@dataclass(frozen=True)
class Device:
    """What one model is for."""

    name: str
    sensors: Sensors


DEVICES = (
    Device("wrist", Sensors(("gsr", "ppg"))),
    Device("headband", Sensors(("eeg", "ppg"), ("TP9", "AF7", "AF8", "TP10"))),
    Device("full", Sensors()),
)


def main() -> None:
    # What is said of the models is said below, with the word that belongs to it.
    logging.disable(logging.WARNING)
    for device in DEVICES:
        started = time.monotonic()
        what = "+".join(device.sensors.modalities) or "all sensors"
        print(f"SIMULATED {device.name}: {PEOPLE} people with {what}", flush=True)
        checkpoint = trained(device)
        path = FOLDER / f"{device.name}.onnx"
        report = export_onnx(checkpoint, path, PRECISION)
        write_card(checkpoint, path.with_suffix(".md"), name=f"{DEMO}{device.name}")
        kl = {row: checkpoint.metrics[row]["kl"] for row in ("model", "mean_label")}
        print(
            f"SIMULATED {device.name}: KL {kl['model']:.4f} on people held out, "
            f"of the mean label {kl['mean_label']:.4f}; {report.bytes >> 10} KiB, "
            f"sha256 {report.sha256[:16]}, {time.monotonic() - started:.0f} s",
            flush=True,
        )


def trained(device: Device) -> Checkpoint:
    """A model of these sensors, of people that are simulated with them."""
    plan = SimulationPlan(eeg_channels=device.sensors.channels)
    with tempfile.TemporaryDirectory() as folder:
        people = simulate_people(folder, people=PEOPLE, plan=plan, seed=SEED)
        table = read_training_data(people, sensors=device.sensors)
    return fit(table, FitOptions(seed=SEED, device="cpu"))


if __name__ == "__main__":
    main()
