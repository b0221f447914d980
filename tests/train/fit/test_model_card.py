"""The card says of a checkpoint what the checkpoint holds, in the form that a model hub reads."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from emodict.engine.model_spec import ModelSpec
from emodict.errors import ModelError
from emodict.features.spec import load_spec
from emodict.results.metrics import METRICS
from emodict_train import cli
from emodict_train.data.split import SPLIT_NAMES
from emodict_train.fit import FitOptions
from emodict_train.fit.model_card import model_card
from emodict_train.fit.presets import PRESETS
from emodict_train.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from emodict_train.model.emotion_dict import EmotionDict

FEATURES = load_spec("emodict-1").with_modalities(("gsr", "ppg"))
MODEL = ModelSpec(("calm", "glad"), FEATURES.modality_names, ("ppg",))
Run = Callable[..., tuple[int, str, str]]


def training(options: FitOptions, /, **changes: Any) -> dict[str, Any]:
    about = {
        "data": "private.h5", "rows": 60, "trials": 6, "subjects": 2, "simulated": False,
        "subject_ids": ["anna", "bob"], "split": SPLIT_NAMES[options.split], "epochs": 19,
        "options": dataclasses.asdict(options), "software": "emodict 0.1.0, torch 2.13.0",
    }  # fmt: skip
    return {**about, **changes}


def checkpoint_of(
    options: FitOptions | None = None, /, *, kl: tuple[float, float] = (0.1, 0.2), **changes: Any
) -> Checkpoint:
    torch.manual_seed(0)
    metrics = {
        row: dict.fromkeys(METRICS, value)
        for row, value in zip(("model", "mean_label"), kl, strict=True)
    }
    about = training(options or FitOptions(split="trials"), **changes)
    return Checkpoint(
        FEATURES,
        MODEL,
        (EmotionDict(MODEL, FEATURES).state_dict(),),
        np.array([0.4, 0.6]),
        metrics,
        about,
    )


def front_matter(card: str) -> dict[str, Any]:
    start, text, _ = card.split("---\n", 2)
    assert start == ""
    return dict(yaml.safe_load(text))


def test_the_front_is_yaml_with_the_measures_as_a_model_index() -> None:
    """The keys are those that huggingface_hub.ModelCardData asks of a model-index."""
    front = front_matter(model_card(checkpoint_of(), name="wrist"))
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert model["name"] == "wrist"
    assert {"type", "name"} <= set(result["task"]) & set(result["dataset"])
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == dict.fromkeys(
        METRICS, 0.1
    )
    assert {"gsr", "ppg"} <= set(front["tags"])


def test_the_card_names_the_features_what_is_needed_the_emotions_and_both_rows_of_measures() -> (
    None
):
    card = model_card(checkpoint_of(), name="wrist")
    for text in (
        FEATURES.fingerprint,
        "| sensors it needs | ppg |",
        "calm, glad",
        "| this model | 0.1000 |",
        "| mean label | 0.2000 |",
        "2 people: 60 windows of 6 trials",
        "torch 2.13.0",
    ):
        assert text in card


def test_nobody_s_name_and_no_file_of_the_data_is_on_the_card() -> None:
    card = model_card(checkpoint_of(), name="wrist")
    assert [word for word in ("anna", "bob", "private") if word in card] == []


def test_simulated_people_are_called_so_and_real_ones_are_not() -> None:
    simulated = model_card(checkpoint_of(simulated=True), name="m")
    assert "**It was trained on SIMULATED people.**" in simulated
    assert "simulated-data" in front_matter(simulated)["tags"]
    assert "simulat" not in model_card(checkpoint_of(), name="m").lower()


def test_a_model_that_does_not_beat_the_mean_label_says_so() -> None:
    sentence = "**It does not beat the mean label: do not trust it.**"
    assert sentence in model_card(checkpoint_of(kl=(0.2, 0.2)), name="m")
    assert sentence not in model_card(checkpoint_of(kl=(0.1, 0.2)), name="m")


def test_random_windows_are_called_no_measure_of_unseen_trials() -> None:
    sentence = "It was not measured on trials it had not seen."
    assert sentence in model_card(checkpoint_of(FitOptions(split="windows")), name="m")
    assert sentence not in model_card(checkpoint_of(), name="m")


def test_a_checkpoint_without_a_record_of_its_training_has_a_card_that_says_so() -> None:
    bare = dataclasses.replace(checkpoint_of(), metrics={}, training={})
    card = model_card(bare, name="m")
    assert "It has not been measured." in card
    assert "model-index" not in front_matter(card)


@pytest.mark.parametrize(
    "change", [{"options": 3}, {"options": {}}, {"rows": None, "split": 4}, {"software": {}}]
)
def test_a_record_that_this_emodict_does_not_write_is_refused_in_a_sentence(
    change: dict[str, Any],
) -> None:
    with pytest.raises(ModelError, match=r"record of its training cannot be read.*Train again"):
        model_card(checkpoint_of(**change), name="m")


def test_an_emotion_named_like_a_piece_of_a_table_stays_in_its_cell() -> None:
    odd = dataclasses.replace(
        checkpoint_of(), model=dataclasses.replace(MODEL, emotions=("a|b", "c\nd"))
    )
    assert "| emotions | a\\|b, c d |" in model_card(odd, name="m")


def test_a_changed_weight_changes_the_card_and_nothing_else_does(tmp_path: Path) -> None:
    one = checkpoint_of()
    save_checkpoint(one, tmp_path / "m.pt")
    assert model_card(load_checkpoint(tmp_path / "m.pt"), name="m") == model_card(one, name="m")
    state = {name: value.clone() for name, value in one.states[0].items()}
    next(iter(state.values())).view(-1)[0] += 1
    assert model_card(dataclasses.replace(one, states=(state,)), name="m") != model_card(
        one, name="m"
    )


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--preset", "paper"),
        ("--preset", "paper", "--epochs", "7", "--gate", "bare"),
        ("--split", "windows", "--patience", "4", "--ensemble", "2", "--modality-dropout", "0.0"),
    ],
)
def test_the_command_on_the_card_asks_for_the_very_options_that_were_asked_for(
    words: tuple[str, ...], run_in_process: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[FitOptions] = []

    def keep(table: object, options: FitOptions, out: Path) -> Checkpoint:
        # Of the data that `fit` would read, trials can be held out.
        asked.append(dataclasses.replace(options, split=options.split or "trials"))
        return checkpoint_of(asked[-1])

    monkeypatch.setattr(cli, "require_there", lambda data: None)
    monkeypatch.setattr(cli, "read_shown", lambda *_, **__: None)
    monkeypatch.setattr(cli, "_fit_and_save", keep)
    run = functools.partial(run_in_process, cli, "fit", "DATA", "-o", tmp_path / "model.pt")
    assert run(*words, "--seed", 5)[0] == 0
    card = model_card(checkpoint_of(asked[0]), name="m")
    (command,) = [line for line in card.splitlines() if line.startswith("| command")]
    again = command.split("`")[1].removeprefix("emodict-train fit DATA -o model.pt ").split()
    assert run(*again)[0] == 0
    assert asked[1] == asked[0]
    assert ("--gate" in again) == ("--gate" in words)


@pytest.mark.parametrize(
    ("split", "said", "not_said"),
    [
        (
            "subjects",
            "Grouped by subject: nobody stands on both sides",
            "for a new person expect worse",
        ),
        (
            "trials",
            "Trials were held out, not people: for a new person expect worse",
            "nobody stands",
        ),
        (
            "windows",
            "It was not measured on trials it had not seen",
            "for a new person expect worse",
        ),
    ],
)
def test_the_card_says_what_was_held_out(split: str, said: str, not_said: str) -> None:
    card = model_card(checkpoint_of(FitOptions(split=split)), name="m")
    assert said in card
    assert not_said not in card
    assert f"--split {split}" in card


def test_the_presets_differ_in_more_than_options_can_say() -> None:
    """What makes telling them apart by their plans alone safe."""
    assert PRESETS["paper"].plan.distillation != PRESETS["robust"].plan.distillation


def test_the_card_of_a_checkpoint_is_printed_and_written(
    run_in_process: Run, tmp_path: Path
) -> None:
    save_checkpoint(checkpoint_of(), tmp_path / "wrist.pt")
    card = model_card(checkpoint_of(), name="wrist")
    assert run_in_process(cli, "card", tmp_path / "wrist.pt") == (0, card, "")
    assert run_in_process(cli, "card", tmp_path / "wrist.pt", "-o", tmp_path / "README.md")[0] == 0
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == card


def test_a_card_is_not_written_over_something_that_is_no_page(
    run_in_process: Run, tmp_path: Path
) -> None:
    save_checkpoint(checkpoint_of(), tmp_path / "wrist.pt")
    code, _, err = run_in_process(cli, "card", tmp_path / "wrist.pt", "-o", tmp_path / "wrist.pt")
    assert code == 2
    assert "a file ending in .md" in err


def test_a_card_that_cannot_be_written_ends_a_fit_before_it_starts(
    run_in_process: Run, tmp_path: Path
) -> None:
    (tmp_path / "wrist.card.md").mkdir()
    code, _, err = run_in_process(cli, "fit", tmp_path / "nothing.h5", "-o", tmp_path / "wrist.pt")
    assert code == 2
    assert f"Cannot write {tmp_path / 'wrist.card.md'}. Expected a file name, got a folder" in err
