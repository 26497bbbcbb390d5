"""Copies that put two or three rows between each other, element by element, or take them apart, by whole vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, offset
from nnef_cl.codegen.ctypes import index_literal, index_type, stored_type
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.exchange import SMALLEST
from nnef_cl.codegen.kernels.pointwise import Strided, merge_axes
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape

ROWS = (2, 3)


@dataclass(frozen=True)
class Interleave(GridKernel):
    """y[strides . i] = x[base + strides . i]. One side is contiguous along `along`; on the other one the elements of
    `rows`, two or three, lie between each other: together the two axes are contiguous there.

    joins: the rows are x's; otherwise they are y's. width: elements of a row that an item moves; the last item of a row
    overlaps the one before it.
    """

    stem: ClassVar[str] = "interleave"
    what: str
    extents: Shape
    x: Strided
    y: Strided
    along: int
    rows: int
    joins: bool
    width: int
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.what} over {' x '.join(map(str, self.extents))}, {self.width} x {self.count} elements"

    @property
    def wide(self) -> bool:
        return True

    @property
    def element(self) -> str:
        return stored_type(self.x.dtype)

    @property
    def count(self) -> int:
        """Rows."""
        return self.extents[self.rows]

    @property
    def kept(self) -> list[int]:
        """Axes of the loop: all but the rows'."""
        return [axis for axis in range(len(self.extents)) if axis != self.rows]

    @property
    def counts(self) -> Shape:
        return tuple(-(-self.extents[a] // self.width) if a == self.along else self.extents[a] for a in self.kept)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple("tile" if a == self.along else f"i{a}" for a in self.kept)

    @property
    def index(self) -> str:
        """C type of the index along a row."""
        return index_type(self.extents[self.along] + self.width)

    @property
    def start(self) -> str:
        """C text of an item's first index along a row."""
        last = index_literal(self.extents[self.along] - self.width, self.index)
        return f"min(tile * {index_literal(self.width, self.index)}, {last})"

    def _place(self, operand: Strided, row: int) -> str:
        """C text: where the item's part of a row begins."""
        names = [str(row) if a == self.rows else f"i{a}" for a in range(len(self.extents))]
        return offset(names, operand.strides, operand.base, is_wide(self.extents, operand.strides, operand.base))

    @cached_property
    def lines(self) -> list[str]:
        """C statements: vectors of one side, the other side's made of their lanes, stores."""
        kind, width, rows = f"{self.element}{self.width}", self.width, range(self.count)
        if self.joins:
            source = [self._place(self.x, row) for row in rows]
            result = [f"{self._place(self.y, 0)} + {part * width}" for part in rows]
        else:
            source = [f"{self._place(self.x, 0)} + {part * width}" for part in rows]
            result = [self._place(self.y, row) for row in rows]
        lines = [f"const {kind} a{k} = vload{width}(0, x + {at});" for k, at in enumerate(source)]
        for k, at in enumerate(result):
            lanes = ", ".join("a{}.s{:x}".format(*self._origin(k, lane)) for lane in range(width))
            lines.append(f"vstore{width}(({kind})({lanes}), 0, y + {at});")
        return lines

    def _origin(self, vector: int, lane: int) -> tuple[int, int]:
        """Vector and lane of x that a lane of y's vector comes from."""
        if self.joins:
            return (vector * self.width + lane) % self.count, (vector * self.width + lane) // self.count
        return divmod(lane * self.count + vector, self.width)


def interleave(what: str, extents: Shape, x: Strided, y: Strided, target: Target) -> Interleave | None:
    """None where no two axes fit, or without vectors."""
    extents, (y, x) = merge_axes(extents, (y, x))
    for rows, count in enumerate(extents):
        for along, length in enumerate(extents):
            joins = (x.strides[along], y.strides[rows], y.strides[along]) == (1, 1, count)
            parts = (y.strides[along], x.strides[rows], x.strides[along]) == (1, 1, count)
            width = min(target.vector_width, 1 << (length.bit_length() - 1))
            if rows == along or count not in ROWS or width < SMALLEST or not (joins or parts):
                continue
            shape = [length if a == along else n for a, n in enumerate(extents) if a != rows]
            items = math.prod(shape) // length * -(-length // width)
            grid = Grid.of(items, target, width, count)
            return Interleave(what, extents, x, y, along, rows, joins, width, grid)
    return None
