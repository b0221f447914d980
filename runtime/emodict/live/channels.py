"""Which columns of a live stream a model reads."""

from __future__ import annotations

from emodict.errors import StreamError
from emodict.features.spec import ModalitySpec
from emodict.live.source import LiveStream
from emodict.recording.recording import canonical_channel


def columns_for(stream: LiveStream, modality: ModalitySpec) -> list[int] | None:
    """The columns of the modality's channels, in its order; None where the stream is just these.

    Raises:
        StreamError: the stream lacks a channel; it is named.
    """
    wanted = modality.channel_names
    # A sensor without named places is its modality, whatever its one channel is called.
    if wanted in ((), (modality.name,)):
        return None
    columns = {canonical_channel(name): i for i, name in enumerate(stream.channel_names)}
    missing = [name for name in wanted if canonical_channel(name) not in columns]
    if missing:
        raise StreamError(
            f"{modality.name}: {stream.device or 'the stream'} lacks "
            + f"{'channels' if len(missing) > 1 else 'channel'} {', '.join(missing)}",
            expected=f"{len(wanted)} channels {' '.join(wanted)}",
            got=" ".join(stream.channel_names) or "none",
            fix="Use a model trained on channels that it has: emodict-train fit --channels",
        )
    found = [columns[canonical_channel(name)] for name in wanted]
    return None if found == list(range(len(stream.channel_names))) else found
