"""model.c: the C files of this folder, with the tables that they read."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterable, Sequence
from pathlib import Path

from emodict import __version__
from emodict.features.quality import CONSTANT_SHARE, RAIL_SHARE_OF_RANGE
from emodict.features.windows import LARGEST_FEATURE
from emodict_export.c.header import signature
from emodict_export.c.literals import comment, listed, number, string
from emodict_export.c.network import SOURCES as NETWORK
from emodict_export.c.network import WrittenNetwork, network_constants, network_tables
from emodict_export.c.plan import Plan

# All files that modalities may need, each after those that it needs itself.
_ORDER = (
    "quality", "rails", "sections", "fold", "bin_powers", "real_parts", "median", "numbers",
    "statistics", "zero_phase", "window_statistics", "pulse", "step", "embedding", "band_power",
)  # fmt: skip


def source_text(plan: Plan, members: Sequence[WrittenNetwork], header: Path) -> str:
    """The whole of model.c, which includes `header`."""
    wanted = {name for part in plan.parts for name in part.sources}
    return "\n".join((
        _opening(plan, header),
        _file("larger"),
        _lanes("four"),
        _lanes("many") if "fold" in wanted else "",
        *(_file(name) for name in _ORDER if name in wanted),
        *(part.tables for part in plan.parts if part.tables),
        *map(_file, NETWORK[:2]),
        network_tables(members, plan.features, plan.precision),
        *map(_file, NETWORK[2:]),
        _names(plan),
        _init(plan),
        _second(plan),
    ))  # fmt: skip


@functools.cache
def _file(name: str) -> str:
    folder = importlib.resources.files("emodict_export.c") / "source"
    return (folder / f"{name}.c").read_text("utf-8")


def _opening(plan: Plan, header: Path) -> str:
    constants = {
        "CONSTANT_SHARE": number(CONSTANT_SHARE),
        "RAIL_SHARE_OF_RANGE": number(RAIL_SHARE_OF_RANGE),
        "LARGEST_FEATURE": number(LARGEST_FEATURE),
        "MOST_BINS": max(part.bins for part in plan.parts),
        "MOST_STATES": max(part.states for part in plan.parts),
        **network_constants(plan.model, plan.features),
    }
    return f"""\
/* {comment(header.with_suffix(".c").name)}: written by emodict-export {__version__} from a trained
   model; the tables are its numbers. C99, and nothing but math.h. See {comment(header.name)}. */
#include "{header.name}"

#include <math.h>
#include <stddef.h>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "A missing sample is NaN, which -ffast-math and -ffinite-math-only leave out."
#endif
#ifdef __clang__
#pragma STDC FP_CONTRACT ON
#endif

/* A weight of the network. */
typedef {"float" if plan.precision == "fp32" else "signed char"} weight;

{_defines(constants.items())}"""


def _defines(constants: Iterable[tuple[str, object]]) -> str:
    return "".join(f"#define {name} {value}\n" for name, value in constants)


def _lanes(name: str) -> str:
    """A type of several floats: in one register where there are such, else in as many."""
    return f"""\
#if defined(__GNUC__) && (defined(__SSE__) || defined(__ARM_NEON))
{_file(f"{name}_lanes")}
#else
{_file(f"{name}_scalar")}
#endif
"""


def _names(plan: Plan) -> str:
    emotions = listed(
        "const char *const emodict_emotion_names[EMODICT_EMOTIONS]",
        map(string, plan.model.emotions),
    )
    modalities = listed(
        "const char *const emodict_modality_names[EMODICT_MODALITIES]",
        map(string, plan.model.modalities),
    )
    return f"{emotions}\n{modalities}"


def _init(plan: Plan) -> str:
    starts = "".join(f"    {part.start}\n" for part in plan.parts if part.start)
    return f"""\
void emodict_init(emodict_state *state)
{{
{starts}    /* The features that fill up a modality's last token stay 0. */
    for (int i = 0; i < TOKENS * TOKEN_WIDTH; i++) {{
        state->features[i] = 0.0f;
    }}
}}
"""


def _second(plan: Plan) -> str:
    judged = "".join(f"    row->valid[{i}] = {p.judged};\n" for i, p in enumerate(plan.parts))
    return f"""\
{signature(plan)}
{{
{judged}    row->answered = {_answered(plan)};
    if (row->answered) {{
        answer_all(state->features, row->valid, state->work, row);
        return;
    }}
    for (int i = 0; i < EMODICT_EMOTIONS; i++) {{
        row->distribution[i] = NAN;
    }}
    for (int i = 0; i < EMODICT_WEIGHTS; i++) {{
        row->weights[i] = NAN;
    }}
}}
"""


def _answered(plan: Plan) -> str:
    """Every required modality is valid, and at least one is."""
    names, required = plan.model.modalities, plan.model.required_modalities
    if required:
        return " && ".join(f"row->valid[{names.index(name)}]" for name in required)
    return " || ".join(f"row->valid[{i}]" for i in range(len(names)))
