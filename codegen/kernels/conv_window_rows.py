"""Convolution of few plain channels: bands of rows are copied with borders, lanes hold neighbours along a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import INT_MAX
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import PackFloats, Sizes
from nnef_cl.codegen.kernels.pointwise import strided_load
from nnef_cl.codegen.kernels.window import MAX_ROW, SMALLEST, Geometry, GroupedConv, border_index, tested
from nnef_cl.codegen.target import CACHE_SHARE, Target

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape

MOST_ROWS = 8
"""Of results at a time: what is read for one serves its neighbours."""
MOST_LINES, LONGEST = 560, 2048
"""Of code for the taps of a slice, where there is a choice (compilers take seconds for so many), and where not."""
MOST_BAND = 8192
"""Floats of private memory for the rows of several channels."""
ITEMS_PER_UNIT = 4
"""At least, where bands can be low enough."""
STREAMED_ROWS = 2
"""As `MOST_ROWS`, where results leave the caches: memory takes them faster one row after another."""
MOST_SPREAD = 16 << 10
"""Bytes of weights, one in all lanes of a vector, that stay in the nearest cache."""
UNALIGNED_LOAD = 2
"""Products that take as long as a load across two lines of the cache."""


@dataclass(frozen=True)
class ConvWindowRows(GroupedConv):
    """x, y: (N, C, depth, height, width), plain. A work-item computes `height` rows of all results of one group,
    `rows` of `channels` at a time; the last ones overlap those before them."""

    stem: ClassVar[str] = "conv_window_rows"
    height: int
    channels: int
    rows: int
    lanes: int
    grid: Grid

    @property
    def title(self) -> str:
        return (
            f"{self.size} stride {self.geometry.stride} groups {self.groups}, x {self.x.spec}, y {self.y.spec}, "
            f"bands of {self.height} rows, {self.rows} rows x {self.channels} channels at a time"
        )

    @property
    def wide(self) -> bool:
        weights = self.y.spec.shape[1] * self.in_channels * self.geometry.taps
        return self.x.axes_fit and self.y.axes_fit and weights <= INT_MAX

    def choices(self, target: Target) -> tuple[Sizes, ...]:
        """(channels, rows) of every register tile that the kernel can have, best guess first."""
        return tuple(window_tiles(self.x, self.y, self.geometry, self.groups, self.height, target))

    @property
    def type(self) -> str:
        return f"float{self.lanes}"

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
    def phases(self) -> list[int]:
        """Where the elements of a row that a tap reads begin; they are a stride apart, and side by side in the band."""
        g = self.geometry
        return sorted({tap * g.dilation[2] % g.stride[2] for tap in range(g.size[2])})

    @property
    def part(self) -> int:
        """Places for the elements of one of `phases`."""
        return -(-self.band[2] // self.geometry.stride[2])

    @property
    def line(self) -> int:
        """Places for a row of the band."""
        return self.part * len(self.phases)

    @property
    def parts(self) -> list[tuple[int, int, int, int]]:
        """Of each phase: how many elements there are, the first that lies in x and the first behind it, and where in x
        element 0 would be."""
        stride, before, extent = self.geometry.stride[2], self.geometry.before[2], self.x.spec.shape[4]
        found = []
        for phase in self.phases:
            count = max(0, -(-(self.band[2] - phase) // stride))
            begin, end = (min(max(0, -(-(edge + before - phase) // stride)), count) for edge in (0, extent))
            found.append((count, begin, end, phase - before))
        return found

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
        """C text: what stands at an element of a row of x that is not there."""
        return "0.0f" if tested(self.geometry.border) else f"from[{self.source(2, element)}]"

    def vector(self, at: str) -> str:
        """C text: elements of a row of x, a stride apart."""
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
        element, stride = tap * self.geometry.dilation[2], self.geometry.stride[2]
        at = place * self.line + self.phases.index(element % stride) * self.part + element // stride
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
    target: Target, sizes: Sizes | None = None,
) -> ConvWindowRows | None:  # fmt: skip
    """The kernel, or None in other layouts, for short rows, and where private memory does not hold a band, because
    channels of a group are many or windows wide. sizes: (channels, rows), one of `window_tiles`."""
    if x.block > 1 or y.block > 1:
        return None
    n, _, depth, height, width = y.spec.shape
    lanes, in_channels, results = target.vector_width, x.spec.shape[1] // groups, y.spec.shape[1] // groups
    slices, under, span = _band(geometry, 1, width)
    line = in_channels * slices * -(-span // geometry.stride[2]) * min(geometry.size[2], geometry.stride[2])
    tallest = 1 + ((MAX_ROW if in_channels == 1 else MOST_BAND) // line - under) // geometry.stride[1]
    if not SMALLEST <= lanes <= width or tallest < 1 or _lines(geometry, 1, 1) > LONGEST:
        return None
    others = n * groups * depth
    tallest = min(tallest, max(1, others * height // (ITEMS_PER_UNIT * target.compute_units)))
    tall = -(-height // -(-height // tallest))
    channels, rows = sizes or window_tiles(x, y, geometry, groups, tall, target)[0]
    count = others * -(-height // tall)
    cost = results * in_channels * geometry.taps * tall * -(-width // lanes)
    grid = Grid.of(count, target, lanes, cost)
    return ConvWindowRows(x, y, extras, epilogue, geometry, groups, tall, channels, rows, lanes, grid)


def window_tiles(
    x: Access, y: Access, geometry: Geometry, groups: int, tall: int, target: Target
) -> list[Sizes]:  # fmt: skip
    """(channels, rows) of register tiles: first those of least work over a band of `tall` rows and the results of a
    group, loads and what is computed twice counted; those of many rows last where results leave the caches."""
    results, slices = y.spec.shape[1] // groups, x.spec.shape[1] // groups * geometry.size[0]
    streamed = x.spec.bytes + y.spec.bytes > target.cache // CACHE_SHARE > 0
    # The weights of a single slice are the same for the whole band, so compilers spread them over lanes before it.
    spread = F32.bytes * target.vector_width * geometry.taps if slices == 1 else 0
    found: list[tuple[bool, int, int, int]] = []
    for rows in range(1, min(tall, MOST_ROWS) + 1):
        places = len(_places(geometry, rows))
        for channels in range(1, results + 1):
            together = rows * channels
            fits = places + together < target.vector_registers and channels * spread <= MOST_SPREAD
            if together > 1 and not (fits and _lines(geometry, channels, rows) <= MOST_LINES):
                break
            each = geometry.size[1] * (together + (channels if spread else 0)) + UNALIGNED_LOAD * places
            work = -(-results // channels) * -(-tall // rows) * each
            found.append((streamed and rows > STREAMED_ROWS, work, rows, channels))
    return [(channels, rows) for *_, rows, channels in sorted(found)]
