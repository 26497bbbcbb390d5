"""Sliding-window sums and maxima over any axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import literal
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.kernels.window import Geometry, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32


@dataclass(frozen=True)
class Pool(Kernel):
    """geometry: over every axis of x (channel blocks count as the channel axis). maximum: else sum.

    normalize: 'none', 'volume' (divide by the window's size) or 'valid' (by the number of taps inside).
    """

    stem: ClassVar[str] = "pool"
    x: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    geometry: Geometry
    maximum: bool
    normalize: str
    grid: Grid

    @property
    def title(self) -> str:
        kind = "max" if self.maximum else f"sum, normalize {self.normalize}"
        size = "x".join(map(str, self.geometry.size))
        windows = f"{size} stride {self.geometry.stride} border {self.geometry.border}"
        return f"{kind} {windows}, x {self.x.spec}, y {self.y.spec}"

    @property
    def global_size(self) -> tuple[int, ...]:
        return self.grid.global_size

    @property
    def local_size(self) -> tuple[int, ...]:
        return self.grid.local_size

    @property
    def arguments(self) -> str:
        return ", ".join([self.x.argument, *(e.argument for e in self.extras), self.y.result_argument])

    @property
    def width(self) -> int:
        return self.x.block

    @property
    def type(self) -> str:
        return "float" if self.width == 1 else f"float{self.width}"

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
            if g.size[a] != 1 or g.stride[a] != 1 or g.before[a] != 0
        ]  # fmt: skip

    @property
    def start(self) -> str:
        """C text of the accumulator's first value."""
        return f"({self.type})({'-INFINITY' if self.maximum else '0.0f'})"

    @property
    def outside(self) -> str | None:
        """C text of what a tap outside contributes, None for nothing."""
        return self.combine(f"({self.type})(0.0f)") if self.maximum and self.geometry.border == "constant" else None

    def combine(self, value: str) -> str:
        """C statement; a NaN in the window makes a NaN."""
        if not self.maximum:
            return f"sum += {value};"
        select = "SELECT" if self.width == 1 else "select"
        return f"{{ const {self.type} value = {value}; sum = {select}(sum, value, value > sum || value != value); }}"

    def tap(self, axis: int) -> list[str]:
        """C statements that declare the input index along `axis` and skip or count taps outside."""
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
    def counted(self) -> bool:
        return self.normalize == "valid" and bool(self.inside)

    @property
    def index(self) -> list[str]:
        return [f"i{a}" if a in self.windowed else f"o{a}" for a in range(self.x.spec.rank)]

    @cached_property
    def finish(self) -> list[str]:
        lines = []
        if not self.maximum and self.normalize != "none":
            divisor = "(float)taps" if self.counted else literal(float(self.geometry.taps), F32)
            lines.append(f"sum /= ({self.type})({divisor});")
        n, block, *spatial = [*self.axes, *["0"] * (2 - len(self.axes))]
        operands = ["sum", *(e.load_channels(n, block, spatial, self.width) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.width)
        return [*lines, *steps, self.y.store_channels(result, n, block, spatial, self.width)]


def pool(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry, maximum: bool,
    normalize: str, target: Target,
) -> Pool:  # fmt: skip
    count = y.spec.bytes // y.spec.dtype.bytes // x.block
    grid = Grid.of(count, target, x.block, geometry.taps)
    return Pool(x, y, extras, epilogue, geometry, maximum, normalize, grid)
