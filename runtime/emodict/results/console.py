"""Predictions as lines for people: one a second, and a summary at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from emodict.engine.manifest import Manifest
from emodict.results.metrics import METRICS, percent
from emodict.results.prediction import Prediction

Float64Array = NDArray[np.float64]

_BARS, _PLAIN_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
# A tenth is what each of ten emotions has at rest; half of everything fills the bar.
_FULL_BAR = 0.5
# Ten emotions, four modalities and the time fit into 80 columns.
_COLUMN, _QUALITY = 5, 4


def header_line(emotions: Sequence[str], modalities: Sequence[str]) -> str:
    """Column names above `row_lines`: emotions in per cent, then the quality of each modality."""
    cells = "".join(f" {name[: _COLUMN - 1]:>{_COLUMN - 1}}" for name in emotions)
    heads = ("face" if name == "video" else name[:_QUALITY] for name in modalities)
    return f"{'time':>7}{cells}  " + " ".join(f"{name:>{_QUALITY}}" for name in heads)


def row_lines(prediction: Prediction, *, plain: bool = False) -> Iterator[str]:
    """One line per row: a bar and per cent for each emotion; quality,
    or × where a modality is invalid.

    `plain` is for terminals that know only ASCII.
    """
    bars, invalid = (_PLAIN_BARS, "x") if plain else (_BARS, "×")
    for i in range(len(prediction)):
        quality = " ".join(
            f"{value:{_QUALITY}.2f}" if valid else f"{invalid:>{_QUALITY}}"
            for value, valid in zip(prediction.quality[i], prediction.valid[i], strict=True)
        )
        cells = _cells(prediction.distribution[i], bars)
        yield f"{clock(prediction.start_s[i]):>7}{cells}  {quality}"


def describe_model(manifest: Manifest, name: str) -> str:
    """Which model, of which features, trained on what."""
    training = manifest.training
    parts = [
        f"Model {name}: {manifest.features.sensors} -> {len(manifest.model.emotions)} emotions"
    ]
    parts.append(f"features {manifest.features.id} ({manifest.features.fingerprint})")
    if training:
        kind = "SIMULATED people" if manifest.simulated else "recordings"
        parts.append(f"trained on {training.get('rows')} windows of {kind}")
        if isinstance(output := training.get("output"), dict):
            parts.append(f"calibrated (temperature {output.get('temperature', float('nan')):.3g})")
    return ", ".join(parts)


def summary_lines(prediction: Prediction) -> list[str]:
    """What came out: how many rows, how usable each modality was,
    the strongest emotions, and the measures.

    The mean label stands beside the model: a model that does not beat it knows nothing.
    """
    answered = prediction.answered
    marks = "".join(f", {part}" for part in prediction.simulated_parts)
    rows = "1 row" if len(prediction) == 1 else f"{len(prediction)} rows"
    lines = [f"{prediction.session}: {rows}, {int(answered.sum())} answered{marks}"]
    if not len(prediction):
        return lines
    shares, qualities = prediction.valid.mean(axis=0), prediction.mean_quality
    used = [
        f"{name} {percent(share)} (quality {quality:.2f})"
        for name, share, quality in zip(prediction.modalities, shares, qualities, strict=True)
    ]
    lines.append("valid: " + ", ".join(used))
    lines += [f"doubtful: {doubt}" for doubt in prediction.doubts]
    lines += (never := never_valid_lines(prediction))
    if never and answered.any():
        lines.append("The model can do without, but knew less than in training.")
    if not answered.any():
        lines.append("No row could be answered: no modality that the model can use was valid.")
        return lines
    mean = prediction.distribution[answered].mean(axis=0)
    order = np.argsort(-mean)[:3]
    lines.append(
        "mean:  " + ", ".join(f"{prediction.emotions[i]} {mean[i]:.1%}" for i in order) + ", ..."
    )
    lines += _measure_lines(prediction)
    return lines


def never_valid_lines(prediction: Prediction) -> list[str]:
    """A line for each modality that no row could use, with the reason where one is known."""
    never = prediction.never_valid.items()
    return [
        f"never valid: {name} ({why})" if why else f"never valid: {name}" for name, why in never
    ]


def _measure_lines(prediction: Prediction) -> list[str]:
    model, mean = prediction.metrics(), prediction.metrics_of_mean_label()
    if model is None or mean is None:
        return []
    lines = [f"{'against the truth':<18}" + "".join(f"{name:>13}" for name in METRICS)]
    for title, row in (("this model", model), ("mean label", mean)):
        lines.append(f"{title:<18}" + "".join(f"{row[name]:>13.4f}" for name in METRICS))
    return lines


def clock(start_s: float) -> str:
    """Seconds as 1:02:03, or 2:03 within the first hour."""
    whole = int(start_s)
    hours, rest = divmod(whole, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _cells(distribution: Float64Array, bars: str) -> str:
    if not np.isfinite(distribution).all():
        return f"{'-':>{_COLUMN}}" * len(distribution)
    levels = np.clip(np.ceil(distribution / _FULL_BAR * (len(bars) - 1)), 0, len(bars) - 1).astype(
        int
    )
    cells = (f"  {bars[n]}{100 * p:2.0f}" for n, p in zip(levels, distribution, strict=True))
    return "".join(cells)
