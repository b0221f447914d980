"""Simulated face features: one picture per emotion,
the same in all people, on a person's own face.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emodict.recording.recording import FaceVideo
from emodict_desk.tables.table import DMER_EMOTIONS
from emodict_train.simulate.course import Course, SimulationPlan
from emodict_train.simulate.noise import faults

FloatArray = NDArray[np.float64]

FACE_RATE_HZ = 1.0
FACE_DIMS = 32


# What all simulated people have in common hangs on this seed alone, so that a model trained on the
# people of one seed can be tested on those of another.
POPULATION_SEED = 20240847


def face_map() -> FloatArray:
    """(emotions, dims): the face that each emotion makes, the same in all simulated people."""
    return np.random.default_rng(POPULATION_SEED).normal(0, 1, (len(DMER_EMOTIONS), FACE_DIMS))


def simulate_face(rng: np.random.Generator, course: Course, plan: SimulationPlan) -> FaceVideo:
    """A person's own face, what the emotions do to it, and noise;
    no row while the face is out of sight.
    """
    times_s = course.times_s(FACE_RATE_HZ) + rng.uniform(0.05, 0.95)
    identity = rng.normal(0, 0.4, FACE_DIMS)
    expressed = rng.lognormal(0, 0.2) * course.intensity_at(times_s) @ face_map()
    embedding = identity + 0.35 * expressed + rng.normal(0, 1.3, (len(times_s), FACE_DIMS))
    seen = np.ones(len(times_s), dtype=bool)
    for part in faults(
        rng, len(times_s), FACE_RATE_HZ, per_min=plan.faults_per_min, length_s=(2.0, 5.0)
    ):
        seen[part] = False
    return FaceVideo(
        timestamps_s=times_s[seen],
        embedding=embedding[seen].astype(np.float32),
        frame_rate_hz=FACE_RATE_HZ,
    )
