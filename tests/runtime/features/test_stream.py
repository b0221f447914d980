"""A stream of any chunks is the batch, and nothing invalid becomes a number."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emodict.errors import InputError, SpecError
from emodict.features import FeatureStream
from emodict.features.spec import FeatureSpec, load_spec
from emodict.features.windows import FeatureWindows, concatenate

SPEC = load_spec("emodict-1")
CHANNELS = {"eeg": 18, "gsr": 1, "ppg": 1, "video": 32}
SPEC_RATES = {"eeg": 300.0, "gsr": 4.0, "ppg": 100.0, "video": 1.0}
# The promise of docs/features.md. Matrix products of other sizes sum in another order; what that
# does to 300 to 500 products of size 1 is a hundredth of it.
ATOL = 1e-9
# For the very same calls: the same numbers in blocks of the same size.
EXACTLY = 0.0


def signals(
    seconds: dict[str, float] | int, rates: dict[str, float] = SPEC_RATES, *, seed: int = 0
) -> dict[str, np.ndarray]:
    """A plausible person: noise for EEG, a pulse, slowly drifting skin, a face."""
    rng = np.random.default_rng(seed)
    lengths = seconds if isinstance(seconds, dict) else dict.fromkeys(rates, seconds)
    out = {}
    for name, rate in rates.items():
        count = round(lengths[name] * rate)
        t = np.arange(count) / rate
        if name == "ppg":
            out[name] = (np.sin(2 * np.pi * 1.2 * t) + 0.05 * rng.normal(size=count))[:, None]
        elif name == "gsr":
            out[name] = 3 + 0.01 * np.cumsum(rng.integers(-3, 4, size=(count, 1)), axis=0)
        else:
            out[name] = rng.normal(scale=20, size=(count, CHANNELS[name]))
    return out


def batch(
    samples: dict[str, np.ndarray], rates: dict[str, float] = SPEC_RATES, spec: FeatureSpec = SPEC
) -> FeatureWindows:
    stream = FeatureStream(spec, {name: rates[name] for name in samples})
    return concatenate(
        spec, [*(stream.push(name, block) for name, block in samples.items()), stream.finish()]
    )


def in_chunks(
    samples: dict[str, np.ndarray],
    order: list[Any],
    rates: dict[str, float] = SPEC_RATES,
    spec: FeatureSpec = SPEC,
) -> list[FeatureWindows]:
    """Push by (modality, size) until all is gone, then the rest of each;
    the blocks of rows as they came.
    """
    stream = FeatureStream(spec, {name: rates[name] for name in samples})
    at = dict.fromkeys(samples, 0)
    blocks = []
    for name, size in itertools.chain(order, ((name, None) for name in samples)):
        stop = len(samples[name]) if size is None else at[name] + size
        # One buffer for all, as a device would: the stream must not hold on to it.
        buffer = samples[name][at[name] : stop].copy()
        blocks.append(stream.push(name, buffer))
        buffer[:] = -1e6
        at[name] = min(stop, len(samples[name]))
    return [*blocks, stream.finish()]


def assert_same_rows(got: FeatureWindows, expected: FeatureWindows, *, atol: float = ATOL) -> None:
    np.testing.assert_array_equal(got.start_s, expected.start_s)
    np.testing.assert_array_equal(got.valid, expected.valid)
    np.testing.assert_allclose(got.tokens, expected.tokens, rtol=atol, atol=atol)
    np.testing.assert_allclose(got.quality, expected.quality, rtol=0, atol=atol)


def assert_rows_are_honest(rows: FeatureWindows) -> None:
    """An invalid row holds NaN and quality 0, a valid one numbers only."""
    for column, name in enumerate(rows.spec.modality_names):
        valid = rows.valid[:, column]
        tokens = rows.tokens[:, rows.spec.token_slices[name]]
        assert np.isfinite(tokens[valid]).all()
        assert np.isnan(tokens[~valid]).all()
        assert (rows.quality[~valid, column] == 0).all()
        assert ((rows.quality >= 0) & (rows.quality <= 1)).all()


def with_holes(samples: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """NaN, infinity and absurd samples strewn over every modality."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, block in samples.items():
        broken = block.copy()
        for _ in range(3):
            if len(broken):
                start = rng.integers(len(broken))
                channel = rng.integers(broken.shape[1])
                broken[start : start + rng.integers(1, 200), channel] = rng.choice(
                    [np.nan, np.inf, -np.inf, 1e30]
                )
        out[name] = broken
    return out


