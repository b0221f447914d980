"""The notebook under examples/: each cell runs, and shows what a notebook would show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "first_look.ipynb"
# As a kernel does: a cell's last expression is shown, as a picture or HTML where it has one.
KERNEL = """
import ast, json, sys
names = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] != "code":
        continue
    code = ast.parse("".join(cell["source"]))
    last = code.body.pop() if isinstance(code.body[-1], ast.Expr) else None
    exec(compile(code, cell["id"], "exec"), names)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)
        for way in ("_repr_png_", "_repr_html_", "__repr__"):
            if value is not None and hasattr(value, way):
                print(cell["id"], way, getattr(value, way)()[1:4])
                break
"""


def test_each_cell_of_the_notebook_runs_and_shows_what_it_ends_with(
    model: Path, noise_session: Path, tmp_path: Path
) -> None:
    shutil.copy(model, tmp_path / "model.onnx")
    shutil.copy(noise_session, tmp_path / "session.h5")
    command = [sys.executable, "-W", "error", "-c", KERNEL, str(NOTEBOOK)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shown = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("cell-")]
    html, picture = "_repr_html_", "_repr_png_"
    assert shown == [html, picture, "__repr__", html, html, html, html, picture, html]
    assert done.stdout.count("b'PNG'") == 2


def test_the_notebook_holds_no_output_of_whoever_ran_it_last() -> None:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [
        cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None
    ] == []
    assert (content["nbformat"], len({cell["id"] for cell in content["cells"]})) == (
        4,
        len(content["cells"]),
    )
