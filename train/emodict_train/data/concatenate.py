"""Several feature tables as one, where they go together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emodict.errors import TableError
from emodict.features.windows import concatenate
from emodict.spec import require_same_spec
from emodict.table import FeatureTable


def concatenate_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    """All rows, in order.

    Raises:
        SpecError: the tables use different features.
        TableError: they tell different emotions apart, or only some have labels.
    """
    first = tables[0]
    for other in tables[1:]:
        require_same_spec(first.spec, other.spec, ours_is=first.source, theirs_is=other.source)
        if other.emotions != first.emotions:
            raise TableError(
                f"{first.source} and {other.source} tell different emotions apart",
                expected=", ".join(first.emotions),
                got=", ".join(other.emotions),
            )
        if (other.labels is None) != (first.labels is None):
            bare = other if other.labels is None else first
            raise TableError(f"{bare.source} has no labels, the others have", fix="Leave it out")
    if len(tables) == 1:
        return first
    labels = [t.labels for t in tables if t.labels is not None]
    return FeatureTable(
        windows=concatenate(first.spec, [t.windows for t in tables]),
        emotions=first.emotions,
        labels=np.concatenate(labels) if labels else None,
        subject=np.concatenate([t.subject for t in tables]),
        trial=np.concatenate([t.trial for t in tables]),
        source=f"{first.source} and {len(tables) - 1} more",
        simulated=any(t.simulated for t in tables),
    )
