"""Convolution of few plain channels: bands of rows are copied with borders, lanes hold neighbours along a row."""

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
MOST_BAND = 8192
"""Floats of private memory for the rows of several channels."""
ITEMS_PER_UNIT = 4
"""At least, where bands can be low enough."""
STREAMED_ROWS = 2
"""As `MOST_ROWS`, where results leave the caches: memory takes them faster one row after another."""
CACHE_SHARE = 4
"""One part in so many of the last cache is what tensors may fill to stay there."""
UNALIGNED_LOAD = 2
"""Products that take as long as a load across two lines of the cache."""


@dataclass(frozen=True)
class ConvWindowRows(GridKernel):
    """x, y: (N, C, depth, height, width), plain. A work-item computes `height` rows of all results of one group,
    `rows` of `channels` at a time; the last ones overlap those before them."""

    stem: ClassVar[str] = "conv_window_rows"
    x: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    geometry: Geometry
    groups: int
    height: int
    channels: int
    rows: int
    lanes: int
    grid: Grid

    @property
    def title(self) -> str:
        size = "x".join(map(str, self.geometry.size))
        return (
            f"{size} stride {self.geometry.stride} groups {self.groups}, x {self.x.spec}, y {self.y.spec}, "
            f"{self.height} rows, {self.rows} of {self.channels} channels at a time"
        )

    @property
    def wide(self) -> bool:
        weights = self.y.spec.shape[1] * self.in_channels * self.geometry.taps
        return self.x.axes_fit and self.y.axes_fit and weights <= INT_MAX

    @property
    def arguments(self) -> str:
        inputs = [self.x.argument, "__global const float *restrict filter", "__global const float *restrict bias"]
        return ", ".join([*inputs, *(e.argument for e in self.extras), self.y.result_argument])

    @property
    def type(self) -> str:
        return f"float{self.lanes}"

    @property
    def in_channels(self) -> int:
        """Of one group."""
        return self.x.spec.shape[1] // self.groups

    @property
    def results(self) -> int:
        """Of one group."""
        return self.y.spec.shape[1] // self.groups

    @property
    def counts(self) -> Shape:
        """Of n, groups, od, bands of rows."""
        n, _, depth, height, _ = self.y.spec.shape
        return n, self.groups, depth, -(-height // self.height)

    @property
    def band(self) -> Shape:
        """Slices, rows and elements of a row under the windows of an item."""
        return _band(self.geometry, self.height, self.y.spec.shape[4])

    @property
    def part(self) -> int:
        """Places for those elements of a row that are a stride apart; they lie side by side in the band."""
        return -(-self.band[2] // self.geometry.stride[2])

    @property
    def line(self) -> int:
        """Places for a row of the band."""
        return self.part * self.geometry.stride[2]

    @property
    def copied(self) -> tuple[int, int, int]:
        """Of a row of x: the first element, its place in the row, and how many there are."""
        before, extent, span = self.geometry.before[2], self.x.spec.shape[4], self.band[2]
        first, place = max(0, -before), min(max(0, before), span)
        return first, place, max(0, min(extent - first, span - place))

    @property
    def copies(self) -> list[tuple[int, int, int]]:
        """For each part of the row: the first of its elements in x, its place in the band, and how many there are."""
        stride, (first, place, count) = self.geometry.stride[2], self.copied
        begins = [(phase - place) % stride for phase in range(stride)]
        return [(first + b, self.place(place + b), -(-(count - b) // stride)) for b in begins if b < count]

    def place(self, element: int) -> int:
        """Of an element of the row in the band's."""
        stride = self.geometry.stride[2]
        return element % stride * self.part + element // stride

    def place_of(self, element: str) -> str:
        """C text of the same."""
        stride = self.geometry.stride[2]
        return element if stride == 1 else f"{element} % {stride} * {self.part} + {element} / {stride}"

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

    def border(self, element: str) -> str:
        """C text: what stands at an element of the row beyond those that are copied."""
        if tested(self.geometry.border):
            return "0.0f"
        return f"from[{self.source(2, f'({element} - ({self.geometry.before[2]}))')}]"

    def vector(self, at: str) -> str:
        """C text: neighbours in a part of the row."""
        stride = self.geometry.stride[2]
        if stride == 1:
            return f"vload{self.lanes}(0, from + {at})"
        return strided_load("from", f"({at})", F32, stride, self.lanes)

    @property
    def places(self) -> list[int]:
        """Rows of the band that are read for `rows` rows of results, from the first one's on."""
        return _places(self.geometry, self.rows)

    def pixels(self, place: int, tap: int) -> str:
        """C text: the elements of one of `places` under tap `tap` along the width."""
        at = place * self.line + self.place(tap * self.geometry.dilation[2])
        return f"vload{self.lanes}(0, under + {at})"

    def finish(self, channel: int, row: int) -> list[str]:
        """Epilogue and store of a vector of results."""
        index = ["n", f"(k + {channel})", "od", f"(oh + {row})", "ow"]
        operands = [f"sum{channel}_{row}", *(e.load_along(index, self.lanes) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.lanes)
        return [*steps, self.y.store_along(result, index, self.lanes)]


@dataclass(frozen=True)
class PackTaps(PackFloats):
    """(K, C/groups, taps...) -> [K][C/groups * taps]."""

    def shape(self, filter: Shape) -> Shape:
        return (filter[0], math.prod(filter[1:]))

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        return filter.reshape(self.shape(filter.shape))


def _places(geometry: Geometry, rows: int) -> list[int]:
    stride, dilation = geometry.stride[1], geometry.dilation[1]
    return sorted({t * stride + k * dilation for t in range(rows) for k in range(geometry.size[1])})


def _lines(geometry: Geometry, channels: int, rows: int) -> int:
    return geometry.size[2] * (len(_places(geometry, rows)) + geometry.size[1] * channels * (1 + rows))


def _band(geometry: Geometry, height: int, width: int) -> Shape:
    def under(axis: int, outputs: int) -> int:
        return (outputs - 1) * geometry.stride[axis] + (geometry.size[axis] - 1) * geometry.dilation[axis] + 1

    return geometry.size[0], under(1, height), under(2, width)


def conv_window_rows(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, groups: int,
    target: Target,
) -> ConvWindowRows | None:  # fmt: skip
    """The kernel, or None in other layouts, for short rows, and where private memory does not hold a band, because
    channels of a group are many or windows wide."""
    if x.block > 1 or y.block > 1:
        return None
    n, _, depth, height, width = y.spec.shape
    lanes, in_channels, results = target.vector_width, x.spec.shape[1] // groups, y.spec.shape[1] // groups
    slices, under, span = _band(geometry, 1, width)
    row = in_channels * slices * -(-span // geometry.stride[2]) * geometry.stride[2]
    tallest = 1 + ((MAX_ROW if in_channels == 1 else MOST_BAND) // row - under) // geometry.stride[1]
    if not SMALLEST <= lanes <= width or tallest < 1 or _lines(geometry, 1, 1) > MOST_LINES:
        return None
    others = n * groups * depth
    tallest = min(tallest, max(1, others * height // (ITEMS_PER_UNIT * target.compute_units)))
    tall = -(-height // -(-height // tallest))
    streamed = x.spec.bytes + y.spec.bytes > target.cache // CACHE_SHARE > 0
    most = min(tall, STREAMED_ROWS if streamed else MOST_ROWS)
    channels, rows = _tile(geometry, results, tall, most, target.vector_registers)
    count = others * -(-height // tall)
    cost = results * in_channels * geometry.taps * tall * -(-width // lanes)
    grid = Grid.of(count, target, lanes, cost)
    return ConvWindowRows(x, y, extras, epilogue, geometry, groups, tall, channels, rows, lanes, grid)


def _tile(geometry: Geometry, results: int, tall: int, most: int, registers: int) -> tuple[int, int]:
    """Channels and rows of the register tile of least work over a band of `tall` rows, loads and what is computed twice
    counted. most: rows."""
    found: list[tuple[int, int, int]] = []
    for rows in range(1, most + 1):
        places = len(_places(geometry, rows))
        for channels in range(1, results + 1):
            together = rows * channels
            if together > 1 and (places + together >= registers or _lines(geometry, channels, rows) > MOST_LINES):
                break
            rounds = -(-results // channels) * -(-tall // rows)
            found.append((rounds * (geometry.size[1] * together + UNALIGNED_LOAD * places), rows, channels))
    _, rows, channels = min(found)
    return channels, rows
