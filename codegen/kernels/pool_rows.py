"""Sliding-window sums and maxima of plain tensors by whole rows, with vectors along them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import index_type, literal
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernels.pointwise import FEWEST_SHUFFLED
from nnef_cl.codegen.kernels.pool import Pool
from nnef_cl.codegen.kernels.window import MAX_ROW, SMALLEST, Geometry, WindowKernel, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape

MAX_TAPS = 1024
"""Rows under one window."""


class RowWindows(WindowKernel):
    """What kernels share whose items compute pieces of rows: the rows of x under the windows of such a piece become one
    row in private memory first.

    segment: results of a row that one item computes; the last segment overlaps the one before it. lanes: of vectors
    of x.
    """

    segment: int
    lanes: int

    @property
    def results(self) -> int:
        """Lanes of vectors of y."""
        return min(self.lanes, 1 << (self.segment.bit_length() - 1))

    @property
    def taps(self) -> int:
        """Rows under one window."""
        return math.prod(self.geometry.size[:-1])

    @property
    def span(self) -> int:
        """Elements of a row of x under the windows of a segment."""
        return _span(self.geometry, self.segment)

    @property
    def room(self) -> int:
        """Elements of private memory; vectors read behind the span."""
        return self.span + 2 * self.lanes

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.axes[:-1], "part")

    @property
    def row_counts(self) -> Shape:
        return (*self.counts[:-1], -(-self.counts[-1] // self.segment))

    @property
    def index_type(self) -> str:
        """C type of offsets in x."""
        return index_type(self.x.spec.volume)

    @property
    def row_start(self) -> str:
        """C text: where the row of x under the current tap begins."""
        return self.x.at([*(f"i{a}" if a in self.across else f"o{a}" for a in range(self.last)), "0"])

    @property
    def row_inside(self) -> str:
        """C text: the row of x under the current tap exists; empty where all do."""
        checks = [
            f"t{a} >= 0 && t{a} < {self.x.spec.shape[a]}" for a in self.across
            if tested(self.geometry.border) and not self._inside(a)
        ]  # fmt: skip
        return " && ".join(checks)

    def _inside(self, axis: int) -> bool:
        return self.geometry.inside(axis, self.x.spec.shape[axis], self.y.spec.shape[axis])

    @property
    def reaches_outside(self) -> bool:
        """Whether windows reach beyond the ends of a row."""
        return not self._inside(self.last)

    @property
    def mapped(self) -> str:
        """C text: the element that place `at` outside repeats; empty where it repeats none."""
        border = self.geometry.border
        return "" if tested(border) else border_index(border, "(low + at)", self.x.spec.shape[-1])

    def strided(self, kind: str) -> str:
        """C text: every stride-th element at `from`, a vector of results of that type."""
        stride, width = self.geometry.stride[-1], self.results
        if width == 1:
            return "from[0]"
        if stride == 1:
            return f"vload{width}(0, from)"
        if stride == 2 and width >= FEWEST_SHUFFLED:
            return f"(({kind}{width})(vload{width}(0, from).even, vload{width}(1, from).even))"
        return f"(({kind}{width})({', '.join(f'from[{lane * stride}]' for lane in range(width))}))"


@dataclass(frozen=True)
class PoolRows(RowWindows, Pool):
    stem: ClassVar[str] = "pool_rows"
    segment: int
    lanes: int

    @property
    def width(self) -> int:
        return self.results

    @property
    def note(self) -> str:
        """C statement: the row of x under the current tap takes part."""
        noted = f"starts[rows++] = {self.row_start};"
        return f"if ({self.row_inside}) {noted}" if self.row_inside else noted

    @property
    def initial(self) -> str:
        return "-INFINITY" if self.maximum else "0.0f"

    @property
    def first_value(self) -> str:
        """C text: zeros of rows outside take part in maxima."""
        zeros = self.maximum and self.geometry.border == "constant"
        return f"rows < {self.taps} ? 0.0f : -INFINITY" if zeros else self.initial

    @property
    def outside_value(self) -> str:
        """C text: what stands outside of a row, before elements of x that it repeats."""
        return "0.0f" if self.geometry.border == "constant" else self.initial

    def combine(self, value: str, width: int | None = None) -> str:
        """C statement; a NaN in the window makes a NaN."""
        width = self.results if width is None else width
        if not self.maximum:
            return f"sum += {value};"
        kind, select = ("float", "SELECT") if width == 1 else (f"float{width}", "select")
        return f"{{ const {kind} value = {value}; sum = {select}(sum, value, value > sum || value != value); }}"

    @property
    def counted_along(self) -> bool:
        """Whether results of one row have windows of different sizes."""
        return self.normalize == "valid" and self.reaches_outside

    @property
    def count_type(self) -> str:
        return "int" if self.results == 1 else f"int{self.results}"

    @property
    def count_tap(self) -> str:
        """C statement; comparisons of vectors give -1."""
        g, lanes = self.geometry, "" if self.results == 1 else f" + LANES{self.results}"
        place = f"(o{self.last}{lanes}) * {g.stride[-1]} + k * {g.dilation[-1]} - ({g.before[-1]})"
        sign = "+" if self.results == 1 else "-"
        return f"{{ const {self.count_type} t = {place}; taps {sign}= t >= 0 && t < {self.x.spec.shape[-1]}; }}"

    @property
    def _divisor(self) -> str:
        if self.normalize == "volume":
            return literal(float(self.geometry.taps), F32)
        along = f"convert_{self.type}(taps)" if self.counted_along else literal(float(self.geometry.size[-1]), F32)
        return f"(float)rows * {along}"

    @cached_property
    def finish(self) -> list[str]:
        lines = [f"sum /= {self._divisor};"] if not self.maximum and self.normalize != "none" else []
        index = list(self.axes)
        operands = ["sum", *(e.load_along(index, self.results) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.results)
        return [*lines, *steps, self.y.store_along(result, index, self.results)]


def _span(geometry: Geometry, segment: int) -> int:
    reach = (geometry.size[-1] - 1) * geometry.dilation[-1] + 1
    return (segment - 1) * geometry.stride[-1] + reach


def _shorter(access: Access) -> Access:
    return replace(access, spec=replace(access.spec, shape=access.spec.shape[:-1]))


def row_pieces(x: Access, y: Access, geometry: Geometry, target: Target) -> tuple[int, int, Grid] | None:
    """Results of a row that one item computes, lanes and items; None without vectors, in blocked layouts, for short
    rows, and where windows are too large."""
    g = geometry
    if x.block > 1 or x.spec.rank == 0 or math.prod(g.size[:-1]) > MAX_TAPS or _span(g, 1) > MAX_ROW:
        return None
    count = y.spec.shape[-1]
    longest = 1 + (MAX_ROW - _span(g, 1)) // g.stride[-1]
    segment = -(-count // -(-count // longest))
    span, taps = _span(g, segment), math.prod(g.size[:-1])
    lanes = min(target.vector_width, 1 << (min(span, x.spec.shape[-1]).bit_length() - 1))
    if lanes < SMALLEST:
        return None
    items = y.spec.volume // count * -(-count // segment)
    return segment, lanes, Grid.of(items, target, lanes, (span * taps + segment * g.size[-1]) // lanes + 1)


def pool_rows(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, maximum: bool,
    normalize: str, target: Target,
) -> PoolRows | None:  # fmt: skip
    """The kernel; None where there are no pieces of rows."""
    g = geometry
    while x.spec.rank > 1 and (x.spec.shape[-1], y.spec.shape[-1], g.size[-1], g.before[-1]) == (1, 1, 1, 0):
        x, y, extras = _shorter(x), _shorter(y), tuple(map(_shorter, extras))
        g = Geometry(g.size[:-1], g.stride[:-1], g.dilation[:-1], g.before[:-1], g.border)
    pieces = row_pieces(x, y, g, target)
    if pieces is None:
        return None
    segment, lanes, grid = pieces
    return PoolRows(x, y, g, grid, extras, epilogue, maximum, normalize, segment, lanes)
