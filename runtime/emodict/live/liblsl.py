"""liblsl: the few functions of the Lab Streaming Layer's library that a live run needs.

MNE-LSL's wheels bring the library for x86-64 and aarch64; only the library is used,
for `import mne_lsl` brings in MNE, SciPy and Matplotlib: seconds at every start and
120 MB, against 5 ms and 2 MB.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import re
import tempfile
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_uint32, c_ulong, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emodict.errors import EmodictError, MissingDependencyError, StreamError

Float64Array = NDArray[np.float64]

# Where MNE-LSL and pylsl let their users name a library of their own.
PATH_VARIABLES = ("MNE_LSL_LIB", "PYLSL_LIB")
CONFIG_VARIABLE = "LSLAPICFG"
_CONFIG_PATHS = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")
# Nothing but its own end: the library tells standard error of every network interface, and of a
# stream that is lost, which is our part to say.
_QUIET = "\n[log]\nlevel = -3\n"
# The library forgets a stream that has not answered for so long.
FORGET_S = 5.0
_BUFFER_S = 60
_PULL_SAMPLES = 4096
_MAX_STREAMS = 256
_FLOAT64 = 2
STRING_FORMAT = 3
_TIMEOUT, _LOST = -1, -2

# (result, arguments) by function; handles are pointers.
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "lsl_local_clock": (c_double, []),
    "lsl_create_streaminfo": (c_void_p, [c_char_p, c_char_p, c_int32, c_double, c_int, c_char_p]),
    "lsl_destroy_streaminfo": (None, [c_void_p]),
    "lsl_get_name": (c_char_p, [c_void_p]),
    "lsl_get_type": (c_char_p, [c_void_p]),
    "lsl_get_uid": (c_char_p, [c_void_p]),
    "lsl_get_source_id": (c_char_p, [c_void_p]),
    "lsl_get_hostname": (c_char_p, [c_void_p]),
    "lsl_get_created_at": (c_double, [c_void_p]),
    "lsl_get_nominal_srate": (c_double, [c_void_p]),
    "lsl_get_channel_count": (c_int32, [c_void_p]),
    "lsl_get_channel_format": (c_int, [c_void_p]),
    "lsl_get_desc": (c_void_p, [c_void_p]),
    # The text is ours to free, so it must not be turned into bytes on the way.
    "lsl_get_xml": (c_void_p, [c_void_p]),
    "lsl_destroy_string": (None, [c_void_p]),
    "lsl_append_child": (c_void_p, [c_void_p, c_char_p]),
    "lsl_append_child_value": (c_void_p, [c_void_p, c_char_p, c_char_p]),
    "lsl_create_continuous_resolver": (c_void_p, [c_double]),
    "lsl_resolver_results": (c_int32, [c_void_p, POINTER(c_void_p), c_uint32]),
    "lsl_destroy_continuous_resolver": (None, [c_void_p]),
    "lsl_create_inlet": (c_void_p, [c_void_p, c_int32, c_int32, c_int32]),
    "lsl_get_fullinfo": (c_void_p, [c_void_p, c_double, POINTER(c_int32)]),
    "lsl_open_stream": (None, [c_void_p, c_double, POINTER(c_int32)]),
    "lsl_time_correction": (c_double, [c_void_p, c_double, POINTER(c_int32)]),
    "lsl_pull_chunk_d": (
        c_ulong,
        [c_void_p, c_void_p, c_void_p, c_ulong, c_ulong, c_double, POINTER(c_int32)],
    ),
    "lsl_destroy_inlet": (None, [c_void_p]),
    "lsl_create_outlet": (c_void_p, [c_void_p, c_int32, c_int32]),
    "lsl_push_sample_dt": (c_int32, [c_void_p, c_void_p, c_double]),
    "lsl_destroy_outlet": (None, [c_void_p]),
}


class LostError(EmodictError):
    """The other end of a stream is gone."""


class NotYetError(EmodictError):
    """The other end of a stream did not answer in time."""


@functools.cache
def library() -> Any:
    """The loaded library, with its functions' types;
    quiet on the terminal unless the user's lsl_api.cfg says more.

    Raises:
        MissingDependencyError: no package brings it, and no environment variable names it.
    """
    path = library_path()
    try:
        loaded = ctypes.CDLL(path)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise StreamError(
            f"The library of the Lab Streaming Layer cannot be used: {error}",
            expected="liblsl 1.14 or newer for this machine",
            got=path,
            fix="pip install 'emodict[lsl]', or name another in MNE_LSL_LIB",
        ) from error
    _load_quietly(loaded)
    return loaded


def library_path() -> str:
    """Of liblsl: what the user names, or what MNE-LSL brings; MNE-LSL itself is not imported."""
    named = next((os.environ[name] for name in PATH_VARIABLES if os.environ.get(name)), None)
    if named:
        return named
    package = importlib.util.find_spec("mne_lsl")
    for folder in (package.submodule_search_locations or []) if package else []:
        found = sorted(Path(folder).glob("lsl/lib/liblsl*.so*")) + sorted(
            Path(folder).glob("lsl/lib/liblsl*.dylib")
        )
        if found:
            return str(found[0])
    raise MissingDependencyError("mne-lsl", extra="lsl", purpose="The Lab Streaming Layer")


def _load_quietly(loaded: Any) -> None:
    """Have the library read its configuration now: the user's,
    made quiet where it says nothing of a log.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    paths = [Path(path).expanduser() for path in ([named] if named else []) + list(_CONFIG_PATHS)]
    given = next((path for path in paths if path.is_file() and os.access(path, os.R_OK)), None)
    text = given.read_text(errors="replace") if given else ""
    if re.search(r"^\s*\[log\]", text, re.MULTILINE):
        return
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(text + _QUIET)
        file.flush()
        os.environ[CONFIG_VARIABLE] = file.name
        try:
            # A resolver is the least that makes it read the file.
            loaded.lsl_destroy_continuous_resolver(loaded.lsl_create_continuous_resolver(FORGET_S))
        finally:
            if named is None:
                del os.environ[CONFIG_VARIABLE]
            else:
                os.environ[CONFIG_VARIABLE] = named


