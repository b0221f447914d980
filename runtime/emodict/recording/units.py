"""Units: what others call them in our words, and the way from one to another."""

from __future__ import annotations

from emodict.errors import RecordingError

# What one of a unit is, in the unit that a spec asks for.
UNIT_FACTORS = {
    "uV": {"uV": 1.0, "mV": 1e3, "V": 1e6, "nV": 1e-3},
    "uS": {"uS": 1.0, "mS": 1e3, "S": 1e6, "nS": 1e-3},
    "a.u.": {"a.u.": 1.0},
    "degC": {"degC": 1.0},
}
# By their small letters.
_UNIT_WORDS = {
    "microvolt": "uV",
    "millivolt": "mV",
    "nanovolt": "nV",
    "volt": "V",
    "v": "V",
    "uv": "uV",
    "mv": "mV",
    "nv": "nV",
    "microsiemens": "uS",
    "microsiemen": "uS",
    "millisiemens": "mS",
    "nanosiemens": "nS",
    "siemens": "S",
    "us": "uS",
    "ms": "mS",
    "ns": "nS",
    "umho": "uS",
    "micromho": "uS",
    "mho": "S",
    "s": "S",
    "a.u.": "a.u.",
    "au": "a.u.",
    "arbitrary": "a.u.",
    "nw": "a.u.",
    "degc": "degC",
    "°c": "degC",
    "celsius": "degC",
    "c": "degC",
}


# What is known, and never what a spec asks for: 1 over a resistance would be a conductance.
_OTHERS = frozenset(
    f"{prefix}{ohm}"
    for prefix in ("", "k", "m", "kilo", "mega")
    for ohm in ("ohm", "\u2126", "\u03c9")
)


def is_known_unit(text: str) -> bool:
    """Is this a unit, and not a word that says nothing, such as `counts`?"""
    word = text.strip().lower()
    plain = plain_unit(text)
    return bool({word, word.removesuffix("s")} & _OTHERS) or any(
        plain in units for units in UNIT_FACTORS.values()
    )


def unit_factor(unit: str, wanted: str, *, of: str) -> float:
    """What samples in `unit` are multiplied by to be in `wanted`.

    `of` says whose samples these are, for the sentence.

    Raises:
        RecordingError: emodict knows no way from one to the other.
    """
    plain = _with_u(unit)
    factors = UNIT_FACTORS.get(wanted, {wanted: 1.0})
    if plain not in factors:
        raise RecordingError(
            f"{of}: the unit cannot be used",
            expected=" or ".join(factors),
            got=f"'{unit}'",
            fix=f"Convert the samples to {wanted}, or correct the unit if it is only misspelt",
        )
    return factors[plain]


def plain_unit(text: str) -> str:
    """A unit in our words: `microvolts`, `µV` and `UV` are uV; an unknown one stays as it is."""
    plain = _with_u(text)
    word = plain.lower()
    return _UNIT_WORDS.get(word, _UNIT_WORDS.get(word.removesuffix("s"), plain))


def _with_u(unit: str) -> str:
    """Micro comes as the letter u, as U+00B5 and as the Greek letter U+03BC."""
    return unit.strip().replace("\u00b5", "u").replace("\u03bc", "u")
