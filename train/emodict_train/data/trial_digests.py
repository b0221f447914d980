"""trial_digests: which trials a model was trained on,
without saying whose they are or what was felt.
"""

from __future__ import annotations

import hashlib

import numpy as np

from emodict_desk.tables.table import FeatureTable


def trial_digests(table: FeatureTable) -> list[str]:
    """8 hex digits for each labelled trial, from its subject, its name and its label;
    the same for any features.
    """
    if table.labels is None:
        return []
    known = np.isfinite(table.labels).all(axis=1)
    first_rows = np.unique(table.groups[known], return_index=True)[1]
    rows = np.flatnonzero(known)[first_rows]
    return sorted(
        {
            _digest(str(table.subject[i]), str(table.trial[i]), table.labels[i].tolist())
            for i in rows
        }
    )


def _digest(subject: str, trial: str, label: list[float]) -> str:
    text = "\x1f".join([subject, trial, *(f"{share:.6f}" for share in label)])
    return hashlib.sha256(text.encode()).hexdigest()[:8]
