"""Model cards: what a checkpoint says of itself,
as a page in the form that Hugging Face asks for.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emodict.engine.model_spec import ModelSpec
from emodict.errors import ModelError
from emodict.files.atomic import atomic_path
from emodict.results.metrics import LARGER_IS_BETTER, METRICS
from emodict_train.fit.presets import DEFAULT_PRESET, PRESETS
from emodict_train.model.checkpoint import Checkpoint

# Options of `fit` that change a preset, by where they are recorded.
_PLAN_OPTIONS = ("epochs", "auxiliary", "modality_dropout")
_MODEL_OPTIONS = ("readout", "gate")
_HELD_OUT = {"subjects": "whole people", "trials": "whole trials", "windows": "random windows"}


def write_card(checkpoint: Checkpoint, path: Path, *, name: str) -> None:
    """Write the card of a checkpoint, whole or not at all."""
    with atomic_path(path) as part:
        part.write_text(model_card(checkpoint, name=name), encoding="utf-8")


def model_card(checkpoint: Checkpoint, *, name: str) -> str:
    """The card as Markdown with YAML in front; the same checkpoint and name give the same text.

    Names of subjects and paths of recordings are not in it:
    a card is published where a checkpoint may not be.

    Raises:
        ModelError: the checkpoint's record of its training lacks what this emodict writes.
    """
    try:
        sections = _sections(checkpoint, name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"The checkpoint's record of its training cannot be read: "
            f"{type(error).__name__} {error}",
            expected="the record that emodict-train fit writes",
            fix="Train again with this emodict",
        ) from error
    return "\n\n".join(sections) + "\n"


def _sections(checkpoint: Checkpoint, name: str) -> tuple[str, ...]:
    return (
        _front_matter(checkpoint, name),
        f"# {name}",
        _summary(checkpoint),
        "## The model",
        _model(checkpoint),
        "## Training data",
        _data(checkpoint.training),
        "## Evaluation",
        _evaluation(checkpoint),
        "## Intended use and limits",
        _limits(checkpoint),
        "## How it was made",
        _making(checkpoint),
    )


def weights_sha256(checkpoint: Checkpoint) -> str:
    """SHA-256 over the members' tensors in order, each by its name,
    its shape and its float32 values.
    """
    digest = hashlib.sha256()
    for state in checkpoint.states:
        for key, tensor in sorted(state.items()):
            digest.update(f"{key} {tuple(tensor.shape)}\n".encode())
            digest.update(
                tensor.detach().cpu().float().contiguous().numpy().astype("<f4").tobytes()
            )
    return digest.hexdigest()


def _front_matter(checkpoint: Checkpoint, name: str) -> str:
    """YAML; values are written as JSON, which is a part of it."""
    tags = [
        "emotion-recognition",
        "label-distribution-learning",
        "biosignals",
        *checkpoint.features.modality_names,
    ]
    if checkpoint.simulated:
        tags.append("simulated-data")
    lines = ["---", "library_name: emodict", f"tags: {json.dumps(tags)}"]
    if checkpoint.metrics:
        lines += ["model-index:", f"- name: {json.dumps(name)}", "  results:", *_result(checkpoint)]
    return "\n".join([*lines, "---"])


def _result(checkpoint: Checkpoint) -> list[str]:
    training = checkpoint.training
    task = {"type": "other", "name": "Label distribution learning"}
    dataset = {
        "type": "simulated" if checkpoint.simulated else "recordings",
        "name": _people(training),
    }
    lines = [f"  - task: {json.dumps(task)}", f"    dataset: {json.dumps(dataset)}", "    metrics:"]
    held_out = _HELD_OUT[training["options"]["split"]]
    for metric in METRICS:
        value = round(checkpoint.metrics["model"][metric], 4)
        entry = {"type": metric, "value": value, "name": f"{metric}, {held_out} held out"}
        lines.append(f"    - {json.dumps(entry)}")
    return lines


def _summary(checkpoint: Checkpoint) -> str:
    model, sensors = checkpoint.model, ", ".join(checkpoint.features.modality_names)
    line = (
        f"EmotionDict (Liu et al., *Emotion Dictionary Learning with Modality Attentions for "
        f"Mixed Emotion "
        f"Exploration*): from {sensors} to a distribution over {len(model.emotions)} emotions, "
        f"once a second."
    )
    if checkpoint.simulated:
        line += (
            "\n\n**It was trained on SIMULATED people.** How they answer an emotion was decided "
            "by a program: "
            "no number here says how well emotions of real people are estimated."
        )
    return line


def _model(checkpoint: Checkpoint) -> str:
    model, features = checkpoint.model, checkpoint.features
    needs = ", ".join(model.required_modalities) or "any one of them; the others may be missing"
    shape, weights = (
        f"{features.tokens} tokens of {features.token_width}",
        model.members * model.elements,
    )
    return _table(
        {
            "emotions": ", ".join(model.emotions),
            "input": f"features `{features.id}` ({features.sensors}), {shape}",
            "fingerprint of the features": f"`{features.fingerprint}`",
            "sensors it needs": needs,
            "output": f"{len(model.emotions)} shares that sum to 1; {weights} dictionary weights",
            "Transformer": f"{model.layers} layers of width {model.d_model}, {model.heads} heads",
            "dictionary": f"{model.elements} elements of size {model.latent}",
            "readout, gate": f"{model.readout}, {model.gate}",
            "members of the ensemble": str(model.members),
        }
    )


def _data(training: Mapping[str, Any]) -> str:
    if not training:
        return "None is recorded."
    return (
        f"{_people(training)}: {training['rows']} windows of {training['trials']} trials. "
        f"Windows outside trials, and "
        "those without a label, were left out. "
        + (
            "The labels are the truth of the simulation."
            if training["simulated"]
            else "The labels are the trials' own."
        )
    )


def _people(training: Mapping[str, Any]) -> str:
    count = training.get("subjects", 0)
    kind = "simulated " if training.get("simulated") else ""
    return f"{count} {kind}{'person' if count == 1 else 'people'}"


def _evaluation(checkpoint: Checkpoint) -> str:
    if not checkpoint.metrics:
        return "It has not been measured."
    head = (
        "| held out | "
        + " | ".join(f"{name} {'↑' if name in LARGER_IS_BETTER else '↓'}" for name in METRICS)
        + " |"
    )
    lines = [
        f"{checkpoint.training['split'].capitalize()}. "
        f"The mean label is one answer for every second: the model has to "
        "beat it.",
        "",
        head,
        "|---" * (len(METRICS) + 1) + "|",
    ]
    for row, title in (("model", "this model"), ("mean_label", "mean label")):
        values = checkpoint.metrics[row]
        lines.append(f"| {title} | " + " | ".join(f"{values[name]:.4f}" for name in METRICS) + " |")
    if checkpoint.model.members > 1:
        lines += ["", "The measures are of single networks; the ensemble itself was not measured."]
    # Turned round, so that a KL that is not a number is not praise.
    if not checkpoint.metrics["model"]["kl"] < checkpoint.metrics["mean_label"]["kl"]:
        lines += ["", "**It does not beat the mean label: do not trust it.**"]
    return "\n".join(lines)


def _limits(checkpoint: Checkpoint) -> str:
    lines = [
        "- For research on mixed emotions, with the consent of who wears the sensors.",
        "- Not for diagnosis, and not for judging people: not at work, at school, "
        "at a border or for a sale.",
        "- An answer is what people like those above, in trials like theirs, said they felt. "
        "For other people, other "
        "sensors and daily life expect less.",
        "- A second whose signals are not valid has no answer.",
    ]
    return "\n".join([*lines, *_limits_of_split(checkpoint.training)])


def _limits_of_split(training: Mapping[str, Any]) -> list[str]:
    """What the measures do not say, by what was held out."""
    split = training["options"]["split"] if training else "windows"
    if split == "windows":
        return ["- It was not measured on trials it had not seen."]
    if split == "trials" and training.get("subjects", 0) > 1:
        return ["- Trials were held out, not people: for a new person expect worse than the table."]
    return []


def _making(checkpoint: Checkpoint) -> str:
    training = checkpoint.training
    rows = {"SHA-256 of the weights": f"`{weights_sha256(checkpoint)}`"}
    if training:
        options = training["options"]
        rows = {
            "software": training["software"],
            "command": f"`{_command(checkpoint)}`",
            "epochs": f"{training['epochs']}, chosen on held-out windows",
            "seed": str(options["seed"]),
            "plan": ", ".join(f"{name} {value}" for name, value in options["plan"].items()),
            **rows,
        }
    return _table(rows)


def _command(checkpoint: Checkpoint) -> str:
    """What trains this model again from the same DATA;
    what no option can say is in the table's other rows.
    """
    options, features = checkpoint.training["options"], checkpoint.features
    words = [
        "emodict-train fit DATA -o model.pt",
        f"--modalities {shlex.quote(','.join(features.modality_names))}",
    ]
    words += (
        [f"--channels {shlex.quote(','.join(features.chosen_channels))}"]
        if features.chosen_channels
        else []
    )
    words += [f"--spec {features.id}"] if features.id.startswith("emodict-1-") else []
    name = min(
        PRESETS, key=lambda preset: (len(_changes(options, preset)), preset != DEFAULT_PRESET)
    )
    words += [f"--preset {name}"] if name != DEFAULT_PRESET else []
    words += [
        f"--{key.replace('_', '-')} {value}" for key, value in _changes(options, name).items()
    ]
    words += [f"--patience {options['patience']}"] if options["patience"] is not None else []
    words += [f"--split {options['split']}"]
    words += [f"--ensemble {options['members']}"] if options["members"] != 1 else []
    return " ".join([*words, f"--seed {options['seed']}"])


def _changes(options: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """The options of `fit` that are not the preset's, by name."""
    plan = PRESETS[preset].plan
    changed = {
        key: options["plan"][key]
        for key in _PLAN_OPTIONS
        if options["plan"][key] != getattr(plan, key)
    }
    usual = {key: PRESETS[preset].model.get(key, getattr(ModelSpec, key)) for key in _MODEL_OPTIONS}
    given = {key: options["model"][key] for key in _MODEL_OPTIONS if key in options["model"]}
    return {**changed, **{key: value for key, value in given.items() if value != usual[key]}}


def _table(rows: Mapping[str, str]) -> str:
    # A name of an emotion may hold what would end a cell or a line.
    cells = {name: " ".join(value.split()).replace("|", "\\|") for name, value in rows.items()}
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in cells.items())]
    )
