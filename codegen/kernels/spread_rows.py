"""debox and desample by whole rows: every window adds to a row in private memory, which vectors then write."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import Access, offset
from nnef_cl.codegen.ctypes import index_type, literal
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernels.spread import Spread
from nnef_cl.codegen.kernels.window import MAX_ROW, SMALLEST, Geometry, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import row_major_strides


@dataclass(frozen=True)
class SpreadRows(Spread):
    """lanes: of vectors of y."""

    stem: ClassVar[str] = "spread_rows"
    lanes: int

    @property
    def length(self) -> int:
        """Elements of a row of y."""
        return self.y.spec.shape[-1]

    @property
    def windows_met(self) -> tuple[int, int]:
        """First window along the row that puts something there, and the one behind the last; beyond the ends of x too,
        where it repeats elements."""
        g, extent = self.geometry, self.x.spec.shape[-1]
        reach = (g.size[-1] - 1) * g.dilation[-1]
        first, end = -((reach - g.before[-1]) // g.stride[-1]), (self.length - 1 + g.before[-1]) // g.stride[-1] + 1
        return (max(first, 0), min(end, extent)) if tested(g.border) else (first, end)

    @property
    def source(self) -> str:
        """C text: the element of x's row that window t has."""
        return border_index(self.geometry.border, "t", self.x.spec.shape[-1])

    @property
    def index_type(self) -> str:
        """C type of offsets in x."""
        return index_type(self.x.spec.volume)

    @property
    def start(self) -> str:
        """C text: where the row of x begins whose windows are met."""
        return self.x.at([*(f"i{a}" if a in self.across else f"o{a}" for a in range(self.last)), "0"])

    @property
    def first_place(self) -> str:
        """C text: the place in the window where the current row of taps begins."""
        names = [f"k{a}" if a in self.across else "0" for a in range(self.x.spec.rank)]
        return f"({offset(names, row_major_strides(self.geometry.size))})"

    @cached_property
    def finish(self) -> list[str]:
        lines = [f"sum /= {literal(float(self.divisor), F32)};"] if self.divisor != 1 else []
        index = list(self.axes)
        operands = ["sum", *(e.load_along(index, self.lanes) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.lanes)
        return [*lines, *steps, self.y.store_along(result, index, self.lanes)]


def spread_rows(
    x: Access, places: Access | None, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry,
    divisor: int, target: Target,
) -> SpreadRows | None:  # fmt: skip
    """The kernel; None without vectors, and for rows that are too short or too long."""
    length = y.spec.shape[-1] if y.spec.shape else 0
    lanes = min(target.vector_width, 1 << (length.bit_length() - 1)) if length else 1
    if lanes < SMALLEST or length > MAX_ROW:
        return None
    taps = geometry.taps // math.prod(geometry.stride) + 1
    grid = Grid.of(y.spec.volume // length, target, lanes, length * taps)
    return SpreadRows(x, y, geometry, grid, places, extras, epilogue, divisor, lanes)
