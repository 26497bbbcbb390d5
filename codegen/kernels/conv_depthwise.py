"""Convolution whose groups lie inside one vector: depthwise, and groups of a few channels through shuffles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access, is_wide, offset
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import GROUPS_PER_UNIT, Grid
from nnef_cl.codegen.kernel import PackFloats, Sizes, zero_padded
from nnef_cl.codegen.kernels.window import ConvKernel, Geometry, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape

MAX_TILE = 14
"""Outputs of one work-item."""
COLUMN_TILES = (8, 4, 2)
"""The same along the height, best first."""


@dataclass(frozen=True)
class ConvDepthwise(ConvKernel):
    """x: (N, C, depth, height, width), y: the same with `multiplier` results per channel. per_group: channels of one
    group. A work-item computes `tile` outputs along spatial axis `axis`: along the width with vectors of channels,
    along the height where neighbouring work-items take neighbouring columns.
    """

    stem: ClassVar[str] = "conv_depthwise"
    per_group: int
    multiplier: int
    axis: int
    tile: int
    grid: Grid

    @property
    def title(self) -> str:
        windows = f"{self.size} stride {self.geometry.stride}, {self.per_group} per group"
        return f"{windows}, x {self.x.spec}, y {self.y.spec}"

    @property
    def wide(self) -> bool:
        return self.x.axes_fit and self.y.axes_fit

    @property
    def width(self) -> int:
        return self.x.block

    @property
    def type(self) -> str:
        return "float" if self.width == 1 else f"float{self.width}"

    @property
    def across(self) -> int:
        """The plane's other axis."""
        return 3 - self.axis

    @property
    def names(self) -> tuple[str, ...]:
        """Axes of the loop over work-items."""
        return ("n", "block", *("tile" if a == self.axis else f"o{a}" for a in range(3)))

    @property
    def counts(self) -> tuple[int, ...]:
        n, c, *spatial = self.y.spec.shape
        spatial[self.axis] = -(-spatial[self.axis] // self.tile)
        return (n, -(-c // self.width), *spatial)

    @property
    def channel(self) -> str:
        """C text: block of channels of x that the results come from."""
        return f"(block / {self.multiplier})" if self.multiplier > 1 else "block"

    def choices(self, target: Target) -> tuple[Sizes, ...]:
        """(axis, tile) of every tile that the kernel can have, best guess first."""
        return tuple(depthwise_tiles(self.x, self.y, self.geometry, self.per_group, target))

    @property
    def places(self) -> list[int]:
        """Input elements under the tile, along its axis, that some tap reads."""
        size, stride, dilation = self._along
        return sorted({t * stride + k * dilation for t in range(self.tile) for k in range(size)})

    def uses(self, place: int) -> list[tuple[int, int]]:
        """(output, tap) pairs along the tile's axis that read one of `places`."""
        size, stride, dilation = self._along
        return [(t, k) for t in range(self.tile) for k in range(size) if t * stride + k * dilation == place]

    @property
    def _along(self) -> tuple[int, int, int]:
        """Window size, stride and dilation along the tile's axis."""
        g = self.geometry
        return g.size[self.axis], g.stride[self.axis], g.dilation[self.axis]

    @property
    def filter_start(self) -> str:
        """C text: offset of the block's weights."""
        each = self.geometry.taps * self.per_group * self.width
        return offset(("block",), (each,), wide=is_wide((self.counts[1],), (each,)))

    def load_filter(self, tap: int, lane: int) -> str:
        """C text: the weights of tap `tap` along the tile's axis for channel `lane` of each group."""
        at = tap * self.per_group + lane
        return f"w[{at}]" if self.width == 1 else f"vload{self.width}({at}, w)"

    def shuffled(self, value: str, lane: int) -> str:
        """C text: in every lane, channel number `lane` of that lane's group."""
        if self.per_group == 1:
            return value
        mask = ", ".join(str(i // self.per_group * self.per_group + lane) for i in range(self.width))
        return f"shuffle({value}, (uint{self.width})({mask}))"

    def first(self, axis: int) -> str:
        """C text: input index of the first tap."""
        return f"o{axis} * {self.geometry.stride[axis]} - ({self.geometry.before[axis]})"

    def source(self, axis: int) -> str:
        return border_index(self.geometry.border, f"i{axis}", self.x.spec.shape[2 + axis])

    def beyond(self, axis: int) -> str:
        """C text: the tap lies outside."""
        return f"i{axis} < 0 || i{axis} >= {self.x.spec.shape[2 + axis]}"

    @property
    def tested(self) -> bool:
        return tested(self.geometry.border)

    @cached_property
    def finish(self) -> list[str]:
        lines = []
        for pixel in range(self.tile):
            spatial = [f"(o{a} + {pixel})" if a == self.axis else f"o{a}" for a in range(3)]
            operands = [f"a{pixel}", *(e.load_channels("n", "block", spatial, self.width) for e in self.extras)]
            steps, result = self.epilogue.expression.statements(operands, self.width)
            lines += ["{", *steps, self.y.store_channels(result, "n", "block", spatial, self.width), "}"]
        return lines


@dataclass(frozen=True)
class PackLanes(PackFloats):
    """(C, channels per group, taps...) -> [C blocks][taps across][taps along the tile][channels per group][lanes].

    swapped: the tile runs along the last axis but one.
    """

    width: int
    per_group: int
    swapped: bool = False

    def shape(self, filter: Shape) -> Shape:
        taps = (*filter[2:-2], *filter[-2:][::-1]) if self.swapped else filter[2:]
        return (-(-filter[0] // self.width), math.prod(taps[:-1]), taps[-1], self.per_group, self.width)

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        c = filter.shape[0]
        blocks, rows, columns, _, _ = self.shape(filter.shape)
        taps = np.swapaxes(filter, -1, -2) if self.swapped else filter
        shape = (blocks * self.width, self.per_group, rows * columns)
        padded = zero_padded(taps.reshape(c, self.per_group, -1), shape)
        split = padded.reshape(blocks, self.width, self.per_group, rows, columns)
        return split.transpose(0, 3, 4, 2, 1)


def conv_depthwise(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, groups: int,
    target: Target, sizes: Sizes | None = None,
) -> ConvDepthwise | None:  # fmt: skip
    """The kernel, or None where one vector does not hold several groups, or single channels; direct convolution suits
    groups that fill it. sizes: (axis, tile) instead of the best guess."""
    c, k = x.spec.shape[1], y.spec.shape[1]
    per_group, multiplier = c // groups, k // c
    if x.block % per_group or (per_group > 1 and c % x.block) or x.block != y.block:
        return None
    if 1 < per_group == x.block:
        return None
    if c != k and (per_group > 1 or x.block > 1 or target.vector_width > 1):
        return None
    axis, tile = sizes or depthwise_tiles(x, y, geometry, per_group, target)[0]
    n, _, *spatial = y.spec.shape
    spatial[axis] = -(-spatial[axis] // tile)
    count = n * -(-k // x.block) * math.prod(spatial)
    grid = Grid.of(count, target, x.block, geometry.taps * tile * per_group)
    return ConvDepthwise(x, y, extras, epilogue, geometry, per_group, multiplier, axis, tile, grid)


def depthwise_tiles(x: Access, y: Access, geometry: Geometry, per_group: int, target: Target) -> list[Sizes]:
    """(axis, outputs) of every tile that a work-item can have, best guess first."""
    if target.vector_width == 1 and x.block == 1:
        return _along_height(y, geometry, target)
    return _along_width(y, geometry, per_group, target)


def _along_width(y: Access, geometry: Geometry, per_group: int, target: Target) -> list[Sizes]:
    """The longest first of those that the registers hold beside the weights of one row."""
    room = max(2, target.vector_registers - geometry.size[2] * per_group - 2)
    width = y.spec.shape[4]
    longest = min(width, room, MAX_TILE)
    lengths = dict.fromkeys(-(-width // -(-width // tile)) for tile in range(longest, 0, -1))
    return [(2, tile) for tile in lengths]


def _along_height(y: Access, geometry: Geometry, target: Target) -> list[Sizes]:
    """Where the device puts work-items into lanes: first the tallest that leaves every unit work, where rows are
    shared."""
    busy = target.compute_units * GROUPS_PER_UNIT * target.work_group
    shared = geometry.size[1] > geometry.stride[1]
    tall = [tile for tile in COLUMN_TILES if shared and tile <= y.spec.shape[3]]
    good = [tile for tile in tall if y.spec.volume // tile >= busy]
    return [*((1, tile) for tile in good), (2, 1), *((1, tile) for tile in tall if tile not in good)]
