"""Copies that exchange axes, by tiles through local memory: reads and writes both walk along memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, offset
from nnef_cl.codegen.ctypes import index_type, stored_type
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.kernels.pointwise import Strided, merge_axes
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape

SIDES = (32, 16)
"""Elements along a tile's side."""
SMALLEST = 8
"""Extents below waste most of a tile, and few elements lie between neighbours then."""


@dataclass(frozen=True)
class Transpose(Kernel):
    """y[base + strides . i] = x[base + strides . i]; x lies contiguous along `axis`, y along the last axis.

    side: of the square tiles over these two; rows: of a tile that the work-group copies at a time.
    """

    stem: ClassVar[str] = "transpose"
    what: str
    extents: Shape
    x: Strided
    y: Strided
    axis: int
    side: int
    rows: int

    @property
    def title(self) -> str:
        return f"{self.what} over {' x '.join(map(str, self.extents))}, tiles of {self.side} x {self.side}"

    @property
    def counts(self) -> Shape:
        """Work-groups along every axis."""
        tiled = self.axis, len(self.extents) - 1
        return tuple(-(-n // self.side) if a in tiled else n for a, n in enumerate(self.extents))

    @property
    def groups(self) -> int:
        count = 1
        for extent in self.counts:
            count *= extent
        return count

    @property
    def wide(self) -> bool:
        return True

    @property
    def global_size(self) -> tuple[int, ...]:
        return (self.groups * self.side * self.rows,)

    @property
    def local_size(self) -> tuple[int, ...]:
        return (self.side * self.rows,)

    @property
    def type(self) -> str:
        return stored_type(self.x.dtype)

    @property
    def names(self) -> tuple[str, ...]:
        """Numbers of the work-group along every axis: of tiles along two of them."""
        tiled = self.axis, len(self.extents) - 1
        return tuple(f"tile{a}" if a in tiled else f"i{a}" for a in range(len(self.extents)))

    @property
    def group_type(self) -> str:
        return index_type(self.groups)

    def index(self, axis: int) -> str:
        """C type of the index along an axis, which may pass the end by one tile."""
        return index_type(self.extents[axis] + self.side)

    def at(self, operand: Strided) -> str:
        index = tuple(f"i{a}" for a in range(len(self.extents)))
        wide = is_wide(self.extents, operand.strides, operand.base)
        return offset(index, operand.strides, operand.base, wide)


def transpose(what: str, extents: Shape, x: Strided, y: Strided, target: Target) -> Transpose | None:
    """None where a plain copy walks along memory as well, or where there is no local memory for a tile."""
    extents, (y, x) = merge_axes(extents, (y, x))
    last = len(extents) - 1
    axis = next((a for a, s in enumerate(x.strides) if s == 1), last)
    if target.vector_width > 1 or axis == last or y.strides[last] != 1:
        return None
    if min(extents[axis], extents[last]) < SMALLEST:
        return None
    group = min(target.work_group, target.max_work_group)
    for side in SIDES:
        if side <= group and side * (side + 1) * x.dtype.bytes <= target.local_memory:
            return Transpose(what, extents, x, y, axis, side, min(side, group // side))
    return None
