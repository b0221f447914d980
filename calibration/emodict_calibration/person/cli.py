"""emodict-calibrate person: a rest recording becomes a person's baseline."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

import math
from pathlib import Path
from typing import Annotated

import typer

from emodict.cli import options as given
from emodict.cli.app import log_to_stderr
from emodict.features.spec import DEFAULT_SPEC_ID, load_spec
from emodict.files.atomic import check_writable, refuse_overwriting
from emodict_desk.sensors import sensors_from_options


def add_person(app: typer.Typer) -> None:
    """Give `app` its command `person`."""

    @app.command()
    def person(
        recording: Annotated[
            Path, typer.Argument(metavar="REST.h5", help="A session of the person at rest.")
        ],
        out: Annotated[Path, typer.Option("--out", "-o", help="Where the baseline goes: a .json.")],
        spec: Annotated[str, typer.Option(help="The features of the model.")] = DEFAULT_SPEC_ID,
        modalities: given.Modalities = None,
        channels: given.Channels = None,
        from_s: Annotated[
            float, typer.Option("--from", min=0, help="The rest starts here, in seconds.")
        ] = 0.0,
        to_s: Annotated[
            float | None,
            typer.Option("--to", help="The rest ends here. [default: with the recording]"),
        ] = None,
        ica: Annotated[
            bool,
            typer.Option(
                "--ica", help="Also find eye blinks and muscle in the EEG, to be taken out."
            ),
        ] = False,
        seed: Annotated[
            int, typer.Option(min=0, help="Of --ica: same seed and recording, same matrix.")
        ] = 0,
    ) -> None:
        """Take a person's baseline from a recording at rest, for emodict-run --person."""
        log_to_stderr()
        check_writable(out, ending=".json")
        refuse_overwriting(out, [recording])
        from emodict.predict.person import write_person
        from emodict.recording.session import open_session
        from emodict_calibration.person.calibrate import RestOptions, calibrate_person, describe

        options = RestOptions(
            from_s=from_s, to_s=math.inf if to_s is None else to_s, ica=ica, seed=seed
        )
        features = sensors_from_options(modalities, channels).of(load_spec(spec))
        with open_session(recording) as session:
            result = calibrate_person(session, features, options)
        write_person(result, out)
        print(describe(result, ica=ica))
        print(f"Wrote {out}. Next: emodict-run --engine model.onnx --person {out} session.h5")


def add_population(app: typer.Typer) -> None:
    """Give `app` its command `population`."""

    @app.command()
    def population(
        model: Annotated[
            Path, typer.Argument(metavar="MODEL.pt", help="A checkpoint of emodict-train.")
        ],
        people: Annotated[
            list[Path],
            typer.Argument(
                metavar="PERSON.json...", help="Baselines of several people, best the trained."
            ),
        ],
        out: Annotated[
            Path, typer.Option("--out", "-o", help="Where the model that knows them goes: a .pt.")
        ],
    ) -> None:
        """Tell a model how people are at rest,
        so that emodict-run --person can compare a person with them.
        """
        check_writable(out, ending=".pt")
        refuse_overwriting(out, [model, *people])
        from emodict.predict.person import read_person
        from emodict_calibration.person.population import describe_population, with_population
        from emodict_train.model.checkpoint import load_checkpoint, save_checkpoint

        told = with_population(load_checkpoint(model), [read_person(path) for path in people])
        save_checkpoint(told, out)
        print(describe_population(told))
        print(f"Wrote {out}. Next: emodict-export {out}")
