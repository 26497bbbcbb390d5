"""Softmax over one or several axes jointly, in three passes over each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import offset
from nnef_cl.codegen.ctypes import load
from nnef_cl.codegen.expression import widest
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape


@dataclass(frozen=True)
class Softmax(Kernel):
    """kept, reduced: extents; kept_strides, reduced_strides: element strides, equal for x and y."""

    stem: ClassVar[str] = "softmax"
    kept: Shape
    kept_strides: Shape
    reduced: Shape
    reduced_strides: Shape
    width: int
    grid: Grid

    @property
    def title(self) -> str:
        return f"over {self.reduced}, kept {self.kept}, {self.width} lanes"

    @property
    def global_size(self) -> tuple[int, ...]:
        return self.grid.global_size

    @property
    def local_size(self) -> tuple[int, ...]:
        return self.grid.local_size

    @property
    def type(self) -> str:
        return "float" if self.width == 1 else f"float{self.width}"

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(f"i{k}" for k in range(len(self.kept)))

    @property
    def split_names(self) -> tuple[str, ...]:
        return (*self.axes[:-1], "step") if self.width > 1 else self.axes

    @property
    def counts(self) -> Shape:
        return (*self.kept[:-1], self.kept[-1] // self.width) if self.kept else ()

    @property
    def at(self) -> str:
        index = (*self.axes, *(f"r{k}" for k in range(len(self.reduced))))
        return offset(index, (*self.kept_strides, *self.reduced_strides))

    @property
    def value(self) -> str:
        return load("x", self.at, F32, self.width)

    @property
    def result(self) -> str:
        return load("y", self.at, F32, self.width)

    def write(self, value: str) -> str:
        return f"y[{self.at}] = {value};" if self.width == 1 else f"vstore{self.width}({value}, 0, y + {self.at});"

    @property
    def select(self) -> str:
        return "SELECT" if self.width == 1 else "select"


def softmax(kept: Shape, kept_strides: Shape, reduced: Shape, reduced_strides: Shape, target: Target) -> Softmax:
    width, count, length = 1, 1, 1
    if kept and kept_strides[-1] == 1:
        width = widest(target.vector_width, kept[-1])
    for extent in kept:
        count *= extent
    for extent in reduced:
        length *= extent
    grid = Grid.of(count // width, target, width, 4 * length)
    return Softmax(kept, kept_strides, reduced, reduced_strides, width, grid)
