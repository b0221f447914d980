"""What the GPU tests share: the GPU or the reason for skipping, the model,
and the JSON that the figures end up in.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from tests.gpu.models import Model, make_model

from emodict.engine.driver import read_driver
from emodict.files.atomic import atomic_path

JSON = "EMODICT_GPU_JSON"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    reason = f"no GPU that torch {torch.__version__} can use"
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """On the host everything here is small: a second thread costs more than it gives."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def model(one_thread: None) -> Model:
    return make_model()


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, Any]]:
    """What was measured; written to the file that EMODICT_GPU_JSON names,
    once all tests have run.
    """
    content = about_this_machine()
    yield content
    if os.environ.get(JSON):
        with atomic_path(Path(os.environ[JSON])) as part:
            part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def about_this_machine() -> dict[str, Any]:
    """Which GPU, which day, which software: no figure is worth anything without them."""
    driver = read_driver()
    packages = {}
    for name in (
        "torch",
        "onnxruntime",
        "onnxruntime-gpu",
        "onnx",
        "tensorrt",
        "tensorrt-rtx-cu13",
        "cuda-core",
    ):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "format": "emodict-gpu",
        "version": 1,
        "taken_on": datetime.date.today().isoformat(),
        "gpu": driver.gpus[0].name if driver.gpus else None,
        "compute_capability": driver.gpus[0].compute_capability if driver.gpus else None,
        "driver": driver.release,
        "driver_cuda": driver.cuda_version,
        "python": platform.python_version(),
        "packages": packages,
        "onnxruntime_providers": onnxruntime.get_available_providers(),
        "precision": {},
        "ceilings": {},
        "speed": [],
        "plan": {},
    }
