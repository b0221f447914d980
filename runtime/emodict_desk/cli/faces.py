"""`emodict-session faces`: the face features of a video, as a session or into one."""

# No `from __future__ import annotations`:
# typer reads the annotations of functions made inside functions.

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from emodict import __version__
from emodict.cli.app import Progress, log_to_stderr
from emodict.cli.trusted import face_models, require_trusted
from emodict.errors import InputError
from emodict.files.atomic import check_writable, refuse_overwriting
from emodict.recording.recording import Recording
from emodict.recording.session import open_session, write_session

if TYPE_CHECKING:
    import typer

    from emodict.face.detect import FaceFinder
    from emodict.face.embed import FaceEmbedder
    from emodict_desk.faces import FaceReport

SESSION_ENDING = ".h5"


def add_faces_command(app: "typer.Typer") -> None:
    """Give `emodict-session` its subcommand `faces`."""
    import typer

    from emodict.cli import options as given

    @app.command()
    def faces(
        source: Annotated[
            Path,
            typer.Argument(
                metavar="SOURCE",
                help="A video file, or a session.h5 that holds pictures of a face.",
            ),
        ],
        face: given.RequiredFace,
        out: Annotated[
            Path | None,
            typer.Option("--out", "-o", metavar="FILE", help="The session.h5 to write."),
        ] = None,
        into: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="A session.h5 without a face to add it to; a copy of it with -o.",
            ),
        ] = None,
        face_model: given.FaceModel = None,
        offset: Annotated[
            float, typer.Option(help="Seconds from the session's start to the video's.")
        ] = 0.0,
        cropped: Annotated[
            bool, typer.Option("--cropped", help="Each picture is a face: look for none.")
        ] = False,
        subject: Annotated[
            str | None, typer.Option(help="Name of the person; default: as SOURCE is called.")
        ] = None,
        trust: given.Trust = None,
    ) -> None:
        """Compute the features of a face, once a second."""
        from emodict.face.detect import WholePicture, open_finder
        from emodict.face.embed import open_embedder

        if cropped and face_model is not None:
            raise InputError(
                "--cropped looks for no face", expected="--cropped or --face-model", got="both"
            )
        target = _target(source, out, into)
        log_to_stderr()
        if trust is not None:
            require_trusted(trust, *face_models(face, face_model, looks=not cropped))
        finder = WholePicture() if cropped else open_finder(face_model)
        is_session = source.suffix == SESSION_ENDING
        if is_session and (into is not None or offset or subject is not None):
            raise _has_its_own(source)
        with closing(open_embedder(face)) as embedder:
            if is_session:
                report = convert_pictures(source, target, finder, embedder)
            else:
                report = add_video(
                    source, target, finder, embedder, into=into, offset_s=offset, subject=subject
                )
        print(f"{report}\nWrote {target}")


def convert_pictures(
    source: Path, out: Path, finder: "FaceFinder", embedder: "FaceEmbedder"
) -> "FaceReport":
    """Write the session again, with features in the place of its pictures."""
    from emodict_desk.faces import faces_of_recording

    with open_session(source) as recording:
        recording.require_usable(recording.unusable)
        with Progress("Looking for a face", recording.duration_s, unit=" s") as progress:
            described, report = faces_of_recording(
                recording, finder, embedder, on_progress=progress.show
            )
        write_session(described, out)
    return report


def add_video(
    source: Path,
    out: Path,
    finder: "FaceFinder",
    embedder: "FaceEmbedder",
    *,
    into: Path | None = None,
    offset_s: float = 0.0,
    subject: str | None = None,
) -> "FaceReport":
    """Write a video's face features as a session of their own, or with the session `into`."""
    from emodict.face.video import video_length_s
    from emodict_desk.faces import add_face, faces_of_video

    with Progress("Looking for a face", video_length_s(source) + offset_s, unit=" s") as progress:
        face, report = faces_of_video(
            source, finder, embedder, offset_s=offset_s, on_progress=progress.show
        )
    if into is not None:
        add_face(into, face, out)
        return report
    recording = Recording(
        session_id=source.stem,
        subject_id=source.stem if subject is None else subject,
        signals={},
        face=face,
        device=f"video {source.name}",
        software=f"emodict {__version__}",
    )
    write_session(recording, out)
    return report


def _has_its_own(source: Path) -> InputError:
    return InputError(
        f"{source} is a session: it has its own clock, signals and names",
        expected="-o alone",
        got="--into, --offset or --subject",
        fix="Leave them out",
    )


def _target(source: Path, out: Path | None, into: Path | None) -> Path:
    """The file to write, known to be writable before any work."""
    target = out or into
    if target is None:
        raise InputError(
            "Nothing says where the face features go",
            expected="-o session.h5, or --into session.h5",
            fix=f"-o {source.with_suffix(SESSION_ENDING).name}",
        )
    check_writable(target, ending=SESSION_ENDING)
    refuse_overwriting(target, [source])
    if into is not None and not into.is_file():
        raise InputError(
            f"There is no session {into}", expected="a session.h5", fix="Check the path"
        )
    return target
