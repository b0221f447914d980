"""The whole way on simulated people: simulate, train, export,
run on someone the model has never seen.

python examples/demo.py [FOLDER]
"""

import subprocess
import sys
import sysconfig
import time
from pathlib import Path

SCRIPTS = Path(sysconfig.get_path("scripts"))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    step(f"1/4  Six simulated people to learn from, and one more to try it on (in {folder}/)")
    command("emodict-train", "simulate", folder / "people", "--people", 6, "--seed", 1)
    command("emodict-train", "simulate", folder / "stranger", "--people", 1, "--seed", 2)
    step("2/4  Train EmotionDict on the six; whole people are held out to know when to stop")
    command("emodict-train", "fit", folder / "people", "-o", folder / "model.pt", "--seed", 1)
    step("3/4  Fold it into one small ONNX graph, checked against torch")
    command("emodict-export", folder / "model.pt", "-o", folder / "model.onnx")
    step("4/4  Run the person it has never seen")
    stranger, report = folder / "stranger" / "sub-01.h5", folder / "report.html"
    command("emodict-run", "--engine", folder / "model.onnx", stranger, "--report", report)
    step(f"Done in {time.monotonic() - started:.0f} s. Simulated people: the numbers show that")
    print("the chain works, not how well emotions can be read from real people. Open", report)


def step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def command(name: str, *arguments: object) -> None:
    print("$", name, *arguments, flush=True)
    subprocess.run([SCRIPTS / name, *map(str, arguments)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
