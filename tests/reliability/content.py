"""What a file holds, for comparison: all that a user could read in it,
and nothing that differs from run to run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from emodict.engine.sidecar import read_plan, read_sidecar

# Of a study: when it ran and for how long.
_TIMES = ("started", "seconds", "cpu_s")


def content(path: Path) -> Any:
    """What stands in the file, read by the program's own readers where it has any;
    it raises where it is not whole.
    """
    if path.suffix == ".pt":
        return _checkpoint(path)
    if path.suffix == ".resume":
        return sorted(_tensors(path))
    if path.suffix == ".npz":
        return _arrays(path)
    if path.suffix == ".plan":
        return _plan(path)
    if path.name.endswith(".plan.json"):
        return read_sidecar(path.with_suffix("")).network_name
    if path.name.endswith(".plan.sig"):
        return len(base64.b64decode(path.read_bytes().strip(), validate=True))
    if path.name == "about.json":
        return {k: v for k, v in json.loads(path.read_text()).items() if k not in _TIMES}
    if path.name in ("study.html", "tables.md", "tables.tex"):
        return _without_times(path.read_text())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _plan(path: Path) -> bytes:
    """Which network it is: TensorRT does not build the same bytes twice.
    What they are is for its sidecar to know.
    """
    (name,) = set(re.findall(rb"emodict-[0-9a-f]{16}", path.read_bytes()))
    sidecar = read_sidecar(path)
    if sidecar.network_name.encode() == name:
        read_plan(path, sidecar)
    return bytes(name)


def _checkpoint(path: Path) -> Any:
    from emodict_train.model.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    states = [{k: v.numpy().tobytes() for k, v in state.items()} for state in checkpoint.states]
    about = json.dumps([checkpoint.metrics, checkpoint.training], sort_keys=True)
    return states, checkpoint.mean_label.tobytes(), str(checkpoint.features), about


def _tensors(path: Path) -> Any:
    from emodict_train.model.checkpoint import load_tensors

    return load_tensors(path, what="a state")


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        # What a cell took is not what it found.
        return {
            name: (file[name].dtype.str, file[name].tobytes())
            for name in file.files
            if name != "about"
        }


def _without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+|[\d.]+ (s|min)\b", "", text)
