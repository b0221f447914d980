"""What `make pages` types, and what it does not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A page whose excerpts are of one run.

    Attributes:
        snippets: its Python snippets are run, too, in order.
    """

    path: str
    snippets: bool = False


# In this order: the training of one page makes the model that another one shows.
PAGES = (
    Page("README.md", snippets=True),
    Page("docs/training.md"),
    Page("docs/export.md"),
    Page("docs/run.md"),
    Page("docs/features.md", snippets=True),
    Page("docs/python-api.md", snippets=True),
    Page("docs/calibration.md"),
    Page("docs/live.md"),
)
# Pictures that commands of these pages draw, and what they are called where they are drawn.
DRAWINGS = {"docs/precision.svg": "precision.svg", "docs/reliability.svg": "calibrated.svg"}
# Commands, by how they begin, whose excerpts stay as they are, and why.
NOT_RENEWED = {
    "emodict-run --engine demo:wrist E4_FOLDER": "is of somebody's own wristband",
    "emodict-train fit people -o again.pt": "is stopped by Ctrl-C",
    "emodict-train fit train.mat": "the released sample is not in the repository",
    "emodict-run --engine model.onnx train.mat": "the same",
    "python -m benchmarks": "takes minutes, and needs the released sample",
    "emodict-run --check": "says what one machine has",
    "emodict-run --engine model.onnx --live lsl": "needs two sensors on the network",
}
# From this command on a page works in a folder of its own:
# its `people` and `model.pt` are others than the demo's.
OTHER_FOLDER = "emodict-train simulate people --people 9"
# What a page leaves to the reader, typed before the command that begins so.
FIRST = {
    "emodict-calibrate population": [
        f"emodict-calibrate person people/sub-0{i}.h5 --to 70 -o p{i}.json" for i in range(1, 6)
    ],
    "emodict-run --engine rest.onnx": ["emodict-export rest.pt"],
    "emodict-run --engine band.onnx unseen": ["emodict-export band.pt"],
}
# The models that the page on calibration speaks of: of five of its people,
# and one for the wrist that learned for longer than is good for it.
FIVE = " ".join(f"people/sub-0{i}.h5" for i in range(1, 6))
TRAINED_FIRST = {
    "emodict-calibrate population": [f"emodict-train fit {FIVE} -o model.pt"],
    "emodict-calibrate output": [
        "emodict-train fit ../demo/people --modalities ppg,gsr --epochs 30 -o wrist.pt --seed 1"
    ],
}
# Seconds that a command takes which has these words; any other, OTHER_S.
SECONDS = {"emodict-train fit": 60.0, "--ica": 30.0, "--dask": 13.0, "emodict-train simulate": 12.0}
OTHER_S = 4.0
DEMO_S, PICTURES_S = 90.0, 20.0
KERNELS_S = 75.0


def first(command: str) -> list[str]:
    """What is typed before a command."""
    both = (*TRAINED_FIRST.items(), *FIRST.items())
    return [line for start, lines in both if command.startswith(start) for line in lines]


def is_renewed(command: str) -> bool:
    return not command.startswith(tuple(NOT_RENEWED))


def expected_s(command: str) -> float:
    return next((seconds for words, seconds in SECONDS.items() if words in command), OTHER_S)
