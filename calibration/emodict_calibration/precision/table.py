"""The result of a precision calibration as text for a person."""

from __future__ import annotations

import math
import textwrap

from emodict_calibration.precision.calibrate import NodeReport, PrecisionReport
from emodict_calibration.precision.sensitivity import Choice
from emodict_desk.wording import count_of


def describe(report: PrecisionReport) -> str:
    """The nodes, most sensitive to FP16 first; then what each precision costs as a whole."""
    lines = [_data_line(report), "", _HEAD]
    lines += [
        _node_line(node, report) for node in sorted(report.nodes, key=_sensitivity, reverse=True)
    ]
    lines += [
        "",
        f"{'whole graph':<28}{'KL mean':>10}{'max':>10}"
        f"{'Chebyshev mean':>16}{'max':>10}  kept in FP32",
    ]
    lines += [_choice_line("FP16", report.fp16, report.options.max_kl_fp16)]
    lines += [_choice_line("INT8", report.int8, report.options.max_kl_int8)]
    if report.truth:
        lines += [_truth_line(report)]
    for name, choice in (("FP16", report.fp16), ("INT8", report.int8)):
        lines += [
            f"{name} keeps {node} in FP32: {choice.reasons[node]}" for node in choice.keep_fp32
        ]
    lines += [f"INT8: {report.worth.why}"]
    return "\n".join(piece for line in lines for piece in _wrapped(line))


WIDTH = 118
_HEAD = f"{'node':<28}{'operator':<20}" + "".join(
    f"{name:>10}" for name in ("largest", "headroom", "underflow", "FP16 KL", "INT8 KL")
)


def data_phrase(report: PrecisionReport) -> str:
    """The files, at most three by name."""
    names = ", ".join(report.data[:3])
    more = f" and {len(report.data) - 3} more" if len(report.data) > 3 else ""
    return names + more + (" (SIMULATED)" if report.simulated else "")


def _data_line(report: PrecisionReport) -> str:
    return (
        f"{data_phrase(report)}: ranges of {report.rows} windows, costs of {report.measured_rows}. "
        f"Costs are of the node alone, against FP32."
    )


def _sensitivity(node: NodeReport) -> float:
    return -1.0 if node.fp16 is None else node.fp16.kl_mean


def _node_line(node: NodeReport, report: PrecisionReport) -> str:
    r = node.range
    headroom = (
        f"{r.headroom:.3g}x"
        if r.headroom < 1000
        else f"{r.headroom:.0f}x"
        if r.headroom < 1e6
        else ">1e6x"
    )
    costs = [
        f"{'-' if cost is None else _number(cost.kl_mean):>10}" for cost in (node.fp16, node.int8)
    ]
    marks = {
        "FP32 always": node.name in report.always_fp32,
        "FP32": node.name in report.fp16.keep_fp32,
    }
    marks["no INT8"] = node.name in report.int8.keep_fp32
    note = ", ".join(mark for mark, holds in marks.items() if holds)
    line = (
        f"{node.name:<28}{node.op:<20}{_number(r.peak):>10}{headroom:>10}{r.underflow_share:>10.1%}"
        + "".join(costs)
        + f"  {note}"
    )
    return line.rstrip()


def _choice_line(name: str, choice: Choice, max_kl: float) -> str:
    c, count = choice.cost, len(choice.keep_fp32)
    return (
        f"{f'{name} (budget KL {max_kl:g})':<28}{_number(c.kl_mean):>10}{_number(c.kl_max):>10}"
        f"{_number(c.chebyshev_mean):>16}{_number(c.chebyshev_max):>10}  {count_of(count, 'node')}"
    )


def _truth_line(report: PrecisionReport) -> str:
    kl = ", ".join(f"{name.upper()} {metrics['kl']:.4f}" for name, metrics in report.truth.items())
    simulated = " of simulated people" if report.simulated else ""
    return f"KL against the truth{simulated} ({report.labelled_rows} labelled windows): {kl}"


def _wrapped(line: str) -> list[str]:
    """Sentences in lines of at most WIDTH signs, the next ones indented;
    the table's lines are shorter.
    """
    return (
        textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_long_words=False)
        if len(line) > WIDTH
        else [line]
    )


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "overflows"
    return f"{value:.1e}" if value and not 0.1 <= value < 1e5 else f"{value:.4g}"
