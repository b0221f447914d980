"""How `make pages` renews a page: each line by its like among those that a
command says, nothing invented.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from tools.pages.excerpts import NotSaidError, Shown, renewed, renewed_lines, shown_in
from tools.pages.figures import Seen, with_seen
from tools.pages.stamps import is_stamped, stamp_png, stamp_svg, with_section

SAID = [
    "Model m.onnx: 3 rows",
    "   0:04  ▄19  ×",
    "   0:05  ▃17  1.00",
    "   0:06  ▁ 5  0.91",
    "mean label  0.0955",
]


def test_numbers_bars_and_crosses_are_those_that_were_said_and_the_gap_stays_a_gap() -> None:
    shown = ["   0:04  ▁ 1  0.50", "...", "   0:06  ▄20  ×", "mean label  0.1111"]
    assert renewed_lines(shown, SAID) == (
        "   0:04  ▄19  ×",
        "...",
        "   0:06  ▁ 5  0.91",
        "mean label  0.0955",
    )


def test_of_lines_of_one_form_the_one_with_the_same_first_word_is_taken() -> None:
    assert renewed_lines(["...", "   0:05  ▁ 1  0.50", "..."], SAID) == (
        "...",
        "   0:05  ▃17  1.00",
        "...",
    )


def test_lines_that_stood_together_stay_together() -> None:
    said = ["a 1", "b 2", "c 3", "a 4", "b 5"]
    assert renewed_lines(["a 9", "b 9", "c 9"], said) == ("a 1", "b 2", "c 3")
    assert renewed_lines(["c 9", "a 9", "b 9"], said) == ("c 3", "a 4", "b 5")


def test_what_a_line_leaves_out_in_its_middle_is_left_out_again() -> None:
    shown = ['{"Calm": 0.5, ...}, "valid": {"eeg": true}}']
    said = ['{"Calm": 0.25, "Upset": 0.125}, "valid": {"eeg": false}}']
    assert renewed_lines(shown, said) == ('{"Calm": 0.25, ...}, "valid": {"eeg": false}}',)


def test_a_page_that_differs_in_progress_alone_is_left_as_it_is() -> None:
    shown = [
        "Training 3/80 epochs, 3 min 29 s left, best KL so far 0.0657",
        "...",
        "Wrote wrist.pt",
    ]
    said = ["Training 5/80 epochs, 10 s left, best KL so far 0.0657", "Wrote wrist.pt"]
    assert renewed_lines(shown, said) == tuple(shown)
    changed = renewed_lines([*shown, "epochs 8"], [*said, "epochs 9"])
    assert changed == (said[0], "...", "Wrote wrist.pt", "epochs 9")


def test_a_line_that_nothing_said_is_like_is_an_error_that_shows_both() -> None:
    with pytest.raises(NotSaidError, match=r"(?s)Wrote x\.csv.*mean label  0\.0955"):
        renewed_lines(["Wrote x.csv"], SAID)


def test_renewing_twice_changes_nothing_more() -> None:
    shown = ("   0:04  ▁ 1  0.50", "...", "   0:06  ▄20  ×", "mean label  0.1111")
    once = renewed_lines(shown, SAID)
    assert renewed_lines(once, SAID) == once


PAGE = """Text .1 stays.

```console
$ one --quiet
kl 0.1
$ two
```

```python
print(7)
```

```text
6
```

```text
no output of a snippet
```
"""


def test_commands_and_snippets_of_a_page_are_renewed_and_the_rest_is_not_touched() -> None:
    typed = []

    def say(shown: Shown) -> list[str] | None:
        typed.append(shown.command)
        return ["kl 0.2"] if shown.output else None

    new = renewed(PAGE, say, lambda snippet: "7\n")
    assert typed == ["one --quiet", "two"]
    assert new == PAGE.replace("kl 0.1", "kl 0.2").replace("\n6\n", "\n7\n")
    assert next(iter(shown_in(new))) == Shown("one --quiet", ("kl 0.2",))


def test_a_section_is_replaced_between_its_marks_and_a_page_without_them_is_an_error() -> None:
    page = "before\n<!-- pages: run -->\nold\n<!-- /pages: run -->\nafter\n"
    assert with_section(page, "run", "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="'range'"):
        with_section(page, "range", "new")


def test_a_stamp_goes_into_a_picture_and_only_that_stamp_is_found(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    (tmp_path / "a.png").write_bytes(stamp_png(png, "0a1b2c3d"))
    (tmp_path / "a.svg").write_text(stamp_svg("<svg/>\n", "0a1b2c3d"))
    assert all(is_stamped(tmp_path / name, "0a1b2c3d") for name in ("a.png", "a.svg"))
    assert not any(is_stamped(tmp_path / name, "0a1b2c3e") for name in ("a.png", "a.svg", "b.png"))
    # By the PNG specification: length of the data, type, data, CRC of type and data.
    body = b"tEXtemodict pages\x000a1b2c3d"
    assert (tmp_path / "a.png").read_bytes()[33:] == struct.pack(">I", 22) + body + struct.pack(
        ">I", zlib.crc32(body)
    )


def test_a_new_run_replaces_that_of_the_same_processor_and_keeps_those_of_others() -> None:
    old, other = (
        Seen("B", "2026-01-01", {"as they come": "0.0400"}),
        Seen("A", "2026-01-01", {"as they come": "0.0500"}),
    )
    new = Seen("B", "2026-02-01", {"as they come": "0.0410", "x": "0.0390"})
    assert with_seen((old, other), new) == (other, new)
    assert new.text == ".0390 to .0410 in 2 trainings on B"
