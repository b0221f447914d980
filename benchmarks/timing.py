"""Interleaved timing: A, B, C, A, B, C ...,
so that a machine whose speed drifts drifts for all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    jobs: Mapping[str, Callable[[], object]], *, rounds: int, repeats: Mapping[str, int]
) -> dict[str, float]:
    """Median CPU seconds of one call of each job, over rounds after a warm-up round."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for round_ in range(rounds + 1):
        for name, job in jobs.items():
            count = repeats.get(name, 1)
            started = time.process_time()
            for _ in range(count):
                job()
            if round_:
                seconds[name].append((time.process_time() - started) / count)
    return {name: statistics.median(values) for name, values in seconds.items()}
