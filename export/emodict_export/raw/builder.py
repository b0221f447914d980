"""What all parts of a raw graph are written with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from emodict_export.graph import GraphBuilder


class RawBuilder(GraphBuilder):
    """The operators of a raw graph; what is returned is always the name of the result.

    Args:
        many: the first axis is the time of one wearer, and not as many wearers in one second.
    """

    def __init__(self, *, many: bool = False) -> None:
        super().__init__()
        self.many = many

    def scalar(self, value: float) -> str:
        return self.constant(f"number_{value:.9g}", np.array(value))

    def whole(self, *values: int) -> str:
        """Whole numbers, such as axes and places."""
        name = f"whole_{'_'.join(map(str, values))}".replace("-", "minus")
        return self.constant(name, np.array(values, np.int64))

    def reduce(self, op: str, x: str, axis: int, output: str, *, keep: bool = True) -> str:
        return self.add(op, [x, self.whole(axis)], output, keepdims=int(keep))

    def join(self, tensors: Sequence[str], output: str) -> str:
        """(batch, n) each, side by side."""
        return self.add("Concat", list(tensors), output, axis=1)

    def part(self, x: str, axis: int, start: int, stop: int, output: str) -> str:
        """x[start:stop] along an axis."""
        return self.add("Slice", [x, self.whole(start), self.whole(stop), self.whole(axis)], output)

    def corner(self, x: str, starts: Sequence[int], stops: Sequence[int], output: str) -> str:
        """x[:, starts[0] : stops[0], starts[1] : stops[1], ...]."""
        axes = self.whole(*range(1, len(starts) + 1))
        return self.add("Slice", [x, self.whole(*starts), self.whole(*stops), axes], output)

    def split(self, x: str, sizes: Sequence[int], output: str) -> list[str]:
        """Columns of (batch, n), one group after the other."""
        names = [f"{output}_{i}" for i in range(len(sizes))]
        self.add("Split", [x, self.whole(*sizes)], names[0], axis=1)
        self.nodes[-1].output.extend(names[1:])
        return names

    def as_float(self, x: str, output: str) -> str:
        """1 where it is true, 0 elsewhere."""
        return self.add("Cast", [x], output, to=TensorProto.FLOAT)

    def as_bool(self, x: str, output: str) -> str:
        """True where it is not 0."""
        return self.add("Greater", [x, self.scalar(0.0)], output)

    def top(self, x: str, count: int, output: str, *, largest: bool) -> str:
        """The largest or the least along the last axis: in no order, or from the least on."""
        inputs, order = [x, self.whole(count)], int(not largest)
        self.add("TopK", inputs, output, axis=-1, largest=int(largest), sorted=order)
        self.nodes[-1].output.append(f"{output}_places")
        return output

    def product(self, x: str, matrix: NDArray[np.float64], output: str) -> str:
        """A product with a matrix of (..., inputs, outputs)."""
        return self.add("MatMul", [x, self.constant(f"{output}.matrix", matrix)], output)


@dataclass(frozen=True)
class Part:
    """One modality's features in the graph; the names are those of tensors.

    Feature i is columns[:, order[i]] * scale[i] + offset[i]; where order is -1 it is offset[i].

    Attributes:
        columns: (batch, width); valid: (batch, 1), 1 or 0; quality: (batch, 1).
    """

    columns: str
    width: int
    order: NDArray[np.int64]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    valid: str
    quality: str
