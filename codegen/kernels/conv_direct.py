"""Direct convolution: one work-item computes a register tile of `tile` pixels x `blocks` vectors of channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import INT_MAX
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import PackFloats, Sizes, zero_padded
from nnef_cl.codegen.kernels.window import Geometry, GroupedConv, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape

MAX_PATCH = 16384
"""Floats of private memory for one input patch."""
FREE = 4
"""Vector registers that accumulators leave to operands where a tile is a good guess."""
MOST_STRIPS = 16
MOST_REPEATED = 1 / 32
"""Share of a row's tiles that is computed twice to have strips of one length."""
MAX_WEIGHTS = 1 << 20
"""Bytes of weights that stay in a cache near a core while strips of pixels pass."""


@dataclass(frozen=True)
class ConvDirect(GroupedConv):
    """x, y: (N, C, depth, height, width). channels: input channels read at a time.

    direct: windows never leave the input, so taps are read in place; otherwise the patch under the tile is
    copied to private memory first, borders resolved, and every tap has a fixed place there. Where one patch holds all
    channels of a plain input, the work-item computes all output channels from it.

    mixed: vectors hold channels of several groups. A tile is multiplied with the input channels of all groups that it
    touches, with weights of zero where a result and a channel are of different groups.
    """

    stem: ClassVar[str] = "conv_direct"
    width: int
    blocks: int
    tile: int
    channels: int
    direct: bool
    mixed: bool
    grid: Grid

    @property
    def title(self) -> str:
        return (
            f"{self.size} stride {self.geometry.stride} groups {self.groups}, x {self.x.spec}, y {self.y.spec}, "
            f"tile {self.tile} pixels x {self.blocks} x {self.width} channels"
        )

    @property
    def wide(self) -> bool:
        g, strides = self.geometry, self.x.strides
        rows = sum((g.size[a] - 1) * g.dilation[a] * strides[2 + a] for a in (0, 1))
        reach = rows + (self.channels - 1) * self.channel_step + self.reach * self.channels
        weights = self.channel_groups * self.steps * g.taps * self.channels * self.blocks * self.width
        return self.x.axes_fit and self.y.axes_fit and max(reach, weights) <= INT_MAX

    def choices(self, target: Target) -> tuple[Sizes, ...]:
        """(blocks, tile) of every register tile that the kernel can have, best guess first."""
        vectors = 1 if self.mixed else -(-(self.y.spec.shape[1] // self.groups) // self.width)
        found = register_tiles(vectors, self.y.spec.shape[4], target.vector_registers)
        if self.direct:  # there is no patch
            return tuple(found)
        return tuple(one for one in found if replace(self, blocks=one[0], tile=one[1]).fits)

    @property
    def fits(self) -> bool:
        """Whether the patch under a tile has room in private memory."""
        return self.direct or self.patch_rows * self.patch_width * self.channels <= MAX_PATCH

    @property
    def bands(self) -> Bands:
        """Of a mixed kernel."""
        return Bands(self.groups, self.x.spec.shape[1], self.y.spec.shape[1], self.width * self.blocks, self.channels)

    @property
    def steps(self) -> int:
        """Channel steps of one group; of a mixed kernel the most that a tile has."""
        return self.bands.steps if self.mixed else -(-self.in_channels // self.channels)

    @property
    def depth(self) -> float:
        """Input channels that a tile is multiplied with, on average."""
        return self.bands.depth if self.mixed else self.in_channels

    @property
    def rest(self) -> int:
        """Channels of the last step where these are fewer; the others are padding."""
        return self.in_channels % self.channels

    @property
    def count(self) -> str:
        """C text: channels of the current step."""
        return f"(step == {self.steps - 1} ? {self.rest} : {self.channels})" if self.rest else str(self.channels)

    @property
    def channel_groups(self) -> int:
        """Tiles along the output channels, all groups together."""
        if self.mixed:
            return self.bands.tiles
        return self.groups * -(-(self.y.spec.shape[1] // self.groups) // (self.width * self.blocks))

    @property
    def all_channels(self) -> bool:
        """Whether a work-item computes all output channels."""
        return not self.direct and not self.blocked and self.steps == 1 and self.groups == 1

    @property
    def strips(self) -> int:
        """Parts of a row of pixels, handed out one after another, each with all tiles of channels: what they read is in
        the nearest cache then. Only windows of one pixel with few weights have several."""
        *rows, width = self.y.spec.shape[2:]
        tiles = -(-width // self.tile)
        single = self.direct and self.geometry.taps == self.groups == math.prod(rows) == 1
        weights = 4 * self.channel_groups * self.steps * self.channels * self.blocks * self.width
        if not (single and self.blocked and self.y.block > 1 and weights <= MAX_WEIGHTS):
            return 1
        return max(count for count in range(1, MOST_STRIPS + 1) if -tiles % count <= tiles * MOST_REPEATED)

    @property
    def names(self) -> tuple[str, ...]:
        """Axes that items are counted along: `otile` is a tile of pixels in its row, `part` one in its strip."""
        if self.strips > 1:
            return ("n", "od", "oh", "strip", "ktile", "part")
        return ("n", "od", "oh", "otile") if self.all_channels else ("n", "ktile", "od", "oh", "otile")

    @property
    def counts(self) -> tuple[int, ...]:
        n, _, depth, height, width = self.y.spec.shape
        tiles = -(-width // self.tile)
        if self.strips > 1:
            return (n, depth, height, self.strips, self.channel_groups, -(-tiles // self.strips))
        spatial = depth, height, tiles
        return (n, *spatial) if self.all_channels else (n, self.channel_groups, *spatial)

    @property
    def run(self) -> int:
        """Pixels of a row from the first to the last one that a tap reads for a tile."""
        return (self.tile - 1) * self.geometry.stride[2] + 1

    @property
    def reach(self) -> int:
        """Pixels of a row from the first to the last one that any tap reads for a tile."""
        return self.run + (self.geometry.size[2] - 1) * self.geometry.dilation[2]

    @property
    def gaps(self) -> bool:
        """Whether a patch leaves out the pixels between the taps' runs."""
        return self.geometry.size[2] * self.run < self.reach

    @property
    def patch_width(self) -> int:
        return self.geometry.size[2] * self.run if self.gaps else self.reach

    @property
    def column(self) -> str:
        """C text: how far from the first one pixel `q` of a patch's row is."""
        return f"q / {self.run} * {self.geometry.dilation[2]} + q % {self.run}" if self.gaps else "q"

    @property
    def copied(self) -> list[tuple[str, int]]:
        """How a row of a plain patch is copied: C text of first elements, and lanes from there on. The last vector
        ends with the row."""
        lanes = next((n for n in (16, 8, 4) if n <= min(self.width, self.patch_width)), 1)
        last = self.patch_width - lanes
        return [(str(min(at, last)), lanes) for at in range(0, self.patch_width, lanes)]

    @property
    def patch_rows(self) -> int:
        return self.geometry.size[0] * self.geometry.size[1]

    @property
    def blocked(self) -> bool:
        return self.x.block > 1

    @property
    def pixel_step(self) -> int:
        """Distance in elements between neighbouring output pixels' taps."""
        return self.geometry.stride[2] * (self.channels if self.blocked else 1)

    @property
    def column_step(self) -> int:
        step = self.run if self.gaps and not self.direct else self.geometry.dilation[2]
        return step * (self.channels if self.blocked else 1)

    @property
    def channel_step(self) -> int:
        """Distance in elements between neighbouring channels of one step."""
        if self.blocked:
            return 1
        return self.x.strides[1] if self.direct else self.patch_rows * self.patch_width

    def first(self, axis: int, output: str) -> str:
        """C text: input index of an output's first tap."""
        stride, before = self.geometry.stride[axis], self.geometry.before[axis]
        return f"{output} * {stride} - ({before})"

    def source(self, axis: int, index: str) -> str:
        return border_index(self.geometry.border, index, self.x.spec.shape[2 + axis])

    @property
    def tested(self) -> bool:
        return tested(self.geometry.border)

    @cached_property
    def finish(self) -> list[str]:
        """Epilogue and store of every accumulator."""
        lines = []
        for block in range(self.blocks):
            for pixel in range(self.tile):
                index = f"(block + {block})"
                spatial = ["od", "oh", f"(ow + {pixel})"]
                operands = [f"a{pixel}_{block}"]
                for extra in self.extras:
                    operands.append(extra.load_channels("n", index, spatial, self.width))
                steps, result = self.epilogue.expression.statements(operands, self.width)
                lines += ["{", *steps, self.y.store_channels(result, "n", index, spatial, self.width), "}"]
        return lines


@dataclass(frozen=True)
class Bands:
    """Input channels of tiles of output channels that groups do not keep to. lanes: output channels of a tile; step:
    input channels read at a time."""

    groups: int
    inputs: int
    outputs: int
    lanes: int
    step: int

    @property
    def tiles(self) -> int:
        return -(-self.outputs // self.lanes)

    @property
    def begin(self) -> str:
        """C text: first input channel of tile `ktile`."""
        return f"ktile * {self.lanes} / {self.outputs // self.groups} * {self.inputs // self.groups}"

    @property
    def end(self) -> str:
        """C text: the one behind its last one."""
        last = f"min(ktile * {self.lanes} + {self.lanes - 1}, {self.outputs - 1})"
        return f"({last} / {self.outputs // self.groups} + 1) * {self.inputs // self.groups}"

    def of(self, tile: int) -> tuple[int, int]:
        """begin and end."""
        each, first, last = self.outputs // self.groups, tile * self.lanes, (tile + 1) * self.lanes - 1
        channels = self.inputs // self.groups
        return first // each * channels, (min(last, self.outputs - 1) // each + 1) * channels

    @property
    def steps(self) -> int:
        """The most that a tile has."""
        return max(-(-end // self.step) - begin // self.step for begin, end in map(self.of, range(self.tiles)))

    @property
    def depth(self) -> float:
        """Channels of a tile, on average."""
        return sum(end - begin for begin, end in map(self.of, range(self.tiles))) / self.tiles


@dataclass(frozen=True)
class PackBands(PackFloats):
    """(K, C/groups, taps...) -> [K tiles][channel steps][taps][channels][lanes] with the channels of all groups that a
    tile touches, from a whole step on; zero where there is no weight."""

    bands: Bands

    def shape(self, filter: Shape) -> Shape:
        return (self.bands.tiles, self.bands.steps, math.prod(filter[2:]), self.bands.step, self.bands.lanes)

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        tiles, steps, taps, step, lanes = self.shape(filter.shape)
        k, c = filter.shape[:2]
        packed = np.zeros((tiles, steps * step, lanes, taps), np.float32)
        weights = filter.reshape(k, c, taps)
        each = self.bands.outputs // self.bands.groups
        for result in range(k):
            tile, lane = divmod(result, lanes)
            at = result // each * c - self.bands.of(tile)[0] // step * step
            packed[tile, at : at + c, lane] = weights[result]
        return packed.reshape(tiles, steps, step, lanes, taps).transpose(0, 1, 4, 2, 3)


@dataclass(frozen=True)
class PackFilter(PackFloats):
    """(K, C/groups, taps...) -> [K tiles][channel steps][taps][channels][blocks x width], padded with zeros."""

    groups: int
    width: int
    blocks: int
    channels: int

    def shape(self, filter: Shape) -> Shape:
        k, c = filter[:2]
        lanes = self.width * self.blocks
        tiles, steps = -(-(k // self.groups) // lanes), -(-c // self.channels)
        return (self.groups, tiles, steps, math.prod(filter[2:]), self.channels, lanes)

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        k, c = filter.shape[:2]
        _, tiles, steps, taps, _, lanes = self.shape(filter.shape)
        grouped = filter.reshape(self.groups, k // self.groups, c, taps)
        padded = zero_padded(grouped, (self.groups, tiles * lanes, steps * self.channels, taps))
        split = padded.reshape(self.groups, tiles, lanes, steps, self.channels, taps)
        return split.transpose(0, 1, 3, 5, 4, 2)


@dataclass(frozen=True)
class PackBias(PackFloats):
    """A singleton or (1, K) / (K,) bias -> K values, padded with zeros to whole tiles of `lanes` per group."""

    channels: int
    groups: int
    lanes: int

    def shape(self, bias: Shape) -> Shape:
        return (self.groups, -(-(self.channels // self.groups) // self.lanes) * self.lanes)

    def __call__(self, bias: np.ndarray) -> np.ndarray:
        each = self.channels // self.groups
        values = np.broadcast_to(bias.reshape(-1), (self.channels,)).reshape(self.groups, each)
        return zero_padded(values, self.shape(bias.shape))


def conv_direct(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, groups: int,
    target: Target, sizes: Sizes | None = None,
) -> ConvDirect | None:  # fmt: skip
    """The kernel, or None where channels of a plain tensor's group do not fall on whole vectors. sizes: (blocks, tile)
    of another register tile than the best guess."""
    c, k = x.spec.shape[1] // groups, y.spec.shape[1] // groups
    width = y.block if y.block > 1 else min(max(4, target.vector_width), 1 << (k - 1).bit_length())
    mixed = groups > 1 and bool(k % width or c % x.block)
    if mixed and (x.block == 1 or y.block == 1):
        return None
    channels = x.block if x.block > 1 else max(d for d in range(1, 17) if c % d == 0)
    direct = all(geometry.inside(a, x.spec.shape[2 + a], y.spec.shape[2 + a]) for a in range(3))
    grid = Grid.of(1, target, width * 2)
    kernel = ConvDirect(x, y, extras, epilogue, geometry, groups, width, 1, 1, channels, direct, mixed, grid)
    if sizes is None:
        sizes = next(iter(kernel.choices(target)), None)
    if sizes is None:
        return None
    kernel = replace(kernel, blocks=sizes[0], tile=sizes[1])
    rounds = kernel.channel_groups if kernel.all_channels else 1
    cost = math.ceil(kernel.depth) * geometry.taps * kernel.tile * rounds
    return replace(kernel, grid=Grid.of(math.prod(kernel.counts), target, width * 2, cost))


def register_tiles(
    vectors: int, pixels: int, registers: int, largest: int = MAX_PATCH, padded: bool = False
) -> list[Sizes]:
    """(vectors, pixels) of register tiles: first those of least work over the whole row, loads and what is computed
    twice or for nothing counted; those that crowd the registers last.

    largest: most accumulators. padded: the last tile may have vectors beyond the last one.
    """
    found: list[tuple[bool, float, Sizes]] = []
    for blocks in (b for b in (1, 2, 3, 4) if vectors % b == 0 or (padded and b < vectors)):
        for tile in range(1, min(pixels, max(2, registers) // blocks - 1) + 1):
            rounds = -(-pixels // tile)
            if blocks * tile > max(1, largest) or -(-pixels // rounds) < tile:
                continue  # as many rounds with smaller tiles compute fewer pixels twice
            cost = rounds * -(-vectors // blocks) * (max(blocks * tile, blocks + tile) / 2 + 1.5)
            found.append((blocks * tile > registers - FREE, cost, (blocks, tile)))
    return [sizes for _, _, sizes in sorted(found)]


def choose_tile(vectors: int, pixels: int, registers: int, largest: int = MAX_PATCH) -> tuple[int, int]:
    """The first of `register_tiles`."""
    blocks, tile = register_tiles(vectors, pixels, registers, largest)[0]
    return blocks, tile
