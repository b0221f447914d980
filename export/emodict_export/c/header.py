"""model.h: the constants, the state and the functions of the C file."""

from __future__ import annotations

import re
from pathlib import Path

from emodict import __version__
from emodict.recording.modalities import EEG
from emodict_export.c.literals import comment, string
from emodict_export.c.part import Field
from emodict_export.c.plan import Plan


def header_text(plan: Plan, path: Path) -> str:
    """The whole of the header, named `path`."""
    guard = re.sub(r"\W", "_", f"EMODICT_{path.stem}_H".upper(), flags=re.ASCII)
    return f"""\
/* {comment(path.name)}: raw seconds of {", ".join(plan.features.modality_names)} in, a distribution
   over {len(plan.model.emotions)} emotions out. Written by emodict-export {__version__};
   docs/embedding.md shows how it is used.{_simulated(plan)}

   Call emodict_init once, then emodict_second for every second of signal, in turn and without
   leaving one out. Samples are floats at the rates below, NaN where one is missing; a modality that
   is missing altogether is NULL. No memory is allocated, nothing is kept but in the state, and two
   states do not know of one another. */
#ifndef {guard}
#define {guard}

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {{
#endif

{_constants(plan)}
{_sizes(plan)}
/* What is carried from second to second; nothing in it is of use outside. */
typedef struct {{
{_fields(plan)}}} emodict_state;

/* The answer to one second. */
typedef struct {{
    bool answered; /* false: the model needs a modality that is not valid */
    float distribution[EMODICT_EMOTIONS]; /* sums to 1; NaN where there is no answer */
    float weights[EMODICT_WEIGHTS];       /* of the dictionary's elements; NaN as well */
    bool valid[EMODICT_MODALITIES];       /* could the modality be used? */
    float quality[EMODICT_MODALITIES];    /* from 0, useless, to 1, clean */
}} emodict_row;

/* In the order of `distribution`, and of `valid` and `quality`. */
extern const char *const emodict_emotion_names[EMODICT_EMOTIONS];
extern const char *const emodict_modality_names[EMODICT_MODALITIES];

void emodict_init(emodict_state *state);

{_usage(plan)}
{signature(plan)};

#ifdef __cplusplus
}}
#endif

#endif
"""


def _simulated(plan: Plan) -> str:
    if not plan.simulated:
        return ""
    return """

   THE MODEL LEARNED FROM SIMULATED PEOPLE: of real ones its answers say nothing."""


# Whatever the order of a spec's tokens, calls of all models read alike; others come after these.
_ARGUMENTS = (EEG, "ppg", "gsr", "video")


def signature(plan: Plan) -> str:
    """Of emodict_second, without an end."""
    parts = dict(zip(plan.features.modality_names, plan.parts, strict=True))
    signals = (parts[name].argument for name in _called(plan))
    arguments = ("emodict_state *state", *signals, "emodict_row *row")
    return "void emodict_second(" + ",\n                    ".join(arguments) + ")"


def _called(plan: Plan) -> list[str]:
    """The modalities in the order of the arguments."""
    names = plan.features.modality_names
    known = [name for name in _ARGUMENTS if name in names]
    return known + [name for name in names if name not in known]


def _constants(plan: Plan) -> str:
    texts = {
        "EMODICT_MODEL_SHA256": plan.graph_sha256,
        "EMODICT_PRECISION": plan.precision,
        "EMODICT_FEATURE_SPEC": plan.features.id,
        "EMODICT_FEATURE_SPEC_FINGERPRINT": plan.features.fingerprint,
    }
    note = "/* The hash is that of the graph of model.onnx, graph_sha256 in its metadata. */\n"
    return note + "".join(f"#define {name} {string(text)}\n" for name, text in texts.items())


def _sizes(plan: Plan) -> str:
    sizes = {
        "EMODICT_EMOTIONS": len(plan.model.emotions),
        "EMODICT_MODALITIES": len(plan.model.modalities),
        "EMODICT_WEIGHTS": plan.model.elements * plan.model.members,
    }
    for part in plan.parts:
        sizes.update(part.sizes)
    return "".join(f"#define {name} {value}\n" for name, value in sizes.items())


def _fields(plan: Plan) -> str:
    own = [field for part in plan.parts for field in part.fields]
    shared = [
        Field(f"float features[{plan.feature_floats}]", 0),
        Field(f"float work[{plan.work_floats}]", 0),
    ]
    return "".join(f"    {field.declared};\n" for field in (*own, *shared))


def _usage(plan: Plan) -> str:
    """What each argument of emodict_second is, in the spec's words."""
    lines = []
    for modality in map(plan.features.modality, _called(plan)):
        unit = f", in {modality.unit}" if modality.unit else ""
        if modality.kind == "embedding":
            lines.append(f"{modality.name}: the {modality.dims} values of one frame")
            continue
        channels = len(modality.channel_names)
        names = f", {channels} channels: {' '.join(modality.channel_names)}" if channels > 1 else ""
        lines.append(f"{modality.name}: {modality.rate_hz:g} samples{unit}{names}")
    body = "\n".join(f"     {comment(line)}" for line in lines)
    return f"/* One second, the oldest sample first:\n{body}\n   A pointer may be NULL. */"
