"""What a study compares EmotionDict with, by name:
the rivals of the paper's section 4.4, and two baselines.

Naming one imports its module; naming none imports neither torch nor scikit-learn.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

Float64Array = NDArray[np.float64]
# Candidates that selection may choose from: at most 8 for any method, so that none is tuned harder.
Grid = tuple[Mapping[str, Any], ...]
T = TypeVar("T")


class Rival(Protocol):
    """A method that learns label distributions from features; none of them scales the features."""

    def fit(self, X: Float64Array, D: Float64Array) -> Self:
        """Train on X (rows, features), nothing missing,
        and D (rows, labels) whose rows sum to 1.
        """
        ...

    def predict(self, X: Float64Array) -> Float64Array:
        """(rows, features) -> (rows, labels), rows sum to 1."""
        ...


@dataclass(frozen=True)
class _Source:
    """Where a rival is defined.

    Attributes:
        grid: its candidates, as an attribute of the module; None: the rival's own GRID.
        settings: what makes the class this rival.
    """

    module: str
    rival: str
    grid: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def constructor(self) -> Callable[..., Rival]:
        made: Callable[..., Rival] = partial(getattr(self._module(), self.rival), **self.settings)
        return made

    def candidates(self) -> Grid:
        grid: Grid = attrgetter(self.grid or f"{self.rival}.GRID")(self._module())
        return grid

    def _module(self) -> Any:
        return importlib.import_module(f"{__name__}.{self.module}")


_SOURCES: Mapping[str, _Source] = {
    "PT-Bayes": _Source("problem_transformation", "PTBayes"),
    "PT-SVM": _Source("problem_transformation", "PTSVM"),
    "AA-kNN": _Source("nearest_neighbours", "AAkNN"),
    "AA-BP": _Source("back_propagation", "AABP", "GRID"),
    "SA-IIS": _Source("maximum_entropy", "SAIIS"),
    "SA-BFGS": _Source("maximum_entropy", "SABFGS"),
    "SA-CPNN": _Source("cpnn", "CPNN", "GRID", {"encoding": "numeric"}),
    "SA-CPNN (one-hot)": _Source("cpnn", "CPNN", "GRID", {"encoding": "one-hot"}),
    "DLDL": _Source("dldl", "DLDL", "GRID"),
    "EDL-LRL": _Source("low_rank", "EDLLRL"),
    "EDLConv": _Source("edlconv", "EDLConv", "GRID"),
    "MISA": _Source("misa", "MISA", "GRID"),
    "TAILOR": _Source("tailor", "TAILOR", "GRID"),
    "mean label": _Source("baselines", "MeanLabel"),
    "kernel ridge": _Source("baselines", "KernelRidge"),
}


class _ByName(Mapping[str, T], Generic[T]):
    """What is read of each rival's source, when it is asked for."""

    def __init__(self, read: Callable[[_Source], T]) -> None:
        self._read = read

    def __getitem__(self, name: str) -> T:
        return self._read(_SOURCES[name])

    def __contains__(self, name: object) -> bool:
        return name in _SOURCES

    def __iter__(self) -> Iterator[str]:
        return iter(_SOURCES)

    def __len__(self) -> int:
        return len(_SOURCES)


RIVALS: Mapping[str, Callable[..., Rival]] = _ByName(_Source.constructor)
GRIDS: Mapping[str, Grid] = _ByName(_Source.candidates)
