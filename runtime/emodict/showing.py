"""Shown: what a notebook asks of recordings, features and predictions;
emodict_desk does it, once it is asked.
"""

from __future__ import annotations

from typing import Any


class Shown:
    """A line of text, a table for a notebook, a picture, and a pandas.DataFrame of a thing."""

    def __repr__(self) -> str:
        from emodict_desk.shown import in_short

        return in_short(self)

    def _repr_html_(self) -> str:
        from emodict_desk.shown import as_html

        return as_html(self)

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame with a row for each window; of a recording, for each sensor.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        from emodict_desk.shown import as_dataframe

        return as_dataframe(self)

    def plot(self) -> Any:
        """A matplotlib.figure.Figure of the thing over time.

        Raises:
            MissingDependencyError: Matplotlib is not installed.
        """
        from emodict_desk.shown import as_figure

        return as_figure(self)
