"""Units: factors are powers of ten of the SI's prefixes, written out."""

from __future__ import annotations

import re

import pytest

from emodict.errors import RecordingError
from emodict.recording.units import plain_unit, unit_factor

# BIPM, The International System of Units, table 7: milli 1e-3, micro 1e-6, nano 1e-9.
FACTORS = [
    ("V", "uV", 1_000_000), ("mV", "uV", 1_000), ("uV", "uV", 1), ("nV", "uV", 0.001),
    ("S", "uS", 1_000_000), ("mS", "uS", 1_000), ("uS", "uS", 1), ("nS", "uS", 0.001),
    ("a.u.", "a.u.", 1), ("lx", "lx", 1),
]  # fmt: skip
# 1 mho is 1 siemens: the older name for the same unit.
# A pulse oximeter's nW are no calibrated light.
WORDS = {
    "V": ["V", "v", "volt", "Volts", "VOLT"],
    "mV": ["mV", "mv", "MV", "millivolt", "Millivolts"],
    "uV": ["uV", "UV", "uv", "\u00b5V", "\u03bcV", " uV ", "microvolt", "Microvolts"],
    "nV": ["nV", "nv", "nanovolt", "nanovolts"],
    "S": ["S", "s", "siemens", "Siemens", "mho", "mhos"],
    "mS": ["mS", "ms", "MS", "millisiemens"],
    "uS": [
        "uS",
        "us",
        "US",
        "\u00b5S",
        "microsiemens",
        "MicroSiemens",
        "microsiemen",
        "umho",
        "micromho",
        "umhos",
    ],
    "nS": ["nS", "ns", "nanosiemens"],
    "a.u.": ["a.u.", "A.U.", "au", "AU", "arbitrary", "nW"],
    "lux": ["lux"],
    "degC": ["degC"],
}


@pytest.mark.parametrize(("unit", "wanted", "factor"), FACTORS)
def test_a_sample_keeps_its_size_in_another_unit(unit: str, wanted: str, factor: float) -> None:
    assert unit_factor(unit, wanted, of="x") == factor


@pytest.mark.parametrize("micro", ["u", "\u00b5", "\u03bc"])
def test_micro_is_the_same_in_each_of_its_letters(micro: str) -> None:
    assert unit_factor(f" {micro}V ", "uV", of="x") == 1
    assert unit_factor(f"{micro}S", "uS", of="x") == 1


@pytest.mark.parametrize(
    ("unit", "wanted", "known"),
    [
        ("uS", "uV", "uV or mV or V or nV"),
        ("V", "uS", "uS or mS or S or nS"),
        ("uV", "a.u.", "a.u."),
        ("", "lx", "lx"),
    ],
)
def test_there_is_no_way_from_one_quantity_to_another(unit: str, wanted: str, known: str) -> None:
    with pytest.raises(RecordingError, match=rf"skin: .*Expected {re.escape(known)}, got '{unit}'"):
        unit_factor(unit, wanted, of="skin")


@pytest.mark.parametrize(("plain", "words"), WORDS.items())
def test_each_word_for_a_unit_is_that_unit(plain: str, words: list[str]) -> None:
    assert {word: plain_unit(word) for word in words} == dict.fromkeys(words, plain)
