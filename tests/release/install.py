"""Install the wheel as a user does, alone and with [onnx],
on every Python there is that it names; `make dist` runs it.

python -m tests.release.install dist
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.fixtures import untrained_model

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# What `pip install dist/*.whl` puts into an empty environment: numpy, h5py,
# typer, and what typer needs.
BARE = {
    "emodict", "h5py", "numpy", "typer",
    "annotated-doc", "markdown-it-py", "mdurl", "pygments", "rich", "shellingham",
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("probe.py")
# Where commands start: what they find must come from the environment, not from this checkout.
ELSEWHERE = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def main(dist: Path) -> None:
    """Raises AssertionError or CalledProcessError at the first thing
    that is not as it should be.
    """
    (wheel,) = dist.resolve().glob("*.whl")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = untrained_model(folder / "model.onnx", ("gsr", "ppg"))
        tried = [
            version for version in PYTHONS if try_python(version, wheel, model, folder / version)
        ]
    if not tried:
        sys.exit(f"none of Python {', '.join(PYTHONS)} is here: nothing was tried")
    print(f"{wheel.name} installs and runs on Python {', '.join(tried)}")


def try_python(version: str, wheel: Path, model: Path, folder: Path) -> bool:
    """Whether this Python is here; if it is, the wheel works on it."""
    python = find_python(version)
    if python is None:
        print(f"Python {version}: not here, not tried")
        return False
    run(python, "-m", "venv", folder)
    pip(folder, "install", wheel)
    installed = packages(folder)
    assert set(installed) == BARE, sorted(set(installed) ^ BARE)
    session = folder / "probe.h5"
    run(folder / "bin" / "python", "-I", PROBE, session)
    assert "ppg" in run(folder / "bin" / "emodict-session", "inspect", session)
    assert run(folder / "bin" / "emodict-run", "--help").startswith("Usage: emodict-run")
    pip(folder, "install", f"{wheel}[onnx]")
    scored = run(folder / "bin" / "emodict-run", "--engine", model, session)
    assert "probe: 16 rows, 16 answered" in scored, scored
    with_onnx = sorted(set(packages(folder)) - BARE)
    # `make test` on this Python: every version that is pinned can be had for it.
    pip(
        folder,
        "install",
        "--dry-run",
        "--constraint",
        ROOT / "constraints.txt",
        f"{wheel}[test,lint]",
    )
    print(
        f"Python {version}: {', '.join(sorted(BARE))}; [onnx] adds {', '.join(with_onnx)}; "
        f"a session is scored",
        flush=True,
    )
    return True


def find_python(version: str) -> Path | None:
    """The interpreter of pyenv, else the one on the PATH;
    a shim of pyenv's for a version that is not set fails.
    """
    roots = [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"]
    found = [path for root in roots for path in sorted(root.glob(f"{version}.*/bin/python"))]
    on_path = shutil.which(f"python{version}")
    found += [Path(on_path)] if on_path else []
    for path in found:
        if (
            subprocess.run(
                [path, "-c", "import venv, ensurepip"], capture_output=True, check=False
            ).returncode
            == 0
        ):
            return path
    return None


def packages(folder: Path) -> dict[str, str]:
    """Name and version of what pip has installed, without pip itself."""
    listed = json.loads(pip(folder, "list", "--format", "json"))
    found = {entry["name"].lower().replace("_", "-"): entry["version"] for entry in listed}
    return {name: version for name, version in found.items() if name not in ("pip", "setuptools")}


def pip(folder: Path, *words: object) -> str:
    return run(folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", *words)


def run(*command: object) -> str:
    """Standard output of a command that must succeed, started outside of the checkout."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, env=ELSEWHERE, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
