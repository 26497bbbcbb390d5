"""Depthwise convolution of plain tensors: bands of rows are copied with borders, lanes hold neighbours of a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import INT_MAX
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernel import PackFloats
from nnef_cl.codegen.kernels.pointwise import strided_load
from nnef_cl.codegen.kernels.window import MAX_ROW, SMALLEST, Geometry, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape

MOST_ROWS = 8
"""Of results at a time: what is read for one serves its neighbours."""
MOST_LINES = 2048
"""Of code for the taps of a slice."""


@dataclass(frozen=True)
class ConvDepthwiseRows(GridKernel):
    """x: (N, C, depth, height, width), y: the same with `multiplier` results per channel, both plain. A work-item
    computes `height` rows of all results of one channel, `rows` at a time; the last ones overlap those before them."""

    stem: ClassVar[str] = "conv_depthwise_rows"
    x: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    geometry: Geometry
    height: int
    rows: int
    lanes: int
    grid: Grid

    @property
    def title(self) -> str:
        size = "x".join(map(str, self.geometry.size))
        return f"{size} stride {self.geometry.stride}, x {self.x.spec}, y {self.y.spec}, {self.height} rows"

    @property
    def wide(self) -> bool:
        weights = self.y.spec.shape[1] * self.geometry.taps
        return self.x.axes_fit and self.y.axes_fit and weights <= INT_MAX

    @property
    def arguments(self) -> str:
        inputs = [self.x.argument, "__global const float *restrict filter", "__global const float *restrict bias"]
        return ", ".join([*inputs, *(e.argument for e in self.extras), self.y.result_argument])

    @property
    def type(self) -> str:
        return f"float{self.lanes}"

    @property
    def multiplier(self) -> int:
        return self.y.spec.shape[1] // self.x.spec.shape[1]

    @property
    def counts(self) -> Shape:
        """Of n, channels of x, od, bands of rows."""
        n, _, depth, height, _ = self.y.spec.shape
        return n, self.x.spec.shape[1], depth, -(-height // self.height)

    @property
    def band(self) -> Shape:
        """Slices, rows and elements of a row under the windows of an item."""
        return _band(self.geometry, self.height, self.y.spec.shape[4])

    @property
    def copied(self) -> tuple[int, int, int]:
        """Of a row of x: the first element, its place in the band's row, and how many there are."""
        before, extent, span = self.geometry.before[2], self.x.spec.shape[4], self.band[2]
        first, place = max(0, -before), min(max(0, before), span)
        return first, place, max(0, min(extent - first, span - place))

    @property
    def outside(self) -> str:
        """C text: there is no such row of x; empty where that cannot be or another one stands for it."""
        if not tested(self.geometry.border):
            return ""
        shapes = self.x.spec.shape, self.y.spec.shape
        checked = [a for a in (0, 1) if not self.geometry.inside(a, shapes[0][2 + a], shapes[1][2 + a])]
        return " || ".join(f"i{a} < 0 || i{a} >= {shapes[0][2 + a]}" for a in checked)

    def source(self, axis: int, index: str) -> str:
        """C text: where an index reads."""
        return border_index(self.geometry.border, index, self.x.spec.shape[2 + axis])

    def border(self, place: str) -> str:
        """C text: what stands at a place of the band's row beyond those that are copied."""
        if tested(self.geometry.border):
            return "0.0f"
        return f"from[{self.source(2, f'({place} - ({self.geometry.before[2]}))')}]"

    @property
    def places(self) -> list[int]:
        """Rows of the band that are read for `rows` rows of results, from the first one's on."""
        return _places(self.geometry, self.rows)

    def pixels(self, place: int, tap: int) -> str:
        """C text: the elements of one of `places` under tap `tap` along the width."""
        stride = self.geometry.stride[2]
        at = f"under + {place * self.band[2] + tap * self.geometry.dilation[2]}"
        return f"vload{self.lanes}(0, {at})" if stride == 1 else strided_load(f"({at})", "0", F32, stride, self.lanes)

    def finish(self, row: int) -> list[str]:
        """Epilogue and store of a vector of results."""
        index = ["n", "k", "od", "oh", "ow"]
        operands = [f"sum{row}", *(e.load_along(index, self.lanes) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.lanes)
        return [*steps, self.y.store_along(result, index, self.lanes)]


@dataclass(frozen=True)
class PackTaps(PackFloats):
    """(C, 1, taps...) -> [C][taps]."""

    def shape(self, filter: Shape) -> Shape:
        return (filter[0], math.prod(filter[2:]))

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        return filter.reshape(self.shape(filter.shape))


def _places(geometry: Geometry, rows: int) -> list[int]:
    stride, dilation = geometry.stride[1], geometry.dilation[1]
    return sorted({t * stride + k * dilation for t in range(rows) for k in range(geometry.size[1])})


def _lines(geometry: Geometry, rows: int) -> int:
    return geometry.size[2] * (len(_places(geometry, rows)) + geometry.size[1] * (1 + rows))


def _band(geometry: Geometry, height: int, width: int) -> Shape:
    def under(axis: int, outputs: int) -> int:
        return (outputs - 1) * geometry.stride[axis] + (geometry.size[axis] - 1) * geometry.dilation[axis] + 1

    return geometry.size[0], under(1, height), under(2, width)


def conv_depthwise_rows(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, groups: int,
    target: Target,
) -> ConvDepthwiseRows | None:  # fmt: skip
    """The kernel, or None where channels are not groups of their own, in other layouts, for short rows and for windows
    so wide that private memory does not hold a band."""
    if x.block > 1 or y.block > 1 or groups != x.spec.shape[1]:
        return None
    n, _, depth, height, width = y.spec.shape
    lanes = target.vector_width
    slices, under, span = _band(geometry, 1, width)
    tallest = 1 + (MAX_ROW // (slices * span) - under) // geometry.stride[1]
    if not SMALLEST <= lanes <= width or tallest < 1 or _lines(geometry, 1) > MOST_LINES:
        return None
    tall = -(-height // -(-height // tallest))
    rows = max(
        rows for rows in range(1, min(MOST_ROWS, tall) + 1)
        if rows == 1 or (
            len(_places(geometry, rows)) + rows < target.vector_registers and _lines(geometry, rows) <= MOST_LINES
        )
    )  # fmt: skip
    count = n * groups * depth * -(-height // tall)
    cost = y.spec.shape[1] // groups * geometry.taps * tall * -(-width // lanes)
    grid = Grid.of(count, target, lanes, cost)
    return ConvDepthwiseRows(x, y, extras, epilogue, geometry, tall, rows, lanes, grid)
