"""What was shown or done in a trial, where several people's trials share it by name."""

from __future__ import annotations

# An attribute of a session whose trials are named by what all of its kind were shown: the word for
# that, such as film or condition. Trials of one name are then of one film, whoever saw it.
STIMULUS = "trials_named_by"
