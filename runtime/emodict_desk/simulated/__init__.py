"""The models that come with emodict: of SIMULATED people, for whoever has a device alone.

`make models` makes them; each has a card beside it.
"""

from __future__ import annotations

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
    files = {f"{DEMO}{file.stem}": file for file in sorted(FOLDER.glob("*.onnx"))}
    if name not in files:
        raise ModelError(f"No model {name} comes with emodict", expected=tuple(files))
    return files[name]
