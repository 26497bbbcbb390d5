"""What window kernels share: geometry over (depth, height, width) and border index maps in C."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import TensorSpec

SPATIAL = 3


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
    """The same windows with leading spatial axes of size 1."""
    missing = SPATIAL - len(geometry.size)
    one, zero = (1,) * missing, (0,) * missing
    return Geometry(
        one + geometry.size, one + geometry.stride, one + geometry.dilation, zero + geometry.before, geometry.border
    )


def five_axes(spec: TensorSpec, rank: int) -> TensorSpec:
    """(N, C, spatial...) of `rank` axes (missing ones trailing) as (N, C, depth, height, width)."""
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


def tested(border: str) -> bool:
    """Whether taps outside must be recognised instead of redirected."""
    return border in ("constant", "ignore")
