"""Convolution on work-group tiles: filter by windows, where the windows' matrix exists in local memory only."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import Access, is_wide, offset
from nnef_cl.codegen.expression import IDENTITY, Epilogue
from nnef_cl.codegen.kernel import PackFloats, zero_padded
from nnef_cl.codegen.kernels.tiled import Tiled, operand, split, store_aligned, vector
from nnef_cl.codegen.kernels.window import Geometry, border_index, tested
from nnef_cl.codegen.target import Target
from nnef_cl.codegen.tile import VECTOR, Staging, choose_tile

from nnef_cl.ir.dtype import I64
from nnef_cl.ir.layout import Shape

MOST_PADDING = 1.25
"""Channels may be rounded up by this factor so that all products of a step belong to one tap."""
AXES = ("d", "h", "w")


@dataclass(frozen=True)
class ConvTiled(Tiled):
    """Rows: output channels of a group; columns: windows of all images; depth: taps and input channels.

    x: (N, C, depth, height, width); y, extras: the same, or (N, C, 1, 1, pixels). windows: (N, depth, height, width).
    packed: the filter is packed by PackTiles; else it lies as (K, C/groups, taps...). by_tap: a step is some channels
    of one tap; else any `tile.depth` of the channels' taps. The bias belongs to the first slice.
    """

    stem: ClassVar[str] = "conv_tiled"
    x: Access
    bias: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    geometry: Geometry
    windows: Shape
    groups_of_channels: int
    packed: bool
    by_tap: bool

    @property
    def title(self) -> str:
        size = "x".join(map(str, self.geometry.size))
        return (
            f"{size} stride {self.geometry.stride} groups {self.groups_of_channels}, x {self.x.spec}, "
            f"y {self.y.spec}, {self.tile}"
        )

    @property
    def wide(self) -> bool:
        return self.x.axes_fit and self.y.axes_fit

    @property
    def arguments(self) -> str:
        inputs = (self.x.argument, "__global const float *restrict filter", self.bias.argument)
        return ", ".join([*inputs, *(e.argument for e in self.extras), self.y.result_argument])

    @property
    def outer(self) -> dict[str, int]:
        return {"group": self.groups_of_channels}

    @property
    def channels(self) -> int:
        """Input channels of one group."""
        return self.x.spec.shape[1] // self.groups_of_channels

    @property
    def chunks(self) -> int:
        """Steps of one tap."""
        return -(-self.channels // self.tile.depth)

    @property
    def steps(self) -> int:
        taps = self.geometry.taps
        return taps * self.chunks if self.by_tap else -(-taps * self.channels // self.tile.depth)

    @property
    def pack(self) -> PackTiles:
        return PackTiles(self.groups_of_channels, self.tile.rows.extent, self.tile.depth, self.by_tap)

    @property
    def a(self) -> Staging:
        extent, depth = self.tile.rows.extent, self.tile.depth
        inner = extent if self.packed else self.channels * self.geometry.taps
        return Staging(extent, depth, self.tile.items, not self.packed, VECTOR if inner % VECTOR == 0 else 1)

    @property
    def b(self) -> Staging:
        extent = self.tile.columns.extent
        width = VECTOR if self.pointwise and self.windows[3] % VECTOR == 0 and extent % VECTOR == 0 else 1
        return Staging(extent, self.tile.depth, self.tile.items, False, width)

    @property
    def pointwise(self) -> bool:
        """Whether column number n is pixel number n of a row of x."""
        g = self.geometry
        return g.taps == 1 and set(g.stride) == {1} and not any(g.before) and self.x.spec.shape[4] == self.windows[3]

    def fetch(self, operand: str) -> list[str]:
        return self._filter() if operand == "a" else self._window()

    def _filter(self) -> list[str]:
        depth, type = f"step * {self.tile.depth} + k", vector(self.a.width)
        if self.packed:
            padded = -(-self.rows // self.a.extent) * self.a.extent
            strides, extents = (self.steps * self.tile.depth * padded, padded, 1), (
                self.groups_of_channels, self.steps * self.tile.depth, padded
            )  # fmt: skip
            index, place, test = ("group", "d", "m"), "row + t", ""
        else:
            count = self.channels * self.geometry.taps
            strides, extents = (self.rows * count, count, 1), (self.groups_of_channels, self.rows, count)
            index, test = ("group", "m", "d"), f"d < {count}" if count % self.tile.depth else ""
            place = "row + t" if self.whole_rows else f"min(row + t, {self.rows - 1})"
        at = offset(index, strides, wide=is_wide(extents, strides))
        value = f"filter[{at}]" if self.a.width == 1 else f"*(__global const {type} *)(filter + {at})"
        if test:
            value = f"{test} ? {value} : ({type})(0.0f)"
        return [f"const int d = {depth}, m = {place};", f"const {type} value = {value};"]

    @property
    def before(self) -> list[str]:
        """Tap and channels of a step."""
        if not self.by_tap:
            return []
        if self.geometry.taps == 1:
            return [f"const int kd = 0, kh = 0, kw = 0, some = step * {self.tile.depth};"]
        taps = split("tap", ("kd", "kh", "kw"), self.geometry.size)
        return [f"const int tap = step / {self.chunks}, some = step % {self.chunks} * {self.tile.depth};", *taps]

    def _window(self) -> list[str]:
        width, type = self.b.width, vector(self.b.width)
        place = "column + t" if self.whole_columns else f"min(column + t, {self.columns - width})"
        lines = [f"const int window = {place};", *split("window", ("n", "od", "oh", "ow"), self.windows)]
        tests = []
        if self.by_tap:
            lines.append("const int c = some + k;")
            if self.channels % self.tile.depth:
                tests.append(f"c < {self.channels}")
        else:
            taps = self.geometry.taps
            lines += [f"const int place = step * {self.tile.depth} + k;",
                      f"const int c = place / {taps}, tap = place % {taps};",
                      *split("tap", ("kd", "kh", "kw"), self.geometry.size)]  # fmt: skip
            if (self.channels * taps) % self.tile.depth:
                tests.append(f"c < {self.channels}")
        sources = []
        for axis in range(3):
            more, test, source = self._source(axis)
            lines += more
            tests += test
            sources.append(source)
        lines.append(f"const int channel = {f'group * {self.channels} + c' if self.groups_of_channels > 1 else 'c'};")
        at = self.x.at(["n", "channel", *sources])
        value = f"x[{at}]" if width == 1 else f"*(__global const {type} *)(x + {at})"
        if tests:
            value = f"{' && '.join(tests)} ? {value} : ({type})(0.0f)"
        return [*lines, f"const {type} value = {value};"]

    def _source(self, axis: int) -> tuple[list[str], list[str], str]:
        """Statements, tests and the name of the input index along an axis."""
        g, name, extent = self.geometry, AXES[axis], self.x.spec.shape[2 + axis]
        index = offset((f"o{name}", f"k{name}"), (g.stride[axis], g.dilation[axis] if g.size[axis] > 1 else 0))
        before = f" - ({g.before[axis]})" if g.before[axis] else ""
        lines = [f"const int i{name} = {index}{before};"]
        if g.inside(axis, extent, self.windows[1 + axis]):
            return lines, [], f"i{name}"
        if tested(g.border):
            return lines, [f"i{name} >= 0", f"i{name} < {extent}"], f"i{name}"
        return [*lines, f"const int s{name} = {border_index(g.border, f'i{name}', extent)};"], [], f"s{name}"

    @property
    def flat(self) -> bool:
        """Whether a column of the result is a pixel of a plane."""
        return self.y.spec.shape[2:4] == (1, 1) and self.y.view is None

    @property
    def vectors(self) -> bool:
        scalars = self.epilogue.expression.needs_scalars or any(e.spec.dtype == I64 for e in self.extras)
        return self.flat and self.y.spec.shape[4] % self.tile.columns.width == 0 and not scalars

    def place(self, width: int) -> list[str]:
        shape = self.y.spec.shape
        return split("n", ("image", "od", "oh", "ow"), (shape[0], *shape[2:]))

    def write(self, value: str, width: int) -> list[str]:
        shape = self.y.spec.shape
        channel = f"group * {self.rows} + m" if self.groups_of_channels > 1 else "m"
        lines = [f"const int channel = {channel};"]
        bias = self.bias.load(["0", "channel", "0", "0", "0"])
        if self.tile.slices > 1:
            bias = f"(slice == 0 ? {bias} : 0.0f)"
        index = ["image", "channel", "od", "oh", "ow"]
        operands = [f"({value} + {bias})"]
        for e in self.extras:
            contiguous = e.spec.shape[4] > 1
            operands.append(operand(e.name, e.spec, e.at(index), contiguous, width))
        steps, result = self.epilogue.expression.statements(operands, width)
        at = self.y.at(index)
        if self.tile.slices > 1:
            extents, strides = (self.tile.slices, *shape), (math.prod(shape), *self.y.strides)
            at = offset(("slice", *index), strides, wide=is_wide(extents, strides))
        return [*lines, *steps, store_aligned("y", at, result, width)]


@dataclass(frozen=True)
class PackTiles(PackFloats):
    """(K, C/groups, taps...) -> [groups][depth][K/groups, up to whole tiles of `extent`], padded with zeros.

    Depth: by_tap the channels of each tap, up to a multiple of `step`; else the taps of all channels in their order.
    """

    groups: int
    extent: int
    step: int
    by_tap: bool

    def shape(self, filter: Shape) -> Shape:
        k, c, taps = filter[0] // self.groups, filter[1], math.prod(filter[2:])
        depth = taps * self._up(c, self.step) if self.by_tap else self._up(taps * c, self.step)
        return (self.groups, depth, self._up(k, self.extent))

    def __call__(self, filter: np.ndarray) -> np.ndarray:
        groups, depth, rows = self.shape(filter.shape)
        k, c, taps = filter.shape[0] // groups, filter.shape[1], math.prod(filter.shape[2:])
        grouped = filter.reshape(groups, k, c, taps)
        if not self.by_tap:
            return zero_padded(grouped.reshape(groups, k, c * taps), (groups, rows, depth)).transpose(0, 2, 1)
        padded = zero_padded(grouped, (groups, rows, depth // taps, taps))
        return padded.transpose(0, 3, 2, 1).reshape(groups, depth, rows)

    @staticmethod
    def _up(count: int, step: int) -> int:
        return -(-count // step) * step


def conv_tiled(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, bias: Access, geometry: Geometry,
    groups: int, packed: bool, target: Target, *, sliced: bool,
) -> ConvTiled | None:  # fmt: skip
    """The kernel; None in blocked layouts and where local memory is too small. sliced: several slices may share
    the depth; then it writes a sum for each, and the epilogue is left to the one who adds them."""
    if x.block > 1 or y.block > 1:
        return None
    channels, rows = x.spec.shape[1] // groups, y.spec.shape[1] // groups
    windows = (y.spec.shape[0], *y.spec.shape[2:])
    columns, taps = math.prod(windows), geometry.taps
    tile = choose_tile(rows, columns, channels * taps, groups, target, sliced)
    if tile is None:
        return None
    padded = -(-channels // tile.depth) * tile.depth
    by_tap = taps == 1 or (packed and padded <= MOST_PADDING * channels)
    if tile.slices > 1:
        extras, epilogue = (), IDENTITY
    spatial = y.spec.shape[2:]
    if y.view is None and all(e.spec.shape[2:] in (spatial, (1, 1, 1)) for e in extras):
        y, extras = _flat(y), tuple(_flat(e) for e in extras)
    return ConvTiled(
        tile, rows, columns, x, bias, y, extras, epilogue, geometry, windows, groups, packed, by_tap
    )  # fmt: skip


def _flat(access: Access) -> Access:
    shape = access.spec.shape
    return replace(access, spec=replace(access.spec, shape=(*shape[:2], 1, 1, math.prod(shape[2:]))))
