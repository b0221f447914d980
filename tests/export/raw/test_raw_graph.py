"""The raw graph gives, second by second, the rows that FeatureStream and the torch model give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from tests.export.conftest import MakeCheckpoint
from tests.export.raw.conftest import FULL, HEADBAND, SENSORS, WRIST

from emodict.errors import SpecError
from emodict.predict.person import Adaptation, Baseline, Person
from emodict_desk.raw import NEXT, STATE
from emodict_export.export import Precision
from emodict_export.raw.export import onnxruntime_run, raw_onnx, run_seconds
from emodict_export.vector_files import SECONDS as VECTOR_SECONDS
from emodict_export.vectors import Rows, clean_seconds, expected_rows, fault_seconds
from emodict_train.model.checkpoint import Checkpoint

SECONDS = 700
# Of a share. float32's features are within 1e-3 standard deviations of float64's, and a share
# moves by less than a hundredth of that; the project asks for this.
SHARE = 3e-5
QUALITY = 2e-6  # of 1: a hundred sums of float32, which keeps 6e-8


def both(checkpoint: Checkpoint, *, seed: int = 1, **options: Any) -> tuple[dict[str, Any], Rows]:
    seconds = fault_seconds(checkpoint.features, SECONDS, seed=seed)
    graph, _ = raw_onnx(checkpoint, **options)
    got = run_seconds(onnxruntime_run(graph), graph, seconds)
    return got, expected_rows(checkpoint, seconds, adaptation=options.get("adaptation"))


def compare(got: dict[str, Any], expected: Rows, *, share: float = SHARE) -> None:
    answered = expected.answered
    np.testing.assert_array_equal(got["valid"], expected.windows.valid)
    np.testing.assert_array_equal(np.isfinite(got["distribution"]).all(axis=1), answered)
    np.testing.assert_array_equal(np.isfinite(got["weights"]).any(axis=1), answered)
    np.testing.assert_allclose(got["quality"], expected.windows.quality, atol=QUALITY)
    np.testing.assert_allclose(got["distribution"], expected.distribution, rtol=0, atol=share)
    # Among these seconds are good and bad ones of everything.
    assert (expected.windows.valid.mean(axis=0) > 0.2).all()
    assert (expected.windows.valid.mean(axis=0) < 0.95).all()


@SENSORS
def test_every_row_of_signals_with_faults_is_that_of_python(
    fitted: MakeCheckpoint, sensors: dict[str, Any]
) -> None:
    compare(*both(fitted(**sensors)))


@SENSORS
def test_every_feature_is_that_of_python_to_float32s_rounding(
    fitted: MakeCheckpoint, sensors: dict[str, Any]
) -> None:
    checkpoint = fitted(**sensors)
    got, expected = both(checkpoint, seed=2, with_tokens=True)
    scale = checkpoint.states[0]["standardise.scale"].double().numpy()
    for column, name in enumerate(checkpoint.features.modality_names):
        rows = expected.windows.valid[:, column]
        part = checkpoint.features.token_slices[name]
        off = np.abs(got["tokens"][rows, part] - expected.windows.tokens[rows, part]) / scale[part]
        # The median of the pulse's second difference is worst: it is a 300th of that series'
        # spread, and that a 10th of the signal's, of which float32 keeps 6e-8.
        assert off.max() < 3e-3


@pytest.mark.parametrize("missing", ["gsr", "ppg"])
def test_a_row_without_a_modality_that_the_model_needs_has_no_answer(
    fitted: MakeCheckpoint, missing: str
) -> None:
    other = {"gsr": "ppg", "ppg": "gsr"}[missing]
    for required in ((missing,), (other,), (missing, other)):
        checkpoint = fitted(**WRIST, required_modalities=required)
        seconds = fault_seconds(checkpoint.features, 40, seed=3)
        seconds[missing][:] = np.nan
        graph, _ = raw_onnx(checkpoint)
        got = run_seconds(onnxruntime_run(graph), graph, seconds)
        expected = expected_rows(checkpoint, seconds)
        np.testing.assert_array_equal(np.isfinite(got["distribution"][:, 0]), expected.answered)
        assert expected.answered.any() == (required == (other,))


def test_an_ensemble_is_one_graph(fitted: MakeCheckpoint) -> None:
    compare(*both(fitted(**WRIST, members=2)))


def test_other_mains_have_another_filter(fitted: MakeCheckpoint) -> None:
    compare(*both(fitted("emodict-1-60hz", **HEADBAND)))


def test_streams_side_by_side_do_not_mix(fitted: MakeCheckpoint) -> None:
    checkpoint = fitted(**FULL)
    graph, _ = raw_onnx(checkpoint)
    run = onnxruntime_run(graph)
    streams = [fault_seconds(checkpoint.features, 30, seed=seed) for seed in (4, 5)]
    alone = [run_seconds(run, graph, seconds) for seconds in streams]
    states: dict[str, Any] = {
        value.name: np.zeros((2, *(d.dim_value for d in value.type.tensor_type.shape.dim[1:])))
        for value in graph.graph.input
        if value.name.startswith(STATE)
    }
    states = {name: state.astype(np.float32) for name, state in states.items()}
    for second in range(30):
        fresh = {n: np.stack([stream[n][second] for stream in streams]) for n in streams[0]}
        row = run({**fresh, **states})
        states = {name: row[NEXT + name.removeprefix(STATE)] for name in states}
        for i, one in enumerate(alone):
            for name in ("distribution", "valid", "quality"):
                # Products of two rows round otherwise than those of one.
                np.testing.assert_allclose(row[name][i], one[name][second], atol=1e-5)


@pytest.mark.parametrize("kept", ["eeg_filter", "eeg_reference", "ppg_samples", "gsr_samples"])
def test_a_state_that_is_not_fed_back_shows(fitted: MakeCheckpoint, kept: str) -> None:
    checkpoint = fitted(**FULL)
    graph, _ = raw_onnx(checkpoint, with_tokens=True)
    seconds = fault_seconds(checkpoint.features, 40, seed=1)
    run = onnxruntime_run(graph)

    def forgetful(feeds: Any) -> dict[str, Any]:
        return run({n: np.zeros_like(v) if n == STATE + kept else v for n, v in feeds.items()})

    whole, broken = run_seconds(run, graph, seconds), run_seconds(forgetful, graph, seconds)
    modality = checkpoint.features.token_slices[kept.split("_")[0]]
    column = checkpoint.features.modality_names.index(kept.split("_")[0])
    rows = (whole["valid"][:, column] > 0) & (broken["valid"][:, column] > 0)
    scale = checkpoint.states[0]["standardise.scale"].numpy()[modality]
    off = np.abs(whole["tokens"] - broken["tokens"])[rows][:, modality] / scale
    # Either nothing is valid any more, or the features are far off.
    assert not rows.any() or off.max() > 0.1


@pytest.mark.parametrize("kept", ["eeg_age", "ppg_usable", "gsr_usable"])
def test_without_its_count_of_seconds_a_modality_is_never_valid(
    fitted: MakeCheckpoint, kept: str
) -> None:
    checkpoint = fitted(**FULL)
    graph, _ = raw_onnx(checkpoint)
    run = onnxruntime_run(graph)

    def forgetful(feeds: Any) -> dict[str, Any]:
        return run({n: np.zeros_like(v) if n == STATE + kept else v for n, v in feeds.items()})

    got = run_seconds(forgetful, graph, fault_seconds(checkpoint.features, 40))
    column = checkpoint.features.modality_names.index(kept.split("_")[0])
    assert not got["valid"][:, column].any()


def test_the_age_of_a_filter_is_counted_no_further_than_it_matters(fitted: MakeCheckpoint) -> None:
    """float32 cannot count for ever: at 16,777,216 s, half a year, one more would be none."""
    checkpoint = fitted(**HEADBAND)
    graph, _ = raw_onnx(checkpoint)
    run, ages = onnxruntime_run(graph), []

    def watched(feeds: Any) -> dict[str, Any]:
        row = run(feeds)
        ages.append(np.unique(row[NEXT + "eeg_age"]).tolist())
        return row

    run_seconds(watched, graph, clean_seconds(checkpoint.features, 5))
    # It settles for one second, of which the second after it has to know.
    assert ages == [[1], [2], [2], [2], [2]]


@pytest.mark.parametrize("pair", [("eeg_reference", "eeg_age"), ("ppg_usable", "gsr_usable")])
def test_states_that_are_fed_back_crosswise_show_in_the_check_vectors(
    fitted: MakeCheckpoint, pair: tuple[str, str]
) -> None:
    checkpoint = fitted(**FULL)
    graph, _ = raw_onnx(checkpoint)
    run = onnxruntime_run(graph)
    one, other = (STATE + name for name in pair)

    def crosswise(feeds: Any) -> dict[str, Any]:
        return run({**feeds, one: feeds[other], other: feeds[one]})

    seconds = fault_seconds(checkpoint.features, VECTOR_SECONDS)
    expected = expected_rows(checkpoint, seconds)
    right, wrong = (run_seconds(each, graph, seconds) for each in (run, crosswise))
    np.testing.assert_array_equal(right["valid"], expected.windows.valid)
    assert (wrong["valid"] != expected.windows.valid).any()


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_features_are_fp32_whatever_the_model_computes_in(
    fitted: MakeCheckpoint, precision: str
) -> None:
    checkpoint = fitted(**WRIST)
    features = checkpoint.features
    scale = checkpoint.states[0]["standardise.scale"].numpy()
    mean = checkpoint.states[0]["standardise.mean"].numpy()
    z = np.random.default_rng(0).standard_normal((64, features.tokens, features.token_width))
    windows = (mean + z * scale).astype(np.float32) if precision == "int8" else None
    graph, _ = raw_onnx(checkpoint, Precision(precision, windows=windows))
    seconds = fault_seconds(features, 100, seed=1)
    got = run_seconds(onnxruntime_run(graph), graph, seconds)
    expected = expected_rows(checkpoint, seconds)
    np.testing.assert_array_equal(got["valid"], expected.windows.valid)
    np.testing.assert_allclose(got["quality"], expected.windows.quality, atol=QUALITY)
    rows = expected.answered
    # The low precision is the model's own cost: a hundredth, of shares around a tenth.
    np.testing.assert_allclose(got["distribution"][rows], expected.distribution[rows], atol=2e-2)
    types = {i.data_type for i in graph.graph.initializer if i.name.startswith(("ppg", "gsr"))}
    assert types == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64} or types == {
        onnx.TensorProto.FLOAT
    }


def person(checkpoint: Checkpoint, *, unmixes: bool) -> Adaptation:
    features = checkpoint.features
    rng = np.random.default_rng(0)
    shift = np.zeros((features.tokens, features.token_width))
    for modality in features.modalities:
        part = shift[features.token_slices[modality.name]].reshape(-1)
        part[: modality.dims] = rng.normal(0, 0.1, modality.dims)
        shift[features.token_slices[modality.name]] = part.reshape(-1, features.token_width)
    channels = len(features.channel_names)
    matrix = np.eye(channels) + 0.2 * rng.standard_normal((channels, channels))
    someone = Person(
        "p1",
        "rest",
        features.id,
        {"eeg": Baseline("0" * 16, 1, np.zeros((1, 1)), np.zeros((1, 1)))},
    )
    return Adaptation(someone, shift, features.modality_names, (), matrix if unmixes else None)


@pytest.mark.parametrize("unmixes", [False, True])
def test_a_person_can_be_folded_in(fitted: MakeCheckpoint, unmixes: bool) -> None:
    checkpoint = fitted(**HEADBAND)
    adaptation = person(checkpoint, unmixes=unmixes)
    compare(*both(checkpoint, adaptation=adaptation))
    graph, _ = raw_onnx(checkpoint, adaptation=adaptation)
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert metadata["emodict.subject_id"] == "p1"


@pytest.mark.parametrize("at_once", [1, 3, 64])
@SENSORS
def test_many_seconds_at_once_are_as_one_after_the_other(
    fitted: MakeCheckpoint, sensors: dict[str, Any], at_once: int
) -> None:
    checkpoint = fitted(**sensors)
    seconds = fault_seconds(checkpoint.features, SECONDS, seed=1)
    graph, _ = raw_onnx(checkpoint, many=True)
    got = run_seconds(onnxruntime_run(graph), graph, seconds, at_once=at_once)
    compare(got, expected_rows(checkpoint, seconds))


def test_many_seconds_of_a_person_whose_eeg_is_unmixed(fitted: MakeCheckpoint) -> None:
    checkpoint = fitted(**HEADBAND)
    adaptation = person(checkpoint, unmixes=True)
    seconds = fault_seconds(checkpoint.features, SECONDS, seed=1)
    graph, _ = raw_onnx(checkpoint, adaptation=adaptation, many=True)
    got = run_seconds(onnxruntime_run(graph), graph, seconds, at_once=64)
    compare(got, expected_rows(checkpoint, seconds, adaptation=adaptation))


@SENSORS
def test_the_graph_is_of_standard_operators_without_a_loop(
    fitted: MakeCheckpoint, sensors: dict[str, Any]
) -> None:
    graph, _ = raw_onnx(fitted(**sensors))
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 18)]
    used = {node.op_type for node in graph.graph.node}
    assert not used & {"Loop", "Scan", "If", "DFT", "STFT", "LSTM", "GRU", "CumSum", "NonZero"}
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in
              graph.graph.input}  # fmt: skip
    channels = len(sensors.get("channels", range(18)))
    known = {
        "eeg": [0, 300, channels],
        "ppg": [0, 100, 1],
        "gsr": [0, 4, 1],
        "video": [0, 32],
    }
    names = sensors.get("modalities", ("eeg", "ppg", "gsr", "video"))
    assert {n: shapes[n] for n in shapes if not n.startswith(STATE)} == {n: known[n] for n in names}
    outputs = [o.name for o in graph.graph.output]
    assert outputs[:4] == ["distribution", "weights", "valid", "quality"]
    states = [n.removeprefix(STATE) for n in shapes if n.startswith(STATE)]
    assert [n.removeprefix(NEXT) for n in outputs[4:]] == states


def test_the_made_graph_needs_no_second_list_of_coefficients(fitted: MakeCheckpoint) -> None:
    """With another filter in the spec the graph follows Python, and no number is written twice."""
    checkpoint = fitted(**HEADBAND)
    eeg = checkpoint.features.modality("eeg")
    assert eeg.filter is not None
    shorter = dataclasses.replace(eeg.filter, sos=eeg.filter.sos[:2])
    features = dataclasses.replace(
        checkpoint.features,
        id="of-this-test",
        modalities=(dataclasses.replace(eeg, filter=shorter, settle_s=3.0),),
    )
    compare(*both(dataclasses.replace(checkpoint, features=features)))


@pytest.mark.parametrize(
    ("spec_id", "said"),
    [
        ("dmer-sample", "cannot stream"),
        ("edl-89", "only exist ready-made"),
    ],
)
def test_features_that_cannot_stream_are_refused(
    trained: Callable[..., Checkpoint], spec_id: str, said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        raw_onnx(trained(spec_id))
