"""Run the Dockerfile's steps without Docker, in folders instead of images,
with the Python it names.

python -m tests.release.docker_steps [STAGE...]
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.release.dockerfile import ROOT, Stage, read_stages
from tests.release.install import ELSEWHERE, find_python, run

# What needs root and changes the machine.
LEFT_OUT = ("useradd", "chmod")
COMMANDS = {
    "runtime": ("emodict-run", "emodict-session"),
    "workbench": (
        "emodict-run",
        "emodict-session",
        "emodict-train",
        "emodict-export",
        "emodict-calibrate",
    ),
}


def main(wanted: list[str]) -> None:
    """Raises at the first step that fails."""
    stages = read_stages()
    with tempfile.TemporaryDirectory() as made:
        for name in ("build", *(wanted or ("runtime", "workbench"))):
            run_stage(stages[name], Path(made))


def run_stage(stage: Stage, folder: Path) -> None:
    """Run every RUN of a stage, then what its CMD starts and the help of
    every command it brings.
    """
    (version,) = re.findall(r"^python:(3\.\d+)-", stage.base)
    python = find_python(version)
    if python is None:
        sys.exit(f"{stage.name}: its Python {version} is not here")
    root = folder / stage.name
    run(python, "-m", "venv", root / "base")  # stands for the image's Python, which is left alone
    environment = {**ELSEWHERE, **stage.arguments, "PATH": f"{root}/base/bin:{os.environ['PATH']}"}
    for text in stage.all_of("COPY"):
        for source in text.split()[:-1]:
            copy(ROOT / source, root / "source" / source)
    (root / "source").mkdir(parents=True, exist_ok=True)
    for script in stage.all_of("RUN"):
        shell(in_folders(script, folder, root), root / "source", environment)
    if stage.name == "build":
        return
    environment["PATH"] = f"{root}/emodict/bin:{environment['PATH']}"
    (command,) = stage.all_of("CMD")
    if json.loads(command) != ["bash"]:
        print(shell(" ".join(json.loads(command)), root, environment))
    for name in COMMANDS[stage.name]:
        shell(f"{name} --help", root, environment)
    print(f"{stage.name}: every step runs; {', '.join(COMMANDS[stage.name])} start", flush=True)


def in_folders(script: str, folder: Path, root: Path) -> str:
    """The script with its mounts and what needs root taken away, and its paths below the folder."""
    script = re.sub(r"^(--mount=\S+\s+)+", "", script)
    steps = [step.strip() for step in script.split("&&")]
    kept = " && ".join(step for step in steps if not step.startswith(LEFT_OUT))
    return kept.replace("/dist", f"{folder}/dist").replace("/opt/emodict", f"{root}/emodict")


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def shell(script: str, folder: Path, environment: dict[str, str]) -> str:
    print("$", script, flush=True)
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
