"""debox and desample: what windows add up in the larger tensor they slide over, gathered by each of its elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import literal
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernels.window import Geometry, WindowKernel, border_index, tested
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32


@dataclass(frozen=True)
class Spread(WindowKernel):
    """x: one element per window; y: the larger tensor. places: of each window the one tap that counts, else all do.

    divisor: of every sum.
    """

    stem: ClassVar[str] = "spread"
    places: Access | None
    extras: tuple[Access, ...]
    epilogue: Epilogue
    divisor: int

    @property
    def title(self) -> str:
        return f"{'desample' if self.places else 'debox'} {self.windows}"

    @property
    def arguments(self) -> str:
        inputs = (self.x, *([self.places] if self.places else []), *self.extras)
        return ", ".join([*(a.argument for a in inputs), self.y.result_argument])

    def loop(self, axis: int) -> str:
        """C text of the loop over the taps; without holes, only those that a window's step can meet."""
        g, k = self.geometry, f"k{axis}"
        size, stride, before = g.size[axis], g.stride[axis], g.before[axis]
        if g.dilation[axis] != 1 or stride == 1:
            return f"for (int {k} = 0; {k} < {size}; ++{k})"
        return f"for (int {k} = (o{axis} + {before % stride}) % {stride}; {k} < {size}; {k} += {stride})"

    def tap(self, axis: int) -> list[str]:
        """C statements that declare i<axis>, the window whose tap k<axis> lies here; skips the tap where none does."""
        g, extent = self.geometry, self.x.spec.shape[axis]
        stride, dilation = g.stride[axis], g.dilation[axis]
        lines = [f"const int u{axis} = o{axis} + ({g.before[axis]}) - k{axis} * {dilation};"]
        if stride > 1 and dilation != 1:
            lines.append(f"if (u{axis} % {stride} != 0) continue;")
        lines.append(f"const int t{axis} = u{axis} / {stride};")
        if tested(g.border):
            lines.append(f"if (t{axis} < 0 || t{axis} >= {extent}) continue;")
        return [*lines, f"const int i{axis} = {border_index(g.border, f't{axis}', extent)};"]

    @property
    def condition(self) -> str:
        """C text: the tap counts; empty where every tap does."""
        return f"{self.places.load(self.index)} == {self.position}" if self.places else ""

    @cached_property
    def finish(self) -> list[str]:
        lines = [f"sum /= {literal(float(self.divisor), F32)};"] if self.divisor != 1 else []
        operands = ["sum", *(e.load(self.axes) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, 1)
        return [*lines, *steps, f"{self.y.name}[{self.y.at(self.axes)}] = {result};"]


def spread(
    x: Access, places: Access | None, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, geometry: Geometry,
    divisor: int, target: Target,
) -> Spread:  # fmt: skip
    grid = Grid.of(y.spec.volume, target, 1, geometry.taps)
    return Spread(x, y, geometry, grid, places, extras, epilogue, divisor)
