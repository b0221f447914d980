"""Rows are answered where the model can answer them, and nothing else is made up."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fixtures import untrained_model
from tests.runtime.predict.test_person import EEG, eeg_recording, manifest, mixing, noise, person

from emodict.engine import Engine, open_engine
from emodict.engine.manifest import Manifest
from emodict.errors import (
    EmodictError,
    InputError,
    PersonError,
    RecordingError,
    SpecError,
    TableError,
)
from emodict.features import extract_features
from emodict.features.spec import FeatureSpec, load_spec
from emodict.features.windows import FeatureWindows, ModalityRows, assemble
from emodict.predict.person import Unmixing
from emodict.predict.scoring import (
    answerable,
    iter_predictions,
    joined,
    predict,
    predict_recording,
    predict_table,
    score,
    table_for_model,
    with_missing_filled,
)
from emodict.recording.recording import Recording, Signal
from emodict.recording.session import write_session
from emodict.results.prediction import concatenate_predictions
from emodict_desk.tables.table import FeatureTable, write_table

SPEC = load_spec("emodict-1").with_modalities(["gsr", "ppg"])
PANAS = (
    "Inspired",
    "Alert",
    "Excited",
    "Enthusiastic",
    "Determined",
    "Afraid",
    "Upset",
    "Nervous",
    "Scared",
    "Distressed",
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A model of random weights that can do without gsr."""
    path = untrained_model(
        tmp_path_factory.mktemp("model") / "model.onnx", ("gsr", "ppg"), required=("ppg",)
    )
    with open_engine(path) as opened:
        yield opened


def windows(valid: object, *, seed: int = 0, spec: object = SPEC) -> FeatureWindows:
    """Rows of random features, valid as (rows, modalities) says."""
    there, rng = np.asarray(valid, dtype=bool), np.random.default_rng(seed)
    rows = {
        m.name: ModalityRows(
            rng.normal(size=(len(there), *m.shape)), there[:, i], there[:, i].astype(float)
        )
        for i, m in enumerate(spec.modalities)
    }
    return assemble(spec, np.arange(len(there)) + 4.0, rows)


def table(
    rows: int,
    *,
    emotions: tuple[str, ...] = PANAS,
    spec: FeatureSpec = SPEC,
    labels: bool = True,
    source: str = "a table",
) -> FeatureTable:
    truth = np.random.default_rng(1).dirichlet(np.ones(len(emotions)), rows) if labels else None
    names = np.full(rows, "p")
    return FeatureTable(
        windows(np.ones((rows, len(spec.modalities))), spec=spec),
        emotions,
        truth,
        names,
        names,
        source,
    )


VALID = [[1, 1], [0, 1], [1, 0], [0, 0]]


def test_a_row_is_answered_where_all_that_is_required_is_valid_and_anything_at_all() -> None:
    assert answerable(windows(VALID), ("ppg",)).tolist() == [True, True, False, False]
    assert answerable(windows(VALID), ("gsr", "ppg")).tolist() == [True, False, False, False]
    assert answerable(windows(VALID), ()).tolist() == [True, True, True, False]


def test_what_is_missing_is_filled_with_the_training_mean_and_what_is_there_is_shifted() -> None:
    rows = windows(VALID)
    mean = np.arange(SPEC.tokens * SPEC.token_width, dtype=float).reshape(
        SPEC.tokens, SPEC.token_width
    )
    gsr, ppg = (SPEC.token_slices[name] for name in ("gsr", "ppg"))
    for shift in (None, np.full((SPEC.tokens, SPEC.token_width), 0.5)):
        got = with_missing_filled(rows, mean, shift=shift)
        assert got.dtype == np.float32
        moved = rows.tokens + (0.0 if shift is None else 0.5)
        for part, there in ((gsr, [0, 2]), (ppg, [0, 1])):
            missing = [row for row in range(4) if row not in there]
            np.testing.assert_array_equal(got[there, part], moved[there, part].astype(np.float32))
            np.testing.assert_array_equal(
                got[missing, part], np.broadcast_to(mean[part], got[missing, part].shape)
            )


def test_rows_without_an_answer_are_nan_and_the_others_what_the_engine_says(engine: Engine) -> None:
    rows = windows(VALID)
    got = score(engine, rows, session="s", simulated=True)
    tokens = with_missing_filled(rows, engine.manifest.missing_value)[:2]
    distribution, weights = (array.copy() for array in engine.infer(tokens))
    np.testing.assert_array_equal(got.distribution[:2], distribution.astype(float))
    np.testing.assert_array_equal(got.weights[:2], weights.astype(float))
    assert np.isnan(got.distribution[2:]).all()
    assert np.isnan(got.weights[2:]).all()
    assert (got.session, got.emotions, got.modalities, got.simulated) == (
        "s",
        PANAS,
        ("gsr", "ppg"),
        True,
    )
    assert got.simulated_parts == ("a SIMULATED person",)
    none = score(engine, windows([[0, 0], [1, 0]]), session="s")
    assert not none.answered.any()
    assert none.simulated is False


