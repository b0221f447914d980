"""What a person's recording is, and session.h5, the file that holds one."""

from emodict.recording.recording import Event, FaceVideo, Recording, Signal, Trials
from emodict.recording.session import open_session, write_session

__all__ = ["Event", "FaceVideo", "Recording", "Signal", "Trials", "open_session", "write_session"]
