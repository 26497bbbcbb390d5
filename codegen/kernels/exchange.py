"""Copies whose source and result are contiguous along different axes, by square tiles in vector registers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, join_axes, offset
from nnef_cl.codegen.ctypes import index_literal, index_type, stored_type
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.pointwise import Guard, Strided, merge_axes
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape

SMALLEST = 4
"""Lanes below which a tile is no better than single elements."""


@dataclass(frozen=True)
class Exchange(GridKernel):
    """y[base + strides . i] = x[base + strides . i]; x lies contiguous along `along_x`, y along `along_y`.

    width: of the square tiles over these two axes; the last tile of an axis overlaps the one before it.
    guard: channels that are padding get zeros ('zero', their axis being `along_y`) or are left out ('skip', `along_x`).
    """

    stem: ClassVar[str] = "exchange"
    what: str
    extents: Shape
    x: Strided
    y: Strided
    along_x: int
    along_y: int
    width: int
    guard: Guard | None
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.what} over {' x '.join(map(str, self.extents))}, tiles of {self.width} x {self.width}"

    @property
    def wide(self) -> bool:
        return True

    @property
    def element(self) -> str:
        return stored_type(self.x.dtype)

    @property
    def tiled(self) -> tuple[int, int]:
        return self.along_x, self.along_y

    @property
    def counts(self) -> Shape:
        """Items along every axis: tiles along two of them."""
        return tile_counts(self.extents, self.tiled, self.width)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"tile{a}" if a in self.tiled else f"i{a}" for a in range(len(self.extents)))

    def index(self, axis: int) -> str:
        """C type of the index along an axis."""
        return index_type(self.extents[axis] + self.width)

    def start(self, axis: int) -> str:
        """C text of a tile's first index along one of its axes."""
        kind = self.index(axis)
        last = index_literal(self.extents[axis] - self.width, kind)
        return f"min(tile{axis} * {index_literal(self.width, kind)}, {last})"

    def _place(self, operand: Strided, axis: int, k: int) -> str:
        """C text: offset of element k along `axis` of the current tile."""
        names = [f"(i{a} + {k})" if a == axis and k else f"i{a}" for a in range(len(self.extents))]
        wide = is_wide(self.extents, operand.strides, operand.base)
        return offset(names, operand.strides, operand.base, wide)

    def _inside(self, k: int) -> str:
        """C text: channel k of the tile is no padding."""
        guard = self.guard
        assert guard is not None
        return f"i{guard.outer} * {guard.block} + i{guard.lane} + {k} < {guard.limit}"

    @cached_property
    def loads(self) -> list[str]:
        """Row k of the tile: contiguous in x, index k along y's axis."""
        lines = []
        for k in range(self.width):
            value = f"vload{self.width}(0, x + {self._place(self.x, self.along_y, k)})"
            if self.guard is not None and self.guard.padding == "zero":
                value = f"{self._inside(k)} ? {value} : ({self.element}{self.width})(0)"
            lines.append(f"{self.element}{self.width} r0_{k} = {value};")
        return lines

    @cached_property
    def rounds(self) -> list[str]:
        """Perfect shuffles of rows k and k + width / 2: log2(width) rounds transpose the tile."""
        lines, half = [], self.width // 2
        for turn in range(self.turns):
            for k in range(half):
                a, b = f"r{turn}_{k}", f"r{turn}_{k + half}"
                for part, row in (("lo", 2 * k), ("hi", 2 * k + 1)):
                    to = f"r{turn + 1}_{row}"
                    lines.append(f"{self.element}{self.width} {to}; {to}.even = {a}.{part}; {to}.odd = {b}.{part};")
        return lines

    @property
    def turns(self) -> int:
        return self.width.bit_length() - 1

    @cached_property
    def stores(self) -> list[str]:
        """Column k of the tile: contiguous in y, index k along x's axis."""
        lines = []
        for k in range(self.width):
            store = f"vstore{self.width}(r{self.turns}_{k}, 0, y + {self._place(self.y, self.along_x, k)});"
            if self.guard is not None and self.guard.padding == "skip":
                store = f"if ({self._inside(k)}) {store}"
            lines.append(store)
        return lines


def tile_counts(extents: Shape, tiled: tuple[int, int], width: int) -> Shape:
    return tuple(-(-n // width) if a in tiled else n for a, n in enumerate(extents))


def exchange(
    what: str, extents: Shape, x: Strided, y: Strided, target: Target, guard: Guard | None = None
) -> Exchange | None:
    """None where both walk along the same axis, where extents are shorter than a vector, or without vectors."""
    extents, (y, x), guard = _merged(extents, (y, x), guard)
    along_x, along_y = _contiguous(extents, x), _contiguous(extents, y)
    if along_x is None or along_y is None or along_x == along_y:
        return None
    width = target.vector_width
    while width > min(extents[along_x], extents[along_y]):
        width //= 2
    if width < SMALLEST or not _suits(guard, along_x, along_y, width):
        return None
    counts = tile_counts(extents, (along_x, along_y), width)
    grid = Grid.of(math.prod(counts), target, width, width)
    return Exchange(what, extents, x, y, along_x, along_y, width, guard, grid)


def _merged(
    extents: Shape, operands: tuple[Strided, ...], guard: Guard | None
) -> tuple[Shape, tuple[Strided, ...], Guard | None]:
    """As few axes as possible; those that the guard looks at stay."""
    if guard is None:
        return (*merge_axes(extents, operands), None)
    first, last = guard.outer + 1, guard.lane
    middle, strides = join_axes(extents[first:last], [o.strides[first:last] for o in operands])
    merged = tuple(
        replace(o, strides=(*o.strides[:first], *s, *o.strides[last:])) for o, s in zip(operands, strides, strict=True)
    )
    return (*extents[:first], *middle, *extents[last:]), merged, replace(guard, lane=first + len(middle))


def _contiguous(extents: Shape, operand: Strided) -> int | None:
    return next((a for a, s in enumerate(operand.strides) if s == 1 and extents[a] > 1), None)


def _suits(guard: Guard | None, along_x: int, along_y: int, width: int) -> bool:
    """Whether a tile holds whole channel blocks on the axis that the guard looks at."""
    if guard is None:
        return True
    axis = {"zero": along_y, "skip": along_x}.get(guard.padding)
    return axis == guard.lane and guard.block % width == 0
