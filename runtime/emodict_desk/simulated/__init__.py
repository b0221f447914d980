"""The models that come with emodict: of SIMULATED people, for whoever has a device alone.

`make models` makes them; each has a card beside it.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from emodict.errors import ModelError

FOLDER = Path(__file__).parent
# The word that stands for them in the place of a path.
DEMO = "demo:"


def model_file(path: str | os.PathLike[str]) -> Path:
    """`demo:wrist` -> the file of that model; any other path as it is.

    Raises:
        ModelError: none of that name comes with emodict.
    """
    name = os.fspath(path)
    if not name.startswith(DEMO):
        return Path(path)
    files = _files()
    if name not in files:
        raise ModelError(f"No model {name} comes with emodict", expected=tuple(files))
    return files[name]


def missing_model(path: Path) -> ModelError:
    """The error for a model that is not there; a name that is nearly one of these is told."""
    names = tuple(_files())
    word = str(path).lower()
    near = [name for name in names if word in (DEMO.rstrip(":"), name.removeprefix(DEMO))]
    near = near or difflib.get_close_matches(word, names, n=1)
    if near:
        return ModelError(
            f"There is no model {path}",
            expected=f"a file, or one that comes with emodict: {', '.join(names)}",
            fix=f"--engine {' or '.join(near)}",
        )
    return ModelError(
        f"There is no model {path}",
        expected="a model.onnx or a model.plan",
        fix="Export one: emodict-export model.pt -o model.onnx",
    )


def _files() -> dict[str, Path]:
    return {f"{DEMO}{file.stem}": file for file in sorted(FOLDER.glob("*.onnx"))}
