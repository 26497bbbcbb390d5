"""Winograd convolution: tiles are transformed, multiplied point by point as matrices, and transformed back."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernel import PackFloats, Sizes
from nnef_cl.codegen.kernels.conv_direct import MAX_PATCH, register_tiles
from nnef_cl.codegen.kernels.toom_cook import Transform, combination
from nnef_cl.codegen.kernels.window import Geometry, clamped_index, tested
from nnef_cl.codegen.kernels.window_parts import Parts
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape

GROUPS_PER_UNIT = 4
"""Of the fused form: each group has transformed tiles of its own, which should stay in the cache."""
COLUMNS = 1024
"""Filters that are transformed at once: what is in between stays in the cache."""
Axis = tuple[Transform, Parts]
"""The transform along one axis of a tile, and the parts of the windows whose taps it has."""


@dataclass(frozen=True)
class ConvWinograd(GridKernel):
    """x, y: (N, C, depth, height, width), y in channel blocks. rows, columns: the transforms along height and width;
    the taps along the depth are multiplied one by one, with the transformed tiles of one slice each. down, across: the
    parts of the windows along height and width, which are multiplied like further channels, part after part.

    Channels of a group fill whole blocks where there is more than one group.
    part: 'input' writes the transformed tiles, [tile groups][points][C blocks][tile][lanes]; 'output' multiplies
    them with the filter, transforms back and stores; 'fused' does both for one group of tiles at a time.
    """

    stem: ClassVar[str] = "conv_winograd"
    part: str
    x: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    geometry: Geometry
    rows: Transform
    columns: Transform
    down: Parts
    across: Parts
    groups: int
    blocks: int
    tile: int
    grid: Grid

    @property
    def title(self) -> str:
        step = {"input": "input transform", "output": "products and output transform", "fused": "fused"}[self.part]
        return (
            f"F({self.rows.outputs}x{self.columns.outputs}, {self.rows.taps}x{self.columns.taps})"
            f"{f' dilation {self.apart}' if max(self.apart) > 1 else ''}"
            f"{f' of {self.down.count}x{self.across.count} parts' if self.parts > 1 else ''}"
            f"{f' of {self.depth_taps} slices' if self.depth_taps > 1 else ''} {step}, "
            f"groups {self.groups}, x {self.x.spec}, y {self.y.spec}, "
            f"{self.tile} tiles x {self.blocks} x {self.width} channels"
        )

    @property
    def workspaces(self) -> int:
        return int(self.part == "fused")

    @property
    def arguments(self) -> str:
        filter = ["__global const float *restrict filter", "__global const float *restrict bias"]
        extras, tail = [e.argument for e in self.extras], self.y.result_argument
        return ", ".join({
            "input": [self.x.argument, "__global float *restrict tiles"],
            "output": ["__global const float *restrict tiles", *filter, *extras, tail],
            "fused": [self.x.argument, *filter, *extras, "__global float *restrict tiles", tail],
        }[self.part])  # fmt: skip

    @property
    def width(self) -> int:
        return self.y.block

    @property
    def type(self) -> str:
        return f"float{self.width}"

    @property
    def points(self) -> int:
        return self.rows.points * self.columns.points

    @property
    def parts(self) -> int:
        """Of a window."""
        return self.down.count * self.across.count

    @property
    def part_blocks(self) -> int:
        """Blocks of input channels of one part and group."""
        return -(-self.x.spec.shape[1] // (self.width * self.groups))

    @property
    def steps(self) -> int:
        """Blocks of input channels that one output channel depends on, of all parts."""
        return self.parts * self.part_blocks

    @property
    def in_blocks(self) -> int:
        return self.groups * self.steps

    @property
    def in_channels(self) -> int:
        """Input channels that one output channel depends on, of all parts."""
        return self.parts * self.x.spec.shape[1] // self.groups

    @property
    def rest(self) -> int:
        """Channels of the last block of a part where these are fewer; the others are padding."""
        return self.x.spec.shape[1] % self.width

    @property
    def count(self) -> str:
        """C text: channels of the block that is multiplied."""
        if not self.rest:
            return str(self.width)
        last = f"step % {self.part_blocks}" if self.parts > 1 else "step"
        return f"({last} == {self.part_blocks - 1} ? {self.rest} : {self.width})"

    @property
    def source_block(self) -> str:
        """C text: the input's block that block `block` of all parts is read from."""
        if self.parts == 1:
            return "block"
        own = f"block % {self.part_blocks}"
        return own if self.groups == 1 else f"block / {self.steps} * {self.part_blocks} + {own}"

    @property
    def first_read(self) -> tuple[str, str]:
        """C text: where the windows of a tile begin in part `part`, along height and width."""
        _, top, left = self.geometry.before
        return (
            self.down.first_read("first_row", f"part / {self.across.count}", top),
            self.across.first_read("ow", f"part % {self.across.count}", left),
        )

    @property
    def channel_tiles(self) -> int:
        return -(-self.y.spec.shape[1] // (self.width * self.blocks))

    @property
    def apart(self) -> tuple[int, int]:
        """Pixels from one to the next of a tile, along height and width."""
        return pixels_apart(self.geometry)

    @property
    def tiles_high(self) -> int:
        return tiles_along(self.y.spec.shape[3], self.rows.outputs, self.apart[0])

    @property
    def tiles_wide(self) -> int:
        return tiles_along(self.y.spec.shape[4], self.columns.outputs, self.apart[1])

    @property
    def first_row(self) -> str:
        """C text: first pixel of tile `row` along the height."""
        return first_pixel("row", self.rows.outputs, self.apart[0])

    @property
    def first_column(self) -> str:
        return first_pixel("column", self.columns.outputs, self.apart[1])

    @property
    def cut(self) -> tuple[bool, bool]:
        """Whether some tile has pixels beyond the last one, along height and width."""
        steps = self.rows.outputs * self.apart[0], self.columns.outputs * self.apart[1]
        high, wide = (extent % step > 0 for extent, step in zip(self.y.spec.shape[3:], steps, strict=True))
        return high, wide

    @property
    def depth_taps(self) -> int:
        return self.geometry.size[0]

    @property
    def slices(self) -> int:
        """Of an image: those that are read by the input transform, otherwise those that are written."""
        return (self.x if self.part == "input" else self.y).spec.shape[2]

    @property
    def slice(self) -> str:
        """C text: the slice that tap `tap` of the result's slice `depth` reads."""
        stride, dilation, before = (getattr(self.geometry, name)[0] for name in ("stride", "dilation", "before"))
        return f"depth * {stride} + tap * {dilation} - ({before})"

    @property
    def run_tiles(self) -> int:
        """Tiles that are numbered through: of a slice where others are needed for its result, otherwise of all."""
        images = self.y.spec.shape[0] * self.slices if self.depth_taps == 1 else 1
        return images * self.tiles_high * self.tiles_wide

    @property
    def run_groups(self) -> int:
        """The last one overlaps the one before it."""
        return -(-self.run_tiles // self.tile)

    @property
    def tile_groups(self) -> int:
        return self.run_groups * (1 if self.depth_taps == 1 else self.y.spec.shape[0] * self.slices)

    @property
    def point_size(self) -> int:
        """Floats of one point of a group of tiles."""
        return self.in_blocks * self.tile * self.width

    @property
    def group_size(self) -> int:
        return self.points * self.point_size

    @property
    def counts(self) -> tuple[int, ...]:
        return {
            "input": (self.tile_groups, self.in_blocks, self.tile), "output": (self.channel_tiles, self.tile_groups),
            "fused": (self.tile_groups,),
        }[self.part]  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        return {"input": ("group", "block", "t"), "output": ("ktile", "group"), "fused": ("group",)}[self.part]

    def source(self, axis: int, index: str) -> str:
        """C text: where a coordinate reads."""
        return clamped_index(self.geometry.border, index, self.x.spec.shape[2 + axis])

    @property
    def tested(self) -> bool:
        return tested(self.geometry.border)

    def transformed(self, matrix: str, transform: Transform, names: list[str]) -> list[str]:
        """C text of each row of a matrix applied to values."""
        return [combination(row, names, self.type) for row in getattr(transform, matrix)]

    def finish(self, column: int, value: str) -> list[str]:
        """Epilogue and store of output column `column` of the row `oh` of a tile."""
        spatial = ["depth", "oh", f"(ow + {column * self.apart[1]})"]
        operands = [value, *(e.load_channels("n", "block", spatial, self.width) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.width)
        return [*steps, self.y.store_channels(result, "n", "block", spatial, self.width)]


def pixels_apart(geometry: Geometry) -> tuple[int, int]:
    """Along height and width: dilated windows are windows over every so many pixels."""
    high, wide = (d if taps > 1 else 1 for taps, d in zip(geometry.size[1:], geometry.dilation[1:], strict=True))
    return high, wide


def tiles_along(extent: int, outputs: int, apart: int) -> int:
    """Tiles of `outputs` pixels that cover an axis; neighbouring ones begin at neighbouring pixels."""
    return -(-extent // (outputs * apart)) * apart


def first_pixel(tile: str, outputs: int, apart: int) -> str:
    """C text: where the tile of that number begins."""
    return f"{tile} * {outputs}" if apart == 1 else f"{tile} / {apart} * {outputs * apart} + {tile} % {apart}"


@dataclass(frozen=True)
class PackWinograd(PackFloats):
    """(K, C, depth, rows, columns) -> [K tiles][points][depth][C, whole blocks][blocks x width], transformed and padded
    with zeros. Axes of size 1 may be missing. depth: taps along it."""

    rows: Transform
    columns: Transform
    width: int
    blocks: int
    depth: int = 1

    def shape(self, filter: Shape) -> Shape:
        k, c = filter[:2]
        lanes = self.width * self.blocks
        points = self.rows.points * self.columns.points
        return (-(-k // lanes), points, self.depth * -(-c // self.width) * self.width, lanes)

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        result = np.empty(self.shape(filter.shape), np.float32)
        self.into(filter, result)
        return result

    def into(self, filter: np.ndarray, out: np.ndarray) -> None:
        """Writes the packed array to `out`."""
        tiles, points, channels, lanes = self.shape(filter.shape)
        slices = out.reshape(tiles, points, self.depth, channels // self.depth, lanes)
        taps = filter.reshape(*filter.shape[:2], self.depth, -1)
        for tap in range(self.depth):
            self._transform(taps[:, :, tap].transpose(2, 1, 0), slices[:, :, tap])

    def _transform(self, every: np.ndarray, result: np.ndarray) -> None:
        """every: [taps][C][K]; result: [K tiles][points][C, whole blocks][lanes]."""
        transform = np.kron(np.array(self.rows.filter), np.array(self.columns.filter))  # in double precision
        tiles, points, channels, lanes = result.shape
        piece = max(1, COLUMNS // lanes)
        taps = np.zeros((len(every), piece, lanes))
        values = np.empty((points, piece, lanes))
        for tile, start in itertools.product(range(tiles), range(0, channels, piece)):
            part = every[:, start : start + piece, tile * lanes : (tile + 1) * lanes]
            if part.shape != taps.shape:
                taps.fill(0.0)
            taps[:, : part.shape[1], : part.shape[2]] = part
            np.matmul(transform, taps.reshape(len(taps), -1), out=values.reshape(points, -1))
            result[tile, :, start : start + piece] = values[:, : channels - start]


def conv_winograd(
    part: str, x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry,
    rows: Axis, columns: Axis, groups: int, target: Target, sizes: Sizes,
) -> ConvWinograd:  # fmt: skip
    """sizes: (blocks, tile), one of `winograd_tiles`."""
    (transform, down), (along, across), (blocks, tile) = rows, columns, sizes
    kernel = ConvWinograd(
        part, x, y, extras, epilogue, geometry, transform, along, down, across, groups, blocks, tile,
        Grid.of(1, target, y.block),
    )  # fmt: skip
    return replace(kernel, grid=_grid(kernel, target))


def winograd_tiles(
    y: Access, rows: Axis, columns: Axis, groups: int, target: Target, geometry: Geometry
) -> list[Sizes]:
    """(blocks, tile) of every register tile whose products fit into private memory, best guess first."""
    n, k, depth, height, width = y.spec.shape
    (high, wide), depth_taps = pixels_apart(geometry), geometry.size[0]
    count = tiles_along(height, rows[0].outputs, high) * tiles_along(width, columns[0].outputs, wide)
    count *= 1 if depth_taps > 1 else n * depth
    most = MAX_PATCH // (rows[0].points * columns[0].points * y.block)
    return register_tiles(-(-k // (groups * y.block)), count, target.vector_registers, most)


def _grid(kernel: ConvWinograd, target: Target) -> Grid:
    count = math.prod(kernel.counts)
    if kernel.part == "fused":
        return Grid(count, -(-count // (target.compute_units * GROUPS_PER_UNIT)), 1)
    products = kernel.points * kernel.depth_taps * kernel.steps * kernel.width
    cost = 4 * kernel.points if kernel.part == "input" else products
    return Grid.of(count, target, kernel.width, cost)
