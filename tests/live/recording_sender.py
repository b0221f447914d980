"""A process that records counters in real time until it is killed,
and says what it has handed to the recorder.

python recording_sender.py OUT.h5: a line "MODALITY RATE COUNT" after each chunk,
COUNT samples being sent so far.
"""

import sys
import time
from pathlib import Path

import numpy as np

from emodict.live.recorder import SessionRecorder
from emodict.live.source import Chunk, Connected, LiveStream

# (when it appears, the stream); the second EEG is the first one come back at another rate.
PLAN = (
    (0.0, LiveStream("eeg", 300.0, ("Fz", "Cz", "Pz"), "uV", "headset")),
    (0.3, LiveStream("gsr", 4.0, ("gsr",), "uS", "wristband")),
    (0.7, LiveStream("ppg", 100.0, ("ppg",), "a.u.", "wristband")),
    (1.6, LiveStream("eeg", 250.0, ("Fz", "Cz", "Pz"), "uV", "headset")),
)
TICK_S = 0.02


def counters(first: int, last: int, channels: int) -> np.ndarray:
    """(samples, channels): the number of the sample, and in each further channel 0.25 more."""
    return np.arange(first, last)[:, None] + 0.25 * np.arange(channels)


def main() -> None:
    began_s = time.monotonic()
    sent: dict[LiveStream, int] = {}
    current: dict[str, LiveStream] = {}
    with SessionRecorder(Path(sys.argv[1]), start_s=0.0, subject_id="counter") as recorder:
        while True:
            now_s = time.monotonic() - began_s
            for appears_s, stream in PLAN:
                if now_s >= appears_s and stream not in sent:
                    sent[stream], current[stream.modality] = 0, stream
                    recorder.keep(Connected(stream, appears_s))
            for appears_s, stream in PLAN:
                if current.get(stream.modality) is not stream:
                    continue
                count = int((now_s - appears_s) * stream.rate_hz)
                numbers = np.arange(sent[stream], count)
                if len(numbers):
                    samples = counters(sent[stream], count, len(stream.channel_names))
                    recorder.keep(
                        Chunk(stream.modality, samples, appears_s + numbers / stream.rate_hz)
                    )
                    sent[stream] = count
                    print(stream.modality, stream.rate_hz, count, flush=True)
            time.sleep(TICK_S)


if __name__ == "__main__":
    main()
