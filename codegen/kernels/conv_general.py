"""Convolution and deconvolution of any shape, one output per work-item: correct everywhere, fast nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.window import Geometry, border_index, tested
from nnef_cl.codegen.target import Target


@dataclass(frozen=True)
class ConvGeneral(GridKernel):
    """Plain x, filter, bias, y as (N, C, spatial...). transposed: deconvolution, in gather form."""

    stem: ClassVar[str] = "conv_general"
    x: Access
    filter: Access
    bias: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    geometry: Geometry
    groups: int
    transposed: bool
    grid: Grid

    @property
    def title(self) -> str:
        size = "x".join(map(str, self.geometry.size))
        kind = "deconvolution" if self.transposed else "convolution"
        return f"{kind} {size} stride {self.geometry.stride} groups {self.groups}, x {self.x.spec}, y {self.y.spec}"

    @property
    def wide(self) -> bool:
        return self.x.axes_fit and self.y.axes_fit

    @property
    def arguments(self) -> str:
        inputs = (self.x, self.filter, self.bias, *self.extras)
        return ", ".join([*(a.argument for a in inputs), self.y.result_argument])

    @property
    def in_channels(self) -> int:
        return self.x.spec.shape[1] // self.groups

    @property
    def out_channels(self) -> int:
        return self.y.spec.shape[1] // self.groups

    @property
    def spatial(self) -> range:
        """Numbers of the spatial axes, from 0."""
        return range(len(self.geometry.size))

    def names(self, letter: str) -> list[str]:
        """One C name per spatial axis."""
        return [f"{letter}{axis}" for axis in self.spatial]

    def tap(self, axis: int, output: str, tap: str) -> list[str]:
        """C statements that declare `i<axis>`, the input index of a tap, and skip the tap where there is none."""
        g, extent, name = self.geometry, self.x.spec.shape[2 + axis], f"i{axis}"
        if not self.transposed:
            place = f"{output} * {g.stride[axis]} + {tap} * {g.dilation[axis]} - ({g.before[axis]})"
            lines = [f"const int t{axis} = {place};"]
        else:
            lines = [f"const int u{axis} = {output} + ({g.before[axis]}) - {tap} * {g.dilation[axis]};"]
            if g.stride[axis] > 1:
                lines.append(f"if (u{axis} % {g.stride[axis]} != 0) continue;")
            lines.append(f"const int t{axis} = u{axis} / {g.stride[axis]};")
        if tested(g.border):
            lines.append(f"if (t{axis} < 0 || t{axis} >= {extent}) continue;")
        return [*lines, f"const int {name} = {border_index(g.border, f't{axis}', extent)};"]

    @cached_property
    def finish(self) -> list[str]:
        index = ["n", "k", *self.names("o")]
        steps, result = self.epilogue.expression.statements(["sum", *(e.load(index) for e in self.extras)], 1)
        return [*steps, self.y.store_channels(result, "n", "k", index[2:], 1)]


def conv_general(
    x: Access, filter: Access, bias: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue,
    geometry: Geometry, groups: int, transposed: bool, target: Target,
) -> ConvGeneral:  # fmt: skip
    cost = geometry.taps * filter.spec.shape[1]
    grid = Grid.of(y.spec.volume, target, 1, cost)
    return ConvGeneral(x, filter, bias, y, extras, epilogue, geometry, groups, transposed, grid)
