"""Rearrangements whose source index is not affine: borders of `pad`, indices of `gather`; the check of indices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, offset
from nnef_cl.codegen.ctypes import INT_MAX, index_type, literal, stored_type
from nnef_cl.codegen.expression import widest
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.window import border_index
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import DType
from nnef_cl.ir.layout import Shape, row_major_strides


@dataclass(frozen=True)
class Pad(GridKernel):
    """Stored tensors. before: elements added (or cropped, negative) in front per axis; value: for 'constant'. width:
    neighbours along the last axis that an item writes."""

    stem: ClassVar[str] = "pad"
    dtype: DType
    x: Shape
    y: Shape
    before: Shape
    border: str
    value: float
    width: int
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.border} {self.x} -> {self.y}, {self.width} lanes"

    @property
    def wide(self) -> bool:
        return max((*self.x, *self.y), default=1) <= INT_MAX // 4

    @property
    def type(self) -> str:
        return stored_type(self.dtype)

    @property
    def axes(self) -> tuple[str, ...]:
        """Of the loop: those of y, the last one in steps of `width`."""
        names = tuple(f"o{k}" for k in range(len(self.y)))
        return names if self.width == 1 else (*names[:-1], "step")

    @property
    def counts(self) -> Shape:
        return self.y if self.width == 1 else (*self.y[:-1], -(-self.y[-1] // self.width))

    def source(self, axis: int) -> str:
        return border_index(self.border, f"(o{axis} - ({self.before[axis]}))", self.x[axis])

    def inside(self, axes: Iterable[int]) -> str:
        """C text: whether the source is an element, as far as these axes tell."""
        checks = [
            f"i{a} >= 0 && i{a} < {self.x[a]}" for a in axes
            if self.before[a] > 0 or self.y[a] - self.before[a] > self.x[a]
        ]  # fmt: skip
        return " && ".join(checks) if self.border == "constant" and checks else "1"

    def at(self, axes: int) -> str:
        """C text: the source's offset by the first axes."""
        return self._offset(self.x, [f"i{a}" for a in range(axes)])

    @property
    def to(self) -> str:
        """C text: where the row begins that is written."""
        return self._offset(self.y, list(self.axes[:-1]))

    @property
    def index(self) -> str:
        """C type of offsets."""
        return "long" if self._wide(self.x) or self._wide(self.y) else "int"

    @staticmethod
    def _wide(shape: Shape) -> bool:
        return is_wide(shape, row_major_strides(shape))

    def _offset(self, shape: Shape, names: list[str]) -> str:
        return offset(names, row_major_strides(shape)[: len(names)], wide=self._wide(shape))

    @property
    def filling(self) -> str:
        return literal(self.value, self.dtype)


@dataclass(frozen=True)
class Gather(GridKernel):
    """y[outer, k, inner] = x[outer, indices[k], inner]; an index outside 0 .. extent-1 is clamped. width: neighbours
    along `inner` that an item moves."""

    stem: ClassVar[str] = "gather"
    dtype: DType
    outer: int
    extent: int
    count: int
    inner: int
    width: int
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.count} of {self.extent}, outer {self.outer}, inner {self.inner}, {self.width} lanes"

    @property
    def type(self) -> str:
        return stored_type(self.dtype)

    @property
    def wide(self) -> bool:
        return True

    @property
    def index(self) -> str:
        """C type of a number of x's first axis."""
        return index_type(self.extent)

    @property
    def names(self) -> tuple[str, ...]:
        return ("outer", "k", "inner" if self.width == 1 else "step")

    @property
    def counts(self) -> Shape:
        return (self.outer, self.count, -(-self.inner // self.width))

    @property
    def move(self) -> str:
        """C statement that copies what is picked."""
        source, result = self._place(self.extent, "index"), self._place(self.count, "k")
        if self.width == 1:
            return f"y[{result}] = x[{source}];"
        return f"vstore{self.width}(vload{self.width}(0, x + {source}), 0, y + {result});"

    def _place(self, extent: int, index: str) -> str:
        shape = (self.outer, extent, self.inner)
        strides = row_major_strides(shape)
        return offset(["outer", index, "inner"], strides, wide=is_wide(shape, strides))


@dataclass(frozen=True)
class CheckIndices(GridKernel):
    """Sets the flag where one of `count` indices is outside 0 .. limit-1."""

    stem: ClassVar[str] = "check_indices"
    count: int
    limit: int
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.count} of them below {self.limit}"

    @property
    def wide(self) -> bool:
        return True


def pad(dtype: DType, x: Shape, y: Shape, before: Shape, border: str, value: float, target: Target) -> Pad:
    width = target.vector_width if x else 1
    steps = math.prod(y[:-1]) * -(-y[-1] // width) if y else 1
    return Pad(dtype, x, y, before, border, value, width, Grid.of(steps, target, width))


def gather(dtype: DType, outer: int, extent: int, count: int, inner: int, target: Target) -> Gather:
    width = widest(target.vector_width, inner)
    grid = Grid.of(outer * count * -(-inner // width), target, width)
    return Gather(dtype, outer, extent, count, inner, width, grid)


def check_indices(count: int, limit: int, target: Target) -> CheckIndices:
    return CheckIndices(count, limit, Grid.of(count, target))
