"""Softmax over one or several axes jointly, in three passes over each row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, offset
from nnef_cl.codegen.ctypes import index_type, load
from nnef_cl.codegen.expression import widest
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape


@dataclass(frozen=True)
class Softmax(GridKernel):
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
    def wide(self) -> bool:
        return True

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
        return (*self.kept[:-1], -(-self.kept[-1] // self.width)) if self.kept else ()

    @property
    def at(self) -> str:
        return softmax_offset(self.kept, self.kept_strides, self.reduced, self.reduced_strides)

    def index(self, axis: int) -> str:
        """C type of the index along a reduced axis."""
        return index_type(self.reduced[axis])

    @property
    def value(self) -> str:
        return load("x", self.at, F32, self.width)

    @property
    def overlaps(self) -> bool:
        """Whether the last step along the last kept axis overlaps the one before it, which another work-item may take:
        then nothing may wait in the output."""
        return self.width > 1 and self.kept[-1] % self.width > 0

    @property
    def exponential(self) -> str:
        return f"exp({self.value} - largest)"

    @property
    def result(self) -> str:
        return self.exponential if self.overlaps else load("y", self.at, F32, self.width)

    def write(self, value: str) -> str:
        return f"y[{self.at}] = {value};" if self.width == 1 else f"vstore{self.width}({value}, 0, y + {self.at});"

    @property
    def select(self) -> str:
        return "SELECT" if self.width == 1 else "select"


def softmax_offset(kept: Shape, kept_strides: Shape, reduced: Shape, reduced_strides: Shape) -> str:
    """C text: offset of the element at i0, i1, ... of the kept and r0, r1, ... of the reduced axes."""
    index = (*(f"i{k}" for k in range(len(kept))), *(f"r{k}" for k in range(len(reduced))))
    extents, strides = (*kept, *reduced), (*kept_strides, *reduced_strides)
    return offset(index, strides, wide=is_wide(extents, strides))


def softmax(kept: Shape, kept_strides: Shape, reduced: Shape, reduced_strides: Shape, target: Target) -> Softmax:
    width = 1
    if kept and kept_strides[-1] == 1:
        width = widest(target.vector_width, kept[-1])
    steps = math.prod(kept[:-1]) * -(-kept[-1] // width) if kept else 1
    grid = Grid.of(steps, target, width, 4 * math.prod(reduced))
    return Softmax(kept, kept_strides, reduced, reduced_strides, width, grid)
