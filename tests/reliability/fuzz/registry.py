"""Every reader of input from others, as targets."""

from __future__ import annotations

from tests.reliability.fuzz import data_sets, documents, importers, page, sessions
from tests.reliability.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (sessions, documents, importers, data_sets, page)
    for target in module.TARGETS
}
