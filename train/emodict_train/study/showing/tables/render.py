"""Tables as text: Markdown for reading and LaTeX for a paper."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from emodict.files.atomic import atomic_path
from emodict_train.study.showing.tables.table import Cell, Table

_MARKDOWN = str.maketrans({"\\": r"\\", "|": r"\|", "*": r"\*", "_": r"\_", "`": r"\`", "\n": " "})
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        **{character: "\\" + character for character in "&%$#_{}"},
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "\n": " ",
        "±": r"$\pm$", "−": "$-$", "–": "--", "↓": r"$\downarrow$", "↑": r"$\uparrow$",
    }
)  # fmt: skip


def write_tables(tables: Sequence[Table], folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write tables.md and tables.tex into a folder,
    each whole or not at all, and return their paths.

    Raises:
        OutputError: the folder does not exist or cannot be written, or the disk is full.
    """
    texts = {
        "tables.md": map(markdown, tables),
        "tables.tex": ["% \\usepackage{booktabs}", *map(latex, tables)],
    }
    paths = []
    for name, parts in texts.items():
        path = Path(folder) / name
        with atomic_path(path) as part:
            # A file name that is not UTF-8 may have become the name of the data.
            part.write_bytes("\n".join(parts).encode("utf-8", "backslashreplace"))
        paths.append(path)
    return paths[0], paths[1]


def markdown(table: Table) -> str:
    """The table as a section of GitHub's Markdown."""
    head = _markdown_line(map(_markdown_escaped, table.columns))
    lines = [head, _markdown_line(["---", *["---:"] * (len(table.columns) - 1)])]
    for row in table.rows:
        texts = (_markdown_escaped(cell.text) for cell in row)
        bold = (f"**{text}**" if cell.bold else text for text, cell in zip(texts, row, strict=True))
        marks = (f"<sup>{_mark(table, cell)}</sup>" if cell.note else "" for cell in row)
        lines.append(_markdown_line([text + mark for text, mark in zip(bold, marks, strict=True)]))
    notes = [
        f"<sup>{_letter(i)}</sup> {_markdown_escaped(note)}" for i, note in enumerate(table.notes)
    ]
    remarks = [_markdown_escaped(remark) for remark in table.remarks]
    parts = [f"### {_markdown_escaped(table.title)}", f"**{_markdown_escaped(table.finding)}**",
             _markdown_escaped(table.caption), "\n".join(lines), *notes, *remarks]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_escaped(text: str) -> str:
    return text.translate(_MARKDOWN)


def latex(table: Table) -> str:
    """The table as a LaTeX float; needs \\usepackage{booktabs}."""
    head = " & ".join(map(latex_escaped, table.columns))
    body = []
    for row in table.rows:
        texts = (latex_escaped(cell.text) for cell in row)
        bold = (
            rf"\textbf{{{text}}}" if cell.bold else text
            for text, cell in zip(texts, row, strict=True)
        )
        marks = (rf"\textsuperscript{{{_mark(table, cell)}}}" if cell.note else "" for cell in row)
        body.append(
            " & ".join(text + mark for text, mark in zip(bold, marks, strict=True)) + r" \\"
        )
    notes = [
        rf"\textsuperscript{{{_letter(i)}}} {latex_escaped(note)}."
        for i, note in enumerate(table.notes)
    ]
    under = [rf"\par\footnotesize {line}" for line in (*notes, *map(latex_escaped, table.remarks))]
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{latex_escaped(table.caption)} {latex_escaped(table.finding)}}}",
            rf"\label{{tab:{table.key}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *under,
            r"\end{table*}",
            "",
        ]
    )


def latex_escaped(text: str) -> str:
    """Text with everything that LaTeX would read as its own written out."""
    return text.translate(_LATEX)


def _mark(table: Table, cell: Cell) -> str:
    return _letter(table.notes.index(cell.note))


def _letter(i: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    return ("" if i < 26 else _letter(i // 26 - 1)) + chr(ord("a") + i % 26)
