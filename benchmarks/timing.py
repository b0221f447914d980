"""Interleaved timing: each job once a round, in shuffled order, so that a machine whose speed
drifts drifts for all of them, and none always finds the caches that another left.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    jobs: Mapping[str, Callable[[], object]], *, rounds: int, repeats: Mapping[str, int]
) -> dict[str, float]:
    """Median CPU seconds of one call of each job, over rounds after a warm-up round."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    order, rng = list(jobs), random.Random(0)
    for round_ in range(rounds + 1):
        rng.shuffle(order)
        for name in order:
            count = repeats.get(name, 1)
            started = time.process_time()
            for _ in range(count):
                jobs[name]()
            if round_:
                seconds[name].append((time.process_time() - started) / count)
    return {name: statistics.median(values) for name, values in seconds.items()}
