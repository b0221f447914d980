"""The same numbers from other precision, batch, chunk, order, thread or processor:
each bound with its reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.reliability import aarch64, other_cpu
from tests.reliability.signals import OTHER_RATES, SPEC, SPEC_RATES, Signals, features, simulated
from tests.reliability.test_limits import SPOILED

from emodict.engine.model_spec import ModelSpec
from emodict.engine.onnx import OnnxEngine
from emodict.features import FeatureStream
from emodict.features.filters import state_space
from emodict.features.windows import FeatureWindows, concatenate
from emodict.predict.scoring import score
from emodict_desk.tables.table import DMER_EMOTIONS
from emodict_export.export import export_onnx
from emodict_train.model.checkpoint import Checkpoint
from emodict_train.model.emotion_dict import EmotionDict

# float64 keeps 16 digits; sums of 500 products of size 1 in another order differ
# in the last three of them.
REORDERED = 1e-9
# Shares are below 1, of which float32 keeps 6e-8; behind a few hundred operations each.
FLOAT32_SHARES = 1e-6


def difference(a: FeatureWindows, b: FeatureWindows) -> float:
    """The largest of any feature, relative where features are larger than 1;
    validity must be the same.
    """
    np.testing.assert_array_equal(a.valid, b.valid)
    gap = np.abs(a.tokens - b.tokens) / np.maximum(1.0, np.abs(a.tokens))
    return float(np.nanmax(gap, initial=0.0))


@pytest.fixture(scope="module")
def network() -> EmotionDict:
    torch.manual_seed(0)
    return EmotionDict(ModelSpec(DMER_EMOTIONS, SPEC.modality_names), SPEC).eval()


@pytest.fixture(scope="module")
def model(network: EmotionDict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("numbers") / "model.onnx"
    state = {name: value.clone() for name, value in network.state_dict().items()}
    export_onnx(Checkpoint(SPEC, network.spec, (state,), np.full(10, 0.1)), path)
    return path


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[OnnxEngine]:
    with OnnxEngine(model) as opened:
        yield opened


def tokens(rows: int, *, scale: float = 1.0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(0).standard_normal((rows, SPEC.tokens, SPEC.token_width))
    return (scale * drawn).astype(np.float32)


# Skin conductance of 3 uS in float32 is rounded by 1e-7, its smallest spectral density, 1e-3,
# is made of that squared.
@pytest.mark.parametrize(
    ("name", "bound"), [("eeg", 1e-6), ("ppg", 1e-5), ("gsr", 1e-5), ("video", 1e-6)]
)
def test_a_recording_in_float32_has_the_features_of_float64_within_its_rounding(
    name: str, bound: float
) -> None:
    # 6e-8 of each sample, which logarithm and moments hand on;
    # the pulse's spectrum adds up 500 of them.
    whole = {name: simulated(60)[name]}
    assert (
        0 < difference(features(whole), features({name: whole[name].astype(np.float32)})) <= bound
    )


def test_float32_costs_eeg_far_from_0_what_its_offset_is_larger_than_the_signal() -> None:
    # 30 mV of electrode offset under 20 uV of EEG: the step is 2 nV, 1e-4 of the signal.
    eeg = {"eeg": 3e4 + simulated(60)["eeg"]}
    assert (
        1e-6 < difference(features(eeg), features({"eeg": eeg["eeg"].astype(np.float32)})) <= 1e-3
    )


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e12])
def test_the_graph_in_float32_answers_what_torch_does_in_float64_however_large_the_features(
    scale: float, engine: OnnxEngine, network: EmotionDict
) -> None:
    drawn = tokens(64, scale=scale)
    exact = EmotionDict(network.spec, SPEC).eval()
    exact.load_state_dict(network.state_dict())
    with torch.no_grad():
        expected = exact.double()(torch.from_numpy(drawn).double()).log_distribution.exp().numpy()
    # Where tanh and sigmoid are steep, their argument's rounding counts:
    # thousand times the usual features are worst.
    np.testing.assert_allclose(engine.infer(drawn)[0], expected, rtol=0, atol=5 * FLOAT32_SHARES)


def test_a_row_is_the_same_alone_and_among_4096_in_any_order_on_any_number_of_threads(
    engine: OnnxEngine, model: Path
) -> None:
    drawn = tokens(4096)
    together = engine.infer(drawn)[0].copy()
    for size in (1, 7, 64, 1000):
        parts = [
            engine.infer(drawn[at : at + size])[0].copy()
            for at in range(0, min(4096, 32 * size), size)
        ]
        apart = np.concatenate(parts)
        np.testing.assert_allclose(apart, together[: len(apart)], rtol=0, atol=FLOAT32_SHARES)
    order = np.random.default_rng(1).permutation(4096)
    np.testing.assert_allclose(
        engine.infer(drawn[order])[0], together[order], rtol=0, atol=FLOAT32_SHARES
    )
    with OnnxEngine(model, threads=4) as threaded:
        np.testing.assert_allclose(threaded.infer(drawn)[0], together, rtol=0, atol=FLOAT32_SHARES)


def test_recordings_scored_one_after_another_or_together_have_the_same_answers(
    engine: OnnxEngine,
) -> None:
    people = [features(simulated(9, seed=seed)) for seed in range(4)]
    alone = [score(engine, rows, session="one").distribution for rows in people]
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        together = score(
            engine, concatenate(SPEC, [people[i] for i in order]), session="all"
        ).distribution
        expected = np.concatenate([alone[i] for i in order])
        np.testing.assert_allclose(together, expected, rtol=0, atol=FLOAT32_SHARES)


def in_chunks(signals: Signals, rates: dict[str, float], size: int) -> FeatureWindows:
    stream = FeatureStream(SPEC, rates)
    parts = [
        stream.push(name, block[at : at + size])
        for name, block in signals.items()
        for at in range(0, len(block), size)
    ]
    return concatenate(SPEC, [*parts, stream.finish()])


@pytest.mark.parametrize(("size", "rates"), [(7, SPEC_RATES), (301, OTHER_RATES)])
@pytest.mark.parametrize(
    "what",
    ["float32 subnormal", "1e30 times as large", "clipped", "all but one missing in each second"],
)
def test_odd_chunks_of_signals_at_the_limits_give_the_rows_of_the_whole(
    what: str, size: int, rates: dict[str, float]
) -> None:
    signals = {name: SPOILED[what][0](x) for name, x in simulated(7, rates).items()}
    assert difference(features(signals, rates), in_chunks(signals, rates, size)) <= REORDERED


def test_five_minutes_in_one_block_have_the_features_of_blocks_of_a_second() -> None:
    slow = {name: x for name, x in simulated(300).items() if name in ("gsr", "ppg")}
    spec = SPEC.with_modalities(list(slow))
    stream = FeatureStream(spec, {name: SPEC_RATES[name] for name in slow})
    parts = []
    for second in range(300):
        for name, block in slow.items():
            count = round(SPEC_RATES[name])
            parts.append(stream.push(name, block[second * count : (second + 1) * count]))
    assert difference(features(slow), concatenate(spec, [*parts, stream.finish()])) <= REORDERED


def test_features_are_the_same_on_any_number_of_threads() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    whole = simulated(30)
    with threadpoolctl.threadpool_limits(1):
        expected = features(whole)
    with threadpoolctl.threadpool_limits(4):
        assert difference(features(whole), expected) <= REORDERED


@pytest.mark.parametrize(("burst", "offset_uv"), [(1e30, 0.0), (np.nan, 1e4)])
def test_a_burst_of_what_is_no_signal_is_forgotten_as_fast_as_the_filter_forgets(
    burst: float, offset_uv: float
) -> None:
    eeg = offset_uv + simulated(30)["eeg"]
    hit = eeg.copy()
    hit[3010:3200] = burst
    sound, rows = features({"eeg": eeg}), features({"eeg": hit})
    assert rows.start_s[~rows.valid[:, 0]].tolist() == [0, 10, 11]
    gap = np.abs(rows.tokens - sound.tokens).reshape(len(rows), -1).max(axis=1)
    # The filter began anew with second 11, in the state of a constant:
    # its slowest pole forgets all but 1.2 % a second.
    poles = np.linalg.eigvals(state_space(SPEC.modality("eeg").filter.sos).a)  # type: ignore[union-attr]
    assert np.abs(poles).max() ** 300 == pytest.approx(0.0118, abs=1e-4)
    # In nats: the first second that is valid, and the four after it;
    # the features of 16 digits from then on.
    for second, bound in zip(range(12, 17), (0.05, 1e-3, 2e-5, 1e-7, 5e-9), strict=True):
        assert gap[second] <= bound, second
    assert gap[18:].max() <= REORDERED


def test_features_hardly_depend_on_the_kernels_of_the_processor(tmp_path: Path) -> None:
    signals, out = tmp_path / "signals.npz", tmp_path / "features.npz"
    other_cpu.write_signals(signals)
    # The kernels of an x86-64 without AVX, which OpenBLAS has on any;
    # elsewhere it takes what it has.
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Prescott"}
    command = [sys.executable, "-m", other_cpu.__spec__.name, str(signals), str(out)]
    subprocess.run(command, env=environment, cwd=other_cpu.ROOT, check=True)
    assert difference(other_cpu.read_features(out), other_cpu.features_of(signals)) <= REORDERED


def test_features_and_answers_of_aarch64_are_those_of_this_machine(model: Path) -> None:
    if not aarch64.ready(aarch64.FOLDER):
        pytest.skip("no aarch64 Python under qemu-user here: make aarch64 fetches one")
    of_features, of_shares = aarch64.differences(aarch64.FOLDER, model)
    assert of_features <= REORDERED
    assert of_shares <= FLOAT32_SHARES
