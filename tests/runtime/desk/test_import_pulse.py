"""A pulse rate from an imported wristband recording agrees with what the wristband itself said."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emodict.features.spec import load_spec
from emodict_desk.importers.e4 import read_e4
from emodict_desk.tables.table import table_from_recording

WINDOW_S = 30
CLEAN = 0.8


def test_the_pulse_of_the_imported_e4_agrees_with_the_devices_own_rate(shared_data: Path) -> None:
    import neurokit2

    folder = shared_data / "e4_stress_predict_S01"
    recording = read_e4(folder)
    ppg = recording.signals["ppg"]
    table = table_from_recording(recording, load_spec("emodict-1"), name="S01")
    column = list(table.windows.spec.modality_names).index("ppg")
    quality = np.where(table.windows.valid[:, column], table.windows.quality[:, column], 0.0)
    lines = [float(line) for line in (folder / "HR.csv").read_text().split()]
    device_start_s, device_bpm = lines[0] - 1644226061, np.array(lines[2:])
    differences = []
    for start_s in range(int(device_start_s), int(ppg.stop_s) - WINDOW_S, WINDOW_S):
        inside = (table.windows.start_s >= start_s) & (
            table.windows.start_s + 5 <= start_s + WINDOW_S
        )
        if quality[inside].mean() < CLEAN:
            continue
        samples = ppg.samples[round(start_s * 64) : round((start_s + WINDOW_S) * 64), 0]
        clean = neurokit2.ppg_clean(samples, sampling_rate=64)
        peaks = neurokit2.ppg_findpeaks(clean, sampling_rate=64)["PPG_Peaks"]
        bpm = 60 * 64 / np.median(np.diff(peaks))
        at = round(start_s - device_start_s)
        differences.append(bpm - device_bpm[at : at + WINDOW_S].mean())
    assert len(differences) >= 10
    assert np.median(np.abs(differences)) <= 5.0
