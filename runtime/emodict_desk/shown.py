"""Recordings, features and predictions in a line, a table, a picture and a DataFrame,
as emodict.showing promises.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import MissingDependencyError
from emodict.results.colours import emotion_colours
from emodict.results.metrics import percent
from emodict_desk.wording import count_of

if TYPE_CHECKING:
    # They import emodict.showing, which imports this module: kinds are looked up by their names.
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from emodict.features.windows import FeatureWindows
    from emodict.recording.recording import Recording, Signal
    from emodict.results.prediction import Prediction

Float64Array = NDArray[np.float64]

# No screen shows more, and a recording may have millions of samples.
_MOST_POINTS = 4000
_WIDTH_IN, _ROW_IN, _TITLE_CHARACTERS = 9.0, 1.4, 100


def in_short(thing: Any) -> str:
    """One line that says what a thing holds."""
    return f"<{type(thing).__name__} {_of_kind(_LINES, thing)(thing)}>"


def _of_kind(table: Mapping[str, Callable[[Any], Any]], thing: Any) -> Callable[[Any], Any]:
    """What the table has for the thing's class, or for one that it comes of."""
    return next(table[kind.__name__] for kind in type(thing).__mro__ if kind.__name__ in table)


def as_html(thing: Any) -> str:
    """The same, and a table below it, for a notebook."""
    head, rows = _of_kind(_TABLES, thing)(thing)
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<p>{escape(in_short(thing))}</p><table><tr>{cells}</tr>{body}</table>"