CHUNKS = st.lists(st.tuples(st.sampled_from(list(CHANNELS)), st.integers(0, 900)), max_size=25)


@settings(deadline=None, max_examples=25)
@given(order=CHUNKS, seed=st.integers(0, 1000))
def test_any_chunks_of_any_modality_give_the_rows_of_the_batch(order: list[Any], seed: int) -> None:
    samples = with_holes(signals(14, seed=seed), seed)
    expected = batch(samples)
    blocks = in_chunks(samples, order)
    got = concatenate(SPEC, blocks)
    np.testing.assert_array_equal(got.start_s, np.arange(4, 14))
    assert_same_rows(got, expected)
    assert_rows_are_honest(got)


@settings(deadline=None, max_examples=25)
@given(
    order=CHUNKS,
    eeg_hz=st.sampled_from([250.0, 256.0, 500.0]),
    gsr_hz=st.sampled_from([4.0, 8.0]),
    seed=st.integers(0, 1000),
    holes=st.booleans(),
)
def test_it_holds_for_devices_of_other_rates_too(
    order: list[Any], eeg_hz: float, gsr_hz: float, seed: int, holes: bool
) -> None:
    rates = {"eeg": eeg_hz, "ppg": 64.0, "gsr": gsr_hz, "video": 1.0}
    samples = signals(12, rates, seed=seed)
    if holes:
        samples = with_holes(samples, seed)
    expected = batch(samples, rates)
    got = concatenate(SPEC, in_chunks(samples, order, rates))
    np.testing.assert_array_equal(got.start_s, np.arange(4, 12))
    # Rounding of the resampler goes through the pulse's differences and the logarithm of the EEG.
    assert_same_rows(got, expected)
    assert_rows_are_honest(got)


