"""What an importer owes its user besides the samples: what it left out and why,
and what it took for granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# With this a note ends that is a doubt of the samples: `emodict-session validate` says it again.
WRONG_FREQUENCIES = "if samples were lost, its frequencies are wrong"


@dataclass
class Account:
    """Kept while a file is read; ends up in the attributes of the recording,
    which every summary shows.
    """

    source: str
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, what: str, why: str) -> None:
        """Name a stream, column or file that does not become part of the recording."""
        self.left_out.append(f"{what} ({why})")

    def note(self, sentence: str) -> None:
        """Say what was assumed, repaired or chosen; once, however often it happens."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def attributes(self) -> dict[str, str]:
        """For Recording.attributes."""
        found = {"source": self.source}
        if self.left_out:
            found["left_out"] = ", ".join(self.left_out)
        if self.notes:
            found["notes"] = "; ".join(self.notes)
        return found


def joined_attributes(several: list[Mapping[str, str]]) -> dict[str, str]:
    """The attributes of recordings that become one: each kept, none twice."""
    separators = {"left_out": ", ", "notes": "; ", "source": " + "}
    joined: dict[str, list[str]] = {}
    for attributes in several:
        for name, value in attributes.items():
            if value not in joined.setdefault(name, []):
                joined[name].append(value)
    return {name: separators.get(name, ", ").join(values) for name, values in joined.items()}
