"""The stimulus mean: what other people answered to the same film, each of them counting once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.train.study import synthetic

from emodict_train.study.compared.data import StudyData
from emodict_train.study.compared.protocols import Split
from emodict_train.study.compared.stimulus_mean import StimulusMean, has_shared_stimuli
from emodict_train.study.compared.task import Task

# Person, film, how many windows, and the share of the first of two emotions.
ROWS = (
    ("ann", "sea", 3, 0.9),
    ("ann", "cellar", 2, 0.2),
    ("ben", "sea", 1, 0.5),
    ("cid", "sea", 4, 0.7),
    ("cid", "cellar", 2, 0.4),
    ("cid", "street", 2, 0.1),
    ("cid", "", 1, 0.3),
)


@pytest.fixture
def study() -> StudyData:
    def column(at: int) -> np.ndarray:
        return np.repeat([row[at] for row in ROWS], [row[2] for row in ROWS])

    shares = column(3).astype(float)
    whole = synthetic.data(people=1, trials=1, windows=len(shares), emotions=("calm", "fear"))
    return dataclasses.replace(
        whole, D=np.stack([shares, 1 - shares], axis=1), subject=column(0), stimulus=column(1)
    )


def predicted(study: StudyData, person: str) -> dict[str, float]:
    """The first emotion's share for each film of a person whom nothing was trained on."""
    test = np.flatnonzero(study.subject == person)
    train = np.flatnonzero(study.subject != person)
    (found,) = StimulusMean().predict(study, [Task(Split(train, test, person), 0)], {})
    assert found.shape == (1, len(test), 2)
    np.testing.assert_allclose(found.sum(axis=2), 1, rtol=1e-15)
    return dict(zip(study.stimulus[test].tolist(), found[0, :, 0].tolist(), strict=True))


def test_others_count_once_however_many_windows_they_have(study: StudyData) -> None:
    # Ben's and Cid's sea: 0.5 and 0.7, of one window and of four.
    assert predicted(study, "ann") == pytest.approx({"sea": 0.6, "cellar": 0.4})


def test_what_nobody_else_saw_is_answered_with_the_mean_label(study: StudyData) -> None:
    # Of the training rows: three of 0.9, two of 0.2, one of 0.5.
    mean = (3 * 0.9 + 2 * 0.2 + 0.5) / 6
    answers = {"sea": 0.7, "cellar": 0.2, "street": mean, "": mean}
    assert predicted(study, "cid") == pytest.approx(answers)


def test_it_is_compared_only_where_people_share_a_stimulus(study: StudyData) -> None:
    assert has_shared_stimuli(study)
    alone = dataclasses.replace(study, stimulus=np.char.add(study.subject, study.stimulus))
    assert not has_shared_stimuli(alone)
    assert not has_shared_stimuli(dataclasses.replace(study, stimulus=np.full(len(study), "")))


def test_the_digest_of_the_data_knows_the_stimuli(study: StudyData) -> None:
    other = dataclasses.replace(study, stimulus=np.full(len(study), "sea"))
    assert study.digest != other.digest
