"""emodict-train study: parse, run the study, and say where the tables are."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emodict.cli import options as given
from emodict.cli.app import log_to_stderr
from emodict.errors import InterruptedByUserError
from emodict_desk.sensors import names_given, sensors_from_options
from emodict_train.cli.progress import Ticking, read_shown, require_there, starting

if TYPE_CHECKING:
    from emodict_train.study.compared.data import StudyData
    from emodict_train.study.judging.results import Results
    from emodict_train.study.running.run import StudyOptions
    from emodict_train.study.running.runner import Failure, Progressed

_Data = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA...",
        help="What fit reads, or one .mat with features and labels (label distribution "
        "learning's benchmarks).",
    ),
]
AllowCopies = Annotated[
    bool,
    typer.Option(
        "--allow-copies",
        help="Recordings that hold the same signals are kept on one side, not refused.",
    ),
]
_Out = Annotated[
    Path, typer.Option("--out", "-o", help="The study's folder; a stopped study in it goes on.")
]
_Quick = Annotated[
    bool,
    typer.Option("--quick", help="A first look: fewer seeds and epochs, which every table says."),
]
_Protocols = Annotated[
    str | None,
    typer.Option(
        help="Of trials,subjects,windows: what is held out. [default: all that the data allow]"
    ),
]
_Methods = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES", help='Only these, e.g. "AA-kNN,kernel ridge,components". [default: all]'
    ),
]
_Seeds = Annotated[
    int | None, typer.Option(min=1, help="Of each network. [default: 8; with --quick: 2]")
]
_Folds = Annotated[
    int | None,
    typer.Option(
        min=2, help="Of one subject's trials, or windows. [default: 5; without trials: 10]"
    ),
]
_Seed = Annotated[int, typer.Option(min=0, help="Of the folds and the first network.")]
_Jobs = Annotated[
    int | None,
    typer.Option(
        help="Processes of this machine that share the work. [default: one for each core]"
    ),
]
_Dask = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask cluster that shares the work: tcp://host:8786."),
]
_Device = Annotated[str, typer.Option(help="What networks are trained on: auto, cpu or cuda.")]


def add_study(app: typer.Typer) -> None:
    """Add the command `study`."""

    @app.command()
    def study(
        data: _Data,
        out: _Out,
        quick: _Quick = False,
        protocols: _Protocols = None,
        methods: _Methods = None,
        seeds: _Seeds = None,
        folds: _Folds = None,
        seed: _Seed = 0,
        jobs: _Jobs = None,
        dask: _Dask = None,
        device: _Device = "auto",
        modalities: given.Modalities = None,
        channels: given.Channels = None,
        spec: given.Spec = None,
        part: given.Part = None,
        allow_copies: AllowCopies = False,
    ) -> None:
        """Compare EmotionDict with its rivals on held-out data: the paper's tables and figures."""
        log_to_stderr()
        require_there(data)
        with starting():
            from emodict_train.study.running.run import QUICK_SEEDS, SEEDS, refuse_failures

        options = _options(
            device, jobs, dask=dask,
            protocols=names_given(protocols, "--protocols"),
            methods=names_given(methods, "--methods"),
            seeds=seeds or (QUICK_SEEDS if quick else SEEDS),
            folds=folds, seed=seed, quick=quick,
        )  # fmt: skip
        sensors = sensors_from_options(modalities, channels)
        from emodict_train.study.compared.data import read_study_data

        rows = read_shown(
            read_study_data,
            data,
            spec_id=spec,
            part=part,
            sensors=sensors,
            allow_copies=allow_copies,
        )
        results, failures = _run(rows, options, out)
        print(describe(results, failures, out))
        refuse_failures(failures)


def _options(device: str, jobs: int | None, *, dask: str | None, **options: Any) -> "StudyOptions":
    """What a study is asked for, on the device and by the processes that there are."""
    from emodict_desk.many import require_jobs
    from emodict_train.fit.options import choose_device
    from emodict_train.study.running.pool import cores
    from emodict_train.study.running.run import StudyOptions

    trained_on = choose_device(device).type
    if jobs is None:
        # Processes that share a GPU wait for each other.
        jobs = 1 if dask or trained_on == "cuda" else cores()
    require_jobs(jobs, dask)
    return StudyOptions(jobs=jobs, dask=dask, device=trained_on, **options)


def _run(
    data: "StudyData", options: "StudyOptions", out: Path
) -> "tuple[Results, tuple[Failure, ...]]":
    """The study with its progress; stopped by the user, it says how to go on."""
    from emodict_train.study.compared.methods import methods_for
    from emodict_train.study.compared.protocols import protocols_for
    from emodict_train.study.running.run import run_study

    protocols = protocols_for(data, options.protocols)
    methods = {protocol: methods_for(data, options, protocol) for protocol in protocols}
    command, cells = shlex.join(["emodict-train", *sys.argv[1:]]), 0
    with Ticking("Study", "0/100%") as progress:

        def on_progress(progressed: "Progressed") -> None:
            nonlocal cells
            cells = progressed.cells
            # All that is left then is to write, which has no share: the bar stops short of its end.
            share = min(0.99, progressed.share)
            progress.tell(
                share, f"{100 * share:.0f}/100%", progressed.note, left_s=progressed.left_s
            )

        try:
            return run_study(data, methods, options, out, command=command, on_progress=on_progress)
        except KeyboardInterrupt:
            raise InterruptedByUserError(
                f"stopped; {cells} finished cells are kept, and the same command goes on from there"
            ) from None


def describe(results: "Results", failures: "Sequence[Failure]", out: Path) -> str:
    """What was compared on what, and where to look first."""
    import numpy as np

    data, about = results.data, results.about
    methods = len({method for _, method in results.predictions})
    rows = (
        f"{len(data)} windows, {len(np.unique(data.trial))} trials, {len(data.subjects)} subject(s)"
    )
    lines = [
        f"Compared {methods} methods on {f'{len(data)} rows' if data.table is None else rows}"
        + (", SIMULATED" if data.simulated else "") + "; held out: "
        + ", ".join(f"{protocol} ({count} folds)" for protocol, count in about["folds"].items())
        + ("; QUICK: fewer seeds" if about["quick"] else ""),
    ]  # fmt: skip
    if failures:
        lines.append(f"Not all could be run: {', '.join(dict.fromkeys(f.what for f in failures))}")
    return "\n".join([*lines, f"Wrote {out}. Look at {out / 'study.html'}"])
