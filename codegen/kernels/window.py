"""What window kernels share: geometry, border index maps in C, and windows over every axis of a tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nnef_cl.codegen.access import Access, offset
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid, GridKernel

from nnef_cl.ir.layout import Shape, row_major_strides
from nnef_cl.ir.tensor import TensorSpec

SPATIAL = 3
MAX_ROW = 4096
"""Floats of private memory that a kernel keeps of one row."""
SMALLEST = 4
"""Lanes below which vectors along a row do not pay."""


@dataclass(frozen=True)
class Geometry:
    """Per axis: window size, stride, dilation and padding before the first element (negative: cropping).

    border: 'constant' (zero), 'replicate', 'reflect', 'reflect-even' or 'ignore'.
    """

    size: Shape
    stride: Shape
    dilation: Shape
    before: Shape
    border: str = "constant"

    @property
    def taps(self) -> int:
        count = 1
        for extent in self.size:
            count *= extent
        return count

    def inside(self, axis: int, extent: int, outputs: int) -> bool:
        """Whether no window reaches outside an input of `extent` along `axis`."""
        reach = (outputs - 1) * self.stride[axis] + (self.size[axis] - 1) * self.dilation[axis]
        return self.before[axis] <= 0 and reach - self.before[axis] < extent


def with_three_axes(geometry: Geometry) -> Geometry:
    """The same windows with leading axes of size 1 up to three; more stay as they are."""
    missing = SPATIAL - len(geometry.size)
    one, zero = (1,) * missing, (0,) * missing
    return Geometry(
        one + geometry.size, one + geometry.stride, one + geometry.dilation, zero + geometry.before, geometry.border
    )


def five_axes(spec: TensorSpec, rank: int) -> TensorSpec:
    """(N, C, spatial...) of `rank` axes (missing ones trailing) as (N, C, depth, height, width), or more."""
    shape = spec.shape + (1,) * (rank - spec.rank)
    return replace(spec, shape=(*shape[:2], *(1,) * (SPATIAL + 2 - rank), *shape[2:]))


def border_index(border: str, index: str, extent: int) -> str:
    """C text: where an index outside 0 .. extent-1 reads; 'constant' and 'ignore' have no such place."""
    if border == "replicate":
        return f"clamp({index}, 0, {extent - 1})"
    if border == "reflect":
        return f"({index} < 0 ? -({index}) : {index} >= {extent} ? {2 * (extent - 1)} - ({index}) : {index})"
    if border == "reflect-even":
        return f"({index} < 0 ? -({index}) - 1 : {index} >= {extent} ? {2 * extent - 1} - ({index}) : {index})"
    return index


def clamped_index(border: str, index: str, extent: int) -> str:
    """As `border_index`, for reads that may reach further outside than any window does."""
    mapped = border_index(border, index, extent)
    return mapped if border == "replicate" else f"clamp({mapped}, 0, {extent - 1})"


def tested(border: str) -> bool:
    """Whether taps outside must be recognised instead of redirected."""
    return border in ("constant", "ignore")


@dataclass(frozen=True)
class ConvKernel(GridKernel):
    """Base of the convolutions whose filter and bias are packed. x, y: (N, C, depth, height, width)."""

    x: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    geometry: Geometry

    @property
    def size(self) -> str:
        """For the title."""
        return "x".join(map(str, self.geometry.size))

    @property
    def arguments(self) -> str:
        inputs = [self.x.argument, "__global const float *restrict filter", "__global const float *restrict bias"]
        return ", ".join([*inputs, *(e.argument for e in self.extras), self.y.result_argument])


@dataclass(frozen=True)
class GroupedConv(ConvKernel):
    """The same of those that take groups of any size."""

    groups: int

    @property
    def in_channels(self) -> int:
        """Of one group."""
        return self.x.spec.shape[1] // self.groups

    @property
    def results(self) -> int:
        """Of one group."""
        return self.y.spec.shape[1] // self.groups


@dataclass(frozen=True)
class WindowKernel(GridKernel):
    """Base of the kernels whose windows cover any axes of x, one window for each element of y.

    geometry: over every axis of x (channel blocks count as the channel axis).
    """

    x: Access
    y: Access
    geometry: Geometry
    grid: Grid

    @property
    def windows(self) -> str:
        """For the title."""
        g = self.geometry
        return f"{'x'.join(map(str, g.size))} stride {g.stride} border {g.border}, x {self.x.spec}, y {self.y.spec}"

    @property
    def wide(self) -> bool:
        return self.x.axes_fit and self.y.axes_fit

    @property
    def counts(self) -> tuple[int, ...]:
        return self.y.spec.layout.physical(self.y.spec.shape)[: self.y.spec.rank]

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(f"o{k}" for k in range(self.y.spec.rank))

    @property
    def windowed(self) -> list[int]:
        """Axes where an output does not simply read the input at its own index."""
        g = self.geometry
        return [
            a for a in range(self.x.spec.rank)
            if g.size[a] != 1 or g.stride[a] != 1 or g.before[a] != 0 or self.y.spec.shape[a] > self.x.spec.shape[a]
        ]  # fmt: skip

    @property
    def last(self) -> int:
        """The axis of the rows."""
        return self.x.spec.rank - 1

    @property
    def across(self) -> list[int]:
        """Windowed axes other than the row's."""
        return [a for a in self.windowed if a != self.last]

    def tap(self, axis: int) -> list[str]:
        """C statements that declare where tap k<axis> reads along `axis`: i<axis>, and before the border t<axis>."""
        g, extent = self.geometry, self.x.spec.shape[axis]
        lines = [f"const int t{axis} = o{axis} * {g.stride[axis]} + k{axis} * {g.dilation[axis]} - ({g.before[axis]});"]
        return [*lines, f"const int i{axis} = {border_index(g.border, f't{axis}', extent)};"]

    @property
    def inside(self) -> str:
        """C text: the tap lies in the input; empty where it always does."""
        if not tested(self.geometry.border):
            return ""
        checked = [
            a for a in self.windowed
            if not self.geometry.inside(a, self.x.spec.shape[a], self.y.spec.shape[a])
        ]  # fmt: skip
        return " && ".join(f"t{a} >= 0 && t{a} < {self.x.spec.shape[a]}" for a in checked)

    @property
    def index(self) -> list[str]:
        """Names of the input's indices."""
        return [f"i{a}" if a in self.windowed else f"o{a}" for a in range(self.x.spec.rank)]

    @property
    def position(self) -> str:
        """C text: the tap's row-major place in the window."""
        names = [f"k{a}" if a in self.windowed else "0" for a in range(self.x.spec.rank)]
        return offset(names, row_major_strides(self.geometry.size))
