"""What a device loads when it runs a model on a recording: few lines,
and no room that it does not need.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES, MOST_LINES_LOADED = 18_200, 8_100
LOADED = """
import json, sys
from emodict.cli.run import main
try:
    main()
finally:
    ours = {
        name: module.__file__
        for name, module in sys.modules.items()
        if name.split(".")[0].startswith("emodict")
    }
    print(json.dumps(ours), file=sys.stderr)
"""


def loaded(model: Path, session: Path) -> dict[str, Path]:
    """The modules of emodict that a run imports, with their files."""
    command = [sys.executable, "-c", LOADED, "--engine", str(model), str(session)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {name: Path(file) for name, file in json.loads(done.stderr.splitlines()[-1]).items()}


def lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def test_a_run_on_a_recording_loads_few_lines_and_the_rooms_that_the_page_names(
    model: Path, session: Path
) -> None:
    modules = loaded(model, session)
    assert sum(map(lines, modules.values())) <= MOST_LINES_LOADED
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \|$", page, re.MULTILINE))
    rooms = {
        (name.split(".") if name.startswith("emodict.") else ["", name.split(".")[0]])[1]
        for name in modules
    }
    assert rooms - {"emodict", "errors"} == {room for room, used in named.items() if used == "yes"}


def test_what_a_device_can_need_stays_small() -> None:
    assert sum(map(lines, (ROOT / "runtime" / "emodict").rglob("*.py"))) <= MOST_LINES
