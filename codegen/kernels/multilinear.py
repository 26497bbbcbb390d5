"""Multilinear up-sampling by whole factors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import literal
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernels.window import border_index
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32


@dataclass(frozen=True)
class Multilinear(GridKernel):
    """factor: per spatial axis. method: 'symmetric', 'asymmetric' or 'aligned'."""

    stem: ClassVar[str] = "multilinear"
    x: Access
    y: Access
    extras: tuple[Access, ...]
    epilogue: Epilogue
    factor: tuple[int, ...]
    method: str
    border: str
    grid: Grid

    @property
    def title(self) -> str:
        return f"{self.method} by {self.factor} border {self.border}, x {self.x.spec}, y {self.y.spec}"

    @property
    def wide(self) -> bool:
        return self.x.axes_fit and self.y.axes_fit

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
    def axes(self) -> tuple[str, ...]:
        return ("n", "block", *(f"o{k}" for k in range(len(self.factor))))

    @property
    def counts(self) -> tuple[int, ...]:
        return self.y.spec.layout.physical(self.y.spec.shape)[: self.y.spec.rank]

    def coordinate(self, axis: int) -> list[str]:
        """C statements: `j<axis>` lower neighbour and `u<axis>` weight of the upper one, exact for whole factors."""
        f, extent, o = self.factor[axis], self.x.spec.shape[2 + axis], f"o{axis}"
        if self.method == "asymmetric" or f == 1:
            top, bottom = o, f
        elif self.method == "symmetric":
            top, bottom = f"(2 * {o} - {f - 1})", 2 * f
        else:
            top, bottom = f"(long){o} * {extent - 1}", extent * f - 1
            if extent == 1:
                top, bottom = "0", 1
        shifted = f"({top} + {bottom})"  # never negative: the least coordinate is above -1
        lines = [
            f"const int j{axis} = (int)({shifted} / {bottom}) - 1;",
            f"const float u{axis} = (float)({shifted} % {bottom}) / {literal(float(bottom), F32)};",
        ]
        for side in (0, 1):
            name = f"i{axis}_{side}"
            at = f"(j{axis} + {side})"
            if self.border == "constant":
                lines.append(f"const int {name} = clamp({at}, 0, {extent - 1});")
                lines.append(f"const int in{axis}_{side} = {at} >= 0 && {at} < {extent};")
            else:
                # An upper neighbour that carries no weight may lie anywhere.
                mapped = f"clamp({border_index(self.border, at, extent)}, 0, {extent - 1})"
                lines.append(f"const int {name} = {mapped};")
        return lines

    @property
    def corners(self) -> list[tuple[int, ...]]:
        corners: list[tuple[int, ...]] = [()]
        for _ in self.factor:
            corners = [(*c, side) for c in corners for side in (0, 1)]
        return corners

    def term(self, corner: tuple[int, ...]) -> str:
        """C text of one neighbour's contribution to `sum`; taps of weight zero are not read into it."""
        weight = " * ".join(f"u{a}" if side else f"(1.0f - u{a})" for a, side in enumerate(corner)) or "1.0f"
        index = ["n", "block", *(f"i{a}_{side}" for a, side in enumerate(corner))]
        conditions = ["weight != 0.0f"]
        if self.border == "constant":
            conditions += [f"in{a}_{side}" for a, side in enumerate(corner)]
        guarded = f"if ({' && '.join(conditions)}) sum += weight * {self.x.load(index)};"
        return f"{{ const float weight = {weight}; {guarded} }}"

    @cached_property
    def finish(self) -> list[str]:
        spatial = list(self.axes[2:])
        operands = ["sum", *(e.load_channels("n", "block", spatial, self.width) for e in self.extras)]
        steps, result = self.epilogue.expression.statements(operands, self.width)
        return [*steps, self.y.store_channels(result, "n", "block", spatial, self.width)]


def multilinear(
    x: Access, y: Access, extras: tuple[Access, ...], epilogue: Epilogue, factor: tuple[int, ...], method: str,
    border: str, target: Target,
) -> Multilinear:  # fmt: skip
    count = y.spec.bytes // y.spec.dtype.bytes // x.block
    grid = Grid.of(count, target, x.block, 2 << len(factor))
    return Multilinear(x, y, extras, epilogue, factor, method, border, grid)
