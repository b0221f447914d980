"""make bench ARGS=scale: how time and memory grow with what emodict is given.

python -m benchmarks scale [length] [many] [channels] [windows]

Each line has the exponent of its growth from the line before: 1 where twice as much takes twice as
long. All but the last are whole commands on session.h5 files, measured from outside.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from benchmarks.fixtures import untrained_checkpoint
from benchmarks.recordings import EEG_HZ, Raw, noise
from emodict.engine import open_engine
from emodict.features.spec import load_spec
from emodict.predict.scoring import BLOCK_ROWS
from emodict.recording.recording import Recording, Signal
from emodict.recording.session import write_session

# Twice as much may take this much more than twice as long: 2 ** 1.1 is 2.14.
STEEPEST = 1.1
LENGTHS_S = (60, 3600, 8 * 3600, 24 * 3600)
RECORDINGS, PROCESSES = (1, 10, 100), (1, 2)
CHANNELS = (4, 18, 64, 256)
WINDOWS = (1, 4, 16, 64, 256, 1024, 4096)
# An hour of a cap's 24 electrodes, and a day of all sensors, have to fit on a small board.
_CAP = "Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P3 Pz P4 Oz"
CAP = tuple(_CAP.split())
LIMIT_MB = 250
SENSORS = ("eeg", "gsr", "ppg")


@dataclass(frozen=True)
class Cost:
    """What one size took; `limit_mb` is what its memory must stay below."""

    name: str
    size: float
    cpu_s: float
    wall_s: float
    peak_mb: float = 0.0
    limit_mb: float = math.inf

    def exponent(self, before: Cost) -> float:
        return math.log(self.cpu_s / before.cpu_s) / math.log(self.size / before.size)

    def line(self, before: Cost | None) -> tuple[str, bool]:
        """What is printed, and whether time and memory grow no more than they may."""
        grows = self.exponent(before) if before else 0.0
        kept = grows <= STEEPEST and self.peak_mb <= self.limit_mb
        parts = [f"{self.name:<44}", f"{_time(self.cpu_s)} CPU", f"{_time(self.wall_s)}"]
        parts += [f"{self.peak_mb:5.0f} MB"] * (self.peak_mb > 0)
        parts += [f"exponent {grows:5.2f}"] * (before is not None)
        return "  ".join([*parts, *["TOO MUCH"] * (not kept)]), kept


def _time(seconds: float) -> str:
    return f"{seconds:8.2f} s " if seconds >= 1 else f"{1e3 * seconds:8.2f} ms"


def main(parts: Sequence[str]) -> int:
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        print(f"Unknown: {', '.join(unknown)}. There are {', '.join(PARTS)}.", file=sys.stderr)
        return 2
    kept = True
    with tempfile.TemporaryDirectory() as name:
        for part in parts or PARTS:
            print(f"-- scale {part}", flush=True)
            before = None
            for cost in PARTS[part](Path(name)):
                # A line of a smaller size begins anew, and so does one of its own.
                if before is not None and cost.size <= before.size:
                    before = None
                line, within = cost.line(before)
                print(line, flush=True)
                before, kept = cost, kept and within
    return 0 if kept else 1


def lengths(folder: Path) -> Iterator[Cost]:
    """`emodict-run` on EEG, GSR and PPG of a minute to a day; its rows alone take memory."""
    model, hour = _model(folder), folder / "hour.h5"
    write_session(_quantised(noise(3600)).recording(), hour)
    for seconds in LENGTHS_S:
        session = folder / f"{seconds}.h5"
        if seconds < 3600:
            write_session(noise(seconds).recording(), session)
        else:
            _repeated(hour, session, seconds // 3600)
        words = [str(session), "--out", str(folder / "out.csv")]
        cost = _command(f"emodict-run on {_length(seconds)}", seconds, model, words)
        session.unlink()
        yield replace(cost, limit_mb=LIMIT_MB)


def many(folder: Path) -> Iterator[Cost]:
    """`emodict-run` on 1, 10 and 100 recordings of a minute, on one process and on two."""
    model = _model(folder)
    sessions = [folder / f"many{number:03}.h5" for number in range(max(RECORDINGS))]
    for number, session in enumerate(sessions):
        write_session(_quantised(noise(60, seed=number)).recording(), session)
    for jobs in PROCESSES:
        for count in RECORDINGS:
            words = [*map(str, sessions[:count]), "--jobs", str(jobs)]
            words += ["--out", str(folder / "many.csv")]
            yield _command(f"{count} recordings, --jobs {jobs}", count, model, words)


def channels(folder: Path) -> Iterator[Cost]:
    """Features of ten minutes of EEG of 4 to 256 channels, and `emodict-run` on an hour of 24."""
    seconds = 600
    for count in CHANNELS:
        session = folder / "channels.h5"
        write_session(_eeg([f"E{n + 1}" for n in range(count)], seconds), session)
        words = [sys.executable, "-m", "benchmarks.scale", str(session)]
        yield _process(f"features of {seconds // 60} min of {count} channels", count, words)
    session = folder / "cap.h5"
    write_session(_eeg(CAP, 3600), session)
    model = _model(folder, ("eeg",), CAP)
    words = [str(session), "--out", str(folder / "out.csv")]
    cost = _command(f"emodict-run on an hour of {len(CAP)} channels", 0, model, words)
    yield replace(cost, limit_mb=LIMIT_MB)


def windows(folder: Path) -> Iterator[Cost]:
    """The model on 1 to 4096 windows in this process: in blocks, as emodict scores, and at once."""
    rng = np.random.default_rng(0)
    with open_engine(_model(folder)) as engine:
        features = engine.manifest.features
        shape = (max(WINDOWS), features.tokens, features.token_width)
        tokens = rng.standard_normal(shape).astype(np.float32)

        def scored(count: int, block: int) -> None:
            for start in range(0, count, block):
                engine.infer(tokens[start : min(count, start + block)])

        for count in WINDOWS:
            cpu_s, wall_s = _repeatedly(partial(scored, count, BLOCK_ROWS), count)
            yield Cost(f"the model on {count} windows", count, cpu_s, wall_s)
        cpu_s, wall_s = _repeatedly(partial(scored, count, count), count)
        yield Cost(f"the model on {count} windows at once", 0, cpu_s, wall_s)


PARTS: dict[str, Callable[[Path], Iterator[Cost]]] = {
    "length": lengths,
    "many": many,
    "channels": channels,
    "windows": windows,
}


def _repeatedly(job: Callable[[], object], size: int) -> tuple[float, float]:
    """The least CPU and wall time of a call in ten rounds, each of as many as take long enough."""
    calls, times = max(1, 4000 // size), []
    for _ in range(11):
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(calls):
            job()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu_s, wall_s = (min(each) / calls for each in zip(*times[1:], strict=True))
    return cpu_s, wall_s


def _command(name: str, size: float, model: Path, words: Sequence[str]) -> Cost:
    run = Path(sysconfig.get_path("scripts")) / "emodict-run"
    return _process(name, size, [str(run), "--engine", str(model), *words])


# Linux counts the memory of the process that starts another to the other's: a small one does.
_LAUNCH = """
import json, os, sys, time
wall = time.perf_counter()
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - wall
cost = {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": wall, "peak_mb": used.ru_maxrss / 1024}
with open(sys.argv[1], "w") as file:
    json.dump(cost, file)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def _process(name: str, size: float, command: Sequence[str]) -> Cost:
    """CPU, wall time and memory of a process of its own; its children's are in it."""
    with tempfile.NamedTemporaryFile("r") as cost:
        launched = [sys.executable, "-S", "-c", _LAUNCH, cost.name, *command]
        done = subprocess.run(launched, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
        return Cost(name, size, **json.load(cost))


def _model(folder: Path, modalities: Sequence[str] = SENSORS, names: Sequence[str] = ()) -> Path:
    from emodict_export.export import export_onnx

    path = folder / f"model{len(names)}.onnx"
    if not path.exists():
        export_onnx(untrained_checkpoint(modalities, channels=names), path)
    return path


def _quantised(raw: Raw) -> Raw:
    """As an amplifier's numbers are; noise of 24 bits would be all unpacking."""
    return Raw(np.round(raw.eeg), raw.ppg, raw.gsr)


def _eeg(names: Sequence[str], seconds: int) -> Recording:
    rng = np.random.default_rng(0)
    samples = np.round(20 * rng.standard_normal((60 * EEG_HZ, len(names)), dtype=np.float32))
    whole = np.tile(samples, (seconds // 60, 1))
    return Recording("scale", "noise", {"eeg": Signal("eeg", EEG_HZ, "uV", tuple(names), whole)})


def _repeated(source: Path, target: Path, times: int) -> None:
    """The same session again and again, its packed chunks copied as they are."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        new.attrs.update(old.attrs)
        for name, group in old["signals"].items():
            data, made = group["data"], new.require_group(f"signals/{name}")
            made.attrs.update(group.attrs)
            shape, kept = (len(data) * times, *data.shape[1:]), data.chunks
            assert len(data) % kept[0] == 0
            copy = made.create_dataset(
                "data", shape, data.dtype, chunks=kept, compression=data.compression, shuffle=True
            )
            copy.attrs.update(data.attrs)
            for index in range(data.id.get_num_chunks()):
                at = data.id.get_chunk_info(index).chunk_offset
                mask, packed = data.id.read_direct_chunk(at)
                for time_ in range(times):
                    copy.id.write_direct_chunk((at[0] + time_ * len(data), *at[1:]), packed, mask)


def _length(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 3600 else f"{seconds // 60} min"


def _features_alone(session: Path) -> None:
    """All rows of an EEG of channels that no model was trained on."""
    from emodict.features import iter_features
    from emodict.recording.session import open_session

    with open_session(session) as recording:
        spec = load_spec("emodict-1").with_modalities(["eeg"])
        eeg = spec.modality("eeg").with_channels(recording.signals["eeg"].channel_names)
        for _ in iter_features(recording, replace(spec, modalities=(eeg,))):
            pass


if __name__ == "__main__":
    _features_alone(Path(sys.argv[1]))
