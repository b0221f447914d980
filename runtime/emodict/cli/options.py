"""The options of `emodict-run`, and those that other commands share with it, each with what help says of it."""

# typer stands at the top: only a command that is being built imports this module.
from pathlib import Path
from typing import Annotated

from typer import Argument, Option  # noqa: TID253

Engine = Annotated[Path | None, Option(help="The model: a model.onnx or model.plan of emodict-export.")]
Recordings = Annotated[
    list[Path] | None,
    Argument(metavar="RECORDING...", help="session.h5 files, folders of them, or feature tables (.npz, .mat)."),
]
Results = Annotated[
    str | None,
    Option("--out", "-o", help="Write all rows: .csv .json .parquet .h5, or - for CSV on standard output."),
]
Report = Annotated[Path | None, Option(help="Write a page to look at: report.html.")]
Weights = Annotated[bool, Option("--weights", help="With the weights of the dictionary.")]
AsJsonLines = Annotated[bool, Option("--json", help="JSON lines on standard output, for programs.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="The summary alone.")]
Part = Annotated[str | None, Option(help="Which part of a .mat with several.")]
Device = Annotated[str | None, Option(help="cpu or cuda; by default a plan runs on the GPU, a model.onnx on the CPU.")]
Person = Annotated[Path | None, Option(help="A person.json of emodict-calibrate: these are recordings of that person.")]
Jobs = Annotated[int, Option(help="Processes of this machine that share the recordings.")]
Dask = Annotated[
    str | None, Option(metavar="ADDRESS", help="A Dask cluster that shares the recordings: tcp://host:8786.")
]
Trust = Annotated[
    Path | None,
    Option(envvar="EMODICT_TRUST", help="A public key (PEM): run no model but those that its owner has signed."),
]
Check = Annotated[bool, Option("--check", help="Say what this machine can run and, with --engine, whether that model.")]

# What is read of a recording.
Modalities = Annotated[str | None, Option(help="Only these, e.g. ppg,gsr.")]
Channels = Annotated[
    str | None, Option(help="Only these of the EEG, e.g. AF7,AF8,TP9,TP10. [default: those of the features]")
]
Spec = Annotated[str | None, Option(help="Features to compute from sessions. [default: emodict-1]")]

# Sensors.
Live = Annotated[
    str | None,
    Option(metavar="SOURCE", help="Sensors instead of recordings: lsl, brainflow:BOARD, replay:session.h5."),
]
Speed = Annotated[str | None, Option(metavar="FACTOR", help="Of a replay: 1 (the default), 10, max.")]
Stream = Annotated[
    list[str] | None,
    Option(metavar="MODALITY=NAME", help="Which LSL stream, where several could be; may be repeated."),
]
Board = Annotated[
    list[str] | None,
    Option(metavar="KEY=VALUE", help="A BrainFlow board's parameter, as serial_port; may be repeated."),
]
Record = Annotated[Path | None, Option(help="Keep all that comes live in a session.h5.")]
Subject = Annotated[str, Option(help="Who wears the sensors.")]
Rows = Annotated[int | None, Option("--seconds", min=1, help="End a live run after so many rows.")]

# Faces.
Camera = Annotated[
    str | None,
    Option(metavar="NUMBER|VIDEO", help="A camera, or a video that plays at its own pace: the face."),
]
_FACE = Option(metavar="FILE|hog", help="What describes the face: a face.onnx, a face.plan, or hog (no file).")
Face = Annotated[str | None, _FACE]
RequiredFace = Annotated[str, _FACE]
FaceModel = Annotated[
    Path | None, Option(metavar="FILE", help="YuNet model that finds the face; default: the one installed.")
]

# Where live rows go.
Outlet = Annotated[bool, Option("--outlet", help="Send the rows on as a stream of LSL.")]
Serve = Annotated[
    str | None, Option(metavar="[HOST:]PORT", help="Show the rows on a web page: 8765, this machine alone.")
]
Token = Annotated[
    str | None,
    Option(help="Secret that the page asks for, or EMODICT_TOKEN; a must where others can reach it."),
]
