"""Convolution with single pixels of plain tensors: lanes hold neighbours along a row, nothing goes into blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import INT_MAX, index_type, load
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import PackFloats, Sizes
from nnef_cl.codegen.kernels.conv_direct import FREE
from nnef_cl.codegen.kernels.pointwise import strided_load
from nnef_cl.codegen.kernels.window import SMALLEST, Geometry, GroupedConv
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import Shape

MOST_VECTORS = 4
"""Along a row; with more, too few channels share what was loaded."""


@dataclass(frozen=True)
class ConvRows(GroupedConv):
    """x, y: (N, C, depth, height, width), plain; windows of one pixel. A work-item computes `vectors` x `lanes`
    neighbours along the width of `channels` results of one group; the last ones of a row, and of a group, overlap those
    before them."""

    stem: ClassVar[str] = "conv_rows"
    channels: int
    vectors: int
    lanes: int
    grid: Grid

    @property
    def title(self) -> str:
        return (
            f"stride {self.geometry.stride} groups {self.groups}, x {self.x.spec}, y {self.y.spec}, "
            f"{self.channels} channels x {self.vectors} x {self.lanes} pixels"
        )

    @property
    def wide(self) -> bool:
        weights = self.groups * self.tiles * self.channels * self.in_channels
        return self.x.axes_fit and self.y.axes_fit and weights <= INT_MAX

    def choices(self, target: Target) -> tuple[Sizes, ...]:
        """(vectors, channels) of every register tile that the kernel can have, best guess first."""
        return tuple(row_tiles(self.y, self.groups, self.lanes, target))

    @property
    def type(self) -> str:
        return f"float{self.lanes}"

    @property
    def tiles(self) -> int:
        """Of channels in one group."""
        return -(-self.results // self.channels)

    @property
    def segment(self) -> int:
        """Pixels of one item."""
        return self.vectors * self.lanes

    @property
    def counts(self) -> Shape:
        """Of n, od, oh, parts of a row, tiles of channels: items that read the same pixels come one after another."""
        n, _, depth, height, width = self.y.spec.shape
        return n, depth, height, -(-width // self.segment), self.groups * self.tiles

    @property
    def index_type(self) -> str:
        """C type of offsets in x."""
        return index_type(self.x.spec.volume)

    @property
    def first_channel(self) -> str:
        """C text: the item's first result."""
        own = "ktile" if self.groups == 1 else f"ktile % {self.tiles}"
        own = f"min({own} * {self.channels}, {self.results - self.channels})" if self.tiles > 1 else "0"
        return own if self.groups == 1 else f"ktile / {self.tiles} * {self.results} + {own}"

    @property
    def group(self) -> str:
        """C text: the first channel of x that the item reads."""
        return "0" if self.groups == 1 else f"ktile / {self.tiles} * {self.in_channels}"

    def source(self, axis: int, output: str) -> str:
        """C text: the index of x that an output reads."""
        return f"{output} * {self.geometry.stride[axis]} - ({self.geometry.before[axis]})"

    def pixels(self, vector: int) -> str:
        """C text: the pixels of x for vector number `vector`."""
        stride = self.geometry.stride[2]
        at = f"at + {vector * self.lanes * stride}"
        return load("x", at, F32, self.lanes) if stride == 1 else strided_load("x", f"({at})", F32, stride, self.lanes)

    def finish(self, channel: int, vector: int) -> list[str]:
        """Epilogue and store of one accumulator."""
        index = ["n", f"(k0 + {channel})", "od", "oh", f"(ow + {vector * self.lanes})"]
        operands = [f"a{channel}_{vector}", *(e.load_along(index, self.lanes) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.lanes)
        return [*steps, self.y.store_along(result, index, self.lanes)]


@dataclass(frozen=True)
class PackRows(PackFloats):
    """(K, C/groups, ones...) -> [groups][K tiles][C/groups][channels of a tile]; the last tile of a group overlaps the
    one before it."""

    groups: int
    channels: int

    def shape(self, filter: Shape) -> Shape:
        k, c = filter[:2]
        return (self.groups, -(-(k // self.groups) // self.channels), c, self.channels)

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        groups, tiles, c, channels = self.shape(filter.shape)
        results = filter.shape[0] // groups
        first = np.minimum(np.arange(tiles) * channels, results - channels)
        return filter.reshape(groups, results, c)[:, first[:, None] + np.arange(channels)].swapaxes(2, 3)


def conv_rows(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, groups: int,
    target: Target, sizes: Sizes | None = None,
) -> ConvRows | None:  # fmt: skip
    """The kernel, or None in other layouts, for short rows (with strides: of less than a vector), for larger windows
    and pixels outside. sizes: (vectors, channels), one of `row_tiles`."""
    inside = all(geometry.inside(a, x.spec.shape[2 + a], y.spec.shape[2 + a]) for a in range(3))
    if x.block > 1 or y.block > 1 or geometry.taps > 1 or not inside:
        return None
    lanes = min(target.vector_width, 1 << (y.spec.shape[4].bit_length() - 1))
    if lanes < (SMALLEST if geometry.stride[2] == 1 else target.vector_width):
        return None
    vectors, channels = sizes or row_tiles(y, groups, lanes, target)[0]
    grid = Grid.of(1, target, lanes)
    kernel = ConvRows(x, y, extras, epilogue, geometry, groups, channels, vectors, lanes, grid)
    cost = kernel.in_channels * channels * vectors
    return replace(kernel, grid=Grid.of(math.prod(kernel.counts), target, lanes, cost))


def row_tiles(y: Access, groups: int, lanes: int, target: Target) -> list[Sizes]:
    """(vectors, channels) of register tiles: first those of least work over whole rows and groups, loads and what is
    computed twice counted; those that crowd the registers last."""
    width, results, registers = y.spec.shape[4], y.spec.shape[1] // groups, target.vector_registers
    found: list[tuple[bool, float, Sizes]] = []
    for vectors in range(1, min(MOST_VECTORS, width // lanes) + 1):
        for channels in range(1, min(results, max(1, (registers - 1) // vectors - 1)) + 1):
            rounds = -(-results // channels)
            if -(-results // rounds) < channels:
                continue  # as many rounds with fewer channels compute less twice
            each = max(vectors * channels, vectors + channels) / 2 + 1.5
            crowded = vectors * channels > registers - FREE
            found.append((crowded, -(-width // (vectors * lanes)) * rounds * each, (vectors, channels)))
    return [sizes for _, _, sizes in sorted(found)]