def local_clock_s() -> float:
    """Seconds of this machine's steady clock, on which LSL's times stand."""
    return float(library().lsl_local_clock())


class StreamInfo:
    """What a stream says of itself; owns the library's handle,
    or borrows the one of a full description.
    """

    def __init__(self, handle: int) -> None:
        self._lsl = library()
        self.handle = handle
        self.name = self._text(self._lsl.lsl_get_name)
        self.kind = self._text(self._lsl.lsl_get_type)
        self.uid = self._text(self._lsl.lsl_get_uid)
        self.source_id = self._text(self._lsl.lsl_get_source_id)
        self.hostname = self._text(self._lsl.lsl_get_hostname)
        self.created_at_s = float(self._lsl.lsl_get_created_at(handle))
        self.rate_hz = float(self._lsl.lsl_get_nominal_srate(handle))
        self.channel_count = int(self._lsl.lsl_get_channel_count(handle))
        self.numeric = int(self._lsl.lsl_get_channel_format(handle)) != STRING_FORMAT

    def _text(self, read: Any) -> str:
        return bytes(read(self.handle) or b"").decode(errors="replace")

    def xml(self) -> str:
        """The whole description."""
        address = self._lsl.lsl_get_xml(self.handle)
        try:
            return ctypes.string_at(address).decode(errors="replace")
        finally:
            self._lsl.lsl_destroy_string(address)

    def __del__(self) -> None:
        self._lsl.lsl_destroy_streaminfo(self.handle)


class Resolver:
    """Looks for streams on the network for as long as it lives. A context manager."""

    def __init__(self) -> None:
        self._lsl = library()
        self._handle = self._lsl.lsl_create_continuous_resolver(FORGET_S)

    def results(self) -> list[StreamInfo]:
        """Every stream that has answered of late."""
        buffer = (c_void_p * _MAX_STREAMS)()
        count = self._lsl.lsl_resolver_results(self._handle, buffer, _MAX_STREAMS)
        return [StreamInfo(handle) for handle in buffer[: max(0, count)] if handle is not None]

    def __enter__(self) -> Resolver:
        return self

    def __exit__(self, *_: object) -> None:
        self._lsl.lsl_destroy_continuous_resolver(self._handle)


