"""The bindings of full TensorRT over stub libraries:
nine C symbols are all that importing them needs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

# `make test` downloads them here, for the Python of the venv.
WHEELS = Path(sys.prefix) / "bindings"
SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
LIBRARIES = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")

Probe = Callable[[str, Mapping[str, Sequence[str]]], dict[str, Any]]


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the stub libraries of a major version."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for the stub libraries")
    folder = tmp_path_factory.mktemp("stubs")
    source = folder / "stubs.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in SYMBOLS))

    def get(major: str) -> Path:
        made = folder / major
        if not made.is_dir():
            made.mkdir()
            for library in LIBRARIES:
                soname = f"{library}.so.{major}"
                flags = ["-shared", "-fPIC", f"-Wl,-soname,{soname}"]
                subprocess.run(
                    [compiler, *flags, "-o", str(made / soname), str(source)], check=True
                )
        return made

    return get


@pytest.fixture(scope="session")
def probe(stubs: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """Ask a TensorRT in a process of its own: `tensorrt_rtx` as it is installed,
    or a version of `tensorrt`.
    """

    def ask(version: str, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        env, module = dict(os.environ), "tensorrt_rtx"
        if version != "tensorrt_rtx":
            module = "tensorrt_bindings"
            folder = _unpacked(version, tmp_path_factory)
            env |= {"LD_LIBRARY_PATH": str(stubs(version.split(".")[0])), "PYTHONPATH": str(folder)}
        done = subprocess.run(
            [sys.executable, "-W", "error", str(Path(__file__).with_name("probe.py")), module],
            input=json.dumps(names), capture_output=True, text=True, env=env, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return ask


def _unpacked(version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheels = sorted(WHEELS.glob(f"tensorrt_*_bindings-{version}-{tag}-*.whl"))
    if not wheels:
        pytest.skip(
            f"no bindings of TensorRT {version} for {tag} in {WHEELS}: `make test` downloads them"
        )
    folder = tmp_path_factory.mktemp("bindings")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    return folder
