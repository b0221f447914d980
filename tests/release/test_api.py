"""The reference of the public modules can be built without a warning,
and has in it what the page on Python names.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pdoc
from tests.release.conftest import ROOT

TABLE = re.findall(
    r"^\| (`emodict.*?) \| (.*) \|$", (ROOT / "docs" / "python-api.md").read_text(), re.MULTILINE
)


def test_make_builds_the_modules_that_the_page_calls_public() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "api"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (command,) = [line for line in done.stdout.splitlines() if " pdoc " in line]
    built = command.partition(" api ")[2].split()
    assert sorted(built) == sorted(
        name for modules, _ in TABLE for name in re.findall(r"`(.*?)`", modules)
    )


def test_the_reference_is_built_without_a_warning_and_names_all_that_the_page_does(
    tmp_path: Path,
) -> None:
    """A warning is an error in every test."""
    pdoc.render.configure(docformat="google")
    pdoc.pdoc(
        *(name for modules, _ in TABLE for name in re.findall(r"`(.*?)`", modules)),
        output_directory=tmp_path,
    )
    for modules, names in TABLE:
        pages = "".join(
            (tmp_path / f"{name.replace('.', '/')}.html").read_text()
            for name in re.findall(r"`(.*?)`", modules)
        )
        for name in re.findall(r"`(.*?)`", names):
            assert f'id="{name}"' in pages, name