class Inlet:
    """An open stream. The library must not look for a lost one by itself:
    its rate or channels may have changed.

    Raises:
        LostError, NotYetError: from every method but `close`.
    """

    def __init__(self, info: StreamInfo, *, timeout_s: float) -> None:
        self._lsl = library()
        self._channels = info.channel_count
        self._values = np.empty((_PULL_SAMPLES, info.channel_count))
        self._stamps = np.empty(_PULL_SAMPLES)
        self._values_at, self._stamps_at = self._values.ctypes.data, self._stamps.ctypes.data
        self._handle = self._lsl.lsl_create_inlet(info.handle, _BUFFER_S, 0, 0)
        if not self._handle:
            raise LostError(f"The stream '{info.name}' cannot be opened")
        try:
            self.info = StreamInfo(self._checked(self._lsl.lsl_get_fullinfo, timeout_s))
        except EmodictError:
            self.close()
            raise

    def _checked(self, function: Any, *arguments: Any) -> Any:
        error = c_int32(0)
        result = function(self._handle, *arguments, byref(error))
        if error.value == _TIMEOUT:
            raise NotYetError("A stream did not answer")
        if error.value:
            raise LostError(
                "A stream is gone"
                if error.value == _LOST
                else f"A stream broke (error {error.value})"
            )
        return result

    def open(self, *, timeout_s: float) -> None:
        """Have its samples sent and kept from now on."""
        self._checked(self._lsl.lsl_open_stream, timeout_s)

    def time_correction_s(self, *, timeout_s: float) -> float:
        """What its time stamps lack to this machine's clock:
        measured again by the library every 2 s.
        """
        return float(self._checked(self._lsl.lsl_time_correction, timeout_s))

    def pull(self) -> tuple[Float64Array, Float64Array]:
        """((samples, channels) float64, (samples,) time stamps of the device)
        that have come; copies; never waits.
        """
        count = self._pull_once()
        values, stamps = self._values[:count].copy(), self._stamps[:count].copy()
        if count < _PULL_SAMPLES:
            return values, stamps
        more_values, more_stamps = self.pull()
        return np.concatenate([values, more_values]), np.concatenate([stamps, more_stamps])

    def _pull_once(self) -> int:
        got = self._checked(
            self._lsl.lsl_pull_chunk_d,
            self._values_at,
            self._stamps_at,
            self._values.size,
            _PULL_SAMPLES,
            0.0,
        )
        return int(got) // self._channels

    def close(self) -> None:
        """Let go of the stream; a second call does nothing."""
        handle, self._handle = self._handle, None
        if handle:
            self._lsl.lsl_destroy_inlet(handle)


class Outlet:
    """A stream of float64 samples that others can read. A context manager.

    Args:
        labels: of the channels.
        rate_hz: samples a second; 0 for now and then.
        about: (name, text) pairs for the description.
    """

    def __init__(
        self,
        *,
        name: str,
        kind: str,
        source_id: str,
        labels: Sequence[str],
        rate_hz: float,
        unit: str = "",
        about: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._lsl = lsl = library()
        self._channels = len(labels)
        info = lsl.lsl_create_streaminfo(
            name.encode(), kind.encode(), len(labels), rate_hz, _FLOAT64, source_id.encode()
        )
        description = lsl.lsl_get_desc(info)
        for key, text in about:
            lsl.lsl_append_child_value(description, key.encode(), text.encode())
        channels = lsl.lsl_append_child(description, b"channels")
        for label in labels:
            channel = lsl.lsl_append_child(channels, b"channel")
            for key, text in (("label", label), ("unit", unit), ("type", kind)):
                lsl.lsl_append_child_value(channel, key.encode(), text.encode())
        self._handle = lsl.lsl_create_outlet(info, 0, _BUFFER_S)
        lsl.lsl_destroy_streaminfo(info)
        if not self._handle:
            raise StreamError(f"The stream '{name}' cannot be opened for other programs")

    def push(self, values: Float64Array, stamp_s: float) -> None:
        """(channels,) taken at a time of this machine's LSL clock; copied, never waits."""
        row = np.ascontiguousarray(values, dtype=np.float64)
        if row.shape != (self._channels,):
            raise EmodictError(
                "A sample does not fit its stream", expected=(self._channels,), got=row.shape
            )
        self._lsl.lsl_push_sample_dt(self._handle, row.ctypes.data, stamp_s)

    def __enter__(self) -> Outlet:
        return self

    def __exit__(self, *_: object) -> None:
        handle, self._handle = self._handle, None
        if handle:
            self._lsl.lsl_destroy_outlet(handle)
