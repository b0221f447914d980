"""The demo's training under other kernels: how far its figures are this processor's alone.

OpenBLAS, MKL, oneDNN and PyTorch choose their kernels by the processor; here they are
told to take those of others. Each adds up in an order of its own, and a training follows
the last bit of every sum.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

# By name: what libraries are told, each in a process of its own.
# The first is what the demo itself is.
KERNELS: Mapping[str, Mapping[str, str]] = {
    "as they come": {},
    "OpenBLAS of an x86-64 without AVX": {"OPENBLAS_CORETYPE": "Prescott"},
    "OpenBLAS with AVX2": {"OPENBLAS_CORETYPE": "Haswell"},
    "MKL without AVX": {"MKL_CBWR": "COMPATIBLE"},
    "MKL with AVX2": {"MKL_CBWR": "AVX2"},
    "PyTorch without AVX": {"ATEN_CPU_CAPABILITY": "default"},
    "all without AVX": {
        "OPENBLAS_CORETYPE": "Prescott", "MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    },
}  # fmt: skip
_KL_OF_MODEL = re.compile(r"^this model +\S+ +\S+ +\S+ +(\S+)", re.MULTILINE)


def kl_under(
    name: str, run: Callable[..., subprocess.CompletedProcess[str]], demo: Path, folder: Path
) -> str:
    """Train on the demo's people, export and score the stranger under these kernels:
    KL as emodict-run prints it.

    Args:
        run: starts a command of ours: words, `cwd`, `check`, and variables of the environment.
        demo: the demo's folder.
        folder: an empty one to work in.
    """
    folder.mkdir()
    for words in (
        ("emodict-train", "fit", demo / "people", "-o", "model.pt", "--seed", "1"),
        ("emodict-export", "model.pt"),
        ("emodict-run", "-q", "--engine", "model.onnx", demo / "stranger" / "sub-01.h5"),
    ):
        done = run(*map(str, words), cwd=folder, check=True, **KERNELS[name])
    return kl_of_model(done.stdout)


def kl_of_model(said: str) -> str:
    """Of what emodict-run says: the KL of the model against the truth."""
    found = _KL_OF_MODEL.search(said)
    if found is None:
        raise ValueError(f"no measures in\n{said}")
    return found[1]
