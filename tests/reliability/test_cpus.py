"""What `make test-cpus` says of a setting: without effect,
or failed with what the tests printed.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests import cpus


def test_a_setting_that_changes_no_number_is_not_run_and_said_so() -> None:
    plain = json.loads(cpus.numbers())
    outcome = cpus.run(
        cpus.Setting("EMODICT_NO_SUCH_SETTING", "1"), plain, ["tests/no_such_file.py"]
    )
    assert outcome.said.startswith("not run: changes no number on this machine (OpenBLAS ")
    assert not outcome.failed


def test_a_test_that_fails_under_a_setting_fails_it_and_is_shown(tmp_path: Path) -> None:
    wrong = tmp_path / "test_wrong.py"
    wrong.write_text(
        "import os\ndef test_it():\n    assert os.environ['A_SETTING'] == 'another'\ndef "
        "test_b(): pass\n"
    )
    outcome = cpus.run(
        cpus.Setting("A_SETTING", "on"), {"sha256": "of other numbers"}, [str(wrong)]
    )
    assert outcome.failed
    assert outcome.said.startswith("1 failed, 1 passed, ")
    assert "assert 'on' == 'another'" in outcome.output
