"""Convolution whose groups lie inside one vector: depthwise, and groups of a few channels through shuffles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import Kernel, PackFloats, zero_padded
from nnef_cl.codegen.kernels.window import Geometry, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape


@dataclass(frozen=True)
class ConvDepthwise(Kernel):
    """x, y: (N, C, depth, height, width), as many channels out as in. per_group: channels of one group."""

    stem: ClassVar[str] = "conv_depthwise"
    x: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    geometry: Geometry
    per_group: int
    tile: int
    grid: Grid

    @property
    def title(self) -> str:
        size = "x".join(map(str, self.geometry.size))
        return f"{size} stride {self.geometry.stride}, {self.per_group} per group, x {self.x.spec}, y {self.y.spec}"

    @property
    def global_size(self) -> tuple[int, ...]:
        return self.grid.global_size

    @property
    def local_size(self) -> tuple[int, ...]:
        return self.grid.local_size

    @property
    def width(self) -> int:
        return self.x.block

    @property
    def type(self) -> str:
        return "float" if self.width == 1 else f"float{self.width}"

    @property
    def arguments(self) -> str:
        extras = [e.argument for e in self.extras]
        return ", ".join(
            [self.x.argument, "__global const float *restrict filter", "__global const float *restrict bias",
             *extras, self.y.result_argument]
        )  # fmt: skip

    @property
    def counts(self) -> tuple[int, ...]:
        n, c, depth, height, width = self.y.spec.shape
        return (n, -(-c // self.width), depth, height, -(-width // self.tile))

    @property
    def columns(self) -> list[int]:
        """Input columns under the tile that some tap reads."""
        g = self.geometry
        used = {t * g.stride[2] + k * g.dilation[2] for t in range(self.tile) for k in range(g.size[2])}
        return sorted(used)

    def uses(self, column: int) -> list[tuple[int, int]]:
        """(pixel, tap column) pairs that read an input column."""
        g = self.geometry
        return [
            (t, k) for t in range(self.tile) for k in range(g.size[2])
            if t * g.stride[2] + k * g.dilation[2] == column
        ]  # fmt: skip

    def load_filter(self, tap: int, lane: int) -> str:
        """C text: the weights of tap column `tap` for channel `lane` of each group."""
        at = tap * self.per_group + lane
        return f"w[{at}]" if self.width == 1 else f"vload{self.width}({at}, w)"

    def shuffled(self, value: str, lane: int) -> str:
        """C text: in every lane, channel number `lane` of that lane's group."""
        if self.per_group == 1:
            return value
        mask = ", ".join(str(i // self.per_group * self.per_group + lane) for i in range(self.width))
        return f"shuffle({value}, (uint{self.width})({mask}))"

    def first(self, axis: int, output: str) -> str:
        return f"{output} * {self.geometry.stride[axis]} - ({self.geometry.before[axis]})"

    def source(self, axis: int, index: str) -> str:
        return border_index(self.geometry.border, index, self.x.spec.shape[2 + axis])

    @property
    def tested(self) -> bool:
        return tested(self.geometry.border)

    @cached_property
    def finish(self) -> list[str]:
        lines = []
        for pixel in range(self.tile):
            spatial = ["od", "oh", f"(ow + {pixel})"]
            operands = [f"a{pixel}", *(e.load_channels("n", "block", spatial, self.width) for e in self.extras)]
            steps, result = self.epilogue.expression.statements(operands, self.width)
            lines += ["{", *steps, self.y.store_channels(result, "n", "block", spatial, self.width), "}"]
        return lines


@dataclass(frozen=True)
class PackLanes(PackFloats):
    """(C, channels per group, taps...) -> [C blocks][depth x height][width][channels per group][lanes]."""

    width: int
    per_group: int

    def shape(self, filter: Shape) -> Shape:
        rows = math.prod(filter[2:-1])
        return (-(-filter[0] // self.width), rows, filter[-1], self.per_group, self.width)

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        c = filter.shape[0]
        blocks, rows, columns, _, _ = self.shape(filter.shape)
        shape = (blocks * self.width, self.per_group, rows * columns)
        padded = zero_padded(filter.reshape(c, self.per_group, -1), shape)
        split = padded.reshape(blocks, self.width, self.per_group, rows, columns)
        return split.transpose(0, 3, 4, 2, 1)


def conv_depthwise(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, groups: int,
    target: Target,
) -> ConvDepthwise | None:  # fmt: skip
    """The kernel, or None where groups do not lie inside one vector or channels are multiplied."""
    c, k = x.spec.shape[1], y.spec.shape[1]
    per_group = c // groups
    if c != k or x.block % per_group or (per_group > 1 and c % x.block) or x.block != y.block:
        return None
    room = max(2, target.vector_registers - geometry.size[2] * per_group - 2)
    width = y.spec.shape[4]
    tiles = -(-width // min(width, room, 14))
    tile = -(-width // tiles)
    n, _, depth, height, _ = y.spec.shape
    count = n * -(-c // x.block) * depth * height * tiles
    grid = Grid.of(count, target, x.block, geometry.taps * tile * per_group)
    return ConvDepthwise(x, y, extras, epilogue, geometry, per_group, tile, grid)
