"""make bench: every speed that emodict promises,
as ratios of CPU time measured interleaved in one run.

python -m benchmarks [features] [models] [rivals] [raw] [embedded] [training]
                     [startup] [live]
python -m benchmarks scale [PART ...]       how cost grows: length many channels windows; minutes
python -m benchmarks table [GROUP ...]      all of it nine times, into docs/performance.md; an hour
python -m benchmarks sample train.mat       accuracy of training on the released sample, ten minutes
"""

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.result import Result

# Modules of this package; each is imported when it is measured, for torch takes seconds.
GROUPS = ("features", "models", "rivals", "raw", "embedded", "training", "startup", "live")


def main(words: list[str]) -> int:
    if set(words) & {"-h", "--help"}:
        print(__doc__.strip())
        return 0
    if words[:1] == ["sample"] and len(words) == 2:
        return _sample(Path(words[1]))
    if words[:1] == ["scale"]:
        from benchmarks import scale

        return scale.main(words[1:])
    chosen = [word for word in words if word not in ("table", "--json")]
    unknown = [name for name in chosen if name not in GROUPS]
    if unknown:
        print(
            f"Unknown: {', '.join(unknown)}. There are {', '.join(GROUPS)}, scale, table "
            "and sample FILE.",
            file=sys.stderr,
        )
        return 2
    names = chosen or list(GROUPS)
    if "table" in words:
        from benchmarks import table

        return table.write(names)
    return _as_json(names) if "--json" in words else _as_lines(names)


def _measured(name: str) -> Iterator[Result]:
    yield from importlib.import_module(f"benchmarks.{name}").measure()


def _sample(path: Path) -> int:
    from benchmarks import sample
    from emodict.errors import EmodictError

    try:
        for line in sample.measure(path):
            print(line, flush=True)
    except EmodictError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _as_lines(names: Sequence[str]) -> int:
    missed = 0
    for name in names:
        print(f"-- {name} (CPU time, medians)", flush=True)
        for result in _measured(name):
            print(result, flush=True)
            missed += not result.kept
    print("Every promise kept." if not missed else f"{missed} promise(s) MISSED.")
    return 1 if missed else 0


def _as_json(names: Sequence[str]) -> int:
    from benchmarks import table

    for name in names:
        for result in _measured(name):
            print(table.as_json(table.Figure.of(result)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
