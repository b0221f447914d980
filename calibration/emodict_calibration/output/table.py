"""What a temperature does, as a table and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emodict_calibration.output.reliability import Reliability
from emodict_calibration.output.temperature import OutputReport
from emodict_calibration.picture import picture

BEFORE_COLOUR, AFTER_COLOUR = "#b45f06", "#1f5f99"


def describe(report: OutputReport) -> str:
    """The temperature, the reliability table, and the measures before and after."""
    lowest, highest = min(report.folds.values()), max(report.folds.values())
    lines = [
        f"Temperature {report.temperature:.4f}; {lowest:.4f} to {highest:.4f} when each "
        f"{report.grouped_by} of "
        f"{len(report.folds)} is left out",
        f"{report.rows} windows of {report.data}{', SIMULATED' if report.simulated else ''}; "
        f"'after' is each "
        f"{report.grouped_by} at the temperature fitted without it",
        "",
        f"{'':>4}{'before':^30}{'after':^30}".rstrip(),
        f"{'bin':>4}" + f"{'predicted':>10}{'true':>10}{'gap':>10}" * 2,
    ]
    rows = zip(
        report.before.predicted,
        report.before.true,
        report.after.predicted,
        report.after.true,
        strict=True,
    )
    for i, (p, d, q, e) in enumerate(rows, start=1):
        lines.append(
            f"{i:>4}{p:>10.4f}{d:>10.4f}{p - d:>+10.4f}{q:>10.4f}{e:>10.4f}{q - e:>+10.4f}"
        )
    lines += ["", f"{'':<28}{'before':>10}{'after':>10}"]
    for title, name in (
        ("expected calibration error", "ece"),
        ("KL", "kl"),
        ("Chebyshev", "chebyshev"),
    ):
        lines.append(
            f"{title:<28}{getattr(report.before, name):>10.5f}{getattr(report.after, name):>10.5f}"
        )
    return "\n".join(lines)


def draw_reliability(report: OutputReport, path: Path) -> None:
    """Mean true share over mean predicted share, before and after, with the line where both agree.

    Raises:
        OutputError: it cannot be written there.
    """
    with picture(path, width_in=5.2, height_in=5.0) as figure:
        axes = figure.add_subplot()
        _draw_curve(axes, report.before, "before", BEFORE_COLOUR, "o")
        _draw_curve(axes, report.after, f"after (left-out {report.grouped_by}s)", AFTER_COLOUR, "s")
        _frame(axes, report)


def _draw_curve(axes: Any, curve: Reliability, name: str, colour: str, marker: str) -> None:
    label = f"{name}: ECE {curve.ece:.4f}, KL {curve.kl:.4f}"
    axes.plot(
        curve.predicted,
        curve.true,
        marker=marker,
        markersize=5,
        linewidth=1.4,
        color=colour,
        label=label,
    )


def _frame(axes: Any, report: OutputReport) -> None:
    shares = [
        *report.before.predicted,
        *report.before.true,
        *report.after.predicted,
        *report.after.true,
    ]
    reach = 1.08 * max(shares)
    axes.plot([0, reach], [0, reach], color="#888888", linewidth=0.8, linestyle="--", zorder=0)
    axes.set(
        xlim=(0, reach),
        ylim=(0, reach),
        xlabel="mean predicted share",
        ylabel="mean true share",
        aspect="equal",
    )
    axes.set_title(
        f"Temperature {report.temperature:.3f}, {report.rows} windows"
        + (", SIMULATED" if report.simulated else ""),
        fontsize=10,
    )
    axes.legend(frameon=False, loc="upper left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