@settings(deadline=None, max_examples=30)
@given(
    order=CHUNKS,
    lengths=st.fixed_dictionaries({name: st.floats(0, 12) for name in CHANNELS}),
    present=st.sets(st.sampled_from(list(CHANNELS)), min_size=1),
)
def test_modalities_may_end_at_any_time_or_be_absent(
    order: list[Any], lengths: dict[str, float], present: set[str]
) -> None:
    samples = {name: block for name, block in signals(lengths).items() if name in present}
    order = [(name, size) for name, size in order if name in present]
    expected = batch(samples)
    got = concatenate(SPEC, in_chunks(samples, order))
    assert_same_rows(got, expected)
    assert_rows_are_honest(got)
    # Up to the last whole second of the longest one, from the first whole PPG and GSR window on.
    whole = {name: int(len(block) // SPEC_RATES[name]) for name, block in samples.items()}
    np.testing.assert_array_equal(got.start_s, np.arange(4, max(whole.values())))
    for column, name in enumerate(SPEC.modality_names):
        ends = whole.get(name, 0)
        assert not got.valid[got.start_s >= ends, column].any()
        assert got.valid[got.start_s < ends, column].all()


def test_rows_come_as_soon_as_every_modality_has_its_second() -> None:
    samples = signals(8)
    stream = FeatureStream(SPEC, SPEC_RATES)
    for name in ("eeg", "ppg", "video"):
        assert len(stream.push(name, samples[name])) == 0
    for second in range(8):
        rows = stream.push("gsr", samples["gsr"][4 * second : 4 * second + 4])
        assert rows.start_s.tolist() == ([second] if second >= 4 else [])
    assert len(stream.finish()) == 0


def test_a_modality_that_starts_late_is_invalid_until_its_first_whole_window() -> None:
    samples = signals(15)
    samples["ppg"][: round(6.5 * 100)] = np.nan
    samples["eeg"][: round(6.5 * 300)] = np.nan
    rows = batch(samples)
    first = {
        name: rows.start_s[rows.valid[:, c]].min() for c, name in enumerate(SPEC.modality_names)
    }
    # 5 s of PPG from 6.5 s on end in second 11.
    # The EEG filter starts at 7 s and may settle for one second.
    assert first == {"eeg": 8, "gsr": 4, "ppg": 11, "video": 4}


def test_the_second_after_an_eeg_gap_is_invalid_and_later_ones_equal_a_fresh_start() -> None:
    spec = SPEC.with_modalities(["eeg"])
    eeg = signals(12)["eeg"]
    broken = eeg.copy()
    broken[300 * 5 + 10, 7] = np.nan
    rows = batch({"eeg": broken}, spec=spec)
    assert rows.start_s[~rows.valid[:, 0]].tolist() == [0, 5, 6]
    fresh = batch({"eeg": eeg[300 * 6 :]}, spec=spec)
    got = rows.features("eeg")[7:, :, 7]
    np.testing.assert_allclose(got, fresh.features("eeg")[1:, :, 7], rtol=0, atol=ATOL)
    # The other channels never noticed.
    whole = batch({"eeg": eeg}, spec=spec).features("eeg")
    others = np.delete(np.arange(18), 7)
    np.testing.assert_allclose(
        rows.features("eeg")[7:, :, others], whole[7:, :, others], rtol=0, atol=ATOL
    )


@pytest.mark.parametrize("value", [1e30, -1e30, 2e5, np.inf])
def test_an_absurd_eeg_sample_is_a_gap_and_does_not_ring_on(value: float) -> None:
    spec = SPEC.with_modalities(["eeg"])
    eeg = signals(12)["eeg"]
    missing, absurd = eeg.copy(), eeg.copy()
    missing[300 * 5 + 10, 7], absurd[300 * 5 + 10, 7] = np.nan, value
    assert_same_rows(
        batch({"eeg": absurd}, spec=spec), batch({"eeg": missing}, spec=spec), atol=EXACTLY
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: np.where(np.arange(len(x)) % 2, 5000.0, -5000.0),
        lambda x: np.full_like(x, 5000.0),
        lambda x: np.concatenate([np.full(200, 4000.0), x[200:]]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 97, 300, 1000, 5000])
def test_an_eeg_second_that_cannot_be_used_does_not_ring_on(
    spoil: Callable[..., Any], chunk: int
) -> None:
    spec = SPEC.with_modalities(["eeg"])
    eeg = signals(14)["eeg"]
    spoiled, missing = eeg.copy(), eeg.copy()
    second = slice(300 * 5, 300 * 6)
    spoiled[second, 7], missing[second, 7] = spoil(eeg[second, 7]), np.nan
    # Another channel has one sample missing in the same second.
    spoiled[1700, 3] = missing[1700, 3] = np.nan
    got = batch({"eeg": spoiled}, spec=spec)
    assert got.start_s[~got.valid[:, 0]].tolist() == [0, 5, 6]
    # To the filter, both are NaN throughout that second.
    assert_same_rows(got, batch({"eeg": missing}, spec=spec), atol=EXACTLY)
    # Seconds 7 and later are those of a filter that started after it.
    fresh = batch({"eeg": eeg[300 * 6 :]}, spec=spec).features("eeg")[1:]
    np.testing.assert_allclose(got.features("eeg")[7:, :, 7], fresh[:, :, 7], rtol=0, atol=ATOL)
    before = spoiled.copy()
    blocks = in_chunks({"eeg": spoiled}, [("eeg", chunk)] * (len(eeg) // chunk), spec=spec)
    assert_same_rows(concatenate(spec, blocks), got)
    np.testing.assert_array_equal(spoiled, before)


def test_a_batch_with_unusable_seconds_leaves_the_callers_samples_alone() -> None:
    spec = SPEC.with_modalities(["eeg"])
    eeg = signals(9)["eeg"]
    eeg[1200:1500] = 5000.0
    before = eeg.copy()
    batch({"eeg": eeg}, spec=spec)
    np.testing.assert_array_equal(eeg, before)


@pytest.mark.parametrize(
    "rates", [SPEC_RATES, {"eeg": 500.0, "gsr": 8.0, "ppg": 64.0, "video": 1.0}]
)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: np.full_like(x, np.nan),
        lambda x: np.full_like(x, np.inf),
        lambda x: np.where(np.arange(x.size).reshape(x.shape) % 2, np.inf, -np.inf),
        lambda x: np.zeros_like(x),
        lambda x: np.full_like(x, 3.0),
        lambda x: np.full_like(x, 1e30),
        lambda x: x * 1e30,
        lambda x: np.where(np.arange(len(x))[:, None] % max(1, len(x) // 12) == 0, np.nan, x),
    ],
)
def test_signals_of_which_nothing_can_be_said_are_invalid_without_a_warning(
    rates: dict[str, float], spoil: Callable[..., Any]
) -> None:
    samples = {name: spoil(block) for name, block in signals(12, rates).items() if name != "video"}
    rows = batch(samples, rates)
    assert_rows_are_honest(rows)
    np.testing.assert_array_equal(rows.start_s, np.arange(4, 12))
    gsr = SPEC.modality_names.index("gsr")
    others = [c for c in range(4) if c != gsr]
    assert not rows.valid[:, others].any()


def test_signals_at_their_rails_are_invalid() -> None:
    samples = {
        name: np.clip(block, -0.1, 0.1) for name, block in signals(9).items() if name != "video"
    }
    rows = batch(samples)
    assert_rows_are_honest(rows)
    assert not rows.valid.any()


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-160, 1e-20])
def test_vanishing_signals_raise_no_warning_and_give_numbers_or_nothing(scale: float) -> None:
    samples = {name: np.round(block) * scale for name, block in signals(9).items()}
    assert_rows_are_honest(batch(samples))


def test_three_seconds_give_no_row() -> None:
    assert len(batch(signals(3))) == 0


def test_nothing_pushed_gives_no_row() -> None:
    for rates in (SPEC_RATES, {"eeg": 500.0, "gsr": 4.0, "ppg": 64.0, "video": 1.0}):
        assert len(FeatureStream(SPEC, rates).finish()) == 0


def test_a_token_is_zero_behind_the_last_feature_and_the_layout_is_the_specs() -> None:
    rows = batch(signals(8))
    assert rows.valid.all()
    slices = SPEC.token_slices
    np.testing.assert_array_equal(rows.tokens[:, slices["eeg"]], rows.features("eeg"))
    for name, dims in (("gsr", 28), ("ppg", 27), ("video", 32)):
        flat = rows.tokens[:, slices[name]].reshape(len(rows), 36)
        np.testing.assert_array_equal(flat[:, :dims], rows.features(name))
        assert (flat[:, dims:] == 0).all()


def test_row_k_describes_second_k_and_the_five_seconds_that_end_with_it() -> None:
    samples = signals(12)
    rows = batch(samples)
    at = int(np.flatnonzero(rows.start_s == 9)[0])
    window = samples["gsr"][4 * 5 : 4 * 10, 0]
    names = SPEC.modality("gsr").feature_names
    got = dict(zip(names, rows.features("gsr")[at], strict=True))
    assert got["x_max"] == window.max()
    assert got["fft_mean"] == window[0]
    np.testing.assert_array_equal(rows.features("video")[at], samples["video"][9])


def test_a_subset_of_modalities_gives_those_features_of_the_whole() -> None:
    samples = signals(10)
    whole = batch(samples)
    part = batch({"ppg": samples["ppg"]}, spec=SPEC.with_modalities(["ppg"]))
    assert_same_rows(part, whole.with_modalities(["ppg"]))


def test_float32_and_lists_are_taken() -> None:
    samples = signals(6)["gsr"]
    spec = SPEC.with_modalities(["gsr"])
    stream = FeatureStream(spec, {"gsr": 4.0})
    rows = concatenate(spec, [stream.push("gsr", samples.astype(np.float32)), stream.finish()])
    expected = batch({"gsr": samples.astype(np.float32).astype(np.float64)}, spec=spec)
    assert_same_rows(rows, expected, atol=EXACTLY)


def test_many_small_pushes_do_not_pile_up_work() -> None:
    spec = SPEC.with_modalities(["gsr", "video"])
    stream = FeatureStream(spec, {"gsr": 4.0, "video": 1.0})
    # One modality stalls; the other's rows wait, and are all handed out in the end.
    for block in signals(300)["gsr"].reshape(-1, 1, 1):
        assert len(stream.push("gsr", block)) == 0
    rows = stream.finish()
    np.testing.assert_array_equal(rows.start_s, np.arange(4, 300))


def test_what_a_stream_cannot_take_is_refused() -> None:
    stream = FeatureStream(SPEC, {"eeg": 300.0, "ppg": 100.0})
    with pytest.raises(InputError, match=r"not told of 'gsr'.*eeg, ppg"):
        stream.push("gsr", np.ones((4, 1)))
    for wrong in (np.ones((300, 17)), np.ones(300), np.ones((1, 300, 18))):
        with pytest.raises(
            InputError, match=r"eeg: the samples have the wrong shape.*\(samples, 18\)"
        ):
            stream.push("eeg", wrong)
    stream.finish()
    with pytest.raises(InputError, match="finished"):
        stream.push("eeg", np.ones((300, 18)))


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({}, "got none|Got none|none"),
        ({"ecg": 250.0}, "modalities are not the spec's"),
        ({"gsr": 2.0}, "never resampled upwards"),
        ({"eeg": 0.0}, "cannot be resampled"),
        ({"eeg": float("nan")}, "cannot be resampled"),
    ],
)
def test_rates_that_cannot_be_are_refused(rates: dict[Any, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        FeatureStream(SPEC, rates)


def test_a_spec_whose_filters_need_whole_trials_does_not_stream() -> None:
    with pytest.raises(SpecError, match="dmer-2024 cannot stream"):
        FeatureStream(load_spec("dmer-2024"), SPEC_RATES)


LIVE_RATES = {"eeg": 300.0, "ppg": 100.0}


def _live_pair() -> tuple[FeatureSpec, dict[str, np.ndarray]]:
    return SPEC.with_modalities(("eeg", "ppg")), signals(20, LIVE_RATES, seed=5)


def test_a_restarted_modality_is_invalid_until_its_windows_are_whole_while_the_others_go_on() -> (
    None
):
    spec, samples = _live_pair()
    whole = FeatureStream(spec, LIVE_RATES)
    expected = concatenate(
        spec, [whole.push("eeg", samples["eeg"]), whole.push("ppg", samples["ppg"]), whole.finish()]
    )
    stream = FeatureStream(spec, LIVE_RATES)
    parts = [stream.push("eeg", samples["eeg"]), stream.push("ppg", samples["ppg"][:830])]
    # 8.3 s have come, then nothing for a while: given up at second 11, back from 12 on.
    parts.append(stream.restart("ppg", 11))
    parts.append(stream.restart("ppg", 12))
    parts.append(stream.push("ppg", samples["ppg"][1200:]))
    parts.append(stream.finish())
    rows = concatenate(spec, parts)
    np.testing.assert_array_equal(rows.start_s, expected.start_s)
    ppg = rows.valid[:, 1]
    # Rows of whole windows: up to second 8 before; from second 16 on, whose 5 s begin at 12.
    assert rows.start_s[ppg].tolist() == [4, 5, 6, 7, 16, 17, 18, 19]
    np.testing.assert_array_equal(rows.valid[:, 0], expected.valid[:, 0])
    eeg, both = spec.token_slices["eeg"], ppg & expected.valid[:, 1]
    # EEG was pushed in one piece, both times.
    np.testing.assert_array_equal(rows.tokens[:, eeg], expected.tokens[:, eeg])
    np.testing.assert_allclose(rows.tokens[both], expected.tokens[both], rtol=ATOL, atol=ATOL)


def test_rows_of_a_restarted_modality_do_not_come_before_their_time() -> None:
    spec, samples = _live_pair()
    only = spec.with_modalities(("ppg",))
    stream = FeatureStream(only, {"ppg": 100.0})
    assert len(stream.push("ppg", samples["ppg"][:600])) == 2
    assert len(stream.restart("ppg", 9)) == 3  # seconds 6 to 8, of which nothing is known
    assert len(stream.push("ppg", samples["ppg"][900:999])) == 0
    assert stream.push("ppg", samples["ppg"][999:1000]).start_s.tolist() == [9]


def test_a_modality_may_come_back_at_another_rate() -> None:
    spec, samples = _live_pair()
    only = spec.with_modalities(("ppg",))
    stream = FeatureStream(only, {"ppg": 100.0})
    stream.push("ppg", samples["ppg"][:600])
    stream.restart("ppg", 6, rate_hz=50.0)
    rows = concatenate(only, [stream.push("ppg", samples["ppg"][600::2]), stream.finish()])
    assert rows.start_s.tolist() == list(range(6, 20))
    assert rows.start_s[rows.valid[:, 0]].tolist() == list(range(10, 20))


def test_a_restarted_modality_knows_nothing_of_what_came_before_it() -> None:
    rates = {"eeg": 256.0, "ppg": 64.0}
    spec, samples = SPEC.with_modalities(("eeg", "ppg")), signals(20, rates, seed=8)
    fresh, used = FeatureStream(spec, rates), FeatureStream(spec, rates)
    # Six seconds and a little of something else, of which filters and resamplers are full.
    for name, rate in rates.items():
        used.push(name, 50 * signals(7, rates, seed=9)[name][: round(6.3 * rate)])
    rows = []
    for stream in (fresh, used):
        parts = [stream.restart(name, 8) for name in rates]
        parts += [stream.push(name, samples[name]) for name in rates]
        rows.append(concatenate(spec, [*parts, stream.finish()]))
    expected, got = (part.slice(part.start_s >= 8) for part in rows)
    # The first second of EEG is its filter's, the first four of PPG reach back before its start.
    assert got.start_s[got.valid[:, 0]].tolist() == list(range(9, 28))
    assert got.start_s[got.valid[:, 1]].tolist() == list(range(12, 28))
    assert_same_rows(got, expected)


def test_a_modality_cannot_start_anew_before_rows_that_are_out() -> None:
    spec, samples = _live_pair()
    stream = FeatureStream(spec, LIVE_RATES)
    stream.push("ppg", samples["ppg"][:900])
    # Rows up to second 8 are complete; row 9 covers 5 to 10.
    assert stream.earliest_restart("ppg") == 5
    with pytest.raises(InputError, match=r"in the past\. Expected second 5 or later, got 4"):
        stream.restart("ppg", 4)


def test_an_ended_modality_holds_nobody_back() -> None:
    spec, samples = _live_pair()
    stream = FeatureStream(spec, LIVE_RATES)
    parts = [stream.push("ppg", samples["ppg"][:950]), stream.end("ppg")]
    parts += [
        stream.push("eeg", samples["eeg"][i : i + 300]) for i in range(0, len(samples["eeg"]), 300)
    ]
    assert [len(part) for part in parts] == [0, 0] + [0] * 4 + [1] * 16
    whole = FeatureStream(spec, LIVE_RATES)
    expected = concatenate(
        spec,
        [
            whole.push("eeg", samples["eeg"]),
            whole.push("ppg", samples["ppg"][:950]),
            whole.finish(),
        ],
    )
    rows = concatenate(spec, [*parts, stream.finish()])
    np.testing.assert_array_equal(rows.valid, expected.valid)
    np.testing.assert_allclose(rows.tokens, expected.tokens, rtol=ATOL, atol=ATOL)
    with pytest.raises(InputError, match="is finished"):
        stream.push("eeg", samples["eeg"][:1])


@pytest.mark.parametrize("second", [0, 2, 7])
def test_a_modality_that_starts_late_is_the_batch_from_its_start_on(second: int) -> None:
    rates = {"ppg": 64.0}
    spec, samples = SPEC.with_modalities(("ppg",)), signals(20, rates, seed=6)["ppg"]
    stream = FeatureStream(spec, {"ppg": 100.0})
    rows = concatenate(
        spec,
        [stream.restart("ppg", second, rate_hz=64.0), stream.push("ppg", samples), stream.finish()],
    )
    alone = FeatureStream(spec, rates)
    expected = concatenate(spec, [alone.push("ppg", samples), alone.finish()])
    assert rows.start_s.tolist() == list(range(4, 20 + second))
    np.testing.assert_array_equal(rows.valid[second:], expected.valid)
    assert not rows.valid[:second].any()
    np.testing.assert_allclose(rows.tokens[second:], expected.tokens, rtol=ATOL, atol=ATOL)


def test_what_is_missing_for_a_row_is_told() -> None:
    spec, samples = _live_pair()
    stream = FeatureStream(spec, {"eeg": 300.0, "ppg": 100.0})
    stream.push("eeg", samples["eeg"][:1500])
    assert stream.next_second == 4
    assert stream.missing(4) == ["ppg"]
    stream.end("ppg")
    assert stream.next_second == 5
    assert stream.missing(5) == ["eeg"]
