"""Convolution with few results: lanes hold input channels, and are added up at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import PackFloats, Sizes, zero_padded
from nnef_cl.codegen.kernels.conv_direct import FREE
from nnef_cl.codegen.kernels.window import ConvKernel, Geometry, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape

MOST_RESULTS = 8
"""Channels; with more, lanes of results are used well enough."""


@dataclass(frozen=True)
class ConvFew(ConvKernel):
    """x: (N, C, depth, height, width) in channel blocks; y: plain. tile: neighbours along the width that a work-item
    computes, all channels of them; the last tile of a row overlaps the one before it."""

    stem: ClassVar[str] = "conv_few"
    tile: int
    grid: Grid

    @property
    def title(self) -> str:
        return (
            f"{self.size} stride {self.geometry.stride}, x {self.x.spec}, y {self.y.spec}, "
            f"tile {self.tile} pixels x {self.results} channels"
        )

    @property
    def wide(self) -> bool:
        return self.x.axes_fit and self.y.axes_fit

    @property
    def width(self) -> int:
        return self.x.block

    @property
    def type(self) -> str:
        return f"float{self.width}"

    @property
    def results(self) -> int:
        return self.y.spec.shape[1]

    @property
    def in_blocks(self) -> int:
        return -(-self.x.spec.shape[1] // self.width)

    @property
    def counts(self) -> Shape:
        n, _, depth, height, width = self.y.spec.shape
        return n, depth, height, -(-width // self.tile)

    @property
    def tested(self) -> bool:
        return tested(self.geometry.border)

    def source(self, axis: int, index: str) -> str:
        """C text: the element that a coordinate reads; where it has none, any."""
        extent = self.x.spec.shape[2 + axis]
        mapped = border_index(self.geometry.border, index, extent)
        return f"clamp({mapped}, 0, {extent - 1})" if self.tested else mapped

    def outside(self, axis: int, index: str) -> str:
        """C text: whether nothing is there; empty where that cannot be."""
        extent, outputs = self.x.spec.shape[2 + axis], self.y.spec.shape[2 + axis]
        if not self.tested or self.geometry.inside(axis, extent, outputs):
            return ""
        return f"{index} < 0 || {index} >= {extent}"

    def coordinate(self, axis: int, output: str, tap: str) -> str:
        g = self.geometry
        return f"{output} * {g.stride[axis]} + {tap} * {g.dilation[axis]} - ({g.before[axis]})"

    def halves(self, name: str) -> list[str]:
        """C statements that add up the lanes of a vector; the sum is in `<name>_1`."""
        lines, width = [], self.width
        last = name
        while width > 1:
            width //= 2
            kind = "float" if width == 1 else f"float{width}"
            parts = (".lo", ".hi") if width > 1 else (".x", ".y")
            lines.append(f"const {kind} {name}_{width} = {last}{parts[0]} + {last}{parts[1]};")
            last = f"{name}_{width}"
        return lines

    def finish(self, channel: int, pixel: int) -> list[str]:
        """Epilogue and store of one element."""
        index = ["n", str(channel), "od", "oh", f"(ow + {pixel})"]
        operands = [f"(a{channel}_{pixel}_1 + bias[{channel}])", *(e.load(index) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, 1)
        return [*steps, f"{self.y.name}[{self.y.at(index)}] = {result};"]


@dataclass(frozen=True)
class PackFew(PackFloats):
    """(K, C, taps...) -> [taps][C blocks][K][lanes], padded with zeros."""

    lanes: int

    def shape(self, filter: Shape) -> Shape:
        k, c, *taps = filter
        return (math.prod(taps), -(-c // self.lanes), k, self.lanes)

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        taps, blocks, k, lanes = self.shape(filter.shape)
        padded = zero_padded(filter.reshape(k, filter.shape[1], taps), (k, blocks * lanes, taps))
        return np.ascontiguousarray(padded.reshape(k, blocks, lanes, taps).transpose(3, 1, 0, 2))


def conv_few(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, groups: int,
    target: Target, sizes: Sizes | None = None,
) -> ConvFew | None:  # fmt: skip
    """The kernel, or None where it does not suit. sizes: (tile,), one of `few_tiles`."""
    if groups > 1 or x.block == 1 or y.block > 1 or y.spec.shape[1] > MOST_RESULTS:
        return None
    (tile,) = sizes or few_tiles(y, target)[0]
    kernel = ConvFew(x, y, extras, epilogue, geometry, tile, Grid.of(1, target, x.block))
    cost = geometry.taps * kernel.in_blocks * tile * kernel.results
    return replace(kernel, grid=Grid.of(math.prod(kernel.counts), target, x.block, cost))


def few_tiles(y: Access, target: Target) -> list[Sizes]:
    """(pixels,) of every tile that the registers hold beside its operands, best guess first."""
    results, width = y.spec.shape[1], y.spec.shape[4]
    room = max(1, (target.vector_registers - FREE) // results - 1)
    rounds = {-(-width // tile): tile for tile in range(min(room, width), 0, -1)}
    return [(-(-width // count),) for count in sorted(rounds)]
