"""make aarch64: features and answers of an aarch64 Python under qemu-user,
held against those of this machine.

python -m tests.reliability.aarch64 [folder]

What it needs is downloaded into the folder, once: Debian's Python for arm64 (by apt-get, with lists
of its own, so that nothing is installed), and the wheels of numpy and onnxruntime. qemu-user must
be there: apt-get install qemu-user.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tests.reliability import other_cpu

from emodict.errors import EmodictError, InputError

QEMU = "qemu-aarch64"
FOLDER = other_cpu.ROOT / ".venv" / "aarch64"
# The C++ library is that of the wheels.
PACKAGES = ("python3", "libstdc++6")
WHEELS = ("numpy", "onnxruntime")
PLATFORMS = (
    "manylinux2014_aarch64",
    "manylinux_2_17_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux_2_28_aarch64",
)
# Sums in another order: the last three of float64's 16 digits,
# and of the model the last of float32's 7.
FEATURES_BOUND, SHARES_BOUND = 1e-9, 1e-6


def fetch(folder: Path) -> None:
    """Fill the folder with an aarch64 Python and its wheels.

    Raises:
        InputError: a program that this needs is not there, or nothing could be downloaded.
    """
    for program in ("apt-get", "dpkg-deb", QEMU):
        if shutil.which(program) is None:
            raise InputError(
                f"There is no {program} here", expected="Debian or Ubuntu with qemu-user"
            )
    root, debs = folder / "root", folder / "apt" / "cache" / "archives"
    for part in (
        root,
        debs / "partial",
        folder / "apt" / "state" / "lists" / "partial",
        folder / "apt" / "log",
    ):
        part.mkdir(parents=True, exist_ok=True)
    (folder / "apt" / "status").touch()
    for words in (
        ["update"],
        ["install", "--download-only", "--yes", "--no-install-recommends", *PACKAGES],
    ):
        _run(["apt-get", "--quiet", "--quiet", *_apt_options(folder / "apt"), *words])
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(deb), str(root)])
    version = _run(
        _python(folder, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    ).strip()
    for name in WHEELS:
        wheel = f"{name}=={importlib.metadata.version(name)}"
        platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
        _run(
            [
                sys.executable,
                "-m",
                "pip",
                "--quiet",
                "--disable-pip-version-check",
                "install",
                "--no-deps",
                "--upgrade",
                "--only-binary",
                ":all:",
                "--python-version",
                version,
                *platforms,
                "--target",
                str(folder / "site"),
                wheel,
            ]
        )


def _apt_options(folder: Path) -> list[str]:
    """Lists, archives and the state of packages of our own:
    an arm64 machine on which nothing is installed.
    """
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Dir::State": str(folder / "state"),
        "Dir::State::status": str(folder / "status"),
        "Dir::Cache": str(folder / "cache"),
        "Dir::Log": str(folder / "log"),
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def ready(folder: Path) -> bool:
    """Whether everything is there."""
    return shutil.which(QEMU) is not None and all(
        (folder / "site" / name).is_dir() for name in WHEELS
    )


def _python(folder: Path, *words: str) -> list[str]:
    return [
        QEMU,
        "-L",
        str(folder / "root"),
        str(folder / "root" / "usr" / "bin" / "python3"),
        *words,
    ]


def _run(command: Sequence[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        cwd=other_cpu.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(
            f"{command[0]} has failed",
            got=done.stderr.strip()[-500:] or f"exit code {done.returncode}",
        )
    return done.stdout


def differences(folder: Path, model: Path) -> tuple[float, float]:
    """(of features, relative where these are larger than 1; of shares):
    the largest between aarch64 and here.

    Raises:
        EmodictError: other rows are valid there.
    """
    with tempfile.TemporaryDirectory() as name:
        signals, there, here = (Path(name) / f"{part}.npz" for part in ("signals", "there", "here"))
        other_cpu.write_signals(signals)
        path = os.pathsep.join(
            map(str, (other_cpu.ROOT, other_cpu.ROOT / "runtime", folder / "site"))
        )
        module = _python(
            folder, "-m", "tests.reliability.other_cpu", str(signals), str(there), str(model)
        )
        _run(module, PYTHONPATH=path, OPENBLAS_NUM_THREADS="1")
        other_cpu.main(signals, here, model)
        with np.load(there) as a, np.load(here) as b:
            if not (a["valid"] == b["valid"]).all():
                raise EmodictError("Other rows are valid on aarch64 than here")
            gap = np.abs(a["tokens"] - b["tokens"]) / np.maximum(1.0, np.abs(b["tokens"]))
            return float(np.nanmax(gap)), float(np.abs(a["distribution"] - b["distribution"]).max())


def main(words: Sequence[str]) -> int:
    from benchmarks.fixtures import untrained_model

    folder = Path(words[0]) if words else FOLDER
    try:
        if not ready(folder):
            fetch(folder)
        with tempfile.TemporaryDirectory() as name:
            model = untrained_model(Path(name) / "model.onnx", other_cpu.SPEC.modality_names)
            of_features, of_shares = differences(folder, model)
    except EmodictError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(
        f"aarch64 against this machine, {other_cpu.SECONDS} s of SIMULATED signals, "
        f"largest difference"
    )
    print(f"features  {of_features:.1e}  promised {FEATURES_BOUND:g}")
    print(f"shares    {of_shares:.1e}  promised {SHARES_BOUND:g}")
    return int(of_features > FEATURES_BOUND or of_shares > SHARES_BOUND)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
