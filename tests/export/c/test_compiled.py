"""The C file as compilers see it: clean, small, and with nothing in it but the model."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from benchmarks.embedded.toolchain import (
    BOARDS,
    CORTEX_M4F,
    HOSTS,
    STRICT,
    Target,
    deepest_stack,
    size_of,
)
from tests.export.c.conftest import MODELS, MakeC, MakeCheckpoint, here

from emodict_export.c import export_c
from emodict_export.c.plan import make_plan

# What C99's math.h has, and what compilers put in the place of loops.
ALLOWED = {"expf", "logf", "sqrtf", "memcpy", "memmove", "memset"}


WARNED = (*STRICT, "-Wdouble-promotion", "-O2")


@pytest.fixture(params=BOARDS, ids=lambda board: board.name)
def board(request: pytest.FixtureRequest) -> Target:
    return here(request.param)


@pytest.mark.parametrize("name", MODELS)
def test_no_compiler_of_a_desk_warns(
    host: Target, name: str, exported: MakeC, tmp_path: Path
) -> None:
    host.compile(exported(name) / "model.c", tmp_path / "model.o", *WARNED)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_no_compiler_of_a_board_warns(
    board: Target, precision: str, exported: MakeC, tmp_path: Path
) -> None:
    board.compile(exported("full", precision) / "model.c", tmp_path / "model.o", *WARNED)


@pytest.mark.parametrize("name", ["größe.c", "we're here.c", "100% *of it*.c"])
def test_it_finds_its_header_whatever_its_name(
    host: Target, name: str, realistic: MakeCheckpoint, tmp_path: Path
) -> None:
    export_c(realistic("wrist"), tmp_path / name)
    host.compile(tmp_path / name, tmp_path / "model.o", *WARNED)


def test_the_header_can_be_read_by_c_plus_plus(exported: MakeC, tmp_path: Path) -> None:
    host = here(Target("g++", "g++", ()))
    program = tmp_path / "main.cpp"
    program.write_text(
        f'#include "{exported("full") / "model.h"}"\n'
        "static emodict_state state;\nstatic emodict_row row;\n"
        "static float eeg[EMODICT_EEG_SAMPLES][EMODICT_EEG_CHANNELS];\n"
        "int main() { emodict_init(&state);\n"
        "emodict_second(&state, eeg, nullptr, nullptr, nullptr, &row); return row.answered; }\n"
    )
    host.compile(program, tmp_path / "main.o", "-std=c++17", "-Wall", "-Wextra", "-Werror")


@pytest.mark.parametrize("name", ["full", "wrist"])
def test_nothing_is_asked_of_others_but_math_h(
    gcc: Target, name: str, exported: MakeC, tmp_path: Path
) -> None:
    compiled = gcc.compile(exported(name) / "model.c", tmp_path / "model.o", "-O2")
    listed = subprocess.run(["nm", "-u", str(compiled)], capture_output=True, text=True, check=True)
    assert set(re.findall(r"U (\w+)", listed.stdout)) <= ALLOWED


def test_only_the_five_names_of_the_header_are_seen_from_outside(
    gcc: Target, exported: MakeC, tmp_path: Path
) -> None:
    compiled = gcc.compile(exported("full") / "model.c", tmp_path / "model.o", "-O2")
    listed = subprocess.run(
        ["nm", "-g", "--defined-only", str(compiled)], capture_output=True, text=True, check=True
    )
    assert set(re.findall(r" [A-Z] (\w+)", listed.stdout)) == {
        "emodict_init",
        "emodict_second",
        "emodict_emotion_names",
        "emodict_modality_names",
    }


def test_it_keeps_nothing_of_its_own_in_ram(exported: MakeC, tmp_path: Path) -> None:
    board = here(CORTEX_M4F)
    compiled = board.compile(exported("full") / "model.c", tmp_path / "model.o", "-O2")
    assert size_of(board, compiled).ram == 0


def test_its_functions_need_less_than_a_kilobyte_of_stack(exported: MakeC, tmp_path: Path) -> None:
    board = here(CORTEX_M4F)
    for name in ("full", "wrist"):
        stack = deepest_stack(board, exported(name) / "model.c", tmp_path / "model.o", "-O2")
        assert 100 < stack < 1024


@pytest.mark.parametrize("name", MODELS)
def test_the_ram_that_is_told_is_what_the_compiler_takes(
    gcc: Target, name: str, exported: MakeC, realistic: MakeCheckpoint, tmp_path: Path
) -> None:
    """Arrays of negative size would not compile."""
    checkpoint = realistic(name)
    plan = make_plan(checkpoint.features, checkpoint.model)
    source = tmp_path / "sizes.c"
    source.write_text(
        f'#include "{exported(name) / "model.h"}"\n'
        f"char state[sizeof(emodict_state) == {plan.state_bytes} ? 1 : -1];\n"
        f"char row[sizeof(emodict_row) == {plan.row_bytes} ? 1 : -1];\n"
    )
    gcc.compile(source, tmp_path / "sizes.o")


@pytest.mark.parametrize("flag", ["-ffast-math", "-ffinite-math-only"])
@pytest.mark.parametrize("target", [*HOSTS, *BOARDS], ids=lambda target: target.name)
def test_a_build_that_takes_nan_for_a_number_is_refused(
    target: Target, flag: str, exported: MakeC, tmp_path: Path
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        here(target).compile(exported("wrist") / "model.c", tmp_path / "model.o", flag)
    assert "A missing sample is NaN" in refused.value.stderr
