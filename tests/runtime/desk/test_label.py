"""label: what was answered after each trial becomes shares; what answers do not say is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.runtime.desk.written import write

from emodict.errors import RecordingError
from emodict.recording.recording import Event, Recording, Signal, Trials
from emodict.recording.session import open_session, write_session
from emodict_desk.cli import session as cli
from emodict_desk.ratings.label import label_session
from emodict_desk.ratings.table import read_ratings
from emodict_desk.ratings.template import find_trials
from emodict_desk.recordings.ratings import judge
from emodict_desk.recordings.scores import SCORES, Scale, read_scale, scores_to_shares
from emodict_desk.tables.stimuli import STIMULUS

# Three people's answers of 1 to 5, and their shares by hand.
ANSWERS = np.array([[1.0, 2, 5], [1, 1, 1], [4, 2, 2]])
RUN = Callable[..., tuple[int, str, str]]


def session(path: Path, *, trials: Trials | None = None, events: tuple[Event, ...] = ()) -> Path:
    """A minute of skin conductance."""
    gsr = Signal("gsr", 4.0, "uS", ("gsr",), np.arange(240, dtype=np.float32)[:, None])
    write_session(Recording("s", "p", {"gsr": gsr}, trials=trials, events=events), path)
    return path


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return session(tmp_path / "s.h5")


def table(tmp_path: Path, *rows: str, head: str = "onset,stop,Alert,Upset,Afraid") -> Path:
    return write(tmp_path / "ratings.csv", "\n".join([head, *rows]) + "\n")


def said(tmp_path: Path, *rows: str, function: str = "share", scale: Scale | None = None) -> str:
    judged = judge(read_ratings(table(tmp_path, *rows)), function=function, scale=scale)
    return "\n".join(judged.said)


def test_each_function_makes_the_shares_that_its_formula_says() -> None:
    scale = Scale(1, 5)
    by_hand = [[1 / 8, 2 / 8, 5 / 8], [1 / 3, 1 / 3, 1 / 3], [4 / 8, 2 / 8, 2 / 8]]
    # A rounding or two of float64.
    np.testing.assert_allclose(SCORES["share"](ANSWERS, None), by_hand, rtol=1e-15)
    above = SCORES["above-lowest"](ANSWERS, scale)
    np.testing.assert_allclose(
        above[[0, 2]], [[0, 1 / 5, 4 / 5], [3 / 5, 1 / 5, 1 / 5]], rtol=1e-15
    )
    assert np.isnan(above[1]).all()
    exps = [[1, np.e, np.e**4], [1, 1, 1], [np.e**3, np.e, np.e]]
    np.testing.assert_allclose(
        SCORES["softmax"](ANSWERS, scale), [np.array(row) / sum(row) for row in exps], rtol=1e-14
    )


def test_a_slider_and_five_steps_that_say_the_same_have_the_same_softmax() -> None:
    # 1..5 and 0..100 say the same where s = 25 (a - 1).
    sliders = SCORES["softmax"](25 * (ANSWERS - 1), Scale(0, 100))
    np.testing.assert_allclose(sliders, SCORES["softmax"](ANSWERS, Scale(1, 5)), rtol=1e-14)


@pytest.mark.parametrize("name", ["above-lowest", "softmax"])
def test_a_function_that_needs_the_scale_asks_for_it(name: str) -> None:
    with pytest.raises(RecordingError, match=r"needs the scale .* --scale 1-5"):
        scores_to_shares(name)(ANSWERS, None)


@pytest.mark.parametrize(
    ("text", "scale"),
    [("1-5", (1, 5)), ("0..100", (0, 100)), ("-3..3", (-3, 3)), ("-3 to -1", (-3, -1))],
)
def test_a_scale_is_read_however_it_is_written(text: str, scale: tuple[float, float]) -> None:
    assert read_scale(text) == Scale(*scale)


@pytest.mark.parametrize("text", ["5-1", "5", "one to five", ""])
def test_what_is_not_a_scale_is_refused(text: str) -> None:
    with pytest.raises(RecordingError, match="is not a scale"):
        read_scale(text)


def test_a_session_gets_its_trials_with_shares_and_keeps_its_samples(
    bare: Path, tmp_path: Path
) -> None:
    ratings = table(tmp_path, "5,20,1,2,5", "25.5,40,4,2,2")
    label_session(bare, ratings, bare)
    with open_session(bare) as read:
        trials = read.trials
        assert trials is not None
        assert trials.label_names == ("Alert", "Upset", "Afraid")
        assert (trials.start_s.tolist(), trials.stop_s.tolist()) == ([5, 25.5], [20, 40])
        np.testing.assert_allclose(
            trials.truth, [[1 / 8, 2 / 8, 5 / 8], [4 / 8, 2 / 8, 2 / 8]], rtol=1e-15
        )
        assert read.attributes["scores_to_shares"] == "share: score / sum"
        assert read.attributes["scale"] == "1 to 5"
        assert read.attributes["labels"].startswith("ratings.csv")
        assert read.signals["gsr"].read(0, 240)[:, 0].tolist() == list(range(240))


def test_labels_that_are_there_are_not_lost_in_place_and_replaced_in_a_copy(
    bare: Path, tmp_path: Path
) -> None:
    label_session(bare, table(tmp_path, "5,20,1,2,5"), bare)
    before = bare.read_bytes()
    again = table(tmp_path, "5,20,5,2,1", "30,40,1,1,2")
    with pytest.raises(RecordingError, match=r"has labels already.* -o s-labelled.h5"):
        label_session(bare, again, bare)
    label_session(bare, again, tmp_path / "other.h5")
    assert bare.read_bytes() == before
    with h5py.File(tmp_path / "other.h5") as file:
        assert file["trials/start"][:].tolist() == [5, 30]


@pytest.mark.parametrize(
    "text",
    [
        "trial;onset;stop;Alert;Upset\nfilm A;5,5;20;1,5;2\n",
        "trial\tonset\tstop\tAlert\tUpset\nfilm A\t5.5\t20\t1.5\t2\n",
        'trial,start_s,duration,alert,UPSET,comment\nfilm A,"5,5","14,5","1,5",2,she laughed\n',
        "\ufefftrial,onset,stop,Alert,Upset\r\nfilm A,5.5,20,1.5,2\r\n\r\n,,,,\r\n",
    ],
)
def test_a_table_is_read_whatever_its_separators_decimals_and_line_ends(
    text: str, tmp_path: Path
) -> None:
    ratings = read_ratings(write(tmp_path / "r.csv", text))
    assert ratings.trial == ("film A",)
    assert ratings.emotions == ("Alert", "Upset")
    assert (ratings.onset_s.tolist(), ratings.stop_s.tolist()) == ([5.5], [20])
    assert ratings.scores.tolist() == [[1.5, 2]]


def test_what_is_not_an_emotion_is_left_out_and_named(tmp_path: Path) -> None:
    path = table(tmp_path, "5,20,7,4,1,2", head="onset,stop,subject,valence,Alert,Upset")
    ratings = read_ratings(path)
    assert ratings.emotions == ("Alert", "Upset")
    assert "not emotions, and left out: subject, valence" in ratings.notes


def test_percents_are_shares_and_one_that_does_not_sum_is_named(tmp_path: Path) -> None:
    rows = ("5,10,50,30,20", "15,20,80,10,10", "25,30,33,33,33", "35,40,50,20,20")
    sentences = said(tmp_path, *rows)
    assert "the scores of 3 of 4 trials sum to 100: they are taken for shares" in sentences
    assert "each trial's scores sum to 100: they are taken for shares" in said(tmp_path, *rows[:3])
    assert (
        "trial 'trial04': its scores sum to 90, not 100; they are divided by their sum" in sentences
    )
    # Thirds sum to 99 when they are rounded, which is as it must be.
    assert "sum to 99" not in sentences
    with pytest.raises(RecordingError, match="they are shares already"):
        said(tmp_path, *rows, function="softmax")


def test_a_scale_that_is_named_holds_though_the_answers_sum_to_100(tmp_path: Path) -> None:
    ratings = read_ratings(table(tmp_path, "5,10,50,30,20", "15,20,80,10,10"))
    judged = judge(ratings, function="above-lowest", scale=Scale(10, 100))
    assert judged.scale == Scale(10, 100)
    np.testing.assert_allclose(judged.shares, [[4 / 7, 2 / 7, 1 / 7], [1, 0, 0]], rtol=1e-15)
    assert not any("shares" in sentence for sentence in judged.said)


def test_an_answer_of_44_among_answers_of_1_to_5_is_a_slip_and_many_are_another_scale(
    tmp_path: Path,
) -> None:
    slip = read_ratings(table(tmp_path, "5,20,4,44,1", "25,40,2,3,1", "45,60,2,2,1"))
    with pytest.raises(RecordingError, match=r"trial 'trial01', Upset: the scale has no.*got 44"):
        judge(slip)
    assert judge(slip, scale=Scale(0, 100)).scale == Scale(0, 100)
    slider = read_ratings(table(tmp_path, "5,20,40,44,1", "25,40,20,3,1", "45,60,22,2,70"))
    assert judge(slider).scale is None


@pytest.mark.parametrize("score", ["1e308", "-1e7"])
def test_a_number_that_nobody_can_have_answered_is_refused(score: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"trial 'trial01', Upset: not an answer.*1,000,000"):
        judge(read_ratings(table(tmp_path, f"5,20,1,{score},{score}")))


@pytest.mark.parametrize("other", ["age", "reaction_time", "Fröhlich"])
def test_a_column_of_numbers_that_may_be_no_emotion_is_asked_about(
    other: str, bare: Path, tmp_path: Path
) -> None:
    path = table(tmp_path, "5,20,44,1,2", head=f"onset,stop,{other},happy,Upset")
    with pytest.raises(
        RecordingError, match=rf"which columns are emotions: {other}\?.*--emotions 'happy,Upset'"
    ):
        read_ratings(path)
    labelled = label_session(bare, path, bare, emotions=("upset", "Happy"))
    assert labelled.trials.label_names == ("Upset", "happy")
    assert f"not emotions, and left out: {other}" in labelled.said
    assert read_ratings(path, (other, "Upset")).scores.tolist() == [[44, 2]]


def test_a_trial_without_an_answer_is_left_out_and_the_item_named(
    bare: Path, tmp_path: Path
) -> None:
    labelled = label_session(bare, table(tmp_path, "5,20,1,,5", "25,40,4,2,2"), bare)
    assert labelled.trials.trial_id == ("trial02",)
    assert "trial 'trial01' is left out: no answer to Upset" in labelled.said
    assert "trial01" in labelled.attributes["labels"]


def test_a_table_without_a_whole_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RecordingError, match=r"no trial has an answer to each item.*no answer to Alert"
    ):
        said(tmp_path, "5,20,,1,1")


def test_answers_that_are_all_the_same_are_said_to_say_nothing(tmp_path: Path) -> None:
    sentences = said(tmp_path, "5,20,3,3,3", "25,40,1,1,1")
    assert "trial 'trial01': each answer is 3: its distribution is even" in sentences
    assert (
        "trial 'trial02': each answer is 1, the lowest of the scale: its distribution is even"
        in sentences
    )


def test_nothing_felt_has_no_shares_where_the_lowest_counts_nothing(tmp_path: Path) -> None:
    rows = ("5,20,1,1,1", "25,40,1,3,2")
    assert "trial 'trial01' is left out: each answer is the lowest" in said(
        tmp_path, *rows, function="above-lowest"
    )
    with pytest.raises(RecordingError, match="no trial can have a distribution"):
        said(tmp_path, rows[0], function="above-lowest")


@pytest.mark.parametrize(
    ("row", "scale", "what"),
    [
        (
            "5,20,1,2,6",
            Scale(1, 5),
            r"trial 'trial01', Afraid: the scale has no such answer.* 1 to 5, got 6",
        ),
        ("5,20,-1,2,2", None, "Scores below 0 have no share.*above-lowest"),
        ("5,20,1,two,3", None, r"line 2, column Upset: not a number.*'two'"),
        ("5,20,1,2", None, "line 2: the row does not fit the header"),
    ],
)
def test_answers_that_cannot_be_are_refused_by_trial_and_item(
    row: str, scale: Scale | None, what: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordingError, match=what):
        judge(read_ratings(table(tmp_path, row, "25,40,1,2,2")), scale=scale)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("80,90,1,2,5", r"is not in the recording. Expected an onset of 0 to 60.0 s.*got 80"),
        ("1700000000,1700000020,1,2,5", "this counts from 1970"),
        ("20,5,1,2,5", "does not stop after it starts"),
        (",,1,2,5", "has no onset and stop, and the session has no trial of that name"),
    ],
)
def test_times_that_cannot_be_are_refused(row: str, what: str, bare: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=what):
        label_session(bare, table(tmp_path, row), bare)


def test_a_trial_that_outlasts_the_recording_is_said(bare: Path, tmp_path: Path) -> None:
    labelled = label_session(bare, table(tmp_path, "50,90,1,2,5"), bare)
    assert "trial 'trial01' stops at 90.0 s, and the recording ends at 60.0 s" in labelled.said


def test_times_that_the_table_lacks_are_those_of_the_session(tmp_path: Path) -> None:
    trials = Trials(np.array([5.0, 30.0]), np.array([20.0, 50.0]), ("A", "B"))
    path = session(tmp_path / "s.h5", trials=trials)
    ratings = write(tmp_path / "r.csv", "film,Alert,Upset\nB,1,3\nA,2,2\n")
    labelled = label_session(path, ratings, path)
    assert labelled.trials.trial_id == ("B", "A")
    assert labelled.trials.start_s.tolist() == [30, 5]
    # The column says that trials are named by films, which several people's sessions share.
    assert labelled.attributes[STIMULUS] == "film"


def test_a_trial_named_twice_is_refused_with_its_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.csv", "trial,onset,stop,Alert,Upset\nA,1,2,1,1\nB,3,4,1,2\nA,5,6,1,3\n"
    )
    with pytest.raises(RecordingError, match=r"'A' is there 2 times.*lines 2, 4"):
        read_ratings(path)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        (
            ((2, "film 1 starts"), (20, "film 1 stops"), (22, "start film_2"), (40, "end film_2")),
            [("film 1", 2, 20), ("film 2", 22, 40)],
        ),
        (
            ((5, "begin"), (9, "end"), (11, "begin"), (30, "end")),
            [("trial01", 5, 9), ("trial02", 11, 30)],
        ),
        (((5, "button"), (25, "button")), [("button 1", 5, 25), ("button 2", 25, 60)]),
        ((), [("trial01", 0, 60)]),
    ],
)
def test_trials_are_found_in_events(
    events: tuple[tuple[float, str], ...], found: list[tuple[str, float, float]], tmp_path: Path
) -> None:
    path = session(tmp_path / "s.h5", events=tuple(Event(t, 1, text) for t, text in events))
    with open_session(path) as recording:
        trials, _ = find_trials(recording)
    assert [(trial.name, trial.start_s, trial.stop_s) for trial in trials] == found


def test_the_template_is_filled_in_and_labels_the_session(
    tmp_path: Path, run_in_process: RUN, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session(tmp_path / "s.h5", events=(Event(5, 1, "film A starts"), Event(30, 2, "film A stops")))
    code, out, _ = run_in_process(cli, "label", "--template", "s.h5")
    assert code == 0, out
    assert "Wrote ratings.csv: 1 trial, from events that say start and stop" in out
    text = Path("ratings.csv").read_text().splitlines()
    assert text[0].startswith("trial,onset,stop,Inspired,Alert")
    assert text[1] == "film A,5.000,30.000" + "," * 10
    assert run_in_process(cli, "label", "s.h5", "ratings.csv")[0] == 2
    Path("ratings.csv").write_text(text[0] + "\n" + text[1].rstrip(",") + ",1,2,3,4,5,1,1,1,1,1\n")
    code, out, _ = run_in_process(cli, "label", "s.h5", "ratings.csv")
    assert code == 0, out
    with open_session(Path("s.h5")) as read:
        assert read.trials is not None
        np.testing.assert_allclose(
            read.trials.truth[0], np.array([1, 2, 3, 4, 5, 1, 1, 1, 1, 1]) / 20
        )


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("label", "s.h5"), "emodict-session label --template 's.h5'"),
        (("label", "s.h5", "s.h5", "-o", "t.h5"), "is not text in UTF-8"),
        (("label", "s.h5", "nothing.csv"), "There is no file nothing.csv"),
        (
            ("label", "s.h5", "r.csv", "--scores", "sum"),
            "--scores sum is not known. Expected one of share, above-lowest, softmax",
        ),
        (
            ("label", "s.h5", "r.csv", "--emotions", "Alert,Joy"),
            "r.csv has no column 'Joy'",
        ),
        (("label", "--template", "s.h5", "-o", "r.csv"), "There is a file r.csv already"),
    ],
)
def test_each_mistake_is_a_sentence(
    words: tuple[str, ...],
    what: str,
    tmp_path: Path,
    run_in_process: RUN,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    session(tmp_path / "s.h5")
    write(tmp_path / "r.csv", "onset,stop,Alert,Upset\n5,20,1,2\n")
    code, _, err = run_in_process(cli, *words)
    assert (code, what in err) == (2, True), err
