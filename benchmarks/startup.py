"""What a short run costs as a whole process: `emodict-run` on 30 s,
against importing what it needs.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.fixtures import untrained_model
from benchmarks.recordings import noise
from benchmarks.result import Result
from emodict.features.spec import load_spec
from emodict.recording.session import write_session

ROUNDS = 7


def measure() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        untrained_model(folder / "model.onnx", load_spec("emodict-1").modality_names)
        write_session(noise(30).recording(), folder / "session.h5")
        run = Path(sysconfig.get_path("scripts")) / "emodict-run"
        ours = [str(run), "--engine", str(folder / "model.onnx"), str(folder / "session.h5")]
        bare = [sys.executable, "-c", "import numpy, h5py, onnxruntime"]
        seconds: dict[str, list[float]] = {"ours": [], "bare": []}
        for round_ in range(ROUNDS + 1):
            for label, command in (("ours", ours), ("bare", bare)):
                used = _cpu_s(command)
                if round_:
                    seconds[label].append(used)
    cpu = {label: statistics.median(values) for label, values in seconds.items()}
    yield Result(
        "emodict-run on 30 s, against its bare imports", cpu["bare"], cpu["ours"], at_most=2.5
    )


def _cpu_s(command: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # As in a user's shell: the Makefile's one BLAS thread would spare the bare imports
    # alone the making of threads.
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
