"""What browsers are told, as JSON: who runs, every second in full,
and the seconds before in short.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from emodict.engine.manifest import Manifest
from emodict.live.row import LiveRow, SensorState
from emodict.results.colours import emotion_colours

# A device calls itself what it likes.
MAX_NAME = 120


def hello(manifest: Manifest, source: str, model: str) -> str:
    """Told once to each browser, before the first row."""
    emotions = manifest.model.emotions
    return _json(
        {
            "model": model[:MAX_NAME],
            "features": manifest.features.id,
            "precision": manifest.precision,
            "source": source[:MAX_NAME],
            "emotions": emotions,
            "colours": emotion_colours(emotions),
        }
    )


def second(row: LiveRow) -> dict[str, Any]:
    """A copy of a row that holds none of the run's memory."""
    prediction = row.prediction
    answered = bool(prediction.answered[0])
    return {
        "start_s": _number(prediction.start_s[0]),
        "unix_s": _number(row.unix_s),
        "delay_s": _number(row.delay_s),
        "simulated": prediction.simulated_parts,
        "doubts": prediction.doubts,
        "answer": _numbers(prediction.distribution[0].tolist()) if answered else None,
        "weights": _numbers(prediction.weights[0].tolist()) if answered else None,
        "sensors": [_sensor(state) for state in row.sensors],
    }


def message(seconds: Sequence[dict[str, Any]], hello_text: str | None) -> str:
    """The last of `seconds` in full, those before in short, and the hello to whom it is news."""
    parts = [f'"hello":{hello_text}'] if hello_text is not None else []
    if seconds:
        parts += [
            f'"now":{_json(seconds[-1])}',
            f'"past":{_json([_short(one) for one in seconds[:-1]])}',
        ]
    return "{" + ",".join(parts) + "}"


def _short(one: dict[str, Any]) -> dict[str, Any]:
    sensors = [
        {key: state[key] for key in ("modality", "valid", "quality")} for state in one["sensors"]
    ]
    return {"start_s": one["start_s"], "answer": one["answer"], "sensors": sensors}


def _sensor(state: SensorState) -> dict[str, Any]:
    return {
        "modality": state.modality,
        "state": state.state,
        "device": state.device[:MAX_NAME],
        "rate_hz": _number(state.rate_hz),
        "valid": bool(state.valid),
        "quality": _number(state.quality),
        "late_samples": int(state.late_samples),
    }


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    """JSON has no NaN; a browser shows four digits at most, and times to the millisecond."""
    value = float(value)
    return round(value, 5 if abs(value) < 1e3 else 3) if math.isfinite(value) else None


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
