"""RowsFile: live rows appended to a .csv or .jsonl as they come;
a run that is killed leaves all but the last.
"""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from typing import TextIO

from emodict.engine.manifest import Manifest
from emodict.errors import OutputError
from emodict.files.atomic import check_writable, output_error
from emodict.live.printing import row_line
from emodict.live.row import LiveRow
from emodict.results.outputs import write_csv

logger = logging.getLogger(__name__)

ENDINGS = (".csv", ".jsonl")


def require_new_rows_file(path: Path) -> None:
    """Refuse where live rows could not be written.

    Raises:
        OutputError: the file exists, has an ending that cannot grow by rows,
            or its folder cannot be written to.
    """
    if path.suffix.lower() not in ENDINGS:
        raise OutputError(
            f"Live rows cannot be written to {path}",
            expected=" or ".join(ENDINGS),
            got=path.suffix or "no ending",
            fix="--json writes to standard output, --record keeps the signals",
        )
    check_writable(path)
    if path.exists():
        raise OutputError(
            f"Cannot write live rows to {path}: it exists, and is never overwritten",
            fix="Choose another name",
        )


class RowsFile:
    """A listener that appends each row at once: .csv as `--out` writes of a recording,
    .jsonl as `--json` does live.

    The file is made with the first row.

    A disk that is full ends the file, which is said once; the run goes on.

    Raises:
        OutputError: as `require_new_rows_file`.
    """

    def __init__(self, path: Path, *, with_weights: bool) -> None:
        require_new_rows_file(path)
        self._path, self._with_weights = path, with_weights
        self._file: TextIO | None = None
        self._has_header = False
        self.failure: str | None = None

    def begin(self, manifest: Manifest, source: str) -> None:
        return None

    def row(self, row: LiveRow) -> None:
        if self.failure is not None:
            return
        try:
            if self._file is None:
                self._file = self._opened()
            # In one write each, which a kill does not cut in two.
            self._file.write(self._text(row))
            self._file.flush()
        except OSError as error:
            reason = str(output_error(self._path, error)).partition(". Nothing was left behind")[0]
            self.failure = f"{reason}. What was written until now can be read"
            logger.warning("%s", self.failure)
            self.__exit__()

    def _opened(self) -> TextIO:
        return self._path.open("x", encoding="utf-8", errors="backslashreplace", newline="")

    def _text(self, row: LiveRow) -> str:
        if self._path.suffix.lower() == ".jsonl":
            return row_line(row, with_weights=self._with_weights) + "\n"
        table = io.StringIO()
        write_csv([row.prediction], table, with_weights=self._with_weights)
        header, _, line = table.getvalue().partition("\n")
        first, self._has_header = not self._has_header, True
        return f"{header}\n{line}" if first else line

    def require_whole(self) -> None:
        """To be called after the end.

        Raises:
            OutputError: the rows after some time are missing.
        """
        if self.failure is not None:
            raise OutputError(self.failure)

    def __enter__(self) -> RowsFile:
        return self

    def __exit__(self, *_: object) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