def recording(
    seconds: float = 20.0,
    *,
    names: tuple[str, ...] = ("gsr", "ppg"),
    session_id: str = "",
    value: float | None = None,
) -> Recording:
    signals = {}
    for name, rate, unit in (("gsr", 4.0, "uS"), ("ppg", 100.0, "a.u.")):
        samples = 3 + np.random.default_rng(0).normal(size=(round(seconds * rate), 1))
        signals[name] = Signal(
            name, rate, unit, (name,), samples if value is None else np.full_like(samples, value)
        )
    return Recording(session_id, "p", {name: signals[name] for name in names})


def test_a_recording_is_scored_and_how_many_rows_to_expect_is_told(engine: Engine) -> None:
    heard: list[float] = []
    parts = list(predict_recording(engine, recording(20.25), on_start=heard.append, name="file"))
    whole = joined(parts, "file.h5")
    # The first row is that of second 4, whose window of five seconds is the first whole one.
    assert whole.start_s.tolist() == list(range(4, 20))
    assert heard == [pytest.approx(16.25)]
    assert whole.session == "file"
    assert (
        next(predict_recording(engine, recording(session_id="sitting"), name="file")).session
        == "sitting"
    )


def test_a_signal_is_turned_upside_down_where_it_is_asked_for(
    engine: Engine, tmp_path: Path
) -> None:
    sitting = recording()
    ppg = sitting.signals["ppg"]
    turned = replace(
        sitting, signals={**sitting.signals, "ppg": replace(ppg, samples=-np.asarray(ppg.samples))}
    )
    for name, written in (("as_it_was.h5", sitting), ("turned.h5", turned)):
        write_session(written, tmp_path / name)
    asked = predict(engine, tmp_path / "as_it_was.h5", invert=["ppg"])
    np.testing.assert_array_equal(
        asked.distribution, predict(engine, tmp_path / "turned.h5").distribution
    )
    assert not np.allclose(
        asked.distribution, predict(engine, tmp_path / "as_it_was.h5").distribution
    )
    with pytest.raises(RecordingError, match=r"--invert eeg: the model reads no such signal"):
        predict(engine, tmp_path / "as_it_was.h5", invert=["eeg"])


def test_a_models_path_in_the_place_of_an_engine_is_told_to_be_opened(tmp_path: Path) -> None:
    for model in ("model.onnx", tmp_path / "model.onnx"):
        with pytest.raises(InputError, match=r"takes an open engine.*with open_engine\(model\)"):
            predict(model, tmp_path / "session.h5")  # type: ignore[arg-type]


def test_every_block_says_what_is_doubtful_in_the_signals_that_the_model_reads(
    engine: Engine,
) -> None:
    usual = list(predict_recording(engine, recording(90.0), name="file"))
    assert {part.doubts for part in usual} == {()}
    signals = recording(90.0).signals
    samples = 1e-3 * np.asarray(signals["gsr"].samples)
    off = replace(
        recording(90.0), signals={**signals, "gsr": replace(signals["gsr"], samples=samples)}
    )
    parts = list(predict_recording(engine, off, name="file"))
    assert len(parts) > 1
    for part in parts:
        (doubt,) = part.doubts
        assert doubt.startswith("gsr: its level is")


def test_a_modality_may_be_absent_where_the_model_can_do_without(engine: Engine) -> None:
    rows = joined(list(predict_recording(engine, recording(names=("ppg",)))), "x")
    assert rows.answered.all()
    assert not rows.valid[:, 0].any()
    with pytest.raises(
        RecordingError, match=r"Session 'file' lacks ppg, which this model needs.*got gsr"
    ):
        list(predict_recording(engine, recording(names=("gsr",)), name="file"))


