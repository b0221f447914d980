"""make test-cpus: the numeric tests by the kernels of other processors,
each setting in a process of its own.

python -m tests.cpus [tests]

NumPy, OpenBLAS, PyTorch, MKL and oneDNN choose kernels by the processor that they find. Environment
variables make them choose others, which add up in other orders and round elsewhere. A setting that
changes no number of `numbers` has no effect on this machine: that is said and nothing is run, for
it would be `make test` once more.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
AT_ONCE = 2
# Whose answers are sums, products and functions of these;
# none starts a command or trains for more than a few steps.
TESTS = (
    "tests/runtime/features/test_band_power.py",
    "tests/runtime/features/test_extract.py",
    "tests/runtime/features/test_filters.py",
    "tests/runtime/results/test_metrics.py",
    "tests/runtime/features/test_products.py",
    "tests/runtime/features/test_quality.py",
    "tests/runtime/features/test_resample.py",
    "tests/runtime/features/test_statistics.py",
    "tests/train/training/test_ensemble.py",
    "tests/train/model/test_losses.py",
    "tests/train/model/test_emotion_dict.py",
    "tests/export/test_fold.py",
    "tests/export/test_graph.py",
    "tests/calibration/test_emulate.py",
    "tests/calibration/test_half.py",
)


@dataclass(frozen=True)
class Setting:
    """A variable of the environment; `shown` where its value is too long to be read."""

    name: str
    value: str
    shown: str = ""

    def __str__(self) -> str:
        return f"{self.name}={self.shown or self.value}"


def numpys_kernels() -> str:
    """All that NumPy has beyond its baseline and this processor can run:
    it refuses to leave out others.
    """
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])


SETTINGS = (
    Setting("ATEN_CPU_CAPABILITY", "default"),
    Setting("ATEN_CPU_CAPABILITY", "avx2"),
    Setting("OPENBLAS_CORETYPE", "Prescott"),
    Setting("OPENBLAS_CORETYPE", "Haswell"),
    Setting("OPENBLAS_CORETYPE", "SkylakeX"),
    Setting("MKL_ENABLE_INSTRUCTIONS", "SSE4_2"),  # obeyed on processors of Intel
    Setting("MKL_CBWR", "COMPATIBLE"),  # SSE2, obeyed on all
    Setting("ONEDNN_MAX_CPU_ISA", "SSE41"),
    Setting("NPY_DISABLE_CPU_FEATURES", numpys_kernels(), shown="(all)"),
)


def numbers() -> str:
    """A hash of what the libraries compute from the same numbers,
    and the names of the kernels they say they use.
    """
    import torch
    from threadpoolctl import threadpool_info

    rng = np.random.default_rng(0)
    hashed = hashlib.sha256()
    for dtype in (np.float32, np.float64):
        a, b = (
            rng.standard_normal((64, 96)).astype(dtype),
            rng.standard_normal((96, 48)).astype(dtype),
        )
        s, t = torch.from_numpy(a), torch.from_numpy(b)
        # PyTorch gives products and decompositions to MKL, convolutions to oneDNN,
        # and has kernels of its own.
        convolution = torch.conv1d(s.reshape(2, 32, 96), t.reshape(12, 32, 12))
        of_torch = (s @ t, torch.linalg.qr(t).Q, convolution, s.sum(), s.softmax(-1), s.tanh())
        of_numpy = (a @ b, np.linalg.qr(b)[0], a.sum(), np.exp(a))
        for array in (*of_numpy, *(tensor.numpy() for tensor in of_torch)):
            hashed.update(np.ascontiguousarray(array).tobytes())
    blas = sorted(
        {
            str(found["architecture"])
            for found in threadpool_info()
            if found["internal_api"] == "openblas"
        }
    )
    kernels = f"OpenBLAS {'/'.join(blas)}, PyTorch {torch.backends.cpu.get_cpu_capability()}"
    return json.dumps({"kernels": kernels, "sha256": hashed.hexdigest()})


@dataclass(frozen=True)
class Outcome:
    """What there is to say of a setting, and the output of its tests where some failed."""

    said: str
    output: str = ""
    failed: bool = False


def run(setting: Setting, plain: Mapping[str, str], tests: Sequence[str]) -> Outcome:
    """The tests under a setting, if it changes a number against `plain`, the numbers without it."""
    started = time.monotonic()
    probe = _python(setting, "-m", "tests.cpus", "--numbers")
    if probe.returncode == -signal.SIGILL:
        return Outcome("not run: this processor has no such instructions")
    if probe.returncode:
        return Outcome("FAILED before any test", probe.stdout, failed=True)
    found = json.loads(probe.stdout.splitlines()[-1])
    if found["sha256"] == plain["sha256"]:
        return Outcome(f"not run: changes no number on this machine ({found['kernels']})")
    done = _python(setting, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *tests)
    seconds = time.monotonic() - started
    counts = re.findall(
        r"\d+ (?:passed|failed|skipped|errors?)", (done.stdout.splitlines() or [""])[-1]
    )
    said = f"{', '.join(counts) or 'FAILED'}, {seconds:.0f} s ({found['kernels']})"
    return Outcome(said, done.stdout, failed=done.returncode != 0)


def _python(setting: Setting | None, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({setting.name: setting.value} if setting else {})}
    return subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def main(tests: Sequence[str]) -> int:
    plain = _python(None, "-m", "tests.cpus", "--numbers")
    if plain.returncode:
        print(plain.stdout)
        return 1
    without = json.loads(plain.stdout.splitlines()[-1])
    print(f"{'this machine':42} {without['kernels']}", flush=True)
    started, failed = time.monotonic(), []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda setting: run(setting, without, tests), SETTINGS)
        for setting, outcome in zip(SETTINGS, outcomes, strict=True):
            print(f"{setting!s:42} {outcome.said}", flush=True)
            if outcome.failed:
                failed.append((setting, outcome))
    print(f"{time.monotonic() - started:.0f} s in all")
    for setting, outcome in failed:
        print(f"\n{setting} made this:\n{outcome.output}")
    return int(bool(failed))


if __name__ == "__main__":
    if sys.argv[1:] == ["--numbers"]:
        print(numbers())
        sys.exit(0)
    sys.exit(main(sys.argv[1:] or TESTS))
