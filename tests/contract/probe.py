"""Run in a process of its own: import one TensorRT and tell which of the
names asked for it lacks.
"""

import functools
import importlib
import json
import sys

from emodict.engine.tensorrt_log import collecting_logger
from emodict_export.plan.builder import _monitor, _strongly_typed, _Watch


def main() -> None:
    """argv: the module's name; stdin: {class path: [names]}; stdout: version,
    missing names, docstrings of the rest.
    """
    module = importlib.import_module(sys.argv[1])
    missing, docs = [], {}
    for path, names in json.load(sys.stdin).items():
        try:
            owner = functools.reduce(getattr, path.split(".") if path else [], module)
        except AttributeError:
            missing.append(path)
            continue
        for name in names:
            full = f"{path}.{name}".lstrip(".")
            if not hasattr(owner, name):
                missing.append(full)
            elif callable(getattr(owner, name)):
                docs[full] = getattr(owner, name).__doc__ or ""
    answer = {
        "version": module.__version__,
        "missing": missing,
        "docs": docs,
        "said": heard(module),
    }
    answer["flags"] = _strongly_typed(module)
    json.dump(answer, sys.stdout)


def heard(module: object) -> list[object]:
    """What comes out of our own subclasses of this module's ILogger and
    IProgressMonitor, when they are called.
    """
    log, messages = collecting_logger(module)
    log.log(module.ILogger.Severity.ERROR, "no memory")
    log.log(module.ILogger.Severity.VERBOSE, "one of thousands")
    steps: list[object] = []
    monitor = _monitor(module, _Watch(lambda *step: steps.append(step)))
    monitor.phase_start("Building", "", 3)
    going_on = monitor.step_complete("Building", 1)
    monitor.phase_finish("Building")
    return [*messages.errors, *steps, going_on]


if __name__ == "__main__":
    main()