def as_dataframe(thing: Any) -> pandas.DataFrame:
    """One row a window, by the names of the columns in files; of a recording, one a sensor.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingDependencyError(
            "pandas", extra="notebook", purpose="to_dataframe()"
        ) from error
    return pandas.DataFrame(_of_kind(_COLUMNS, thing)(thing))


def as_figure(thing: Any) -> Figure:
    """What a thing holds against time, one panel below the other.

    Raises:
        MissingDependencyError: Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", extra="notebook", purpose="plot()") from error

    class ShownFigure(Figure):
        """Not of pyplot, which keeps each figure and chooses a screen:
        a notebook shows what a cell ends with.
        """

        def _repr_png_(self) -> bytes:
            with io.BytesIO() as picture:
                self.savefig(picture, format="png")
                return picture.getvalue()

    panels = _of_kind(_PANELS, thing)(thing)
    figure = ShownFigure(figsize=(_WIDTH_IN, 1 + _ROW_IN * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, draw) in zip(axes, panels, strict=True):
        draw(axis)
        axis.set_ylabel(name)
    axes[-1].set_xlabel("s from the start of the recording")
    figure.suptitle(textwrap.fill(in_short(thing)[1:-1], _TITLE_CHARACTERS), fontsize="medium")
    return figure


def _recording_line(recording: Recording) -> str:
    sensors = [f"{s.modality} ({count_of(len(s.channel_names), 'channel')}, {s.rate_hz:g} Hz)"
               for s in recording.signals.values()]  # fmt: skip
    sensors += ["video"] if recording.face is not None else []
    sensors += [f"{name} (cannot be used)" for name in recording.unusable]
    trials = 0 if recording.trials is None else len(recording.trials)
    simulated = ", a SIMULATED person" if recording.simulated else ""
    return (
        f"'{recording.session_id}' of '{recording.subject_id}'{simulated}: "
        f"{recording.duration_s:.0f} s of "
        f"{', '.join(sensors) or 'nothing'}; {count_of(trials, 'trial')}, "
        f"{count_of(len(recording.events), 'event')}"
    )


def _windows_line(windows: FeatureWindows) -> str:
    return (
        f"{windows.spec.id}: {_span(windows.start_s)}; "
        f"valid {_shares(windows.spec.modality_names, windows.valid)}"
    )


def _prediction_line(prediction: Prediction) -> str:
    marks = "".join(f", {part}" for part in prediction.simulated_parts)
    answered = int(prediction.answered.sum())
    means = _means(prediction)
    strongest = (
        [f"{prediction.emotions[i]} {means[i]:.0%}" for i in np.argsort(-means)[:3]]
        if answered
        else []
    )
    return (
        f"'{prediction.session}'{marks}: {_span(prediction.start_s)}, {answered} answered"
        f"{'; mean ' + ', '.join(strongest) + ', ...' if strongest else ''}"
    )


def _span(start_s: Float64Array) -> str:
    rows = count_of(len(start_s), "row")
    return f"{rows} from {start_s[0]:g} to {start_s[-1] + 1:g} s" if len(start_s) else rows


def _shares(names: Sequence[str], valid: NDArray[np.bool_]) -> str:
    shares = valid.mean(axis=0) if len(valid) else np.zeros(len(names))
    return ", ".join(f"{name} {percent(share)}" for name, share in zip(names, shares, strict=True))


def _means(prediction: Prediction) -> Float64Array:
    answered = prediction.distribution[prediction.answered]
    means: Float64Array = (
        answered.mean(axis=0) if len(answered) else np.full(len(prediction.emotions), np.nan)
    )
    return means


def _columns_of_recording(recording: Recording) -> dict[str, list[Any]]:
    signals = recording.signals.values()
    return {
        "modality": [s.modality for s in signals],
        "rate_hz": [s.rate_hz for s in signals],
        "unit": [s.unit for s in signals],
        "channels": [" ".join(s.channel_names) for s in signals],
        "samples": [s.sample_count for s in signals],
        "start_s": [s.start_s for s in signals],
        "stop_s": [s.stop_s for s in signals],
    }


def _table_of_recording(recording: Recording) -> tuple[Iterable[str], Iterable[Sequence[str]]]:
    columns = _columns_of_recording(recording)
    rows = zip(*columns.values(), strict=True)
    return columns, (
        [f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    )


def feature_columns(windows: FeatureWindows) -> dict[str, NDArray[Any]]:
    """`start_s`, the features by the names that the .npz has (eeg/delta_P3),
    validity and quality of each modality.
    """
    columns: dict[str, NDArray[Any]] = {"start_s": windows.start_s}
    for modality in windows.spec.modalities:
        flat = windows.features(modality.name).reshape(len(windows), modality.dims)
        columns |= {
            f"{modality.name}/{name}": flat[:, i] for i, name in enumerate(modality.feature_names)
        }
    return columns | _usable_columns(windows, windows.spec.modality_names)


def _usable_columns(
    of: FeatureWindows | Prediction, names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    valid = {f"valid_{name}": of.valid[:, i] for i, name in enumerate(names)}
    return valid | {f"quality_{name}": of.quality[:, i] for i, name in enumerate(names)}


def _table_of_windows(windows: FeatureWindows) -> tuple[Iterable[str], Iterable[Sequence[str]]]:
    rows = (
        (
            m.name,
            str(m.dims),
            percent(windows.valid[:, i].mean()),
            f"{windows.quality[windows.valid[:, i], i].mean():.2f}",
        )
        for i, m in enumerate(windows.spec.modalities)
        if windows.valid[:, i].any()
    )
    return ("modality", "features", "valid", "quality where valid"), rows


def _table_of_prediction(prediction: Prediction) -> tuple[Iterable[str], Iterable[Sequence[str]]]:
    rows = zip(prediction.emotions, (f"{mean:.1%}" for mean in _means(prediction)), strict=True)
    return ("emotion", "mean over the rows with an answer"), rows


def _columns_of_prediction(prediction: Prediction) -> dict[str, NDArray[Any]]:
    """The columns of a table of predictions, its marks of simulation too,
    and `truth_<emotion>` where it is known.
    """
    columns: dict[str, NDArray[Any]] = {"start_s": prediction.start_s}
    columns |= {name: prediction.distribution[:, i] for i, name in enumerate(prediction.emotions)}
    columns |= _usable_columns(prediction, prediction.modalities)
    if prediction.truth is not None:
        columns |= {
            f"truth_{name}": prediction.truth[:, i] for i, name in enumerate(prediction.emotions)
        }
    marks = {"simulated": prediction.simulated, "model_simulated": prediction.model_simulated}
    return columns | {
        name: np.ones(len(prediction), dtype=bool) for name, so in marks.items() if so
    }


Panels = list[tuple[str, Callable[["Axes"], object]]]


def _panels_of_recording(recording: Recording) -> Panels:
    """Each signal; of many samples every n-th."""
    return [(f"{s.modality} ({s.unit})", _draws_signal(s)) for s in recording.signals.values()]


def _draws_signal(signal: Signal) -> Callable[[Axes], object]:
    step = max(1, -(-signal.sample_count // _MOST_POINTS))
    values = signal.read(0, signal.sample_count)[::step]
    if signal.timestamps_s is not None:
        times_s = np.asarray(signal.timestamps_s)[::step]
    else:
        times_s = signal.start_offset_s + np.arange(signal.sample_count)[::step] / signal.rate_hz
    return lambda axes: axes.plot(times_s, values, linewidth=0.6)


def _panels_of_windows(windows: FeatureWindows) -> Panels:
    return [
        (f"{name}\nquality", _draws_quality(windows, i))
        for i, name in enumerate(windows.spec.modality_names)
    ]


def _draws_quality(of: FeatureWindows | Prediction, column: int) -> Callable[[Axes], object]:
    """Quality from 0 to 1; where a row is invalid there is nothing."""
    quality = np.where(of.valid[:, column], of.quality[:, column], np.nan)

    def draw(axes: Axes) -> None:
        axes.fill_between(of.start_s, quality, step="post")
        axes.set_ylim(0, 1)

    return draw


def _panels_of_prediction(prediction: Prediction) -> Panels:
    def draw(axes: Axes) -> None:
        shares = prediction.distribution.T
        axes.stackplot(
            prediction.start_s,
            shares,
            labels=prediction.emotions,
            colors=emotion_colours(prediction.emotions),
        )
        axes.set_ylim(0, 1)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="x-small")

    quality = [
        (f"{name}\nquality", _draws_quality(prediction, i))
        for i, name in enumerate(prediction.modalities)
    ]
    return [("distribution", draw), *quality]


_LINES: dict[str, Callable[[Any], str]] = {
    "Recording": _recording_line,
    "FeatureWindows": _windows_line,
    "Prediction": _prediction_line,
}
_TABLES: dict[str, Callable[[Any], tuple[Iterable[str], Iterable[Sequence[str]]]]] = {
    "Recording": _table_of_recording,
    "FeatureWindows": _table_of_windows,
    "Prediction": _table_of_prediction,
}
_COLUMNS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Recording": _columns_of_recording,
    "FeatureWindows": feature_columns,
    "Prediction": _columns_of_prediction,
}
_PANELS: dict[str, Callable[[Any], Panels]] = {
    "Recording": _panels_of_recording,
    "FeatureWindows": _panels_of_windows,
    "Prediction": _panels_of_prediction,
}
