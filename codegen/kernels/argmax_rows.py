"""Where in each window the maximum lies, for plain tensors by whole rows, with vectors along them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import Access, offset
from nnef_cl.codegen.kernels.pool_rows import RowWindows, row_pieces
from nnef_cl.codegen.kernels.sample import ArgmaxPool
from nnef_cl.codegen.kernels.window import Geometry
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import row_major_strides


@dataclass(frozen=True)
class ArgmaxRows(RowWindows, ArgmaxPool):
    stem: ClassVar[str] = "argmax_rows"
    segment: int
    lanes: int

    @property
    def note(self) -> list[str]:
        """C statements: the row of x under the current tap takes part; rows of zeros begin at -1."""
        names = [f"k{a}" if a in self.across else "0" for a in range(self.last)]
        number = offset(names, row_major_strides(self.geometry.size[:-1]))
        start = f"{self.row_inside} ? {self.row_start} : -1" if self._zeros else self.row_start
        noted = f"taps[rows] = {number}; starts[rows++] = {start};"
        return [f"if ({self.row_inside}) {{ {noted} }}" if self.row_inside and not self._zeros else noted]

    @property
    def _zeros(self) -> bool:
        """Whether there are rows of zeros."""
        return self.geometry.border == "constant" and bool(self.row_inside)

    def zero_if_outside(self, width: int) -> str:
        """C text before a value, which is zero in rows outside."""
        zero = "0.0f" if width == 1 else f"(float{width})(0.0f)"
        return f"starts[k] < 0 ? {zero} : " if self._zeros else ""

    def choose(self, width: int, old: str, new: str) -> str:
        """C text: the new value where it is better."""
        return f"{'SELECT' if width == 1 else 'select'}({old}, {new}, better)"

    @property
    def stores(self) -> list[str]:
        index, width = list(self.axes), self.results
        values = [self.values.store_along("largest", index, width)] if self.values else []
        lanes = "" if width == 1 else width
        place = f"convert_long{lanes}(max(place, (int{lanes})(0)))"
        return [*values, self.y.store_along(place, index, width)]


def argmax_rows(x: Access, y: Access, values: Access | None, geometry: Geometry, target: Target) -> ArgmaxRows | None:
    """The kernel; None where there are no pieces of rows."""
    pieces = row_pieces(x, y, geometry, target)
    if pieces is None:
        return None
    segment, lanes, grid = pieces
    return ArgmaxRows(x, y, geometry, grid, values, segment, lanes)
