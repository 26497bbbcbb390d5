"""Matrix product on work-group tiles, operands read where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnef_cl.codegen.access import is_wide, offset
from nnef_cl.codegen.ctypes import stored_type
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.kernels.tiled import Tiled, operand, store_aligned, vector
from nnef_cl.codegen.tile import VECTOR, Staging

from nnef_cl.ir.dtype import I64
from nnef_cl.ir.layout import Shape, row_major_strides


@dataclass(frozen=True)
class MatmulTiled(Tiled):
    """y[slice, batch, m, n] = sum over the slice's k of a[batch, m, k] * b[batch, k, n].

    batch: extents; left, right, extras: element strides of (batch..., m, k), (batch..., k, n) and (batch..., m, n).
    """

    stem: ClassVar[str] = "matmul_tiled"
    batch: Shape
    depth: int
    left: Shape
    right: Shape
    extras: tuple[Shape, ...]
    epilogue: Epilogue

    @property
    def title(self) -> str:
        batch = f"{self.batch} x " if self.batch else ""
        return f"{batch}{self.rows} x {self.depth} by {self.depth} x {self.columns}, {self.tile}"

    @property
    def wide(self) -> bool:
        return True

    @property
    def arguments(self) -> str:
        extras = [
            f"__global const {stored_type(s.dtype)} *restrict e{k}" for k, s in enumerate(self.epilogue.operands)
        ]
        inputs = ["__global const float *restrict a", "__global const float *restrict b", *extras]
        return ", ".join([*inputs, "__global float *restrict y"])

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(f"b{k}" for k in range(len(self.batch)))

    @property
    def outer(self) -> dict[str, int]:
        return dict(zip(self.axes, self.batch, strict=True))

    @property
    def steps(self) -> int:
        return -(-self.depth // self.tile.depth)

    @property
    def a(self) -> Staging:
        return self._staging(self.rows, self.left, self.tile.rows.extent, -2)

    @property
    def b(self) -> Staging:
        return self._staging(self.columns, self.right, self.tile.columns.extent, -1)

    def _staging(self, count: int, strides: Shape, extent: int, axis: int) -> Staging:
        """axis: of the strides, that of the tile's side; the other one of the last two is the depth."""
        side, depth = strides[axis], strides[-3 - axis]
        along_depth = side != 1 or (depth == 1 and count == 1)
        inner = self.depth if along_depth else count
        others = (*strides[:-2], side if along_depth else depth)
        contiguous = (depth if along_depth else side) == 1
        whole = contiguous and inner % VECTOR == 0 and all(s % VECTOR == 0 for s in others)
        fits = whole and (along_depth or extent % VECTOR == 0)
        return Staging(extent, self.tile.depth, self.tile.items, along_depth, VECTOR if fits else 1)

    def fetch(self, operand: str) -> list[str]:
        first, count, strides, staging = (
            ("row", self.rows, self.left, self.a) if operand == "a" else ("column", self.columns, self.right, self.b)
        )
        index, extents = (("p", "d"), (count, self.depth)) if operand == "a" else (("d", "p"), (self.depth, count))
        last = count - (1 if staging.along_depth else staging.width)
        wide = is_wide((*self.batch, *extents), strides)
        at = offset((*self.axes, *index), strides, wide=wide)
        type = vector(staging.width)
        value = f"{operand}[{at}]" if staging.width == 1 else f"*(__global const {type} *)({operand} + {at})"
        if self.depth % self.tile.depth:
            value = f"d < {self.depth} ? {value} : ({type})(0.0f)"
        place = f"{first} + t" if count % staging.extent == 0 else f"min({first} + t, {last})"
        return [f"const int d = step * {self.tile.depth} + k, p = {place};", f"const {type} value = {value};"]

    @property
    def vectors(self) -> bool:
        scalars = self.epilogue.expression.needs_scalars or any(s.dtype == I64 for s in self.epilogue.operands)
        strides = all(e[-1] in (0, 1) for e in self.extras)
        return self.columns % self.tile.columns.width == 0 and not scalars and strides

    def place(self, width: int) -> list[str]:
        return []

    def write(self, value: str, width: int) -> list[str]:
        extents = (*self.batch, self.rows, self.columns)
        index = (*self.axes, "m", "n")
        operands = [value]
        for k, (spec, strides) in enumerate(zip(self.epilogue.operands, self.extras, strict=True)):
            at = offset(index, strides, wide=is_wide(extents, strides))
            operands.append(operand(f"e{k}", spec, at, strides[-1] == 1, width))
        steps, result = self.epilogue.expression.statements(operands, width)
        strides = row_major_strides((self.tile.slices, *extents))
        if self.tile.slices == 1:
            strides = (0, *strides[1:])
        at = offset(("slice", *index), strides, wide=is_wide((self.tile.slices, *extents), strides))
        return [*steps, store_aligned("y", at, result, width)]
