"""The timing cache: how fast each kernel ran on this GPU,
kept so that the next build need not time it again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from emodict.errors import OutputError
from emodict.files.atomic import atomic_path

logger = logging.getLogger(__name__)

HASH_BYTES = 32


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/emodict, or ~/.cache/emodict."""
    # The XDG specification: a path that is not absolute is to be ignored.
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "emodict"


def cache_file(
    folder: Path,
    *,
    builder: str,
    version: str,
    compute_capabilities: Sequence[str],
    graph_sha256: str,
) -> Path:
    """One file for each TensorRT, its version, the GPU and the graph."""
    gpus = "+".join(compute_capabilities)
    return folder / f"{builder}-{version}-sm{gpus}-{graph_sha256[:16]}.timing"


def read_cache(path: Path) -> bytes:
    """What was kept; empty where there is nothing, or nothing that can be trusted."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        logger.warning(
            "The timing cache %s cannot be read (%s): kernels are timed again", path, error.strerror
        )
        return b""
    kept = content[HASH_BYTES:]
    if hashlib.sha256(kept).digest() != content[:HASH_BYTES]:
        logger.warning("The timing cache %s is damaged: kernels are timed again", path)
        return b""
    return kept


def write_cache(path: Path, content: bytes) -> None:
    """Keep `content`; a cache that cannot be written costs time at the next
    build, and stops nothing.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_bytes(hashlib.sha256(content).digest() + content)
    except (OutputError, OSError) as error:
        logger.warning("The timing cache was not kept; the next build takes as long. %s", error)
