"""make bench: every speed that emodict promises,
as ratios of CPU time measured interleaved in one run.

python -m benchmarks [features] [models] [training] [startup] [live] [embedded]
python -m benchmarks sample train.mat       accuracy of training on the released sample, ten minutes
"""

import sys
from pathlib import Path

from benchmarks import embedded, features, live, models, sample, startup, training
from emodict.errors import EmodictError

GROUPS = {
    "features": features,
    "models": models,
    "training": training,
    "startup": startup,
    "live": live,
    "embedded": embedded,
}


def main(names: list[str]) -> int:
    if names[:1] == ["sample"] and len(names) == 2:
        try:
            for line in sample.measure(Path(names[1])):
                print(line, flush=True)
        except EmodictError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        return 0
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        print(
            f"Unknown: {', '.join(unknown)}. There are {', '.join(GROUPS)}, and sample FILE.",
            file=sys.stderr,
        )
        return 2
    missed = 0
    for name in names or GROUPS:
        print(f"-- {name} (CPU time, medians)", flush=True)
        for result in GROUPS[name].measure():
            print(result, flush=True)
            missed += not result.kept
    print("Every promise kept." if not missed else f"{missed} promise(s) MISSED.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
