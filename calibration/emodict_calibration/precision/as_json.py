"""precision.json: the choice that emodict-export obeys, with the numbers it stands on."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import Any

from emodict.files.atomic import atomic_path
from emodict_calibration.precision.calibrate import NodeReport, PrecisionReport
from emodict_calibration.precision.sensitivity import Choice, Cost
from emodict_export.precision import FORMAT, FORMAT_VERSION


def report_as_dict(report: PrecisionReport) -> dict[str, Any]:
    """Plain JSON types; what is infinite (an overflow) becomes null."""
    options = report.options
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "software": report.software,
        "graph_sha256": report.graph_sha256,
        "data": {
            "files": list(report.data),
            "rows": report.rows,
            "measured_rows": report.measured_rows,
            "labelled_rows": report.labelled_rows,
            "simulated": report.simulated,
        },
        "always_fp32": list(report.always_fp32),
        "fp16": {**_choice(report.fp16, options.max_kl_fp16), "margin": options.margin},
        "int8": {
            **_choice(report.int8, options.max_kl_int8),
            "worth_it": report.worth.worth_it,
            "why": report.worth.why,
            "multiply_adds": report.worth.macs,
            "gaining_share": report.worth.gaining_share,
        },
        "truth": {name: dict(metrics) for name, metrics in report.truth.items()},
        "nodes": {node.name: _node(node) for node in report.nodes},
    }


def write_report(report: PrecisionReport, path: str | os.PathLike[str]) -> None:
    """Write precision.json, whole or not at all.

    Raises:
        OutputError: it cannot be written there.
    """
    with atomic_path(path) as part:
        text = json.dumps(report_as_dict(report), indent=2, allow_nan=False, ensure_ascii=False)
        part.write_text(text + "\n", encoding="utf-8")


def _choice(choice: Choice, max_kl: float) -> dict[str, Any]:
    return {
        "keep_fp32": list(choice.keep_fp32),
        "reasons": {name: choice.reasons[name] for name in choice.keep_fp32},
        "max_kl": max_kl,
        "cost": _cost(choice.cost),
        "cost_before_moves": _cost(choice.cost_before_moves),
    }


def _node(node: NodeReport) -> dict[str, Any]:
    numbers = {
        "low": node.range.low,
        "high": node.range.high,
        "peak": node.range.peak,
        "headroom": _finite(node.range.headroom),
        "underflow_share": node.range.underflow_share,
    }
    costs = {"fp16": node.fp16, "int8": node.int8}
    return {"op": node.op, "range": numbers} | {
        k: _cost(c) for k, c in costs.items() if c is not None
    }


def _cost(cost: Cost) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in dataclasses.asdict(cost).items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
