"""TensorRT's messages, collected instead of printed and turned into sentences."""

from __future__ import annotations

import functools
import logging
import re
from typing import Any

from emodict.engine.tensorrt_api import LoggerBase, TensorRTModule

log = logging.getLogger(__name__)

# What TensorRT's texts say, in our words; the first that fits the whole of them.
_SENTENCES = (
    (r"driver version is insufficient|cudaError 35", "the NVIDIA driver is missing or too old"),
    (r"out of memory|OutOfMemory|cudaError 2\b", "the GPU's memory is full"),
    (r"no CUDA-capable device|cudaError 100", "there is no GPU"),
    (
        r"expecting library version|different version|Version tag does not match|version mismatch",
        "the plan was built by another version of TensorRT",
    ),
    (
        r"incompatible device|compute capability|different models of devices",
        "the plan was built for another GPU",
    ),
    (
        r"does not conform to the expected format|Magic tag does not "
        r"match|corrupt|Serialization assertion",
        "these bytes are not a plan of this TensorRT",
    ),
)
# Where in TensorRT's source a message was written: of no use to its readers.
_NOISE = re.compile(
    r"^\[?\w+\.cpp::[^\]]*\]\s*|^\w+::\w+: |Error Code \d+: "
    r"|\s*\(?In \S+ at \S+:\d+\s*|\(\)|\)(?=\)*\.?$)"
)


class Messages:
    """The errors and warnings that TensorRT has logged since `clear`."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def clear(self) -> None:
        self.errors.clear()

    def add(self, severity: str, text: str) -> None:
        if severity in ("INTERNAL_ERROR", "ERROR"):
            self.errors.append(text)
        log.debug("TensorRT %s: %s", severity, text)

    def sentence(self) -> str:
        """Why TensorRT failed, as the end of a sentence."""
        text = " | ".join(self.errors)
        for pattern, sentence in _SENTENCES:
            if re.search(pattern, text, re.IGNORECASE):
                return sentence
        return (
            f"TensorRT says '{_NOISE.sub('', self.errors[0]).strip()}'"
            if self.errors
            else "TensorRT does not say why"
        )


def collecting_logger(module: TensorRTModule) -> tuple[LoggerBase, Messages]:
    """The logger that all of a process hands to TensorRT, with the messages it collects."""
    return _logger_of(module.ILogger)


@functools.cache
def _logger_of(base: Any) -> tuple[LoggerBase, Messages]:
    # One for the whole process: TensorRT keeps the first logger it is given for good, and writes
    # through it even after its runtime has gone.
    messages = Messages()

    def start(self: Any) -> None:
        base.__init__(self)

    def collect(self: Any, severity: Any, msg: str) -> None:
        messages.add(getattr(severity, "name", str(severity)), msg)

    logger: LoggerBase = type("CollectingLogger", (base,), {"__init__": start, "log": collect})()
    return logger, messages
