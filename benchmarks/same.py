"""Are the features still the same? Saves the numbers of a tree, and compares those of another.

python -m benchmarks.same save before.npz [train.mat] [an E4 folder] [session.h5] ...
python -m benchmarks.same compare before.npz [the same files]

Besides the files' rows: those of noise with all that can be wrong with a signal in it, of every
spec, of the whole recording and second by second. What is valid and the fingerprints must be
equal, quality to 1e-9, features to 1e-9 of their size (of 1 where they are smaller).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.recordings import EEG_HZ, GSR_HZ, PPG_HZ, noise
from emodict.features import FeatureStream, FeatureWindows, extract_features, load_spec, spec_ids
from emodict.features.windows import concatenate
from emodict.predict.scoring import TABLE_ENDINGS, open_recording
from emodict.recording.recording import Recording, Signal
from emodict_desk.tables.table import read_table

# The promise of docs/features.md for any two ways to the same numbers.
CLOSE = 1e-9
MINUTES, BROKEN = 5, 60
Rows = dict[str, FeatureWindows]


def all_rows(files: Sequence[Path]) -> Rows:
    """The rows of everything, by what they are rows of."""
    rows = {f"noise {what}": found for what, found in _of_noise()}
    for file in files:
        if file.suffix in TABLE_ENDINGS:
            rows[file.name] = read_table(
                file, part="train" if file.suffix == ".mat" else None
            ).windows
        else:
            with open_recording(file) as recording:
                found = _of_recording(recording)
                rows.update({f"{file.name} {what}": windows for what, windows in found})
    return rows


def _of_recording(recording: Recording) -> Iterator[tuple[str, FeatureWindows]]:
    seen = set()
    for spec in map(load_spec, spec_ids()):
        sensors = [m.name for m in spec.modalities if m.kind not in ("table", "embedding")]
        there = [name for name in sensors if name in recording.signals]
        # Specs that differ in the face alone would say the same again.
        if there and (same := spec.with_modalities(there)).modalities not in seen:
            seen.add(same.modalities)
            yield spec.id, extract_features(recording, same)


def _of_noise() -> Iterator[tuple[str, FeatureWindows]]:
    raw = noise(60 * MINUTES)
    signals = {"eeg": raw.eeg, "ppg": raw.ppg, "gsr": np.round(raw.gsr, 3)}
    for kind, given in (("sound", signals), ("broken", _broken(signals))):
        for hz in ((EEG_HZ, PPG_HZ), (256, 64)):
            rates = dict(zip(signals, (*hz, GSR_HZ), strict=True))
            recording = _recording(given, rates)
            for what, rows in _of_recording(recording):
                yield f"{kind} {hz[0]} Hz {what}", rows
            yield f"{kind} {hz[0]} Hz by seconds", _by_seconds(given, rates)


def _recording(signals: Mapping[str, np.ndarray], rates: Mapping[str, int]) -> Recording:
    modalities = {m.name: m for m in load_spec("emodict-1").modalities}
    return Recording(
        "same",
        "noise",
        {
            name: Signal(
                name, rates[name], modalities[name].unit, modalities[name].channel_names, x
            )
            for name, x in signals.items()
        },
    )


def _by_seconds(signals: Mapping[str, np.ndarray], rates: Mapping[str, int]) -> FeatureWindows:
    spec = load_spec("emodict-1")
    stream, parts = FeatureStream(spec, rates), []
    for second in range(min(len(x) // rates[name] for name, x in signals.items())):
        for name, x in signals.items():
            parts.append(stream.push(name, x[second * rates[name] : (second + 1) * rates[name]]))
    return concatenate(spec, [*parts, stream.finish()])


def _broken(signals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gaps, absurd samples, stretches that stand still, are clipped, or sit on an offset."""
    rng = np.random.default_rng(1)
    broken = {}
    for name, sound in signals.items():
        x = sound.copy()
        for _ in range(BROKEN):
            first, count = rng.integers(len(x)), rng.integers(1, max(2, len(x) // 100))
            part, size = (slice(first, first + count), rng.integers(x.shape[1])), sound.std()
            spoil = rng.integers(5)
            if spoil == 0:
                x[part] = rng.choice([np.nan, np.inf, -np.inf, 1e30])
            elif spoil == 1:
                x[part] = x[first, part[1]]
            elif spoil == 2:
                x[part] = np.clip(x[part], x.mean() - size / 3, x.mean() + size / 3)
            else:
                x[part] += 10 ** rng.uniform(0, 4) * size
        broken[name] = x
    return broken


def save(path: Path, rows: Rows) -> None:
    arrays = {}
    for what, windows in rows.items():
        arrays |= {
            f"{what}/{part}": getattr(windows, part) for part in ("tokens", "valid", "quality")
        }
        arrays[f"{what}/fingerprint"] = np.array(windows.spec.fingerprint)
    np.savez_compressed(path, **arrays)


def compare(before: Mapping[str, np.ndarray], rows: Rows) -> Iterator[tuple[str, bool]]:
    """A line for each set of rows, and whether it is the same."""
    for what in sorted({name.rpartition("/")[0] for name in before} - set(rows)):
        yield f"{what}: MISSING now", False
    for what, windows in rows.items():
        old, new = before[f"{what}/tokens"], windows.tokens
        valid = np.array_equal(before[f"{what}/valid"], windows.valid)
        known = str(before[f"{what}/fingerprint"]) == windows.spec.fingerprint
        if not (valid and known):
            yield f"{what}: DIFFERENT in {'what is valid' if known else 'fingerprint'}", False
            continue
        features = _gap(old, new, np.maximum(1.0, np.abs(old)))
        quality = _gap(before[f"{what}/quality"], windows.quality, 1.0)
        same = features <= CLOSE and quality <= CLOSE
        of = f"{len(windows)} rows, valid {windows.valid.mean():.0%}"
        yield (
            f"{what} ({of}): features {features:.1e}, quality {quality:.1e}"
            f"{'' if same else '  DIFFERENT'}",
            same,
        )


def _gap(old: np.ndarray, new: np.ndarray, scale: np.ndarray | float) -> float:
    """The largest difference; infinite where NaN is in other places."""
    if not np.array_equal(np.isnan(old), np.isnan(new)):
        return np.inf
    return float(np.nanmax(np.abs(old - new) / scale, initial=0.0))


def main(words: Sequence[str]) -> int:
    if len(words) < 2 or words[0] not in ("save", "compare"):
        print(__doc__, file=sys.stderr)
        return 2
    path, rows = Path(words[1]), all_rows([Path(word) for word in words[2:]])
    if words[0] == "save":
        save(path, rows)
        return 0
    with np.load(path) as before:
        lines = list(compare(before, rows))
    print("\n".join(line for line, _ in lines))
    return 0 if all(same for _, same in lines) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