class Asked:
    """An engine that keeps what it is asked, and answers evenly."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.tokens = manifest, np.empty(0)

    def infer(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.tokens = tokens.copy()
        model = self.manifest.model
        return np.full((len(tokens), len(model.emotions)), 0.5), np.zeros(
            (len(tokens), model.elements)
        )


def test_a_persons_eeg_is_unmixed_and_moved_before_it_reaches_the_model() -> None:
    spec = load_spec("emodict-1").with_modalities(["eeg"])
    unmixing = Unmixing(EEG, "Pz", mixing(), ())
    ann, rest = person(("eeg",), unmixing=unmixing), manifest(spec)
    sitting = eeg_recording(noise())
    asked = Asked(rest)
    list(predict_recording(asked, sitting, person=ann))
    clean = extract_features(sitting, spec, unmixing=unmixing.in_order(EEG))
    there = clean.valid[:, 0]
    expected = clean.tokens[there] + ann.adapt(rest).shift
    np.testing.assert_allclose(asked.tokens, expected, rtol=1e-6)  # float32
    list(predict_recording(asked, sitting))
    np.testing.assert_allclose(
        asked.tokens, extract_features(sitting, spec).tokens[there], rtol=1e-6
    )
    with pytest.raises(PersonError, match="never applied to somebody else"):
        list(predict_recording(asked, eeg_recording(noise(), subject_id="bob"), person=ann))


def test_of_nothing_whole_and_nothing_answered_there_is_no_prediction(engine: Engine) -> None:
    with pytest.raises(RecordingError, match="there is no whole window in it"):
        joined([], "x.h5")
    why = r"not one second could be answered.*gsr valid 0% \(it does not move\), ppg valid 0% \("
    with pytest.raises(RecordingError, match=why):
        joined(list(predict_recording(engine, recording(value=2.0))), "x.h5")


@pytest.mark.parametrize("rows", [0, 1, 64, 65, 200])
def test_a_table_is_scored_row_by_row(engine: Engine, rows: int) -> None:
    heard: list[float] = []
    whole = table(rows)
    parts = list(predict_table(engine, whole, on_start=heard.append))
    assert heard == [rows]
    assert sum(map(len, parts)) == rows
    if rows:
        got = concatenate_predictions(parts)
        np.testing.assert_array_equal(got.truth, whole.labels)
        assert (got.session, got.answered.all()) == ("a table", True)
        one = score(engine, whole.windows.slice(slice(rows - 1, rows)), session="s")
        # float32: products of another height round otherwise.
        np.testing.assert_allclose(got.distribution[-1:], one.distribution, rtol=1e-5, atol=1e-6)
    unlabelled = list(predict_table(engine, table(rows, labels=False)))
    assert all(part.truth is None for part in unlabelled)


def test_a_table_of_more_than_the_model_reads_is_cut_to_it_and_one_of_less_is_refused(
    engine: Engine,
) -> None:
    features, model = engine.manifest.features, engine.manifest.model
    whole = table(3, spec=load_spec("emodict-1"))
    cut = table_for_model(whole, features, model)
    assert cut.spec.fingerprint == features.fingerprint
    np.testing.assert_array_equal(cut.windows.features("ppg"), whole.windows.features("ppg"))
    with pytest.raises(SpecError):
        table_for_model(table(3, spec=SPEC.with_modalities(["gsr"])), features, model)
    # Some of the EEG's channels, in the order of the model.
    eeg = load_spec("emodict-1").with_modalities(["eeg"])
    few = eeg.with_channels(["Fz", "O1"])
    cut = table_for_model(table(3, spec=eeg), few, model)
    assert cut.spec.channel_names == few.channel_names
    with pytest.raises(EmodictError):
        table_for_model(table(3, spec=few), eeg.with_channels(["Fz", "Cz"]), model)


def test_a_table_of_other_emotions_is_refused_and_another_order_of_the_same_is_put_right(
    engine: Engine,
) -> None:
    manifest = engine.manifest
    with pytest.raises(
        TableError, match=r"The model and .* have different emotions.*got joy, fear"
    ):
        table_for_model(table(3, emotions=("joy", "fear")), manifest.features, manifest.model)
    turned = table(3)
    assert turned.labels is not None
    swapped = dataclasses.replace(turned, emotions=PANAS[::-1], labels=turned.labels[:, ::-1])
    again = table_for_model(swapped, manifest.features, manifest.model)
    assert again.emotions == PANAS
    np.testing.assert_array_equal(again.labels, turned.labels)
    other = table(3, emotions=("joy", "fear"), labels=False)
    assert len(table_for_model(other, manifest.features, manifest.model)) == 3


def test_a_person_has_no_place_at_a_table_nor_a_part_at_a_recording(
    engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "table.npz"
    write_table(table(3), path)
    assert sum(map(len, iter_predictions(engine, path))) == 3
    with pytest.raises(PersonError, match="cannot be applied to the feature table"):
        list(iter_predictions(engine, path, person=person()))
    with pytest.raises(EmodictError, match=r"table\.npz"):
        list(iter_predictions(engine, path, part="test"))
