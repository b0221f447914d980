"""Live rows on standard output: a table for people, JSON lines for programs."""

from __future__ import annotations

import json
from dataclasses import asdict

from emodict.engine.manifest import Manifest
from emodict.live.row import LiveRow
from emodict.results.console import header_line, row_lines
from emodict.results.outputs import row_as_dict


def row_line(row: LiveRow, *, with_weights: bool) -> str:
    """A row as a line of JSON: what `emodict-run --json` writes of a recording,
    and the sensors' states.
    """
    content = {
        "session": row.prediction.session,
        "simulated": row.prediction.simulated,
        "model_simulated": row.prediction.model_simulated,
        "doubts": row.prediction.doubts,
        "unix_s": round(row.unix_s, 3),
        "delay_s": round(row.delay_s, 4),
        **row_as_dict(row.prediction, 0, with_weights=with_weights),
        "sensors": [asdict(sensor) for sensor in row.sensors],
    }
    return json.dumps(content)


class TableListener:
    """One line a second; `plain` for terminals that know only ASCII."""

    def __init__(self, *, plain: bool) -> None:
        self._plain, self._header = plain, ""

    def begin(self, manifest: Manifest, source: str) -> None:
        self._header = header_line(manifest.model.emotions, manifest.features.modality_names) + "\n"

    def row(self, row: LiveRow) -> None:
        # The head comes with the first row: sensors may take their time.
        print(self._header, *row_lines(row.prediction, plain=self._plain), sep="", flush=True)
        self._header = ""

    def __enter__(self) -> TableListener:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class JsonListener:
    """One JSON object a second."""

    def __init__(self, *, with_weights: bool) -> None:
        self._with_weights = with_weights

    def begin(self, manifest: Manifest, source: str) -> None:
        return None

    def row(self, row: LiveRow) -> None:
        print(row_line(row, with_weights=self._with_weights), flush=True)

    def __enter__(self) -> JsonListener:
        return self

    def __exit__(self, *_: object) -> None:
        return None
