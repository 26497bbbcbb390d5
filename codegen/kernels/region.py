"""Regions of interest: pooling cells of them, and resampling them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import Access, is_wide, offset
from nnef_cl.codegen.ctypes import INT_MAX, literal
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32
from nnef_cl.ir.layout import row_major_strides

FARTHEST = 2.0**30
"""Rounded coordinates are kept within this distance of zero."""


@dataclass(frozen=True)
class RegionKernel(GridKernel):
    """x (batch, channels, spatial...), y (regions, channels, spatial...); `regions` are starts, then ends."""

    x: Access
    y: Access
    grid: Grid

    @property
    def wide(self) -> bool:
        """A cell's elements are counted with 32 bits."""
        return self.x.axes_fit and self.y.axes_fit and math.prod(self.extents) <= INT_MAX

    @property
    def arguments(self) -> str:
        between = "__global const float *restrict regions, __global const long *restrict batch_index"
        return f"{self.x.argument}, {between}, {self.y.result_argument}"

    @property
    def spatial(self) -> range:
        """Numbers of the spatial axes, from 0."""
        return range(self.x.spec.rank - 2)

    @property
    def extents(self) -> tuple[int, ...]:
        return self.x.spec.shape[2:]

    @property
    def axes(self) -> tuple[str, ...]:
        return ("n", "c", *(f"o{a}" for a in self.spatial))

    @property
    def batch(self) -> str:
        """C text: the map that the region lies in."""
        return f"(int)clamp(batch_index[n], 0L, {self.x.spec.shape[0] - 1}L)"

    def corner(self, axis: int) -> list[str]:
        """C statements that load where the region starts and ends."""
        count = len(self.spatial)
        return [
            f"const float from{axis} = regions[n * {2 * count} + {axis}];",
            f"const float to{axis} = regions[n * {2 * count} + {count + axis}];",
        ]

    def element(self, index: list[str]) -> str:
        """C text of the map's element at spatial indices."""
        shape = self.x.spec.shape
        strides = row_major_strides(shape)
        return f"{self.x.name}[{offset(['b', 'c', *index], strides, wide=is_wide(shape, strides))}]"


@dataclass(frozen=True)
class RegionPool(RegionKernel):
    """maximum: else the average."""

    stem: ClassVar[str] = "region_pool"
    maximum: bool

    @property
    def title(self) -> str:
        return f"{'max' if self.maximum else 'average'}, x {self.x.spec}, y {self.y.spec}"

    def cell(self, axis: int) -> list[str]:
        """C statements that declare the cell's elements inside the map, low<axis> up to but without high<axis>."""
        cells, extent = self.y.spec.shape[2 + axis], self.extents[axis]
        return [
            f"const long start{axis} = {_nearest(f'from{axis}')};",
            f"const long length{axis} = max({_nearest(f'to{axis}')} - start{axis}, 0L);",
            f"const long first{axis} = start{axis} + o{axis} * (length{axis} / {cells});",
            f"const int low{axis} = (int)clamp(first{axis}, 0L, {extent}L);",
            f"const int high{axis} = (int)clamp(first{axis} + (length{axis} + {cells - 1}) / {cells}, 0L, {extent}L);",
        ]

    @property
    def combine(self) -> str:
        if not self.maximum:
            return "sum += value;"
        return "sum = SELECT(sum, value, count == 0 || value > sum || value != value);"

    @property
    def result(self) -> str:
        """C text: a cell without elements gives zero, a region without coordinates NaN."""
        unknown = " || ".join(f"isnan(from{a}) || isnan(to{a})" for a in self.spatial)
        whole = "sum" if self.maximum else "sum / (float)max(count, 1)"
        return f"SELECT({whole}, NAN, {unknown})"


def _nearest(value: str) -> str:
    """C text: a coordinate rounded, halves up, and limited."""
    rounded = f"floor({value}) + SELECT(0.0f, 1.0f, {value} - floor({value}) >= 0.5f)"
    limited = f"clamp({rounded}, {literal(-FARTHEST, F32)}, {literal(FARTHEST, F32)})"
    return f"(isnan({value}) ? 0L : (long){limited})"


@dataclass(frozen=True)
class RegionResample(RegionKernel):
    """method: 'symmetric', 'asymmetric' or 'aligned'."""

    stem: ClassVar[str] = "region_resample"
    method: str

    @property
    def title(self) -> str:
        return f"{self.method}, x {self.x.spec}, y {self.y.spec}"

    def place(self, axis: int) -> str:
        """C text: the coordinate that an output reads."""
        count, length = self.y.spec.shape[2 + axis], f"(to{axis} - from{axis})"
        if self.method == "symmetric":
            step = f"((float)o{axis} + 0.5f) / {literal(float(count), F32)}"
            return f"from{axis} + {length} * ({step}) - 0.5f"
        if self.method == "asymmetric":
            return f"from{axis} + {length} * ((float)o{axis} / {literal(float(count), F32)})"
        if count == 1:
            return f"from{axis}"
        return f"from{axis} + ({length} - 1.0f) * ((float)o{axis} / {literal(float(count - 1), F32)})"

    def neighbours(self, axis: int) -> list[str]:
        """C statements: j<axis>_0 and j<axis>_1, and the weight u<axis> of the upper one; the map's edge goes on."""
        last = self.extents[axis] - 1
        limited = f"clamp(at{axis}, 0.0f, {literal(float(last), F32)})"
        return [
            f"const float at{axis} = {self.place(axis)};",
            f"const float near{axis} = isnan(at{axis}) ? at{axis} : {limited};",
            f"const int j{axis}_0 = isnan(at{axis}) ? 0 : min((int)near{axis}, {last});",
            f"const int j{axis}_1 = min(j{axis}_0 + 1, {last});",
            f"const float u{axis} = near{axis} - (float)j{axis}_0;",
        ]

    @property
    def corners(self) -> list[tuple[int, ...]]:
        corners: list[tuple[int, ...]] = [()]
        for _ in self.spatial:
            corners = [(*c, side) for c in corners for side in (0, 1)]
        return corners

    def term(self, corner: tuple[int, ...]) -> str:
        """C text of one neighbour's contribution to `sum`; what has no weight is not read."""
        weight = " * ".join(f"u{a}" if side else f"(1.0f - u{a})" for a, side in enumerate(corner))
        value = self.element([f"j{a}_{side}" for a, side in enumerate(corner)])
        return f"{{ const float weight = {weight}; if (weight != 0.0f) sum += weight * {value}; }}"


def region_pool(x: Access, y: Access, maximum: bool, target: Target) -> RegionPool:
    return RegionPool(x, y, Grid.of(y.spec.volume, target, 1, 16), maximum)


def region_resample(x: Access, y: Access, method: str, target: Target) -> RegionResample:
    return RegionResample(x, y, Grid.of(y.spec.volume, target, 1, 2 << (x.spec.rank - 2)), method)
