"""Sliding-window sums and maxima over any axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from nnef_cl.codegen.access import Access
from nnef_cl.codegen.ctypes import literal
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid
from nnef_cl.codegen.kernels.window import Geometry, WindowKernel
from nnef_cl.codegen.target import Target

from nnef_cl.ir.dtype import F32


@dataclass(frozen=True)
class Pool(WindowKernel):
    """maximum: else sum. normalize: 'none', 'volume' (divide by the window's size) or 'valid' (by the number of taps
    inside)."""

    stem: ClassVar[str] = "pool"
    extras: tuple[Access, ...]
    epilogue: Epilogue
    maximum: bool
    normalize: str

    @property
    def title(self) -> str:
        kind = "max" if self.maximum else f"sum, normalize {self.normalize}"
        return f"{kind} {self.windows}"

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

    @property
    def counted(self) -> bool:
        return self.normalize == "valid" and bool(self.inside)

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
    return Pool(x, y, geometry, grid, extras, epilogue, maximum, normalize)
