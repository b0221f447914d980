"""The distribution as a stream of the Lab Streaming Layer, for other programs."""

from __future__ import annotations

import uuid

from emodict.engine.manifest import Manifest
from emodict.live.liblsl import Outlet, library, local_clock_s
from emodict.live.row import LiveRow

STREAM_NAME = "emodict"
STREAM_TYPE = "Emotion"
_ROWS_PER_S = 1.0


class LslOutlet:
    """A listener that sends each row on: one channel per emotion, NaN for a row without an answer.

    A sample's stamp is the end of the second that it describes, on this machine's LSL clock. The
    stream opens with the first row, which says whether the person is simulated.
    """

    def __init__(self) -> None:
        # Without the library, say so before the run begins.
        library()
        self._manifest: Manifest | None = None
        self._source = ""
        self._outlet: Outlet | None = None

    def begin(self, manifest: Manifest, source: str) -> None:
        """Told once, before the first row."""
        self._manifest, self._source = manifest, source

    def row(self, row: LiveRow) -> None:
        """Send one second on; never waits for those who listen."""
        if self._outlet is None:
            self._outlet = self._opened(row)
        self._outlet.push(row.prediction.distribution[0], local_clock_s() - row.delay_s)

    def _opened(self, row: LiveRow) -> Outlet:
        prediction = row.prediction
        marks = {"simulated": prediction.simulated, "model_simulated": prediction.model_simulated}
        about = [
            ("source", self._source),
            *((name, str(value).lower()) for name, value in marks.items()),
        ]
        if self._manifest is not None:
            about += [
                ("model_sha256", self._manifest.graph_sha256),
                ("features", f"{self._manifest.features.id} {self._manifest.features.fingerprint}"),
                ("software", self._manifest.software),
            ]
        return Outlet(
            name=STREAM_NAME,
            kind=STREAM_TYPE,
            # Two runs on one machine are two sources.
            source_id=f"emodict-{uuid.uuid4().hex}",
            labels=row.prediction.emotions,
            rate_hz=_ROWS_PER_S,
            unit="probability",
            about=about,
        )

    def __enter__(self) -> LslOutlet:
        return self

    def __exit__(self, *_: object) -> None:
        if self._outlet is not None:
            self._outlet.__exit__()
            self._outlet = None
