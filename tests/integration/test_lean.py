"""A device installs numpy, h5py, typer and an engine:
nothing else may be imported, and memory stays small.
"""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import emodict
from emodict.features.spec import load_spec

HEAVY = (
    "torch",
    "scipy",
    "onnx",
    "onnxscript",
    "neurokit2",
    "sklearn",
    "pandas",
    "matplotlib",
    "pydantic",
    "emodict_train",
    "emodict_export",
    "emodict_calibration",
)
LATE = (
    "onnxruntime",
    "tensorrt",
    "tensorrt_rtx",
    "cuda",
    "cv2",
    "h5py",
    "edfio",
    "pyxdf",
    "fastavro",
    "brainflow",
    "pyarrow",
    "typer",
    "starlette",
    "uvicorn",
    "websockets",
)
# Imported where they are used, and by nothing else: typer and uvicorn,
# whose classes they build on, are at their top.
BUILT_ON_OTHERS = ("emodict.cli.options", "emodict.live.page.protocols")
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ImportError(f"{{name}} is blocked in this test")
sys.meta_path.insert(0, Blocked())
"""


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def runtime_modules() -> list[str]:
    found = pkgutil.walk_packages(emodict.__path__, "emodict.")
    return [module.name for module in found]


def test_every_runtime_module_imports_with_the_heavy_packages_blocked() -> None:
    code = (
        BLOCK.format(names=set(HEAVY + LATE))
        + "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)"
    )
    done = python(code, *(name for name in runtime_modules() if name not in BUILT_ON_OTHERS))
    assert done.returncode == 0, done.stderr


def test_a_run_imports_neither_scipy_nor_torch_nor_anything_else_that_is_heavy(
    model: Path, session: Path
) -> None:
    code = BLOCK.format(names=set(HEAVY)) + "from emodict.cli.run import main; main()"
    done = python(code, "--engine", model, session)
    assert done.returncode == 0, done.stderr
    assert "this model" in done.stdout


def test_the_runtime_names_no_module_of_the_other_packages() -> None:
    for path in Path(next(iter(emodict.__path__))).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [n for n in names if n.split(".")[0] in HEAVY], path


def write_long_session(path: Path, *, seconds: int) -> None:
    """24-channel EEG, PPG and GSR, written second by second so that making
    it costs no memory either.
    """
    wanted = load_spec("emodict-1").modality("eeg").channel_names
    channels = [*wanted, "CM", "A1", "A2", "X1", "X2", "X3"]
    rng = np.random.default_rng(0)
    block = {
        "eeg": (300, (20 * rng.standard_normal((300, 24))).astype("f4"), "uV", channels),
        "ppg": (
            100,
            np.sin(2 * np.pi * 1.2 * np.arange(100)[:, None] / 100).astype("f4"),
            "a.u.",
            ["ppg"],
        ),
        "gsr": (4, np.array([[5.0], [5.01], [5.02], [5.01]], dtype="f4"), "uS", ["gsr"]),
    }
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {
                "format": "emodict-session",
                "format_version": 1,
                "session_id": "long",
                "subject_id": "x",
            }
        )
        for name, (rate, values, unit, names) in block.items():
            shape = (seconds * rate, values.shape[1])
            group = file.create_group(f"signals/{name}")
            group.attrs.update(
                {"sampling_rate": float(rate), "units": unit, "channel_names": names}
            )
            data = group.create_dataset(
                "data", shape, "f4", chunks=(rate * 10, shape[1]), compression="gzip"
            )
            for start in range(0, shape[0], rate * 10):
                data[start : start + rate * 10] = np.tile(values, (10, 1))


def test_scoring_an_hour_of_24_channels_stays_under_250_mb(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "hour.h5"
    write_long_session(path, seconds=3600)
    code = (
        "import sys; from emodict.cli.run import main\n"
        "try: main()\n"
        "finally: print([l for l in open('/proc/self/status') "
        "if l.startswith('VmHWM')][0], file=sys.stderr)"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    done = python(code, "-q", "--engine", model, path, "--out", tmp_path / "x.csv")
    assert done.returncode == 0, done.stderr
    peak_mb = int(done.stderr.split("VmHWM:")[1].split()[0]) / 1024
    assert peak_mb < 250
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 3600 - 4 + 1
