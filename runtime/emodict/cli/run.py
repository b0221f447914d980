"""emodict-run: recordings in, distributions out."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from emodict.cli.app import (
    OutlivesItsReader,
    Progress,
    log_to_stderr,
    new_app,
    plain_output,
    run_app,
)
from emodict.cli.trusted import face_models, require_trusted
from emodict.errors import OutputError, RecordingError, printable
from emodict.files.atomic import check_writable, refuse_overwriting

if TYPE_CHECKING:
    import typer

    from emodict.cli.options import LiveOptions, RunOptions
    from emodict.engine import Engine
    from emodict.results.prediction import Prediction

NAME = "emodict-run"
STDOUT = "-"


def main() -> None:
    """Entry point of `emodict-run`."""
    # Before numpy is there: a second thread gains nothing here,
    # and rounds otherwise than the processes of --jobs.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    run_app(build, NAME)


def build() -> "typer.Typer":
    """The command."""
    from emodict.cli import options as given

    app = new_app("")

    @app.command()
    @given.unfolded
    def run(
        *,
        recordings: given.Recordings = None,
        engine: given.Engine = None,
        options: given.RunOptions,
        sensors: given.LiveOptions,
        trust: given.Trust = None,
        check: given.Check = False,
    ) -> int:
        """Run a model on recordings, or live: one distribution over emotions a second.

        \b
        emodict-run --engine model.onnx session.h5 --report report.html
        emodict-run --engine demo:wrist E4_FOLDER --report mine.html
        emodict-run --engine wrist.onnx --live lsl --serve 8765
        """
        log_to_stderr()
        if trust is not None:
            faces = face_models(sensors.face, sensors.face_model, looks=sensors.camera is not None)
            require_trusted(trust, engine, *faces)
        return run_command(engine, recordings or [], options, sensors, check=check)

    return app


def run_command(
    engine: Path | None,
    recordings: list[Path],
    options: "RunOptions",
    sensors: "LiveOptions",
    *,
    check: bool,
) -> int:
    """Do what the options ask for: run live, look at this machine,
    or score recordings; the exit code.
    """
    from emodict.cli.check import (
        print_check,
        refuse_idle_options,
        refuse_live_options,
        require_recordings,
    )
    from emodict.cli.options import given_options

    named = ["recordings"] if recordings else []
    if sensors.wanted:
        from emodict.cli.live import require_live_alone, run_live_command

        passed = ("out", "weights", "as_json", "quiet", "device", "person", "invert")
        idle = named + given_options(options, but=passed)
        run_live_command(
            require_live_alone(engine, idle + (["--check"] if check else [])), options, sensors
        )
        return 0
    refuse_live_options(given_options(sensors))
    if check:
        refuse_idle_options(
            named + given_options(options, but=("as_json", "device" if engine else ""))
        )
        return print_check(engine, options.device, as_json=options.as_json)
    # Whoever looks at the first lines only (head, less) still gets the files.
    files_wanted = options.out not in (None, STDOUT) or options.report is not None
    stdout = OutlivesItsReader(sys.stdout) if files_wanted else sys.stdout
    with contextlib.redirect_stdout(cast(TextIO, stdout)):
        run_all(*require_recordings(engine, recordings), options)
    return 0


def run_all(engine_path: Path, recordings: Sequence[Path], options: "RunOptions") -> None:
    """Score each recording, print as it goes, and write what was asked for."""
    recordings = [file for path in recordings for file in _expand(path)]
    check_outputs(options, [*recordings, *_read_besides(engine_path, options)])
    from emodict.engine import open_engine
    from emodict.results.console import summary_lines

    if options.works_elsewhere:
        from emodict_desk.many import require_jobs

        require_jobs(options.jobs, options.dask)

    for path, times in Counter(file.resolve() for file in recordings).items():
        if times > 1:
            options.say(f"{path.name} is given {times} times; each is scored")
    with open_engine(engine_path, device=options.device) as engine:
        # What a cluster's workers see may not be seen from here.
        absent = [path for path in recordings if not path.exists()] if options.dask is None else []
        if absent:
            raise RecordingError(
                f"There is no file {absent[0]}", expected="recordings", fix="Check the path"
            )
        for line in _model_lines(engine, engine_path, options):
            options.say(line)
        predictions = _told_apart(_score(engine, engine_path, recordings, options), recordings)
        for prediction in predictions:
            for line in summary_lines(prediction):
                options.say(line)
        if options.as_json:
            whose = {} if options.wearer is None else {"person": options.wearer.subject_id}
            for path, prediction in zip(recordings, predictions, strict=True):
                print(
                    json.dumps(
                        {"summary": {"file": str(path), **summary_as_dict(prediction), **whose}}
                    )
                )
        _write(predictions, recordings, engine, engine_path, options)


def _read_besides(engine_path: Path, options: "RunOptions") -> list[Path]:
    """What a run reads besides its recordings: the model, what describes a plan, and the person."""
    from emodict.engine.held import sidecar_path

    return [engine_path, sidecar_path(engine_path), *([options.person] if options.person else [])]


def _model_lines(engine: "Engine", engine_path: Path, options: "RunOptions") -> list[str]:
    """Which model, and what is done for which person."""
    from emodict.results.console import describe_model

    manifest = engine.manifest
    lines = [describe_model(manifest, engine_path.name)]
    if options.wearer is not None:
        lines.append(options.wearer.adapt(manifest).describe())
    return lines


def _expand(path: Path) -> list[Path]:
    """A folder stands for the sessions in it; without any it may be a recording itself."""
    return (sorted(path.glob("*.h5")) if path.is_dir() else []) or [path]


def _told_apart(predictions: "list[Prediction]", recordings: Sequence[Path]) -> "list[Prediction]":
    """Recordings that share a session id are named by their files as well."""
    counts = Counter(prediction.session for prediction in predictions)
    return [
        replace(prediction, session=f"{prediction.session} ({path})")
        if counts[prediction.session] > 1
        else prediction
        for prediction, path in zip(predictions, recordings, strict=True)
    ]


def check_outputs(options: "RunOptions", inputs: Sequence[Path]) -> None:
    """Refuse outputs that cannot work, or would destroy an input, before any long work starts."""
    for out in (options.out, options.report):
        if out is not None and out != STDOUT:
            refuse_overwriting(Path(out), inputs)
    if options.out is not None and options.out != STDOUT:
        from emodict.results.outputs import check_output

        check_output(options.out)
    if options.report is not None:
        check_writable(options.report, ending=".html")
    if options.weights and options.out is None and not options.as_json:
        raise OutputError(
            "--weights has nowhere to go",
            expected="--out FILE or --json beside it",
            fix="Add one of them",
        )
    if options.as_json and options.out == STDOUT:
        raise OutputError("--json and --out - both want standard output", fix="Ask for one of them")


def summary_as_dict(prediction: "Prediction") -> dict[str, object]:
    """The summary of one recording in plain JSON types."""
    answered = prediction.answered
    mean = prediction.distribution[answered].mean(axis=0).tolist() if answered.any() else None
    return {
        "session": prediction.session,
        "rows": len(prediction),
        "answered": int(answered.sum()),
        "simulated": prediction.simulated,
        "model_simulated": prediction.model_simulated,
        "doubts": list(prediction.doubts),
        "unusable": [f"{name}: {why}" for name, why in prediction.never_valid.items() if why],
        "mean_distribution": None
        if mean is None
        else dict(zip(prediction.emotions, mean, strict=True)),
        "metrics": prediction.metrics(),
        "metrics_of_mean_label": prediction.metrics_of_mean_label(),
    }


def _score(
    engine: "Engine", engine_path: Path, recordings: Sequence[Path], options: "RunOptions"
) -> "list[Prediction]":
    """All recordings, their rows printed in order: one after the other, or by several workers."""
    if options.dask is None and min(options.jobs, len(recordings)) == 1:
        return [_run_one(engine, path, options) for path in recordings]
    from emodict_desk.many import iter_many

    predictions = []
    with Progress("Scoring", len(recordings), unit=" recordings") as progress:
        many = iter_many(
            engine_path,
            recordings,
            jobs=options.jobs,
            dask=options.dask,
            device=options.device,
            part=options.part,
            person=options.wearer,
            invert=options.upside_down,
            on_done=progress.show,
        )
        with contextlib.closing(many):
            for path, parts in zip(recordings, many, strict=True):
                progress.wipe()
                predictions.append(_print_parts(parts, path, options))
    return predictions


def _run_one(engine: "Engine", path: Path, options: "RunOptions") -> "Prediction":
    from emodict.predict.scoring import iter_predictions

    with _progress(path, options) as on_rows:
        parts = iter_predictions(
            engine,
            path,
            part=options.part,
            person=options.wearer,
            invert=options.upside_down,
            on_start=on_rows.start,
        )
        return _print_parts(parts, path, options, on_rows.add)


def _print_parts(
    parts: "Iterator[Prediction]",
    path: Path,
    options: "RunOptions",
    on_rows: Callable[[int], None] = lambda rows: None,
) -> "Prediction":
    """Print the rows of one recording as they come, and put them together."""
    from emodict.predict.scoring import joined
    from emodict.results.console import header_line, row_lines

    printed: list[Prediction] = []
    for part in parts:
        if _prints_rows(options):
            if not printed:
                print(printable(header_line(part.emotions, part.modalities)))
            for line in row_lines(part, plain=plain_output()):
                print(line)
        elif options.as_json:
            from emodict.results.outputs import row_as_dict

            for i in range(len(part)):
                row = row_as_dict(part, i, with_weights=options.weights)
                print(json.dumps({"file": str(path), "session": part.session, **row}))
        printed.append(part)
        on_rows(len(part))
    return joined(printed, path)


def _prints_rows(options: "RunOptions") -> bool:
    return not (options.quiet or options.as_json or options.out == STDOUT)


class _RowCounter:
    """Moves the progress bar by rows; does nothing where the rows themselves are on the screen."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._total, self._done = progress, 1.0, 0

    def start(self, rows: float) -> None:
        self._total = rows

    def add(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress.show(self._done, total=self._total)


@contextlib.contextmanager
def _progress(path: Path, options: "RunOptions") -> Iterator[_RowCounter]:
    if _prints_rows(options) and sys.stdout.isatty():
        yield _RowCounter(None)
        return
    with Progress(f"Scoring {path.name}", 1, unit=" s") as progress:
        yield _RowCounter(progress)


def _write(
    predictions: "Sequence[Prediction]",
    recordings: Sequence[Path],
    engine: "Engine",
    engine_path: Path,
    options: "RunOptions",
) -> None:
    if options.out == STDOUT:
        from emodict.results.outputs import write_csv

        write_csv(predictions, sys.stdout, with_weights=options.weights)
    elif options.out is not None:
        from emodict.results.outputs import write_predictions

        write_predictions(predictions, options.out, with_weights=options.weights)
        options.say(f"Wrote {options.out}")
    if options.report is not None:
        from emodict_desk.report import read_wearer, write_report

        lines, wearers = (
            _model_lines(engine, engine_path, options),
            [read_wearer(path) for path in recordings],
        )
        write_report(
            predictions, options.report, title="emodict report", model_lines=lines, wearers=wearers
        )
        options.say(f"Wrote {options.report}")
