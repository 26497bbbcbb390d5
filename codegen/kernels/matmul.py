"""Matrix product on a register tile: rows of A against a packed panel of B."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from nnef_cl.codegen.access import is_wide, offset
from nnef_cl.codegen.ctypes import INT_MAX, load
from nnef_cl.codegen.expression import Epilogue
from nnef_cl.codegen.grid import Grid, GridKernel
from nnef_cl.codegen.kernel import PackFloats, Sizes, zero_padded
from nnef_cl.codegen.kernels.conv_direct import register_tiles
from nnef_cl.codegen.target import Target

from nnef_cl.ir.layout import Shape


@dataclass(frozen=True)
class Matmul(GridKernel):
    """C[batch, m, n] = sum over k of A[batch, m, k] * B[batch, k, n].

    batch: extents; a, extras: element strides of (batch..., m, k) and (batch..., m, n); panels: element strides
    of the packed B, [batch][N tiles][k][blocks x width], along the batch axes.
    """

    stem: ClassVar[str] = "matmul"
    batch: Shape
    rows: int
    columns: int
    depth: int
    a: Shape
    panels: Shape
    extras: tuple[Shape, ...]
    epilogue: Epilogue
    width: int
    blocks: int
    tile: int
    grid: Grid

    @property
    def title(self) -> str:
        batch = f"{self.batch} x " if self.batch else ""
        tile = f"tile {self.tile} x {self.blocks} x {self.width}"
        return f"{batch}{self.rows} x {self.depth} by {self.depth} x {self.columns}, {tile}"

    @property
    def wide(self) -> bool:
        """Places inside one tile of rows and one panel have 32 bits."""
        reach = (self.tile - 1) * self.row_step + self.depth * self.depth_step
        extents = max(self.rows, self.columns, self.depth, *self.batch)
        return max(reach, self.depth * self.lanes, 4 * extents) <= INT_MAX

    @property
    def arguments(self) -> str:
        extras = [
            f"__global const {'uchar' if s.dtype.kind == 'logical' else 'float'} *restrict e{k}"
            for k, s in enumerate(self.epilogue.operands)
        ]
        inputs = ["__global const float *restrict a", "__global const float *restrict b", *extras]
        return ", ".join([*inputs, "__global float *restrict y"])

    @property
    def lanes(self) -> int:
        return self.width * self.blocks

    @property
    def column_tiles(self) -> int:
        return -(-self.columns // self.lanes)

    @property
    def batch_axes(self) -> tuple[str, ...]:
        return tuple(f"b{k}" for k in range(len(self.batch)))

    @property
    def counts(self) -> Shape:
        return (*self.batch, self.column_tiles, -(-self.rows // self.tile))

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.batch_axes, "ntile", "mtile")

    @property
    def a_start(self) -> str:
        strides = self.a[:-1]
        return offset((*self.batch_axes, "m"), strides, wide=is_wide((*self.batch, self.rows), strides))

    @property
    def b_start(self) -> str:
        strides = (*self.panels, self.depth * self.lanes)
        wide = is_wide((*self.batch, self.column_tiles), strides)
        return offset((*self.batch_axes, "ntile"), strides, wide=wide)

    @property
    def row_step(self) -> int:
        return self.a[-2]

    @property
    def depth_step(self) -> int:
        return self.a[-1]

    @property
    def result_strides(self) -> Shape:
        strides = [1, self.columns]
        for extent in reversed((*self.batch, self.rows)):
            strides.append(strides[-1] * extent)
        return tuple(reversed(strides[: len(self.batch) + 2]))

    @property
    def places(self) -> list[str]:
        """C text: the first column of each vector. The last vectors begin early enough to end with the row."""
        columns = [f"ntile * {self.lanes} + {block * self.width}" for block in range(self.blocks)]
        if self.columns % self.lanes == 0 or self.columns < self.width:
            return columns
        return [f"min({column}, {self.columns - self.width})" for column in columns]

    def finish(self, row: int, block: int) -> list[str]:
        """Epilogue and store of one accumulator: as a vector, lane by lane where a row is shorter than that."""
        value, column, place = f"c{row}_{block}", f"n{block}", f"(m + {row})"
        if self.columns >= self.width:
            return ["{", *self._store(value, column, place, self.width), "}"]
        return [
            f"{{ float lanes[{self.width}]; vstore{self.width}({value}, 0, lanes);",
            f"for (int lane = 0; lane < {self.columns}; ++lane) {{",
            *self._store("lanes[lane]", "lane", place, 1), "} }",
        ]  # fmt: skip

    def _store(self, value: str, column: str, row: str, width: int) -> list[str]:
        index, extents = (*self.batch_axes, row, column), (*self.batch, self.rows, self.columns)
        operands = [value]
        for k, (spec, strides) in enumerate(zip(self.epilogue.operands, self.extras, strict=True)):
            each = width if strides[-1] == 1 else 1
            text = load(f"e{k}", offset(index, strides, wide=is_wide(extents, strides)), spec.dtype, each)
            if each != width:
                cast = f"int{width}" if spec.dtype.kind == "logical" else f"float{width}"
                text = f"(({cast})({text}))" if spec.dtype.kind == "scalar" else f"(-({cast})({text}))"
            operands.append(text)
        steps, result = self.epilogue.expression.statements(operands, width)
        at = offset(index, self.result_strides, wide=is_wide(extents, self.result_strides))
        return [*steps, f"vstore{width}({result}, 0, y + {at});" if width > 1 else f"y[{at}] = {result};"]

    @cached_property
    def type(self) -> str:
        return "float" if self.width == 1 else f"float{self.width}"


@dataclass(frozen=True)
class PackPanels(PackFloats):
    """(batch..., K, N), or (batch..., N, K) where transposed -> [batch][N tiles][K][blocks x width].

    Vectors that would pass the last column end with it; zeros fill one that is wider than the matrix.
    """

    width: int
    blocks: int
    transposed: bool

    def shape(self, matrix: Shape) -> Shape:
        *batch, depth, columns = (*matrix[:-2], *matrix[-2:][:: -1 if self.transposed else 1])
        lanes = self.width * self.blocks
        return (*batch, -(-columns // lanes), depth, lanes)

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        b = np.swapaxes(matrix, -1, -2) if self.transposed else matrix
        *batch, tiles, depth, lanes = self.shape(matrix.shape)
        columns = b.shape[-1]
        if columns < self.width:
            b = zero_padded(b, (*batch, depth, self.width))
        elif columns % lanes:
            first = np.minimum(np.arange(tiles * self.blocks) * self.width, columns - self.width)
            b = b[..., (first[:, None] + np.arange(self.width)).reshape(-1)]
        return np.moveaxis(b.reshape(*batch, depth, tiles, lanes), -2, -3)


def panel_tiles(rows: int, columns: int, target: Target) -> tuple[int, list[Sizes]]:
    """Lanes of a vector, and (blocks, tile) of every register tile for a result of rows x columns, best guess first."""
    width = min(max(4, target.vector_width), 1 << (columns - 1).bit_length())
    return width, register_tiles(-(-columns // width), rows, target.vector_registers, padded=True)
