"""emodict-train: fit a model, simulate people, print a model's card."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emodict.cli import options as given
from emodict.cli.app import Progress, log_to_stderr, new_app, run_app
from emodict.errors import InterruptedByUserError
from emodict.files.atomic import check_writable
from emodict.results.metrics import METRICS
from emodict_desk.sensors import names_given, sensors_from_options
from emodict_train.cli.progress import Ticking, read_shown, require_there, starting
from emodict_train.cli.study import AllowCopies, add_study

if TYPE_CHECKING:
    from emodict_desk.tables.table import FeatureTable
    from emodict_train.fit.fitting import Step
    from emodict_train.fit.options import FitOptions
    from emodict_train.model.checkpoint import Checkpoint

NAME = "emodict-train"


def main() -> None:
    """Entry point of `emodict-train`."""
    run_app(build, NAME)


def build() -> typer.Typer:
    """The command and its subcommands."""

    app = new_app("Train EmotionDict: fit a model, simulate people to try it on.")
    _add_fit(app)
    _add_simulate(app)
    _add_card(app)
    add_study(app)
    return app


_Data = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA...",
        help="session.h5 files, folders of them, .npz tables, the .mat sample, "
        "DMER folders, EDL .csv",
    ),
]
_Out = Annotated[Path, typer.Option("--out", "-o", help="Where the checkpoint goes: a .pt.")]
_Split = Annotated[
    str | None,
    typer.Option(
        help="What is held out to stop early: whole `subjects`, whole `trials`, "
        "or random `windows` (flatters). "
        "[default: subjects; of fewer than 3 people: trials]"
    ),
]
_Preset = Annotated[
    str, typer.Option(help="robust (generalises best), or paper (as the paper trains).")
]
_Epochs = Annotated[
    int | None,
    typer.Option(min=1, help="At most this many passes over the data. [default: 80; paper: 100]"),
]
_Patience = Annotated[
    int | None,
    typer.Option(min=1, help="Epochs to wait for a better held-out KL. [default: 10; windows: 25]"),
]
_Ensemble = Annotated[int, typer.Option(min=1, help="Seeds joined in one model.")]
_Readout = Annotated[
    str | None,
    typer.Option(
        help="flatten, last or mean: from tokens to one vector. [default: flatten; paper: last]"
    ),
]
_Gate = Annotated[str, typer.Option(help="linear (eq. 5) or bare (Table 2).")]
_Auxiliary = Annotated[
    str | None,
    typer.Option(help="Auxiliary losses: none, kl, literal or mse. [default: none; paper: kl]"),
]
_ModalityDropout = Annotated[
    float | None,
    typer.Option(
        help="Chance to hide a modality in a step; 0: the model needs all. [default: 0.1; paper: 0]"
    ),
]
_Seed = Annotated[int, typer.Option(help="Same seed, data and machine: same model.")]
_Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def _add_fit(app: typer.Typer) -> None:
    @app.command()
    def fit(
        data: _Data,
        out: _Out = Path("model.pt"),
        preset: _Preset = "robust",
        split: _Split = None,
        modalities: given.Modalities = None,
        channels: given.Channels = None,
        spec: given.Spec = None,
        part: given.Part = None,
        allow_copies: AllowCopies = False,
        epochs: _Epochs = None,
        patience: _Patience = None,
        ensemble: _Ensemble = 1,
        readout: _Readout = None,
        gate: _Gate = "linear",
        auxiliary: _Auxiliary = None,
        modality_dropout: _ModalityDropout = None,
        seed: _Seed = 0,
        device: _Device = "auto",
    ) -> None:
        """Train on labelled data and write one self-describing
        checkpoint, and its card beside it.
        """
        log_to_stderr()
        sensors = sensors_from_options(modalities, channels)
        # The ending keeps a mistyped -o from replacing a recording.
        check_writable(out, ending=".pt")
        check_writable(_card_path(out))
        require_there(data)
        with starting():
            importlib.import_module("emodict_train.fit")

        options = _options(
            preset,
            {"epochs": epochs, "auxiliary": auxiliary, "modality_dropout": modality_dropout},
            {"readout": readout, "gate": gate},
            split=split,
            patience=patience,
            seed=seed,
            members=ensemble,
            device=device,
        )
        from emodict_train.data import read_training_data

        table = read_shown(
            read_training_data,
            data,
            spec_id=spec,
            part=part,
            sensors=sensors,
            allow_copies=allow_copies,
        )
        print(describe(_fit_and_save(table, options, out)))
        print(f"Wrote {out} and {_card_path(out).name}. Next: emodict-export {out}")


def _options(
    preset: str, plan: Mapping[str, Any], model: Mapping[str, Any], **options: Any
) -> "FitOptions":
    """What `fit` is asked for: a preset, with what of its plan and model was asked for by name."""
    from emodict_train.fit.options import FitOptions
    from emodict_train.fit.presets import preset as preset_of

    chosen = preset_of(preset).with_changes(plan, model=model)
    return FitOptions(plan=chosen.plan, model=chosen.model, **options)


def _add_simulate(app: typer.Typer) -> None:
    from emodict_train.simulate.course import SimulationPlan

    default = SimulationPlan()

    @app.command()
    def simulate(
        folder: Annotated[
            Path, typer.Argument(metavar="DIR", help="Where the sessions go; made if absent.")
        ],
        people: Annotated[int, typer.Option(min=1, help="How many people.")] = 6,
        trials: Annotated[int, typer.Option(min=1, help="Trials of each person.")] = default.trials,
        trial_s: Annotated[
            float, typer.Option(min=6, help="Length of a trial in seconds.")
        ] = default.trial_s,
        baseline_s: Annotated[
            float, typer.Option(min=0, help="A rest of this many seconds before the first trial.")
        ] = default.baseline_s,
        channels: Annotated[
            str | None,
            typer.Option(
                help="Of the EEG, e.g. AF7,AF8,TP9,TP10. [default: the 18 of the headset DSI-24]"
            ),
        ] = None,
        seed: Annotated[int, typer.Option(help="Same seed, same people.")] = 0,
    ) -> None:
        """Write simulated people as sessions with known truth, for demos and tests."""
        from emodict_train.simulate import simulate_people

        plan = dataclasses.replace(
            default, trials=trials, trial_s=trial_s, baseline_s=baseline_s,
            eeg_channels=names_given(channels, "--channels"),
        )  # fmt: skip
        with Progress("Simulating", people, unit=" people") as progress:
            done: list[Path] = []

            def on_person(path: Path) -> None:
                done.append(path)
                progress.show(len(done), path.name)

            paths = simulate_people(
                folder, people=people, plan=plan, seed=seed, on_person=on_person
            )
        names = paths[0].name if len(paths) == 1 else f"{paths[0].name} to {paths[-1].name}"
        print(
            f"Wrote {len(paths)} simulated {'person' if len(paths) == 1 else 'people'} to "
            f"{folder}: {names}"
        )


def _add_card(app: typer.Typer) -> None:
    @app.command()
    def card(
        model: Annotated[
            Path, typer.Argument(metavar="MODEL.pt", help="A checkpoint of emodict-train.")
        ],
        out: Annotated[
            Path | None, typer.Option("--out", "-o", help="A .md file. [default: the screen]")
        ] = None,
    ) -> None:
        """Print the card of a checkpoint: what it is, what it was trained on,
        how good it is, what it is not for.
        """
        from emodict_train.fit.model_card import model_card, write_card
        from emodict_train.model.checkpoint import load_checkpoint

        if out is not None:
            check_writable(out, ending=".md")
        checkpoint = load_checkpoint(model)
        if out is None:
            print(model_card(checkpoint, name=model.stem), end="")
        else:
            write_card(checkpoint, out, name=model.stem)
            print(f"Wrote {out}")


def _card_path(checkpoint_path: Path) -> Path:
    """Where the card of a checkpoint stands: `model.card.md` beside `model.pt`."""
    return checkpoint_path.with_suffix(".card.md")


def _fit_and_save(table: "FeatureTable", options: "FitOptions", out: Path) -> "Checkpoint":
    """Train and write `out` and its card; until they are written,
    the state of the training stands beside them.
    """
    from emodict_train.fit.fitting import can_go_on
    from emodict_train.fit.model_card import write_card
    from emodict_train.model.checkpoint import save_checkpoint

    resume_path = out.with_name(out.name + ".resume")
    try:
        checkpoint = _fit_with_progress(table, options, resume_path)
        save_checkpoint(checkpoint, out)
        write_card(checkpoint, _card_path(out), name=out.stem)
    except KeyboardInterrupt:
        if can_go_on(table, options, resume_path=resume_path):
            raise InterruptedByUserError(
                f"stopped; the same command goes on from {resume_path}"
            ) from None
        raise InterruptedByUserError("stopped before the first epoch was done and kept") from None
    resume_path.unlink(missing_ok=True)
    return checkpoint


def _fit_with_progress(
    table: "FeatureTable", options: "FitOptions", resume_path: Path
) -> "Checkpoint":
    from emodict_train.fit.fitting import fit

    with Ticking("Training", f"0/{options.plan.epochs} epochs") as progress:

        def on_step(step: "Step") -> None:
            note = "" if step.held_out_kl is None else f", best KL so far {step.held_out_kl:.4f}"
            what = f"{step.done}/{step.total} epochs"
            progress.tell(step.share, what, f"{step.stage}{note}", left_s=step.left_s)

        return fit(table, options, on_step=on_step, resume_path=resume_path)


def describe(checkpoint: "Checkpoint") -> str:
    """What was trained on what, and the six measures beside the mean label's."""
    training, metrics = checkpoint.training, checkpoint.metrics
    lines = [
        f"Trained on {training['rows']} windows, {training['trials']} trials, "
        f"{training['subjects']} subject(s)"
        + (", SIMULATED" if training["simulated"] else "")
        + f"; features {checkpoint.features}; {training['epochs']} epochs, "
        f"{len(checkpoint.states)} member(s)",
        f"Held out: {training['split']}" + _epoch_clause(training),
        " " * 12 + "".join(f"{name:>14}" for name in METRICS),
    ]
    for row, name in (("model", "model"), ("mean_label", "mean label")):
        lines.append(f"{name:<12}" + "".join(f"{metrics[row][m]:>14.4f}" for m in METRICS))
    if len(checkpoint.states) > 1:
        lines.append(
            f"These are measures of single networks trained without the held-out rows; "
            f"the ensemble of "
            f"{len(checkpoint.states)} itself was not measured."
        )
    ours, mean = metrics["model"]["kl"], metrics["mean_label"]["kl"]
    if not ours < mean:
        lines.append(
            f"This model does NOT beat the mean label on what was held out (KL {ours:.4f} "
            f"against {mean:.4f}): "
            "do not trust it."
        )
    return "\n".join(lines)


def _epoch_clause(training: Mapping[str, Any]) -> str:
    """Random windows are held out in one fold alone,
    so there is no other to choose the epoch on.
    """
    if training["options"]["split"] != "windows":
        return ""
    return "; the epoch was chosen on these same rows, which flatters a little"
