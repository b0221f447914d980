"""The C++ examples, compiled and run: the rows that they print are those of emodict-run."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from benchmarks.fixtures import untrained_checkpoint
from tests.integration.conftest import WRIST

from emodict.engine import open_engine
from emodict.predict import predict
from emodict.results.prediction import Prediction
from emodict_export.vector_files import write_vectors

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SOURCES = sorted((EXAMPLES / "cpp").glob("*.?pp"))
# Where Debian's libonnxruntime-dev puts the headers, and where .ci/run does.
ONNXRUNTIME_HEADERS = (Path("/usr/include/onnxruntime"), Path("/usr/local/include/onnxruntime"))
FIRST_S = 4  # emodict-run prints no row before the longest window is full


def compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        pytest.skip("no C++ compiler: apt-get install g++")
    return found


def package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        pytest.skip(f"no {name}: pip install {name}")
    return Path(found.origin).parent


def compiled(name: str, folder: Path, headers: Path, library: Path) -> Path:
    """examples/cpp/NAME.cpp; other people's headers may warn, ours may not."""
    program, libraries = folder / name, library.parent
    command = [compiler(), "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-isystem{headers}"]
    command += [str(EXAMPLES / "cpp" / f"{name}.cpp"), str(library), f"-Wl,-rpath,{libraries}"]
    done = subprocess.run([*command, "-o", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def with_onnxruntime(folder: Path) -> Path:
    headers = [path for path in ONNXRUNTIME_HEADERS if (path / "onnxruntime_c_api.h").is_file()]
    if not headers:
        pytest.skip("no onnxruntime_c_api.h: apt-get install libonnxruntime-dev (Debian 13)")
    (library,) = (package("onnxruntime") / "capi").glob("libonnxruntime.so.*")
    # The wheel has the library under its whole version only, and it is looked for as .so.1.
    (folder / "libonnxruntime.so.1").symlink_to(library)
    return compiled("with_onnxruntime", folder, headers[0], folder / "libonnxruntime.so.1")


def with_openvino(folder: Path) -> Path:
    openvino = package("openvino")
    (library,) = (openvino / "libs").glob("libopenvino.so.*")
    return compiled("with_openvino", folder, openvino / "include", library)


@pytest.fixture(scope="module", params=[with_onnxruntime, with_openvino])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = request.param(tmp_path_factory.mktemp("cpp"))
    return made


def run(*command: str | Path) -> CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def seconds(models: Path, broken_session: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """wrist.f32 and all.f32, as the example in Python writes them."""
    folder = tmp_path_factory.mktemp("seconds")
    for name in ("wrist", "all"):
        words = models / f"{name}.raw.onnx", broken_session, folder / f"{name}.f32"
        done = run(sys.executable, EXAMPLES / "raw_seconds.py", *words)
        assert done.returncode == 0, done.stderr
    return folder


def expected_rows(model: Path, session: Path) -> Prediction:
    with open_engine(model) as engine:
        return predict(engine, session)


def rows_of(lines: Sequence[str]) -> Iterator[list[float]]:
    """The shares of each printed row; NaN where it says that there is no answer."""
    for number, line in enumerate(lines):
        second, _, *shares = line.split()
        assert int(second) == number
        yield [np.nan] * 10 if shares == ["no", "answer"] else list(map(float, shares))


@pytest.mark.parametrize("name", ["wrist", "all"])
def test_the_printed_rows_are_those_of_emodict_run(
    program: Path, models: Path, broken_session: Path, seconds: Path, name: str
) -> None:
    done = run(program, models / f"{name}.raw.onnx", seconds / f"{name}.f32")
    assert done.returncode == 0, done.stderr
    emotions, *lines = done.stdout.splitlines()
    expected = expected_rows(models / f"{name}.onnx", broken_session)
    assert emotions == '["' + '", "'.join(expected.emotions) + '"]'
    # Six digits are printed; float32 features are what the raw graph's own tests allow.
    got = np.array(list(rows_of(lines)))
    np.testing.assert_allclose(got[FIRST_S:], expected.distribution, rtol=0, atol=3e-5)
    # Of the wristband there are rows without an answer, too.
    assert 0.2 < expected.answered.mean() <= (1 if name == "all" else 0.99)


def test_the_check_vectors_become_seconds_as_the_page_says(
    program: Path, models: Path, tmp_path: Path
) -> None:
    write_vectors(untrained_checkpoint(WRIST), tmp_path / "vectors")
    page = (EXAMPLES.parent / "docs" / "embedding.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r'^python -c "\n(.*?)"$', page, re.DOTALL | re.MULTILINE)
    made = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, check=False)
    assert made.returncode == 0
    done = run(program, models / "wrist.raw.onnx", tmp_path / "seconds.f32")
    got = np.array(list(rows_of(done.stdout.splitlines()[1:])))
    expected = np.load(tmp_path / "vectors" / "vectors.npz")["distribution"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-5)


@pytest.mark.parametrize(
    ("model", "samples", "said"),
    [
        ("wrist.raw.onnx", "wrist.f32", "the file ends within a second"),
        ("wrist.raw.onnx", "none.f32", "cannot open"),
        ("wrist.onnx", "wrist.f32", "does not begin at raw samples"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(
    program: Path, models: Path, seconds: Path, tmp_path: Path, model: str, samples: str, said: str
) -> None:
    (tmp_path / "wrist.f32").write_bytes((seconds / "wrist.f32").read_bytes()[:-4])
    done = run(program, models / model, tmp_path / samples)
    assert done.returncode == 1
    assert said in done.stderr


def test_without_arguments_a_program_says_how_it_is_used(program: Path) -> None:
    done = run(program)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"usage: {program} MODEL seconds.f32\n"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_source_stays_short(source: Path) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120
    assert max(map(len, lines)) <= 100


def test_the_one_for_tensorrt_says_that_nothing_has_compiled_it() -> None:
    text = (EXAMPLES / "cpp" / "with_tensorrt.cpp").read_text(encoding="utf-8")
    assert text.startswith("// NOT COMPILED, and never run: ")


def test_the_one_for_tensorrt_compiles_where_its_headers_are(tmp_path: Path) -> None:
    probe = tmp_path / "probe.cpp"
    probe.write_text("#include <NvInfer.h>\n#include <cuda_runtime_api.h>\n", encoding="ascii")
    look = [compiler(), "-std=c++17", "-fsyntax-only", "-isystem/usr/local/cuda/include"]
    if run(*look, probe).returncode:
        pytest.skip("no NvInfer.h here: install TensorRT's headers")
    done = run(*look, "-Wall", "-Wextra", "-Werror", EXAMPLES / "cpp" / "with_tensorrt.cpp")
    assert done.returncode == 0, done.stderr
